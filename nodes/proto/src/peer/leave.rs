//! How a connection ends, and the accounting of its bytes.
//!
//! A connection is ended only after what was sent on it has been read: what is outstanding is cancelled, the answers are
//! awaited, both sides say [`Message::Bye`], then it is closed. An edge's connection is closed when every range asked for
//! has come. Whatever ends otherwise is accounted as broken.

use peerbed_contract::{EventKind, Offence, TransferRecord};

use super::{
    PeerMachine,
    link::{Kind, Link, Phase},
};
use crate::{ConnId, Message, Output, RequestId, Time};

impl PeerMachine {
    /// A download no longer wants anything of this connection. With `cancel`, what is outstanding is called off; without,
    /// it may still come. The connection stays if the far end uses it, else it is left.
    pub(super) fn detach(&mut self, now: Time, conn: ConnId, cancel: bool) {
        self.withdraw_offers(conn);
        if cancel {
            self.call_off(conn);
        }
        let download = self.links.get(&conn).and_then(|link| link.download);
        if let Some(candidate) = download
            .and_then(|number| self.downloads.get_mut(&number))
            .and_then(|download| download.swarm.by_link(conn))
        {
            candidate.link = None;
        }
        let Some(link) = self.links.get(&conn) else { return };
        let used = link.push.granted && link.phase == Phase::Open && !link.heard_bye;
        if !used {
            self.leave(now, conn);
        }
    }

    /// Begins to leave a connection; what is outstanding may still come.
    pub(super) fn leave(&mut self, now: Time, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        match link.phase {
            Phase::Leaving => {}
            Phase::Dialling => return self.close(now, conn, true),
            // Nothing was said yet, so nothing was promised.
            Phase::Greeting if link.kind == Kind::Accepted => return self.close(now, conn, true),
            Phase::Greeting | Phase::Open => {
                self.withdraw_offers(conn);
                if let Some(link) = self.links.get_mut(&conn) {
                    link.enter(Phase::Leaving, now);
                }
            }
        }
        self.try_to_leave(now, conn);
    }

    /// Calls off everything that is outstanding: the pieces may be asked elsewhere at once. A peer is told to stop; an
    /// edge cannot be, its ranges come.
    pub(super) fn call_off(&mut self, conn: ConnId) {
        let Some(link) = self.links.get(&conn) else { return };
        let requests: Vec<RequestId> = link.pull.wanted.keys().copied().collect();
        for request in requests {
            self.cancel_request(conn, request);
        }
    }

    /// Calls off one request.
    pub(super) fn cancel_request(&mut self, conn: ConnId, request: RequestId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let (edge, speaks) = (link.is_edge(), !link.said_bye);
        let Some(wanted) = link.pull.wanted.get_mut(&request) else { return };
        if !std::mem::take(&mut wanted.counted) {
            return;
        }
        let piece = wanted.piece;
        if let Some(download) = link.download.and_then(|number| self.downloads.get_mut(&number)) {
            download.board.given_up(piece);
            download.stir = true;
        }
        if !edge && speaks {
            self.send(conn, Message::Cancel { request });
        }
    }

    /// Takes the next step of leaving, when its time has come.
    pub(super) fn try_to_leave(&mut self, now: Time, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        if link.phase != Phase::Leaving || !link.pull.wanted.is_empty() {
            return;
        }
        if link.is_edge() {
            return self.close(now, conn, true);
        }
        // Only wholly handed over parts can be followed by a close without losing their count.
        if link.push.unsent > 0 {
            return;
        }
        if !link.said_bye {
            link.said_bye = true;
            let queue = std::mem::take(&mut link.push.queue);
            for queued in queue {
                self.send(conn, Message::Cancelled { request: queued.request });
            }
            self.send(conn, Message::Bye);
        }
        if self.links.get(&conn).is_some_and(|link| link.heard_bye) {
            self.close(now, conn, true);
        }
    }

    /// The far end said that it sends nothing more.
    pub(super) fn bye_came(&mut self, now: Time, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.heard_bye = true;
        link.push.queue.clear();
        // What was asked for while its bye was on the way will not come.
        let unanswered: Vec<RequestId> = link.pull.wanted.keys().copied().collect();
        for request in unanswered {
            self.request_over(now, conn, request);
        }
        self.candidate_gone(now, conn, Some(self.config.constants.waits.busy_ns));
        self.leave(now, conn);
        self.try_to_leave(now, conn);
    }

    /// Ends a connection whose far end broke the rules.
    pub(super) fn break_off(&mut self, now: Time, conn: ConnId) {
        self.candidate_gone(now, conn, Some(self.long_wait()));
        self.close(now, conn, false);
    }

    /// Ends a connection whose far end did this against the rules, and counts it.
    pub(super) fn break_rules(&mut self, now: Time, conn: ConnId, offence: Offence) {
        self.offended(now, conn, offence);
        self.break_off(now, conn);
    }

    /// Closes a connection and accounts for it.
    pub(super) fn close(&mut self, now: Time, conn: ConnId, clean: bool) {
        if let Some(link) = self.links.get_mut(&conn) {
            // Nothing more is heard of the connection, but what was ordered on it may still arrive; a sender never counts
            // less than its receiver.
            let unsent = std::mem::take(&mut link.push.unsent);
            link.tally.sent += unsent;
            if let Some(content) = &link.content {
                self.accounts.sent(now, content, link.guid, unsent);
            }
            self.out.push_back(Output::Close { conn });
            self.forget(now, conn, clean);
        }
    }

    /// The driver says that a connection ended or could not be opened.
    pub(super) fn link_closed(&mut self, now: Time, conn: ConnId, clean: bool) {
        let Some(link) = self.links.get(&conn) else { return };
        let idle = link.pull.wanted.is_empty() && link.push.queue.is_empty() && link.push.unsent == 0;
        let parted = if link.is_edge() { idle } else { idle && link.said_bye && link.heard_bye };
        let clean = clean && parted;
        let (kind, phase, heard) = (link.kind, link.phase, link.tally.received > 0);
        if phase != Phase::Leaving {
            match kind {
                // An edge may close a connection that was idle for long; that is no failure.
                Kind::Edge(index) => self.edge_gone(now, conn, index, (clean && heard).then_some(0)),
                Kind::Dialled | Kind::Accepted => self.candidate_gone(now, conn, None),
            }
        }
        self.forget(now, conn, clean);
    }

    /// Removes a connection: its pieces become open, its bytes are accounted.
    fn forget(&mut self, now: Time, conn: ConnId, clean: bool) {
        self.withdraw_offers(conn);
        let Some(link) = self.links.get(&conn) else { return };
        let outstanding: Vec<RequestId> = link.pull.wanted.keys().copied().collect();
        for request in outstanding {
            self.request_over(now, conn, request);
        }
        let Some(link) = self.links.remove(&conn) else { return };
        self.uploader.slots.leave(conn);
        if let Some(download) = link.download.and_then(|number| self.downloads.get_mut(&number)) {
            download.links.remove(&conn);
            download.stir = true;
            download.edges.forget(conn);
            if let Some(candidate) = download.swarm.by_link(conn) {
                candidate.link = None;
            }
        }
        self.accounts.hurry(now);
        self.account(&link, !clean);
    }

    fn account(&mut self, link: &Link, broken: bool) {
        let (sent, received) = (link.tally.sent, link.tally.received);
        let Some(content) = link.content.clone() else { return };
        // Where something was asked for and nothing counted here, the far end of a broken connection may have counted. One
        // on which nothing was ever asked for cannot have lost anything.
        let touched = link.pull.asked_any() || link.push.asked;
        let broken = broken && touched;
        if sent > 0 || received > 0 || broken {
            let remote = link.remote.ip().to_canonical();
            let local = Some(self.me.listen.ip());
            self.event(EventKind::Transfer(TransferRecord { remote, local, content, sent, received, broken }));
        }
    }

    /// The pieces of a source that goes are no longer counted as offered.
    pub(super) fn withdraw_offers(&mut self, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn).filter(|link| link.source) else { return };
        link.source = false;
        let offers = link.pull.offers.as_ref();
        if let Some(download) = link.download.and_then(|number| self.downloads.get_mut(&number))
            && let Some(offers) = offers
        {
            download.board.offers_went(offers);
            link.pull.fetching.ones().for_each(|piece| download.board.fetch_ended(piece as u32));
        }
    }
}
