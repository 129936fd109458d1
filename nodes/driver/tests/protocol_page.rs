//! The examples of `docs/protocol.md` are what the nodes say.

use std::path::Path;

use peerbed_contract::{Command, Event, Manifest, NodeConfig, SignedToken};
use peerbed_driver::codec::{self, Decoded, Decoder};

/// The blocks of the page that are marked with `kind`.
fn blocks(kind: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md");
    let page = std::fs::read_to_string(page).unwrap();
    let opening = format!("```{kind}\n");
    let blocks: Vec<_> = page
        .match_indices(&opening)
        .map(|(at, _)| page[at + opening.len()..].split("```").next().unwrap().to_owned())
        .collect();
    assert!(!blocks.is_empty(), "the page has examples of {kind}");
    blocks
}

fn lines(kind: &str) -> Vec<String> {
    blocks(kind).iter().flat_map(|block| block.lines()).map(str::to_owned).collect()
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    hexadecimal.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn commands() {
    for line in lines("commands") {
        assert_eq!(Command::parse(&line).unwrap().to_line(), line);
    }
}

#[test]
fn events() {
    for line in lines("events") {
        let event: Event = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(serde_json::to_string(&event).unwrap(), line);
    }
}

#[test]
fn configurations() {
    let blocks = blocks("config");
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        let role = serde_json::from_str::<NodeConfig>(&block).unwrap().role.role();
        peerbed_driver::parse(Path::new("protocol.md"), &block, role).unwrap();
    }
}

#[test]
fn the_keys_belong_together() {
    let public = peerbed_proto::token::public_key(&[9; 32]);
    let written = format!("{public:?}").replace(' ', "");
    assert_eq!(blocks("config").iter().filter(|block| block.contains(&written)).count(), 2, "{written}");
}

#[test]
fn manifests_and_tokens() {
    serde_json::from_str::<Manifest>(&blocks("manifest")[0]).unwrap().checked().unwrap();
    serde_json::from_str::<SignedToken>(&blocks("token")[0]).unwrap();
}

#[test]
fn frames() {
    for line in lines("frames") {
        let (frame, described) = line.split_once(" = ").unwrap();
        let frame = bytes(frame);
        let mut input = frame.as_slice();
        let decoded = Decoder::default().next(&mut input).unwrap();
        let Some(Decoded::Message(message)) = decoded else { panic!("{line}: {decoded:?}") };
        assert_eq!(format!("{message:?}"), described);
        let mut encoded = Vec::new();
        codec::encode(&message, &mut encoded).unwrap();
        assert_eq!(encoded, frame);
    }
}

#[test]
fn content() {
    let expected = bytes(&blocks("content")[0]);
    let mut generated = vec![0; expected.len()];
    peerbed_contract::content::fill(1_234_567, 0, &mut generated);
    assert_eq!(
        generated.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
        blocks("content")[0].trim()
    );
}
