//! Bounds, trends and claims, judged on runs whose speeds are given.

use std::sync::Arc;

use peerbed_model::{Basis, Coordinates};

use super::*;
use crate::{
    fixture::{self, TOLD, Told},
    report,
    results::{Ending, Summary, test_tree::identity},
};

#[test]
fn a_trend_goes_one_way_but_for_its_slack() {
    use Direction::{Falling, Flat, Rising};
    for (trend, values, slack, met) in [
        (Rising, &[1.0, 2.0, 3.0][..], 0.0, true),
        (Rising, &[1.0, 3.0, 2.9], 0.0, false),
        (Rising, &[1.0, 3.0, 2.9], 0.11, true),
        (Rising, &[1.0, 1.0], 0.0, false),
        // Every step is small enough, and yet it does not rise.
        (Rising, &[1.0, 1.05], 0.1, false),
        (Rising, &[1.0, 0.95, 0.9, 0.85], 0.1, false),
        (Falling, &[3.0, 2.0, 2.0, 1.0], 0.0, true),
        (Falling, &[3.0, 3.1, 1.0], 0.05, false),
        (Falling, &[1.0, 2.0], 0.0, false),
        (Flat, &[1.0, 1.1, 0.95], 0.2, true),
        (Flat, &[1.0, 1.1, 0.85], 0.2, false),
    ] {
        assert_eq!(goes(trend, values, slack), met, "{trend:?} {values:?} {slack}");
    }
}

#[test]
fn rank_correlation_is_that_of_the_textbook() {
    assert_eq!(kendall(&[1.0, 2.0, 3.0, 4.0]), Some(1.0));
    assert_eq!(kendall(&[4.0, 3.0, 2.0]), Some(-1.0));
    // 5 concordant and 1 discordant of 6 pairs.
    assert!(kendall(&[1.0, 3.0, 2.0, 4.0]).is_some_and(|tau| (tau - 4.0 / 6.0).abs() < 1e-12));
    // One tie: 5 / √(6 · 5).
    assert!(kendall(&[1.0, 2.0, 2.0, 3.0]).is_some_and(|tau| (tau - 5.0 / 30.0_f64.sqrt()).abs() < 1e-12));
    assert_eq!((kendall(&[1.0, 1.0]), kendall(&[1.0]), kendall(&[])), (None, None, None));
}

const OVER: &str = "policy.x.y";

fn trend(trend: Direction, slack: Slack) -> Trend {
    Trend { metric: "speed_mbps.p50".into(), over: OVER.into(), trend, slack }
}

fn claim(claim: &str, basis: Basis, trends: Vec<Trend>) -> Claim {
    let source = (basis != Basis::Ours).then(|| "Figure 6".to_owned());
    let says = Some("Rises | then flattens.".to_owned());
    Claim { claim: claim.into(), source, says, basis, untestable: None, expect: Vec::new(), trends, arms: Vec::new() }
}

/// A run of a sweep: the arm that it comes from, where it is, and its speed in Mbit/s; without a speed it is invalid.
fn run(base: &str, at: u32, speed: Option<u64>, expect: impl FnOnce(&mut Plan)) -> RunOutcome {
    let mut plan = fixture::plan(&format!("{base}+y={at}"), 0);
    plan.base = Some(base.into());
    plan.matrix = Coordinates(vec![(OVER.into(), at.to_string())]);
    expect(&mut plan);
    let active_ms = 8_000 / speed.unwrap_or(1);
    let told = [Told { sources: &[("edge-0", 1_000_000)], active_ms, answer: None, ..TOLD[0].clone() }];
    let mut record = fixture::record_of(plan, &told);
    if speed.is_none() {
        record.faults.push("a fault".into());
    }
    RunOutcome::of(record)
}

fn summary(outcomes: &[RunOutcome]) -> Summary {
    let plans: Vec<Arc<Plan>> = outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect();
    Summary::of(&plans, outcomes, &Ending::Complete, &identity(), jiff::Timestamp::UNIX_EPOCH)
}

fn sweep(base: &str, speeds: &[Option<u64>], expect: impl Fn(&mut Plan)) -> Vec<RunOutcome> {
    speeds.iter().zip(0..).map(|(speed, at)| run(base, at, *speed, &expect)).collect()
}

#[test]
fn each_series_of_a_matrix_is_judged_by_its_medians() {
    let rising = |plan: &mut Plan| plan.trends = vec![trend(Direction::Rising, Slack::Value(0.0))];
    let mut outcomes = sweep("slow", &[Some(2), Some(1), Some(4)], rising);
    outcomes.extend(sweep("fast", &[Some(2), Some(4), Some(5)], rising));
    let results = summary(&outcomes).expectations;
    assert_eq!(
        results.iter().map(|result| (result.arm.as_str(), result.met)).collect::<Vec<_>>(),
        [("slow", Some(false)), ("fast", Some(true))]
    );
    assert_eq!(
        results[0].sentence(),
        "slow: speed_mbps.p50 is 2, 1, 4 at policy.x.y = 0, 1, 2; Kendall's τ 0.33, expected rising"
    );
    let json = serde_json::to_value(&results[1]).expect("JSON");
    assert_eq!(json["trend"]["points"][2], serde_json::json!({"arm": "fast+y=2", "at": "2", "value": 5.0}));
    assert_eq!((&json["value"], &json["trend"]["kendall_tau"]), (&3.0.into(), &1.0.into()));
    assert_eq!(serde_json::from_value::<ExpectationResult>(json).expect("read back"), results[1]);
}

#[test]
fn a_trend_with_an_invalid_arm_is_not_judged() {
    let rising = |plan: &mut Plan| plan.trends = vec![trend(Direction::Rising, Slack::Value(0.0))];
    let results = summary(&sweep("hybrid", &[Some(2), None], rising)).expectations;
    assert_eq!((results[0].met, results[0].because.as_deref()), (None, Some("hybrid+y=1 is INVALID")));
    let all = summary(&sweep("hybrid", &[None, Some(2), None, None], rising)).expectations;
    assert_eq!(all[0].because.as_deref(), Some("hybrid+y=0, hybrid+y=2 and hybrid+y=3 are INVALID"));
    let one = summary(&sweep("hybrid", &[Some(2)], rising)).expectations;
    assert_eq!((one[0].met, one[0].because.as_deref()), (None, Some("it is one arm, which goes nowhere")));
}

#[test]
fn a_share_as_slack_is_of_the_largest_value() {
    let flat = |share| move |plan: &mut Plan| plan.trends = vec![trend(Direction::Flat, Slack::OfLargest(share))];
    let met = |share| summary(&sweep("hybrid", &[Some(4), Some(5)], flat(share))).expectations[0].met;
    assert_eq!((met(0.19), met(0.21)), (Some(false), Some(true)));
}

#[test]
fn a_difference_is_to_another_arm() {
    let at_least = |by: f64| {
        move |plan: &mut Plan| {
            let bound = Bound { at_least: Some(by), at_most: None };
            let minus = Some("edge+y=0".to_owned());
            plan.expect = vec![Expectation { metric: "speed_mbps.p50".into(), bound, of: None, minus }];
        }
    };
    let judged = |by: f64| {
        let outcomes = [run("edge", 0, Some(4), |_| {}), run("hybrid", 0, Some(2), at_least(by))];
        summary(&outcomes).expectations.remove(0)
    };
    assert_eq!((judged(-2.0).met, judged(-1.5).met), (Some(true), Some(false)));
    assert_eq!(
        judged(-1.5).sentence(),
        "hybrid+y=0: speed_mbps.p50 is 2, expected at least 2.5 (1.5 less than that of edge+y=0)"
    );
    let neither = [run("edge", 0, None, |_| {}), run("hybrid", 0, None, at_least(0.0))];
    let neither = summary(&neither).expectations.remove(0);
    assert_eq!((neither.met, neither.because.as_deref()), (None, Some("hybrid+y=0 and edge+y=0 are INVALID")));
    let alone = summary(&[run("hybrid", 0, Some(2), at_least(0.0))]).expectations.remove(0);
    assert_eq!((alone.met, alone.because.as_deref()), (None, Some("arm edge+y=0 was not run")));
}

#[test]
fn claims_are_shown_or_say_why_not() {
    use Verdict::{NotJudged, NotShown, NotTestable, Shown};
    let all: Vec<String> = (0..3).map(|at| format!("hybrid+y={at}")).collect();
    let claims = |plan: &mut Plan| {
        let rising = trend(Direction::Rising, Slack::Value(0.0));
        let falling = trend(Direction::Falling, Slack::Value(0.0));
        plan.claims = vec![
            Claim { arms: all.clone(), ..claim("It rises.", Basis::Paper, vec![rising.clone()]) },
            Claim { arms: all.clone(), ..claim("It falls.", Basis::Recalled, vec![falling]) },
            Claim { untestable: Some("too small".into()), ..claim("It is large.", Basis::Recalled, Vec::new()) },
            Claim { arms: vec!["hybrid+y=9".into()], ..claim("It goes on.", Basis::Ours, vec![rising]) },
            claim("Nothing.", Basis::Ours, Vec::new()),
        ];
        plan.figures = vec!["sweep".into()];
    };
    let summary_of = |speeds: &[Option<u64>]| summary(&sweep("hybrid", speeds, claims));
    let good = summary_of(&[Some(2), Some(4), Some(5)]);
    let verdicts: Vec<Verdict> = good.claims.iter().map(|claim| claim.verdict).collect();
    assert_eq!(verdicts, [Shown, NotShown, NotTestable, NotJudged, NotJudged]);
    assert_eq!(good.claims[3].because.as_deref(), Some("arm hybrid+y=9 was not run"));
    assert!(!good.disappointed() && good.expectations.is_empty(), "a claim that is not shown is no failure");
    assert_eq!(good.figures, ["sweep"]);
    let invalid = summary_of(&[Some(2), None, Some(5)]);
    assert_eq!(
        (invalid.claims[0].verdict, invalid.claims[0].because.as_deref()),
        (NotJudged, Some("hybrid+y=1 is INVALID"))
    );
    let found = invalid.claims[0].found().join("; ");
    assert_eq!(found.matches("hybrid+y=1 is INVALID").count(), 1, "{found}");
    let json = serde_json::to_value(&good).expect("JSON");
    assert_eq!(json["claims"][1]["verdict"], "not_shown");
    assert_eq!(json["arms"]["hybrid+y=1"]["matrix"], serde_json::json!({"policy.x.y": "1"}));
    assert_eq!(json["arms"]["hybrid+y=1"]["base"], "hybrid");
    let after_the_table = |summary: &Summary| {
        let text = report::table(summary);
        text.lines()
            .filter(|line| line.starts_with("claims:") || line.starts_with("NOT SHOWN"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(after_the_table(&good), @"
    claims: 1 of 5 shown, 1 not shown, 1 not testable here, 2 not judged; the report has them
    NOT SHOWN It falls.
    ");
    assert_eq!(after_the_table(&summary(&sweep("hybrid", &[Some(2)], |_| {}))), "", "nothing is claimed");
    let markdown = report::markdown(&good);
    let table = markdown.split("## Claims").nth(1).expect("a section");
    insta::assert_snapshot!(table.trim(), @r"
    | Claim | Source | What it says | What we found | Verdict |
    |---|---|---|---|---|
    | It rises. | Figure 6 | Rises \| then flattens. | hybrid: speed_mbps.p50 is 2, 4, 5 at policy.x.y = 0, 1, 2; Kendall's τ 1.00, expected rising | shown |
    | It falls. | Figure 6 | Rises \| then flattens. (recalled, not checked) | hybrid: speed_mbps.p50 is 2, 4, 5 at policy.x.y = 0, 1, 2; Kendall's τ 1.00, expected falling | **not shown** |
    | It is large. | Figure 6 | Rises \| then flattens. (recalled, not checked) | too small | not testable here |
    | It goes on. | ours | Rises \| then flattens. | hybrid: speed_mbps.p50 is 2, 4, 5 at policy.x.y = 0, 1, 2; Kendall's τ 1.00, expected rising; arm hybrid+y=9 was not run | not judged |
    | Nothing. | ours | Rises \| then flattens. | nothing that was run is about it | not judged |
    ");
}
