//! What a link is, and the emulator that makes packets behave as if they crossed it.
//!
//! Pure: packets and times go in, packets and times come out; no sockets, no clock, no entropy. The `wire` engine of the
//! harness is its caller. [`Pipe`] decides what becomes of packets on one direction of one link and when they reach its
//! far end, [`Agenda`] keeps them until then, [`Frame`] reads what a device hands over and cuts super-packets, [`Nat`] stands
//! between a host and its access link.

mod checksum;
mod counters;
mod cut;
mod frame;
mod moment;
pub mod nat;
mod pipe;
mod spec;
mod trace;
mod train;
pub mod translate;

pub use counters::Counters;
pub use cut::Geometry;
pub use frame::{Frame, Framing, Malformed, VIRTIO_HEADER};
pub use moment::{Agenda, Moment};
pub use nat::Nat;
pub use pipe::{Piece, Pipe, Retimed};
pub use spec::{
    Bandwidth, Burst, Duplex, Fabric, FabricLink, FabricNode, FabricPlace, Heading, Hop, Kind, LinkSpec, Loss, NotIpv4,
    Probability, Queue, Rate, Route, SpecError,
};
pub use trace::{Service, Trace, TraceError, TraceId, Traced};
pub use train::Train;
