//! `timeline`: what happens from outside, followed step by step so that each action fits what came before it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use peerbed_contract::{NodeName, Order, Role};
use peerbed_link::{Duplex, LinkSpec};

use crate::{
    diagnostic::{Report, Span},
    experiment::{decode::MOMENT, workload::late},
    limits,
    plan::{Act, Action},
    read::{Fields, listed},
    resolve::layout::{Host, Layout},
    shape::experiment::{ACTION, LASTS},
    topology::link,
    units,
    yaml::Node,
};

/// What an action does, before its operands are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Kill,
    Restart,
    Freeze,
    Thaw,
    SetLink,
    SetAccess,
    Wipe,
    Outage,
}

const VERBS: &[(&str, Verb)] = &[
    ("kill", Verb::Kill),
    ("restart", Verb::Restart),
    ("freeze", Verb::Freeze),
    ("thaw", Verb::Thaw),
    ("set-link", Verb::SetLink),
    ("set-access", Verb::SetAccess),
    ("wipe", Verb::Wipe),
    ("outage", Verb::Outage),
];

const BOTH: &[&str] = &["delay", "jitter", "loss", "queue"];

impl Verb {
    fn word(self) -> &'static str {
        VERBS.iter().find(|(_, verb)| *verb == self).map_or("", |(word, _)| word)
    }

    /// Whether a key means something with this verb.
    fn takes(self, key: &str) -> bool {
        match self {
            Verb::SetLink => matches!(key, "link" | "rate" | "trace" | "forward" | "backward") || BOTH.contains(&key),
            Verb::SetAccess => matches!(key, "node" | "up" | "down") || BOTH.contains(&key),
            Verb::Outage => matches!(key, "node" | "for"),
            _ => key == "node",
        }
    }
}

/// What a process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    Frozen,
    Killed,
}

impl Life {
    fn word(self) -> &'static str {
        match self {
            Life::Running => "running",
            Life::Frozen => "frozen",
            Life::Killed => "killed",
        }
    }
}

/// An action whose time and verb are known.
struct Draft<'n> {
    at: Duration,
    verb: Verb,
    fields: Fields<'n>,
    verb_span: Span,
}

/// Reads the list, in order of time; without a layout only what needs none is checked.
pub(crate) fn decode(node: &Node, duration: Duration, layout: Option<&Layout>, report: &mut Report) -> Vec<Action> {
    let items: &[Arc<Node>] = report.bounded_list(node, "actions", (0, limits::ACTIONS)).unwrap_or_default();
    let mut drafts: Vec<Draft<'_>> = items.iter().filter_map(|node| draft(node, duration, report)).collect();
    let Some(layout) = layout else { return Vec::new() };
    drafts.sort_by_key(|draft| draft.at);
    let mut world = World {
        layout,
        hosts: layout.hosts.iter().map(|host| (host.name.as_str(), host)).collect(),
        lives: BTreeMap::new(),
        access: BTreeMap::new(),
        links: layout.links.iter().map(|link| (link.forward, link.backward)).collect(),
    };
    drafts.iter().filter_map(|draft| world.act(draft, report)).collect()
}

fn draft<'n>(node: &'n Node, duration: Duration, report: &mut Report) -> Option<Draft<'n>> {
    let fields = report.map(node, &ACTION)?;
    let at = fields.get("at").and_then(|node| report.time(node, MOMENT));
    let verb = fields.get("do").and_then(|node| report.word(node, VERBS));
    if let Some(at) = at.filter(|at| *at > duration) {
        late(fields.span_of("at"), at, duration, report);
    }
    let (at, verb) = (at?, verb?);
    for (key, node) in fields.given().filter(|(key, _)| !matches!(*key, "at" | "do") && !verb.takes(key)) {
        let message = format!("`{key}` has no meaning with `{}`", verb.word());
        report.error(node.span, message).help("remove it");
    }
    let needed = if verb == Verb::SetLink { "link" } else { "node" };
    if fields.get(needed).is_none() {
        let message = format!("`{}` needs the key `{needed}`", verb.word());
        report.error(fields.span, message).help(format!("say which {needed} it happens to"));
    }
    if verb == Verb::Outage && fields.get("for").is_none() {
        report.error(fields.span, "`outage` needs the key `for`").help("say how long, as `for: 5s`");
    }
    let verb_span = fields.span_of("do");
    Some(Draft { at, verb, fields, verb_span })
}

/// The state that actions change.
struct World<'a> {
    layout: &'a Layout,
    hosts: BTreeMap<&'a str, &'a Host>,
    /// Those that are not running.
    lives: BTreeMap<NodeName, Life>,
    /// Those that were changed.
    access: BTreeMap<NodeName, Duplex>,
    links: Vec<(LinkSpec, LinkSpec)>,
}

impl<'a> World<'a> {
    fn act(&mut self, draft: &Draft<'_>, report: &mut Report) -> Option<Action> {
        let act = match draft.verb {
            Verb::SetLink => self.set_link(draft, report)?,
            Verb::SetAccess => {
                let host = self.host(draft, report)?;
                let (name, old) = (host.name.clone(), host.access);
                let old = self.access.get(&name).copied().unwrap_or(old);
                let new = link::read_access(&draft.fields, old, &self.layout.traces, report);
                nothing_changed(new == old, draft, report);
                self.access.insert(name.clone(), new);
                Act::SetAccess { node: name, up: new.up, down: new.down }
            }
            Verb::Kill => Act::Kill { node: self.live(draft, &[Life::Running, Life::Frozen], Life::Killed, report)? },
            Verb::Restart => Act::Restart { node: self.live(draft, &[Life::Killed], Life::Running, report)? },
            Verb::Freeze => Act::Freeze { node: self.live(draft, &[Life::Running], Life::Frozen, report)? },
            Verb::Thaw => Act::Thaw { node: self.live(draft, &[Life::Frozen], Life::Running, report)? },
            Verb::Wipe => {
                let node = self.ordered(draft, Role::Control, "a node of the control plane", report)?;
                Act::Order { node, order: Order::Wipe }
            }
            Verb::Outage => {
                let lasts = draft.fields.get("for").and_then(|node| report.time(node, LASTS));
                let node = self.ordered(draft, Role::Edge, "an edge", report)?;
                Act::Order { node, order: Order::Outage { for_ns: lasts?.as_nanos() as u64 } }
            }
        };
        Some(Action { at: draft.at, act })
    }

    fn host(&self, draft: &Draft<'_>, report: &mut Report) -> Option<&'a Host> {
        let name = report.name(draft.fields.get("node")?, 63)?;
        let found = self.hosts.get(name.value.as_str()).copied();
        if found.is_none() {
            report.dangling("node", &name.value, name.span, self.layout.hosts.iter().map(|host| host.name.as_str()));
        }
        found
    }

    /// Moves a node from one of some lives to another.
    fn live(&mut self, draft: &Draft<'_>, from: &[Life], to: Life, report: &mut Report) -> Option<NodeName> {
        let name = self.host(draft, report)?.name.clone();
        let now = self.lives.get(&name).copied().unwrap_or(Life::Running);
        if !from.contains(&now) {
            let (verb, at) = (draft.verb.word(), units::show_time(draft.at));
            let message = format!("`{verb}` of `{name}` at {at}, but it is {} then", now.word());
            let needed: Vec<&str> = from.iter().map(|life| life.word()).collect();
            report
                .error(draft.verb_span, message)
                .help(format!("`{verb}` needs a node that is {}", needed.join(" or ")));
            return None;
        }
        self.lives.insert(name.clone(), to);
        Some(name)
    }

    /// A running node of a role, which is to carry out an order itself.
    fn ordered(&mut self, draft: &Draft<'_>, role: Role, what: &str, report: &mut Report) -> Option<NodeName> {
        let host = self.host(draft, report)?;
        if host.role != role {
            let message = format!("`{}` is of {what}, `{}` is none", draft.verb.word(), host.name);
            let of_role = self.layout.hosts.iter().filter(|host| host.role == role).map(|host| host.name.as_str());
            report.error(draft.fields.span_of("node"), message).help(format!("there are: {}", listed(of_role)));
            return None;
        }
        self.live(draft, &[Life::Running], Life::Running, report)
    }

    fn set_link(&mut self, draft: &Draft<'_>, report: &mut Report) -> Option<Act> {
        let node = draft.fields.get("link")?;
        let text = report.text(node)?;
        // A link has one name, but whoever names its ends the other way round means no other.
        let turned = text.split_once('~').map(|(a, b)| format!("{b}~{a}"));
        let index = self.layout.links.iter().position(|link| link.name == text || Some(&link.name) == turned.as_ref());
        let Some(index) = index else {
            report.dangling("link", &text, node.span, self.layout.links.iter().map(|link| link.name.as_str()));
            return None;
        };
        let old = self.links[index];
        let is_turned = self.layout.links[index].name != text;
        if is_turned && (draft.fields.get("forward").is_some() || draft.fields.get("backward").is_some()) {
            let message = format!(
                "the link's name is `{}`, and `forward` is read in that direction",
                self.layout.links[index].name
            );
            report.error(node.span, message).help("write the link's name as it is");
        }
        let (forward, backward) = link::read_link(&draft.fields, old, &self.layout.traces, report);
        nothing_changed((forward, backward) == old, draft, report);
        self.links[index] = (forward, backward);
        Some(Act::SetLink { link: index as u32, name: self.layout.links[index].name.clone(), forward, backward })
    }
}

fn nothing_changed(same: bool, draft: &Draft<'_>, report: &mut Report) {
    if same && report.errors() == 0 {
        report
            .warning(draft.verb_span, format!("this `{}` changes nothing", draft.verb.word()))
            .help("give it a new value");
    }
}
