//! A line of commits whose programs are the real nodes behind a front that may make them slower: what versions are built from.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::program::{bin_dir, peerbed, said};

/// Peers deliver nearly everything, over connections of a fixed rate.
pub(crate) const CAPPED: &str = "\
question: With which commit did it become slower?
topology: one
seed: 5
duration: 20s
content: [{id: file, size: 2MiB, piece: 64KiB, provider: A}]
groups:
  - {name: seeds, as: net, peers: 3, access: line, holds: {file: 3}}
  - {name: homes, as: net, peers: 3, access: line, uploads: 0%}
workload: {groups: [homes], arrivals: {burst: 3, at: 200ms, within: 500ms}}
policy:
  uploads: {connection_rate: 4mbit, per_copy: 1000}
  edge: {mode: deficit, target_rate: 1mbit}
  downloads: {max_sources: 3}
arms: {as-is: {}, worse: {policy.uploads.connection_rate: 2mbit}}
compare: {arm: as-is, pairs: [6], metrics: [{metric: speed_ranked_mbps.p50, margin: 10%}]}
";

pub(crate) const NET: &str = "\
access: {line: {up: 20mbit, down: 40mbit, delay: 5ms}, server: {up: 1gbit, down: 1gbit, delay: 1ms}}
ases: [{name: net, number: 64500, region: west, prefix: 10.0.0.0/16}]
edges: [{as: net, access: server}]
control: [{as: net, access: server}]
";

pub(crate) const SPEED: &str = "speed_ranked_mbps.p50";

/// A program that changes its configuration and then becomes the real one.
pub(crate) fn front(program: &str, revision: u32, rate: u64) -> String {
    let real = bin_dir().join(program);
    let real = real.display();
    format!(
        r#"use std::{{fs, os::unix::process::CommandExt, process::Command}};
fn main() {{
    let revision = std::hint::black_box("revision {revision}");
    let args: Vec<String> = std::env::args().skip(1).collect();
    for path in args.iter().filter(|arg| arg.ends_with(".json")) {{
        let text = fs::read_to_string(path).expect(revision);
        fs::write(path, text.replace("\"connection_rate_bps\":4000000", "\"connection_rate_bps\":{rate}")).expect(revision);
    }}
    panic!("{{}}", Command::new("{real}").args(args).exec());
}}
"#
    )
}

/// A checkout of which versions can be built.
pub(crate) struct Repository(pub(crate) PathBuf);

impl Repository {
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let fixed = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"];
        let output = Command::new("git").args(fixed).args(args).current_dir(&self.0).output().expect("git");
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("written");
    }

    /// Commits what was written; gives the commit.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "."]);
        self.git(&["commit", "-q", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub(crate) fn of(path: &Path) -> Self {
        let repository = Self(path.to_owned());
        fs::create_dir(path).expect("a directory");
        repository.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"control\", \"edge\", \"peer\"]\n");
        repository.write(".gitignore", "/target\n/results\n");
        for program in ["control", "edge", "peer"] {
            let bin = format!("[[bin]]\nname = \"{program}\"\npath = \"main.rs\"\n");
            let package =
                format!("[package]\nname = \"peerbed-{program}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n{bin}");
            repository.write(&format!("{program}/Cargo.toml"), &package);
            repository.write(&format!("{program}/main.rs"), &front(program, 1, 4_000_000));
        }
        repository.write("experiments/capped.yaml", CAPPED);
        repository.write("topologies/one.yaml", NET);
        repository.git(&["init", "-q", "-b", "main"]);
        let mut locked = Command::new("cargo");
        let locked = locked.args(["generate-lockfile", "--offline"]).current_dir(path).output().expect("cargo");
        assert!(locked.status.success(), "{}", said(&locked));
        repository
    }
}

impl Repository {
    /// The program on this checkout, with a cache of its own.
    pub(crate) fn peerbed(&self, args: &[&str]) -> Command {
        let mut command = peerbed(&["--project", self.0.to_str().expect("UTF-8")]);
        command.args(args).env("XDG_CACHE_HOME", self.0.parent().expect("a parent").join("cache"));
        command
    }

    /// Makes the noise of `capped` known: one real pair of equal programs, told twelve times. What that costs to measure is the
    /// matter of another test.
    pub(crate) fn know_noise(&self) {
        let path = self.0.join("results/aa.jsonl");
        let mut text = String::new();
        for _ in 0..5 {
            let aa = self.peerbed(&["calibrate", "capped", "--aa", "--pairs", "1"]).output().expect("it runs");
            text = fs::read_to_string(&path).unwrap_or_default();
            if !text.is_empty() {
                break;
            }
            eprintln!("measuring again: {}", said(&aa));
        }
        let line = text.lines().next().expect("a pair that can be believed");
        fs::write(&path, format!("{line}\n").repeat(12)).expect("written");
    }
}
