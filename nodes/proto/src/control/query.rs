//! Queries under way at a connection node: the database nodes of the asker's region are asked first, then the others for what
//! is missing, for the diversity share and for their number of copies; then it is chosen among what all of them offer.

use std::collections::BTreeSet;

use peerbed_contract::{ContentId, Guid, Strategy};

use super::{connection::ConnectionNode, select, uplink::Uplink};
use crate::{ConnId, Message, Offered, PeerAddress, Profile, Time};

/// Queries of one connection that may be under way.
const QUERIES_MAX: u32 = 16;

/// A query that database nodes were asked about.
#[derive(Debug)]
pub(super) struct Pending {
    conn: ConnId,
    query: u32,
    asker: Profile,
    content: ContentId,
    /// The database nodes outside the asker's region were asked too.
    everywhere: bool,
    waiting: BTreeSet<usize>,
    /// Offers, with the database node that made them.
    offered: Vec<(usize, Offered)>,
    copies: u32,
    pub(super) deadline: Time,
}

impl ConnectionNode {
    /// Begins to answer a query; false if too many of this connection are under way.
    pub(super) fn begin_query(&mut self, now: Time, conn: ConnId, query: u32, content: ContentId) -> bool {
        let Some(session) = self.sessions.get_mut(&conn) else { return true };
        let Some(asker) = session.login.as_ref().map(|login| login.profile.clone()) else { return true };
        let max = self.selection.max_returned;
        if self.uplinks.is_empty() {
            let about = (&content, &asker);
            let offered = self.registry.offer(&self.directory, &self.selection, about, (max, max), &mut self.rng);
            let copies = self.registry.complete_copies(&content, asker.peer.guid);
            let chosen = select::select(&self.selection, offered, &mut self.rng);
            for (_, to) in self.registry.returned(now, &content, &guids(&chosen)) {
                self.introduce(to, asker.peer.clone(), content.clone());
            }
            self.send(conn, Message::Peers { query, peers: addresses(chosen), copies });
            return true;
        }
        if session.queries >= QUERIES_MAX {
            return false;
        }
        session.queries += 1;
        let region = self.directory.entry(asker.peer.address.ip()).map(|entry| entry.region.clone());
        let mut first: Vec<usize> = self.serving(region.as_deref());
        first.retain(|index| self.uplinks[*index].up().is_some());
        let everywhere = first.is_empty() || self.selection.strategy == Strategy::Random;
        if everywhere {
            first = (0..self.uplinks.len()).collect();
        }
        let lookup = self.next_lookup;
        self.next_lookup = self.next_lookup.wrapping_add(1);
        let deadline = now.saturating_add(self.gate.limits().lookup_ns);
        let (waiting, offered) = (BTreeSet::new(), Vec::new());
        let pending = Pending { conn, query, asker, content, everywhere, waiting, offered, copies: 0, deadline };
        self.pending.insert(lookup, pending);
        self.ask(lookup, &first, (max, max));
        self.go_on(lookup);
        true
    }

    /// Asks those of the database nodes that are attached.
    fn ask(&mut self, lookup: u32, of: &[usize], (near, rest): (u32, u32)) {
        let Some(pending) = self.pending.get_mut(&lookup) else { return };
        for index in of {
            if let Some(conn) = self.uplinks.get(*index).and_then(Uplink::up) {
                pending.waiting.insert(*index);
                let (content, asker) = (pending.content.clone(), pending.asker.clone());
                let message = Message::Lookup { lookup, content, asker, near, rest };
                self.outputs.push_back(crate::Output::Send { conn, message });
            }
        }
    }

    /// A database node answered.
    pub(super) fn found(&mut self, lookup: u32, index: usize, peers: Vec<Offered>, copies: u32) {
        let Some(pending) = self.pending.get_mut(&lookup) else { return };
        if !pending.waiting.remove(&index) {
            return;
        }
        pending.copies = pending.copies.saturating_add(copies);
        let most = 2 * self.selection.max_returned as usize;
        pending.offered.extend(peers.into_iter().take(most).map(|one| (index, one)));
        self.go_on(lookup);
    }

    /// A database node will not answer any more.
    pub(super) fn do_without(&mut self, index: usize) {
        let concerned: Vec<u32> =
            self.pending.iter().filter(|(_, p)| p.waiting.contains(&index)).map(|(n, _)| *n).collect();
        for lookup in concerned {
            if let Some(pending) = self.pending.get_mut(&lookup) {
                pending.waiting.remove(&index);
            }
            self.go_on(lookup);
        }
    }

    /// Answers with what there is what has waited too long.
    pub(super) fn expire_queries(&mut self, now: Time) {
        let late: Vec<u32> =
            self.pending.iter().filter(|(_, p)| p.deadline <= now).map(|(number, _)| *number).collect();
        for lookup in late {
            self.answer(lookup);
        }
    }

    /// Takes the next step of a query for which nobody is waited.
    fn go_on(&mut self, lookup: u32) {
        let Some(pending) = self.pending.get_mut(&lookup).filter(|pending| pending.waiting.is_empty()) else { return };
        if !std::mem::replace(&mut pending.everywhere, true) {
            let max = self.selection.max_returned as usize;
            let diverse = select::diverse(&self.selection, max);
            let missing = match self.selection.strategy {
                Strategy::Local => 0,
                Strategy::Nested | Strategy::Random => max.saturating_sub(pending.offered.len()),
            };
            let region = self.directory.entry(pending.asker.peer.address.ip()).map(|entry| entry.region.clone());
            let asked = self.serving(region.as_deref());
            let others: Vec<usize> = (0..self.uplinks.len()).filter(|index| !asked.contains(index)).collect();
            self.ask(lookup, &others, (missing as u32, diverse as u32));
        }
        if self.pending.get(&lookup).is_some_and(|pending| pending.waiting.is_empty()) {
            self.answer(lookup);
        }
    }

    fn answer(&mut self, lookup: u32) {
        let Some(mut pending) = self.pending.remove(&lookup) else { return };
        let Some(session) = self.sessions.get_mut(&pending.conn) else { return };
        session.queries = session.queries.saturating_sub(1);
        // A peer that has just moved may be known at two database nodes.
        let mut seen = BTreeSet::new();
        pending.offered.retain(|(_, one)| one.peer.guid != pending.asker.peer.guid && seen.insert(one.peer.guid));
        let offered = pending.offered.iter().map(|(_, one)| one.clone()).collect();
        let chosen = select::select(&self.selection, offered, &mut self.rng);
        let returned: BTreeSet<Guid> = guids(&chosen).into_iter().collect();
        for index in 0..self.uplinks.len() {
            let of_it = pending.offered.iter().filter(|(at, one)| *at == index && returned.contains(&one.peer.guid));
            let peers: Vec<Guid> = of_it.map(|(_, one)| one.peer.guid).collect();
            if let Some(conn) = self.uplinks[index].up().filter(|_| !peers.is_empty()) {
                let (content, asker) = (pending.content.clone(), pending.asker.peer.clone());
                self.send(conn, Message::Returned { content, asker, peers });
            }
        }
        let Pending { conn, query, copies, .. } = pending;
        self.send(conn, Message::Peers { query, peers: addresses(chosen), copies });
    }
}

fn guids(offered: &[Offered]) -> Vec<Guid> {
    offered.iter().map(|one| one.peer.guid).collect()
}

fn addresses(offered: Vec<Offered>) -> Vec<PeerAddress> {
    offered.into_iter().map(|one| one.peer).collect()
}
