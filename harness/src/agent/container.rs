//! The agent in a container: what holds the network of nodes that are containers themselves, and removes them in the end.
//!
//! Its namespaces are those that the engine gave it. Nodes are started by the harness; what the agent does for them is to
//! move their devices. When the harness's stream closes, for whatever reason, the agent takes the network down and removes
//! every container of the run; its own goes when it exits.

use std::{
    fs, io,
    io::Write,
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    process::set_child_subreaper,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::{
    probe,
    process::{CANNOT_BEGIN, FAILED, nothing_as_standard_streams, raise_descriptors, take_precedence},
    protocol::{Notice, Said},
    serve::{self, Inherited},
};
use crate::{
    docker::{AgentOrders, Endpoint, Engine},
    say::complain,
};

/// The harness calls at once. Where nobody does, somebody else started the container, again: nobody would ever end it.
const FIRST_CALL_WITHIN: Duration = Duration::from_secs(20);

/// `agent container ORDERS`.
pub(super) fn main(orders: &str) -> ExitCode {
    let begun = serde_json::from_str(orders).map_err(|error| format!("its orders cannot be read: {error}"));
    let begun = begun.and_then(|orders: AgentOrders| begin(&orders));
    let (inherited, reaper) = match begun {
        Ok(begun) => begun,
        Err(why) => {
            complain(format_args!("agent: {why}"));
            let notice = Said::Notice(Notice::Broken { message: why });
            if let Ok(line) = serde_json::to_string(&notice) {
                // Standard error and the exit code say it too.
                let _ = writeln!(io::stdout(), "{line}");
            }
            return ExitCode::from(CANNOT_BEGIN);
        }
    };
    // Whatever became of the network, the containers go.
    let served = catch_unwind(AssertUnwindSafe(|| serve::run(inherited)));
    let orderly = matches!(served, Ok(Ok(true)));
    if let Ok(Err(error)) = &served {
        complain(format_args!("agent: {error}"));
    }
    match reaper.finish(orderly) {
        Ok(()) if matches!(served, Ok(Ok(_))) => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(FAILED),
        Err(error) => {
            complain(format_args!("agent: containers are left behind: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

/// `agent look CONGESTION-CONTROL`: try what an agent in this container may do, and print it.
pub(super) fn look(congestion_control: &str) -> ExitCode {
    match probe::inside(congestion_control) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("agent: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

fn begin(orders: &AgentOrders) -> Result<(Inherited, Reaper), String> {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    if boot_id.trim() != orders.boot_id {
        return Err(format!(
            "the Docker engine at {} is on another machine (or has a kernel of its own); Peerbed measures the machine that \
             it runs on, so it needs an engine there",
            orders.endpoint
        ));
    }
    take_precedence();
    // What programs in nodes leave behind comes to this process.
    let _ = set_child_subreaper(None);
    let reaper = Reaper::begin(orders)?;
    let inherited = || -> io::Result<Inherited> {
        let node_descriptors = raise_descriptors()?;
        let outer_proc =
            openat(CWD, &orders.proc, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok();
        let [stdin, stdout] = nothing_as_standard_streams()?;
        Ok(Inherited {
            stdin,
            stdout,
            pid: std::process::id(),
            outer_proc,
            node_descriptors,
            proc: orders.proc.clone(),
            first_call_within: Some(FIRST_CALL_WITHIN),
        })
    };
    Ok((inherited().map_err(|error| format!("it cannot begin: {error}"))?, reaper))
}

/// The thread that removes containers: it found the engine before it was needed, so that it can be relied on.
struct Reaper {
    /// Told in the end whether the harness took leave.
    finish: mpsc::Sender<bool>,
    thread: JoinHandle<Result<(), String>>,
}

impl Reaper {
    fn begin(orders: &AgentOrders) -> Result<Self, String> {
        let (finish, finished) = mpsc::channel();
        let (say, hear) = mpsc::channel();
        let orders = orders.clone();
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| error.to_string())?;
            let engine = enter(&orders).and_then(|()| {
                let connected = Engine::connect(orders.own_endpoint(), "the harness");
                runtime.block_on(connected).map_err(|error| error.to_string())
            });
            let engine = match engine {
                Ok(engine) => engine,
                Err(why) => {
                    let _ = say.send(Err(why.clone()));
                    return Err(why);
                }
            };
            // The listener waits for it.
            let _ = say.send(Ok(()));
            // Without a word the agent has failed, which is no leave.
            let orderly = finished.recv().unwrap_or(false);
            let removed = runtime.block_on(async {
                if orderly {
                    engine.remove_nodes(&orders.run).await
                } else {
                    engine.remove_nodes_and_stragglers(&orders.run).await
                }
            });
            removed.map(drop).map_err(|error| error.to_string())
        };
        let thread = thread::Builder::new().name("reaper".to_owned()).spawn(work).map_err(|error| error.to_string())?;
        match hear.recv() {
            Ok(Ok(())) => Ok(Self { finish, thread }),
            Ok(Err(why)) => Err(format!("it could not remove what it will have to remove: {why}")),
            Err(_) => Err("the thread that removes containers cannot begin".to_owned()),
        }
    }

    fn finish(self, orderly: bool) -> Result<(), String> {
        // If the thread has gone, it says why.
        let _ = self.finish.send(orderly);
        self.thread.join().unwrap_or_else(|_| Err("the thread that removes containers panicked".to_owned()))
    }
}

/// Where the engine is reached over the network, this thread has to be in the harness's.
fn enter(orders: &AgentOrders) -> Result<(), String> {
    if !matches!(orders.endpoint, Endpoint::Tcp(_)) {
        return Ok(());
    }
    let network = orders.proc.join(orders.harness_pid.to_string()).join("ns/net");
    let entered = openat(CWD, &network, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .and_then(|network| move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)));
    entered.map_err(|error| {
        format!("{} is in a network that it cannot enter ({error}): use the engine's Unix socket", orders.endpoint)
    })
}
