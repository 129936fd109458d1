//! The `peerbed` program.

fn main() {}
