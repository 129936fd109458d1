//! The configuration of a node.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use peerbed_contract::Role;

fuzz_target!(|data: &str| {
    for role in [Role::Edge, Role::Control, Role::Peer] {
        match peerbed_driver::parse(Path::new("fuzz.json"), data, role) {
            Ok(config) => assert_eq!(config.role.role(), role),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});
