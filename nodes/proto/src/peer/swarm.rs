//! Which other peers are dialled for a download, and which are its sources.

use fixedbitset::FixedBitSet;
use peerbed_contract::{EdgeMode, Guid};

use super::{
    PeerMachine, Stage,
    download::Candidate,
    link::{Kind, Link, Phase},
    params::CANDIDATES_MAX,
    reach::side,
};
use crate::{ConnId, Output, PeerAddress, Purpose, Time, nat::Dialling};

impl PeerMachine {
    /// Dials peers for a download while it can use more.
    pub(super) fn keep_swarm(&mut self, now: Time, number: u32) {
        if self.config.edge_mode == EdgeMode::Only || self.stage != Stage::Running {
            return;
        }
        let Some(download) = self.downloads.get(&number) else { return };
        if !download.is_active() || !download.peers_allowed() {
            return;
        }
        let Some(token) = download.grant.as_ref().and_then(|grant| grant.valid(now)).cloned() else { return };
        let links = self.peer_links(number);
        let mut room = (self.config.max_sources as usize).saturating_sub(links);
        let first = download.swarm.answered.is_none();
        if room > 0 && (first || links < self.config.requery.below as usize) {
            self.ask_for_peers(now, number, &token);
        }
        let content = token.token.content.clone();
        let Some(object) = self.objects.get(&content) else { return };
        let pieces = object.piece_count();
        while room > 0 {
            let conn = ConnId(self.next_conn);
            let Some(download) = self.downloads.get_mut(&number) else { return };
            let (banned, bans) = (&download.swarm.banned, &self.offences.bans);
            let next = download.swarm.candidates.iter_mut().find(|candidate| {
                let free = candidate.link.is_none() && !candidate.banned && candidate.not_before <= now;
                free && !banned.contains(&candidate.guid) && !bans.holds(now, candidate.address.ip())
            });
            let Some(candidate) = next else { return };
            let side = side(self.config.both_sides, self.config.nat, candidate.nat);
            if side == Dialling::Asked {
                // It was told of this peer and dials.
                candidate.not_before = now + self.config.constants.waits.connect_ns;
                continue;
            }
            let (to, from_listener) = (candidate.address, side == Dialling::Both);
            let reaches = |link: &Link| {
                let asks_too = link.kind == Kind::Accepted && link.phase == Phase::Dialling;
                asks_too && link.remote == to && link.content.as_ref() == Some(&content)
            };
            let crossed = self.links.iter().find(|(_, link)| from_listener && reaches(link)).map(|(conn, _)| *conn);
            let (conn, fresh) = crossed.map_or((conn, true), |conn| (conn, false));
            candidate.link = Some(conn);
            download.links.insert(conn);
            let mut link = Link::new(to, Kind::Dialled, Phase::Dialling, now, &self.config.constants.defences);
            link.content = Some(content.clone());
            link.download = Some(number);
            link.crossing = from_listener;
            link.pull.offers = Some(FixedBitSet::with_capacity(pieces as usize));
            link.pull.greedy = self.config.misbehaviour.ignore_caps;
            self.links.insert(conn, link);
            if fresh {
                self.next_conn += 2;
                self.out.push_back(Output::Dial { conn, to, purpose: Purpose::Peer, from_listener });
            }
            room -= 1;
        }
    }

    /// Connections to peers that a download uses or is about to use.
    pub(super) fn peer_links(&self, number: u32) -> usize {
        let Some(download) = self.downloads.get(&number) else { return 0 };
        let links = download.links.iter().filter_map(|conn| self.links.get(conn));
        links
            .filter(|link| !link.is_edge() && (link.source || matches!(link.phase, Phase::Dialling | Phase::Greeting)))
            .count()
    }

    /// Whether a download has a peer to ask.
    pub(super) fn has_peers(&self, number: u32) -> bool {
        let links = self.downloads.get(&number).into_iter().flat_map(|download| &download.links);
        links.filter_map(|conn| self.links.get(conn)).any(|link| link.source && !link.is_edge())
    }

    /// The control plane named peers for a download.
    pub(super) fn candidates_came(&mut self, now: Time, number: u32, peers: Vec<PeerAddress>) {
        let Some(download) = self.downloads.get_mut(&number) else { return };
        let swarm = &mut download.swarm;
        for peer in peers {
            if peer.guid == self.me.guid || swarm.candidates.iter().any(|known| known.address == peer.address) {
                continue;
            }
            // One that moved is the same, and is not found where it was; copies of an installation take one another's place.
            if let Some(known) = swarm.candidates.iter_mut().find(|known| known.guid == peer.guid) {
                (known.address, known.nat, known.not_before) = (peer.address, peer.nat, 0);
                known.backoff.reset();
                continue;
            }
            if swarm.candidates.len() >= CANDIDATES_MAX {
                break;
            }
            // One that is already connected need not be dialled.
            let same =
                |conn: &&ConnId| self.links.get(conn).is_some_and(|link| link.source && link.guid == Some(peer.guid));
            swarm.candidates.push(Candidate {
                address: peer.address,
                guid: peer.guid,
                nat: peer.nat,
                not_before: 0,
                backoff: super::rate::Backoff::new(&self.config.constants.waits),
                banned: false,
                stalls: 0,
                link: download.links.iter().find(same).copied(),
            });
        }
        self.take_reaches(now);
        self.keep_swarm(now, number);
    }

    /// A source is gone, or of no use: it may be tried again after a while.
    pub(super) fn candidate_gone(&mut self, now: Time, conn: ConnId, wait: Option<Time>) {
        let number = self.links.get(&conn).and_then(|link| link.download);
        let Some(download) = number.and_then(|number| self.downloads.get_mut(&number)) else { return };
        if let Some(candidate) = download.swarm.by_link(conn) {
            candidate.put_off(now, wait, &mut self.rng);
        }
    }

    /// A source gave nothing, or next to nothing, of what it owed.
    pub(super) fn candidate_stalled(&mut self, now: Time, conn: ConnId) {
        let wait = self.long_wait();
        let number = self.links.get(&conn).and_then(|link| link.download);
        let Some(download) = number.and_then(|number| self.downloads.get_mut(&number)) else { return };
        if let Some(candidate) = download.swarm.by_link(conn) {
            candidate.stalls += 1;
            candidate.banned |= candidate.stalls >= self.config.constants.defences.stalls;
            candidate.put_off(now, Some(wait), &mut self.rng);
        }
    }

    pub(super) fn source_of(&self, number: u32, guid: Guid) -> Option<ConnId> {
        let links = &self.downloads.get(&number)?.links;
        links
            .iter()
            .copied()
            .find(|conn| self.links.get(conn).is_some_and(|link| link.source && link.guid == Some(guid)))
    }

    /// Connections that were kept for the far end's sake while a download was paused are its sources again.
    pub(super) fn attach_kept(&mut self, number: u32) {
        if self.config.edge_mode == EdgeMode::Only {
            return;
        }
        let Some(download) = self.downloads.get(&number) else { return };
        let kept = |conn: &ConnId| {
            self.links.get(conn).is_some_and(|link| !link.is_edge() && !link.source && link.phase == Phase::Open)
        };
        for conn in download.links.iter().copied().filter(kept).collect::<Vec<_>>() {
            self.attach(conn, number);
        }
    }

    /// An open connection becomes a source of a download.
    pub(super) fn attach(&mut self, conn: ConnId, number: u32) {
        let (Some(download), Some(link)) = (self.downloads.get_mut(&number), self.links.get_mut(&conn)) else { return };
        link.source = true;
        link.download = Some(number);
        download.links.insert(conn);
        download.stir = true;
        if let Some(offers) = &link.pull.offers {
            download.board.offers_came(offers);
            link.pull.fetching.ones().for_each(|piece| download.board.fetch_began(piece as u32));
        }
        // Whichever connection was to it before: this is the one whose stalls and end concern the candidate.
        let guid = link.guid;
        if let Some(known) = download.swarm.candidates.iter_mut().find(|known| Some(known.guid) == guid) {
            known.link = Some(conn);
        }
    }
}
