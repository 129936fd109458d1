//! Traces that links follow, in both formats.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerbed_model::{Experiment, ExperimentFile, Source, TopologyFile, experiment_name};

const EXPERIMENT: &str = "
question: Is the trace read?
topology: t
seed: 1
duration: 10s
content: [{id: patch, size: 1MiB, provider: A}]
groups: [{name: homes, as: isp, peers: 1, access: lte}]
arms: {only: {}}
";

const TOPOLOGY: &str = "
traces: {lte: FILE}
access:
  lte: {up: 1mbit, down: {trace: lte}}
ases: [{name: isp, number: 64500, region: west, prefix: 10.0.0.0/24}]
links: []
edges: [{as: isp, access: lte}]
";

fuzz_target!(|data: &[u8]| {
    for file in ["t.csv", "t.down"] {
        let source = |name: &str, text: String| Source::from_bytes(name, text.into_bytes()).expect("good text");
        let experiment = ExperimentFile::parse(source("e.yaml", EXPERIMENT.to_owned())).expect("a good file");
        let topology = TopologyFile::parse(source("t.yaml", TOPOLOGY.replace("FILE", file))).expect("a good file");
        let trace = Source::from_trace(file, data.to_vec()).map_err(|wrong| wrong.to_string());
        let topology = topology.with_traces([(file.to_owned(), trace)]);
        let name = experiment_name("fuzz").expect("a good name");
        match Experiment::resolve(name, experiment, topology) {
            Ok(experiment) => drop(experiment.plan("only", 0, None).expect("a good arm")),
            Err(wrong) => assert!(!wrong.to_string().is_empty()),
        }
    }
});
