//! The experiment's policy as each node is told it.

use std::time::Duration;

use peerbed_contract::{
    CachePolicy, ControlPolicy, Courtesy, EdgePolicy, NodePolicy, Order, PeerPolicy, Requery, Role, Selection,
    UploadLimits,
};
use peerbed_link::{Bandwidth, Duplex, Probability, Rate};

use crate::{
    experiment::{Cap, Policy},
    plan::PolicyOrder,
    resolve::layout::Layout,
};

pub(super) fn edge(policy: &Policy) -> EdgePolicy {
    EdgePolicy { token_lifetime_ns: nanos(policy.token_lifetime), limits: policy.edge_limits }
}

pub(super) fn control(policy: &Policy) -> ControlPolicy {
    ControlPolicy {
        selection: Selection {
            strategy: policy.strategy,
            max_returned: policy.max_returned,
            diversity: policy.diversity.get(),
            rotation: policy.rotation,
            filters: policy.filters,
        },
        readd: policy.control.readd,
        limits: policy.control.limits,
    }
}

/// That of a peer behind a link; shares are of what the link is at the start.
pub(super) fn peer(policy: &Policy, link: Duplex) -> PeerPolicy {
    let (uplink, downlink) = (link.up.bandwidth, link.down.bandwidth);
    PeerPolicy {
        uploads: UploadLimits {
            per_copy: policy.per_copy,
            connections: policy.connections,
            waiting: policy.waiting,
            rate_bps: rate_bps(policy.upload_rate, uplink),
            connection_rate_bps: policy.connection_rate.map(Rate::bps),
        },
        courtesy: courtesy(policy, uplink),
        cache: CachePolicy { time_ns: Some(nanos(policy.cache_time)), size_bytes: policy.cache_size.bytes() },
        edge_mode: policy.edge_mode,
        edge_target_bps: rate_bps(policy.edge_target, downlink),
        both_sides: policy.both_sides,
        max_sources: policy.max_sources,
        requery: Requery {
            below: (f64::from(policy.max_sources) * policy.requery_below.get()).ceil() as u32,
            every_ns: nanos(policy.requery_every),
        },
    }
}

/// What tells every node of another policy that concerns it, nodes that are told the same together. `links` are those that the
/// hosts have then.
pub(super) fn orders(old: &Policy, new: &Policy, layout: &Layout, links: &[Duplex]) -> Vec<PolicyOrder> {
    let mut orders: Vec<PolicyOrder> = Vec::new();
    for (host, link) in layout.hosts.iter().zip(links) {
        let of = |policy: &Policy| match host.role {
            Role::Edge => NodePolicy::Edge(edge(policy)),
            Role::Control => NodePolicy::Control(control(policy)),
            Role::Peer => NodePolicy::Peer(peer(policy, *link)),
        };
        let told = of(new);
        if told == of(old) {
            continue;
        }
        let order = Order::Policy(Box::new(told));
        match orders.iter_mut().find(|known| known.order == order) {
            Some(known) => known.nodes.push(host.name.clone()),
            None => orders.push(PolicyOrder { nodes: vec![host.name.clone()], order }),
        }
    }
    orders
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos() as u64
}

/// How uploads give way.
fn courtesy(policy: &Policy, uplink: Bandwidth) -> Courtesy {
    let whole = rate_bps(policy.upload_rate, uplink).or(uplink.mean().map(Rate::bps));
    let share = |share: Probability| match share.get() {
        0.0 => Some(0),
        1.0 => None,
        share => whole.map(|whole| ((whole as f64 * share) as u64).max(1)),
    };
    Courtesy {
        busy_rate_bps: share(policy.while_busy),
        downloading_rate_bps: share(policy.while_downloading),
        back_off_ns: nanos(policy.back_off),
    }
}

/// A cap in bits a second; none without a limit.
fn rate_bps(policy: Cap, link: Bandwidth) -> Option<u64> {
    match (policy, link) {
        (Cap::Share(share), link) => link.mean().map(|rate| ((rate.bps() as f64 * share.get()) as u64).max(1)),
        (Cap::Fixed(rate), _) => rate.map(Rate::bps),
    }
}
