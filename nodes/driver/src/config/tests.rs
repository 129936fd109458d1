//! What is refused in a configuration, and how the message reads.

use super::*;

const EDGE: &str = r#"{
  "name": "edge-0",
  "as_number": 64500,
  "region": "north",
  "address": "127.0.0.1",
  "seed": 7,
  "role": {"edge": {
    "port": 0,
    "objects": [
      {"id": "patch", "provider": "A", "size": 100, "piece_length": 16, "key": 1, "peers_allowed": true}
    ],
    "signing_key": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32],
    "token_lifetime_ns": 1000
  }}
}"#;

fn refusal(text: &str) -> String {
    parse(Path::new("node.json"), text, Role::Edge).unwrap_err().to_string()
}

#[test]
fn a_good_file_is_read() {
    let config = parse(Path::new("node.json"), EDGE, Role::Edge).unwrap();
    assert_eq!(config.name.as_str(), "edge-0");
}

#[test]
fn errors_name_the_file_the_line_and_the_key() {
    assert_eq!(
        refusal(&EDGE.replace("\"size\": 100", "\"size\": -1")),
        "node.json:10:49: `role.edge.objects[0].size`: invalid value: integer `-1`, expected u64"
    );
    assert_eq!(
        refusal(&EDGE.replace("\"size\": 100", "\"size\": 0")),
        "node.json:10: `role.edge.objects[0].size`: `patch` has no bytes"
    );
    assert_eq!(
        refusal(&EDGE.replace("\"piece_length\": 16", "\"piece_length\": 0")),
        "node.json:10: `role.edge.objects[0].piece_length`: `patch` cannot be cut into pieces of 0 bytes"
    );
    let unknown = refusal(&EDGE.replace("\"seed\": 7", "\"sead\": 7"));
    assert!(unknown.starts_with("node.json:6:") && unknown.contains("unknown field `sead`"), "{unknown}");
    let name = refusal(&EDGE.replace("\"edge-0\"", "\"edge 0\""));
    assert!(name.starts_with("node.json:2:") && name.contains("`name`: `edge 0` may only have"), "{name}");
    assert!(refusal("").starts_with("node.json:1:0: "));
    assert!(refusal(&format!("{EDGE} x")).contains("trailing"));
}

#[test]
fn the_role_must_fit_the_program() {
    let error = parse(Path::new("node.json"), EDGE, Role::Control).unwrap_err().to_string();
    assert_eq!(error, "node.json:7: `role`: this program is the control, the file is for the edge");
}

#[test]
fn a_missing_file_is_named() {
    let error = load(Path::new("/nowhere/node.json"), Role::Edge).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/node.json: "), "{error}");
}

#[test]
fn only_a_regular_file_of_some_size_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |path: &Path| load(path, Role::Edge).unwrap_err().to_string();
    for device in ["/dev/zero", "/dev/null", "/dev/urandom"] {
        assert_eq!(refused(Path::new(device)), format!("{device}: it is not a regular file"));
    }
    assert!(refused(directory.path()).ends_with(": it is not a regular file"));
    let pipe = directory.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert!(refused(&pipe).ends_with(": it is not a regular file"));
    // A hole: large without taking any space.
    let large = directory.path().join("large");
    std::fs::File::create(&large).unwrap().set_len(1 << 40).unwrap();
    assert!(refused(&large).ends_with(": it is too large: at most 67108864 bytes are read"));
    let link = directory.path().join("link");
    std::fs::write(directory.path().join("file"), EDGE).unwrap();
    std::os::unix::fs::symlink("file", &link).unwrap();
    assert!(load(&link, Role::Edge).is_ok());
}
