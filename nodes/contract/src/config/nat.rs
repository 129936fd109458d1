//! What stands between a host and the network: the class of its address translation.

use serde::{Deserialize, Serialize};

/// How a host's access network translates addresses and filters connections, as a peer finds out about itself and tells the
/// control plane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NatClass {
    /// A public address; anybody may connect.
    #[default]
    None,
    /// Translated, one mapping for every remote; anybody may connect to it.
    FullCone,
    /// Translated, one mapping for every remote; only who was dialled from inside may connect, from the address and port
    /// that were dialled.
    PortRestricted,
    /// Translated, another mapping for each remote; only who was dialled may answer.
    Symmetric,
    /// Nothing comes in; connections go out.
    Blocked,
}

impl NatClass {
    /// Every class.
    pub const ALL: [NatClass; 5] =
        [NatClass::None, NatClass::FullCone, NatClass::PortRestricted, NatClass::Symmetric, NatClass::Blocked];
}
