//! Where the programs of the nodes are, and what a node's command line is.

use std::{env, path::PathBuf};

use peerbed_contract::NodeName;
use peerbed_model::{Plan, PlannedNode};

use super::{NodeFiles, RuntimeError, Unmet};

/// The directory of the node programs `edge`, `control` and `peer`: `$PEERBED_NODES`, else that of the running program.
pub(super) fn directory() -> PathBuf {
    let beside = || env::current_exe().ok().and_then(|program| program.parent().map(PathBuf::from));
    env::var_os("PEERBED_NODES").map(PathBuf::from).or_else(beside).unwrap_or_default()
}

/// The program and arguments of a node.
pub(super) fn command_line(node: &PlannedNode, files: &NodeFiles) -> Result<Vec<String>, RuntimeError> {
    let mut argv = node.command.clone();
    if argv.is_empty() {
        argv.push(own_program(node)?);
    }
    argv.push("--config".to_owned());
    argv.push(files.config(&node.name).display().to_string());
    Ok(argv)
}

fn own_program(node: &PlannedNode) -> Result<String, RuntimeError> {
    let directory = directory();
    let path = directory.join(node.role.to_string());
    if path.is_file() {
        return Ok(path.display().to_string());
    }
    Err(RuntimeError::Program { program: node.role.to_string(), node: node.name.clone(), directory })
}

/// The programs that a plan needs and that are not there, each once.
pub(super) fn missing(plan: &Plan) -> Vec<Unmet> {
    let mut roles = Vec::new();
    for node in plan.nodes.iter().filter(|node| node.command.is_empty() && node.image.is_none()) {
        if !roles.contains(&node.role) {
            roles.push(node.role);
        }
    }
    let directory = directory();
    let absent = roles.into_iter().filter(|role| !directory.join(role.to_string()).is_file());
    absent
        .map(|role| Unmet {
            need: format!("the node program `{role}`"),
            found: format!("not in {}", directory.display()),
            remedy: "build the workspace (`make build`), or set PEERBED_NODES to the directory that has it".to_owned(),
        })
        .collect()
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

/// The node programs that are there.
pub(super) fn present() -> Vec<(&'static str, PathBuf)> {
    let directory = directory();
    let programs = ["control", "edge", "peer"].map(|name| (name, directory.join(name)));
    programs.into_iter().filter(|(_, path)| path.is_file()).collect()
}

/// The position of a node in the plan.
pub(super) fn position(plan: &Plan, node: &NodeName) -> Result<usize, RuntimeError> {
    let found = plan.nodes.iter().position(|planned| planned.name == *node);
    found.ok_or_else(|| RuntimeError::NoSuchNode(node.clone()))
}
