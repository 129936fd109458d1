//! What the control plane must know of this peer beside its login: its copies, again when they were lost there (RE-ADD), and
//! whether it has free upload slots.

use rand::RngExt;

use super::{
    PeerMachine, Stage,
    params::{MILLISECOND, SLOTS_EVERY},
};
use crate::{Message, Time};

/// What stands for many free slots.
const MANY: u32 = 8;

/// What was told, and what is due.
#[derive(Debug)]
pub(super) struct Standing {
    /// When everything is registered again.
    again_at: Option<Time>,
    /// The free slots that the control plane knows of; a login begins with many.
    told_free: u32,
    /// They differ, and may be told from then on.
    slots_at: Option<Time>,
    last_slots: Option<Time>,
}

impl Standing {
    /// That of a new login.
    pub(super) fn new() -> Self {
        Self { again_at: None, told_free: MANY, slots_at: None, last_slots: None }
    }

    /// When something of it is due.
    pub(super) fn due(&self) -> Option<Time> {
        self.again_at.into_iter().chain(self.slots_at).min()
    }
}

impl PeerMachine {
    /// The control plane lost what was registered: everything is registered again, at a moment drawn within this time.
    pub(super) fn readd_came(&mut self, now: Time, within_ms: u32) {
        let wait = self.rng.random_range(0..=Time::from(within_ms) * MILLISECOND);
        self.control.standing.again_at = Some(now + wait);
    }

    /// Tells what is due and has changed.
    pub(super) fn keep_standing(&mut self, now: Time) {
        if self.stage != Stage::Running {
            return;
        }
        let Some(conn) = self.control.up() else { return };
        if self.control.standing.again_at.is_some_and(|due| due <= now) {
            self.control.standing.again_at = None;
            let copies = self.register_all(conn);
            self.send(conn, Message::ReAdded { copies });
        }
        if !self.uploader.enabled() {
            return;
        }
        let free = self.places_left();
        let standing = &mut self.control.standing;
        if free == standing.told_free {
            standing.slots_at = None;
            return;
        }
        let at = standing.last_slots.map_or(now, |last| last + SLOTS_EVERY).max(now);
        if at > now {
            standing.slots_at = Some(at);
            return;
        }
        standing.slots_at = None;
        standing.last_slots = Some(now);
        standing.told_free = free;
        self.send(conn, Message::Slots { free });
    }

    /// Free places for downloaders, to be served or to wait, in three steps: none, one for few, [`MANY`] for half of them or more.
    fn places_left(&self) -> u32 {
        let slots = self.uploader.places();
        let used = self.links.values().filter(|link| link.push.granted).count() as u64;
        match slots.saturating_sub(used) {
            0 => 0,
            free if free < slots.div_ceil(2) => 1,
            _ => MANY,
        }
    }
}
