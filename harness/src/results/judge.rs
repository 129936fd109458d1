//! Judges expectations and claims: bounds on figures of arms, and trends over a matrix.

use peerbed_model::{Bound, Claim, Direction, Expectation, Plan, Slack, Trend};

use super::{
    ArmSummary, ClaimResult, Difference, ExpectationResult, Multiple, Point, RunOutcome, TrendResult, Verdict,
};
use crate::metrics::full_key;

#[cfg(test)]
mod tests;

/// What there is to judge by.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    /// A plan of each arm, in the order in which they are shown.
    pub(super) firsts: &'a [&'a Plan],
    /// What came, in the same order.
    pub(super) arms: &'a [ArmSummary],
    pub(super) outcomes: &'a [RunOutcome],
}

/// Groups of figures that each run must hold.
const COUNTED: [&str; 3] = ["downloads.", "accounting.", "offences."];

impl Judge<'_> {
    /// What the experiment expects.
    pub(super) fn expectations(&self) -> Vec<ExpectationResult> {
        self.tests(|plan| Some((&plan.expect, &plan.trends)))
    }

    /// What it claims.
    pub(super) fn claims(&self) -> Vec<ClaimResult> {
        let claims = self.firsts.first().map_or(&[][..], |plan| &plan.claims);
        claims.iter().enumerate().map(|(index, claim)| self.claim(index, claim)).collect()
    }

    fn claim(&self, index: usize, claim: &Claim) -> ClaimResult {
        let tests = self.tests(|plan| plan.claims.get(index).map(|claim| (&claim.expect, &claim.trends)));
        let missing = claim.arms.iter().find(|arm| self.arms.iter().all(|known| known.arm != **arm));
        let failed: Vec<String> =
            tests.iter().filter(|test| test.met == Some(false)).map(ExpectationResult::sentence).collect();
        let unjudged = tests.iter().find(|test| test.met.is_none());
        let (verdict, because) = if let Some(why) = &claim.untestable {
            (Verdict::NotTestable, Some(why.clone()))
        } else if !failed.is_empty() {
            (Verdict::NotShown, Some(failed.join("; ")))
        } else if let Some(arm) = missing {
            (Verdict::NotJudged, Some(format!("arm {arm} was not run")))
        } else if let Some(test) = unjudged {
            (Verdict::NotJudged, Some(test.because.clone().unwrap_or_else(|| test.sentence())))
        } else if tests.is_empty() {
            (Verdict::NotJudged, Some("nothing that was run is about it".to_owned()))
        } else {
            (Verdict::Shown, None)
        };
        let Claim { claim, source, says, basis, .. } = claim.clone();
        ClaimResult { claim, source, says, basis, verdict, tests, because }
    }

    /// Judges what of each plan is named, bounds first.
    fn tests(
        &self,
        of: impl for<'p> Fn(&'p Plan) -> Option<(&'p Vec<Expectation>, &'p Vec<Trend>)>,
    ) -> Vec<ExpectationResult> {
        let bounds = self.firsts.iter().zip(self.arms).flat_map(|(plan, arm)| {
            let count = of(plan).map_or(0, |(expect, _)| expect.len());
            (0..count).filter_map(|index| self.bound(arm, plan, |plan| of(plan)?.0.get(index))).collect::<Vec<_>>()
        });
        let mut results: Vec<ExpectationResult> = bounds.collect();
        let mut known: Vec<&Trend> = Vec::new();
        for plan in self.firsts {
            for trend in of(plan).map_or(&[][..], |(_, trends)| trends.as_slice()) {
                // The same may be expected of several series.
                let has = |plan: &Plan| of(plan).is_some_and(|(_, trends)| trends.contains(trend));
                if !known.contains(&trend) {
                    known.push(trend);
                    results.extend(self.trends(trend, has));
                }
            }
        }
        results
    }

    /// Judges one expectation of an arm.
    ///
    /// Figures are judged by their median. Not so counts of downloads and accusations: one repeat in which downloads failed must
    /// not hide behind the others, and a bound in per cent of what was planned differs by repeat. There, the first run that does
    /// not hold its own bound is what is shown.
    fn bound(
        &self,
        arm: &ArmSummary,
        plan: &Plan,
        of: impl for<'p> Fn(&'p Plan) -> Option<&'p Expectation>,
    ) -> Option<ExpectationResult> {
        let expectation = of(plan)?;
        let key = full_key(&expectation.metric);
        if expectation.of.is_some() || expectation.minus.is_some() {
            return Some(self.compare(expectation, arm, key));
        }
        let median = (expectation.bound, key.and_then(|key| arm.figures.get(key)));
        let ok = |(bound, value): &(Bound, Option<f64>)| value.is_some_and(|value| holds(bound, value));
        let (bound, value) = match key.filter(|key| COUNTED.iter().any(|group| key.starts_with(group))) {
            None => median,
            Some(key) => {
                let of_run =
                    |outcome: &RunOutcome| Some((of(&outcome.record().plan)?.bound, outcome.figures().get(key)));
                let of_arm = self.outcomes.iter().filter(|outcome| outcome.record().plan.arm == plan.arm);
                let runs: Vec<_> = of_arm.filter_map(of_run).collect();
                runs.iter().find(|run| !ok(run)).or(runs.first()).copied().unwrap_or(median)
            }
        };
        Some(ExpectationResult {
            arm: plan.arm.clone(),
            metric: expectation.metric.clone(),
            bound,
            of: None,
            minus: None,
            trend: None,
            value,
            met: arm.valid.then(|| ok(&(bound, value))),
            because: invalid([arm]),
        })
    }

    /// Judges a value by another arm's: medians over the runs of both.
    fn compare(&self, expectation: &Expectation, arm: &ArmSummary, key: Option<&'static str>) -> ExpectationResult {
        let name = expectation.of.as_ref().or(expectation.minus.as_ref()).cloned().unwrap_or_default();
        let other = self.arms.iter().find(|other| other.arm == name);
        let figure = |arm: &ArmSummary| key.and_then(|key| arm.figures.get(key));
        let (value, reference) = (figure(arm), other.and_then(figure));
        let written = expectation.bound;
        let multiple = expectation.of.is_some();
        let against = |end: Option<f64>| {
            let (end, reference) = end.zip(reference)?;
            Some(if multiple { end * reference } else { end + reference })
        };
        let bound = Bound { at_least: against(written.at_least), at_most: against(written.at_most) };
        let because = match other {
            None => Some(format!("arm {name} was not run")),
            Some(other) => invalid([arm, other]),
        };
        ExpectationResult {
            arm: arm.arm.clone(),
            metric: expectation.metric.clone(),
            bound,
            of: multiple.then(|| Multiple { arm: name.clone(), times: written }),
            minus: (!multiple).then_some(Difference { arm: name, by: written }),
            trend: None,
            value,
            met: because.is_none().then(|| reference.is_some() && value.is_some_and(|value| holds(&bound, value))),
            because,
        }
    }

    /// Judges a trend in each series of arms that have it and differ in its path alone.
    fn trends(&self, trend: &Trend, has: impl Fn(&Plan) -> bool) -> Vec<ExpectationResult> {
        let mut series: Vec<Vec<&ArmSummary>> = Vec::new();
        for (_, arm) in self.firsts.iter().zip(self.arms).filter(|(plan, _)| has(plan)) {
            let same = |other: &&ArmSummary| {
                other.base == arm.base && other.matrix.without(&trend.over) == arm.matrix.without(&trend.over)
            };
            match series.iter_mut().find(|series| series.first().is_some_and(same)) {
                Some(series) => series.push(arm),
                None => series.push(vec![arm]),
            }
        }
        series.iter().map(|arms| judge_trend(trend, arms)).collect()
    }
}

/// Which of these arms cannot be believed: `a and b are INVALID`; none if all can.
fn invalid<'a>(arms: impl IntoIterator<Item = &'a ArmSummary>) -> Option<String> {
    let names: Vec<&str> = arms.into_iter().filter(|arm| !arm.valid).map(|arm| arm.arm.as_str()).collect();
    match &names[..] {
        [] => None,
        [one] => Some(format!("{one} is INVALID")),
        [all @ .., last] => Some(format!("{} and {last} are INVALID", all.join(", "))),
    }
}

fn holds(bound: &Bound, value: f64) -> bool {
    bound.at_least.is_none_or(|least| value >= least) && bound.at_most.is_none_or(|most| value <= most)
}

fn judge_trend(trend: &Trend, arms: &[&ArmSummary]) -> ExpectationResult {
    let key = full_key(&trend.metric);
    let at = |arm: &ArmSummary| arm.matrix.get(&trend.over).unwrap_or_default().to_owned();
    let value = |arm: &ArmSummary| key.and_then(|key| arm.figures.get(key));
    let points: Vec<Point> =
        arms.iter().map(|arm| Point { arm: arm.arm.clone(), at: at(arm), value: value(arm) }).collect();
    let values: Option<Vec<f64>> = points.iter().map(|point| point.value).collect();
    let known: Vec<f64> = points.iter().filter_map(|point| point.value).collect();
    let largest = known.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let slack = match trend.slack {
        Slack::Value(slack) => slack,
        Slack::OfLargest(share) => share * largest,
    };
    let alone = || (arms.len() < 2).then(|| "it is one arm, which goes nowhere".to_owned());
    let because = invalid(arms.iter().copied()).or_else(alone);
    let change = values.as_deref().and_then(|values| change(trend.trend, values));
    let met = because.is_none().then(|| values.as_deref().is_some_and(|values| goes(trend.trend, values, slack)));
    ExpectationResult {
        arm: common_name(arms, &trend.over),
        metric: trend.metric.clone(),
        bound: Bound { at_least: None, at_most: None },
        of: None,
        minus: None,
        trend: Some(TrendResult {
            over: trend.over.clone(),
            trend: trend.trend,
            slack,
            points,
            kendall_tau: kendall(&known),
        }),
        value: change,
        met,
        because,
    }
}

/// What the names of a series' arms have in common: the arm that they come from, and the other values of the matrix.
fn common_name(arms: &[&ArmSummary], over: &str) -> String {
    let Some(arm) = arms.first() else { return String::new() };
    let skipped = usize::from(arm.base.is_some());
    // Neither names nor values have a `+`.
    let own = arm.matrix.iter().position(|(path, _)| path == over).map(|index| index + skipped);
    let parts = arm.arm.split('+').enumerate().filter(|(index, _)| Some(*index) != own);
    parts.map(|(_, part)| part).collect::<Vec<_>>().join("+")
}

fn change(trend: Direction, values: &[f64]) -> Option<f64> {
    match trend {
        Direction::Rising | Direction::Falling => Some(values.last()? - values.first()?),
        Direction::Flat => {
            let most = values.iter().copied().reduce(f64::max)?;
            Some(most - values.iter().copied().reduce(f64::min)?)
        }
    }
}

fn goes(trend: Direction, values: &[f64], slack: f64) -> bool {
    let Some(change) = change(trend, values) else { return false };
    let mut steps = values.windows(2).map(|pair| pair[1] - pair[0]);
    match trend {
        Direction::Rising => steps.all(|step| step >= -slack) && change > slack,
        Direction::Falling => steps.all(|step| step <= slack) && -change > slack,
        Direction::Flat => change <= slack,
    }
}

/// Kendall's `τ_b` between the order of the values and the values: (concordant − discordant pairs) / √(pairs · (pairs − ties)).
/// None if all are the same, or there are fewer than two.
fn kendall(values: &[f64]) -> Option<f64> {
    let mut signs = Vec::new();
    for (index, later) in values.iter().enumerate() {
        signs.extend(values[..index].iter().map(|earlier| later.total_cmp(earlier)));
    }
    let pairs = signs.len() as f64;
    let score: i32 = signs.iter().map(|sign| *sign as i32).sum();
    let apart = signs.iter().filter(|sign| sign.is_ne()).count() as f64;
    (apart > 0.0).then(|| f64::from(score) / (pairs * apart).sqrt())
}
