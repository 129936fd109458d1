//! For tests: a results directory with results in every state, and with what does not belong there.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use tempfile::TempDir;

use super::{Ending, Identity, ResultsDir, RunOutcome, layout};
use crate::{fixture, record::RunRecord};

/// A results directory, and beside it one that nothing may touch.
pub(crate) struct Tree {
    root: PathBuf,
    outside: PathBuf,
    _directory: TempDir,
}

/// An identity that does not depend on where tests run.
pub(crate) fn identity() -> Identity {
    Identity {
        version: "0.1.0".into(),
        commit: Some("0123456789abcdef0123456789abcdef01234567".into()),
        dirty: true,
        diff_blake3: Some("00".into()),
        cargo_lock_blake3: None,
        rustc: None,
        unknown_because: None,
    }
}

impl Tree {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (root, outside) = (directory.path().join("results"), directory.path().join("outside"));
        fs::create_dir(&root).expect("made");
        fs::create_dir(&outside).expect("made");
        fs::write(outside.join("precious"), "bytes").expect("written");
        Self { root: root.canonicalize().expect("it is there"), outside, _directory: directory }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Begins results at this second.
    pub(crate) fn running(&self, experiment: &str, second: i64) -> ResultsDir {
        let mut plan = fixture::plan("hybrid", 0);
        plan.experiment = experiment.into();
        let created = Timestamp::from_second(second).expect("in range");
        ResultsDir::create_at(&self.root, &[Arc::new(plan)], identity(), created).expect("made")
    }

    /// Finished results; their directory's name.
    pub(crate) fn finished(&self, experiment: &str, second: i64) -> String {
        self.of_record(experiment, second, fixture::record("hybrid", 0))
    }

    /// Finished results of a run that was interrupted and had a fault.
    pub(crate) fn invalid(&self, experiment: &str, second: i64) -> String {
        let mut record = fixture::record("hybrid", 0);
        record.interrupted = true;
        record.faults.push("a fault".into());
        self.of_record(experiment, second, record)
    }

    fn of_record(&self, experiment: &str, second: i64, record: RunRecord) -> String {
        let directory = self.running(experiment, second);
        directory.logs_dir("hybrid", 0).expect("made");
        let done = directory.finish(&[RunOutcome::of(record)], &Ending::Complete).expect("written");
        done.path.file_name().expect("a name").to_string_lossy().into_owned()
    }

    /// Unfinished results whose maker is gone; their directory's name.
    pub(crate) fn abandoned(&self, experiment: &str, second: i64) -> String {
        let directory = self.running(experiment, second);
        directory.path().file_name().expect("a name").to_string_lossy().into_owned()
    }

    /// Finished results with a summary that is cut off.
    pub(crate) fn damaged(&self, experiment: &str, second: i64) {
        let name = self.finished(experiment, second);
        fs::write(self.root.join(experiment).join(name).join(layout::SUMMARY_JSON), "{\"arms\":").expect("written");
    }

    /// Things that are not results, some of them looking like it.
    pub(crate) fn oddities(&self) {
        let path = |name: &str| self.root.join(name);
        let ours = "19700102T000000Z-0123456789";
        fs::write(path("README.md"), "text").expect("written");
        fs::create_dir_all(path("bench/table")).expect("made");
        fs::create_dir_all(path(&format!("odd/{ours}"))).expect("made");
        fs::create_dir_all(path("odd/not-ours")).expect("made");
        fs::create_dir_all(path("odd/.partial-not-ours")).expect("made");
        fs::create_dir_all(path(".hidden/19700103T000000Z-0123456789")).expect("made");
        fs::write(path(".hidden/19700103T000000Z-0123456789/manifest.json"), "{}").expect("written");
        fs::write(path("odd/19700104T000000Z-0123456789"), "a file").expect("written");
        fs::write(self.outside.join("manifest.json"), "{}").expect("written");
        self.link_outside("odd/19700105T000000Z-0123456789");
        self.link_outside("odd/.partial-19700106T000000Z-0123456789");
        self.link_outside("linked");
        self.link_outside("odd/latest");
        let inside = self.outside.join(ours);
        fs::create_dir(&inside).expect("made");
        fs::write(inside.join("manifest.json"), "{}").expect("written");
    }

    pub(crate) fn link_outside(&self, name: &str) {
        symlink(&self.outside, self.root.join(name)).expect("linked");
    }

    /// Everything two levels down but the directories that only hold others; links with their targets.
    pub(crate) fn listing(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for top in sorted(&self.root) {
            let name = top.file_name().expect("a name").to_string_lossy().into_owned();
            if top.is_symlink() || !top.is_dir() {
                lines.push(name);
                continue;
            }
            for below in sorted(&top) {
                let line = format!("{name}/{}", below.file_name().expect("a name").to_string_lossy());
                lines.push(match fs::read_link(&below) {
                    Ok(target) if target.is_relative() => format!("{line} -> {}", target.display()),
                    _ => line,
                });
            }
        }
        lines
    }

    pub(crate) fn outside_listing(&self) -> Vec<PathBuf> {
        let mut all = sorted(&self.outside);
        all.extend(all.clone().iter().filter(|path| path.is_dir()).flat_map(|path| sorted(path)));
        all
    }
}

fn sorted(path: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(path).expect("a directory").map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    paths
}
