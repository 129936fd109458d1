//! `peerbed history`: what past nights came to, and where their series change.

use std::{path::PathBuf, process::ExitCode};

use anyhow::bail;
use clap::Args;

use crate::{
    history::{self, GENERATOR},
    results::replace_text,
    say::{complain, harmless, say},
    status::Status,
};

/// Print where the history of nights changes and what its last night came to
///
/// Numbers are changes against the pinned reference of the same night. A change point is no verdict: it names two commits, and the
/// command that compares them.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// The file of the history, instead of history/history.jsonl in the project's results/
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Also draw all of it as a page
    #[arg(long, value_name = "FILE.html")]
    page: Option<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

/// Prints it.
pub(crate) fn run(args: &HistoryArgs, results: impl FnOnce() -> anyhow::Result<PathBuf>) -> anyhow::Result<ExitCode> {
    let file = match &args.file {
        Some(file) => file.clone(),
        None => history::below(&results()?),
    };
    if args.file.is_some() && !file.exists() {
        bail!("{}: there is no such file", file.display());
    }
    let (entries, complaints) = history::read(&file)?;
    for complaint in &complaints {
        complain(complaint);
    }
    if entries.is_empty() && complaints.is_empty() {
        complain(format_args!("{}: there are no nights in it yet", file.display()));
    }
    if let Some(page) = &args.page {
        replace_text(page, &history::page(&entries), Some(GENERATOR))?;
    }
    say(&if args.json { history::json(&entries)? } else { harmless(&history::text(&entries)) })?;
    Ok(Status::Good.into())
}
