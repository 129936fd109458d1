//! What is kept of a sweep that is not finished: each run, whole, as soon as it is over, and by what a later `--resume` knows
//! that it is the same sweep. `runs/<arm>/<repeat>.json` is two lines: a header with the hash of the second, which is the record.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use peerbed_model::Plan;
use serde::{Deserialize, Serialize};

use super::{
    Identity,
    files::{ResultsError, write_json, write_whole},
    layout,
};
use crate::{engine::EngineOptions, host::Machine, record::RunRecord, regular};

/// The version of records and of [`Begun`]; others are not read.
const VERSION: u32 = 1;
/// Larger records are none of ours.
const MOST_BYTES: u64 = 8 << 30;
/// Says what a sweep is, beside its records.
const BEGUN: &str = "begun.json";

/// Says whose a record is, and whether it is whole.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    peerbed_run: u32,
    arm: String,
    repeat: u32,
    /// BLAKE3 of its plan as JSON.
    plan_blake3: String,
    /// BLAKE3 of the line that follows.
    record_blake3: String,
}

/// What must be the same for a sweep to be resumed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    version: u32,
    /// BLAKE3 of all plans.
    plans_blake3: String,
    scale: Option<String>,
    /// Of the first repeat.
    seed: u64,
    arms: Vec<String>,
    repeats: u32,
    identity: Identity,
    runtime: String,
    engine: EngineOptions,
    machine: Option<Machine>,
    /// What else must be the same, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beside: Option<String>,
}

impl Begun {
    /// Of these plans, which are to be run by this program on this runtime.
    pub fn of(
        plans: &[Arc<Plan>],
        identity: &Identity,
        runtime: &str,
        engine: &EngineOptions,
    ) -> Result<Self, ResultsError> {
        let first = plans.first().ok_or(ResultsError::NoPlans)?;
        let mut hasher = blake3::Hasher::new();
        let mut arms: Vec<String> = Vec::new();
        for plan in plans {
            hasher.update(plan_hash(plan)?.as_bytes());
            if !arms.contains(&plan.arm) {
                arms.push(plan.arm.clone());
            }
        }
        Ok(Self {
            version: VERSION,
            plans_blake3: hasher.finalize().to_hex().to_string(),
            scale: first.scale().map(str::to_owned),
            seed: first.seed,
            arms,
            repeats: plans.iter().map(|plan| plan.repeat + 1).max().unwrap_or(0),
            identity: identity.clone(),
            runtime: runtime.to_owned(),
            engine: engine.clone(),
            machine: Machine::read().ok(),
            beside: None,
        })
    }

    /// The same with something else that must be the same.
    #[must_use]
    pub fn with(self, beside: String) -> Self {
        Self { beside: Some(beside), ..self }
    }

    /// What is different in another, in words; nothing if it is the same sweep.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut all = Vec::new();
        let mut differ = |what: &str, one: String, two: String| {
            if one != two {
                all.push(format!("{what}: {two}, now {one}"));
            }
        };
        let or = |text: &Option<String>, without: &str| text.clone().unwrap_or_else(|| without.to_owned());
        differ("scale", or(&self.scale, "none"), or(&other.scale, "none"));
        differ("seed of the first repeat", self.seed.to_string(), other.seed.to_string());
        differ("arms", self.arms.join(", "), other.arms.join(", "));
        differ("repeats", self.repeats.to_string(), other.repeats.to_string());
        differ("runtime", self.runtime.clone(), other.runtime.clone());
        differ("compared", or(&self.beside, "nothing"), or(&other.beside, "nothing"));
        let engine = |begun: &Self| serde_json::to_string(&begun.engine).unwrap_or_else(|error| error.to_string());
        differ("engine", engine(self), engine(other));
        let code = |begun: &Self| {
            let Identity { version, commit, diff_blake3, .. } = &begun.identity;
            let commit = commit.as_ref().map_or("no commit".to_owned(), |commit| format!("commit {commit:.10}"));
            let dirty = diff_blake3.as_ref().map_or(String::new(), |hash| format!(" with the changes {hash:.10}"));
            format!("{commit}{dirty}, version {version}")
        };
        differ("program", code(self), code(other));
        let built = |begun: &Self| {
            let Identity { cargo_lock_blake3, rustc, .. } = &begun.identity;
            format!("{}, Cargo.lock {:.10}", or(rustc, "no rustc"), or(cargo_lock_blake3, "none"))
        };
        differ("built with", built(self), built(other));
        let machine = |begun: &Self| match &begun.machine {
            Some(Machine { kernel, architecture, cpu_model, cores, memory_bytes }) => {
                format!("{cores} cores of {cpu_model}, {} GiB, Linux {kernel} ({architecture})", memory_bytes >> 30)
            }
            None => "unknown".to_owned(),
        };
        differ("machine", machine(self), machine(other));
        if all.is_empty() && self.plans_blake3 != other.plans_blake3 {
            all.push("the experiment or its topology was changed".to_owned());
        }
        all
    }

    /// Writes it into a directory that is begun.
    pub(super) fn write(&self, directory: &Path) -> Result<(), ResultsError> {
        let runs = directory.join(layout::RUNS);
        fs::create_dir_all(&runs).map_err(ResultsError::io(&runs))?;
        write_json(&runs.join(BEGUN), self)
    }

    /// Reads that of a directory; none if it has none that can be understood.
    pub(super) fn read(directory: &Path) -> Option<Self> {
        let text = regular::read(&directory.join(layout::RUNS).join(BEGUN), 16 << 20).ok()?;
        let begun: Self = serde_json::from_slice(&text).ok()?;
        (begun.version == VERSION).then_some(begun)
    }
}

fn plan_hash(plan: &Plan) -> Result<String, ResultsError> {
    let json =
        serde_json::to_vec(plan).map_err(|source| ResultsError::Json { path: PathBuf::from(layout::PLAN), source })?;
    Ok(blake3::hash(&json).to_hex().to_string())
}

fn record_path(directory: &Path, plan: &Plan) -> PathBuf {
    directory.join(layout::RUNS).join(&plan.arm).join(format!("{}.json", plan.repeat))
}

/// Writes the record of a run, whole or not at all, and waits until it is on the disk.
pub(crate) fn keep(directory: &Path, record: &RunRecord) -> Result<(), ResultsError> {
    let plan = &*record.plan;
    let path = record_path(directory, plan);
    let parent = path.parent().unwrap_or(directory);
    fs::create_dir_all(parent).map_err(ResultsError::io(parent))?;
    let json = |source| ResultsError::Json { path: path.clone(), source };
    let body = serde_json::to_vec(record).map_err(json)?;
    let header = Header {
        peerbed_run: VERSION,
        arm: plan.arm.clone(),
        repeat: plan.repeat,
        plan_blake3: plan_hash(plan)?,
        record_blake3: blake3::hash(&body).to_hex().to_string(),
    };
    write_whole(&path, |file| {
        serde_json::to_writer(&mut *file, &header).map_err(json)?;
        let rest = [b"\n", &body[..], b"\n"];
        rest.iter().try_for_each(|part| file.write_all(part)).map_err(ResultsError::io(&path))
    })?;
    // The file is on the disk; its name is when its directory is.
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(ResultsError::io(parent))
}

/// The record of a plan's run, if it is there and whole; in words what is wrong with one that is not.
pub(crate) fn load(directory: &Path, plan: &Arc<Plan>) -> Result<Option<RunRecord>, String> {
    let bytes = match regular::read(&record_path(directory, plan), MOST_BYTES) {
        Err(regular::ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| error.to_string())?,
    };
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("it ends in its first line")?;
    let (header, body) = (&bytes[..end], bytes[end + 1..].strip_suffix(b"\n").ok_or("it is cut off")?);
    let header: Header = serde_json::from_slice(header).map_err(|error| format!("its header: {error}"))?;
    let expected = Header {
        peerbed_run: VERSION,
        arm: plan.arm.clone(),
        repeat: plan.repeat,
        plan_blake3: plan_hash(plan).map_err(|error| error.to_string())?,
        record_blake3: blake3::hash(body).to_hex().to_string(),
    };
    if header.record_blake3 != expected.record_blake3 {
        return Err("it is not what was written: its hash is another".to_owned());
    }
    if header != expected {
        return Err("it is of another plan, or another version wrote it".to_owned());
    }
    let record: RunRecord = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if record.interrupted {
        return Err("the run was ended before its time".to_owned());
    }
    Ok(Some(RunRecord { plan: Arc::clone(plan), ..record }))
}

/// How many runs are kept in a directory, and how many were planned; none if it is not one that can be resumed.
pub(crate) fn progress(directory: &Path) -> Option<(usize, usize)> {
    let begun = Begun::read(directory)?;
    let whole = |arm: &String| {
        let runs = directory.join(layout::RUNS).join(arm);
        (0..begun.repeats).filter(|repeat| regular::is_regular(&runs.join(format!("{repeat}.json")))).count()
    };
    Some((begun.arms.iter().map(whole).sum(), begun.arms.len() * begun.repeats as usize))
}
