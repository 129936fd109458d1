//! From claims to accusations.
//!
//! - A claim about edges that the edges' logs contradict convicts who made it.
//! - So does a claim to have received more of an object than twice its size.
//! - Where the two sides of a pair contradict each other, one of them lied. Who agrees with an honest peer is honest; so if most
//!   of all peers hang together by claims that agree, who is contradicted by two of these is accused. Where there is no such
//!   majority, and within it, who is contradicted by most of its partners, two at least, and weighs more than each of them
//!   (how many contradict it, times the share of its partners that they are) is. Whoever is left is one of two, and not
//!   accused.
//!
//! Two liars who agree on what they say cannot be found by comparing pairs; what each can claim is bounded by the size of the
//! objects.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use peerbed_contract::Guid;
use serde::{Deserialize, Serialize};

use super::claims::Claims;

/// Claims of both sides may differ by so much: bytes that were under way on a connection that broke. As much again for each move
/// of either to another address.
pub(super) const TOLERANCE_BYTES: u64 = 128 * 1024;
/// … and by this share of the larger.
pub(super) const TOLERANCE_SHARE: f64 = 0.05;
/// Who claims to have received more than so many times an object's size lied: honest peers throw away far less than they use.
pub(super) const SIZES_MAX: u64 = 2;
/// Partners that somebody must contradict to be singled out.
const PARTNERS_MIN: usize = 2;

/// A pair whose claims contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// Who says that it received.
    pub receiver: Guid,
    /// Who says that it sent.
    pub sender: Guid,
    /// What.
    pub content: String,
    /// Bytes that the receiver claims.
    pub received: u64,
    /// Bytes that the sender claims.
    pub sent: u64,
}

/// Why somebody must have lied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Evidence {
    /// The edges' logs contradict it.
    EdgeLog {
        /// Of what.
        content: String,
        /// Bytes that it claims to have received from edges.
        claimed: u64,
        /// Bytes that edges served to its addresses.
        logged: u64,
    },
    /// It received more of an object than there is.
    TooMuch {
        /// Of what.
        content: String,
        /// Bytes that it claims to have received.
        claimed: u64,
        /// Bytes of the object.
        size: u64,
    },
    /// Most of its partners contradict it.
    Partners {
        /// Those that do.
        contradict: u64,
        /// All that could be compared.
        of: u64,
        /// One of the disputes.
        example: Dispute,
    },
}

impl Dispute {
    fn involves(&self, who: &BTreeSet<Guid>) -> bool {
        who.contains(&self.receiver) || who.contains(&self.sender)
    }
}

/// Who could be compared with whom.
type Partners = BTreeMap<Guid, BTreeSet<Guid>>;

/// Whom somebody's claims contradict.
fn against(disputes: &[Dispute]) -> Partners {
    let mut against = Partners::new();
    for dispute in disputes {
        against.entry(dispute.receiver).or_default().insert(dispute.sender);
        against.entry(dispute.sender).or_default().insert(dispute.receiver);
    }
    against
}

impl fmt::Display for Dispute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { receiver, sender, content, received, sent } = self;
        write!(f, "{sender} says it sent {sent} bytes of `{content}` to {receiver}, which says it received {received}")
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::EdgeLog { content, claimed, logged } => {
                write!(f, "it claims {claimed} bytes of `{content}` from edges, which served it {logged}")
            }
            Evidence::TooMuch { content, claimed, size } => {
                write!(f, "it claims to have received {claimed} bytes of `{content}`, which has {size}")
            }
            Evidence::Partners { contradict, of, example } => {
                write!(f, "{contradict} of {of} partners contradict it; {example}")
            }
        }
    }
}

/// Who is accused, and what is left open.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) accused: BTreeMap<Guid, Vec<Evidence>>,
    pub(super) disputes: Vec<Dispute>,
    pub(super) pairs_judged: u64,
    pub(super) pairs_not_judged: u64,
}

/// What may differ without a lie where the larger claim is so much.
fn tolerance(larger: u64) -> u64 {
    TOLERANCE_BYTES + (larger as f64 * TOLERANCE_SHARE) as u64
}

pub(super) fn judge(claims: &Claims<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    edge_logs(claims, &mut verdict);
    sizes(claims, &mut verdict);
    let partners = pairs(claims, &mut verdict);
    let convicted: BTreeSet<Guid> = verdict.accused.keys().copied().collect();
    verdict.disputes.retain(|dispute| !dispute.involves(&convicted));
    let majority = majority(&partners, &verdict.disputes);
    ask_the_majority(&partners, &majority, &mut verdict);
    single_out(&partners, &majority, &mut verdict);
    verdict
}

fn edge_logs(claims: &Claims<'_>, verdict: &mut Verdict) {
    let Some(log) = &claims.edge_log else { return };
    for ((guid, content, _), (claimed, _)) in claims.totals.iter().filter(|((.., partner), _)| partner.is_none()) {
        // Others behind the same addresses only add to what was served there.
        let Some(addresses) = claims.addresses.get(guid) else { continue };
        let logged = addresses.iter().filter_map(|address| log.get(&(*address, *content))).sum();
        if *claimed > logged + tolerance(logged) {
            let evidence = Evidence::EdgeLog { content: content.to_string(), claimed: *claimed, logged };
            verdict.accused.entry(*guid).or_default().push(evidence);
        }
    }
}

fn sizes(claims: &Claims<'_>, verdict: &mut Verdict) {
    let mut sums = BTreeMap::new();
    for ((guid, content, _), (received, _)) in &claims.totals {
        let sum: &mut u64 = sums.entry((*guid, *content)).or_default();
        *sum = sum.saturating_add(*received);
    }
    for ((guid, content), claimed) in sums {
        let Some(size) = claims.sizes.get(content).copied() else { continue };
        // Each start may have lost what the one before it had received.
        let most = size.saturating_mul(SIZES_MAX).saturating_mul(claims.starts.get(&guid).copied().unwrap_or(1));
        if claimed > most.saturating_add(tolerance(size)) {
            let evidence = Evidence::TooMuch { content: content.to_string(), claimed, size };
            verdict.accused.entry(guid).or_default().push(evidence);
        }
    }
}

/// Compares both sides of every pair; gives the partners with which each could be compared.
fn pairs(claims: &Claims<'_>, verdict: &mut Verdict) -> Partners {
    let mut partners = Partners::new();
    let mut seen = BTreeSet::new();
    for ((reporter, content, partner), (received, sent)) in &claims.totals {
        let Some(partner) = *partner else { continue };
        for (receiver, sender, said) in [(*reporter, partner, *received), (partner, *reporter, *sent)] {
            if said == 0 || !seen.insert((receiver, sender, *content)) {
                continue;
            }
            let claim = |of, with| claims.totals.get(&(of, *content, Some(with))).copied().unwrap_or_default();
            let (received, sent) = (claim(receiver, sender).0, claim(sender, receiver).1);
            let whole = claims.whole.contains(&receiver) && claims.whole.contains(&sender);
            let larger = received.max(sent);
            let moves = |one| claims.moves.get(&one).copied().unwrap_or(0);
            let allowed = tolerance(larger) + TOLERANCE_BYTES * (moves(receiver) + moves(sender));
            // So small that twice the truth would pass for it.
            if !whole || larger <= 2 * allowed {
                verdict.pairs_not_judged += 1;
                continue;
            }
            verdict.pairs_judged += 1;
            partners.entry(receiver).or_default().insert(sender);
            partners.entry(sender).or_default().insert(receiver);
            if received.abs_diff(sent) > allowed {
                verdict.disputes.push(Dispute { receiver, sender, content: content.to_string(), received, sent });
            }
        }
    }
    partners
}

/// The largest set of peers that hang together by claims that agree, if it is most of all that could be compared.
///
/// Who agrees with an honest peer about a transfer is honest about it.
fn majority(partners: &Partners, disputes: &[Dispute]) -> BTreeSet<Guid> {
    let against = against(disputes);
    let mut left: BTreeSet<Guid> = partners.keys().copied().collect();
    let mut largest = BTreeSet::new();
    while let Some(first) = left.pop_first() {
        let (mut set, mut next) = (BTreeSet::from([first]), vec![first]);
        while let Some(guid) = next.pop() {
            let contradicted = against.get(&guid);
            for other in &partners[&guid] {
                if contradicted.is_none_or(|others| !others.contains(other)) && set.insert(*other) {
                    left.remove(other);
                    next.push(*other);
                }
            }
        }
        if set.len() > largest.len() {
            largest = set;
        }
    }
    if 2 * largest.len() > partners.len() { largest } else { BTreeSet::new() }
}

/// Accuses who is contradicted by several of the majority and is not of it.
fn ask_the_majority(partners: &Partners, majority: &BTreeSet<Guid>, verdict: &mut Verdict) {
    let witnesses = |others: &BTreeSet<Guid>| others.intersection(majority).count();
    let guilty = against(&verdict.disputes)
        .into_iter()
        .filter(|(guid, others)| !majority.contains(guid) && witnesses(others) >= PARTNERS_MIN)
        .map(|(guid, _)| guid)
        .collect();
    accuse(&guilty, partners, verdict);
}

/// Accuses who is contradicted more, and by more of its partners, than any of those who contradict it; drops what that
/// explains, and looks again. Where there is a majority, only disputes within it are looked at: the others may be between
/// liars and their victims.
fn single_out(partners: &Partners, majority: &BTreeSet<Guid>, verdict: &mut Verdict) {
    loop {
        let within = |dispute: &&Dispute| {
            majority.is_empty() || (majority.contains(&dispute.receiver) && majority.contains(&dispute.sender))
        };
        let open: Vec<Dispute> = verdict.disputes.iter().filter(within).cloned().collect();
        let against = against(&open);
        let count = |guid: &Guid| against.get(guid).map_or(0, BTreeSet::len);
        let all = |guid: &Guid| partners.get(guid).map_or(1, BTreeSet::len).max(1);
        // How many contradict it, times the share of its partners that they are.
        let weight = |guid: &Guid| count(guid).pow(2) as f64 / all(guid) as f64;
        let guilty: BTreeSet<Guid> = against
            .iter()
            .filter(|(guid, others)| {
                let mostly = others.len() >= PARTNERS_MIN && 2 * others.len() > all(guid);
                mostly && others.iter().all(|other| weight(other) < weight(guid))
            })
            .map(|(guid, _)| *guid)
            .collect();
        if guilty.is_empty() {
            return;
        }
        accuse(&guilty, partners, verdict);
    }
}

/// Accuses by the word of partners, and drops the disputes that this explains.
fn accuse(guilty: &BTreeSet<Guid>, partners: &Partners, verdict: &mut Verdict) {
    let against = against(&verdict.disputes);
    for guid in guilty {
        let of_it = BTreeSet::from([*guid]);
        let Some(example) = verdict.disputes.iter().find(|dispute| dispute.involves(&of_it)) else { continue };
        let size = |of: &Partners| of.get(guid).map_or(0, BTreeSet::len) as u64;
        let evidence = Evidence::Partners { contradict: size(&against), of: size(partners), example: example.clone() };
        verdict.accused.entry(*guid).or_default().push(evidence);
    }
    verdict.disputes.retain(|dispute| !dispute.involves(guilty));
}
