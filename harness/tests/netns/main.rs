//! What only the `netns` runtime has, with real namespaces, as whichever user runs the tests; what every runtime has is in
//! `tests/runtimes`. Where namespaces are not permitted these tests fail, with the agent's own words on what to do.

mod held;
mod nodes;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "another test program uses the rest")]
mod support;
