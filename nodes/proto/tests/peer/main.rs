//! The peer's machine in a network of virtual time, with the real control plane's machine and a scripted edge.

mod basic;
mod edge;
mod faults;
mod net;
mod policy;
mod random;
mod uploads;
mod user;
mod wire;
mod world;
