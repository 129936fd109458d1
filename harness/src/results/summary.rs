//! What an experiment found, arm by arm: the content of `summary.json`, from which the table, `summary.md` and the report
//! are drawn.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use peerbed_model::{Bound, Coordinates, Expectation, Plan};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};

use super::{Ending, Identity, RunOutcome, layout};
use crate::{
    accounting::Accounting,
    metrics::{Figures, copied_installations, full_key},
};

/// What an experiment found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// The version of this file's shape.
    pub layout: u32,
    /// The experiment's name.
    pub experiment: String,
    /// What it asks.
    pub question: String,
    /// When it was begun.
    pub created: jiff::Timestamp,
    /// The commit, all digits; none outside a checkout.
    pub commit: Option<String>,
    /// The checkout differed from the commit.
    pub dirty: bool,
    /// Every arm is valid.
    pub valid: bool,
    /// The user ended it early.
    pub interrupted: bool,
    /// The arms by name, in the order of the experiment.
    #[serde(serialize_with = "as_map", deserialize_with = "from_map")]
    pub arms: Vec<ArmSummary>,
    /// What was expected and what came.
    pub expectations: Vec<ExpectationResult>,
}

/// One arm: medians over its runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ArmSummary {
    /// Its name.
    #[serde(skip)]
    pub arm: String,
    /// Which of the experiment's `arms` it comes from, where a matrix made several of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Where it is in the experiment's matrix: for each of its paths, what the value is called; empty without a matrix.
    #[serde(default, skip_serializing_if = "Coordinates::is_empty")]
    pub matrix: Coordinates,
    /// All planned runs were made, and each can be believed.
    pub valid: bool,
    /// Why not.
    pub invalid_reasons: Vec<String>,
    /// Runs that were made.
    pub runs: u32,
    /// Runs that were planned.
    pub runs_planned: u32,
    /// The link engine; none if no run was made.
    pub engine: Option<String>,
    /// The runtime; none if no run was made.
    pub runtime: Option<String>,
    /// Which of the experiment's scales it is; none: as the file stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<String>,
    /// TCP's congestion control.
    pub congestion_control: String,
    /// The seed of the first repeat.
    pub seed: u64,
    /// The median over the runs of each run's figure.
    #[serde(flatten)]
    pub figures: Figures,
    /// Bootstrap intervals of these medians, low and high, by figure; of figures that three runs or more define.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub intervals: BTreeMap<String, [f64; 2]>,
    /// Sums over the runs, so that one bad run among several shows.
    pub downloads_total: DownloadTotals,
    /// GUIDs of installations that the login logs of its runs show more than once: copied, or gone back to an older image.
    #[serde(default)]
    pub copied_installations: Vec<String>,
    /// Each run by itself.
    pub runs_detail: Vec<RunDetail>,
}

/// Downloads of all runs of an arm together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadTotals {
    /// In the plan.
    pub planned: u64,
    /// Begun.
    pub started: u64,
    /// Whole.
    pub completed: u64,
    /// Paused for ever by their users.
    pub paused: u64,
    /// Given up by their users.
    pub aborted: u64,
    /// Not delivered.
    pub failed: u64,
    /// Cut off by the end of the run.
    pub unfinished: u64,
    /// Begun by nodes that were killed before they could tell more.
    pub lost: u64,
}

/// One run of an arm.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunDetail {
    /// Which repeat, from 0.
    pub repeat: u32,
    /// Its seed.
    pub seed: u64,
    /// Whether it can be believed.
    pub valid: bool,
    /// Why not.
    pub invalid_reasons: Vec<String>,
    /// Its figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// Who lied about transfers, who broke the rules; nothing if nobody did.
    #[serde(default, skip_serializing_if = "Accounting::is_quiet")]
    pub attackers: Accounting,
}

/// What was expected of an arm and what came.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExpectationResult {
    /// Of which arm.
    pub arm: String,
    /// Of which figure.
    pub metric: String,
    /// What it was to be, in the figure's unit.
    pub bound: Bound,
    /// The arm that it was compared with, and the bound as multiples of that arm's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Multiple>,
    /// What it is; none if it is undefined.
    pub value: Option<f64>,
    /// Whether it is so; none if the arm is invalid, for then its values say nothing.
    pub met: Option<bool>,
}

/// A bound as multiples of another arm's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Multiple {
    /// The other arm.
    pub arm: String,
    /// How many times its value.
    pub times: Bound,
}

impl Summary {
    /// What carried the nodes, the same in every arm; none if no run was made.
    pub fn runtime(&self) -> Option<&str> {
        self.arms.iter().find_map(|arm| arm.runtime.as_deref())
    }

    /// Which of the experiment's scales it is, the same in every arm; none: as the file stands.
    pub fn scale(&self) -> Option<&str> {
        self.arms.iter().find_map(|arm| arm.scale.as_deref())
    }

    /// What made the links behave, the same in every arm; none if no run was made.
    pub fn engine(&self) -> Option<&str> {
        self.arms.iter().find_map(|arm| arm.engine.as_deref())
    }

    /// Sums up what was made of what was planned.
    pub fn of(
        plans: &[Arc<Plan>],
        outcomes: &[RunOutcome],
        ending: &Ending,
        identity: &Identity,
        created: jiff::Timestamp,
    ) -> Self {
        let mut firsts: Vec<&Plan> = Vec::new();
        for plan in plans {
            if !firsts.iter().any(|first| first.arm == plan.arm) {
                firsts.push(plan);
            }
        }
        let arms: Vec<ArmSummary> = firsts.iter().map(|plan| arm(plan, plans, outcomes, ending)).collect();
        let judged = |(plan, arm): (&&Plan, &ArmSummary)| -> Vec<ExpectationResult> {
            (0..plan.expect.len()).map(|index| judge(plan, index, arm, &arms, outcomes)).collect()
        };
        let expectations = firsts.iter().zip(&arms).flat_map(judged).collect();
        Self {
            layout: layout::LAYOUT_VERSION,
            experiment: plans.first().map(|plan| plan.experiment.clone()).unwrap_or_default(),
            question: plans.first().map(|plan| plan.question.clone()).unwrap_or_default(),
            created,
            commit: identity.commit.clone(),
            dirty: identity.dirty,
            valid: !arms.is_empty() && arms.iter().all(|arm| arm.valid),
            interrupted: *ending == Ending::Interrupted || outcomes.iter().any(|outcome| outcome.record().interrupted),
            arms,
            expectations,
        }
    }

    /// Whether some expectation of a valid arm is not met.
    pub fn disappointed(&self) -> bool {
        self.expectations.iter().any(|expectation| expectation.met == Some(false))
    }
}

fn arm(first: &Plan, plans: &[Arc<Plan>], outcomes: &[RunOutcome], ending: &Ending) -> ArmSummary {
    let planned = plans.iter().filter(|plan| plan.arm == first.arm).count();
    let runs: Vec<&RunOutcome> = outcomes.iter().filter(|outcome| outcome.record().plan.arm == first.arm).collect();
    let mut reasons = Vec::new();
    for run in &runs {
        let repeat = run.record().plan.repeat;
        let before = if planned > 1 { format!("repeat {repeat}: ") } else { String::new() };
        reasons.extend(run.validity().reasons().iter().map(|reason| format!("{before}{reason}")));
    }
    if runs.len() < planned {
        let why = match ending {
            Ending::Complete => String::new(),
            Ending::Interrupted => ": interrupted".to_owned(),
            Ending::Failed(reason) => format!(": {reason}"),
            Ending::Unfit(complaints) => format!(": links are not what was asked for: {}", complaints.join("; ")),
        };
        reasons.push(format!("only {} of {planned} planned runs were made{why}", runs.len()));
    }
    let figures: Vec<Figures> = runs.iter().map(|run| run.figures().clone()).collect();
    ArmSummary {
        arm: first.arm.clone(),
        base: first.base.clone(),
        matrix: first.matrix.clone(),
        valid: reasons.is_empty(),
        invalid_reasons: reasons,
        runs: runs.len() as u32,
        runs_planned: planned as u32,
        engine: runs.first().map(|run| run.record().engine.engine.clone()),
        runtime: runs.first().map(|run| run.record().runtime.clone()),
        scale: first.scale().map(str::to_owned),
        congestion_control: first.fabric.congestion_control.clone(),
        seed: first.seed,
        downloads_total: totals(&figures),
        figures: Figures::median(&figures),
        intervals: Figures::intervals(&figures),
        copied_installations: copies(&runs),
        runs_detail: runs.iter().map(|run| detail(run)).collect(),
    }
}

fn copies(runs: &[&RunOutcome]) -> Vec<String> {
    let copied = runs.iter().flat_map(|run| copied_installations(&run.view()).into_keys());
    copied.collect::<BTreeSet<_>>().iter().map(ToString::to_string).collect()
}

fn totals(runs: &[Figures]) -> DownloadTotals {
    let sum = |key| runs.iter().filter_map(|figures| figures.get(key)).sum::<f64>() as u64;
    DownloadTotals {
        planned: sum("downloads.planned"),
        started: sum("downloads.started"),
        completed: sum("downloads.completed"),
        paused: sum("downloads.paused"),
        aborted: sum("downloads.aborted"),
        failed: sum("downloads.failed"),
        unfinished: sum("downloads.unfinished"),
        lost: sum("downloads.lost"),
    }
}

fn detail(run: &RunOutcome) -> RunDetail {
    RunDetail {
        repeat: run.record().plan.repeat,
        seed: run.record().plan.seed,
        valid: run.validity().valid(),
        invalid_reasons: run.validity().reasons().to_vec(),
        figures: run.figures().clone(),
        attackers: run.accounting().clone(),
    }
}

/// Groups of figures that each run must hold.
const COUNTED: [&str; 3] = ["downloads.", "accounting.", "offences."];

/// Judges one expectation of an arm.
///
/// Figures are judged by their median. Not so counts of downloads and accusations: one repeat in which downloads failed must
/// not hide behind the others, and a bound in per cent of what was planned differs by repeat. There, the first run that does not
/// hold its own bound is what is shown.
fn judge(
    plan: &Plan,
    index: usize,
    arm: &ArmSummary,
    arms: &[ArmSummary],
    outcomes: &[RunOutcome],
) -> ExpectationResult {
    let expectation = &plan.expect[index];
    let key = full_key(&expectation.metric);
    if let Some(of) = &expectation.of {
        return compare(expectation, of, arm, arms, key);
    }
    let median = (expectation.bound, key.and_then(|key| arm.figures.get(key)));
    let ok = |(bound, value): &(Bound, Option<f64>)| value.is_some_and(|value| holds(bound, value));
    let (bound, value) = match key.filter(|key| COUNTED.iter().any(|group| key.starts_with(group))) {
        None => median,
        Some(key) => {
            let of_run = |outcome: &RunOutcome| {
                let plan = &outcome.record().plan;
                Some((plan.expect.get(index)?.bound, outcome.figures().get(key)))
            };
            let of_arm = outcomes.iter().filter(|outcome| outcome.record().plan.arm == plan.arm);
            let runs: Vec<_> = of_arm.filter_map(of_run).collect();
            runs.iter().find(|run| !ok(run)).or(runs.first()).copied().unwrap_or(median)
        }
    };
    ExpectationResult {
        arm: plan.arm.clone(),
        metric: expectation.metric.clone(),
        bound,
        of: None,
        value,
        met: arm.valid.then(|| ok(&(bound, value))),
    }
}

/// Judges a value by another arm's: medians over the runs of both.
fn compare(
    expectation: &Expectation,
    of: &str,
    arm: &ArmSummary,
    arms: &[ArmSummary],
    key: Option<&'static str>,
) -> ExpectationResult {
    let other = arms.iter().find(|other| other.arm == of);
    let figure = |arm: &ArmSummary| key.and_then(|key| arm.figures.get(key));
    let (value, reference) = (figure(arm), other.and_then(figure));
    let times = expectation.bound;
    let scaled = |times: Option<f64>| times.zip(reference).map(|(times, reference)| times * reference);
    let bound = Bound { at_least: scaled(times.at_least), at_most: scaled(times.at_most) };
    let both_valid = arm.valid && other.is_some_and(|other| other.valid);
    ExpectationResult {
        arm: arm.arm.clone(),
        metric: expectation.metric.clone(),
        bound,
        of: Some(Multiple { arm: of.to_owned(), times }),
        value,
        met: both_valid.then(|| reference.is_some() && value.is_some_and(|value| holds(&bound, value))),
    }
}

fn holds(bound: &Bound, value: f64) -> bool {
    bound.at_least.is_none_or(|least| value >= least) && bound.at_most.is_none_or(|most| value <= most)
}

fn as_map<S: Serializer>(arms: &[ArmSummary], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(arms.len()))?;
    for arm in arms {
        map.serialize_entry(&arm.arm, arm)?;
    }
    map.end()
}

/// The arms in the order of the file.
fn from_map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ArmSummary>, D::Error> {
    struct Arms;
    impl<'de> Visitor<'de> for Arms {
        type Value = Vec<ArmSummary>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of arms by name")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut arms = Vec::new();
            while let Some((arm, summary)) = map.next_entry::<String, ArmSummary>()? {
                arms.push(ArmSummary { arm, ..summary });
            }
            Ok(arms)
        }
    }
    deserializer.deserialize_map(Arms)
}
