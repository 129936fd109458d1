//! Serving other peers: who gets a slot, what is asked of this peer, and what is sent next.

use std::collections::BTreeMap;

use peerbed_contract::{ContentId, Guid, Offence};

use super::{
    PeerMachine,
    download::Download,
    link::{Link, Phase, Queued},
    params::{MILLISECOND, PART_MAX, PENDING_MAX, SLOT_STALLED},
    rate::Bucket,
    uploader::{Copy, NoSlot},
};
use crate::{ConnId, Message, Output, RequestId, Time};

/// Which rate lets nothing be sent, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// That of one connection.
    Connection(Option<Time>),
    /// That of the peer.
    Everybody(Option<Time>),
}

impl PeerMachine {
    /// Whether a downloader may have a slot; one that has been served before needs none of the copy's uploads.
    pub(super) fn slot(&self, conn: ConnId, content: &ContentId, guid: Guid) -> Result<(), NoSlot> {
        let uploader = &self.uploader;
        let given = |copy: &&Copy| uploader.enabled() && copy.object.peers_allowed;
        let Some(copy) = uploader.copy_of(content).filter(given) else { return Err(NoSlot::Ever) };
        let mut holders = 0_u64;
        let mut reserved = 0_u64;
        for (_, link) in self.links.iter().filter(|(other, link)| **other != conn && link.push.granted) {
            holders += 1;
            let unserved = link.guid.is_some_and(|guid| !copy.served.contains(&guid));
            reserved += u64::from(unserved && link.content.as_ref() == Some(content));
        }
        if !copy.served.contains(&guid) {
            if copy.served.len() as u64 >= u64::from(uploader.per_copy) {
                return Err(NoSlot::Ever);
            }
            if copy.served.len() as u64 + reserved >= u64::from(uploader.per_copy) {
                return Err(NoSlot::Now);
            }
        }
        if holders >= uploader.places() { Err(NoSlot::Now) } else { Ok(()) }
    }

    /// The message that turns a downloader away.
    pub(super) fn busy(&self, why: NoSlot) -> Message {
        let wait = self.config.constants.waits.busy_ns / MILLISECOND;
        let retry = matches!(why, NoSlot::Now).then(|| u32::try_from(wait).unwrap_or(u32::MAX));
        Message::Busy { retry_ms: retry }
    }

    /// A remote asks for a piece.
    pub(super) fn request_came(&mut self, now: Time, conn: ConnId, request: RequestId, piece: u32) {
        let Some(link) = self.links.get(&conn) else { return };
        if link.said_bye {
            return; // It crossed with the bye, which answers it.
        }
        let (Some(content), Some(guid)) = (link.content.clone(), link.guid) else {
            return self.break_rules(now, conn, Offence::Protocol);
        };
        let known = self.objects.get(&content).is_some_and(|object| piece < object.piece_count());
        let again = link.push.queue.iter().any(|queued| queued.request == request);
        if !known || again {
            return self.break_rules(now, conn, Offence::Protocol);
        }
        if link.push.queue.len() >= PENDING_MAX {
            return self.break_rules(now, conn, Offence::Excess);
        }
        let servable = link.phase == Phase::Open && link.push.permitted && self.uploader.holds(&content, piece);
        let granted =
            servable && !self.uploader.stopped && (link.push.granted || self.slot(conn, &content, guid).is_ok());
        if !granted {
            return self.send(conn, Message::Cancelled { request });
        }
        if let Some(link) = self.links.get_mut(&conn) {
            link.push.granted = true;
            link.push.asked = true;
            link.push.used = now;
            link.push.queue.push_back(Queued { request, piece, ordered: 0, since: now });
        }
        self.count_served(now, &content, guid);
        self.uploader.slots.enter(conn);
    }

    fn count_served(&mut self, now: Time, content: &ContentId, guid: Guid) {
        let Some(copy) = self.uploader.copies.get_mut(content) else { return };
        copy.used = now;
        if copy.served.insert(guid) && copy.served.len() as u64 >= u64::from(self.uploader.per_copy) {
            self.control_withdraw(content);
        }
    }

    /// A remote no longer wants a piece.
    pub(super) fn cancel_came(&mut self, conn: ConnId, request: RequestId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let queue = &mut link.push.queue;
        let Some(at) = queue.iter().position(|queued| queued.request == request) else {
            return; // Its last byte was already sent, or it was refused.
        };
        queue.remove(at);
        if !link.said_bye {
            self.send(conn, Message::Cancelled { request });
        }
    }

    /// Calls off every piece that a remote asked for; what is ordered of them still goes out.
    pub(super) fn call_off_uploads(&mut self, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let queue = std::mem::take(&mut link.push.queue);
        if link.said_bye {
            return;
        }
        for queued in queue {
            self.send(conn, Message::Cancelled { request: queued.request });
        }
    }

    /// Bytes of a part were handed to the connection.
    pub(super) fn piece_sent(&mut self, now: Time, conn: ConnId, bytes: u32) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.tally.sent += u64::from(bytes);
        link.push.unsent = link.push.unsent.saturating_sub(u64::from(bytes));
        link.push.used = now;
        if let Some(content) = &link.content {
            self.accounts.sent(now, content, link.guid, u64::from(bytes));
        }
        self.try_to_leave(now, conn);
    }

    /// The connection has room for a part.
    pub(super) fn writable(&mut self, now: Time, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.push.busy = false;
        // It made room because it took nothing for a while, in the middle of a piece: it has waited for that long enough.
        if link.push.queue.front().is_some_and(|first| first.ordered > 0) {
            self.uploader.slots.hurry(conn);
        }
        self.try_to_leave(now, conn);
    }

    /// Orders parts, one for each connection in turn, as far as the rate limit lets it.
    pub(super) fn upload(&mut self, now: Time) {
        if self.uploader.stalls {
            self.uploader.wake = None;
            return;
        }
        let limited = self.keep_limit(now).is_some();
        self.free_slots(now);
        let mut wake = self.keep_line(now);
        // Those whose own rate lets them have nothing at present; the others go first.
        let mut held = Vec::new();
        loop {
            let links = &self.links;
            let Some(conn) = self.uploader.slots.next(|conn| has_room(links, conn) && !held.contains(&conn)) else {
                break;
            };
            match self.order_part(now, conn, limited) {
                Ok(()) => {}
                Err(Held::Connection(at)) => {
                    held.push(conn);
                    wake = [wake, at].into_iter().flatten().min();
                }
                Err(Held::Everybody(at)) => {
                    wake = [wake, at, self.uploader.limit.next_rise(now)].into_iter().flatten().min();
                    break;
                }
            }
        }
        if self.uploader.slots.has_waiting(|conn| has_room(&self.links, conn)) {
            let serving = self.uploader.slots.serving().filter_map(|conn| self.links.get(&conn));
            let busy = serving.filter(|link| link.push.busy).map(|link| link.push.used + SLOT_STALLED);
            wake = busy.chain(wake).min();
        }
        self.uploader.wake = wake;
    }

    /// Turns away who would wait so long for a turn that it would take this peer for stuck, and goes to others the sooner for
    /// that. When that is due next.
    fn keep_line(&mut self, now: Time) -> Option<Time> {
        let most = self.config.constants.defences.stuck_ns / 5 * 4;
        let mut next: Option<Time> = None;
        for conn in self.uploader.slots.waiting().collect::<Vec<_>>() {
            let Some(link) = self.links.get(&conn) else { continue };
            let Some(first) = link.push.queue.front().filter(|first| first.ordered == 0) else { continue };
            let until = first.since.max(link.push.used).saturating_add(most);
            if until <= now {
                self.call_off_uploads(conn);
                self.uploader.slots.leave(conn);
            } else {
                next = Some(next.map_or(until, |next| next.min(until)));
            }
        }
        next
    }

    /// Takes the limit of this moment; when it falls to nothing, what is asked for is called off, so that downloaders turn
    /// to others at once. They keep their slots.
    fn keep_limit(&mut self, now: Time) -> Option<f64> {
        let downloading = self.downloads.values().any(Download::is_active);
        let limit = self.uploader.limit.at(now, downloading);
        if let Some(rate) = limit {
            self.uploader.bucket.set_rate(now, rate);
        }
        let stopped = limit == Some(0.0);
        if stopped && !std::mem::replace(&mut self.uploader.stopped, stopped) {
            for conn in self.links.keys().copied().collect::<Vec<_>>() {
                self.call_off_uploads(conn);
            }
        }
        self.uploader.stopped = stopped;
        limit
    }

    /// Whether a connection may be sent so many bytes by its own rate; else says when.
    fn own_rate_allows(&mut self, now: Time, conn: ConnId, bytes: u32) -> Result<(), Option<Time>> {
        let Some(rate) = self.uploader.connection_rate else { return Ok(()) };
        let depth = f64::from(self.uploader.part).max(rate / 20.0);
        let Some(link) = self.links.get_mut(&conn) else { return Ok(()) };
        link.push.bucket.get_or_insert_with(|| Bucket::new(rate, depth)).ready(now, f64::from(bytes))
    }

    /// Takes slots from those who have nothing to get any more, and from those who take nothing while others wait.
    fn free_slots(&mut self, now: Time) {
        let serving: Vec<ConnId> = self.uploader.slots.serving().collect();
        let others = self.uploader.slots.has_waiting(|conn| has_room(&self.links, conn));
        for conn in serving {
            match self.links.get(&conn) {
                Some(link) if !link.push.queue.is_empty() => {
                    if others && link.push.busy && now.saturating_sub(link.push.used) >= SLOT_STALLED {
                        self.uploader.slots.give_way(conn);
                    }
                }
                _ => self.uploader.slots.leave(conn),
            }
        }
    }

    /// Orders the next part for a downloader in service, as far as its own rate and everybody's, where there is one, let it.
    fn order_part(&mut self, now: Time, conn: ConnId, limited: bool) -> Result<(), Held> {
        let next = self.links.get(&conn).and_then(|link| link.push.queue.front().zip(link.content.as_ref()));
        let object = next.and_then(|(_, content)| self.objects.get(content));
        let Some(((queued, content), object)) = next.zip(object) else {
            self.uploader.slots.leave(conn);
            return Ok(());
        };
        let (offset, length) = object.piece_range(queued.piece);
        let left = length.saturating_sub(queued.ordered);
        // A short last part would be packets and a frame of its own.
        let bytes = if left <= PART_MAX.min(self.uploader.part / 4 * 5) { left } else { left.min(self.uploader.part) };
        let (request, ordered, content) = (queued.request, queued.ordered, content.clone());
        self.own_rate_allows(now, conn, bytes).map_err(Held::Connection)?;
        if limited {
            self.uploader.bucket.take(now, f64::from(bytes)).map_err(Held::Everybody)?;
        }
        if let Some(link) = self.links.get_mut(&conn) {
            if let Some(bucket) = &mut link.push.bucket {
                bucket.spend(f64::from(bytes));
            }
            link.push.busy = true;
            link.push.ordered = now;
            link.push.unsent += u64::from(bytes);
            link.push.used = now;
            if ordered + bytes >= length {
                link.push.queue.pop_front();
                if link.push.queue.is_empty() {
                    self.uploader.slots.leave(conn);
                } else {
                    self.uploader.slots.give_way(conn);
                }
            } else if let Some(front) = link.push.queue.front_mut() {
                front.ordered += bytes;
            }
        }
        let offset = offset + u64::from(ordered);
        let corrupt = self.config.misbehaviour.corrupt;
        self.out.push_back(Output::SendPiece { conn, request, content, offset, bytes, corrupt });
        Ok(())
    }
}

/// Whether a part may be ordered on a connection.
fn has_room(links: &BTreeMap<ConnId, Link>, conn: ConnId) -> bool {
    links.get(&conn).is_some_and(|link| !link.push.busy)
}
