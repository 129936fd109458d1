//! What is on the page of a sweep, of results side by side, and of expectations that are not met.

use std::sync::Arc;

use peerbed_model::{Bound, Coordinates, Expectation, Plan};

use super::tests::{Written, page, written};
use crate::{
    fixture::{self, TOLD},
    results::RunOutcome,
};

/// One arm of a matrix; in an invalid one the link engine lost packets.
fn arm(base: &str, values: &[(&str, &str)], valid: bool, change: impl Fn(&mut Plan)) -> RunOutcome {
    let names: Vec<String> =
        values.iter().map(|(path, value)| format!("{}={value}", path.rsplit('.').next().unwrap_or(path))).collect();
    let mut plan = fixture::plan(&format!("{base}+{}", names.join("+")), 0);
    plan.base = Some(base.to_owned());
    plan.matrix = Coordinates(values.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect());
    change(&mut plan);
    let mut record = fixture::record_of(plan, &TOLD);
    if !valid {
        record.samples.last_mut().expect("samples").health.overruns = 2;
    }
    RunOutcome::of(record)
}

/// Finished results of these runs.
fn of(outcomes: &[RunOutcome]) -> Written {
    let plans: Vec<Arc<Plan>> = outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect();
    written(&plans, outcomes)
}

/// The sentences of the answer.
fn answer(outcomes: &[RunOutcome]) -> Vec<String> {
    let page = page(&[&of(outcomes)]);
    let section = page.split("<section class=\"answer\">").nth(1).and_then(|rest| rest.split("</section>").next());
    let paragraphs = section.expect("an answer").split("<p>").skip(1);
    paragraphs.filter_map(|rest| Some(rest.split("</p>").next()?.to_owned())).collect()
}

const RETURNED: &str = "policy.selection.max_returned";

#[test]
fn a_sweep_is_answered_along_its_path() {
    let one = |value: &str, valid: bool| arm("peers", &[(RETURNED, value)], valid, |_| {});
    let told = answer(&[one("40", true), one("0", true), one("7", false), one("20", true)]);
    assert_eq!(told[0], "Peer efficiency by max_returned: 64.3 % at 40, 64.3 % at 0, 64.3 % at 20.");
    assert_eq!(told[1], "Median speed by max_returned: 3.00 Mbit/s at 40, 3.00 Mbit/s at 0, 3.00 Mbit/s at 20.");
    assert_eq!(told[2], "1 arm of 4 cannot be believed and left out.");

    // Several arms at each value are told of one after the other.
    let two = [arm("a", &[(RETURNED, "0")], true, |_| {}), arm("a", &[(RETURNED, "9")], true, |_| {})];
    let two = [&two[..], &[arm("b", &[(RETURNED, "0")], true, |_| {}), arm("b", &[(RETURNED, "9")], true, |_| {})]];
    let told = answer(&two.concat());
    assert_eq!(told[0], "Peer efficiency by max_returned in a: 64.3 % at 0, 64.3 % at 9.");
    assert_eq!(told[1], "Peer efficiency by max_returned in b: 64.3 % at 0, 64.3 % at 9.");

    // A path of one value was not varied, two that were have no order.
    let at = |other: &str, returned: &str| arm("peers", &[("x.copies", other), (RETURNED, returned)], true, |_| {});
    assert!(answer(&[at("1", "0"), at("1", "9")])[0].starts_with("Peer efficiency by max_returned: "));
    assert!(answer(&[at("1", "0"), at("2", "9")])[0].starts_with("Median speed: from "));
}

#[test]
fn expectations_that_are_not_met_are_part_of_the_answer() {
    let expecting = |least: &[f64]| {
        let expect = |least: &f64| Expectation {
            metric: "speed_mbps.p50".into(),
            bound: Bound { at_least: Some(*least), at_most: None },
            of: None,
            minus: None,
        };
        answer(&[arm("random", &[], true, |plan| plan.expect = least.iter().map(expect).collect())])
    };
    let unmet = |told: Vec<String>| told.into_iter().find(|sentence| sentence.contains("expectation"));
    assert_eq!(unmet(expecting(&[1.0, 2.0])), None);
    let one = "1 of 2 expectations is not met: random+: speed_mbps.p50 is 3, expected at least 5.";
    assert_eq!(unmet(expecting(&[1.0, 5.0])).as_deref(), Some(one));
    assert_eq!(
        unmet(expecting(&[5.0, 1.0, 6.0, 7.0])).as_deref(),
        Some(
            "3 of 4 expectations are not met, among them: random+: speed_mbps.p50 is 3, expected at least 5; \
             random+: speed_mbps.p50 is 3, expected at least 6."
        )
    );
}
