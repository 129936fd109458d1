//! What the program says to nonsense: always where, what and what to do; never a panic.

use std::os::unix::fs::symlink;

use crate::program::{peerbed, said, tiny};

fn refused(args: &[&str], words: &[&str]) {
    let output = peerbed(args).output().expect("peerbed runs");
    assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!error.contains("panicked"), "{args:?}: {error}");
    assert!(!error.contains("error: error: "), "{args:?}: {error}");
    for word in words {
        assert!(error.contains(word), "{args:?} says `{word}`:\n{error}");
    }
}

#[test]
fn names_that_are_no_names() {
    for name in ["../quick", "a/b", "..", "", "quick.yaml/..", "\u{1F4A9}", "-x"] {
        let args = ["run", "--", name];
        refused(&args, &["error"]);
    }
    refused(&["run", "nonesuch"], &["nonesuch", "quick"]);
}

#[test]
fn arms_that_are_not_there() {
    refused(&["run", "quick", "--arm", "nonesuch"], &["nonesuch", "edge-only", "hybrid"]);
    refused(&["run", "quick", "--arm", "hybrid", "--arm", "nonesuch"], &["nonesuch", "edge-only", "hybrid"]);
    refused(&["plan", "quick", "--arm", "nonesuch"], &["nonesuch", "edge-only", "hybrid"]);
    refused(&["up", "quick", "--arm", "nonesuch"], &["nonesuch", "edge-only", "hybrid"]);
}

#[test]
fn numbers_out_of_range() {
    refused(&["run", "quick", "--repeats", "0"], &["repeats"]);
    refused(&["run", "quick", "--threads", "0"], &["threads"]);
    refused(&["run", "quick", "--seed=-1"], &["seed"]);
    for nodes in ["0", "20001", "-1", "1.5", "many", "99999999999999999999", ""] {
        let nodes = format!("--nodes={nodes}");
        refused(&["doctor", &nodes], &["--nodes", "a number of nodes from 1 to 20000 is expected"]);
    }
}

#[test]
fn topologies_that_cannot_be_made() {
    refused(&["topology", "generate", "--ases", "3"], &["4 ASes at the top", "leave none of 3"]);
    refused(&["topology", "generate", "--output", "/proc/nowhere"], &["cannot write /proc/nowhere"]);
    refused(&["topology", "generate", "--output", "README.md"], &["README.md is there already", "--force"]);
    refused(&["topology", "import", "nonesuch"], &["cannot read nonesuch"]);
    refused(&["topology", "import", "/dev/zero"], &["/dev/zero", "a regular file is expected"]);
    refused(&["topology", "import", "Cargo.toml"], &["Cargo.toml:1:1", "is not a relationship between two ASes"]);
}

#[test]
fn results_that_cannot_be_written() {
    refused(&["run", "quick", "--results", "/proc/nowhere"], &["/proc/nowhere"]);
}

#[test]
fn every_shipped_experiment_is_good() {
    let output = peerbed(&["check"]).output().expect("peerbed runs");
    assert!(output.status.success(), "{}", said(&output));
    let plan = |seed: &str| peerbed(&["plan", "quick", "--seed", seed]).output().expect("peerbed runs").stdout;
    assert_eq!(plan("7"), plan("7"), "the same seed gives the same plan, byte for byte");
    assert_ne!(plan("7"), plan("8"), "another seed gives another plan");
}

#[test]
fn a_project_that_is_none() {
    let empty = tempfile::tempdir().expect("a temporary directory");
    refused(&["check", "--project", empty.path().to_str().expect("UTF-8")], &["experiments/", "--project"]);
}

#[test]
fn what_is_no_file_is_refused_at_once_and_not_listed() {
    let project = tiny();
    let experiment = |name: &str| project.path().join("experiments").join(format!("{name}.yaml"));
    std::fs::create_dir(experiment("directory")).expect("a directory");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, experiment("pipe"), fifo, mode, 0).expect("a pipe");
    for (link, to) in [
        ("zeros", "/dev/zero"),
        ("nothing", "/dev/null"),
        ("noise", "/dev/urandom"),
        ("up", ".."),
        ("round", "round.yaml"),
    ] {
        symlink(to, experiment(link)).expect("a link");
    }
    // A hole: large without taking any space.
    std::fs::File::create(experiment("large")).and_then(|file| file.set_len(1 << 40)).expect("a large file");
    let topology = "question: Is it a file?\ntopology: pipe\nduration: 1s\n";
    std::fs::write(experiment("odd-topology"), topology).expect("a file");
    let pipe = project.path().join("topologies/pipe.yaml");
    rustix::fs::mknodat(rustix::fs::CWD, pipe, fifo, mode, 0).expect("a pipe");

    let dir = project.path().to_str().expect("UTF-8");
    for (name, what) in [
        ("directory", "it is a directory; a regular file is expected"),
        ("up", "it is a directory; a regular file is expected"),
        ("pipe", "it is a pipe; a regular file is expected"),
        ("odd-topology", "it is a pipe; a regular file is expected"),
        ("zeros", "it is a device; a regular file is expected"),
        ("nothing", "it is a device; a regular file is expected"),
        ("noise", "it is a device; a regular file is expected"),
        ("round", "symbolic links"),
        ("large", "the file has 1099511627776 bytes, the most that is read is 1048576"),
    ] {
        for verb in ["check", "run", "plan", "up"] {
            refused(&["--project", dir, verb, name], &["cannot read", ".yaml", what]);
        }
    }
    let output = peerbed(&["--project", dir, "check"]).output().expect("peerbed runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.lines().count(), 1, "{}", said(&output));
    assert!(text.starts_with("tiny: good") && said(&output).contains("2 of 3 experiments"), "{}", said(&output));
    refused(&["--project", dir, "run", "nonesuch"], &["experiments here: large, odd-topology, tiny\n"]);
}

#[test]
fn what_the_tc_engine_can_never_carry_is_found_by_check() {
    let project = tiny();
    let path = project.path().join("experiments/tiny.yaml");
    let dir = project.path().to_str().expect("UTF-8");
    let text = std::fs::read_to_string(&path).expect("a file").replace("seed: 1", "seed: 1\nengine: tc");
    for (group, what) in [("nat: symmetric", "translat"), ("moves: {to: [isp], every: 5s}", "another address")] {
        let text = text.replace("access: home}", &format!("access: home, {group}}}"));
        std::fs::write(&path, text).expect("a file");
        refused(&["--project", dir, "check"], &["engine: tc", "arm `only`", what, "--engine wire"]);
    }
    std::fs::write(&path, text).expect("a file");
    let output = peerbed(&["--project", dir, "check"]).output().expect("peerbed runs");
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_cause_is_said_once() {
    for args in [&["run", "quick", "--results", "/proc/nowhere"][..], &["ls", "--results", "/dev/null"]] {
        let output = peerbed(args).output().expect("peerbed runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(error.matches("(os error ").count(), 1, "{args:?}: {}", said(&output));
    }
}

#[test]
fn files_and_names_cannot_command_the_terminal() {
    let project = tiny();
    let dir = project.path().to_str().expect("UTF-8");
    // Clear the screen, set the title, colour: in a value, a key, a name of a file and a name on the command line.
    let text = "question: \"\u{1b}[2J\"\n\u{1b}]0;title\u{7}: 1\ntopology: \u{1b}[31mone\n";
    std::fs::write(project.path().join("experiments/odd.yaml"), text).expect("a file");
    std::fs::write(project.path().join("experiments/lost.yaml"), "topology: nonesuch\n").expect("a file");
    for directory in ["experiments", "topologies"] {
        std::fs::write(project.path().join(directory).join("\u{1b}[31m.yaml"), "{}").expect("a file");
    }
    let relations = project.path().join("\u{1b}[31m.as-rel.txt");
    std::fs::write(&relations, "1|\u{1b}[2J|0\n1|2|\u{7}\n\u{1b}]0;title\u{7}\n").expect("a file");
    for args in [
        &["check"][..],
        &["topology", "import", relations.to_str().expect("UTF-8")],
        &["topology", "generate", "--output", "\u{1b}[31m/topology.yaml"],
        &["check", "odd"],
        &["check", "\u{1b}[31m"],
        &["run", "odd"],
        &["run", "nonesuch"],
        &["run", "tiny", "--arm", "\u{1b}[31m"],
        &["clean", "--partial", "\u{1b}[31m"],
        &["ls", "\u{1b}[31m"],
        &["check", "lost"],
    ] {
        let output = peerbed(&[&["--project", dir], args].concat()).output().expect("peerbed runs");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
        let printed = [output.stdout, output.stderr].concat();
        let control = |byte: &&u8| byte.is_ascii_control() && **byte != b'\n';
        assert_eq!(printed.iter().find(control), None, "{args:?}: {:?}", String::from_utf8_lossy(&printed));
    }
}
