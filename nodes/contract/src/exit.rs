//! The exit codes of a node.

/// The node stopped because it was told to, after it had flushed every event.
pub const OK: i32 = 0;
/// The command line or the configuration file is wrong; standard error says where.
pub const USAGE: i32 = 2;
/// A socket could not be bound, or a descriptor or thread could not be had.
pub const RESOURCES: i32 = 3;
/// The other side of standard output or input broke the contract (closed pipe, unreadable command).
pub const CONTRACT: i32 = 4;
