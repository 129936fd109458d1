//! New pieces, told to others a few at a time: a message for each piece to each of many peers would be a packet each, and in
//! a crowd nearly as many packets as the content takes.

use std::collections::BTreeMap;

use peerbed_contract::ContentId;
use rand_chacha::ChaCha8Rng;

use super::{
    PeerMachine,
    link::{Link, Phase},
    params::HAVE_EVERY,
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
    /// A piece came.
    pub(super) fn add(&mut self, now: Time, content: &ContentId, piece: u32, rng: &mut ChaCha8Rng) {
        self.pieces.entry(content.clone()).or_default().push(piece);
        self.due.get_or_insert_with(|| now + about(HAVE_EVERY, rng));
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
}
