//! The command line of a node's binary.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use peerbed_contract::{NodeConfig, Role, exit};
use tokio::task::LocalSet;
use tracing_subscriber::EnvFilter;

use crate::{
    commands::{command_queue, listen_to_signals, read_stdin},
    config,
    events::{Writer, event_queue},
    memory::Memory,
    node::{BindError, ContractError, Node},
    say::{complain, say},
    sockets, sys,
};

/// Why a node ended otherwise than by order.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}\ntry --help")]
    Arguments(String),
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    #[error("a thread, a runtime or a signal could not be had: {0}")]
    Resources(std::io::Error),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Contract(#[from] ContractError),
    #[error("standard output cannot be written: {0}")]
    Help(std::io::Error),
    #[error("the last events could not be written: {0}")]
    LastWords(std::io::Error),
}

impl Failure {
    fn code(&self) -> i32 {
        match self {
            Failure::Arguments(_) | Failure::Config(_) => exit::USAGE,
            Failure::Resources(_) | Failure::Bind(_) | Failure::Contract(ContractError::Moved(_)) => exit::RESOURCES,
            Failure::Contract(_) | Failure::LastWords(_) | Failure::Help(_) => exit::CONTRACT,
        }
    }
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Run { config: PathBuf },
    Help,
    Version,
}

/// Runs the binary of the role `role`.
pub fn main(role: Role) -> ExitCode {
    sys::lean_allocator();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    // Its way of telling that standard error cannot be written is to print on standard error, which panics then.
    let log = tracing_subscriber::fmt().log_internal_errors(false).with_env_filter(filter);
    log.with_writer(std::io::stderr).init();
    if let Err(error) = sys::survive_large_files() {
        tracing::warn!(%error, "a log that grows beyond `ulimit -f` will end the node");
    }
    let done = match arguments(std::env::args_os().skip(1)) {
        Ok(Asked::Help) => say(help(role)).map_err(Failure::Help),
        Ok(Asked::Version) => say(format_args!("{role} {}\n", env!("CARGO_PKG_VERSION"))).map_err(Failure::Help),
        Ok(Asked::Run { config }) => config::load(&config, role).map_err(Failure::from).and_then(|mut node| {
            let memory = Memory::beside(&config);
            memory.recall(&mut node);
            run(node, memory)
        }),
        Err(failure) => Err(failure),
    };
    let code = done.map_or_else(
        |failure| {
            complain(format_args!("{role}: {failure}"));
            failure.code()
        },
        |()| exit::OK,
    );
    ExitCode::from(code as u8)
}

fn help(role: Role) -> String {
    format!(
        "Usage: {role} --config FILE\n\n\
         The {role} of a Peerbed experiment. It binds its address, prints a `ready` line on standard output, waits for\n\
         {{\"command\":\"start\",\"epoch_ns\":N}} on standard input, prints events as JSON lines, and stops on\n\
         {{\"command\":\"stop\"}}, at the end of input, or at SIGTERM. It logs to standard error (RUST_LOG).\n\n\
         Options:\n  \
         --config FILE  what it is told before it starts (JSON)\n  \
         --help         this text\n  \
         --version      the version\n\n\
         Exit codes: 0 stopped as told, 2 wrong arguments or configuration, 3 a socket or thread could not be had,\n\
         4 standard input or output broke off or was not understood.\n"
    )
}

fn arguments(mut arguments: impl Iterator<Item = OsString>) -> Result<Asked, Failure> {
    let mut config = None;
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        match (&*text, text.strip_prefix("--config=")) {
            ("--help" | "-h", _) => return Ok(Asked::Help),
            ("--version" | "-V", _) => return Ok(Asked::Version),
            ("--config", _) => {
                let file = arguments.next().ok_or_else(|| Failure::Arguments("--config needs a FILE".to_owned()))?;
                config = Some(PathBuf::from(file));
            }
            (_, Some(file)) => config = Some(PathBuf::from(file)),
            _ => return Err(Failure::Arguments(format!("`{text}` is not understood"))),
        }
    }
    config.map(|config| Asked::Run { config }).ok_or_else(|| Failure::Arguments("--config FILE is needed".to_owned()))
}

fn run(config: NodeConfig, memory: Memory) -> Result<(), Failure> {
    sockets::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .map_err(Failure::Resources)?;
    let done = LocalSet::new().block_on(&runtime, async {
        let node = Node::bind(config)?.remember(memory);
        let (commands_to, commands) = command_queue();
        let (events, lines) = event_queue();
        listen_to_signals(&commands_to).map_err(Failure::Resources)?;
        let writer = Writer::start(lines, commands_to.clone()).map_err(Failure::Resources)?;
        read_stdin(commands_to).map_err(Failure::Resources)?;
        let ended = node.run(commands, events).await;
        let written = writer.finish().await.map_err(Failure::LastWords);
        ended.map_err(Failure::from).and(written)
    });
    // An object that is being hashed keeps nobody waiting.
    runtime.shutdown_background();
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Asked, String> {
        arguments(line.split_whitespace().map(OsString::from)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn arguments_are_understood_or_explained() {
        let run = Ok(Asked::Run { config: "a.json".into() });
        assert_eq!(asked("--config a.json"), run);
        assert_eq!(asked("--config=a.json"), run);
        assert_eq!(asked("--help"), Ok(Asked::Help));
        assert_eq!(asked("--config a.json --version"), Ok(Asked::Version));
        assert!(asked("").unwrap_err().contains("--config FILE is needed"));
        assert!(asked("--config").unwrap_err().contains("needs a FILE"));
        assert!(asked("--conf a.json").unwrap_err().contains("`--conf` is not understood"));
    }
}
