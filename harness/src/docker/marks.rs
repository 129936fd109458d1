//! How what is Peerbed's is told apart in the engine: names and labels, by run.

use std::{collections::HashMap, fmt};

use peerbed_contract::NodeName;
use serde::{Deserialize, Serialize};

/// The label with the run.
pub(super) const RUN: &str = "peerbed.run";
/// The label with what a container is: see [`Part`].
pub(super) const PART: &str = "peerbed.part";
/// The label with the node's name.
pub(super) const NODE: &str = "peerbed.node";
/// The label that an image of ours has, with the hash of what is in it.
pub(super) const IMAGE: &str = "peerbed.image";

/// What tells the objects of one deployment from those of all others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

/// Digits of one.
const LENGTH: usize = 12;

impl RunId {
    /// One that no other deployment on this machine has.
    pub fn new() -> Self {
        let boot = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        // A process takes part in the time by its number, so that two in the same nanosecond differ.
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let mut hash = blake3::Hasher::new();
        hash.update(&boot).update(&std::process::id().to_le_bytes());
        hash.update(&now.tv_sec.to_le_bytes()).update(&now.tv_nsec.to_le_bytes());
        Self(hash.finalize().to_hex()[..LENGTH].to_owned())
    }

    /// That of a container's labels.
    pub(super) fn of(labels: &HashMap<String, String>) -> Option<Self> {
        let looks_like_one =
            |run: &&String| run.len() == LENGTH && run.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        labels.get(RUN).filter(looks_like_one).cloned().map(Self)
    }

    /// Whether a container of this name is one of this run's. Labels alone do not tell: an image that somebody makes of a
    /// container passes them on to his own.
    pub(super) fn owns(&self, name: &str) -> bool {
        name.trim_start_matches('/').starts_with(&format!("peerbed-{self}-"))
    }

    /// The name of a node's container.
    pub fn node(&self, node: &NodeName) -> String {
        format!("peerbed-{self}-{node}")
    }

    /// The name of the agent's container. No node can be called so: its name would begin with a hyphen.
    pub fn agent(&self) -> String {
        format!("peerbed-{self}--agent")
    }

    /// What selects the containers of this run: a label and its value. One that somebody else makes with it is swept away
    /// like those of a killed run, unless the run has an agent.
    pub fn filter(&self) -> String {
        format!("{RUN}={self}")
    }
}

impl Default for RunId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The agent: as long as it runs, so does the run.
    Agent,
    /// A node.
    Node,
    /// What an image is made from.
    Template,
}

impl Part {
    pub(super) fn word(self) -> &'static str {
        match self {
            Part::Agent => "agent",
            Part::Node => "node",
            Part::Template => "template",
        }
    }
}

/// Labels that say that what is made of such a container is of no run.
pub(super) fn of_no_run() -> [(String, String); 3] {
    [RUN, PART, NODE].map(|label| (label.to_owned(), String::new()))
}

/// The labels of a container.
pub(super) fn labels(run: &RunId, part: Part, node: Option<&NodeName>) -> HashMap<String, String> {
    let mut labels = HashMap::from([(RUN.to_owned(), run.to_string()), (PART.to_owned(), part.word().to_owned())]);
    labels.extend(node.map(|node| (NODE.to_owned(), node.to_string())));
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_told_apart() {
        let (one, other) = (RunId::new(), RunId::new());
        assert_ne!(one, other);
        let node: NodeName = "homes-0".parse().unwrap();
        assert_eq!(RunId::of(&labels(&one, Part::Node, Some(&node))), Some(one.clone()));
        assert_ne!(one.node(&node), other.node(&node));
        assert!(one.owns(&one.node(&node)) && one.owns(&format!("/{}", one.agent())));
        assert!(!one.owns(&other.node(&node)) && !one.owns("mine"));
        assert!("-agent".parse::<NodeName>().is_err(), "so a node's name cannot be the agent's");
    }
}
