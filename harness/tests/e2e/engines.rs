//! Which link engine carries a run: what the experiment says, unless the command line says it.

use std::{fs, path::Path};

use crate::program::{alone, json, measure, said, tiny, tiny_run};

fn change(project: &Path, file: &str, change: impl FnOnce(String) -> String) {
    let path = project.join(file);
    let text = fs::read_to_string(&path).expect("it was written");
    fs::write(path, change(text)).expect("it can be written");
}

/// The kernel's engine needs no netem for links without delay, so every machine of the tests can have it.
#[test]
fn an_experiment_names_its_engine_and_the_command_line_goes_before_it() {
    let _alone = alone();
    let project = tiny();
    change(project.path(), "topologies/one.yaml", |text| text.replace(", delay: 1ms", ""));
    change(project.path(), "experiments/tiny.yaml", |text| text + "engine: tc\n");
    for (arguments, engine) in
        [(&[][..], "tc"), (&["--engine", "wire"], "wire"), (&["--engine", "auto"], "tc"), (&["--engine", "tc"], "tc")]
    {
        let output = measure(|| tiny_run(project.path(), &[&["--json"], arguments].concat()));
        assert!(output.status.success(), "{}", said(&output));
        let summary = json(&output);
        let arm = &summary["arms"]["only"];
        assert_eq!(arm["engine"], engine, "{arguments:?}: {arm:#}");
        assert_eq!(arm["downloads"]["completed"], 2, "{arm:#}");
    }
    // With links that have delays it is for kernels with netem; `auto` is for all.
    change(project.path(), "topologies/one.yaml", |text| text.replace("down: 50mbit", "down: 50mbit, delay: 1ms"));
    let output = measure(|| tiny_run(project.path(), &["--json", "--engine", "auto"]));
    assert!(output.status.success(), "{}", said(&output));
    let named = tiny_run(project.path(), &[]).output().expect("peerbed runs");
    let lacks_netem = json(&output)["arms"]["only"]["engine"] == "wire";
    assert_eq!(named.status.code() == Some(2), lacks_netem, "{}", said(&named));
    assert_eq!(said(&named).contains("for the tc engine, netem"), lacks_netem, "{}", said(&named));
}

#[test]
fn links_follow_their_traces_from_the_start_of_the_run() {
    let _alone = alone();
    let project = tiny();
    // The downloads begin after 1 s, in an outage; from 4 s on 2 MiB take 1.1 s, of which the link is empty before.
    let trace = "t,rate\n0s,16mbit\n1s,0bit\n4s,16mbit\n";
    fs::write(project.path().join("topologies/outage.csv"), trace).expect("it can be written");
    change(project.path(), "topologies/one.yaml", |text| {
        let access = text.replace("down: 50mbit", "down: 50mbit}, phone: {down: {trace: outage, queue: 1MiB}");
        access + "traces: {outage: outage.csv}\n"
    });
    change(project.path(), "experiments/tiny.yaml", |text| text.replace("access: home", "access: phone"));
    let output = measure(|| tiny_run(project.path(), &["--json", "--engine", "auto"]));
    assert!(output.status.success(), "{}", said(&output));
    let arm = json(&output)["arms"]["only"].clone();
    assert_eq!((&arm["engine"], &arm["downloads"]["completed"]), (&"wire".into(), &2.into()), "{arm:#}");
    // 1 MiB in some 3 to 3.6 s, of which the rate alone would need half a second.
    let fastest = arm["speed_mbps"]["p90"].as_f64().expect("a number");
    assert!((2.0..3.4).contains(&fastest), "{arm:#}");

    let refused = tiny_run(project.path(), &["--engine", "tc"]).output().expect("peerbed runs");
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("the tc engine cannot make a link follow a trace"), "{}", said(&refused));
    fs::remove_file(project.path().join("topologies/outage.csv")).expect("it is there");
    let missing = tiny_run(project.path(), &[]).output().expect("peerbed runs");
    assert_eq!(missing.status.code(), Some(2));
    assert!(said(&missing).contains("cannot read topologies/outage.csv"), "{}", said(&missing));
}
