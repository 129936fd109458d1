//! What differs between equal programs: pairs of runs of the same programs (A/A), kept by experiment, arm, machine, engine and
//! runtime, each line of the file one pair.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use peerbed_stats as stats;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::effect::Scale;
use crate::regular;

/// Pairs that are older say nothing of the machine as it is.
pub const FRESH: SignedDuration = SignedDuration::from_hours(8 * 24);
/// Fewer fresh pairs are no floor.
pub const PAIRS_MIN: usize = 12;
/// What equal programs stay below in 95 of 100 comparisons.
const SHARE: f64 = 0.95;
/// More is none of ours.
const MOST_BYTES: u64 = 64 << 20;

/// Of what noise is known: whatever makes it another belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The experiment.
    pub experiment: String,
    /// Its scale.
    pub scale: Option<String>,
    /// The arm.
    pub arm: String,
    /// The machine, with runtime and engine: `fingerprint` of the manifest.
    pub fingerprint: String,
    /// Its engine.
    pub engine: String,
    /// Its runtime.
    pub runtime: String,
    /// BLAKE3 of what the arm is: its parameters, groups, content and network, whatever the seed.
    pub plan: String,
}

/// One pair of runs of the same programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Same {
    /// When it was made.
    pub at: Timestamp,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// The programs.
    pub programs: String,
    /// Differences by figure, on each scale on which it may be compared.
    pub differences: BTreeMap<String, Vec<(Scale, f64)>>,
}

/// What is known of the noise of a place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// It was measured.
    Known(Floor),
    /// Why not, and what makes it known.
    Unknown(String),
}

/// The noise of one place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// Pairs behind it.
    pub pairs: u32,
    /// When the oldest of them was made.
    pub since: Timestamp,
    /// Differences by figure.
    pub differences: BTreeMap<String, Vec<(Scale, f64)>>,
}

impl Noise {
    /// What it is.
    pub fn known(&self) -> Option<&Floor> {
        match self {
            Noise::Known(floor) => Some(floor),
            Noise::Unknown(_) => None,
        }
    }
}

impl Floor {
    /// What the effect of a figure between equal programs stays below in 95 of 100 comparisons of so many pairs: the spread of the
    /// differences over the root of their number, times Student's t with the freedom with which the spread is known. On the scale of
    /// the differences.
    pub fn at(&self, figure: &str, scale: Scale, pairs: usize) -> Option<f64> {
        let all = self.differences.get(figure)?;
        let values: Vec<f64> = all.iter().filter(|(of, _)| *of == scale).map(|(_, value)| *value).collect();
        if values.len() < PAIRS_MIN {
            return None;
        }
        let interval = stats::mean_interval(&values, SHARE)?;
        let half = (interval.high - interval.low) / 2.0;
        Some(half * (values.len() as f64 / pairs.max(1) as f64).sqrt())
    }
}

/// The file of all places.
#[derive(Debug, Clone)]
pub struct Store(PathBuf);

impl Store {
    /// Below a directory of results.
    pub fn below(results: &Path) -> Self {
        Self(results.join("aa.jsonl"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Adds pairs; a line that was cut off before is ended first, so that it spoils nothing else.
    pub fn add(&self, pairs: &[Same]) -> io::Result<()> {
        if let Some(parent) = self.0.parent() {
            fs::create_dir_all(parent)?;
        }
        // Waits for no other end, where somebody put a pipe there.
        let flags = OFlags::NONBLOCK.bits() as i32;
        let mut file = OpenOptions::new().create(true).read(true).append(true).custom_flags(flags).open(&self.0)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let mut text = Vec::new();
        let torn = fs::read(&self.0)?.last().is_some_and(|last| *last != b'\n');
        if torn {
            text.push(b'\n');
        }
        for pair in pairs {
            serde_json::to_writer(&mut text, pair)?;
            text.push(b'\n');
        }
        // One write: another program's lines do not come in between.
        file.write_all(&text)?;
        file.sync_all()
    }

    /// Why the noise of an arm cannot be known on any machine, before it is known on which one it is measured; nothing if it may be.
    pub fn unknown_anywhere(&self, experiment: &str, scale: Option<&str>, arm: &str) -> Option<String> {
        let lines = regular::read(&self.0, MOST_BYTES).unwrap_or_default();
        let places = lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Same>(line).ok());
        let ours =
            |place: &Place| (&*place.experiment, place.scale.as_deref(), &*place.arm) == (experiment, scale, arm);
        let known = places.filter(|pair| ours(&pair.place)).count();
        let remedy = remedy(experiment, scale, arm);
        (known < PAIRS_MIN)
            .then(|| format!("the noise of this machine is not known; {remedy}, and must have done so before"))
    }

    /// The noise of a place.
    pub fn noise(&self, place: &Place, now: Timestamp) -> Noise {
        let remedy = remedy(&place.experiment, place.scale.as_deref(), &place.arm);
        let bytes = match regular::read(&self.0, MOST_BYTES) {
            Err(regular::ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Noise::Unknown(format!("{}: {error}", self.0.display())),
            Ok(bytes) => bytes,
        };
        let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Same>(line).ok());
        let ours: Vec<Same> = lines.filter(|pair| pair.place == *place).collect();
        let fresh: Vec<&Same> =
            ours.iter().filter(|pair| pair.at <= now && now.duration_since(pair.at) <= FRESH).collect();
        if fresh.len() < PAIRS_MIN {
            let found = match (ours.len(), fresh.len()) {
                (0, _) => "no pairs of equal programs were measured here".to_owned(),
                (all, fresh) => format!(
                    "of {all} pairs of equal programs {fresh} are of the last 8 days, and {PAIRS_MIN} are needed"
                ),
            };
            return Noise::Unknown(format!("the noise of this machine is not known: {found}; {remedy}"));
        }
        let mut differences: BTreeMap<String, Vec<(Scale, f64)>> = BTreeMap::new();
        for (figure, difference) in fresh.iter().flat_map(|pair| &pair.differences) {
            differences.entry(figure.clone()).or_default().extend(difference);
        }
        let since = fresh.iter().map(|pair| pair.at).min().unwrap_or(now);
        Noise::Known(Floor { pairs: fresh.len() as u32, since, differences })
    }
}

/// What makes the noise of an arm known.
fn remedy(experiment: &str, scale: Option<&str>, arm: &str) -> String {
    let scale = scale.map_or(String::new(), |scale| format!(" --scale {scale}"));
    format!("`peerbed calibrate {experiment} --aa --arm {arm}{scale}` measures it")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURE: &str = "speed_ranked_mbps.p50";

    fn place() -> Place {
        Place {
            experiment: "quick".into(),
            scale: None,
            arm: "hybrid".into(),
            fingerprint: "0123".into(),
            engine: "wire".into(),
            runtime: "netns".into(),
            plan: "89ab".into(),
        }
    }

    fn same(at: Timestamp, difference: f64) -> Same {
        let differences = BTreeMap::from([(FIGURE.to_owned(), vec![(Scale::LogRatio, difference)])]);
        Same { at, place: place(), programs: "abc".into(), differences }
    }

    fn days(count: i64) -> SignedDuration {
        SignedDuration::from_hours(24 * count)
    }

    #[test]
    fn it_is_known_from_twelve_fresh_pairs_on_and_only_where_they_were_made() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::below(directory.path());
        let now: Timestamp = "2026-11-29T01:00:00Z".parse().expect("a time");
        let why = |place: &Place, now: Timestamp| match store.noise(place, now) {
            Noise::Known(floor) => panic!("{floor:?}"),
            Noise::Unknown(why) => why,
        };
        assert!(why(&place(), now).contains("no pairs of equal programs"));
        assert!(why(&place(), now).contains("`peerbed calibrate quick --aa --arm hybrid`"));
        store.add(&(0..11).map(|_| same(now, 0.1)).collect::<Vec<_>>()).expect("written");
        assert!(why(&place(), now).contains("of 11 pairs of equal programs 11 are of the last 8 days, and 12"));
        store.add(&[same(now, -0.1)]).expect("written");
        let noise = store.noise(&place(), now + days(7));
        assert_eq!(noise.known().map(|floor| floor.pairs), Some(12));
        let anywhere = |scale, arm| store.unknown_anywhere("quick", scale, arm);
        assert_eq!(anywhere(None, "hybrid"), None);
        assert!(anywhere(None, "edge-only").is_some_and(|why| why.contains("--aa --arm edge-only` measures it")));
        assert!(anywhere(Some("ci"), "hybrid").is_some_and(|why| why.contains("--arm hybrid --scale ci`")));
        assert!(why(&place(), now + days(9)).contains("of 12 pairs of equal programs 0 are"), "they are old");
        assert!(why(&place(), now - days(1)).contains("0 are"), "they are of the future");
        for other in [
            Place { fingerprint: "4567".into(), ..place() },
            Place { engine: "tc".into(), ..place() },
            Place { runtime: "docker".into(), ..place() },
            Place { plan: "cdef".into(), ..place() },
            Place { arm: "edge-only".into(), ..place() },
            Place { scale: Some("ci".into()), ..place() },
        ] {
            assert!(why(&other, now).contains("no pairs of equal programs"), "{other:?}");
        }
    }

    #[test]
    fn a_torn_line_costs_one_pair() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::below(directory.path());
        let now = Timestamp::UNIX_EPOCH;
        store.add(&(0..12).map(|_| same(now, 0.1)).collect::<Vec<_>>()).expect("written");
        let text = fs::read_to_string(store.path()).expect("readable");
        fs::write(store.path(), &text[..text.len() - 20]).expect("written");
        store.add(&[same(now, 0.2)]).expect("written");
        assert_eq!(store.noise(&place(), now).known().map(|floor| floor.pairs), Some(12), "eleven and the new one");
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::below(directory.path());
        rustix::fs::mkfifoat(rustix::fs::CWD, store.path(), rustix::fs::Mode::RWXU).expect("a pipe");
        assert!(store.add(&[]).expect_err("refused").to_string().contains("no regular file"));
    }

    #[test]
    fn lines_of_several_at_once_stay_whole() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::below(directory.path());
        let now = Timestamp::UNIX_EPOCH;
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..10).for_each(|_| store.add(&vec![same(now, 0.1); 50]).expect("written")));
            }
        });
        assert_eq!(store.noise(&place(), now).known().map(|floor| floor.pairs), Some(8 * 10 * 50));
        let text = fs::read_to_string(store.path()).expect("readable");
        let torn = text.lines().filter(|line| !line.is_empty() && serde_json::from_str::<Same>(line).is_err());
        assert_eq!(torn.count(), 0);
    }

    #[test]
    fn more_pairs_lower_it() {
        let differences = (0..12).map(|pair| (Scale::LogRatio, if pair % 2 == 0 { 0.1 } else { -0.1 })).collect();
        let differences = BTreeMap::from([(FIGURE.to_owned(), differences)]);
        let floor = Floor { pairs: 12, since: Timestamp::UNIX_EPOCH, differences };
        // s = 0.1 √(12/11), t(11) = 2.201.
        let twelve = floor.at(FIGURE, Scale::LogRatio, 12).expect("known");
        assert!((twelve - 2.201 * 0.1 * (12.0_f64 / 11.0).sqrt() / 12.0_f64.sqrt()).abs() < 1e-4, "{twelve}");
        let more = floor.at(FIGURE, Scale::LogRatio, 48).expect("known");
        assert!((more * 2.0 - twelve).abs() < 1e-9);
        assert_eq!((floor.at(FIGURE, Scale::Points, 12), floor.at("pause_rate", Scale::Points, 12)), (None, None));
    }
}
