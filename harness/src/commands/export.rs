//! `peerbed export`: finished results in a form that other tools read.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};

use super::report::find;
use crate::{
    export::{Exported, junit, prometheus},
    results::replace_text,
    say::say,
    status::Status,
};

/// Write finished results in a form that other tools read
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Results: a directory, the name of an experiment (its latest results), or EXPERIMENT/DIRECTORY
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The form
    #[arg(long, value_enum)]
    format: Format,
    /// The file that it goes into, instead of standard output; replaced if this command wrote it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Where results are, instead of the project's results/
    #[arg(long, value_name = "DIR")]
    pub(crate) results: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// XML as Jenkins and GitLab read it: validity, expectations, claims and verdicts as test cases
    Junit,
    /// Prometheus' text format: every metric of every run
    Prometheus,
}

/// Writes them.
pub(crate) fn run(args: &ExportArgs, root: impl Fn() -> anyhow::Result<PathBuf>) -> anyhow::Result<ExitCode> {
    let exported = Exported::read(&find(&args.run, root)?)?;
    let (text, ours) = match args.format {
        Format::Junit => (junit::text(&exported)?, "<testsuites name=\"peerbed: "),
        Format::Prometheus => (prometheus::text(&exported)?, prometheus::HEADER),
    };
    match &args.output {
        Some(path) => replace_text(path, &text, Some(ours))?,
        None => say(&text)?,
    }
    Ok(Status::Good.into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::results::test_tree::Tree;

    fn args(run: &str, format: Format, output: Option<PathBuf>) -> ExportArgs {
        ExportArgs { run: run.into(), format, output, results: None }
    }

    #[test]
    fn a_file_is_written_and_nobody_elses_is_replaced() {
        let tree = Tree::new();
        tree.finished("small", 1);
        let root = || Ok(tree.root().to_owned());
        let output = tree.root().join("out");
        for (format, begins) in [(Format::Junit, "<?xml "), (Format::Prometheus, "# Exported by peerbed.\n# HELP ")] {
            for _ in 0..2 {
                run(&args("small", format, Some(output.clone())), root).expect("written, and replaced");
                assert!(fs::read_to_string(&output).expect("text").starts_with(begins));
            }
            fs::write(&output, "precious").expect("written");
            let error = run(&args("small", format, Some(output.clone())), root).expect_err("refused").to_string();
            assert!(error.contains("was not made by this command"), "{error}");
            fs::remove_file(&output).expect("removed");
        }
    }

    #[test]
    fn what_cannot_be_exported_is_said() {
        let tree = Tree::new();
        let root = || Ok(tree.root().to_owned());
        let error = |run_of: &str| {
            let args = args(run_of, Format::Prometheus, Some(tree.root().join("out")));
            run(&args, root).expect_err("an error").to_string()
        };
        assert!(error("smal").contains("there are no results smal"), "{}", error("smal"));
        let begun = format!("small/{}", tree.abandoned("small", 3));
        assert!(error(&begun).contains("no finished results: there is no summary.json"), "{}", error(&begun));
        fs::create_dir(tree.root().join("other")).expect("made");
        assert!(error("other").contains("no finished results"), "{}", error("other"));
        let directory = tree.root().join("small").join(tree.finished("small", 1));
        fs::write(directory.join("comparison.json"), "{}").expect("written");
        fs::write(directory.join("verdict.json"), "{").expect("written");
        assert!(error("small").contains("verdict.json"), "{}", error("small"));
        fs::remove_file(directory.join("verdict.json")).expect("removed");
        fs::write(directory.join("metrics.jsonl"), "{}\n").expect("written");
        assert!(error("small").contains("metrics.jsonl: line 1"), "{}", error("small"));
        assert!(!tree.root().join("out").exists());
    }
}
