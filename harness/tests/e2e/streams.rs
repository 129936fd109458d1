//! Standard streams that are closed or full: nothing panics, and the exit code says what it always says.

use std::{
    fs::File,
    os::fd::OwnedFd,
    process::{Command, Output, Stdio},
};

use rustix::pipe::{PipeFlags, pipe_with};

use crate::program::{peerbed, said};

/// A pipe whose reader has gone.
fn closed_pipe() -> OwnedFd {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    drop(reader);
    writer
}

fn full_device() -> File {
    File::options().write(true).open("/dev/full").expect("/dev/full can be written")
}

fn not_panicked(args: &[&str], output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", said(output));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{args:?}: {}", said(output));
}

#[test]
fn whoever_closes_the_pipe_has_read_enough() {
    for args in [
        &["schema"][..],
        &["topology", "generate"],
        &["ls", "--json"],
        &["plan", "quick"],
        &["plan", "quick", "--json"],
        &["check", "quick"],
        &["doctor", "--json"],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
    ] {
        let output = peerbed(args).stdout(closed_pipe()).output().expect("peerbed runs");
        not_panicked(args, &output, 0);
        assert!(output.stderr.is_empty(), "{args:?}: {}", said(&output));
    }
}

#[test]
fn a_full_standard_output_is_an_error_that_is_told() {
    for args in [&["schema"][..], &["topology", "generate"], &["ls"], &["plan", "quick"], &["completions", "bash"]] {
        let output = peerbed(args).stdout(full_device()).output().expect("peerbed runs");
        not_panicked(args, &output, 2);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("standard output cannot be written: No space left"), "{args:?}: {}", said(&output));
    }
}

#[test]
fn errors_that_nobody_can_read_keep_their_exit_code() {
    let wrong: [&[&str]; 4] =
        [&["check", "nonesuch"], &["run", "nonesuch"], &["nonesuch"], &["clean", "--older-than", "soon"]];
    for args in wrong {
        let streams: [fn() -> Stdio; 2] = [|| full_device().into(), || closed_pipe().into()];
        for stream in streams {
            let output = peerbed(args).stderr(stream()).output().expect("peerbed runs");
            not_panicked(args, &output, 2);
        }
        // No standard error at all; only a shell can start a program so.
        let program = peerbed(args);
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$@\" 2>&-", "sh"]).arg(program.get_program()).args(args);
        let output = shell.current_dir(crate::program::checkout()).output().expect("sh runs");
        not_panicked(args, &output, 2);
    }
}
