//! `peerbed report`: `report.html` once more from the files of finished results, or of several results side by side.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::bail;
use clap::Args;

use crate::{
    compare::show,
    report::{GENERATOR, Source, html_after},
    results::{layout, replace_text},
    say::{harmless, say},
    status::Status,
};

/// Rebuild report.html from the files of finished results
///
/// One RUN: its own report.html is replaced, nothing else is touched. Several: side by side in the file that --output names.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) of: FinishedArgs,
    /// Where the page goes
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Which finished results are meant.
#[derive(Debug, Args)]
pub(crate) struct FinishedArgs {
    /// Results: a directory, the name of an experiment (its latest results), or EXPERIMENT/DIRECTORY
    #[arg(required = true, value_name = "RUN")]
    pub(super) runs: Vec<PathBuf>,
    /// Where results are, instead of the project's results/
    #[arg(long, value_name = "DIR")]
    pub(crate) results: Option<PathBuf>,
}

impl FinishedArgs {
    /// Their directories.
    pub(super) fn find(&self, root: impl Fn() -> anyhow::Result<PathBuf>) -> anyhow::Result<Vec<PathBuf>> {
        self.runs.iter().map(|run| find(run, &root)).collect()
    }
}

/// Rebuilds it.
pub(crate) fn run(args: &ReportArgs, root: impl Fn() -> anyhow::Result<PathBuf>) -> anyhow::Result<ExitCode> {
    let directories = args.of.find(root)?;
    let (output, ours) = match (&args.output, &directories[..]) {
        (Some(output), _) => (output.clone(), Some(GENERATOR)),
        // Its own, whichever version made it.
        (None, [only]) => (only.join(layout::REPORT), None),
        (None, several) => {
            bail!("{} results side by side go into a file of their own: name it with --output FILE", several.len())
        }
    };
    let paths: Vec<&Path> = directories.iter().map(PathBuf::as_path).collect();
    let source = Source::read(&paths)?;
    // Comparisons begin with their verdicts.
    let verdicts = show::sections(&paths)?;
    replace_text(&output, &html_after(&source, &verdicts), ours)?;
    say(&harmless(&format!("{}\n", output.display())))?;
    Ok(Status::Good.into())
}

/// The directory that is meant.
pub(super) fn find(run: &Path, root: impl Fn() -> anyhow::Result<PathBuf>) -> anyhow::Result<PathBuf> {
    let in_it = |path: PathBuf| {
        let latest = path.join(layout::LATEST);
        let found = if latest.is_dir() { latest } else { path };
        // The link may point elsewhere tomorrow.
        found.canonicalize().ok().filter(|path| path.is_dir())
    };
    if run.is_dir() {
        return Ok(in_it(run.to_owned()).unwrap_or_else(|| run.to_owned()));
    }
    let root = root()?;
    if run.is_relative()
        && let Some(found) = in_it(root.join(run))
    {
        return Ok(found);
    }
    bail!(
        "there are no results {}, neither as a directory from here nor in {}; `peerbed ls` lists what there is",
        run.display(),
        root.display()
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::results::test_tree::Tree;

    fn args(runs: &[&str], output: Option<PathBuf>) -> ReportArgs {
        ReportArgs { of: FinishedArgs { runs: runs.iter().map(PathBuf::from).collect(), results: None }, output }
    }

    #[test]
    fn one_is_replaced_and_several_need_a_file() {
        let tree = Tree::new();
        let (first, second) = (tree.finished("small", 1), tree.finished("small", 2));
        let root = || Ok(tree.root().to_owned());
        let page = tree.root().join("small").join(&second).join("report.html");
        let before = fs::read_to_string(&page).expect("written");
        fs::write(&page, "damaged").expect("written");
        assert!(run(&args(&["small"], None), root).is_ok());
        assert_eq!(fs::read_to_string(&page).expect("written"), before, "the same from the same files");

        let both = [format!("small/{first}"), format!("small/{second}")];
        let both: Vec<&str> = both.iter().map(String::as_str).collect();
        let error = run(&args(&both, None), root).expect_err("no file").to_string();
        assert!(error.contains("--output"), "{error}");
        let output = tree.root().join("both.html");
        assert!(run(&args(&both, Some(output.clone())), root).is_ok());
        let text = fs::read_to_string(&output).expect("written");
        assert!(run(&args(&both, Some(output.clone())), root).is_ok(), "a report may be replaced");
        let precious = tree.root().join("precious.tex");
        fs::write(&precious, "precious").expect("written");
        let said = |output: &Path| run(&args(&both, Some(output.to_owned())), root).expect_err("refused").to_string();
        assert!(
            said(&precious).contains("was not made by this command") && said(tree.root()).contains("no regular file")
        );
        assert!(said(&tree.root().join("nowhere/page.html")).contains("there is no directory"));
        assert_eq!(fs::read_to_string(&precious).expect("still there"), "precious");
        let names = fs::read_dir(tree.root()).expect("readable").map(|entry| entry.expect("one").file_name());
        assert!(names.into_iter().all(|name| !name.to_string_lossy().starts_with(".writing")));
        assert!(
            text.contains("2 results side by side")
                && text.contains("hybrid · A")
                && text.contains("commit 0123456789-dirty, begun 1970-01-01 00:00:01 UTC"),
            "{text}"
        );
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_file() {
        let tree = Tree::new();
        let root = || Ok(tree.root().to_owned());
        let name = tree.finished("small", 1);
        let directory = tree.root().join("small").join(&name);
        let error = |runs: &[&str]| run(&args(runs, None), root).expect_err("an error").to_string();
        assert!(error(&["smal"]).contains("no results smal"));
        assert!(error(&[&tree.abandoned("small", 3).replace("small/", "")]).contains("no"));
        let damage = |file: &str, text: &str| {
            let path = directory.join(file);
            let whole = fs::read(&path).expect("it is there");
            fs::write(&path, text).expect("written");
            let said = error(&["small"]);
            fs::write(&path, whole).expect("written");
            said
        };
        assert!(damage("summary.json", "{").contains("summary.json"), "{}", damage("summary.json", "{"));
        assert!(damage("summary.json", r#"{"layout": 99}"#).contains("layout is 99"));
        assert!(damage("metrics.jsonl", "{}\n").contains("metrics.jsonl: line 1"));
        assert!(damage("downloads.parquet", "PAR1").contains("downloads.parquet"));
        assert!(damage("events.jsonl", "{\"event\":\"action\"}\n").contains("events.jsonl: line 1"));
        let whole = fs::read(directory.join("downloads.parquet")).expect("it is there");
        fs::copy(directory.join("series.parquet"), directory.join("downloads.parquet")).expect("copied");
        assert!(error(&["small"]).contains("downloads.parquet: column `"), "{}", error(&["small"]));
        fs::write(directory.join("downloads.parquet"), whole).expect("written");
        fs::remove_file(directory.join("series.parquet")).expect("removed");
        assert!(error(&["small"]).contains("series.parquet"));
    }
}
