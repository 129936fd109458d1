//! TCP flows side by side, each between a pair of nodes of its own: what they got, how late the engine was, what it cost. Used
//! by the figures of the engine under load.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context, bail};
use peerbed_contract::{AsNumber, NatClass, Role};
use peerbed_link::{Bandwidth, Duplex, Fabric, FabricNode, LinkSpec, Queue, Rate};

use super::{
    Bench,
    links::{OPEN, PORT, address, name},
};
use crate::{
    engine::{EngineHealth, EngineOptions},
    host::HostSample,
    probe::{
        Report, TCP_PAYLOAD,
        field::{Exchange, Field, words},
    },
    reconcile::limits::LATE_P99_MAX_MS,
    say::complain,
};

/// Flows further from their rate than this show that the engine has come to its end, per cent.
pub(super) const ERROR_MOST: f64 = 0.5;
/// Bytes that a sink reads at once: the engine is to be loaded, not the machine with the waking of sinks for every packet.
const AT_ONCE: u32 = 32 << 10;

/// So many flows at once.
#[derive(Debug, Clone)]
pub(super) struct Flows {
    /// How many.
    pub(super) pairs: usize,
    /// What each goes through.
    pub(super) uplink: LinkSpec,
    /// What carries them.
    pub(super) options: EngineOptions,
    /// Until every flow is steady.
    pub(super) skip: Duration,
    /// How long it is measured then.
    pub(super) window: Duration,
}

/// What became of them.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// Each flow's goodput, bit/s.
    pub(super) goodputs: Vec<f64>,
    /// Each flow's goodput against what its link carries of payload, per cent; none where nothing limits it.
    pub(super) errors: Vec<f64>,
    /// Of all packets in the window, the engine's lateness, 99th percentile; 0 without an engine.
    pub(super) late_p99_ms: f64,
    /// Cores that were busy, the probes' own work included.
    pub(super) cores: f64,
    /// Those of them that the agent had, in which the `wire` engine is.
    pub(super) agent_cores: f64,
}

impl Carried {
    /// All flows together, Gbit/s.
    pub(super) fn gbps(&self) -> f64 {
        self.goodputs.iter().sum::<f64>() / 1e9
    }

    /// The error of the flow that is furthest from its rate, with its sign.
    pub(super) fn worst(&self) -> f64 {
        self.errors.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(f64::INFINITY)
    }

    /// Whether the engine kept the flows' rate and its own times.
    pub(super) fn kept_up(&self) -> bool {
        self.late_p99_ms <= LATE_P99_MAX_MS && self.worst().abs() <= ERROR_MOST
    }

    /// What that is judged by, in words.
    pub(super) fn told(&self) -> String {
        format!("engine late by {:.2} ms, worst flow {:+.2} %", self.late_p99_ms, self.worst())
    }
}

/// A link of this rate and delay, whose queue holds so much time.
pub(super) fn limited(rate: Rate, delay: Duration, queue: Duration) -> LinkSpec {
    LinkSpec { bandwidth: Bandwidth::Limited(rate), delay, queue: Queue::Time(queue), ..LinkSpec::TRANSPARENT }
}

impl Flows {
    /// Lets them flow in a network of their own.
    pub(super) async fn carry(&self, bench: &Bench) -> anyhow::Result<Carried> {
        self.try_carry(bench).await.with_context(|| self.name())
    }

    fn name(&self) -> String {
        if self.pairs == 1 { "one flow".to_owned() } else { format!("{} flows", self.pairs) }
    }

    fn fabric(&self) -> Fabric {
        let only_as = AsNumber::try_from(64_500).expect("a constant number is good");
        let node = |index: usize| FabricNode {
            name: name(index),
            role: Role::Peer,
            as_number: only_as,
            address: address(index).into(),
            // Even ones send, odd ones receive.
            access: if index.is_multiple_of(2) { Duplex { up: self.uplink, ..OPEN } } else { OPEN },
            nat: NatClass::None,
        };
        Fabric {
            places: Vec::new(),
            seed: 1,
            congestion_control: "cubic".to_owned(),
            nodes: (0..2 * self.pairs).map(node).collect(),
            links: Vec::new(),
            routes: Vec::new(),
            traces: BTreeMap::new(),
        }
    }

    async fn try_carry(&self, bench: &Bench) -> anyhow::Result<Carried> {
        let Self { pairs, skip, window, .. } = *self;
        let log = bench.scratch.path().join("probes.log");
        let mut field = Field::up(&bench.launch, self.fabric(), self.options.clone(), &log).await?;
        let exchange = |pair: usize| {
            let to = format!("{}:{PORT}", address(2 * pair + 1));
            let length = skip + window + Duration::from_secs(2);
            Exchange {
                server: name(2 * pair + 1),
                serve: words(&[&"sink", &to, &skip.as_millis(), &window.as_millis(), &AT_ONCE]),
                endless: false,
                client: name(2 * pair),
                ask: words(&[&"source", &to, &length.as_millis()]),
            }
        };
        let exchanges: Vec<Exchange> = (0..pairs).map(exchange).collect();
        let (gauge, agent) = (field.gauge(), field.agent_pid());
        let steady = async {
            tokio::time::sleep(skip).await;
            // The engine tells how late it was since it was asked before.
            gauge.read().await?;
            let before = Spent::read(agent)?;
            tokio::time::sleep(window).await;
            let after = Spent::read(agent)?;
            anyhow::Ok((before, after, gauge.read().await?.health))
        };
        let (reports, (before, after, health)) = tokio::try_join!(field.carry_out(&exchanges), steady)?;
        field.down().await?;
        let EngineHealth { overruns, late_p99_ns, .. } = health;
        if overruns > 0 {
            complain(format_args!("{}: {overruns} packets were lost between kernel and engine", self.name()));
        }
        let bps = |report: Option<Report>| match report {
            Some(Report::Window { bytes, nanos }) => Ok(bytes as f64 * 8.0 / (nanos.max(1) as f64 / 1e9)),
            other => bail!("a sink said {other:?}"),
        };
        let goodputs: Vec<f64> = reports.into_iter().map(|reports| bps(reports.server)).collect::<Result<_, _>>()?;
        let errors = self.uplink.bandwidth.mean().map_or_else(Vec::new, |rate| {
            let ideal = rate.bps() as f64 * TCP_PAYLOAD;
            goodputs.iter().map(|bps| (bps / ideal - 1.0) * 100.0).collect()
        });
        let ns = (after.at_ns - before.at_ns) as f64;
        Ok(Carried {
            goodputs,
            errors,
            late_p99_ms: late_p99_ns.unwrap_or_default() as f64 / 1e6,
            cores: (after.all_ms - before.all_ms) as f64 * 1e6 / ns,
            agent_cores: (after.agent_ms - before.agent_ms) as f64 * 1e6 / ns,
        })
    }
}

/// Processor time that was used up to a moment.
struct Spent {
    /// `CLOCK_MONOTONIC`, nanoseconds.
    at_ns: u64,
    /// Of the whole machine, since boot.
    all_ms: u64,
    /// Of the agent, since it began.
    agent_ms: u64,
}

impl Spent {
    fn read(agent: u32) -> anyhow::Result<Self> {
        let path = format!("/proc/{agent}/stat");
        let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let ticks = process_ticks(&stat).with_context(|| format!("{path} has no processor time"))?;
        let HostSample { at_ns, cpu, .. } = HostSample::read()?;
        let agent_ms = ticks * 1000 / rustix::param::clock_ticks_per_second().max(1);
        Ok(Self { at_ns, all_ms: cpu.total_ms() - cpu.idle_ms, agent_ms })
    }
}

/// Clock ticks that all threads of a process have had, in user space and in the kernel, by its `/proc/PID/stat`.
fn process_ticks(stat: &str) -> Option<u64> {
    // The second field is the program's name in brackets, which may have anything in it; the two are the 14th and 15th.
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut times = behind_name.split_whitespace().skip(11).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_flow_is_not_lost_in_the_mean() {
        let carried =
            |errors: &[f64], late_p99_ms| Carried { errors: errors.to_vec(), late_p99_ms, ..Carried::default() };
        assert!(carried(&[0.1, -0.4], 5.0).kept_up());
        assert!(!carried(&[0.1, -0.6], 5.0).kept_up());
        assert!(!carried(&[0.1, -0.4], 5.1).kept_up());
        assert!((carried(&[0.1, -0.6, 0.3], 0.0).worst() + 0.6).abs() < 1e-12);
        assert!(!carried(&[], 0.0).kept_up(), "no flow at all is not a good one");
    }

    #[test]
    fn the_time_of_a_process_is_found_behind_any_name() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 250 31 0 0 20 0 1 0 9 8 7";
        assert_eq!(process_ticks(stat), Some(281));
        assert_eq!(process_ticks("42 (a) S 1 2"), None);
        assert_eq!(process_ticks("42"), None);
        let own = fs::read_to_string("/proc/self/stat").expect("Linux");
        assert!(process_ticks(&own).is_some());
    }
}
