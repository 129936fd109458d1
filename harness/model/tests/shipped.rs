//! The experiments and topologies that the project ships: all of them read, resolve and plan.

use std::{fs, path::PathBuf};

use peerbed_model::{Experiment, ExperimentFile, Source, TopologyFile, experiment_name};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn source(kind: &str, name: &str) -> Source {
    let path = root().join(kind).join(format!("{name}.yaml"));
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Source::from_bytes(format!("{kind}/{name}.yaml"), bytes).unwrap()
}

fn resolve(name: &str) -> Experiment {
    let file = ExperimentFile::parse(source("experiments", name)).unwrap_or_else(|wrong| panic!("{wrong}"));
    let topology = TopologyFile::parse(source("topologies", file.topology_name().as_str())).unwrap();
    Experiment::resolve(experiment_name(name).unwrap(), file, topology).unwrap_or_else(|wrong| panic!("{wrong}"))
}

#[test]
fn quick_plans_both_arms() {
    let quick = resolve("quick");
    assert_eq!(quick.arms().collect::<Vec<_>>(), ["edge-only", "hybrid"]);
    for arm in quick.arms() {
        let plan = quick.plan(arm, 0, None).unwrap();
        assert_eq!(plan.downloads(), 30);
        assert_eq!(plan.nodes.len(), plan.fabric.nodes.len());
    }
}
