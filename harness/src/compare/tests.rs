//! Verdicts on pairs that are made up.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::{
    design::{Design, Kind, MetricSpec},
    effect::Scale,
    floor::{Floor, Noise},
    judge::{Case, judge},
    pairs::{Pair, Run},
    planned::Planned,
    subject::Subject,
    verdict::{Finding, Outcome, Verdict, Word},
};
use crate::metrics::Better;

const SPEED: &str = "speed_ranked_mbps.p50";

/// A run with these figures, keys with dots.
fn run(figures: &[(&str, Option<f64>)]) -> Run {
    let mut tree = json!({});
    for (key, value) in figures {
        let value = value.map_or(Value::Null, |value| json!(value));
        match key.split_once('.') {
            Some((first, rest)) => tree[first][rest] = value,
            None => tree[*key] = value,
        }
    }
    Run {
        figures: serde_json::from_value(tree).expect("figures"),
        totals: BTreeMap::new(),
        speeds: Vec::new(),
        reasons: Vec::new(),
        deaths: Vec::new(),
        seconds: 15.0,
    }
}

fn metric(figure: &str, kind: Kind, better: Better, margin: f64) -> MetricSpec {
    MetricSpec { figure: figure.into(), kind, better, margin, gating: true }
}

fn design(metrics: Vec<MetricSpec>, pairs: u32) -> Design {
    Design { looks: vec![pairs], metrics, seed: 7, error: 0.05 }
}

fn speed(pairs: u32) -> Design {
    design(vec![metric(SPEED, Kind::Distribution, Better::Higher, 0.05)], pairs)
}

/// Noise that is known and small.
fn quiet(figures: &[&str]) -> Noise {
    noisy(figures, Scale::LogRatio, 0.01)
}

fn noisy(figures: &[&str], scale: Scale, spread: f64) -> Noise {
    let differences = |_| (0..12).map(|place| (scale, if place % 2 == 0 { spread } else { -spread })).collect();
    Noise::Known(Floor {
        pairs: 12,
        since: Timestamp::UNIX_EPOCH,
        differences: figures.iter().map(|figure| ((*figure).to_owned(), differences(figure))).collect(),
    })
}

fn unknown() -> Noise {
    Noise::Unknown("the noise of this machine is not known: `peerbed calibrate x --aa` measures it".into())
}

/// Pairs of one figure.
fn pairs(figure: &str, values: impl IntoIterator<Item = (f64, f64)>) -> Vec<Pair> {
    let pair = |(number, (base, head))| Pair {
        number,
        base: run(&[(figure, Some(base))]),
        head: run(&[(figure, Some(head))]),
    };
    (0..).zip(values).map(pair).collect()
}

/// So many pairs around 20 whose heads are so many times their bases, give or take `spread`.
fn times(count: u32, factor: f64, spread: f64) -> Vec<Pair> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut around = |middle: f64| middle * (1.0 + spread * (rng.random::<f64>() * 2.0 - 1.0));
    let values: Vec<(f64, f64)> = (0..count).map(|_| (around(20.0), around(20.0 * factor))).collect();
    pairs(SPEED, values)
}

fn judged(pairs: &[Pair], design: &Design, noise: &Noise) -> Verdict {
    judge(Case { pairs, design, same_programs: false, noise })
}

fn only(verdict: &Verdict) -> &Finding {
    let [finding] = &verdict.findings[..] else { panic!("one metric: {verdict:#?}") };
    finding
}

fn word(pairs: &[Pair], design: &Design, noise: &Noise) -> (Word, Outcome) {
    let verdict = judged(pairs, design, noise);
    (only(&verdict).verdict, verdict.outcome)
}

#[test]
fn the_direction_decides_between_worse_and_better() {
    let (slower, faster) = (times(12, 0.85, 0.02), times(12, 1.2, 0.02));
    for (better, first, second) in [
        (Better::Higher, (Word::Regressed, Outcome::Regressed), (Word::Improved, Outcome::Passed)),
        (Better::Lower, (Word::Improved, Outcome::Passed), (Word::Regressed, Outcome::Regressed)),
        (Better::Neither, (Word::Changed, Outcome::Passed), (Word::Changed, Outcome::Passed)),
    ] {
        let design = design(vec![metric(SPEED, Kind::Distribution, better, 0.05)], 12);
        let noise = quiet(&[SPEED]);
        assert_eq!((word(&slower, &design, &noise), word(&faster, &design, &noise)), (first, second), "{better:?}");
    }
}

#[test]
fn an_effect_is_told_with_its_interval() {
    let verdict = judged(&times(12, 0.85, 0.02), &speed(12), &quiet(&[SPEED]));
    let effect = only(&verdict).effect.expect("an effect");
    assert!(effect.low < -0.15 + 0.01 && effect.high > -0.15 - 0.01 && effect.low < effect.estimate, "{effect:?}");
    assert!((effect.confidence - 0.95).abs() < 1e-9 && effect.high < -0.12, "{effect:?}");
    assert_eq!(only(&verdict).p, Some(2.0 / 4096.0));
}

#[test]
fn what_is_detected_may_be_too_small_to_matter() {
    assert_eq!(word(&times(12, 0.98, 0.005), &speed(12), &quiet(&[SPEED])), (Word::ChangedSmall, Outcome::Passed));
    // The margin decides, not the noise.
    let narrow = design(vec![metric(SPEED, Kind::Distribution, Better::Higher, 0.01)], 12);
    assert_eq!(word(&times(12, 0.98, 0.005), &narrow, &noisy(&[SPEED], Scale::LogRatio, 0.001)).0, Word::Regressed);
}

#[test]
fn no_change_is_shown_or_left_open() {
    assert_eq!(word(&times(12, 1.0, 0.02), &speed(12), &quiet(&[SPEED])), (Word::NoChange, Outcome::Passed));
    let verdict = judged(&times(12, 1.0, 0.5), &speed(12), &quiet(&[SPEED]));
    let open = only(&verdict);
    assert_eq!((open.verdict, verdict.outcome), (Word::Inconclusive, Outcome::Inconclusive));
    let (sees, needs) = (open.sees.expect("a size"), open.needs.expect("a plan"));
    assert!(sees > 0.1, "{sees}");
    assert!(
        needs.to_detect.is_some_and(|pairs| pairs > 100) && needs.minutes.is_some_and(|minutes| minutes > 50.0),
        "{needs:?}"
    );
}

#[test]
fn without_the_noise_of_the_machine_nothing_is_decided() {
    let slower = judged(&times(12, 0.85, 0.02), &speed(12), &unknown());
    assert_eq!((only(&slower).verdict, slower.outcome), (Word::Inconclusive, Outcome::Inconclusive));
    assert!(only(&slower).note.as_ref().is_some_and(|note| note.contains("detected")), "{slower:#?}");
    assert!(slower.reasons.iter().any(|reason| reason.contains("peerbed calibrate")), "{slower:#?}");
    assert_eq!(word(&times(12, 1.0, 0.02), &speed(12), &unknown()), (Word::NoChange, Outcome::Inconclusive));
    // Noise on another scale says nothing of this one.
    assert_eq!(word(&times(12, 0.85, 0.02), &speed(12), &noisy(&[SPEED], Scale::Points, 0.01)).0, Word::Inconclusive);
}

#[test]
fn what_equal_programs_do_as_well_is_no_regression() {
    let loud = noisy(&[SPEED], Scale::LogRatio, 0.3);
    assert_eq!(word(&times(12, 0.85, 0.02), &speed(12), &loud), (Word::Inconclusive, Outcome::Inconclusive));
}

#[test]
fn equal_programs_that_differ_make_it_invalid() {
    let case = |pairs: &[Pair]| judge(Case { pairs, design: &speed(12), same_programs: true, noise: &unknown() });
    let differing = case(&times(12, 0.85, 0.02));
    assert_eq!((differing.outcome, only(&differing).verdict), (Outcome::Invalid, Word::Invalid));
    assert!(differing.reasons[0].contains("speed_ranked_mbps.p50"), "{differing:#?}");
    assert_eq!(case(&times(12, 1.0, 0.02)).outcome, Outcome::Passed, "its own noise is what is measured");
}

#[test]
fn runs_that_cannot_be_believed_do_not_count_and_many_spoil_it() {
    let with = |bad: usize, deaths: bool| {
        let mut pairs = times(16, 1.0, 0.02);
        for pair in pairs.iter_mut().take(bad) {
            pair.head = run(&[(SPEED, Some(1.0))]);
            pair.head.reasons.push("the machine was not up to it: late by 9 ms".into());
            if deaths {
                pair.head.deaths.push("peer-3 ended with code 101".into());
            }
        }
        judged(&pairs, &speed(16), &quiet(&[SPEED]))
    };
    let one = with(1, false);
    assert_eq!((one.outcome, one.pairs_used, one.pairs_made), (Outcome::Passed, 15, 16));
    assert!(one.reasons[0].contains("1 of 16 pairs"), "{one:#?}");
    let many = with(4, false);
    assert_eq!((many.outcome, only(&many).verdict), (Outcome::Invalid, Word::Invalid));
    let died = with(4, true);
    assert_eq!(died.outcome, Outcome::SubjectFailed);
    assert!(died.reasons[0].contains("pair 1, head: peer-3 ended with code 101"), "{died:#?}");
    let one_died = with(1, true);
    assert_eq!(one_died.outcome, Outcome::Inconclusive, "the others survived");
    assert!(one_died.reasons.iter().any(|reason| reason.contains("nodes of the head ended")), "{one_died:#?}");
}

#[test]
fn ties_and_zeros_are_no_difference() {
    assert_eq!(word(&times(12, 1.0, 0.0), &speed(12), &quiet(&[SPEED])), (Word::NoChange, Outcome::Passed));
    let rates = design(vec![metric("failure_rate", Kind::Proportion, Better::Lower, 0.02)], 12);
    let zero = judged(&pairs("failure_rate", [(0.0, 0.0); 12]), &rates, &noisy(&["failure_rate"], Scale::Points, 0.0));
    assert_eq!((only(&zero).verdict, only(&zero).p), (Word::NoChange, Some(1.0)));
    // 1 − 0.05^(1/12)
    assert!(only(&zero).note.as_ref().is_some_and(|note| note.contains("at most 22 % of runs")), "{zero:#?}");
    // Speeds of 0 have no logarithm, and are slower than anything.
    let stuck = pairs(SPEED, [(20.0, 0.0); 12]);
    assert_eq!(word(&stuck, &speed(12), &quiet(&[SPEED])).0, Word::Regressed);
    assert_eq!(word(&pairs(SPEED, [(0.0, 0.0); 12]), &speed(12), &quiet(&[SPEED])).0, Word::NoChange);
}

#[test]
fn differences_that_are_all_equal_have_an_interval_of_no_width() {
    for (factor, expected) in [(0.85, Word::Regressed), (1.2, Word::Improved), (0.98, Word::ChangedSmall)] {
        let verdict = judged(&times(12, factor, 0.0), &speed(12), &quiet(&[SPEED]));
        let found = only(&verdict);
        let effect = found.effect.expect("an effect");
        assert_eq!((found.verdict, found.p), (expected, Some(2.0 / 4096.0)), "{found:#?}");
        assert!((effect.low - (factor - 1.0)).abs() < 1e-6 && (effect.high - effect.low).abs() < 1e-6, "{effect:?}");
    }
    // As many the one way as the other, all of one size.
    let turns = (0..12).map(|place| if place % 2 == 0 { (20.0, 24.0) } else { (24.0, 20.0) });
    let verdict = judged(&pairs(SPEED, turns), &speed(12), &quiet(&[SPEED]));
    assert_eq!((only(&verdict).verdict, only(&verdict).p), (Word::Inconclusive, Some(1.0)), "{verdict:#?}");
}

#[test]
fn ratios_of_nothing_are_no_change_and_no_error() {
    let figure = "peer_efficiency.bytes";
    let design = design(vec![metric(figure, Kind::Ratio, Better::Higher, 0.05)], 12);
    let totals = |(base, head): ((f64, f64), (f64, f64))| {
        let mut all = pairs(figure, [(0.0, 0.0); 12]);
        for pair in &mut all {
            pair.base.totals.insert(figure, base);
            pair.head.totals.insert(figure, head);
        }
        judged(&all, &design, &quiet(&[figure]))
    };
    for sums in [((0.0, 1000.0), (0.0, 1000.0)), ((0.0, 0.0), (0.0, 0.0))] {
        let verdict = totals(sums);
        assert_eq!((only(&verdict).verdict, only(&verdict).p), (Word::NoChange, Some(1.0)), "{verdict:#?}");
        let effect = only(&verdict).effect.expect("an effect");
        assert!([effect.estimate, effect.low, effect.high].iter().all(|end| end.abs() < 1e-9), "{effect:?}");
    }
}

#[test]
fn an_arm_that_fails_in_some_pairs_is_not_passed_over() {
    // Two heads of twelve deliver nothing at all, the others are as fast.
    let mut some = times(12, 1.0, 0.01);
    for pair in some.iter_mut().take(2) {
        pair.head = run(&[(SPEED, Some(0.0))]);
    }
    assert_eq!(word(&some, &speed(12), &quiet(&[SPEED])), (Word::Inconclusive, Outcome::Inconclusive));
    // The base's own failures are not the head's.
    let died = |base: bool| {
        let mut pairs = times(16, 1.0, 0.01);
        let side = if base { &mut pairs[3].base } else { &mut pairs[3].head };
        side.reasons.push("peer-3 ended".into());
        side.deaths.push("peer-3 ended with code 101".into());
        judged(&pairs, &speed(16), &quiet(&[SPEED]))
    };
    assert_eq!((died(true).outcome, died(true).pairs_used), (Outcome::Passed, 15), "{:#?}", died(true));
    assert_eq!(died(false).outcome, Outcome::Inconclusive);
}

#[test]
fn a_figure_that_is_no_number_counts_as_undefined_and_costs_the_others_nothing() {
    let rate = "failure_rate";
    let both = design(
        vec![
            metric(SPEED, Kind::Distribution, Better::Higher, 0.05),
            metric(rate, Kind::Proportion, Better::Lower, 0.02),
        ],
        12,
    );
    for nothing in [None, Some(f64::NAN), Some(f64::INFINITY)] {
        let mut pairs = times(12, 0.85, 0.02);
        for pair in &mut pairs {
            for side in [&mut pair.base, &mut pair.head] {
                *side = run(&[(SPEED, side.figures.get(SPEED)), (rate, nothing)]);
            }
        }
        let verdict = judged(&pairs, &both, &quiet(&[SPEED]));
        let [speed, failures] = &verdict.findings[..] else { panic!("{verdict:#?}") };
        assert_eq!((speed.verdict, speed.p_adjusted), (Word::Regressed, speed.p), "one test is made, not two");
        assert_eq!((failures.verdict, failures.p, failures.pairs), (Word::Inconclusive, None, 0), "{nothing:?}");
        assert_eq!(failures.note.as_deref(), Some("it is defined in 0 of 12 pairs"));
        assert_eq!(verdict.outcome, Outcome::Regressed);
    }
}

#[test]
fn what_does_not_decide_fails_nothing_and_a_gain_makes_up_for_no_loss() {
    let with = |gating: bool, factor: f64| {
        let figure = "startup_ms.p50";
        let metrics = vec![
            MetricSpec { gating, ..metric(figure, Kind::Distribution, Better::Lower, 0.05) },
            metric(SPEED, Kind::Distribution, Better::Higher, 0.05),
        ];
        let mut pairs = times(12, factor, 0.02);
        for pair in &mut pairs {
            for side in [&mut pair.base, &mut pair.head] {
                let value = side.figures.get(SPEED);
                *side = run(&[(SPEED, value), (figure, value)]);
            }
        }
        let verdict = judged(&pairs, &design(metrics, 12), &quiet(&[SPEED, figure]));
        (verdict.findings[0].verdict, verdict.findings[1].verdict, verdict.outcome)
    };
    // Both rise: speeds are better, times until something comes are worse.
    assert_eq!(with(true, 1.2), (Word::Regressed, Word::Improved, Outcome::Regressed));
    assert_eq!(with(false, 1.2), (Word::Regressed, Word::Improved, Outcome::Passed));
    assert_eq!(with(true, 0.8), (Word::Improved, Word::Regressed, Outcome::Regressed));
}

#[test]
fn rare_events_are_compared_by_whether_a_run_has_any() {
    let rates = design(vec![metric("failure_rate", Kind::Proportion, Better::Lower, 0.02)], 12);
    let noise = noisy(&["failure_rate"], Scale::Points, 0.001);
    // Of 12 heads 8 have some, and no base: 2 / 2⁸.
    let some = (0..12).map(|place| (0.0, if place < 8 { 0.1 } else { 0.0 }));
    let verdict = judged(&pairs("failure_rate", some), &rates, &noise);
    assert_eq!((only(&verdict).p, only(&verdict).verdict), (Some(2.0 / 256.0), Word::Regressed));
}

#[test]
fn few_large_values_do_not_hide_many_small_ones() {
    let rates = design(vec![metric("failure_rate", Kind::Proportion, Better::Lower, 0.02)], 24);
    let noise = noisy(&["failure_rate"], Scale::Points, 0.0001);
    // Fourteen heads have some, and one base; that one has more than all of them.
    let mixed = (0..24).map(|place| match place {
        0..14 => (0.0, 0.04),
        14 => (0.8, 0.0),
        _ => (0.0, 0.0),
    });
    let verdict = judged(&pairs("failure_rate", mixed), &rates, &noise);
    assert!(
        only(&verdict).p.is_some_and(|p| p < 0.001) && only(&verdict).verdict == Word::Inconclusive,
        "{verdict:#?}"
    );
}

#[test]
fn the_noise_is_of_the_scale_on_which_differences_are() {
    // On the scale of odds 0.95 to 0.90 is far, as shares of the base it is 5 %.
    let figure = "peer_efficiency.bytes";
    let design = design(vec![metric(figure, Kind::Ratio, Better::Higher, 0.03)], 12);
    let near_one = pairs(figure, (0..12).map(|place| (0.95, 0.9 + 0.002 * f64::from(place % 3))));
    let found = judged(&near_one, &design, &noisy(&[figure], Scale::LogOdds, 0.2));
    assert_eq!(only(&found).verdict, Word::Regressed, "{found:#?}");
    assert!(
        only(&found).floor.is_some_and(|floor| floor < 0.02),
        "as a share of the base it cannot be much: {found:#?}"
    );
}

#[test]
fn what_is_undefined_is_not_judged() {
    let mut some = times(12, 0.85, 0.02);
    some[0].head = run(&[(SPEED, None)]);
    assert_eq!(word(&some, &speed(12), &quiet(&[SPEED])).0, Word::Regressed, "eleven are enough");
    some.iter_mut().take(4).for_each(|pair| pair.base = run(&[(SPEED, None)]));
    let verdict = judged(&some, &speed(12), &quiet(&[SPEED]));
    assert_eq!(only(&verdict).verdict, Word::Inconclusive);
    assert_eq!(only(&verdict).note.as_deref(), Some("it is defined in 8 of 12 pairs"));
}

#[test]
fn what_should_be_the_same_is_told_when_it_is_not() {
    let exact = MetricSpec { gating: false, ..metric("downloads.planned", Kind::Exact, Better::Neither, 0.0) };
    let exact = design(vec![exact], 6);
    let same = judged(&pairs("downloads.planned", [(24.0, 24.0); 6]), &exact, &unknown());
    assert_eq!(only(&same).verdict, Word::NoChange);
    let other = judged(&pairs("downloads.planned", [(24.0, 25.0); 6]), &exact, &unknown());
    assert_eq!(only(&other).verdict, Word::Changed);
    // Where it decides, that is what it decides.
    let decides = design(vec![metric("downloads.planned", Kind::Exact, Better::Neither, 0.0)], 6);
    let other = judged(&pairs("downloads.planned", [(24.0, 25.0); 6]), &decides, &quiet(&[]));
    assert_eq!((only(&other).verdict, other.outcome), (Word::Regressed, Outcome::Regressed));
}

#[test]
fn many_metrics_are_adjusted_for() {
    // One metric of seven is a little odd: 2 / 2⁶ alone would be enough.
    let mut metrics: Vec<MetricSpec> =
        ["pause_rate", "failure_rate", "stalled_rate", "offline_rate", "moved_rate", "pause_terminal_rate"]
            .iter()
            .map(|figure| metric(figure, Kind::Proportion, Better::Lower, 0.02))
            .collect();
    metrics.push(metric(SPEED, Kind::Distribution, Better::Higher, 0.05));
    let mut pairs = times(6, 0.85, 0.02);
    for pair in &mut pairs {
        for side in [&mut pair.base, &mut pair.head] {
            let speed = side.figures.get(SPEED);
            let mut all: Vec<(&str, Option<f64>)> =
                metrics.iter().map(|metric| (metric.figure.as_str(), Some(0.0))).collect();
            all.retain(|(figure, _)| *figure != SPEED);
            all.push((SPEED, speed));
            *side = run(&all);
        }
    }
    let verdict = judged(&pairs, &design(metrics, 6), &quiet(&[SPEED]));
    let found = verdict.findings.last().expect("findings");
    assert!(
        (found.p_adjusted.expect("p") - 7.0 * 2.0 / 64.0).abs() < 1e-9 && found.verdict == Word::Inconclusive,
        "{found:#?}"
    );
}

#[test]
fn an_end_between_looks_decides_nothing() {
    let design = Design { looks: vec![8, 16], ..speed(8) };
    let early = judged(&times(11, 0.85, 0.02), &design, &quiet(&[SPEED]));
    assert_eq!(early.outcome, Outcome::Inconclusive);
    assert!(early.reasons[0].contains("after 11 pairs; planned looks are after 8 and 16"), "{early:#?}");
    let none = judged(&[], &design, &quiet(&[SPEED]));
    assert_eq!((none.outcome, none.pairs_made), (Outcome::Inconclusive, 0));
    assert_eq!(Some(judged(&times(8, 0.85, 0.02), &design, &quiet(&[SPEED])).alpha), Some(0.0294));
}

#[test]
fn ratios_have_the_interval_of_the_pooled_ratio() {
    let figure = "peer_efficiency.bytes";
    let design = design(vec![metric(figure, Kind::Ratio, Better::Higher, 0.05)], 8);
    let mut all = pairs(figure, [(0.5, 0.6); 8]);
    for (place, pair) in all.iter_mut().enumerate() {
        let bytes = 1000.0 * (place + 1) as f64;
        pair.base.totals.insert(figure, (0.5 * bytes, bytes));
        pair.head.totals.insert(figure, (0.6 * bytes, bytes));
    }
    let verdict = judged(&all, &design, &quiet(&[figure]));
    let found = only(&verdict);
    assert_eq!(
        found.totals.map(|totals| (totals.base, totals.head)),
        Some(([18_000.0, 36_000.0], [21_600.0, 36_000.0]))
    );
    assert!(
        (found.effect.expect("an effect").estimate - 0.2).abs() < 1e-6 && found.verdict == Word::Improved,
        "{found:#?}"
    );
    // Near 1 the odds count: 0.98 to 0.96 is twice as much that is not there.
    let near = judged(&pairs(figure, [(0.98, 0.96); 8]), &design, &quiet(&[figure]));
    assert_eq!(only(&near).scale, Scale::LogOdds);
    assert!((only(&near).effect.expect("an effect").estimate - (0.96 / 0.98 - 1.0)).abs() < 1e-6);
}

#[test]
fn the_same_pairs_give_the_same_file() {
    let text = || super::show::json(&judged(&times(24, 0.97, 0.1), &speed(24), &quiet(&[SPEED]))).expect("JSON");
    assert_eq!(text(), text());
    assert!(text().contains("sign-flip-sampled"), "24 are too many for every assignment");
}

#[test]
fn people_read_what_was_found_and_what_could_have_been() {
    let subject = |name: &str| Subject {
        name: name.into(),
        commit: Some("0123456789abcdef".into()),
        tree: None,
        dirty: name == ".",
        rustc: None,
        programs: Vec::new(),
    };
    let planned = |design: &Design, noise: Noise| Planned {
        version: Planned::VERSION,
        experiment: "quick".into(),
        scale: None,
        arm: "hybrid".into(),
        head_arm: "hybrid".into(),
        base: subject("main"),
        head: subject("."),
        whole: false,
        same_programs: false,
        design: design.clone(),
        place: None,
        noise,
    };
    let design = Design { looks: vec![8, 16], ..speed(8) };
    let slower = judged(&times(8, 0.85, 0.02), &design, &quiet(&[SPEED]));
    let text = super::show::table(&slower, &planned(&design, quiet(&[SPEED])));
    assert!(text.starts_with("quick arm hybrid: . (0123456789-dirty) against main (0123456789)\n"), "{text}");
    assert!(text.contains("REGRESSED  speed_ranked_mbps.p50  −15 % [−16, −14]  "), "{text}");
    assert!(text.contains("    p_adj 0.008; A/A floor 0.8 %\n"), "{text}");
    let whole =
        "REGRESSED: something that decides is worse; 8 pairs (planned looks are after 8 and 16; error 2.94 % each,";
    assert!(text.replace('\n', " ").contains(whole), "{text}");

    let open = judged(&times(8, 1.0, 0.3), &design, &unknown());
    let text = super::show::table(&open, &planned(&design, unknown()));
    assert!(text.contains("can see ≥ ") && text.contains(" more pairs (~"), "{text}");
    assert!(text.contains("peerbed calibrate x --aa"), "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    let page = super::show::markdown(&open, &planned(&design, unknown()));
    assert!(
        page.starts_with("# quick: INCONCLUSIVE\n") && page.contains("| **INCONCLUSIVE** | `speed_ranked_mbps.p50` |"),
        "{page}"
    );
}
