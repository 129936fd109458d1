//! The control node: `peerbed-proto`'s control machine on real sockets.

use std::process::ExitCode;

fn main() -> ExitCode {
    peerbed_driver::main(peerbed_contract::Role::Control)
}
