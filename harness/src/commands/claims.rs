//! `peerbed claims`: what experiments claim to show and what finished results say of it, as a page of Markdown.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::bail;
use clap::Args;
use peerbed_model::{Setting, default_parameters};
use serde::Deserialize;

use super::report::FinishedArgs;
use crate::{
    report,
    results::{Outline, Results, Summary, replace_text},
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

/// How it was set up, by arm, as a manifest has it.
#[derive(Debug, Default, Deserialize)]
struct SetUp {
    #[serde(default)]
    parameters: BTreeMap<String, BTreeMap<String, Setting>>,
    #[serde(default)]
    plans: BTreeMap<String, Outline>,
}

/// Prints them.
pub(crate) fn run(args: &ClaimsArgs, root: impl Fn() -> anyhow::Result<PathBuf>) -> anyhow::Result<ExitCode> {
    let mut page = HEAD.to_owned();
    for directory in args.of.find(root)? {
        let results = Results::open(&directory)?;
        if results.summary().claims.is_empty() {
            bail!("`{}` claims nothing: key `claims` of its file would", results.summary().experiment.escape_debug());
        }
        section(&mut page, results.summary(), &results.manifest()?);
    }
    match &args.output {
        Some(path) => replace_text(path, &page, HEAD.lines().next())?,
        None => say(&page)?,
    }
    Ok(Status::Good.into())
}

fn section(page: &mut String, summary: &Summary, set_up: &SetUp) {
    let Summary { experiment, question, .. } = summary;
    let commit = summary.commit.as_ref().map_or("no commit".to_owned(), |commit| {
        let dirty = if summary.dirty { ", with uncommitted changes" } else { "" };
        format!("commit `{}`{dirty}", commit.chars().take(10).collect::<String>())
    });
    let scale = summary.scale().map_or(String::new(), |scale| format!(", scale `{scale}`"));
    // How far runs of one arm differ is seen only where there are several.
    let chance = match summary.arms.iter().map(|arm| arm.runs).min() {
        Some(1) => " One run of an arm: how much of it is chance cannot be told.",
        Some(2) => " Two runs of an arm: how much of it is chance can hardly be told.",
        _ => "",
    };
    let validity = if summary.valid { "all valid" } else { "**INVALID**" };
    let _ = write!(
        page,
        "\n## {experiment}\n\n{question}\n\n[The experiment](../experiments/{experiment}.yaml), {}, {validity}; {}, {commit}{scale}.{chance}\n\n{}\n\n{}",
        runs(&summary.arms.iter().map(|arm| arm.runs).collect::<Vec<_>>()),
        summary.created.strftime("%Y-%m-%d"),
        set_up.sentence(),
        report::claims_table(summary)
    );
}

/// `2 arms of 3 runs`; where arms have not as many, `5 runs in 2 arms`.
fn runs(of_arms: &[u32]) -> String {
    let arms = counted(of_arms.len(), "arm");
    match of_arms {
        [first, others @ ..] if others.iter().all(|runs| runs == first) => {
            format!("{arms} of {}", counted(*first as usize, "run"))
        }
        _ => format!("{} in {arms}", counted(of_arms.iter().sum::<u32>() as usize, "run")),
    }
}

impl SetUp {
    /// `Set-up: 64 peers, 28 of them with a copy from the start; arms differ in …; in all of them … is 40 (default 5).`
    fn sentence(&self) -> String {
        let among = |values: BTreeSet<usize>| match (values.first(), values.last()) {
            (Some(least), Some(most)) if least < most => format!("{least} to {most}"),
            (least, _) => least.map_or_else(String::new, usize::to_string),
        };
        let peers = among(self.plans.values().map(Outline::peers).collect());
        let holders = among(self.plans.values().filter_map(|plan| plan.holders).collect());
        let mut parts = Vec::new();
        if !peers.is_empty() {
            let seeded =
                if holders.is_empty() { holders } else { format!(", {holders} of them with a copy from the start") };
            parts.push(format!("{peers} peers{seeded}"));
        }
        let defaults = default_parameters();
        let names: BTreeSet<&String> = self.parameters.values().flat_map(BTreeMap::keys).collect();
        let (mut differ, mut changed) = (Vec::new(), Vec::new());
        for name in names {
            let mut values = self.parameters.values().map(|of_arm| of_arm.get(name));
            let first = values.next().flatten();
            if values.any(|value| value != first) {
                differ.push(format!("`{name}`"));
            } else if let (Some(value), Some(default)) = (first, defaults.get(name))
                && value != default
            {
                changed.push(format!("`{name}` is {value} (default {default})"));
            }
        }
        if !differ.is_empty() {
            parts.push(format!("arms differ in {}", differ.join(", ")));
        }
        if !changed.is_empty() {
            parts.push(format!("in every arm {}", changed.join(", ")));
        }
        if parts.is_empty() {
            return "Set-up: these results do not say.".to_owned();
        }
        format!("Set-up: {}.", parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use peerbed_model::Plan;

    use super::*;
    use crate::{project::Project, results::test_tree::Tree};

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
            section(&mut page, summary, &SetUp::default());
            page.lines().find(|line| line.starts_with("[The experiment]")).expect("a line").to_owned()
        };
        let one = said(&summary);
        assert!(one.ends_with("One run of an arm: how much of it is chance cannot be told."), "{one}");
        summary.arms[0].runs = 2;
        let two = said(&summary);
        assert!(two.ends_with("Two runs of an arm: how much of it is chance can hardly be told."), "{two}");
        summary.arms[0].runs = 3;
        let many = said(&summary);
        assert!(many.contains("1 arm of 3 runs") && many.ends_with(", with uncommitted changes."), "{many}");
        assert_eq!(runs(&[3, 2]), "5 runs in 2 arms");
    }

    /// What a manifest would have of the experiment as it stands.
    fn set_up_of(project: &Project, name: &str) -> SetUp {
        let experiment = project.load(name).expect("an experiment");
        let plan = |arm: &str| Arc::new(experiment.plan(arm, 0, None).expect("a plan"));
        let plans: Vec<Arc<Plan>> = experiment.arms().map(plan).collect();
        let parameters = plans.iter().map(|plan| (plan.arm.clone(), plan.parameters.clone())).collect();
        SetUp { parameters, plans: Outline::by_arm(&plans) }
    }

    #[test]
    fn the_page_in_docs_has_the_head_and_the_claims_of_now() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let read = |path: &str| std::fs::read_to_string(root.join(path)).expect(path);
        let page = read("docs/paper.md");
        let project = Project::find(&root).expect("the project");
        assert!(page.starts_with(HEAD));
        let mut lacking = Vec::new();
        let sections = page.split("\n## ").skip(1);
        for section in sections {
            let name = section.lines().next().expect("a title");
            let set_up = format!("\n\n{}\n\n| Claim |", set_up_of(&project, name).sentence());
            lacking.extend((!section.contains(&set_up)).then(|| format!("{name}: {set_up}")));
            let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
            let experiment = project.load(name).expect("an experiment");
            let claims = experiment.plan(experiment.arms().next().expect("an arm"), 0, None).expect("a plan").claims;
            assert_eq!(claims.len(), rows.len(), "{name}");
            for (claim, row) in claims.iter().zip(rows) {
                let (source, says) = (claim.source.as_deref().unwrap_or("ours"), claim.says.as_deref().unwrap_or(""));
                let texts = format!("| {} | {source} | {says}", claim.claim);
                lacking.extend((!row.starts_with(&texts)).then_some(texts));
            }
        }
        assert!(lacking.is_empty(), "{lacking:#?}");
    }
}
