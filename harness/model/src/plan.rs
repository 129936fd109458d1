//! The plan: an experiment resolved for one arm of one repeat. Everything later reads this and nothing else.

mod act;
mod comparison;
mod coordinates;
mod expectation;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use peerbed_contract::{AsNumber, NodeConfig, NodeName, Role};
use peerbed_link::{Fabric, LinkSpec, Probability};
use serde::{Deserialize, Serialize};

pub use self::{
    act::{Act, Action, MANY_MOVES, NewLink, PolicyChange, PolicyOrder, Relocation},
    comparison::{ComparedBy, ComparedMetric, Comparison, Preference},
    coordinates::Coordinates,
    expectation::{Basis, Bound, Claim, Direction, Expectation, ExpectedValue, Slack, Trend},
};

/// What one run does, with no randomness left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The experiment's name: its file name without `.yaml`.
    pub experiment: String,
    /// The question it asks.
    pub question: String,
    /// Which variant this is.
    pub arm: String,
    /// Which of the experiment's `arms` it comes from, where a matrix made several of it; none: it is that arm, or there is a
    /// matrix alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Where it is in the experiment's matrix; empty if it has none.
    #[serde(default, skip_serializing_if = "Coordinates::is_empty")]
    pub matrix: Coordinates,
    /// Which repeat, from 0.
    pub repeat: u32,
    /// The seed of this repeat, shared by its arms; every other seed in the plan is derived from it.
    pub seed: u64,
    /// The run is ended at this time even if downloads are under way.
    pub duration: Duration,
    /// What shall make its links behave, where the experiment says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<LinkEngine>,
    /// The network.
    pub fabric: Fabric,
    /// How far its links may be from what they should be.
    #[serde(default)]
    pub tolerance: Tolerance,
    /// The names of the ASes.
    pub as_names: BTreeMap<AsNumber, String>,
    /// Where the ASes are.
    #[serde(default)]
    pub localities: BTreeMap<AsNumber, Locality>,
    /// The hosts, in the order of [`Fabric::nodes`].
    pub nodes: Vec<PlannedNode>,
    /// What happens from outside, in order of time.
    pub timeline: Vec<Action>,
    /// What the experiment expects of this arm.
    pub expect: Vec<Expectation>,
    /// How it expects metrics to change over its matrix, of the series that this arm is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trends: Vec<Trend>,
    /// What it claims to show: the same claims in every arm, each with what of it is about this arm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
    /// The figures that its report draws beside the usual ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<String>,
    /// Every policy parameter as it was resolved, defaults included: `policy.uploads.per_copy` → `5`; and whatever else the arm or
    /// the matrix sets, as it is written or called: `groups.seeds.holds.game` → `12`. For the manifest.
    pub parameters: BTreeMap<String, Setting>,
}

impl Plan {
    /// Which of the experiment's scales it is of; none: the file as it stands.
    pub fn scale(&self) -> Option<&str> {
        match self.parameters.get("scale")? {
            Setting::Text(scale) => Some(scale),
            _ => None,
        }
    }

    /// Whether an act is one of many moves of single peers, as patterns make them: told of together, not one by one.
    pub fn is_one_of_many_moves(&self, act: &Act) -> bool {
        act.moves_one() && self.timeline.iter().filter(|action| action.act.moves_one()).count() > MANY_MOVES
    }

    /// Downloads that the script asks for before [`Plan::duration`].
    pub fn downloads(&self) -> usize {
        let scripts = self.nodes.iter().filter_map(|node| match &node.config.role {
            peerbed_contract::RoleConfig::Peer(peer) => Some(peer.script.len()),
            _ => None,
        });
        scripts.sum()
    }

    /// Every address of the network with the index of the node whose it is, or that has a place there, and its AS.
    pub fn addresses(&self) -> BTreeMap<IpAddr, (usize, AsNumber)> {
        let index: BTreeMap<&NodeName, usize> = self.nodes.iter().map(|node| &node.name).zip(0..).collect();
        let nodes = self.nodes.iter().map(|node| (&node.name, node.config.address, node.config.as_number));
        let places = self.fabric.places.iter().map(|place| (&place.of, place.at.address, place.at.as_number));
        let all = nodes.chain(places).filter_map(|(of, address, at)| Some((address, (*index.get(of)?, at))));
        all.collect()
    }

    /// The nodes that its timeline adds: they are started then, not before the run.
    pub fn latecomers(&self) -> BTreeSet<&NodeName> {
        let added = self.timeline.iter().filter(|action| matches!(action.act, Act::Add { .. }));
        added.flat_map(|action| action.act.nodes()).collect()
    }

    /// Those that are there from the start.
    pub fn present(&self) -> impl Iterator<Item = &PlannedNode> {
        let latecomers = self.latecomers();
        self.nodes.iter().filter(move |node| !latecomers.contains(&node.name))
    }

    /// What its links are and become, each as often as there is one.
    pub fn links(&self) -> impl Iterator<Item = LinkSpec> {
        let access = self.fabric.attachments().flat_map(|node| [node.access.up, node.access.down]);
        let between = self.fabric.links.iter().flat_map(|link| [link.forward, link.backward]);
        access.chain(between).chain(self.links_to_come())
    }

    /// What links become by its timeline.
    pub fn links_to_come(&self) -> Vec<LinkSpec> {
        let changes = self.timeline.iter().flat_map(|action| {
            let access = match action.act {
                Act::SetAccess { up, down, .. } => Some([up, down]),
                _ => None,
            };
            let between = action.act.links().iter().map(|link| [link.forward, link.backward]);
            between.chain(access)
        });
        changes.flatten().collect()
    }
}

/// Where an AS is, as the topology says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locality {
    /// Its region.
    pub region: String,
    /// Its country, where the topology has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// What makes links behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkEngine {
    /// The kernel where it can carry the plan, else the program.
    Auto,
    /// The kernel.
    Tc,
    /// The program.
    Wire,
}

/// How far links may be from what was asked for when they are calibrated before a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Of rates: a share of the rate.
    pub rate: Probability,
    /// Of the median round trip: at least this.
    pub round_trip: Duration,
    /// Of the median round trip: at least this share of it.
    pub round_trip_share: Probability,
    /// Of loss: so many standard deviations of what chance gives.
    pub loss_deviations: f64,
    /// Of what may wait: a share of it, beside two packets.
    pub queue: Probability,
}

impl Default for Tolerance {
    fn default() -> Self {
        let share = |value| Probability::new(value).expect("a share");
        Self {
            rate: share(0.02),
            round_trip: Duration::from_micros(500),
            round_trip_share: share(0.02),
            loss_deviations: 4.0,
            queue: share(0.05),
        }
    }
}

/// A resolved parameter, as it is printed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    /// On or off.
    Flag(bool),
    /// A number; its unit is in the parameter's name or its text.
    Number(f64),
    /// A value with its unit, or a word.
    Text(String),
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Setting::Flag(flag) => flag.fmt(f),
            Setting::Number(number) => number.fmt(f),
            Setting::Text(text) => text.fmt(f),
        }
    }
}

/// One process of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedNode {
    /// Its name.
    pub name: NodeName,
    /// What it does.
    pub role: Role,
    /// The group it was declared in (`edges`, `control` and the names of groups of peers).
    pub group: String,
    /// The program and its arguments where the group names its own; `--config FILE` is appended. Empty: the role's own.
    /// With an image: the arguments behind its entrypoint. Empty: the image's own command.
    pub command: Vec<String>,
    /// The container image whose program is run, where the group names one. None: the project's own.
    #[serde(default)]
    pub image: Option<String>,
    /// What its container may use.
    #[serde(default)]
    pub limits: Limits,
    /// What it is told.
    pub config: NodeConfig,
}

/// What the container of a node may use. For runtimes that have containers; others do not enforce it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Processes and threads, counted together.
    pub pids: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 256 << 20, pids: 256 }
    }
}
