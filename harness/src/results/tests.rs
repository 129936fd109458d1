//! Whole directories: what is in them, and that nothing half or overwritten ever is.

use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
};

use jiff::Timestamp;
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row},
};
use peerbed_contract::Event;
use peerbed_model::Plan;
use serde_json::Value;

use super::{
    test_tree::{Tree, identity},
    *,
};
use crate::{fixture, record::RunRecord};

pub(super) const DOCS: &str = include_str!("../../../docs/results.md");

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

/// Results of two arms.
pub(super) fn two_arms(tree: &Tree) -> Finished {
    let records =
        [fixture::record_of(fixture::plan("edge-only", 0), &fixture::TOLD[2..]), fixture::record("hybrid", 0)];
    let plans: Vec<Arc<Plan>> = records.iter().map(|record: &RunRecord| Arc::clone(&record.plan)).collect();
    let directory = ResultsDir::create_at(tree.root(), &plans, identity(), at(1_785_319_872)).expect("made");
    let log = directory.logs_dir("hybrid", 0).expect("made").join("peer-0.log");
    fs::write(log, "hello").expect("written");
    directory.nodes_dir("edge-only", 0).expect("made");
    directory.finish(&records.map(RunOutcome::of), &Ending::Complete).expect("written")
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(super) fn lines(path: &Path) -> Vec<Value> {
    text(path).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn rows(path: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(File::open(path).expect("it is there")).expect("Parquet");
    reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row")).collect()
}

fn field<'a>(row: &'a Row, name: &str) -> &'a Field {
    row.get_column_iter().find(|(column, _)| *column == name).unwrap_or_else(|| panic!("no column {name}")).1
}

fn whole(row: &Row, name: &str) -> i64 {
    match field(row, name) {
        Field::Long(value) => *value,
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn a_finished_directory_has_every_file_and_nothing_else() {
    let tree = Tree::new();
    let done = two_arms(&tree);
    assert_eq!(done.path, tree.root().join("small/20260729T101112Z-0123456789-dirty"));
    let mut names: Vec<String> = fs::read_dir(&done.path)
        .expect("a directory")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "ases.parquet",
            "downloads.parquet",
            "events.jsonl",
            "host.parquet",
            "ledger.parquet",
            "links.parquet",
            "logins.parquet",
            "logs",
            "manifest.json",
            "metrics.jsonl",
            "nodes",
            "plan.yaml",
            "report.html",
            "series.parquet",
            "summary.json",
            "summary.md",
            "transfers.parquet",
        ]
    );
    assert_eq!(text(&done.path.join("logs/hybrid/0/peer-0.log")), "hello");
    let latest = tree.root().join("small/latest");
    assert_eq!(fs::read_link(&latest).expect("a link"), Path::new("20260729T101112Z-0123456789-dirty"));
    assert_eq!(tree.listing().len(), 2, "{:?}", tree.listing());
    for name in names {
        assert!(
            DOCS.contains(&format!("| `{name}`")) || DOCS.contains(&format!("| `{name}/")),
            "docs/results.md lacks {name}"
        );
    }
}

#[test]
fn the_summary_has_what_scripts_look_for() {
    let tree = Tree::new();
    let done = two_arms(&tree);
    let summary: Value = serde_json::from_str(&text(&done.path.join("summary.json"))).expect("JSON");
    assert_eq!(summary["commit"], "0123456789abcdef0123456789abcdef01234567");
    assert_eq!(summary["created"], "2026-07-29T10:11:12Z");
    let hybrid = &summary["arms"]["hybrid"];
    assert_eq!((&hybrid["valid"], &hybrid["runs"], &hybrid["seed"]), (&true.into(), &1.into(), &11.into()));
    assert_eq!((&hybrid["engine"], &hybrid["runtime"]), (&"wire".into(), &"netns".into()));
    assert_eq!(hybrid["downloads"]["started"], 4);
    assert_eq!(hybrid["speed_mbps"]["p50"], 3);
    assert_eq!(hybrid["bytes"]["inter_as"], 750_000);
    assert_eq!(summary["arms"]["edge-only"]["speed_mbps"]["p50"], Value::Null);
    for figure in crate::metrics::FIGURES {
        let pointer = format!("/{}", figure.key.replace('.', "/"));
        assert!(hybrid.pointer(&pointer).is_some(), "{pointer}");
        assert!(hybrid["runs_detail"][0].pointer(&pointer).is_some(), "{pointer}");
    }
    // Arms stand in the order of the experiment.
    let text = text(&done.path.join("summary.json"));
    assert!(text.find("\"edge-only\"") < text.find("\"hybrid\""));
}

#[test]
fn plans_events_and_metrics_can_be_read_back() {
    let tree = Tree::new();
    let done = two_arms(&tree);
    let plans: Vec<Plan> = serde_yaml::from_multiple(&text(&done.path.join("plan.yaml"))).expect("YAML");
    assert_eq!(plans.len(), 2);
    assert_eq!(plans[1], *fixture::record("hybrid", 0).plan);

    let events = lines(&done.path.join("events.jsonl"));
    let expected = fixture::record("hybrid", 0).events;
    let hybrid: Vec<Event> = (events.iter())
        .filter(|line| line["arm"] == "hybrid" && line["repeat"] == 0)
        .map(|line| serde_json::from_value(line.clone()).expect("an event"))
        .collect();
    assert_eq!(hybrid, expected);

    let metrics = lines(&done.path.join("metrics.jsonl"));
    let speed = metrics.iter().find(|row| row["arm"] == "hybrid" && row["name"] == "speed_mbps").expect("a row");
    assert_eq!(
        (&speed["kind"], &speed["quantiles"]["p50"], &speed["valid"]),
        (&"distribution".into(), &3.0.into(), &true.into())
    );
    assert_eq!((&speed["seed"], &speed["left_out"]["failed"]), (&11.into(), &1.into()));
}

#[test]
fn what_the_timeline_did_is_an_event_and_in_the_report() {
    let tree = Tree::new();
    let mut record = fixture::record("hybrid", 0);
    record.acts.push(crate::record::Carried {
        at: std::time::Duration::from_secs(2),
        began_ns: 2_000_300_000,
        done_ns: 2_000_900_000,
        act: peerbed_model::Act::Kill { nodes: vec![fixture::name("peer-1")] },
    });
    let plans = [Arc::clone(&record.plan)];
    let directory = ResultsDir::create_at(tree.root(), &plans, identity(), at(1_785_319_872)).expect("made");
    let done = directory.finish(&[RunOutcome::of(record)], &Ending::Complete).expect("written");
    let events = lines(&done.path.join("events.jsonl"));
    let act = events.last().expect("events");
    let expected = serde_json::json!({
        "arm": "hybrid", "repeat": 0, "t": 2_000_300_000_u64, "event": "action", "action": "kill", "label": "kill peer-1",
        "planned_ns": 2_000_000_000_u64, "done_ns": 2_000_900_000_u64, "nodes": ["peer-1"], "links": [],
    });
    assert_eq!(*act, expected);
    let report = text(&done.path.join("report.html"));
    assert!(report.contains("<li>2 s: kill peer-1</li>"), "the report names it");
}

#[test]
fn tables_can_be_read_back_and_add_up() {
    let tree = Tree::new();
    let path = two_arms(&tree).path;
    let downloads = rows(&path.join("downloads.parquet"));
    assert_eq!(downloads.len(), 6);
    let of_hybrid = |row: &&Row| *field(row, "arm") == Field::Str("hybrid".into());
    let first = downloads.iter().find(of_hybrid).expect("rows");
    assert_eq!(*field(first, "status"), Field::Str("completed".into()));
    assert_eq!(*field(first, "speed_mbps"), Field::Double(4.0));
    assert_eq!((field(first, "country"), field(first, "lan")), (&Field::Str("AA".into()), &Field::Null));
    assert_eq!((whole(first, "planned_ns"), whole(first, "edge_bytes")), (1_000_000_000, 400_000));
    let failed = downloads.iter().filter(of_hybrid).nth(3).expect("four rows");
    assert_eq!((field(failed, "first_byte_ns"), field(failed, "peer_efficiency")), (&Field::Null, &Field::Null));
    assert_eq!(*field(failed, "failure"), Field::Str("no edge answered".into()));

    let sum = |file: &str, column: &str, keep: fn(&Row) -> bool| -> i64 {
        rows(&path.join(file)).iter().filter(of_hybrid).filter(|row| keep(row)).map(|row| whole(row, column)).sum()
    };
    assert_eq!(sum("transfers.parquet", "sent_bytes", |_| true), 2_105_000);
    assert_eq!(sum("transfers.parquet", "received_bytes", |_| true), 2_105_000);
    assert_eq!(sum("ledger.parquet", "wire_bytes", |_| true), 2_214_250);
    let down = |row: &Row| *field(row, "direction") == Field::Str("down".into());
    assert_eq!(sum("links.parquet", "carried_bytes", down), 2_214_250);
    // From AS 1 to AS 2: the 750 kB of the peers, with 5 %.
    let forward = |row: &Row| *field(row, "direction") == Field::Str("forward".into());
    assert_eq!(sum("links.parquet", "carried_bytes", forward), 787_500);

    let ases = rows(&path.join("ases.parquet"));
    let ases: Vec<&Row> = ases.iter().filter(of_hybrid).collect();
    let sent = |row: &Row| (whole(row, "as_number"), whole(row, "sent_bytes"), whole(row, "intra_bytes"));
    assert_eq!((sent(ases[0]), sent(ases[1])), ((1, 750_000, 600_000), (2, 0, 0)));
    assert_eq!((field(ases[0], "heavy"), field(ases[1], "heavy")), (&Field::Bool(true), &Field::Bool(false)));
    assert_eq!(*field(ases[1], "country"), Field::Str("BB".into()));
    assert_eq!(*field(ases[0], "symmetry"), Field::Double(1.0));

    let host = rows(&path.join("host.parquet"));
    let host: Vec<&Row> = host.iter().filter(of_hybrid).collect();
    assert_eq!(host.len(), 10);
    assert_eq!((whole(host[4], "cpu_user_ms"), whole(host[4], "engine_released_packets")), (500, 100));
    // The eleventh sample comes after the host's last reading, and still counts.
    assert_eq!(whole(host[9], "engine_released_packets"), 200);
    assert_eq!(*field(host[0], "t_s"), Field::Double(1.001));
}

#[test]
fn a_download_without_a_record_keeps_its_row() {
    let tree = Tree::new();
    let mut record = fixture::record("hybrid", 0);
    record.events.retain(|event| match &event.kind {
        peerbed_contract::EventKind::DownloadFinished(end) => end.download > 1,
        peerbed_contract::EventKind::DownloadStarted { download, .. } => *download != 1,
        _ => true,
    });
    let directory = tree.running("small", 1);
    let path = directory.finish(&[RunOutcome::of(record)], &Ending::Complete).expect("written").path;
    let status: Vec<String> =
        rows(&path.join("downloads.parquet")).iter().map(|row| field(row, "status").to_string()).collect();
    assert_eq!(status, ["\"lost\"", "\"not_started\"", "\"paused\"", "\"failed\""]);
}

#[test]
fn results_of_the_same_second_stand_side_by_side() {
    let tree = Tree::new();
    let (first, second) = (tree.running("small", 1), tree.running("small", 1));
    assert_ne!(first.path(), second.path());
    let outcome = || [RunOutcome::of(fixture::record("hybrid", 0))];
    let second = second.finish(&outcome(), &Ending::Complete).expect("written").path;
    let first = first.finish(&outcome(), &Ending::Complete).expect("written").path;
    assert!(second.ends_with("19700101T000001Z-0123456789-dirty_2"), "{}", second.display());
    assert!(first.join("manifest.json").is_file() && second.join("manifest.json").is_file());
    let third = tree.finished("small", 1);
    assert_eq!(third, "19700101T000001Z-0123456789-dirty_3");
}

#[test]
fn what_is_there_is_never_overwritten_and_what_failed_stays_unfinished() {
    for file in ["metrics.jsonl", "downloads.parquet", "summary.json", "report.html", "manifest.json"] {
        let tree = Tree::new();
        let old = tree.finished("small", 1);
        let directory = tree.running("small", 2);
        let path = directory.path().to_owned();
        fs::write(path.join(file), "precious").expect("written");
        let error = directory
            .finish(&[RunOutcome::of(fixture::record("hybrid", 0))], &Ending::Complete)
            .expect_err("it is there")
            .to_string();
        assert!(error.contains(file), "{error}");
        assert_eq!(text(&path.join(file)), "precious");
        assert_eq!(fs::read_link(tree.root().join("small/latest")).expect("a link"), Path::new(&old));
        let states: Vec<State> = scan(tree.root(), None).expect("readable").iter().map(|entry| entry.state).collect();
        assert_eq!(states, [State::Complete, State::Partial]);
        let hidden = fs::read_dir(&path)
            .expect("a directory")
            .filter(|entry| entry.as_ref().expect("readable").file_name().to_string_lossy().starts_with(".writing"));
        assert_eq!(hidden.count(), 0, "no half file remains");
    }
}

#[test]
fn an_interrupted_experiment_keeps_what_was_measured() {
    let tree = Tree::new();
    let mut record = fixture::record("edge-only", 0);
    record.interrupted = true;
    let plans = [Arc::clone(&record.plan), Arc::new(fixture::plan("hybrid", 0))];
    let directory = ResultsDir::create_at(tree.root(), &plans, identity(), at(1)).expect("made");
    let done = directory.finish(&[RunOutcome::of(record)], &Ending::Interrupted).expect("written");
    assert!(!done.summary.valid && done.summary.interrupted);
    let summary: Value = serde_json::from_str(&text(&done.path.join("summary.json"))).expect("JSON");
    assert_eq!(summary["arms"]["edge-only"]["downloads"]["completed"], 2);
    assert_eq!(summary["arms"]["hybrid"]["invalid_reasons"][0], "only 0 of 1 planned runs were made: interrupted");
    assert!(text(&done.path.join("summary.md")).contains("interrupted"));

    // Ctrl-C before the first run: nothing takes the place of what was measured earlier.
    let latest = done.path.parent().expect("an experiment's directory").join("latest");
    let before = fs::read_link(&latest).expect("a link");
    tree.running(&plans[0].experiment, 2).discard().expect("removed");
    assert_eq!(fs::read_link(&latest).expect("a link"), before);
    tree.running("other", 2).discard().expect("removed");
    assert!(!tree.root().join("other").exists());

    let failed = Ending::Failed("edge-0 could not bind its port".into());
    let failed = tree.running("small", 3).finish(&[], &failed).expect("written");
    let reasons = &failed.summary.arms[0].invalid_reasons;
    assert_eq!(*reasons, ["only 0 of 1 planned runs were made: edge-0 could not bind its port"]);
    assert!(!failed.summary.interrupted);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let tree = Tree::new();
    let create = |experiment: &str, arm: &str| {
        let mut plan = fixture::plan(arm, 0);
        plan.experiment = experiment.into();
        ResultsDir::create_at(tree.root(), &[Arc::new(plan)], identity(), at(1))
    };
    for (experiment, arm) in [("..", "a"), ("a/b", "a"), ("small", "../../a"), ("", "a"), ("small", ".")] {
        assert!(matches!(create(experiment, arm), Err(ResultsError::Name(_))), "{experiment:?} {arm:?}");
    }
    assert!(matches!(ResultsDir::create_at(tree.root(), &[], identity(), at(1)), Err(ResultsError::NoPlans)));
    tree.link_outside("linked");
    let error = create("linked", "a").expect_err("a link").to_string();
    assert!(error.contains("linked"), "{error}");
    assert!(tree.listing() == ["linked"] && tree.outside_listing().len() == 1);
    assert!(create("small", "a").expect("made").logs_dir("..", 0).is_err());
}

#[test]
fn the_fingerprint_depends_on_the_machine_and_not_on_the_code() {
    let of = |change: fn(&mut RunRecord), commit: &str| {
        let mut record = fixture::record("hybrid", 0);
        change(&mut record);
        let identity = Identity { commit: Some(commit.into()), ..identity() };
        Manifest::of(&[Arc::clone(&record.plan)], &[RunOutcome::of(record)], &identity, at(1))
            .fingerprint
            .expect("a hash")
    };
    let here = of(|_| (), "a");
    assert_eq!(here.len(), 16);
    assert_eq!(of(|record| record.interrupted = true, "b"), here);
    assert_ne!(of(|record| record.engine.ends = "packet".into(), "a"), here);
    assert_ne!(of(|record| record.engine.congestion_control = "bbr".into(), "a"), here);
    assert_ne!(of(|record| record.runtime = "docker".into(), "a"), here);
}

#[test]
fn several_runs_have_intervals() {
    let tree = Tree::new();
    let of = |runs: u32| {
        let record = |repeat: u32| {
            let active_ms = 1000 * u64::from(repeat + 1);
            fixture::record_of(
                fixture::plan("hybrid", repeat),
                &[fixture::Told { active_ms, ..fixture::TOLD[0].clone() }],
            )
        };
        let records: Vec<RunRecord> = (0..runs).map(record).collect();
        let plans: Vec<Arc<Plan>> = records.iter().map(|record| Arc::clone(&record.plan)).collect();
        let outcomes: Vec<RunOutcome> = records.into_iter().map(RunOutcome::of).collect();
        let directory = ResultsDir::create_at(tree.root(), &plans, identity(), at(i64::from(runs))).expect("made");
        let done = directory.finish(&outcomes, &Ending::Complete).expect("written");
        let summary: Value = serde_json::from_str(&text(&done.path.join("summary.json"))).expect("JSON");
        summary["arms"]["hybrid"].clone()
    };
    // 8, 4 and 8/3 Mbit/s: draws of one value three times or twice reach the extremes.
    let arm = of(3);
    assert_eq!(arm["speed_mbps"]["p50"], 4);
    assert_eq!(arm["intervals"]["speed_mbps.p50"], serde_json::json!([8.0 / 3.0, 8.0]));
    assert_eq!(arm["intervals"]["downloads.completed"], serde_json::json!([1.0, 1.0]));
    assert_eq!(arm["intervals"]["fluid_bound.last"], Value::Null, "undefined in every run");
    assert_eq!(of(2)["intervals"], Value::Null, "two runs are too few");
}
