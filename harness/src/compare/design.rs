//! What a comparison looks at and when: its metrics with margin and direction, its planned looks, its errors.

use std::collections::BTreeSet;

use peerbed_model::{ComparedMetric, Comparison, Preference};
use serde::{Deserialize, Serialize};

use crate::metrics::{Better, Definition, FIGURES, Figure, definitions};

pub use peerbed_model::ComparedBy as Kind;

/// The probability of a false alarm of the whole comparison, if nothing differs.
pub const ALPHA: f64 = 0.05;
/// The probability with which what is planned to be seen is seen.
pub const POWER: f64 = 0.8;
/// After how many pairs results are looked at where nothing says it.
const USUAL_LOOKS: [u32; 2] = [8, 16];
/// Fewer pairs than these cannot show anything at [`ALPHA`]: the sign-flip test's smallest p is `2 / 2ⁿ`.
pub const PAIRS_MIN: u32 = 6;
/// More pairs than these are no comparison any more.
pub const PAIRS_MAX: u32 = 500;
/// Larger margins are none.
const MARGIN_MAX: f64 = 10.0;
/// What each of one, two, … planned looks may spend so that all together spend 0.05 (Pocock 1977, "Group sequential methods in
/// the design and analysis of clinical trials", table 1).
const POCOCK: [f64; 5] = [0.05, 0.0294, 0.0221, 0.0182, 0.0158];

/// What is compared, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Design {
    /// After how many pairs the results are looked at; increasing.
    pub looks: Vec<u32>,
    /// The metrics, in the order in which they are shown.
    pub metrics: Vec<MetricSpec>,
    /// Of whatever is drawn.
    pub seed: u64,
    /// The probability of a false alarm of the whole, if nothing differs.
    pub error: f64,
}

/// One metric of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricSpec {
    /// A key of `summary.json`.
    pub figure: String,
    /// How its values are compared.
    pub kind: Kind,
    /// Which direction is an improvement.
    pub better: Better,
    /// Changes up to this size do not matter: a share of the value, or points of a proportion.
    pub margin: f64,
    /// Whether it decides, or only informs.
    pub gating: bool,
}

/// Figures that are compared where an experiment says nothing: margin, whether they decide, kind.
const DEFAULTS: [(&str, Kind, f64, bool); 12] = [
    ("speed_ranked_mbps.p10", Kind::Distribution, 0.10, true),
    ("speed_ranked_mbps.p50", Kind::Distribution, 0.05, true),
    ("speed_ranked_mbps.p90", Kind::Distribution, 0.05, true),
    ("pause_rate", Kind::Proportion, 0.05, true),
    ("failure_rate", Kind::Proportion, 0.02, true),
    ("peer_efficiency.bytes", Kind::Ratio, 0.05, true),
    ("as.intra_share", Kind::Ratio, 0.10, true),
    ("startup_ms.p50", Kind::Distribution, 0.10, false),
    ("bytes.edge", Kind::Count, 0.10, false),
    ("bytes.wasted", Kind::Count, 0.25, false),
    ("cpu_s_per_gb", Kind::Ratio, 0.10, false),
    ("downloads.planned", Kind::Exact, 0.0, false),
];

impl Design {
    /// With these looks; the usual metrics.
    pub fn usual(looks: Vec<u32>, seed: u64) -> Self {
        let known = DEFAULTS.iter().filter(|(figure, ..)| FIGURES.iter().any(|known| known.key == *figure));
        let metrics = known.map(|(figure, kind, margin, gating)| MetricSpec {
            figure: (*figure).to_owned(),
            kind: *kind,
            better: better(figure),
            margin: *margin,
            gating: *gating,
        });
        Self { looks, metrics: metrics.collect(), seed, error: ALPHA }
    }

    /// As an experiment wants it: the metrics that it names decide, if it names any that do, and the usual ones inform then. Looks that
    /// are given take the place of its own.
    pub fn of(comparison: &Comparison, looks: Option<Vec<u32>>, seed: u64) -> Result<Self, String> {
        let looks = match looks {
            Some(looks) => looks,
            None if comparison.looks.is_empty() => USUAL_LOOKS.to_vec(),
            None => {
                check_looks(&comparison.looks)?;
                comparison.looks.clone()
            }
        };
        let mut design = Self::usual(looks, seed);
        if comparison.metrics.is_empty() {
            return Ok(design);
        }
        let named = comparison.metrics.iter().map(|metric| {
            let usual = design.metrics.iter().find(|usual| usual.figure == metric.metric);
            specified(metric, usual)
        });
        let named: Vec<MetricSpec> = named.collect();
        design.metrics.retain(|usual| named.iter().all(|metric| metric.figure != usual.figure));
        // A comparison in which nothing decides would pass whatever happens.
        let decided = named.iter().any(|metric| metric.gating);
        let inform = design.metrics.into_iter().map(|usual| MetricSpec { gating: usual.gating && !decided, ..usual });
        design.metrics = named.into_iter().chain(inform).collect();
        Ok(design)
    }

    /// The same about one metric, with another error: all others inform.
    #[must_use]
    pub fn about(mut self, figure: &str, error: f64) -> Self {
        for metric in &mut self.metrics {
            metric.gating = metric.figure == figure;
        }
        if self.metrics.iter().all(|metric| !metric.gating) {
            let named =
                ComparedMetric { metric: figure.to_owned(), kind: None, better: None, margin: None, gating: true };
            self.metrics.insert(0, specified(&named, None));
        }
        Self { error, ..self }
    }

    /// Whether it is one that this program makes; a sentence if not.
    pub fn check(&self) -> Result<(), String> {
        if !(self.error > 0.0 && self.error <= ALPHA) {
            return Err(format!("its error is {}, and more than 0 and at most {ALPHA} is expected", self.error));
        }
        // To know the noise, fewer pairs than for a verdict do.
        let looks = &self.looks;
        let good = !looks.is_empty()
            && looks.len() <= POCOCK.len()
            && looks.windows(2).all(|pair| pair[0] < pair[1])
            && looks.iter().all(|look| (1..=PAIRS_MAX).contains(look));
        if !good {
            return Err(format!("its looks are {looks:?}, and {} is expected", expected_looks()));
        }
        let mut seen = BTreeSet::new();
        for MetricSpec { figure, margin, .. } in &self.metrics {
            if !(*margin >= 0.0 && *margin <= MARGIN_MAX) {
                return Err(format!("the margin of {figure} is {margin}, and 0 to {MARGIN_MAX} is expected"));
            }
            if !seen.insert(figure) {
                return Err(format!("{figure} is in it twice"));
            }
        }
        if self.metrics.iter().all(|metric| !metric.gating) { Err("no metric decides".to_owned()) } else { Ok(()) }
    }

    /// What each look may spend.
    pub fn alpha(&self) -> f64 {
        alpha(&self.looks, self.error)
    }

    /// How many metrics that decide are adjusted for one another, or how many of the others; what must be the same has no error.
    pub fn adjusted(&self, gating: bool) -> usize {
        self.metrics.iter().filter(|metric| metric.gating == gating && metric.kind != Kind::Exact).count()
    }

    /// Why a change of one metric alone cannot be detected even after the last look, a sentence; nothing if it can. The smallest p of
    /// the sign-flip test of n pairs is `2 / 2ⁿ`, and if nothing else changed, Benjamini and Hochberg's adjustment multiplies it by
    /// the number of metrics that decide.
    pub fn sees_nothing_alone(&self) -> Option<String> {
        let deciding = self.adjusted(true);
        let needed = self.alpha() / deciding.max(1) as f64;
        let smallest = |pairs: u32| 2.0 * 0.5_f64.powi(pairs as i32);
        let enough = (PAIRS_MIN..=PAIRS_MAX).find(|pairs| smallest(*pairs) <= needed).unwrap_or(PAIRS_MAX);
        (self.pairs() < enough).then(|| {
            let (alone, why) = match deciding {
                1 => ("it".to_owned(), ""),
                many => (format!("one of {many} metrics"), " and nothing else"),
            };
            format!(
                "{} pairs cannot show that {alone} changed{why}: its p is at least {:.3}, and {needed:.4} is needed{}; {enough} pairs can",
                self.pairs(),
                smallest(self.pairs()),
                if deciding == 1 { "" } else { ", as so many are looked at" },
            )
        })
    }

    /// The most pairs that are made.
    pub fn pairs(&self) -> u32 {
        self.looks.last().copied().unwrap_or(0)
    }
}

/// A metric as an experiment wants it.
fn specified(named: &ComparedMetric, usual: Option<&MetricSpec>) -> MetricSpec {
    let figure = named.metric.clone();
    let kind = named.kind.or(usual.map(|usual| usual.kind)).unwrap_or_else(|| kind(&figure));
    let margin = match (named.margin, usual, kind) {
        (Some(margin), ..) => margin,
        (None, Some(usual), _) if usual.kind == kind => usual.margin,
        (None, _, Kind::Exact) => 0.0,
        (None, _, Kind::Proportion) => 0.05,
        (None, ..) => 0.10,
    };
    let better = match named.better {
        None => better(&figure),
        Some(Preference::Higher) => Better::Higher,
        Some(Preference::Lower) => Better::Lower,
        Some(Preference::Neither) => Better::Neither,
    };
    MetricSpec { figure, kind, better, margin, gating: named.gating }
}

/// How a figure is compared of which nothing says it.
fn kind(figure: &str) -> Kind {
    match definition(figure).map(|definition| definition.unit) {
        Some("share") => Kind::Proportion,
        _ if figure.rsplit_once('.').is_some_and(|(_, part)| matches!(part, "p10" | "p50" | "p90" | "p95")) => {
            Kind::Distribution
        }
        _ => Kind::Count,
    }
}

/// What each of these looks may spend. The table is of looks after equally many more pairs each, and of the usual error; of others each
/// has an equal part, which is surely enough.
fn alpha(looks: &[u32], error: f64) -> f64 {
    let even = looks.iter().zip(1..).all(|(look, number)| u64::from(*look) == u64::from(looks[0]) * number);
    let place = looks.len().saturating_sub(1);
    POCOCK.get(place).copied().filter(|_| even && error >= ALPHA).unwrap_or(error / looks.len().max(1) as f64)
}

/// Reads planned looks, or says what is wrong with them.
pub fn looks(text: &str) -> Result<Vec<u32>, String> {
    let looks: Vec<u32> =
        text.split(',').map(|part| part.trim().parse()).collect::<Result<_, _>>().map_err(|_| expected_looks())?;
    check_looks(&looks)?;
    Ok(looks)
}

fn expected_looks() -> String {
    format!(
        "whole numbers from {PAIRS_MIN} to {PAIRS_MAX}, increasing, at most {}, with commas between them are expected: `8,16`",
        POCOCK.len()
    )
}

/// Whether results may be looked at after so many pairs.
pub fn check_looks(looks: &[u32]) -> Result<(), String> {
    let alpha = alpha(looks, ALPHA);
    if let Some(first) = looks.first().filter(|first| (PAIRS_MIN..=PAIRS_MAX).contains(first))
        && 2.0 * 0.5_f64.powi(*first as i32) > alpha
    {
        let enough = (*first..=PAIRS_MAX).find(|pairs| 2.0 * 0.5_f64.powi(*pairs as i32) <= alpha).unwrap_or(PAIRS_MAX);
        return Err(format!(
            "with {} looks each may spend {alpha:.4} of the error, and {first} pairs cannot show so much: the first look may be \
             after {enough}",
            looks.len()
        ));
    }
    let good = looks.iter().all(|look| (PAIRS_MIN..=PAIRS_MAX).contains(look))
        && looks.windows(2).all(|pair| pair[0] < pair[1])
        && looks.len() <= POCOCK.len();
    if good { Ok(()) } else { Err(expected_looks()) }
}

/// Which direction of a figure is an improvement.
fn better(figure: &str) -> Better {
    definition(figure).map_or(Better::Neither, |definition| definition.better)
}

/// Whether a figure is a part of a whole.
pub(super) fn is_share(figure: &str) -> bool {
    definition(figure).is_some_and(|definition| definition.unit == "share")
}

/// What the metric is of which a figure is taken.
fn definition(figure: &str) -> Option<&'static Definition> {
    let metric = FIGURES.iter().find(|known| known.key == figure).map(Figure::metric);
    definitions().find(|definition| Some(definition.name) == metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_planned() {
        assert_eq!((looks("8,16"), looks("12")), (Ok(vec![8, 16]), Ok(vec![12])));
        for bad in ["", "5", "16,8", "8,8", "8,", "eight", "8,9,10,11,12,13", "501", "-8"] {
            assert!(looks(bad).unwrap_err().contains("`8,16`"), "{bad}");
        }
        assert!(looks("6,12").unwrap_err().contains("the first look may be after 7"));
        let alpha = |looks: &[u32]| Design::usual(looks.to_vec(), 0).alpha();
        assert_eq!(Some([alpha(&[12]), alpha(&[8, 16])]), Some([0.05, 0.0294]));
        let uneven = [alpha(&[8, 500]), alpha(&[8, 16, 32])];
        assert_eq!(Some(uneven), Some([0.025, 0.05 / 3.0]), "the table is of even looks");
    }

    #[test]
    fn a_design_that_nobody_makes_is_refused() {
        let good = || Design::usual(vec![8, 16], 0);
        assert_eq!((good().check(), Design::usual(vec![1], 0).check()), (Ok(()), Ok(())));
        let with = |change: fn(&mut Design)| {
            let mut design = good();
            change(&mut design);
            design.check().expect_err("refused")
        };
        for (why, said) in [
            ("its error is -1", with(|design| design.error = -1.0)),
            ("its error is NaN", with(|design| design.error = f64::NAN)),
            ("its looks are []", with(|design| design.looks.clear())),
            ("its looks are [8, 8]", with(|design| design.looks = vec![8, 8])),
            ("margin of speed_ranked_mbps.p10 is inf", with(|design| design.metrics[0].margin = f64::INFINITY)),
            ("is in it twice", with(|design| design.metrics[1] = design.metrics[0].clone())),
            ("no metric decides", with(|design| design.metrics.clear())),
        ] {
            assert!(said.contains(why), "{why}: {said}");
        }
    }

    #[test]
    fn an_experiment_names_what_decides() {
        let metric = |metric: &str, gating| ComparedMetric {
            metric: metric.to_owned(),
            kind: None,
            better: None,
            margin: None,
            gating,
        };
        let own = Comparison {
            arm: None,
            looks: vec![10],
            metrics: vec![
                ComparedMetric {
                    better: Some(Preference::Neither),
                    margin: Some(0.01),
                    ..metric("speed_ranked_mbps.p50", true)
                },
                metric("offline_rate", true),
                metric("requests.served", false),
                metric("registry_recovery_ms.p50", true),
                ComparedMetric { kind: Some(Kind::Exact), ..metric("downloads.completed", true) },
            ],
        };
        let design = Design::of(&own, None, 1).unwrap();
        let told: Vec<(&str, Kind, Better, f64)> = design
            .metrics
            .iter()
            .filter(|metric| metric.gating)
            .map(|metric| (metric.figure.as_str(), metric.kind, metric.better, metric.margin))
            .collect();
        assert_eq!(
            told,
            [
                ("speed_ranked_mbps.p50", Kind::Distribution, Better::Neither, 0.01),
                ("offline_rate", Kind::Proportion, Better::Lower, 0.05),
                ("registry_recovery_ms.p50", Kind::Distribution, Better::Lower, 0.10),
                ("downloads.completed", Kind::Exact, Better::Higher, 0.0),
            ],
            "the usual ones inform"
        );
        assert_eq!(design.metrics.len(), DEFAULTS.len() + 4, "each once");
        assert_eq!((design.looks, Design::of(&own, Some(vec![7, 9]), 1).unwrap().looks), (vec![10], vec![7, 9]));
        assert_eq!(Design::of(&Comparison::default(), None, 1), Ok(Design::usual(USUAL_LOOKS.to_vec(), 1)));
        let informs = Comparison { metrics: vec![metric("requests.served", false)], ..own.clone() };
        let informs = Design::of(&informs, None, 1).unwrap();
        assert_eq!(informs.adjusted(true), Design::usual(vec![10], 1).adjusted(true), "something must decide");
        let early = Comparison { looks: vec![6, 12], ..Comparison::default() };
        assert!(Design::of(&early, None, 1).unwrap_err().contains("the first look may be after 7"));
    }

    #[test]
    fn too_few_pairs_for_so_many_metrics_are_told_of() {
        let told = |looks: &[u32]| Design::usual(looks.to_vec(), 0).sees_nothing_alone();
        let six = told(&[6]).expect("2 / 2⁶ is above 0.05 / 7");
        assert!(six.starts_with("6 pairs cannot show that one of 7 metrics changed"), "{six}");
        assert!(six.contains("at least 0.031, and 0.0071 is needed") && six.ends_with("; 9 pairs can"), "{six}");
        assert!(told(&[8]).is_some() && told(&[9]).is_none() && told(&[8, 16]).is_none());
        // Each of two looks may spend less: 2 / 2⁹ is above 0.025 / 7.
        assert!(told(&[7, 8]).is_some_and(|why| why.ends_with("; 10 pairs can")));
        let mut one = Design::usual(vec![6], 0);
        one.metrics.truncate(1);
        assert_eq!(one.sees_nothing_alone(), None);
    }

    #[test]
    fn the_usual_metrics_are_figures_with_a_direction() {
        let design = Design::usual(vec![8], 0);
        assert_eq!(design.metrics.len(), DEFAULTS.len(), "each is a key of summary.json");
        let of =
            |figure: &str| design.metrics.iter().find(|metric| metric.figure == figure).map(|metric| metric.better);
        assert_eq!(of("speed_ranked_mbps.p50"), Some(Better::Higher));
        assert_eq!((of("pause_rate"), of("as.intra_share")), (Some(Better::Lower), Some(Better::Higher)));
        let undirected = design.metrics.iter().filter(|metric| metric.gating && metric.better == Better::Neither);
        assert_eq!(undirected.count(), 0, "what decides has a direction");
    }
}
