//! `peerbed doctor`: what this machine can do, what it lacks, and the remedy. Changes nothing.

use std::{fs, path::Path, process::ExitCode};

use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use crate::{
    agent::{
        descriptors_needed, kernel_version,
        probe::{self, Inside},
    },
    commands,
    engine::EndsChoice,
    runtime::Unmet,
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
    let report = examine(Path::new("/proc/self/exe"), args.nodes, EndsChoice::Auto, "cubic");
    if args.json {
        commands::say(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        commands::say(&render(&report))?;
    }
    Ok(if report.able { Status::Good.into() } else { Status::Usage.into() })
}

fn nodes(text: &str) -> Result<usize, String> {
    let most = 20_000;
    let count = text.parse().ok().filter(|count| (1..=most).contains(count));
    count.ok_or_else(|| format!("a number of nodes from 1 to {most} is expected"))
}

/// What keeps an experiment of so many nodes from running here.
pub(crate) fn unmet(program: &Path, nodes: usize, ends: EndsChoice, congestion_control: &str) -> Vec<Unmet> {
    let findings = examine(program, nodes, ends, congestion_control).findings.into_iter();
    // Limits are judged for just these nodes here, so falling short of one is more than a warning.
    let decisive = findings.filter(|finding| {
        finding.state == State::Missing || (finding.state == State::Warn && LIMITS.contains(&finding.topic))
    });
    decisive
        .map(|Finding { topic, found, remedy, .. }| Unmet {
            need: topic.to_owned(),
            found,
            remedy: remedy.unwrap_or_else(|| "see `peerbed doctor`".to_owned()),
        })
        .collect()
}

const DESCRIPTORS: &str = "file descriptors";
const PROCESSES: &str = "processes";
const NAMESPACES: &str = "network namespaces";
/// Topics that depend on the number of nodes alone.
const LIMITS: [&str; 3] = [DESCRIPTORS, PROCESSES, NAMESPACES];

/// Look at everything, for an experiment of so many nodes.
pub fn examine(program: &Path, nodes: usize, ends: EndsChoice, congestion_control: &str) -> Report {
    let mut findings = vec![kernel()];
    let inside = probe::ask(program, congestion_control);
    let mut chosen = None;
    match &inside {
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
    findings.push(descriptors(nodes));
    findings.push(processes(nodes));
    findings.push(namespaces(nodes));
    findings.extend([memory(nodes), cores(), pressure()]);
    findings.extend((chosen != Some("tun")).then(receive_buffer));
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
        None => Finding::ok("TUN devices", "can be made; the link engine uses them"),
        Some(error) => Finding::not_ok(
            if ends == EndsChoice::Tun { State::Missing } else { lacking },
            "TUN devices",
            format!("{error} (/dev/net/tun); the link engine uses packet sockets, some 20 % dearer"),
            tun_remedy(),
        ),
    });
    findings.push(match inside.veth.as_ref().or(inside.packet.as_ref()) {
        None => Finding::ok("veth and packet sockets", "work, with virtio headers"),
        Some(error) => Finding::not_ok(
            if ends == EndsChoice::Packet { State::Missing } else { lacking },
            "veth and packet sockets",
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
            format!("load it: `sudo modprobe tcp_{congestion_control}`"),
        ),
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

fn kernel() -> Finding {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    // epoll_pwait2, with which the engine sleeps to the microsecond.
    if kernel_version(&release) >= Some((5, 11)) {
        Finding::ok("kernel", format!("Linux {release}"))
    } else {
        Finding::not_ok(State::Missing, "kernel", format!("Linux {release}"), "Linux 5.11 or newer is needed")
    }
}

fn descriptors(nodes: usize) -> Finding {
    let needed = descriptors_needed(nodes);
    match getrlimit(Resource::Nofile).maximum {
        Some(limit) if limit < needed => Finding::not_ok(
            State::Warn,
            DESCRIPTORS,
            format!("the hard limit is {limit}, {nodes} nodes need {needed}"),
            "raise it in /etc/security/limits.conf (`nofile`) or the service's `LimitNOFILE`, and log in again",
        ),
        limit => Finding::ok(DESCRIPTORS, format!("{} allowed, {nodes} nodes need {needed}", unlimited(limit))),
    }
}

fn processes(nodes: usize) -> Finding {
    // Each node one thread at least; the harness, the agent and the user's other work on top.
    let needed = nodes as u64 * 2 + 200;
    let own_limit = if rustix::process::geteuid().is_root() { None } else { getrlimit(Resource::Nproc).current };
    let limits = [
        ("ulimit -u", own_limit, "raise it in /etc/security/limits.conf (`nproc`)"),
        ("kernel.pid_max", number("/proc/sys/kernel/pid_max"), "`sudo sysctl -w kernel.pid_max=4194304`"),
        ("kernel.threads-max", number("/proc/sys/kernel/threads-max"), "`sudo sysctl -w kernel.threads-max=200000`"),
        ("the control group's pids.max", group_pids(), "start outside of this container or slice, or raise its limit"),
    ];
    let least = limits.into_iter().filter_map(|(name, limit, remedy)| Some((limit?, name, remedy))).min();
    match least {
        Some((limit, name, remedy)) if limit < needed => Finding::not_ok(
            State::Warn,
            PROCESSES,
            format!("{name} is {limit}, {nodes} nodes need about {needed}"),
            remedy,
        ),
        Some((limit, name, _)) => Finding::ok(PROCESSES, format!("{limit} allowed ({name})")),
        None => Finding::ok(PROCESSES, "unlimited"),
    }
}

/// The least `pids.max` of this process's control group and those above it (version 2).
fn group_pids() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let root = Path::new("/sys/fs/cgroup");
    let own = root.join(own.trim_start_matches('/'));
    let above = own.ancestors().take_while(|group| group.starts_with(root));
    above.filter_map(|group| number(group.join("pids.max"))).min()
}

fn namespaces(nodes: usize) -> Finding {
    let needed = nodes as u64 + 10;
    match number("/proc/sys/user/max_net_namespaces") {
        Some(limit) if limit < needed => Finding::not_ok(
            State::Warn,
            NAMESPACES,
            format!("user.max_net_namespaces is {limit}, {nodes} nodes need {needed}"),
            format!("`sudo sysctl -w user.max_net_namespaces={}`", needed.next_power_of_two()),
        ),
        limit => Finding::ok(NAMESPACES, format!("{} allowed", unlimited(limit))),
    }
}

fn memory(nodes: usize) -> Finding {
    // An idle node's private memory, its pipes, and what the kernel keeps for its namespace.
    const MIB_PER_NODE: u64 = 6;
    let needed = nodes as u64 * MIB_PER_NODE + 200;
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    match available.map(|kib: u64| kib / 1024) {
        None => {
            Finding::not_ok(State::Warn, "memory", "/proc/meminfo does not say how much is available", "see `free -m`")
        }
        Some(available) if available < needed => Finding::not_ok(
            State::Warn,
            "memory",
            format!("{available} MiB available, {nodes} idle nodes need about {needed} MiB"),
            "use fewer peers, or end other programs",
        ),
        Some(available) => {
            Finding::ok("memory", format!("{available} MiB available, {nodes} idle nodes need about {needed} MiB"))
        }
    }
}

fn cores() -> Finding {
    match std::thread::available_parallelism() {
        Ok(cores) if cores.get() >= 2 => Finding::ok("cores", cores.to_string()),
        Ok(_) => Finding::not_ok(
            State::Warn,
            "cores",
            "1",
            "the link engine and the nodes share it: keep experiments small and watch their validity",
        ),
        Err(error) => Finding::not_ok(State::Warn, "cores", error.to_string(), "see `nproc`"),
    }
}

fn pressure() -> Finding {
    match fs::read_to_string("/proc/pressure/cpu") {
        Ok(_) => Finding::ok("pressure counters", "/proc/pressure can be read"),
        Err(error) => Finding::not_ok(
            State::Warn,
            "pressure counters",
            format!("/proc/pressure/cpu: {error}; an overloaded machine is noticed by lateness alone"),
            "boot with `psi=1`",
        ),
    }
}

fn receive_buffer() -> Finding {
    const ENOUGH: u64 = 4 << 20;
    match number("/proc/sys/net/core/rmem_max") {
        Some(bytes) if bytes < ENOUGH => Finding::not_ok(
            State::Warn,
            "receive buffers",
            format!("net.core.rmem_max is {bytes}; packet sockets may overrun under bursts, which makes a run invalid"),
            "`sudo sysctl -w net.core.rmem_max=16777216`",
        ),
        limit => Finding::ok("receive buffers", format!("net.core.rmem_max is {}", unlimited(limit))),
    }
}

fn number(path: impl AsRef<Path>) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn unlimited(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
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

    fn report(inside: &Inside) -> Report {
        let findings = inside_findings(inside, EndsChoice::Auto, "cubic");
        let able = findings.iter().all(|finding| finding.state != State::Missing);
        Report { able, ends: choose(inside, EndsChoice::Auto), findings }
    }

    #[test]
    fn without_tun_packet_sockets_do() {
        let inside = Inside { tun: Some("Permission denied".to_owned()), udp_segments: true, ..Inside::default() };
        let report = report(&inside);
        assert_eq!((report.able, report.ends), (true, Some("packet")));
        assert!(render(&report).contains("warn     TUN devices"));
        assert_eq!(choose(&inside, EndsChoice::Tun), None);
    }

    #[test]
    fn without_any_ends_it_is_missing() {
        let no = || Some("Operation not permitted".to_owned());
        let report = report(&Inside { tun: no(), veth: no(), packet: no(), ..Inside::default() });
        assert_eq!((report.able, report.ends), (false, None));
        assert!(render(&report).contains("missing  veth and packet sockets"));
    }

    #[test]
    fn limits_are_judged_by_the_number_of_nodes() {
        assert_eq!(descriptors(1).state, State::Ok);
        assert_eq!(processes(usize::MAX / 4).state, State::Warn);
        assert!(namespaces(10).found.contains("allowed"));
    }
}
