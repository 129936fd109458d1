//! The formats' keys, said once: the reader knows keys by these tables, the JSON Schemas and the documentation's tables
//! are made from them.

use std::time::Duration;

use crate::limits;

pub(crate) mod constants;
pub(crate) mod expect;
pub(crate) mod experiment;
pub(crate) mod group;
pub(crate) mod policy;
pub(crate) mod suite;
pub(crate) mod topology;
pub(crate) mod users;
pub(crate) mod workload;

/// A time since the start of the run.
const MOMENT: Form = Form::Time(Duration::ZERO, limits::DURATION.1);

/// A map with known keys.
#[derive(Debug)]
pub(crate) struct Shape {
    /// What one such map is, with its article: `a group`.
    pub(crate) name: &'static str,
    /// What it is for.
    pub(crate) doc: &'static str,
    /// Its keys, in the order in which they are explained.
    pub(crate) keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) need: Need,
    /// Its meaning, one or two sentences.
    pub(crate) doc: &'static str,
}

/// Whether a key must be there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    /// It must.
    Required,
    /// This value stands for it otherwise, written as in a file.
    Default(&'static str),
    /// What it means that it is not there.
    Optional(&'static str),
}

/// What a value looks like.
#[derive(Debug)]
pub(crate) enum Form {
    /// Any text.
    Text,
    /// A new name: letters, digits, `-`, `_`.
    Name,
    /// The name of something declared elsewhere: an AS, a group…
    NameOf(&'static str),
    /// A whole number in a range.
    Whole(u64, u64),
    /// A number without unit in a range.
    Number(f64, f64),
    /// A rate, or `unlimited`.
    Rate,
    /// Bytes in a range.
    Size(u64, u64),
    /// A time in a range.
    Time(Duration, Duration),
    /// What may wait: a time or bytes.
    Queue,
    /// A percentage.
    Share,
    /// A value with `-` before it.
    Difference,
    /// How often.
    PerTime,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A block of addresses.
    Prefix,
    /// A map with known keys.
    Map(&'static Shape),
    /// A list of such values.
    List(&'static Form),
    /// A map from names of one's own, or of something, to such values.
    Named(&'static str, &'static Form),
    /// Any of these.
    Either(&'static [Form]),
    /// Whatever the path of the key asks for.
    Any,
}

impl Shape {
    /// The key of this name.
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}
