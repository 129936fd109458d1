//! What a report is made of: finished results as their files tell them, one directory or several side by side.

use std::{collections::BTreeMap, path::Path};

use peerbed_model::Setting;
use serde::Deserialize;
use serde_json::Value;

use super::rows::heading;
use crate::results::{ArmSummary, Deed, MetricRow, Outline, Read, ReadError, Results, Summary, TakenOver};

/// Names of metrics that figures are drawn from.
const BY_AS: &str = "peer_bytes_between";

/// The results that a report shows together.
#[derive(Debug)]
pub struct Source {
    pub(super) sets: Vec<Set>,
}

/// One directory of results.
#[derive(Debug)]
pub(super) struct Set {
    /// The letter that tells it from the others; nothing where it is alone.
    pub(super) label: Option<String>,
    pub(super) summary: Summary,
    pub(super) manifest: Manifest,
    /// The manifest as it stands.
    pub(super) manifest_text: String,
    pub(super) downloads: Read,
    pub(super) series: Read,
    pub(super) ases: Option<Read>,
    pub(super) metrics: Vec<MetricRow>,
    pub(super) deeds: Vec<Deed>,
}

/// Of the manifest, what a report speaks of.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    #[serde(default)]
    pub(super) machine: Option<Machine>,
    #[serde(default)]
    pub(super) fingerprint: Option<String>,
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, BTreeMap<String, Setting>>,
    #[serde(default)]
    pub(super) plans: BTreeMap<String, Outline>,
    #[serde(default)]
    pub(super) calibration: Option<Vec<Calibrated>>,
    #[serde(default)]
    pub(super) runs_taken_over: usize,
    #[serde(default)]
    pub(super) runs: Vec<Begun>,
}

/// A run in the manifest.
#[derive(Debug, Deserialize)]
pub(super) struct Begun {
    pub(super) started: jiff::Timestamp,
}

/// The machine that it was measured on.
#[derive(Debug, Deserialize)]
pub(super) struct Machine {
    pub(super) kernel: String,
    pub(super) cpu_model: String,
    pub(super) cores: usize,
    pub(super) memory_bytes: u64,
}

/// A class of links that was calibrated.
#[derive(Debug, Deserialize)]
pub(super) struct Calibrated {
    pub(super) place: crate::calibrate::Place,
    pub(super) users: Vec<String>,
    pub(super) cached: bool,
    pub(super) findings: Vec<Finding>,
}

impl Calibrated {
    /// What was not measured of it, as where a link is faster than can be filled here.
    pub(super) fn unmeasured(&self) -> Vec<&'static str> {
        crate::calibrate::unmeasured(|what| self.findings.iter().any(|finding| finding.what == what))
    }
}

/// One quantity of it.
#[derive(Debug, Deserialize)]
pub(super) struct Finding {
    pub(super) what: String,
    pub(super) unit: String,
    pub(super) asked: f64,
    pub(super) got: f64,
    pub(super) tolerance: f64,
    pub(super) good: bool,
}

/// One arm of one set, as it is a column of tables and a series of pictures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column<'a> {
    pub(super) set: &'a Set,
    pub(super) arm: &'a ArmSummary,
    /// Its place among all columns, and so its look.
    pub(super) look: usize,
}

impl Source {
    /// Reads one directory, or several to show side by side.
    pub fn read(paths: &[&Path]) -> Result<Self, ReadError> {
        let mut sets = paths.iter().map(|path| Set::read(path)).collect::<Result<Vec<_>, _>>()?;
        if sets.len() > 1 {
            sets.iter_mut().enumerate().for_each(|(place, set)| set.label = Some(letter(place)));
        }
        Ok(Self { sets })
    }

    /// Every arm of every set, the same arm of all sets together: in the order of the first set, then what only later ones have.
    pub(super) fn columns(&self) -> Vec<Column<'_>> {
        let mut names: Vec<&str> = Vec::new();
        for arm in self.sets.iter().flat_map(|set| &set.summary.arms) {
            if !names.contains(&arm.arm.as_str()) {
                names.push(&arm.arm);
            }
        }
        let of = |name: &str| {
            let all = self.sets.iter().flat_map(|set| set.summary.arms.iter().map(move |arm| (set, arm)));
            all.filter(|(_, arm)| arm.arm == name).collect::<Vec<_>>()
        };
        let all = names.into_iter().flat_map(of);
        all.enumerate().map(|(look, (set, arm))| Column { set, arm, look }).collect()
    }

    /// Which results the letters are: nothing where there is one.
    pub(super) fn legend(&self) -> Vec<(&str, String)> {
        let one = self.sets.windows(2).all(|pair| pair[0].summary.experiment == pair[1].summary.experiment);
        self.sets.iter().filter_map(|set| Some((set.label.as_deref()?, set.identity(!one)))).collect()
    }

    /// Whether everything in it can be believed.
    pub(super) fn valid(&self) -> bool {
        self.sets.iter().all(|set| set.summary.valid)
    }
}

impl Set {
    fn read(path: &Path) -> Result<Self, ReadError> {
        let results = Results::open(path)?;
        let whole: Value = results.manifest()?;
        let set = Self {
            label: None,
            summary: results.summary().clone(),
            manifest: results.manifest()?,
            // It was JSON a moment ago.
            manifest_text: serde_json::to_string_pretty(&whole).unwrap_or_default(),
            downloads: results.downloads()?,
            series: results.series()?,
            ases: results.ases()?,
            metrics: results.metrics(|name| name == BY_AS)?,
            deeds: results.deeds()?,
        };
        match set.mixed(&whole) {
            Some(why) => Err(ReadError::Mixed { path: path.to_owned(), why }),
            None => Ok(set),
        }
    }

    /// What shows that its files are not of the same results.
    fn mixed(&self, manifest: &Value) -> Option<String> {
        let summary = &self.summary;
        let created = manifest["created"].as_str().and_then(|text| text.parse().ok());
        if manifest["experiment"].as_str() != Some(summary.experiment.as_str()) || created != Some(summary.created) {
            return Some("the manifest is not that of the summary".to_owned());
        }
        let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
        for arm in self.downloads.rows().filter_map(|row| row.text("arm")) {
            *rows.entry(arm).or_default() += 1;
        }
        for arm in &summary.arms {
            let (found, counted) = (rows.remove(arm.arm.as_str()).unwrap_or(0), arm.downloads_total.planned);
            if found != counted {
                return Some(format!("the table has {found} downloads of arm {}, the summary {counted}", arm.arm));
            }
        }
        rows.keys().next().map(|arm| format!("the table has an arm {arm}, the summary has not"))
    }

    /// `commit 0123456789-dirty, begun 2026-11-29 01:32:47 UTC`.
    fn identity(&self, with_experiment: bool) -> String {
        let time = self.summary.created.strftime("%Y-%m-%d %H:%M:%S UTC");
        let commit = self.summary.commit.as_ref().map_or("no commit".to_owned(), |commit| {
            let dirty = if self.summary.dirty { "-dirty" } else { "" };
            format!("commit {}{dirty}", commit.chars().take(10).collect::<String>())
        });
        let experiment = if with_experiment { format!("{}, ", self.summary.experiment) } else { String::new() };
        format!("{experiment}{commit}, begun {time}")
    }

    /// What was made of it before it was interrupted and resumed.
    pub(super) fn taken_over(&self) -> Option<TakenOver> {
        TakenOver::of(self.manifest.runs_taken_over, self.manifest.runs.iter().map(|run| run.started))
    }
}

/// `A` for the first, … `Z`, `A2`, ….
fn letter(place: usize) -> String {
    let letter = char::from(b'A' + (place % 26) as u8);
    let round = place / 26 + 1;
    if round > 1 { format!("{letter}{round}") } else { letter.to_string() }
}

impl Column<'_> {
    /// How it is headed.
    pub(super) fn name(&self) -> String {
        match &self.set.label {
            Some(label) => format!("{} · {label}", heading(self.arm)),
            None => heading(self.arm),
        }
    }

    /// What an AS is called: its name in the topology where that is known.
    pub(super) fn as_name(&self, number: u64) -> String {
        let rows = self.set.ases.iter().flat_map(Read::rows);
        let mut of_it = rows.filter(|row| row.whole("as_number") == Some(number));
        of_it.find_map(|row| row.text("name")).map_or_else(|| format!("AS{number}"), str::to_owned)
    }

    /// What the timeline did in the first run of which there is anything.
    pub(super) fn deeds(&self) -> Vec<Deed> {
        let first = self.arm.runs_detail.iter().map(|run| run.repeat).min();
        let ours = self.set.deeds.iter().filter(|deed| deed.arm == self.arm.arm && Some(deed.repeat) == first);
        ours.cloned().collect()
    }

    /// `in 3 runs`.
    pub(super) fn runs(&self) -> usize {
        self.arm.runs_detail.len()
    }
}
