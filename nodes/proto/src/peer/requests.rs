//! Which piece is asked of whom.
//!
//! Peers are asked first, each in its turn, for the rarest open piece it offers; the edge is asked as far as its share
//! (`share`) goes, and for what no peer could deliver before the rest of the download is done. When nothing is open any
//! more, the end-game begins: what would come late from one source is asked of a faster one as well, and the slower
//! request is called off when the piece has come.

use std::collections::BTreeMap;

use rand::RngExt;

use super::{PeerMachine, download::Download, link::Link, params::MILLISECOND, rate::time_for};
use crate::{ConnId, Message, Output, RequestId, Time};

/// A source is late when it would need this much longer than the whole rest of the download.
const LATE_FACTOR: f64 = 1.2;
/// … and this much on top.
const LATE_SLACK: Time = 100 * MILLISECOND;
/// A duplicate must come this much sooner than what is under way …
const SOONER_FACTOR: f64 = 2.0;
/// … and this much on top.
const SOONER_SLACK: Time = 50 * MILLISECOND;

/// An idle source is expected to give a piece within this time, whatever it gave before.
const TRY_IDLE: Time = 250 * MILLISECOND;

/// How many requests beyond the first for their piece peers may have in the end-game, for most of them turn out to be waste;
/// what an edge can give sooner it is asked for in any case.
const DOUBLED_MAX: usize = 1;

/// When pieces under way are expected, from now; a stuck source never delivers.
type Expected = BTreeMap<u32, Time>;

impl PeerMachine {
    /// Asks for as much as sources have room for.
    pub(super) fn pump(&mut self, now: Time, number: u32) {
        let Some(download) = self.downloads.get_mut(&number) else { return };
        download.stir = false;
        if !download.is_active() || download.grant.is_none() {
            return;
        }
        let (peers, edge) = self.ranked(now, number);
        let late = self.ask_peers(now, number, &peers, self.due(now, number, edge));
        if let Some(edge) = edge {
            self.ask_edge(now, number, edge, late);
        }
        if self.downloads.get(&number).is_some_and(|download| download.board.all_asked()) {
            self.end_game(now, number);
        }
    }

    /// The peers that may be asked, fastest first, and the edge.
    fn ranked(&self, now: Time, number: u32) -> (Vec<ConnId>, Option<ConnId>) {
        let Some(download) = self.downloads.get(&number) else { return (Vec::new(), None) };
        let sources = download.links.iter().filter_map(|conn| self.links.get(conn).map(|link| (*conn, link)));
        let mut peers = Vec::new();
        let mut edge = None;
        for (conn, link) in sources.filter(|(_, link)| link.may_ask(now)) {
            if link.is_edge() {
                edge = Some(conn);
            } else {
                peers.push((link.pull.meter.rate(now).unwrap_or(0.0), conn));
            }
        }
        peers.sort_by(|one, two| two.0.total_cmp(&one.0).then(one.1.cmp(&two.1)));
        (peers.into_iter().map(|(_, conn)| conn).collect(), edge)
    }

    /// How long the rest of the download takes at the present rates of its sources; none while they are not known.
    fn rest(&self, now: Time, number: u32) -> Option<Time> {
        let download = self.downloads.get(&number)?;
        let mut total = 0.0;
        for link in download.links.iter().filter_map(|conn| self.links.get(conn)).filter(|link| link.may_ask(now)) {
            let rate = link.pull.meter.rate(now).unwrap_or(0.0);
            total += if link.is_edge() { download.share.edge_rate(rate) } else { rate };
        }
        (total > 0.0).then(|| time_for(download.object.size - download.board.held_bytes(), total))
    }

    /// What comes later than this from a peer is better asked of the edge: it would keep the download waiting, and the edge
    /// would give it sooner. None while that is not known.
    fn due(&self, now: Time, number: u32, edge: Option<ConnId>) -> Option<Time> {
        let (rest, edge) = (self.rest(now, number)?, self.links.get(&edge?)?);
        let length = self.downloads.get(&number)?.object.piece_length;
        let from_edge = edge.pull.time_for_next(now, length).unwrap_or(0);
        Some(from_edge.max((rest as f64 * LATE_FACTOR) as Time + LATE_SLACK))
    }

    /// Asks peers in rounds, one piece each, until they have enough. Tells whether one had room but would have been late.
    fn ask_peers(&mut self, now: Time, number: u32, peers: &[ConnId], due: Option<Time>) -> bool {
        let mut late = false;
        let mut more = true;
        while more {
            more = false;
            for &conn in peers {
                let (Some(download), Some(link)) = (self.downloads.get(&number), self.links.get(&conn)) else {
                    continue;
                };
                if download.board.all_asked() {
                    return late;
                }
                let reopened = download.board.reopened();
                if link.pull.fruitless == Some(reopened) || !link.pull.has_room(now) {
                    continue;
                }
                let time = link.pull.time_for_next(now, download.object.piece_length);
                if due.zip(time).is_some_and(|(due, time)| time > due) {
                    late = true;
                    continue;
                }
                let piece = download.board.pick(&mut self.rng, |piece| link.pull.offers(piece));
                if let Some(piece) = piece {
                    self.ask(now, number, conn, piece);
                    more = true;
                } else if let Some(link) = self.links.get_mut(&conn) {
                    link.pull.fruitless = Some(reopened);
                }
            }
        }
        late
    }

    fn ask_edge(&mut self, now: Time, number: u32, conn: ConnId, urgent: bool) {
        loop {
            let (Some(download), Some(link)) = (self.downloads.get_mut(&number), self.links.get(&conn)) else { return };
            let length = download.object.piece_length;
            let spared = download.edges.spared.is_some() && download.board.held_bytes() == 0;
            if spared || download.board.all_asked() || !link.pull.has_room(now) {
                return;
            }
            let stands_in = urgent && download.share.is_backstop();
            if !stands_in && !download.share.may_ask(now, length) {
                return;
            }
            let Some(piece) = download.board.pick_for_edge(&mut self.rng) else { return };
            self.ask(now, number, conn, piece);
            self.tell_fetching(number, piece);
        }
    }

    /// Asks sources for pieces that would come much later from where they are under way.
    fn end_game(&mut self, now: Time, number: u32) {
        let mut expected = self.expected(now, number);
        let Some(download) = self.downloads.get(&number) else { return };
        let mut room = DOUBLED_MAX.saturating_sub(download.board.doubled());
        let (mut helpers, edge) = self.ranked(now, number);
        helpers.extend(edge);
        for conn in helpers {
            while let (Some(download), Some(link)) = (self.downloads.get(&number), self.links.get(&conn)) {
                if (room == 0 && !link.is_edge()) || !link.pull.has_room(now) {
                    break;
                }
                let Some((piece, time)) = worth_doubling(now, download, link, &expected) else { break };
                expected.entry(piece).and_modify(|known| *known = time.min(*known));
                self.ask(now, number, conn, piece);
                room = room.saturating_sub(1);
            }
        }
    }

    /// An idle source has just got a piece that was asked of another peer, which has not begun to send it: every second
    /// time it is asked for here instead. All who want a new piece ask the first who has it; so the crowd at its door halves
    /// with each copy that it hands out, and new pieces spread like a tree, not like a star. Only for the first pieces.
    pub(super) fn turn_to(&mut self, now: Time, number: u32, conn: ConnId, piece: u32) {
        let idle = |link: &Link| link.pull.wanted.is_empty() && link.may_ask(now);
        let Some(download) = self.downloads.get(&number).filter(|download| download.is_active()) else { return };
        let first = u64::from(self.config.constants.pieces.news_at_once);
        let begins = download.board.held_bytes() < first * u64::from(download.object.piece_length);
        if !begins || download.board.under_way(piece) != 1 || !self.links.get(&conn).is_some_and(idle) {
            return;
        }
        let waits = |conn: &ConnId| {
            let link = self.links.get(conn).filter(|link| !link.is_edge())?;
            let mut wanted = link.pull.wanted.iter();
            let found = wanted.find(|(_, wanted)| wanted.piece == piece && wanted.counted && wanted.received == 0);
            found.map(|(request, _)| (*conn, *request))
        };
        if let Some((other, request)) = download.links.iter().find_map(waits)
            && self.rng.random_bool(0.5)
        {
            self.cancel_request(other, request);
            self.ask(now, number, conn, piece);
        }
    }

    fn expected(&self, now: Time, number: u32) -> Expected {
        let mut expected = Expected::new();
        let Some(download) = self.downloads.get(&number) else { return expected };
        for link in download.links.iter().filter_map(|conn| self.links.get(conn)) {
            let rate = link.pull.meter.rate(now);
            let mut owed = 0;
            for wanted in link.pull.wanted.values() {
                owed += u64::from(wanted.owed());
                if !wanted.counted || download.board.holds(wanted.piece) {
                    continue;
                }
                let time = match rate {
                    _ if link.pull.is_stuck(now) => Time::MAX,
                    Some(rate) => time_for(owed, rate),
                    // Nothing is known of it yet: it is not doubled before it is stuck.
                    None => 0,
                };
                expected.entry(wanted.piece).and_modify(|known| *known = time.min(*known)).or_insert(time);
            }
        }
        expected
    }

    /// Sends one request.
    fn ask(&mut self, now: Time, number: u32, conn: ConnId, piece: u32) {
        let (Some(download), Some(link)) = (self.downloads.get_mut(&number), self.links.get_mut(&conn)) else { return };
        let (offset, bytes) = download.object.piece_range(piece);
        let request: RequestId = link.pull.ask(now, piece, bytes);
        download.board.asked(piece);
        if link.is_edge() {
            let content = download.content().clone();
            self.out.push_back(Output::FetchPiece { conn, request, content, offset, bytes });
        } else {
            self.send(conn, Message::Request { request, piece });
            self.out.push_back(Output::ExpectPiece { conn, request, bytes });
        }
    }
}

/// The piece that would come latest of those that this source would give much sooner, and when it would.
fn worth_doubling(now: Time, download: &Download, link: &Link, expected: &Expected) -> Option<(u32, Time)> {
    let time = link.pull.time_for_next(now, download.object.piece_length);
    // What is known of an idle source is old: it may have more to give by now.
    let time = time.map(|time| if link.pull.wanted.is_empty() { time.min(TRY_IDLE) } else { time });
    let needed = time.map_or(Time::MAX, |time| (time as f64 * SOONER_FACTOR) as Time + SOONER_SLACK);
    let mut worst: Option<(Time, u32)> = None;
    for (&piece, &at) in expected {
        let fits =
            at >= needed && download.board.may_double(piece) && link.pull.offers(piece) && !link.pull.asks_for(piece);
        if fits && worst.is_none_or(|(latest, _)| at > latest) {
            worst = Some((at, piece));
        }
    }
    worst.map(|(at, piece)| (piece, time.unwrap_or(at)))
}
