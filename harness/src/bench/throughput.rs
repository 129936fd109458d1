//! Figures of the engine's throughput: the largest aggregate goodput that it carries through limited links before it does not
//! keep up any more, and one unlimited flow; both against such a flow over a veth pair without any engine.

use std::time::Duration;

use peerbed_link::{LinkSpec, Rate};

use super::{
    Bench, Figure,
    flows::{Carried, Flows, limited},
};
use crate::{
    engine::{EndsChoice, EngineChoice, EngineOptions},
    say::complain,
};

/// Flows at once: few, so that packets load the engine and not the number of programs; enough for each of its threads.
const PAIRS: usize = 8;
const DELAY: Duration = Duration::from_millis(20);
/// Room for all that a flow begins with: one that has lost something delivers nothing for a while and then much at once,
/// which in a short window would look like a rate that was missed.
const QUEUE: Duration = Duration::from_secs(1);
/// Until the flows are steady, and how long they are measured then.
const SKIP: Duration = Duration::from_millis(800);
const WINDOW: Duration = Duration::from_secs(2);
/// Likewise for unlimited ones, which have no delay and no rate to miss.
const UNLIMITED_SKIP: Duration = Duration::from_millis(300);
const UNLIMITED_WINDOW: Duration = Duration::from_millis(1200);

/// The rates of all links together that are tried: the lowest, and how far it is from each to the next.
const LOWEST_BPS: f64 = 0.2e9;
const RUNGS_A_DOUBLING: f64 = 8.0;
/// How many there are, up to 43 Gbit/s. One less than a power of two is searched in as many steps as the power has.
const RUNGS: usize = 63;
/// What was too much for the engine may have been somebody else's work: it is tried so often.
const TRIES: usize = 2;

/// The rate of each link at a rung.
fn rate(rung: usize) -> anyhow::Result<Rate> {
    let aggregate = LOWEST_BPS * (rung as f64 / RUNGS_A_DOUBLING).exp2();
    Ok(Rate::from_bps((aggregate / PAIRS as f64).round() as u64)?)
}

/// The search for the highest rung that is carried: each step halves those that it may be.
#[derive(Debug)]
struct Ladder {
    /// All rungs below this one are carried.
    unknown: usize,
    /// This one and all above are too high.
    too_high: usize,
}

impl Ladder {
    fn new(rungs: usize) -> Self {
        Self { unknown: 0, too_high: rungs }
    }

    /// The rung to try; none when the highest is known.
    fn next(&self) -> Option<usize> {
        (self.unknown < self.too_high).then(|| usize::midpoint(self.unknown, self.too_high))
    }

    fn told(&mut self, rung: usize, carried: bool) {
        if carried {
            self.unknown = rung + 1;
        } else {
            self.too_high = rung;
        }
    }
}

/// The most that the engine carries through limited links; nothing if it does not carry the least that is tried.
async fn most(bench: &Bench) -> anyhow::Result<Carried> {
    let (mut ladder, mut most) = (Ladder::new(RUNGS), Carried::default());
    while let Some(rung) = ladder.next() {
        let carried = carry(bench, rate(rung)?).await?;
        ladder.told(rung, carried.is_some());
        // A rung that is carried is always above those that were before.
        most = carried.unwrap_or(most);
    }
    if ladder.too_high == RUNGS {
        complain(format_args!("the engine carries the most that is tried: it would carry more"));
    }
    Ok(most)
}

/// Flows through links of this rate; none if the engine does not keep up.
async fn carry(bench: &Bench, rate: Rate) -> anyhow::Result<Option<Carried>> {
    let (uplink, options) = (limited(rate, DELAY, QUEUE), EngineOptions::wire(bench.ends));
    let flows = Flows { pairs: PAIRS, uplink, options, skip: SKIP, window: WINDOW };
    for more in (0..TRIES).rev() {
        let carried = flows.carry(bench).await?;
        if carried.kept_up() {
            return Ok(Some(carried));
        }
        let verdict = if more > 0 { "tried again" } else { "too much" };
        complain(format_args!("{PAIRS} flows of {:.1} Mbit/s: {}: {verdict}", rate.bps() as f64 / 1e6, carried.told()));
    }
    Ok(None)
}

/// One flow that nothing limits but the machine.
async fn unlimited(bench: &Bench, options: EngineOptions) -> anyhow::Result<Carried> {
    let flow =
        Flows { pairs: 1, uplink: LinkSpec::TRANSPARENT, options, skip: UNLIMITED_SKIP, window: UNLIMITED_WINDOW };
    flow.carry(bench).await
}

/// One repeat: the same machine in the same minute.
struct Turn {
    /// Through limited links.
    limited: Carried,
    /// One flow through links that do nothing.
    single: Carried,
    /// One flow without an engine.
    bare: Carried,
}

impl Turn {
    async fn take(bench: &Bench) -> anyhow::Result<Self> {
        let none = EngineOptions { engine: EngineChoice::Bare, ends: EndsChoice::Auto, threads: None };
        Ok(Self {
            single: unlimited(bench, EngineOptions::wire(bench.ends)).await?,
            bare: unlimited(bench, none).await?,
            limited: most(bench).await?,
        })
    }
}

/// All of them, in turns.
pub(super) async fn throughput(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let mut turns = Vec::new();
    for _ in 0..bench.repeats {
        turns.push(Turn::take(bench).await?);
    }
    Ok(figures(&turns))
}

fn figures(turns: &[Turn]) -> Vec<Figure> {
    const CORES: &str = "… cores it took, probes included";
    const AGENT: &str = "… cores of the agent among them";
    const AGAINST: &str = "… against one flow over bare veth";

    let mut figures = Vec::new();
    let mut add = |what: &str, unit, of: fn(&Turn) -> f64| {
        let measured = turns.iter().map(of).collect();
        figures.push(Figure { what: what.to_owned(), unit, measured, target: (None, None) });
    };
    let links = format!("largest aggregate goodput, {PAIRS} links of {} ms", DELAY.as_millis());
    add(&links, "Gbit/s", |turn| turn.limited.gbps());
    add(CORES, "", |turn| turn.limited.cores);
    add(AGENT, "", |turn| turn.limited.agent_cores);
    add(AGAINST, "×", |turn| turn.limited.gbps() / turn.bare.gbps());
    add("one flow, links unlimited", "Gbit/s", |turn| turn.single.gbps());
    add(CORES, "", |turn| turn.single.cores);
    add(AGENT, "", |turn| turn.single.agent_cores);
    add(AGAINST, "×", |turn| turn.single.gbps() / turn.bare.gbps());
    add("one flow over bare veth, no engine", "Gbit/s", |turn| turn.bare.gbps());
    add(CORES, "", |turn| turn.bare.cores);
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The highest rung of so many that is carried, and how many were tried, where those below `limit` are.
    fn climbed(rungs: usize, limit: usize) -> (Option<usize>, usize) {
        let (mut ladder, mut highest, mut tried) = (Ladder::new(rungs), None, 0);
        while let Some(rung) = ladder.next() {
            tried += 1;
            ladder.told(rung, rung < limit);
            if rung < limit {
                assert!(highest.is_none_or(|highest| highest < rung), "each one that is carried is above those before");
                highest = Some(rung);
            }
        }
        (highest, tried)
    }

    #[test]
    fn the_highest_rung_is_found_wherever_it_is() {
        for limit in 0..=RUNGS {
            assert_eq!(climbed(RUNGS, limit), (limit.checked_sub(1), 6));
        }
        assert_eq!(climbed(1, 0), (None, 1));
        assert_eq!(climbed(0, 0), (None, 0));
    }

    #[test]
    fn rates_double_every_eight_rungs() {
        let aggregate = |rung| rate(rung).unwrap().bps() * PAIRS as u64;
        assert_eq!(aggregate(0), 200_000_000);
        assert_eq!(aggregate(8), 400_000_000);
        assert_eq!(aggregate(24), 1_600_000_000);
        assert!((43_000_000_000..44_000_000_000).contains(&aggregate(RUNGS - 1)));
    }

    #[test]
    fn every_repeat_is_compared_with_its_own_veth() {
        let carried = |gbps: f64, cores, agent_cores| Carried {
            goodputs: vec![gbps * 1e9],
            cores,
            agent_cores,
            ..Carried::default()
        };
        let turn = |bare| Turn {
            limited: carried(10.0, 1.5, 0.75),
            single: carried(20.0, 2.0, 1.0),
            bare: carried(bare, 1.75, 0.0),
        };
        let figures = figures(&[turn(40.0), turn(80.0), turn(100.0)]);
        let of = |at: usize| (figures[at].unit, figures[at].median());
        assert_eq!(of(0), ("Gbit/s", 10.0));
        assert_eq!(of(3), ("×", 0.125));
        assert_eq!(of(7), ("×", 0.25));
        assert_eq!(figures[7].measured, [0.5, 0.25, 0.2]);
        assert_eq!(of(9), ("", 1.75));
        assert!(figures.iter().all(Figure::met), "there is no target");
    }
}
