//! The program as its user runs it: real processes, namespaces and links, judged by what is printed and recorded.

mod bad_input;
mod bisect;
mod calibration;
mod capacity;
mod commits;
mod compare;
mod disk;
mod engines;
mod experiments;
mod faults;
mod history;
mod moving;
mod nat;
mod nightly;
mod past_results;
mod program;
mod quick;
mod resume;
mod rootless;
mod streams;
mod timeline;
