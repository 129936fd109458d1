//! What is kept of finished downloads, and for how long.
//!
//! A copy is evicted when it has been whole for longer than the cache's time, and when the cache is larger than it may be:
//! then those that were used longest ago go first. Used is what was downloaded, or uploaded from. A copy that is being
//! downloaded stays, and counts with its whole size, as its room is taken from the beginning. What is evicted is withdrawn
//! from the control plane, and its uploads end in good order.

use peerbed_contract::{CachePolicy, ContentId, EventKind, Eviction};

use super::{PeerMachine, Stage, link::Phase, uploader::Copy};
use crate::{ConnId, Time};

/// The rule of the cache, and when it next applies by itself.
#[derive(Debug)]
pub(super) struct Cache {
    policy: CachePolicy,
    /// When the first copy is too old; none: never, as far as is known.
    pub(super) wake: Option<Time>,
    /// Something was added, or may be evicted now that could not before.
    pub(super) stir: bool,
}

impl Cache {
    pub(super) fn new(policy: CachePolicy) -> Self {
        Self { policy, wake: None, stir: true }
    }

    /// Another rule from now on, for what is kept already too.
    pub(super) fn set(&mut self, policy: CachePolicy) {
        (self.policy, self.stir) = (policy, true);
    }

    fn expiry(&self, copy: &Copy) -> Option<Time> {
        Some(copy.whole_since?.saturating_add(self.policy.time_ns?))
    }
}

impl PeerMachine {
    /// Evicts what is too old or too much.
    pub(super) fn keep_cache(&mut self, now: Time) {
        if self.stage != Stage::Running {
            return;
        }
        let due = self.cache.wake.is_some_and(|wake| wake <= now);
        if !std::mem::take(&mut self.cache.stir) && !due {
            return;
        }
        let idle: Vec<(Time, ContentId)> = {
            let copies = self.uploader.copies().filter(|copy| !self.is_downloading(&copy.object.id));
            copies.map(|copy| (copy.used, copy.object.id.clone())).collect()
        };
        for (_, content) in &idle {
            let expired = |copy: &Copy| self.cache.expiry(copy).is_some_and(|expiry| expiry <= now);
            if self.uploader.copy_of(content).is_some_and(expired) {
                self.evict(now, content, Eviction::Time);
            }
        }
        if let Some(most) = self.cache.policy.size_bytes {
            let mut idle = idle;
            idle.sort_unstable();
            let mut idle = idle.into_iter();
            while self.cached_bytes() > most {
                let Some((_, content)) = idle.next() else { break };
                self.evict(now, &content, Eviction::Size);
            }
        }
        let copies = self.uploader.copies().filter(|copy| !self.is_downloading(&copy.object.id));
        self.cache.wake = copies.filter_map(|copy| self.cache.expiry(copy)).min();
    }

    /// Whether the content is being downloaded.
    pub(super) fn is_downloading(&self, content: &ContentId) -> bool {
        self.downloads.values().any(|download| download.content() == content && !download.is_over())
    }

    /// What the cache takes up.
    fn cached_bytes(&self) -> u64 {
        let bytes = |copy: &Copy| {
            if self.is_downloading(&copy.object.id) { copy.object.size } else { copy.held_bytes() }
        };
        self.uploader.copies().map(bytes).sum()
    }

    fn evict(&mut self, now: Time, content: &ContentId, reason: Eviction) {
        let Some(copy) = self.uploader.remove(content) else { return };
        if copy.held.is_clear() {
            return; // A download ended before its first piece.
        }
        self.control_withdraw(content);
        self.event(EventKind::CopyEvicted { content: content.clone(), reason });
        self.end_uploads(now, Some(content));
    }

    /// Ends the uploads of a content, or of all, in good order: what is ordered still goes out, the rest is called off. A
    /// connection that a download of this peer uses stays open for it.
    pub(super) fn end_uploads(&mut self, now: Time, content: Option<&ContentId>) {
        let concerned = |conn: &ConnId| {
            let link = self.links.get(conn);
            link.is_some_and(|link| link.push.granted && content.is_none_or(|one| link.content.as_ref() == Some(one)))
        };
        for conn in self.links.keys().copied().filter(concerned).collect::<Vec<_>>() {
            self.call_off_uploads(conn);
            let Some(link) = self.links.get_mut(&conn) else { continue };
            link.push.granted = false;
            if !link.source && link.phase == Phase::Open {
                self.leave(now, conn);
            }
        }
    }
}
