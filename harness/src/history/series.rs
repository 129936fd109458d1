//! What the lines of a history make: series of one metric, epochs within which its numbers may be compared, and where it changes.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use peerbed_stats::{change_points, standard_deviation};
use serde::Serialize;

use super::entry::{Entry, Metric, Role, Where, name};
use crate::{
    compare::{design::Kind, show::share, verdict::Word},
    metrics::Better,
};

/// The probability that a series in which nothing changes is divided. Nights are many, and so are series: a false alarm costs a
/// comparison.
const ALPHA: f64 = 0.01;
/// Of an epoch, so many last values are looked at; older changes are known by then.
const VALUES_MAX: usize = 365;
/// A range is wider by so many nights on each side than divisions nearly as clear are: without, one in 26 ranges does not hold a step of
/// three standard deviations after 12 of 24 nights, with one night one in 200.
const ROOM: usize = 1;
/// Permutations need a seed, so that the same history changes at the same places.
const SEED: u64 = 0x6e69_6768_7473;

/// Comparisons of the same arms of the same experiment, in the order of their nights.
#[derive(Debug)]
pub struct Group<'a> {
    /// Experiment, arms and scale, in words.
    pub name: String,
    /// Stretches of nights whose numbers may be compared.
    pub epochs: Vec<Epoch<'a>>,
    /// The last of all.
    pub latest: &'a Entry,
}

/// A maximal stretch of nights at the same place with the same reference. Two may overlap, where nights measured against both references
/// or on both machines.
#[derive(Debug)]
pub struct Epoch<'a> {
    /// Its comparisons.
    pub entries: Vec<&'a Entry>,
    /// What became another since the epoch before it; nothing of the first.
    pub differs: Vec<Differs>,
    /// Nights, by their heads, that belong to the epoch before it as well.
    pub shared: usize,
    /// Where; none: no run was ever made.
    place: Option<&'a Where>,
}

/// What separates two epochs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differs {
    /// `reference`, `machine`, `engine`, `runtime` or `plan`.
    pub what: &'static str,
    /// What it was.
    pub from: String,
    /// What it became.
    pub to: String,
}

/// One metric of a group.
#[derive(Debug)]
pub struct Series<'a> {
    /// The metric as the last comparison has it.
    pub metric: &'a Metric,
    /// What is known of it, in the order of the epochs and in each of the nights.
    pub points: Vec<Point<'a>>,
    /// Where it changes.
    pub changes: Vec<Change>,
}

/// One comparison as a series has it.
#[derive(Debug, Clone, Copy)]
pub struct Point<'a> {
    /// The epoch, from 0.
    pub epoch: usize,
    /// The comparison.
    pub entry: &'a Entry,
    /// What it says of the metric; none: nothing.
    pub metric: Option<&'a Metric>,
}

/// A place where a series changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The experiment.
    pub experiment: String,
    /// Its scale.
    pub scale: Option<String>,
    /// The arm of the heads.
    pub arm: String,
    /// The metric.
    pub figure: String,
    /// How its values are compared.
    pub kind: Kind,
    /// Whether it decides.
    pub gating: bool,
    /// Whether it is for the worse; none where neither direction is better.
    pub worse: Option<bool>,
    /// How probable as clear a division is if the order of the nights means nothing.
    pub p: f64,
    /// The mean effect against the reference before it, since the change or epoch before: a share, or points as a share of 1.
    pub before: f64,
    /// The mean after it, until the next.
    pub after: f64,
    /// The last night before the range within which it probably came.
    pub last_before: Border,
    /// The first night after that range.
    pub first_after: Border,
    /// What compares both by pairs of runs; none where git cannot be asked for one of them, or they are the same.
    pub compare: Option<String>,
    /// What looks for the commit between them; none as above, and of improvements.
    pub bisect: Option<String>,
    /// The places among the points of its series: last before the range, first after the clearest division, first after the range.
    #[serde(skip)]
    pub places: [usize; 3],
}

/// A night at the border of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Border {
    /// When.
    pub at: Timestamp,
    /// The head, in a few letters.
    pub head: String,
    /// Its commit.
    pub commit: Option<String>,
    /// With changes that are not committed.
    pub dirty: bool,
}

/// The comparisons of heads, in groups in the order of names.
pub fn groups(entries: &[Entry]) -> Vec<Group<'_>> {
    let mut by_key: BTreeMap<(&str, &str, &str, Option<&str>), Vec<&Entry>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.role == Role::Measure) {
        let key = (&*entry.experiment, &*entry.arm, &*entry.head_arm, entry.scale.as_deref());
        by_key.entry(key).or_default().push(entry);
    }
    let groups = by_key.into_iter().filter_map(|((experiment, arm, head_arm, scale), mut entries)| {
        entries.sort_by_key(|entry| entry.at);
        let latest = *entries.last()?;
        Some(Group { name: name(experiment, arm, head_arm, scale), epochs: epochs(&entries), latest })
    });
    groups.collect()
}

/// Every change, by group and metric.
pub fn changes(entries: &[Entry]) -> Vec<Change> {
    groups(entries).iter().flat_map(Group::series).flat_map(|series| series.changes).collect()
}

/// What belongs to a night: comparisons of one name further apart are of different nights.
const NIGHT: SignedDuration = SignedDuration::from_hours(18);

/// Of each role, experiment, arm and scale the last comparison, heads first; with each reference, where the last night had several.
pub fn latest(entries: &[Entry]) -> Vec<&Entry> {
    let mut latest: BTreeMap<(Role, String), BTreeMap<&str, &Entry>> = BTreeMap::new();
    for entry in entries {
        let of_name = latest.entry((entry.role, entry.name())).or_default();
        let reference = if entry.role == Role::Measure { entry.reference.id() } else { "" };
        let last = of_name.entry(reference).or_insert(entry);
        if entry.at >= last.at {
            *last = entry;
        }
    }
    latest.into_values().flat_map(of_last_night).collect()
}

/// Of one name's last comparisons with each reference those of its last night.
fn of_last_night<'a>(of_name: BTreeMap<&str, &'a Entry>) -> Vec<&'a Entry> {
    let newest = of_name.values().map(|entry| entry.at).max();
    let recent = |entry: &&Entry| newest.is_some_and(|newest| newest.duration_since(entry.at) < NIGHT);
    of_name.into_values().filter(recent).collect()
}

/// The epochs of comparisons that are in order.
fn epochs<'a>(entries: &[&'a Entry]) -> Vec<Epoch<'a>> {
    let mut epochs: Vec<(Epoch<'a>, usize)> = Vec::new();
    // What has no place, as no run was made, is where the last one was, else where the first one will be.
    let mut last = entries.iter().find_map(|entry| entry.place.as_ref());
    // A night is a stretch of comparisons of the same head.
    let (mut night, mut head) = (0, None);
    for entry in entries {
        last = entry.place.as_ref().or(last);
        if head.is_some_and(|head| head != entry.head.id()) {
            night += 1;
        }
        head = Some(entry.head.id());
        let same = |epoch: &Epoch<'_>| {
            epoch.place == last
                && epoch.entries.first().is_some_and(|first| first.reference.id() == entry.reference.id())
        };
        let open = epochs.iter_mut().rev().find(|(epoch, until)| same(epoch) && *until + 1 >= night);
        if let Some((epoch, until)) = open {
            epoch.entries.push(entry);
            *until = night;
        } else {
            let begun = Epoch { entries: vec![*entry], differs: Vec::new(), shared: 0, place: last };
            epochs.push((begun, night));
        }
    }
    let mut epochs: Vec<Epoch<'a>> = epochs.into_iter().map(|(epoch, _)| epoch).collect();
    for later in 1..epochs.len() {
        let (before, epoch) = (&epochs[later - 1], &epochs[later]);
        let heads = |epoch: &Epoch<'a>| epoch.entries.iter().map(|entry| entry.head.id()).collect::<Vec<_>>();
        let (earlier, mut ours) = (heads(before), heads(epoch));
        ours.dedup();
        let shared = ours.iter().filter(|head| earlier.contains(head)).count();
        let differs = differs(before, epoch);
        (epochs[later].shared, epochs[later].differs) = (shared, differs);
    }
    epochs
}

fn differs(before: &Epoch<'_>, epoch: &Epoch<'_>) -> Vec<Differs> {
    let mut all = Vec::new();
    let mut note = |what, from: String, to: String| all.push(Differs { what, from, to });
    if let (Some(from), Some(to)) = (before.entries.first(), epoch.entries.first())
        && from.reference.id() != to.reference.id()
    {
        note("reference", from.reference.short(), to.reference.short());
    }
    if let (Some(from), Some(to)) = (before.place, epoch.place) {
        for (what, from, to) in [
            ("machine", &from.fingerprint, &to.fingerprint),
            ("engine", &from.engine, &to.engine),
            ("runtime", &from.runtime, &to.runtime),
            ("plan", &from.plan, &to.plan),
        ] {
            if from != to {
                note(what, format!("{from:.10}"), format!("{to:.10}"));
            }
        }
    }
    all
}

impl<'a> Group<'a> {
    /// Each metric of its comparisons: those of the last one that has any, in its order.
    pub fn series(&self) -> Vec<Series<'a>> {
        let all = self.epochs.iter().flat_map(|epoch| &epoch.entries).filter(|entry| !entry.metrics.is_empty());
        let Some(last) = all.max_by_key(|entry| entry.at) else { return Vec::new() };
        last.metrics.iter().map(|metric| self.of(metric)).collect()
    }

    fn of(&self, metric: &'a Metric) -> Series<'a> {
        let (mut points, mut changes) = (Vec::new(), Vec::new());
        for (number, epoch) in self.epochs.iter().enumerate() {
            let first = points.len();
            points.extend(epoch.entries.iter().map(|entry| {
                let found = entry.metrics.iter().find(|one| one.figure == metric.figure && one.kind == metric.kind);
                Point { epoch: number, entry, metric: found }
            }));
            changes.extend(changes_of(metric, first, &points));
        }
        Series { metric, points, changes }
    }
}

impl Point<'_> {
    /// The effect on the scale on which effects add up, if it can be believed.
    pub fn value(&self) -> Option<f64> {
        let metric = self.metric.filter(|metric| metric.verdict != Word::Invalid)?;
        Some(added(metric.effect?.estimate, metric.kind)).filter(|value| value.is_finite())
    }
}

/// On the scale on which effects add up: points as they are, of shares the natural logarithm of the quotient.
fn added(effect: f64, kind: Kind) -> f64 {
    if kind == Kind::Proportion { effect } else { effect.ln_1p() }
}

/// And back.
fn effect(added: f64, kind: Kind) -> f64 {
    if kind == Kind::Proportion { added } else { added.exp_m1() }
}

/// The changes of an epoch whose points begin at `first`.
fn changes_of(metric: &Metric, first: usize, points: &[Point<'_>]) -> Vec<Change> {
    // What must be the same has no noise in which a change would have to be looked for.
    if metric.kind == Kind::Exact {
        return Vec::new();
    }
    let known = (first..points.len()).filter_map(|place| Some((place, points[place].value()?)));
    let known: Vec<(usize, f64)> = known.collect();
    let known = &known[known.len().saturating_sub(VALUES_MAX)..];
    let values: Vec<f64> = known.iter().map(|(_, value)| *value).collect();
    let found = change_points(&values, ALPHA, SEED);
    let found_at: Vec<usize> = found.iter().map(|change| change.at).collect();
    let found = found.iter().enumerate().map(|(number, change)| {
        // A division has values on both of its sides. The range stays between the changes around it.
        let least = number.checked_sub(1).map_or(0, |before| found[before].at);
        let most = found.get(number + 1).map_or(known.len(), |next| next.at) - 1;
        let before = (change.earliest - 1).saturating_sub(ROOM).clamp(least, change.at - 1);
        let after = (change.latest + ROOM).clamp(change.at, most);
        let places = [before, change.at, after].map(|index| known[index].0);
        let [before, _, after] = places.map(|place| points[place].entry);
        let up = change.after > change.before;
        let moved = (change.after - change.before).abs() > 2.0 * uncertainty(&values, &found_at, number);
        let worse = match metric.better {
            // It became wider or narrower: that is no direction.
            _ if !moved => None,
            Better::Higher => Some(!up),
            Better::Lower => Some(up),
            Better::Neither => None,
        };
        let compare = command("compare", before, after);
        let bisect = command("bisect", before, after).filter(|_| worse != Some(false));
        Change {
            experiment: after.experiment.clone(),
            scale: after.scale.clone(),
            arm: after.head_arm.clone(),
            figure: metric.figure.clone(),
            kind: metric.kind,
            gating: metric.gating,
            worse,
            p: change.p,
            before: effect(change.before, metric.kind),
            after: effect(change.after, metric.kind),
            last_before: Border::of(before),
            first_after: Border::of(after),
            compare,
            bisect: bisect.and_then(|bisect| Some(format!("{bisect} --metric {}", word(&metric.figure)?))),
            places,
        }
    });
    found.collect()
}

/// The standard error of the difference between the means on both sides of a change of a series that is divided at these places.
fn uncertainty(values: &[f64], divided: &[usize], number: usize) -> f64 {
    let from = number.checked_sub(1).map_or(0, |before| divided[before]);
    let to = divided.get(number + 1).copied().unwrap_or(values.len());
    let of = |side: &[f64]| standard_deviation(side).map_or(0.0, |deviation| deviation.powi(2) / side.len() as f64);
    (of(&values[from..divided[number]]) + of(&values[divided[number]..to])).sqrt()
}

/// A command about two heads, if it can be given: of names that a terminal would obey there is none.
fn command(verb: &str, before: &Entry, after: &Entry) -> Option<String> {
    let (from, to) = (before.head.named()?, after.head.named()?);
    if from == to {
        return None;
    }
    let mut text = format!(
        "peerbed {verb} {from} {to} --experiment {} --arm {}",
        word(&after.experiment)?,
        word(&after.head_arm)?
    );
    let place = after.place.as_ref();
    let options = [
        ("scale", after.scale.as_deref()),
        ("runtime", place.map(|place| &*place.runtime).filter(|runtime| *runtime != "netns")),
        ("engine", place.map(|place| &*place.engine).filter(|engine| *engine != "wire")),
    ];
    for (option, value) in options {
        if let Some(value) = value {
            text = format!("{text} --{option} {}", word(value)?);
        }
    }
    Some(text)
}

/// A word of a command line; none of what a terminal would obey.
fn word(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/=@:,+-".contains(c);
    if text.is_empty() || text.starts_with('-') || text.chars().any(char::is_control) {
        return None;
    }
    Some(if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) })
}

impl Border {
    fn of(entry: &Entry) -> Self {
        Self { at: entry.at, head: entry.head.short(), commit: entry.head.commit.clone(), dirty: entry.head.dirty }
    }
}

impl Change {
    /// In a sentence without its end: levels and nights.
    pub fn sentence(&self) -> String {
        let size = |value: f64| share(value, self.kind, true);
        let worse = match self.worse {
            Some(true) => "worse",
            Some(false) => "better",
            None => "another",
        };
        let (before, after) = (&self.last_before, &self.first_after);
        let night = |border: &Border| format!("{} ({})", border.head, border.at.strftime("%Y-%m-%d"));
        format!(
            "{worse}: {} → {} against the reference, after {} and until {}",
            size(self.before),
            size(self.after),
            night(before),
            night(after)
        )
    }

    /// What decides about it.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        self.compare.iter().chain(&self.bisect).map(String::as_str)
    }

    /// Why there is no command, where there is none.
    pub fn no_command(&self) -> Option<&'static str> {
        let (before, after) = (&self.last_before, &self.first_after);
        match self.compare {
            Some(_) => None,
            None if before.dirty || after.dirty => Some("files that were not committed cannot be compared any more"),
            None if before.commit.is_some() && before.commit == after.commit => {
                Some("both nights have the same commit: the programs are not the reason")
            }
            None => Some("no commits are known that could be compared"),
        }
    }

    /// Whether both are of one series and may be the same change.
    pub fn overlaps(&self, other: &Change) -> bool {
        self.experiment == other.experiment
            && self.scale == other.scale
            && self.arm == other.arm
            && self.figure == other.figure
            && self.last_before.at < other.first_after.at
            && other.last_before.at < self.first_after.at
    }
}
