//! Experiment and topology files, a line of three dashes between them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerbed_model::{Experiment, ExperimentFile, Source, TopologyFile, experiment_name};

fuzz_target!(|data: &str| {
    let (experiment, topology) = data.split_once("\n---\n").unwrap_or((data, data));
    let source = |name: &str, text: &str| Source::from_bytes(name, text.as_bytes().to_vec());
    let experiment = source("experiment.yaml", experiment).and_then(ExperimentFile::parse);
    let topology = source("topology.yaml", topology).and_then(TopologyFile::parse);
    let name = experiment_name("fuzz").expect("a good name");
    match (experiment, topology) {
        (Ok(experiment), Ok(topology)) => {
            if let Err(wrong) = Experiment::resolve(name, experiment, topology) {
                assert!(!wrong.to_string().is_empty());
            }
        }
        (Err(wrong), _) | (_, Err(wrong)) => assert!(!wrong.to_string().is_empty()),
    }
});
