//! The peer's machine in a network of virtual time, with the real control plane's machine and a scripted edge.

mod agenda;
mod attackers;
mod basic;
mod bench;
mod cache;
mod control_plane;
mod crowd;
mod driver;
mod edge;
mod faults;
mod greeting;
mod habits;
mod moving;
mod nat;
mod net;
mod orders;
mod policy;
mod random;
mod uploads;
mod user;
mod wire;
mod world;
