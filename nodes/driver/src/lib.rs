//! nodes/driver
