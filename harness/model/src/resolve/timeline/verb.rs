//! The verbs of a timeline: their words, the keys that mean something with them, and what the verbs of life do.

use peerbed_contract::NodeName;

use crate::plan::Act;

/// What an action does, before its operands are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Turn(Turn),
    SetLink,
    SetAccess,
    CutLink,
    HealLink,
    Partition,
    Heal,
    Wipe,
    Outage,
    Move,
    SetPolicy,
}

pub(super) const VERBS: &[(&str, Verb)] = &[
    ("add", Verb::Turn(Turn::Add)),
    ("kill", Verb::Turn(Turn::Kill)),
    ("restart", Verb::Turn(Turn::Restart)),
    ("freeze", Verb::Turn(Turn::Freeze)),
    ("thaw", Verb::Turn(Turn::Thaw)),
    ("set-link", Verb::SetLink),
    ("cut-link", Verb::CutLink),
    ("heal-link", Verb::HealLink),
    ("partition", Verb::Partition),
    ("heal", Verb::Heal),
    ("set-access", Verb::SetAccess),
    ("wipe", Verb::Wipe),
    ("outage", Verb::Outage),
    ("move", Verb::Move),
    ("set-policy", Verb::SetPolicy),
];

const BOTH: &[&str] = &["delay", "jitter", "loss", "queue"];

impl Verb {
    pub(super) fn word(self) -> &'static str {
        VERBS.iter().find(|(_, verb)| *verb == self).map_or("", |(word, _)| word)
    }

    /// Whether a key means something with this verb.
    pub(super) fn takes(self, key: &str) -> bool {
        match self {
            Verb::SetLink => matches!(key, "link" | "rate" | "trace" | "forward" | "backward") || BOTH.contains(&key),
            Verb::SetAccess => matches!(key, "node" | "up" | "down") || BOTH.contains(&key),
            Verb::CutLink | Verb::HealLink => key == "link",
            Verb::Partition | Verb::Heal => key == "ases",
            Verb::Turn(Turn::Add) => matches!(key, "group" | "share"),
            Verb::Turn(_) => matches!(key, "node" | "group" | "share"),
            Verb::Outage => matches!(key, "node" | "for"),
            Verb::Wipe => key == "node",
            Verb::Move => matches!(key, "node" | "group" | "share" | "to" | "access"),
            Verb::SetPolicy => key == "policy",
        }
    }

    /// The keys that must be there.
    pub(super) fn needs(self) -> &'static [&'static str] {
        match self {
            Verb::SetLink | Verb::CutLink | Verb::HealLink => &["link"],
            Verb::Partition => &["ases"],
            Verb::Outage => &["node", "for"],
            Verb::Wipe | Verb::SetAccess => &["node"],
            Verb::Move => &["to"],
            Verb::SetPolicy => &["policy"],
            Verb::Turn(Turn::Add) => &["group"],
            // Other turns need a node or a group, a heal may have nothing.
            Verb::Turn(_) | Verb::Heal => &[],
        }
    }
}

/// What a process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Life {
    /// The timeline has not added it yet.
    Absent,
    Running,
    Frozen,
    Killed,
}

impl Life {
    pub(super) fn word(self) -> &'static str {
        match self {
            Life::Absent => "not there yet",
            Life::Running => "running",
            Life::Frozen => "frozen",
            Life::Killed => "killed",
        }
    }
}

/// A turn in the life of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Add,
    Kill,
    Restart,
    Freeze,
    Thaw,
}

impl Turn {
    pub(super) fn word(self) -> &'static str {
        Verb::Turn(self).word()
    }

    /// What a single node may be doing before it.
    pub(super) fn from(self) -> &'static [Life] {
        match self {
            Turn::Add => &[Life::Absent],
            Turn::Kill => &[Life::Running, Life::Frozen],
            Turn::Restart => &[Life::Killed],
            Turn::Freeze => &[Life::Running],
            Turn::Thaw => &[Life::Frozen],
        }
    }

    /// What those of a group are doing of whom it takes a share.
    pub(super) fn of(self) -> Life {
        self.from()[0]
    }

    pub(super) fn to(self) -> Life {
        match self {
            Turn::Kill => Life::Killed,
            Turn::Add | Turn::Restart | Turn::Thaw => Life::Running,
            Turn::Freeze => Life::Frozen,
        }
    }

    pub(super) fn act(self, nodes: Vec<NodeName>) -> Act {
        match self {
            Turn::Add => Act::Add { nodes },
            Turn::Kill => Act::Kill { nodes },
            Turn::Restart => Act::Restart { nodes },
            Turn::Freeze => Act::Freeze { nodes },
            Turn::Thaw => Act::Thaw { nodes },
        }
    }
}
