//! The edge node.

fn main() {}
