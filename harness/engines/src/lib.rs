//! What link engines promise, tried with real traffic through real namespaces: one suite for all of them.
//!
//! A case is written once and stands here as `ENGINE::CASE` for every engine, and every kind of link end, that this machine
//! has. `tc` comes with what the kernel has: without `netem` its cases are those of rates, queues and counters.
//! `PEERBED_REQUIRE_NETEM=1` makes it an error if netem is not there; `make test-kernel` sets it, in a machine that has it.
//!
//! It is a program of its own instead of the usual test harness, because it is also what runs inside the nodes:
//! `engines traffic …`. It understands what test runners say: `--list`, `--exact NAME`, a part of a name.

mod bed;
mod cases;
mod lab;
mod traffic;

use std::process::ExitCode;

use self::{bed::Bed, cases::Case};

/// The program.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == "traffic") {
        return match traffic::main(&arguments[1..]) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                println!("failed: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let chosen: Vec<(String, Case, Bed)> = all().filter(|(name, ..)| wanted(name, &arguments)).collect();
    if has("--list") {
        // No test is ever ignored, and test runners ask for those in a list of their own.
        for (name, ..) in chosen.iter().filter(|_| !has("--ignored")) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    for (name, case, bed) in &chosen {
        println!("{name}");
        case(*bed);
    }
    println!("{} cases passed", chosen.len());
    ExitCode::SUCCESS
}

/// Every case with every engine that can have it.
fn all() -> impl Iterator<Item = (String, Case, Bed)> {
    Bed::all().into_iter().flat_map(|bed| {
        let fit = cases::ALL.into_iter().filter(move |(_, needs, _)| bed.has(needs));
        fit.map(move |(name, _, case)| (format!("{}::{name}", bed.name), case, bed))
    })
}

/// Whether the arguments ask for this case: those that are not options are parts of names, or with `--exact` whole ones.
fn wanted(name: &str, arguments: &[String]) -> bool {
    let exact = arguments.iter().any(|argument| argument == "--exact");
    let mut names = arguments.iter().filter(|argument| !argument.starts_with("--") && *argument != "terse").peekable();
    names.peek().is_none() || names.any(|part| if exact { part == name } else { name.contains(part.as_str()) })
}
