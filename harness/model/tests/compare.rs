//! What an experiment may say of comparing versions by it, and what is wrong with it where it cannot be meant.

mod common;

use common::{EXPERIMENT, TOPOLOGY, only, read};
use peerbed_model::{ComparedBy, ComparedMetric, Comparison, Preference};

fn with(compare: &str) -> Comparison {
    let text = format!("{EXPERIMENT}compare: {compare}\n");
    read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}")).comparison().clone()
}

fn wrong(compare: &str) -> String {
    let text = format!("{EXPERIMENT}compare: {compare}\n");
    only(&read(text.as_bytes(), TOPOLOGY.as_bytes()).expect_err(compare))
}

#[test]
fn an_experiment_says_how_it_is_compared() {
    let silent = read(EXPERIMENT.as_bytes(), TOPOLOGY.as_bytes()).unwrap().comparison().clone();
    assert_eq!((silent, with("{}")), (Comparison::default(), Comparison::default()));
    let read = with(
        "{arm: hybrid, pairs: [7, 20], metrics: [{metric: peer_efficiency, margin: 3%, better: neither}, \
         {metric: downloads.completed, kind: exact, margin: 0%, decides: false}]}",
    );
    let peers = ComparedMetric {
        metric: "peer_efficiency.bytes".to_owned(),
        kind: None,
        better: Some(Preference::Neither),
        margin: Some(0.03),
        gating: true,
    };
    let completed = ComparedMetric {
        metric: "downloads.completed".to_owned(),
        kind: Some(ComparedBy::Exact),
        better: None,
        margin: Some(0.0),
        gating: false,
    };
    assert_eq!(
        read,
        Comparison { arm: Some("hybrid".to_owned()), looks: vec![7, 20], metrics: vec![peers, completed] }
    );
}

#[test]
fn what_cannot_be_meant_is_refused_where_it_stands() {
    for (text, why) in [
        ("{arm: hibrid}", "no arm named `hibrid`, did you mean `hybrid`?"),
        ("{pairs: [16, 8]}", "each look is after more pairs than the one before"),
        ("{pairs: [5]}", "a whole number from 6 to 500 is expected"),
        ("{pairs: [6, 7, 8, 9, 10, 11]}", "numbers of pairs"),
        ("{metrics: [{metric: speed_mbps.p51}]}", "no metric named `speed_mbps.p51`, did you mean `speed_mbps.p50`?"),
        ("{metrics: [{margin: 5%}]}", "a compared metric needs the key `metric`"),
        (
            "{metrics: [{metric: pause_rate, margin: 0%}]}",
            "no number of runs shows that a metric did not change at all",
        ),
        ("{metrics: [{metric: pause_rate, margin: 5}]}", "is not a percentage"),
        ("{metrics: [{metric: pause_rate, better: up}]}", "`up`"),
        ("{metrics: [{metric: pause_rate}, {metric: pause_rate}]}", "`pause_rate` is compared once"),
        ("{metrics: [{metric: peer_efficiency}, {metric: peer_efficiency.bytes}]}", "is compared once"),
        ("{metrics: []}", "metrics"),
        ("{metric: pause_rate}", "`metrics`"),
    ] {
        let said = wrong(text);
        assert!(said.contains(why), "{text} lacks {why}: {said}");
    }
    let text = EXPERIMENT.replace("hybrid: {}", "hybrid: {compare.arm: hybrid}");
    let said = only(&read(text.as_bytes(), TOPOLOGY.as_bytes()).expect_err("an arm"));
    assert!(said.contains("a comparison names its arm itself"), "{said}");
}
