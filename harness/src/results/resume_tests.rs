//! Sweeps that were cut off anywhere, and go on.

use std::{fs, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use peerbed_model::{Act, Plan};

use super::{
    test_tree::{Tree, identity},
    *,
};
use crate::{
    engine::{EndsChoice, EngineOptions},
    fixture,
    record::{Carried, RunRecord},
};

/// Two arms with two repeats each.
fn plans() -> Vec<Arc<Plan>> {
    let plan = |repeat| move |arm: &str| fixture::record(arm, repeat).plan;
    (0..2).flat_map(|repeat| ["edge-only", "hybrid"].map(plan(repeat))).collect()
}

fn begun(plans: &[Arc<Plan>]) -> Begun {
    Begun::of(plans, &identity(), "netns", &EngineOptions::wire(EndsChoice::Auto)).expect("plans")
}

fn record(plan: &Arc<Plan>, order: u32) -> RunRecord {
    let mut record = fixture::record(&plan.arm, plan.repeat);
    record.plan = Arc::clone(plan);
    record.order = order;
    record.host[1].load_1m = 0.1 + 0.2;
    record.acts.push(Carried {
        at: std::time::Duration::from_millis(2_500),
        began_ns: 2_500_000_001,
        done_ns: 2_600_000_000,
        act: Act::Kill { nodes: vec![fixture::name("peer-1")] },
    });
    record
}

/// Begins a sweep in this second, and makes its first runs.
fn begin(tree: &Tree, plans: &[Arc<Plan>], second: i64, runs: usize) -> ResultsDir {
    let created = Timestamp::from_second(second).expect("in range");
    let dir = ResultsDir::create_at(tree.root(), plans, identity(), created).expect("made");
    dir.begin(&begun(plans)).expect("written");
    for (plan, order) in plans.iter().zip(0..).take(runs) {
        fs::write(dir.logs_dir(&plan.arm, plan.repeat).expect("made").join("peer-0.log"), "said").expect("written");
        dir.keep(&record(plan, order)).expect("kept");
    }
    dir
}

fn resumed(tree: &Tree, plans: &[Arc<Plan>]) -> Resumed {
    resume(tree.root(), plans, identity(), &begun(plans)).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(tree: &Tree, plans: &[Arc<Plan>], begun: &Begun) -> String {
    resume(tree.root(), plans, identity(), begun).expect_err("it must be refused").to_string()
}

/// What becomes of the bytes of a record.
type Damage = fn(Vec<u8>) -> Vec<u8>;

/// Everything that a record says.
fn told(record: &RunRecord) -> serde_json::Value {
    serde_json::to_value(record).expect("JSON")
}

fn outcomes(records: &[RunRecord]) -> Vec<RunOutcome> {
    records.iter().cloned().map(RunOutcome::of).collect()
}

fn names(path: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .expect("a directory")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_killed_sweep_goes_on_where_it_was_and_ends_as_if_nothing_had_happened() {
    let (tree, plans) = (Tree::new(), plans());
    let partial = begin(&tree, &plans, 1_000, 3).path().to_owned();
    // The fourth was under way.
    let cut_off = partial.join("logs/hybrid/1");
    fs::create_dir_all(&cut_off).expect("made");
    fs::write(cut_off.join("peer-0.log"), "half").expect("written");

    let Resumed { mut dir, from, records, damaged } = resumed(&tree, &plans);
    assert_eq!((from, dir.path(), damaged.len()), (partial.clone(), &*partial, 0));
    assert!(records.iter().zip(&plans).all(|(record, plan)| Arc::ptr_eq(&record.plan, plan)) && records.len() == 3);
    for (record, order) in records.iter().zip(0..) {
        assert_eq!(told(record), told(&self::record(&record.plan, order)), "what is read back is what was kept");
    }
    assert!(!cut_off.exists(), "what the cut off run left is not mixed with what is made now");
    assert!(partial.join("logs/hybrid/0/peer-0.log").is_file());

    dir.took_over(3);
    let mut all = records;
    all.push(record(&plans[3], 3));
    let done = dir.finish(&outcomes(&all), &Ending::Complete).expect("written");
    assert!(done.summary.valid, "{:?}", done.summary.arms);
    assert!(!names(&done.path).contains(&"runs".to_owned()), "{:?}", names(&done.path));
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(done.path.join("manifest.json")).expect("there")).expect("JSON");
    assert_eq!((&manifest["runs_taken_over"], &manifest["runs"][3]["order"]), (&3.into(), &3.into()));
    let first = all.iter().map(|record| record.started).min().expect("four runs");
    assert_eq!(done.summary.taken_over, Some(TakenOver { runs: 3, of: 4, first }));
    let read = Results::open(&done.path).expect("readable");
    assert_eq!(read.summary().taken_over, done.summary.taken_over);
    let first = first.strftime("%Y-%m-%d %H:%M:%S UTC");
    let told = format!("3 of 4 runs were made before the sweep was interrupted, the first at {first}.");
    for file in ["summary.md", "report.html"] {
        let text = fs::read_to_string(done.path.join(file)).expect("there");
        assert!(text.contains(&told), "{file} lacks: {told}");
    }
    assert!(refused(&tree, &plans, &begun(&plans)).contains("there is nothing of `small` to resume"));
}

#[test]
fn a_directory_whose_files_were_half_made_is_finished_again() {
    let (tree, plans) = (Tree::new(), plans());
    let dir = begin(&tree, &plans, 1_000, 4);
    for name in ["events.jsonl", "downloads.parquet", ".writing-manifest.json", "report.html"] {
        fs::write(dir.path().join(name), "half").expect("written");
    }
    drop(dir);
    let resumed = resumed(&tree, &plans);
    assert_eq!(resumed.records.len(), 4);
    let done = resumed.dir.finish(&outcomes(&resumed.records), &Ending::Complete).expect("nothing is in the way");
    assert!(done.summary.valid && !done.path.join(".writing-manifest.json").exists());
}

#[test]
fn interrupted_results_stay_as_they_are_and_their_whole_runs_are_taken_over_into_new_ones() {
    let (tree, plans) = (Tree::new(), plans());
    let dir = begin(&tree, &plans, 1_000, 2);
    let mut cut = record(&plans[2], 2);
    cut.interrupted = true;
    let records = [record(&plans[0], 0), record(&plans[1], 1), cut];
    let first = dir.finish(&outcomes(&records), &Ending::Interrupted).expect("written");
    assert!(!first.summary.valid && first.summary.interrupted);
    assert_eq!(kept_runs(&first.path), Some((2, 4)));
    let before: Vec<(String, Vec<u8>)> = names(&first.path)
        .into_iter()
        .filter(|name| first.path.join(name).is_file())
        .map(|name| (name.clone(), fs::read(first.path.join(name)).expect("a file")))
        .collect();

    let Resumed { dir, from, records, .. } = resumed(&tree, &plans);
    assert_eq!((&from, records.len()), (&first.path, 2));
    assert_eq!(fs::read(dir.path().join("logs/hybrid/0/peer-0.log")).expect("copied"), b"said");
    // Cut off again before anything was made: both can be taken up, the newer one first.
    drop(dir);
    let Resumed { dir, from, records, .. } = resumed(&tree, &plans);
    assert!(from == dir.path() && records.len() == 2);
    let mut all = records;
    all.extend([record(&plans[2], 2), record(&plans[3], 3)]);
    let second = dir.finish(&outcomes(&all), &Ending::Complete).expect("written");
    assert!(second.summary.valid && second.path != first.path);
    for (name, bytes) in before {
        assert_eq!(fs::read(first.path.join(&name)).expect("still there"), bytes, "{name}");
    }
}

#[test]
fn finished_results_are_not_resumed_twice() {
    let (tree, plans) = (Tree::new(), plans());
    let first = begin(&tree, &plans, 1_000, 2);
    let first =
        first.finish(&outcomes(&[record(&plans[0], 0), record(&plans[1], 1)]), &Ending::Interrupted).expect("written");
    let Resumed { dir, records, .. } = resumed(&tree, &plans);
    let mut all = records;
    all.extend([record(&plans[2], 2), record(&plans[3], 3)]);
    dir.finish(&outcomes(&all), &Ending::Complete).expect("written");
    assert!(!first.path.join("runs").exists() && first.path.join("manifest.json").is_file());
    assert!(refused(&tree, &plans, &begun(&plans)).contains("there is nothing"));
}

#[test]
fn without_a_whole_run_nothing_is_kept_to_resume() {
    let (tree, plans) = (Tree::new(), plans());
    let mut cut = record(&plans[0], 0);
    cut.interrupted = true;
    let done = begin(&tree, &plans, 1_000, 0).finish(&outcomes(&[cut]), &Ending::Interrupted).expect("written");
    assert!(!done.path.join("runs").exists());
}

#[test]
fn a_damaged_record_is_not_believed_and_its_run_is_made_again() {
    let plans = plans();
    let damage: [(&str, Damage); 6] = [
        ("it ends in its first line", |_| Vec::new()),
        ("it ends in its first line", |bytes| bytes[..40].to_vec()),
        ("it is cut off", |bytes| bytes[..bytes.len() - 1].to_vec()),
        ("its hash is another", |bytes| [&bytes[..bytes.len() - 9], &bytes[bytes.len() - 1..]].concat()),
        ("its hash is another", |bytes| {
            String::from_utf8(bytes).expect("text").replace("\"load_1m\"", "\"load_2m\"").into()
        }),
        ("another version wrote it", |bytes| {
            String::from_utf8(bytes).expect("text").replace("\"peerbed_run\":1", "\"peerbed_run\":2").into()
        }),
    ];
    for (why, damage) in damage {
        let tree = Tree::new();
        let dir = begin(&tree, &plans, 1_000, 2);
        let path = dir.path().join("runs/hybrid/0.json");
        drop(dir);
        fs::write(&path, damage(fs::read(&path).expect("kept"))).expect("written");
        let resumed = resumed(&tree, &plans);
        assert_eq!(resumed.records.len(), 1, "{why}");
        assert!(resumed.damaged[0].contains("hybrid #1") && resumed.damaged[0].contains(why), "{:?}", resumed.damaged);
        // Its place is free for the run that is made again.
        resumed.dir.keep(&record(&plans[1], 1)).expect("kept");
    }
    // A run that was cut short is not whole, whoever kept it.
    let tree = Tree::new();
    let dir = begin(&tree, &plans, 1_000, 1);
    dir.keep(&RunRecord { interrupted: true, ..record(&plans[1], 1) }).expect("kept");
    drop(dir);
    assert!(resumed(&tree, &plans).damaged[0].contains("ended before its time"));
    // The record of another run in its place.
    let tree = Tree::new();
    let dir = begin(&tree, &plans, 1_000, 2);
    let runs = dir.path().join("runs");
    drop(dir);
    fs::copy(runs.join("edge-only/0.json"), runs.join("hybrid/0.json")).expect("copied");
    assert!(resumed(&tree, &plans).damaged[0].contains("it is of another plan"));
}

#[test]
fn what_differs_is_named() {
    let (tree, plans) = (Tree::new(), plans());
    drop(begin(&tree, &plans, 1_000, 1));
    let options = EngineOptions::wire(EndsChoice::Auto);
    let other = |change: &dyn Fn(&mut Plan)| -> Vec<Arc<Plan>> {
        let changed = |plan: &Arc<Plan>| {
            let mut plan = Plan::clone(plan);
            change(&mut plan);
            Arc::new(plan)
        };
        plans.iter().map(changed).collect()
    };
    let key = |plans: &[Arc<Plan>]| Begun::of(plans, &identity(), "netns", &options).expect("plans");
    let mut elsewhere = identity();
    elsewhere.commit = Some("f".repeat(40));
    let tun = EngineOptions::wire(EndsChoice::Tun);
    let seeded = other(&|plan| plan.seed += 1);
    let longer = other(&|plan| plan.duration *= 2);
    let scaled = other(&|plan| {
        plan.parameters.insert("scale".into(), peerbed_model::Setting::Text("ci".into()));
    });
    for (plans, begun, difference) in [
        (&seeded, key(&seeded), "seed of the first repeat: 11, now 12"),
        (&scaled, key(&scaled), "scale: none, now ci"),
        (&longer, key(&longer), "the experiment or its topology was changed"),
        (&plans[..2].to_vec(), key(&plans[..2]), "repeats: 2, now 1"),
        (&plans, Begun::of(&plans, &elsewhere, "netns", &options).expect("plans"), "program: commit 0123456789"),
        (&plans, Begun::of(&plans, &identity(), "docker", &options).expect("plans"), "runtime: netns, now docker"),
        (&plans, Begun::of(&plans, &identity(), "netns", &tun).expect("plans"), "engine: "),
    ] {
        let error = refused(&tree, plans, &begun);
        assert!(error.contains(difference) && error.contains(".partial-1970"), "{error}");
    }
    assert!(refused(&Tree::new(), &plans, &begun(&plans)).contains("there is nothing of `small` to resume"));
}

#[test]
fn what_another_machine_began_is_not_gone_on_with() {
    let (tree, plans) = (Tree::new(), plans());
    let path = begin(&tree, &plans, 1_000, 1).path().join("runs/begun.json");
    let was: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("there")).expect("JSON");
    for (field, value, difference) in [
        ("kernel", "6.1.0-other".into(), "Linux 6.1.0-other ("),
        ("architecture", "riscv64".into(), " (riscv64), now "),
        ("cpu_model", "Another 9000".into(), " cores of Another 9000, "),
        ("cores", 4096.into(), "machine: 4096 cores of "),
        ("memory_bytes", (9_u64 << 40).into(), ", 9216 GiB, "),
    ] {
        let mut other = was.clone();
        assert!(std::mem::replace(&mut other["machine"][field], value) != serde_json::Value::Null, "{field}");
        fs::write(&path, other.to_string()).expect("written");
        let error = refused(&tree, &plans, &begun(&plans));
        assert!(error.contains("(machine: ") && error.contains(difference), "{error}");
    }
    fs::write(&path, was.to_string()).expect("written");
    assert_eq!(resumed(&tree, &plans).records.len(), 1);
}

#[test]
fn where_somebody_is_at_work_nothing_is_taken() {
    let (tree, plans) = (Tree::new(), plans());
    let working = begin(&tree, &plans, 1_000, 2);
    assert!(refused(&tree, &plans, &begun(&plans)).contains("somebody is at work in"));
    let path: PathBuf = working.path().to_owned();
    drop(working);
    assert_eq!(resumed(&tree, &plans).from, path);
}
