//! Histories that are made up.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::PathBuf,
    sync::mpsc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use super::{entry::Version, *};
use crate::{
    compare::{
        Planned,
        design::{Design, Kind, MetricSpec},
        floor::{Noise, Place},
        subject::Subject,
        verdict::{Effect, Outcome, Verdict, Word},
    },
    metrics::Better,
};

const SPEED: &str = "speed_ranked_mbps.p50";

fn commit(number: u64) -> String {
    blake3::hash(&number.to_le_bytes()).to_hex()[..40].to_owned()
}

fn version(number: u64) -> Version {
    let commit = commit(number);
    Version { programs: format!("{commit:.16}"), commit: Some(commit), dirty: false }
}

fn at(night: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * night as i64)
}

fn metric(estimate: f64) -> Metric {
    Metric {
        figure: SPEED.into(),
        kind: Kind::Distribution,
        better: Better::Higher,
        margin: 0.05,
        gating: true,
        verdict: Word::Inconclusive,
        base: Some(20.0),
        head: Some(20.0 * (1.0 + estimate)),
        effect: Some(Effect { estimate, low: estimate - 0.03, high: estimate + 0.03, confidence: 0.95 }),
        p_adjusted: Some(0.5),
    }
}

/// The commit `night` against commit 1000.
fn entry(night: u64, estimate: f64) -> Entry {
    Entry {
        version: VERSION,
        at: at(night),
        role: Role::Measure,
        experiment: "quick".into(),
        scale: None,
        arm: "hybrid".into(),
        head_arm: "hybrid".into(),
        head: version(night),
        reference: version(1000),
        place: Some(Where {
            fingerprint: "0123456789abcdef".into(),
            engine: "wire".into(),
            runtime: "netns".into(),
            plan: "89ab".into(),
        }),
        outcome: Outcome::Passed,
        reasons: Vec::new(),
        pairs_made: 8,
        pairs_used: 8,
        expected: None,
        seconds: 240.0,
        metrics: vec![metric(estimate)],
    }
}

/// Nights whose effects are around these, as far as nights of 8 pairs are with a spread of 5 %.
fn nights(effects: impl IntoIterator<Item = f64>, seed: u64) -> Vec<Entry> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut noise = || 0.018 * ((0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0);
    (0..).zip(effects).map(|(night, effect)| entry(night, effect + noise())).collect()
}

fn step(seed: u64) -> Vec<Entry> {
    nights((0..24).map(|night| if night < 12 { 0.0 } else { -0.08 }), seed)
}

fn invalid(mut entry: Entry) -> Entry {
    entry.outcome = Outcome::Invalid;
    entry.reasons = vec!["the machine was overloaded".into()];
    entry.metrics[0].verdict = Word::Invalid;
    entry
}

fn file() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = below(directory.path());
    (directory, file)
}

fn entries(file: &std::path::Path) -> Vec<Entry> {
    let (entries, complaints) = read(file).expect("readable");
    assert_eq!(complaints, [""; 0]);
    entries
}

#[test]
fn lines_are_added_and_read_again() {
    let (_directory, file) = file();
    assert!(entries(&file).is_empty(), "a file that is not there");
    let mut all = nights([0.0, 0.1], 1);
    all[0].scale = Some("ci".into());
    all[1].place = None;
    append(&file, &all[..1]).expect("written");
    append(&file, &all[1..]).expect("written");
    append(&file, &[]).expect("nothing");
    let found = entries(&file);
    let close = |one: &Entry, other: &Entry| {
        let effect = |entry: &Entry| entry.metrics[0].effect.expect("an effect").estimate;
        (effect(one) - effect(other)).abs() < 1e-12 && one.at == other.at && one.place == other.place
    };
    assert!(found.len() == 2 && found.iter().zip(&all).all(|(one, other)| close(one, other)), "{found:#?}");
    assert_eq!(found[0].scale.as_deref(), Some("ci"));
    assert_eq!(fs::read_to_string(&file).expect("text").lines().count(), 2);
}

#[test]
fn a_last_line_that_was_cut_off_anywhere_spoils_nothing() {
    let (_directory, file) = file();
    append(&file, &[entry(0, 0.0), entry(1, 0.25)]).expect("written");
    let whole = fs::read(&file).expect("bytes");
    let first = whole.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    // Every byte of its last line; and the line as it is, without its end.
    for end in first..whole.len() {
        fs::write(&file, &whole[..end]).expect("written");
        let (found, complaints) = read(&file).expect("readable");
        let torn = end > first && end < whole.len() - 1;
        assert_eq!((found.len(), complaints.len()), (if end < whole.len() - 1 { 1 } else { 2 }, usize::from(torn)));
        assert!(complaints.iter().all(|one| one.contains("line 2 is left out: the last line was cut off")));
        append(&file, &[entry(2, 0.5)]).expect("written");
        let (later, complaints) = read(&file).expect("readable");
        assert_eq!((later.len(), complaints.len()), (found.len() + 1, usize::from(torn)), "{end}: {complaints:?}");
        assert_eq!(later.last(), Some(&entry(2, 0.5)), "{end}");
        assert!(complaints.iter().all(|one| one.contains("line 2 is left out: ") && !one.contains("cut off")));
        // What was cut off is still there.
        assert!(fs::read(&file).expect("bytes").starts_with(&whole[..end]), "{end}");
    }
}

#[test]
fn lines_of_other_versions_are_told_and_fields_of_later_ones_are_not_minded() {
    let (_directory, file) = file();
    append(&file, &[entry(0, 0.0)]).expect("written");
    let line = fs::read_to_string(&file).expect("text");
    let later = line.replace("\"version\":1", "\"version\":2");
    let more = line.replace("\"version\":1", "\"version\":1,\"later\":{\"x\":[1]}");
    let text = format!("{later}{more}\n\u{1b}[2J\n{}\n{line}", "[".repeat(100_000));
    fs::write(&file, text).expect("written");
    let (found, complaints) = read(&file).expect("readable");
    assert_eq!(found, [entry(0, 0.0), entry(0, 0.0)]);
    assert_eq!(complaints.len(), 3);
    assert!(complaints[0].ends_with("line 1 is left out: its version is 2, this program reads 1"), "{complaints:?}");
    assert!(complaints[1].contains("line 4 is left out: ") && complaints[2].contains("line 5 is left out: "));
    fs::write(&file, "x\n".repeat(100_000)).expect("written");
    let (found, complaints) = read(&file).expect("readable");
    assert_eq!((found.len(), complaints.len()), (0, 51));
    assert!(complaints[50].ends_with("99950 more lines are left out"), "{}", complaints[50]);
}

#[test]
fn two_nights_at_once_do_not_mix_their_lines() {
    let (_directory, file) = file();
    let night = |number: u64| {
        let mut entry = entry(number, 0.0);
        // Longer than what a pipe would write in one piece.
        entry.reasons = vec![format!("{number}").repeat(20_000)];
        entry
    };
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let file = &file;
            scope.spawn(move || {
                for night_of in 0..8 {
                    append(file, &[night(10 * writer + night_of), night(10 * writer + night_of)]).expect("written");
                }
            });
        }
    });
    let found = entries(&file);
    assert_eq!(found.len(), 64);
    assert!(found.chunks(2).all(|both| both[0] == both[1]), "those of one call stand together");
}

#[test]
fn whoever_adds_waits_for_the_lock() {
    let (_directory, file) = file();
    append(&file, &[entry(0, 0.0)]).expect("written");
    let held = File::open(&file).expect("open");
    flock(&held, FlockOperation::LockExclusive).expect("locked");
    let (done, is_done) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            append(&file, &[entry(1, 0.0)]).expect("written");
            done.send(()).expect("heard");
        });
        assert!(is_done.recv_timeout(Duration::from_millis(200)).is_err(), "it did not wait");
        flock(&held, FlockOperation::Unlock).expect("unlocked");
        is_done.recv_timeout(Duration::from_secs(20)).expect("it goes on");
    });
    assert_eq!(entries(&file).len(), 2);
}

#[test]
fn what_is_no_file_or_too_large_is_refused_and_stays() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    File::create(path("large")).expect("made").set_len((64 << 20) - 10).expect("a hole");
    let said = |name: &str| format!("{:#}", anyhow::Error::new(append(&path(name), &[entry(0, 0.0)]).unwrap_err()));
    assert!(said("large").contains("would become larger than the 67108864 bytes that are read"), "{}", said("large"));
    assert_eq!(fs::metadata(path("large")).expect("there").len(), (64 << 20) - 10);
    File::create(path("large")).expect("made").set_len(1 << 40).expect("a hole");
    symlink("/dev/zero", path("zeros")).expect("a link");
    assert!(said("zeros").contains("no regular file"), "{}", said("zeros"));
    for (name, why) in [("large", "the most that is read is"), ("zeros", "it is a device"), (".", "it is a directory")]
    {
        let error = read(&path(name)).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_line_is_what_a_verdict_says() {
    let subject = |name: &str, commit: Option<String>| Subject {
        name: name.into(),
        commit,
        tree: None,
        dirty: name == ".",
        rustc: None,
        programs: vec![name.into()],
    };
    let spec = |figure: &str, gating| MetricSpec {
        figure: figure.into(),
        kind: Kind::Ratio,
        better: Better::Neither,
        margin: 0.1,
        gating,
    };
    let design = Design { looks: vec![8], metrics: vec![spec("a", true), spec("b", false)], seed: 1, error: 0.05 };
    let place = Place {
        experiment: "quick".into(),
        scale: Some("ci".into()),
        arm: "hybrid".into(),
        fingerprint: "f".into(),
        engine: "tc".into(),
        runtime: "docker".into(),
        plan: "p".into(),
    };
    let planned = Planned {
        version: Planned::VERSION,
        experiment: "quick".into(),
        scale: Some("ci".into()),
        arm: "hybrid".into(),
        head_arm: "edge-only".into(),
        base: subject("main", Some(commit(7))),
        head: subject(".", Some(commit(8))),
        whole: false,
        same_programs: false,
        design: design.clone(),
        place: Some(place),
        noise: Noise::Unknown(String::new()),
    };
    let finding = |metric: &MetricSpec, estimate: f64| {
        serde_json::json!({
            "figure": metric.figure, "kind": "ratio", "better": "neither", "margin": 0.1, "gating": metric.gating,
            "verdict": "changed", "note": null, "pairs": 8, "base": 1.0, "head": 1.5, "totals": null,
            "effect": {"estimate": estimate, "low": 0.25, "high": 0.75, "confidence": 0.95},
            "equivalence": null, "p": 0.01, "p_adjusted": 0.02, "test": "sign-flip", "spread": 0.1, "scale": "log-ratio",
            "floor": 0.01, "sees": null, "needs": null,
        })
    };
    let findings = [finding(&design.metrics[0], 0.5), finding(&design.metrics[1], 0.5)];
    let mut verdict = Verdict {
        version: 1,
        outcome: Outcome::Inconclusive,
        reasons: vec!["so it is".into()],
        pairs_made: 8,
        pairs_used: 7,
        alpha: 0.05,
        same_programs: false,
        findings: findings.map(|finding| serde_json::from_value(finding).expect("a finding")).into(),
        shape_p: None,
        seconds_of_a_pair: 30.0,
        design,
    };
    verdict.findings[1].effect.as_mut().expect("an effect").low = f64::NAN;
    verdict.findings[1].base = Some(f64::INFINITY);
    let entry = Entry::of(Role::PositiveControl, &verdict, &planned, at(3), Some(false));
    let line = serde_json::to_value(&entry).expect("JSON");
    assert_eq!(
        (&line["version"], &line["role"], &line["outcome"], &line["expected"], &line["seconds"]),
        (&1.into(), &"positive-control".into(), &"inconclusive".into(), &false.into(), &240.0.into())
    );
    assert_eq!(
        (&line["head"]["commit"], &line["head"]["dirty"], &line["reference"]["commit"], &line["place"]["engine"]),
        (&commit(8).into(), &true.into(), &commit(7).into(), &"tc".into())
    );
    assert_eq!((entry.pairs_made, entry.pairs_used, &*entry.head_arm), (8, 7, "edge-only"));
    let [first, second] = &entry.metrics[..] else { panic!("two metrics") };
    assert_eq!(
        (first.effect.map(|effect| effect.high), first.p_adjusted, first.gating),
        (Some(0.75), Some(0.02), true)
    );
    assert_eq!((second.effect, second.base, second.head), (None, None, Some(1.5)), "what is not finite is not known");
    // A line that has such numbers all the same, as `null`.
    let mut line = serde_json::to_value(&entry).expect("JSON");
    line["metrics"][0]["effect"]["low"] = serde_json::Value::Null;
    line["metrics"][1].as_object_mut().expect("a metric").remove("effect");
    let read: Entry = serde_json::from_value(line).expect("an entry");
    assert!(read.metrics.iter().all(|metric| metric.effect.is_none()));
    assert_eq!(Entry::without_verdict(Role::Measure, Outcome::SubjectFailed, vec![], &planned, at(0)).metrics, []);
}

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

#[test]
fn commands_are_of_what_git_knows_and_no_terminal_obeys() {
    let with = |change: fn(&mut Entry)| {
        let mut all = step(1);
        all.iter_mut().for_each(change);
        changes(&all).remove(0)
    };
    let all = with(|entry| {
        entry.experiment = "it's $(so); x".into();
        entry.head_arm = "edge-only".into();
        entry.scale = Some("ci".into());
        let place = entry.place.as_mut().expect("a place");
        (place.runtime, place.engine) = ("docker".into(), "tc".into());
    });
    let command = all.compare.expect("a command");
    assert!(
        command.ends_with(r" --experiment 'it'\''s $(so); x' --arm edge-only --scale ci --runtime docker --engine tc"),
        "{command}"
    );
    assert_eq!(with(|entry| entry.experiment = "a\nb".into()).compare, None);
    assert!(with(|entry| entry.arm = String::new()).compare.is_some(), "the base's arm is not asked for");
    let dirty = with(|entry| entry.head.dirty = true);
    assert!(dirty.compare.is_none() && dirty.no_command().expect("why").contains("not committed"));
    let bad = with(|entry| entry.head.commit = Some(format!("--{}", entry.head.programs)));
    assert!(bad.compare.is_none() && bad.no_command().expect("why").contains("no commits are known"));
    let same = with(|entry| entry.head = version(1));
    assert!(same.compare.is_none() && same.no_command().expect("why").contains("the programs are not the reason"));
}

fn control(night: u64, role: Role, expected: Option<bool>) -> Entry {
    Entry { role, expected, arm: "aa".into(), head_arm: "aa".into(), ..entry(night, 0.0) }
}

#[test]
fn a_night_is_red_for_what_is_wrong_and_says_why() {
    let first = |all: &[Entry]| {
        let night = summary(all, at(1));
        let line = night.markdown.lines().next().expect("a line").to_owned();
        (night.red.len(), line)
    };
    let fine = [
        entry(0, -0.5),
        entry(1, 0.0),
        control(1, Role::NegativeControl, Some(true)),
        control(1, Role::PositiveControl, Some(true)),
    ];
    let said = first(&fine);
    assert_eq!(said, (0, "**The night is green**: 1 comparison, none worse; 2 controls came out as they must.".into()));
    for (outcome, red) in [
        (Outcome::Passed, None),
        (Outcome::Inconclusive, None),
        (Outcome::Regressed, Some("REGRESSED")),
        (Outcome::Invalid, Some("INVALID")),
        (Outcome::SubjectFailed, Some("SUBJECT FAILED")),
    ] {
        let mut all = fine.clone();
        all[1].outcome = outcome;
        let (count, line) = first(&all);
        assert_eq!(count, usize::from(red.is_some()), "{line}");
        if let Some(red) = red {
            assert_eq!(line, format!("**The night is red**: quick, arm hybrid is {red}."));
        }
    }
    let mut missed = fine.clone();
    missed[2].expected = Some(false);
    missed[3].expected = None;
    let (count, line) = first(&missed);
    assert!(count == 2 && line.contains("the negative control of quick, arm aa did not come out as it must (PASSED)"));
    assert!(line.contains("nothing came of the positive control of quick, arm aa"), "{line}");
    assert_eq!(first(&fine[..1]), (1, "**The night is red**: nothing was compared.".into()));
    let mut worse = fine.clone();
    worse[1].outcome = Outcome::Regressed;
    worse[1].metrics[0] = Metric { verdict: Word::Regressed, ..metric(-0.08) };
    worse[1].reasons = vec!["it | <b> is".into()];
    let text = summary(&worse, at(1)).markdown;
    let why = "**The night is red**: quick, arm hybrid is REGRESSED: speed_ranked_mbps.p50 −8.0 % [−11, −5.0].\n";
    assert!(text.starts_with(why), "{text}");
    assert!(
        text.contains("| **REGRESSED** | 8 of 8 | `speed_ranked_mbps.p50` −8.0 % [−11, −5.0] **REGRESSED** |"),
        "{text}"
    );
    assert!(text.contains("quick, arm hybrid: it \\| &lt;b&gt; is"), "{text}");
}

#[test]
fn a_change_point_is_new_in_one_night() {
    let all = step(2);
    let said = |nights: usize| summary(&all[..nights], all[nights - 1].at).markdown.matches("peerbed compare").count();
    let told: Vec<usize> = (1..=24).map(said).collect();
    assert_eq!(told.iter().sum::<usize>(), 1, "{told:?}");
    assert!(told[..13].iter().sum::<usize>() == 0, "{told:?}");
    let night = told.iter().position(|count| *count == 1).expect("it was told") + 1;
    let text = summary(&all[..night], all[night - 1].at).markdown;
    assert!(text.contains("## New change points") && text.contains("peerbed bisect"), "{text}");
    let mut informs = all.clone();
    for entry in &mut informs {
        entry.metrics[0].gating = false;
    }
    assert!(!summary(&informs[..night], informs[night - 1].at).markdown.contains("New change points"));
}

#[test]
fn a_terminal_shows_change_points_and_last_nights() {
    assert_eq!(text(&[]), "no nights yet\n");
    let mut all = step(2);
    all.push(control(24, Role::NegativeControl, Some(false)));
    let shown = text(&all);
    for part in ["peerbed compare ", "peerbed bisect ", "worse: ", "1970-01-24", "NOT AS IT MUST"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("1970-01-23 ┆"), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&json(&all).expect("JSON")).expect("JSON");
    assert_eq!((json["changes"].as_array().map(Vec::len), json["latest"].as_array().map(Vec::len)), (Some(1), Some(2)));
    assert!(json["changes"][0]["first_after"]["commit"].is_string(), "{json}");
}

#[test]
fn the_page_is_the_same_for_the_same_history_and_loads_nothing() {
    let mut all = step(2);
    all[6] = invalid(all[6].clone());
    all[7].metrics.clear();
    all[8].metrics[0].effect = Some(Effect { estimate: 1e300, low: -1e300, high: 1e308, confidence: 0.95 });
    all.push(control(3, Role::NegativeControl, Some(true)));
    all.push(control(4, Role::NegativeControl, Some(false)));
    let drawn = page(&all);
    assert_eq!(page(&all), drawn);
    assert!(!drawn.contains("NaN") && !drawn.contains("inf\""), "every place is a number");
    let policy = "default-src 'none'; img-src data:; style-src 'sha256-";
    assert!(drawn.contains(policy) && !drawn.contains("script-src") && !drawn.contains("<script"));
    for loading in ["http:", "https:", "src=", "@import", "url(", " style="] {
        assert!(!drawn.contains(loading), "{loading}");
    }
    assert!(drawn.contains(">✓</span>") && drawn.contains(">✗</span>"));
    assert!(drawn.contains("<rect class=\"change\"") && drawn.contains("class=\"level\""));
    assert_eq!(drawn.matches("<g class=\"night invalid\">").count(), 2, "nights 6 and 7");
    assert!(drawn.contains("INVALID: the machine was overloaded"));
    let whole = page(&nights([0.0; 200], 1));
    assert_eq!(whole.matches("<g class=\"night open\">").count(), 90);
    assert!(whole.contains("The last 90 of 200 comparisons are drawn") && whole.matches("<tr>").count() > 200);
}

#[test]
fn nothing_and_little_have_a_page() {
    assert!(page(&[]).contains("No nights yet"));
    let mut one = entry(0, 0.0);
    assert!(page(std::slice::from_ref(&one)).contains("Green"));
    one.metrics.clear();
    one.outcome = Outcome::SubjectFailed;
    let drawn = page(&[one]);
    assert!(drawn.contains("the last one was SUBJECT FAILED") && drawn.contains("is SUBJECT FAILED"), "{drawn}");
    let mut exact = entry(0, 0.0);
    (exact.metrics[0].kind, exact.metrics[0].margin) = (Kind::Exact, 0.0);
    exact.metrics[0].effect = Some(Effect { estimate: 0.0, low: 0.0, high: 0.0, confidence: 0.95 });
    assert!(!page(&[exact]).contains("NaN"));
}

#[test]
fn what_others_wrote_commands_nothing() {
    let evil = "<script>alert(1)</script>\"'&|`\n";
    let mut all = step(2);
    for entry in &mut all {
        entry.experiment = evil.into();
        (entry.arm, entry.head_arm, entry.scale) = (evil.into(), evil.into(), Some(evil.into()));
        entry.head.commit = Some(format!("{evil}{}", entry.head.programs));
        entry.reference.commit = Some(evil.into());
        entry.reasons = vec![evil.into()];
        entry.metrics[0].figure = evil.into();
    }
    let mut after = all.clone();
    for entry in &mut after {
        entry.at += SignedDuration::from_hours(24 * 100);
        let place = entry.place.as_mut().expect("a place");
        (place.engine, place.fingerprint) = (evil.into(), evil.into());
    }
    all.extend(after);
    all.push(Entry { experiment: evil.into(), ..control(50, Role::PositiveControl, None) });
    let drawn = page(&all);
    assert!(drawn.contains("&lt;script&gt;") && !drawn.contains("<script"));
    assert!(!drawn.contains("\"'&"), "nothing ends an attribute");
    let night = summary(&all, at(0)).markdown;
    assert!(night.contains("&lt;script&gt;") && !night.contains("<script"), "{night}");
    let table = night.lines().filter(|line| line.starts_with('|'));
    assert!(table.into_iter().all(|line| line.replace("\\|", "").matches('|').count() == 8), "{night}");
}
