//! The `peerbed` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything that could begin a thread: the agent moves its whole process into other namespaces.
    if std::env::args_os().nth(1).is_some_and(|subcommand| subcommand == "agent") {
        return peerbed::agent::process::main();
    }
    peerbed::cli::main()
}
