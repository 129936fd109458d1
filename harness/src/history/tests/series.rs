//! Epochs, change points, and which nights count.

use super::*;

#[test]
fn a_step_is_found_within_its_range_and_names_the_commits() {
    for seed in 0..20 {
        let all = step(seed);
        let found = changes(&all);
        let [change] = &found[..] else { panic!("seed {seed}: {found:#?}") };
        let [before, first, after] = change.places;
        assert!(
            (8..12).contains(&before) && (12..16).contains(&after) && first.abs_diff(12) <= 1,
            "seed {seed}: {change:#?}"
        );
        assert!(change.before.abs() < 0.025 && (change.after + 0.08).abs() < 0.025, "{change:#?}");
        assert_eq!((change.worse, &*change.figure, change.gating), (Some(true), SPEED, true));
        let (good, bad) = (commit(before as u64), commit(after as u64));
        let options = "--experiment quick --arm hybrid";
        assert_eq!(change.compare, Some(format!("peerbed compare {good} {bad} {options}")));
        assert_eq!(change.bisect, Some(format!("peerbed bisect {good} {bad} {options} --metric {SPEED}")));
        assert_eq!(changes(&all), found, "the same history has the same changes");
    }
}

#[test]
fn of_flat_histories_one_in_a_hundred_changes() {
    let changed = (0..300).filter(|seed| !changes(&nights([0.0; 24], 100 + seed)).is_empty()).count();
    assert!(changed <= 8, "{changed} of 300");
}

#[test]
fn directions_and_scales_are_those_of_the_metric() {
    let with = |change: fn(&mut Metric)| {
        let mut all = step(1);
        for entry in &mut all {
            change(&mut entry.metrics[0]);
        }
        changes(&all)
    };
    let lower = with(|metric| metric.better = Better::Lower);
    assert_eq!((lower[0].worse, &lower[0].bisect), (Some(false), &None), "an improvement is not bisected");
    assert!(lower[0].compare.is_some());
    assert_eq!(with(|metric| metric.better = Better::Neither)[0].worse, None);
    let points = with(|metric| metric.kind = Kind::Proportion);
    let all = step(1);
    let mean = all[..points[0].places[1]].iter().map(|entry| entry.metrics[0].effect.expect("one").estimate);
    let mean = mean.sum::<f64>() / points[0].places[1] as f64;
    assert!((points[0].before - mean).abs() < 1e-12, "points are not logarithms");
    assert!(with(|metric| metric.kind = Kind::Exact).is_empty());
}

#[test]
fn what_only_becomes_wider_is_neither_worse_nor_better() {
    // Symmetric around nothing, ten times as wide from the twentieth night on.
    let wide = |night: u64| if night < 20 { 0.003 } else { 0.03 } * if night.is_multiple_of(2) { 1.0 } else { -1.0 };
    let all: Vec<Entry> = (0..40).map(|night| entry(night, wide(night))).collect();
    let found = changes(&all);
    assert!(!found.is_empty() && found.iter().all(|change| change.worse.is_none()), "{found:#?}");
}

#[test]
fn a_last_night_with_two_references_has_both() {
    let with = |night: u64, reference: u64| Entry { reference: version(reference), ..entry(night, 0.0) };
    let mut all = vec![with(1, 1000), with(2, 1000), with(2, 2000)];
    all[1].at = at(2) - SignedDuration::from_mins(20);
    let of = |all: &[Entry]| latest(all).iter().map(|entry| entry.reference.clone()).collect::<Vec<_>>();
    assert_eq!(of(&all).len(), 2);
    all.push(with(3, 2000));
    assert_eq!(of(&all), [version(2000)], "what is not measured any more is of earlier nights");
}

#[test]
fn nights_that_cannot_be_believed_count_nowhere() {
    let mut all = step(3);
    for night in [4, 11, 12, 20] {
        let wild = all[night].metrics[0].clone();
        all[night] = invalid(all[night].clone());
        all[night].metrics[0].effect = Some(Effect { estimate: 9.0, ..wild.effect.expect("an effect") });
    }
    all[7].metrics[0].effect = None;
    all[8].metrics.clear();
    all[9].metrics[0].effect = Some(Effect { estimate: -1.0, low: -1.0, high: -1.0, confidence: 0.95 });
    all[10].place = None;
    let groups = groups(&all);
    let [group] = &groups[..] else { panic!("one group") };
    assert_eq!(group.epochs.len(), 1, "they end no epoch");
    let series = group.series();
    let [change] = &series[0].changes[..] else { panic!("{:#?}", series[0].changes) };
    assert!(change.places[0] <= 7 && change.places[2] >= 14 && change.after < -0.05, "{change:#?}");
    assert_eq!(series[0].points.len(), 24);
    assert_eq!(series[0].points.iter().filter(|point| point.value().is_none()).count(), 7);
}

#[test]
fn epochs_are_not_mixed() {
    // The step is that of the reference, or of the machine.
    let by = |change: fn(&mut Entry)| {
        let mut all = step(5);
        all[12..].iter_mut().for_each(change);
        all
    };
    for (change, what) in [
        ((|entry| entry.reference = version(2000)) as fn(&mut Entry), "reference"),
        (|entry| entry.place.as_mut().expect("a place").fingerprint = "another".into(), "machine"),
        (|entry| entry.place.as_mut().expect("a place").engine = "tc".into(), "engine"),
        (|entry| entry.place.as_mut().expect("a place").runtime = "docker".into(), "runtime"),
        (|entry| entry.place.as_mut().expect("a place").plan = "another".into(), "plan"),
    ] {
        let all = by(change);
        let found = groups(&all);
        let differs: Vec<&str> = found[0].epochs[1].differs.iter().map(|differs| differs.what).collect();
        assert_eq!((found[0].epochs.len(), differs), (2, vec![what]));
        assert!(changes(&all).is_empty(), "{what}");
        assert!(page(&all).contains(&format!("from 2 on: {what} ")), "{what}");
    }
    let mut away = step(5);
    away[8..12].iter_mut().for_each(|entry| entry.place.as_mut().expect("a place").plan = "another".into());
    let lengths = groups(&away)[0].epochs.iter().map(|epoch| epoch.entries.len()).collect::<Vec<_>>();
    assert_eq!(lengths, [8, 4, 12], "a stretch ends for good");
    let head_arm = by(|entry| entry.head_arm = "edge-only".into());
    assert_eq!(groups(&head_arm).len(), 2, "another arm is another series");
}

#[test]
fn a_reference_is_pinned_anew_where_nights_have_both() {
    let mut all = nights([0.0; 12], 6);
    // Nights 5 and 6 have both references, and those after them the new one.
    let anew = |entry: &Entry| Entry { reference: version(2000), ..entry.clone() };
    all[7..].iter_mut().for_each(|entry| *entry = anew(entry));
    let both: Vec<Entry> = all[5..7].iter().map(anew).collect();
    all.extend(both);
    let found = groups(&all);
    let [old, new] = &found[0].epochs[..] else { panic!("two epochs: {:#?}", found[0].epochs) };
    assert_eq!((old.entries.len(), new.entries.len(), new.shared), (7, 7, 2));
    let nights = |epoch: &Epoch<'_>| epoch.entries.iter().map(|entry| entry.at).collect::<Vec<_>>();
    assert!(nights(old).is_sorted() && nights(new).is_sorted());
    assert_eq!(new.differs[0].from, format!("{:.10}", commit(1000)));
    assert!(page(&all).contains("(2 commits measured in both epochs)"));
}
