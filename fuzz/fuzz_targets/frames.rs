//! A stream of frames and content, cut anywhere: what is decoded must come out of the encoder again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerbed_driver::codec::{self, Decoded, Decoder};

fuzz_target!(|data: &[u8]| {
    let Some((cut, data)) = data.split_first() else { return };
    let mut decoder = Decoder::default();
    for chunk in data.chunks(usize::from(*cut) + 1) {
        let mut input = chunk;
        loop {
            match decoder.next(&mut input) {
                Ok(Some(Decoded::Message(message))) => {
                    let mut encoded = Vec::new();
                    codec::encode(&message, &mut encoded).expect("what was decoded can be encoded");
                    let mut again = encoded.as_slice();
                    let decoded = Decoder::default().next(&mut again).expect("what was encoded can be decoded");
                    assert_eq!(decoded, Some(Decoded::Message(message)));
                }
                Ok(Some(Decoded::Content { bytes, .. })) => assert!(!bytes.is_empty()),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
