//! `peerbed bisect`: with which commit a metric changed. Both ends are compared first; each step compares one commit with the good
//! end, and buys more pairs while it is unclear to which end that belongs.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    pairing::{Measured, PairingArgs, Question, Request, below, measure},
    session::Session,
};
use crate::{
    compare::{
        bisect::{Search, Side, error_of, side},
        design::{ALPHA, Kind},
        show::{change, share},
        subject::{Built, Checkout, NotBuilt, Version, short},
        verdict::{Effect, Finding, Outcome, Verdict, Word},
    },
    metrics::FIGURES,
    project::Project,
    results::replace_text,
    say::{complain, counted, describe, say},
    status::Status,
};

/// After how many pairs a commit is looked at where nothing says it.
const LOOKS: [u32; 3] = [8, 16, 32];

/// What to look for and where.
#[derive(Debug, Args)]
pub(crate) struct BisectArgs {
    /// A commit from before the change
    good: String,
    /// A commit from after it, of which the good one is a first parent, perhaps far back
    #[arg(default_value = "HEAD")]
    bad: String,
    /// The experiment: a file in experiments/, without `.yaml`
    #[arg(long, value_name = "NAME")]
    experiment: String,
    /// The metric that changed: a key of `summary.json` such as `speed_ranked_mbps.p50`
    #[arg(long, value_name = "METRIC")]
    metric: String,
    /// So many pairs in all at most; what is still open then is told
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(6..=10_000))]
    max_pairs: u32,
    #[command(flatten)]
    of: PairingArgs,
    /// Print bisect.json instead of the answer
    #[arg(long)]
    json: bool,
}

/// The record of a search, in a file beside the comparisons.
#[derive(Debug, Serialize)]
struct Record<'a> {
    version: u32,
    experiment: &'a str,
    metric: &'a str,
    /// The change between both ends.
    whole: Effect,
    /// The good end.
    good: &'a str,
    /// Every commit after it, up to the bad end.
    commits: Vec<String>,
    /// What was measured, in that order.
    steps: Vec<Step>,
    /// The commits of which one is the first that is bad.
    suspects: Vec<String>,
}

impl Record<'_> {
    fn text(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Writes it as it is by now.
    fn keep(&self, path: &Path) -> anyhow::Result<()> {
        let directory = path.parent().context("a file has a directory")?;
        std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(replace_text(path, &self.text()?, None)?)
    }
}

/// What was found of a commit.
#[derive(Debug, Serialize)]
struct Step {
    commit: String,
    /// None: nothing can be said of it.
    side: Option<Side>,
    /// Why, in a few words.
    why: String,
    /// The comparison with the good end, if there was one.
    directory: Option<PathBuf>,
}

/// Why it ended before everything was known: the exit code, and a sentence.
struct Stop(ExitCode, String);

/// Looks for the commit.
pub(crate) fn run(args: &BisectArgs, project: &Project) -> anyhow::Result<ExitCode> {
    if FIGURES.iter().all(|figure| figure.key != args.metric) {
        let of = FIGURES.iter().map(|figure| figure.key).filter(|key| key.starts_with(args.metric.as_str()));
        let of: Vec<&str> = of.collect();
        let guess = if of.is_empty() { "docs/results.md has those that there are".to_owned() } else { of.join(", ") };
        bail!("there is no metric `{}` in summary.json: {guess}", args.metric);
    }
    // Through builds and comparisons alike.
    let session = Session::start()?;
    let mut bisect = Bisect { args, project, left: args.max_pairs, made: 0, session };
    // What is wrong with the experiment is said before minutes are spent on programs.
    if bisect.looks().is_empty() {
        bail!(
            "--max-pairs {} allows none of the planned looks: name earlier ones with --pairs, or more pairs",
            args.max_pairs
        );
    }
    bisect.request(&bisect.looks(), error_of(1, ALPHA), &|_| true).prepare()?;
    let checkout = Checkout::of(project.root())?;
    let (good, bad) = (checkout.version(&args.good)?, checkout.version(&args.bad)?);
    if let Some(version) = [&good, &bad].into_iter().find(|version| version.dirty()) {
        bail!(
            "{} has changes that are not committed, and commits are looked for: commit them, or name a commit",
            version.name()
        );
    }
    if good.commit() == bad.commit() {
        bail!(
            "both ends are the same commit, {}: name one from before the change, and one from after it",
            good.commit()
        );
    }
    let commits = checkout.between(&good, &bad)?;
    let mut search = Search::among(commits.len());
    let (all, most) = (counted(commits.len(), "commit"), counted(search.steps() as usize, "commit"));
    complain(format_args!("{all} after {}: both ends are compared, then at most {most}", args.good));
    let early = |Stop(code, why): Stop| {
        complain(why);
        Ok(code)
    };
    let ends = match (bisect.build(&checkout, &good)?, bisect.build(&checkout, &bad)?) {
        (Ok(good), Ok(bad)) => [good, bad],
        (Err(stop), _) | (_, Err(stop)) => return early(stop),
    };
    let (whole, kind) = match bisect.ends(&ends)? {
        Ok(found) => found,
        Err(stop) => return early(stop),
    };
    let of = |versions: &'_ [Version]| versions.iter().map(|version| version.commit().to_owned()).collect::<Vec<_>>();
    let mut record = Record {
        version: 1,
        experiment: &args.experiment,
        metric: &args.metric,
        whole,
        good: good.commit(),
        commits: of(&commits),
        steps: Vec::new(),
        suspects: of(&commits),
    };
    let path = bisect.record_file();
    let mut cut_off = None;
    while let Some(place) = search.next() {
        match bisect.step(&checkout, &commits[place - 1], &ends, &whole) {
            Ok(Ok(step)) => {
                complain(format_args!("{}: {}", short(&step.commit, false), step.why));
                search.found(place, step.side);
                record.steps.push(step);
                let (from, to) = search.suspects();
                record.suspects = of(&commits[from - 1..to]);
                // Hours may have gone into it.
                if let Err(error) = record.keep(&path) {
                    complain(describe(&error));
                }
            }
            Ok(Err(stop)) => {
                cut_off = Some(stop);
                break;
            }
            // What was found before is kept.
            Err(error) => {
                cut_off = Some(Stop(Status::Usage.into(), describe(&error)));
                break;
            }
        }
    }
    let kept = record.keep(&path);
    if args.json {
        say(&record.text()?)?;
    } else {
        say(&format!("{}results: {}\n", answer(&record, kind), path.display()))?;
    }
    kept?;
    Ok(match cut_off {
        Some(Stop(code, why)) => {
            complain(why);
            code
        }
        None if record.suspects.len() == 1 => Status::Good.into(),
        None => Outcome::Inconclusive.code().into(),
    })
}

/// The answer in a sentence.
fn answer(record: &Record<'_>, kind: Kind) -> String {
    let effect = change(&record.whole, kind);
    match &record.suspects[..] {
        [one] => format!("{} changed ({effect}) with {one}\n", record.metric),
        several => {
            let list: Vec<String> = several.iter().map(|commit| format!("  {commit}\n")).collect();
            format!("{} changed ({effect}) with one of these commits:\n{}", record.metric, list.concat())
        }
    }
}

struct Bisect<'a> {
    args: &'a BisectArgs,
    project: &'a Project,
    /// Pairs that may still be made.
    left: u32,
    /// Comparisons that were made.
    made: u32,
    session: Session,
}

impl Bisect<'_> {
    /// The planned looks for which pairs are left.
    fn looks(&self) -> Vec<u32> {
        let all = self.args.of.looks().unwrap_or(&LOOKS);
        all.iter().copied().filter(|look| *look <= self.left).collect()
    }

    fn request<'r>(&'r self, looks: &[u32], error: f64, answered: &'r dyn Fn(&Verdict) -> bool) -> Request<'r> {
        Request {
            question: Question::About { figure: &self.args.metric, error, answered },
            looks: Some(looks.to_vec()),
            ..self.args.of.request(self.project, &self.args.experiment, self.args.json)
        }
    }

    /// Builds a version, unless the user wants no more.
    fn build(&self, checkout: &Checkout, version: &Version) -> anyhow::Result<Result<Built, Stop>> {
        Ok(self.session.build(checkout, version)?.ok_or_else(interrupted))
    }

    /// Compares two versions by the metric.
    fn compare(
        &mut self,
        sides: [Built; 2],
        answered: &dyn Fn(&Verdict, &Finding) -> bool,
    ) -> anyhow::Result<Result<Compared, Stop>> {
        let looks = self.looks();
        if looks.is_empty() {
            let why = format!("{} pairs are left of --max-pairs {}: too few", self.left, self.args.max_pairs);
            return Ok(Err(Stop(Outcome::Inconclusive.code().into(), why)));
        }
        let metric = &self.args.metric;
        let finding =
            |verdict: &Verdict| verdict.findings.iter().find(|finding| finding.metric.figure == *metric).cloned();
        let enough = |verdict: &Verdict| finding(verdict).is_some_and(|finding| answered(verdict, &finding));
        self.made += 1;
        let request = self.request(&looks, error_of(self.made, ALPHA), &enough);
        let measured = measure(&self.session, &request, request.prepare()?, sides)?;
        let (verdict, _, directory) = match measured {
            Measured::Judged(judged) => *judged,
            Measured::SubjectFailed(_, _, pairs) => {
                self.left = self.left.saturating_sub(pairs);
                return Ok(Ok(Compared::Died));
            }
            Measured::Unfit(..) => {
                return Ok(Err(Stop(Status::Invalid.into(), "the links are not what was asked for".to_owned())));
            }
            Measured::Interrupted => return Ok(Err(interrupted())),
        };
        self.left = self.left.saturating_sub(verdict.pairs_made);
        Ok(match verdict.outcome {
            Outcome::SubjectFailed => Ok(Compared::Died),
            Outcome::Invalid => {
                let why = format!("INVALID: {}: {}", directory.display(), verdict.reasons.join("; "));
                Err(Stop(Outcome::Invalid.code().into(), why))
            }
            _ => {
                let finding = finding(&verdict).context("the verdict lacks the metric")?;
                Ok(Compared::Judged { finding: Box::new(finding), verdict: Box::new(verdict), directory })
            }
        })
    }

    /// The change between both ends, which must be there.
    fn ends(&mut self, ends: &[Built; 2]) -> anyhow::Result<Result<(Effect, Kind), Stop>> {
        let inconclusive = |why: String| Ok(Err(Stop(Outcome::Inconclusive.code().into(), why)));
        if ends[0].subject.programs == ends[1].subject.programs {
            return inconclusive("both ends have the same programs: what differs is not in the nodes".to_owned());
        }
        // More pairs do not make the noise of the machine known.
        let stuck = |verdict: &Verdict, finding: &Finding| {
            finding.floor.is_none() && finding.p_adjusted.is_some_and(|p| p <= verdict.alpha)
        };
        let answered =
            |verdict: &Verdict, finding: &Finding| finding.verdict != Word::Inconclusive || stuck(verdict, finding);
        let compared = self.compare(ends.clone(), &answered)?;
        let (finding, verdict, directory) = match compared {
            Err(stop) => return Ok(Err(stop)),
            Ok(Compared::Died) => {
                let why = "programs of an end died: choose ends whose nodes run".to_owned();
                return Ok(Err(Stop(Outcome::SubjectFailed.code().into(), why)));
            }
            Ok(Compared::Judged { finding, verdict, directory }) => (finding, verdict, directory),
        };
        let told = |what: &str| {
            let mut parts = vec![format!("{what}: {}", finding.metric.figure)];
            parts.extend(finding.effect.map(|effect| change(&effect, finding.metric.kind)));
            parts.extend(verdict.reasons.iter().chain(&finding.note).cloned());
            format!("{}; {}", parts.join("; "), directory.display())
        };
        match (finding.verdict, finding.effect) {
            (Word::Regressed | Word::Improved | Word::Changed | Word::ChangedSmall, Some(effect)) => {
                complain(told("both ends differ"));
                Ok(Ok((effect, finding.metric.kind)))
            }
            (Word::NoChange, _) => {
                let margin = share(finding.metric.margin, finding.metric.kind, false);
                inconclusive(told(&format!(
                    "both ends do not differ by {margin} or more, so that there is nothing to look for"
                )))
            }
            _ => inconclusive(told("whether both ends differ is not clear, so that nothing can be looked for")),
        }
    }

    /// What can be said of a commit.
    fn step(
        &mut self,
        checkout: &Checkout,
        version: &Version,
        ends: &[Built; 2],
        whole: &Effect,
    ) -> anyhow::Result<Result<Step, Stop>> {
        let commit = version.commit().to_owned();
        let told = |found, why: String, directory| Ok(Ok(Step { commit: commit.clone(), side: found, why, directory }));
        let built = match self.build(checkout, version) {
            Ok(Ok(built)) => built,
            Ok(Err(stop)) => return Ok(Err(stop)),
            // What is wrong with the machine is not the commit's fault.
            Err(error) if error.is::<NotBuilt>() => return told(None, format!("left out: {}", describe(&error)), None),
            Err(error) => return Err(error),
        };
        for (end, found) in ends.iter().zip([Side::Good, Side::Bad]) {
            if built.subject.programs == end.subject.programs {
                return told(
                    Some(found),
                    format!("{}, as it has the same programs as {}", found.word(), end.subject.name),
                    None,
                );
            }
        }
        // Few pairs of many may be those that a metric happens to be defined in.
        let which = |verdict: &Verdict, finding: &Finding| {
            let enough = f64::from(finding.pairs) >= 0.8 * f64::from(verdict.pairs_used);
            finding
                .effect
                .filter(|_| enough && finding.spread.is_some())
                .and_then(|effect| side(&effect, whole, finding.metric.kind))
        };
        let compared = self.compare([ends[0].clone(), built], &|verdict, finding| which(verdict, finding).is_some())?;
        match compared {
            Err(stop) => Ok(Err(stop)),
            Ok(Compared::Died) => told(None, "left out: its programs died".to_owned(), None),
            Ok(Compared::Judged { finding, verdict, directory }) => {
                let pairs = counted(finding.pairs as usize, "pair");
                let told_of = |effect| change(&effect, finding.metric.kind);
                let effect = finding.effect.map_or_else(|| "nothing was measured".to_owned(), told_of);
                match which(&verdict, &finding) {
                    Some(found) => told(Some(found), format!("{}: {effect}, {pairs}", found.word()), Some(directory)),
                    None => told(None, format!("not clear: {effect}, {pairs}"), Some(directory)),
                }
            }
        }
    }

    /// Where the record goes, beside the comparisons.
    fn record_file(&self) -> PathBuf {
        let directory = below(&self.args.of.results(self.project)).join(&self.args.experiment);
        directory.join(format!("bisect-{}.json", Timestamp::now().strftime("%Y%m%dT%H%M%SZ")))
    }
}

/// What came of comparing two versions.
enum Compared {
    /// Programs ended by themselves.
    Died,
    /// Anything else.
    Judged { finding: Box<Finding>, verdict: Box<Verdict>, directory: PathBuf },
}

fn interrupted() -> Stop {
    Stop(Status::Interrupted.into(), "interrupted".to_owned())
}
