//! The edge node: `peerbed-proto`'s edge machine on real sockets.

use std::process::ExitCode;

fn main() -> ExitCode {
    peerbed_driver::main(peerbed_contract::Role::Edge)
}
