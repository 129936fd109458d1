//! `peerbed down`: ends what `peerbed up` left.

use std::{process::ExitCode, time::Duration};

use anyhow::bail;
use clap::Args;

use crate::{
    hold::{
        process::{self, AFTER_KILL},
        state::{StateDir, StateError},
    },
    say::say,
    status::Status,
};

/// How long the holder may take in good order.
const WITHIN: Duration = Duration::from_secs(15);

/// Nothing to choose.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {}

/// Ends it and waits until everything is gone. Nothing being up is no error.
pub(crate) fn run(_: &DownArgs) -> anyhow::Result<ExitCode> {
    let dir = StateDir::open()?;
    let state = match dir.read() {
        Ok(Some(state)) => state,
        Ok(None) => {
            if let Some(_lock) = dir.lock()? {
                dir.clear()?;
            }
            say("nothing is up\n")?;
            return Ok(Status::Good.into());
        }
        Err(StateError::Damaged { path, reason }) => {
            end_unnamed(&dir)?;
            say(&format!("nothing is up any more; {} was damaged ({reason}) and is removed\n", path.display()))?;
            return Ok(Status::Good.into());
        }
        Err(error) => return Err(error.into()),
    };
    let lived = state.holder.end(WITHIN)?;
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

/// Ends a holder that no readable state names. What tells it then is the lock that it has; a process that cannot be
/// proven to be a holder is left alone.
fn end_unnamed(dir: &StateDir) -> anyhow::Result<()> {
    if dir.lock()?.is_none() {
        let lock = dir.lock_path();
        let Some(holder) = process::holder(&lock)? else {
            bail!(
                "the state is damaged, and {lock} is locked by a process that cannot be told to be Peerbed's; \
                 end it (`fuser {lock}` names it), then run `peerbed down` again",
                lock = lock.display()
            );
        };
        // Its agent, which removes the network when its holder is gone.
        let children = process::children(holder)?;
        holder.end(WITHIN)?;
        for child in children {
            if !child.wait(AFTER_KILL)? {
                bail!("the agent (process {}) does not end", child.pid);
            }
        }
    }
    let Some(_lock) = dir.lock()? else { bail!("another experiment has just been brought up") };
    Ok(dir.clear()?)
}
