//! `JUnit`'s XML, as Jenkins, GitLab and others read it: what can be met or not, as test cases.
//!
//! There is no standard; what is written is what all of these read: `testsuites`, `testsuite` and `testcase`, in which `failure`,
//! `error` or `skipped` has a `message` and a `type`.

use std::collections::BTreeMap;

use peerbed_model::{Bound, Direction};
use serde::Deserialize;

use super::{Exported, xml::Element};
use crate::{
    compare::{
        Planned, show,
        verdict::{Finding, Outcome, Verdict, Word},
    },
    results::{ArmSummary, ClaimResult, ExpectationResult, ReadError, RunDetail, Summary, Verdict as Claimed},
};

/// Of the manifest, how long each run took.
#[derive(Debug, Deserialize)]
struct Times {
    runs: Vec<Time>,
}

#[derive(Debug, Deserialize)]
struct Time {
    arm: String,
    repeat: u32,
    setup_s: f64,
    elapsed_s: f64,
    teardown_s: f64,
}

/// What became of a case.
enum End {
    Passed,
    /// What was wanted did not come.
    Failed(&'static str, String),
    /// Nothing can be said, as something went wrong.
    Broken(&'static str, String),
    /// It was not judged, or nothing was shown.
    Skipped(String),
}

/// The case of a comparison's outcome.
const WHOLE: &str = "the whole";
/// Why there is none.
const UNJUDGED: &str = "there is no verdict.json: nothing could be judged, or the program was ended right before; `peerbed compare --replay` \
                        of this directory judges what there is";

/// A file with a suite for each arm, or for the comparison.
pub fn text(of: &Exported) -> Result<String, ReadError> {
    let summary = of.results.summary();
    let times = of.results.manifest::<Times>()?.runs;
    let seconds = |arm: &str, repeat: u32| {
        let found = times.iter().find(|time| time.arm == arm && time.repeat == repeat);
        found.map_or(0.0, |time| time.setup_s + time.elapsed_s + time.teardown_s)
    };
    let mut suites: Vec<Element> = Vec::new();
    for arm in &summary.arms {
        let of_arm = |expected: &&ExpectationResult| expected.arm == arm.arm;
        let expected = expectations(&arm.arm, summary.expectations.iter().filter(of_arm));
        let mut cases = runs(arm, of.verdict.is_some(), |repeat| seconds(&arm.arm, repeat));
        cases.extend(expected);
        suites.push(suite(summary, &arm.arm, cases));
    }
    let of_series = |expected: &&ExpectationResult| summary.arms.iter().all(|arm| arm.arm != expected.arm);
    let series = expectations("series", summary.expectations.iter().filter(of_series));
    let claims = summary.claims.iter().map(|found| case("claims", found.claim.clone(), 0.0, claimed(found)));
    let verdict = match &of.verdict {
        Some((verdict, planned)) => compared(verdict, planned),
        // Valid runs alone would look as if all were well.
        None if of.unjudged => {
            vec![case("comparison", WHOLE.to_owned(), 0.0, End::Broken("NO VERDICT", UNJUDGED.to_owned()))]
        }
        None => Vec::new(),
    };
    let rest = [("series", series), ("claims", claims.collect()), ("comparison", verdict)];
    let rest = rest.into_iter().filter(|(_, cases)| !cases.is_empty());
    suites.extend(rest.map(|(name, cases)| suite(summary, name, cases)));
    let taken: f64 = times.iter().map(|time| seconds(&time.arm, time.repeat)).sum();
    let all = Element::new("all").and(suites.clone());
    let whole = counts(Element::new("testsuites").with("name", format!("peerbed: {}", summary.experiment)), &all);
    Ok(whole.with("time", time(taken)).and(suites).document())
}

fn suite(summary: &Summary, name: &str, cases: Vec<(f64, Element)>) -> Element {
    let taken: f64 = cases.iter().map(|(taken, _)| taken).sum();
    let all = Element::new("all").and(cases.iter().map(|(_, case)| case.clone()));
    let begun = summary.created.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let suite = Element::new("testsuite").with("name", format!("{}: {name}", summary.experiment));
    counts(suite, &all).with("time", time(taken)).with("timestamp", begun).and(cases.into_iter().map(|(_, case)| case))
}

fn counts(element: Element, of: &Element) -> Element {
    [("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")]
        .into_iter()
        .fold(element, |element, (attribute, name)| element.with(attribute, of.count(name)))
}

/// Seconds; the same text on every machine.
fn time(seconds: f64) -> String {
    format!("{seconds:.3}")
}

fn case(class: &str, name: String, seconds: f64, end: End) -> (f64, Element) {
    let case = Element::new("testcase").with("classname", class).with("name", name).with("time", time(seconds));
    let told = |name, why: &str| Element::new(name).with("message", why);
    let case = match end {
        End::Passed => case,
        End::Failed(what, why) => case.and([told("failure", &why).with("type", what).saying(&why)]),
        End::Broken(what, why) => case.and([told("error", &why).with("type", what).saying(&why)]),
        End::Skipped(why) => case.and([told("skipped", &why)]),
    };
    (seconds, case)
}

/// A case for each run that was made, and one for those that were not. What a comparison makes of runs that are INVALID is in its
/// verdict: there, they do not count.
fn runs(arm: &ArmSummary, compared: bool, seconds: impl Fn(u32) -> f64) -> Vec<(f64, Element)> {
    let valid = |run: &RunDetail| {
        let why = run.invalid_reasons.join("\n");
        let end = match (run.valid, compared) {
            (true, _) => End::Passed,
            (false, true) => End::Skipped(format!("INVALID: {why}")),
            (false, false) => End::Broken("INVALID", why),
        };
        case(&arm.arm, format!("run {} is valid", run.repeat + 1), seconds(run.repeat), end)
    };
    let mut cases: Vec<_> = arm.runs_detail.iter().map(valid).collect();
    if arm.runs < arm.runs_planned {
        // The reason of the arm that is not one of a run.
        let usual = format!("only {} of {} planned runs were made", arm.runs, arm.runs_planned);
        let why = arm.invalid_reasons.iter().find(|reason| reason.starts_with(&usual)).unwrap_or(&usual);
        cases.push(case(&arm.arm, "every planned run was made".into(), 0.0, End::Broken("INVALID", why.clone())));
    }
    cases
}

/// A case for each; their names are the same in the next results, whatever the values are.
fn expectations<'a>(class: &str, all: impl Iterator<Item = &'a ExpectationResult>) -> Vec<(f64, Element)> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut cases = Vec::new();
    for expected in all {
        let name = wanted(expected);
        let times = seen.entry(name.clone()).or_default();
        *times += 1;
        let name = if *times > 1 { format!("{name} #{times}") } else { name };
        let end = match expected.met {
            Some(true) => End::Passed,
            Some(false) => End::Failed("expectation", expected.sentence()),
            None => End::Skipped(expected.sentence()),
        };
        cases.push(case(class, name, 0.0, end));
    }
    cases
}

/// What is expected, without what came.
fn wanted(expected: &ExpectationResult) -> String {
    let ends = |bound: &Bound| {
        let ends = [("at least", bound.at_least), ("at most", bound.at_most)];
        let ends = ends.iter().filter_map(|(word, end)| end.map(|end| format!("{word} {end}")));
        ends.collect::<Vec<_>>().join(" and ")
    };
    let metric = &expected.metric;
    match (&expected.trend, &expected.of, &expected.minus) {
        (Some(trend), ..) => {
            let series = if expected.arm.is_empty() { String::new() } else { format!("{}: ", expected.arm) };
            let direction = match trend.trend {
                Direction::Rising => "rising",
                Direction::Falling => "falling",
                Direction::Flat => "flat",
            };
            format!("{series}{metric} is {direction} over {}", trend.over)
        }
        (_, Some(of), _) => format!("{metric} is {} times that of {}", ends(&of.times), of.arm),
        (_, _, Some(minus)) => format!("{metric} less that of {} is {}", minus.arm, ends(&minus.by)),
        // A bound of counts may be a share of what the run planned, and so another in each.
        _ => format!("{metric} is {}", ends(&expected.bound)),
    }
}

fn claimed(found: &ClaimResult) -> End {
    let because = || {
        // Of a claim that is not shown the tests that failed come first; the others have their reason among what was found.
        let failed = found.because.iter().filter(|_| found.verdict == Claimed::NotShown).cloned();
        let told: Vec<String> = failed.chain(found.found()).collect();
        if told.is_empty() { found.verdict.word().to_owned() } else { told.join("\n") }
    };
    match found.verdict {
        Claimed::Shown => End::Passed,
        Claimed::NotShown => End::Failed("claim", because()),
        Claimed::NotTestable | Claimed::NotJudged => End::Skipped(format!("{}: {}", found.verdict.word(), because())),
    }
}

/// A case for each metric, and one for the whole.
fn compared(verdict: &Verdict, planned: &Planned) -> Vec<(f64, Element)> {
    let mut cases = vec![case("comparison", WHOLE.to_owned(), 0.0, whole(verdict, planned))];
    let of =
        |finding: &Finding| case("comparison", finding.metric.figure.clone(), 0.0, metric(verdict.outcome, finding));
    cases.extend(verdict.findings.iter().map(of));
    cases
}

fn whole(verdict: &Verdict, planned: &Planned) -> End {
    let mut why = vec![format!("{}: {}", verdict.outcome.word(), show::head(planned))];
    why.extend(verdict.reasons.iter().cloned());
    let why = why.join("\n");
    match verdict.outcome {
        Outcome::Passed => End::Passed,
        Outcome::Regressed => End::Failed(Outcome::Regressed.word(), why),
        Outcome::Inconclusive => End::Skipped(why),
        Outcome::Invalid | Outcome::SubjectFailed => End::Broken(verdict.outcome.word(), why),
    }
}

fn metric(outcome: Outcome, finding: &Finding) -> End {
    let why = || show::row(finding).into_iter().filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("; ");
    match (outcome, finding.verdict) {
        (Outcome::SubjectFailed, _) => End::Broken(Outcome::SubjectFailed.word(), why()),
        (_, Word::Invalid) => End::Broken(Outcome::Invalid.word(), why()),
        (_, Word::Regressed) if finding.metric.gating => End::Failed(Outcome::Regressed.word(), why()),
        (_, Word::Inconclusive) => End::Skipped(why()),
        _ => End::Passed,
    }
}
