//! Which classes of links plans use: every distinct specification in every kind of place, with the links that have it.

use std::{collections::BTreeMap, fmt};

use peerbed_link::{Bandwidth, LinkSpec};
use peerbed_model::{Act, NewLink, Plan};
use serde::{Deserialize, Serialize};

/// Where a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// From a node to its AS.
    Up,
    /// From an AS to a node.
    Down,
    /// One direction of a link between two ASes.
    Between,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Up => "uplink",
            Place::Down => "downlink",
            Place::Between => "between ASes",
        })
    }
}

/// Links of one kind that are all the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// Where they are.
    pub place: Place,
    /// What they are.
    pub spec: LinkSpec,
    /// Who has one: groups of nodes, or names of links with their direction. In order, each once.
    pub users: Vec<String>,
}

impl Class {
    /// What it is, exactly: equal for equal classes, whoever uses them.
    pub(super) fn key(&self) -> String {
        key(self.place, &self.spec)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        write!(f, "{} of {}", self.place, self.users[..self.users.len().min(SHOWN)].join(", "))?;
        match self.users.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

fn key(place: Place, spec: &LinkSpec) -> String {
    let spec = serde_json::to_string(spec).expect("a link's description has only plain values");
    format!("{place} {spec}")
}

/// The classes of all these plans, what their timelines change links to included.
pub fn classes<'p>(plans: impl IntoIterator<Item = &'p Plan>) -> Vec<Class> {
    let mut found: BTreeMap<String, Class> = BTreeMap::new();
    let mut add = |place: Place, spec: LinkSpec, user: String| {
        let mut of = |spec: LinkSpec, user: String| {
            let class = found.entry(key(place, &spec)).or_insert_with(|| Class { place, spec, users: Vec::new() });
            if !class.users.contains(&user) {
                class.users.push(user);
            }
        };
        // What a trace has packets wait hides everything else about a link, so that is measured without it.
        if let Bandwidth::Trace(_) = spec.bandwidth {
            of(LinkSpec { bandwidth: Bandwidth::Unlimited, ..spec }, format!("{user} without its trace"));
        }
        of(spec, user);
    };
    for plan in plans {
        let group =
            |node: &str| plan.nodes.iter().find(|planned| planned.name.as_str() == node).map(|n| n.group.clone());
        for (node, planned) in plan.fabric.nodes.iter().zip(&plan.nodes) {
            add(Place::Up, node.access.up, planned.group.clone());
            add(Place::Down, node.access.down, planned.group.clone());
        }
        for place in &plan.fabric.places {
            let group = group(place.of.as_str()).unwrap_or_else(|| place.of.to_string());
            add(Place::Up, place.at.access.up, format!("{group} elsewhere"));
            add(Place::Down, place.at.access.down, format!("{group} elsewhere"));
        }
        for link in &plan.fabric.links {
            add(Place::Between, link.forward, format!("{} forward", link.name));
            add(Place::Between, link.backward, format!("{} backward", link.name));
        }
        for action in &plan.timeline {
            let at = format!("from {} s on", action.at.as_secs_f64());
            // Of a link that carries nothing there is nothing to measure.
            for NewLink { name, forward, backward, .. } in
                action.act.links().iter().filter(|link| !link.forward.is_cut() && !link.backward.is_cut())
            {
                add(Place::Between, *forward, format!("{name} forward {at}"));
                add(Place::Between, *backward, format!("{name} backward {at}"));
            }
            if let Act::SetAccess { node, up, down } = &action.act {
                let group = group(node.as_str()).unwrap_or_else(|| node.to_string());
                add(Place::Up, *up, format!("{group} {at}"));
                add(Place::Down, *down, format!("{group} {at}"));
            }
        }
    }
    let mut classes: Vec<Class> = found.into_values().collect();
    for class in &mut classes {
        class.users.sort();
    }
    classes.sort_by(|a, b| (a.place, &a.users).cmp(&(b.place, &b.users)));
    classes
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use peerbed_link::{Rate, TraceId, Traced};
    use peerbed_model::Action;

    use super::*;
    use crate::fixture;

    fn plan() -> Plan {
        Arc::unwrap_or_clone(fixture::record("hybrid", 0).plan)
    }

    #[test]
    fn equal_links_are_one_class_and_all_plans_count() {
        let (first, mut second) = (plan(), plan());
        let before = classes([&first]);
        assert_eq!(classes([&first, &second]), before);
        // Each direction of each link of the plan is in exactly one class.
        let places = |place| before.iter().filter(move |class| class.place == place).count();
        assert!((1..=first.fabric.nodes.len()).contains(&places(Place::Up)));
        assert_eq!(places(Place::Between), 1, "both directions are the same: {before:#?}");
        second.fabric.nodes[0].access.up.delay = Duration::from_millis(77);
        let both = classes([&first, &second]);
        assert_eq!(both.len(), before.len() + 1);
        let new = both.iter().find(|class| class.spec.delay == Duration::from_millis(77)).unwrap();
        assert_eq!((new.place, &new.users[..]), (Place::Up, &[second.nodes[0].group.clone()][..]));
    }

    #[test]
    fn a_link_with_a_trace_is_also_measured_without_it() {
        let mut plan = plan();
        let rate = Rate::from_bps(3_000_000).unwrap();
        let traced = Traced { trace: TraceId::from_hash(1), mean: rate, peak: rate };
        plan.fabric.links[0].forward.bandwidth = Bandwidth::Trace(traced);
        let users: Vec<_> = classes([&plan]).into_iter().flat_map(|class| class.users).collect();
        let name = &plan.fabric.links[0].name;
        assert!(users.contains(&format!("{name} forward")), "{users:?}");
        assert!(users.contains(&format!("{name} forward without its trace")), "{users:?}");
    }

    #[test]
    fn what_a_timeline_changes_counts_too() {
        let mut plan = plan();
        let spec = LinkSpec { delay: Duration::from_millis(55), ..plan.fabric.links[0].forward };
        let (name, backward) = (plan.fabric.links[0].name.clone(), plan.fabric.links[0].backward);
        let act = Act::SetLink(NewLink { link: 0, name: name.clone(), forward: spec, backward });
        plan.timeline.push(Action { at: Duration::from_millis(1500), act });
        let found = classes([&plan]);
        let new = found.iter().find(|class| class.spec == spec).unwrap();
        assert_eq!(new.users, [format!("{name} forward from 1.5 s on")]);
        assert_eq!(new.to_string(), format!("between ASes of {name} forward from 1.5 s on"));
    }
}
