//! Which host is where. Every host has one port and begins in its own place; while it is in another, its own is empty.

use std::sync::atomic::{AtomicU32, Ordering};

use super::network::NodeIndex;

/// Nobody is there.
const EMPTY: u32 = u32::MAX;

/// The places of hosts, and the hosts of places; read by every thread for every packet.
#[derive(Debug)]
pub(super) struct Seats {
    /// Of each host, where it is.
    place_of: Vec<AtomicU32>,
    /// Of each place, the host that is there.
    host_at: Vec<AtomicU32>,
}

impl Seats {
    /// So many hosts, each in its own of so many places.
    pub(super) fn new(hosts: usize, places: usize) -> Self {
        let host_at = (0..places as u32).map(|place| if (place as usize) < hosts { place } else { EMPTY });
        Self {
            place_of: (0..hosts as u32).map(AtomicU32::new).collect(),
            host_at: host_at.map(AtomicU32::new).collect(),
        }
    }

    /// Where a host is.
    pub(super) fn place_of(&self, host: usize) -> NodeIndex {
        NodeIndex(self.place_of[host].load(Ordering::Acquire))
    }

    /// Who is there.
    pub(super) fn host_at(&self, place: NodeIndex) -> Option<usize> {
        let host = self.host_at[place.0 as usize].load(Ordering::Acquire);
        (host != EMPTY).then_some(host as usize)
    }

    /// A host goes to another place, which is kept for it alone. For a moment it is in neither.
    pub(super) fn change(&self, host: usize, place: usize) {
        let before = self.place_of[host].load(Ordering::Acquire);
        self.host_at[before as usize].store(EMPTY, Ordering::Release);
        self.place_of[host].store(place as u32, Ordering::Release);
        self.host_at[place].store(host as u32, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_in_one_place_at_a_time_and_finds_its_own_empty_when_it_is_back() {
        let seats = Seats::new(2, 4);
        let who = || (0..4).map(|place| seats.host_at(NodeIndex(place))).collect::<Vec<_>>();
        assert_eq!(who(), [Some(0), Some(1), None, None]);
        for (place, expected) in [
            (3, [Some(0), None, None, Some(1)]),
            (2, [Some(0), None, Some(1), None]),
            (2, [Some(0), None, Some(1), None]),
            (1, [Some(0), Some(1), None, None]),
        ] {
            seats.change(1, place);
            assert_eq!(who(), expected);
            assert_eq!((seats.place_of(0), seats.place_of(1)), (NodeIndex(0), NodeIndex(place as u32)));
        }
    }
}
