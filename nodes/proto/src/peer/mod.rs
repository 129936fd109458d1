//! The peer's state machine: it follows the user's script, downloads from edges and peers, and serves other peers.
//!
//! | File | Owns |
//! |---|---|
//! | `script` | the user's acts: downloads begin, pause, resume, end; the end of the run |
//! | `habits` | the upload setting, the link's other use, going and coming back |
//! | `moving` | another address, in the same AS or another |
//! | `edges` | the edge connection of a download: failover, authorisation |
//! | `swarm` | which other peers are dialled and used |
//! | `greeting` | connections of peers: greetings, and which message goes where |
//! | `reach` | connections that the asked side dials |
//! | `requests` | which piece is asked of whom, and the end-game |
//! | `receive` | what comes back: bytes, hashes, refusals |
//! | `upload`, `slots` | what other peers are given, the limits, and whose turn it is |
//! | `cache` | what is kept of finished downloads |
//! | `limit` | how much may be uploaded at a moment |
//! | `news` | which pieces others have, are fetching, and are told of |
//! | `leave` | how a connection ends, and its accounting |
//! | `control_link` | the connection to the control plane |
//! | `standing` | what the control plane is told of copies and upload slots |
//! | `policy` | another policy while it runs |
//! | `timers` | what is due when |
//! | `share` | how much the edge gives while peers deliver |
//! | `accounts` | what was received and sent, by partner, and the usage reports |
//! | `offences` | what others do against the rules, and who is banned for it |
//! | `misbehave` | what an attacker's peer does on purpose |
//! | `board`, `link`, `download`, `rate`, `params` | the values behind them |

mod accounts;
mod board;
mod cache;
mod control_link;
mod download;
mod edges;
mod greeting;
mod habits;
mod leave;
mod limit;
mod link;
mod misbehave;
mod moving;
mod news;
mod offences;
mod params;
mod policy;
pub(crate) mod rate;
mod reach;
mod receive;
mod requests;
mod script;
mod share;
mod slots;
mod standing;
mod swarm;
mod timers;
mod upload;
mod uploader;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use peerbed_contract::{
    AsNumber, ContentId, EventKind, Guid, Habit, NodeConfig, Object, Offence, PeerConfig, ScriptStep,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use self::{
    accounts::Accounts, cache::Cache, control_link::ControlLink, download::Download, link::Link, misbehave::Misdeeds,
    news::News, offences::Offences, uploader::Uploader,
};
use crate::{ConnId, Input, Machine, Message, Output, Time};

/// Who this peer is, for its records and greetings.
#[derive(Debug, Clone)]
struct Identity {
    guid: Guid,
    as_number: AsNumber,
    region: String,
    /// Where it accepts other peers.
    listen: SocketAddr,
    /// The secondary GUIDs of its starts, newest first; that of the present one from the start on.
    secondary: Vec<Guid>,
}

/// How far the run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Before the start.
    Waiting,
    Running,
    /// The machine is away; what has to be sent to part in good order still is.
    Offline,
    /// Told to stop; what has not drained by then is broken off.
    Stopping {
        deadline: Time,
    },
    Finished,
}

/// The peer.
#[derive(Debug)]
pub struct PeerMachine {
    me: Identity,
    seed: u64,
    config: PeerConfig,
    objects: BTreeMap<ContentId, Arc<Object>>,
    script: VecDeque<ScriptStep>,
    habits: VecDeque<Habit>,
    stage: Stage,
    downloads: BTreeMap<u32, Download>,
    links: BTreeMap<ConnId, Link>,
    uploader: Uploader,
    cache: Cache,
    control: ControlLink,
    accounts: Accounts,
    offences: Offences,
    misdeeds: Misdeeds,
    rng: ChaCha8Rng,
    next_conn: u64,
    next_query: u32,
    news: News,
    /// When something is due next, as the last look at everything found it.
    due: Option<Time>,
    out: VecDeque<Output>,
}

impl PeerMachine {
    /// A peer of `node` with this role configuration.
    pub fn new(node: &NodeConfig, config: &PeerConfig) -> Self {
        let objects: BTreeMap<_, _> = config
            .objects
            .iter()
            .filter(|object| object.size > 0 && object.piece_length > 0)
            .map(|object| (object.id.clone(), Arc::new(object.clone())))
            .collect();
        let mut script: Vec<ScriptStep> = config.script.clone();
        script.sort_by_key(|step| step.at_ns);
        let me = Identity {
            guid: config.guid,
            as_number: node.as_number,
            region: node.region.clone(),
            listen: SocketAddr::new(node.address, config.port),
            secondary: config.secondary.clone(),
        };
        let mut habits = config.habits.clone();
        habits.sort_by_key(|habit| habit.at_ns);
        let mut config = config.clone();
        if config.misbehaviour.ignore_caps {
            config.max_sources = u32::MAX;
        }
        let mut uploader = Uploader::new(&config.uploads, &config.courtesy, &config.misbehaviour);
        for content in &config.holds {
            if let Some(object) = objects.get(content) {
                uploader.hold(object);
            }
        }
        Self {
            control: ControlLink::new(config.control.clone(), &config.constants.waits),
            me,
            seed: node.seed,
            objects,
            script: script.into(),
            habits: habits.into(),
            stage: Stage::Waiting,
            downloads: BTreeMap::new(),
            links: BTreeMap::new(),
            uploader,
            cache: Cache::new(config.cache),
            rng: ChaCha8Rng::seed_from_u64(node.seed),
            next_conn: 0,
            next_query: 0,
            news: News::default(),
            accounts: Accounts::new(config.constants.waits.report_ns),
            offences: Offences::default(),
            misdeeds: Misdeeds::default(),
            due: None,
            out: VecDeque::new(),
            config,
        }
    }

    fn next_conn(&mut self) -> ConnId {
        let conn = ConnId(self.next_conn);
        self.next_conn += 2;
        conn
    }

    /// How long a peer that proved to be of no use is left alone.
    fn long_wait(&self) -> Time {
        self.config.constants.waits.busy_ns.saturating_mul(6)
    }

    fn send(&mut self, conn: ConnId, message: Message) {
        self.out.push_back(Output::Send { conn, message });
    }

    fn event(&mut self, event: EventKind) {
        self.out.push_back(Output::Event(event));
    }

    fn notice(&mut self, message: String) {
        self.event(EventKind::Notice { message });
    }

    fn take_in(&mut self, now: Time, input: Input) {
        match input {
            Input::Start => self.start(now),
            Input::Stop => self.stop(now),
            Input::Order(order) => self.order(now, order),
            Input::Connected { conn } if self.control.is(conn) => self.control_connected(now, conn),
            Input::Connected { conn } => self.link_connected(now, conn),
            Input::Accepted { conn, from } => self.link_accepted(now, conn, from),
            Input::Closed { conn, .. } if self.control.is(conn) => self.control_closed(now),
            Input::Closed { conn, clean } => self.link_closed(now, conn, clean),
            Input::Message { conn, message } if self.control.is(conn) => self.control_message(now, message),
            Input::Message { conn, message } => self.peer_message(now, conn, message),
            // Of the control plane nothing is said: what follows is that its connection is lost.
            Input::Garbled { conn } => self.offended(now, conn, Offence::Malformed),
            Input::PieceData { conn, request, bytes } => self.piece_data(now, conn, request, bytes),
            Input::PieceEnd { conn, request, hash } => self.piece_end(now, conn, request, hash),
            Input::PieceSent { conn, bytes, .. } => self.piece_sent(now, conn, bytes),
            Input::Writable { conn } => self.writable(now, conn),
            Input::AnswerData { conn } => self.answer_data(now, conn),
            Input::Authorized { conn, result } => self.authorized(now, conn, result),
            Input::EdgeRefused { conn, request, status, retry_after } => {
                self.edge_refused(now, conn, request, status, retry_after);
            }
            // What is due at a timer is done after every input; the others are an edge's, a peer has no HTTP server.
            Input::Timer | Input::Http { .. } | Input::HttpSent { .. } => {}
        }
    }
}

impl Machine for PeerMachine {
    fn handle(&mut self, now: Time, input: Input) {
        // Before the start, peers that started a moment earlier may already be served.
        if self.stage == Stage::Finished {
            return;
        }
        // Counts of bytes are most of what comes, and change when something is due, but only to later.
        let count = matches!(input, Input::PieceData { .. } | Input::PieceSent { .. });
        self.take_in(now, input);
        if count && self.rests(now) {
            self.due = self.due.into_iter().chain(self.accounts.due()).min();
        } else {
            self.advance(now);
            self.due = self.wake_at(now);
        }
    }

    fn poll(&mut self, _: Time) -> Output {
        self.out.pop_front().unwrap_or(Output::Idle { until: self.due })
    }
}
