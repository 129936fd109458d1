//! What one direction of a link counts.

use serde::{Deserialize, Serialize};

/// One direction of one link. Bytes are IP packets as they would be on the wire: each segment of an offloaded
/// super-packet counts with its own headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Packets that entered it (accepted, lost and dropped ones).
    pub offered_packets: u64,
    /// Their bytes.
    pub offered_bytes: u64,
    /// Packets that left its queue at its rate, whether or not they are then still under way by its delay.
    pub carried_packets: u64,
    /// Their bytes.
    pub carried_bytes: u64,
    /// Packets that found its queue full.
    pub dropped_packets: u64,
    /// Packets that its loss model took.
    pub lost_packets: u64,
}
