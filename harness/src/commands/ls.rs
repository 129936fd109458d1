//! `peerbed ls`: past results with their key figures, oldest first.

use std::{
    fmt::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, json};

use crate::{
    compare::{read_verdict, show::head},
    regular,
    report::{number, percent, shown},
    results::{Entry, State, kept_runs, layout, scan_all},
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
    let entries = scan_all(results, args.experiment.as_deref())?;
    if let (Some(experiment), true) = (&args.experiment, entries.is_empty()) {
        let all = scan_all(results, None)?;
        let mut names: Vec<&str> = all.iter().map(|entry| entry.experiment.as_str()).collect();
        names.dedup();
        let known = if names.is_empty() { "none at all".to_owned() } else { names.join(", ") };
        bail!("{} has no results of `{}`; there are: {known}", results.display(), experiment.escape_debug());
    }
    let listed: Vec<Line> = entries.iter().map(listed).collect();
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
#[derive(Debug, Serialize)]
struct Line {
    #[serde(flatten)]
    about: Value,
    /// The key figures of each arm; none where there is no summary that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    arms: Option<Arms>,
}

/// The arms by name, in the order of the file, as the experiment has them: a `Value` would put them in that of the alphabet.
#[derive(Debug)]
struct Arms(Vec<(String, Value)>);

impl Serialize for Arms {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, arm)| (name, arm)))
    }
}

impl<'de> Deserialize<'de> for Arms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Arms;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of arms by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut arms = Vec::new();
                while let Some(arm) = map.next_entry()? {
                    arms.push(arm);
                }
                Ok(Arms(arms))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// `summary.json`, as far as it is listed.
#[derive(Debug, Deserialize)]
struct Found {
    #[serde(default)]
    valid: Value,
    arms: Arms,
}

fn listed(entry: &Entry) -> Line {
    let mut arms = None;
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
                for key in ["runtime", "engine", "scale"] {
                    line[key] = of_any_arm(&summary.arms, key);
                }
                line["valid"] = summary.valid;
                arms = Some(brief(&summary.arms));
            }
            // One damaged file must not hide all other results.
            Err(error) => line["unreadable"] = format!("{error:#}").into(),
        }
        match read_verdict(&entry.path) {
            Ok(None) => {}
            Ok(Some((verdict, planned))) => {
                line["verdict"] = json!(verdict.outcome);
                line["compared"] = head(&planned).into();
            }
            Err(error) => line["unreadable"] = format!("{error:#}").into(),
        }
    }
    Line { about: line, arms }
}

fn summary(entry: &Entry) -> anyhow::Result<Found> {
    let file = layout::SUMMARY_JSON;
    let text = regular::read(&entry.path.join(file), MOST_BYTES).context(file)?;
    serde_json::from_slice(&text).context(file)
}

/// What carried the nodes, or the links: the same in every arm.
fn of_any_arm(arms: &Arms, key: &str) -> Value {
    arms.0.iter().map(|(_, arm)| arm[key].clone()).find(Value::is_string).unwrap_or_default()
}

/// The key figures of each arm.
fn brief(arms: &Arms) -> Arms {
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
    Arms(arms.0.iter().map(|(name, arm)| (name.clone(), brief(arm))).collect())
}

fn text(listed: &[Line]) -> String {
    let mut text = String::new();
    for Line { about: line, arms } in listed {
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
                let verdict = line["verdict"].as_str().map_or(String::new(), |verdict| {
                    format!("  {}: {}\n", verdict.to_uppercase().replace('-', " "), word("compared"))
                });
                write!(text, "{verdict}{}{kept}", arms.as_ref().map_or(String::new(), arm_lines))
            }
        };
    }
    text
}

/// `; 7 of 18 runs are whole: …`, if others are missing.
fn resumable(line: &Value) -> String {
    match (line["runs"]["whole"].as_u64(), line["runs"]["planned"].as_u64(), line["experiment"].as_str()) {
        (Some(whole), Some(planned), Some(name)) => {
            let again = if name.starts_with(layout::COMPARE) {
                "peerbed compare … --resume".to_owned()
            } else {
                format!("peerbed run {name} --resume")
            };
            format!("; {whole} of {planned} runs are whole: `{again}` makes the others")
        }
        _ => String::new(),
    }
}

fn arm_lines(arms: &Arms) -> String {
    let mut text = String::new();
    let width = arms.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, arm) in &arms.0 {
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
    use crate::results::{scan, test_tree::Tree};

    fn shown(tree: &Tree) -> String {
        let entries = scan(tree.root(), None).expect("a readable tree");
        let listed: Vec<Line> = entries.iter().map(listed).collect();
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
    fn comparisons_are_listed_by_the_name_that_other_commands_take() {
        let tree = Tree::new();
        tree.finished("small", 1_000_000);
        let compared = tree.root().join(layout::COMPARE);
        std::fs::create_dir(&compared).expect("a directory");
        std::fs::rename(tree.root().join("small"), compared.join("small")).expect("moved");
        tree.finished("small", 2_000_000);
        let of = |experiment| {
            let entries = scan_all(tree.root(), experiment).expect("a readable tree");
            entries.into_iter().map(|entry| entry.experiment).collect::<Vec<_>>()
        };
        assert_eq!(of(None), ["small", "compare/small"]);
        assert_eq!((of(Some("small")), of(Some("compare/small"))), (of(None), vec!["compare/small".to_owned()]));
    }

    #[test]
    fn json_has_the_key_figures() {
        let tree = Tree::new();
        tree.finished("small", 1_000_000);
        let entries = scan(tree.root(), Some("small")).expect("a readable tree");
        let line = serde_json::to_value(listed(&entries[0])).expect("JSON");
        assert_eq!(line["state"], "complete");
        assert_eq!(line["valid"], true);
        assert_eq!(line["arms"]["hybrid"]["speed_mbps"]["p50"], 3);
        assert_eq!(line["arms"]["hybrid"]["downloads"]["completed"], 2);
    }

    #[test]
    fn arms_are_in_the_order_of_the_experiment() {
        let tree = Tree::new();
        let name = tree.finished("small", 1_000_000);
        let path = tree.root().join("small").join(name).join(layout::SUMMARY_JSON);
        let names = ["x=0", "x=2", "x=10", "hybrid"];
        let arms: Vec<String> = names.iter().map(|name| format!("{name:?}: {{\"valid\": true}}")).collect();
        std::fs::write(path, format!("{{\"valid\": true, \"arms\": {{{}}}}}", arms.join(", "))).expect("written");
        let entries = scan(tree.root(), None).expect("a readable tree");
        let json = serde_json::to_string(&listed(&entries[0])).expect("JSON");
        for text in [shown(&tree), json] {
            let places: Vec<Option<usize>> = names.iter().map(|name| text.find(name)).collect();
            assert!(places.is_sorted() && places[0].is_some(), "{text}");
        }
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
