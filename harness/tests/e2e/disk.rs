//! Results that cannot be written, because the disk is full or files may not grow: what was measured is told and kept.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    process::{Command, Output},
};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::program::{alone, bin_dir, nothing_is_left, said, tiny, tiny_run, under_way};

/// What every such end must say.
fn told(output: &Output, cause: &str, unfinished: &Path) {
    assert_eq!(output.status.code(), Some(2), "{}", said(output));
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("only: ") && text.contains("/2 downloads"), "{}", said(output));
    assert!(error.contains("1 runs were measured, but their results could not be written"), "{}", said(output));
    assert!(error.contains(cause), "{cause}: {}", said(output));
    // Once of the record for `--resume`, once of the results, and nowhere else.
    for line in error.lines().filter(|line| line.contains(cause)) {
        let known = ["this run could not be kept for `--resume`: ", "error: 1 runs were measured"];
        assert!(known.iter().any(|begin| line.starts_with(begin)), "{line}: {}", said(output));
        assert_eq!(line.matches(cause).count(), 1, "a cause is said once: {}", said(output));
    }
    assert!(error.matches(cause).count() <= 2, "{}", said(output));
    assert!(error.contains(&*unfinished.to_string_lossy()), "{}: {}", unfinished.display(), said(output));
    assert!(!error.contains("panicked"), "{}", said(output));
}

/// The only directory of unfinished results.
fn unfinished(results: &Path) -> std::path::PathBuf {
    let mut names = fs::read_dir(results.join("tiny")).expect("results").map(|entry| entry.expect("an entry").path());
    let found = names.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".partial-")));
    found.expect("what there is stays")
}

#[test]
fn a_limit_of_file_sizes_is_told_like_a_full_disk() {
    let _alone = alone();
    let project = tiny();
    let run = under_way(tiny_run(project.path(), &[]));
    let limit = Rlimit { current: Some(1000), maximum: Some(1000) };
    prlimit(Some(Pid::from_child(&run.child)), Resource::Fsize, limit).expect("a limit can be lowered");
    let output = run.end();
    told(&output, "File too large", &unfinished(&project.path().join("results")));
    nothing_is_left(&bin_dir(), 5);
}

#[test]
fn nothing_can_be_written_at_all() {
    let project = tiny();
    let program = tiny_run(project.path(), &[]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -f 1; exec \"$@\"", "sh"]).arg(program.get_program()).args(program.get_args());
    let output = shell.output().expect("sh runs");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("plan.yaml") && error.contains("File too large"), "{}", said(&output));
}

#[test]
fn a_disk_that_fills_up_during_the_run() {
    let _alone = alone();
    let project = tiny();
    let results = project.path().join("results");
    fs::create_dir(&results).expect("a directory");
    // A disk of its own, which only this shell and what it starts can see.
    let script = "mount -t tmpfs -o size=2m tmpfs \"$0\" && \"$@\"; code=$?; ls \"$0\"/tiny/.partial-*/; exit $code";
    let program = tiny_run(project.path(), &[]);
    let mut shell = Command::new("unshare");
    shell.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(&results);
    shell.arg(program.get_program()).args(program.get_args());
    let run = under_way(shell);
    // Inside, `unshare` has become the shell.
    let disk = Path::new("/proc").join(run.child.id().to_string()).join("root");
    let disk = disk.join(results.strip_prefix("/").expect("an absolute path"));
    let inside = unfinished(&disk);
    let mut filler = File::create(disk.join("filler")).expect("there is space yet");
    let full = loop {
        if let Err(error) = filler.write_all(&[0; 4096]) {
            break error;
        }
    };
    assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
    let output = run.end();
    told(&output, "No space left on device", &results.join("tiny").join(inside.file_name().expect("a name")));
    let listing = String::from_utf8_lossy(&output.stdout);
    for kept in ["plan.yaml", "logs", "nodes"] {
        assert!(listing.lines().any(|line| line == kept), "{kept} is kept: {}", said(&output));
    }
    nothing_is_left(&bin_dir(), 5);
}
