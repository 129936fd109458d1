//! Over which links between ASes the peers' content bytes went. The plan has every packet's path, so that this is known here,
//! while a study of logs can only say whether two ASes are connected directly.

use std::collections::{BTreeMap, BTreeSet};

use peerbed_contract::AsNumber;
use peerbed_link::{Fabric, Heading};

use super::{Metric, RunView, Value, balance::ases};

/// Bytes by the number of the link and the direction in which it is crossed.
type Crossed = BTreeMap<(usize, bool), u64>;

pub(super) fn rows(view: &RunView<'_>) -> Vec<Metric> {
    let fabric = &view.record.plan.fabric;
    let mut inter = view.peer_bytes_by_as();
    inter.retain(|(from, to), _| from != to);
    let heavy: BTreeSet<AsNumber> = ases(view).iter().filter(|one| one.heavy).map(|one| one.number).collect();
    let mut rows = vec![direct_share("direct_link_share", fabric, &inter)];
    let (crossed, total) = (crossed(fabric, &inter), inter.values().sum::<u64>());
    inter.retain(|(from, to), _| heavy.contains(from) && heavy.contains(to));
    rows.push(direct_share("heavy_direct_link_share", fabric, &inter));
    let transit: u64 = crossed.values().sum();
    rows.push(Metric::new("transit_bytes_total", Value::count(transit)));
    rows.push(Metric::new("mean_as_hops", Value::ratio(crossed.len() as u64, transit as f64, total as f64)));
    for (index, link) in fabric.links.iter().enumerate() {
        for (forward, word) in [(true, "forward"), (false, "backward")] {
            let bytes = crossed.get(&(index, forward)).copied().unwrap_or(0);
            let row = Metric::new("transit_bytes", Value::count(bytes));
            rows.push(row.label("link", &link.name).label("direction", &word));
        }
    }
    rows
}

/// Of bytes between ASes, those between two that a link connects.
fn direct_share(name: &str, fabric: &Fabric, bytes: &BTreeMap<(AsNumber, AsNumber), u64>) -> Metric {
    let direct: BTreeSet<(AsNumber, AsNumber)> =
        fabric.links.iter().flat_map(|link| [(link.a, link.b), (link.b, link.a)]).collect();
    let of_direct: u64 = bytes.iter().filter(|(pair, _)| direct.contains(pair)).map(|(_, bytes)| bytes).sum();
    Metric::new(name, Value::ratio(bytes.len() as u64, of_direct as f64, bytes.values().sum::<u64>() as f64))
}

/// What crossed each link, by the routes.
fn crossed(fabric: &Fabric, bytes: &BTreeMap<(AsNumber, AsNumber), u64>) -> Crossed {
    let mut crossed = Crossed::new();
    for route in &fabric.routes {
        let Some(bytes) = bytes.get(&(route.from, route.to)) else { continue };
        for hop in &route.hops {
            *crossed.entry((hop.link as usize, hop.heading == Heading::Forward)).or_default() += bytes;
        }
    }
    crossed
}

#[cfg(test)]
mod tests {
    use peerbed_link::{FabricLink, Hop, Route};

    use super::*;
    use crate::fixture::{self, as_number};

    /// A line 1 — 2 — 3.
    fn line() -> Fabric {
        let mut fabric = fixture::plan("hybrid", 0).fabric;
        let first = fabric.links[0].clone();
        fabric.links.push(FabricLink { name: "two~three".into(), a: as_number(2), b: as_number(3), ..first });
        let hop = |link, heading| Hop { link, heading };
        let (there, back) = (Heading::Forward, Heading::Backward);
        let routes = [
            (1, 2, vec![hop(0, there)]),
            (2, 1, vec![hop(0, back)]),
            (1, 3, vec![hop(0, there), hop(1, there)]),
            (3, 1, vec![hop(1, back), hop(0, back)]),
        ];
        fabric.routes =
            routes.map(|(from, to, hops)| Route { from: as_number(from), to: as_number(to), hops }).to_vec();
        fabric
    }

    #[test]
    fn bytes_count_on_every_link_of_their_path() {
        let flows = [(1, 2, 100), (1, 3, 40), (3, 1, 60)];
        let bytes = flows.map(|(from, to, bytes)| ((as_number(from), as_number(to)), bytes)).into();
        let found = crossed(&line(), &bytes);
        assert_eq!(found, Crossed::from([((0, true), 140), ((0, false), 60), ((1, true), 40), ((1, false), 60)]));
        // 100 of 200 bytes are between neighbours.
        assert_eq!(direct_share("direct_link_share", &line(), &bytes).value.single(), Some(0.5));
        assert_eq!(direct_share("direct_link_share", &line(), &BTreeMap::new()).value.single(), None);
    }
}
