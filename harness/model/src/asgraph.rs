//! Topologies that are made instead of written: AS graphs drawn from a seed, or sampled from CAIDA's files of AS relationships, become
//! topology files with populations, regions, rates, delays, edges and a control plane. The same arguments give the same bytes.
//!
//! A [`Recipe`] says what both have in common; [`Recipe::generate`] and [`Recipe::import`] make the text of a file.

mod draft;
mod dress;
mod graph;
mod relations;
mod sample;
mod shape;
mod tiered;

use peerbed_link::{Probability, Rate};

pub use self::relations::Relations;
use self::{draft::Draft, dress::Dress, graph::Graph, sample::Sampler, tiered::Tiers};
use crate::{limits, resolve::seeds::Seeds, units};

/// The most ASes of a topology.
pub const MAX_ASES: u32 = limits::ASES as u32;
/// The most links of a topology.
pub const MAX_LINKS: usize = limits::LINKS;

/// What a topology that is made shall be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// How many ASes, 2 to [`MAX_ASES`].
    pub ases: u32,
    /// How many regions, at least 1.
    pub regions: u32,
    /// The exponent of Zipf's law for the populations; 0: all are the same.
    pub zipf: f64,
    /// In which share of the ASes where people live there is an edge server: the most populated ones. At least in one.
    pub edges: Probability,
    /// For how many peers, divided by the populations, links between ASes have room.
    pub peers: u32,
    /// With this rate for each of them.
    pub rate: Rate,
    /// Everything that is drawn comes from it.
    pub seed: u64,
}

/// The tiers of a graph that is drawn; the remaining ASes of the recipe are stubs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TierSizes {
    /// ASes at the top, each a peer of all others, at least 1.
    pub tier1: u32,
    /// ASes between them and the stubs; may be 0.
    pub transit: u32,
    /// How many of the pairs that may be peers are: of transit ASes of one region, and of the third of a region's stubs that have
    /// most people.
    pub peering: Probability,
}

/// Why no topology was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too few or too many.
    #[error("{}: a topology that is made has 2 to {MAX_ASES}", counted(u64::from(*.0)))]
    Ases(u32),
    /// No AS where people could live.
    #[error(
        "{} at the top and {} of transit leave none of {ases} for people to live in: take more ASes, or fewer of those",
        counted(u64::from(*tier1)), counted(u64::from(*transit))
    )]
    Stubs {
        /// All.
        ases: u32,
        /// At the top.
        tier1: u32,
        /// Between.
        transit: u32,
    },
    /// No AS at the top.
    #[error("a graph needs a tier-1 AS, or stubs would have no way to each other")]
    Tier1,
    /// More regions than ASes where people live, or none.
    #[error(
        "{regions} regions for {} where people live: there is at least 1 region, and somebody in each",
        counted(*ases as u64)
    )]
    Regions {
        /// How many are wanted.
        regions: u32,
        /// How many ASes they could have.
        ases: usize,
    },
    /// A topology file cannot have so many.
    #[error("{0} links, and a topology has at most {MAX_LINKS}: take fewer ASes, fewer at the top, or less peering")]
    Links(usize),
    /// Nobody is at the top of a file's graph.
    #[error("no AS of the file is at the top: everybody who has customers pays somebody")]
    Top,
    /// Too few that could be in a sample.
    #[error(
        "the file has {}, and with a way up to the top ({}) only {joined}: take at most so many",
        counted(*all as u64), counted(*top as u64)
    )]
    Joined {
        /// How many have one.
        joined: usize,
        /// How many there are.
        all: usize,
        /// At the top.
        top: usize,
    },
}

/// A sample of a file's graph as a topology.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The text of the topology file.
    pub yaml: String,
    /// The clique at the top of the file's graph.
    pub top: usize,
    /// Links of the sample.
    pub links: usize,
    /// ASes of the file that have no way up to the top, so that no sample has them.
    pub unjoined: usize,
    /// The mean degree of the file's graph, and of the sample.
    pub mean_degree: (f64, f64),
    /// How far apart the distributions of degrees are, each divided by its mean: Kolmogorov and Smirnov's statistic, corrected for the
    /// continuity that degrees lack, 0 to 1.
    pub distance: f64,
}

/// So many ASes: `1 AS`, `2 ASes`.
pub fn counted(ases: u64) -> String {
    if ases == 1 { "1 AS".to_owned() } else { format!("{ases} ASes") }
}

/// Reads a share as files write it: `25%`.
pub fn share(text: &str) -> Result<Probability, String> {
    units::share(text).map_err(|bad| format!("{}; {}", bad.what, bad.help))
}

/// Reads a rate as files write it: `6mbit`.
pub fn rate(text: &str) -> Result<Rate, String> {
    units::rate(text).map_err(|bad| format!("{}; {}", bad.what, bad.help))
}

impl Recipe {
    /// The text of a topology whose graph is drawn in tiers. `head` are lines of comment that it begins with.
    pub fn generate(&self, sizes: &TierSizes, head: &[String]) -> Result<String, Refused> {
        self.check_ases()?;
        let TierSizes { tier1, transit, peering } = *sizes;
        let above = u64::from(tier1) + u64::from(transit);
        if tier1 == 0 {
            return Err(Refused::Tier1);
        }
        if above >= u64::from(self.ases) {
            return Err(Refused::Stubs { ases: self.ases, tier1, transit });
        }
        let stubs = self.ases as usize - above as usize;
        self.check_regions(stubs)?;
        let (tier1, transit, regions) = (tier1 as usize, transit as usize, self.regions as usize);
        let sizes = Tiers { tier1, transit, stubs, regions, peering: peering.get() };
        let draft = sizes.draw(&Seeds::of_topology(self.seed));
        check_links(&draft.graph)?;
        Ok(self.dress().yaml(&draft, head))
    }

    /// A topology from a sample of a file's graph. What `head` gives are lines of comment that it begins with.
    pub fn import(&self, relations: &Relations, head: &[String]) -> Result<Imported, Refused> {
        self.check_ases()?;
        let whole = &relations.graph;
        let sampler = Sampler::new(whole);
        let (top, joined) = (sampler.top(), sampler.joined());
        if top == 0 {
            return Err(Refused::Top);
        }
        if joined < self.ases as usize {
            return Err(Refused::Joined { joined, all: whole.len(), top });
        }
        let seeds = Seeds::of_topology(self.seed);
        let (kept, distance) = sampler.sample(self.ases as usize, &seeds);
        let graph = whole.induced(&kept);
        check_links(&graph)?;
        let (links, mean_degree) = (graph.links.len(), (whole.shape().mean(), graph.shape().mean()));
        self.check_regions(graph.len())?;
        let draft = Draft::settle(graph, self.regions as usize, &seeds);
        let yaml = self.dress().yaml(&draft, head);
        Ok(Imported { yaml, top, links, unjoined: whole.len() - joined, mean_degree, distance })
    }

    fn dress(&self) -> Dress {
        Dress { zipf: self.zipf, edges: self.edges.get(), peers: self.peers, rate: self.rate }
    }

    fn check_ases(&self) -> Result<(), Refused> {
        if (2..=MAX_ASES).contains(&self.ases) { Ok(()) } else { Err(Refused::Ases(self.ases)) }
    }

    fn check_regions(&self, ases: usize) -> Result<(), Refused> {
        let regions = self.regions;
        if (1..=ases).contains(&(regions as usize)) { Ok(()) } else { Err(Refused::Regions { regions, ases }) }
    }
}

fn check_links(graph: &Graph) -> Result<(), Refused> {
    let links = graph.links.len();
    if links <= MAX_LINKS { Ok(()) } else { Err(Refused::Links(links)) }
}
