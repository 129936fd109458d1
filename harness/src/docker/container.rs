//! Makes, starts, signals and looks at single containers, and speaks with them.

use std::{pin::Pin, time::Duration};

use bollard::{
    container::LogOutput,
    exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults},
    query_parameters::{
        AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, KillContainerOptionsBuilder,
        WaitContainerOptionsBuilder,
    },
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncWrite;

use super::{
    DockerError, Engine,
    body::{AgentBody, NodeBody},
    error::{CONFLICT, ask, reason, settled},
};

/// The streams of a container.
pub struct Attached {
    /// Its standard input.
    pub voice: Voice,
    /// Its standard output and standard error.
    pub heard: Heard,
}

/// A container's standard input; it ends with this.
pub type Voice = Pin<Box<dyn AsyncWrite + Send>>;

/// What a container says.
pub struct Heard(Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>);

/// A program beside what runs in a container.
pub struct Beside {
    engine: Engine,
    id: String,
    /// Its streams.
    pub streams: Attached,
}

/// How such a program is asked about, while its streams are in use.
#[derive(Clone)]
pub struct BesideControl {
    engine: Engine,
    id: String,
}

impl Beside {
    /// What it is asked about with.
    pub fn control(&self) -> BesideControl {
        BesideControl { engine: self.engine.clone(), id: self.id.clone() }
    }
}

impl BesideControl {
    /// Its process id, on the machine.
    pub async fn pid(&self) -> Result<Option<u32>, DockerError> {
        let state = ask("tell of a program", || self.engine.api.inspect_exec(&self.id)).await?;
        Ok(state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0))
    }

    /// Its exit code, once its streams have ended; none if it is not told.
    pub async fn exit_code(&self) -> Result<Option<u8>, DockerError> {
        // The engine knows of it a moment after the streams' end, and has no event for it that all versions share.
        const LOOKS: u32 = 50;
        const PAUSE: Duration = Duration::from_millis(20);
        for _ in 0..LOOKS {
            let state = ask("tell of a program", || self.engine.api.inspect_exec(&self.id)).await?;
            if let Some(code) = state.exit_code {
                return Ok(Some(code as u8));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(None)
    }

    /// Give its terminal another size.
    pub async fn resize(&self, rows: u16, columns: u16) -> Result<(), DockerError> {
        let size = ResizeExecOptions { height: rows, width: columns };
        ask("change the size of a terminal", || self.engine.api.resize_exec(&self.id, size)).await
    }
}

/// A piece of what a container says, not necessarily a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// On standard output.
    Output(Bytes),
    /// On standard error.
    Errors(Bytes),
}

impl Heard {
    /// The next piece; none at the end, which comes when the container's process has ended.
    pub async fn next(&mut self) -> Option<Result<Piece, DockerError>> {
        loop {
            return match self.0.next().await? {
                Ok(LogOutput::StdOut { message } | LogOutput::Console { message }) => Some(Ok(Piece::Output(message))),
                Ok(LogOutput::StdErr { message }) => Some(Ok(Piece::Errors(message))),
                Ok(LogOutput::StdIn { .. }) => continue,
                Err(error) => Some(Err(DockerError::Refused {
                    what: "pass on what a container says".to_owned(),
                    reason: reason(&error),
                    status: None,
                })),
            };
        }
    }
}

impl Engine {
    /// Make a node's container.
    pub async fn create_node(&self, body: &NodeBody<'_>) -> Result<String, DockerError> {
        let name = body.run.node(body.node);
        self.create(&name, body.render()).await?;
        Ok(name)
    }

    /// Make an agent's container.
    pub async fn create_agent(&self, body: &AgentBody<'_>) -> Result<String, DockerError> {
        let name = body.orders.run.agent();
        self.create(&name, body.render()).await?;
        Ok(name)
    }

    pub(super) async fn create(
        &self,
        name: &str,
        body: bollard::models::ContainerCreateBody,
    ) -> Result<(), DockerError> {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let created = ask(format!("make the container {name}"), || {
            self.api.create_container(Some(options.clone()), body.clone())
        });
        match created.await {
            Ok(made) => {
                for warning in made.warnings.iter().filter(|warning| !warning.is_empty()) {
                    tracing::debug!("the Docker engine says of {name}: {warning}");
                }
                Ok(())
            }
            // Names are given once, so the answer to an earlier try was lost.
            Err(error) if error.is(CONFLICT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Connect with a container's streams; before its start, so that nothing is missed.
    pub async fn attach(&self, name: &str) -> Result<Attached, DockerError> {
        let options =
            AttachContainerOptionsBuilder::default().stream(true).stdin(true).stdout(true).stderr(true).build();
        let attached = ask(format!("connect with the container {name}"), || {
            self.api.attach_container(name, Some(options.clone()))
        });
        let attached = attached.await?;
        Ok(Attached { voice: attached.input, heard: Heard(attached.output) })
    }

    /// Start a container.
    pub async fn start(&self, name: &str) -> Result<(), DockerError> {
        settled(
            ask(format!("start the container {name}"), || {
                self.api.start_container(name, None::<bollard::query_parameters::StartContainerOptions>)
            })
            .await,
        )
    }

    /// The process id of a container's first process; none if it does not run.
    pub async fn pid(&self, name: &str) -> Result<Option<u32>, DockerError> {
        let looked = ask(format!("look at the container {name}"), || {
            self.api.inspect_container(name, None::<bollard::query_parameters::InspectContainerOptions>)
        });
        let pid = looked.await?.state.and_then(|state| state.pid);
        Ok(pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0))
    }

    /// Kill a container's processes; false if it did not run.
    pub async fn kill(&self, name: &str) -> Result<bool, DockerError> {
        let options = KillContainerOptionsBuilder::default().signal("KILL").build();
        let killed = ask(format!("kill the container {name}"), || self.api.kill_container(name, Some(options.clone())));
        match killed.await {
            Ok(()) => Ok(true),
            Err(error) if error.is(CONFLICT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Let a container's processes stand still.
    pub async fn pause(&self, name: &str) -> Result<(), DockerError> {
        ask(format!("pause the container {name}"), || self.api.pause_container(name)).await
    }

    /// Let them go on.
    pub async fn unpause(&self, name: &str) -> Result<(), DockerError> {
        ask(format!("unpause the container {name}"), || self.api.unpause_container(name)).await
    }

    /// Begin a program beside what runs in a container, as its root, with a terminal of its own or without.
    pub async fn begin_beside(&self, name: &str, words: &[String], terminal: bool) -> Result<Beside, DockerError> {
        let config = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            // A terminal has one stream for both.
            attach_stderr: Some(!terminal),
            tty: Some(terminal),
            user: Some("0:0".to_owned()),
            cmd: Some(words.to_vec()),
            ..CreateExecOptions::default()
        };
        let what = format!("begin a program in the container {name}");
        let made = ask(&what, || self.api.create_exec(name, config.clone())).await?;
        let options = StartExecOptions { detach: false, tty: terminal, output_capacity: None };
        let started = ask(&what, || self.api.start_exec(&made.id, Some(options))).await?;
        match started {
            StartExecResults::Attached { output, input } => {
                let streams = Attached { voice: input, heard: Heard(output) };
                Ok(Beside { engine: self.clone(), id: made.id, streams })
            }
            StartExecResults::Detached => {
                Err(DockerError::Refused { what, reason: "its streams were kept back".to_owned(), status: None })
            }
        }
    }

    /// Wait for the end of what a container runs, from before its start; gives its exit code. It may be started again then.
    pub async fn exited(&self, name: &str) -> Result<i64, DockerError> {
        self.await_end(name, "next-exit").await
    }

    /// Wait until a container is gone, having been started; gives its exit code.
    pub async fn gone(&self, name: &str) -> Result<i64, DockerError> {
        self.await_end(name, "removed").await
    }

    async fn await_end(&self, name: &str, condition: &str) -> Result<i64, DockerError> {
        let options = WaitContainerOptionsBuilder::default().condition(condition).build();
        match self.api.wait_container(name, Some(options)).next().await {
            Some(Ok(ended)) => Ok(ended.status_code),
            // The library's way of telling an exit code that is not 0.
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(DockerError::Refused {
                what: format!("tell the end of the container {name}"),
                reason: reason(&error),
                status: None,
            }),
            None => Err(DockerError::Refused {
                what: format!("tell the end of the container {name}"),
                reason: "it said nothing".to_owned(),
                status: None,
            }),
        }
    }
}
