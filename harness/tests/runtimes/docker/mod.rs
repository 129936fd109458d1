//! The `docker` runtime as a bed, and the cases that only it has.

mod confined;
mod image;
mod images;
mod look;
pub(crate) mod neighbour;
mod quick;
mod refusals;
mod surroundings;
mod sweep;
mod user;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use peerbed::{
    docker::Engine,
    engine::EngineOptions,
    runtime::{
        Deployment,
        docker::{Docker as Runtime, DockerDeployment},
    },
};
use peerbed_model::Plan;

use self::look::{Found, Look};
use crate::{bed::Bed, program::bin_dir, support::block_on, trial};

/// The cases that only this runtime has.
pub(crate) fn cases() -> Vec<Trial> {
    macro_rules! cases {
        ($($module:ident: $($case:ident),+;)+) => {
            vec![$($(trial(Docker::NAME, stringify!($case), $module::$case)),+),+]
        };
    }
    cases! {
        confined:
            nodes_have_no_rights,
            nodes_have_the_limits_of_the_plan,
            a_node_that_wants_too_much_memory_is_told_of;
        images:
            no_image_is_made_twice,
            an_image_that_goes_between_two_runs_is_made_again;
        sweep:
            what_a_dead_run_left_goes_at_the_start_of_the_next,
            an_agent_that_somebody_stops_is_told_of,
            an_agent_that_somebody_starts_again_is_told_of,
            containers_are_made_a_few_at_a_time;
        refusals:
            an_engine_that_does_not_answer_is_named,
            an_image_that_is_not_there_is_named,
            a_command_without_an_image_is_refused,
            a_node_program_that_needs_more_than_itself_is_refused;
        user:
            whoever_may_use_the_engine_needs_no_other_right,
            whoever_may_use_the_engine_may_enter_nodes;
        neighbour:
            containers_of_others_are_left_alone;
        quick:
            quick_is_valid_and_measures_what_netns_measures;
    }
}

/// Whether they are to run: an engine answers, or there has to be one.
pub(crate) fn is_wanted() -> bool {
    is_required() || block_on(Engine::find()).is_ok()
}

fn is_required() -> bool {
    std::env::var("PEERBED_REQUIRE_DOCKER").is_ok_and(|value| value == "1")
}

/// How long what is left may take to go.
const GONE_WITHIN: Duration = Duration::from_secs(10);

pub(crate) struct Docker {
    runtime: Runtime,
    look: Look,
    /// The image of nodes that are scripts.
    image: String,
    networks: BTreeSet<String>,
    volumes: BTreeSet<String>,
}

/// Containers of a harness's deployments.
pub(crate) struct Standing {
    runs: BTreeSet<String>,
    containers: usize,
}

impl Docker {
    /// The runs of a harness. One is known by its agent, which is made first and goes last.
    async fn runs_of(&self, harness: u32) -> BTreeSet<String> {
        let mut runs = BTreeSet::new();
        for agent in self.look.peerbeds().await.into_iter().filter(Found::is_agent) {
            if self.look.harness_of(&agent.id).await == Some(harness) {
                runs.insert(agent.run);
            }
        }
        runs
    }

    /// The container of a node.
    async fn container(&self, deployment: &DockerDeployment, position: usize) -> Found {
        let run = self.run_of(deployment).await;
        let node = format!("n{position}");
        let all = self.look.peerbeds().await;
        all.into_iter().find(|one| one.run == run && one.node == node).expect("the node has a container")
    }

    /// The run of a deployment.
    async fn run_of(&self, deployment: &DockerDeployment) -> String {
        for agent in self.look.peerbeds().await.into_iter().filter(Found::is_agent) {
            if self.look.pid(&agent.id).await == Some(deployment.doors().installed.agent_pid) {
                return agent.run;
            }
        }
        panic!("no agent is the deployment's");
    }
}

impl Bed for Docker {
    const NAME: &'static str = "docker";
    const MANY: usize = 30;
    const SOME: usize = 6;

    type Runtime = Runtime;
    type Standing = Standing;

    async fn with(options: EngineOptions) -> Self {
        let engine = Engine::find().await.unwrap_or_else(|error| panic!("{error}"));
        let look = Look::at(&engine).await;
        let image = image::of_busybox(&look).await;
        let runtime = Runtime::new(engine, bin_dir().join("peerbed"), options).await.unwrap();
        let (networks, volumes) = (look.networks().await, look.volumes().await);
        Self { runtime, look, image, networks, volumes }
    }

    fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn impatient(mut self, within: Duration) -> Self {
        self.runtime.ready_within = Some(within);
        self
    }

    fn fit(&self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        for node in &mut plan.nodes {
            node.image.get_or_insert_with(|| self.image.clone());
        }
        plan
    }

    async fn surroundings(&self) -> BTreeMap<String, String> {
        surroundings::now(&self.look).await
    }

    async fn standing(&self, harness: u32, _: &Path) -> Standing {
        let runs = self.runs_of(harness).await;
        let all = self.look.peerbeds().await;
        let containers = all.iter().filter(|one| runs.contains(&one.run)).count();
        Standing { runs, containers }
    }

    fn places(standing: &Standing) -> usize {
        standing.containers
    }

    async fn assert_gone(&self, harness: u32, _: &Path, mut standing: Standing) {
        let deadline = Instant::now() + GONE_WITHIN;
        loop {
            standing.runs.extend(self.runs_of(harness).await);
            let mut left = self.look.peerbeds().await;
            left.retain(|one| standing.runs.contains(&one.run));
            let (networks, volumes) = (self.look.networks().await, self.look.volumes().await);
            if left.is_empty() && networks == self.networks && volumes == self.volumes {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "left behind: {left:#?}, networks {networks:?} (before: {:?}), volumes {volumes:?} (before: {:?})",
                self.networks,
                self.volumes
            );
            // Nobody tells when something that was never there stays away, so this looks again and again.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn kill_agent(&self, deployment: &DockerDeployment) {
        let run = self.run_of(deployment).await;
        let all = self.look.peerbeds().await;
        let agent = all.iter().find(|one| one.run == run && one.is_agent()).expect("it runs");
        self.look.kill(&agent.id).await;
    }

    async fn stop(&self, deployment: &DockerDeployment, position: usize) {
        self.look.pause(&self.container(deployment, position).await.id).await;
    }

    async fn go_on(&self, deployment: &DockerDeployment, position: usize) {
        self.look.unpause(&self.container(deployment, position).await.id).await;
    }

    async fn stands_still(&self, deployment: &DockerDeployment, position: usize) -> bool {
        let id = self.container(deployment, position).await.id;
        self.look.inspect(&id).await.and_then(|container| container.state?.paused).expect("it is known")
    }
}
