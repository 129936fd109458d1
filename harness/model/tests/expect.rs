//! What can be expected and claimed, and what is wrong with it where it cannot be meant.

mod common;

use common::{EXPERIMENT, TOPOLOGY, only, read};
use peerbed_model::{Basis, Bound, Direction, Expectation, Experiment, Plan, Slack, Trend};

const SWEEP: &str = "\
arms:
  edge-only: {policy.edge.mode: only}
  hybrid: {}
matrix: {policy.selection.max_returned: [0, 5], policy.uploads.per_copy: [1, 20]}
";

fn with(more: &str) -> Experiment {
    let text = EXPERIMENT.replace("arms:\n  hybrid: {}\n", &format!("{SWEEP}{more}"));
    read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn wrong(more: &str) -> String {
    let text = EXPERIMENT.replace("arms:\n  hybrid: {}\n", &format!("{SWEEP}{more}"));
    only(&read(text.as_bytes(), TOPOLOGY.as_bytes()).expect_err(more))
}

fn plan(experiment: &Experiment, arm: &str) -> Plan {
    experiment.plan(arm, 0, None).unwrap()
}

const ARM: &str = "hybrid+max_returned=5+per_copy=1";

#[test]
fn bounds_are_intervals_multiples_and_differences_in_the_metrics_units() {
    let expect = |text: &str| plan(&with(&format!("expect: [{{arm: {ARM}, {text}}}]\n")), ARM).expect.remove(0);
    let bound = |at_least, at_most| Bound { at_least, at_most };
    for (text, expected) in [
        ("peer_efficiency: {within: [40%, 60%]}", bound(Some(0.4), Some(0.6))),
        ("startup_ms.p90: {at_most: 1.5s}", bound(None, Some(1500.0))),
        ("startup_ms.p50: {at_most: 20}", bound(None, Some(20.0))),
        ("edge_peak_egress_mbps: {at_most: 2mbit}", bound(None, Some(2.0))),
        ("requests.refused: {at_least: 12}", bound(Some(12.0), None)),
        ("failure_rate: {at_most: 5%}", bound(None, Some(0.05))),
        ("peers_returned.mean: {at_least: 3.5}", bound(Some(3.5), None)),
        // Of the four planned downloads.
        ("downloads.completed: {within: [50%, 100%]}", bound(Some(2.0), Some(4.0))),
    ] {
        let read = expect(text);
        assert_eq!((read.bound, read.of, read.minus), (expected, None, None), "{text}");
    }
    let other = Some("edge-only+max_returned=5+per_copy=1".to_owned());
    let less = expect("pause_rate: {within: [-5%, 2%], minus: edge-only}");
    let (metric, minus) = ("pause_rate".to_owned(), other.clone());
    assert_eq!(less, Expectation { metric, bound: bound(Some(-0.05), Some(0.02)), of: None, minus });
    assert_eq!(expect("bytes.edge: {at_most: -1MB, minus: edge-only}").bound, bound(None, Some(-1e6)));
    assert_eq!(expect("speed_mbps.p50: {at_least: 0.9, of: edge-only}").of, other);
}

#[test]
fn a_trend_is_of_every_arm_of_its_series() {
    let experiment = with(
        "expect:\n  - {over: policy.selection.max_returned, arm: hybrid, peer_efficiency: {trend: rising, slack: 2%}}\n  - \
         {over: policy.uploads.per_copy, speed_mbps.p50: {trend: flat, slack: 5%}, bytes.edge: {trend: falling}}\n",
    );
    let trends = plan(&experiment, ARM).trends;
    let trend =
        |metric: &str, over: &str, trend, slack| Trend { metric: metric.into(), over: over.into(), trend, slack };
    assert_eq!(
        trends,
        [
            trend("peer_efficiency.bytes", "policy.selection.max_returned", Direction::Rising, Slack::Value(0.02)),
            trend("bytes.edge", "policy.uploads.per_copy", Direction::Falling, Slack::Value(0.0)),
            trend("speed_mbps.p50", "policy.uploads.per_copy", Direction::Flat, Slack::OfLargest(0.05)),
        ]
    );
    assert_eq!(plan(&experiment, "edge-only+max_returned=5+per_copy=1").trends, trends[1..]);
    assert!(plan(&experiment, ARM).expect.is_empty());
}

#[test]
fn what_cannot_be_expected_is_said() {
    for (expect, message) in [
        ("{peer_efficiency: {}}", "a bound needs `at_least`, `at_most` or `within`"),
        ("{peer_efficiency: {within: 5%}}", "expected the two ends of an interval, found `5%`"),
        ("{peer_efficiency: {within: [5%]}}", "expected the two ends of an interval"),
        ("{peer_efficiency: {within: [6%, 5%]}}", "nothing is at least this and at most that"),
        ("{peer_efficiency: {within: [4%, 5%], at_most: 5%}}", "`within` says both ends"),
        ("{downloads.completed: {within: [90%, 5]}}", "one end is a share of the planned downloads"),
        ("{downloads.completed: {at_least: 1, at_most: 90%}}", "[write both as shares, or both as numbers"),
        ("{arm: hybrid, downloads.completed: {within: [-2%, 1], minus: edge-only}}", "one end is a share"),
        (
            "{arm: hybrid, pause_rate: {at_most: 2, of: edge-only, minus: edge-only}}",
            "a multiple or a difference, not both",
        ),
        ("{arm: hybrid, pause_rate: {at_most: 2%, minus: hybrid}}", "an arm cannot be compared with itself"),
        ("{pause_rate: {at_most: -2%}}", "`-2%`"),
        ("{pause_rate: {trend: rising}}", "`trend` is over a path of the matrix, and none is named"),
        ("{pause_rate: {at_most: 2%, slack: 1%}}", "`slack` is over a path of the matrix, and none is named"),
        ("{over: policy.selection.max_returned, pause_rate: {at_most: 2%}}", "a trend has no `at_most`"),
        ("{over: policy.selection.max_returned, pause_rate: {slack: 2%}}", "with `over` a trend is expected"),
        ("{over: policy.selection.max_returned, pause_rate: {trend: up}}", "`up` is not allowed here"),
        (
            "{over: policy.selection.max_returned, pause_rate: {trend: flat}}",
            "nothing that is measured is flat to the last digit",
        ),
        ("{over: policy.selection.max_returned}", "this expectation expects nothing"),
        (
            "{over: policy.selection.max, pause_rate: {trend: rising}}",
            "no path of the matrix named `policy.selection.max`",
        ),
        (
            "{over: policy.uploads.per_copy, arm: hybrid+max_returned=5+per_copy=1, pause_rate: {trend: rising}}",
            "a trend is of several arms",
        ),
    ] {
        let wrong = wrong(&format!("expect: [{expect}]\n"));
        assert!(wrong.contains(message), "{expect}: {wrong}");
    }
    let none = EXPERIMENT.replace("arms:", "expect: [{over: a.b, pause_rate: {trend: rising}}]\narms:");
    let none = only(&read(none.as_bytes(), TOPOLOGY.as_bytes()).unwrap_err());
    assert!(none.contains("there is no `matrix`"), "{none}");
}

#[test]
fn claims_carry_what_shows_them_into_every_arm() {
    let experiment = with(
        "claims:\n  - claim: More peers returned, more from peers.\n    source: Figure 6\n    says: Rises, then flattens.\n    basis: paper\n    \
         shown_by: [{over: policy.selection.max_returned, arm: hybrid, peer_efficiency: {trend: rising}}]\n  - \
         claim: It is not slower.\n    basis: ours\n    shown_by: [{arm: hybrid+max_returned=5+per_copy=1, speed_mbps.p50: {at_least: 0.9, of: edge-only}}]\n  - \
         {claim: Heavy uploaders are balanced., source: Figure 10, basis: recalled, untestable: there is one AS}\nfigures: [sweep, efficiency-by-returned]\n",
    );
    let (here, other) = (plan(&experiment, ARM), plan(&experiment, "edge-only+max_returned=5+per_copy=1"));
    assert_eq!(here.figures, ["sweep", "efficiency-by-returned"]);
    let [first, second, third] = &here.claims[..] else { panic!("{:?}", here.claims) };
    assert_eq!((first.source.as_deref(), first.basis, first.trends.len()), (Some("Figure 6"), Basis::Paper, 1));
    assert_eq!(first.arms.len(), 4, "{:?}", first.arms);
    assert_eq!((second.expect.len(), second.basis), (1, Basis::Ours));
    assert_eq!(second.arms, [ARM, "edge-only+max_returned=5+per_copy=1"]);
    assert_eq!((third.untestable.as_deref(), third.arms.len()), (Some("there is one AS"), 0));
    let there: Vec<(usize, usize)> =
        other.claims.iter().map(|claim| (claim.expect.len(), claim.trends.len())).collect();
    assert_eq!(there, [(0, 0), (0, 0), (0, 0)]);
    assert!(here.expect.is_empty(), "a claim is no expectation");
    let yaml = serde_yaml::to_string(&here).unwrap();
    assert_eq!(serde_yaml::from_str::<Plan>(&yaml).unwrap(), here);
}

#[test]
fn a_claim_about_an_arm_that_a_scale_leaves_out_names_it() {
    let experiment = with(
        "claims: [{claim: a, basis: ours, shown_by: [{arm: hybrid+max_returned=0+per_copy=1, pause_rate: {at_most: 5%}}]}]\n\
         scales: {ci: {arms: [hybrid+max_returned=5+per_copy=1]}}\n",
    );
    let claims = plan(&experiment.at_scale("ci").unwrap(), ARM).claims;
    assert_eq!(
        (claims[0].expect.len(), &claims[0].arms[..]),
        (0, &["hybrid+max_returned=0+per_copy=1".to_owned()][..])
    );
}

#[test]
fn a_claim_that_cannot_be_meant_is_said() {
    let long = format!("{{claim: {}, basis: ours, untestable: b}}", "é".repeat(2_001));
    for (claim, message) in [
        ("{claim: \"\", basis: ours, untestable: b}", "this text is empty"),
        ("{claim: a, basis: ours, untestable: \" \"}", "this text is empty"),
        ("{claim: a, basis: ours, says: \"\", untestable: b}", "this text is empty"),
        ("{claim: a, basis: paper, source: \"\", untestable: b}", "this text is empty"),
        (long.as_str(), "this text has 2001 characters [at most 2000 are allowed]"),
        ("{claim: a, basis: ours}", "a claim needs `shown_by` or `untestable`"),
        (
            "{claim: a, basis: ours, untestable: b, shown_by: [{pause_rate: {at_most: 5%}}]}",
            "a claim is shown by something or untestable, not both",
        ),
        ("{claim: a, basis: ours, shown_by: []}", "nothing shows this claim"),
        ("{claim: a, basis: paper, untestable: b}", "this claim does not say its source"),
        ("{claim: a, basis: guessed, untestable: b}", "`guessed` is not allowed here"),
        ("{basis: ours, untestable: b}", "a claim needs the key `claim`"),
        ("{claim: a, basis: ours, shown_by: [{arm: hybird, pause_rate: {at_most: 5%}}]}", "no arm named `hybird`"),
    ] {
        let wrong = wrong(&format!("claims: [{claim}]\n"));
        assert!(wrong.contains(message), "{claim}: {wrong}");
    }
    assert!(wrong("figures: [swep]\n").contains("did you mean `sweep`?"));
    assert!(wrong("figures: [sweep, lan, sweep]\n").contains("`sweep` is drawn once"));
    for key in ["claims", "figures"] {
        let text = EXPERIMENT.replace("hybrid: {}", &format!("hybrid: {{{key}: []}}"));
        let wrong = only(&read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_err());
        assert!(wrong.contains(&format!("an arm cannot change `{key}`")), "{wrong}");
    }
}

#[test]
fn what_would_not_be_judged_or_drawn_is_warned_of() {
    let warned = |experiment: &Experiment| only(experiment.warnings());
    let read = |text: &str| read(text.as_bytes(), TOPOLOGY.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let sweep = EXPERIMENT.replace("arms:", "figures: [lan, sweep]\narms:");
    let sweep = warned(&read(&sweep));
    assert!(sweep.contains("e.yaml:11:16 `sweep` draws metrics over a path of the matrix"), "{sweep}");
    assert!(with("figures: [sweep]\n").warnings().is_empty());

    for list in ["expect: [ONE]", "claims: [{claim: a, basis: ours, shown_by: [ONE]}]"] {
        let one = "{over: policy.uploads.per_copy, pause_rate: {trend: rising}}";
        let list = list.replace("ONE", one);
        assert!(with(&format!("{list}\n")).warnings().is_empty());
        let matrix = "matrix: {policy.uploads.per_copy: [3], policy.uploads.connections: [1, 2]}\n";
        let trend = warned(&read(&EXPERIMENT.replace("arms:", &format!("{matrix}{list}\narms:"))));
        assert!(trend.contains("a trend needs two values, and `policy.uploads.per_copy` has `3` alone"), "{trend}");
    }
}

#[test]
fn an_expectation_that_a_scale_leaves_nothing_of_is_warned_of() {
    let arm = "{arm: hybrid+max_returned=5+per_copy=1, pause_rate: {at_most: 5%}}";
    let trend = "{over: policy.uploads.per_copy, arm: hybrid, pause_rate: {trend: rising}}";
    for (expect, scale) in [
        (arm, "matrix: {policy.uploads.per_copy: [1]}"),
        (arm, "matrix.policy.uploads.per_copy: [2, 20]"),
        (arm, "matrix.policy.uploads.per_copy: [2, 20], arms: [hybrid]"),
        (trend, "matrix: {policy.selection.max_returned: [0, 5]}"),
    ] {
        let warned = only(with(&format!("expect: [{expect}]\nscales: {{ci: {{{scale}}}}}\n")).warnings());
        assert!(warned.contains("e.yaml:15:") && warned.contains("is about no arm at scale `ci`"), "{scale}: {warned}");
    }
    let none = format!("expect: [{arm}, {trend}]\nscales: {{ci: {{arms: [edge-only]}}}}\n");
    let none = only(with(&none).warnings());
    assert!(none.contains("e.yaml:16:10 no expectation is about an arm that scale `ci` has"), "{none}");
    // Which arms it has is said, and what is left is judged.
    for scale in ["duration: 50s", "arms: [hybrid+max_returned=0+per_copy=1]", "arms: [edge-only], expect: []"] {
        let experiment = with(&format!("expect: [{arm}, {trend}]\nscales: {{ci: {{{scale}}}}}\n"));
        assert!(experiment.warnings().is_empty(), "{scale}: {}", experiment.warnings());
    }
}
