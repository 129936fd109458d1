//! What providers and users decide: who uploads by whose installer, and the errors of their keys.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{EXPERIMENT, TOPOLOGY, only, peers, read};
use peerbed_contract::{CachePolicy, Courtesy, Habit, HabitAct, PeerConfig};
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

/// All users, sessions that begin and end, and copies of installations.
const GROUP: &str = ", toggles: 0.05/s, busy: {on: 3s, off: 9s}, sessions: {online: 8s, offline: 4s, shape: 0.7}, \
                     clones: 3, rollback: 50%";

fn moments(peer: &PeerConfig, wanted: fn(HabitAct) -> bool) -> impl Iterator<Item = &Habit> {
    peer.habits.iter().filter(move |habit| wanted(habit.act))
}

fn is_presence(act: HabitAct) -> bool {
    matches!(act, HabitAct::Offline { .. } | HabitAct::Online { .. })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn habits_alternate_in_order_and_downloads_begin_when_somebody_is_there(seed in 0u64..1 << 53, count in 6u32..40) {
        let plan = plan(seed, count, GROUP, "");
        let mut restored = 0;
        for (name, peer) in peers(&plan) {
            prop_assert!(peer.habits.windows(2).all(|two| two[0].at_ns <= two[1].at_ns), "{}", name);
            prop_assert!(peer.habits.iter().all(|habit| u128::from(habit.at_ns) < plan.duration.as_nanos()));
            let alternates = |acts: Vec<bool>, mut state: bool| {
                acts.into_iter().all(|act| std::mem::replace(&mut state, act) != act)
            };
            let switches = moments(peer, |act| matches!(act, HabitAct::UploadsOn | HabitAct::UploadsOff));
            prop_assert!(alternates(switches.map(|one| one.act == HabitAct::UploadsOn).collect(), peer.uploads.enabled));
            let uses = moments(peer, |act| matches!(act, HabitAct::LinkBusy | HabitAct::LinkIdle));
            prop_assert!(alternates(uses.map(|one| one.act == HabitAct::LinkBusy).collect(), false));
            let there = moments(peer, is_presence).map(|one| matches!(one.act, HabitAct::Online { .. })).collect();
            prop_assert!(alternates(there, true));
            let back: Vec<bool> =
                peer.habits.iter().filter_map(|habit| match habit.act {
                    HabitAct::Online { restored } => Some(restored),
                    _ => None,
                }).collect();
            prop_assert!(back.iter().skip(1).all(|restored| !restored));
            restored += usize::from(back.first() == Some(&true));
            for step in &peer.script {
                let last = moments(peer, is_presence).take_while(|habit| habit.at_ns <= step.at_ns).last();
                prop_assert!(last.is_none_or(|habit| matches!(habit.act, HabitAct::Online { .. })), "{}", name);
            }
        }
        prop_assert!(restored <= (count / 2 + count % 2) as usize);
        let numbers: Vec<u32> = peers(&plan).flat_map(|(_, peer)| &peer.script).map(|step| step.download).collect();
        let every: Vec<u32> = (0..numbers.len() as u32).collect();
        prop_assert_eq!(numbers.iter().copied().collect::<BTreeSet<_>>(), every.into_iter().collect());
    }

    #[test]
    fn copies_of_an_installation_share_what_it_had_and_nothing_else(seed in 0u64..1 << 53, count in 6u32..40, clones in 1usize..5) {
        let copied = plan(seed, count, &format!(", clones: {clones}"), "");
        let single = plan(seed, count, "", "");
        for (index, ((_, peer), (_, alone))) in peers(&copied).zip(peers(&single)).enumerate() {
            let original = peers(&single).nth(index - index % clones).unwrap().1;
            prop_assert_eq!(peer.guid, original.guid);
            prop_assert_eq!(peer.secondary.len(), usize::from(clones > 1));
            prop_assert_eq!((&peer.script, &peer.holds), (&alone.script, &alone.holds));
        }
        let chains: BTreeSet<_> = peers(&copied).map(|(_, peer)| (*peer.guid.as_bytes(), peer.secondary.clone())).collect();
        prop_assert_eq!(chains.len(), (count as usize).div_ceil(clones));
    }

    #[test]
    fn other_habits_change_nothing_else(seed in 0u64..1 << 53, count in 6u32..40) {
        let with = plan(seed, count, ", toggles: 0.05/s, busy: {on: 3s, off: 9s}", "");
        let without = plan(seed, count, "", "");
        for ((_, one), (_, other)) in peers(&with).zip(peers(&without)) {
            let quiet = PeerConfig { habits: Vec::new(), ..one.clone() };
            prop_assert_eq!(&quiet, other);
        }
    }
}

#[test]
fn lengths_of_sessions_have_their_means_whatever_the_shape() {
    for shape in ["0.5", "1", "3"] {
        let group = format!(", sessions: {{online: 300ms, offline: 150ms, shape: {shape}}}");
        let plan = plan(7, 200, &group, "");
        let (mut online, mut offline) = (Vec::new(), Vec::new());
        for (_, peer) in peers(&plan) {
            let mut last = 0;
            for habit in moments(peer, is_presence) {
                let length = (habit.at_ns - last) as f64 / 1e9;
                if matches!(habit.act, HabitAct::Offline { .. }) {
                    online.push(length);
                } else {
                    offline.push(length);
                }
                last = habit.at_ns;
            }
        }
        let mean = |list: &[f64]| list.iter().sum::<f64>() / list.len() as f64;
        let deviation = |list: &[f64]| {
            (list.iter().map(|one| (one - mean(list)).powi(2)).sum::<f64>() / list.len() as f64).sqrt() / mean(list)
        };
        assert!(
            (mean(&online) - 0.3).abs() < 0.01 && (mean(&offline) - 0.15).abs() < 0.005,
            "{shape}: {}",
            mean(&online)
        );
        // Of Weibull's distribution: the square root of Γ(1 + 2/k) / Γ(1 + 1/k)² − 1.
        let expected = match shape {
            "0.5" => 5.0_f64.sqrt(),
            "1" => 1.0,
            _ => 0.3634,
        };
        assert!((deviation(&online) / expected - 1.0).abs() < 0.05, "{shape}: {}", deviation(&online));
    }
}

#[test]
fn downloads_come_and_go_with_the_hours() {
    let times = |arrivals: &str| -> Vec<f64> {
        let text = EXPERIMENT
            .replace("{burst: 4}", arrivals)
            .replace("peers: 10", "peers: 2000")
            .replace("patch: 2", "patch: 0");
        let topology = TOPOLOGY.replace("10.1.0.0/28", "10.1.0.0/16");
        let plan = read(text.as_bytes(), topology.as_bytes()).unwrap().plan("hybrid", 0, None).unwrap();
        let mut times: Vec<f64> =
            peers(&plan).flat_map(|(_, peer)| &peer.script).map(|step| step.at_ns as f64 / 1e9).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    // Two days of 30 s: the quarter around the trough against the quarter around the peak.
    let day = times("{poisson: 20/s, daily: {period: 30s, trough: 20%}}");
    let quarter = |middle: f64| {
        day.iter()
            .filter(|at| ((*at - middle).rem_euclid(30.0) < 3.75) || ((middle - *at).rem_euclid(30.0) < 3.75))
            .count()
    };
    let (a, side) = (2.0 / 3.0, (std::f64::consts::PI / 4.0).sin() / (std::f64::consts::PI / 4.0));
    let expected = (1.0 - a * side) / (1.0 + a * side);
    let found = quarter(0.0) as f64 / quarter(15.0) as f64;
    assert!((found - expected).abs() < 0.08, "{found} {expected}");
    assert!((day.len() as f64 - 1200.0).abs() < 3.0 * 1200.0_f64.sqrt(), "{}", day.len());
    // Without a trough it is the same process as without a day.
    assert_eq!(times("{poisson: 20/s, daily: {period: 30s, trough: 100%}}"), times("{poisson: 20/s}"));
}

#[test]
fn what_is_left_of_the_rate_is_a_share_of_the_cap_or_of_the_uplink() {
    let courtesy = |uploads: &str| {
        let plan = plan(1, 10, "", &format!("policy: {{uploads: {{{uploads}}}}}"));
        peers(&plan).next().unwrap().1.courtesy
    };
    assert_eq!(courtesy(""), Courtesy::default());
    let given = courtesy("rate: 2mbit, while_busy: 10%, while_downloading: 50%, back_off: 0s");
    let expected = Courtesy { busy_rate_bps: Some(200_000), downloading_rate_bps: Some(1_000_000), back_off_ns: 0 };
    assert_eq!(given, expected);
    assert_eq!(courtesy("rate: unlimited, while_busy: 10%").busy_rate_bps, Some(500_000), "of an uplink of 5 Mbit/s");
    assert_eq!(courtesy("while_busy: 100%").busy_rate_bps, None);
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
    insta::assert_snapshot!(wrong("rollback: 50%", ""), @r#"experiments/e.yaml:8:66 `rollback` has no meaning without `sessions` [an older image of the disk is found at the start of a session; say when they are]"#);
    insta::assert_snapshot!(wrong("sessions: {online: 20s}", ""), @r#"experiments/e.yaml:8:66 a pattern of sessions needs the key `offline` [`offline`: How long a machine is away, on average.]"#);
    insta::assert_snapshot!(wrong("busy: {on: 0s, off: 1s}", ""), @r#"experiments/e.yaml:8:67 0s is out of range [from 100ms to 24h is allowed]"#);
    insta::assert_snapshot!(wrong("toggles: 900/s", ""), @r#"experiments/e.yaml:8:3 about 540000 acts of users and machines in 60s are more than one run can have [about 500000 are allowed, over all groups; make `toggles` rarer, or the periods of `busy` and `sessions` longer]"#);
    insta::assert_snapshot!(wrong("installer: A", "providers: {A: {uploads: yes}}"), @r#"experiments/e.yaml:11:26 `yes` is not allowed here [write one of `on`, `off`]"#);
}
