//! The `docker` runtime: every node a container without rights, its links in the hands of one agent that is a container too.
//! Whoever may use the engine needs no other right.

mod nodes;
mod preflight;
pub mod sentry;
mod ship;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use peerbed_contract::{NodeName, Place};
use peerbed_model::{Plan, PlannedNode};

use self::nodes::{Nodes, Prepared};
pub(crate) use self::ship::Ship;
use super::{
    AgentContainer, Deployment, Doors, Launch, NodeFiles, Notices, Programs, Progress, Runtime, RuntimeError, Unmet,
    calls, client::Client, config, config_at, fit::unfit_for_tc, programs::position, ready,
};
use crate::{
    agent::{
        probe::Inside,
        protocol::{Request, Signal},
    },
    docker::{self, About, Engine, Foreign, GATE, Limits, NodeBody, OWN_PROGRAM, RunId},
    engine::{EngineChoice, EngineOptions},
    say::counted,
};

/// Containers that are made, or started, at once.
pub(crate) const AT_ONCE: usize = 8;
/// How long taking leave of the agent may take.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
/// Descriptors that a node may have.
const DESCRIPTORS: u64 = 4096;

/// Containers.
#[derive(Debug, Clone)]
pub struct Docker {
    engine: Engine,
    about: About,
    ship: Arc<Ship>,
    launch: Launch,
    options: EngineOptions,
    /// How long the nodes may take from their start until all are ready; none: 30 s and half a second for each node.
    pub ready_within: Option<Duration>,
}

impl Docker {
    /// On this engine; the file of the harness's program goes into the images.
    pub async fn new(engine: Engine, program: PathBuf, options: EngineOptions) -> Result<Self, RuntimeError> {
        let about = engine.about().await?;
        let ship = Arc::new(Ship::new(engine.clone(), about.rootless, program, Programs::default()));
        let launch = Launch::container(Arc::clone(&ship));
        Ok(Self { engine, about, ship, launch, options, ready_within: None })
    }

    /// On the engine that the environment names, with this very program.
    pub async fn find(options: EngineOptions) -> Result<Self, RuntimeError> {
        Self::new(Engine::find().await?, docker::this_program(), options).await
    }

    /// The same with other programs of the nodes.
    #[must_use]
    pub fn running(self, programs: Programs) -> Self {
        let ship = Arc::new(self.ship.running(programs));
        let launch = Launch::container(Arc::clone(&ship));
        Self { ship, launch, ..self }
    }

    /// The image of the project's own programs; made if it is not there.
    pub async fn image(&self) -> Result<String, RuntimeError> {
        Ok(self.ship.image().await?)
    }

    /// What an agent may do in a container of the engine.
    pub(crate) async fn look(&self, congestion_control: &str) -> Result<Inside, RuntimeError> {
        self.ship.look(congestion_control).await
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What the engine says of itself.
    pub fn about(&self) -> &About {
        &self.about
    }
}

/// A network with containers.
pub struct DockerDeployment {
    client: Arc<Client>,
    nodes: Nodes,
    plan: Arc<Plan>,
    doors: Doors,
    details: BTreeMap<String, String>,
}

impl std::fmt::Debug for DockerDeployment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DockerDeployment").field("doors", &self.doors).finish_non_exhaustive()
    }
}

impl Runtime for Docker {
    type Deployment = DockerDeployment;

    fn name(&self) -> &'static str {
        "docker"
    }

    fn launch(&self) -> &Launch {
        &self.launch
    }

    fn options(&self) -> &EngineOptions {
        &self.options
    }

    async fn preflight(&self, plan: &Plan) -> Vec<Unmet> {
        let mut unmet = preflight::unmet(&self.engine, &self.about, self.ship.programs(), plan).await;
        if unmet.is_empty() && self.options.engine == EngineChoice::Tc {
            match self.look(&plan.fabric.congestion_control).await {
                Ok(inside) => unmet.extend(unfit_for_tc(plan, &inside.kernel_engine)),
                Err(error) => unmet.push(Unmet {
                    need: "an agent".to_owned(),
                    found: error.to_string(),
                    remedy: "`peerbed doctor --runtime docker` looks at everything".to_owned(),
                }),
            }
        }
        unmet
    }

    async fn up(
        &self,
        plan: &Plan,
        files: &NodeFiles,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(DockerDeployment, Notices), RuntimeError> {
        let files = files.written(plan)?;
        let swept = self.engine.sweep().await?;
        if swept > 0 {
            tracing::warn!("{} that killed runs had left were removed", counted(swept, "container"));
        }
        let run = RunId::new();
        let (client, mut notices, notify) = self.launch.start_as(&run, &files.agent_log()).await?;
        let client = Arc::new(client);
        let built = async {
            let (prepared, images) = self.prepare(&run, plan, &files).await?;
            let nodes = Nodes::new(self.engine.clone(), run.clone(), Arc::clone(&client), prepared, notify.clone());
            let doors = self.build(&run, plan, &files, (&client, &nodes), &mut notices, progress).await?;
            Ok((nodes, doors, images))
        };
        match built.await {
            Ok((nodes, doors, images)) => {
                let details = self.details(images);
                let deployment = DockerDeployment { client, nodes, plan: Arc::new(plan.clone()), doors, details };
                Ok((deployment, notices))
            }
            Err(error) => {
                notify.open();
                // The first error is the one to tell; the agent ends in any case.
                if let Err(also) = client.end().await {
                    tracing::error!(%also, "the agent did not end in good order");
                }
                Err(error)
            }
        }
    }
}

impl Docker {
    /// What each node's container is made from, and the ids of the images that are not the project's own.
    async fn prepare(
        &self,
        run: &RunId,
        plan: &Plan,
        files: &NodeFiles,
    ) -> Result<(Vec<Prepared>, BTreeMap<String, String>), RuntimeError> {
        let own = self.ship.image().await?;
        let mut foreign: BTreeMap<&str, (Foreign, String)> = BTreeMap::new();
        for (name, node) in plan.nodes.iter().filter_map(|node| Some((node.image.as_deref()?, node))) {
            if !foreign.contains_key(name) {
                let found = self.engine.foreign(name).await?;
                let lacking = || RuntimeError::Refused(preflight::no_image(name, &node.group).to_string());
                let found = found.ok_or_else(lacking)?;
                let gated = self.engine.gated(run, &found, &self.ship.gate()?).await?;
                foreign.insert(name, (found, gated));
            }
        }
        let prepare = |node: &PlannedNode| {
            let theirs = node.image.as_deref().and_then(|name| foreign.get(name));
            let (image, gate) = theirs.map_or((&own, OWN_PROGRAM), |(_, gated)| (gated, GATE));
            Prepared {
                node: node.name.clone(),
                address: node.config.address,
                image: image.to_owned(),
                gate: gate.to_owned(),
                argv: argv(node, theirs.map(|(found, _)| found)),
                foreign: theirs.is_some(),
                limits: Limits {
                    memory_bytes: node.limits.memory_bytes,
                    pids: node.limits.pids,
                    descriptors: Some(DESCRIPTORS),
                },
                config: config(node),
                log: files.log(&node.name),
            }
        };
        let prepared = plan.nodes.iter().map(prepare).collect();
        let images = foreign.iter().map(|(name, (found, _))| (format!("image {name}"), found.id.clone())).collect();
        Ok((prepared, images))
    }

    async fn build(
        &self,
        run: &RunId,
        plan: &Plan,
        files: &NodeFiles,
        (client, nodes): (&Client, &Nodes),
        notices: &mut Notices,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Doors, RuntimeError> {
        let mut installed = calls::install(plan, &self.options, client, notices, progress).await?;
        // Inside its namespace the agent may know itself by another number.
        installed.agent_pid = self.ship.agent_pid(run).await?;
        let latecomers = plan.latecomers();
        let count = plan.nodes.len() as u32;
        let within = self.ready_within.unwrap_or(Duration::from_secs(30) + Duration::from_millis(500) * count);
        let start = |node: &PlannedNode| {
            let (node, later) = (node.name.clone(), latecomers.contains(&node.name));
            async move {
                nodes.create(&node).await?;
                if later { Ok(None) } else { nodes.begin(&node).await.map(Some) }
            }
        };
        let started = stream::iter(&plan.nodes).map(start).buffered(AT_ONCE);
        let started = started.try_filter_map(async |pid| Ok(pid)).try_collect();
        let awaited: BTreeSet<NodeName> = plan.present().map(|node| node.name.clone()).collect();
        // Nodes become ready while others are still being started, and one that dies is told at once.
        let ready = ready::wait(&awaited, within, notices, files, progress);
        let (pids, ()) = tokio::try_join!(started, ready)?;
        let container = AgentContainer { endpoint: self.engine.endpoint().clone(), name: run.agent() };
        Ok(Doors { installed, pids, container: Some(container) })
    }

    fn details(&self, images: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let About { version, api, rootless, cgroup, limits_memory, limits_pids, .. } = &self.about;
        let mut details = BTreeMap::from([
            ("docker".to_owned(), version.clone()),
            ("docker api".to_owned(), api.clone()),
            ("docker rootless".to_owned(), rootless.to_string()),
            ("docker limits memory".to_owned(), limits_memory.to_string()),
            ("docker limits processes".to_owned(), limits_pids.to_string()),
            ("cgroup version".to_owned(), cgroup.clone()),
            ("docker calls repeated".to_owned(), docker::repeated().to_string()),
        ]);
        details.extend(images);
        details
    }
}

/// What a node's gate executes.
fn argv(node: &PlannedNode, image: Option<&Foreign>) -> Vec<String> {
    let mut argv = match image {
        None => vec![format!("/{}", node.role)],
        Some(image) => {
            let arguments = if node.command.is_empty() { &image.command } else { &node.command };
            image.entrypoint.iter().chain(arguments).cloned().collect()
        }
    };
    argv.extend(["--config".to_owned(), NodeBody::config()]);
    argv
}

impl Deployment for DockerDeployment {
    fn doors(&self) -> &Doors {
        &self.doors
    }

    fn agent(&self) -> &Client {
        &self.client
    }

    fn details(&self) -> BTreeMap<String, String> {
        self.details.clone()
    }

    async fn line(&self, node: &NodeName, line: &str) -> Result<(), RuntimeError> {
        self.nodes.line(node, line).await
    }

    async fn signal(&self, node: &NodeName, signal: Signal) -> Result<(), RuntimeError> {
        self.nodes.signal(node, signal).await
    }

    async fn spawn(&self, node: &NodeName) -> Result<u32, RuntimeError> {
        position(&self.plan, node)?;
        self.nodes.begin_again(node).await
    }

    fn settle(&self, node: &NodeName, place: &Place) -> Result<(), RuntimeError> {
        self.nodes.settle(node, config_at(&self.plan.nodes[position(&self.plan, node)?], place));
        Ok(())
    }

    async fn down(&self) -> Result<(), RuntimeError> {
        self.nodes.about_to_go();
        match tokio::time::timeout(LEAVE_WITHIN, self.client.call(Request::Farewell)).await {
            // What has gone already needs no leave, and what does not answer gets none.
            Ok(Ok(_) | Err(RuntimeError::Gone(_))) | Err(_) => {}
            Ok(Err(error)) => return Err(error),
        }
        self.client.end().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn an_image_says_what_runs_unless_the_group_does() {
        let plan = fixture::record("hybrid", 0).plan;
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let image = Foreign {
            id: String::new(),
            entrypoint: words(&["/in"]),
            command: words(&["by", "itself"]),
            made_as: None,
        };
        let mut node = plan.nodes[0].clone();
        let config = NodeBody::config();
        assert_eq!(argv(&node, None), [format!("/{}", node.role), "--config".to_owned(), config.clone()]);
        assert_eq!(argv(&node, Some(&image)), words(&["/in", "by", "itself", "--config", &config]));
        node.command = words(&["-v"]);
        assert_eq!(argv(&node, Some(&image)), words(&["/in", "-v", "--config", &config]));
    }
}
