//! Which peers registered a copy of what: the soft state of a database node, or of a connection node without one.
//!
//! A registration belongs to the connection node over which it came and goes with it. Held in memory alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use peerbed_contract::{ContentId, DirectoryEntry, Guid, Selection};
use rand::Rng;

use super::select::{self, Place};
use crate::{ConnId, Offered, Profile, Time, nat};

/// Where addresses are, the longest prefix first, as in routing.
#[derive(Debug)]
pub(super) struct Directory(Vec<DirectoryEntry>);

impl Directory {
    pub(super) fn new(mut entries: Vec<DirectoryEntry>) -> Self {
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.prefix.length));
        Self(entries)
    }

    /// What is known of an address.
    pub(super) fn entry(&self, address: IpAddr) -> Option<&DirectoryEntry> {
        let address = address.to_canonical();
        self.0.iter().find(|entry| entry.prefix.contains(address))
    }

    fn place(&self, address: IpAddr) -> Option<Place> {
        let entry = self.entry(address)?;
        Some(Place { as_number: entry.as_number, region: entry.region.clone() })
    }
}

/// A peer that registered something.
#[derive(Debug)]
struct Listed {
    /// The connection node that it is logged in at, by its connection.
    owner: ConnId,
    profile: Profile,
    place: Option<Place>,
    contents: BTreeSet<ContentId>,
}

/// One registered copy.
#[derive(Debug)]
struct Copy {
    complete: bool,
    last_returned: Time,
}

/// All peers and copies.
#[derive(Debug, Default)]
pub(super) struct Registry {
    peers: BTreeMap<Guid, Listed>,
    copies: BTreeMap<ContentId, BTreeMap<Guid, Copy>>,
    /// The moment under which the latest answer was noted; each has one of its own.
    noted: Time,
}

impl Registry {
    /// Adds or updates a copy; false if the peer has as many contents as it may. A peer that is listed by another connection
    /// node, or was elsewhere, begins anew.
    pub(super) fn put(
        &mut self,
        directory: &Directory,
        owner: ConnId,
        profile: Profile,
        (content, complete): (ContentId, bool),
        most: u32,
    ) -> bool {
        let guid = profile.peer.guid;
        let moved = |listed: &Listed| listed.owner != owner || listed.profile.peer.address != profile.peer.address;
        if self.peers.get(&guid).is_some_and(moved) {
            self.remove(guid);
        }
        let listed = self.peers.entry(guid).or_insert_with(|| Listed {
            owner,
            place: directory.place(profile.peer.address.ip()),
            profile: profile.clone(),
            contents: BTreeSet::new(),
        });
        listed.profile = profile;
        if !listed.contents.contains(&content) {
            if listed.contents.len() >= most as usize {
                return false;
            }
            listed.contents.insert(content.clone());
        }
        let copies = self.copies.entry(content).or_default();
        copies.entry(guid).or_insert(Copy { complete, last_returned: 0 }).complete = complete;
        true
    }

    /// Removes a copy.
    pub(super) fn withdraw(&mut self, owner: ConnId, guid: Guid, content: &ContentId) {
        let Some(listed) = self.peers.get_mut(&guid).filter(|listed| listed.owner == owner) else { return };
        listed.contents.remove(content);
        let empty = listed.contents.is_empty();
        forget_copy(&mut self.copies, content, guid);
        if empty {
            self.peers.remove(&guid);
        }
    }

    /// A peer logged out there.
    pub(super) fn forget(&mut self, owner: ConnId, guid: Guid) {
        if self.peers.get(&guid).is_some_and(|listed| listed.owner == owner) {
            self.remove(guid);
        }
    }

    /// A connection node is gone, and all that came over it.
    pub(super) fn forget_owner(&mut self, owner: ConnId) {
        let of_it = self.peers.iter().filter(|(_, listed)| listed.owner == owner);
        for guid in of_it.map(|(guid, _)| *guid).collect::<Vec<_>>() {
            self.remove(guid);
        }
    }

    fn remove(&mut self, guid: Guid) {
        let Some(listed) = self.peers.remove(&guid) else { return };
        for content in &listed.contents {
            forget_copy(&mut self.copies, content, guid);
        }
    }

    /// A peer's free upload slots changed.
    pub(super) fn free(&mut self, owner: ConnId, guid: Guid, free: u32) {
        if let Some(listed) = self.peers.get_mut(&guid).filter(|listed| listed.owner == owner) {
            listed.profile.free = free;
        }
    }

    /// Peers and copies, counted.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.peers.len(), self.copies.values().map(BTreeMap::len).sum())
    }

    /// Complete copies of `content` at others than `asker`.
    pub(super) fn complete_copies(&self, content: &ContentId, asker: Guid) -> u32 {
        let copies = self.copies.get(content).into_iter().flatten();
        copies.filter(|(guid, copy)| copy.complete && **guid != asker).count() as u32
    }

    /// Of the eligible peers with a copy of `content` those that may be chosen: `near` of the nearest, and `rest` of the
    /// others.
    pub(super) fn offer(
        &self,
        directory: &Directory,
        selection: &Selection,
        (content, asker): (&ContentId, &Profile),
        (near, rest): (u32, u32),
        rng: &mut impl Rng,
    ) -> Vec<Offered> {
        let filters = selection.filters;
        let place = directory.place(asker.peer.address.ip());
        let here = (place.as_ref(), asker.lan.as_deref());
        let copies = self.copies.get(content).into_iter().flatten();
        let eligible = copies.filter(|(guid, _)| **guid != asker.peer.guid).filter_map(|(guid, copy)| {
            let Listed { profile, place, .. } = self.peers.get(guid)?;
            let left_out = filters.uploads_on && !profile.uploads
                || filters.free_slots && profile.free == 0
                || filters.nat && !nat::may_connect(asker.peer.nat, profile.peer.nat);
            (!left_out).then(|| Offered {
                peer: profile.peer.clone(),
                nearness: select::nearness(here, (place.as_ref(), profile.lan.as_deref())),
                last_returned: copy.last_returned,
            })
        });
        select::short_list(selection, eligible.collect(), near as usize, rest as usize, rng)
    }

    /// Remembers that peers were returned; gives at which connection node each of them is logged in.
    pub(super) fn returned(&mut self, now: Time, content: &ContentId, peers: &[Guid]) -> Vec<(ConnId, Guid)> {
        self.noted = now.max(self.noted + 1);
        let Some(copies) = self.copies.get_mut(content) else { return Vec::new() };
        let mut owners = Vec::new();
        for guid in peers {
            if let (Some(copy), Some(listed)) = (copies.get_mut(guid), self.peers.get(guid)) {
                copy.last_returned = self.noted;
                owners.push((listed.owner, *guid));
            }
        }
        owners
    }
}

fn forget_copy(copies: &mut BTreeMap<ContentId, BTreeMap<Guid, Copy>>, content: &ContentId, guid: Guid) {
    if let Some(of_content) = copies.get_mut(content) {
        of_content.remove(&guid);
        if of_content.is_empty() {
            copies.remove(content);
        }
    }
}
