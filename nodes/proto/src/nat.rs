//! Who can connect with whom, by the NAT classes of both. Used by the control plane's selection.

use peerbed_contract::NatClass::{self, FullCone, None, PortRestricted};

/// Whether two peers can get a connection, whichever of them asks for it, when the control plane introduces each to the
/// other and both try.
///
/// An open or full-cone peer is reached by everybody. Two port-restricted ones reach each other when both dial at the same
/// time, since either's mapping is known. Against a symmetric one that fails: the port of its mapping for this remote is not
/// known beforehand. A blocked one is reached by nobody and can only dial out.
pub fn may_connect(a: NatClass, b: NatClass) -> bool {
    matches!((a, b), (None | FullCone, _) | (_, None | FullCone) | (PortRestricted, PortRestricted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_those_of_the_table() {
        // Open, full cone, port-restricted, symmetric, blocked.
        let table = ["11111", "11111", "11100", "11000", "11000"];
        for (row, a) in table.iter().zip(NatClass::ALL) {
            for (cell, b) in row.chars().zip(NatClass::ALL) {
                assert_eq!(may_connect(a, b), cell == '1', "{a:?} and {b:?}");
                assert_eq!(may_connect(a, b), may_connect(b, a));
            }
        }
    }
}
