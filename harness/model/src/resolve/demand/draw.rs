//! The draws of workloads.

use std::{collections::BTreeSet, time::Duration};

use peerbed_contract::{UserAct, UserMoment};

use super::order;
use crate::{
    experiment::{Arrivals, Body, Patience, Workload},
    limits,
    resolve::{
        layout::Layout,
        seeds::{Draws, Seeds},
    },
};

/// A user with more acts than this on one download is not a user.
const MAX_ACTS: usize = 64;

/// One download to come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Request {
    /// Nanoseconds since the start.
    pub(crate) at_ns: u64,
    /// Index of the group.
    pub(crate) group: usize,
    /// Index of the peer within its group.
    pub(crate) peer: usize,
    /// Index of the content.
    pub(crate) content: usize,
    /// Index of the workload.
    pub(crate) workload: usize,
}

/// Which peers of which group hold which content: `holders[group][k]` is (content, one flag for each peer).
pub(crate) type Holders = Vec<Vec<(usize, Vec<bool>)>>;

/// Every download of the plan, in order of time, group and peer. Nobody asks before its beginning, which is by group and
/// peer.
pub(crate) fn draw(
    body: &Body,
    layout: &Layout,
    (holders, beginnings): (&Holders, &[Vec<Duration>]),
    seeds: &Seeds,
) -> Vec<Request> {
    let beginnings: Vec<Vec<u64>> =
        beginnings.iter().map(|group| group.iter().map(|time| nanos(*time)).collect()).collect();
    let late = beginnings.iter().map(|group| group.iter().any(|at| *at > 0)).collect();
    let pools = vec![vec![None; body.groups.len()]; body.content.len()];
    let mut placer = Placer { body, holders, beginnings, late, pools };
    let mut requests = Vec::new();
    for index in order(&body.workloads) {
        let workload = &body.workloads[index];
        let room = (limits::DOWNLOADS as usize).saturating_sub(requests.len());
        match &workload.arrivals {
            Arrivals::Everyone { at, within } => {
                placer.everyone(index, *at, *within, layout, seeds, &mut requests);
            }
            arrivals => {
                let times = times(arrivals, &workload.label, seeds, room);
                placer.some(index, &times, seeds, &mut requests);
            }
        }
    }
    requests.sort_unstable();
    requests.truncate(limits::DOWNLOADS as usize);
    requests
}

/// What the user of a download does while it is not finished.
pub(crate) fn user(patience: &Patience, duration: Duration, draws: &mut Draws) -> Vec<UserMoment> {
    let mut moments = Vec::new();
    let mut active = 0.0;
    while moments.len() < MAX_ACTS && patience.hazard > 0.0 {
        active += draws.exponential() / patience.hazard;
        if active > duration.as_secs_f64() {
            break;
        }
        let after_active_ns = (active * 1e9) as u64;
        if draws.unit() <= patience.abort.get() {
            moments.push(UserMoment { after_active_ns, act: UserAct::Abort });
            break;
        }
        let resumes = draws.unit() <= patience.resume.get();
        let resume_after_ns = resumes.then(|| nanos(patience.pause));
        moments.push(UserMoment { after_active_ns, act: UserAct::Pause { resume_after_ns } });
        if !resumes {
            break;
        }
    }
    moments
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The moments of all forms but [`Arrivals::Everyone`], at most `room`, sorted.
fn times(arrivals: &Arrivals, label: &str, seeds: &Seeds, room: usize) -> Vec<u64> {
    let mut draws = seeds.draws(&format!("workload/{label}/arrivals"));
    let mut times: Vec<u64> = match arrivals {
        Arrivals::Poisson { rate, from, length, daily } => {
            let mut now = from.as_secs_f64();
            let until = (*from + *length).as_secs_f64();
            // Thinning (Lewis and Shedler 1979): of a process with the highest rate, as many stay as the rate of the hour is of
            // that. What stays is drawn apart, so that a day without a trough is the process without a day.
            let highest = daily.map_or(1.0, |daily| 1.0 + daily.swing());
            let mut kept = seeds.draws(&format!("workload/{label}/hours"));
            let step = || {
                now += draws.exponential() / (rate * highest);
                (now <= until).then_some(now)
            };
            let stays =
                |now: &f64| daily.is_none_or(|daily| kept.unit() * highest <= daily.at(now - from.as_secs_f64()));
            std::iter::from_fn(step).filter(stays).map(|now| (now * 1e9) as u64).take(room).collect()
        }
        Arrivals::At(moments) => moments.iter().map(|moment| nanos(*moment)).take(room).collect(),
        Arrivals::Burst { count, at, within } => {
            (0..*count).map(|_| spread(*at, *within, &mut draws)).take(room).collect()
        }
        Arrivals::Everyone { .. } => Vec::new(),
    };
    times.sort_unstable();
    times
}

fn spread(at: Duration, within: Duration, draws: &mut Draws) -> u64 {
    nanos(at) + (draws.unit() * nanos(within) as f64) as u64
}

/// What can still be asked for.
struct Placer<'a> {
    body: &'a Body,
    holders: &'a Holders,
    /// When each peer is first there, by group and peer.
    beginnings: Vec<Vec<u64>>,
    /// Whether that is later than the start for anybody of a group.
    late: Vec<bool>,
    /// By content and group: the peers that lack it and have not asked; made when first looked at.
    pools: Vec<Vec<Option<Vec<u32>>>>,
}

impl Placer<'_> {
    fn pool(&mut self, content: usize, group: usize) -> &mut Vec<u32> {
        let (body, holders) = (self.body, self.holders);
        self.pools[content][group].get_or_insert_with(|| {
            let held = holders[group].iter().find(|(index, _)| *index == content).map(|(_, flags)| flags);
            let lacks = |peer: &u32| held.is_none_or(|flags| !flags[*peer as usize]);
            (0..body.groups[group].peers.value).filter(lacks).collect()
        })
    }

    /// Where in the pool those stand who are there by then; none: all are.
    fn there(&mut self, content: usize, group: usize, at: u64) -> Option<Vec<usize>> {
        if !self.late[group] {
            return None;
        }
        self.pool(content, group);
        let (beginnings, pool) = (&self.beginnings[group], self.pools[content][group].as_deref());
        let there = pool.unwrap_or_default().iter().enumerate().filter(|(_, peer)| beginnings[**peer as usize] <= at);
        Some(there.map(|(place, _)| place).collect())
    }

    /// How many of a group can ask at this moment.
    fn candidates(&mut self, content: usize, group: usize, at: u64) -> usize {
        self.there(content, group, at).map_or_else(|| self.pool(content, group).len(), |there| there.len())
    }

    fn left(&mut self, content: usize, groups: &[usize], at: u64) -> usize {
        groups.iter().map(|group| self.candidates(content, *group, at)).sum()
    }

    /// One who asks at this moment.
    fn take(&mut self, content: usize, group: usize, at: u64, draws: &mut Draws) -> usize {
        let there = self.there(content, group, at);
        let pool = self.pool(content, group);
        let place = match there {
            None => draws.below(pool.len()),
            Some(there) => there[draws.below(there.len())],
        };
        pool.swap_remove(place) as usize
    }

    /// The popularity of each of a workload's objects, without those that nobody lacks at this moment.
    fn weights_at(&mut self, workload: &Workload, at: u64) -> Vec<f64> {
        let mut weights = Self::weights(workload);
        for (weight, content) in weights.iter_mut().zip(&workload.content) {
            if self.left(*content, &workload.groups, at) == 0 {
                *weight = 0.0;
            }
        }
        weights
    }

    /// The popularity of each of a workload's objects.
    fn weights(workload: &Workload) -> Vec<f64> {
        (1..=workload.content.len()).map(|rank| libm::pow(rank as f64, -workload.zipf)).collect()
    }

    /// One download at each moment: first the object by popularity, then the group, then the peer.
    fn some(&mut self, index: usize, times: &[u64], seeds: &Seeds, requests: &mut Vec<Request>) {
        let workload = &self.body.workloads[index];
        let late = workload.groups.iter().flat_map(|group| &self.beginnings[*group]).copied().filter(|at| *at > 0);
        let mut coming: Vec<u64> = late.collect();
        coming.sort_unstable_by(|one, other| other.cmp(one));
        let mut weights = self.weights_at(workload, 0);
        for (number, at_ns) in times.iter().enumerate() {
            let name = format!("workload/{}/request/{number}", workload.label);
            let mut draws = seeds.draws(&name);
            if coming.last().is_some_and(|next| next <= at_ns) {
                coming.retain(|next| next > at_ns);
                weights = self.weights_at(workload, *at_ns);
            }
            let Some(rank) = draws.weighted(weights.iter().copied()) else {
                // Nobody can ask now, but those who come may.
                if coming.is_empty() {
                    return;
                }
                continue;
            };
            let content = workload.content[rank];
            // A race of exponentials whose rates are the numbers of candidates: each group runs with draws of its own,
            // so a group that is added takes some requests for itself and leaves the others where they were.
            let race = workload.groups.iter().filter_map(|group| {
                let candidates = self.candidates(content, *group, *at_ns);
                let mut draws = seeds.draws(&format!("{name}/{}", self.body.groups[*group].name.value));
                (candidates > 0).then(|| (draws.exponential() / candidates as f64, *group, draws))
            });
            let winner = race.min_by(|a, b| a.0.total_cmp(&b.0));
            let (_, group, mut draws) = winner.expect("an object with weight has candidates");
            let peer = self.take(content, group, *at_ns, &mut draws);
            requests.push(Request { at_ns: *at_ns, group, peer, content, workload: index });
            if self.left(content, &workload.groups, *at_ns) == 0 {
                weights[rank] = 0.0;
            }
        }
    }

    /// One download of every peer that lacks something and is there before the end; of those that come meanwhile, in the
    /// rest of the time.
    fn everyone(
        &mut self,
        index: usize,
        at: Duration,
        within: Duration,
        layout: &Layout,
        seeds: &Seeds,
        requests: &mut Vec<Request>,
    ) {
        let workload = &self.body.workloads[index];
        let weights = Self::weights(workload);
        for &group in &workload.groups {
            let wanted: Vec<BTreeSet<u32>> =
                workload.content.iter().map(|content| self.pool(*content, group).iter().copied().collect()).collect();
            let mut asked: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); wanted.len()];
            for (peer, host) in layout.peers(group).iter().enumerate() {
                let mut draws = seeds.draws(&format!("workload/{}/peer/{}", workload.label, host.name));
                let lacking = wanted.iter().zip(&weights);
                let lacking = lacking.map(|(peers, weight)| if peers.contains(&(peer as u32)) { *weight } else { 0.0 });
                let Some(rank) = draws.weighted(lacking) else { continue };
                let from = at.max(Duration::from_nanos(self.beginnings[group][peer]));
                let Some(within) = (at + within).checked_sub(from) else { continue };
                let at_ns = spread(from, within, &mut draws);
                requests.push(Request { at_ns, group, peer, content: workload.content[rank], workload: index });
                asked[rank].insert(peer as u32);
            }
            for (content, asked) in workload.content.iter().zip(&asked) {
                self.pool(*content, group).retain(|peer| !asked.contains(peer));
            }
        }
    }
}
