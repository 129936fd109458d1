//! How near a crowd came to the fluid bound of its distribution time.
//!
//! Kumar and Ross, "Peer-assisted file distribution: the minimum distribution time" (2006): whatever the protocol, N
//! peers that begin to download F bits together are not all done before
//!
//! ```text
//! max( F / u_s,  F / d_min,  N F / (u_s + Σ u_i) )
//! ```
//!
//! with the rate `u_s` of those who have the object at the start (all edges, and peers with a copy), the uplinks `u_i` of the
//! downloaders that upload, and the slowest downlink `d_min`. Every rate is of payload: a link's rate times the share of a
//! full TCP segment that is content, or the limit that the policy sets, where that is less. Links between ASes are not in
//! it, so where those are narrow no run comes near it.

use peerbed_contract::{ContentId, Object, PeerConfig, RoleConfig};
use peerbed_link::{Bandwidth, LinkSpec};
use peerbed_model::Act;

use super::{Metric, RunView, Value};

/// Content bytes in a full packet: 1500 bytes without the headers of IPv4 and of TCP with timestamps.
const PAYLOAD: f64 = 1448.0 / 1500.0;

/// Downloads that begin within this time of each other begin together.
const TOGETHER_NS: u64 = 1_000_000_000;

/// What the bound is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bound {
    /// What has to pass, in bits.
    bits: f64,
    /// How fast at the most, in bits a second.
    rate: f64,
}

impl Bound {
    fn seconds(self) -> f64 {
        self.bits / self.rate
    }
}

/// Bound and distance from it, of runs in which one crowd downloads one object.
pub(super) fn rows(view: &RunView<'_>) -> Vec<Metric> {
    let bound = bound(view);
    let ends = ends(view);
    let n = view.downloads.len() as u64;
    let of = |value: Option<(f64, Bound)>| match value {
        Some((seconds, bound)) => Value::ratio(n, seconds, bound.seconds()),
        None => Value::ratio(n, 0.0, 0.0),
    };
    let seconds = bound.map_or_else(|| Value::ratio(n, 0.0, 0.0), |bound| Value::ratio(n, bound.bits, bound.rate));
    vec![
        Metric::new("fluid_bound_s", seconds),
        Metric::new("fluid_bound_first", of(ends.map(|ends| ends.0).zip(bound))),
        Metric::new("fluid_bound_last", of(ends.map(|ends| ends.1).zip(bound))),
    ]
}

/// Seconds from the first beginning to the first and the last completion; none if one did not complete.
fn ends(view: &RunView<'_>) -> Option<(f64, f64)> {
    let records: Vec<_> = view.downloads.values().map(super::Download::record).collect::<Option<_>>()?;
    let whole = records.iter().all(|record| record.status == peerbed_contract::TerminalStatus::Completed);
    let start = records.iter().map(|record| record.start_ns).min().filter(|_| whole)?;
    let after = |end: Option<u64>| end.map(|end| end.saturating_sub(start) as f64 / 1e9);
    let ends = || records.iter().map(|record| record.end_ns);
    Some((after(ends().min())?, after(ends().max())?))
}

/// The bound of the plan; none if it has no crowd of at least two, a link of it follows a trace or has no limit that matters,
/// or the policy or an access link becomes another meanwhile.
fn bound(view: &RunView<'_>) -> Option<Bound> {
    let plan = &view.record.plan;
    let changes = |act: &Act| !act.changes().is_empty() || matches!(act, Act::Move { .. } | Act::SetAccess { .. });
    if plan.timeline.iter().any(|action| changes(&action.act)) {
        return None;
    }
    let (content, downloaders) = crowd(view)?;
    let object = objects(view).find(|object| object.id == *content)?;
    let (mut source, mut helpers, mut slowest) = (0.0_f64, 0.0_f64, f64::INFINITY);
    for (node, at) in plan.nodes.iter().zip(&plan.fabric.nodes) {
        let (up, down) = (payload(at.access.up)?, payload(at.access.down)?);
        match &node.config.role {
            RoleConfig::Edge(_) => source += up,
            RoleConfig::Control(_) => {}
            RoleConfig::Peer(peer) => {
                let downloads = downloaders.iter().any(|name| **name == node.name);
                if downloads {
                    slowest = slowest.min(down);
                }
                if !peer.uploads.enabled || !object.peers_allowed {
                    continue;
                }
                let up = peer.uploads.rate_bps.map_or(up, |limit| up.min(limit as f64));
                if peer.holds.contains(content) {
                    source += up;
                } else if downloads && !only_edge(peer) {
                    helpers += up;
                }
            }
        }
    }
    let bits = object.size as f64 * 8.0;
    let all = Bound { bits: bits * downloaders.len() as f64, rate: source + helpers };
    let bounds = [Bound { bits, rate: source }, Bound { bits, rate: slowest }, all];
    let bound = bounds.into_iter().max_by(|one, other| one.seconds().total_cmp(&other.seconds()))?;
    (bound.rate.is_finite() && bound.seconds() > 0.0).then_some(bound)
}

fn only_edge(peer: &PeerConfig) -> bool {
    peer.edge_mode == peerbed_contract::EdgeMode::Only
}

/// The one object that everybody downloads at the same time, and who.
fn crowd<'a>(view: &RunView<'a>) -> Option<(&'a ContentId, Vec<&'a peerbed_contract::NodeName>)> {
    let planned: Vec<_> = view.downloads.values().map(|download| download.planned).collect::<Option<_>>()?;
    let (_, first) = planned.first()?;
    let times = || planned.iter().map(|(_, step)| step.at_ns);
    let together = times().max()? - times().min()? <= TOGETHER_NS;
    let same = planned.iter().all(|(_, step)| step.content == first.content);
    let who = planned.iter().map(|(node, _)| &view.node(*node).name).collect();
    (planned.len() > 1 && together && same).then_some((&first.content, who))
}

fn objects<'a>(view: &RunView<'a>) -> impl Iterator<Item = &'a Object> {
    view.record.plan.nodes.iter().flat_map(|node| match &node.config.role {
        RoleConfig::Edge(edge) => edge.objects.as_slice(),
        RoleConfig::Peer(peer) => peer.objects.as_slice(),
        RoleConfig::Control(_) => &[],
    })
}

/// What of a link's rate can be content, in bits a second; infinite where nothing limits it, none where a trace does.
fn payload(link: LinkSpec) -> Option<f64> {
    match link.bandwidth {
        Bandwidth::Unlimited => Some(f64::INFINITY),
        Bandwidth::Limited(rate) => Some(rate.bps() as f64 * PAYLOAD),
        Bandwidth::Trace(_) => None,
    }
}
