//! `peerbed compare` and `peerbed calibrate --aa` on real runs: equal programs, worse ones, dead ones, and ends in the middle.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::program::{alone, bin_dir, json, measure, nothing_is_left, peerbed, project, said, tiny, under_way};

/// Two arms of which one delivers at half the rate: as if the programs of one had become slower.
const SLOWER: &str = "\
question: Is it slower?
topology: one
seed: 5
duration: 20s
content: [{id: file, size: 2MiB, provider: A}]
groups: [{name: homes, as: net, peers: 4, access: line}]
workload: {arrivals: {burst: 4, at: 200ms, within: 1s}}
arms:
  as-is: {}
  slower: {topology.access.line.down: 8mbit}
";

const NET: &str = "\
access: {line: {up: 4mbit, down: 16mbit, delay: 5ms}, server: {up: 1gbit, down: 1gbit, delay: 1ms}}
ases: [{name: net, number: 64500, region: west, prefix: 10.0.0.0/16}]
edges: [{as: net, access: server}]
control: [{as: net, access: server}]
";

fn compare(project: &Path, args: &[&str]) -> Command {
    let programs = bin_dir();
    let programs = programs.to_str().expect("UTF-8");
    let mut command = peerbed(&["--project", project.to_str().expect("UTF-8"), "compare", "--calibrate", "never"]);
    if !args.contains(&"--head-programs") {
        command.args(["--head-programs", programs]);
    }
    command.args(["--base-programs", programs]).args(args);
    command
}

fn newest(project: &Path, experiment: &str) -> PathBuf {
    project.join("results/compare").join(experiment).join("latest").canonicalize().expect("results")
}

fn word<'v>(verdict: &'v Value, figure: &str) -> &'v str {
    let findings = verdict["findings"].as_array().expect("findings");
    let found = findings.iter().find(|finding| finding["figure"] == figure).expect("the figure");
    found["verdict"].as_str().expect("a word")
}

#[test]
fn equals_are_measured_and_then_something_slower_is_found() {
    let _alone = alone();
    let project = project(("slow", SLOWER), ("one", NET));
    let at = project.path();
    let aa = measure(|| {
        let mut aa =
            peerbed(&["--project", at.to_str().expect("UTF-8"), "calibrate", "slow", "--aa", "--arm", "as-is"]);
        aa.args(["--pairs", "15", "--json"]);
        aa
    });
    assert!(aa.status.success(), "{}", said(&aa));
    assert_eq!(json(&aa)["same_programs"], true, "{}", said(&aa));

    let late = measure(|| {
        compare(at, &["--experiment", "slow", "--arm", "as-is", "--head-arm", "slower", "--pairs", "10,20", "--json"])
    });
    assert_eq!(late.status.code(), Some(1), "{}", said(&late));
    assert_eq!(json(&late)["pairs_made"], 10, "it ends at the first look: {}", said(&late));
    let directory = newest(at, "slow");
    let file = fs::read(directory.join("verdict.json")).expect("a verdict");
    let verdict: Value = serde_json::from_slice(&file).expect("JSON");
    assert_eq!(word(&verdict, "speed_ranked_mbps.p50"), "regressed");
    assert_eq!((word(&verdict, "failure_rate"), word(&verdict, "downloads.planned")), ("no-change", "no-change"));
    assert!(fs::read_to_string(directory.join("summary.md")).expect("text").starts_with("# slow: REGRESSED"));

    // The files alone give the same verdict, to the byte.
    let replay =
        peerbed(&["compare", "--replay", directory.to_str().expect("UTF-8"), "--json"]).output().expect("it runs");
    assert_eq!(replay.status.code(), Some(1), "{}", said(&replay));
    assert_eq!(replay.stdout, file);
    assert!(String::from_utf8_lossy(&replay.stderr).contains("the same, to the byte"), "{}", said(&replay));
    nothing_is_left(at, 5);
}

#[test]
fn programs_that_die_are_the_subjects_failure() {
    let _alone = alone();
    let project = tiny();
    let dead = project.path().join("dead");
    fs::create_dir(&dead).expect("a directory");
    for program in ["control", "edge", "peer"] {
        fs::copy(bin_dir().join(program), dead.join(program)).expect("a copy");
    }
    // It says that it is ready like any other, and is gone a moment later.
    let script = "#!/bin/sh\nshift\nexec 3<&0\n";
    let peer = format!(
        "{script}{}/peer.real --config \"$1\" <&3 &\npeer=$!\nsleep 2\nkill -9 $peer\nexit 101\n",
        dead.display()
    );
    fs::rename(dead.join("peer"), dead.join("peer.real")).expect("renamed");
    fs::write(dead.join("peer"), peer).expect("written");
    fs::set_permissions(dead.join("peer"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a program");
    let dead = dead.to_str().expect("UTF-8");
    let output = compare(project.path(), &["--experiment", "tiny", "--pairs", "6", "--head-programs", dead]).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("ended with code 101"), "{}", said(&output));
    nothing_is_left(project.path(), 5);
}

#[test]
fn whole_products_carry_their_own_runs_and_end_with_whoever_compares_them() {
    let _alone = alone();
    let project = tiny();
    let other = project.path().join("other");
    fs::create_dir(&other).expect("a directory");
    for program in ["control", "edge", "peer"] {
        fs::copy(bin_dir().join(program), other.join(program)).expect("a copy");
    }
    let harness = |script: &str| {
        fs::write(other.join("peerbed"), format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(other.join("peerbed"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("a program");
    };
    let head = other.to_str().expect("UTF-8");
    let wanted = ["--experiment", "tiny", "--pairs", "6", "--whole", "--head-programs", head];
    let missing = compare(project.path(), &wanted).output().expect("it runs");
    assert_eq!(missing.status.code(), Some(2), "{}", said(&missing));
    assert!(said(&missing).contains("must have the programs control, edge, peer, peerbed"), "{}", said(&missing));

    let real = bin_dir().join("peerbed");
    let carried = project.path().join("carried");
    harness(&format!("echo \"$1\" >> {}\nexec {} \"$@\"", carried.display(), real.display()));
    let output = compare(project.path(), &wanted).output().expect("it runs");
    // Without the noise of the machine nothing is decided; on a busy one runs are INVALID.
    assert!(matches!(output.status.code(), Some(0 | 3 | 4)), "{}", said(&output));
    assert_eq!(fs::read_to_string(&carried).expect("it carried"), "carry\n".repeat(6), "the runs of the head");
    assert!(!said(&output).contains("could not be kept"), "{}", said(&output));
    let planned = fs::read(newest(project.path(), "tiny").join("comparison.json")).expect("what was planned");
    let planned: Value = serde_json::from_slice(&planned).expect("JSON");
    assert_eq!((&planned["whole"], &planned["same_programs"]), (&Value::Bool(true), &Value::Bool(false)));
    let runs = fs::read(newest(project.path(), "tiny").join("summary.json")).expect("a summary");
    let runs: Value = serde_json::from_slice(&runs).expect("JSON");
    assert_eq!(runs["arms"]["head"]["runs_detail"].as_array().map(Vec::len), Some(6));

    // Whoever compares is killed while another harness carries a run.
    let started = project.path().join("started");
    rustix::fs::mkfifoat(rustix::fs::CWD, &started, rustix::fs::Mode::RWXU).expect("a pipe");
    harness(&format!("echo > {}\nexec {} \"$@\"", started.display(), real.display()));
    let mut child =
        compare(project.path(), &wanted).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    assert_eq!(fs::read(&started).expect("it started"), b"\n");
    kill_process(Pid::from_child(&child), Signal::KILL).expect("it can be told");
    child.wait().expect("it ends");
    nothing_is_left(project.path(), 10);

    harness("echo there is no such command >&2\nexit 2");
    let refused = compare(project.path(), &wanted).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(5), "{}", said(&refused));
    let why = "did not carry the run (exit status: 2)";
    assert!(said(&refused).contains(why) && said(&refused).contains("there is no such command"), "{}", said(&refused));
    // Judged again it is the same, and no verdict.
    let directory = newest(project.path(), "tiny");
    let again = peerbed(&["compare", "--replay", directory.to_str().expect("UTF-8")]).output().expect("it runs");
    assert!(again.status.code() == Some(5) && said(&again).contains(why), "{}", said(&again));
    assert!(!directory.join("verdict.json").exists());
}

#[test]
fn an_end_in_the_middle_of_a_pair_keeps_what_was_measured() {
    let _alone = alone();
    let project = tiny();
    let running = under_way(compare(project.path(), &["--experiment", "tiny", "--pairs", "6"]));
    kill_process(Pid::from_child(&running.child), Signal::INT).expect("signalled");
    let output = running.end();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let directory = newest(project.path(), "tiny");
    let replay = peerbed(&["compare", "--replay", directory.to_str().expect("UTF-8")]).output().expect("it runs");
    assert_eq!(replay.status.code(), Some(3), "{}", said(&replay));
    assert!(String::from_utf8_lossy(&replay.stdout).contains("ended after 0 pairs"), "{}", said(&replay));
    nothing_is_left(project.path(), 5);
}

#[test]
fn a_comparison_that_was_killed_in_the_middle_of_a_pair_goes_on() {
    let _alone = alone();
    let project = tiny();
    let wanted = ["--experiment", "tiny", "--pairs", "6"];
    let mut command = compare(project.path(), &wanted);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("peerbed starts");
    let stderr = BufReader::new(child.stderr.take().expect("standard error is piped"));
    for line in stderr.lines().map(|line| line.expect("standard error is text")) {
        // The fourth of twelve runs is the second of the second pair.
        if line.starts_with("[4/12]") && line.ends_with("nodes ready") {
            kill_process(Pid::from_child(&child), Signal::KILL).expect("it can be told");
        }
    }
    child.wait().expect("it ends");
    nothing_is_left(&bin_dir(), 5);

    let other = project.path().join("other");
    fs::create_dir(&other).expect("a directory");
    for program in ["control", "edge", "peer"] {
        fs::copy(bin_dir().join(program), other.join(program)).expect("a copy");
    }
    fs::OpenOptions::new()
        .append(true)
        .open(other.join("peer"))
        .and_then(|mut peer| peer.write_all(b" "))
        .expect("written");
    let mut others = wanted.to_vec();
    others.extend(["--head-programs", other.to_str().expect("UTF-8"), "--resume"]);
    let refused = compare(project.path(), &others).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("are of another sweep (compared: "), "{}", said(&refused));

    let mut again = wanted.to_vec();
    again.extend(["--resume", "--json"]);
    let output = compare(project.path(), &again).output().expect("it runs");
    // Without the noise of the machine nothing is decided; on a busy one runs are INVALID.
    assert!(matches!(output.status.code(), Some(0 | 3 | 4)), "{}", said(&output));
    assert!(said(&output).contains("taking over 3 of 12 runs"), "{}", said(&output));
    assert_eq!(json(&output)["pairs_made"], 6, "{}", said(&output));
    nothing_is_left(project.path(), 5);

    // Evidence of two machines is none.
    let directory = newest(project.path(), "tiny");
    let manifest = directory.join("manifest.json");
    let mut mixed: Value = serde_json::from_slice(&fs::read(&manifest).expect("a manifest")).expect("JSON");
    mixed["runs"][7]["fingerprint"] = "0123456789abcdef".into();
    fs::write(&manifest, mixed.to_string()).expect("written");
    let replay = peerbed(&["compare", "--replay", directory.to_str().expect("UTF-8")]).output().expect("it runs");
    assert_eq!(replay.status.code(), Some(2), "{}", said(&replay));
    assert!(said(&replay).contains("with 0123456789abcdef: measure both at one place"), "{}", said(&replay));
}

#[test]
fn what_cannot_be_compared_is_said_before_anything_runs() {
    let project = project(("slow", SLOWER), ("one", NET));
    let refused = |args: &[&str], why: &str| {
        let output = compare(project.path(), args).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(why), "{args:?} lacks {why}: {}", said(&output));
    };
    refused(&["--experiment", "slow"], "or as `compare.arm` in the file; it has: as-is, slower");
    refused(&["--experiment", "slow", "--arm", "fast"], "has no arm `fast`");
    refused(&["--experiment", "slow", "--arm", "as-is", "--pairs", "5"], "whole numbers from 6 to 500");
    refused(&["--experiment", "slow", "--arm", "as-is", "--head-programs", "/nonexistent"], "cannot open /nonexistent");
    refused(&["--experiment", "fast"], "there is no experiment `fast`");
    refused(&[], "--experiment");
    assert!(!project.path().join("results").exists());
}

/// A repository with three programs that cargo builds: they are no nodes, and all that matters is which they are.
struct Repository {
    directory: tempfile::TempDir,
}

impl Repository {
    /// With two commits, the second of which changes no program.
    fn new() -> Self {
        let repository = Self { directory: tempfile::tempdir().expect("a directory") };
        repository.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"control\", \"edge\", \"peer\"]\n");
        repository.write(".gitignore", "/target\n/results\n");
        for program in ["control", "edge", "peer"] {
            let bin = format!("[[bin]]\nname = \"{program}\"\npath = \"main.rs\"\n");
            repository.write(
                &format!("{program}/Cargo.toml"),
                &format!("[package]\nname = \"peerbed-{program}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n{bin}"),
            );
            repository.write(&format!("{program}/main.rs"), "fn main() { println!(\"{}\", 1); }\n");
        }
        repository.write("experiments/slow.yaml", SLOWER);
        repository.write("topologies/one.yaml", NET);
        repository.git(&["init", "-q"]);
        let mut locked = Command::new("cargo");
        let locked = locked.args(["generate-lockfile", "--offline"]).current_dir(repository.checkout()).output();
        let locked = locked.expect("cargo");
        assert!(locked.status.success(), "{}", said(&locked));
        repository.commit("one");
        repository.write("README", "no program");
        repository.commit("two");
        repository
    }

    fn checkout(&self) -> PathBuf {
        self.directory.path().join("checkout")
    }

    fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    /// The directory in the cache where versions are built.
    fn builds(&self) -> PathBuf {
        let mut all = fs::read_dir(self.cache().join("peerbed/builds")).expect("a directory");
        all.next().expect("one repository").expect("readable").path()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.checkout().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("written");
    }

    fn git(&self, args: &[&str]) -> String {
        let fixed = ["user.name=t", "user.email=t@t", "commit.gpgsign=false", "init.defaultBranch=main"];
        let mut command = Command::new("git");
        command.args(fixed.iter().flat_map(|setting| ["-c", setting])).args(args).current_dir(self.checkout());
        let output = command.output().expect("git");
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "."]);
        self.git(&["commit", "-q", "-m", message]);
    }

    /// Compares; what was said, and what was planned.
    fn compare(&self, base: &str, head: &str, variables: &[(&str, &str)]) -> (String, Value) {
        let checkout = self.checkout();
        let mut command = peerbed(&["--project", checkout.to_str().expect("UTF-8"), "compare", base, head]);
        command.args(["--experiment", "slow", "--arm", "as-is", "--calibrate", "never", "--pairs", "6"]);
        let output = command.env("XDG_CACHE_HOME", self.cache()).envs(variables.iter().copied()).output();
        let output = output.expect("it runs");
        // They ended before they were ready.
        assert_eq!(output.status.code(), Some(5), "{}", said(&output));
        let planned = fs::read(newest(&checkout, "slow").join("comparison.json")).expect("what was planned");
        (said(&output), serde_json::from_slice::<Value>(&planned).expect("JSON"))
    }
}

#[test]
fn commits_are_built_side_by_side_and_the_checkout_stays_as_it_is() {
    let repository = Repository::new();
    let git = |args: &[&str]| repository.git(args);
    let run = |base: &str, head: &str| repository.compare(base, head, &[]);
    repository.write("peer/main.rs", "fn main() { println!(\"{}\", 2); }\n");
    repository.write("note", "not committed");
    git(&["add", "note"]);
    let (status, head) = (git(&["status", "--porcelain"]), git(&["rev-parse", "HEAD"]));

    let (text, planned) = run("HEAD~1", "HEAD");
    assert!(text.contains("HEAD~1: building") && text.contains("HEAD: building"), "{text}");
    assert_eq!(planned["same_programs"], true, "the commits differ in no program: {text}");
    assert!(text.contains("the programs of both sides are the same"), "{text}");
    let (text, planned) = run("HEAD", ".");
    assert!(text.contains("HEAD: built before") && text.contains("-dirty"), "{text}");
    assert_eq!(
        (&planned["same_programs"], &planned["head"]["dirty"]),
        (&Value::Bool(false), &Value::Bool(true)),
        "{text}"
    );
    assert_eq!(planned["base"]["programs"][0], planned["head"]["programs"][0], "control is the same");
    assert_ne!(planned["base"]["programs"][2], planned["head"]["programs"][2], "peer is another");
    assert_eq!(
        (git(&["status", "--porcelain"]), git(&["rev-parse", "HEAD"])),
        (status, head),
        "nothing of the checkout changed"
    );
    let unknown = peerbed(&[
        "--project",
        repository.checkout().to_str().expect("UTF-8"),
        "compare",
        "nothing",
        "--experiment",
        "slow",
        "--arm",
        "as-is",
    ])
    .env("XDG_CACHE_HOME", repository.cache())
    .output()
    .expect("it runs");
    assert!(said(&unknown).contains("git knows no commit `nothing`"), "{}", said(&unknown));
}

#[test]
fn variables_of_hooks_and_of_cargo_change_nothing_of_what_is_built() {
    let repository = Repository::new();
    let program = "fn main() { println!(\"{}\", if cfg!(changed) { 3 } else { 2 }); }\n";
    repository.write("peer/main.rs", program);
    let (text, as_is) = repository.compare("HEAD", ".", &[]);
    assert!(text.contains("HEAD: building") && text.contains(".: building"), "{text}");
    let directory = repository.directory.path();
    let index = directory.join("index");
    let elsewhere = directory.join("elsewhere");
    let (index, elsewhere) = (index.to_str().expect("UTF-8"), elsewhere.to_str().expect("UTF-8"));
    let status = repository.git(&["status", "--porcelain"]);

    // As a hook of another repository would have them.
    let hook = [
        ("GIT_DIR", elsewhere),
        ("GIT_WORK_TREE", elsewhere),
        ("GIT_INDEX_FILE", index),
        ("GIT_OBJECT_DIRECTORY", elsewhere),
        ("GIT_COMMON_DIR", elsewhere),
        ("GIT_PREFIX", "peer/"),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "core.worktree"),
        ("GIT_CONFIG_VALUE_0", elsewhere),
    ];
    let (text, hooked) = repository.compare("HEAD", ".", &hook);
    assert!(text.contains("HEAD: built before") && text.contains(".: built before"), "{text}");
    for side in ["base", "head"] {
        assert_eq!(hooked[side], as_is[side], "{text}");
    }
    assert!(!Path::new(index).exists() && !Path::new(elsewhere).exists(), "git was led astray");
    assert_eq!(repository.git(&["status", "--porcelain"]), status);

    // Built anew at the same place by somebody who builds otherwise.
    fs::remove_dir_all(repository.builds().join("programs")).expect("removed");
    fs::remove_dir_all(repository.builds().join("target")).expect("removed");
    let otherwise = [
        ("CARGO_TARGET_DIR", elsewhere),
        ("CARGO_BUILD_TARGET_DIR", elsewhere),
        ("CARGO_INCREMENTAL", "1"),
        ("RUSTFLAGS", "--cfg changed -C opt-level=0"),
        ("CARGO_ENCODED_RUSTFLAGS", "--cfg\u{1f}changed"),
        ("CARGO_BUILD_RUSTFLAGS", "--cfg changed"),
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
        ("CARGO_PROFILE_RELEASE_DEBUG", "2"),
        ("RUSTC_WRAPPER", "/bin/false"),
        ("CARGO_BUILD_JOBS", "none"),
    ];
    let (text, built) = repository.compare("HEAD", ".", &otherwise);
    assert!(text.contains("HEAD: building") && text.contains(".: building"), "{text}");
    for side in ["base", "head"] {
        assert_eq!(built[side], as_is[side], "{text}");
    }
    assert!(!Path::new(elsewhere).exists(), "it was built elsewhere");
}

/// What a build that was killed may leave.
type Left = fn(&Repository);

#[test]
fn what_a_killed_build_left_is_recovered_from() {
    let repository = Repository::new();
    repository.compare("HEAD~1", "HEAD", &[]);
    let left: [(&str, Left); 5] = [
        ("git's lock of the index", |repository| {
            let git = repository.checkout().join(".git/worktrees/source");
            assert!(git.is_dir());
            fs::write(git.join("index.lock"), "").expect("written");
        }),
        ("a lock of the worktree", |repository| {
            let source = repository.builds().join("source");
            repository.git(&["worktree", "lock", source.to_str().expect("UTF-8")]);
            fs::remove_dir_all(source).expect("removed");
        }),
        ("files without git's", |repository| {
            fs::remove_file(repository.builds().join("source/.git")).expect("removed");
        }),
        ("a worktree of which git does not know", |repository| {
            fs::remove_dir_all(repository.checkout().join(".git/worktrees")).expect("removed");
        }),
        ("programs of which one is missing", |repository| {
            for programs in fs::read_dir(repository.builds().join("programs")).expect("a directory") {
                fs::remove_file(programs.expect("readable").path().join("edge")).expect("removed");
            }
        }),
    ];
    for (number, (what, leave)) in left.into_iter().enumerate() {
        leave(&repository);
        repository.write("peer/main.rs", &format!("fn main() {{ println!(\"{{}}\", {}); }}\n", number + 10));
        repository.commit("another");
        let (text, planned) = repository.compare("HEAD~1", "HEAD", &[]);
        assert!(text.contains("HEAD: building"), "{what}: {text}");
        assert_eq!(planned["head"]["commit"], Value::from(repository.git(&["rev-parse", "HEAD"])), "{what}: {text}");
        assert_ne!(planned["base"]["programs"][2], planned["head"]["programs"][2], "{what}: {text}");
        assert_eq!(planned["base"]["programs"][1], planned["head"]["programs"][1], "{what}: {text}");
        assert_eq!(repository.git(&["status", "--porcelain"]), "", "{what}");
    }
}

/// A directory of programs of which the peer is this script.
fn with_peer(project: &Path, script: &str) -> PathBuf {
    let directory = project.join("programs");
    fs::create_dir(&directory).expect("a directory");
    for program in ["control", "edge", "peer"] {
        fs::copy(bin_dir().join(program), directory.join(program)).expect("a copy");
    }
    fs::write(directory.join("peer"), format!("#!/bin/sh\n{script}\n")).expect("written");
    directory
}

#[test]
fn programs_that_are_never_ready_are_the_subjects_failure() {
    let _alone = alone();
    for (script, why) in [("exec sleep 600", "2 of 4 nodes were not ready after "), ("exit 7", "homes-")] {
        let project = tiny();
        let never = with_peer(project.path(), script);
        let never = never.to_str().expect("UTF-8");
        let output =
            compare(project.path(), &["--experiment", "tiny", "--pairs", "6", "--head-programs", never]).output();
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(5), "{script}: {}", said(&output));
        let errors = String::from_utf8_lossy(&output.stderr);
        let told = errors.split("SUBJECT FAILED: ").nth(1).unwrap_or_else(|| panic!("{}", said(&output)));
        assert!(told.contains(why) && told.contains("what was measured before is in "), "{script}: {}", said(&output));
        assert!(errors.contains("6 pairs cannot show that one of 7 metrics changed"), "{}", said(&output));
        assert!(!newest(project.path(), "tiny").join("verdict.json").exists(), "nothing was judged");
        nothing_is_left(project.path(), 5);
    }
}

#[test]
fn links_that_are_not_what_they_should_be_make_it_invalid() {
    let _alone = alone();
    let project = tiny();
    let mut command = peerbed(&["--project", project.path().to_str().expect("UTF-8"), "compare"]);
    let programs = bin_dir();
    for side in ["--base-programs", "--head-programs"] {
        command.arg(side).arg(&programs);
    }
    command.args(["--experiment", "tiny", "--pairs", "9", "--calibrate", "always"]);
    let output = command.env("PEERBED_TEST_RATE_PERCENT", "90").output().expect("it runs");
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("INVALID: links are not what was asked for: "), "{}", said(&output));
    assert!(!said(&output).contains("cannot show that one of"), "{}", said(&output));
    let directory = newest(project.path(), "tiny");
    assert!(directory.join("comparison.json").exists() && !directory.join("verdict.json").exists());
    let manifest: Value =
        serde_json::from_slice(&fs::read(directory.join("manifest.json")).expect("a manifest")).expect("JSON");
    assert_eq!(manifest["runs"], Value::Array(Vec::new()), "{manifest:#}");
    nothing_is_left(&bin_dir(), 5);
}

#[test]
fn two_comparisons_of_one_experiment_at_once_do_not_disturb_each_other() {
    let _alone = alone();
    let project = tiny();
    let start = || {
        let mut command = compare(project.path(), &["--experiment", "tiny", "--pairs", "6", "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("peerbed starts")
    };
    let both = [start(), start()].map(|child| child.wait_with_output().expect("it ends"));
    let mut kept = 0;
    for output in &both {
        // Of equals, whose noise is not known, on a machine that is busy.
        assert!(matches!(output.status.code(), Some(0 | 3 | 4)), "{}", said(output));
        assert_eq!(json(output)["pairs_made"], 6, "{}", said(output));
        kept += json(output)["pairs_used"].as_u64().expect("a number");
    }
    let results = project.path().join("results");
    let all: Vec<PathBuf> = fs::read_dir(results.join("compare/tiny"))
        .expect("a directory")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| !path.is_symlink())
        .collect();
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all.iter().all(|path| path.join("verdict.json").is_file() && path.join("report.html").is_file()));
    assert!(all.contains(&newest(project.path(), "tiny")));
    let text = fs::read_to_string(results.join("aa.jsonl")).unwrap_or_default();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is whole"));
    assert_eq!(lines.count() as u64, kept, "{text}");
    nothing_is_left(&bin_dir(), 5);
}
