//! Moves nodes' devices into the network namespaces of processes that somebody else started, and gives them other addresses: one
//! thread, as either takes it from namespace to namespace.
//!
//! The agent keeps a descriptor of the namespace that has a device. So the device outlives the process that it was for, and
//! waits there until the node's next process gets it.

use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::mpsc,
};

use peerbed_contract::NodeName;
use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    net::{AddressFamily, SocketFlags, SocketType, netdevice::name_to_index, socket_with},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use tokio::sync::mpsc::UnboundedSender;

use super::{
    devices::{self, Ends},
    fabric::{Attached, Site, current_namespace},
    settings::{SettingError, Settings},
};
use crate::{
    engine::tc,
    netlink::{self, Netfilter, Netlink, NetlinkError},
};

/// Why a node's device could not be moved.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlugError {
    /// The process has no namespace that could be entered.
    #[error("node {node}: the network namespace of its process {pid}: {source}")]
    Process {
        /// Whose.
        node: NodeName,
        /// Which process.
        pid: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something with the namespaces that should always work.
    #[error("node {node}: cannot {what}: {source}")]
    System {
        /// Whose.
        node: NodeName,
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel refused a change of the network.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A setting could not be written.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

/// What is to be done about a node's device.
pub(super) struct Order {
    /// The call for it.
    pub(super) call: u64,
    /// The node's position in the fabric.
    pub(super) position: usize,
    /// What the namespace is to have.
    pub(super) site: Site,
    /// Where the device is.
    pub(super) from: OwnedFd,
    /// What.
    pub(super) what: What,
}

/// What is to be done.
pub(super) enum What {
    /// The device is to be moved to this process.
    Plug(u32),
    /// It is to have the address of the site instead of this one.
    Readdress(Ipv4Addr),
}

/// Where a device has arrived.
pub(super) struct Plugged {
    /// The namespace.
    pub(super) namespace: OwnedFd,
    /// The statistics of its devices, for those that have no other.
    pub(super) statistics: Option<OwnedFd>,
    /// What counts what the node gets, where the engine does not see it.
    pub(super) counters: Option<Netfilter>,
}

/// What became of an order.
pub(super) struct Outcome {
    /// The call.
    pub(super) call: u64,
    /// The node's position.
    pub(super) position: usize,
    /// Where its device is now, if it was moved; after an error it may be nowhere of use.
    pub(super) result: Result<Option<Plugged>, PlugError>,
}

/// Begin the thread, which sees processes in this `/proc`. It ends when all senders of orders are gone.
pub(super) fn begin(proc: PathBuf, tell: UnboundedSender<Outcome>) -> io::Result<mpsc::Sender<Order>> {
    let (orders, incoming) = mpsc::channel::<Order>();
    let work = move || {
        let mut settings = None;
        for Order { call, position, site, from, what } in incoming {
            let result = match what {
                What::Plug(pid) => plug(&site, &from, (&proc, pid), &mut settings).map(Some),
                What::Readdress(old) => readdress(&site, &from, old).map(|()| None),
            };
            // Nobody listens any more only when the agent is ending.
            let _ = tell.send(Outcome { call, position, result });
        }
    };
    std::thread::Builder::new().name("plug".to_owned()).spawn(work)?;
    Ok(orders)
}

fn plug(
    site: &Site,
    from: &OwnedFd,
    (proc, pid): (&Path, u32),
    settings: &mut Option<Settings>,
) -> Result<Plugged, PlugError> {
    let own = current_namespace().map_err(site.cannot("see the agent's namespace"))?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let namespace = openat(CWD, proc.join(format!("{pid}/ns/net")), flags, Mode::empty())
        .map_err(|source| PlugError::Process { node: site.node.clone(), pid, source: source.into() })?;
    let set_up = give(site, from, &namespace).and_then(|()| set_up(site, &namespace, settings));
    site.enter(&own, "go back to the agent's namespace")?;
    let (statistics, counters) = set_up?;
    Ok(Plugged { namespace, statistics, counters })
}

/// Give the device the site's address instead of the old one.
fn readdress(site: &Site, namespace: &OwnedFd, old: Ipv4Addr) -> Result<(), PlugError> {
    let own = current_namespace().map_err(site.cannot("see the agent's namespace"))?;
    let readdressed = site.enter(namespace, "enter the namespace that has its device").and_then(|()| {
        let index = index(netlink::DEVICE).map_err(site.cannot("find its device"))?;
        let node = site.node.as_str();
        let steps = netlink::readdress(index, [old, site.address], &site.congestion_control, site.attached.beyond());
        Ok(Netlink::open(node)?.carry_out(node, &steps)?)
    });
    site.enter(&own, "go back to the agent's namespace")?;
    readdressed
}

/// Move the device from one namespace to another.
fn give(site: &Site, from: &OwnedFd, to: &OwnedFd) -> Result<(), PlugError> {
    site.enter(from, "enter the namespace that has its device")?;
    let index = index(netlink::DEVICE).map_err(site.cannot("find its device"))?;
    let node = site.node.as_str();
    Ok(Netlink::open(node)?.carry_out(node, &[netlink::give(index, to.as_raw_fd())])?)
}

/// Bring up what has just arrived in a namespace; gives what counts there, as far as it is needed.
fn set_up(
    site: &Site,
    namespace: &OwnedFd,
    settings: &mut Option<Settings>,
) -> Result<(Option<OwnedFd>, Option<Netfilter>), PlugError> {
    site.enter(namespace, "enter the namespace of its process")?;
    let node = site.node.as_str();
    let settings = match settings {
        Some(settings) => settings,
        None => settings.insert(Settings::new().map_err(site.cannot("reach the settings of namespaces"))?),
    };
    settings.node(node)?;
    // The device has kept its number only if that was free here.
    let index = index(netlink::DEVICE).map_err(site.cannot("find its device in its process's namespace"))?;
    let beyond = site.attached.beyond();
    Netlink::open(node)?.carry_out(node, &netlink::node(index, site.address, &site.congestion_control, beyond))?;
    match &site.attached {
        Attached::Engine(Ends::Tun) => {
            Ok((Some(devices::statistics().map_err(site.cannot("open its device's statistics"))?), None))
        }
        Attached::Engine(Ends::Packet) | Attached::Node => Ok((None, None)),
        Attached::Router(rows) => {
            let mut netfilter = Netfilter::open(node)?;
            netfilter.count_sources(node, &tc::sources(rows))?;
            Ok((None, Some(netfilter)))
        }
    }
}

impl Site {
    fn cannot(&self, what: &'static str) -> impl FnOnce(io::Error) -> PlugError {
        let node = self.node.clone();
        move |source| PlugError::System { node, what, source }
    }

    fn enter(&self, namespace: &OwnedFd, what: &'static str) -> Result<(), PlugError> {
        let entered = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
        entered.map_err(|error| self.cannot(what)(error.into()))
    }
}

/// The index of a device of the calling thread's namespace.
fn index(device: &str) -> io::Result<u32> {
    // Any socket will do to ask.
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    Ok(name_to_index(socket, device)?)
}
