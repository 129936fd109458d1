//! The `netns` runtime: every node a process in a network namespace of its own, all of them under one agent.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use peerbed_contract::NodeName;
use peerbed_model::{Act, Plan};

use super::{
    Deployment, Doors, NodeFiles, Notices, Progress, Runtime, RuntimeError, Unmet,
    client::Client,
    programs::{self, command_line, position},
    ready,
};
use crate::{
    agent::protocol::{Installed, Notice, Reply, Request, Signal, Spawn},
    doctor,
    engine::{EndsChoice, EngineOptions, EngineReport, Sample},
};

/// Processes in network namespaces.
#[derive(Debug, Clone)]
pub struct Netns {
    /// The program whose `agent` subcommand is the agent.
    pub program: PathBuf,
    /// How the links are made.
    pub options: EngineOptions,
    /// How long the nodes may take from their start until all are ready; none: 10 s and 50 ms for each node.
    pub ready_within: Option<Duration>,
}

impl Default for Netns {
    /// This very program is the agent; the engine chooses for itself.
    fn default() -> Self {
        Self {
            // Still the same program when its file has been replaced by a newer build.
            program: PathBuf::from("/proc/self/exe"),
            options: EngineOptions { ends: EndsChoice::Auto, threads: None },
            ready_within: None,
        }
    }
}

/// A network of namespaces with its nodes.
#[derive(Debug)]
pub struct NetnsDeployment {
    client: Client,
    plan: Arc<Plan>,
    files: NodeFiles,
    doors: Doors,
}

impl NetnsDeployment {
    /// What others need to enter the nodes, as it was after the set-up.
    pub fn doors(&self) -> &Doors {
        &self.doors
    }
}

impl Runtime for Netns {
    type Deployment = NetnsDeployment;

    fn name(&self) -> &'static str {
        "netns"
    }

    fn preflight(&self, plan: &Plan) -> Vec<Unmet> {
        let mut unmet = programs::missing(plan);
        unmet.extend(doctor::unmet(
            &self.program,
            plan.nodes.len(),
            self.options.ends,
            &plan.fabric.congestion_control,
        ));
        unmet
    }

    async fn up(
        &self,
        plan: &Plan,
        files: &NodeFiles,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(NetnsDeployment, Notices), RuntimeError> {
        let spawns = write_files(plan, files)?;
        let (client, mut notices) = Client::start(&self.program, &files.agent_log())?;
        match self.build(plan, spawns, files, &client, &mut notices, progress).await {
            Ok(doors) => {
                let deployment = NetnsDeployment { client, plan: Arc::new(plan.clone()), files: files.clone(), doors };
                Ok((deployment, notices))
            }
            Err(error) => {
                // The first error is the one to tell; the agent ends in any case.
                if let Err(also) = client.end().await {
                    tracing::error!(%also, "the agent did not end in good order");
                }
                Err(error)
            }
        }
    }
}

impl Netns {
    async fn build(
        &self,
        plan: &Plan,
        spawns: Vec<Spawn>,
        files: &NodeFiles,
        client: &Client,
        notices: &mut Notices,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Doors, RuntimeError> {
        let installed = self.install(plan, client, notices, progress).await?;
        let within =
            self.ready_within.unwrap_or(Duration::from_secs(10) + Duration::from_millis(50) * spawns.len() as u32);
        let started: Vec<_> = spawns.into_iter().map(|spawn| client.call(Request::Spawn(spawn))).collect();
        let awaited: BTreeSet<NodeName> = plan.nodes.iter().map(|node| node.name.clone()).collect();
        let mut pids = Vec::with_capacity(started.len());
        for started in started {
            pids.push(spawned(started.await?)?);
        }
        ready::wait(&awaited, within, notices, files, progress).await?;
        Ok(Doors { installed, pids })
    }

    async fn install(
        &self,
        plan: &Plan,
        client: &Client,
        notices: &mut Notices,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Installed, RuntimeError> {
        let request = Request::Install { fabric: Box::new(plan.fabric.clone()), options: self.options.clone() };
        let installed = client.call(request);
        tokio::pin!(installed);
        // What the agent said before it ended tells more than that it ended.
        let mut broken = None;
        loop {
            let reply = tokio::select! {
                biased;
                notice = notices.next(), if broken.is_none() => {
                    match notice {
                        Some(Notice::Progress { made, total }) => {
                            progress(Progress::Hosts { made: made as usize, total: total as usize });
                        }
                        Some(Notice::Broken { message }) => broken = Some(message),
                        Some(_) => {}
                        None => broken = Some("its output ended".to_owned()),
                    }
                    continue;
                }
                reply = &mut installed => reply,
            };
            return match (reply, broken) {
                (Ok(Reply::Installed(installed)), _) => Ok(installed),
                (Ok(other), _) => Err(confused("install", &other)),
                (Err(RuntimeError::Gone(_)), Some(message)) => Err(RuntimeError::Broken(message)),
                (Err(error), _) => Err(error),
            };
        }
    }
}

/// Write each node's configuration and give what starts each node.
fn write_files(plan: &Plan, files: &NodeFiles) -> Result<Vec<Spawn>, RuntimeError> {
    for directory in [&files.configs, &files.logs] {
        fs::create_dir_all(directory).map_err(RuntimeError::file(directory))?;
    }
    let absolute = NodeFiles { configs: absolute(&files.configs)?, logs: absolute(&files.logs)? };
    let mut spawns = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let path = absolute.config(&node.name);
        let config = serde_json::to_vec(&node.config).expect("a configuration has only plain values");
        fs::write(&path, config).map_err(RuntimeError::file(&path))?;
        let log = absolute.log(&node.name);
        spawns.push(Spawn { node: node.name.clone(), argv: command_line(node, &absolute)?, log });
    }
    Ok(spawns)
}

fn absolute(path: &Path) -> Result<PathBuf, RuntimeError> {
    fs::canonicalize(path).map_err(RuntimeError::file(path))
}

fn spawned(reply: Reply) -> Result<u32, RuntimeError> {
    match reply {
        Reply::Spawned { pid } => Ok(pid),
        other => Err(confused("spawn", &other)),
    }
}

fn done(call: &'static str, reply: Reply) -> Result<(), RuntimeError> {
    match reply {
        Reply::Done => Ok(()),
        other => Err(confused(call, &other)),
    }
}

fn confused(call: &'static str, answer: &Reply) -> RuntimeError {
    RuntimeError::Confused { call, answer: format!("{answer:?}").chars().take(200).collect() }
}

impl Deployment for NetnsDeployment {
    fn engine(&self) -> &EngineReport {
        &self.doors.installed.engine
    }

    async fn line(&self, node: &NodeName, line: &str) -> Result<(), RuntimeError> {
        done("line", self.client.call(Request::Line { node: node.clone(), line: line.to_owned() }).await?)
    }

    async fn tell(&self, nodes: &[NodeName], line: &str) -> Vec<(NodeName, RuntimeError)> {
        let request = |node: &NodeName| Request::Line { node: node.clone(), line: line.to_owned() };
        let told: Vec<_> = nodes.iter().map(|node| (node, self.client.call(request(node)))).collect();
        let mut untold = Vec::new();
        for (node, told) in told {
            if let Err(error) = told.await.and_then(|reply| done("line", reply)) {
                untold.push((node.clone(), error));
            }
        }
        untold
    }

    async fn signal(&self, node: &NodeName, signal: Signal) -> Result<(), RuntimeError> {
        done("signal", self.client.call(Request::Signal { node: node.clone(), signal }).await?)
    }

    async fn spawn(&self, node: &NodeName) -> Result<u32, RuntimeError> {
        let planned = &self.plan.nodes[position(&self.plan, node)?];
        let files = NodeFiles { configs: absolute(&self.files.configs)?, logs: absolute(&self.files.logs)? };
        let log = files.log(node);
        let spawn = Spawn { node: node.clone(), argv: command_line(planned, &files)?, log };
        spawned(self.client.call(Request::Spawn(spawn)).await?)
    }

    async fn apply(&self, act: &Act) -> Result<(), RuntimeError> {
        match act {
            Act::Kill { node } => self.signal(node, Signal::Kill).await,
            Act::Freeze { node } => self.signal(node, Signal::Stop).await,
            Act::Thaw { node } => self.signal(node, Signal::Continue).await,
            Act::Restart { node } => {
                match self.signal(node, Signal::Kill).await {
                    // It does not run, which is how a restart usually finds it.
                    Ok(()) | Err(RuntimeError::Refused(_)) => {}
                    Err(error) => return Err(error),
                }
                self.spawn(node).await.map(|_| ())
            }
            Act::SetLink { link, forward, backward, .. } => {
                let request = Request::SetLink { link: *link, forward: *forward, backward: *backward };
                done("set link", self.client.call(request).await?)
            }
            Act::SetAccess { node, up, down } => {
                let request = Request::SetAccess { node: node.clone(), up: *up, down: *down };
                done("set access", self.client.call(request).await?)
            }
        }
    }

    async fn sample(&self) -> Result<Sample, RuntimeError> {
        match self.client.call(Request::Sample).await? {
            Reply::Sample(sample) => Ok(*sample),
            other => Err(confused("sample", &other)),
        }
    }

    async fn down(&self) -> Result<(), RuntimeError> {
        self.client.end().await
    }
}
