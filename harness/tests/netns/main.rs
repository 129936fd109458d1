//! The `netns` runtime with real namespaces, as whichever user runs the tests. Where namespaces are not permitted these
//! tests fail, with the agent's own words on what to do.

mod held;
mod helpers;
mod nodes;
mod scale;
mod support;
mod traffic;
mod vanish;
