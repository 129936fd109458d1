//! The state machines of a peer, an edge and a control plane, and the messages they exchange.
//!
//! # The run-loop contract
//!
//! A [`Machine`] owns no socket, no clock and no randomness but a seeded generator. Its driver calls
//! [`Machine::handle`] with the present time and one [`Input`], then [`Machine::poll`] again and again, carrying out each
//! [`Output`], until it gets [`Output::Idle`]; then it waits for the next input, but not beyond `until`, when it hands in
//! [`Input::Timer`]. *Drain to `Idle` after every input.* Times are nanoseconds since the start of the run and never go
//! back. A machine never panics on anything that came from outside: a remote's nonsense closes its connection.
//!
//! The bytes of content never pass through a machine: it orders them sent ([`Output::SendPiece`]) and hears that they came
//! ([`Input::PieceData`]); the driver generates, streams and hashes them.

mod control;
mod edge;
mod machine;
mod message;
mod peer;

pub mod nat;
pub mod token;

pub use control::ControlMachine;
pub use edge::EdgeMachine;
pub use machine::{
    ConnId, Endpoint, HttpReply, HttpRequest, Input, Machine, Output, Purpose, Refusal, RequestId, Time,
};
pub use message::{Message, PROGRAM_MAX, PROTOCOL_VERSION, PeerAddress, PieceMap, SECONDARY_MAX};
pub use peer::PeerMachine;
