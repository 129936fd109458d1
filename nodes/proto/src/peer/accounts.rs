//! What this peer received and sent, by content and partner, and its usage reports.
//!
//! Reports carry totals since the start, so that a lost one is made good by the next. Both sides of a transfer count the same
//! bytes, all content bytes, whatever became of them: who receives reports what came, who sends what it handed over.

use std::collections::BTreeMap;

use peerbed_contract::{ContentId, Guid};

use super::{
    PeerMachine,
    params::{ACCOUNTS_MAX, SECOND},
};
use crate::{Message, Time, UsageEntry, message::USAGE_MAX};

/// All accounts.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// By content and partner; none stands for all edges.
    entries: BTreeMap<(ContentId, Option<Guid>), Account>,
    /// When the next report is due; none while there is nothing new.
    due: Option<Time>,
    /// How long what is new may stay untold.
    every: Time,
}

#[derive(Debug, Default)]
struct Account {
    received: u64,
    sent: u64,
    /// An upload that never was (an attacker's).
    invented: u64,
    told: bool,
}

impl Accounts {
    /// None yet.
    pub(super) fn new(every: Time) -> Self {
        Self { every, ..Self::default() }
    }

    /// When the next report is due.
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    fn account(&mut self, now: Time, content: &ContentId, partner: Option<Guid>) -> Option<&mut Account> {
        let key = (content.clone(), partner);
        if self.entries.len() >= ACCOUNTS_MAX && !self.entries.contains_key(&key) {
            return None;
        }
        self.due.get_or_insert(now.saturating_add(self.every));
        let account = self.entries.entry(key).or_default();
        account.told = false;
        Some(account)
    }

    /// Content bytes came.
    pub(super) fn received(&mut self, now: Time, content: &ContentId, partner: Option<Guid>, bytes: u64) {
        if let Some(account) = self.account(now, content, partner) {
            account.received += bytes;
        }
    }

    /// Content bytes were handed over.
    pub(super) fn sent(&mut self, now: Time, content: &ContentId, partner: Option<Guid>, bytes: u64) {
        if let Some(account) = self.account(now, content, partner).filter(|_| bytes > 0) {
            account.sent += bytes;
        }
    }

    /// Something came to its end: what is new is told soon.
    pub(super) fn hurry(&mut self, now: Time) {
        self.due = self.due.map(|due| due.min(now + SECOND));
    }

    /// A control plane that may know nothing of this peer is told everything.
    pub(super) fn tell_all(&mut self, now: Time) {
        for account in self.entries.values_mut() {
            account.told = false;
        }
        if !self.entries.is_empty() {
            self.due = Some(now);
        }
    }
}

impl PeerMachine {
    /// Reports what is new, when the time has come and the control plane is there.
    pub(super) fn keep_accounts(&mut self, now: Time) {
        if self.accounts.due.is_some_and(|due| due <= now) {
            if self.control.up().is_some() {
                self.report_usage(false);
            }
            // Without a control plane the next login tells everything.
            self.accounts.due = None;
        }
    }

    /// Tells the control plane what is new; with `last`, that this peer says nothing more.
    pub(super) fn report_usage(&mut self, last: bool) {
        let Some(conn) = self.control.up() else { return };
        let factor = self.config.misbehaviour.inflate.map_or(1, |inflate| u64::from(inflate.factor));
        let mut entries = Vec::new();
        for ((content, partner), account) in &mut self.accounts.entries {
            if !std::mem::replace(&mut account.told, true) {
                entries.push(UsageEntry {
                    content: content.clone(),
                    partner: *partner,
                    received: account.received.saturating_mul(factor),
                    sent: account.sent.saturating_mul(factor).max(account.invented),
                });
            }
        }
        let messages = entries.len().div_ceil(USAGE_MAX).max(usize::from(last));
        let mut entries = entries.into_iter();
        for number in 1..=messages {
            let entries = entries.by_ref().take(USAGE_MAX).collect();
            self.send(conn, Message::Usage { entries, last: last && number == messages });
        }
    }

    /// The control plane told of a downloader: a peer that lies claims to have served it.
    pub(super) fn invent(&mut self, now: Time, content: &ContentId, partner: Guid) {
        let Some(object) = self.objects.get(content).filter(|_| self.config.misbehaviour.inflate.is_some()) else {
            return;
        };
        let size = object.size;
        if let Some(account) = self.accounts.account(now, content, Some(partner)) {
            account.invented = size;
        }
    }
}
