//! From pairs to a verdict. Pure: the same pairs, design and floor give the same verdict, to the digit.

use peerbed_stats as stats;
use stats::{Interval, Look, PairedTotals, mean_interval};

use super::{
    design::{Design, Kind, MetricSpec, POWER},
    effect::{Differences, Scale},
    floor::Noise,
    pairs::{Pair, Run},
    verdict::{Effect, Finding, Needs, Outcome, Test, Totals, VERSION, Verdict, Word},
};
use crate::metrics::{Better, median};

/// If more of the pairs than this share cannot be believed, nothing can: what made them so is not chance any more.
const UNUSABLE_MAX: f64 = 0.2;
/// A metric must be defined in at least this share of the pairs that count.
const DEFINED_MIN: f64 = 0.8;
/// The smallest adjusted p with which equal programs are said to differ.
const SAME_ALPHA: f64 = 0.01;
/// Digits of the numbers in the file: enough for anybody, and the same on every machine.
const DIGITS: i32 = 9;

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The pairs that were made, in order.
    pub pairs: &'a [Pair],
    /// What was planned.
    pub design: &'a Design,
    /// Whether both sides are the same programs.
    pub same_programs: bool,
    /// The noise of this machine.
    pub noise: &'a Noise,
}

/// Judges a comparison after the pairs that were made.
pub fn judge(case: Case<'_>) -> Verdict {
    let Case { pairs, design, same_programs, noise } = case;
    let used: Vec<&Pair> = pairs.iter().filter(|pair| pair.base.valid() && pair.head.valid()).collect();
    let alpha = design.alpha();
    let made = pairs.len() as u32;
    let seconds = pairs.iter().map(|pair| pair.base.seconds + pair.head.seconds).sum::<f64>() / f64::from(made.max(1));
    let (mut findings, raw): (Vec<Finding>, Vec<Raw>) =
        design.metrics.iter().map(|metric| measure(metric, &used, design)).unzip();
    adjust(&mut findings);
    for (finding, raw) in findings.iter_mut().zip(&raw) {
        decide(finding, raw, case, used.len(), seconds);
    }
    let speeds: Vec<(Vec<f64>, Vec<f64>)> =
        used.iter().map(|pair| (pair.base.speeds.clone(), pair.head.speeds.clone())).collect();
    let (outcome, reasons) = whole(case, &used, &findings);
    if matches!(outcome, Outcome::Invalid | Outcome::SubjectFailed) {
        for finding in &mut findings {
            finding.verdict = Word::Invalid;
        }
    }
    let mut verdict = Verdict {
        version: VERSION,
        outcome,
        reasons,
        pairs_made: made,
        pairs_used: used.len() as u32,
        alpha,
        same_programs,
        findings,
        shape_p: stats::shape_difference(&speeds, design.seed).map(|found| found.p),
        seconds_of_a_pair: seconds,
        design: design.clone(),
    };
    if let (Noise::Unknown(why), false) = (noise, same_programs) {
        verdict.reasons.push(why.clone());
    }
    rounded(&mut verdict);
    verdict
}

/// What decides beside what is told.
struct Raw {
    /// The effect on the scale of the differences.
    estimate: f64,
    /// The head has more; of whatever the test counts.
    more: bool,
    /// The mean of the values that are not 0; none: all are.
    typical: Option<f64>,
}

/// What the pairs say of a metric, without a word on it yet.
fn measure(metric: &MetricSpec, used: &[&Pair], design: &Design) -> (Finding, Raw) {
    let differences = Differences::of(metric, used);
    let Differences { scale, values, both, .. } = &differences;
    let base = median(both.iter().map(|(base, _)| *base));
    let interval = |confidence| interval(metric, *scale, values, used, confidence);
    let shown = |difference: f64| scale.shown(difference, base.unwrap_or(0.0));
    let alpha = design.alpha();
    let effect = interval(1.0 - alpha).map(|Interval { estimate, low, high }| Effect {
        estimate: shown(estimate),
        low: shown(low),
        high: shown(high),
        confidence: 1.0 - alpha,
    });
    let equivalence = interval(1.0 - 2.0 * alpha).map(|interval| [shown(interval.low), shown(interval.high)]);
    let (test, p) = test(metric, &differences, design.seed);
    let estimate = interval(1.0 - alpha).map_or(0.0, |interval| interval.estimate);
    let (sum, some) = (values.iter().sum::<f64>(), both.iter().flat_map(|(base, head)| [*base, *head]));
    let some: Vec<f64> = some.filter(|value| *value > 0.0).collect();
    let with = |side: fn(&(f64, f64)) -> f64| both.iter().filter(|pair| side(pair) > 0.0).count();
    let (with_base, with_head) = (with(|(base, _)| *base), with(|(_, head)| *head));
    let more = if test == Test::Mcnemar { with_head > with_base } else { sum > 0.0 };
    let finding = Finding {
        metric: metric.clone(),
        verdict: Word::Inconclusive,
        note: None,
        pairs: values.len() as u32,
        base,
        head: median(both.iter().map(|(_, head)| *head)),
        totals: totals(metric, used),
        effect,
        equivalence,
        p,
        p_adjusted: None,
        test,
        spread: stats::standard_deviation(values),
        scale: *scale,
        floor: None,
        sees: None,
        needs: None,
    };
    let typical = (!some.is_empty()).then(|| some.iter().sum::<f64>() / some.len() as f64);
    (finding, Raw { estimate, more, typical })
}

/// Ratios of sums have the interval of the pooled ratio, where that can be had; everything else that of the mean.
fn interval(metric: &MetricSpec, scale: Scale, values: &[f64], used: &[&Pair], confidence: f64) -> Option<Interval> {
    if metric.kind == Kind::Ratio && scale == Scale::LogRatio {
        let of = |run: &Run| run.totals.get(metric.figure.as_str()).copied();
        let pooled: Vec<PairedTotals> = used
            .iter()
            .filter_map(|pair| Some(PairedTotals { base: of(&pair.base)?, head: of(&pair.head)? }))
            .collect();
        if pooled.len() == values.len()
            && let Some(interval) = stats::pooled_log_ratio(&pooled, confidence)
        {
            return Some(interval);
        }
    }
    mean_interval(values, confidence)
}

/// Proportions that most runs have none of are compared by whether a run has any.
fn test(metric: &MetricSpec, differences: &Differences, seed: u64) -> (Test, Option<f64>) {
    let Differences { values, both, .. } = differences;
    if values.is_empty() {
        return (Test::SignFlip, None);
    }
    if metric.kind == Kind::Exact {
        let same = both.iter().all(|(base, head)| base.total_cmp(head).is_eq());
        return (Test::Equality, Some(if same { 1.0 } else { 0.0 }));
    }
    let none = both.iter().flat_map(|(base, head)| [*base, *head]).filter(|value| *value <= 0.0).count();
    if metric.kind == Kind::Proportion && none > both.len() {
        let only = |which: fn(&(f64, f64)) -> bool| both.iter().filter(|pair| which(pair)).count() as u64;
        let only_base = only(|(base, head)| *base > 0.0 && *head <= 0.0);
        let only_head = only(|(base, head)| *head > 0.0 && *base <= 0.0);
        return (Test::Mcnemar, Some(stats::mcnemar(only_base, only_head)));
    }
    let found = stats::sign_flip(values, seed);
    (if found.exact { Test::SignFlip } else { Test::SignFlipSampled }, Some(found.p))
}

fn totals(metric: &MetricSpec, used: &[&Pair]) -> Option<Totals> {
    let sum = |side: fn(&Pair) -> &Run| {
        used.iter().try_fold([0.0, 0.0], |[numerator, denominator], pair| {
            let (more, of) = side(pair).totals.get(metric.figure.as_str())?;
            Some([numerator + more, denominator + of])
        })
    };
    let some = !used.is_empty();
    Some(Totals { base: sum(|pair| &pair.base)?, head: sum(|pair| &pair.head)? }).filter(|_| some)
}

/// Metrics that decide are adjusted among themselves, and so are the others. What must be the same has no error to be adjusted for.
fn adjust(findings: &mut [Finding]) {
    for finding in findings.iter_mut().filter(|finding| finding.test == Test::Equality) {
        finding.p_adjusted = finding.p;
    }
    for gating in [true, false] {
        let ours = |finding: &Finding| {
            finding.metric.gating == gating && finding.p.is_some() && finding.test != Test::Equality
        };
        let of: Vec<usize> = (0..findings.len()).filter(|index| ours(&findings[*index])).collect();
        let p: Vec<f64> = of.iter().filter_map(|index| findings[*index].p).collect();
        for (index, adjusted) in of.into_iter().zip(stats::benjamini_hochberg(&p)) {
            findings[index].p_adjusted = Some(adjusted);
        }
    }
}

/// The word on a metric, in the order of precedence, and what it would take to say more.
fn decide(finding: &mut Finding, raw: &Raw, case: Case<'_>, used: usize, seconds: f64) {
    let design = case.design;
    let (base, alpha) = (finding.base.unwrap_or(0.0), design.alpha());
    let margin = finding.scale.margins(finding.metric.margin, base);
    let exact = finding.metric.kind == Kind::Exact;
    if exact && finding.p == Some(0.0) {
        // That it must not change is what it decides.
        let (word, must) = if finding.metric.gating { (Word::Regressed, "must") } else { (Word::Changed, "should") };
        finding.verdict = word;
        finding.note = Some(format!("it {must} be the same in both runs of a pair, and is not"));
        return;
    }
    let few = f64::from(finding.pairs) < DEFINED_MIN * used as f64;
    if few || finding.pairs == 0 || (finding.spread.is_none() && !exact) {
        finding.note = Some(format!("it is defined in {} of {used} pairs", finding.pairs));
        return;
    }
    if exact {
        finding.verdict = Word::NoChange;
        return;
    }
    let pairs = finding.pairs as usize;
    let floor = case.noise.known().and_then(|floor| floor.at(&finding.metric.figure, finding.scale, pairs));
    finding.floor = floor.map(|floor| finding.scale.shown(floor.copysign(raw.estimate), base).abs());
    // Alone among those that decide, or among the others, a metric has to be as clear as its share of the error.
    let alone = alpha / design.adjusted(finding.metric.gating).max(1) as f64;
    plan(finding, raw, (alpha, alone), seconds);
    let (Some(effect), Some([from, to]), Some(p)) = (finding.effect, finding.equivalence, finding.p_adjusted) else {
        return;
    };
    let one_sided = effect.low > 0.0 || effect.high < 0.0;
    // A few large values may weigh more in the estimate than many small ones in the test: then nothing can be said of the direction.
    let agrees = raw.estimate != 0.0 && raw.more == (raw.estimate > 0.0);
    let detected = p <= alpha && (one_sided || finding.test == Test::Mcnemar) && agrees;
    let inside = |low: f64, high: f64| low > margin.0 && high < margin.1;
    let loud = floor.is_some_and(|floor| raw.estimate.abs() >= floor);
    (finding.verdict, finding.note) = if detected && inside(effect.low, effect.high) {
        (Word::ChangedSmall, None)
    } else if detected && loud {
        let word = match (finding.metric.better, raw.more) {
            (Better::Neither, _) => Word::Changed,
            (Better::Higher, true) | (Better::Lower, false) => Word::Improved,
            (Better::Higher, false) | (Better::Lower, true) => Word::Regressed,
        };
        (word, None)
    } else if inside(from, to) {
        (Word::NoChange, none_seen(finding, raw))
    } else if detected {
        let why = if floor.is_none() {
            match case.noise {
                Noise::Unknown(_) => "a difference was detected, and the noise of this machine is not known",
                Noise::Known(_) => {
                    "a difference was detected, and the noise of this metric is not known: fewer than 12 fresh pairs of equal programs have \
                     it, and `peerbed calibrate --aa` of this experiment makes more"
                }
            }
        } else {
            "a difference was detected that is below the noise between equal programs"
        };
        (Word::Inconclusive, Some(why.to_owned()))
    } else {
        (Word::Inconclusive, None)
    };
}

/// What nothing seen leaves open.
fn none_seen(finding: &Finding, raw: &Raw) -> Option<String> {
    if finding.metric.kind != Kind::Proportion || raw.typical.is_some() {
        return None;
    }
    let bound = 100.0 * stats::proportion_upper_bound(0, u64::from(finding.pairs), 0.95);
    Some(format!("none in {} runs of either: at most {bound:.0} % of runs have any (95 %)", finding.pairs))
}

/// What could have been seen, and what it takes to see the margin.
fn plan(finding: &mut Finding, raw: &Raw, (alpha, alone): (f64, f64), seconds: f64) {
    let (Some(spread), base) = (finding.spread, finding.base.unwrap_or(0.0)) else { return };
    let look = Look { pairs: finding.pairs as usize, alpha: alone };
    let rare = finding.test == Test::Mcnemar;
    finding.sees = if rare {
        // So many more runs that have any, each as much as those that do.
        stats::visible_events(look, POWER).zip(raw.typical).map(|(share, typical)| share * typical)
    } else {
        let visible = stats::visible(look, spread, POWER);
        visible.map(|effect| finding.scale.size(effect, base, finding.metric.better))
    };
    // The nearer of both ends is the harder one.
    let (low, high) = finding.scale.bounds(finding.metric.margin, base);
    let margin = low.abs().min(high.abs());
    if margin <= 0.0 {
        return;
    }
    let to_detect = if rare {
        raw.typical.and_then(|typical| stats::pairs_to_see_events(margin / typical, alone, POWER))
    } else {
        stats::pairs_to_see(spread, margin, alone, POWER)
    };
    let to_detect = to_detect.map(|pairs| pairs as u32);
    let to_certify = stats::pairs_to_certify(spread, margin, alpha, POWER).map(|pairs| pairs as u32);
    let larger = to_detect.zip(to_certify).map(|(one, other)| one.max(other));
    let minutes = larger.map(|pairs| f64::from(pairs.saturating_sub(finding.pairs)) * seconds / 60.0);
    finding.needs = Some(Needs { to_detect, to_certify, minutes });
}

/// The whole, and why.
fn whole(case: Case<'_>, used: &[&Pair], findings: &[Finding]) -> (Outcome, Vec<String>) {
    let Case { pairs, design, same_programs, noise } = case;
    let mut reasons = Vec::new();
    let told = |side: &str, pair: &Pair, run: &Run| {
        let name = format!("pair {}, {side}", pair.number + 1);
        run.deaths.iter().map(move |death| format!("{name}: {death}")).collect::<Vec<_>>()
    };
    let died = |pair: &Pair| !pair.base.deaths.is_empty() || !pair.head.deaths.is_empty();
    let deaths = |pair: &Pair| [told("base", pair, &pair.base), told("head", pair, &pair.head)].concat();
    let unusable = pairs.len() - used.len();
    let too_many = |count: usize| count as f64 > UNUSABLE_MAX * pairs.len() as f64;
    if too_many(pairs.iter().filter(|pair| died(pair)).count()) {
        reasons.extend(few(pairs.iter().flat_map(deaths).collect()));
        return (Outcome::SubjectFailed, reasons);
    }
    if unusable > 0 {
        reasons.push(format!("{unusable} of {} pairs do not count, as a run of theirs is INVALID", pairs.len()));
        let why = pairs.iter().flat_map(|pair| {
            let of = |side: &str, run: &Run| {
                run.reasons.first().map(|reason| format!("pair {}, {side}: {reason}", pair.number + 1))
            };
            [of("base", &pair.base), of("head", &pair.head)].into_iter().flatten().collect::<Vec<_>>()
        });
        reasons.extend(few(why.collect()));
    }
    if too_many(unusable) {
        return (Outcome::Invalid, reasons);
    }
    if same_programs {
        let differing = |finding: &&Finding| {
            let found = finding.p_adjusted.is_some_and(|p| p <= SAME_ALPHA) && finding.metric.kind != Kind::Exact;
            let decided = matches!(finding.verdict, Word::Regressed | Word::Improved | Word::Changed);
            (found && finding.verdict != Word::ChangedSmall) || (decided && finding.metric.gating)
        };
        let differing: Vec<&str> =
            findings.iter().filter(differing).map(|finding| finding.metric.figure.as_str()).collect();
        if !differing.is_empty() {
            reasons.push(format!(
                "the programs of both sides are the same, and yet they differ in {}",
                differing.join(", ")
            ));
            return (Outcome::Invalid, reasons);
        }
    }
    if pairs.is_empty() || !design.looks.contains(&(pairs.len() as u32)) {
        let looks: Vec<String> = design.looks.iter().map(ToString::to_string).collect();
        reasons.push(format!("ended after {} pairs; planned looks are after {}", pairs.len(), looks.join(" and ")));
        return (Outcome::Inconclusive, reasons);
    }
    // Survivors alone look well.
    let only_head: Vec<String> = pairs
        .iter()
        .filter(|pair| pair.base.deaths.is_empty())
        .flat_map(|pair| told("head", pair, &pair.head))
        .collect();
    let gating = || findings.iter().filter(|finding| finding.metric.gating);
    let of = |word: Word| {
        gating()
            .filter(|finding| finding.verdict == word)
            .map(|finding| finding.metric.figure.clone())
            .collect::<Vec<_>>()
    };
    let (regressed, open) = (of(Word::Regressed), of(Word::Inconclusive));
    if !regressed.is_empty() {
        reasons.push(format!("worse: {}", regressed.join(", ")));
        return (Outcome::Regressed, reasons);
    }
    if !only_head.is_empty() {
        reasons.push("nodes of the head ended by themselves, where those of the base did not".to_owned());
        reasons.extend(few(only_head));
        return (Outcome::Inconclusive, reasons);
    }
    if !open.is_empty() {
        reasons.push(format!("neither a change nor its absence was shown: {}", open.join(", ")));
        return (Outcome::Inconclusive, reasons);
    }
    if noise.known().is_none() && !same_programs {
        return (Outcome::Inconclusive, reasons);
    }
    (Outcome::Passed, reasons)
}

/// The first of many sentences.
fn few(mut sentences: Vec<String>) -> Vec<String> {
    const SHOWN: usize = 5;
    let more = sentences.len().saturating_sub(SHOWN);
    sentences.truncate(SHOWN);
    if more > 0 {
        sentences.push(format!("… and {more} more"));
    }
    sentences
}

/// Cuts digits that differ between machines.
fn rounded(verdict: &mut Verdict) {
    let round = |value: &mut f64| {
        if *value != 0.0 && value.is_finite() {
            let shift = 10_f64.powi(DIGITS - 1 - value.abs().log10().floor() as i32);
            if shift.is_finite() && shift > 0.0 {
                *value = (*value * shift).round() / shift;
            }
        }
    };
    verdict.shape_p.iter_mut().for_each(round);
    round(&mut verdict.seconds_of_a_pair);
    for finding in &mut verdict.findings {
        let Finding { base, head, p, p_adjusted, spread, floor, sees, .. } = finding;
        [base, head, p, p_adjusted, spread, floor, sees].into_iter().flatten().for_each(round);
        if let Some(Effect { estimate, low, high, confidence }) = &mut finding.effect {
            [estimate, low, high, confidence].into_iter().for_each(round);
        }
        finding.equivalence.iter_mut().flatten().for_each(round);
        if let Some(Totals { base, head }) = &mut finding.totals {
            base.iter_mut().chain(head).for_each(round);
        }
        if let Some(Needs { minutes: Some(minutes), .. }) = &mut finding.needs {
            round(minutes);
        }
    }
}
