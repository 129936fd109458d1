//! `peerbed bisect` on a real line of commits, whose programs are the real nodes behind a front that may make them slower.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::program::{alone, bin_dir, json, measure, peerbed, said};

/// Peers deliver nearly everything, over connections of a fixed rate.
const CAPPED: &str = "\
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
arms: {as-is: {}}
compare: {pairs: [6], metrics: [{metric: speed_ranked_mbps.p50, margin: 10%}]}
";

const NET: &str = "\
access: {line: {up: 20mbit, down: 40mbit, delay: 5ms}, server: {up: 1gbit, down: 1gbit, delay: 1ms}}
ases: [{name: net, number: 64500, region: west, prefix: 10.0.0.0/16}]
edges: [{as: net, access: server}]
control: [{as: net, access: server}]
";

const SPEED: &str = "speed_ranked_mbps.p50";

/// A program that changes its configuration and then becomes the real one.
fn front(program: &str, revision: u32, rate: u64) -> String {
    let real = bin_dir().join(program);
    format!(
        r#"use std::{{fs, os::unix::process::CommandExt, process::Command}};
fn main() {{
    let revision = std::hint::black_box("revision {revision}");
    let args: Vec<String> = std::env::args().skip(1).collect();
    for path in args.iter().filter(|arg| arg.ends_with(".json")) {{
        let text = fs::read_to_string(path).expect(revision);
        fs::write(path, text.replace("\"connection_rate_bps\":4000000", "\"connection_rate_bps\":{rate}")).expect(revision);
    }}
    panic!("{{}}", Command::new({real:?}).args(args).exec());
}}
"#
    )
}

struct Repository(PathBuf);

impl Repository {
    fn git(&self, args: &[&str]) -> String {
        let fixed = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"];
        let output = Command::new("git").args(fixed).args(args).current_dir(&self.0).output().expect("git");
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("written");
    }

    /// Commits what was written; gives the commit.
    fn commit(&self, message: &str) -> String {
        self.git(&["add", "."]);
        self.git(&["commit", "-q", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn of(path: &Path) -> Self {
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

#[test]
fn the_commit_that_made_it_slower_is_found_and_what_cannot_be_built_is_left_out() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a directory");
    let repository = Repository::of(&directory.path().join("checkout"));
    let good = repository.commit("one");
    repository.write("README", "no program");
    repository.commit("two: the same programs");
    repository.write("peer/main.rs", &front("peer", 3, 4_000_000));
    let harmless = repository.commit("three: other programs, as fast");
    repository.write("peer/main.rs", "fn main() { this is no program }\n");
    let broken = repository.commit("four: cannot be built");
    repository.write("peer/main.rs", &front("peer", 5, 2_000_000));
    let slow = repository.commit("five: half as fast");
    repository.write("README", "still no program");
    let bad = repository.commit("six: the same programs again");

    let (at, cache) = (repository.0.to_str().expect("UTF-8"), directory.path().join("cache"));
    // Noise is measured of the real programs: the fronts become those.
    let aa = measure(|| {
        let mut aa = peerbed(&["--project", at, "calibrate", "capped", "--aa", "--pairs", "14", "--json"]);
        aa.env("XDG_CACHE_HOME", &cache);
        aa
    });
    assert!(aa.status.success(), "{}", said(&aa));

    let bisect_by = |metric: &str, good: &str, bad: &str| {
        let mut command = peerbed(&["--project", at, "bisect", good, bad, "--experiment", "capped"]);
        command.args(["--metric", metric, "--calibrate", "never", "--pairs", "6", "--json"]);
        command.env("XDG_CACHE_HOME", &cache);
        command
    };
    let bisect = |good: &str, bad: &str| bisect_by(SPEED, good, bad);
    let found = measure(|| bisect(&good, &bad));
    // Four cannot be built: it, or five.
    assert_eq!(found.status.code(), Some(3), "{}", said(&found));
    let record = json(&found);
    assert_eq!(record["suspects"], serde_json::json!([broken, slow]), "{}", said(&found));
    let whole = record["whole"]["estimate"].as_f64().expect("a number");
    assert!((-0.6..-0.3).contains(&whole), "half as fast: {whole}");
    let of = |commit: &str| {
        let steps = record["steps"].as_array().expect("steps");
        steps.iter().find(|step| step["commit"] == commit).cloned().unwrap_or(Value::Null)
    };
    assert_eq!((&of(&harmless)["side"], &of(&broken)["side"]), (&"good".into(), &Value::Null), "{}", said(&found));
    let compared = of(&harmless)["directory"].as_str().map(PathBuf::from).expect("a comparison");
    assert!(compared.join("verdict.json").exists() && compared.join("report.html").exists());

    // Between commits that both are slow, nothing is to be found; and there is no line from five to three.
    let same = bisect(&slow, &bad).output().expect("it runs");
    assert_eq!(same.status.code(), Some(3), "{}", said(&same));
    assert!(said(&same).contains("both ends have the same programs"), "{}", said(&same));
    let refused = |mut command: Command, why: &str| {
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(why), "lacks {why}: {}", said(&output));
    };
    refused(bisect(&slow, &harmless), "is not among the first parents of");
    refused(bisect(&good, &good), "is not among the first parents of");
    refused(bisect("nothing", &bad), "git knows no commit `nothing`");
    refused(bisect_by("speed_ranked_mbps", &good, &bad), "speed_ranked_mbps.p10, speed_ranked_mbps.p50");
}
