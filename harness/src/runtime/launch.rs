//! Starts agents, as processes of this machine's user or as containers, and remembers the last one, so that its end can be
//! awaited even if whoever started it lost interest.

use std::{
    fs::OpenOptions,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    sync::watch,
};

use super::{
    Notices, RuntimeError,
    client::{Carriage, Client, Ending, Killed},
    docker::Ship,
    notices::Notifier,
};
use crate::docker::{OWN_PROGRAM, RunId};

/// How long an agent that is a process may take to remove everything.
const END_WITHIN: Duration = Duration::from_secs(10);

/// What starts agents.
#[derive(Debug, Clone)]
pub struct Launch {
    vessel: Vessel,
    last: Arc<Mutex<Option<watch::Receiver<bool>>>>,
}

/// Where agents run.
#[derive(Debug, Clone)]
enum Vessel {
    Process(PathBuf),
    Container(Arc<Ship>),
}

impl Launch {
    /// Agents are processes: `program agent`.
    pub fn process(program: PathBuf) -> Self {
        Self::of(Vessel::Process(program))
    }

    /// Agents are containers.
    pub(super) fn container(ship: Arc<Ship>) -> Self {
        Self::of(Vessel::Container(ship))
    }

    fn of(vessel: Vessel) -> Self {
        Self { vessel, last: Arc::default() }
    }

    /// Where agents run, in a word: what is measured with one kind of agent does not speak for the other.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.vessel {
            Vessel::Process(_) => "process",
            Vessel::Container(_) => "container",
        }
    }

    /// Start one; its log is appended to `log`. The calling thread must outlive the agent.
    pub(crate) async fn start(&self, log: &Path) -> Result<(Client, Notices), RuntimeError> {
        let (client, notices, _) = self.start_as(&RunId::new(), log).await?;
        Ok((client, notices))
    }

    /// Start the agent of this run, and have a share in its notices.
    pub(super) async fn start_as(&self, run: &RunId, log: &Path) -> Result<(Client, Notices, Notifier), RuntimeError> {
        let carriage = match &self.vessel {
            Vessel::Process(program) => process(program, log)?,
            Vessel::Container(ship) => ship.launch(run, log).await?,
        };
        let (client, notices, notify) = Client::over(carriage);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(client.ended());
        Ok((client, notices, notify))
    }

    /// This program's file, as an agent sees it.
    pub(crate) fn own_program(&self) -> Result<PathBuf, RuntimeError> {
        match &self.vessel {
            Vessel::Process(_) => std::env::current_exe().map_err(RuntimeError::Start),
            Vessel::Container(_) => Ok(PathBuf::from(OWN_PROGRAM)),
        }
    }

    /// Wait until the last agent that was started, and everything with it, is gone.
    pub(crate) async fn settle(&self) {
        if let Vessel::Container(ship) = &self.vessel {
            ship.settle().await;
        }
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(mut ended) = last {
            // The channel closes when the waiting task is gone, which is an end as well.
            let _ = ended.wait_for(|ended| *ended).await;
        }
    }
}

fn process(program: &Path, log: &Path) -> Result<Carriage, RuntimeError> {
    let errors = OpenOptions::new().append(true).create(true).open(log).map_err(RuntimeError::file(log))?;
    let mut command = std::process::Command::new(program);
    // The agent makes a session of its own: Ctrl-C reaches the harness, which then ends the agent in good order.
    command.arg0("peerbed").arg("agent");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
    let mut child = Command::from(command).spawn().map_err(RuntimeError::Start)?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        unreachable!("both were asked for as pipes");
    };
    let log = log.to_owned();
    let end = move |killed| -> Ending { Box::pin(see_out(child, killed, log)) };
    Ok(Carriage { stdin: Box::pin(stdin), stdout: Box::pin(stdout), end: Box::new(end), end_within: END_WITHIN })
}

async fn see_out(mut child: Child, mut killed: Killed, log: PathBuf) -> Result<(), String> {
    let ended = tokio::select! {
        status = child.wait() => Some(status),
        () = killed.wanted() => None,
    };
    let status = if let Some(status) = ended {
        status
    } else {
        // It may have ended in this moment; then there is nothing to kill.
        let _ = child.start_kill();
        child.wait().await
    };
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{status}; its log is {}", log.display())),
        Err(error) => Err(error.to_string()),
    }
}
