//! The program as an ordinary user, whoever runs the tests.

use std::{
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use peerbed::{docker::Endpoint, engine::EndsChoice};
use serde_json::Value;

use super::{Docker, Found};
use crate::{
    bed::Bed,
    exec::{Down, enter},
    program::{NOBODY, bin_dir, said, tiny, under_way},
};

/// A place where a user without rights has the project of [`tiny`] and the programs.
pub(super) struct Home(tempfile::TempDir);

impl Home {
    pub(super) fn new() -> Self {
        let project = tiny();
        let results = project.path().join("results");
        std::fs::create_dir(&results).unwrap();
        for program in ["peerbed", "edge", "control", "peer"] {
            std::fs::copy(bin_dir().join(program), project.path().join(program)).unwrap();
        }
        for (path, mode) in [(project.path(), 0o755), (&results, 0o777)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        Self(project)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// `peerbed run tiny --runtime docker` as nobody, who is in this group at most.
    pub(super) fn run(&self, group: Option<u32>) -> Command {
        self.peerbed(group, &["run", "tiny", "--runtime", "docker", "--calibrate", "never"])
    }

    /// `peerbed` with these arguments as nobody, who is in this group at most.
    fn peerbed(&self, group: Option<u32>, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path().join("peerbed"));
        command.args(arguments).current_dir(self.path()).env_remove("XDG_RUNTIME_DIR");
        command.env("HOME", self.path()).env("XDG_CACHE_HOME", self.path().join("results"));
        if rustix::process::geteuid().is_root() {
            // Whoever starts it is in no other group then.
            command.uid(NOBODY).gid(group.unwrap_or(NOBODY));
        }
        command
    }
}

/// The group of those who may use the engine.
fn engines_group(bed: &Docker) -> Option<u32> {
    match bed.runtime.engine().endpoint() {
        Endpoint::Unix(socket) => Some(std::fs::metadata(socket).unwrap().gid()),
        Endpoint::Tcp(_) => None,
    }
}

pub(super) async fn whoever_may_use_the_engine_needs_no_other_right() {
    let bed = Docker::new(EndsChoice::Auto).await;
    let group = engines_group(&bed);
    let home = Home::new();
    let run = under_way(home.run(group));
    // Its nodes are nobody too.
    let standing = bed.standing(run.child.id(), home.path()).await;
    let nodes: Vec<Found> = bed.look.peerbeds().await;
    let nodes = nodes.into_iter().filter(|one| standing.runs.contains(&one.run) && !one.node.is_empty());
    let mut seen = 0;
    for node in nodes {
        let container = bed.look.inspect(&node.id).await.expect("it runs");
        assert_eq!(container.config.and_then(|config| config.user).as_deref(), Some("65534:65534"), "{}", node.name);
        let host = container.host_config.unwrap();
        assert_eq!((host.readonly_rootfs, host.privileged), (Some(true), Some(false)), "{}", node.name);
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]), "{}", node.name);
        seen += 1;
    }
    assert_eq!(seen, 4, "an edge, a control server, two peers");
    let child = run.child.id();
    let output = run.end();
    // A machine that was busy makes it invalid, and is no fault of the user's rights.
    assert!([Some(0), Some(4)].contains(&output.status.code()), "{}", said(&output));
    let summary = std::fs::read(home.path().join("results/tiny/latest/summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    assert_eq!(summary["arms"]["only"]["downloads"]["completed"], 2, "{summary:#}\n{}", said(&output));
    bed.assert_gone(child, home.path(), standing).await;
}

pub(super) async fn whoever_may_use_the_engine_may_enter_nodes() {
    let (group, home) = (engines_group(&Docker::new(EndsChoice::Auto).await), Home::new());
    let command = |arguments: &[&str]| home.peerbed(group, arguments);
    let _down = Down(&command);
    enter("docker", &command, home.path());
}
