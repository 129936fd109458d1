//! `peerbed clean`: removes old or unfinished results, and what is left in a Docker engine, and says what it removed.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    str::FromStr,
};

use anyhow::{Context, bail};
use clap::Args;
use jiff::{SignedDuration, Timestamp};

use crate::{
    docker::Engine,
    report::bytes,
    results::{Entry, Removal, State, remove, scan_all, size_bytes},
    say::{complain, counted, say},
};

/// Remove old or unfinished results, and what killed runs left.
///
/// With several of the options, finished results go if they are older than `--older-than` AND not among the `--keep`
/// newest; unfinished ones go with `--partial`, if they are older than `--older-than`.
#[derive(Debug, Args)]
pub(crate) struct CleanArgs {
    /// Only of this experiment
    pub(crate) experiment: Option<String>,
    /// Remove results that are older than this: 90m, 12h, 7d, 2w
    #[arg(long, value_name = "AGE")]
    pub(crate) older_than: Option<Age>,
    /// Keep the N newest finished results of each experiment, remove the others
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<usize>,
    /// Remove what was never finished (whose maker is gone), and the containers of runs that were killed
    #[arg(long)]
    pub(crate) partial: bool,
    /// Remove the images that Peerbed made in the Docker engine, whoever's Peerbed it was; a run makes what it needs again
    #[arg(long)]
    pub(crate) images: bool,
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Where results are, instead of the project's results/
    #[arg(long, value_name = "DIR")]
    pub(crate) results: Option<PathBuf>,
}

/// A length of time back from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Age(SignedDuration);

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let complaint = || format!("`{text}` is not an age: a whole number and s, m, h, d or w are expected, as in 7d");
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(complaint)?;
        let (digits, unit) = text.split_at(split);
        let seconds: i64 = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 24 * 3600,
            "w" => 7 * 24 * 3600,
            _ => return Err(complaint()),
        };
        if digits.is_empty() {
            return Err(complaint());
        }
        // Digits alone are always a number, though maybe too large a one.
        let all = digits.parse::<i64>().ok().and_then(|count| count.checked_mul(seconds));
        let most = i64::MAX / seconds;
        let all = all.ok_or_else(|| format!("`{text}` is too long ago: at most {most}{unit} is understood"))?;
        Ok(Self(SignedDuration::from_secs(all)))
    }
}

/// Removes what the arguments ask for. A directory that could not be removed is named, and makes the exit code 1.
pub(crate) fn run(args: &CleanArgs, results: &Path) -> anyhow::Result<ExitCode> {
    let of_results = args.older_than.is_some() || args.keep.is_some() || args.partial;
    if !of_results && !args.images {
        bail!(
            "nothing was asked for: give --older-than AGE, --keep N, --partial or --images (with --dry-run to look first)"
        );
    }
    if args.partial || args.images {
        clean_engine(args)?;
    }
    if !of_results {
        return Ok(ExitCode::SUCCESS);
    }
    let entries = scan_all(results, args.experiment.as_deref())?;
    if let (Some(experiment), true) = (&args.experiment, entries.is_empty()) {
        bail!(
            "{} has no results of `{}`; `peerbed ls` lists what there is",
            results.display(),
            experiment.escape_debug()
        );
    }
    let doomed = select(&entries, args, Timestamp::now());
    let (mut count, mut freed, mut failed) = (0_u64, 0, false);
    for entry in doomed {
        let path = entry.path.display();
        let removal = if args.dry_run { size_bytes(&entry.path).map(Removal::Removed) } else { remove(entry) };
        match removal {
            Ok(Removal::Removed(size)) => {
                let verb = if args.dry_run { "would remove" } else { "removed" };
                say(&format!("{verb} {path} ({})\n", bytes(Some(size as f64))))?;
                count += 1;
                freed += size;
            }
            Ok(Removal::LeftAlone) => say(&format!("left alone: somebody is at work in {path}\n"))?,
            Err(error) => {
                say(&format!("could not remove {path}: {error}\n"))?;
                failed = true;
            }
        }
    }
    let what = if count == 1 { "directory" } else { "directories" };
    say(&match (count, args.dry_run) {
        (0, _) => "no results to remove\n".to_owned(),
        (_, true) => format!("{count} {what}, {} would be freed\n", bytes(Some(freed as f64))),
        (_, false) => format!("{count} {what}, {} freed\n", bytes(Some(freed as f64))),
    })?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Removes what is left in the Docker engine. Where there is none, nothing is left in it.
fn clean_engine(args: &CleanArgs) -> anyhow::Result<()> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    tokio.block_on(async {
        let engine = match Engine::find().await {
            Ok(engine) => engine,
            Err(error) if args.images => return Err(error.into()),
            Err(error) if error.is_absence() => return Ok(()),
            Err(error) => {
                complain(format_args!("containers of killed runs were not looked for: {error}"));
                return Ok(());
            }
        };
        let verb = if args.dry_run { "would remove" } else { "removed" };
        if args.partial {
            let left = if args.dry_run { engine.left_behind().await?.len() } else { engine.sweep().await? };
            if left > 0 {
                say(&format!("{verb} {} of killed runs\n", counted(left, "container")))?;
            }
        }
        if args.images {
            let images = engine.images().await?;
            let size = images.iter().map(|image| image.bytes).sum::<u64>() as f64;
            let names: Vec<String> = images.iter().map(|image| format!("  {}\n", image.name)).collect();
            let ids: Vec<String> = images.into_iter().map(|image| image.id).collect();
            let count = if args.dry_run { ids.len() } else { engine.remove_images(&ids).await? };
            let size = bytes(Some(size));
            say(&format!("{}{verb} {} ({size} in all)\n", names.concat(), counted(count, "image")))?;
        }
        Ok(())
    })
}

/// What the arguments ask to remove; entries are in order of experiment and time.
fn select<'a>(entries: &'a [Entry], args: &CleanArgs, now: Timestamp) -> Vec<&'a Entry> {
    let newer_finished = |entry: &Entry| {
        let newer = |other: &&Entry| {
            other.state == State::Complete && other.experiment == entry.experiment && other.name > entry.name
        };
        entries.iter().filter(newer).count()
    };
    let old = |entry: &Entry| args.older_than.is_none_or(|age| now.duration_since(entry.name.created()) > age.0);
    let is_doomed = |entry: &&Entry| match entry.state {
        State::Complete => {
            (args.older_than.is_some() || args.keep.is_some())
                && old(entry)
                && args.keep.is_none_or(|keep| newer_finished(entry) >= keep)
        }
        State::Partial => args.partial && old(entry),
        State::Running | State::Foreign => false,
    };
    entries.iter().filter(is_doomed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{scan, test_tree::Tree};

    const DAY: i64 = 24 * 3600;

    fn args() -> CleanArgs {
        CleanArgs {
            experiment: None,
            older_than: None,
            keep: None,
            partial: false,
            images: false,
            dry_run: false,
            results: None,
        }
    }

    /// Names of all that is there, links with their targets.
    fn there(tree: &Tree) -> Vec<String> {
        tree.listing()
    }

    #[test]
    fn ages_are_read() {
        let seconds = |text: &str| text.parse::<Age>().map(|age| age.0.as_secs());
        assert_eq!(["90s", "2m", "3h", "7d", "2w"].map(seconds), [90, 120, 10_800, 604_800, 1_209_600].map(Ok));
        for text in ["", "7", "d", "-1d", "1.5d", "7 d", "7y", "99999999999999999w", "٣d"] {
            assert!(text.parse::<Age>().is_err(), "{text}");
        }
        let why = |text: &str| text.parse::<Age>().unwrap_err();
        assert!(why("7").contains("is not an age") && why("d").contains("is not an age"));
        for (text, most) in
            [("99999999999999999w", "15250284452471w"), ("99999999999999999999999s", "9223372036854775807s")]
        {
            assert_eq!(why(text), format!("`{text}` is too long ago: at most {most} is understood"));
            assert!(most.parse::<Age>().is_ok());
        }
    }

    #[test]
    fn the_oldest_go_and_latest_follows() {
        let tree = Tree::new();
        tree.finished("small", DAY);
        let second = tree.finished("small", 2 * DAY);
        let other = tree.finished("other", DAY);
        run(&CleanArgs { keep: Some(1), ..args() }, tree.root()).expect("it works");
        let small = [format!("small/{second}"), format!("small/latest -> {second}")];
        let kept = [&[format!("other/{other}"), format!("other/latest -> {other}")], &small[..]].concat();
        assert_eq!(there(&tree), kept);

        run(&CleanArgs { experiment: Some("other".into()), keep: Some(0), ..args() }, tree.root()).expect("it works");
        assert_eq!(there(&tree), small);
    }

    #[test]
    fn latest_points_to_the_newest_that_remains() {
        let tree = Tree::new();
        let old = tree.finished("small", DAY);
        let new = tree.finished("small", 2 * DAY);
        let entries = scan(tree.root(), None).expect("a readable tree");
        let newest = entries.iter().find(|entry| entry.name.to_string() == new).expect("it is there");
        assert!(matches!(remove(newest), Ok(Removal::Removed(_))));
        assert_eq!(there(&tree), [format!("small/{old}"), format!("small/latest -> {old}")]);
    }

    #[test]
    fn older_than_and_keep_both_protect() {
        let tree = Tree::new();
        for day in [1, 5, 9] {
            tree.finished("small", day * DAY);
        }
        let entries = scan(tree.root(), None).expect("a readable tree");
        let now = Timestamp::from_second(10 * DAY).expect("in range");
        let days = |older_than: Option<&str>, keep| -> Vec<i64> {
            let older_than = older_than.map(|age| age.parse().expect("an age"));
            let args = CleanArgs { older_than, keep, ..args() };
            select(&entries, &args, now).iter().map(|entry| entry.name.created().as_second() / DAY).collect()
        };
        assert_eq!(days(Some("2d"), None), [1, 5]);
        assert_eq!(days(Some("2d"), Some(2)), [1]);
        assert_eq!(days(Some("6d"), Some(0)), [1]);
        assert_eq!(days(None, Some(1)), [1, 5]);
        assert_eq!(days(None, None), [0; 0]);
    }

    #[test]
    fn unfinished_results_go_when_their_maker_is_gone() {
        let tree = Tree::new();
        let running = tree.running("small", DAY);
        let left = tree.abandoned("small", 2 * DAY);
        run(&CleanArgs { partial: true, dry_run: true, ..args() }, tree.root()).expect("it works");
        assert_eq!(there(&tree).len(), 2, "a dry run removes nothing");
        run(&CleanArgs { partial: true, ..args() }, tree.root()).expect("it works");
        assert_eq!(there(&tree).len(), 1);
        assert!(!there(&tree)[0].contains(&left));
        drop(running);
        run(&CleanArgs { partial: true, ..args() }, tree.root()).expect("it works");
        assert_eq!(there(&tree), [""; 0], "and the experiment's empty directory goes too");
    }

    #[test]
    fn nothing_foreign_is_touched_and_no_link_is_followed() {
        let tree = Tree::new();
        tree.oddities();
        let before = there(&tree);
        let outside = tree.outside_listing();
        assert!(before.len() > 8 && !outside.is_empty());
        run(&CleanArgs { keep: Some(0), partial: true, ..args() }, tree.root()).expect("it works");
        assert_eq!(there(&tree), before);
        // Ours goes, with the links in it, but not what they point to.
        let ours = tree.finished("small", DAY);
        tree.link_outside(&format!("small/{ours}/logs/away"));
        run(&CleanArgs { keep: Some(0), partial: true, ..args() }, tree.root()).expect("it works");
        assert_eq!(there(&tree), before);
        assert_eq!(tree.outside_listing(), outside);
    }

    #[test]
    fn without_a_criterion_nothing_is_removed() {
        let tree = Tree::new();
        tree.finished("small", DAY);
        assert!(run(&args(), tree.root()).expect_err("no criterion").to_string().contains("--older-than"));
        assert_eq!(there(&tree).len(), 2);
    }
}
