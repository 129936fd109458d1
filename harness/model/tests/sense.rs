//! What is well written and makes no sense beside what else is there, and what does.

mod common;

use common::{EXPERIMENT, TOPOLOGY, only, read};

#[test]
fn values_that_leave_one_another_without_meaning_are_noticed() {
    let found = [
        "policy: {waits: {back_off: 40s}}",
        "policy: {defences: {dead_after: 2s}}",
        "policy: {edge: {backstop: {fill: 60s}}}",
        "policy: {edge: {backstop: {tolerance: 20%}}}",
        "policy: {edge: {backstop: {step: 0%, tolerance: 0%}}}",
        "timeline: [{at: 60s, do: kill, node: control-0}]",
    ]
    .map(|more| {
        let text = EXPERIMENT.replace("arms:", &format!("{more}\narms:"));
        let experiment = read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
        only(experiment.warnings())
    });
    insta::assert_snapshot!(found.join("\n"), @r#"
    experiments/e.yaml:11:28 `back_off` is more than `back_off_most` [every wait after a failure is as long as `back_off_most` then]
    experiments/e.yaml:11:33 `stuck_after` is more than `dead_after` [a source is left before it can be stuck; `24h` switches a rule off]
    experiments/e.yaml:11:34 `fill` is more than `fill_most` [after its first step the edge fills for `fill_most` then]
    experiments/e.yaml:11:39 `tolerance` is not less than `step` [a step for which no peer stands in goes unnoticed then; `100%` says that it shall]
    experiments/e.yaml:11:34 with steps of 0% the edge never gives way [write `mode: first`, or a step]
    experiments/e.yaml:11:17 this is the moment at which the run ends: nothing comes of it [make `duration` longer, or this earlier]
    "#);
    for fine in ["{defences: {stuck_after: 24h}}", "{edge: {backstop: {step: 100%, tolerance: 100%}}}"] {
        let text = EXPERIMENT.replace("arms:", &format!("policy: {fine}\narms:"));
        let experiment = read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert_eq!(experiment.warnings().iter().count(), 0, "{fine}");
    }
}

#[test]
fn after_all_of_a_group_did_the_same_it_is_known_what_each_does() {
    let timelines = [
        "{at: 1s, do: kill, group: homes}, {at: 2s, do: restart, node: homes-1}, {at: 3s, do: freeze, node: homes-1}",
        "{at: 1s, do: kill, group: homes, share: 50%}, {at: 2s, do: restart, group: homes}, {at: 3s, do: kill, node: homes-1}",
        "{at: 1s, do: add, group: homes}, {at: 2s, do: kill, node: homes-1}, {at: 3s, do: kill, group: homes}",
    ];
    for timeline in timelines {
        let text = EXPERIMENT.replace("arms:", &format!("timeline: [{timeline}]\narms:"));
        // Nobody is there at the start where all are added.
        let text = text.replace("{burst: 4}", "{burst: 4, at: 1s}");
        read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    }
}

#[test]
fn an_arm_is_not_compared_with_itself() {
    let with = |expect: &str| EXPERIMENT.replace("arms:", &format!("expect: [{expect}]\narms:\n  other: {{}}"));
    let wrong = with("{arm: other, speed_mbps.p50: {at_least: 1, of: other}}");
    let wrong = read(wrong.as_bytes(), TOPOLOGY.as_bytes()).unwrap_err().to_string();
    assert!(wrong.contains("an arm cannot be compared with itself"), "{wrong}");
    let alone = EXPERIMENT.replace("arms:", "expect: [{speed_mbps.p50: {at_least: 2, of: hybrid}}]\narms:");
    let wrong = read(alone.as_bytes(), TOPOLOGY.as_bytes()).unwrap_err().to_string();
    assert!(wrong.contains("there is no arm to compare"), "{wrong}");
    let all = with("{speed_mbps.p50: {at_least: 2, of: other}}");
    let all = read(all.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let bounds = |arm| all.plan(arm, 0, None).unwrap().expect.len();
    assert_eq!((bounds("other"), bounds("hybrid")), (0, 1));
}
