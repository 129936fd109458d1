//! Lines on a node's standard input.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerbed_contract::Command;

fuzz_target!(|data: &str| {
    for line in data.lines() {
        if let Ok(command) = Command::parse(line) {
            assert_eq!(Command::parse(&command.to_line()).expect("a line that a command makes"), command);
        }
    }
});
