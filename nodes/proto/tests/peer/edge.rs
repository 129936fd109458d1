//! A scripted edge: it grants tokens and serves ranges, and can refuse or damage them.

use std::{collections::BTreeMap, net::IpAddr};

use peerbed_contract::{ContentId, Manifest, Object, PieceHash, Token};
use peerbed_proto::{Refusal, Time, token};

use crate::wire::{Ask, Item};

/// The secret of all edges of the tests.
pub(crate) const SECRET: [u8; 32] = [9; 32];

/// An edge.
#[derive(Default)]
pub(crate) struct Edge {
    pub(crate) objects: BTreeMap<ContentId, Object>,
    /// Every request is refused with this status and `Retry-After`.
    pub(crate) refuse: Option<(u16, Option<Time>)>,
    /// So many ranges are served a second, all others refused with this `Retry-After`.
    pub(crate) limit: Option<(usize, Time)>,
    /// When ranges were served.
    pub(crate) served: Vec<Time>,
    /// So many ranges are damaged from now on.
    pub(crate) damage: u32,
    /// It takes everybody to be at this address.
    pub(crate) pretend: Option<IpAddr>,
    /// How long tokens are valid.
    pub(crate) lifetime: Time,
    /// Bytes that it sent, by receiver and content.
    pub(crate) sent: BTreeMap<(IpAddr, ContentId), u64>,
    /// When ranges were asked for.
    pub(crate) asked: Vec<Time>,
    /// When authorisations were asked for.
    pub(crate) granting: Vec<Time>,
    nonce: u64,
}

impl Edge {
    /// An edge with these objects.
    pub(crate) fn new(objects: &[Object]) -> Self {
        let objects = objects.iter().map(|object| (object.id.clone(), object.clone())).collect();
        Self { objects, lifetime: 3_600_000_000_000, ..Self::default() }
    }

    /// The answer to a request and its size.
    pub(crate) fn answer(&mut self, now: Time, from: IpAddr, ask: &Ask) -> (Item, u64) {
        match ask {
            Ask::Authorize { content, guid } => {
                let refuse = |status, retry_after| {
                    let refusal = Refusal { status: Some(status), retry_after, reason: format!("status {status}") };
                    (Item::Granted(Err(refusal)), 200)
                };
                self.granting.push(now);
                if let Some((status, retry_after)) = self.refuse {
                    return refuse(status, retry_after);
                }
                let Some(object) = self.objects.get(content) else { return refuse(404, None) };
                self.nonce += 1;
                let granted = Token {
                    guid: *guid,
                    content: content.clone(),
                    address: self.pretend.unwrap_or(from),
                    peers_allowed: object.peers_allowed,
                    expires: now + self.lifetime,
                    nonce: self.nonce,
                };
                let manifest = manifest(object);
                let size = 300 + 44 * manifest.pieces.len() as u64;
                (Item::Granted(Ok(Box::new((manifest, token::sign(&SECRET, granted))))), size)
            }
            Ask::Range { request, content, offset, bytes } => {
                self.asked.push(now);
                if let Some((status, retry_after)) = self.refuse {
                    return (Item::Refusal { request: *request, status, retry_after }, 200);
                }
                if let Some((most, retry_after)) = self.limit {
                    let lately = self.served.iter().rev().take_while(|at| **at + 1_000_000_000 > now).count();
                    if lately >= most {
                        let retry_after = Some(retry_after);
                        return (Item::Refusal { request: *request, status: 503, retry_after }, 200);
                    }
                }
                self.served.push(now);
                let corrupt = self.damage > 0;
                self.damage = self.damage.saturating_sub(1);
                let hash = content_hash(content, *offset, corrupt);
                (Item::Body { request: *request, content: content.clone(), hash }, u64::from(*bytes))
            }
        }
    }
}

/// What an edge says of an object.
pub(crate) fn manifest(object: &Object) -> Manifest {
    let hash = |piece| PieceHash(content_hash(&object.id, object.piece_range(piece).0, false));
    Manifest {
        content: object.id.clone(),
        provider: object.provider.clone(),
        size: object.size,
        piece_length: object.piece_length,
        pieces: (0..object.piece_count()).map(hash).collect(),
        peers_allowed: object.peers_allowed,
    }
}

/// Stands for the hash of the bytes that begin at `offset`; damaged bytes have another.
pub(crate) fn content_hash(content: &ContentId, offset: u64, corrupt: bool) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&offset.to_be_bytes());
    let name = content.as_str().as_bytes();
    let length = name.len().min(23);
    hash[8..8 + length].copy_from_slice(&name[..length]);
    hash[31] = u8::from(corrupt);
    hash
}
