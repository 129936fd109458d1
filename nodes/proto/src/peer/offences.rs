//! What others did against the rules: who is banned for it, and what is said of it.
//!
//! Nobody is accused to others: a report of one peer about another could itself be the attack. Each peer acts on what it
//! has seen alone; the events are for whoever reads the results.

use std::{collections::BTreeMap, net::IpAddr};

use peerbed_contract::{EventKind, Guid, Offence};

use super::{PeerMachine, params::OFFENCES_MAX};
use crate::{ConnId, Time, bans::Bans};

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Offences {
    seen: BTreeMap<(IpAddr, Offence), Seen>,
    pub(super) bans: Bans,
}

/// What one address did of one kind.
#[derive(Debug)]
struct Seen {
    guid: Option<Guid>,
    /// All, and those that were said.
    count: u32,
    told: u32,
}

impl PeerMachine {
    /// The far end of a connection did something against the rules.
    pub(super) fn offended(&mut self, now: Time, conn: ConnId, offence: Offence) {
        let Some(link) = self.links.get(&conn).filter(|link| !link.is_edge()) else { return };
        let (by, guid) = (link.remote.ip().to_canonical(), link.guid);
        let defences = self.config.constants.defences;
        let offences = &mut self.offences;
        if offences.seen.len() >= OFFENCES_MAX && !offences.seen.contains_key(&(by, offence)) {
            return offences.bans.ban(now, by, defences.ban_ns);
        }
        let seen = offences.seen.entry((by, offence)).or_insert(Seen { guid, count: 0, told: 0 });
        seen.guid = seen.guid.or(guid);
        seen.count = seen.count.saturating_add(1);
        let (count, first) = (seen.count, seen.told == 0);
        // Who damages content or cannot speak does so on purpose or is broken; the others may have been unlucky once.
        let at_once = match offence {
            Offence::Corrupt => defences.drop_corrupt,
            other => other == Offence::Malformed,
        };
        if at_once || count.is_multiple_of(defences.offences_to_ban.max(1)) {
            offences.bans.ban(now, by, defences.ban_ns);
        }
        // What an attacker is answered says nothing about who answers.
        if first && self.config.misbehaviour.is_harmless() {
            seen.told = 1;
            let guid = seen.guid;
            self.event(EventKind::Offence { by, guid, offence, count: 1 });
        }
    }

    /// Says the offences that were only counted so far.
    pub(super) fn tell_offences(&mut self) {
        let mut rest = Vec::new();
        if !self.config.misbehaviour.is_harmless() {
            return;
        }
        for ((by, offence), seen) in &mut self.offences.seen {
            let count = seen.count - std::mem::replace(&mut seen.told, seen.count);
            if count > 0 {
                rest.push(EventKind::Offence { by: *by, guid: seen.guid, offence: *offence, count });
            }
        }
        for event in rest {
            self.event(event);
        }
    }
}
