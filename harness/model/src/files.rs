//! The two files of an experiment, read but not yet joined.

use std::sync::Arc;

use crate::{
    diagnostic::{Diagnostics, Report},
    experiment,
    read::{did_you_mean, listed},
    source::{ExperimentName, Source, experiment_name},
    topology::{Topology, trace::TraceFiles},
    yaml::{self, Node},
};

/// File number of the experiment in every report.
pub(crate) const EXPERIMENT_FILE: u8 = 0;
/// File number of the topology in every report.
pub(crate) const TOPOLOGY_FILE: u8 = 1;
/// File number of the first trace; the others follow.
pub(crate) const TRACE_FILES: u8 = 2;

/// An experiment file: well-formed YAML that names its topology. What else may be wrong is said by
/// [`Experiment::resolve`](crate::Experiment::resolve), together with what is wrong with the topology.
#[derive(Debug, Clone)]
pub struct ExperimentFile {
    pub(crate) source: Source,
    pub(crate) root: Arc<Node>,
    topology: ExperimentName,
}

impl ExperimentFile {
    /// Reads the text; if it names no topology, everything else that is wrong is said too.
    pub fn parse(source: Source) -> Result<Self, Diagnostics> {
        let mut report = Report::new(vec![source.clone()]);
        let Some(root) = yaml::read(&source, EXPERIMENT_FILE, &mut report).map(Arc::new) else {
            return Err(report.into_diagnostics());
        };
        let topology = read_topology_name(&root, &mut report);
        match topology {
            Some(topology) if report.errors() == 0 => Ok(Self { source, root, topology }),
            _ => {
                experiment::decode::decode(&root, &mut report);
                Err(report.into_diagnostics())
            }
        }
    }

    /// Which topology it wants.
    pub fn topology_name(&self) -> &ExperimentName {
        &self.topology
    }

    /// What to say if there is no topology of that name; `known` are those that there are.
    pub fn no_such_topology(&self, known: &[String]) -> Diagnostics {
        let mut report = Report::new(vec![self.source.clone()]);
        let names = || known.iter().map(String::as_str);
        let name = self.topology.as_str();
        let span = self.root.get("topology").map_or(self.root.span, |node| node.span);
        let message = format!("no topology named `{name}`{}", did_you_mean(name, names()));
        report.error(span, message).help(format!("there are: {}", listed(names())));
        experiment::decode::decode(&self.root, &mut report);
        report.into_diagnostics()
    }
}

/// The name if it is there and good; a bad one is noted, a missing one is left to the decoder.
fn read_topology_name(root: &Node, report: &mut Report) -> Option<ExperimentName> {
    let node = root.get("topology")?;
    let text = report.text(node)?;
    match experiment_name(&text) {
        Ok(name) => Some(name),
        Err(refused) => {
            report.error(node.span, format!("not the name of a topology: {refused}"));
            None
        }
    }
}

/// A topology file: well-formed YAML.
#[derive(Debug, Clone)]
pub struct TopologyFile {
    pub(crate) source: Source,
    pub(crate) root: Arc<Node>,
    pub(crate) traces: TraceFiles,
}

impl TopologyFile {
    /// Reads the text.
    pub fn parse(source: Source) -> Result<Self, Diagnostics> {
        // The same file numbers as later, when the experiment is there too.
        let mut report = Report::new(vec![source.clone(), source.clone()]);
        let root = yaml::read(&source, TOPOLOGY_FILE, &mut report).map(Arc::new);
        match root {
            Some(root) if report.errors() == 0 => Ok(Self { source, root, traces: TraceFiles::default() }),
            Some(root) => {
                Topology::decode(&root, &TraceFiles::default(), &mut report);
                Err(report.into_diagnostics())
            }
            None => Err(report.into_diagnostics()),
        }
    }

    /// The paths of the trace files that it names, from the directory of its own file.
    pub fn trace_paths(&self) -> Vec<String> {
        TraceFiles::wanted(&self.root)
    }

    /// Takes in the trace files that were found, each with its path; for one that was not, the reason in a sentence.
    #[must_use]
    pub fn with_traces(self, found: impl IntoIterator<Item = (String, Result<Source, String>)>) -> Self {
        Self { traces: TraceFiles::read(found), ..self }
    }
}
