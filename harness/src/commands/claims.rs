//! `peerbed claims`: what experiments claim to show and what finished results say of it, as a page of Markdown.

use std::{fmt::Write, path::PathBuf, process::ExitCode};

use anyhow::bail;
use clap::Args;

use super::report::FinishedArgs;
use crate::{
    report,
    results::{Results, Summary, replace_text},
    say::{counted, say},
    status::Status,
};

/// Print a table of claims with what finished results show of them
#[derive(Debug, Args)]
pub(crate) struct ClaimsArgs {
    #[command(flatten)]
    pub(crate) of: FinishedArgs,
    /// The file that the page goes into, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

const HEAD: &str = "# The paper's findings and what runs of Peerbed show

The findings are those of \"Peer-Assisted Content Distribution in Akamai NetSession\" (Zhao et al., IMC 2013), as far as they are known to
us; *recalled* ones were not checked against its text. Each experiment says itself what would show a claim (`claims` in its file): *shown*
means that all of it held in valid runs, *not shown* that something of it did not, *not testable here* that nothing in a testbed could
show it.

The bounds are ours, chosen for experiments of this size and written in each one's file. So *shown* means that the bound was kept, not that
the paper's number came out.

The paper's trace is observational: its Figure 4 conditions on what came of a download, its Figures 5 and 6 confound copies, popularity,
size and region. Where an experiment here varies something, everything else is the same, seeds included, so that what differs is caused
by it. In return its network, its users' patience and its content are told to it, and a hundred peers stand for millions: shapes can be
held against the paper's, numbers cannot.

This page is written by `make paper`, which runs all of it, or by `peerbed claims` from results that are there.
";

/// Prints them.
pub(crate) fn run(args: &ClaimsArgs, root: impl Fn() -> anyhow::Result<PathBuf>) -> anyhow::Result<ExitCode> {
    let mut page = HEAD.to_owned();
    for directory in args.of.find(root)? {
        let results = Results::open(&directory)?;
        if results.summary().claims.is_empty() {
            bail!("`{}` claims nothing: key `claims` of its file would", results.summary().experiment.escape_debug());
        }
        section(&mut page, results.summary());
    }
    match &args.output {
        Some(path) => replace_text(path, &page, HEAD.lines().next())?,
        None => say(&page)?,
    }
    Ok(Status::Good.into())
}

fn section(page: &mut String, summary: &Summary) {
    let Summary { experiment, question, .. } = summary;
    let runs: u32 = summary.arms.iter().map(|arm| arm.runs).sum();
    let commit = summary.commit.as_ref().map_or("no commit".to_owned(), |commit| {
        let dirty = if summary.dirty { ", with uncommitted changes" } else { "" };
        format!("commit `{}`{dirty}", commit.chars().take(10).collect::<String>())
    });
    let scale = summary.scale().map_or(String::new(), |scale| format!(", scale `{scale}`"));
    // How far runs of one arm differ is seen only where there are several.
    let alone = summary.arms.iter().any(|arm| arm.runs == 1);
    let chance = if alone { " One run of an arm: how much of it is chance cannot be told." } else { "" };
    let validity = if summary.valid { "all valid" } else { "**INVALID**" };
    let _ = write!(
        page,
        "\n## {experiment}\n\n{question}\n\n[The experiment](../experiments/{experiment}.yaml), {} in {}, {validity}; {}, {commit}{scale}.{chance}\n\n{}",
        counted(runs as usize, "run"),
        counted(summary.arms.len(), "arm"),
        summary.created.strftime("%Y-%m-%d"),
        report::claims_table(summary)
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::test_tree::Tree;

    #[test]
    fn what_claims_nothing_is_said() {
        let tree = Tree::new();
        tree.finished("small", 1);
        let of = FinishedArgs { runs: vec!["small".into()], results: None };
        let args = ClaimsArgs { of, output: None };
        let error = run(&args, || Ok(tree.root().to_owned())).expect_err("no claims").to_string();
        assert!(error.contains("`small` claims nothing"), "{error}");
    }

    #[test]
    fn an_arm_with_a_single_run_is_told_of() {
        let tree = Tree::new();
        let name = tree.finished("small", 1);
        let results = Results::open(&tree.root().join("small").join(name)).expect("results");
        let mut summary = results.summary().clone();
        let said = |summary: &Summary| {
            let mut page = String::new();
            section(&mut page, summary);
            page.lines().find(|line| line.starts_with("[The experiment]")).expect("a line").to_owned()
        };
        let one = said(&summary);
        assert!(one.ends_with("One run of an arm: how much of it is chance cannot be told."), "{one}");
        summary.arms[0].runs = 2;
        let two = said(&summary);
        assert!(two.ends_with(", with uncommitted changes."), "{two}");
    }

    #[test]
    fn the_page_in_docs_has_the_head_and_the_claims_of_now() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let read = |path: &str| std::fs::read_to_string(root.join(path)).expect(path);
        let page = read("docs/paper.md");
        assert!(page.starts_with(HEAD));
        let sections = page.split("\n## ").skip(1);
        for section in sections {
            let name = section.lines().next().expect("a title");
            let claimed: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
            let file = read(&format!("experiments/{name}.yaml"));
            let claims: Vec<&str> = file.lines().filter_map(|line| line.strip_prefix("  - claim: ")).collect();
            assert_eq!(claims.len(), claimed.len(), "{name}");
            for (claim, row) in claims.iter().zip(claimed) {
                assert!(row.starts_with(&format!("| {} |", claim.trim_matches('"'))), "{name}: {claim}");
            }
        }
    }
}
