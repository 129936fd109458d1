//! Whether a run can be believed. Every check reads the [`RunView`]; each failure is one sentence that names the node,
//! pair or link it speaks of. A run of which nothing could be checked is not valid.

mod cuts;
mod downloads;
mod health;
mod lifecycle;
pub mod limits;
pub mod overload;
mod transfers;
mod wire;

#[cfg(test)]
mod tests;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::metrics::RunView;

/// How the reason begins that speaks of an interruption.
pub const INTERRUPTED: &str = "interrupted: ";
/// How the reason begins that speaks of an overloaded machine.
pub const OVERLOADED: &str = "the machine was not up to it";

/// The judgement on one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validity {
    reasons: Vec<String>,
    set_apart: SetApart,
}

/// Content bytes that were not reconciled, because one side could not count them to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct SetApart {
    /// Pairs of a node that the plan killed.
    pub killed_pairs: u64,
    /// Their content bytes.
    pub killed_bytes: u64,
    /// Pairs of which a connection broke, on whose way a link was cut or carried nothing at the end.
    pub cut_pairs: u64,
    /// Their content bytes.
    pub cut_bytes: u64,
    /// Pairs of a node that the plan moved to another address, of which a connection broke.
    pub moved_pairs: u64,
    /// Their content bytes.
    pub moved_bytes: u64,
    /// Other pairs of which a connection broke.
    pub broken_pairs: u64,
    /// Their content bytes.
    pub broken_bytes: u64,
    /// Pairs with an attacker of the plan, of which a connection broke.
    pub attacked_pairs: u64,
    /// Their content bytes.
    pub attacked_bytes: u64,
}

impl Validity {
    /// Judges a run.
    pub fn of(view: &RunView<'_>) -> Self {
        let mut reasons = Reasons::default();
        lifecycle::check(view, &mut reasons);
        health::check(view.record, &mut reasons);
        overload::check(view.record, &mut reasons);
        downloads::check(view, &mut reasons);
        let set_apart = transfers::check(view, &mut reasons);
        wire::check(view, &mut reasons);
        Self { reasons: reasons.0, set_apart }
    }

    /// Whether the run can be believed.
    pub fn valid(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Why not, one sentence each; empty for a valid run.
    pub fn reasons(&self) -> &[String] {
        &self.reasons
    }

    /// What was not reconciled, for good reasons.
    pub fn set_apart(&self) -> SetApart {
        self.set_apart
    }
}

impl Serialize for Validity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Validity", 3)?;
        fields.serialize_field("valid", &self.valid())?;
        fields.serialize_field("reasons", &self.reasons)?;
        fields.serialize_field("set_apart", &self.set_apart)?;
        fields.end()
    }
}

/// Sentences against a run.
#[derive(Debug, Default)]
struct Reasons(Vec<String>);

impl Reasons {
    fn add(&mut self, sentence: String) {
        self.0.push(sentence);
    }

    /// Adds the findings of one check; of many only the first ones, with the number of the others.
    fn add_all(&mut self, what: &str, mut sentences: Vec<String>) {
        let more = sentences.len().saturating_sub(limits::REASONS_PER_CHECK);
        sentences.truncate(limits::REASONS_PER_CHECK);
        self.0.append(&mut sentences);
        if more > 0 {
            self.0.push(format!("… and {more} more {what}"));
        }
    }
}
