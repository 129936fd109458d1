//! What one run left behind: made by the run loop, read by metrics, reconciliation and the results writer, and kept on disk as
//! JSON while a sweep is not finished.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use peerbed_contract::{Event, NodeName};
use peerbed_model::{Act, Plan};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    engine::{EngineReport, Sample},
    host::HostSample,
};

/// One run: one execution of one arm of a plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// What was to be done.
    #[serde(serialize_with = "write_plan", deserialize_with = "read_plan")]
    pub plan: Arc<Plan>,
    /// Its position among all runs of the experiment, from 0.
    pub order: u32,
    /// When it began, wall clock.
    pub started: jiff::Timestamp,
    /// `CLOCK_MONOTONIC` at the start, nanoseconds; events count from it.
    pub epoch_ns: u64,
    /// From the start to the last node's end.
    pub elapsed: Duration,
    /// From the first namespace to the last `ready`.
    pub setup: Duration,
    /// From the last node's end until nothing was left.
    pub teardown: Duration,
    /// `netns` or `docker`.
    pub runtime: String,
    /// What else is to be known of it: the version of the engine, what its images are.
    pub runtime_details: BTreeMap<String, String>,
    /// How the links were made.
    pub engine: EngineReport,
    /// Everything the nodes said, in order of arrival.
    pub events: Vec<Event>,
    /// What the timeline did, in order.
    pub acts: Vec<Carried>,
    /// Every node process that ended, planned or not.
    pub exits: Vec<NodeExit>,
    /// Counters: one at the start, one a second, one after the last node's end.
    pub samples: Vec<Sample>,
    /// The machine itself: one at the start, one a second, one at the end.
    pub host: Vec<HostSample>,
    /// How late the harness's own tick was at which each sample of the host was read; the first and the last are not on a tick.
    pub tick_late: Vec<Duration>,
    /// What the run loop saw that makes the run untrustworthy, one sentence each.
    pub faults: Vec<String>,
    /// The user ended it early.
    pub interrupted: bool,
}

impl RunRecord {
    /// The latest of the harness's own one-second ticks.
    pub fn tick_late_max(&self) -> Duration {
        self.tick_late.iter().copied().max().unwrap_or_default()
    }
}

fn write_plan<S: Serializer>(plan: &Arc<Plan>, serializer: S) -> Result<S::Ok, S::Error> {
    plan.serialize(serializer)
}

fn read_plan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Plan>, D::Error> {
    Plan::deserialize(deserializer).map(Arc::new)
}

/// Something that the timeline did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    /// When it was planned.
    pub at: Duration,
    /// When it was begun, nanoseconds since the start of the run.
    pub began_ns: u64,
    /// When it was done.
    pub done_ns: u64,
    /// What.
    pub act: Act,
}

impl Carried {
    /// When it was begun, in seconds.
    pub fn began_s(&self) -> f64 {
        self.began_ns as f64 / 1e9
    }
}

/// The end of a node's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeExit {
    /// Which.
    pub node: NodeName,
    /// Nanoseconds since the start of the run.
    pub t: u64,
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The plan or the run loop asked for it (timeline kill, stop at the end).
    pub planned: bool,
}
