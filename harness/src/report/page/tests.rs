//! What is on the page, and what is not.

use std::{path::PathBuf, sync::Arc};

use peerbed_model::{Act, Coordinates, Plan};
use tempfile::TempDir;

use super::*;
use crate::{
    calibrate::{Calibrated, Finding, Measured, Place},
    fixture,
    record::Carried,
    report::tests::outcomes,
    results::{Ending, ResultsDir, RunOutcome, test_tree::identity},
};

/// Finished results of these runs.
pub(super) struct Written {
    path: PathBuf,
    _directory: TempDir,
}

pub(super) fn written(plans: &[Arc<Plan>], outcomes: &[RunOutcome]) -> Written {
    let directory = tempfile::tempdir().expect("a directory");
    let results = ResultsDir::create(directory.path(), plans, identity()).expect("made");
    let path = results.finish(outcomes, &Ending::Complete).expect("written").path;
    Written { path, _directory: directory }
}

pub(super) fn page(written: &[&Written]) -> String {
    let paths: Vec<_> = written.iter().map(|written| written.path.as_path()).collect();
    html(&Source::read(&paths).expect("readable"))
}

#[test]
fn it_loads_nothing_and_escapes_what_it_shows() {
    let (plans, outcomes) = outcomes(true);
    let question = "<script>alert(1)</script> & more?";
    let asked = |plan: &Arc<Plan>| Arc::new(Plan { question: question.into(), ..Plan::clone(plan) });
    let plans: Vec<Arc<Plan>> = plans.iter().map(asked).collect();
    let page = page(&[&written(&plans, &outcomes)]);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; more?"));
    assert_eq!(page.matches("<script").count(), 1, "its own");
    // The name of SVG's vocabulary in the script is no address of anything that is loaded.
    let page = page.replace("http://www.w3.org/2000/svg", "");
    for loading in ["http:", "https:", "src=", "@import", "url(h", "fetch(", "XMLHttpRequest"] {
        assert!(!page.contains(loading), "{loading}");
    }
    let policy = page.split("Content-Security-Policy\" content=\"").nth(1).and_then(|rest| rest.split('"').next());
    let policy = policy.expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; img-src data:; style-src") && !policy.contains("unsafe"),
        "{policy}"
    );
    // What the policy allows is what is there.
    let between = |from: &str, to: &str| page.split(from).nth(1).and_then(|rest| rest.split(to).next()).expect("there");
    assert!(policy.contains(&format!("style-src '{}'", hash(between("<style>", "</style>")))), "{policy}");
    assert!(policy.contains(&format!("script-src '{}'", hash(SCRIPT))));
}

#[test]
fn what_cannot_be_believed_is_in_brackets_and_no_answer() {
    let (plans, mut outcomes) = outcomes(true);
    let page_of = |plans: &[Arc<Plan>], outcomes: &[RunOutcome]| page(&[&written(plans, outcomes)]);
    let invalid = page_of(&plans, &outcomes);
    assert!(invalid.contains("class=\"banner\"") && invalid.contains("hybrid (INVALID)"));
    assert!(invalid.contains("1 arm of 2 cannot be believed and left out."), "{invalid}");
    assert!(!invalid.contains("hybrid (INVALID) against"));
    // The invalid run's figures are in brackets in its own row as well.
    let row = invalid.rsplit("<th scope=\"row\">hybrid (INVALID)</th>").next().expect("the row of the run");
    assert!(row.contains("<td>[2 / 4]</td><td>[2.20]</td><td>[3.00]</td><td>[3.80]</td><td>[50.0 %]</td>"), "{row}");
    assert!(invalid.contains("<td>1 / 1</td><td>4.00</td>"));
    let nothing = page_of(&plans, &[]);
    assert!(nothing.contains("No run was made.") && nothing.contains("None: no arm has results"));

    outcomes.truncate(1);
    let valid = page_of(&plans[..1], &outcomes);
    assert!(valid.contains("class=\"valid\"") && !valid.contains("class=\"banner\""));
    assert!(valid.contains("In edge-only: median speed 4.00 Mbit/s, peer efficiency 0.0 %"), "{valid}");
}

#[test]
fn arms_are_held_against_the_first() {
    let run = |arm: &str, told: &[fixture::Told]| RunOutcome::of(fixture::record_of(fixture::plan(arm, 0), told));
    let outcomes = [run("edge-only", &fixture::TOLD[..2]), run("hybrid", &fixture::TOLD[..1])];
    let plans: Vec<Arc<Plan>> = outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect();
    let page = page(&[&written(&plans, &outcomes)]);
    assert!(
        page.contains("hybrid against edge-only: median speed 4.00 Mbit/s against 3.00 Mbit/s (+33 %)"),
        "{}",
        page.split("Answer").nth(1).unwrap_or_default().chars().take(600).collect::<String>()
    );
    assert!(page.contains("how much of this is chance cannot be told"));
    for figure in ["figure-speed", "figure-edge-traffic", "figure-downloads-under-way", "figure-as-matrix-0"] {
        assert!(page.contains(figure), "{figure}");
    }
    assert!(!page.contains("figure-peers-on"), "nobody came or went before all were told to end");
}

#[test]
fn what_timelines_did_is_marked_once_where_it_is_the_same() {
    let run = |arm: &str, at: u64, kill: &str| {
        let mut record = fixture::record(arm, 0);
        record.acts.push(Carried {
            at: std::time::Duration::from_secs(at),
            began_ns: at * 1_000_000_000,
            done_ns: at * 1_000_000_000 + 1,
            act: Act::Kill { nodes: vec![kill.parse().expect("a name")] },
        });
        RunOutcome::of(record)
    };
    let told = |outcomes: &[RunOutcome]| {
        let plans: Vec<Arc<Plan>> = outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect();
        page(&[&written(&plans, outcomes)])
    };
    let same = told(&[run("edge-only", 1, "control-0"), run("hybrid", 1, "control-0")]);
    assert!(same.contains("<ol class=\"marks\"><li>1 s: kill control-0</li></ol>"), "{same}");
    let other = told(&[run("edge-only", 1, "control-0"), run("hybrid", 2, "edge-0")]);
    let marks = "<li>1 s: edge-only: kill control-0</li><li>2 s: hybrid: kill edge-0</li>";
    assert!(other.contains(marks), "{other}");
}

/// The page of a run that asks for these figures, with these arms of a matrix.
pub(super) fn page_with(figures: &[&str], values: &[&str]) -> String {
    let run = |value: &&str| {
        let mut plan = fixture::plan(&format!("per_copy={value}"), 0);
        plan.figures = figures.iter().map(|word| (*word).to_owned()).collect();
        plan.matrix = Coordinates(vec![("policy.uploads.per_copy".to_owned(), (*value).to_owned())]);
        RunOutcome::of(fixture::record_of(plan, &fixture::TOLD))
    };
    let outcomes: Vec<RunOutcome> = values.iter().map(run).collect();
    let plans: Vec<Arc<Plan>> = outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect();
    page(&[&written(&plans, &outcomes)])
}

/// The numbers of a figure, as its CSV has them.
pub(super) fn csv(page: &str, figure: &str) -> Vec<String> {
    let link = page.split(&format!("download=\"{figure}.csv\"")).nth(1).unwrap_or_else(|| panic!("no {figure}"));
    let data = link.split("base64,").nth(1).and_then(|rest| rest.split('"').next()).expect("data");
    let text = String::from_utf8(STANDARD.decode(data).expect("base64")).expect("UTF-8");
    text.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn the_papers_figures_have_the_fixtures_numbers() {
    let words = [
        "speed-by-source",
        "efficiency-by-copies",
        "efficiency-by-returned",
        "pause-by-size",
        "providers",
        "regions",
        "as-sent",
        "as-balance",
        "as-pairs",
    ];
    let page = page_with(&words, &["5"]);
    let starts = |figure: &str, beginnings: &[&str]| {
        let lines = csv(&page, figure);
        for beginning in beginnings {
            assert!(lines.iter().any(|line| line.starts_with(beginning)), "{figure} lacks {beginning}: {lines:#?}");
        }
        lines.len()
    };
    // Of three downloads with bytes, two used peers.
    starts("providers", &["per_copy=5,0,0.6666666666666666,"]);
    // AA with 600 of 1100 kB, BB with 750 of 1000 kB.
    assert_eq!(starts("regions", &["per_copy=5,0,0.5454545454545454,", "per_copy=5,1,0.75,"]), 2);
    // One of two `patch` was paused, and one of two `film`; the one that never began has no size.
    assert!(starts("pause-by-size", &["per_copy=5,0,0.5,"]) >= 1);
    assert!(
        starts("efficiency-by-copies", &["per_copy=5,"]) >= 1
            && starts("efficiency-by-returned", &["per_copy=5,"]) >= 1
    );
    assert!(starts("speed-by-source-1", &["per_copy=5: over 50 % from peers (1),4,"]) >= 2);
    // Both ASes, each with what it sent and received.
    let both = csv(&page, "as-balance");
    let of_ases: Vec<&String> = both.iter().filter(|line| line.contains("addresses")).collect();
    assert_eq!(of_ases.len(), 2, "{both:#?}");
    assert!(
        starts("as-sent", &["per_copy=5,"]) >= 2 && starts("as-lorenz", &["per_copy=5,0,0,", "per_copy=5,1,1,"]) >= 4
    );
}

#[test]
fn a_matrix_makes_curves_along_its_first_path() {
    let page = page_with(&[], &["5", "20"]);
    let efficiency = csv(&page, "sweep-peer_efficiency-bytes");
    assert_eq!(efficiency.len(), 2, "{efficiency:#?}");
    assert!(efficiency[0].starts_with("every arm,5,0.64285") && efficiency[1].starts_with("every arm,20,0.64285"));
    assert!(page.contains("Peer efficiency by per_copy") && page.contains("policy.uploads.per_copy"));
    // Words stand side by side, in the order of the experiment.
    let words = page_with(&[], &["some", "all"]);
    let efficiency = csv(&words, "sweep-peer_efficiency-bytes");
    assert!(efficiency[0].starts_with("every arm,0,") && efficiency[0].ends_with("per_copy=some"), "{efficiency:#?}");
}

#[test]
fn what_differs_between_arms_is_told_first() {
    let run = |value: &str| {
        let mut plan = fixture::plan(&format!("game={value}"), 0);
        plan.matrix = Coordinates(vec![("groups.seeds.holds.game".to_owned(), value.to_owned())]);
        RunOutcome::of(fixture::record_of(plan, &fixture::TOLD))
    };
    let outcomes = ["0", "12"].map(run);
    let plans: Vec<Arc<Plan>> = outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect();
    let page = page(&[&written(&plans, &outcomes)]);
    let row = "<th scope=\"row\">groups.seeds.holds.game</th><td>0</td><td>12</td>";
    assert!(page.contains(row), "{}", page.split("Parameters").nth(1).unwrap_or_default());
}

#[test]
fn the_plan_says_how_many_downloads_repeats_have() {
    let run = |(repeat, count): (u32, usize)| {
        RunOutcome::of(fixture::record_of(fixture::plan("hybrid", repeat), &fixture::TOLD[..count]))
    };
    let told = |counts: &[usize]| {
        let outcomes: Vec<RunOutcome> = (0..).zip(counts.iter().copied()).map(run).collect();
        let plans: Vec<Arc<Plan>> = outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect();
        page(&[&written(&plans, &outcomes)])
    };
    assert!(told(&[3, 1, 2]).contains("<p>1 to 3 downloads, as repeats differ, in at most "));
    assert!(told(&[2, 2]).contains("<p>2 downloads in at most "));
}

#[test]
fn side_by_side_each_says_how_many_runs_it_has() {
    let results = |repeats: u32| {
        let run = |repeat| RunOutcome::of(fixture::record("hybrid", repeat));
        let outcomes: Vec<RunOutcome> = (0..repeats).map(run).collect();
        let plans: Vec<Arc<Plan>> = outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect();
        written(&plans, &outcomes)
    };
    let (one, three) = (results(1), results(3));
    let both = page(&[&one, &three]);
    assert!(both.contains("A: One run of each arm.") && both.contains("B: Each figure is the median"), "{both}");
    assert!(!page(&[&one]).contains("Each figure is the median"));
    assert!(page(&[&three]).contains("\">Each figure is the median over an arm's runs (3 planned)"));
    // Files count repeats from 0, people from 1.
    assert!(page(&[&three]).contains("<th scope=\"row\">hybrid</th><td>3</td>"));
}

#[test]
fn what_was_not_measured_of_links_is_said() {
    let finding = |what, good| Finding { what, unit: "Mbit/s", asked: 10.0, got: 10.0, tolerance: 0.2, good };
    let class = |whats: &[&'static str]| Calibrated {
        place: Place::Up,
        users: vec!["homes".to_owned()],
        at: jiff::Timestamp::UNIX_EPOCH,
        cached: false,
        attempts: 1,
        measured: Measured::default(),
        findings: whats.iter().map(|what| finding(what, true)).collect(),
        likely_cause: None,
    };
    let told = |classes: Vec<Calibrated>| {
        let (plans, outcomes) = outcomes(false);
        let directory = tempfile::tempdir().expect("a directory");
        let mut results = ResultsDir::create(directory.path(), &plans, identity()).expect("made");
        results.calibrated(classes);
        let path = results.finish(&outcomes, &Ending::Complete).expect("written").path;
        page(&[&Written { path, _directory: directory }])
    };
    let all = ["round trip", "rate (datagrams)", "rate (TCP)", "loss", "queue"];
    let whole = told(vec![class(&all)]);
    assert!(whole.contains("1 class of links was calibrated"));
    assert!(whole.contains("all that was measured is as asked for.") && !whole.contains("ot measured"), "{whole}");
    let fast = told(vec![class(&all), class(&["round trip", "loss"]), class(&["round trip", "rate (TCP)", "loss"])]);
    assert!(fast.contains("Not measured: any rate of 1 class, the queue of 2 classes."), "{fast}");
    let cells = "<td>–</td><td>–</td><td>–</td><td>not measured</td>";
    assert!(fast.contains(&format!("rate (datagrams), rate (TCP), queue</td>{cells}")), "{fast}");
    // What a trace carries is its rate, and no TCP flow is asked for it.
    let traced = told(vec![class(&["round trip", "rate (trace)", "loss"])]);
    assert!(traced.contains("Not measured: the queue of 1 class."), "{traced}");
}

#[test]
fn pauses_have_a_curve_of_all_downloads_of_arms_that_can_be_believed() {
    let lines = |values: &[&str]| csv(&page_with(&["pause-by-size"], values), "pause-by-size");
    assert!(!lines(&["5"]).iter().any(|line| line.starts_with("all downloads")), "one arm is all");
    let two = lines(&["5", "20"]);
    let all: Vec<&String> = two.iter().filter(|line| line.starts_with("all downloads,0,")).collect();
    assert!(
        matches!(all[..], [line] if line.starts_with("all downloads,0,0.5,") && line.ends_with("1 MB, 2 of 4\"")),
        "{two:#?}"
    );

    let asking = |outcome: &RunOutcome| {
        let mut record = outcome.record().clone();
        Arc::make_mut(&mut record.plan).figures = vec!["pause-by-size".to_owned()];
        RunOutcome::of(record)
    };
    let outcomes: Vec<RunOutcome> = outcomes(true).1.iter().map(asking).collect();
    let plans: Vec<Arc<Plan>> = outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect();
    let with_invalid = csv(&page(&[&written(&plans, &outcomes)]), "pause-by-size");
    assert!(
        !with_invalid.iter().any(|line| line.starts_with("all downloads")),
        "one of the two is none: {with_invalid:#?}"
    );
}

#[test]
fn curves_over_time_are_of_all_runs() {
    // The same run three times, in which one, two and three times as much went on.
    let run = |times: u64| {
        let mut record = fixture::record("hybrid", times as u32 - 1);
        for sample in &mut record.samples {
            sample.ledger.iter_mut().for_each(|entry| entry.bytes *= times);
        }
        RunOutcome::of(record)
    };
    let told = |runs: std::ops::RangeInclusive<u64>| {
        let outcomes: Vec<RunOutcome> = runs.map(run).collect();
        let plans: Vec<Arc<Plan>> = outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect();
        page(&[&written(&plans, &outcomes)])
    };
    let (one, three) = (told(1..=1), told(1..=3));
    let link = one.split("download=\"edge-traffic.csv\"").nth(1).and_then(|rest| rest.split("base64,").nth(1));
    let data = link.and_then(|rest| rest.split('"').next()).expect("a link");
    let head = STANDARD.decode(data).expect("base64");
    assert!(head.starts_with(b"series,\"since the start, seconds\",Mbit/s,"), "{}", String::from_utf8_lossy(&head));
    assert!(one.contains("One run of each arm.") && !one.contains("class=\"band"), "nothing to shade");
    assert!(three.contains("n = 3 runs: at each time the median over the runs of an arm"), "{three}");
    assert!(three.contains("class=\"band look0\""), "{three}");
    let value = |line: &String, place: usize| line.split(',').nth(place).and_then(|text| text.parse::<f64>().ok());
    let (single, median) = (csv(&one, "edge-traffic"), csv(&three, "edge-traffic"));
    assert_eq!(single.len(), median.len(), "{single:#?} {median:#?}");
    for (single, median) in single.iter().zip(&median) {
        let (one, twice) = (value(single, 2).expect("a number"), value(median, 2).expect("a number"));
        let ends = (value(median, 3).expect("a number"), value(median, 4).expect("a number"));
        assert_eq!((twice, ends), (2.0 * one, (one, 3.0 * one)));
    }
    assert!(single.iter().any(|line| value(line, 2) > Some(0.0)), "{single:#?}");
}
