//! Where a mover may be: its places, and the one where it is.

use super::layout::{Host, Spot};

/// The places of one host: its own, those of its pattern, then those that a timeline made. They are numbered in that order.
#[derive(Debug, Clone)]
pub(super) struct Whereabouts {
    places: Vec<Spot>,
    /// How many of them are its own or of its pattern.
    pattern: usize,
    here: usize,
}

impl Whereabouts {
    /// A host that is at home.
    pub(super) fn new(host: &Host, pattern: &[Spot]) -> Self {
        let places: Vec<Spot> = std::iter::once((host.at, host.access)).chain(pattern.iter().copied()).collect();
        Self { pattern: places.len(), places, here: 0 }
    }

    /// Where it goes by its pattern; it is there then. `any` chooses among so many.
    pub(super) fn wander(&mut self, any: impl FnOnce(usize) -> usize) -> usize {
        let others: Vec<usize> = (0..self.pattern).filter(|place| *place != self.here).collect();
        self.here = others[any(others.len())];
        self.here
    }

    /// Where it goes if it is sent to an AS: to the first of its places there where it is not, else to a new one. Its own place
    /// has the link that it has, which will do where no link is `named`.
    pub(super) fn go(&mut self, (at, access): Spot, named: bool) -> usize {
        let there = |(index, place): (usize, &Spot)| {
            index != self.here && place.0 == at && (index == 0 && !named || place.1 == access)
        };
        self.here = self.places.iter().enumerate().position(there).unwrap_or_else(|| {
            self.places.push((at, access));
            self.places.len() - 1
        });
        self.here
    }

    /// One of them.
    pub(super) fn place(&self, index: usize) -> Spot {
        self.places[index]
    }
}
