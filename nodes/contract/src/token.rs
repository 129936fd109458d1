//! The authorisation of one download. Signing and checking belong to the state machines; this is only its shape.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{ContentId, Guid};

/// What an edge grants when it authorises a download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The installation that may download.
    pub guid: Guid,
    /// What it may download.
    pub content: ContentId,
    /// The address that the edge saw the download authorised from; the token is good from there alone.
    pub address: IpAddr,
    /// Whether it may use peers for it.
    pub peers_allowed: bool,
    /// Valid until this moment, in nanoseconds since the start of the run.
    pub expires: u64,
    /// Differs in every token that an edge signs, so that a replay can be told.
    pub nonce: u64,
}

/// A token with the edge's ed25519 signature over its encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedToken {
    /// What is granted.
    pub token: Token,
    /// The 64 bytes of the signature.
    pub signature: Vec<u8>,
}
