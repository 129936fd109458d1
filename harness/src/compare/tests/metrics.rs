//! The verdict on each metric, by what it is.

use super::*;

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
fn only_nothing_counts_as_a_part_of_the_largest() {
    let figure = "bytes.wasted";
    let wasted = design(vec![metric(figure, Kind::Count, Better::Lower, 0.25)], 16);
    // Fifteen rise ninety-fold, beside one pair with far more on both sides.
    let rise = pairs(figure, (0..16).map(|place| if place < 15 { (1e4, 9e5) } else { (1e8, 1e8) }));
    let found = judged(&rise, &wasted, &quiet(&[figure]));
    assert_eq!(only(&found).verdict, Word::Regressed, "{found:#?}");
    // From nothing to less than a hundredth of the largest.
    let some = pairs(figure, (0..16).map(|place| if place < 15 { (0.0, 9e5) } else { (1e8, 1e8) }));
    let found = judged(&some, &wasted, &quiet(&[figure]));
    assert_eq!(only(&found).verdict, Word::Regressed, "{found:#?}");
}

#[test]
fn test_and_interval_must_agree_on_the_direction() {
    let figure = "peer_efficiency.bytes";
    let ratio = design(vec![metric(figure, Kind::Ratio, Better::Higher, 0.01)], 16);
    let mut all = pairs(figure, (0..16).map(|place| if place < 6 { (0.5, 0.45) } else { (0.3, 0.5) }));
    for (place, pair) in all.iter_mut().enumerate() {
        let bytes = if place < 6 { 1e5 } else { 10.0 };
        for run in [&mut pair.base, &mut pair.head] {
            let value = run.figures.get(figure).expect("a value");
            run.totals.insert(figure, (value * bytes, bytes));
        }
    }
    let verdict = judged(&all, &ratio, &quiet(&[figure]));
    let found = only(&verdict);
    // Most pairs rise, and the sums fall by a tenth.
    assert!(found.effect.is_some_and(|effect| effect.high < 0.0) && found.p.is_some_and(|p| p < 0.05), "{found:#?}");
    assert_eq!(found.verdict, Word::Inconclusive, "{found:#?}");
}

#[test]
fn what_could_have_been_seen_of_rare_events_is_by_their_number() {
    let rates = design(vec![metric("failure_rate", Kind::Proportion, Better::Lower, 0.02)], 16);
    let rare = (0..16).map(|place| (0.0, if place == 0 { 1.0 / 24.0 } else { 0.0 }));
    let verdict = judged(&pairs("failure_rate", rare), &rates, &noisy(&["failure_rate"], Scale::Points, 0.001));
    // Six runs of one side have a p of 2 / 2⁶: of 16 about 48 % must have any to have so many in four of five comparisons.
    let sees = only(&verdict).sees.expect("it can be seen") * 24.0;
    assert!((0.44..0.52).contains(&sees), "{sees}");
}

#[test]
fn what_is_defined_in_few_pairs_is_not_the_same() {
    let exact = design(vec![metric("downloads.planned", Kind::Exact, Better::Neither, 0.0)], 6);
    let mut all = pairs("downloads.planned", [(24.0, 24.0); 6]);
    all.iter_mut().take(4).for_each(|pair| pair.head = run(&[("downloads.planned", None)]));
    let verdict = judged(&all, &exact, &quiet(&[]));
    assert_eq!((only(&verdict).verdict, verdict.outcome), (Word::Inconclusive, Outcome::Inconclusive));
    assert_eq!(only(&verdict).note.as_deref(), Some("it is defined in 2 of 6 pairs"));
}
