//! RE-ADD: after the loss of a registry a connection node asks its peers to register again, each at a moment that it draws
//! within the policy's time, and tells when all of them have.

use peerbed_contract::{EventKind, Guid};

use super::{
    connection::ConnectionNode,
    uplink::{Recovery, Uplink},
};
use crate::{ConnId, Message, Output, Time};

const MILLISECOND: Time = 1_000_000;

impl ConnectionNode {
    /// A registry lost its state: that of a database node, or this node's own.
    pub(super) fn rebuild(&mut self, index: usize, since: Time) {
        if self.readd.enabled {
            let within = self.readd.within_ns / MILLISECOND;
            self.ask_to_register(index, Some(since), within, |_| true);
        }
    }

    /// A database node is attached for the first time: who registered something meanwhile does it again. Shortly after the
    /// start that is done at once, as the logins came at once too.
    pub(super) fn place_the_unplaced(&mut self, now: Time, index: usize) {
        let within = if self.is_young(now) { 0 } else { self.readd.within_ns / MILLISECOND };
        self.ask_to_register(index, None, within, |unplaced| unplaced);
    }

    fn ask_to_register(&mut self, index: usize, since: Option<Time>, within_ms: u64, whom: fn(bool) -> bool) {
        let within_ms = within_ms.min(u32::MAX.into()) as u32;
        let everybody = !self.selection.filters.uploads_on;
        let mut recovery = Recovery { since, waiting: std::collections::BTreeSet::new(), peers: 0, copies: 0 };
        for (conn, session) in &mut self.sessions {
            let Some(login) = session.login.as_mut() else { continue };
            let here = self.uplinks.is_empty() || login.home == index;
            let uploads = everybody || login.profile.uploads;
            if here && uploads && whom(std::mem::take(&mut login.unplaced)) {
                recovery.waiting.insert(login.profile.peer.guid);
                self.outputs.push_back(Output::Send { conn: *conn, message: Message::ReAdd { within_ms } });
            }
        }
        *self.recovery_at(index) = Some(recovery);
    }

    fn recovery_at(&mut self, index: usize) -> &mut Option<Recovery> {
        match self.uplinks.get_mut(index) {
            Some(Uplink { recovery, .. }) => recovery,
            None => &mut self.recovery,
        }
    }

    /// A peer has registered everything again.
    pub(super) fn readded(&mut self, conn: ConnId, guid: Guid, copies: u32) {
        let login = self.sessions.get(&conn).and_then(|session| session.login.as_ref());
        let Some(home) = login.map(|login| login.home) else { return };
        if let Some(recovery) = self.recovery_at(home)
            && recovery.waiting.remove(&guid)
        {
            recovery.peers += 1;
            recovery.copies += u64::from(copies);
        }
    }

    /// A peer that logged out is not waited for; one that comes back registers by itself.
    pub(super) fn no_longer_awaited(&mut self, home: usize, guid: Guid) {
        if let Some(recovery) = self.recovery_at(home) {
            recovery.waiting.remove(&guid);
        }
    }

    /// Tells of recoveries for which nobody is waited any more.
    pub(super) fn conclude_recoveries(&mut self, now: Time) {
        for index in 0..self.uplinks.len().max(1) {
            self.conclude_recovery(now, index);
        }
    }

    fn conclude_recovery(&mut self, now: Time, index: usize) {
        if self.recovery_at(index).as_ref().is_none_or(|recovery| !recovery.waiting.is_empty()) {
            return;
        }
        let Some(Recovery { since: Some(since), peers, copies, .. }) = self.recovery_at(index).take() else { return };
        let database = self.uplinks.get(index).map_or(self.me, |uplink| uplink.address);
        let took_ns = now.saturating_sub(since);
        let event = EventKind::RegistryRebuilt { database, peers, copies, took_ns };
        self.outputs.push_back(Output::Event(event));
    }
}
