//! The names in the results directory, all of them, and how to tell ours from anybody else's.
//!
//! `results/<experiment>/<utc>-<commit10>[-dirty][_<serial>]/`, beside it `latest`; while it is being made, or if it never
//! was finished, `.partial-` stands before the name.

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};

/// Where results of comparisons are, below all others.
pub const COMPARE: &str = "compare";
/// The symbolic link to the newest results of an experiment.
pub const LATEST: &str = "latest";
/// Begins the name of a directory that is not finished.
pub const PARTIAL: &str = ".partial-";
/// Held locked inside an unfinished directory while its maker lives.
pub const LOCK: &str = ".lock";
/// What was run, where, by which code.
pub const MANIFEST: &str = "manifest.json";
/// The resolved plans, one YAML document for each run.
pub const PLAN: &str = "plan.yaml";
/// One typed row per run and metric.
pub const METRICS: &str = "metrics.jsonl";
/// Everything that the nodes said.
pub const EVENTS: &str = "events.jsonl";
/// The key figures of each arm, for programs.
pub const SUMMARY_JSON: &str = "summary.json";
/// The same for readers.
pub const SUMMARY_MD: &str = "summary.md";
/// The same with pictures.
pub const REPORT: &str = "report.html";
/// Standard error of every node: `logs/<arm>/<repeat>/<node>.log`.
pub const LOGS: &str = "logs";
/// What every node was told: `nodes/<arm>/<repeat>/<node>.json`.
pub const NODES: &str = "nodes";

/// Of results that lack some of their runs: the record of each that is whole, and what the sweep is, for `--resume`.
pub const RUNS: &str = "runs";

/// The version of the layout and of every file in it; it rises when a reader would have to change.
pub const LAYOUT_VERSION: u32 = 1;

const TIME: &str = "%Y%m%dT%H%M%SZ";
const NO_COMMIT: &str = "nocommit";
const DIRTY: &str = "-dirty";
const COMMIT_DIGITS: usize = 10;

/// The name of one results directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirName {
    /// When it was begun, whole seconds.
    created: Timestamp,
    /// Tells directories of the same second apart, from 1; 1 is not written.
    serial: u32,
    /// The first ten digits of the commit; none outside a git checkout.
    commit: Option<String>,
    /// The checkout differed from the commit.
    dirty: bool,
}

impl DirName {
    /// A name for results that are begun now.
    pub fn new(now: Timestamp, commit: Option<&str>, dirty: bool) -> Self {
        let created = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let digits = |commit: &str| commit.chars().take(COMMIT_DIGITS).collect();
        Self { created, serial: 1, commit: commit.map(digits), dirty: dirty && commit.is_some() }
    }

    /// The next name of the same second.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { serial: self.serial + 1, ..self.clone() }
    }

    /// Reads a directory's name; none if it is not one of ours.
    pub fn parse(name: &str) -> Option<Self> {
        let (stem, serial) = match name.split_once('_') {
            None => (name, 1),
            Some((stem, digits)) => (stem, digits.parse().ok().filter(|serial| *serial > 1)?),
        };
        let (time, commit) = stem.split_once('-')?;
        let (commit, dirty) = commit.strip_suffix(DIRTY).map_or((commit, false), |commit| (commit, true));
        let is_hash = commit.len() == COMMIT_DIGITS && commit.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let commit = match commit {
            NO_COMMIT if !dirty => None,
            _ if is_hash => Some(commit.to_owned()),
            _ => return None,
        };
        let civil = jiff::civil::DateTime::strptime(TIME, time).ok()?;
        let created = civil.to_zoned(TimeZone::UTC).ok()?.timestamp();
        let parsed = Self { created, serial, commit, dirty };
        // Only the one way of writing it counts: `_02` or a short year are somebody else's.
        (parsed.to_string() == name).then_some(parsed)
    }

    /// Reads the name of an unfinished directory.
    pub fn parse_partial(name: &str) -> Option<Self> {
        Self::parse(name.strip_prefix(PARTIAL)?)
    }

    /// The name while it is not finished.
    pub fn partial(&self) -> String {
        format!("{PARTIAL}{self}")
    }

    /// When it was begun.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// The commit's first digits with `-dirty` where it was; none outside a git checkout.
    pub fn commit(&self) -> Option<String> {
        let commit = self.commit.as_ref()?;
        Some(format!("{commit}{}", if self.dirty { DIRTY } else { "" }))
    }
}

impl fmt::Display for DirName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.created.to_zoned(TimeZone::UTC).strftime(TIME).to_string();
        let dirty = if self.dirty { DIRTY } else { "" };
        write!(f, "{time}-{}{dirty}", self.commit.as_deref().unwrap_or(NO_COMMIT))?;
        if self.serial > 1 { write!(f, "_{}", self.serial) } else { Ok(()) }
    }
}

/// Whether a name of an experiment or an arm may be a directory: no way out of where it stands, nothing hidden.
pub fn is_plain(name: &str) -> bool {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '=' | '%' | '~' | ' ');
    !name.is_empty() && name.len() <= 200 && !name.starts_with('.') && name.chars().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn names_are_written_and_read_back() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        let name = DirName::new(at(1_785_319_872), Some(hash), false);
        assert_eq!(name.to_string(), "20260729T101112Z-0123456789");
        assert_eq!(name.next().to_string(), "20260729T101112Z-0123456789_2");
        for name in [
            name.clone(),
            name.next().next(),
            DirName::new(at(0), Some(hash), true),
            DirName::new(at(1_785_319_872), None, true),
        ] {
            assert_eq!(DirName::parse(&name.to_string()).as_ref(), Some(&name));
            assert_eq!(DirName::parse_partial(&name.partial()).as_ref(), Some(&name));
            assert_eq!(DirName::parse(&name.partial()), None);
        }
    }

    #[test]
    fn foreign_names_are_not_ours() {
        for name in [
            "",
            "latest",
            "bench",
            "20260729",
            "20260729T101112Z",
            "20260729T101112Z-",
            "20260729T101112Z-xyz",
            "20260729T101112Z-0123456789-DIRTY",
            "20260729T101112Z-0123456789_1",
            "20260729T101112Z-0123456789_02",
            "20261329T101112Z-0123456789",
            "20260729T101112Z-nocommit-dirty",
            "20260729T101112Z-0123456789/..",
            ".partial-x",
            "2026729T101112Z-0123456789",
        ] {
            assert_eq!(DirName::parse(name), None, "{name}");
            assert_eq!(DirName::parse_partial(name), None, "{name}");
        }
    }

    #[test]
    fn names_sort_by_time() {
        let early = DirName::new(at(1_000), Some("ffffffffff"), false);
        let late = DirName::new(at(2_000), Some("0000000000"), false);
        assert!(early < early.next() && early.next() < late);
    }

    #[test]
    fn a_plain_name_does_not_lead_anywhere() {
        assert!(is_plain("hybrid") && is_plain("edge-only_2.5"));
        assert!(is_plain("hybrid+isp-x~transit.rate=2mbit+diversity=10%"));
        for name in ["", ".", "..", "a/b", "/", "a\0", ".hidden", "a\nb"] {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
