//! Connections to and from other peers from their opening on: the greetings, and which message goes where.

use fixedbitset::FixedBitSet;
use peerbed_contract::{ContentId, EdgeMode, Guid, Object, Offence, SignedToken};

use super::{
    PeerMachine, Stage,
    link::{Kind, Link, Phase},
    params::{GREETERS_MAX, MILLISECOND},
    uploader::NoSlot,
};
use crate::{
    ConnId, Endpoint, Message, Output, PROTOCOL_VERSION, PieceMap, Time,
    token::{self, TokenError},
};

/// The set behind a map that has the right size and no stray bits.
fn read_map(map: &PieceMap, object: &Object) -> Option<FixedBitSet> {
    let pieces = object.piece_count();
    if map.pieces != pieces || map.bits.len() != pieces.div_ceil(8) as usize {
        return None;
    }
    let mut set = FixedBitSet::with_capacity(pieces as usize);
    for (byte, bits) in map.bits.iter().enumerate() {
        for bit in (0..8).filter(|bit| bits >> bit & 1 == 1) {
            let piece = byte * 8 + bit;
            if piece >= pieces as usize {
                return None;
            }
            set.insert(piece);
        }
    }
    Some(set)
}

impl PeerMachine {
    /// A dialled connection opened.
    pub(super) fn link_connected(&mut self, now: Time, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        if link.phase != Phase::Dialling {
            return;
        }
        if link.is_edge() {
            return self.edge_connected(now, conn);
        }
        if link.kind == Kind::Accepted {
            return self.reached(now, conn);
        }
        link.pull.saw_rtt(now.saturating_sub(link.since));
        link.enter(Phase::Greeting, now);
        if self.config.misbehaviour.malformed {
            return self.send_garbage(conn);
        }
        self.greet(now, conn);
    }

    /// Says the first word on a connection for a download.
    pub(super) fn greet(&mut self, now: Time, conn: ConnId) {
        let Some(link) = self.links.get(&conn) else { return };
        let download = link.download.and_then(|number| self.downloads.get(&number));
        let grant = download.filter(|download| download.is_active()).and_then(|download| download.grant.as_ref());
        let Some(token) = grant.and_then(|grant| grant.token.clone()) else { return self.close(now, conn, true) };
        let Some(object) = self.objects.get(&token.token.content) else { return };
        let announced = self.uploader.offers(&object.id);
        let have = self.uploader.map(object, announced);
        if let Some(link) = self.links.get_mut(&conn) {
            link.push.announced = announced;
        }
        let guid = self.me.guid;
        self.send(conn, Message::Hello { version: PROTOCOL_VERSION, guid, token, have });
    }

    /// A remote connected.
    pub(super) fn link_accepted(&mut self, now: Time, conn: ConnId, from: Endpoint) {
        let greeters = self.links.values().filter(|link| link.kind == Kind::Accepted && link.phase == Phase::Greeting);
        let full = greeters.count() >= GREETERS_MAX;
        let banned = self.offences.bans.holds(now, from.address.ip());
        if full
            || banned
            || self.links.contains_key(&conn)
            || matches!(self.stage, Stage::Offline | Stage::Stopping { .. })
        {
            self.out.push_back(Output::Close { conn });
            return;
        }
        let link = Link::new(from.address, Kind::Accepted, Phase::Greeting, now, &self.config.constants.defences);
        self.links.insert(conn, link);
    }

    /// A message of another peer.
    pub(super) fn peer_message(&mut self, now: Time, conn: ConnId, message: Message) {
        if self.config.misbehaviour.malformed && matches!(message, Message::Hello { .. }) {
            return self.send_garbage(conn);
        }
        let Some(link) = self.links.get(&conn) else { return };
        let greeted = matches!(link.phase, Phase::Open | Phase::Leaving) && link.guid.is_some();
        if link.is_edge() || link.heard_bye {
            return self.break_rules(now, conn, Offence::Protocol);
        }
        // This side left before it was greeted: what the other said after its greeting crossed with that.
        let crossed = link.phase == Phase::Leaving && link.guid.is_none() && link.kind == Kind::Dialled;
        match message {
            Message::Have { .. } | Message::Fetching { .. } | Message::Request { .. } | Message::Cancel { .. }
                if crossed => {}
            Message::Hello { version: PROTOCOL_VERSION, guid, token, have } => {
                self.hello(now, conn, guid, &token, &have);
            }
            Message::HelloBack { guid, have, token } => self.hello_back(now, conn, guid, &have, token.as_ref()),
            Message::Reach { guid, content } => self.reach_came(now, conn, guid, content),
            Message::Busy { retry_ms } => self.busy_came(now, conn, retry_ms),
            Message::Refused { query: None, renew, .. } => self.refused_came(now, conn, renew),
            Message::Have { piece } if greeted => self.have_came(now, conn, piece),
            Message::Fetching { piece } if greeted => self.fetching_came(now, conn, piece),
            Message::Request { request, piece } if greeted => self.request_came(now, conn, request, piece),
            Message::Cancel { request } if greeted => self.cancel_came(conn, request),
            Message::Cancelled { request } if greeted => self.cancelled_came(now, conn, request),
            Message::Bye => self.bye_came(now, conn),
            // The driver reads parts itself; their bytes come as `PieceData`.
            Message::Part { .. } => {}
            _ => self.break_rules(now, conn, Offence::Protocol),
        }
    }

    fn hello(&mut self, now: Time, conn: ConnId, guid: Guid, signed: &SignedToken, have: &PieceMap) {
        let Some(link) = self.links.get(&conn) else { return };
        if link.crossing && link.kind == Kind::Dialled && link.phase == Phase::Greeting && !self.yields_to(conn, guid) {
            return;
        }
        let Some(link) = self.links.get_mut(&conn) else { return };
        if link.kind != Kind::Accepted {
            return self.break_rules(now, conn, Offence::Protocol);
        }
        if link.phase != Phase::Greeting {
            // A greeting that crossed with the end of the run; a second one is an error.
            if link.phase != Phase::Leaving || link.guid.is_some() {
                self.break_rules(now, conn, Offence::Protocol);
            }
            return;
        }
        let content = match self.permitted(now, conn, guid, signed) {
            Ok(content) => content,
            Err(Some(error)) if error.is_stale() => {
                let refused = Message::Refused { query: None, reason: error.to_string(), renew: true };
                self.send(conn, refused);
                return self.close(now, conn, true);
            }
            Err(_) => return self.break_rules(now, conn, Offence::Token),
        };
        let Some(object) = self.objects.get(&content).cloned() else {
            return self.turn_away(now, conn, NoSlot::Ever);
        };
        let Some(offers) = read_map(have, &object) else { return self.break_rules(now, conn, Offence::Protocol) };
        let slot = self.slot(conn, &content, guid);
        let number = self.mutual(conn, &content, guid);
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.content = Some(content);
        link.guid = Some(guid);
        if let Err(why) = slot {
            return self.turn_away(now, conn, why);
        }
        link.enter(Phase::Open, now);
        link.push.permitted = true;
        link.push.granted = true;
        link.push.announced = true;
        link.push.used = now;
        link.pull.offers = Some(offers);
        let map = self.uploader.map(&object, true);
        let token = number.and_then(|number| self.downloads.get(&number)).and_then(|download| download.grant.as_ref());
        let token = token.and_then(|grant| grant.token.clone());
        let me = self.me.guid;
        self.send(conn, Message::HelloBack { guid: me, have: map, token });
        if let Some(number) = number {
            self.attach(conn, number);
        }
    }

    fn hello_back(&mut self, now: Time, conn: ConnId, guid: Guid, have: &PieceMap, signed: Option<&SignedToken>) {
        let Some(link) = self.links.get(&conn) else { return };
        if link.phase == Phase::Leaving && link.guid.is_none() {
            return; // It crossed with our leaving.
        }
        let (Kind::Dialled, Phase::Greeting, Some(number)) = (link.kind, link.phase, link.download) else {
            return self.break_rules(now, conn, Offence::Protocol);
        };
        let Some(object) = link.content.as_ref().and_then(|content| self.objects.get(content)).cloned() else { return };
        let permitted = match signed {
            None => false,
            Some(signed) => match self.permitted(now, conn, guid, signed) {
                Ok(content) if content == object.id => true,
                // It may still give; it will show a new one when it wants something.
                Err(Some(error)) if error.is_stale() => false,
                _ => return self.break_rules(now, conn, Offence::Token),
            },
        };
        let Some(offers) = read_map(have, &object) else { return self.break_rules(now, conn, Offence::Protocol) };
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.pull.saw_rtt(now.saturating_sub(link.since));
        link.guid = Some(guid);
        link.pull.offers = Some(offers);
        link.push.permitted = permitted;
        link.push.announced &= permitted;
        link.push.used = now;
        link.enter(Phase::Open, now);
        let twin = self.source_of(number, guid);
        let wanted = self.downloads.get(&number).is_some_and(|d| d.is_active() && !d.swarm.banned.contains(&guid));
        // When two peers dial each other at the same time, both keep the connection of the lower GUID as source.
        if !wanted || (twin.is_some() && self.me.guid >= guid) {
            return self.leave(now, conn);
        }
        if let Some(twin) = twin {
            self.detach(now, twin, true);
        }
        self.attach(conn, number);
    }

    /// The content that a remote's token lets it download; else what is wrong with the token, nothing if peers may not be used.
    fn permitted(
        &self,
        now: Time,
        conn: ConnId,
        guid: Guid,
        signed: &SignedToken,
    ) -> Result<ContentId, Option<TokenError>> {
        let remote = self.links.get(&conn).map(|link| link.remote).ok_or(None)?;
        let bearer = token::Bearer { guid, address: remote.ip() };
        let token = token::admit(&self.config.verify_key, signed, bearer, now).map_err(Some)?;
        if token.peers_allowed { Ok(token.content.clone()) } else { Err(None) }
    }

    /// The far end did not let us in.
    fn refused_came(&mut self, now: Time, conn: ConnId, renew: bool) {
        let Some(link) = self.links.get(&conn) else { return };
        if link.kind != Kind::Dialled || link.phase != Phase::Greeting {
            return self.break_rules(now, conn, Offence::Protocol);
        }
        let number = link.download;
        self.candidate_gone(now, conn, None);
        if let Some(number) = number.filter(|_| renew) {
            self.renew_grant(now, number);
        }
        self.close(now, conn, true);
    }

    /// The download for which a peer that connected can be a source too. Both directions of a connection are used, however
    /// many sources were dialled: else those who connect to many could give to few.
    fn mutual(&self, conn: ConnId, content: &ContentId, guid: Guid) -> Option<u32> {
        if self.config.edge_mode == EdgeMode::Only {
            return None;
        }
        let (number, download) = self.downloads.iter().find(|(_, d)| d.content() == content && d.is_active())?;
        let free = self.links.get(&conn).is_some_and(|link| link.download.is_none());
        let new = self.source_of(*number, guid).is_none() && !download.swarm.banned.contains(&guid);
        (free && new && download.peers_allowed()).then_some(*number)
    }

    fn turn_away(&mut self, now: Time, conn: ConnId, why: NoSlot) {
        let busy = self.busy(why);
        self.send(conn, busy);
        self.close(now, conn, true);
    }

    fn busy_came(&mut self, now: Time, conn: ConnId, retry_ms: Option<u32>) {
        let Some(link) = self.links.get(&conn) else { return };
        if link.kind != Kind::Dialled || !matches!(link.phase, Phase::Greeting | Phase::Leaving) || link.guid.is_some()
        {
            return self.break_rules(now, conn, Offence::Protocol);
        }
        // One that will never have a slot is not tried again.
        let wait = retry_ms.map(|ms| Time::from(ms) * MILLISECOND);
        let download = link.download.and_then(|number| self.downloads.get_mut(&number));
        if let Some(candidate) = download.and_then(|download| download.swarm.by_link(conn)) {
            candidate.put_off(now, wait, &mut self.rng);
            candidate.banned |= retry_ms.is_none();
        }
        self.close(now, conn, true);
    }
}
