//! Where experiments and topologies are found on disk. The only module that reads YAML files.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use peerbed_model::{
    Experiment, ExperimentFile, ExperimentName, MAX_TRACE_BYTES, Source, Suite, TopologyFile, experiment_name,
};

use crate::regular;

/// A directory that has `experiments/` and `topologies/`.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    root: PathBuf,
}

impl Project {
    /// The nearest directory from `from` upwards that has `experiments/` and `topologies/`.
    pub(crate) fn find(from: &Path) -> anyhow::Result<Self> {
        let start = from.canonicalize().with_context(|| format!("cannot open the directory {}", from.display()))?;
        let found = start.ancestors().find(|dir| dir.join("experiments").is_dir() && dir.join("topologies").is_dir());
        match found {
            Some(root) => Ok(Self { root: root.to_owned() }),
            None => bail!(
                "no directory with `experiments/` and `topologies/` at or above {}\n  \
                 run peerbed inside a Peerbed checkout, or name one with --project DIR",
                start.display()
            ),
        }
    }

    /// Where results go by default.
    pub(crate) fn results(&self) -> PathBuf {
        self.root.join("results")
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The names of all topologies that can be named, in order.
    fn topologies(&self) -> anyhow::Result<Vec<String>> {
        let mut names = self.names_in("topologies")?;
        names.retain(|name| experiment_name(name).is_ok());
        Ok(names)
    }

    /// The names of all experiments, in order.
    pub(crate) fn experiments(&self) -> anyhow::Result<Vec<String>> {
        self.names_in("experiments")
    }

    fn names_in(&self, part: &str) -> anyhow::Result<Vec<String>> {
        let dir = self.root.join(part);
        let entries = std::fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
        let mut names = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| format!("cannot list {}", dir.display()))?.path();
            if path.extension().is_some_and(|e| e == "yaml")
                && regular::is_regular(&path)
                && let Some(stem) = path.file_stem().and_then(|s| s.to_str())
            {
                names.push(stem.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// The experiment of this name with the topology that it names.
    pub(crate) fn load(&self, name: &str) -> anyhow::Result<Experiment> {
        let (name, file, topology) = self.files(name)?;
        Ok(Experiment::resolve(name, file, topology)?)
    }

    /// The same at one of the scales that its file names, or as it stands.
    pub(crate) fn load_at(&self, name: &str, scale: Option<&str>) -> anyhow::Result<Experiment> {
        let experiment = self.load(name)?;
        Ok(match scale {
            Some(scale) => experiment.at_scale(scale)?,
            None => experiment,
        })
    }

    /// The two files of an experiment, well-formed.
    pub(crate) fn files(&self, name: &str) -> anyhow::Result<(ExperimentName, ExperimentFile, TopologyFile)> {
        let name = experiment_name(name)?;
        let path = self.root.join("experiments").join(format!("{name}.yaml"));
        if !is_anything(&path) {
            // Whoever named the files may have meant to command the terminal.
            let known = self.experiments()?.join(", ");
            let known = known.escape_debug();
            bail!("there is no experiment `{name}` ({} is not there)\n  experiments here: {known}", path.display());
        }
        let file = ExperimentFile::parse(self.read(&path)?)?;
        let topology = file.topology_name().as_str();
        let path = self.root.join("topologies").join(format!("{topology}.yaml"));
        if !is_anything(&path) {
            return Err(file.no_such_topology(&self.topologies()?).into());
        }
        let topology = TopologyFile::parse(self.read(&path)?)?;
        let mut most = MAX_TRACE_BYTES as u64;
        let traces = topology.trace_paths().into_iter().map(|trace| {
            let found = self.read_trace(&self.root.join("topologies").join(&trace), most)?;
            most -= found.as_ref().map_or(0, |source| source.text().len() as u64);
            Ok((trace, found))
        });
        let traces: Vec<_> = traces.collect::<anyhow::Result<_>>()?;
        Ok((name, file, topology.with_traces(traces)))
    }

    /// The suite of this name.
    pub(crate) fn suite(&self, name: &str) -> anyhow::Result<Suite> {
        let name = experiment_name(name)?;
        let path = self.root.join("experiments/suites").join(format!("{name}.yaml"));
        if !is_anything(&path) {
            let known = self.names_in("experiments/suites").unwrap_or_default().join(", ");
            let known = known.escape_debug();
            bail!("there is no suite `{name}` ({} is not there)\n  suites here: {known}", path.display());
        }
        Ok(Suite::parse(&self.read(&path)?)?)
    }

    /// A trace of at most so many bytes, or why it cannot be read; an error is something that is wrong in it.
    fn read_trace(&self, path: &Path, most: u64) -> anyhow::Result<Result<Source, String>> {
        let shown = path.strip_prefix(&self.root).unwrap_or(path).display().to_string();
        match regular::read(path, most) {
            Ok(bytes) => Ok(Ok(Source::from_trace(shown, bytes)?)),
            Err(error) => Ok(Err(format!("cannot read {shown}: {error}"))),
        }
    }

    fn read(&self, path: &Path) -> anyhow::Result<Source> {
        let most = peerbed_model::MAX_FILE_BYTES as u64;
        let bytes = regular::read(path, most).with_context(|| format!("cannot read {}", path.display()))?;
        let shown = path.strip_prefix(&self.root).unwrap_or(path);
        Ok(Source::from_bytes(shown.display().to_string(), bytes)?)
    }
}

/// Whether there is anything of this name, be it a link that leads nowhere.
fn is_anything(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
