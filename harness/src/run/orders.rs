//! What nodes are told during a run, and when: one that stands still does not listen, and one that is being started does not
//! move before it is ready.

use std::collections::BTreeMap;

use peerbed_contract::{NodeName, NodePolicy, Order};
use peerbed_model::{Act, PolicyOrder, Relocation};

use super::watch::Watch;

/// An order and whom it is for.
pub(super) type Told = (Vec<NodeName>, Order);

/// The orders of one run.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// The policies that were set, by whom they are for.
    policies: BTreeMap<NodeName, Order>,
    /// What those who stand still are told when they go on: the latest policy and place.
    held: BTreeMap<NodeName, Vec<Order>>,
    /// Where those go who are being started.
    waiting: BTreeMap<NodeName, Relocation>,
}

impl Orders {
    /// What there is to do about an act now, and who is told what after that.
    pub(super) fn of(&mut self, act: &Act, watch: &Watch) -> (Act, Vec<Told>) {
        let told = match act {
            Act::SetPolicy { orders, .. } => {
                let mut told = Vec::new();
                for PolicyOrder { nodes, order } in orders {
                    self.policies.extend(nodes.iter().map(|node| (node.clone(), order.clone())));
                    // Others are told when they are started.
                    let nodes = nodes.iter().filter(|node| self.hears_now(node, order, watch));
                    let nodes: Vec<NodeName> = nodes.cloned().collect();
                    told.extend((!nodes.is_empty()).then(|| (nodes, order.clone())));
                }
                told
            }
            Act::Order { node, order } => vec![(vec![node.clone()], order.clone())],
            Act::Move { nodes, to } => return self.moves(nodes, to, watch),
            Act::Thaw { nodes } => {
                let held = nodes.iter().filter_map(|node| Some((node, self.held.remove(node)?)));
                held.flat_map(|(node, orders)| orders.into_iter().map(|order| (vec![node.clone()], order))).collect()
            }
            Act::Kill { nodes } | Act::Restart { nodes } => {
                for node in nodes {
                    self.held.remove(node);
                }
                Vec::new()
            }
            _ => Vec::new(),
        };
        (act.clone(), told)
    }

    fn moves(&mut self, nodes: &[NodeName], to: &[Relocation], watch: &Watch) -> (Act, Vec<Told>) {
        let (mut movers, mut places, mut told) = (Vec::new(), Vec::new(), Vec::new());
        for (node, to) in nodes.iter().zip(to) {
            if watch.is_coming(node) {
                self.waiting.insert(node.clone(), to.clone());
                continue;
            }
            self.waiting.remove(node);
            let order = self.moved(node, to);
            if self.hears_now(node, &order, watch) {
                told.push((vec![node.clone()], order));
            }
            movers.push(node.clone());
            places.push(to.clone());
        }
        (Act::Move { nodes: movers, to: places }, told)
    }

    /// A node that was started is ready: the policy that it is told before its start (its configuration has that of the
    /// beginning), and where it goes then.
    pub(super) fn ready(&mut self, node: &NodeName) -> (Option<Order>, Option<(Relocation, Order)>) {
        let policy = self.policies.get(node).cloned();
        let place = self.waiting.remove(node).map(|to| {
            let order = self.moved(node, &to);
            (to, order)
        });
        (policy, place)
    }

    /// What a node is told that moves; from then on its policy is that of its place.
    fn moved(&mut self, node: &NodeName, to: &Relocation) -> Order {
        if let Some(Order::Policy(policy)) = self.policies.get_mut(node)
            && let NodePolicy::Peer(policy) = &mut **policy
        {
            policy.put(&to.config);
        }
        Order::Move(Box::new(to.config.clone()))
    }

    /// Whether a node can be told an order now; it is kept for one that stands still.
    fn hears_now(&mut self, node: &NodeName, order: &Order, watch: &Watch) -> bool {
        if !watch.hears(node) {
            return false;
        }
        if watch.is_still(node) {
            let held = self.held.entry(node.clone()).or_default();
            held.retain(|known| std::mem::discriminant(known) != std::mem::discriminant(order));
            held.push(order.clone());
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use peerbed_contract::Place;

    use super::*;
    use crate::fixture;

    /// A peer of a run, and its policy with this cap of uploads.
    fn peer() -> (NodeName, Watch) {
        (fixture::name("peer-1"), Watch::new(fixture::record("hybrid", 0).plan))
    }

    fn set_policy(node: &NodeName, rate_bps: u64) -> Act {
        let plan = Arc::unwrap_or_clone(fixture::record("hybrid", 0).plan);
        let config = plan.nodes.into_iter().find(|planned| planned.name == *node).expect("it is there").config;
        let peerbed_contract::RoleConfig::Peer(peer) = config.role else { panic!("a peer") };
        let mut policy = peer.policy();
        policy.uploads.rate_bps = Some(rate_bps);
        let order = Order::Policy(Box::new(NodePolicy::Peer(policy)));
        Act::SetPolicy { changes: Vec::new(), orders: vec![PolicyOrder { nodes: vec![node.clone()], order }] }
    }

    fn move_to(node: &NodeName, number: u8, rate_bps: u64) -> Act {
        let config = Place {
            address: [10, 9, 0, number].into(),
            as_number: fixture::as_number(64_512),
            region: "west".to_owned(),
            lan: None,
            control: Vec::new(),
            edges: Vec::new(),
            rate_bps: Some(rate_bps),
            courtesy: peerbed_contract::Courtesy::default(),
            edge_target_bps: None,
        };
        let to = Relocation { place: fixture::name("peer-1.1"), as_name: "x".to_owned(), config };
        Act::Move { nodes: vec![node.clone()], to: vec![to] }
    }

    /// What an order says in short.
    fn said(order: &Order) -> String {
        match order {
            Order::Policy(policy) => match &**policy {
                NodePolicy::Peer(policy) => format!("policy {:?}", policy.uploads.rate_bps),
                other => panic!("{other:?}"),
            },
            Order::Move(place) => format!("place {}", place.address),
            other => panic!("{other:?}"),
        }
    }

    fn told(told: &[Told]) -> Vec<String> {
        told.iter().map(|(_, order)| said(order)).collect()
    }

    #[test]
    fn who_stands_still_is_told_the_latest_when_it_goes_on() {
        let (node, mut watch) = peer();
        let mut orders = Orders::default();
        assert_eq!(told(&orders.of(&set_policy(&node, 1), &watch).1), ["policy Some(1)"]);
        watch.expect_frozen(&node);
        for act in [set_policy(&node, 2), move_to(&node, 1, 20), set_policy(&node, 3), move_to(&node, 2, 30)] {
            let (done, said) = orders.of(&act, &watch);
            assert_eq!((&done, said.len()), (&act, 0), "the host moves all the same");
        }
        watch.expect_thawed(&node, Duration::from_secs(9));
        let thaw = Act::Thaw { nodes: vec![node.clone()] };
        assert_eq!(told(&orders.of(&thaw, &watch).1), ["policy Some(3)", "place 10.9.0.2"]);
        assert_eq!(orders.of(&thaw, &watch).1, [], "it was told");
    }

    #[test]
    fn what_was_kept_for_a_process_dies_with_it() {
        let (node, mut watch) = peer();
        let mut orders = Orders::default();
        watch.expect_frozen(&node);
        orders.of(&set_policy(&node, 2), &watch);
        orders.of(&Act::Restart { nodes: vec![node.clone()] }, &watch);
        assert_eq!(orders.of(&Act::Thaw { nodes: vec![node.clone()] }, &watch).1, []);
        let (policy, place) = orders.ready(&node);
        assert_eq!((policy.map(|order| said(&order)), place), (Some("policy Some(2)".to_owned()), None));
    }

    #[test]
    fn who_is_being_started_moves_when_it_is_ready() {
        let (node, mut watch) = peer();
        let mut orders = Orders::default();
        orders.of(&set_policy(&node, 2), &watch);
        watch.expect_ready(&node, Duration::from_secs(1));
        let (done, said_now) = orders.of(&move_to(&node, 1, 20), &watch);
        assert_eq!((done.nodes().len(), said_now.len()), (0, 0));
        let (policy, place) = orders.ready(&node);
        assert_eq!(policy.map(|order| said(&order)).as_deref(), Some("policy Some(2)"), "of where it is started");
        assert_eq!(place.map(|(_, order)| said(&order)).as_deref(), Some("place 10.9.0.1"));
        // One whose start was given up moves at once, and does not go back later.
        watch.expect_ready(&node, Duration::from_secs(2));
        orders.of(&move_to(&node, 1, 20), &watch);
        watch.expect_exit(&node);
        assert_eq!(orders.of(&move_to(&node, 2, 20), &watch).0.nodes().len(), 1);
        // From then on its policy is that of the place.
        let (policy, place) = orders.ready(&node);
        assert_eq!((policy.map(|order| said(&order)).as_deref(), place), (Some("policy Some(20)"), None));
    }
}
