//! What an experiment found, arm by arm: the content of `summary.json`, from which the table, `summary.md` and the report
//! are drawn.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use peerbed_model::{Coordinates, Plan};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};

use super::{ClaimResult, Ending, ExpectationResult, Identity, RunOutcome, judge::Judge, layout};
use crate::{
    accounting::Accounting,
    metrics::{Figures, copied_installations},
    say::counted,
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
    /// What the experiment claims to show, and whether it does.
    pub claims: Vec<ClaimResult>,
    /// What its report draws beside the usual figures.
    pub figures: Vec<String>,
    /// What was made of it before it was interrupted and resumed; nothing if it was made in one go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_over: Option<TakenOver>,
}

/// Runs of a resumed sweep that were made earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenOver {
    /// How many.
    pub runs: usize,
    /// Of how many that there are.
    pub of: usize,
    /// When the first of them began.
    pub first: jiff::Timestamp,
}

impl TakenOver {
    /// So many of the runs that began at these times; nothing if it is none.
    pub fn of(runs: usize, started: impl ExactSizeIterator<Item = jiff::Timestamp>) -> Option<Self> {
        let of = started.len();
        (runs > 0).then_some(Self { runs, of, first: started.min()? })
    }

    /// `4 of 7 runs were made before the sweep was interrupted, the first at 2026-11-29 01:32:52 UTC.`
    pub fn sentence(&self) -> String {
        let was = if self.runs == 1 { "was" } else { "were" };
        let (all, first) = (counted(self.of, "run"), self.first.strftime("%Y-%m-%d %H:%M:%S UTC"));
        format!("{} of {all} {was} made before the sweep was interrupted, the first at {first}.", self.runs)
    }
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
        let judge = Judge { firsts: &firsts, arms: &arms, outcomes };
        let (expectations, claims) = (judge.expectations(), judge.claims());
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
            claims,
            figures: plans.first().map(|plan| plan.figures.clone()).unwrap_or_default(),
            taken_over: None,
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
        // People count from 1, as progress does.
        let repeat = run.record().plan.repeat + 1;
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
