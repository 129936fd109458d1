//! The life of a node: bind, ready, start, the run loop, stop.

use std::{io, net::SocketAddr, time::Duration};

use peerbed_contract::{Command, Event, EventKind, NatClass, NodeConfig, NodeName, Order, RoleConfig};
use peerbed_proto::{ControlMachine, EdgeMachine, Input, Machine, Output, PeerMachine, Time};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::Instant,
};

use crate::{
    clock::Clock,
    commands::{CommandReceiver, Told},
    events::{EventError, EventSender},
    host::Host,
    library::Library,
    memory::Memory,
    sockets,
};

/// A machine that was told to stop has so long to finish: a peer drains its connections for five seconds.
const STOP_LIMIT: Duration = Duration::from_secs(8);
/// The same at the end of standard input, when nobody waits any more.
const END_LIMIT: Duration = Duration::from_millis(500);
/// Connections of a machine that has finished have so long to part from their remotes, some of which may be dead.
const PART_LIMIT: Duration = Duration::from_secs(2);

/// A socket that a node needs could not be had.
#[derive(Debug, thiserror::Error)]
#[error("node {node}: {address} cannot be listened at: {source}")]
pub struct BindError {
    node: NodeName,
    address: SocketAddr,
    source: io::Error,
}

/// The harness broke the contract.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// Standard output.
    #[error("node {node}: {source}")]
    Events {
        /// Who says so.
        node: NodeName,
        /// What is wrong.
        source: EventError,
    },
    /// Standard input or output.
    #[error("node {node}: {reason}")]
    Commands {
        /// Who says so.
        node: NodeName,
        /// What is wrong.
        reason: String,
    },
    /// Its host was moved, but the address is not there.
    #[error(transparent)]
    Moved(#[from] BindError),
}

/// A node with its socket bound.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    listener: TcpListener,
    listen: SocketAddr,
    memory: Option<Memory>,
}

/// Whether it dials from the port at which it listens.
fn shared(config: &NodeConfig) -> bool {
    matches!(&config.role, RoleConfig::Peer(peer) if peer.nat != NatClass::None)
}

impl Node {
    /// Binds the node's socket. Port 0 in the configuration takes a free port, which the machine is told.
    pub fn bind(mut config: NodeConfig) -> Result<Self, BindError> {
        let shared = shared(&config);
        let port = match &mut config.role {
            RoleConfig::Edge(edge) => &mut edge.port,
            RoleConfig::Control(control) => &mut control.port,
            RoleConfig::Peer(peer) => &mut peer.port,
        };
        let address = SocketAddr::new(config.address, *port);
        let bound = sockets::listen(address, shared).and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (listen, listener) = bound.map_err(|source| BindError { node: config.name.clone(), address, source })?;
        *port = listen.port();
        Ok(Self { config, listener, listen, memory: None })
    }

    /// What it remembers is kept there over its end.
    pub(crate) fn remember(self, memory: Memory) -> Self {
        Self { memory: Some(memory), ..self }
    }

    /// Where it listens.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Lives until it is stopped. Must be called on a `LocalSet`.
    pub async fn run(self, mut commands: CommandReceiver, events: EventSender) -> Result<(), ContractError> {
        let Self { config, listener, listen, memory } = self;
        let role = config.role.role();
        let voice = Voice { node: config.name.clone(), events };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        voice.say(0, EventKind::Ready { role, listen, version })?;

        let objects = match &config.role {
            RoleConfig::Edge(edge) => edge.objects.as_slice(),
            RoleConfig::Control(_) => &[],
            RoleConfig::Peer(peer) => &peer.objects,
        };
        let library = Library::new(objects);
        if matches!(config.role, RoleConfig::Edge(_)) {
            let library = std::rc::Rc::clone(&library);
            tokio::task::spawn_local(async move { library.prepare().await });
        }

        let mut orders = Vec::new();
        let Some(clock) = wait_for_start(&mut commands, &voice, &mut orders).await? else {
            return voice.say(0, EventKind::Stopped);
        };
        let running = Running {
            clock,
            machine: machine(&config),
            shared: shared(&config),
            accepting: Accepting::begin(listener),
            host: Host::new(listen, role, library),
            voice,
            memory,
            until: None,
            finished: false,
        };
        running.run(commands, orders).await
    }
}

fn machine(config: &NodeConfig) -> Box<dyn Machine> {
    match &config.role {
        RoleConfig::Edge(edge) => Box::new(EdgeMachine::new(config, edge)),
        RoleConfig::Control(control) => Box::new(ControlMachine::new(config, control)),
        RoleConfig::Peer(peer) => Box::new(PeerMachine::new(config, peer)),
    }
}

/// Says events in the node's name.
struct Voice {
    node: NodeName,
    events: EventSender,
}

impl Voice {
    fn say(&self, t: Time, kind: EventKind) -> Result<(), ContractError> {
        let event = Event { node: self.node.clone(), t, kind };
        self.events.send(&event).map_err(|source| ContractError::Events { node: self.node.clone(), source })
    }

    fn broken(&self, reason: String) -> ContractError {
        ContractError::Commands { node: self.node.clone(), reason }
    }
}

/// What the harness asked a node for.
enum Ask {
    Order(Order),
    Stop,
    End,
    /// It broke the contract; the node stops as at the end of input, and says this then.
    Broken(String),
    /// A second start.
    Nothing,
}

fn ask(told: Told) -> Ask {
    match told {
        Told::Command(Command::Stop) => Ask::Stop,
        Told::Command(Command::Start { .. }) => Ask::Nothing,
        Told::Command(Command::Order { order }) => Ask::Order(order),
        Told::End => Ask::End,
        Told::Unreadable(error) => Ask::Broken(error.to_string()),
        Told::InputLost(error) => Ask::Broken(format!("standard input cannot be read: {error}")),
        Told::OutputLost(reason) => Ask::Broken(format!("standard output cannot be written: {reason}")),
    }
}

/// Waits for the start and for its moment; nothing if the node is to stop before. Orders that come meanwhile are kept.
async fn wait_for_start(
    commands: &mut CommandReceiver,
    voice: &Voice,
    orders: &mut Vec<Order>,
) -> Result<Option<Clock>, ContractError> {
    let mut clock: Option<Clock> = None;
    loop {
        let told = tokio::select! {
            told = commands.next() => told,
            () = moment(clock) => return Ok(clock),
        };
        match told {
            Told::Command(Command::Start { epoch_ns }) if clock.is_none() => {
                let started = Clock::new(epoch_ns);
                voice.say(started.now(), EventKind::Started)?;
                clock = Some(started);
            }
            told => match ask(told) {
                Ask::Order(order) => orders.push(order),
                Ask::Stop | Ask::End => return Ok(None),
                Ask::Broken(reason) => return Err(voice.broken(reason)),
                Ask::Nothing => {}
            },
        }
    }
}

/// Waits until the clock stands at 0; without one, for ever.
async fn moment(clock: Option<Clock>) {
    match clock {
        Some(clock) => tokio::time::sleep(clock.until(0)).await,
        None => std::future::pending().await,
    }
}

/// A node after its start.
struct Running {
    clock: Clock,
    machine: Box<dyn Machine>,
    host: Host,
    voice: Voice,
    memory: Option<Memory>,
    accepting: Accepting,
    /// Connections may be dialled from the port at which it listens.
    shared: bool,
    /// When the machine wants its next [`Input::Timer`].
    until: Option<Time>,
    finished: bool,
}

impl Running {
    async fn run(mut self, mut commands: CommandReceiver, orders: Vec<Order>) -> Result<(), ContractError> {
        let mut timer = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
        let mut stopping = None;
        let mut broken = None;
        let mut limit = STOP_LIMIT;

        self.feed(Input::Start)?;
        for order in orders {
            self.feed(Input::Order(order))?;
        }
        while !self.finished {
            let until = self.until;
            if let Some(until) = until {
                let deadline = Instant::now() + self.clock.until(until);
                if timer.deadline() != deadline {
                    timer.as_mut().reset(deadline);
                }
            }
            let input = tokio::select! {
                input = self.host.next_input() => input,
                Some((stream, from)) = self.accepting.accepted.recv() => match self.host.accept(stream, from) {
                    Some(input) => input,
                    None => continue,
                },
                () = timer.as_mut(), if until.is_some() => Input::Timer,
                // What is told after the stop (the end of input, usually) changes nothing.
                told = commands.next(), if stopping.is_none() => {
                    match ask(told) {
                        Ask::Nothing => continue,
                        Ask::Order(order) => {
                            self.feed(Input::Order(order))?;
                            continue;
                        }
                        Ask::Stop => {}
                        Ask::End => limit = END_LIMIT,
                        Ask::Broken(reason) => {
                            limit = END_LIMIT;
                            broken = Some(reason);
                        }
                    }
                    stopping = Some(Instant::now() + limit);
                    self.accepting.acceptor.abort();
                    // What was sent and received before counts in the accounts that the stop closes.
                    while let Some(input) = self.host.queued_input() {
                        self.feed(input)?;
                    }
                    Input::Stop
                }
                () = reach(stopping) => {
                    let message = format!("the node had not finished {limit:?} after it was told to stop");
                    self.voice.say(self.clock.now(), EventKind::Notice { message })?;
                    break;
                }
            };
            self.feed(input)?;
        }
        self.accepting.acceptor.abort();
        self.host.finish(limit.min(PART_LIMIT)).await;
        let said = self.voice.say(self.clock.now(), EventKind::Stopped);
        broken.map_or(said, |reason| Err(self.voice.broken(reason)))
    }

    /// Hands the machine one input and carries out everything that it wants done.
    fn feed(&mut self, input: Input) -> Result<(), ContractError> {
        let now = self.clock.now();
        tracing::trace!(now, ?input, "in");
        self.machine.handle(now, input);
        loop {
            let output = self.machine.poll(now);
            tracing::trace!(now, ?output, "out");
            match output {
                Output::Idle { until } => {
                    self.until = until;
                    return Ok(());
                }
                Output::Finished => {
                    self.finished = true;
                    return Ok(());
                }
                Output::Event(kind) => self.voice.say(now, kind)?,
                Output::Remember { secondary } => {
                    if let Some(memory) = &self.memory {
                        memory.keep(secondary);
                    }
                }
                Output::Listen { at } => {
                    let refused = |source| BindError { node: self.voice.node.clone(), address: at, source };
                    let listener = sockets::listen(at, self.shared).map_err(refused)?;
                    self.accepting.acceptor.abort();
                    self.accepting = Accepting::begin(listener);
                    self.host.move_to(at);
                }
                output => self.host.carry_out(output),
            }
        }
    }
}

/// Waits for a moment; for ever, if there is none.
async fn reach(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The listener at work, and what it accepted.
struct Accepting {
    acceptor: tokio::task::JoinHandle<()>,
    accepted: mpsc::Receiver<(TcpStream, SocketAddr)>,
}

impl Accepting {
    fn begin(listener: TcpListener) -> Self {
        let (accepted_to, accepted) = mpsc::channel(16);
        Self { acceptor: tokio::task::spawn_local(accept(listener, accepted_to)), accepted }
    }
}

/// Accepts connections until it is aborted.
async fn accept(listener: TcpListener, to: mpsc::Sender<(TcpStream, SocketAddr)>) {
    loop {
        match listener.accept().await {
            Ok(accepted) => {
                if to.send(accepted).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                // Out of descriptors, most likely; there is no event that says when one is free again.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
