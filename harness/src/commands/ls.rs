//! `peerbed ls`: past results with their key figures, oldest first.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    regular,
    report::{number, percent, shown},
    results::{Entry, State, kept_runs, layout, scan},
    say::say,
};

/// List past results.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Only of this experiment
    pub(crate) experiment: Option<String>,
    /// Print JSON: an array with one object for each results directory
    #[arg(long)]
    pub(crate) json: bool,
    /// Where results are, instead of the project's results/
    #[arg(long, value_name = "DIR")]
    pub(crate) results: Option<PathBuf>,
}

/// A larger summary is none of ours.
const MOST_BYTES: u64 = 64 << 20;

/// Lists them.
pub(crate) fn run(args: &LsArgs, results: &Path) -> anyhow::Result<ExitCode> {
    let entries = scan(results, args.experiment.as_deref())?;
    if let (Some(experiment), true) = (&args.experiment, entries.is_empty()) {
        let all = scan(results, None)?;
        let mut names: Vec<&str> = all.iter().map(|entry| entry.experiment.as_str()).collect();
        names.dedup();
        let known = if names.is_empty() { "none at all".to_owned() } else { names.join(", ") };
        bail!("{} has no results of `{}`; there are: {known}", results.display(), experiment.escape_debug());
    }
    let listed: Vec<Value> = entries.iter().map(listed).collect();
    if args.json {
        say(&(serde_json::to_string_pretty(&listed)? + "\n"))?;
    } else if listed.is_empty() {
        say(&format!("There are no results in {} yet; `peerbed run EXPERIMENT` makes some.\n", results.display()))?;
    } else {
        say(&text(&listed))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What `--json` says of a directory.
fn listed(entry: &Entry) -> Value {
    let mut line = json!({
        "experiment": entry.experiment,
        "directory": entry.path,
        "created": entry.name.created().to_string(),
        "commit": entry.name.commit(),
        "state": entry.state,
    });
    if matches!(entry.state, State::Complete | State::Partial)
        && let Some((whole, planned)) = kept_runs(&entry.path)
    {
        line["runs"] = json!({"whole": whole, "planned": planned});
    }
    if entry.state == State::Complete {
        match summary(entry) {
            Ok(summary) => {
                line["valid"] = summary["valid"].clone();
                line["runtime"] = of_any_arm(&summary, "runtime");
                line["engine"] = of_any_arm(&summary, "engine");
                line["scale"] = of_any_arm(&summary, "scale");
                line["arms"] = arms(&summary);
            }
            // One damaged file must not hide all other results.
            Err(error) => line["unreadable"] = format!("{error:#}").into(),
        }
    }
    line
}

fn summary(entry: &Entry) -> anyhow::Result<Value> {
    let file = layout::SUMMARY_JSON;
    let text = regular::read(&entry.path.join(file), MOST_BYTES).context(file)?;
    let summary: Value = serde_json::from_slice(&text).context(file)?;
    if !summary["arms"].is_object() {
        bail!("{file}: there are no `arms`");
    }
    Ok(summary)
}

/// What carried the nodes, or the links: the same in every arm.
fn of_any_arm(summary: &Value, key: &str) -> Value {
    let arms = summary["arms"].as_object();
    arms.into_iter().flatten().map(|(_, arm)| arm[key].clone()).find(Value::is_string).unwrap_or_default()
}

/// The key figures of each arm.
fn arms(summary: &Value) -> Value {
    let brief = |arm: &Value| {
        json!({
            "valid": arm["valid"],
            "invalid_reasons": arm["invalid_reasons"],
            "runs": arm["runs"],
            "downloads": {
                "started": arm["downloads_total"]["started"],
                "completed": arm["downloads_total"]["completed"],
            },
            "speed_mbps": arm["speed_mbps"],
            "pause_rate": arm["pause_rate"],
            "peer_efficiency": arm["peer_efficiency"],
        })
    };
    summary["arms"]
        .as_object()
        .map(|arms| arms.iter().map(|(name, arm)| (name.clone(), brief(arm))).collect())
        .unwrap_or_default()
}

fn text(listed: &[Value]) -> String {
    let mut text = String::new();
    for line in listed {
        let word = |key: &str| line[key].as_str().unwrap_or_default();
        let commit = line["commit"].as_str().map_or("no commit".to_owned(), |commit| format!("commit {commit}"));
        let created = word("created").replace('T', " ").replace('Z', " UTC");
        let carriers = ["runtime", "engine"].iter().filter_map(|key| line[*key].as_str());
        let scale = line["scale"].as_str().map(|scale| format!("scale {scale}"));
        let of = [word("experiment"), &created, &commit].into_iter().chain(carriers).chain(scale.as_deref());
        let of: Vec<&str> = of.collect();
        let _ = writeln!(text, "{}", of.join("  "));
        let _ = writeln!(text, "  {}", word("directory"));
        let _ = match (word("state"), line["unreadable"].as_str()) {
            ("partial", _) => writeln!(
                text,
                "  UNFINISHED: its maker is gone{}; `peerbed clean --partial` removes it",
                resumable(line)
            ),
            ("running", _) => writeln!(text, "  being made now"),
            ("foreign", _) => writeln!(text, "  UNREADABLE: it has no {}", layout::MANIFEST),
            (_, Some(reason)) => writeln!(text, "  UNREADABLE: {reason}"),
            (_, None) => {
                let kept = resumable(line);
                let kept = kept.strip_prefix("; ").map_or(String::new(), |kept| format!("  INCOMPLETE: {kept}\n"));
                write!(text, "{}{kept}", arm_lines(&line["arms"]))
            }
        };
    }
    text
}

/// `; 7 of 18 runs are whole: …`, if others are missing.
fn resumable(line: &Value) -> String {
    match (line["runs"]["whole"].as_u64(), line["runs"]["planned"].as_u64(), line["experiment"].as_str()) {
        (Some(whole), Some(planned), Some(name)) => {
            format!("; {whole} of {planned} runs are whole: `peerbed run {name} --resume` makes the others")
        }
        _ => String::new(),
    }
}

fn arm_lines(arms: &Value) -> String {
    let mut text = String::new();
    let Some(arms) = arms.as_object() else { return text };
    let width = arms.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    for (name, arm) in arms {
        let valid = arm["valid"] == true;
        let verdict = if valid { "valid" } else { "INVALID" };
        let count = |key: &str| arm["downloads"][key].as_u64().unwrap_or(0);
        let _ = writeln!(
            text,
            "  {name:width$}  {verdict:7}  {:>9} done  p50 {:>6} Mbit/s  peers {:>8}",
            shown(valid, format!("{}/{}", count("completed"), count("started"))),
            shown(valid, number(arm["speed_mbps"]["p50"].as_f64())),
            shown(valid, percent(arm["peer_efficiency"]["bytes"].as_f64())),
        );
        if let Some([first, more @ ..]) = arm["invalid_reasons"].as_array().map(Vec::as_slice) {
            let more = if more.is_empty() { String::new() } else { format!(" (and {} more)", more.len()) };
            let _ = writeln!(text, "  {:width$}  {}{more}", "", first.as_str().unwrap_or_default());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::test_tree::Tree;

    fn shown(tree: &Tree) -> String {
        let entries = scan(tree.root(), None).expect("a readable tree");
        let listed: Vec<Value> = entries.iter().map(listed).collect();
        text(&listed).replace(&tree.root().display().to_string(), "results")
    }

    #[test]
    fn what_there_is_is_listed_oldest_first_whatever_its_state() {
        let tree = Tree::new();
        tree.finished("small", 1_000_000);
        tree.abandoned("small", 2_000_000);
        let running = tree.running("other", 3_000_000);
        tree.damaged("other", 4_000_000);
        tree.invalid("small", 5_000_000);
        tree.oddities();
        insta::assert_snapshot!(shown(&tree), @r"
        odd  1970-01-02 00:00:00 UTC  commit 0123456789
          results/odd/19700102T000000Z-0123456789
          UNREADABLE: it has no manifest.json
        other  1970-02-04 17:20:00 UTC  commit 0123456789-dirty
          results/other/.partial-19700204T172000Z-0123456789-dirty
          being made now
        other  1970-02-16 07:06:40 UTC  commit 0123456789-dirty
          results/other/19700216T070640Z-0123456789-dirty
          UNREADABLE: summary.json: EOF while parsing a value at line 1 column 8
        small  1970-01-12 13:46:40 UTC  commit 0123456789-dirty  netns  wire
          results/small/19700112T134640Z-0123456789-dirty
          hybrid  valid          2/4 done  p50   3.00 Mbit/s  peers   64.3 %
        small  1970-01-24 03:33:20 UTC  commit 0123456789-dirty
          results/small/.partial-19700124T033320Z-0123456789-dirty
          UNFINISHED: its maker is gone; `peerbed clean --partial` removes it
        small  1970-02-27 20:53:20 UTC  commit 0123456789-dirty  netns  wire
          results/small/19700227T205320Z-0123456789-dirty
          hybrid  INVALID      [2/4] done  p50 [3.00] Mbit/s  peers [64.3 %]
                  interrupted: the run was ended before its time (and 1 more)
        ");
        drop(running);
        assert!(shown(&tree).matches("UNFINISHED").count() == 2);
    }

    #[test]
    fn json_has_the_key_figures() {
        let tree = Tree::new();
        tree.finished("small", 1_000_000);
        let entries = scan(tree.root(), Some("small")).expect("a readable tree");
        let line = listed(&entries[0]);
        assert_eq!(line["state"], "complete");
        assert_eq!(line["valid"], true);
        assert_eq!(line["arms"]["hybrid"]["speed_mbps"]["p50"], 3);
        assert_eq!(line["arms"]["hybrid"]["downloads"]["completed"], 2);
    }

    #[test]
    fn an_experiment_without_results_is_an_error_that_names_the_others() {
        let tree = Tree::new();
        tree.finished("small", 1_000_000);
        let args =
            |experiment: Option<&str>| LsArgs { experiment: experiment.map(str::to_owned), json: false, results: None };
        let error = run(&args(Some("smal")), tree.root()).expect_err("there is none").to_string();
        assert!(error.ends_with("has no results of `smal`; there are: small"), "{error}");
        assert!(run(&args(None), &tree.root().join("nowhere")).is_ok());
    }
}
