//! What a group says of how its machines change their addresses.

use std::time::Duration;

use peerbed_link::Probability;

use super::users::PERIOD;
use crate::{
    diagnostic::{Report, Spanned},
    limits,
    shape::users::MOVES,
    yaml::Node,
};

/// A pattern of moves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moves {
    /// How many of the group.
    pub(crate) movers: u32,
    /// The ASes of their other places.
    pub(crate) to: Vec<Spanned<String>>,
    /// How long one stays, on average.
    pub(crate) every: Duration,
    /// The profile of the access links there; none: the group's.
    pub(crate) access: Option<Spanned<String>>,
}

impl Moves {
    /// Reads the pattern of a group of so many peers.
    pub(crate) fn decode(node: &Node, peers: u32, report: &mut Report) -> Option<Self> {
        let fields = report.map(node, &MOVES)?;
        let share = fields.get("share").map_or(Some(1.0), |node| report.share(node).map(Probability::get));
        let ases = fields.get("to").and_then(|node| report.bounded_list(node, "ASes to move to", (1, limits::PLACES)));
        let to = ases.map(|ases| ases.iter().map(|node| report.name(node, 63)).collect::<Vec<_>>());
        let every = fields.get("every").and_then(|node| report.time(node, PERIOD));
        let access = fields.get("access").map(|node| report.name(node, 63));
        // Everything that is wrong was said; a pattern has all of it.
        let to = to?.into_iter().collect::<Option<Vec<_>>>()?;
        let access = access.map_or(Some(None), |access| access.map(Some))?;
        Some(Self { movers: (share? * f64::from(peers)).round() as u32, to, every: every?, access })
    }

    /// About how many moves are to be expected.
    pub(crate) fn expected(&self, duration: Duration) -> f64 {
        f64::from(self.movers) * duration.as_secs_f64() / self.every.as_secs_f64()
    }
}
