//! What a peer reads from an edge: heads of responses, cut anywhere.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((cut, data)) = data.split_first() else { return };
    let whole = peerbed_driver::fuzzing::http_responses(data, usize::MAX);
    let cut = peerbed_driver::fuzzing::http_responses(data, usize::from(*cut) + 1);
    // A bodiless head is a head whatever the cuts; what follows the first error is not read either way.
    assert!(cut >= whole.min(1));
});
