//! The generator of synthetic content: any range of any object from the object's key.
//!
//! The bytes of an object are the outputs of `SplitMix64` (Steele, Lea, Flood: "Fast splittable pseudorandom number
//! generators", OOPSLA 2014) seeded with the object's key, each 64-bit output written little endian, cut at the object's
//! size. The generator's state is only a counter, so output `i` is computed without the ones before it:
//!
//! ```text
//! word(key, i) = mix(key + (i + 1) · 0x9e3779b97f4a7c15)            all arithmetic modulo 2^64
//! mix(z):  z = (z ^ (z >> 30)) · 0xbf58476d1ce4e5b9
//!          z = (z ^ (z >> 27)) · 0x94d049bb133111eb
//!          z ^ (z >> 31)
//! byte(key, n) = word(key, n / 8) >> (8 · (n mod 8)) & 0xff
//! ```
//!
//! The first words for key 1234567 are 6457827717110365317, 3203168211198807973, 9817491932198370423.

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Fills `buffer` with the bytes of the object with `key` from byte `offset` on.
///
/// The object's size plays no part: it is the caller who does not ask beyond it.
pub fn fill(key: u64, offset: u64, buffer: &mut [u8]) {
    // The counter advances by addition; a multiplication per word would cost a third of the speed.
    let mut counter = key.wrapping_add((offset / 8).wrapping_mul(GAMMA));
    let mut next = || {
        counter = counter.wrapping_add(GAMMA);
        mix(counter).to_le_bytes()
    };
    let inside = (offset % 8) as usize;
    let mut rest = buffer;
    if inside != 0 {
        let word = next();
        let (head, tail) = rest.split_at_mut(rest.len().min(8 - inside));
        head.copy_from_slice(&word[inside..inside + head.len()]);
        rest = tail;
    }
    let mut words = rest.chunks_exact_mut(8);
    for word in &mut words {
        word.copy_from_slice(&next());
    }
    let last = words.into_remainder();
    if !last.is_empty() {
        last.copy_from_slice(&next()[..last.len()]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_words_are_splitmix64() {
        let words = [0, 1, 2, 3, 4].map(|index| {
            let mut word = [0; 8];
            fill(1_234_567, 8 * index, &mut word);
            u64::from_le_bytes(word)
        });
        // Vectors published with the reference implementation.
        assert_eq!(
            words,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821,
            ]
        );
    }

    #[test]
    fn the_bytes_are_little_endian() {
        let mut bytes = [0; 11];
        fill(1_234_567, 5, &mut bytes);
        let first = 6_457_827_717_110_365_317_u64.to_le_bytes();
        let second = 3_203_168_211_198_807_973_u64.to_le_bytes();
        assert_eq!(bytes[..3], first[5..]);
        assert_eq!(bytes[3..], second);
    }

    proptest! {
        #[test]
        fn a_range_does_not_depend_on_where_reading_began(
            key: u64, start in 0_u64..1 << 40, length in 0_usize..200, cut in 0_usize..200,
        ) {
            let cut = cut.min(length);
            let mut whole = vec![0; length];
            fill(key, start, &mut whole);
            let mut parts = vec![0; length];
            let (left, right) = parts.split_at_mut(cut);
            fill(key, start, left);
            fill(key, start + cut as u64, right);
            prop_assert_eq!(whole, parts);
        }

        #[test]
        fn the_last_bytes_of_the_largest_object_do_not_panic(key: u64, length in 0_usize..64) {
            fill(key, u64::MAX - 70, &mut vec![0; length]);
        }
    }
}
