//! What comes back of requests: bytes, whole pieces, refusals.

use peerbed_contract::{EventKind, Offence, Role, TerminalStatus};

use super::{
    PeerMachine,
    edges::is_final,
    link::{Kind, Phase, Took, Wanted},
    params::{BAD_EDGE_WAIT, BAD_PIECES_PER_EDGE, SECOND},
};
use crate::{ConnId, RequestId, Time};

/// A source that refused so many requests in a row is left.
const REFUSALS_MAX: u32 = 8;

impl PeerMachine {
    /// Bytes of a piece came.
    pub(super) fn piece_data(&mut self, now: Time, conn: ConnId, request: RequestId, bytes: u32) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.tally.received += u64::from(bytes);
        let waited = now.saturating_sub(link.pull.heard);
        link.pull.gave(now, bytes);
        let edge = link.is_edge();
        if let Some(content) = &link.content {
            self.accounts.received(now, content, link.guid, u64::from(bytes));
        }
        let took = link.pull.took(request, bytes);
        // The first bytes of a first request: their wait is a round trip and what the far end did meanwhile.
        link.pull.rtt.get_or_insert(waited);
        if let Some(download) = link.download.and_then(|number| self.downloads.get_mut(&number)) {
            download.heard_bytes(now);
            if edge {
                download.share.edge_gave(bytes);
            } else {
                download.share.peer_gave(bytes);
            }
            if took == Took::Unasked {
                download.wasted += u64::from(bytes);
            }
            // So much has come that the next piece should be asked for.
            download.stir |= link.source && link.pull.fruitless.is_none() && link.pull.has_room(now);
        }
        if took != Took::Asked {
            // More than was asked for: neither side's count can be trusted to mean a piece any more.
            self.break_source(now, conn);
        }
    }

    /// A whole piece came.
    pub(super) fn piece_end(&mut self, now: Time, conn: ConnId, request: RequestId, hash: [u8; 32]) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let Some(wanted) = link.pull.wanted.get(&request) else { return };
        if wanted.received != wanted.bytes {
            return self.break_source(now, conn);
        }
        let Some(wanted) = link.pull.end(now, request) else { return };
        let number = link.download;
        if let Some(number) = number {
            self.judge(now, conn, number, &wanted, hash);
        }
        self.try_to_leave(now, conn);
    }

    /// Uses a piece, or throws it away.
    fn judge(&mut self, now: Time, conn: ConnId, number: u32, wanted: &Wanted, hash: [u8; 32]) {
        let (Some(download), Some(link)) = (self.downloads.get_mut(&number), self.links.get_mut(&conn)) else { return };
        download.stir = true;
        if wanted.counted {
            download.board.given_up(wanted.piece);
        }
        let good = download.grant.as_ref().and_then(|grant| grant.manifest.pieces.get(wanted.piece as usize));
        if good.is_none_or(|good| good.0 != hash) {
            download.wasted += u64::from(wanted.bytes);
            return self.reject(now, conn, number, wanted.piece);
        }
        link.pull.refusals = 0;
        if let Kind::Edge(index) = link.kind {
            download.edges.refusals = 0;
            if let Some(state) = download.edges.states.get_mut(index) {
                state.backoff.reset();
            }
        } else if let Some(candidate) = download.swarm.by_link(conn) {
            candidate.backoff.reset();
        }
        if !download.takes_pieces() || download.board.holds(wanted.piece) {
            download.wasted += u64::from(wanted.bytes);
            return;
        }
        download.board.got(wanted.piece, wanted.bytes);
        let role = if link.is_edge() { Role::Edge } else { Role::Peer };
        download.used((link.remote.ip().to_canonical(), role, link.guid, self.me.as_number), wanted.bytes);
        let complete = download.board.is_complete();
        self.spread(now, number, wanted.piece);
        if complete {
            self.end_download(now, number, TerminalStatus::Completed);
        } else {
            self.cancel_duplicates(number, wanted.piece);
        }
    }

    /// A piece came and is held: other requests for it are called off.
    fn cancel_duplicates(&mut self, number: u32, piece: u32) {
        let Some(download) = self.downloads.get(&number) else { return };
        if download.board.under_way(piece) == 0 {
            return;
        }
        let mut others = Vec::new();
        for conn in &download.links {
            let Some(link) = self.links.get(conn) else { continue };
            for (request, wanted) in &link.pull.wanted {
                // An edge cannot be stopped: its range stays counted until it has come.
                if wanted.piece == piece && wanted.counted && !link.is_edge() {
                    others.push((*conn, *request));
                }
            }
        }
        for (conn, request) in others {
            self.cancel_request(conn, request);
        }
    }

    /// A piece failed its hash.
    fn reject(&mut self, now: Time, conn: ConnId, number: u32, piece: u32) {
        let (Some(download), Some(link)) = (self.downloads.get_mut(&number), self.links.get(&conn)) else { return };
        let (kind, remote, guid) = (link.kind, link.remote, link.guid);
        download.rejected += 1;
        let edges = download.edges.states.len() as u32;
        let mut hopeless = false;
        if matches!(kind, Kind::Edge(_)) {
            download.edges.bad_pieces += 1;
            hopeless = !download.is_over() && download.edges.bad_pieces >= BAD_PIECES_PER_EDGE * edges;
        } else if let Some(guid) = guid.filter(|_| self.config.constants.defences.drop_corrupt) {
            download.swarm.banned.insert(guid);
        }
        self.event(EventKind::PieceRejected { download: number, piece, from: remote.ip().to_canonical() });
        match kind {
            Kind::Edge(index) => {
                let wait = if edges > 1 { BAD_EDGE_WAIT } else { SECOND };
                self.edge_gone(now, conn, index, Some(wait));
                if hopeless && !self.has_peers(number) {
                    let reason = format!("edges sent damaged pieces again and again, last {remote} piece {piece}");
                    self.fail_download(now, number, reason);
                }
            }
            Kind::Dialled | Kind::Accepted => {
                self.offended(now, conn, Offence::Corrupt);
                if !self.config.constants.defences.drop_corrupt {
                    return;
                }
                self.candidate_gone(now, conn, Some(self.long_wait()));
                self.call_off(conn);
            }
        }
        self.leave(now, conn);
    }

    /// A request ended without its piece: the bytes that came are wasted, the piece is open again.
    pub(super) fn request_over(&mut self, now: Time, conn: ConnId, request: RequestId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let Some(wanted) = link.pull.end(now, request) else { return };
        if let Some(download) = link.download.and_then(|number| self.downloads.get_mut(&number)) {
            download.stir = true;
            download.wasted += u64::from(wanted.received);
            if wanted.counted {
                download.board.given_up(wanted.piece);
            }
        }
    }

    /// The far end says that no more bytes of a request follow.
    pub(super) fn cancelled_came(&mut self, now: Time, conn: ConnId, request: RequestId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let Some(wanted) = link.pull.wanted.get(&request) else { return };
        let refused = wanted.counted;
        let mut too_often = false;
        if refused {
            // It was not called off here: the far end has no slot, or not this piece any more.
            link.pull.refusals += 1;
            link.pull.rest_until = now + SECOND * u64::from(link.pull.refusals.min(5));
            too_often = link.pull.refusals >= REFUSALS_MAX;
        }
        self.request_over(now, conn, request);
        if too_often {
            self.candidate_gone(now, conn, Some(self.long_wait()));
            self.detach(now, conn, true);
        }
        self.try_to_leave(now, conn);
    }

    /// An edge refused or failed one range.
    pub(super) fn edge_refused(
        &mut self,
        now: Time,
        conn: ConnId,
        request: RequestId,
        status: Option<u16>,
        retry_after: Option<Time>,
    ) {
        let Some(link) = self.links.get(&conn) else { return };
        let Kind::Edge(index) = link.kind else { return };
        if !link.pull.wanted.contains_key(&request) {
            return;
        }
        let (remote, number, phase) = (link.remote, link.download, link.phase);
        self.request_over(now, conn, request);
        if phase != Phase::Leaving {
            self.edge_gone(now, conn, index, retry_after);
        }
        self.leave(now, conn);
        if let (Some(number), Some(status)) = (number, status.filter(|status| is_final(*status))) {
            self.count_refusal(now, number, format!("{remote} answered a range with status {status}"));
        }
    }

    /// Ends a source whose bytes make no sense.
    fn break_source(&mut self, now: Time, conn: ConnId) {
        if let Some(Kind::Edge(index)) = self.links.get(&conn).map(|link| link.kind) {
            self.edge_gone(now, conn, index, None);
        }
        self.break_rules(now, conn, Offence::Malformed);
    }
}
