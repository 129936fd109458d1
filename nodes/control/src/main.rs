//! The control node.

fn main() {}
