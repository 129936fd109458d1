//! Which link engine carries a run: what the experiment says, unless the command line says it.

use std::fs;

use crate::program::{alone, json, measure, said, tiny, tiny_run};

/// The kernel's engine needs no netem for links without delay, so every machine of the tests can have it.
#[test]
fn an_experiment_names_its_engine_and_the_command_line_goes_before_it() {
    let _alone = alone();
    let project = tiny();
    let change = |file: &str, change: &dyn Fn(String) -> String| {
        let path = project.path().join(file);
        let text = fs::read_to_string(&path).expect("it was written");
        fs::write(path, change(text)).expect("it can be written");
    };
    change("topologies/one.yaml", &|text| text.replace(", delay: 1ms", ""));
    change("experiments/tiny.yaml", &|text| text + "engine: tc\n");
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
    change("topologies/one.yaml", &|text| text.replace("down: 50mbit", "down: 50mbit, delay: 1ms"));
    let output = measure(|| tiny_run(project.path(), &["--json", "--engine", "auto"]));
    assert!(output.status.success(), "{}", said(&output));
    let named = tiny_run(project.path(), &[]).output().expect("peerbed runs");
    let lacks_netem = json(&output)["arms"]["only"]["engine"] == "wire";
    assert_eq!(named.status.code() == Some(2), lacks_netem, "{}", said(&named));
    assert_eq!(said(&named).contains("for the tc engine, netem"), lacks_netem, "{}", said(&named));
}
