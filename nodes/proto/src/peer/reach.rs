//! Connection attempts from the side that is asked, where the asker cannot reach it alone.
//!
//! The control plane introduces the asker. What is dialled then serves the asker as if it had dialled: the dialling side says
//! [`Message::Reach`], and the asker its `Hello`. Where both dial at once from their listening ports, both dials become one
//! connection, on which the asker greets as always; if both ask, the one with the lower GUID does.

use fixedbitset::FixedBitSet;
use peerbed_contract::{ContentId, EdgeMode, Guid, NatClass};

use super::{
    PeerMachine, Stage,
    link::{Kind, Link, Phase},
    params::REACHES_MAX,
};
use crate::{
    ConnId, Message, Output, PeerAddress, Purpose, Time,
    nat::{self, Dialling},
};

/// Who dials; where it is in vain, or only askers dial, the asker does.
pub(super) fn side(both_sides: bool, asker: NatClass, holder: NatClass) -> Dialling {
    nat::dialling(asker, holder).filter(|_| both_sides).unwrap_or(Dialling::Asker)
}

impl PeerMachine {
    /// The control plane told a peer of the copy here.
    pub(super) fn introduced(&mut self, now: Time, peer: &PeerAddress, content: ContentId) {
        if self.stage != Stage::Running || peer.guid == self.me.guid || !self.uploader.offers(&content) {
            return;
        }
        let from_listener = match side(self.config.both_sides, peer.nat, self.config.nat) {
            Dialling::Asker => return,
            Dialling::Asked => false,
            Dialling::Both => true,
        };
        // Between two listening ports there can be one connection only.
        let known = |link: &Link| {
            let same = link.content.as_ref() == Some(&content);
            (link.remote == peer.address && (same || from_listener)) || (link.guid == Some(peer.guid) && same)
        };
        let reaches = |link: &&Link| link.kind == Kind::Accepted && link.phase == Phase::Dialling;
        let full = self.links.values().filter(reaches).count() >= REACHES_MAX;
        if full || self.links.values().any(|link| link.phase != Phase::Leaving && known(link)) {
            return;
        }
        let conn = self.next_conn();
        let mut link = Link::new(peer.address, Kind::Accepted, Phase::Dialling, now, &self.config.constants.defences);
        link.content = Some(content);
        self.links.insert(conn, link);
        self.out.push_back(Output::Dial { conn, to: peer.address, purpose: Purpose::Peer, from_listener });
    }

    /// A peer that asks was reached: it may greet now.
    pub(super) fn reached(&mut self, now: Time, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let Some(content) = link.content.clone() else { return };
        link.enter(Phase::Greeting, now);
        let guid = self.me.guid;
        self.send(conn, Message::Reach { guid, content });
    }

    /// A peer that was asked for reached this one.
    pub(super) fn reach_came(&mut self, now: Time, conn: ConnId, guid: Guid, content: ContentId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        match (link.kind, link.phase) {
            // Both dialled: the greeting is on its way already, or the connection is being left.
            (Kind::Dialled, Phase::Greeting) | (_, Phase::Leaving) => {}
            (Kind::Accepted, Phase::Greeting) if link.content.is_none() => {
                link.guid = Some(guid);
                link.content = Some(content);
                self.take_reach(now, conn);
            }
            _ => self.break_off(now, conn),
        }
    }

    /// Peers that reached this one before the control plane's answer named them.
    pub(super) fn take_reaches(&mut self, now: Time) {
        let waits = |link: &Link| link.kind == Kind::Accepted && link.phase == Phase::Greeting && link.guid.is_some();
        let waiting: Vec<ConnId> = self.links.iter().filter(|(_, link)| waits(link)).map(|(conn, _)| *conn).collect();
        for conn in waiting {
            self.take_reach(now, conn);
        }
    }

    /// Greets on a connection that the asked side dialled, if a download wants it; waits if the peer is not known yet.
    fn take_reach(&mut self, now: Time, conn: ConnId) {
        let Some((guid, content)) = self.links.get(&conn).and_then(|link| Some((link.guid?, link.content.clone()?)))
        else {
            return;
        };
        let wants = |number: &u32| {
            let download = &self.downloads[number];
            download.content() == &content && download.is_active()
        };
        let number = self.downloads.keys().copied().find(wants);
        let Some(number) = number.filter(|_| self.stage == Stage::Running && self.config.edge_mode != EdgeMode::Only)
        else {
            return self.close(now, conn, true);
        };
        let room = self.peer_links(number) < self.config.max_sources as usize && self.source_of(number, guid).is_none();
        let Some(object) = self.objects.get(&content) else { return self.close(now, conn, true) };
        let pieces = object.piece_count() as usize;
        let Some(download) = self.downloads.get_mut(&number) else { return };
        let valid = download.grant.as_ref().is_some_and(|grant| grant.valid(now).is_some());
        let usable = room && valid && download.peers_allowed() && !download.swarm.banned.contains(&guid);
        let Some(candidate) = download.swarm.candidates.iter_mut().find(|candidate| candidate.guid == guid) else {
            return; // It may be named in a moment; else the greeting's time runs out.
        };
        if !usable || candidate.banned || candidate.link.is_some() {
            return self.close(now, conn, true);
        }
        candidate.link = Some(conn);
        download.links.insert(conn);
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.kind = Kind::Dialled;
        link.guid = None;
        link.download = Some(number);
        link.pull.offers = Some(FixedBitSet::with_capacity(pieces));
        link.enter(Phase::Greeting, now);
        self.greet(now, conn);
    }

    /// Both sides of one connection greeted as askers. Whether the other one's greeting is answered here: that of the lower
    /// GUID is, on both sides alike.
    pub(super) fn yields_to(&mut self, conn: ConnId, guid: Guid) -> bool {
        let Some(link) = self.links.get_mut(&conn) else { return false };
        if self.me.guid < guid {
            return false;
        }
        link.kind = Kind::Accepted;
        if let Some(download) = link.download.take().and_then(|number| self.downloads.get_mut(&number)) {
            download.links.remove(&conn);
            if let Some(candidate) = download.swarm.by_link(conn) {
                candidate.link = None;
            }
        }
        true
    }
}
