//! `peerbed exec`: runs any program inside a node of what `peerbed up` brought up.

use std::{ffi::OsString, io, process::ExitCode};

use anyhow::{Context, bail};
use clap::Args;
use peerbed_contract::NodeName;

use crate::{
    hold::state::StateDir,
    runtime::{
        AgentContainer,
        enter::{self, Door, EnterError},
        visit::Visit,
    },
    say::complain,
};

/// Where and what.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// The node
    node: NodeName,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs it. The exit code is the program's own, 128 + N if signal N ended it, 127 if it was not found, 126 if it cannot
/// be executed.
pub(crate) fn run(args: &ExecArgs) -> anyhow::Result<ExitCode> {
    let state = StateDir::open()?.read()?.filter(|state| state.holder.lives());
    let Some(state) = state else { bail!("nothing is up: `peerbed up EXPERIMENT` first") };
    let Some(held) = state.held else { bail!("`{}` is still being set up", state.experiment) };
    let Some(node) = held.nodes.iter().find(|node| node.name == args.node) else {
        let known: Vec<_> = held.nodes.iter().take(10).map(|node| node.name.as_str()).collect();
        let more = if held.nodes.len() > known.len() { ", …" } else { "" };
        bail!("`{}` has no node {}; it has {}{more}", state.experiment, args.node, known.join(", "));
    };
    let environment = [("PEERBED_NODE", node.name.as_str())];
    let door = match &held.container {
        None => Door::open(held.agent.pid, node.namespace),
        Some(container) => match Door::of_container(held.agent.pid, node.namespace) {
            // Whoever may use the engine may do it by the engine's hand.
            Err(EnterError::Namespace { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
                let visit = Visit::new(held.agent.pid, node.namespace, &environment);
                return through_engine(container, &visit);
            }
            door => door,
        },
    };
    // Only now is it certain that what was opened is the agent's.
    if !held.agent.lives() {
        bail!("the network of `{}` has just ended", state.experiment);
    }
    match door.and_then(|door| door.run(&args.command, &environment)) {
        Ok(status) => Ok(enter::exit_code(status).into()),
        Err(error) => {
            complain(format_args!("error: {error}"));
            Ok(error.exit_code().into())
        }
    }
}

fn through_engine(container: &AgentContainer, visit: &Visit) -> anyhow::Result<ExitCode> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let code = tokio.block_on(visit.through(container));
    // The thread that reads standard input may wait for a key.
    tokio.shutdown_background();
    Ok(code?.into())
}
