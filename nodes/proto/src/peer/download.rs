//! One download of the user: its state, its clock and what its record will say.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use peerbed_contract::{
    AsNumber, ContentId, DownloadRecord, Guid, Manifest, NatClass, Object, PeerConfig, Role, ScriptStep, SignedToken,
    SourceBytes, TerminalStatus, UserMoment,
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{
    board::Board,
    params::{REQUERY_FIRST, RETRY_AFTER_MAX, STALL, TICK},
    rate::{Backoff, about},
    share::EdgeShare,
};
use crate::{ConnId, Time};

/// Whether a download runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// It runs.
    Active,
    /// The user paused it.
    Paused { resume_at: Time },
    /// Its machine is away; before, it ran or was paused until then.
    Away { paused_until: Option<Time> },
    /// It has ended; its connections drain, then its record is printed.
    Over { end: Time, status: TerminalStatus },
}

/// What an edge granted.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) manifest: Manifest,
    /// None: that which it gave was of an address that this peer no longer has.
    pub(super) token: Option<SignedToken>,
    /// How long the token was valid when it came.
    pub(super) lifetime: Time,
}

impl Grant {
    /// The token, while it is valid.
    pub(super) fn valid(&self, now: Time) -> Option<&SignedToken> {
        self.token.as_ref().filter(|token| token.token.expires > now)
    }
}

/// What is known of one edge.
#[derive(Debug)]
pub(super) struct EdgeState {
    pub(super) not_before: Time,
    pub(super) backoff: Backoff,
}

impl EdgeState {
    /// Of every edge of a peer; nothing is known of any.
    fn of(config: &PeerConfig) -> Vec<Self> {
        let fresh = || Self { not_before: 0, backoff: Backoff::new(&config.constants.waits) };
        config.edges.iter().map(|_| fresh()).collect()
    }
}

/// The edges of a download and the connection in use.
#[derive(Debug)]
pub(super) struct EdgePlan {
    pub(super) states: Vec<EdgeState>,
    pub(super) current: Option<ConnId>,
    pub(super) dialling: Option<ConnId>,
    /// Since when an authorisation is asked for on the present connection.
    pub(super) asking: Option<Time>,
    /// The token is of no use any more: another is asked for at that moment.
    pub(super) renew: Option<Time>,
    pub(super) renewals: Backoff,
    /// Refusals in a row, over all edges.
    pub(super) refusals: u32,
    pub(super) bad_pieces: u32,
    /// It is loaded: before this moment no piece is asked of it, unless peers have given one.
    pub(super) spared: Option<Time>,
}

/// A peer that the control plane named.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) address: SocketAddr,
    pub(super) guid: Guid,
    pub(super) nat: NatClass,
    pub(super) not_before: Time,
    pub(super) backoff: Backoff,
    /// Not to be used again by this download.
    pub(super) banned: bool,
    /// How often it gave nothing of what it owed.
    pub(super) stalls: u32,
    /// The connection to it, if there is one.
    pub(super) link: Option<ConnId>,
}

/// The other peers of a download.
#[derive(Debug)]
pub(super) struct Swarm {
    pub(super) candidates: Vec<Candidate>,
    /// GUIDs that sent a damaged piece.
    pub(super) banned: BTreeSet<Guid>,
    /// The query under way, if any: its number and since when.
    pub(super) query: Option<(u32, Time)>,
    pub(super) next_query: Time,
    /// How long after the next query the one behind it follows.
    pub(super) requery: Time,
    /// Peers and copies of the first answer.
    pub(super) answered: Option<(u32, u32)>,
}

/// Time that was not paused.
#[derive(Debug, Clone, Copy)]
struct ActiveClock {
    before: Time,
    since: Option<Time>,
}

impl ActiveClock {
    fn at(self, now: Time) -> Time {
        self.before + self.since.map_or(0, |since| now.saturating_sub(since))
    }
}

/// A download.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) number: u32,
    pub(super) object: Arc<Object>,
    pub(super) run: Run,
    pub(super) grant: Option<Grant>,
    pub(super) board: Board,
    pub(super) edges: EdgePlan,
    pub(super) swarm: Swarm,
    pub(super) share: EdgeShare,
    pub(super) user: VecDeque<UserMoment>,
    /// Connections whose bytes count for it.
    pub(super) links: BTreeSet<ConnId>,
    pub(super) next_tick: Time,
    /// Something changed that may allow new requests.
    pub(super) stir: bool,
    pub(super) failure: Option<String>,
    pub(super) rejected: u32,
    pub(super) wasted: u64,
    start: Time,
    clock: ActiveClock,
    /// Time that its machine was away: what is over, and since when it is.
    offline: Time,
    away_since: Option<Time>,
    first_byte: Option<Time>,
    pauses: u32,
    stalls: u32,
    heard: Time,
    stalled: bool,
    sources: BTreeMap<(IpAddr, Role, Option<Guid>, AsNumber), u64>,
}

impl Download {
    pub(super) fn new(
        step: ScriptStep,
        object: Arc<Object>,
        config: &PeerConfig,
        now: Time,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let waits = &config.constants.waits;
        Self {
            number: step.download,
            board: Board::new(object.piece_count(), rng).by(config.constants.pieces),
            object,
            run: Run::Active,
            grant: None,
            edges: EdgePlan {
                states: EdgeState::of(config),
                current: None,
                dialling: None,
                asking: None,
                renew: None,
                renewals: Backoff::new(waits),
                refusals: 0,
                bad_pieces: 0,
                spared: None,
            },
            swarm: Swarm::new(),
            share: EdgeShare::new(now, (config.edge_mode, config.edge_target_bps), config.constants.backstop),
            user: step.user.into(),
            links: BTreeSet::new(),
            next_tick: now,
            stir: true,
            failure: None,
            rejected: 0,
            wasted: 0,
            start: now,
            clock: ActiveClock { before: 0, since: Some(now) },
            offline: 0,
            away_since: None,
            first_byte: None,
            pauses: 0,
            stalls: 0,
            heard: now,
            stalled: false,
            sources: BTreeMap::new(),
        }
    }

    pub(super) fn content(&self) -> &ContentId {
        &self.object.id
    }

    pub(super) fn is_active(&self) -> bool {
        self.run == Run::Active
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.run, Run::Over { .. })
    }

    /// Whether a verified piece still counts: not once the user gave up or the run ended.
    pub(super) fn takes_pieces(&self) -> bool {
        match self.run {
            Run::Active | Run::Paused { .. } | Run::Away { .. } => true,
            Run::Over { status, .. } => status == TerminalStatus::Paused,
        }
    }

    /// Whether the provider lets it use peers.
    pub(super) fn peers_allowed(&self) -> bool {
        let by_token = |token: &SignedToken| token.token.peers_allowed;
        self.grant
            .as_ref()
            .is_some_and(|grant| grant.manifest.peers_allowed && grant.token.as_ref().is_some_and(by_token))
    }

    /// When the user's next act is due while active.
    pub(super) fn next_act(&self) -> Option<Time> {
        let moment = self.user.front()?;
        let since = self.clock.since?;
        Some(since + moment.after_active_ns.saturating_sub(self.clock.before))
    }

    pub(super) fn pause(&mut self, now: Time, resume_at: Time) {
        self.pauses += 1;
        self.stop_clock(now);
        self.run = Run::Paused { resume_at };
    }

    /// Its machine has another address, with this configuration: nothing that was learnt of the edges holds, and the token is
    /// of no use any more.
    pub(super) fn moved(&mut self, now: Time, config: &PeerConfig) {
        self.edges.states = EdgeState::of(config);
        (self.edges.renew, self.edges.spared) = (None, None);
        (self.edges.refusals, self.edges.bad_pieces) = (0, 0);
        self.edges.renewals = Backoff::new(&config.constants.waits);
        self.share = EdgeShare::new(now, (config.edge_mode, config.edge_target_bps), config.constants.backstop);
        if let Some(grant) = &mut self.grant {
            grant.token = None;
        }
    }

    pub(super) fn resume(&mut self, now: Time) {
        self.clock.since = Some(now);
        self.run = Run::Active;
        self.heard = now;
        self.stalled = false;
        self.next_tick = now;
        self.share.begin_again(now);
        self.stir = true;
    }

    /// Its machine goes.
    pub(super) fn go_away(&mut self, now: Time) {
        let paused_until = if let Run::Paused { resume_at } = self.run { Some(resume_at) } else { None };
        self.stop_clock(now);
        self.away_since = Some(now);
        self.run = Run::Away { paused_until };
    }

    /// Its machine is back: it runs, or is still paused.
    pub(super) fn come_back(&mut self, now: Time) {
        let Run::Away { paused_until } = self.run else { return };
        self.count_away(now);
        self.swarm.query = None;
        self.swarm.next_query = now;
        match paused_until {
            Some(resume_at) => self.run = Run::Paused { resume_at },
            None => self.resume(now),
        }
    }

    fn count_away(&mut self, now: Time) {
        self.offline += self.away_since.take().map_or(0, |since| now.saturating_sub(since));
    }

    pub(super) fn end(&mut self, now: Time, status: TerminalStatus) {
        self.count_away(now);
        if status == TerminalStatus::Paused {
            self.pauses += 1;
        }
        self.stop_clock(now);
        self.run = Run::Over { end: now, status };
    }

    fn stop_clock(&mut self, now: Time) {
        self.clock = ActiveClock { before: self.clock.at(now), since: None };
    }

    /// Content bytes came from a source, whatever becomes of them.
    pub(super) fn heard_bytes(&mut self, now: Time) {
        self.first_byte.get_or_insert(now);
        self.heard = now;
        self.stalled = false;
    }

    /// Counts a stall when there has been no byte for [`STALL`].
    pub(super) fn watch_stall(&mut self, now: Time) {
        if self.is_active() && !self.stalled && now.saturating_sub(self.heard) >= STALL {
            self.stalled = true;
            self.stalls += 1;
        }
    }

    /// When [`Self::watch_stall`] would count next.
    pub(super) fn next_stall(&self) -> Option<Time> {
        (self.is_active() && !self.stalled).then_some(self.heard + STALL)
    }

    /// Verified bytes of a source were used, in this AS.
    pub(super) fn used(&mut self, source: (IpAddr, Role, Option<Guid>, AsNumber), bytes: u32) {
        *self.sources.entry(source).or_default() += u64::from(bytes);
    }

    /// Sets when the next regular look is due; not to the same moment as that of others who began together.
    pub(super) fn plan_tick(&mut self, now: Time, rng: &mut ChaCha8Rng) {
        self.next_tick = now + about(TICK, rng);
    }

    /// Bytes used from sources of a role.
    pub(super) fn bytes_from(&self, role: Role) -> u64 {
        self.sources.iter().filter(|((_, of, ..), _)| *of == role).map(|(_, bytes)| bytes).sum()
    }

    /// The record of a download that is over.
    pub(super) fn record(&self, who: &super::Identity) -> DownloadRecord {
        let (end_ns, status) = match self.run {
            Run::Over { end, status } => (end, status),
            Run::Active | Run::Paused { .. } | Run::Away { .. } => {
                unreachable!("a record is taken of a download that is over")
            }
        };
        DownloadRecord {
            download: self.number,
            guid: who.guid,
            content: self.object.id.clone(),
            size: self.object.size,
            provider: self.object.provider.clone(),
            as_number: who.as_number,
            region: who.region.clone(),
            start_ns: self.start,
            first_byte_ns: self.first_byte,
            end_ns,
            active_ns: self.clock.before,
            offline_ns: self.offline,
            status,
            pauses: self.pauses,
            stalls: self.stalls,
            edge_bytes: self.bytes_from(Role::Edge),
            peer_bytes: self.bytes_from(Role::Peer),
            wasted_bytes: self.wasted,
            sources: self
                .sources
                .iter()
                .map(|(&(address, role, guid, to), &bytes)| SourceBytes {
                    address,
                    role,
                    guid,
                    bytes,
                    to: Some(to).filter(|to| *to != who.as_number),
                })
                .collect(),
            copies_registered: self.swarm.answered.map(|(_, copies)| copies),
            peers_returned: self.swarm.answered.map(|(returned, _)| returned),
            rejected_pieces: self.rejected,
            failure: self.failure.clone(),
        }
    }
}

impl EdgePlan {
    /// The best edge that may be tried now.
    pub(super) fn best(&self, now: Time) -> Option<usize> {
        self.states.iter().position(|state| state.not_before <= now)
    }

    /// Whether another edge than this may be tried now.
    pub(super) fn has_other(&self, index: usize, now: Time) -> bool {
        self.states.iter().enumerate().any(|(other, state)| other != index && state.not_before <= now)
    }

    /// An edge failed: it is left alone for as long as it asked and something longer, so that those whom it sent away at the
    /// same time do not come back in one moment; or else longer each time.
    pub(super) fn failed(&mut self, index: usize, now: Time, retry_after: Option<Time>, rng: &mut ChaCha8Rng) {
        if let Some(state) = self.states.get_mut(index) {
            let wait = state.backoff.failed(rng);
            state.not_before = now
                + match retry_after {
                    None => wait,
                    Some(0) => 0,
                    Some(asked) => asked.min(RETRY_AFTER_MAX) + rng.random_range(0..=wait),
                };
        }
    }
}

impl Swarm {
    fn new() -> Self {
        Self {
            candidates: Vec::new(),
            banned: BTreeSet::new(),
            query: None,
            next_query: 0,
            requery: REQUERY_FIRST,
            answered: None,
        }
    }

    /// The candidate behind a connection.
    pub(super) fn by_link(&mut self, conn: ConnId) -> Option<&mut Candidate> {
        self.candidates.iter_mut().find(|candidate| candidate.link == Some(conn))
    }
}

impl Candidate {
    /// It failed or sent us away.
    pub(super) fn put_off(&mut self, now: Time, wait: Option<Time>, rng: &mut ChaCha8Rng) {
        let own = self.backoff.failed(rng);
        self.link = None;
        self.not_before = now + wait.unwrap_or(own).clamp(own, self.backoff.most().max(own));
    }
}
