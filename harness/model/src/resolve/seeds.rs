//! Where every random value comes from: the seed and a name, through BLAKE3 and `ChaCha8`.
//!
//! A value depends on its own name alone (`peer/x-homes-3/guid`), never on how many were drawn before it, so that another
//! group, object or workload changes nothing of what is there. Logarithms and powers come from `libm`, not from the
//! system, whose last bit differs between machines.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// The seed of a repeat. 53 bits, so that every reader of JSON sees the same number.
pub(crate) fn repeat_seed(seed: u64, repeat: u32) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("peerbed seed of a repeat, version 1");
    hasher.update(&seed.to_le_bytes()).update(&repeat.to_le_bytes());
    first_u64(hasher.finalize().as_bytes()) >> 11
}

fn first_u64(bytes: &[u8; 32]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
}

/// All seeds of one plan.
#[derive(Debug, Clone)]
pub(crate) struct Seeds {
    key: [u8; 32],
}

impl Seeds {
    /// The seeds that come from a repeat's.
    pub(crate) fn new(repeat_seed: u64) -> Self {
        Self { key: blake3::derive_key("peerbed values of a plan, version 1", &repeat_seed.to_le_bytes()) }
    }

    /// The seeds of a topology that is made.
    pub(crate) fn of_topology(seed: u64) -> Self {
        Self { key: blake3::derive_key("peerbed values of a topology, version 1", &seed.to_le_bytes()) }
    }

    /// 32 bytes of this name.
    pub(crate) fn bytes(&self, name: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.key, name.as_bytes()).as_bytes()
    }

    /// A number of this name.
    pub(crate) fn number(&self, name: &str) -> u64 {
        first_u64(&self.bytes(name))
    }

    /// A sequence of draws of this name.
    pub(crate) fn draws(&self, name: &str) -> Draws {
        Draws(ChaCha8Rng::from_seed(self.bytes(name)))
    }

    /// Exactly `count` of the names, the same ones as far as possible if the count or the names change: those with the
    /// lowest numbers. One flag for each name.
    pub(crate) fn choose<'a>(&self, what: &str, names: impl Iterator<Item = &'a str>, count: u32) -> Vec<bool> {
        self.share_out(what, names, &[(true, count)], false)
    }

    /// Gives each value to exactly so many of the names, and `rest` to the others; each name keeps its own as far as possible if
    /// the numbers or the names change. One value for each name.
    pub(crate) fn share_out<'a, T: Copy>(
        &self,
        what: &str,
        names: impl Iterator<Item = &'a str>,
        values: &[(T, u32)],
        rest: T,
    ) -> Vec<T> {
        let mut ranked: Vec<(u64, usize)> =
            names.enumerate().map(|(index, name)| (self.number(&format!("{what}/{name}")), index)).collect();
        let mut given = vec![rest; ranked.len()];
        ranked.sort_unstable();
        let values = values.iter().flat_map(|(value, count)| std::iter::repeat_n(*value, *count as usize));
        ranked.iter().zip(values).for_each(|((_, index), value)| given[*index] = value);
        given
    }
}

/// A sequence of draws.
#[derive(Debug)]
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    /// Even in (0, 1].
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Exponential with mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -libm::log(self.unit())
    }

    /// Even in 0 … `count` − 1; `count` is at least 1.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (((self.unit() * count as f64).ceil() as usize).max(1) - 1).min(count - 1)
    }

    /// An index with a probability in proportion to its weight; none if no weight is above 0.
    pub(crate) fn weighted(&mut self, weights: impl Iterator<Item = f64> + Clone) -> Option<usize> {
        let total: f64 = weights.clone().sum();
        let mut left = self.unit() * total;
        let mut last = None;
        for (index, weight) in weights.enumerate().filter(|(_, weight)| *weight > 0.0) {
            last = Some(index);
            left -= weight;
            if left <= 0.0 {
                break;
            }
        }
        last
    }
}
