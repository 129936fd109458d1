//! Any text as a file of AS relationships: read or refused with diagnostics; what is read can be sampled, or it is said why not.

#![no_main]

use libfuzzer_sys::fuzz_target;
use peerbed_model::{
    Source,
    asgraph::{Recipe, Relations, rate, share},
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = Source::from_relations("as-rel.txt", bytes.to_vec()) else { return };
    let Ok(relations) = Relations::parse(&source) else { return };
    let (edges, rate) = (share("25%").expect("a share"), rate("6mbit").expect("a rate"));
    let ases = 2 + u32::from(bytes[0]) % 8;
    let recipe = Recipe { ases, regions: 2, zipf: 1.0, edges, peers: 10, rate, seed: 1 };
    let Ok(imported) = recipe.import(&relations, &[]) else { return };
    assert_eq!(imported.yaml.matches("number: ").count(), ases as usize);
    assert!((0.0..=1.0).contains(&imported.distance));
});
