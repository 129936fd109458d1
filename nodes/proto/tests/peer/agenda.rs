//! What is due when in the network, and what a test may plan.

use peerbed_proto::Time;

use crate::wire::Chunk;

/// What happens.
#[derive(Debug)]
pub(crate) enum Act {
    Timer {
        host: usize,
        generation: u64,
    },
    Connect {
        stream: usize,
    },
    Connected {
        stream: usize,
    },
    UplinkDone {
        stream: usize,
        chunk: Chunk,
    },
    Arrive {
        stream: usize,
        chunk: Chunk,
    },
    DownlinkDone {
        stream: usize,
        chunk: Chunk,
    },
    Acknowledged {
        stream: usize,
        bytes: u64,
    },
    /// The host's end of a connection is gone.
    Gone {
        stream: usize,
        clean: bool,
    },
    Do(Todo),
}

/// Something that a test wants at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Todo {
    Kill(usize),
    Silence(usize),
    Revive(usize),
    Rate {
        host: usize,
        up: f64,
        down: f64,
    },
    Refuse {
        host: usize,
        status: u16,
        retry_after: Option<Time>,
    },
    Serve(usize),
    Stop(usize),
    Wipe(usize),
    /// The host has another address from then on, in this AS; nobody hears of it.
    Move {
        host: usize,
        to: std::net::IpAddr,
        as_number: u32,
    },
    /// A program that took another's place begins.
    Begin(usize),
}

/// When it happens; what is due at the same moment happens in the order of planning.
pub(crate) struct Due {
    pub(crate) at: Time,
    pub(crate) order: u64,
    pub(crate) act: Act,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
