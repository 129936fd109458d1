//! One line of the history: what one comparison of a night came to.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    compare::{
        Planned,
        design::Kind,
        floor::Place,
        show::change,
        subject::{Subject, short},
        verdict::{Effect, Finding, Outcome, Verdict, Word},
    },
    metrics::Better,
};

/// The version of a line.
pub const VERSION: u32 = 1;

/// One comparison of a night.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The version of the line.
    pub version: u32,
    /// When it was done.
    pub at: Timestamp,
    /// What it is for.
    pub role: Role,
    /// The experiment.
    pub experiment: String,
    /// Its scale; none: as the file stands.
    pub scale: Option<String>,
    /// The arm of the reference.
    pub arm: String,
    /// The arm of the head.
    pub head_arm: String,
    /// What was judged.
    pub head: Version,
    /// What it was compared with.
    pub reference: Version,
    /// Where it was measured; none: no run was made.
    pub place: Option<Where>,
    /// What came of it.
    pub outcome: Outcome,
    /// Why, a sentence each.
    pub reasons: Vec<String>,
    /// Pairs of runs that were made.
    pub pairs_made: u32,
    /// Pairs that count.
    pub pairs_used: u32,
    /// Of a control: whether it came out as it must; none: that is not known, or it is no control.
    pub expected: Option<bool>,
    /// How long its runs took, in seconds.
    pub seconds: f64,
    /// What came of each metric.
    pub metrics: Vec<Metric>,
}

/// What a comparison of a night is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The head against the reference.
    Measure,
    /// Equal programs, between which nothing may be found.
    NegativeControl,
    /// A change that was put in on purpose, and must be found.
    PositiveControl,
}

/// A version of the programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The full hash of its commit; that below the changes where it has some; none of programs that were given as such.
    pub commit: Option<String>,
    /// It has changes that are not committed.
    pub dirty: bool,
    /// Of the hashes of its programs, BLAKE3 in 16 hexadecimal digits.
    pub programs: String,
}

/// Where something was measured: numbers of one place are not compared with those of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Where {
    /// The machine, with runtime and engine: `fingerprint` of the manifest.
    pub fingerprint: String,
    /// The engine.
    pub engine: String,
    /// The runtime.
    pub runtime: String,
    /// What the arm is, whatever the seed.
    pub plan: String,
}

/// What came of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// A key of `summary.json`.
    pub figure: String,
    /// How its values are compared.
    pub kind: Kind,
    /// Which direction is an improvement.
    pub better: Better,
    /// Changes up to this size do not matter: a share of the value, or points of a proportion.
    pub margin: f64,
    /// Whether it decides.
    pub gating: bool,
    /// What is said of it.
    pub verdict: Word,
    /// The median over the reference's runs, in the figure's unit.
    pub base: Option<f64>,
    /// The same of the head.
    pub head: Option<f64>,
    /// Head against reference: a share of the reference, or points as a share of 1; none where it or its interval is not finite.
    #[serde(default, deserialize_with = "finite")]
    pub effect: Option<Effect>,
    /// How probable as large a difference is if nothing differs, with regard to the other metrics.
    pub p_adjusted: Option<f64>,
}

impl Entry {
    /// Of a comparison that came to a verdict; `met` says of a control whether it came out as it must.
    pub fn of(role: Role, verdict: &Verdict, planned: &Planned, at: Timestamp, met: Option<bool>) -> Self {
        let seconds = f64::from(verdict.pairs_made) * verdict.seconds_of_a_pair;
        Self {
            pairs_made: verdict.pairs_made,
            pairs_used: verdict.pairs_used,
            expected: met,
            seconds: if seconds.is_finite() { seconds } else { 0.0 },
            metrics: verdict.findings.iter().map(Metric::of).collect(),
            ..Self::without_verdict(role, verdict.outcome, verdict.reasons.clone(), planned, at)
        }
    }

    /// Of one that ended before there were pairs to judge: nodes that were not even ready, links that are not what they should be.
    pub fn without_verdict(
        role: Role,
        outcome: Outcome,
        reasons: Vec<String>,
        planned: &Planned,
        at: Timestamp,
    ) -> Self {
        Self {
            version: VERSION,
            at,
            role,
            experiment: planned.experiment.clone(),
            scale: planned.scale.clone(),
            arm: planned.arm.clone(),
            head_arm: planned.head_arm.clone(),
            head: Version::of(&planned.head),
            reference: Version::of(&planned.base),
            place: planned.place.as_ref().map(Where::of),
            outcome,
            reasons,
            pairs_made: 0,
            pairs_used: 0,
            expected: None,
            seconds: 0.0,
            metrics: Vec::new(),
        }
    }

    /// What makes the night red, if it does.
    pub fn red(&self) -> Option<String> {
        let wrong = match self.role {
            Role::Measure => matches!(self.outcome, Outcome::Regressed | Outcome::Invalid | Outcome::SubjectFailed),
            // One of which nothing is known vouches for nothing.
            Role::NegativeControl | Role::PositiveControl => self.expected != Some(true),
        };
        let word = self.outcome.word();
        wrong.then(|| match (self.role, self.expected) {
            (Role::Measure, _) => {
                let because = self.because();
                let colon = if because.is_empty() { "" } else { ": " };
                format!("{} is {word}{colon}{because}", self.name())
            }
            (role, None) => format!("nothing came of the {} of {} ({word})", role.word(), self.name()),
            (role, _) => format!("the {} of {} did not come out as it must ({word})", role.word(), self.name()),
        })
    }

    /// What is worse; else the first reason.
    fn because(&self) -> String {
        let worse = self.metrics.iter().filter(|metric| metric.gating && metric.verdict == Word::Regressed);
        let worse = worse.map(|metric| match &metric.effect {
            Some(effect) => format!("{} {}", metric.figure, change(effect, metric.kind)),
            None => metric.figure.clone(),
        });
        let worse: Vec<String> = worse.collect();
        if worse.is_empty() { self.reasons.first().cloned().unwrap_or_default() } else { worse.join(", ") }
    }

    /// Experiment, arms and scale, in words.
    pub fn name(&self) -> String {
        name(&self.experiment, &self.arm, &self.head_arm, self.scale.as_deref())
    }
}

/// Experiment, arms and scale, in words.
pub(super) fn name(experiment: &str, arm: &str, head_arm: &str, scale: Option<&str>) -> String {
    let arms = if arm == head_arm { arm.to_owned() } else { format!("{head_arm} against {arm}") };
    let scale = scale.map_or(String::new(), |scale| format!(", scale {scale}"));
    format!("{experiment}, arm {arms}{scale}")
}

impl Role {
    /// As it is said.
    pub fn word(self) -> &'static str {
        match self {
            Role::Measure => "measure",
            Role::NegativeControl => "negative control",
            Role::PositiveControl => "positive control",
        }
    }
}

impl Version {
    fn of(subject: &Subject) -> Self {
        let programs = blake3::hash(subject.programs.join(" ").as_bytes()).to_hex()[..16].to_owned();
        Self { commit: subject.commit.clone(), dirty: subject.dirty, programs }
    }

    /// What is the same of the same version: the commit, where there is one and nothing else.
    pub fn id(&self) -> &str {
        self.commit.as_deref().filter(|_| !self.dirty).unwrap_or(&self.programs)
    }

    /// In a few letters.
    pub fn short(&self) -> String {
        match &self.commit {
            Some(commit) => short(commit, self.dirty),
            None => format!("programs {:.8}", self.programs),
        }
    }

    /// What git is to be asked for; none of what no name leads to.
    pub(super) fn named(&self) -> Option<&str> {
        let hash = |commit: &&str| (7..=64).contains(&commit.len()) && commit.bytes().all(|b| b.is_ascii_hexdigit());
        self.commit.as_deref().filter(|_| !self.dirty).filter(hash)
    }
}

impl Where {
    fn of(place: &Place) -> Self {
        Self {
            fingerprint: place.fingerprint.clone(),
            engine: place.engine.clone(),
            runtime: place.runtime.clone(),
            plan: place.plan.clone(),
        }
    }
}

impl Metric {
    fn of(finding: &Finding) -> Self {
        let number = |value: Option<f64>| value.filter(|value| value.is_finite());
        Self {
            figure: finding.metric.figure.clone(),
            kind: finding.metric.kind,
            better: finding.metric.better,
            margin: finding.metric.margin,
            gating: finding.metric.gating,
            verdict: finding.verdict,
            base: number(finding.base),
            head: number(finding.head),
            effect: finding.effect.filter(is_finite),
            p_adjusted: number(finding.p_adjusted),
        }
    }
}

fn is_finite(effect: &Effect) -> bool {
    [effect.estimate, effect.low, effect.high, effect.confidence].into_iter().all(f64::is_finite)
}

/// An effect of which no number is missing: JSON has `null` for what is not finite.
fn finite<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Effect>, D::Error> {
    #[derive(Deserialize)]
    struct Loose {
        estimate: Option<f64>,
        low: Option<f64>,
        high: Option<f64>,
        confidence: Option<f64>,
    }
    let loose = Option::<Loose>::deserialize(deserializer)?;
    Ok(loose.and_then(|Loose { estimate, low, high, confidence }| {
        Some(Effect { estimate: estimate?, low: low?, high: high?, confidence: confidence? })
    }))
}
