//! Points in time and the structure that hands things out when they are due.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    time::Duration,
};

/// A point in time: nanoseconds since an origin that the caller chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// So many nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Nanoseconds since `earlier`; zero if it is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// So many nanoseconds later.
    #[must_use]
    pub const fn plus_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// So much later.
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        self.plus_nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Holds things until they are due; those due at the same moment come out in the order in which they went in.
#[derive(Debug)]
pub struct Agenda<T> {
    heap: BinaryHeap<Reverse<Entry>>,
    slots: Vec<Option<T>>,
    free: Vec<u32>,
    next_sequence: u64,
}

/// Small, so that the heap moves little; what is due waits in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    due: Moment,
    sequence: u64,
    slot: u32,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.sequence).cmp(&(other.due, other.sequence))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), next_sequence: 0 }
    }
}

impl<T> Agenda<T> {
    /// Keep `thing` until `due`.
    pub fn push(&mut self, due: Moment, thing: T) {
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(thing);
            slot
        } else {
            self.slots.push(Some(thing));
            self.slots.len() as u32 - 1
        };
        self.heap.push(Reverse(Entry { due, sequence: self.next_sequence, slot }));
        self.next_sequence += 1;
    }

    /// When the first thing is due.
    pub fn next_due(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse(entry)| entry.due)
    }

    /// The first thing and its moment, if it is due by `now`.
    pub fn pop_due(&mut self, now: Moment) -> Option<(Moment, T)> {
        if self.next_due()? > now {
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        self.free.push(entry.slot);
        let thing = self.slots[entry.slot as usize].take().expect("an entry of the heap has its slot filled");
        Some((entry.due, thing))
    }

    /// Give things another moment: those for which `due` names one. The order among equals stays that of entry.
    pub fn retime(&mut self, mut due: impl FnMut(&T) -> Option<Moment>) {
        let mut entries = std::mem::take(&mut self.heap).into_vec();
        for Reverse(entry) in &mut entries {
            let thing = self.slots[entry.slot as usize].as_ref().expect("an entry of the heap has its slot filled");
            entry.due = due(thing).unwrap_or(entry.due);
        }
        self.heap = entries.into();
    }

    /// How many things wait.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}
