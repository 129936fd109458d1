//! `comparison.json`: what a comparison was to be, written before its first run.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::{
    design::Design,
    effect::Differences,
    floor::{Noise, Place, Same, Store},
    judge::{Case, judge},
    pairs::{self, Pair},
    subject::Subject,
    verdict::Verdict,
};
use crate::{
    regular,
    results::{Results, replace_text},
};

/// The version of the file.
const VERSION: u32 = 1;
/// What was planned.
const PLANNED: &str = "comparison.json";
/// What came of it.
const VERDICT: &str = "verdict.json";
/// More is none of ours.
const MOST_BYTES: u64 = 16 << 20;

/// What a comparison was to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// The version of the file.
    pub version: u32,
    /// The experiment.
    pub experiment: String,
    /// Its scale; none: as the file stands.
    pub scale: Option<String>,
    /// The arm of the base.
    pub arm: String,
    /// The arm of the head.
    pub head_arm: String,
    /// What is compared with.
    pub base: Subject,
    /// What is judged.
    pub head: Subject,
    /// Whole products: the runs of each side were carried by its own harness.
    #[serde(default)]
    pub whole: bool,
    /// Both sides run the same programs in the same arm.
    pub same_programs: bool,
    /// Looks and metrics.
    pub design: Design,
    /// Where it was measured; none: no run was made.
    pub place: Option<Place>,
    /// What was known of the noise there.
    pub noise: Noise,
    /// How it ended, if so that there is nothing to be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// How a comparison ended that is not judged; why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// Nodes of a side were not even ready.
    SubjectFailed(String),
    /// The links were not what was asked for.
    Unfit(Vec<String>),
    /// Something else went wrong.
    Failed(String),
}

impl Planned {
    /// With the version of this program.
    pub const VERSION: u32 = VERSION;

    /// Of results in this directory.
    pub fn read(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join(PLANNED);
        let bytes = regular::read(&path, MOST_BYTES).with_context(|| {
            format!("{}: no results of `peerbed compare`: there is no {PLANNED}", directory.display())
        })?;
        let planned: Self = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
        if planned.version != VERSION {
            bail!("{}: version {}, this program reads {VERSION}", path.display(), planned.version);
        }
        if let Err(why) = planned.design.check() {
            bail!("{}: no design of `peerbed compare`: {why}", path.display());
        }
        Ok(planned)
    }

    /// Writes it into a directory of results.
    pub fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        Ok(replace_text(&directory.join(PLANNED), &text, None)?)
    }

    /// What must be the same for a comparison to go on, beside its plans: programs, looks and metrics.
    pub fn identity(&self) -> String {
        let looks: Vec<String> = self.design.looks.iter().map(ToString::to_string).collect();
        let side = |subject: &Subject| {
            format!("{} ({:.10})", subject.name, blake3::hash(subject.programs.join(" ").as_bytes()).to_hex())
        };
        // Whoever has seen half of the runs must not choose by what they are judged.
        let metrics = serde_json::to_vec(&self.design.metrics).expect("plain values");
        let metrics = blake3::hash(&metrics).to_hex();
        let (head, base) = (side(&self.head), side(&self.base));
        format!("{head} against {base}, looks after {}, metrics and margins {metrics:.10}", looks.join(", "))
    }

    /// Judges the results that came of it, from their files; refused if their runs were not all measured at one place.
    pub fn judge(&self, results: &Results) -> anyhow::Result<Verdict> {
        let pairs = pairs::from_files(results, self.place.as_ref())?;
        Ok(judge(Case { pairs: &pairs, design: &self.design, same_programs: self.same_programs, noise: &self.noise }))
    }

    /// Keeps what these pairs of equal programs say of the noise; gives how many there are.
    pub fn keep(&self, store: &Store, pairs: &[Pair]) -> anyhow::Result<usize> {
        let Some(place) = &self.place else { return Ok(0) };
        let at = jiff::Timestamp::now();
        let usable = pairs.iter().filter(|pair| pair.base.valid() && pair.head.valid());
        let all: Vec<Same> = usable
            .map(|pair| {
                let differences = self.design.metrics.iter().map(|metric| {
                    let found = Differences::on_all(metric, &[pair]).into_iter();
                    let found = found.filter_map(|found| Some((found.scale, *found.values.first()?)));
                    (metric.figure.clone(), found.collect())
                });
                let programs = self.base.programs.join(" ");
                Same { at, place: place.clone(), programs, differences: differences.collect() }
            })
            .collect();
        store.add(&all).with_context(|| format!("cannot write {}", store.path().display()))?;
        Ok(all.len())
    }
}

/// What is in a directory of results if they are of a comparison that was judged.
pub(crate) fn read_verdict(directory: &Path) -> anyhow::Result<Option<(Verdict, Planned)>> {
    let path = verdict_file(directory);
    if !directory.join(PLANNED).exists() || !path.exists() {
        return Ok(None);
    }
    let text = read_text(&path).with_context(|| path.display().to_string())?;
    let verdict = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    Ok(Some((verdict, Planned::read(directory)?)))
}

/// The text of a verdict.
pub(crate) fn read_text(path: &Path) -> Result<String, regular::ReadError> {
    let bytes = regular::read(path, MOST_BYTES)?;
    String::from_utf8(bytes).map_err(|error| regular::ReadError::Io(io::Error::other(error)))
}

/// Whether a directory of results is of a comparison that was not judged.
pub(crate) fn is_unjudged(directory: &Path) -> bool {
    directory.join(PLANNED).exists() && !verdict_file(directory).exists()
}

/// Where the verdict of a directory of results is.
pub fn verdict_file(directory: &Path) -> PathBuf {
    directory.join(VERDICT)
}
