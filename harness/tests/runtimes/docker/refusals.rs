//! What cannot be is refused before anything is made, with exit code 2 and a way out.

use std::{os::unix::fs::PermissionsExt, path::Path, process::Command};

use super::user::Home;
use crate::program::{checkout, said, tiny, tiny_run};

/// That `command` ends with exit code 2, and what it says has all these words.
fn refused(mut command: Command, words: &[&str]) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
    assert!(output.status.code() == Some(2) && missing.is_empty(), "without {missing:?}: {}", said(&output));
}

/// `peerbed run tiny --runtime docker` in this project.
fn run(project: &Path) -> Command {
    tiny_run(project, &["--runtime", "docker"])
}

pub(super) async fn an_engine_that_does_not_answer_is_named() {
    let project = tiny();
    let with = |variables: &[(&str, &str)]| {
        let mut command = run(project.path());
        command.env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT").envs(variables.iter().copied());
        command
    };
    let nowhere = "unix:///nowhere/docker.sock";
    refused(with(&[("DOCKER_HOST", nowhere)]), &[nowhere, "DOCKER_HOST", "No such file", "systemctl start docker"]);
    refused(with(&[("DOCKER_HOST", "tcp://127.0.0.1:1")]), &["tcp://127.0.0.1:1", "no Docker engine answers"]);
    refused(with(&[("DOCKER_HOST", "ssh://me@there")]), &["ssh://me@there", "another machine", "DOCKER_HOST=unix://"]);
    refused(with(&[("DOCKER_CONTEXT", "nonesuch")]), &["`nonesuch`", "DOCKER_CONTEXT", "docker context ls"]);

    // Somebody listens who is not to be spoken to.
    let home = Home::new();
    let socket = home.path().join("docker.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = home.run(None);
    command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    refused(command, &["ermission denied", "usermod -aG docker"]);
}

/// The project with something else said of its only group.
fn with_group(more: &str) -> tempfile::TempDir {
    let project = tiny();
    let file = project.path().join("experiments/tiny.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let changed = text.replace("access: home}]", &format!("access: home, {more}}}]"));
    assert_ne!(changed, text);
    std::fs::write(file, changed).unwrap();
    project
}

pub(super) async fn an_image_that_is_not_there_is_named() {
    let project = with_group("image: \"peerbed-tests-nothing:1\"");
    refused(run(project.path()), &["`peerbed-tests-nothing:1`", "docker pull peerbed-tests-nothing:1", "homes"]);
}

pub(super) async fn a_command_without_an_image_is_refused() {
    let project = with_group("command: [\"/bin/true\"]");
    refused(run(project.path()), &["homes", "`image`", "--runtime netns"]);
}

pub(super) async fn a_node_program_that_needs_more_than_itself_is_refused() {
    let project = tiny();
    let nodes = tempfile::tempdir().unwrap();
    for (peer, why) in
        [(&b"#!/bin/sh\n"[..], "it is a script"), (&std::fs::read("/bin/sh").unwrap(), "it needs libraries")]
    {
        for (name, content) in [("control", &b"#!/bin/sh\n"[..]), ("edge", b"#!/bin/sh\n"), ("peer", peer)] {
            let file = nodes.path().join(name);
            std::fs::write(&file, content).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = run(project.path());
        command.env("PEERBED_NODES", nodes.path());
        let peer = nodes.path().join("peer").display().to_string();
        refused(command, &[&peer, why, "make build", "`control`"]);
    }
    assert!(checkout().is_dir() && !project.path().join("results/tiny/latest").exists(), "nothing was begun");
}
