//! What the machine itself allows: its kernel, its limits, its memory and its cores.

use std::{fs, path::Path};

use rustix::process::{Resource, getrlimit};

use super::{Finding, State};
use crate::agent::{descriptors_needed, kernel_version};

const DESCRIPTORS: &str = "file descriptors";
const PROCESSES: &str = "processes";
const NAMESPACES: &str = "network namespaces";
/// Topics that depend on the number of nodes alone.
pub(super) const LIMITS: [&str; 3] = [DESCRIPTORS, PROCESSES, NAMESPACES];

/// Whether the kernel is new enough.
pub(super) fn kernel() -> Finding {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    // epoll_pwait2, with which the engine sleeps to the microsecond.
    if kernel_version(&release) >= Some((5, 11)) {
        Finding::ok("kernel", format!("Linux {release}"))
    } else {
        Finding::not_ok(State::Missing, "kernel", format!("Linux {release}"), "Linux 5.11 or newer is needed")
    }
}

/// What the agent needs to hold every node.
pub(super) fn descriptors(nodes: usize) -> Finding {
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

/// How many processes and threads may be.
pub(super) fn processes(nodes: usize) -> Finding {
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

/// How many network namespaces may be.
pub(super) fn namespaces(nodes: usize) -> Finding {
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

/// Whether so many nodes fit.
pub(super) fn memory(nodes: usize) -> Finding {
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

/// How many processors there are.
pub(super) fn cores() -> Finding {
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

/// Whether the kernel says how overloaded it is.
pub(super) fn pressure() -> Finding {
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

/// How much a packet socket may hold.
pub(super) fn receive_buffer() -> Finding {
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

/// What to do where a congestion control cannot be had.
pub(super) fn other_congestion_control(wanted: &str) -> String {
    let available = fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control");
    instead_of(wanted, available.ok().as_deref())
}

/// Nobody but the kernel knows every name, so a module is only a possibility.
fn instead_of(wanted: &str, available: Option<&str>) -> String {
    let names = available.map(|names| names.split_whitespace().collect::<Vec<_>>()).unwrap_or_default();
    let possibly = format!("if `{wanted}` is a module of this kernel, `sudo modprobe tcp_{wanted}` loads it");
    if names.is_empty() { possibly } else { format!("available here: {}; {possibly}", names.join(", ")) }
}

fn number(path: impl AsRef<Path>) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn unlimited(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_judged_by_the_number_of_nodes() {
        assert_eq!(descriptors(1).state, State::Ok);
        assert_eq!(processes(usize::MAX / 4).state, State::Warn);
        assert!(namespaces(10).found.contains("allowed"));
    }

    #[test]
    fn a_congestion_control_that_is_not_there_leads_to_those_that_are() {
        insta::assert_snapshot!(instead_of("bbr9", Some("reno cubic\n")), @"available here: reno, cubic; if `bbr9` is a module of this kernel, `sudo modprobe tcp_bbr9` loads it");
        insta::assert_snapshot!(instead_of("bbr", None), @"if `bbr` is a module of this kernel, `sudo modprobe tcp_bbr` loads it");
        assert!(
            other_congestion_control("bbr9").contains("cubic") || other_congestion_control("bbr9").contains("reno")
        );
    }
}
