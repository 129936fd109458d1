//! The `netns` runtime as a bed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, Instant},
};

use peerbed::{
    engine::EngineOptions,
    runtime::{
        Deployment,
        netns::{Netns, NetnsDeployment},
    },
};
use peerbed_model::Plan;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    bed::Bed,
    support::{GONE_WITHIN, host, left, members, namespaces, netns},
};

pub(crate) struct Namespaces(Netns);

impl Bed for Namespaces {
    const NAME: &'static str = "netns";
    const MANY: usize = 100;
    const SOME: usize = 20;

    type Runtime = Netns;
    /// The namespaces.
    type Standing = BTreeSet<u64>;

    async fn with(options: EngineOptions) -> Self {
        Self(netns(options))
    }

    fn runtime(&self) -> &Netns {
        &self.0
    }

    fn impatient(mut self, within: Duration) -> Self {
        self.0.ready_within = Some(within);
        self
    }

    fn fit(&self, plan: &Plan) -> Plan {
        plan.clone()
    }

    async fn surroundings(&self) -> BTreeMap<String, String> {
        host()
    }

    async fn standing(&self, _: u32, directory: &Path) -> BTreeSet<u64> {
        namespaces(&members(directory))
    }

    fn places(standing: &BTreeSet<u64>) -> usize {
        standing.len()
    }

    async fn assert_gone(&self, _: u32, directory: &Path, standing: BTreeSet<u64>) {
        let deadline = Instant::now() + GONE_WITHIN;
        while let Some(left) = left(directory, &standing) {
            assert!(Instant::now() < deadline, "{left}");
            // What ends with this process's own doing needs its thread.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn kill_agent(&self, deployment: &NetnsDeployment) {
        kill_process(process(deployment.doors().installed.agent_pid), Signal::KILL).unwrap();
    }

    async fn stop(&self, deployment: &NetnsDeployment, position: usize) {
        let process = process(deployment.doors().pids[position]);
        // Waking one that does not stand still is nothing.
        kill_process(process, Signal::CONT).unwrap();
        kill_process(process, Signal::STOP).unwrap();
    }

    async fn go_on(&self, deployment: &NetnsDeployment, position: usize) {
        kill_process(process(deployment.doors().pids[position]), Signal::CONT).unwrap();
    }

    async fn stands_still(&self, deployment: &NetnsDeployment, position: usize) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", deployment.doors().pids[position])).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T')
    }
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(pid as i32).unwrap()
}
