//! Who lied about its transfers, and who broke the rules: usage reports compared with one another and with the edges' logs, and
//! the offences that nodes saw. Pure: a [`RunView`] goes in.
//!
//! What the plan says of who misbehaves is used to score the accusations, never to make them.

mod claims;
mod offenders;
mod verdict;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use peerbed_contract::{Guid, RoleConfig};
use serde::{Deserialize, Serialize};

pub use offenders::Offender;
pub use verdict::Dispute;

use crate::metrics::{Metric, RunView, Value};
use claims::Claims;

/// Disputes that are written out.
const DISPUTES_SHOWN: usize = 20;

/// What the comparison found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Accounting {
    /// Who must have lied, with the evidence.
    pub accused: Vec<Accused>,
    /// Pairs whose claims contradict each other and of which nobody was singled out: one of the two lied. The first ones.
    pub disputes: Vec<Dispute>,
    /// How many there are in all.
    pub disputes_in_all: u64,
    /// Pairs of peers whose claims were compared.
    pub pairs_judged: u64,
    /// Pairs of which one side's reports did not come to their end, or that exchanged too little to tell a lie by.
    pub pairs_not_judged: u64,
    /// Every edge told what it served to the end; otherwise no claim about edges was judged.
    pub edge_log_whole: bool,
    /// Names of peers that were accused and whose reports are true, by the plan.
    pub false_accusations: Vec<String>,
    /// Names of peers that reported lies, by the plan, and were not accused.
    pub missed: Vec<String>,
    /// Who broke the rules otherwise, as nodes saw it.
    pub offenders: Vec<Offender>,
    /// How many of them keep the rules, by the plan.
    #[serde(skip)]
    pub honest_offenders: u64,
}

/// Somebody who must have lied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accused {
    /// The installation.
    pub guid: Guid,
    /// The node that has this GUID in the plan, if one has.
    pub node: Option<String>,
    /// Why, one sentence each.
    pub evidence: Vec<String>,
}

impl Accounting {
    /// Compares everything that was reported in a run.
    pub fn of(view: &RunView<'_>) -> Self {
        let claims = Claims::of(view);
        let verdict = verdict::judge(&claims);
        let mut names: BTreeMap<Guid, &str> = BTreeMap::new();
        let mut liars: BTreeSet<Guid> = BTreeSet::new();
        for node in &view.record.plan.nodes {
            if let RoleConfig::Peer(peer) = &node.config.role {
                names.entry(peer.guid).or_insert(node.name.as_str());
                if peer.misbehaviour.inflate.is_some() && claims.says_something(peer.guid) {
                    liars.insert(peer.guid);
                }
            }
        }
        let name = |guid: &Guid| names.get(guid).map_or_else(|| guid.to_string(), |name| (*name).to_owned());
        let accused: BTreeSet<Guid> = verdict.accused.keys().copied().collect();
        let offenders = offenders::of(view);
        let disputes_in_all = verdict.disputes.len() as u64;
        Self {
            false_accusations: accused.difference(&liars).map(name).collect(),
            missed: liars.difference(&accused).map(name).collect(),
            accused: verdict
                .accused
                .into_iter()
                .map(|(guid, evidence)| Accused {
                    guid,
                    node: names.get(&guid).map(|name| (*name).to_owned()),
                    evidence: evidence.iter().map(ToString::to_string).collect(),
                })
                .collect(),
            disputes: verdict.disputes.into_iter().take(DISPUTES_SHOWN).collect(),
            disputes_in_all,
            pairs_judged: verdict.pairs_judged,
            pairs_not_judged: verdict.pairs_not_judged,
            edge_log_whole: claims.edge_log.is_some(),
            honest_offenders: offenders.iter().filter(|offender| offender.honest).count() as u64,
            offenders,
        }
    }

    /// Whether there is anything to tell.
    pub fn is_quiet(&self) -> bool {
        self.accused.is_empty() && self.disputes.is_empty() && self.missed.is_empty() && self.offenders.is_empty()
    }

    /// Its metrics.
    pub fn rows(&self) -> Vec<Metric> {
        let count = |name, number: usize| Metric::new(name, Value::count(number as u64));
        let offences = self.offenders.iter().map(|offender| offender.count).sum::<u64>() as usize;
        vec![
            count("accounting.accused", self.accused.len()),
            count("accounting.disputes", self.disputes_in_all as usize),
            count("accounting.false_accusations", self.false_accusations.len()),
            count("accounting.missed", self.missed.len()),
            count("offences.told", offences),
            count("offences.offenders", self.offenders.len()),
            count("offences.honest", self.honest_offenders as usize),
        ]
    }

    /// A sentence for each accusation, dispute and offender.
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        for accused in &self.accused {
            let who = accused.node.clone().unwrap_or_else(|| accused.guid.to_string());
            for evidence in &accused.evidence {
                sentences.push(format!("{who} lied: {evidence}"));
            }
        }
        sentences.extend(self.disputes.iter().map(|dispute| format!("one of two lied: {dispute}")));
        let more = self.disputes_in_all.saturating_sub(self.disputes.len() as u64);
        if more > 0 {
            sentences.push(format!("… and {more} more pairs of which one lied"));
        }
        sentences.extend(self.offenders.iter().map(ToString::to_string));
        let scored = [("accused, and its reports are true", &self.false_accusations), ("not accused", &self.missed)];
        for (what, names) in scored {
            sentences.extend(names.iter().map(|name| format!("by the plan: {name} was {what}")));
        }
        sentences
    }
}
