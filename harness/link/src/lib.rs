//! What a link is, and the emulator that makes packets behave as if they crossed it.
//!
//! Pure: packets and times go in, packets and times come out; no sockets, no clock, no entropy. The `wire` engine of the
//! harness is its caller.

mod counters;
mod spec;

pub use counters::Counters;
pub use spec::{
    Bandwidth, Burst, Duplex, Fabric, FabricLink, FabricNode, Heading, Hop, Kind, LinkSpec, Loss, Probability, Queue,
    Rate, Route, SpecError,
};
