//! What a case of the suite stands on: a runtime, nodes that are shell scripts there, and a look from outside at what exists.

use std::{collections::BTreeMap, path::Path, time::Duration};

use peerbed::{
    engine::{EndsChoice, EngineOptions},
    runtime::{Notices, Progress, Runtime, RuntimeError},
};
use peerbed_model::Plan;

use crate::support::{files, plan};

/// One runtime, made ready for tests.
pub(crate) trait Bed: Sized + 'static {
    /// What its cases are called.
    const NAME: &'static str;
    /// How many nodes a large network has here.
    const MANY: usize;
    /// How many nodes one has that is set up again and again.
    const SOME: usize;

    /// What is tested.
    type Runtime: Runtime;

    /// What stands of deployments, remembered to see that it goes.
    type Standing;

    /// With links made like this.
    async fn with(options: EngineOptions) -> Self;

    /// With these ends of links.
    async fn new(ends: EndsChoice) -> Self {
        Self::with(EngineOptions::wire(ends)).await
    }

    /// What is tested.
    fn runtime(&self) -> &Self::Runtime;

    /// The same, but nodes must be ready after so long.
    fn impatient(self, within: Duration) -> Self;

    /// The plan with what its shell scripts need to run here.
    fn fit(&self, plan: &Plan) -> Plan;

    /// What of the machine, and of what carries the nodes, no deployment may change.
    async fn surroundings(&self) -> BTreeMap<String, String>;

    /// What stands of the deployments of a harness, whose files are in this directory.
    async fn standing(&self, harness: u32, directory: &Path) -> Self::Standing;

    /// How many places that is: one for each node and one for each agent.
    fn places(standing: &Self::Standing) -> usize;

    /// Wait until nothing of it is left, ten seconds at most.
    async fn assert_gone(&self, harness: u32, directory: &Path, standing: Self::Standing);

    /// Kill the agent, as anybody may.
    async fn kill_agent(&self, deployment: &Deployed<Self>);

    /// Let a node stand still, as anybody may.
    async fn stop(&self, deployment: &Deployed<Self>, position: usize);

    /// Let it go on.
    async fn go_on(&self, deployment: &Deployed<Self>, position: usize);

    /// Whether it stands still now.
    async fn stands_still(&self, deployment: &Deployed<Self>, position: usize) -> bool;

    /// Bring a plan up.
    async fn up(
        &self,
        plan: &Plan,
        directory: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Deployed<Self>, Notices), RuntimeError> {
        self.runtime().up(&self.fit(plan), &files(directory), progress).await
    }
}

/// What a bed's runtime brings up.
pub(crate) type Deployed<B> = <<B as Bed>::Runtime as Runtime>::Deployment;

/// A network that stands.
pub(crate) struct Up<B: Bed> {
    pub(crate) deployment: Deployed<B>,
    pub(crate) notices: Notices,
    pub(crate) bed: B,
    pub(crate) directory: tempfile::TempDir,
}

impl<B: Bed> Up<B> {
    /// One of nodes with these commands.
    pub(crate) async fn of(commands: Vec<Vec<String>>) -> Self {
        Self::on(B::new(EndsChoice::Auto).await, &plan(commands)).await
    }

    /// One on this bed.
    pub(crate) async fn on(bed: B, plan: &Plan) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (deployment, notices) = bed.up(plan, directory.path(), &mut |_| {}).await.unwrap();
        Self { deployment, notices, bed, directory }
    }

    /// What stands of it.
    pub(crate) async fn standing(&self) -> B::Standing {
        self.bed.standing(std::process::id(), self.directory.path()).await
    }

    /// Wait until that is gone.
    pub(crate) async fn assert_gone(&self, standing: B::Standing) {
        self.bed.assert_gone(std::process::id(), self.directory.path(), standing).await;
    }
}
