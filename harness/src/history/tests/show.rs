//! What a terminal and the summary of a night say.

use super::*;

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

#[test]
fn a_night_is_red_for_what_is_wrong_and_says_why() {
    let first = |all: &[Entry]| {
        let night = summary_since(all, at(1));
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
    let cut_off = summary(&[], &fine[1..3], Some("it was interrupted"));
    assert!(cut_off.markdown.starts_with("**The night is red**: it was interrupted.\n"), "{}", cut_off.markdown);
    assert_eq!(summary(&[], &[], Some("it was interrupted")).red, ["it was interrupted"]);
    let mut worse = fine.clone();
    worse[1].outcome = Outcome::Regressed;
    worse[1].metrics[0] = Metric { verdict: Word::Regressed, ..metric(-0.08) };
    worse[1].reasons = vec!["it | <b> is".into()];
    let text = summary_since(&worse, at(1)).markdown;
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
    let said =
        |nights: usize| summary_since(&all[..nights], all[nights - 1].at).markdown.matches("peerbed compare").count();
    let told: Vec<usize> = (1..=24).map(said).collect();
    assert_eq!(told.iter().sum::<usize>(), 1, "{told:?}");
    assert!(told[..13].iter().sum::<usize>() == 0, "{told:?}");
    let night = told.iter().position(|count| *count == 1).expect("it was told") + 1;
    let text = summary_since(&all[..night], all[night - 1].at).markdown;
    assert!(text.contains("## New change points") && text.contains("peerbed bisect"), "{text}");
    let plain = summary_since(&all[..night], all[night - 1].at).text;
    assert!(plain.starts_with("The night is green: ") && plain.contains("new change points (no verdicts"), "{plain}");
    assert!(plain.contains("\n  peerbed bisect ") && !plain.contains("**") && !plain.contains("<br>"), "{plain}");
    let mut informs = all.clone();
    for entry in &mut informs {
        entry.metrics[0].gating = false;
    }
    assert!(!summary_since(&informs[..night], informs[night - 1].at).markdown.contains("New change points"));
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
