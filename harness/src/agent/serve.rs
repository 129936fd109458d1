//! The agent at work: one task owns the network and the nodes' states, answers calls and passes on what happens.
//!
//! It never waits for the harness or for a node: replies and news go to an unbounded queue (there are never more of them
//! than calls and processes), node output to a bounded one that holds back the node alone.

mod network;

use std::{
    collections::BTreeMap,
    io,
    os::fd::{OwnedFd, RawFd},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc as threads,
    },
    time::Duration,
};

use peerbed_contract::NodeName;
use tokio::{
    net::unix::pipe,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
};

use super::{
    fabric::{FabricError, Standing},
    passage, plug,
    protocol::{Call, Notice, Reply, Request, Said, Signal, Spawn},
    relay::{self, ToldLine, WAITING_LINES},
    spawn::{Ended, Happened, Order, SpawnError, Spawner},
    stream,
};
use crate::say::complain;

/// Lines of nodes that may wait for the harness; beyond, nodes wait in their pipes.
const WAITING_NOTICES: usize = 256;
/// How often the engine is asked whether it still works.
const HEALTH_EVERY: Duration = Duration::from_millis(500);

/// What the agent was started with.
pub(super) struct Inherited {
    /// Calls.
    pub(super) stdin: OwnedFd,
    /// Replies and notices.
    pub(super) stdout: OwnedFd,
    /// The agent's process id outside.
    pub(super) pid: u32,
    /// The `/proc` of the outside.
    pub(super) outer_proc: Option<OwnedFd>,
    /// The soft limit of descriptors that nodes begin with.
    pub(super) node_descriptors: Option<u64>,
    /// Where processes are seen that somebody else started.
    pub(super) proc: PathBuf,
    /// How long the first call may take; none: for ever.
    pub(super) first_call_within: Option<Duration>,
}

/// Serve until the end of the input or SIGTERM. Nodes and namespaces then go with the process. Gives whether the harness
/// took leave before it went.
pub(super) fn run(inherited: Inherited) -> io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(serve(inherited));
    // Tasks that still wait for a node or the harness must not hold up the end.
    runtime.shutdown_background();
    served
}

async fn serve(inherited: Inherited) -> io::Result<bool> {
    let (mut children, mut terminate) = (signal(SignalKind::child())?, signal(SignalKind::terminate())?);
    let (urgent, urgent_queue) = mpsc::unbounded_channel();
    let (notices, notice_queue) = mpsc::channel(WAITING_NOTICES);
    let (events, mut happenings) = mpsc::unbounded_channel();
    let (tell, mut processes) = mpsc::unbounded_channel();
    let (tell_plugged, mut plugged) = mpsc::unbounded_channel();
    let ending = Arc::new(AtomicBool::new(false));
    let Inherited { stdin, stdout, pid, outer_proc, node_descriptors, proc, first_call_within } = inherited;
    let (entrance, pipes) = passage::open()?;
    let orders =
        Spawner { outer_proc, node_descriptors, pipes: entrance, tell, ending: Arc::clone(&ending) }.begin()?;
    let calls = pipe::Receiver::from_owned_fd(stdin)?;
    let said = pipe::Sender::from_owned_fd(stdout)?;
    tokio::spawn(stream::calls(calls, events.clone()));
    tokio::spawn(stream::said(said, urgent_queue, notice_queue, events.clone()));
    let mut agent = Agent {
        pid,
        fabric: Installation::None,
        broken: false,
        nodes: BTreeMap::new(),
        orders,
        plugs: plug::begin(proc, tell_plugged)?,
        farewell: false,
        pipes,
        urgent,
        notices,
        events,
    };
    let mut health = tokio::time::interval(HEALTH_EVERY);
    let mut nobody_calls = first_call_within.map(|within| Box::pin(tokio::time::sleep(within)));
    loop {
        tokio::select! {
            Some(event) = happenings.recv() => match event {
                Event::Call(call) => {
                    nobody_calls = None;
                    agent.call(*call)?;
                }
                Event::Built { call, result } => agent.built(call, *result),
                Event::Gone { node } => agent.gone(&node)?,
                Event::Over => break,
            },
            Some(happened) = processes.recv() => agent.happened(happened)?,
            Some(outcome) = plugged.recv() => agent.plugged(outcome),
            Some(()) = children.recv() => agent.order(Order::Look)?,
            Some(()) = terminate.recv() => break,
            () = async { nobody_calls.as_mut().expect("it is there").await }, if nobody_calls.is_some() => {
                complain(format_args!("agent: nobody calls: it was started by somebody else than the harness"));
                break;
            }
            _ = health.tick() => agent.look_at_engine(),
        }
    }
    ending.store(true, Ordering::Relaxed);
    agent.end().await
}

/// What the serving task is told by others.
pub(super) enum Event {
    /// The harness wants something.
    Call(Box<Call>),
    /// The thread that builds the network is done.
    Built {
        /// The call for it.
        call: u64,
        /// What became of it.
        result: Box<Result<Standing, FabricError>>,
    },
    /// The last notice of a node's process is on its way.
    Gone { node: NodeName },
    /// The harness has gone, or wants the agent to.
    Over,
}

struct Agent {
    pid: u32,
    fabric: Installation,
    broken: bool,
    nodes: BTreeMap<NodeName, Node>,
    orders: threads::Sender<Order>,
    /// Devices to be moved.
    plugs: threads::Sender<plug::Order>,
    /// Nothing more will be asked for.
    farewell: bool,
    /// The pipes of started processes, in the order in which the thread tells of them.
    pipes: passage::Exit,
    urgent: mpsc::UnboundedSender<Said>,
    notices: mpsc::Sender<Notice>,
    events: mpsc::UnboundedSender<Event>,
}

enum Installation {
    None,
    UnderWay,
    Stands(Box<Standing>),
}

struct Node {
    position: usize,
    /// The number of its namespace's descriptor, which `fabric` holds.
    namespace: RawFd,
    state: State,
    /// A start that waits for the end of the process before.
    next: Option<(u64, Spawn)>,
}

enum State {
    Idle,
    Starting,
    Running(Running),
    /// The process has ended, but its last lines are still on their way.
    Ending,
}

struct Running {
    lines: mpsc::Sender<ToldLine>,
    teller: tokio::task::AbortHandle,
    end: oneshot::Sender<Ended>,
    killed: bool,
}

impl Agent {
    fn reply(&self, id: u64, reply: Reply) {
        // The queue closes only when the harness has gone.
        let _ = self.urgent.send(Said::Reply { id, reply });
    }

    fn refuse<W: ToString + ?Sized>(&self, id: u64, why: &W) {
        self.reply(id, Reply::Failed { message: why.to_string() });
    }

    fn order(&self, order: Order) -> io::Result<()> {
        self.orders.send(order).map_err(no_spawner)
    }

    fn call(&mut self, Call { id, request }: Call) -> io::Result<()> {
        match request {
            Request::Install { fabric, later, options } => self.install(id, *fabric, later, options)?,
            Request::Spawn(spawn) => self.spawn(id, spawn)?,
            Request::Plug { node, pid } => self.plug(id, &node, pid)?,
            Request::Move { node, place } => self.relocate(id, &node, &place)?,
            Request::Line { node, line } => self.line(id, node, line),
            Request::Signal { node, signal } => self.signal(id, node, signal)?,
            Request::SetLink { link, forward, backward } => match &self.fabric {
                Installation::Stands(standing) => self.answer(id, standing.engine.set_link(link, forward, backward)),
                _ => self.refuse(id, NOT_INSTALLED),
            },
            Request::SetAccess { node, up, down } => match (&self.fabric, self.nodes.get(&node)) {
                (Installation::Stands(standing), Some(Node { position, .. })) => {
                    self.answer(id, standing.engine.set_access(*position, up, down));
                }
                _ => self.refuse(id, &unknown(&node)),
            },
            Request::Begin { at_ns } => match &self.fabric {
                Installation::Stands(standing) => {
                    standing.engine.begin(at_ns);
                    self.reply(id, Reply::Done);
                }
                _ => self.refuse(id, NOT_INSTALLED),
            },
            Request::Sample => match &self.fabric {
                Installation::Stands(standing) => self.reply(id, Reply::Sample(Box::new(standing.engine.sample()))),
                _ => self.refuse(id, NOT_INSTALLED),
            },
            Request::Farewell => {
                self.farewell = true;
                self.reply(id, Reply::Done);
            }
        }
        Ok(())
    }

    fn answer<E: std::fmt::Display>(&self, id: u64, result: Result<(), E>) {
        match result {
            Ok(()) => self.reply(id, Reply::Done),
            Err(error) => self.refuse(id, &error),
        }
    }

    fn spawn(&mut self, id: u64, spawn: Spawn) -> io::Result<()> {
        let Some(node) = self.nodes.get_mut(&spawn.node) else {
            self.refuse(id, &unknown(&spawn.node));
            return Ok(());
        };
        match &node.state {
            State::Idle => {
                node.state = State::Starting;
                let namespace = node.namespace;
                return self.order(Order::Spawn { call: id, spawn, namespace });
            }
            State::Ending | State::Running(Running { killed: true, .. }) if node.next.is_none() => {
                node.next = Some((id, spawn));
            }
            _ => self.refuse(id, &format!("node {} runs already", spawn.node)),
        }
        Ok(())
    }

    fn line(&self, id: u64, node: NodeName, line: String) {
        let Some(Node { state: State::Running(running), .. }) = self.nodes.get(&node) else {
            return self.refuse(id, &SpawnError::NotRunning(node));
        };
        if line.contains('\n') {
            return self.refuse(id, &format!("node {node}: what it is told has more than one line"));
        }
        let (answer, written) = oneshot::channel();
        if let Err(error) = running.lines.try_send((line, answer)) {
            return match error {
                mpsc::error::TrySendError::Full(_) => {
                    self.refuse(id, &format!("node {node} does not read its standard input"));
                }
                mpsc::error::TrySendError::Closed(_) => self.refuse(id, &SpawnError::NotRunning(node)),
            };
        }
        let urgent = self.urgent.clone();
        tokio::spawn(async move {
            let reply = match written.await {
                Ok(Ok(())) => Reply::Done,
                Ok(Err(error)) => Reply::Failed { message: format!("node {node}: its standard input: {error}") },
                Err(_) => Reply::Failed { message: SpawnError::NotRunning(node).to_string() },
            };
            let _ = urgent.send(Said::Reply { id, reply });
        });
    }

    fn signal(&mut self, id: u64, node: NodeName, signal: Signal) -> io::Result<()> {
        if let Some(Node { state: State::Running(running), .. }) = self.nodes.get_mut(&node) {
            running.killed |= signal == Signal::Kill;
        }
        let (answer, sent) = oneshot::channel();
        self.order(Order::Signal { node, signal, answer })?;
        let urgent = self.urgent.clone();
        tokio::spawn(async move {
            let reply = match sent.await {
                Ok(Ok(())) => Reply::Done,
                Ok(Err(error)) => Reply::Failed { message: error.to_string() },
                // The thread has gone; the serving task notices at its next order.
                Err(_) => return,
            };
            let _ = urgent.send(Said::Reply { id, reply });
        });
        Ok(())
    }

    fn happened(&mut self, happened: Happened) -> io::Result<()> {
        match happened {
            Happened::Started { call, node, result: Ok(pid) } => {
                let [stdin, stdout] = self.pipes.receive()?;
                self.started(&node, stdin, stdout);
                self.reply(call, Reply::Spawned { pid });
            }
            Happened::Started { call, node, result: Err(error) } => {
                self.set(&node, State::Idle);
                self.refuse(call, &error);
            }
            Happened::Stood { node, still } => {
                let notice = if still { Notice::Frozen { node } } else { Notice::Thawed { node } };
                // The queue closes only when the harness has gone.
                let _ = self.urgent.send(Said::Notice(notice));
            }
            Happened::Ended { node, how } => {
                if let Some(State::Running(running)) = self.set(&node, State::Ending) {
                    running.teller.abort();
                    // The listener waits for nothing else; it cannot have gone.
                    let _ = running.end.send(how);
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, node: &NodeName, state: State) -> Option<State> {
        self.nodes.get_mut(node).map(|node| std::mem::replace(&mut node.state, state))
    }

    fn started(&mut self, node: &NodeName, stdin: OwnedFd, stdout: OwnedFd) {
        let (lines, told) = mpsc::channel(WAITING_LINES);
        let (end, ended) = oneshot::channel();
        let (name, events, notices) = (node.clone(), self.events.clone(), self.notices.clone());
        tokio::spawn(async move {
            if let Err(error) = relay::listen(name.clone(), stdout, ended, notices).await {
                complain(format_args!("agent: node {name}: its output is lost: {error}"));
            }
            let _ = events.send(Event::Gone { node: name });
        });
        let name = node.clone();
        let teller = tokio::spawn(async move {
            if let Err(error) = relay::tell(stdin, told).await {
                complain(format_args!("agent: node {name}: it cannot be told anything: {error}"));
            }
        });
        let running = Running { lines, teller: teller.abort_handle(), end, killed: false };
        self.set(node, State::Running(running));
    }

    fn gone(&mut self, node: &NodeName) -> io::Result<()> {
        self.set(node, State::Idle);
        match self.nodes.get_mut(node).and_then(|node| node.next.take()) {
            Some((id, spawn)) => self.spawn(id, spawn),
            None => Ok(()),
        }
    }

    /// Kill the nodes, take the engine down. Gives whether the harness took leave before it went.
    async fn end(self) -> io::Result<bool> {
        // From now on nobody takes pipes, and the thread must not wait for that.
        drop(self.pipes);
        let (done, killed) = oneshot::channel();
        self.orders.send(Order::KillAll { done }).map_err(no_spawner)?;
        killed.await.map_err(no_spawner)?;
        // Stops the engine's threads and closes its ports. Nothing else is served any more, so this thread may wait.
        drop(self.fabric);
        Ok(self.farewell)
    }
}

fn no_spawner<E>(_: E) -> io::Error {
    io::Error::other("the thread that owns the node processes has ended")
}

const NOT_INSTALLED: &str = "no network is installed";

fn unknown(node: &NodeName) -> String {
    format!("no node {node} is installed")
}
