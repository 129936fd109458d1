//! Whose turn it is to be uploaded to: some downloaders are served at the same time, the others wait for a place.
//!
//! A downloader in service gets one piece; when others wait, it then makes room for the one that has waited longest and
//! waits itself. So every downloader gets as many pieces as any other, and a piece that was begun is soon whole at its
//! receiver, who can pass it on.

use std::collections::VecDeque;

use crate::ConnId;

/// The downloaders that have asked for something.
#[derive(Debug)]
pub(super) struct Slots {
    most: usize,
    /// In service, in the order of their turns.
    serving: VecDeque<ConnId>,
    waiting: VecDeque<ConnId>,
}

impl Slots {
    /// Room for `most` in service.
    pub(super) fn new(most: usize) -> Self {
        Self { most, serving: VecDeque::new(), waiting: VecDeque::new() }
    }

    /// Room for so many from now on; those who served last wait first when there is less.
    pub(super) fn set_most(&mut self, most: usize) {
        self.most = most;
        while self.serving.len() > most
            && let Some(conn) = self.serving.pop_back()
        {
            self.waiting.push_front(conn);
        }
        self.fill();
    }

    /// A downloader has asked for something.
    pub(super) fn enter(&mut self, conn: ConnId) {
        if !self.serving.contains(&conn) && !self.waiting.contains(&conn) {
            self.waiting.push_back(conn);
            self.fill();
        }
    }

    /// A downloader has nothing to get any more.
    pub(super) fn leave(&mut self, conn: ConnId) {
        self.serving.retain(|other| *other != conn);
        self.waiting.retain(|other| *other != conn);
        self.fill();
    }

    /// A downloader in service makes room, if somebody waits for it.
    pub(super) fn give_way(&mut self, conn: ConnId) {
        let at = self.serving.iter().position(|other| *other == conn);
        if let Some(at) = at.filter(|_| !self.waiting.is_empty()) {
            self.serving.remove(at);
            self.waiting.push_back(conn);
            self.fill();
        }
    }

    /// One that waits is the next to be served.
    pub(super) fn hurry(&mut self, conn: ConnId) {
        if let Some(at) = self.waiting.iter().position(|other| *other == conn) {
            self.waiting.remove(at);
            self.waiting.push_front(conn);
        }
    }

    /// The first in service that `ready` accepts; its next turn is after everybody else's.
    pub(super) fn next(&mut self, ready: impl Fn(ConnId) -> bool) -> Option<ConnId> {
        let at = self.serving.iter().position(|conn| ready(*conn))?;
        let conn = self.serving.remove(at)?;
        self.serving.push_back(conn);
        Some(conn)
    }

    /// Those in service.
    pub(super) fn serving(&self) -> impl Iterator<Item = ConnId> {
        self.serving.iter().copied()
    }

    /// Those who wait.
    pub(super) fn waiting(&self) -> impl Iterator<Item = ConnId> {
        self.waiting.iter().copied()
    }

    /// Whether somebody waits whom `ready` accepts.
    pub(super) fn has_waiting(&self, ready: impl Fn(ConnId) -> bool) -> bool {
        self.waiting.iter().any(|conn| ready(*conn))
    }

    fn fill(&mut self) {
        while self.serving.len() < self.most
            && let Some(conn) = self.waiting.pop_front()
        {
            self.serving.push_back(conn);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pieces_are_dealt_out_evenly_whatever_the_number_of_slots() {
        for most in [1, 3, 8, 20] {
            let mut slots = Slots::new(most);
            let mut pieces: BTreeMap<ConnId, u32> = (0..13).map(|number| (ConnId(number), 0)).collect();
            for conn in pieces.keys() {
                slots.enter(*conn);
            }
            for _ in 0..130 {
                let conn = slots.next(|_| true).unwrap();
                *pieces.get_mut(&conn).unwrap() += 1;
                slots.give_way(conn);
            }
            assert!(pieces.values().all(|count| *count == 10), "{most}: {pieces:?}");
        }
    }

    #[test]
    fn one_that_takes_nothing_keeps_nobody_waiting_once_it_gives_way() {
        let mut slots = Slots::new(1);
        slots.enter(ConnId(1));
        slots.enter(ConnId(3));
        assert_eq!(slots.next(|conn| conn != ConnId(1)), None);
        slots.give_way(ConnId(1));
        assert_eq!(slots.next(|conn| conn != ConnId(1)), Some(ConnId(3)));
    }

    #[test]
    fn who_can_take_something_again_is_next() {
        let mut slots = Slots::new(1);
        for number in [1, 3, 5] {
            slots.enter(ConnId(number));
        }
        slots.give_way(ConnId(1));
        slots.hurry(ConnId(1));
        slots.hurry(ConnId(3)); // It is in service.
        slots.leave(ConnId(3));
        assert_eq!(slots.next(|_| true), Some(ConnId(1)));
    }

    proptest! {
        /// Whatever happens, nobody is forgotten, nobody stands twice, and no slot is empty while somebody waits.
        #[test]
        fn everybody_is_served_or_waits(
            mut most in 1_usize..5, acts in proptest::collection::vec((0_u64..8, 0_u8..6), 0..100),
        ) {
            let mut slots = Slots::new(most);
            let mut present = std::collections::BTreeSet::new();
            for (number, act) in acts {
                let conn = ConnId(number);
                match act {
                    0 => { slots.enter(conn); present.insert(conn); }
                    1 => { slots.leave(conn); present.remove(&conn); }
                    2 => slots.give_way(conn),
                    3 => { most = number as usize % 5 + 1; slots.set_most(most); }
                    4 => slots.hurry(conn),
                    _ => { slots.next(|other| other == conn); }
                }
                let mut all: Vec<ConnId> = slots.serving.iter().chain(&slots.waiting).copied().collect();
                all.sort_unstable();
                prop_assert_eq!(all, present.iter().copied().collect::<Vec<_>>());
                prop_assert!(slots.serving.len() == most.min(present.len()));
            }
        }
    }
}
