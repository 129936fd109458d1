//! `peerbed compare`: two versions of the nodes, pair by pair, and a verdict.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;

use super::{
    pairing::{Measured, PairingArgs, Request, measure},
    report::find,
    session::Session,
};
use crate::{
    compare::{
        Ended, Planned, read_text, show,
        subject::{Built, Checkout, Version, WORKTREE},
        verdict::{Outcome, Verdict},
        verdict_file,
    },
    project::Project,
    regular::ReadError,
    results::Results,
    say::{complain, say},
    status::Status,
};

/// What to compare and how.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The commit that is compared with: anything that git knows as a commit
    #[arg(required_unless_present_any = ["replay", "base_programs"])]
    base: Option<String>,
    /// The commit that is judged; `.`, as if it is left out: the files as they are, with what is not committed
    head: Option<String>,
    /// The experiment: a file in experiments/, without `.yaml`
    #[arg(long, value_name = "NAME", required_unless_present = "replay")]
    experiment: Option<String>,
    /// Another arm for the head: a change of the experiment beside that of the programs, or instead of it
    #[arg(long, value_name = "ARM")]
    head_arm: Option<String>,
    /// Compare these programs instead of building a base: a directory with control, edge and peer
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    base_programs: Option<PathBuf>,
    /// The same for the head
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    head_programs: Option<PathBuf>,
    /// Compare whole products: the runs of each side are carried by its own harness, too. That of the base must know how (`peerbed carry`)
    #[arg(long, conflicts_with = "replay")]
    whole: bool,
    #[command(flatten)]
    of: PairingArgs,
    /// Go on with the newest unfinished comparison of the same programs: whole runs are taken over, the others are made
    #[arg(long, conflicts_with = "replay")]
    resume: bool,
    /// Judge a comparison again from its files, which must be whole; nothing is run
    #[arg(long, value_name = "DIR")]
    replay: Option<PathBuf>,
    /// Print verdict.json instead of the table
    #[arg(long)]
    json: bool,
}

/// Compares, or judges again.
pub(crate) fn run(args: &CompareArgs, project: impl Fn() -> anyhow::Result<Project>) -> anyhow::Result<ExitCode> {
    let (verdict, planned, path) = match &args.replay {
        Some(named) => match replay(&find(named, || Ok(args.of.results(&project()?)))?)? {
            Ok(judged) => judged,
            Err(outcome) => return Ok(ExitCode::from(outcome.code())),
        },
        None => match compare(args, &project()?)? {
            Measured::Judged(judged) => *judged,
            Measured::SubjectFailed(..) => return Ok(ExitCode::from(Outcome::SubjectFailed.code())),
            Measured::Unfit(..) => return Ok(Status::Invalid.into()),
            Measured::Interrupted => return Ok(Status::Interrupted.into()),
        },
    };
    if args.json {
        say(&show::json(&verdict)?)?;
    } else {
        say(&format!("{}results: {}\n", show::table(&verdict, &planned), path.display()))?;
    }
    Ok(ExitCode::from(verdict.outcome.code()))
}

fn compare(args: &CompareArgs, project: &Project) -> anyhow::Result<Measured> {
    let name = args.experiment.as_deref().context("name an experiment with --experiment")?;
    let request = Request {
        head_arm: args.head_arm.as_deref(),
        resume: args.resume,
        whole: args.whole,
        ..args.of.request(project, name, args.json)
    };
    // What is wrong with the experiment is said before minutes are spent on programs.
    let prepared = request.prepare()?;
    // Through builds and runs alike.
    let session = Session::start()?;
    let Some(subjects) = subjects(args, project, &session)? else {
        complain("interrupted before anything was measured: there are no results");
        return Ok(Measured::Interrupted);
    };
    measure(&session, &request, prepared, subjects)
}

/// Makes `verdict.json` again and says whether it is the one that is there. Of a comparison that came to nothing it says so again.
fn replay(directory: &Path) -> anyhow::Result<Result<(Verdict, Planned, PathBuf), Outcome>> {
    let results = Results::open(directory)?;
    let planned = Planned::read(directory)?;
    match &planned.ended {
        None => {}
        Some(Ended::SubjectFailed(why)) => {
            complain(format_args!("SUBJECT FAILED: {why}"));
            return Ok(Err(Outcome::SubjectFailed));
        }
        Some(Ended::Unfit(complaints)) => {
            complain(format_args!("INVALID: links are not what was asked for: {}", complaints.join("; ")));
            return Ok(Err(Outcome::Invalid));
        }
        Some(Ended::Failed(why)) => {
            bail!("{}: there is nothing to judge, as it ended early: {why}", directory.display())
        }
    }
    let verdict = planned.judge(&results).with_context(|| directory.display().to_string())?;
    let kept = verdict_file(directory);
    let now = show::json(&verdict)?;
    match read_text(&kept) {
        Ok(before) if before == now => complain("verdict.json is the same, to the byte"),
        Ok(before) if serde_json::from_str::<Verdict>(&before).is_err() => {
            bail!("{} is damaged: move it away, and --replay writes it anew", kept.display())
        }
        Ok(_) => bail!("{} is another: this program judges otherwise than the one that wrote it", kept.display()),
        // Whoever wrote the results was ended right before.
        Err(ReadError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            show::write(&verdict, &planned, directory)?;
            complain("there was no verdict.json: it is written now");
        }
        Err(error) => return Err(error).with_context(|| kept.display().to_string()),
    }
    Ok(Ok((verdict, planned, directory.to_owned())))
}

/// Where a side's programs come from.
enum Side {
    Given(Built),
    Version(Version),
}

/// Both sides, built before anything is measured; none if the user wants no more.
fn subjects(args: &CompareArgs, project: &Project, session: &Session) -> anyhow::Result<Option<[Built; 2]>> {
    let checkout = match (&args.base_programs, &args.head_programs) {
        (Some(_), Some(_)) => None,
        _ => Some(Checkout::of(project.root())?.whole(args.whole)),
    };
    let side = |name: &str, given: &Option<PathBuf>| match (given, &checkout) {
        (Some(directory), _) => Built::given(&directory.display().to_string(), directory, args.whole).map(Side::Given),
        (None, Some(checkout)) => checkout.version(name).map(Side::Version),
        (None, None) => bail!("nothing says what the programs of `{name}` are"),
    };
    // With programs for the base, the one commit that is named is the head.
    let (base, head) = match (&args.base_programs, args.base.as_deref(), args.head.as_deref()) {
        (Some(_), Some(_), Some(_)) => bail!("--base-programs says what the base is: name one commit, the head"),
        (Some(_), head, None) => (None, head),
        (_, base, head) => (base, head),
    };
    if let (Some(_), Some(head)) = (&args.head_programs, head) {
        bail!("--head-programs says what the head is, and so does `{head}`: leave one of them out");
    }
    let (base, head) = (base.unwrap_or_default(), head.unwrap_or(WORKTREE));
    // Both are settled before minutes are spent on one: files and branches may change meanwhile.
    let [base, head] = [side(base, &args.base_programs)?, side(head, &args.head_programs)?];
    let built = |side: Side| match (side, &checkout) {
        (Side::Given(built), _) => Ok(Some(built)),
        (Side::Version(version), Some(checkout)) => session.build(checkout, &version),
        (Side::Version(_), None) => bail!("there is no checkout"),
    };
    let Some(base) = built(base)? else { return Ok(None) };
    Ok(built(head)?.map(|head| [base, head]))
}
