//! What the control plane knows while its peers are logged in: who is where and who offers a copy of what.
//!
//! Soft state, held in memory and dropped with the login. Called by the control machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use peerbed_contract::{ContentId, DirectoryEntry, Guid, NatClass, Selection};
use rand::Rng;

use super::select::{self, Candidate, Place};
use crate::{ConnId, PeerAddress};

/// A peer that is logged in.
#[derive(Debug)]
pub(super) struct Login {
    /// Its connection.
    pub(super) conn: ConnId,
    /// Where it accepts other peers.
    pub(super) listen: SocketAddr,
    /// Whether it uploads.
    pub(super) uploads: bool,
    nat: NatClass,
    place: Option<Place>,
    contents: BTreeSet<ContentId>,
}

/// One registered copy.
#[derive(Debug)]
struct Copy {
    complete: bool,
    last_returned: u64,
}

/// All logins and copies.
#[derive(Debug)]
pub(super) struct Registry {
    directory: Vec<DirectoryEntry>,
    logins: BTreeMap<Guid, Login>,
    copies: BTreeMap<ContentId, BTreeMap<Guid, Copy>>,
    answers: u64,
}

impl Registry {
    /// A registry that places addresses by `directory`.
    pub(super) fn new(mut directory: Vec<DirectoryEntry>) -> Self {
        // The longest prefix wins, as in routing.
        directory.sort_by_key(|entry| std::cmp::Reverse(entry.prefix.length));
        Self { directory, logins: BTreeMap::new(), copies: BTreeMap::new(), answers: 0 }
    }

    /// Logs a peer in that is not.
    pub(super) fn log_in(&mut self, guid: Guid, conn: ConnId, listen: SocketAddr, uploads: bool, nat: NatClass) {
        let place = self.place(listen.ip());
        self.logins.insert(guid, Login { conn, listen, uploads, nat, place, contents: BTreeSet::new() });
    }

    /// Drops a login and every copy it registered; gives its connection.
    pub(super) fn log_out(&mut self, guid: Guid) -> Option<ConnId> {
        let login = self.logins.remove(&guid)?;
        for content in &login.contents {
            self.forget_copy(content, guid);
        }
        Some(login.conn)
    }

    /// The login of `guid`.
    pub(super) fn login(&self, guid: Guid) -> Option<&Login> {
        self.logins.get(&guid)
    }

    /// The logins, in no particular order of time.
    pub(super) fn logins(&self) -> impl Iterator<Item = &Login> {
        self.logins.values()
    }

    /// Where `guid` is reached.
    pub(super) fn address(&self, guid: Guid) -> Option<PeerAddress> {
        self.logins.get(&guid).map(|login| PeerAddress { guid, address: login.listen, nat: login.nat })
    }

    /// Notes whether a peer uploads from now on; one that does not has no copies. Tells whether that is new.
    pub(super) fn switch_uploads(&mut self, guid: Guid, on: bool) -> bool {
        let Some(login) = self.logins.get_mut(&guid) else { return false };
        let changed = std::mem::replace(&mut login.uploads, on) != on;
        if !on {
            for content in std::mem::take(&mut login.contents) {
                self.forget_copy(&content, guid);
            }
        }
        changed
    }

    /// Adds or updates a copy; false if the peer is not logged in or does not upload.
    pub(super) fn register(&mut self, guid: Guid, content: ContentId, complete: bool) -> bool {
        let Some(login) = self.logins.get_mut(&guid).filter(|login| login.uploads) else { return false };
        login.contents.insert(content.clone());
        let copies = self.copies.entry(content).or_default();
        copies.entry(guid).or_insert(Copy { complete, last_returned: 0 }).complete = complete;
        true
    }

    /// Removes a copy.
    pub(super) fn unregister(&mut self, guid: Guid, content: &ContentId) {
        if let Some(login) = self.logins.get_mut(&guid) {
            login.contents.remove(content);
            self.forget_copy(content, guid);
        }
    }

    fn forget_copy(&mut self, content: &ContentId, guid: Guid) {
        if let Some(copies) = self.copies.get_mut(content) {
            copies.remove(&guid);
            if copies.is_empty() {
                self.copies.remove(content);
            }
        }
    }

    /// Complete copies of `content` at others than `asker`.
    pub(super) fn complete_copies(&self, content: &ContentId, asker: Guid) -> u32 {
        let copies = self.copies.get(content).into_iter().flatten();
        copies.filter(|(guid, copy)| copy.complete && **guid != asker).count() as u32
    }

    /// Chooses peers with a copy of `content` for `asker`, and remembers that they were returned.
    pub(super) fn choose(
        &mut self,
        selection: &Selection,
        content: &ContentId,
        asker: Guid,
        rng: &mut impl Rng,
    ) -> Vec<PeerAddress> {
        let Some(copies) = self.copies.get_mut(content) else { return Vec::new() };
        let candidates = copies
            .iter()
            .filter(|(guid, _)| **guid != asker)
            .filter_map(|(guid, copy)| {
                let login = self.logins.get(guid)?;
                Some(Candidate { guid: *guid, place: login.place.as_ref(), last_returned: copy.last_returned })
            })
            .collect();
        let place = self.logins.get(&asker).and_then(|login| login.place.as_ref());
        let chosen = select::select(selection, place, candidates, rng);
        self.answers += 1;
        for guid in &chosen {
            if let Some(copy) = copies.get_mut(guid) {
                copy.last_returned = self.answers;
            }
        }
        chosen.into_iter().filter_map(|guid| self.address(guid)).collect()
    }

    /// What the directory knows of an address.
    pub(super) fn entry(&self, address: IpAddr) -> Option<&DirectoryEntry> {
        let address = address.to_canonical();
        self.directory.iter().find(|entry| entry.prefix.contains(address))
    }

    fn place(&self, address: IpAddr) -> Option<Place> {
        let entry = self.entry(address)?;
        Some(Place { as_number: entry.as_number, region: entry.region.clone() })
    }
}
