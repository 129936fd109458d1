//! `timeline`: what happens from outside, followed step by step so that each action fits what came before it.

mod draw;
mod moving;
mod policy;
mod verb;
mod ways;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use peerbed_contract::{NodeName, Order, Role};
use peerbed_link::Duplex;

pub(crate) use self::{
    draw::{Arrival, Step, arrivals, draw},
    moving::{Wanted, visited, wanted},
    policy::{Change, changes},
};
use self::{
    draw::{What, absent},
    moving::Trips,
    verb::{Life, Turn, VERBS, Verb},
    ways::Ways,
};
use crate::{
    diagnostic::{Report, Span, Spanned},
    experiment::{Group, Policy, decode::MOMENT, workload::late},
    limits,
    plan::{Act, NewLink},
    read::{Fields, listed},
    resolve::layout::{Host, Layout},
    shape::experiment::{ACTION, LASTS},
    topology::link,
    units,
    yaml::Node,
};

/// An action whose time and verb are known.
struct Draft<'n> {
    at: Duration,
    verb: Verb,
    fields: Fields<'n>,
    verb_span: Span,
}

/// Reads the list, in order of time; without a layout only what needs none is checked.
pub(crate) fn decode(
    node: &Node,
    duration: Duration,
    layout: Option<&Layout>,
    groups: &[Group],
    policy: &Policy,
    report: &mut Report,
) -> Vec<Step> {
    let items: &[Arc<Node>] = report.bounded_list(node, "actions", (0, limits::ACTIONS)).unwrap_or_default();
    let mut drafts: Vec<Draft<'_>> = items.iter().filter_map(|node| draft(node, duration, report)).collect();
    let Some(layout) = layout else { return Vec::new() };
    drafts.sort_by_key(|draft| draft.at);
    let picks: Vec<Option<Pick>> = drafts.iter().map(|draft| pick(draft, groups, report)).collect();
    let mut world = World {
        layout,
        groups,
        hosts: layout.hosts.iter().map(|host| (host.name.as_str(), host)).collect(),
        lives: BTreeMap::new(),
        crowds: BTreeMap::new(),
        access: BTreeMap::new(),
        ways: Ways::new(layout),
        trips: Trips::new(layout, groups),
        policy: *policy,
    };
    let added = drafts.iter().zip(&picks).filter(|(draft, _)| draft.verb == Verb::Turn(Turn::Add));
    world.begin(&absent(added.filter_map(|(_, pick)| pick.map(|pick| (pick.group, pick.count)))));
    let mut step = |number: usize, draft: &Draft<'_>, pick: Option<Pick>, report: &mut Report| {
        let what = match draft.verb {
            Verb::Move => world.depart(draft, pick, report).map(|departure| What::Move(Box::new(departure))),
            Verb::Turn(turn) if draft.fields.get("group").is_some() => world.turn_some(draft, turn, pick?, report),
            Verb::SetPolicy => world.set_policy(draft, report),
            _ => world.act(draft, report).map(|act| What::Known(Box::new(act))),
        };
        Some(Step { at: draft.at, number, what: what? })
    };
    let numbered = drafts.iter().zip(picks).enumerate();
    numbered.filter_map(|(number, (draft, pick))| step(number, draft, pick, report)).collect()
}

/// The group that an action names, and how many of it.
#[derive(Debug, Clone, Copy)]
struct Pick {
    group: usize,
    /// None: all whom it can take.
    count: Option<u32>,
}

/// Reads `group` and `share`; none where there is no group, or something is wrong.
fn pick(draft: &Draft<'_>, groups: &[Group], report: &mut Report) -> Option<Pick> {
    let name = report.name(draft.fields.get("group")?, 63)?;
    let Some(group) = groups.iter().position(|group| group.name.value == name.value) else {
        let groups = groups.iter().map(|group| group.name.value.as_str());
        report.dangling("group", &name.value, name.span, groups);
        return None;
    };
    let count = match draft.fields.get("share") {
        None => None,
        Some(node) => {
            let share = report.share(node)?.get();
            if share <= 0.0 {
                report.error(draft.fields.span_of("share"), "a share of 0% is nobody").help("give it a larger one");
                return None;
            }
            Some(((share * f64::from(groups[group].peers.value)).round() as u32).max(1))
        }
    };
    Some(Pick { group, count })
}

fn draft<'n>(node: &'n Node, duration: Duration, report: &mut Report) -> Option<Draft<'n>> {
    let fields = report.map(node, &ACTION)?;
    let at = fields.get("at").and_then(|node| report.time(node, MOMENT));
    let verb = fields.get("do").and_then(|node| report.word(node, VERBS));
    if let Some(at) = at.filter(|at| *at > duration) {
        late(fields.span_of("at"), at, duration, report);
    }
    if at.is_some_and(|at| at == duration) {
        let message = "this is the moment at which the run ends: nothing comes of it";
        report.warning(fields.span_of("at"), message).help("make `duration` longer, or this earlier");
    }
    let (at, verb) = (at?, verb?);
    for (key, node) in fields.given().filter(|(key, _)| !matches!(*key, "at" | "do") && !verb.takes(key)) {
        let message = format!("`{key}` has no meaning with `{}`", verb.word());
        report.error(node.span, message).help("remove it");
    }
    for needed in verb.needs().iter().filter(|key| fields.get(key).is_none()) {
        let message = format!("`{}` needs the key `{needed}`", verb.word());
        report.error(fields.span, message).help(match *needed {
            "policy" => "say what changes, as `policy: {uploads.per_copy: 2}`".to_owned(),
            "for" => "say how long, as `for: 5s`".to_owned(),
            "to" => "say to which AS, as `to: isp-y`".to_owned(),
            "ases" => "say which ASes are cut off from all others, as `ases: [isp-x]`".to_owned(),
            needed => format!("say which {needed} it happens to"),
        });
    }
    if matches!(verb, Verb::Turn(_) | Verb::Move) && verb != Verb::Turn(Turn::Add) {
        whom(&fields, verb, report);
    }
    let verb_span = fields.span_of("do");
    Some(Draft { at, verb, fields, verb_span })
}

/// Whether a verb of nodes or groups says whom it happens to.
fn whom(fields: &Fields<'_>, verb: Verb, report: &mut Report) {
    match (fields.get("node"), fields.get("group")) {
        (None, None) => {
            let message = format!("`{}` needs the key `node` or `group`", verb.word());
            report.error(fields.span, message).help("say which node it happens to, or which group, or a `share` of it");
        }
        (Some(_), Some(group)) => {
            report.error(group.span, "a node or a group, not both").help("remove one of the two");
        }
        (Some(_), None) if fields.get("share").is_some() => {
            let finding = report.error(fields.span_of("share"), "`share` is of a group");
            finding.help("write `group` instead of `node`, or remove it");
        }
        _ => {}
    }
}

/// How many of a group do what.
#[derive(Debug, Clone, Default)]
struct Crowd(BTreeMap<Life, u32>);

/// The state that actions change.
struct World<'a> {
    layout: &'a Layout,
    groups: &'a [Group],
    hosts: BTreeMap<&'a str, &'a Host>,
    /// Those that are not running, of groups of which no share was drawn.
    lives: BTreeMap<NodeName, Life>,
    /// By index, groups of which a share was drawn: nobody knows any more who does what.
    crowds: BTreeMap<usize, Crowd>,
    /// Those that were changed.
    access: BTreeMap<NodeName, Duplex>,
    ways: Ways<'a>,
    trips: Trips<'a>,
    policy: Policy,
}

impl<'a> World<'a> {
    /// Before the run, so many of some groups are not there; none: all of the group.
    fn begin(&mut self, absent: &BTreeMap<usize, Option<u32>>) {
        for (group, count) in absent {
            let peers = self.layout.peers(*group);
            match count.filter(|count| (*count as usize) < peers.len()) {
                None => self.lives.extend(peers.iter().map(|host| (host.name.clone(), Life::Absent))),
                Some(count) => {
                    let there = peers.len() as u32 - count;
                    self.crowds.insert(*group, Crowd([(Life::Absent, count), (Life::Running, there)].into()));
                }
            }
        }
    }

    fn set_policy(&mut self, draft: &Draft<'_>, report: &mut Report) -> Option<What> {
        let change = policy::read(draft.fields.get("policy")?, &self.policy, report)?;
        nothing_changed(change.changes.is_empty(), draft, report);
        self.policy = change.after;
        Some(What::Policy(Box::new(change)))
    }

    fn act(&mut self, draft: &Draft<'_>, report: &mut Report) -> Option<Act> {
        Some(match draft.verb {
            // What nodes are told of these is not known before the plan: see `set_policy` and `depart`.
            Verb::SetPolicy | Verb::Move => return None,
            Verb::Turn(turn) => turn.act(vec![self.live(draft, turn.from(), turn.to(), report)?]),
            Verb::SetLink => self.set_link(draft, report)?,
            Verb::CutLink | Verb::HealLink => self.cut_link(draft, report)?,
            Verb::Partition => {
                let ases = self.ases(draft, report)?;
                let links = self.ways.part(ases.clone());
                self.parted(draft, &ases, links, report)?
            }
            Verb::Heal => self.heal(draft, report)?,
            Verb::SetAccess => {
                let host = self.host(draft, report)?;
                let (name, old) = (host.name.clone(), host.access);
                let old = self.access.get(&name).copied().unwrap_or(old);
                let new = link::read_access(&draft.fields, old, &self.layout.traces, report);
                nothing_changed(new == old, draft, report);
                self.access.insert(name.clone(), new);
                Act::SetAccess { node: name, up: new.up, down: new.down }
            }
            Verb::Wipe => {
                let node = self.ordered(draft, Role::Control, "a node of the control plane", report)?;
                Act::Order { node, order: Order::Wipe }
            }
            Verb::Outage => {
                let lasts = draft.fields.get("for").and_then(|node| report.time(node, LASTS));
                let node = self.ordered(draft, Role::Edge, "an edge", report)?;
                Act::Order { node, order: Order::Outage { for_ns: lasts?.as_nanos() as u64 } }
            }
        })
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
        let host = self.host(draft, report)?;
        let name = host.name.clone();
        if let Some(group) = host.group.filter(|group| self.crowds.contains_key(group)) {
            let group = &self.groups[group].name.value;
            let message = format!("what `{name}` is doing then depends on the draw of a share of `{group}`");
            report.error(draft.fields.span_of("node"), message).help(format!("name `group: {group}`"));
            return None;
        }
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

    /// Moves a share of a group from one life to another.
    fn turn_some(&mut self, draft: &Draft<'_>, turn: Turn, pick: Pick, report: &mut Report) -> Option<What> {
        let Pick { group, count } = pick;
        let peers = self.layout.peers(group);
        let life = |host: &Host| self.lives.get(&host.name).copied().unwrap_or(Life::Running);
        let drawn = self.crowds.get(&group).cloned();
        let certain = drawn.is_none();
        let mut crowd = drawn.unwrap_or_else(|| {
            let mut crowd = Crowd::default();
            for host in peers {
                *crowd.0.entry(life(host)).or_default() += 1;
            }
            crowd
        });
        let able = crowd.0.entry(turn.of()).or_default();
        let (wanted, all) = (count.unwrap_or((*able).max(1)), count.is_none_or(|count| count == *able));
        if wanted > *able {
            let (verb, word, name) = (turn.word(), turn.of().word(), &self.groups[group].name.value);
            let message = match count {
                Some(count) => format!("`{verb}` of {count} of `{name}`, but {able} are {word} then"),
                None if turn == Turn::Add => format!("`{verb}` of `{name}`, but all of it is there then"),
                None => format!("`{verb}` of `{name}`, but nobody of it is {word} then"),
            };
            let help = format!("a share is of the whole group; without one `{verb}` takes all who are {word}");
            report.error(draft.verb_span, message).help(help);
            return None;
        }
        if certain && all {
            // Nobody is drawn.
            let turned: Vec<_> =
                peers.iter().filter(|host| life(host) == turn.of()).map(|host| host.name.clone()).collect();
            self.lives.extend(turned.into_iter().map(|name| (name, turn.to())));
            return Some(What::Some { turn, group, count });
        }
        *able -= wanted;
        *crowd.0.entry(turn.to()).or_default() += wanted;
        let same = crowd.0.iter().find(|(_, number)| **number as usize == peers.len()).map(|(life, _)| *life);
        self.crowds.insert(group, crowd);
        if let Some(life) = same {
            self.crowds.remove(&group);
            self.lives.extend(peers.iter().map(|host| (host.name.clone(), life)));
        }
        Some(What::Some { turn, group, count })
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

    /// The link that an action names, and whether by its reverse.
    fn link(&self, draft: &Draft<'_>, report: &mut Report) -> Option<(usize, bool)> {
        let node = draft.fields.get("link")?;
        let text = Spanned { value: report.text(node)?, span: node.span };
        self.ways.find(&text, report)
    }

    fn set_link(&mut self, draft: &Draft<'_>, report: &mut Report) -> Option<Act> {
        let (index, is_turned) = self.link(draft, report)?;
        if is_turned && (draft.fields.get("forward").is_some() || draft.fields.get("backward").is_some()) {
            let message =
                format!("the link's name is `{}`, and `forward` is read in that direction", self.ways.name(index));
            report.error(draft.fields.span_of("link"), message).help("write the link's name as it is");
        }
        let old = self.ways.spec(index);
        let new = link::read_link(&draft.fields, old, &self.layout.traces, report);
        nothing_changed(new == old, draft, report);
        Some(Act::SetLink(self.ways.set(index, new)))
    }

    fn cut_link(&mut self, draft: &Draft<'_>, report: &mut Report) -> Option<Act> {
        let (index, _) = self.link(draft, report)?;
        let cut = draft.verb == Verb::CutLink;
        let Some(link) = self.ways.cut(index, cut) else {
            let (name, at) = (self.ways.name(index), units::show_time(draft.at));
            let (is, help) = if cut {
                ("cut already", "heal it first, or remove this")
            } else {
                ("not cut by `cut-link`", "`heal` ends a partition")
            };
            report.error(draft.verb_span, format!("at {at} the link `{name}` is {is}")).help(help);
            return None;
        };
        let links = vec![link];
        Some(if cut { Act::Cut { ases: Vec::new(), links } } else { Act::Heal { ases: Vec::new(), links } })
    }

    /// The ASes that an action names, by index.
    fn ases(&self, draft: &Draft<'_>, report: &mut Report) -> Option<BTreeSet<usize>> {
        let node = draft.fields.get("ases")?;
        let items = report.bounded_list(node, "names of ASes", (1, limits::ASES))?;
        let mut ases = BTreeSet::new();
        let mut good = true;
        for item in items {
            let name = report.name(item, 63)?;
            let found = self.layout.ases.iter().position(|one| one.name == name.value);
            good &= found.is_some();
            if found.is_none() {
                let names = self.layout.ases.iter().map(|one| one.name.as_str());
                report.dangling("AS", &name.value, name.span, names);
            }
            ases.extend(found);
        }
        good.then_some(ases)
    }

    fn parted(
        &mut self,
        draft: &Draft<'_>,
        ases: &BTreeSet<usize>,
        links: Option<Vec<NewLink>>,
        report: &mut Report,
    ) -> Option<Act> {
        let Some(links) = links else {
            let message = "these ASes are cut off already";
            report.error(draft.fields.span_of("ases"), message).help("heal them first, or remove this");
            return None;
        };
        if links.is_empty() {
            let message = "no link leads from these ASes to others";
            report.error(draft.fields.span_of("ases"), message).help("name the ASes of one side of the partition");
            return None;
        }
        Some(Act::Cut { ases: self.names(ases), links })
    }

    fn heal(&mut self, draft: &Draft<'_>, report: &mut Report) -> Option<Act> {
        let (ases, links) = match draft.fields.get("ases") {
            Some(_) => {
                let ases = self.ases(draft, report)?;
                (self.names(&ases), self.ways.heal(&ases))
            }
            None => (Vec::new(), self.ways.heal_all()),
        };
        let Some(links) = links else {
            let message = format!("no such partition is there at {}", units::show_time(draft.at));
            report.error(draft.verb_span, message).help(format!("there are: {}", self.ways.partitions()));
            return None;
        };
        Some(Act::Heal { ases, links })
    }

    fn names(&self, ases: &BTreeSet<usize>) -> Vec<String> {
        ases.iter().map(|index| self.layout.ases[*index].name.clone()).collect()
    }
}

fn nothing_changed(same: bool, draft: &Draft<'_>, report: &mut Report) {
    if same && report.errors() == 0 {
        report
            .warning(draft.verb_span, format!("this `{}` changes nothing", draft.verb.word()))
            .help("give it a new value");
    }
}
