//! Blocks of addresses.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Prefix {
    /// The first address.
    pub network: IpAddr,
    /// How many leading bits are fixed, 0 to 32 (IPv6: 128).
    pub length: u8,
}

impl Prefix {
    /// Whether `address` lies in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        let fixed = u32::from(self.length);
        match (address, self.network) {
            (IpAddr::V4(address), IpAddr::V4(network)) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(fixed)).unwrap_or(0);
                (u32::from(address) ^ u32::from(network)) & mask == 0
            }
            (IpAddr::V6(address), IpAddr::V6(network)) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(fixed)).unwrap_or(0);
                (u128::from(address) ^ u128::from(network)) & mask == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// How many addresses the block has, as far as they can be counted.
    pub fn size(&self) -> u64 {
        let bits: u32 = if self.network.is_ipv4() { 32 } else { 128 };
        1_u64.checked_shl(bits.saturating_sub(u32::from(self.length))).unwrap_or(u64::MAX)
    }

    /// The `n`-th address behind the first.
    pub fn nth(&self, n: u32) -> IpAddr {
        match self.network {
            IpAddr::V4(network) => IpAddr::V4(u32::from(network).wrapping_add(n).into()),
            IpAddr::V6(network) => IpAddr::V6(u128::from(network).wrapping_add(u128::from(n)).into()),
        }
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_both_families_know_their_addresses() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let four = Prefix { network: ip("10.1.0.0"), length: 28 };
        let six = Prefix { network: ip("2001:db8::"), length: 120 };
        assert_eq!((four.size(), four.nth(15)), (16, ip("10.1.0.15")));
        assert_eq!((six.size(), six.nth(255)), (256, ip("2001:db8::ff")));
        for (prefix, inside, outside) in [(four, "10.1.0.15", "10.1.0.16"), (six, "2001:db8::ff", "2001:db8::100")] {
            assert!(prefix.contains(ip(inside)) && !prefix.contains(ip(outside)), "{prefix}");
        }
        assert!(!four.contains(ip("::ffff:10.1.0.1")) && !six.contains(ip("10.1.0.1")));
        let all = |network: &str| Prefix { network: ip(network), length: 0 };
        assert!(all("0.0.0.0").contains(ip("255.1.1.1")) && all("::").contains(ip("ffff::1")));
        assert_eq!((all("0.0.0.0").size(), all("::").size()), (1 << 32, u64::MAX));
    }
}
