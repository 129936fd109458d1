//! What peers tell a connection node: logins, registrations, free upload slots.

use std::net::SocketAddr;

use peerbed_contract::{ContentId, EventKind, Guid, LoginRecord, NatClass};

use super::{
    connection::{ConnectionNode, Login, OWN},
    uplink::Uplink,
};
use crate::{
    ConnId, LAN_MAX, Message, Output, PROGRAM_MAX, PROTOCOL_VERSION, PeerAddress, Profile, SECONDARY_MAX, Time, nat,
};

/// Free upload slots that are told apart.
const FREE_MAX: u32 = 8;

/// What a login tells, beside the protocol's version.
pub(super) struct Presented {
    pub(super) guid: Guid,
    pub(super) listen: SocketAddr,
    pub(super) uploads: bool,
    pub(super) secondary: Vec<Guid>,
    pub(super) program: String,
    pub(super) nat: NatClass,
    pub(super) lan: Option<String>,
}

impl ConnectionNode {
    pub(super) fn login(&mut self, now: Time, conn: ConnId, version: u32, told: Presented) {
        if version != PROTOCOL_VERSION {
            let reason =
                format!("protocol version {version} was offered, this control plane speaks {PROTOCOL_VERSION}");
            return self.dismiss(conn, reason);
        }
        if told.secondary.len() > SECONDARY_MAX
            || told.program.len() > PROGRAM_MAX
            || told.lan.as_ref().is_some_and(|lan| lan.len() > LAN_MAX)
        {
            let reason = format!(
                "a login tells at most {SECONDARY_MAX} secondary GUIDs, a program of at most {PROGRAM_MAX} bytes and a \
                 local network of at most {LAN_MAX}"
            );
            return self.dismiss(conn, reason);
        }
        let guid = told.guid;
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.start = told.secondary.first().copied();
        let (from, seen_port) = (session.from.address.ip().to_canonical(), session.from.address.port());
        if let Err(limit) = self.gate.login(now, from, guid) {
            return self.dismiss(conn, format!("too many {limit}, try again later"));
        }
        let other = self.sessions.get(&conn).and_then(|session| session.login.as_ref());
        if let Some(other) = other.map(|login| login.profile.peer.guid).filter(|other| *other != guid) {
            self.log_out(other);
        }
        if let Some(former) = self.log_out(guid).filter(|former| *former != conn) {
            self.dismiss(former, "this GUID logged in from elsewhere");
        }
        // The address is the one that was seen, not the one that was told: nobody can direct peers to a third party.
        let port = if nat::is_seen_port(told.nat) { seen_port } else { told.listen.port() };
        let address = SocketAddr::new(from, port);
        let home = self.home(guid, address);
        let profile = Profile {
            peer: PeerAddress { guid, address, nat: told.nat },
            lan: told.lan,
            uploads: told.uploads,
            free: FREE_MAX,
        };
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.login = Some(Login { profile, home, unplaced: false });
        self.by_guid.insert(guid, conn);
        let entry = self.directory.entry(from);
        self.outputs.push_back(Output::Event(EventKind::Login(Box::new(LoginRecord {
            guid,
            secondary: told.secondary,
            address,
            as_number: entry.map(|entry| entry.as_number),
            region: entry.map(|entry| entry.region.clone()),
            country: entry.and_then(|entry| entry.country.clone()),
            uploads: told.uploads,
            nat: told.nat,
            version: told.program,
        }))));
        self.send(conn, Message::Welcome);
    }

    /// Which database node is responsible for a peer: one of its region; where several are, its GUID decides.
    fn home(&self, guid: Guid, address: SocketAddr) -> usize {
        let region = self.directory.entry(address.ip()).map(|entry| entry.region.as_str());
        let mut serving = self.serving(region);
        if serving.is_empty() {
            serving = (0..self.uplinks.len()).collect();
        }
        let turn = guid.as_bytes().iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
        serving.get(turn % serving.len().max(1)).copied().unwrap_or(0)
    }

    /// The database nodes that are responsible for a region.
    pub(super) fn serving(&self, region: Option<&str>) -> Vec<usize> {
        let serves = |uplink: &Uplink| region.is_some_and(|region| uplink.regions.iter().any(|known| known == region));
        self.uplinks.iter().enumerate().filter(|(_, uplink)| serves(uplink)).map(|(index, _)| index).collect()
    }

    fn login_of(&self, conn: ConnId) -> Option<&Login> {
        self.sessions.get(&conn)?.login.as_ref()
    }

    pub(super) fn register(&mut self, conn: ConnId, guid: Guid, content: ContentId, complete: bool) {
        let Some(Login { profile, home, .. }) = self.login_of(conn) else { return };
        if self.selection.filters.uploads_on && !profile.uploads {
            return self.refuse(conn, None, "a peer that does not upload registers no copies");
        }
        let (profile, home) = (profile.clone(), *home);
        if self.uplinks.is_empty() {
            let most = self.gate.limits().contents_per_peer;
            if !self.registry.put(&self.directory, OWN, profile, (content, complete), most) {
                self.gate.count("contents per peer");
                self.refuse(conn, None, format!("{guid} has registered {most} contents already"));
            }
        } else if !self.tell_home(home, Message::Put { profile, content, complete })
            && let Some(login) = self.sessions.get_mut(&conn).and_then(|session| session.login.as_mut())
        {
            login.unplaced = true;
        }
    }

    pub(super) fn unregister(&mut self, conn: ConnId, guid: Guid, content: ContentId) {
        let Some(home) = self.login_of(conn).map(|login| login.home) else { return };
        if self.uplinks.is_empty() {
            self.registry.withdraw(OWN, guid, &content);
        } else {
            self.tell_home(home, Message::Withdraw { guid, content });
        }
    }

    /// The user switched uploads; a peer that does not upload has no copies.
    pub(super) fn switch_uploads(&mut self, conn: ConnId, guid: Guid, on: bool) {
        let Some(login) = self.sessions.get_mut(&conn).and_then(|session| session.login.as_mut()) else { return };
        let home = login.home;
        if std::mem::replace(&mut login.profile.uploads, on) == on {
            return;
        }
        self.outputs.push_back(Output::Event(EventKind::UploadsSwitched { guid, on }));
        if on {
            return;
        }
        if self.uplinks.is_empty() {
            self.registry.forget(OWN, guid);
        } else {
            self.tell_home(home, Message::Forget { guid });
        }
    }

    pub(super) fn slots(&mut self, conn: ConnId, guid: Guid, free: u32) {
        let Some(login) = self.sessions.get_mut(&conn).and_then(|session| session.login.as_mut()) else { return };
        let free = free.min(FREE_MAX);
        login.profile.free = free;
        let home = login.home;
        if self.uplinks.is_empty() {
            self.registry.free(OWN, guid, free);
        } else {
            self.tell_home(home, Message::Free { guid, free });
        }
    }
}
