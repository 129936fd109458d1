//! The `netns` runtime: every node a process in a network namespace of its own, all of them under one agent.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc, time::Duration};

use peerbed_contract::{NodeName, Place};
use peerbed_model::Plan;

use super::{
    Deployment, Doors, Launch, NodeFiles, Notices, Progress, Runtime, RuntimeError, Unmet, calls,
    calls::{confused, done},
    client::Client,
    config_at,
    fit::unfit_for_tc,
    programs::{self, Programs, position},
    ready,
};
use crate::{
    agent::{
        probe::{self, Inside},
        protocol::{Reply, Request, Signal, Spawn},
    },
    doctor,
    engine::{EngineChoice, EngineOptions},
};

/// Processes in network namespaces.
#[derive(Debug, Clone)]
pub struct Netns {
    program: PathBuf,
    launch: Launch,
    options: EngineOptions,
    programs: Programs,
    /// How long the nodes may take from their start until all are ready; none: 10 s and 50 ms for each node.
    pub ready_within: Option<Duration>,
}

impl Netns {
    /// `program agent` is the agent.
    pub fn new(program: PathBuf, options: EngineOptions) -> Self {
        let (launch, programs) = (Launch::process(program.clone()), Programs::default());
        Self { launch, program, options, programs, ready_within: None }
    }

    /// The same with other programs of the nodes.
    #[must_use]
    pub fn running(self, programs: Programs) -> Self {
        Self { programs, ..self }
    }

    /// This very program is the agent.
    pub fn with(options: EngineOptions) -> Self {
        // Still the same program when its file has been replaced by a newer build.
        Self::new(PathBuf::from("/proc/self/exe"), options)
    }

    /// What an agent may do here.
    pub(crate) fn look(&self, congestion_control: &str) -> Result<Inside, RuntimeError> {
        probe::ask(&self.program, congestion_control)
            .map_err(|error| RuntimeError::Refused(format!("the agent cannot have namespaces of its own: {error}")))
    }
}

/// A network of namespaces with its nodes.
#[derive(Debug)]
pub struct NetnsDeployment {
    client: Client,
    plan: Arc<Plan>,
    programs: Programs,
    files: NodeFiles,
    doors: Doors,
}

impl Runtime for Netns {
    type Deployment = NetnsDeployment;

    fn name(&self) -> &'static str {
        "netns"
    }

    fn launch(&self) -> &Launch {
        &self.launch
    }

    fn options(&self) -> &EngineOptions {
        &self.options
    }

    async fn preflight(&self, plan: &Plan) -> Vec<Unmet> {
        let mut unmet = self.programs.missing(plan);
        unmet.extend(programs::images(plan));
        unmet.extend(doctor::unmet(&self.program, plan, &self.options));
        // If nobody can look, that was said.
        let by_kernel = self.options.engine == EngineChoice::Tc;
        if let Some(Ok(inside)) = by_kernel.then(|| self.look(&plan.fabric.congestion_control)) {
            unmet.extend(unfit_for_tc(plan, &inside.kernel_engine));
        }
        unmet
    }

    async fn up(
        &self,
        plan: &Plan,
        files: &NodeFiles,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(NetnsDeployment, Notices), RuntimeError> {
        let spawns = spawns(plan, &self.programs, files)?;
        let (client, mut notices) = self.launch.start(&files.agent_log()).await?;
        match self.build(plan, spawns, files, &client, &mut notices, progress).await {
            Ok(doors) => {
                let (plan, programs, files) = (Arc::new(plan.clone()), self.programs.clone(), files.clone());
                let deployment = NetnsDeployment { client, plan, programs, files, doors };
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
        let installed = calls::install(plan, &self.options, client, notices, progress).await?;
        let within =
            self.ready_within.unwrap_or(Duration::from_secs(10) + Duration::from_millis(50) * spawns.len() as u32);
        let started: Vec<_> = spawns.into_iter().map(|spawn| client.call(Request::Spawn(spawn))).collect();
        let awaited: BTreeSet<NodeName> = plan.present().map(|node| node.name.clone()).collect();
        let mut pids = Vec::with_capacity(started.len());
        for started in started {
            pids.push(spawned(started.await?)?);
        }
        ready::wait(&awaited, within, notices, files, progress).await?;
        Ok(Doors { installed, pids, container: None })
    }
}

/// Write each node's configuration and give what starts each node that is there from the start.
fn spawns(plan: &Plan, programs: &Programs, files: &NodeFiles) -> Result<Vec<Spawn>, RuntimeError> {
    let files = files.written(plan)?;
    let spawn = |node| {
        Ok(Spawn {
            argv: programs.command_line(node, &files)?,
            log: Some(files.log(&node.name)),
            node: node.name.clone(),
        })
    };
    plan.present().map(spawn).collect()
}

fn spawned(reply: Reply) -> Result<u32, RuntimeError> {
    match reply {
        Reply::Spawned { pid } => Ok(pid),
        other => Err(confused("spawn", &other)),
    }
}

impl Deployment for NetnsDeployment {
    fn doors(&self) -> &Doors {
        &self.doors
    }

    fn agent(&self) -> &Client {
        &self.client
    }

    async fn line(&self, node: &NodeName, line: &str) -> Result<(), RuntimeError> {
        done("line", self.client.call(Request::Line { node: node.clone(), line: line.to_owned() }).await?)
    }

    async fn signal(&self, node: &NodeName, signal: Signal) -> Result<(), RuntimeError> {
        done("signal", self.client.call(Request::Signal { node: node.clone(), signal }).await?)
    }

    async fn spawn(&self, node: &NodeName) -> Result<u32, RuntimeError> {
        let planned = &self.plan.nodes[position(&self.plan, node)?];
        let files = self.files.absolute()?;
        let argv = self.programs.command_line(planned, &files)?;
        let spawn = Spawn { node: node.clone(), argv, log: Some(files.log(node)) };
        spawned(self.client.call(Request::Spawn(spawn)).await?)
    }

    fn settle(&self, node: &NodeName, place: &Place) -> Result<(), RuntimeError> {
        let planned = &self.plan.nodes[position(&self.plan, node)?];
        let path = self.files.absolute()?.config(node);
        fs::write(&path, config_at(planned, place)).map_err(RuntimeError::file(&path))
    }

    async fn down(&self) -> Result<(), RuntimeError> {
        self.client.end().await
    }
}
