//! What several tests need: the shipped files, and the way from text to an experiment.

#![allow(clippy::disallowed_methods, reason = "tests read the shipped files")]
#![allow(unreachable_pub, reason = "shared by several tests")]
#![allow(dead_code, reason = "not every test needs everything")]

use std::{fs, path::PathBuf};

use peerbed_contract::{PeerConfig, RoleConfig};
use peerbed_model::{Diagnostics, Experiment, ExperimentFile, Plan, Source, TopologyFile, experiment_name};

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The names of the files in `experiments` or `topologies`, without their ending.
pub fn shipped(kind: &str) -> Vec<String> {
    let files = fs::read_dir(root().join(kind)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    // Beside them stand directories with what an experiment needs.
    let mut names: Vec<String> = files.filter_map(|file| Some(file.strip_suffix(".yaml")?.to_owned())).collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

/// The text of a shipped file.
pub fn text(kind: &str, name: &str) -> String {
    let path = root().join(kind).join(format!("{name}.yaml"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An experiment from the bytes of its two files.
pub fn read(experiment: &[u8], topology: &[u8]) -> Result<Experiment, Diagnostics> {
    read_traced(experiment, topology, &[])
}

/// The same with what is in trace files; those that are wanted and not there cannot be read.
pub fn read_traced(experiment: &[u8], topology: &[u8], traces: &[(&str, &str)]) -> Result<Experiment, Diagnostics> {
    let experiment = ExperimentFile::parse(Source::from_bytes("experiments/e.yaml", experiment.to_vec())?)?;
    let topology = TopologyFile::parse(Source::from_bytes("topologies/t.yaml", topology.to_vec())?)?;
    let found = topology.trace_paths().into_iter().map(|path| {
        let text = traces.iter().find(|(name, _)| *name == path).map(|(_, text)| text.as_bytes().to_vec());
        let source = text.map(|text| Source::from_trace(format!("topologies/{path}"), text).unwrap());
        (path.clone(), source.ok_or_else(|| format!("cannot read topologies/{path}: it is not there")))
    });
    let found: Vec<_> = found.collect();
    Experiment::resolve(experiment_name("e").unwrap(), experiment, topology.with_traces(found))
}

/// A shipped experiment.
pub fn resolve(name: &str) -> Experiment {
    let source = |kind: &str, name: &str| {
        Source::from_bytes(format!("{kind}/{name}.yaml"), text(kind, name).into_bytes()).unwrap()
    };
    let file = ExperimentFile::parse(source("experiments", name)).unwrap_or_else(|wrong| panic!("{wrong}"));
    let topology = TopologyFile::parse(source("topologies", file.topology_name().as_str())).unwrap();
    let trace = |path: String| {
        let bytes = fs::read(root().join("topologies").join(&path)).unwrap();
        (path.clone(), Ok(Source::from_trace(path, bytes).unwrap()))
    };
    let traces: Vec<_> = topology.trace_paths().into_iter().map(trace).collect();
    let topology = topology.with_traces(traces);
    Experiment::resolve(experiment_name(name).unwrap(), file, topology).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// The peers of a plan, in order of address.
pub fn peers(plan: &Plan) -> impl Iterator<Item = (&str, &PeerConfig)> {
    plan.nodes.iter().filter_map(|node| match &node.config.role {
        RoleConfig::Peer(peer) => Some((node.name.as_str(), &**peer)),
        _ => None,
    })
}

/// A small topology that is right.
pub const TOPOLOGY: &str = "\
access:
  cable: {up: 5mbit, down: 25mbit, delay: 8ms}
ases:
  - {name: transit, number: 64500, region: core, prefix: 10.0.0.0/24}
  - {name: isp-x, number: 64501, region: west, prefix: 10.1.0.0/28}
links:
  - {customer: isp-x, provider: transit, rate: 200mbit, delay: 10ms}
edges:
  - {as: transit, access: cable}
control:
  - {as: transit, access: cable}
";

/// A small experiment on it that is right.
pub const EXPERIMENT: &str = "\
question: Does it work?
topology: t
seed: 1
duration: 60s
content:
  - {id: patch, size: 1MiB, provider: A}
groups:
  - {name: homes, as: isp-x, peers: 10, access: cable, holds: {patch: 2}}
workload:
  arrivals: {burst: 4}
arms:
  hybrid: {}
";

/// The single thing that is wrong: where, what, and the remedy.
pub fn only(wrong: &Diagnostics) -> String {
    let list: Vec<String> = wrong
        .iter()
        .map(|one| {
            format!("{}:{}:{} {} [{}]", one.file(), one.line(), one.column(), one.message(), one.help().unwrap_or(""))
        })
        .collect();
    assert_eq!(list.len(), 1, "{wrong}");
    list.into_iter().next().unwrap()
}
