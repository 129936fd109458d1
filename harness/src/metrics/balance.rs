//! The balance of traffic between ASes: who sends how much to others, who are the heavy uploaders, and whether bytes come back.
//! Content bytes that peers sent, as the paper's study of traffic counts them; a peer counts where it was at the time.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use peerbed_contract::{AsNumber, EventKind, Role};

use super::{Metric, RunView, Value, gini, median};

/// What one AS exchanged with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsTraffic {
    /// Its number.
    pub number: AsNumber,
    /// Distinct addresses that peers have in it.
    pub peers: u64,
    /// Bytes that its peers sent to other ASes.
    pub sent: u64,
    /// Bytes that came from peers of other ASes.
    pub received: u64,
    /// Bytes among its own peers.
    pub intra: u64,
    /// It is one of the heavy uploaders.
    pub heavy: bool,
}

impl AsTraffic {
    /// |U − D| and U + D of what it sent to and received from others.
    fn imbalance(&self) -> (u64, u64) {
        (self.sent.abs_diff(self.received), self.sent + self.received)
    }

    /// |U − D| / (U + D), 0 to 1; none of an AS that exchanged nothing.
    pub fn symmetry(&self) -> Option<f64> {
        let (difference, sum) = self.imbalance();
        (sum > 0).then(|| difference as f64 / sum as f64)
    }
}

/// Every AS that has peers or traffic of theirs, by number.
pub fn ases(view: &RunView<'_>) -> Vec<AsTraffic> {
    balance(&addresses(view), &view.peer_bytes_by_as())
}

/// The addresses that peers have in each AS: where they are by the plan, and where they went.
fn addresses(view: &RunView<'_>) -> BTreeMap<AsNumber, BTreeSet<IpAddr>> {
    let mut addresses: BTreeMap<AsNumber, BTreeSet<IpAddr>> = BTreeMap::new();
    for (index, node) in view.record.plan.nodes.iter().enumerate() {
        if node.role == Role::Peer && !view.never_added.contains(&index) {
            addresses.entry(node.config.as_number).or_default().insert(node.config.address);
        }
    }
    for event in &view.record.events {
        if let EventKind::Moved { address, as_number, .. } = &event.kind {
            addresses.entry(*as_number).or_default().insert(*address);
        }
    }
    addresses
}

type Matrix = BTreeMap<(AsNumber, AsNumber), u64>;

fn balance(addresses: &BTreeMap<AsNumber, BTreeSet<IpAddr>>, bytes: &Matrix) -> Vec<AsTraffic> {
    let mut ases: BTreeMap<AsNumber, AsTraffic> = BTreeMap::new();
    let mut at = |number: AsNumber, change: &dyn Fn(&mut AsTraffic)| {
        let empty = AsTraffic { number, peers: 0, sent: 0, received: 0, intra: 0, heavy: false };
        change(ases.entry(number).or_insert(empty));
    };
    for (number, addresses) in addresses {
        at(*number, &|one| one.peers = addresses.len() as u64);
    }
    for ((from, to), bytes) in bytes {
        if from == to {
            at(*from, &|one| one.intra += bytes);
        } else {
            at(*from, &|one| one.sent += bytes);
            at(*to, &|one| one.received += bytes);
        }
    }
    let mut ases: Vec<AsTraffic> = ases.into_values().collect();
    mark_heavy(&mut ases);
    ases
}

/// The smallest set of ASes that together send nine tenths of all inter-AS bytes: the greatest senders; of those that sent the
/// same, the lower number first.
fn mark_heavy(ases: &mut [AsTraffic]) {
    let all: u128 = ases.iter().map(|one| u128::from(one.sent)).sum();
    let mut order: Vec<&mut AsTraffic> = ases.iter_mut().collect();
    order.sort_by_key(|one| (std::cmp::Reverse(one.sent), one.number));
    let mut sum = 0;
    for one in order {
        if sum * 10 >= all * 9 {
            break;
        }
        sum += u128::from(one.sent);
        one.heavy = true;
    }
}

pub(super) fn rows(view: &RunView<'_>) -> Vec<Metric> {
    let bytes = view.peer_bytes_by_as();
    let ases = balance(&addresses(view), &bytes);
    let mut rows = whole(&ases, &bytes);
    for one in &ases {
        let (difference, sum) = one.imbalance();
        let count = |name, number| Metric::new(name, Value::count(number)).label("as", &one.number.get());
        rows.extend([
            count("as_sent_bytes", one.sent),
            count("as_received_bytes", one.received),
            count("as_peers", one.peers),
            count("as_heavy", u64::from(one.heavy)),
            Metric::new("as_symmetry", Value::ratio(1, difference as f64, sum as f64)).label("as", &one.number.get()),
        ]);
    }
    rows
}

/// What is said of all ASes together.
fn whole(ases: &[AsTraffic], bytes: &Matrix) -> Vec<Metric> {
    let n = ases.len() as u64;
    let heavy: BTreeSet<AsNumber> = ases.iter().filter(|one| one.heavy).map(|one| one.number).collect();
    let (intra, inter) = ases.iter().fold((0, 0), |sums, one| (sums.0 + one.intra, sums.1 + one.sent));
    let silent = ases.iter().filter(|one| one.sent == 0).count() as u64;
    let (uneven, equal) = gini(ases.iter().map(|one| one.sent as f64));
    let symmetry = |name, pairs: Vec<(u64, u64)>| {
        let (difference, sum) = pairs.iter().fold((0, 0), |sums, pair| (sums.0 + pair.0, sums.1 + pair.1));
        Metric::new(name, Value::ratio(pairs.len() as u64, difference as f64, sum as f64))
    };
    let peers = |wanted: bool| median(ases.iter().filter(|one| one.heavy == wanted).map(|one| one.peers as f64));
    let (many, few) = peers(true).zip(peers(false)).unwrap_or((0.0, 0.0));
    vec![
        Metric::new("inter_as_gini", Value::ratio(n, uneven, equal)),
        Metric::new("intra_as_share", Value::ratio(n, intra as f64, (intra + inter) as f64)),
        Metric::new("heavy_uploaders", Value::count(heavy.len() as u64)),
        Metric::new("heavy_uploaders_share", Value::proportion(heavy.len() as u64, n)),
        Metric::new("silent_ases_share", Value::proportion(silent, n)),
        symmetry("inter_as_symmetry", ases.iter().map(AsTraffic::imbalance).collect()),
        symmetry("heavy_symmetry", ases.iter().filter(|one| one.heavy).map(AsTraffic::imbalance).collect()),
        symmetry("pair_symmetry", pairs(&heavy, bytes)),
        Metric::new("heavy_peers_ratio", Value::ratio(n, many, few)),
    ]
}

/// Difference and sum of what the two of each unordered pair sent to each other; pairs that exchanged nothing are left out.
fn pairs(of: &BTreeSet<AsNumber>, bytes: &Matrix) -> Vec<(u64, u64)> {
    let sent = |from: AsNumber, to: AsNumber| bytes.get(&(from, to)).copied().unwrap_or(0);
    let pairs = of.iter().flat_map(|one| of.range(..*one).map(move |other| (*one, *other)));
    let exchanged = pairs.map(|(one, other)| (sent(one, other), sent(other, one)));
    exchanged.filter(|(up, down)| up + down > 0).map(|(up, down)| (up.abs_diff(down), up + down)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::as_number;

    /// Five ASes with 8, 4, 2, 2 and 1 peers. 1 and 2 exchange 600 and 300 bytes, 3 sends 50 to 1 and as much as 4 to 2; 5 is
    /// silent and receives 100 from 1; 200 stay in 1.
    fn five() -> (Vec<AsTraffic>, Matrix) {
        let flows = [(1, 2, 600), (2, 1, 300), (3, 1, 50), (4, 2, 50), (1, 5, 100), (1, 1, 200)];
        let bytes = flows.map(|(from, to, bytes)| ((as_number(from), as_number(to)), bytes)).into();
        let peers = [(1, 8), (2, 4), (3, 2), (4, 2), (5, 1)];
        let addresses = |(number, count): (u32, u8)| {
            (as_number(number), (0..count).map(|host| IpAddr::from([10, number as u8, 0, host])).collect())
        };
        (balance(&peers.map(addresses).into(), &bytes), bytes)
    }

    fn value(rows: &[Metric], name: &str) -> Option<f64> {
        rows.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no {name}")).value.single()
    }

    #[test]
    fn ases_send_and_receive() {
        let (ases, _) = five();
        let found: Vec<_> = ases.iter().map(|one| (one.number.get(), one.peers, one.sent, one.received)).collect();
        assert_eq!(found, [(1, 8, 700, 350), (2, 4, 300, 650), (3, 2, 50, 0), (4, 2, 50, 0), (5, 1, 0, 100)]);
        assert_eq!(ases[0].intra, 200);
        assert_eq!(ases[0].symmetry(), Some(350.0 / 1050.0));
        assert_eq!((ases[2].symmetry(), ases[4].symmetry()), (Some(1.0), Some(1.0)));
    }

    #[test]
    fn the_figures_of_all_are_what_is_worked_out_by_hand() {
        let (ases, bytes) = five();
        let rows = whole(&ases, &bytes);
        // 1 and 2 send 1000 of 1100 bytes: 90.9 %.
        assert_eq!(ases.iter().map(|one| one.heavy).collect::<Vec<_>>(), [true, true, false, false, false]);
        assert_eq!(value(&rows, "heavy_uploaders"), Some(2.0));
        assert_eq!(value(&rows, "heavy_uploaders_share"), Some(0.4));
        assert_eq!(value(&rows, "silent_ases_share"), Some(0.2));
        // Sorted 0, 50, 50, 300, 700 with weights -4, -2, 0, 2, 4: 3300 of 5 × 1100.
        assert_eq!(value(&rows, "inter_as_gini"), Some(0.6));
        assert_eq!(value(&rows, "intra_as_share"), Some(200.0 / 1300.0));
        // Differences 350, 350, 50, 50, 100 of sums 1050, 950, 50, 50, 100.
        assert_eq!(value(&rows, "inter_as_symmetry"), Some(900.0 / 2200.0));
        assert_eq!(value(&rows, "heavy_symmetry"), Some(700.0 / 2000.0));
        assert_eq!(value(&rows, "pair_symmetry"), Some(300.0 / 900.0));
        // Medians of 8, 4 and of 2, 2, 1.
        assert_eq!(value(&rows, "heavy_peers_ratio"), Some(3.0));
    }

    #[test]
    fn ties_go_by_number_and_nobody_is_heavy_where_nothing_is_sent() {
        let heavy = |sent: &[u64]| {
            let one = |(at, sent): (usize, &u64)| AsTraffic {
                number: as_number(at as u32 + 1),
                peers: 1,
                sent: *sent,
                received: 0,
                intra: 0,
                heavy: false,
            };
            let mut ases: Vec<_> = sent.iter().enumerate().map(one).collect();
            mark_heavy(&mut ases);
            ases.iter().filter(|one| one.heavy).map(|one| one.number.get()).collect::<Vec<_>>()
        };
        assert_eq!(heavy(&[10; 10]), [1, 2, 3, 4, 5, 6, 7, 8, 9], "exactly nine tenths are enough");
        assert_eq!(heavy(&[5, 90, 5]), [2]);
        assert_eq!(heavy(&[5, 89, 5]), [1, 2]);
        assert_eq!(heavy(&[0, 0]), [0_u32; 0]);
        assert_eq!(heavy(&[0, 7]), [2]);
    }

    #[test]
    fn nothing_sent_leaves_shares_undefined() {
        let rows = whole(&balance(&BTreeMap::new(), &Matrix::new()), &Matrix::new());
        for name in ["inter_as_gini", "intra_as_share", "inter_as_symmetry", "pair_symmetry", "heavy_peers_ratio"] {
            assert_eq!(value(&rows, name), None, "{name}");
        }
        assert_eq!(value(&rows, "heavy_uploaders"), Some(0.0));
    }
}
