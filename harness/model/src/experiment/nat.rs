//! `nat` of a group: how many of its peers are behind which class of address translation.

use peerbed_contract::NatClass;
use peerbed_link::Probability;

use crate::{
    diagnostic::Report,
    shape::group::NAT,
    yaml::{Node, Value},
};

/// The classes as they are written.
const WORDS: [(&str, NatClass); 5] = [
    ("none", NatClass::None),
    ("full-cone", NatClass::FullCone),
    ("port-restricted", NatClass::PortRestricted),
    ("symmetric", NatClass::Symmetric),
    ("blocked", NatClass::Blocked),
];

/// Of how many peers a sum of shares may be off: they are decimals.
const ROUNDING: f64 = 1e-9;

/// What share of a group's peers each class has, in the order of [`WORDS`]; together 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct NatMix([f64; WORDS.len()]);

impl NatMix {
    /// All peers of one class.
    pub(crate) fn all(class: NatClass) -> Self {
        Self(WORDS.map(|(_, of)| if of == class { 1.0 } else { 0.0 }))
    }

    /// Reads one word, or a share for each class.
    pub(crate) fn decode(node: &Node, report: &mut Report) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            return report
                .word_or(node, &WORDS, "a share for each class such as `{none: 40%, symmetric: 60%}`")
                .map(Self::all);
        }
        let fields = report.map(node, &NAT)?;
        let mut shares = [Some(0.0); WORDS.len()];
        for (share, (word, _)) in shares.iter_mut().zip(WORDS) {
            if let Some(node) = fields.get(word) {
                *share = report.share(node).map(Probability::get);
            }
        }
        let mut read = [0.0; WORDS.len()];
        for (read, share) in read.iter_mut().zip(shares) {
            *read = share?;
        }
        let sum: f64 = read.iter().sum();
        if (sum - 1.0).abs() > ROUNDING {
            let percent = (sum * 1e6).round() / 1e4;
            let finding = report.error(node.span, format!("the shares of NAT classes are {percent}% together"));
            finding.help("they are 100% together; give the rest to `none`, which has no address translation");
            return None;
        }
        Some(Self(read))
    }

    /// How many of `peers` have each class: rounded by the largest remainder, so that the sum is right.
    pub(crate) fn divide(&self, peers: u32) -> Vec<(NatClass, u32)> {
        let exact = self.0.map(|share| share * f64::from(peers));
        let mut counts = exact.map(|count| (count + ROUNDING).floor() as u32);
        let mut by_rest: Vec<usize> = (0..WORDS.len()).collect();
        by_rest.sort_by(|&a, &b| (exact[b] - f64::from(counts[b])).total_cmp(&(exact[a] - f64::from(counts[a]))));
        let left = peers.saturating_sub(counts.iter().sum());
        by_rest.into_iter().take(left as usize).for_each(|index| counts[index] += 1);
        WORDS.into_iter().zip(counts).map(|((_, class), count)| (class, count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_peer_has_a_class_and_no_class_is_off_by_one(weights in any::<[u16; 5]>(), peers in 1_u32..20_000) {
            let sum: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
            prop_assume!(sum > 0.0);
            let mix = NatMix(weights.map(|weight| f64::from(weight) / sum));
            let counts = mix.divide(peers);
            prop_assert_eq!(counts.iter().map(|(_, count)| count).sum::<u32>(), peers);
            for ((_, count), share) in counts.iter().zip(mix.0) {
                prop_assert!((f64::from(*count) - share * f64::from(peers)).abs() < 1.0 + 1e-6);
                prop_assert!(share > 0.0 || *count == 0);
            }
        }
    }
}
