//! The file: what is added, what is read, and what was cut off or is of others.

use super::*;

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
        ended: None,
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
