//! `manifest.json`: everything that must be known to judge or repeat the results.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use peerbed_model::{Plan, Setting};
use serde::Serialize;

use super::{Identity, Outline, RunOutcome, layout};
use crate::{
    calibrate::Calibrated,
    engine::EngineReport,
    host::Machine,
    reconcile::Validity,
    record::{NodeExit, RunRecord},
};

/// The content of `manifest.json`.
#[derive(Debug, Serialize)]
pub struct Manifest {
    /// The version of the layout.
    pub layout: u32,
    /// The experiment's name.
    pub experiment: String,
    /// What it asks.
    pub question: String,
    /// When it was begun.
    pub created: Timestamp,
    /// When the results were written.
    pub finished: Timestamp,
    /// Which code it was.
    pub identity: Identity,
    /// What carried the nodes; none if no run was made.
    pub runtime: Option<String>,
    /// What else is to be known of that: for `docker` the engine's version, what it can limit, the ids of images that are not
    /// the project's own; nothing for `netns`.
    pub runtime_details: BTreeMap<String, String>,
    /// How the links were made; none if no run was made.
    pub engine: Option<EngineReport>,
    /// TCP's congestion control as planned.
    pub congestion_control: Vec<String>,
    /// The machine; none where it could not be read.
    pub machine: Option<Machine>,
    /// Why the machine could not be read.
    pub machine_unknown_because: Option<String>,
    /// What must be the same for results to be compared, as one hash: runtime, engine and its ends, threads and offloads,
    /// congestion control, kernel, architecture, processor, cores, memory in whole GiB. None where something is unknown.
    pub fingerprint: Option<String>,
    /// Policy parameters by arm, defaults included.
    pub parameters: BTreeMap<String, BTreeMap<String, Setting>>,
    /// What the first run of each arm was to be, by arm.
    pub plans: BTreeMap<String, Outline>,
    /// Every class of links with what was measured of it before the runs; none if that was not wanted.
    pub calibration: Option<Vec<Calibrated>>,
    /// How many of its runs were made earlier and taken over by `--resume`.
    pub runs_taken_over: usize,
    /// The runs that were made, in their order.
    pub runs: Vec<RunEntry>,
}

/// One run in the manifest.
#[derive(Debug, Serialize)]
pub struct RunEntry {
    /// Its arm.
    pub arm: String,
    /// Which repeat, from 0.
    pub repeat: u32,
    /// Its seed.
    pub seed: u64,
    /// Its position among all runs of the experiment, from 0.
    pub order: u32,
    /// The judgement on it.
    pub validity: Validity,
    /// The user ended it early.
    pub interrupted: bool,
    /// When it began.
    pub started: Timestamp,
    /// From the first namespace to the last `ready`.
    pub setup_s: f64,
    /// From the start to the last node's end.
    pub elapsed_s: f64,
    /// From the last node's end until nothing was left.
    pub teardown_s: f64,
    /// The longest that the harness's own one-second tick was late.
    pub tick_late_max_ms: f64,
    /// What carried its nodes.
    pub runtime: String,
    /// How the links were made in this run.
    pub engine: EngineReport,
    /// The same hash as that of the whole, of this run. None where something is unknown.
    pub fingerprint: Option<String>,
    /// Lines that the nodes said.
    pub events: usize,
    /// Nodes that ended otherwise than with exit code 0 after they were asked to stop.
    pub odd_exits: Vec<Exit>,
}

/// The end of a node.
#[derive(Debug, Serialize)]
pub struct Exit {
    /// Which.
    pub node: String,
    /// Seconds since the start of the run.
    pub t_s: f64,
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The plan or the end of the run asked for it.
    pub planned: bool,
}

impl Manifest {
    /// Gathers it all; reads the machine.
    pub fn of(plans: &[Arc<Plan>], outcomes: &[RunOutcome], identity: &Identity, created: Timestamp) -> Self {
        let (machine, machine_unknown_because) = match Machine::read() {
            Ok(machine) => (Some(machine), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let first = outcomes.first().map(RunOutcome::record);
        let print = |record: &RunRecord| machine.as_ref().map(|machine| fingerprint(machine, record));
        let runs = outcomes.iter().map(|outcome| RunEntry { fingerprint: print(outcome.record()), ..entry(outcome) });
        let (runs, fingerprint) = (runs.collect(), first.and_then(print));
        let mut congestion_control: Vec<_> = plans.iter().map(|plan| plan.fabric.congestion_control.clone()).collect();
        congestion_control.sort();
        congestion_control.dedup();
        Self {
            layout: layout::LAYOUT_VERSION,
            experiment: plans.first().map(|plan| plan.experiment.clone()).unwrap_or_default(),
            question: plans.first().map(|plan| plan.question.clone()).unwrap_or_default(),
            created,
            finished: Timestamp::now(),
            identity: identity.clone(),
            runtime: first.map(|record| record.runtime.clone()),
            runtime_details: first.map(|record| record.runtime_details.clone()).unwrap_or_default(),
            engine: first.map(|record| record.engine.clone()),
            congestion_control,
            machine,
            machine_unknown_because,
            fingerprint,
            parameters: plans.iter().map(|plan| (plan.arm.clone(), plan.parameters.clone())).collect(),
            plans: Outline::by_arm(plans),
            calibration: None,
            runs_taken_over: 0,
            runs,
        }
    }
}

fn entry(outcome: &RunOutcome) -> RunEntry {
    let record = outcome.record();
    let odd = |exit: &&NodeExit| !exit.planned || exit.code != Some(peerbed_contract::exit::OK);
    RunEntry {
        arm: record.plan.arm.clone(),
        repeat: record.plan.repeat,
        seed: record.plan.seed,
        order: record.order,
        validity: outcome.validity().clone(),
        interrupted: record.interrupted,
        started: record.started,
        setup_s: record.setup.as_secs_f64(),
        elapsed_s: record.elapsed.as_secs_f64(),
        teardown_s: record.teardown.as_secs_f64(),
        tick_late_max_ms: record.tick_late_max().as_secs_f64() * 1e3,
        runtime: record.runtime.clone(),
        engine: record.engine.clone(),
        fingerprint: None,
        events: record.events.len(),
        odd_exits: record.exits.iter().filter(odd).map(exit).collect(),
    }
}

fn exit(exit: &NodeExit) -> Exit {
    Exit {
        node: exit.node.to_string(),
        t_s: exit.t as f64 / 1e9,
        code: exit.code,
        signal: exit.signal,
        planned: exit.planned,
    }
}

/// What tells this machine, as a run used it, from others.
pub fn fingerprint_of(record: &RunRecord) -> Result<String, crate::host::HostError> {
    Ok(fingerprint(&Machine::read()?, record))
}

fn fingerprint(machine: &Machine, record: &RunRecord) -> String {
    let engine = &record.engine;
    let parts = [
        record.runtime.clone(),
        record.runtime_details.get("docker").cloned().unwrap_or_default(),
        engine.engine.clone(),
        engine.ends.clone(),
        engine.threads.to_string(),
        engine.offloads.clone(),
        engine.congestion_control.clone(),
        machine.kernel.clone(),
        machine.architecture.clone(),
        machine.cpu_model.clone(),
        machine.cores.to_string(),
        (machine.memory_bytes >> 30).to_string(),
    ];
    let hash = blake3::hash(parts.join("\n").as_bytes());
    hash.to_hex()[..16].to_owned()
}
