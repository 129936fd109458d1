//! The pairs of a comparison as its result files tell them. Whoever judges works from these alone, so that a verdict can be
//! made again from files.

use std::collections::BTreeMap;

use peerbed_contract::{DownloadRecord, TerminalStatus};
use serde::Deserialize;

use super::{BASE, HEAD, floor::Place};
use crate::{
    engine::EngineReport,
    metrics::{Download, FIGURES, Figures, Value, speed_mbps},
    results::{ReadError, Results, RunDetail, RunOutcome},
};

/// A base run and a head run with the same seed.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Its number, from 0; the repeat of both runs.
    pub number: u32,
    /// The run of the base.
    pub base: Run,
    /// The run of the head.
    pub head: Run,
}

/// One run, as far as comparing wants it.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its figures.
    pub figures: Figures,
    /// Numerators and denominators of figures that are quotients, by figure.
    pub totals: BTreeMap<&'static str, (f64, f64)>,
    /// Speeds of the downloads that were started, Mbit/s; 0 for one that did not complete.
    pub speeds: Vec<f64>,
    /// Why it cannot be believed; nothing if it can.
    pub reasons: Vec<String>,
    /// Nodes of the subject that ended when nobody had asked them to, and how.
    pub deaths: Vec<String>,
    /// How long it took with everything around it, in seconds.
    pub seconds: f64,
}

/// Why there are no pairs.
#[derive(Debug, thiserror::Error)]
pub enum PairsError {
    /// The files could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its runs were not all measured at one place; a sentence on two that differ.
    #[error("the runs cannot be compared: {0}: measure both at one place")]
    Apart(String),
}

/// Of the manifest, what is said of each run.
#[derive(Debug, Deserialize)]
struct Runs {
    runs: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    arm: String,
    repeat: u32,
    setup_s: f64,
    elapsed_s: f64,
    teardown_s: f64,
    engine: EngineReport,
    // Earlier versions did not say these two of each run.
    #[serde(default)]
    runtime: Option<String>,
    #[serde(default)]
    fingerprint: Option<String>,
    odd_exits: Vec<Exit>,
}

#[derive(Debug, Deserialize)]
struct Exit {
    node: String,
    code: Option<i32>,
    signal: Option<i32>,
    planned: bool,
}

impl Run {
    /// Whether it can be believed.
    pub fn valid(&self) -> bool {
        self.reasons.is_empty()
    }
}

impl Entry {
    fn named(&self) -> String {
        format!("run {} of {}", self.repeat + 1, self.arm)
    }

    /// What must be the same in all runs of a comparison, beside what its arms say themselves.
    fn carried_by(&self) -> [(&'static str, String); 5] {
        let EngineReport { engine, ends, threads, offloads, .. } = &self.engine;
        let runtime = self.runtime.as_deref().unwrap_or("that is not told");
        [
            ("engine", engine.clone()),
            ("runtime", runtime.to_owned()),
            ("ends of links", ends.clone()),
            ("threads of the engine:", threads.to_string()),
            ("offloads", offloads.clone()),
        ]
    }

    /// What two runs were carried by, if it was not the same; a sentence.
    fn apart(&self, other: &Self) -> Option<String> {
        let both = self.carried_by().into_iter().zip(other.carried_by());
        let differing = both.into_iter().find(|((_, one), (_, two))| one != two);
        let (one, two) = (self.named(), other.named());
        if let Some(((what, this), (_, that))) = differing {
            return Some(format!("{one} was carried by {what} {this} and {two} by {what} {that}"));
        }
        let congestion = [self, other].map(|entry| &entry.engine.congestion_control);
        // Arms may have different ones on purpose, and then their hashes differ too.
        if congestion[0] != congestion[1] {
            return (self.arm == other.arm)
                .then(|| format!("{one} has congestion control {} and {two} has {}", congestion[0], congestion[1]));
        }
        let [this, that] = [self, other].map(|entry| entry.fingerprint.as_deref().unwrap_or("unknown"));
        (this != that).then(|| format!("{one} is of a machine with fingerprint {this} and {two} of one with {that}"))
    }
}

/// Refuses runs that were not all measured at one place, and at another than that whose noise is known.
fn at_one_place(entries: &[Entry], place: Option<&Place>) -> Result<(), PairsError> {
    let Some(first) = entries.first() else { return Ok(()) };
    let first_of = |arm: &str| entries.iter().find(|entry| entry.arm == arm);
    for entry in entries {
        let of_its_arm = first_of(&entry.arm).and_then(|first| first.apart(entry));
        if let Some(why) = first.apart(entry).or(of_its_arm) {
            return Err(PairsError::Apart(why));
        }
    }
    let of_noise = place.map(|place| place.fingerprint.as_str());
    match (of_noise, first_of(BASE)) {
        (Some(of_noise), Some(Entry { fingerprint: Some(found), .. })) if of_noise != found => {
            Err(PairsError::Apart(format!(
                "those of base are of a machine with fingerprint {found}, and comparison.json has the noise of {of_noise}"
            )))
        }
        _ => Ok(()),
    }
}

/// Every pair of which both runs were made, in order. Refused if they were not all made at one place, or at another than
/// `place`, whose noise they are judged by.
pub fn from_files(results: &Results, place: Option<&Place>) -> Result<Vec<Pair>, PairsError> {
    let entries = results.manifest::<Runs>()?.runs;
    at_one_place(&entries, place)?;
    let metrics = results.metrics(|name| FIGURES.iter().any(|figure| figure.metric() == name))?;
    let downloads = results.downloads()?;
    let run = |arm: &str, detail: &RunDetail| {
        let ours = metrics.iter().filter(|row| row.arm == arm && row.repeat == detail.repeat && row.labels.is_empty());
        let totals = ours.filter_map(|row| {
            let figure = FIGURES.iter().find(|figure| figure.metric() == row.name)?;
            Some((figure.key, (row.numerator?, row.denominator?)))
        });
        let rows =
            downloads.rows().filter(|row| row.is_of(arm, detail.repeat) && row.text("status") != Some("not_started"));
        let speeds = rows.map(|row| match row.text("status") {
            Some("completed") => row.number("speed_mbps").unwrap_or(0.0),
            _ => 0.0,
        });
        let entry = entries.iter().find(|entry| entry.arm == arm && entry.repeat == detail.repeat);
        let unplanned = |entry: &Entry| entry.odd_exits.iter().filter(|exit| !exit.planned).map(death).collect();
        Run {
            figures: detail.figures.clone(),
            totals: totals.collect(),
            speeds: speeds.collect(),
            reasons: detail.invalid_reasons.clone(),
            deaths: entry.map(unplanned).unwrap_or_default(),
            seconds: entry.map_or(0.0, |entry| entry.setup_s + entry.elapsed_s + entry.teardown_s),
        }
    };
    let of = |name: &str| results.summary().arms.iter().find(|arm| arm.arm == name);
    let (Some(base), Some(head)) = (of(BASE), of(HEAD)) else { return Ok(Vec::new()) };
    let mut pairs: Vec<Pair> = Vec::new();
    for detail in &base.runs_detail {
        if let Some(other) = head.runs_detail.iter().find(|other| other.repeat == detail.repeat) {
            pairs.push(Pair { number: detail.repeat, base: run(BASE, detail), head: run(HEAD, other) });
        }
    }
    pairs.sort_by_key(|pair| pair.number);
    Ok(pairs)
}

fn death(exit: &Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("{} ended with code {code}", exit.node),
        (None, Some(signal)) => format!("{} was ended by signal {signal}", exit.node),
        (None, None) => format!("{} ended", exit.node),
    }
}

/// The same of runs that are not written yet.
pub fn from_outcomes(outcomes: &[RunOutcome]) -> Vec<Pair> {
    let of = |arm: &'static str| outcomes.iter().filter(move |outcome| outcome.record().plan.arm == arm);
    let repeat = |outcome: &RunOutcome| outcome.record().plan.repeat;
    let pairs = of(BASE).filter_map(|base| {
        let head = of(HEAD).find(|head| repeat(head) == repeat(base))?;
        Some(Pair { number: repeat(base), base: run(base), head: run(head) })
    });
    let mut pairs: Vec<Pair> = pairs.collect();
    pairs.sort_by_key(|pair| pair.number);
    pairs
}

fn run(outcome: &RunOutcome) -> Run {
    let record = outcome.record();
    let totals = FIGURES.iter().filter_map(|figure| match outcome.metrics().get(figure.metric())?.value {
        Value::Proportion { numerator, denominator, .. } => Some((figure.key, (numerator as f64, denominator as f64))),
        Value::Ratio { numerator, denominator, .. } => Some((figure.key, (numerator, denominator))),
        Value::Distribution { .. } | Value::Count { .. } => None,
    });
    let view = outcome.view();
    let completed = |record: &&DownloadRecord| record.status == TerminalStatus::Completed;
    let speed = |download: &Download<'_>| download.record().filter(completed).and_then(speed_mbps).unwrap_or(0.0);
    let speeds = view.downloads.values().filter(|download| download.started > 0).map(speed);
    let deaths =
        record.exits.iter().filter(|exit| !exit.planned).map(|exit| {
            death(&Exit { node: exit.node.to_string(), code: exit.code, signal: exit.signal, planned: false })
        });
    Run {
        figures: outcome.figures().clone(),
        totals: totals.collect(),
        speeds: speeds.collect(),
        reasons: outcome.validity().reasons().to_vec(),
        deaths: deaths.collect(),
        seconds: (record.setup + record.elapsed + record.teardown).as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf, sync::Arc};

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        fixture,
        results::{Ending, ResultsDir, test_tree::identity},
    };

    /// Results of four pairs.
    struct Written {
        _directory: tempfile::TempDir,
        path: PathBuf,
        manifest: Value,
    }

    impl Written {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let record = |pair: u32| [BASE, HEAD].map(|side| fixture::record(side, pair));
            let outcomes: Vec<RunOutcome> = (0..4).flat_map(record).map(RunOutcome::of).collect();
            let plans: Vec<_> = outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect();
            let dir = ResultsDir::create(directory.path(), &plans, identity()).expect("made");
            let path = dir.finish(&outcomes, &Ending::Complete).expect("written").path;
            let manifest = fs::read(path.join("manifest.json")).expect("readable");
            Self { _directory: directory, path, manifest: serde_json::from_slice(&manifest).expect("JSON") }
        }

        /// With another manifest than was written.
        fn changed(&self, change: impl FnOnce(&mut Value)) -> Results {
            let mut manifest = self.manifest.clone();
            change(&mut manifest);
            fs::write(self.path.join("manifest.json"), manifest.to_string()).expect("written");
            Results::open(&self.path).expect("readable")
        }
    }

    fn place(fingerprint: &str) -> Place {
        Place {
            experiment: "small".into(),
            scale: None,
            arm: "hybrid".into(),
            fingerprint: fingerprint.into(),
            engine: "wire".into(),
            runtime: "netns".into(),
            plan: "89ab".into(),
        }
    }

    #[test]
    fn runs_of_one_place_are_pairs() {
        let written = Written::new();
        let results = written.changed(|manifest| {
            assert_eq!(manifest["runs"][5]["runtime"], "netns");
            assert_eq!(manifest["runs"][5]["fingerprint"], manifest["fingerprint"]);
        });
        assert_eq!(from_files(&results, None).expect("pairs").len(), 4);
        let found = results.manifest::<Runs>().expect("runs").runs[0].fingerprint.clone().expect("a hash");
        assert_eq!(from_files(&results, Some(&place(&found))).expect("pairs").len(), 4);
        let other = from_files(&results, Some(&place("ffff"))).expect_err("another machine's noise").to_string();
        assert!(other.contains(&format!("fingerprint {found}, and comparison.json has the noise of ffff")), "{other}");
        // As earlier versions wrote it.
        let earlier = written.changed(|manifest| {
            for run in manifest["runs"].as_array_mut().expect("runs") {
                let run = run.as_object_mut().expect("a run");
                assert!(run.remove("runtime").is_some() && run.remove("fingerprint").is_some());
            }
        });
        assert_eq!(from_files(&earlier, Some(&place("ffff"))).expect("pairs").len(), 4);
        // Arms may have different congestion controls, and then their hashes differ.
        let controls = written.changed(|manifest| {
            for run in manifest["runs"].as_array_mut().expect("runs").iter_mut().filter(|run| run["arm"] == HEAD) {
                run["engine"]["congestion_control"] = json!("reno");
                run["fingerprint"] = json!("89ab");
            }
        });
        assert_eq!(from_files(&controls, None).expect("pairs").len(), 4);
    }

    #[test]
    fn runs_of_different_places_are_refused_with_the_difference() {
        let written = Written::new();
        for (path, value, why) in [
            ("/engine/engine", json!("tc"), "run 1 of base was carried by engine wire and run 3 of head by engine tc"),
            ("/runtime", json!("docker"), "carried by runtime netns and run 3 of head by runtime docker"),
            ("/runtime", json!(null), "carried by runtime netns and run 3 of head by runtime that is not told"),
            ("/engine/ends", json!("packet"), "carried by ends of links tun and run 3 of head by ends of links packet"),
            ("/engine/threads", json!(1), "by threads of the engine: 2 and run 3 of head by threads of the engine: 1"),
            ("/engine/offloads", json!(""), "carried by offloads tso4 and run 3 of head by offloads "),
            (
                "/engine/congestion_control",
                json!("reno"),
                "run 1 of head has congestion control cubic and run 3 of head has reno",
            ),
            ("/fingerprint", json!("89ab"), " and run 3 of head of one with 89ab"),
            ("/fingerprint", json!(null), " and run 3 of head of one with unknown"),
        ] {
            let results = written.changed(|manifest| {
                let run = &mut manifest["runs"][5];
                assert_eq!((&run["arm"], &run["repeat"]), (&json!(HEAD), &json!(2)));
                *run.pointer_mut(path).expect(path) = value;
            });
            let error = from_files(&results, None).expect_err(path).to_string();
            assert!(error.starts_with("the runs cannot be compared: run 1 of ") && error.contains(why), "{error}");
            assert!(error.ends_with(": measure both at one place"), "{error}");
        }
    }
}
