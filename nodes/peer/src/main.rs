//! The peer node.

fn main() {}
