//! The same experiment, larger or smaller: so many times the peers, with their copies, and so many times the downloads. The
//! topology, and with it the links that all share, stays as it is.

use crate::experiment::{Arrivals, Group, Workload};

/// How many times as large, from a thousandth to a thousand.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Scale(f64);

impl Scale {
    /// As it is written.
    pub const ONE: Self = Self(1.0);

    /// None if it is not a number from a thousandth to a thousand.
    pub fn new(factor: f64) -> Option<Self> {
        (0.001..=1000.0).contains(&factor).then_some(Self(factor))
    }

    /// How many times.
    pub fn factor(self) -> f64 {
        self.0
    }

    fn count(self, count: u32) -> u32 {
        (f64::from(count) * self.0).round() as u32
    }

    /// What there is does not vanish.
    fn some(self, count: u32) -> u32 {
        self.count(count).max(count.min(1))
    }

    pub(crate) fn groups(self, groups: &mut [Group]) {
        for group in groups {
            let peers = self.some(group.peers.value);
            group.peers.value = peers;
            group.uploads = group.uploads.scaled(|count| self.count(count), peers);
            group.users.rollback = self.count(group.users.rollback).min(peers);
            if let Some(moves) = &mut group.users.moves {
                moves.movers = self.count(moves.movers).min(peers);
            }
            for culprits in &mut group.behaviour {
                culprits.count = self.count(culprits.count).min(peers);
            }
            for (_, copies) in &mut group.holds {
                *copies = self.some(*copies).min(peers);
            }
        }
    }

    pub(crate) fn workloads(self, workloads: &mut [Workload]) {
        for workload in workloads {
            match &mut workload.arrivals {
                Arrivals::Poisson { rate, .. } => *rate *= self.0,
                Arrivals::Burst { count, .. } => *count = ((*count as f64 * self.0).round() as u64).max(1),
                Arrivals::At(moments) => {
                    let wanted = ((moments.len() as f64 * self.0).round() as usize).max(1);
                    // Each moment as often as any other, give or take one.
                    *moments = (0..wanted).map(|at| moments[at * moments.len() / wanted]).collect();
                }
                // They are as many as the peers.
                Arrivals::Everyone { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::diagnostic::Span;

    #[test]
    fn only_factors_that_make_sense_are_taken() {
        for factor in [0.001, 0.5, 1.0, 1000.0] {
            assert_eq!(Scale::new(factor).map(Scale::factor), Some(factor));
        }
        for wrong in [0.0, -1.0, 0.0009, 1000.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Scale::new(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn listed_moments_are_repeated_or_thinned_evenly() {
        let seconds = |list: &[u64]| list.iter().copied().map(Duration::from_secs).collect::<Vec<_>>();
        for (factor, expected) in
            [(1.0, vec![1, 2, 3, 4]), (2.0, vec![1, 1, 2, 2, 3, 3, 4, 4]), (0.5, vec![1, 3]), (0.01, vec![1])]
        {
            let mut workloads = [Workload {
                label: "0".to_owned(),
                span: Span::new(0, 0, 0),
                groups: vec![0],
                content: vec![0],
                arrivals: Arrivals::At(seconds(&[1, 2, 3, 4])),
                zipf: 0.0,
                patience: None,
            }];
            Scale(factor).workloads(&mut workloads);
            assert_eq!(workloads[0].arrivals, Arrivals::At(seconds(&expected)), "{factor}");
        }
    }
}
