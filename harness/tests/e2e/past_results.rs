//! `ls` and `clean` where not everything in the results is as it should be.

use std::{
    fs::{self, File, Permissions},
    os::unix::{
        fs::{PermissionsExt, chown, symlink},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use crate::program::{NOBODY, bin_dir, peerbed, said};

const NAME: &str = "20260101T000000Z-0123456789";

fn make(directory: &Path) {
    fs::create_dir_all(directory).expect("a directory");
    fs::write(directory.join("manifest.json"), "{}").expect("a file");
    fs::write(directory.join("summary.json"), r#"{"arms": {}}"#).expect("a file");
}

#[test]
fn a_directory_that_cannot_be_read_hides_no_others() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let root = rustix::process::geteuid().is_root();
    let program = home.path().join("peerbed");
    fs::copy(bin_dir().join("peerbed"), &program).expect("a program can be copied");
    let results = home.path().join("results");
    make(&results.join("closed").join(NAME));
    make(&results.join("open").join(NAME));
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
    mode(home.path(), 0o755);
    // Nothing is closed to root, so the program is then another user's, whose all the rest is.
    for directory in [results.clone(), results.join("open"), results.join("open").join(NAME)] {
        if root {
            chown(&directory, Some(NOBODY), Some(NOBODY)).expect("root may give files away");
        }
    }
    mode(&results.join("closed"), 0o000);
    let as_user = |args: &[&str]| {
        let mut command = Command::new(&program);
        command.args(args).arg("--results").arg(&results).current_dir("/");
        if root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    let output = as_user(&["ls"]).output().expect("peerbed runs");
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("open") && !text.contains("closed"), "{}", said(&output));
    assert!(error.contains("closed") && error.contains("cannot be read"), "{}", said(&output));
    // A warning that nobody can read ends nothing.
    let full = File::options().write(true).open("/dev/full").expect("/dev/full can be written");
    let unheard = as_user(&["ls"]).stderr(full).output().expect("peerbed runs");
    assert_eq!((unheard.status, &unheard.stdout), (output.status, &output.stdout), "{}", said(&unheard));

    let output = as_user(&["clean", "--older-than", "1d"]).output().expect("peerbed runs");
    assert!(output.status.success() && said(&output).contains("1 directory"), "{}", said(&output));
    mode(&results.join("closed"), 0o755);
    assert!(results.join("closed").join(NAME).is_dir() && !results.join("open").exists());
}

#[test]
fn what_is_no_directory_is_nobodys_and_what_is_no_summary_is_unreadable() {
    let results = tempfile::tempdir().expect("a temporary directory");
    let dir = results.path().to_str().expect("UTF-8");
    let odd = |name: &str| results.path().join(name);
    fs::write(odd("letter"), "").expect("a file");
    symlink("round", odd("round")).expect("a link");
    symlink("nowhere", odd("dangling")).expect("a link");
    let one = results.path().join("small").join(NAME);
    make(&one);
    // Read to its end, it would never come to one.
    fs::remove_file(one.join("summary.json")).expect("it was made");
    symlink("/dev/zero", one.join("summary.json")).expect("a link");
    let output = peerbed(&["ls", "--results", dir]).output().expect("peerbed runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", said(&output));
    assert!(text.contains("UNREADABLE: summary.json: it is a device; a regular file is expected"), "{text}");
    assert!(["letter", "round", "dangling"].iter().all(|name| !text.contains(name)), "{text}");
    let output = peerbed(&["clean", "--older-than", "1d", "--results", dir]).output().expect("peerbed runs");
    assert!(output.status.success() && !one.exists(), "{}", said(&output));
    assert!(odd("letter").is_file() && odd("round").is_symlink() && odd("dangling").is_symlink());
}

#[test]
fn clean_names_a_name_that_is_not_there() {
    let results = tempfile::tempdir().expect("a temporary directory");
    let dir = results.path().to_str().expect("UTF-8");
    make(&results.path().join("small").join(NAME));
    let output = peerbed(&["clean", "smal", "--keep", "0", "--results", dir]).output().expect("peerbed runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(error.contains("no results of `smal`") && error.contains("peerbed ls"), "{}", said(&output));
    assert!(results.path().join("small").join(NAME).is_dir());
}
