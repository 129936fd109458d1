//! The `peerbed` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    let subcommand = std::env::args_os().nth(1);
    match subcommand.as_ref().and_then(|subcommand| subcommand.to_str()) {
        // Before anything that could begin a thread: the agent moves its whole process into other namespaces.
        Some("agent") => peerbed::agent::process::main(),
        Some("gate") => peerbed::gate::main(),
        Some("sentry") => peerbed::runtime::docker::sentry::main(),
        Some("visit") => peerbed::runtime::visit::main(),
        _ => peerbed::cli::main(),
    }
}
