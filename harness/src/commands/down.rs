//! `peerbed down`: ends what `peerbed up` left.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use rustix::process::Signal;

use crate::{
    hold::state::{StateDir, StateError},
    say::say,
    status::Status,
};

/// How long the holder may take in good order.
const WITHIN: Duration = Duration::from_secs(15);
/// How long the kernel may take to remove what is left after the holder was killed.
const AFTER_KILL: Duration = Duration::from_secs(15);

/// Nothing to choose.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {}

/// Ends it and waits until everything is gone. Nothing being up is no error.
pub(crate) fn run(_: &DownArgs) -> anyhow::Result<ExitCode> {
    let dir = StateDir::open()?;
    let state = match dir.read() {
        Ok(state) => state,
        // A damaged state whose holder is gone is only rubbish.
        Err(error @ StateError::Damaged { .. }) => match dir.lock()? {
            Some(_lock) => None,
            None => return Err(error).context("and its holder still runs"),
        },
        Err(error) => return Err(error.into()),
    };
    let Some(state) = state else {
        if let Some(_lock) = dir.lock()? {
            dir.clear()?;
        }
        say("nothing is up\n")?;
        return Ok(Status::Good.into());
    };
    let lived = state.holder.signal(Signal::TERM)?;
    if lived && !state.holder.wait(WITHIN)? {
        state.holder.signal(Signal::KILL)?;
        state.holder.wait(AFTER_KILL)?;
    }
    // The agent is gone before its holder, unless the holder was killed; then the kernel is at it.
    if let Some(held) = &state.held
        && !held.agent.wait(AFTER_KILL)?
    {
        bail!("the agent (process {}) does not end", held.agent.pid);
    }
    if let Some(_lock) = dir.lock()? {
        dir.clear()?;
    }
    let how = if lived { "is down" } else { "had ended already; its leftovers are removed" };
    say(&format!("`{}`, arm `{}`, {how}\n", state.experiment, state.arm))?;
    Ok(Status::Good.into())
}
