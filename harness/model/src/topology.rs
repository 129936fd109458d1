//! A topology: ASes, the links between them, access profiles, and where the infrastructure stands.

use std::collections::BTreeMap;

use peerbed_contract::{AsNumber, Prefix};
use peerbed_link::{Duplex, LinkSpec};

use crate::diagnostic::{Span, Spanned};

pub(crate) mod decode;
pub(crate) mod link;
pub(crate) mod routes;
pub(crate) mod trace;

/// A topology whose own references hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Topology {
    /// In the order of the file; other parts speak of an AS by its index here.
    pub(crate) ases: Vec<As>,
    pub(crate) links: Vec<Link>,
    pub(crate) traces: trace::Traces,
    pub(crate) edges: Vec<Infrastructure>,
    /// Connection nodes.
    pub(crate) control: Vec<Infrastructure>,
    pub(crate) databases: Vec<Infrastructure>,
}

/// One AS.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct As {
    pub(crate) name: Spanned<String>,
    pub(crate) number: AsNumber,
    pub(crate) region: String,
    pub(crate) country: Option<String>,
    /// How many people live there, beside other ASes.
    pub(crate) population: u64,
    pub(crate) prefix: Spanned<Prefix>,
    /// Every profile that it offers, shared ones included.
    pub(crate) access: BTreeMap<String, Duplex>,
}

impl As {
    /// How many hosts its prefix has room for.
    pub(crate) fn room(&self) -> u64 {
        self.prefix.value.size().saturating_sub(2)
    }
}

/// What a link means for routing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Relation {
    /// `a` is the customer, `b` the provider.
    CustomerToProvider,
    /// Both are peers.
    Peers,
}

/// A link between two ASes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Link {
    pub(crate) name: String,
    /// Indexes of ASes.
    pub(crate) a: usize,
    pub(crate) b: usize,
    pub(crate) relation: Relation,
    pub(crate) forward: LinkSpec,
    pub(crate) backward: LinkSpec,
}

/// Servers of one kind in one AS.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Infrastructure {
    /// Index of the AS.
    pub(crate) at: usize,
    pub(crate) access: Duplex,
    pub(crate) count: u32,
    pub(crate) span: Span,
}
