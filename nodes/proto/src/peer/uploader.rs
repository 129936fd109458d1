//! What a peer has to give and may give: its copies, the limits (per copy, connections, rate) and whose turn it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fixedbitset::FixedBitSet;
use peerbed_contract::{ContentId, Courtesy, Guid, Misbehaviour, Object, UploadPolicy};

use super::{
    board::pieces_of,
    limit::Limit,
    params::{PART_MAX, PART_MIN},
    rate::Bucket,
    slots::Slots,
};
use crate::{PieceMap, Time};

/// What this peer holds of one object.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) object: Arc<Object>,
    pub(super) held: FixedBitSet,
    /// Since when it is whole.
    pub(super) whole_since: Option<Time>,
    /// When it was last downloaded to or uploaded from.
    pub(super) used: Time,
    /// Downloaders that were given something of it.
    pub(super) served: BTreeSet<Guid>,
}

impl Copy {
    /// How much of it is held.
    pub(super) fn held_bytes(&self) -> u64 {
        if self.held.is_full() {
            return self.object.size;
        }
        self.held.ones().map(|piece| u64::from(self.object.piece_range(piece as u32).1)).sum()
    }
}

/// Why a downloader gets no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoSlot {
    /// Other downloaders have them all.
    Now,
    /// This copy is not given out, or not any more.
    Ever,
}

/// The uploading half of a peer.
#[derive(Debug)]
pub(super) struct Uploader {
    enabled: bool,
    pub(super) per_copy: u32,
    pub(super) connections: u32,
    /// How many downloaders may be here, in service or waiting for it.
    places: u64,
    pub(super) limit: Limit,
    pub(super) bucket: Bucket,
    /// Nothing may be uploaded at present.
    pub(super) stopped: bool,
    /// The most on one connection, bytes a second.
    pub(super) connection_rate: Option<f64>,
    pub(super) part: u32,
    /// It never gives anything (an attacker's).
    pub(super) stalls: bool,
    pub(super) copies: BTreeMap<ContentId, Copy>,
    /// Whose turn it is.
    pub(super) slots: Slots,
    /// When the bucket has enough for the next part, or somebody who takes nothing must make room.
    pub(super) wake: Option<Time>,
}

impl Uploader {
    pub(super) fn new(policy: &UploadPolicy, courtesy: &Courtesy, misbehaviour: &Misbehaviour) -> Self {
        let mut policy = policy.clone();
        if misbehaviour.ignore_caps {
            (policy.per_copy, policy.connections) = (u32::MAX, u32::MAX);
            (policy.rate_bps, policy.connection_rate_bps) = (None, None);
        }
        let trickle = misbehaviour.stall.map(|stall| stall.trickle_bps);
        if let Some(trickle) = trickle {
            policy.rate_bps = Some(trickle.max(1));
        }
        let bytes = |bits: Option<u64>| bits.map(|bits| bits as f64 / 8.0);
        let (cap, connection_rate) = (bytes(policy.rate_bps), bytes(policy.connection_rate_bps));
        let rate = [cap, connection_rate].into_iter().flatten().reduce(f64::min);
        // Under a low limit parts are short, so that several downloaders see bytes often enough not to think it dead.
        let least = if trickle.is_some() { 16 } else { PART_MIN };
        let part = rate.map_or(PART_MAX, |rate| ((rate / 20.0) as u32).clamp(least, PART_MAX));
        Self {
            enabled: policy.enabled && policy.per_copy > 0 && policy.connections > 0,
            per_copy: policy.per_copy,
            connections: policy.connections,
            places: u64::from(policy.connections) + u64::from(policy.waiting),
            limit: Limit::new(&policy, courtesy),
            bucket: Bucket::new(0.0, f64::from(part).max(cap.unwrap_or(0.0) / 20.0)),
            stopped: false,
            connection_rate,
            part,
            stalls: trickle == Some(0),
            copies: BTreeMap::new(),
            slots: Slots::new(policy.connections as usize),
            wake: None,
        }
    }

    /// Other limits from now on, by the same rules as [`Self::new`]; what is held, whom it served and the user's setting stay.
    pub(super) fn set(&mut self, policy: &UploadPolicy, courtesy: &Courtesy, misbehaviour: &Misbehaviour) {
        let new = Self::new(policy, courtesy, misbehaviour);
        (self.per_copy, self.connections, self.places) = (new.per_copy, new.connections, new.places);
        (self.connection_rate, self.part, self.bucket) = (new.connection_rate, new.part, new.bucket);
        self.limit.set(&new.limit);
        self.slots.set_most(new.connections as usize);
    }

    /// How many downloaders there is room for; none while uploads stand still.
    pub(super) fn places(&self) -> u64 {
        if self.stopped { 0 } else { self.places }
    }

    /// Whether it uploads at all.
    pub(super) fn enabled(&self) -> bool {
        self.enabled
    }

    /// The user's setting; whether it is another than before.
    pub(super) fn switch(&mut self, on: bool) -> bool {
        let enabled = on && self.per_copy > 0 && self.connections > 0;
        std::mem::replace(&mut self.enabled, enabled) != enabled
    }

    /// All of the object is held from the beginning.
    pub(super) fn hold(&mut self, object: &Arc<Object>) {
        let copy = self.copy(object);
        copy.held.set_range(.., true);
        copy.whole_since = Some(0);
    }

    /// One more piece is held; whether it is new.
    pub(super) fn got(&mut self, now: Time, object: &Arc<Object>, piece: u32) -> bool {
        let copy = self.copy(object);
        copy.used = now;
        let fresh = !copy.held.put(piece as usize);
        if fresh && copy.held.is_full() {
            copy.whole_since = Some(now);
        }
        fresh
    }

    /// Every copy.
    pub(super) fn copies(&self) -> impl Iterator<Item = &Copy> {
        self.copies.values()
    }

    /// The copy of this content.
    pub(super) fn copy_of(&self, content: &ContentId) -> Option<&Copy> {
        self.copies.get(content)
    }

    /// Forgets a copy, and whom it served.
    pub(super) fn remove(&mut self, content: &ContentId) -> Option<Copy> {
        self.copies.remove(content)
    }

    /// The object will be held, piece by piece.
    pub(super) fn expect(&mut self, now: Time, object: &Arc<Object>) {
        self.copy(object).used = now;
    }

    fn copy(&mut self, object: &Arc<Object>) -> &mut Copy {
        self.copies.entry(object.id.clone()).or_insert_with(|| Copy {
            object: Arc::clone(object),
            held: pieces_of(object),
            whole_since: None,
            used: 0,
            served: BTreeSet::new(),
        })
    }

    /// Whether this content may be offered to others: uploads are on, the provider allows it and the copy is not used up.
    pub(super) fn offers(&self, content: &ContentId) -> bool {
        self.enabled
            && self
                .copies
                .get(content)
                .is_some_and(|copy| copy.object.peers_allowed && (copy.served.len() as u64) < u64::from(self.per_copy))
    }

    /// Whether all of the content is held.
    pub(super) fn is_whole(&self, content: &ContentId) -> bool {
        self.copies.get(content).is_some_and(|copy| copy.held.is_full())
    }

    /// Every content that is offered, and whether all of it is held.
    pub(super) fn offered(&self) -> Vec<(ContentId, bool)> {
        let offered = self.copies.keys().filter(|content| self.offers(content));
        offered.map(|content| (content.clone(), self.is_whole(content))).collect()
    }

    /// The pieces held, for a greeting; none of them if they are not `shown`.
    pub(super) fn map(&self, object: &Object, shown: bool) -> PieceMap {
        let pieces = object.piece_count();
        let mut bits = vec![0; pieces.div_ceil(8) as usize];
        if shown && let Some(copy) = self.copies.get(&object.id) {
            for piece in copy.held.ones() {
                bits[piece / 8] |= 1 << (piece % 8);
            }
        }
        PieceMap { pieces, bits }
    }

    pub(super) fn holds(&self, content: &ContentId, piece: u32) -> bool {
        self.copies.get(content).is_some_and(|copy| copy.held.contains(piece as usize))
    }
}
