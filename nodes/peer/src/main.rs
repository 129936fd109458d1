//! The peer node: `peerbed-proto`'s peer machine on real sockets.

use std::process::ExitCode;

fn main() -> ExitCode {
    peerbed_driver::main(peerbed_contract::Role::Peer)
}
