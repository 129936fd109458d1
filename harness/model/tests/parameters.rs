//! `docs/parameters.md`: every parameter of the policy, its default, and the arm that varies it.

#![expect(clippy::disallowed_methods, reason = "tests read the documentation")]

mod common;

use std::{collections::BTreeMap, fs};

use common::{EXPERIMENT, TOPOLOGY, read, resolve, root};
use peerbed_model::Setting;

fn shown(setting: &Setting) -> String {
    match setting {
        Setting::Flag(flag) => flag.to_string(),
        Setting::Number(number) => number.to_string(),
        Setting::Text(text) => text.clone(),
    }
}

/// The rows of the page: the cells behind each key.
fn rows() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(root().join("docs/parameters.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `")).map(|line| {
        let mut cells = line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned());
        let key = format!("policy.{}", cells.next().unwrap().trim_matches('`'));
        (key, cells.collect())
    });
    rows.collect()
}

#[test]
fn the_page_has_every_parameter_with_its_default() {
    let plan = read(EXPERIMENT.as_bytes(), TOPOLOGY.as_bytes()).unwrap().plan("hybrid", 0, None).unwrap();
    let recorded = plan.parameters.iter().filter(|(key, _)| key.starts_with("policy."));
    let recorded: BTreeMap<&str, String> = recorded.map(|(key, value)| (key.as_str(), shown(value))).collect();
    let rows = rows();
    let documented: Vec<&str> = rows.keys().map(String::as_str).collect();
    assert_eq!(documented, recorded.keys().copied().collect::<Vec<_>>());
    for (key, cells) in &rows {
        let default = cells[0].trim_matches('`');
        assert_eq!(default, recorded[key.as_str()], "{key}");
    }
}

#[test]
fn the_arm_that_is_named_varies_the_parameter() {
    let mut without = Vec::new();
    for (key, cells) in rows() {
        let place = &cells[2];
        if let Some(reason) = place.strip_prefix("none: ") {
            assert!(reason.len() > 20 || reason == "as above", "{key}: {reason}");
            without.push(key);
            continue;
        }
        let names: Vec<&str> = place.split('`').filter(|part| !part.trim_matches([':', ' ']).is_empty()).collect();
        let [name, arm] = names[..] else { panic!("{key}: `{place}` is no experiment and its arm") };
        let experiment = resolve(name);
        let value = |arm: &str| experiment.plan(arm, 0, None).unwrap().parameters[&key].clone();
        let own = value(arm);
        assert!(experiment.arms().any(|other| value(other) != own), "{key}: {name} has it the same in every arm");
    }
    // Rules that no experiment shows are few, and known.
    assert_eq!(without.len(), 8, "{without:?}");
}
