//! What providers and users decide: who uploads by whose installer, and the errors of their keys.

mod common;

use std::collections::BTreeMap;

use common::{EXPERIMENT, TOPOLOGY, only, peers, read};
use peerbed_contract::CachePolicy;
use peerbed_model::{Plan, Setting};
use proptest::prelude::*;

/// The plan of the example with its group of so many peers, more keys for it, more keys for the file, and a seed.
fn plan(seed: u64, count: u32, group: &str, more: &str) -> Plan {
    let text = EXPERIMENT.replace("seed: 1", &format!("seed: {seed}")).replace("10.1.0.0/28", "10.1.0.0/24");
    let text = text.replace("peers: 10, access: cable", &format!("peers: {count}, access: cable{group}"));
    let text = text.replace("arms:", &format!("{more}\narms:"));
    let topology = TOPOLOGY.replace("10.1.0.0/28", "10.1.0.0/16");
    let read = read(text.as_bytes(), topology.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    read.plan("hybrid", 0, None).unwrap()
}

fn wrong(group: &str, more: &str) -> String {
    let text = EXPERIMENT.replace("access: cable,", &format!("access: cable, {group},"));
    let text = text.replace("arms:", &format!("{more}\narms:"));
    only(&read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_err())
}

/// Who uploads.
fn uploaders(plan: &Plan) -> BTreeMap<String, bool> {
    peers(plan).map(|(name, peer)| (name.to_owned(), peer.uploads.enabled)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn an_installers_default_holds_but_for_those_who_switched(seed in 0u64..1 << 53, count in 6u32..40, switched in 0u32..=100) {
        let group = format!(", installer: A, switched: {switched}%");
        let on = plan(seed, count, &group, "providers: {A: {uploads: on}}");
        let off = plan(seed, count, &group, "providers: {A: {uploads: off}}");
        let changed = (f64::from(count) * f64::from(switched) / 100.0).round() as usize;
        prop_assert_eq!(uploaders(&on).values().filter(|uploads| !**uploads).count(), changed);
        // The same users switched, whatever they switched from.
        for (name, uploads) in uploaders(&on) {
            prop_assert_eq!(uploads, !uploaders(&off)[&name]);
        }
        let scripts = |plan: &Plan| peers(plan).map(|(_, peer)| peer.script.clone()).collect::<Vec<_>>();
        prop_assert_eq!(scripts(&on), scripts(&off));
    }
}

#[test]
fn a_providers_word_holds_for_its_objects_unless_they_say_otherwise() {
    let more = "providers: {A: {peers: forbidden}}";
    let objects = |plan: &Plan| peers(plan).next().unwrap().1.objects[0].peers_allowed;
    assert!(!objects(&plan(1, 10, "", more)));
    assert!(objects(&plan(1, 10, "", "providers: {B: {peers: forbidden}}")));
    let text =
        EXPERIMENT.replace("provider: A}", "provider: A, peers: allowed}").replace("arms:", &format!("{more}\narms:"));
    assert!(objects(&read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap().plan("hybrid", 0, None).unwrap()));
}

#[test]
fn what_providers_decided_and_the_cache_are_recorded() {
    let recorded = plan(1, 10, "", "providers: {A: {uploads: off}, B: }\npolicy: {cache: {time: 300s, size: 1GiB}}");
    let text = |key: &str| match &recorded.parameters[key] {
        Setting::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((text("providers.A.uploads"), text("providers.A.peers")), ("off".to_owned(), "allowed".to_owned()));
    assert_eq!(text("providers.B.uploads"), "on");
    assert_eq!((text("policy.cache.time"), text("policy.cache.size")), ("300s".to_owned(), "1GiB".to_owned()));
    let cache = peers(&recorded).next().unwrap().1.cache;
    assert_eq!(cache, CachePolicy { time_ns: Some(300_000_000_000), size_bytes: Some(1 << 30) });
    assert_eq!(plan(1, 10, "", "").parameters["policy.cache.size"], Setting::Text("unlimited".to_owned()));
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    insta::assert_snapshot!(wrong("uploads: 31%, installer: A", "providers: {A: {}}"), @r#"experiments/e.yaml:8:65 `uploads` and `installer` both say how many upload [with `installer` the provider's default holds and `switched` says how many users changed it; remove one]"#);
    insta::assert_snapshot!(wrong("switched: 2%", ""), @r#"experiments/e.yaml:8:66 `switched` has no meaning without `installer` [say with whose installer they came, or write `uploads: 31%`]"#);
    insta::assert_snapshot!(wrong("installer: B", "providers: {A: {}}"), @r#"experiments/e.yaml:8:67 no provider named `B` [there are: A]"#);
    insta::assert_snapshot!(wrong("installer: A", "providers: {A: {uploads: yes}}"), @r#"experiments/e.yaml:11:26 `yes` is not allowed here [write one of `on`, `off`]"#);
}
