//! The main job as an ordinary user, whoever runs the tests.

use std::{
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Command,
};

use crate::program::{NOBODY, alone, bin_dir, checkout, json, measure, nothing_is_left, said};

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("it can be listed") {
        let path = entry.expect("an entry").path();
        // Beside the files stand directories with what single experiments need.
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("it can be copied");
        }
    }
}

#[test]
fn quick_runs_without_any_privilege() {
    let _alone = alone();
    // A project of its own, which a user without rights can read, wherever the checkout is.
    let home = tempfile::tempdir().expect("a temporary directory");
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).expect("a directory");
    for program in ["peerbed", "edge", "control", "peer"] {
        std::fs::copy(bin_dir().join(program), bin.join(program)).expect("a program can be copied");
    }
    for part in ["experiments", "topologies"] {
        copy(&checkout().join(part), &home.path().join(part));
    }
    let results = home.path().join("results");
    std::fs::create_dir(&results).expect("a directory");
    let everyone = |path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    everyone(home.path(), 0o755);
    everyone(results.as_path(), 0o777);

    let output = measure(|| {
        let mut command = Command::new(bin.join("peerbed"));
        command.args(["run", "quick", "--json", "--ends", "packet"]).current_dir(home.path());
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    });
    assert!(output.status.success(), "{}", said(&output));
    let summary = json(&output);
    for arm in ["edge-only", "hybrid"] {
        assert_eq!(summary["arms"][arm]["valid"], true, "{summary:#}");
    }
    nothing_is_left(&bin, 5);
}
