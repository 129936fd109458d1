//! Comparisons that were stored: each must be judged again to the same bytes, and what is changed in them must change the verdict.

use std::path::PathBuf;

use super::{
    Planned,
    floor::Noise,
    show,
    verdict::{Outcome, Verdict, Word},
    verdict_file,
};
use crate::{metrics::Better, results::Results};

const SPEED: &str = "speed_ranked_mbps.p50";

fn stored(name: &str) -> (PathBuf, Planned, Results) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let planned = Planned::read(&path).expect("what was planned");
    let results = Results::open(&path).expect("results");
    (path, planned, results)
}

fn word(verdict: &Verdict, figure: &str) -> Word {
    verdict.findings.iter().find(|finding| finding.metric.figure == figure).expect("the metric").verdict
}

#[test]
fn stored_comparisons_are_judged_again_to_the_byte() {
    for (name, outcome, speed, pairs) in [
        ("equals", Outcome::Passed, Word::NoChange, (13, 14)),
        ("capped", Outcome::Regressed, Word::Regressed, (8, 8)),
        ("overloaded", Outcome::Invalid, Word::Invalid, (0, 8)),
    ] {
        let (path, planned, results) = stored(name);
        let verdict = planned.judge(&results).expect("it can be judged");
        let kept = std::fs::read_to_string(verdict_file(&path)).expect("the verdict");
        assert!(show::json(&verdict).expect("JSON") == kept, "{name}: verdict.json is another");
        assert_eq!((verdict.outcome, word(&verdict, SPEED)), (outcome, speed), "{name}");
        assert_eq!((verdict.pairs_used, verdict.pairs_made), pairs, "{name}");
    }
}

#[test]
fn what_is_changed_in_a_stored_comparison_changes_its_verdict() {
    let (_, planned, results) = stored("capped");
    let judged = |change: &dyn Fn(&mut Planned)| {
        let mut planned = planned.clone();
        change(&mut planned);
        planned.judge(&results).expect("it can be judged")
    };
    let better = |better: Better| {
        move |planned: &mut Planned| {
            for metric in planned.design.metrics.iter_mut().filter(|metric| metric.figure == SPEED) {
                metric.better = better;
            }
        }
    };
    assert_eq!(word(&judged(&better(Better::Lower)), SPEED), Word::Improved, "the other direction");
    assert_eq!(word(&judged(&better(Better::Neither)), SPEED), Word::Changed);
    let wide = |planned: &mut Planned| planned.design.metrics.iter_mut().for_each(|metric| metric.margin = 0.2);
    assert_eq!(word(&judged(&wide), SPEED), Word::ChangedSmall, "what does not matter");
    assert_eq!(judged(&wide).outcome, Outcome::Passed);
    let unknown = |planned: &mut Planned| planned.noise = Noise::Unknown("it was not measured".to_owned());
    let open = judged(&unknown);
    assert_eq!((open.outcome, word(&open, SPEED)), (Outcome::Inconclusive, Word::Inconclusive));
    assert!(open.reasons.iter().any(|reason| reason.contains("it was not measured")), "{:?}", open.reasons);
    let other_look = |planned: &mut Planned| planned.design.looks = vec![12];
    assert_eq!(judged(&other_look).outcome, Outcome::Inconclusive, "results are looked at when it was planned");
    let equal = |planned: &mut Planned| planned.same_programs = true;
    assert_eq!(judged(&equal).outcome, Outcome::Invalid, "equal programs do not differ");
}
