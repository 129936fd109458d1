//! What is on the page of a sweep, of results side by side, and of expectations that are not met.

use std::{collections::BTreeSet, sync::Arc};

use peerbed_model::{Bound, Coordinates, Expectation, Plan};

use super::tests::{Written, csv, page, page_with, written};
use crate::{
    fixture::{self, TOLD, Told},
    results::RunOutcome,
};

/// What one arm of a matrix is to be.
fn plan(base: &str, values: &[(&str, &str)]) -> Plan {
    let names: Vec<String> =
        values.iter().map(|(path, value)| format!("{}={value}", path.rsplit('.').next().unwrap_or(path))).collect();
    let mut plan = fixture::plan(&format!("{base}+{}", names.join("+")), 0);
    plan.base = Some(base.to_owned());
    plan.matrix = Coordinates(values.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect());
    plan
}

/// A run of it; in an invalid one the link engine lost packets.
fn arm(base: &str, values: &[(&str, &str)], valid: bool, change: impl Fn(&mut Plan)) -> RunOutcome {
    let mut plan = plan(base, values);
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

/// The heads of a table of figures by arm.
fn heads(table: &str) -> Vec<String> {
    let head = table.split("</thead>").next().unwrap_or_default();
    let names = head.split("</th>").filter_map(|cell| Some(cell.rsplit_once('>')?.1.to_owned()));
    names.filter(|name| !name.is_empty()).collect()
}

/// The tables of figures by arm: key figures, then all.
fn tables(page: &str) -> Vec<Vec<String>> {
    page.split("<table class=\"arms\">").skip(1).map(heads).collect()
}

#[test]
fn many_arms_have_several_tables_one_under_the_other() {
    let values = ["0", "1", "2", "3", "4", "5", "6"];
    let page = page_with(&[], &values);
    let named = |values: &[&str]| values.iter().map(|value| format!("per_copy={value}")).collect::<Vec<_>>();
    let both = [named(&values[..5]), named(&values[5..])];
    assert_eq!(tables(&page), [&both[..], &both[..]].concat());
    let rows = |table: &str| table.split("</table>").next().map(|table| table.matches("<tr>").count());
    let counted: Vec<_> = page.split("<table class=\"arms\">").skip(1).map(rows).collect();
    assert!(counted[0] == counted[1] && counted[2] == counted[3], "{counted:?}");
}

/// One run of each of these arms.
fn of_arms(arms: &[&str], told: &[Told]) -> Written {
    let run = |arm: &&str| RunOutcome::of(fixture::record_of(fixture::plan(arm, 0), told));
    of(&arms.iter().map(run).collect::<Vec<_>>())
}

#[test]
fn the_same_arms_of_several_results_stand_side_by_side() {
    let (first, second) = (of_arms(&["edge-only", "hybrid"], &TOLD), of_arms(&["other", "hybrid"], &TOLD));
    let page = page(&[&first, &second]);
    assert!(page.contains("<title>small: 2 results side by side</title>"));
    for letter in ["A", "B"] {
        assert!(page.contains(&format!("<li><b>{letter}</b>: commit 0123456789-dirty, begun 20")), "{letter}: {page}");
        assert!(page.contains(&format!("Valid: {letter}")) && page.contains(&format!("How it was measured: {letter}")));
    }
    let order = ["edge-only · A", "hybrid · A", "hybrid · B", "other · B"];
    assert_eq!(tables(&page), [order, order]);
    let mut series: Vec<String> = Vec::new();
    for line in csv(&page, "edge-traffic") {
        let name = line.split(',').next().unwrap_or_default().to_owned();
        if series.last() != Some(&name) {
            series.push(name);
        }
    }
    assert_eq!(series, order);

    // Three results of two arms each: no arm is divided between two tables.
    let one = of_arms(&["edge-only", "hybrid"], &TOLD);
    let three = tables(&super::tests::page(&[&one, &one, &one]));
    let of = |arm: &str| ["A", "B", "C"].map(|letter| format!("{arm} · {letter}")).to_vec();
    assert_eq!(three[..2], [of("edge-only"), of("hybrid")]);
}

#[test]
fn pictures_of_a_sweep_are_of_the_arms_that_they_draw() {
    let one = |value: &str, valid: bool| arm("peers", &[(RETURNED, value)], valid, |_| {});
    let page_of = |outcomes: &[RunOutcome]| page(&[&of(outcomes)]);
    let all = page_of(&[one("0", true), one("7", false), one("20", true)]);
    assert_eq!(csv(&all, "sweep-peer_efficiency-bytes").len(), 2);
    assert!(all.contains("n = 2 runs in 2 arms. 1 invalid arm left out. One run of each arm."), "{all}");
    // Of what never happened there is no picture.
    assert!(all.contains("figure-sweep-pause_rate"));
    let calm = |value: &str| RunOutcome::of(fixture::record_of(plan("peers", &[(RETURNED, value)]), &TOLD[..1]));
    let calm = page_of(&[calm("0"), calm("20")]);
    assert!(calm.contains("figure-sweep-bytes-edge") && !calm.contains("figure-sweep-pause_rate"));
}

#[test]
fn what_a_sweep_observes_is_of_all_its_arms() {
    let asking =
        |plan: &mut Plan| plan.figures = ["efficiency-by-copies", "efficiency-by-returned"].map(str::to_owned).to_vec();
    let one = |value: &str, valid: bool| arm("peers", &[(RETURNED, value)], valid, asking);
    let sweep = of(&[one("0", true), one("7", false), one("20", true)]);
    let alone = of(&[one("0", true)]);
    let series = |page: &str, figure: &str| {
        let names = csv(page, figure).into_iter().filter_map(|line| Some(line.split(',').next()?.to_owned()));
        names.collect::<BTreeSet<String>>()
    };
    for figure in ["efficiency-by-copies", "efficiency-by-returned"] {
        let (page, single) = (page(&[&sweep]), page(&[&alone]));
        assert_eq!(series(&page, figure), BTreeSet::from(["downloads of all arms".to_owned()]));
        assert_eq!(series(&single, figure), BTreeSet::from(["peers+max_returned=0".to_owned()]), "one arm is all");
        // Twice as many in each, for the invalid arm is none of them.
        let counts = |page: &str| -> Vec<usize> {
            let number = |line: String| line.rsplit("n = ").next().and_then(|number| number.parse().ok());
            csv(page, figure).into_iter().filter_map(number).collect()
        };
        let twice: Vec<usize> = counts(&single).into_iter().map(|count| 2 * count).collect();
        assert_eq!(counts(&page), twice);
        let both = super::tests::page(&[&sweep, &sweep]);
        let of_each = ["A", "B"].map(|letter| format!("downloads of all arms · {letter}"));
        assert_eq!(series(&both, figure), BTreeSet::from(of_each));
    }
}

#[test]
fn matrices_of_a_page_have_the_same_colours() {
    let one = |value: &str, told: &[Told]| {
        let plan = fixture::plan(value, 0);
        RunOutcome::of(fixture::record_of(plan, told))
    };
    let page = page(&[&of(&[one("one", &TOLD), one("two", &TOLD[..1])])]);
    let notes: Vec<&str> = page
        .split("Rows give, columns take. ")
        .skip(1)
        .filter_map(|rest| Some((rest.split(" <span").next()?, rest.split("</span> ").nth(1)?.split(',').next()?)))
        .flat_map(|(least, most)| [least, most])
        .collect();
    assert_eq!(notes.len(), 4, "{notes:?}");
    assert!(notes[..2] == notes[2..], "{notes:?}");
    assert_eq!(page.matches("Colours are the same in all of these pictures.").count(), 2);
}

#[test]
fn heads_stand_over_their_cells() {
    let page = page_with(&[], &["5"]);
    for head in ["in ASes", "provider", "peers"] {
        assert!(page.contains(&format!("<th class=\"text\">{head}</th>")), "{head}");
    }
    assert!(page.contains("th.text, td.text"));
}
