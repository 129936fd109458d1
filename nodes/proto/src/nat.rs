//! Who can connect with whom, by the NAT classes of both, and who has to dial for it. Used by the control plane's selection and
//! by peers.

use peerbed_contract::NatClass::{self, Blocked, FullCone, None, PortRestricted};

/// Who dials when one peer asks for what another has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialling {
    /// The one that asks.
    Asker,
    /// The one that is asked: it is not reached from outside, but the asker is.
    Asked,
    /// Both at the same time, from the port at which they listen: each one's packet opens its own NAT for the other's.
    Both,
}

/// Who dials; nobody if it is in vain.
///
/// An open or full-cone peer is reached by everybody. Two port-restricted ones reach each other when both dial at the same
/// time, since either's mapping is known; so do a port-restricted and a blocked one, which gets an answer to its own packet.
/// Against a symmetric one that fails: the port of its mapping for this remote is not known beforehand. Of two blocked ones
/// either takes the other's packet for an unsolicited one.
pub fn dialling(asker: NatClass, holder: NatClass) -> Option<Dialling> {
    match (asker, holder) {
        (_, None | FullCone) => Some(Dialling::Asker),
        (None | FullCone, _) => Some(Dialling::Asked),
        (PortRestricted, PortRestricted | Blocked) | (Blocked, PortRestricted) => Some(Dialling::Both),
        _ => Option::None,
    }
}

/// Whether two peers can get a connection, whichever of them asks for it, when the control plane introduces each to the
/// other and those dial that have to.
pub fn may_connect(a: NatClass, b: NatClass) -> bool {
    dialling(a, b).is_some()
}

/// Whether the port that the control plane sees of a peer is the one at which others reach it.
pub fn is_seen_port(class: NatClass) -> bool {
    matches!(class, FullCone | PortRestricted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_those_of_the_table() {
        // Open, full cone, port-restricted, symmetric, blocked.
        let table = ["11111", "11111", "11101", "11000", "11100"];
        for (row, a) in table.iter().zip(NatClass::ALL) {
            for (cell, b) in row.chars().zip(NatClass::ALL) {
                assert_eq!(may_connect(a, b), cell == '1', "{a:?} and {b:?}");
                assert_eq!(may_connect(a, b), may_connect(b, a));
            }
        }
    }
}
