//! `peerbed nightly`: a suite's comparisons, one after the other, each appended to the history as soon as it is done; then the page of
//! the history and a summary of the night.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use jiff::Timestamp;
use peerbed_model::{Item, Suite};

use super::{
    MeasuringArgs,
    pairing::{Measured, Question, Request, measure},
    session::Session,
};
use crate::{
    compare::{
        design::check_looks,
        floor::{Noise, PAIRS_MIN, Place, Store},
        show,
        subject::{Built, Checkout, WORKTREE},
        verdict::{Outcome, Verdict, Word},
    },
    history::{self, Entry, GENERATOR, Role},
    project::Project,
    results::replace_text,
    say::{complain, counted, describe, harmless, say},
    status::Status,
};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct NightlyArgs {
    /// The suite: a file in experiments/suites/, without `.yaml`
    #[arg(default_value = "nightly")]
    suite: String,
    /// The version that is judged: anything that git knows as a commit; `.`: the files as they are
    #[arg(long, value_name = "COMMIT", default_value = WORKTREE)]
    head: String,
    #[command(flatten)]
    how: MeasuringArgs,
}

/// Measures a night.
pub(crate) fn run(args: &NightlyArgs, project: &Project) -> anyhow::Result<ExitCode> {
    let suite = project.suite(&args.suite)?;
    let results = args.how.results(project);
    let file = history::below(&results);
    // Whatever is wrong with an experiment is said before hours are spent.
    let request = |item| request(args, project, &results, item, None);
    for item in suite.negative.iter().chain(&suite.positive).chain(&suite.measure) {
        if !item.looks.is_empty() {
            check_looks(&item.looks)
                .map_err(|why| anyhow!("`pairs` of {} in the suite `{}`: {why}", item.experiment, args.suite))?;
        }
        let (arm, head_arm) = request(item).prepare()?.arms();
        if item.injected.is_some() && arm == head_arm {
            bail!(
                "a positive control of {} in the suite `{}`: `injected` is the arm that is compared with, `{arm}`, so that nothing can be \
                 found: name the arm that is worse",
                item.experiment,
                args.suite
            );
        }
    }
    // And so is what is wrong with the history: it is written to, and its page drawn.
    history::append(&file, &[])?;
    let (before, complaints) = history::read(&file)?;
    for complaint in complaints {
        complain(complaint);
    }
    let page = file.with_file_name("history.html");
    replace_text(&page, &history::page(&before), Some(GENERATOR))?;
    let checkout = Checkout::of(project.root())?;
    let head = checkout.version(&args.head)?;
    let references = suite.references.iter().map(|commit| {
        checkout
            .version(commit)
            .with_context(|| format!("a reference of the suite `{}` is not in this clone", args.suite))
    });
    let references: Vec<_> = references.collect::<anyhow::Result<_>>()?;
    // Through builds and runs alike.
    let session = Session::start()?;
    let versions = std::iter::once(&head).chain(&references);
    let built: Option<Vec<Built>> =
        versions.map(|version| session.build(&checkout, version)).collect::<anyhow::Result<_>>()?;
    let Some((head, references)) = built.as_ref().and_then(|built| built.split_first()) else {
        complain("interrupted before anything was measured");
        return Ok(Status::Interrupted.into());
    };
    let mut night = Night { args, project, session, file, results, places: Vec::new(), made: Vec::new() };
    let measured = night.all(&suite, head, references);
    // What was compared before an error is shown all the same, and the error is the one of which it ends.
    let cut_off = match &measured {
        Ok(true) => None,
        Ok(false) => Some("it was interrupted".to_owned()),
        Err(error) => Some(format!("it ended early: {}", describe(error))),
    };
    let shown = night.show(&before, cut_off.as_deref(), &page);
    if let (Some(_), Err(error)) = (&cut_off, &shown) {
        complain(describe(error));
    }
    if !measured? {
        complain("interrupted; what was compared before is in the history");
        return Ok(Status::Interrupted.into());
    }
    shown?;
    Ok(code(&night.made).into())
}

/// What is asked of a comparison.
fn request<'r>(
    args: &'r NightlyArgs,
    project: &'r Project,
    results: &Path,
    item: &'r Item,
    pairs: Option<u32>,
) -> Request<'r> {
    let looks = pairs.map(|pairs| vec![pairs]).or_else(|| Some(item.looks.clone()).filter(|looks| !looks.is_empty()));
    Request {
        project,
        name: &item.experiment,
        scale: item.scale.as_deref(),
        arm: item.arm.as_deref(),
        head_arm: item.injected.as_deref(),
        question: Question::Usual,
        looks,
        seed: None,
        results: results.to_owned(),
        carrier: &args.how.carrier,
        calibrate: args.how.calibrate,
        resume: false,
        whole: false,
        quiet: args.how.quiet,
    }
}

/// The exit code of a night: what cannot be believed comes before what is worse, and that before what is open.
fn code(entries: &[Entry]) -> u8 {
    let any = |wanted: fn(&Entry) -> bool| entries.iter().any(wanted);
    let failed = any(|entry| entry.outcome == Outcome::SubjectFailed);
    // Where a control did not come out as it must, no verdict of that night can be believed.
    let doubtful = any(|entry| match entry.role {
        Role::Measure => entry.outcome == Outcome::Invalid,
        Role::NegativeControl | Role::PositiveControl => entry.expected != Some(true),
    });
    let is = |wanted: Outcome| entries.iter().any(|entry| entry.role == Role::Measure && entry.outcome == wanted);
    let worst = [
        (failed, Outcome::SubjectFailed),
        (doubtful || entries.is_empty(), Outcome::Invalid),
        (is(Outcome::Regressed), Outcome::Regressed),
        (is(Outcome::Inconclusive), Outcome::Inconclusive),
    ];
    worst.iter().find(|(found, _)| *found).map_or(Outcome::Passed, |(_, outcome)| *outcome).code()
}

/// Whether a control came out as it must; none: nothing is known of that.
fn as_it_must(role: Role, verdict: &Verdict) -> Option<bool> {
    if verdict.outcome == Outcome::SubjectFailed {
        return None;
    }
    // Equals that differ are INVALID, too, and that is what a negative control is for.
    let believed = f64::from(verdict.pairs_made - verdict.pairs_used) <= 0.2 * f64::from(verdict.pairs_made);
    if !believed || verdict.pairs_made == 0 {
        return None;
    }
    let found =
        |word: &[Word]| verdict.findings.iter().any(|finding| finding.metric.gating && word.contains(&finding.verdict));
    match role {
        Role::Measure => None,
        Role::NegativeControl => {
            Some(verdict.outcome != Outcome::Invalid && !found(&[Word::Regressed, Word::Improved, Word::Changed]))
        }
        Role::PositiveControl => Some(verdict.outcome == Outcome::Regressed),
    }
}

struct Night<'a> {
    args: &'a NightlyArgs,
    project: &'a Project,
    session: Session,
    /// The file of the history.
    file: PathBuf,
    /// The directory of all results.
    results: PathBuf,
    /// Where each arm was measured between equal programs tonight.
    places: Vec<(Item, Place)>,
    /// What was compared; another night may add to the same history meanwhile.
    made: Vec<Entry>,
}

impl Night<'_> {
    fn measure(&self, item: &Item, pairs: Option<u32>, sides: [Built; 2]) -> anyhow::Result<Measured> {
        let request = request(self.args, self.project, &self.results, item, pairs);
        measure(&self.session, &request, request.prepare()?, sides)
    }

    /// Draws the history and sums the night up.
    fn show(&self, before: &[Entry], cut_off: Option<&str>, page: &Path) -> anyhow::Result<()> {
        let summary = history::summary(before, &self.made, cut_off);
        replace_text(page, &history::page(&history::read(&self.file)?.0), Some(GENERATOR))?;
        replace_text(&page.with_file_name("summary.md"), &summary.markdown, None)?;
        let text = format!("{}\nhistory: {}\npage: {}\n", summary.text, self.file.display(), page.display());
        say(&harmless(&text))
    }

    /// Every comparison of the suite; false: the user wanted no more.
    fn all(&mut self, suite: &Suite, head: &Built, references: &[Built]) -> anyhow::Result<bool> {
        for item in &suite.negative {
            if !self.compare(Role::NegativeControl, item, [head, head])? {
                return Ok(false);
            }
        }
        for (role, items) in [(Role::PositiveControl, &suite.positive), (Role::Measure, &suite.measure)] {
            for item in items {
                if !self.know_noise(item, head)? {
                    return Ok(false);
                }
                let bases = if role == Role::Measure { references } else { std::slice::from_ref(head) };
                for base in bases {
                    if !self.compare(role, item, [base, head])? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// One comparison, which goes into the history.
    fn compare(&mut self, role: Role, item: &Item, [base, head]: [&Built; 2]) -> anyhow::Result<bool> {
        complain(format_args!("{}: {}", role.word(), item.experiment));
        let measured = self.measure(item, None, [base.clone(), head.clone()])?;
        let now = Timestamp::now();
        let mut told = String::new();
        let entry = match measured {
            Measured::Interrupted => return Ok(false),
            Measured::SubjectFailed(planned, why, _) => {
                Entry::without_verdict(role, Outcome::SubjectFailed, vec![why], &planned, now)
            }
            Measured::Unfit(planned, why) => Entry::without_verdict(role, Outcome::Invalid, why, &planned, now),
            Measured::Judged(judged) => {
                let (verdict, planned, path) = *judged;
                told = format!("{}results: {}\n\n", show::table(&verdict, &planned), path.display());
                if let Some(place) = planned.place.as_ref().filter(|_| planned.same_programs) {
                    self.places.push((of_arm(item), place.clone()));
                }
                Entry::of(role, &verdict, &planned, now, as_it_must(role, &verdict))
            }
        };
        // First of all: a terminal may be gone.
        history::append(&self.file, std::slice::from_ref(&entry))?;
        self.made.push(entry);
        say(&told)?;
        Ok(true)
    }

    /// Measures the noise of an experiment on this machine as far as that is not known: a pair each night, and on the first as many as
    /// it takes. False: the user wanted no more.
    fn know_noise(&mut self, item: &Item, head: &Built) -> anyhow::Result<bool> {
        let store = Store::below(&self.results);
        let item = of_arm(item);
        for pairs in [1, PAIRS_MIN as u32 + 1] {
            let place = self.places.iter().find(|(known, _)| *known == item).map(|(_, place)| place.clone());
            if let Some(place) = place
                && matches!(store.noise(&place, Timestamp::now()), Noise::Known(_))
            {
                return Ok(true);
            }
            complain(format_args!(
                "{}: {} of equal programs, for the noise of this machine",
                item.experiment,
                counted(pairs as usize, "pair")
            ));
            match self.measure(&item, Some(pairs), [head.clone(), head.clone()])? {
                Measured::Interrupted => return Ok(false),
                // What cannot be measured says so itself when it is compared.
                Measured::SubjectFailed(..) | Measured::Unfit(..) => return Ok(true),
                Measured::Judged(judged) => self.places.extend(judged.1.place.map(|place| (item.clone(), place))),
            }
        }
        Ok(true)
    }
}

/// The arm of a comparison, whatever it is compared with and how often.
fn of_arm(item: &Item) -> Item {
    Item { injected: None, looks: Vec::new(), ..item.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{
        Planned,
        design::{Design, Kind, MetricSpec},
        judge::{Case, judge},
        subject::Subject,
    };
    use crate::metrics::Better;

    fn verdict(outcome: Outcome, word: Word, pairs: (u32, u32)) -> Verdict {
        let figure = "speed_ranked_mbps.p50".to_owned();
        let metric =
            MetricSpec { figure, kind: Kind::Distribution, better: Better::Higher, margin: 0.05, gating: true };
        let design = Design { looks: vec![8], metrics: vec![metric], seed: 1, error: 0.05 };
        let noise = Noise::Unknown("no run was made".to_owned());
        let mut verdict = judge(Case { pairs: &[], design: &design, same_programs: true, noise: &noise });
        verdict.outcome = outcome;
        (verdict.pairs_made, verdict.pairs_used) = pairs;
        verdict.findings[0].verdict = word;
        verdict
    }

    #[test]
    fn a_control_must_come_out_as_it_must() {
        let (negative, positive) = (Role::NegativeControl, Role::PositiveControl);
        for (role, outcome, word, pairs, expected) in [
            (negative, Outcome::Passed, Word::NoChange, (8, 8), Some(true)),
            (negative, Outcome::Inconclusive, Word::Inconclusive, (8, 8), Some(true)),
            (negative, Outcome::Invalid, Word::Invalid, (8, 8), Some(false)),
            (negative, Outcome::Passed, Word::Improved, (8, 8), Some(false)),
            (negative, Outcome::Invalid, Word::Invalid, (8, 5), None),
            (negative, Outcome::SubjectFailed, Word::Invalid, (8, 8), None),
            (positive, Outcome::Regressed, Word::Regressed, (8, 7), Some(true)),
            (positive, Outcome::Inconclusive, Word::Inconclusive, (8, 8), Some(false)),
            (positive, Outcome::Passed, Word::NoChange, (8, 8), Some(false)),
            (positive, Outcome::Invalid, Word::Invalid, (8, 2), None),
            (Role::Measure, Outcome::Passed, Word::NoChange, (8, 8), None),
        ] {
            let found = as_it_must(role, &verdict(outcome, word, pairs));
            assert_eq!(found, expected, "{role:?} {outcome:?} {word:?} {pairs:?}");
        }
    }

    #[test]
    fn a_missed_control_makes_the_night_one_that_cannot_be_believed() {
        let subject = |name: &str| Subject {
            name: name.to_owned(),
            commit: None,
            tree: None,
            dirty: false,
            rustc: None,
            programs: Vec::new(),
        };
        let entry = |role: Role, outcome: Outcome, met: Option<bool>| {
            let verdict = verdict(outcome, Word::NoChange, (8, 8));
            let planned = Planned {
                version: Planned::VERSION,
                experiment: "quick".to_owned(),
                scale: None,
                arm: "hybrid".to_owned(),
                head_arm: "hybrid".to_owned(),
                base: subject("one"),
                head: subject("two"),
                whole: false,
                same_programs: false,
                design: verdict.design.clone(),
                place: None,
                noise: Noise::Unknown(String::new()),
                ended: None,
            };
            Entry::of(role, &verdict, &planned, Timestamp::UNIX_EPOCH, met)
        };
        let good = || entry(Role::Measure, Outcome::Passed, None);
        let found = || entry(Role::PositiveControl, Outcome::Regressed, Some(true));
        let worse = || entry(Role::Measure, Outcome::Regressed, None);
        for (entries, expected) in [
            (vec![], 4),
            (vec![found(), good()], 0),
            (vec![found(), good(), entry(Role::Measure, Outcome::Inconclusive, None)], 3),
            (vec![found(), worse(), entry(Role::Measure, Outcome::Inconclusive, None)], 1),
            (vec![entry(Role::PositiveControl, Outcome::Passed, Some(false)), good()], 4),
            (vec![entry(Role::PositiveControl, Outcome::Invalid, None), worse()], 4),
            (vec![entry(Role::NegativeControl, Outcome::Invalid, Some(false)), good()], 4),
            (vec![found(), worse(), entry(Role::Measure, Outcome::Invalid, None)], 4),
            (vec![found(), entry(Role::Measure, Outcome::SubjectFailed, None), worse()], 5),
        ] {
            assert_eq!(code(&entries), expected, "{entries:?}");
        }
    }
}
