//! `peerbed doctor`: what this machine can do, what it lacks, and the remedy. Changes nothing.

mod docker;
mod machine;

use std::{collections::BTreeSet, path::Path, process::ExitCode};

use peerbed_model::Plan;
use serde::Serialize;

use crate::{
    agent::probe::{self, Inside},
    engine::{EndsChoice, EngineChoice, EngineOptions, tc::routers},
    runtime::{Kind, Unmet},
    say::say,
    status::Status,
};

/// Arguments of `peerbed doctor`.
///
/// It exits with 0 when experiments can run here, also if something is less than ideal, and with 2 when they cannot.
#[derive(Debug, Clone, clap::Args)]
pub struct DoctorArgs {
    /// Print JSON: {"able": …, "ends": …, "findings": [{"topic", "state", "found", "remedy"}, …]}
    #[arg(long)]
    pub json: bool,
    /// Judge what this runtime needs
    #[arg(long, value_enum, default_value_t = Kind::Netns)]
    pub runtime: Kind,
    /// Judge the limits for an experiment of so many nodes
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = nodes)]
    pub nodes: usize,
}

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// Experiments run, but with less, or not the largest ones.
    Warn,
    /// Experiments cannot run.
    Missing,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub topic: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do, unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(topic: &'static str, found: impl Into<String>) -> Self {
        Self { topic, state: State::Ok, found: found.into(), remedy: None }
    }

    fn not_ok(state: State, topic: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { topic, state, found: found.into(), remedy: Some(remedy.into()) }
    }
}

const TUN: &str = "TUN devices";
const PACKET: &str = "veth and packet sockets";

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Nothing is missing.
    pub able: bool,
    /// Which ends the link engine would use: `tun` or `packet`; none if it cannot have any.
    pub ends: Option<&'static str>,
    /// One for each thing.
    pub findings: Vec<Finding>,
}

/// The subcommand.
pub fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let report = match args.runtime {
        Kind::Netns => examine(Path::new("/proc/self/exe"), args.nodes, EndsChoice::Auto, "cubic"),
        Kind::Docker => docker::examine(args.nodes, "cubic")?,
    };
    if args.json {
        say(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        say(&render(&report))?;
    }
    Ok(if report.able { Status::Good.into() } else { Status::Usage.into() })
}

fn nodes(text: &str) -> Result<usize, String> {
    let most = 20_000;
    let count = text.parse().ok().filter(|count| (1..=most).contains(count));
    count.ok_or_else(|| format!("a number of nodes from 1 to {most} is expected"))
}

/// What keeps a plan from running here, beside what keeps the engine from carrying it.
pub(crate) fn unmet(program: &Path, plan: &Plan, options: &EngineOptions) -> Vec<Unmet> {
    let inside = probe::ask(program, &plan.fabric.congestion_control);
    let by_kernel = options.engine == EngineChoice::Tc;
    // A router costs what a node does.
    let nodes = plan.nodes.len() + if by_kernel { routers(&plan.fabric) } else { 0 };
    let findings = report(&inside, nodes, options.ends, &plan.fabric.congestion_control).findings.into_iter();
    // Limits are judged for just these nodes here, so falling short of one is more than a warning. The ends of links are
    // the wire engine's.
    let decisive = findings.filter(|finding| {
        let short = finding.state == State::Warn && machine::LIMITS.contains(&finding.topic);
        (finding.state == State::Missing && !(by_kernel && [TUN, PACKET].contains(&finding.topic))) || short
    });
    let unmet = |Finding { topic, found, remedy, .. }| Unmet {
        need: str::to_owned(topic),
        found,
        remedy: remedy.unwrap_or_else(|| "see `peerbed doctor`".to_owned()),
    };
    decisive.map(unmet).collect()
}

/// Look at everything, for an experiment of so many nodes.
pub fn examine(program: &Path, nodes: usize, ends: EndsChoice, congestion_control: &str) -> Report {
    report(&probe::ask(program, congestion_control), nodes, ends, congestion_control)
}

fn report(inside: &Result<Inside, String>, nodes: usize, ends: EndsChoice, congestion_control: &str) -> Report {
    let mut findings = vec![machine::kernel()];
    let mut chosen = None;
    match inside {
        Err(error) => {
            let found = format!("the agent cannot have namespaces of its own ({error})");
            findings.push(Finding::not_ok(State::Missing, "user namespaces", found, probe::remedy()));
        }
        Ok(inside) => {
            findings.push(Finding::ok("user namespaces", "can be made, with network, mount and PID namespaces inside"));
            chosen = choose(inside, ends);
            findings.extend(inside_findings(inside, ends, congestion_control));
        }
    }
    findings.push(machine::descriptors(nodes));
    findings.push(machine::processes(nodes));
    findings.push(machine::namespaces(nodes));
    findings.extend([machine::memory(nodes), machine::cores(), machine::pressure()]);
    findings.extend((chosen != Some("tun")).then(machine::receive_buffer));
    let able = findings.iter().all(|finding| finding.state != State::Missing);
    Report { able, ends: chosen, findings }
}

fn choose(inside: &Inside, ends: EndsChoice) -> Option<&'static str> {
    let packet = inside.veth.is_none() && inside.packet.is_none();
    match ends {
        EndsChoice::Auto | EndsChoice::Tun if inside.tun.is_none() => Some("tun"),
        EndsChoice::Auto | EndsChoice::Packet if packet => Some("packet"),
        _ => None,
    }
}

fn inside_findings(inside: &Inside, ends: EndsChoice, congestion_control: &str) -> Vec<Finding> {
    const SANDBOX: &str =
        "a sandbox (seccomp, LSM) or the kernel's configuration forbids it; work outside of the container";
    let mut findings = Vec::new();
    findings.push(match &inside.namespace {
        None => Finding::ok("nodes' namespaces", "can be made, set up and entered"),
        Some(error) => Finding::not_ok(State::Missing, "nodes' namespaces", error, SANDBOX),
    });
    let chosen = choose(inside, ends);
    let lacking = if chosen.is_some() { State::Warn } else { State::Missing };
    findings.push(match &inside.tun {
        None => Finding::ok(TUN, "can be made; the link engine uses them"),
        Some(error) => Finding::not_ok(
            if ends == EndsChoice::Tun { State::Missing } else { lacking },
            TUN,
            format!("{error} (/dev/net/tun); the link engine uses packet sockets, some 20 % dearer"),
            tun_remedy(),
        ),
    });
    findings.push(match inside.veth.as_ref().or(inside.packet.as_ref()) {
        None => Finding::ok(PACKET, "work, with virtio headers"),
        Some(error) => Finding::not_ok(
            if ends == EndsChoice::Packet { State::Missing } else { lacking },
            PACKET,
            error,
            "load the modules (`sudo modprobe veth af_packet`); a sandbox may also forbid them",
        ),
    });
    findings.push(match &inside.congestion_control {
        None => Finding::ok("congestion control", format!("{congestion_control} can be pinned on a route")),
        Some(error) => Finding::not_ok(
            State::Missing,
            "congestion control",
            error,
            machine::other_congestion_control(congestion_control),
        ),
    });
    findings.push(if inside.kernel_engine.is_empty() {
        Finding::ok("tc engine", "the kernel has everything that it needs; `--engine tc` chooses it")
    } else {
        let each = inside.kernel_engine.iter().map(|lack| format!("{}: {}", lack.feature, lack.found));
        let remedies: BTreeSet<&str> = inside.kernel_engine.iter().map(|lack| lack.remedy.as_str()).collect();
        let remedy = remedies.into_iter().collect::<Vec<_>>().join("; ");
        let each = each.collect::<Vec<_>>().join("; ");
        let found = if inside.kernel_engine.iter().all(|lack| lack.for_delays) {
            format!("can carry links without delay, jitter and loss; for others it lacks {each}")
        } else {
            format!("lacks {each}")
        };
        Finding::not_ok(State::Warn, "tc engine", found, remedy)
    });
    if !inside.udp_segments {
        findings.push(Finding::not_ok(
            State::Warn,
            "UDP offloads",
            "this kernel does not pass UDP super-packets on; only programs that send them are concerned",
            "Linux 6.2 or newer has them",
        ));
    }
    findings
}

fn tun_remedy() -> String {
    if Path::new("/dev/net/tun").exists() {
        "open it to your user: `sudo chmod 0666 /dev/net/tun`".to_owned()
    } else {
        "load the module: `sudo modprobe tun`".to_owned()
    }
}

/// The report as people read it.
pub fn render(report: &Report) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let width = report.findings.iter().map(|finding| finding.topic.len()).max().unwrap_or_default();
    for Finding { topic, state, found, remedy } in &report.findings {
        let state = match state {
            State::Ok => "ok     ",
            State::Warn => "warn   ",
            State::Missing => "missing",
        };
        let _ = writeln!(text, "{state}  {topic:width$}  {found}");
        if let Some(remedy) = remedy {
            let _ = writeln!(text, "         {:width$}  → {remedy}", "");
        }
    }
    let verdict = match (report.able, report.ends) {
        (true, Some("tun")) => "Experiments can run here; the link engine holds its links by TUN devices.",
        (true, Some(_)) => "Experiments can run here; the link engine holds its links by packet sockets.",
        _ => "Experiments cannot run here until what is missing is mended.",
    };
    let _ = writeln!(text, "\n{verdict}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(inside: &Inside) -> Report {
        let findings = inside_findings(inside, EndsChoice::Auto, "cubic");
        let able = findings.iter().all(|finding| finding.state != State::Missing);
        Report { able, ends: choose(inside, EndsChoice::Auto), findings }
    }

    #[test]
    fn without_tun_packet_sockets_do() {
        let inside = Inside { tun: Some("Permission denied".to_owned()), udp_segments: true, ..Inside::default() };
        let report = judged(&inside);
        assert_eq!((report.able, report.ends), (true, Some("packet")));
        assert!(render(&report).contains("warn     TUN devices"));
        assert_eq!(choose(&inside, EndsChoice::Tun), None);
    }

    #[test]
    fn without_any_ends_it_is_missing() {
        let no = || Some("Operation not permitted".to_owned());
        let report = judged(&Inside { tun: no(), veth: no(), packet: no(), ..Inside::default() });
        assert_eq!((report.able, report.ends), (false, None));
        assert!(render(&report).contains("missing  veth and packet sockets"));
    }
}
