//! Which pairs of nodes could not reach each other for a time: the plan cut a link on their way, or one on it carried nothing of
//! what came to it while the nodes parted. Their connections could not end in good order.

use std::collections::BTreeMap;

use peerbed_link::Counters;
use peerbed_model::Act;

use crate::{
    engine::Sample,
    metrics::{NodeIndex, PairKey, RunView},
};

/// Links that were cut off, with what is known of it.
pub(super) struct Cuts<'v, 'a> {
    view: &'v RunView<'a>,
    /// By index in the fabric.
    between: BTreeMap<usize, String>,
    access: BTreeMap<NodeIndex, String>,
}

impl<'v, 'a> Cuts<'v, 'a> {
    pub(super) fn of(view: &'v RunView<'a>) -> Self {
        let mut cuts = Self { view, between: BTreeMap::new(), access: BTreeMap::new() };
        cuts.planned();
        cuts.seen();
        cuts
    }

    fn planned(&mut self) {
        let plan = &self.view.record.plan;
        for action in &plan.timeline {
            let at = action.at.as_secs_f64();
            for new in action.act.links().iter().filter(|new| new.forward.is_cut() || new.backward.is_cut()) {
                let what = || format!("{}, which was cut at {at} s", new.name);
                self.between.entry(new.link as usize).or_insert_with(what);
            }
            if let Act::SetAccess { node, up, down } = &action.act
                && (up.is_cut() || down.is_cut())
                && let Some(index) = plan.nodes.iter().position(|planned| planned.name == *node)
            {
                let what = || format!("the access link of {node}, which was cut at {at} s");
                self.access.entry(index).or_insert_with(what);
            }
        }
    }

    /// Between the last two samples the nodes part.
    fn seen(&mut self) {
        let plan = &self.view.record.plan;
        let [.., before, last] = self.view.record.samples.as_slice() else { return };
        let fits = |sample: &Sample| {
            (sample.access.len(), sample.links.len()) == (plan.fabric.attachments().count(), plan.fabric.links.len())
        };
        if !fits(before) || !fits(last) {
            return; // Said by the check of the counters.
        }
        let stood = |then: &Counters, now: &Counters| {
            now.offered_packets > then.offered_packets && now.carried_packets == then.carried_packets
        };
        for (index, (then, now)) in before.links.iter().zip(&last.links).enumerate() {
            if stood(&then.forward, &now.forward) || stood(&then.backward, &now.backward) {
                let what = || format!("{}, which carried nothing at the end", plan.fabric.links[index].name);
                self.between.entry(index).or_insert_with(what);
            }
        }
        for (index, (then, now)) in before.access.iter().zip(&last.access).enumerate() {
            if stood(&then.forward, &now.forward) || stood(&then.backward, &now.backward) {
                let places = &plan.fabric.places;
                let name = plan
                    .fabric
                    .nodes
                    .get(index)
                    .map_or_else(|| &places[index - plan.nodes.len()].of, |node| &node.name);
                let Some(index) = plan.nodes.iter().position(|node| node.name == *name) else { continue };
                let what = || format!("the access link of {name}, which carried nothing at the end");
                self.access.entry(index).or_insert_with(what);
            }
        }
    }

    /// What cut two nodes off from each other, if anything did.
    pub(super) fn apart(&self, key: &PairKey<'_>) -> Option<&str> {
        if self.between.is_empty() && self.access.is_empty() {
            return None;
        }
        let ends = [key.source, key.destination];
        let access = ends.iter().find_map(|index| self.access.get(index));
        let ases = [key.source_as, key.destination_as];
        let on_the_way = || {
            let routes = self.view.record.plan.fabric.routes.iter();
            let mut hops = routes
                .filter(|route| [route.from, route.to] == ases || [route.to, route.from] == ases)
                .flat_map(|route| &route.hops);
            hops.find_map(|hop| self.between.get(&(hop.link as usize)))
        };
        access.or_else(on_the_way).map(String::as_str)
    }
}
