//! An experiment as it is written: read from its tree, its names not yet looked up in the topology.

use std::time::Duration;

use peerbed_contract::{Constants, EdgeLimits, EdgeMode, Filters, Object, Strategy};
use peerbed_link::{Probability, Rate};

use crate::{
    diagnostic::{Span, Spanned},
    plan::{Comparison, Limits, LinkEngine, Tolerance},
};

use self::nat::NatMix;

pub(crate) mod arms;
pub(crate) mod behaviour;
pub(crate) mod claims;
pub(crate) mod compare;
pub(crate) mod constants;
pub(crate) mod control;
pub(crate) mod decode;
pub(crate) mod expect;
pub(crate) mod homes;
pub(crate) mod limit;
pub(crate) mod matrix;
pub(crate) mod moves;
pub(crate) mod nat;
pub(crate) mod policy;
pub(crate) mod provider;
pub(crate) mod scale;
pub(crate) mod scales;
mod tolerance;
pub(crate) mod users;
pub(crate) mod workload;

/// What is the same in every arm.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Head {
    pub(crate) question: String,
    pub(crate) seed: u64,
    pub(crate) repeats: u32,
    pub(crate) engine: Option<LinkEngine>,
    pub(crate) claims: Vec<claims::Claim>,
    /// How versions are compared by it.
    pub(crate) comparison: Comparison,
    /// What the report draws beside the usual.
    pub(crate) figures: Vec<String>,
}

/// The rest, of one arm.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Body {
    pub(crate) duration: Duration,
    pub(crate) congestion_control: String,
    pub(crate) tolerance: Tolerance,
    pub(crate) providers: Vec<provider::Provider>,
    /// Keys of generators are drawn later; here they are 0.
    pub(crate) content: Vec<Object>,
    pub(crate) groups: Vec<Group>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) policy: Policy,
}

/// Peers declared together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub(crate) name: Spanned<String>,
    pub(crate) at: homes::Homes,
    pub(crate) access: Spanned<String>,
    pub(crate) peers: Spanned<u32>,
    /// Who uploads.
    pub(crate) uploads: Uploads,
    pub(crate) users: users::Users,
    /// How many do what against the rules.
    pub(crate) behaviour: Vec<behaviour::Culprits>,
    /// The local network that they share.
    pub(crate) lan: Option<String>,
    /// What stands between them and the network.
    pub(crate) nat: NatMix,
    /// Copies by index of content.
    pub(crate) holds: Vec<(usize, u32)>,
    pub(crate) command: Vec<String>,
    /// The image whose program they run; none: the project's own.
    pub(crate) image: Option<String>,
    /// Of the container of each.
    pub(crate) limits: Limits,
}

/// Who of a group uploads at the start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Uploads {
    /// So many.
    Share(u32),
    /// As the installer left it, but for so many whose users changed the setting.
    Installed { on: bool, switched: u32 },
}

/// Who asks for what, and when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Workload {
    /// Names its draws.
    pub(crate) label: String,
    pub(crate) span: Span,
    /// Indexes of groups, in the order of the file.
    pub(crate) groups: Vec<usize>,
    /// Indexes of content, the most popular first.
    pub(crate) content: Vec<usize>,
    pub(crate) arrivals: Arrivals,
    /// The exponent of Zipf's law; 0 is uniform.
    pub(crate) zipf: f64,
    pub(crate) patience: Option<Patience>,
}

/// When downloads begin.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arrivals {
    /// A Poisson process.
    Poisson {
        /// Arrivals a second.
        rate: f64,
        from: Duration,
        length: Duration,
        daily: Option<Daily>,
    },
    /// One at each moment.
    At(Vec<Duration>),
    /// So many, spread evenly.
    Burst { count: u64, at: Duration, within: Duration },
    /// One of every peer that lacks something, spread evenly.
    Everyone { at: Duration, within: Duration },
}

/// How a Poisson process comes and goes with the hours of a day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Daily {
    pub(crate) period: Duration,
    /// The lowest rate as a share of the highest.
    pub(crate) trough: Probability,
}

impl Daily {
    /// How far the rate goes from its mean, as a share of it.
    pub(crate) fn swing(self) -> f64 {
        (1.0 - self.trough.get()) / (1.0 + self.trough.get())
    }

    /// The rate so many seconds after the beginning, as a share of the mean.
    pub(crate) fn at(self, seconds: f64) -> f64 {
        1.0 - self.swing() * libm::cos(std::f64::consts::TAU * seconds / self.period.as_secs_f64())
    }

    /// The mean of that share over the first seconds: the integral of [`Self::at`].
    pub(crate) fn mean(self, seconds: f64) -> f64 {
        let turns = std::f64::consts::TAU / self.period.as_secs_f64();
        1.0 - self.swing() * libm::sin(turns * seconds) / (turns * seconds)
    }
}

/// When users act on a download that is not finished.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Patience {
    /// Acts a second of active time.
    pub(crate) hazard: f64,
    pub(crate) resume: Probability,
    pub(crate) pause: Duration,
    pub(crate) abort: Probability,
}

/// What the system does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Policy {
    pub(crate) strategy: Strategy,
    pub(crate) max_returned: u32,
    pub(crate) diversity: Probability,
    /// Whether those come first that were not returned for longest.
    pub(crate) rotation: bool,
    pub(crate) filters: Filters,
    pub(crate) control: control::ControlPolicy,
    pub(crate) per_copy: u32,
    pub(crate) connections: u32,
    pub(crate) waiting: u32,
    pub(crate) upload_rate: Cap,
    /// None: without limit.
    pub(crate) connection_rate: Option<Rate>,
    pub(crate) while_busy: Probability,
    pub(crate) while_downloading: Probability,
    pub(crate) back_off: Duration,
    pub(crate) cache_time: Duration,
    pub(crate) cache_size: CacheSize,
    pub(crate) edge_mode: EdgeMode,
    /// Up to where the edge fills in the mode `deficit`; of the downlink.
    pub(crate) edge_target: Cap,
    pub(crate) token_lifetime: Duration,
    pub(crate) edge_limits: EdgeLimits,
    pub(crate) max_sources: u32,
    /// A share of `max_sources`.
    pub(crate) requery_below: Probability,
    pub(crate) requery_every: Duration,
    pub(crate) both_sides: bool,
    /// Of a peer's behaviour.
    pub(crate) constants: Constants,
}

/// The most that a peer keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum CacheSize {
    Unlimited,
    Bytes(u64),
}

impl CacheSize {
    /// The limit, if there is one.
    pub(crate) fn bytes(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::Bytes(bytes) => Some(bytes),
        }
    }
}

/// A limit on what goes over a link of a peer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cap {
    /// Of the link.
    Share(Probability),
    /// A rate of its own; none: without limit.
    Fixed(Option<Rate>),
}
