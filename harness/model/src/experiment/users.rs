//! What a group says of its users and machines beside downloads.

use std::time::Duration;

use peerbed_link::Probability;

use super::moves::Moves;
use crate::{
    diagnostic::{Report, Span},
    limits,
    read::Fields,
    shape::users::{BUSY, SESSIONS},
    units,
    yaml::Node,
};

/// The shortest mean of a period.
pub(crate) const PERIOD: (Duration, Duration) = (Duration::from_millis(100), limits::DURATION.1);

/// The users and machines of a group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Users {
    /// How often each switches uploads, a second.
    pub(crate) toggles: f64,
    pub(crate) busy: Option<Busy>,
    pub(crate) sessions: Option<Sessions>,
    pub(crate) moves: Option<Moves>,
    /// So many in a row are copies of one installation; 1: none is.
    pub(crate) clones: u32,
    /// How many go back to an older image of their disk at their second session.
    pub(crate) rollback: u32,
}

/// The user's own use of the link: mean lengths.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Busy {
    pub(crate) on: Duration,
    pub(crate) off: Duration,
}

/// When machines are there: mean lengths, and how they vary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sessions {
    pub(crate) online: Duration,
    pub(crate) offline: Duration,
    /// The shape of a Weibull distribution; 1: exponential.
    pub(crate) shape: f64,
    /// Connections end in good order.
    pub(crate) clean: bool,
}

impl Users {
    /// Reads the keys of a group of so many peers.
    pub(crate) fn decode(fields: &Fields<'_>, peers: u32, report: &mut Report) -> Option<Self> {
        let toggles = fields.get("toggles").map_or(Some(0.0), |node| report.per_second(node));
        let busy = fields.get("busy").map_or(Some(None), |node| Busy::decode(node, report).map(Some));
        let sessions = fields.get("sessions").map_or(Some(None), |node| Sessions::decode(node, report).map(Some));
        let moves = fields.get("moves").map_or(Some(None), |node| Moves::decode(node, peers, report).map(Some));
        let clones = fields.get("clones").map_or(Some(1), |node| report.whole(node, 1, limits::NODES));
        let rollback = fields.get("rollback").map_or(Some(0.0), |node| report.share(node).map(Probability::get));
        if fields.get("rollback").is_some() && fields.get("sessions").is_none() {
            let finding = report.error(fields.span_of("rollback"), "`rollback` has no meaning without `sessions`");
            finding.help("an older image of the disk is found at the start of a session; say when they are");
            return None;
        }
        Some(Self {
            toggles: toggles?,
            busy: busy?,
            sessions: sessions?,
            moves: moves?,
            clones: clones? as u32,
            rollback: (rollback? * f64::from(peers)).round() as u32,
        })
    }

    /// About how many acts of one peer are to be expected in a run.
    fn acts(&self, duration: Duration) -> f64 {
        let cycles = |one: Duration, other: Duration| 2.0 * duration.as_secs_f64() / (one + other).as_secs_f64();
        self.toggles * duration.as_secs_f64()
            + self.busy.map_or(0.0, |busy| cycles(busy.on, busy.off))
            + self.sessions.map_or(0.0, |sessions| cycles(sessions.online, sessions.offline))
    }
}

impl Busy {
    fn decode(node: &Node, report: &mut Report) -> Option<Self> {
        let fields = report.map(node, &BUSY)?;
        let (on, off) = (fields.get("on"), fields.get("off"));
        let (on, off) = (on.map(|node| report.time(node, PERIOD)), off.map(|node| report.time(node, PERIOD)));
        Some(Self { on: on??, off: off?? })
    }
}

impl Sessions {
    fn decode(node: &Node, report: &mut Report) -> Option<Self> {
        let fields = report.map(node, &SESSIONS)?;
        let mut time = |key| fields.get(key).and_then(|node| report.time(node, PERIOD));
        let (online, offline) = (time("online"), time("offline"));
        let shape = fields.get("shape").map_or(Some(1.0), |node| report.number(node, 0.2, 10.0));
        let words = [("clean", true), ("abrupt", false)];
        let clean = fields.get("leave").map_or(Some(true), |node| report.word(node, &words));
        Some(Self { online: online?, offline: offline?, shape: shape?, clean: clean? })
    }
}

/// Notes groups whose users would do more than a plan can hold.
pub(crate) fn check<'a>(
    groups: impl Iterator<Item = (&'a Users, u32)>,
    duration: Duration,
    span: Span,
    report: &mut Report,
) {
    let (mut acts, mut moves) = (0.0, 0.0);
    for (users, peers) in groups {
        acts += users.acts(duration) * f64::from(peers);
        moves += users.moves.as_ref().map_or(0.0, |moves| moves.expected(duration));
    }
    if moves > limits::MOVES {
        let duration = units::show_time(duration);
        let message = format!("about {moves:.0} moves in {duration} are more than one run can have");
        report
            .error(span, message)
            .help(format!("about {:.0} are allowed, over all groups; make `every` of `moves` longer", limits::MOVES));
    }
    if acts > limits::HABITS {
        let duration = units::show_time(duration);
        let message =
            format!("about {acts:.0} acts of users and machines in {duration} are more than one run can have");
        report.error(span, message).help(format!(
            "about {:.0} are allowed, over all groups; make `toggles` rarer, or the periods of `busy` and `sessions` longer",
            limits::HABITS
        ));
    }
}
