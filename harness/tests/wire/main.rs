//! The `wire` engine as nodes meet it: real traffic through real namespaces, with both kinds of link ends.
//!
//! A program of its own instead of the usual test harness, because it is also what runs inside the nodes: `wire traffic …`.
//! It understands what test runners say: `--list`, `--exact NAME`, a part of a name.

mod cases;
mod lab;
mod traffic;

use std::process::ExitCode;

use peerbed::engine::EndsChoice;

fn main() -> ExitCode {
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
    let chosen: Vec<(String, cases::Case, EndsChoice)> = all().filter(|(name, ..)| wanted(name, &arguments)).collect();
    if has("--list") {
        // No test is ever ignored, and test runners ask for those in a list of their own.
        for (name, ..) in chosen.iter().filter(|_| !has("--ignored")) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    for (name, case, ends) in &chosen {
        println!("{name}");
        case(*ends);
    }
    println!("{} cases passed", chosen.len());
    ExitCode::SUCCESS
}

/// Every case with both kinds of ends; without `/dev/net/tun` the cases that need it say so and are not there.
fn all() -> impl Iterator<Item = (String, cases::Case, EndsChoice)> {
    let tun = std::fs::File::options().read(true).write(true).open("/dev/net/tun");
    if let Err(error) = &tun {
        eprintln!("no cases with TUN devices: /dev/net/tun: {error}");
    }
    let ends = [("packet", EndsChoice::Packet, true), ("tun", EndsChoice::Tun, tun.is_ok())];
    ends.into_iter().filter(|(.., there)| *there).flat_map(|(kind, ends, _)| {
        cases::ALL.into_iter().map(move |(name, case)| (format!("{kind}::{name}"), case, ends))
    })
}

/// Whether the arguments ask for this case: those that are not options are parts of names, or with `--exact` whole ones.
fn wanted(name: &str, arguments: &[String]) -> bool {
    let exact = arguments.iter().any(|argument| argument == "--exact");
    let mut names = arguments.iter().filter(|argument| !argument.starts_with("--") && *argument != "terse").peekable();
    names.peek().is_none() || names.any(|part| if exact { part == name } else { name.contains(part.as_str()) })
}
