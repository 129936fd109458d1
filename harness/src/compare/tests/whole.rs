//! The verdict on the whole: noise, validity, failures, several metrics, looks.

use super::{super::show, *};

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
fn what_must_be_the_same_is_no_test_among_others() {
    let planned = "downloads.planned";
    let metrics = vec![
        metric(SPEED, Kind::Distribution, Better::Higher, 0.05),
        metric(planned, Kind::Exact, Better::Neither, 0.0),
    ];
    for (head, word) in [(24.0, Word::NoChange), (25.0, Word::Regressed)] {
        let mut all = times(6, 0.85, 0.02);
        for pair in &mut all {
            for (side, count) in [(&mut pair.base, 24.0), (&mut pair.head, head)] {
                *side = run(&[(SPEED, side.figures.get(SPEED)), (planned, Some(count))]);
            }
        }
        let verdict = judged(&all, &design(metrics.clone(), 6), &quiet(&[SPEED]));
        let [speed, exact] = &verdict.findings[..] else { panic!("{verdict:#?}") };
        assert_eq!((speed.verdict, speed.p_adjusted), (Word::Regressed, Some(2.0 / 64.0)), "nothing to adjust for");
        assert_eq!(exact.verdict, word);
    }
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
fn the_same_pairs_give_the_same_file() {
    let text = || show::json(&judged(&times(24, 0.97, 0.1), &speed(24), &quiet(&[SPEED]))).expect("JSON");
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
        ended: None,
    };
    let design = Design { looks: vec![8, 16], ..speed(8) };
    let slower = judged(&times(8, 0.85, 0.02), &design, &quiet(&[SPEED]));
    let text = show::table(&slower, &planned(&design, quiet(&[SPEED])));
    assert!(text.starts_with("quick arm hybrid: . (0123456789-dirty) against main (0123456789)\n"), "{text}");
    assert!(text.contains("REGRESSED  speed_ranked_mbps.p50  −15 % [−16, −14]  "), "{text}");
    assert!(text.contains("    p_adj 0.008; A/A floor 0.8 %\n"), "{text}");
    let whole =
        "REGRESSED: something that decides is worse; 8 pairs (planned looks are after 8 and 16; error 2.94 % each,";
    assert!(text.replace('\n', " ").contains(whole), "{text}");

    let open = judged(&times(8, 1.0, 0.3), &design, &unknown());
    let text = show::table(&open, &planned(&design, unknown()));
    assert!(text.contains("can see ≥ ") && text.contains(" more pairs (~"), "{text}");
    assert!(text.contains("peerbed calibrate x --aa"), "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    let page = show::markdown(&open, &planned(&design, unknown()));
    assert!(
        page.starts_with("# quick: INCONCLUSIVE\n") && page.contains("| **INCONCLUSIVE** | `speed_ranked_mbps.p50` |"),
        "{page}"
    );
}
