//! Which pieces others have, are fetching, and are told of.
//!
//! New ones are told a few at a time: a message for each piece to each of many peers would be a packet each, and in a crowd
//! nearly as many packets as the content takes. The first ones are told at once, for while a crowd has hardly anything to
//! give, nobody's uplink is to wait for news.

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;
use peerbed_contract::{ContentId, Offence, Pieces};
use rand_chacha::ChaCha8Rng;

use super::{
    PeerMachine,
    link::{Link, Phase},
    rate::about,
};
use crate::{ConnId, Message, Time};

/// Pieces that came since others were told.
#[derive(Debug, Default)]
pub(super) struct News {
    pieces: BTreeMap<ContentId, Vec<u32>>,
    /// When they are told.
    due: Option<Time>,
}

impl News {
    /// A piece came; it is told in about so long, at the latest.
    pub(super) fn add(&mut self, now: Time, content: &ContentId, piece: u32, kept: Time, rng: &mut ChaCha8Rng) {
        self.pieces.entry(content.clone()).or_default().push(piece);
        let at = now + about(kept, rng);
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// When they are told.
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }
}

impl PeerMachine {
    /// Tells those who may want them which pieces came, when the time has come.
    pub(super) fn tell_news(&mut self, now: Time) {
        if self.news.due.is_none_or(|due| due > now) {
            return;
        }
        for (content, pieces) in std::mem::take(&mut self.news).pieces {
            let offered = self.uploader.offers(&content);
            let hears = |link: &Link| {
                let told = link.push.announced && !link.said_bye && !link.heard_bye && link.phase != Phase::Leaving;
                // A used-up copy is still given to those who have begun with it.
                told && (offered || link.push.granted) && link.content.as_ref() == Some(&content)
            };
            let conns: Vec<ConnId> = self.links.iter().filter(|(_, link)| hears(link)).map(|(conn, _)| *conn).collect();
            for conn in conns {
                for &piece in &pieces {
                    let offers = self.links.get(&conn).and_then(|link| link.pull.offers.as_ref());
                    if !offers.is_some_and(|offers| offers.contains(piece as usize)) {
                        self.send(conn, Message::Have { piece });
                    }
                }
            }
        }
    }

    pub(super) fn have_came(&mut self, now: Time, conn: ConnId, piece: u32) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let Some(offers) = link.pull.offers.as_mut().filter(|offers| (piece as usize) < offers.len()) else {
            return self.break_rules(now, conn, Offence::Protocol);
        };
        let known = offers.put(piece as usize);
        let fetched = link.pull.fetching.contains(piece as usize);
        if fetched {
            link.pull.fetching.set(piece as usize, false);
        }
        if known || !link.source {
            return;
        }
        link.pull.fruitless = None;
        if let Some(download) = link.download.and_then(|number| self.downloads.get_mut(&number)) {
            download.board.offer_came(piece);
            if fetched {
                download.board.fetch_ended(piece);
            }
            download.stir |= download.board.is_open(piece);
            let number = download.number;
            self.turn_to(now, number, conn, piece);
        }
    }

    /// A peer is fetching a piece from an edge.
    pub(super) fn fetching_came(&mut self, now: Time, conn: ConnId, piece: u32) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let pieces = link.pull.offers.as_ref().map_or(0, FixedBitSet::len);
        if piece as usize >= pieces {
            return self.break_rules(now, conn, Offence::Protocol);
        }
        link.pull.fetching.grow(pieces);
        if link.pull.offers(piece) || link.pull.fetching.put(piece as usize) || !link.source {
            return;
        }
        if let Some(download) = link.download.and_then(|number| self.downloads.get_mut(&number)) {
            download.board.fetch_began(piece);
        }
    }

    /// Tells those who download the same that a piece was asked of an edge.
    pub(super) fn tell_fetching(&mut self, number: u32, piece: u32) {
        let Some(download) = self.downloads.get(&number) else { return };
        let told = |conn: &ConnId| {
            let link = self.links.get(conn)?;
            let hears = link.push.announced && !link.said_bye && !link.heard_bye && link.phase == Phase::Open;
            let has = link.pull.offers.as_ref().is_none_or(|offers| offers.contains(piece as usize));
            (hears && !has).then_some(*conn)
        };
        let tell: Vec<ConnId> = download.links.iter().filter_map(told).collect();
        for conn in tell {
            self.send(conn, Message::Fetching { piece });
        }
    }

    /// A verified piece is held now: it is offered to those who may want it, a little later together with others.
    pub(super) fn spread(&mut self, now: Time, number: u32, piece: u32) {
        let Some(download) = self.downloads.get(&number) else { return };
        let object = std::sync::Arc::clone(&download.object);
        let fresh = self.uploader.got(now, &object, piece);
        if !fresh || !self.uploader.enabled() || !object.peers_allowed {
            return;
        }
        let whole = self.uploader.is_whole(&object.id);
        let running = !download.is_over();
        let offered = self.uploader.offers(&object.id);
        let Pieces { news_ns, news_at_once, .. } = self.config.constants.pieces;
        let first = download.board.held_bytes() <= u64::from(news_at_once) * u64::from(object.piece_length);
        let kept = if first { 0 } else { news_ns };
        self.news.add(now, &object.id, piece, kept, &mut self.rng);
        if offered && (running || whole) {
            self.control_offer(&object.id, whole);
        }
    }
}
