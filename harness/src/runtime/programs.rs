//! Where the programs of the nodes are, and what a node's command line is.

use std::{
    env,
    path::{Path, PathBuf},
};

use peerbed_contract::NodeName;
use peerbed_model::{Plan, PlannedNode};

use super::{NodeFiles, RuntimeError, Unmet};

/// The programs of the nodes: a directory with `edge`, `control` and `peer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs(PathBuf);

impl Default for Programs {
    /// `$PEERBED_NODES`, else what is beside the running program.
    fn default() -> Self {
        let beside = || env::current_exe().ok().and_then(|program| program.parent().map(PathBuf::from));
        Self(env::var_os("PEERBED_NODES").map(PathBuf::from).or_else(beside).unwrap_or_default())
    }
}

impl Programs {
    /// Those in this directory.
    pub fn in_directory(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// The program and arguments of a node.
    pub(super) fn command_line(&self, node: &PlannedNode, files: &NodeFiles) -> Result<Vec<String>, RuntimeError> {
        let mut argv = node.command.clone();
        if argv.is_empty() {
            argv.push(self.own_program(node)?);
        }
        argv.push("--config".to_owned());
        argv.push(files.config(&node.name).display().to_string());
        Ok(argv)
    }

    fn own_program(&self, node: &PlannedNode) -> Result<String, RuntimeError> {
        let path = self.0.join(node.role.to_string());
        if path.is_file() {
            return Ok(path.display().to_string());
        }
        let (program, node, directory) = (node.role.to_string(), node.name.clone(), self.0.clone());
        Err(RuntimeError::Program { program, node, directory })
    }

    /// The programs that a plan needs and that are not there, each once.
    pub(super) fn missing(&self, plan: &Plan) -> Vec<Unmet> {
        let mut roles = Vec::new();
        for node in plan.nodes.iter().filter(|node| node.command.is_empty() && node.image.is_none()) {
            if !roles.contains(&node.role) {
                roles.push(node.role);
            }
        }
        let absent = roles.into_iter().filter(|role| !self.0.join(role.to_string()).is_file());
        let unmet = |role| Unmet {
            need: format!("the node program `{role}`"),
            found: format!("not in {}", self.0.display()),
            remedy: "build the workspace (`make build`), or set PEERBED_NODES to the directory that has it".to_owned(),
        };
        absent.map(unmet).collect()
    }

    /// The node programs that are there.
    pub(super) fn present(&self) -> Vec<(&'static str, PathBuf)> {
        let programs = ["control", "edge", "peer"].map(|name| (name, self.0.join(name)));
        programs.into_iter().filter(|(_, path)| path.is_file()).collect()
    }
}

/// Groups whose program is in an image alone, each once: for a runtime that has no images.
pub(super) fn images(plan: &Plan) -> Vec<Unmet> {
    let mut groups = Vec::new();
    for node in &plan.nodes {
        if let (Some(image), true) = (&node.image, node.command.is_empty())
            && !groups.iter().any(|(group, _)| *group == &node.group)
        {
            groups.push((&node.group, image));
        }
    }
    let unmet = |(group, image)| Unmet {
        need: format!("the image `{image}`"),
        found: format!("group {group} runs what is in it, and this runtime has no images"),
        remedy: "use --runtime docker, or give the group a `command`, which is what runs without images".to_owned(),
    };
    groups.into_iter().map(unmet).collect()
}

/// The position of a node in the plan.
pub(super) fn position(plan: &Plan, node: &NodeName) -> Result<usize, RuntimeError> {
    let found = plan.nodes.iter().position(|planned| planned.name == *node);
    found.ok_or_else(|| RuntimeError::NoSuchNode(node.clone()))
}
