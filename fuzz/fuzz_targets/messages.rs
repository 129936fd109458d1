//! One message: the bytes are the whole of a frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerbed_driver::codec::{self, Decoded, Decoder};

fuzz_target!(|data: &[u8]| {
    let mut frame = (data.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(data);
    let mut input = frame.as_slice();
    if let Ok(Some(Decoded::Message(message))) = Decoder::default().next(&mut input) {
        let mut encoded = Vec::new();
        codec::encode(&message, &mut encoded).expect("what was decoded can be encoded");
    }
});
