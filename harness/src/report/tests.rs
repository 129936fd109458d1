//! What readers see of two arms of which one cannot be believed.

use std::sync::Arc;

use peerbed_model::{Bound, Expectation, Plan};

use super::*;
use crate::{
    fixture::{self, TOLD, Told},
    results::{Ending, RunOutcome, test_tree::identity},
};

pub(super) fn expect(metric: &str, at_least: Option<f64>, at_most: Option<f64>) -> Expectation {
    Expectation { metric: metric.into(), bound: Bound { at_least, at_most }, of: None, minus: None }
}

/// A valid arm with an unmet expectation and, if asked for, an invalid one.
pub(super) fn outcomes(with_invalid: bool) -> (Vec<Arc<Plan>>, Vec<RunOutcome>) {
    let told = [Told { sources: &[("edge-0", 1_000_000)], answer: None, ..TOLD[0].clone() }];
    let mut plan = fixture::plan("edge-only", 0);
    plan.expect = vec![
        expect("peer_efficiency", None, Some(0.0)),
        expect("speed_mbps.p50", Some(5.0), None),
        expect("copies_registered.p50", Some(1.0), Some(9.0)),
    ];
    let mut records = vec![fixture::record_of(plan, &told)];
    if with_invalid {
        let mut plan = fixture::plan("hybrid", 0);
        plan.expect = vec![expect("peer_efficiency.bytes", Some(0.5), None)];
        let mut damaged = fixture::record_of(plan, &TOLD);
        damaged.faults.push("the link one~two could not be changed".into());
        damaged.samples.last_mut().expect("samples").health.overruns = 2;
        records.push(damaged);
    }
    let outcomes: Vec<RunOutcome> = records.into_iter().map(RunOutcome::of).collect();
    (outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect(), outcomes)
}

fn summary(plans: &[Arc<Plan>], outcomes: &[RunOutcome]) -> Summary {
    Summary::of(plans, outcomes, &Ending::Complete, &identity(), jiff::Timestamp::UNIX_EPOCH)
}

#[test]
fn the_table_fits_and_says_what_is_wrong() {
    let (plans, outcomes) = outcomes(true);
    let text = table(&summary(&plans, &outcomes));
    insta::assert_snapshot!(text, @r"
    ┌───────────────────────────┬───────────┬──────────────────┐
    │                           ┆ edge-only ┆ hybrid (INVALID) │
    ╞═══════════════════════════╪═══════════╪══════════════════╡
    │ validity                  ┆     valid ┆          INVALID │
    │ completed / started       ┆     1 / 1 ┆          [2 / 4] │
    │   paused for good         ┆         0 ┆              [1] │
    │   failed                  ┆         0 ┆              [1] │
    │ speed p10 (Mbit/s)        ┆      4.00 ┆           [2.20] │
    │ speed p50 (Mbit/s)        ┆      4.00 ┆           [3.00] │
    │ speed p90 (Mbit/s)        ┆      4.00 ┆           [3.80] │
    │   p10, unfinished as 0    ┆      4.00 ┆          [0.400] │
    │   p50, unfinished as 0    ┆      4.00 ┆           [2.00] │
    │ pause rate                ┆     0.0 % ┆         [50.0 %] │
    │ peer efficiency (bytes)   ┆     0.0 % ┆         [64.3 %] │
    │ peer efficiency (mean)    ┆     0.0 % ┆         [45.0 %] │
    │ bytes from edges          ┆   1.00 MB ┆         [750 kB] │
    │ bytes from peers          ┆       0 B ┆        [1.35 MB] │
    │ bytes wasted              ┆       0 B ┆        [5.00 kB] │
    │ cross-AS peer bytes       ┆       0 B ┆         [750 kB] │
    │ intra-AS peer bytes       ┆       0 B ┆         [600 kB] │
    │ edge peak egress (Mbit/s) ┆      8.40 ┆           [6.34] │
    └───────────────────────────┴───────────┴──────────────────┘
    INVALID hybrid: the link one~two could not be changed
    INVALID hybrid: 2 packets were lost between the kernel and the link engine, which no link was asked to lose
    UNMET edge-only: speed_mbps.p50 is 4, expected at least 5
    UNMET edge-only: copies_registered.p50 is undefined, expected at least 1 and at most 9
    ");
    assert!(text.lines().filter(|line| line.contains('│')).all(|line| line.chars().count() <= 80));
}

#[test]
fn the_summary_in_markdown() {
    let (plans, outcomes) = outcomes(true);
    insta::assert_snapshot!(markdown(&summary(&plans, &outcomes)), @r"
    # small — INVALID

    Does it work?

    Begun 1970-01-01 00:00:00 UTC, commit `0123456789abcdef0123456789abcdef01234567`, with uncommitted changes, runtime `netns`, link engine `wire`.

    |                           | edge-only | hybrid (INVALID) |
    |---------------------------|-----------|------------------|
    | validity                  |     valid |          INVALID |
    | completed / started       |     1 / 1 |          [2 / 4] |
    |   paused for good         |         0 |              [1] |
    |   failed                  |         0 |              [1] |
    | speed p10 (Mbit/s)        |      4.00 |           [2.20] |
    | speed p50 (Mbit/s)        |      4.00 |           [3.00] |
    | speed p90 (Mbit/s)        |      4.00 |           [3.80] |
    |   p10, unfinished as 0    |      4.00 |          [0.400] |
    |   p50, unfinished as 0    |      4.00 |           [2.00] |
    | pause rate                |     0.0 % |         [50.0 %] |
    | peer efficiency (bytes)   |     0.0 % |         [64.3 %] |
    | peer efficiency (mean)    |     0.0 % |         [45.0 %] |
    | bytes from edges          |   1.00 MB |         [750 kB] |
    | bytes from peers          |       0 B |        [1.35 MB] |
    | bytes wasted              |       0 B |        [5.00 kB] |
    | cross-AS peer bytes       |       0 B |         [750 kB] |
    | intra-AS peer bytes       |       0 B |         [600 kB] |
    | edge peak egress (Mbit/s) |      8.40 |           [6.34] |

    ## INVALID

    Figures in brackets say nothing about the question.

    - **hybrid**: the link one~two could not be changed
    - **hybrid**: 2 packets were lost between the kernel and the link engine, which no link was asked to lose

    ## Expectations

    - met: edge-only: peer_efficiency is 0, expected at most 0
    - **UNMET**: edge-only: speed_mbps.p50 is 4, expected at least 5
    - **UNMET**: edge-only: copies_registered.p50 is undefined, expected at least 1 and at most 9
    - not judged: hybrid: peer_efficiency.bytes is 0.6429, expected at least 0.5 (hybrid is INVALID)
    ");
}

#[test]
fn of_several_runs_the_median_is_shown_and_each_failure_counted() {
    let run = |repeat: u32, active_ms: u64| {
        let told = [Told { active_ms, ..TOLD[0].clone() }];
        RunOutcome::of(fixture::record_of(fixture::plan("hybrid", repeat), &told))
    };
    let failing = RunOutcome::of(fixture::record("hybrid", 2));
    let outcomes = [run(0, 1000), run(1, 2000), failing];
    let mut plans: Vec<Arc<Plan>> = outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect();
    let all = summary(&plans, &outcomes);
    let arm = &all.arms[0];
    // 8, 4 and (2 and 4 →) 3 Mbit/s.
    assert_eq!(arm.figures.get("speed_mbps.p50"), Some(4.0));
    assert_eq!((arm.downloads_total.completed, arm.downloads_total.started, arm.downloads_total.failed), (4, 6, 1));
    assert_eq!(arm.runs_detail.iter().map(|run| run.seed).collect::<Vec<_>>(), [11, 12, 13]);
    assert!(all.valid && table(&all).contains("median over an arm's runs (3 planned)"));

    plans.push(Arc::new(fixture::plan("hybrid", 3)));
    plans.push(Arc::new(fixture::plan("other", 0)));
    let missing = summary(&plans, &outcomes);
    assert_eq!(missing.arms[0].invalid_reasons, ["only 3 of 4 planned runs were made"]);
    assert_eq!(missing.arms[1].invalid_reasons, ["only 0 of 1 planned runs were made"]);
    assert!(!missing.valid);
}

#[test]
fn one_invalid_run_makes_its_arm_invalid_and_is_named() {
    let mut bad = fixture::record("hybrid", 1);
    bad.interrupted = true;
    let outcomes = [RunOutcome::of(fixture::record("hybrid", 0)), RunOutcome::of(bad)];
    let plans: Vec<Arc<Plan>> = outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect();
    let all = summary(&plans, &outcomes);
    assert_eq!(all.arms[0].invalid_reasons, ["repeat 2: interrupted: the run was ended before its time"]);
    assert!(!all.valid && all.interrupted);
    assert_eq!(all.arms[0].runs_detail.iter().map(|run| run.valid).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn expectations_are_judged_of_valid_arms_only() {
    let (plans, outcomes) = outcomes(true);
    let all = summary(&plans, &outcomes);
    let judged: Vec<_> =
        all.expectations.iter().map(|result| (result.metric.as_str(), result.value, result.met)).collect();
    assert_eq!(
        judged,
        [
            ("peer_efficiency", Some(0.0), Some(true)),
            ("speed_mbps.p50", Some(4.0), Some(false)),
            ("copies_registered.p50", None, Some(false)),
            ("peer_efficiency.bytes", Some(1350.0 / 2100.0), None),
        ]
    );
    assert!(all.disappointed());
}

#[test]
fn downloads_are_expected_of_every_run_and_other_figures_of_the_median() {
    let run = |repeat: u32, told: &[Told]| {
        let mut plan = fixture::plan("hybrid", repeat);
        plan.expect = vec![
            expect("downloads.completed", Some(told.len() as f64), None),
            expect("peer_efficiency", Some(0.6), None),
        ];
        RunOutcome::of(fixture::record_of(plan, told))
    };
    let judged = |outcomes: &[RunOutcome]| -> Vec<_> {
        let plans: Vec<Arc<Plan>> = outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect();
        let results = summary(&plans, outcomes).expectations;
        results.iter().map(|result| (result.value, result.bound.at_least, result.met)).collect()
    };
    // Two of two, one of one, one of one.
    let good = [run(0, &TOLD[..2]), run(1, &TOLD[..1]), run(2, &TOLD[..1])];
    assert_eq!(judged(&good)[0], (Some(2.0), Some(2.0), Some(true)));
    // The failed one of the last run shows, though the median run has none.
    let [first, second, _] = good;
    let failing = [TOLD[0].clone(), TOLD[3].clone()];
    let bad = judged(&[first, second, run(2, &failing)]);
    assert_eq!(bad[0], (Some(1.0), Some(2.0), Some(false)));
    assert_eq!((bad[1].1, bad[1].2), (Some(0.6), Some(true)), "of 0.675, 0.6 and 0.6 the median is enough");
}

#[test]
fn every_metric_that_experiments_may_expect_is_a_figure() {
    let source = include_str!("../../model/src/shape/expect.rs");
    let metrics: Vec<&str> =
        source.split("        metric(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(metrics.len() > 10, "{metrics:?}");
    let unknown: Vec<_> = metrics.iter().filter(|metric| crate::metrics::full_key(metric).is_none()).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn many_arms_are_drawn_in_several_tables() {
    let names: Vec<String> = (0..9).map(|number| format!("variant-number-{number}")).collect();
    let plans: Vec<Arc<Plan>> = names.iter().map(|name| Arc::new(fixture::plan(name, 0))).collect();
    let text = table(&summary(&plans, &[]));
    assert!(text.lines().filter(|line| line.contains(['│', '─'])).all(|line| line.chars().count() <= 80), "{text}");
    assert!(names.iter().all(|name| text.contains(&format!("{name} (INVALID)"))), "{text}");
}

#[test]
fn an_overloaded_machine_comes_with_the_remedy() {
    let (plans, outcomes) = outcomes(true);
    let remedies = |outcomes: &[RunOutcome]| {
        complaints(&summary(&plans, outcomes)).into_iter().filter(|line| line.starts_with("REMEDY")).collect::<Vec<_>>()
    };
    assert_eq!(remedies(&outcomes), [""; 0], "it is invalid for other reasons");
    let mut record = outcomes[0].record().clone();
    record.samples.iter_mut().for_each(|sample| sample.health.late_p99_ns = Some(9_000_000));
    let overloaded = [RunOutcome::of(record), outcomes[1].clone()];
    let [remedy] = &remedies(&overloaded)[..] else { panic!("once: {:?}", remedies(&overloaded)) };
    assert!(remedy.contains("`peerbed capacity small`"), "{remedy}");
}

#[test]
fn an_arm_is_judged_by_another() {
    let run = |arm: &str, told: &[Told], least: f64| {
        let mut plan = fixture::plan(arm, 0);
        plan.expect =
            vec![Expectation { of: Some("edge-only".to_owned()), ..expect("speed_mbps.p50", Some(least), None) }];
        RunOutcome::of(fixture::record_of(plan, told))
    };
    // The medians are 3 Mbit/s of both downloads, and 4 of the first alone.
    let outcomes = [run("edge-only", &TOLD[..2], 1.0), run("hybrid", &TOLD[..1], 1.5)];
    let plans: Vec<Arc<Plan>> = outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect();
    let results = summary(&plans, &outcomes).expectations;
    assert_eq!(results.iter().map(|result| result.met).collect::<Vec<_>>(), [Some(true), Some(false)]);
    assert_eq!(results[1].bound.at_least, Some(4.5));
    assert_eq!(
        expected(&results[1]),
        "hybrid: speed_mbps.p50 is 4, expected at least 4.5 (1.5 times that of edge-only)"
    );
}
