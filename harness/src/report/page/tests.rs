//! What is on the page, and what is not.

use std::{path::PathBuf, sync::Arc};

use peerbed_model::{Act, Plan};
use tempfile::TempDir;

use super::*;
use crate::{
    fixture,
    record::Carried,
    report::tests::outcomes,
    results::{Ending, ResultsDir, RunOutcome, test_tree::identity},
};

/// Finished results of these runs.
struct Written {
    path: PathBuf,
    _directory: TempDir,
}

fn written(plans: &[Arc<Plan>], outcomes: &[RunOutcome]) -> Written {
    let directory = tempfile::tempdir().expect("a directory");
    let results = ResultsDir::create(directory.path(), plans, identity()).expect("made");
    let path = results.finish(outcomes, &Ending::Complete).expect("written").path;
    Written { path, _directory: directory }
}

fn page(written: &[&Written]) -> String {
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
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
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

#[test]
fn several_results_stand_side_by_side() {
    let (plans, outcomes) = outcomes(false);
    let (one, other) = (written(&plans, &outcomes), written(&plans, &outcomes));
    let page = page(&[&one, &other]);
    assert!(page.contains("<title>small: 2 results side by side</title>"));
    let heads = page.matches("<th class=\"\">edge-only · 0123456789-dirty").count();
    assert_eq!(heads, 2, "a column for each");
}
