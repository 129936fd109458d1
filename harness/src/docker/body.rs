//! Renders containers: pure values, as the engine takes them.

use std::{
    collections::HashMap,
    net::IpAddr,
    path::{Path, PathBuf},
};

use bollard::models::{
    ContainerCreateBody, DeviceMapping, HostConfig, HostConfigLogConfig, Mount, MountType, ResourcesUlimits,
};
use peerbed_contract::NodeName;
use serde::{Deserialize, Serialize};

use super::{
    endpoint::Endpoint,
    marks::{Part, RunId, labels},
};

/// Nodes that run the project's own programs are this user, who owns nothing.
const NOBODY: &str = "65534:65534";
/// Where a node may write.
pub(super) const TMP: &str = "/tmp";
/// Where the gate puts a node's configuration; gone with the container.
pub(super) const CONFIG_DIRECTORY: &str = "/run/peerbed";
/// Where an agent outside of the machine's PID namespace sees the machine's processes.
const MACHINES_PROC: &str = "/host/proc";
/// Where the agent finds the engine's socket.
const AGENTS_SOCKET: &str = "/run/engine.sock";
/// The share of the processors that the agent's group gets where there are too few, as many times that of a node's as
/// possible: nodes share a machine with the network that they are measured on.
const AGENTS_SHARES: i64 = 262_144;
/// How early a node is chosen when memory runs out: before the harness, which would take everything with it.
const OOM_SCORE: i64 = 300;

/// What one container may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory, swap included.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Descriptors; none: as the engine has it.
    pub descriptors: Option<u64>,
}

/// A node's container.
#[derive(Debug, Clone)]
pub struct NodeBody<'a> {
    /// Whose deployment.
    pub run: &'a RunId,
    /// Whose container.
    pub node: &'a NodeName,
    /// Its address, to which its name leads.
    pub address: IpAddr,
    /// The image.
    pub image: &'a str,
    /// The gate in that image.
    pub gate: &'a str,
    /// What the gate executes, once the link is there.
    pub argv: &'a [String],
    /// The image is not the project's own: it says by itself who its user is.
    pub foreign: bool,
    /// What it may use.
    pub limits: Limits,
    /// Variables of its environment beside those of the image.
    pub environment: &'a [(String, String)],
}

impl NodeBody<'_> {
    /// Where its configuration is.
    pub fn config() -> String {
        format!("{CONFIG_DIRECTORY}/node.json")
    }

    /// As the engine takes it.
    pub(super) fn render(&self) -> ContainerCreateBody {
        let memory = self.limits.memory_bytes as i64;
        let descriptors = self.limits.descriptors.map(|limit| ulimit("nofile", limit));
        let tmpfs = |size| format!("rw,nosuid,nodev,size={size},mode=1777");
        let host = HostConfig {
            network_mode: Some("none".to_owned()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            // Nobody resolves names in the emulated network: asking oneself is refused at once, while a question to the
            // host's resolver would wait for an answer for seconds.
            dns: Some(vec!["127.0.0.1".to_owned()]),
            dns_search: Some(vec![".".to_owned()]),
            extra_hosts: Some(vec![format!("{}:{}", self.node, self.address)]),
            readonly_rootfs: Some(true),
            tmpfs: Some(HashMap::from([
                (TMP.to_owned(), tmpfs("64m")),
                (CONFIG_DIRECTORY.to_owned(), tmpfs("64m,noexec")),
            ])),
            memory: Some(memory),
            // As much memory and swap together as memory alone: no swap.
            memory_swap: Some(memory),
            pids_limit: Some(i64::from(self.limits.pids)),
            ulimits: descriptors.map(|limit| vec![limit]),
            oom_score_adj: Some(OOM_SCORE),
            // Edges listen on the port that they would have in the wild.
            sysctls: Some(HashMap::from([("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned())])),
            log_config: Some(no_log()),
            ..HostConfig::default()
        };
        let variable = |(name, value): &(String, String)| format!("{name}={value}");
        ContainerCreateBody {
            image: Some(self.image.to_owned()),
            hostname: Some(self.node.to_string()),
            user: (!self.foreign).then(|| NOBODY.to_owned()),
            entrypoint: Some(vec![self.gate.to_owned(), "gate".to_owned()]),
            cmd: Some(self.argv.to_vec()),
            env: Some(self.environment.iter().map(variable).collect()),
            labels: Some(labels(self.run, Part::Node, Some(self.node))),
            host_config: Some(host),
            ..spoken_to()
        }
    }
}

/// What the agent may do beyond what every container may: move devices between namespaces, set them up, and let its engine
/// go first. Naming these also works where an engine lacks one of all the rights that `privileged` would ask for.
const AGENTS_RIGHTS: [&str; 4] = ["SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN", "SYS_NICE"];
/// Nothing of what a container may not do by default must be kept from it: settings in `/proc/sys`, namespaces.
const UNCONFINED: [&str; 3] = ["seccomp=unconfined", "apparmor=unconfined", "label=disable"];
/// The file behind TUN devices.
const TUN: &str = "/dev/net/tun";

/// What an agent in a container is told on its command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentOrders {
    /// Whose agent it is: what it removes in the end.
    pub run: RunId,
    /// The boot of the machine that the harness is on; the agent refuses to serve on another.
    pub boot_id: String,
    /// The engine as the harness reaches it.
    pub endpoint: Endpoint,
    /// The harness's process.
    pub harness_pid: u32,
    /// Where the agent sees the machine's processes.
    pub proc: PathBuf,
}

/// What an agent is started for.
#[derive(Debug, Clone)]
pub enum AgentTask {
    /// To hold a network.
    Serve,
    /// To print what it may do, with this congestion control.
    Look(String),
}

/// What an agent's container is made of.
#[derive(Debug, Clone)]
pub struct AgentBody<'a> {
    /// What it is told.
    pub orders: &'a AgentOrders,
    /// What for.
    pub task: AgentTask,
    /// Its image.
    pub image: &'a str,
    /// The program in it.
    pub program: &'a str,
    /// The machine has TUN devices.
    pub tun: bool,
    /// Variables of its environment.
    pub environment: &'a [(String, String)],
}

impl AgentOrders {
    /// The engine as the agent reaches it.
    pub fn own_endpoint(&self) -> Endpoint {
        match &self.endpoint {
            Endpoint::Unix(_) => Endpoint::Unix(AGENTS_SOCKET.into()),
            tcp @ Endpoint::Tcp(_) => tcp.clone(),
        }
    }

    /// Where an agent sees the machine's processes, with an engine that is rootless or not.
    ///
    /// In the machine's PID namespace it is where everybody sees them. Older rootless engines cannot give that to a
    /// container, but they can show it the machine's files.
    pub fn proc_of(rootless: bool) -> PathBuf {
        PathBuf::from(if rootless { MACHINES_PROC } else { "/proc" })
    }
}

impl AgentBody<'_> {
    /// As the engine takes it.
    pub(super) fn render(&self) -> ContainerCreateBody {
        let bind = |source: &Path, target: &str| Mount {
            typ: Some(MountType::BIND),
            source: Some(source.display().to_string()),
            target: Some(target.to_owned()),
            ..Mount::default()
        };
        let mut mounts = Vec::new();
        if let Endpoint::Unix(path) = &self.orders.endpoint {
            mounts.push(bind(path, AGENTS_SOCKET));
        }
        let in_machines_namespace = self.orders.proc == Path::new("/proc");
        if !in_machines_namespace {
            mounts.push(bind(Path::new("/proc"), MACHINES_PROC));
        }
        let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
        let tun = DeviceMapping {
            path_on_host: Some(TUN.to_owned()),
            path_in_container: Some(TUN.to_owned()),
            cgroup_permissions: Some("rw".to_owned()),
        };
        let host = HostConfig {
            network_mode: Some("none".to_owned()),
            pid_mode: in_machines_namespace.then(|| "host".to_owned()),
            userns_mode: Some("host".to_owned()),
            cap_add: words(&AGENTS_RIGHTS),
            security_opt: words(&UNCONFINED),
            masked_paths: Some(Vec::new()),
            readonly_paths: Some(Vec::new()),
            devices: self.tun.then(|| vec![tun]),
            readonly_rootfs: Some(true),
            auto_remove: Some(true),
            mounts: Some(mounts),
            cpu_shares: Some(AGENTS_SHARES),
            log_config: Some(no_log()),
            ..HostConfig::default()
        };
        let words = match &self.task {
            AgentTask::Serve => {
                ["agent", "container", &serde_json::to_string(self.orders).expect("orders have only plain values")]
                    .map(str::to_owned)
            }
            AgentTask::Look(congestion_control) => ["agent", "look", congestion_control].map(str::to_owned),
        };
        let variable = |(name, value): &(String, String)| format!("{name}={value}");
        ContainerCreateBody {
            image: Some(self.image.to_owned()),
            hostname: Some("agent".to_owned()),
            entrypoint: Some(vec![self.program.to_owned()]),
            cmd: Some(words.to_vec()),
            env: Some(self.environment.iter().map(variable).collect()),
            labels: Some(labels(&self.orders.run, Part::Agent, None)),
            host_config: Some(host),
            ..spoken_to()
        }
    }
}

/// A container that is never started, to make an image from.
pub(super) fn template(run: &RunId, image: &str) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(image.to_owned()),
        // Some images have no command, and the engine wants one even if it is never run.
        entrypoint: Some(vec!["/never".to_owned()]),
        labels: Some(labels(run, Part::Template, None)),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            log_config: Some(no_log()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// Its three streams are the harness's, and the end of the first reaches it when the harness is gone.
fn spoken_to() -> ContainerCreateBody {
    ContainerCreateBody {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        tty: Some(false),
        ..ContainerCreateBody::default()
    }
}

/// What containers say is heard as it is said, and kept nowhere else.
fn no_log() -> HostConfigLogConfig {
    HostConfigLogConfig { typ: Some("none".to_owned()), config: None }
}

fn ulimit(name: &str, limit: u64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: Some(limit as i64), hard: Some(limit as i64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As JSON, in order of keys: labels and the like are maps without one.
    fn shown(body: &ContainerCreateBody) -> String {
        serde_json::to_string_pretty(&serde_json::to_value(body).unwrap()).unwrap()
    }

    fn run() -> RunId {
        serde_json::from_str("\"0123456789ab\"").unwrap()
    }

    #[test]
    fn a_node() {
        let (run, node) = (run(), "homes-0".parse().unwrap());
        let body = NodeBody {
            run: &run,
            node: &node,
            address: [10, 1, 0, 16].into(),
            image: "peerbed:cafe",
            gate: "/peerbed",
            argv: &["/peer".to_owned(), "--config".to_owned(), NodeBody::config()],
            foreign: false,
            limits: Limits { memory_bytes: 256 << 20, pids: 256, descriptors: Some(4096) },
            environment: &[("RUST_LOG".to_owned(), "info".to_owned())],
        };
        insta::assert_snapshot!(shown(&body.render()));
        let theirs = NodeBody { foreign: true, limits: Limits { descriptors: None, ..body.limits }, ..body }.render();
        assert_eq!((theirs.user, theirs.host_config.unwrap().ulimits), (None, None));
    }

    #[test]
    fn an_agent() {
        let orders = AgentOrders {
            run: run(),
            boot_id: "b00t".to_owned(),
            endpoint: Endpoint::Unix("/var/run/docker.sock".into()),
            harness_pid: 77,
            proc: AgentOrders::proc_of(false),
        };
        let shown_with = |orders: &AgentOrders, tun| {
            let task = AgentTask::Serve;
            let body = AgentBody { orders, task, image: "peerbed:cafe", program: "/peerbed", tun, environment: &[] };
            shown(&body.render())
        };
        insta::assert_snapshot!(shown_with(&orders, true));
        assert_eq!(orders.own_endpoint().to_string(), "unix:///run/engine.sock");
        let other = AgentOrders {
            endpoint: Endpoint::Tcp("127.0.0.1:2375".to_owned()),
            proc: AgentOrders::proc_of(true),
            ..orders
        };
        assert_eq!(other.own_endpoint(), other.endpoint);
        insta::assert_snapshot!("an_agent_of_a_rootless_engine", shown_with(&other, false));
    }

    #[test]
    fn a_template() {
        insta::assert_snapshot!(shown(&template(&run(), "sha256:1234")));
    }
}
