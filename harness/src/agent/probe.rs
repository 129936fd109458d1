//! Tries, in namespaces that vanish at once, whether this machine lets an agent do what it must. Called by
//! `peerbed doctor` and before every run, as `peerbed agent probe [CONGESTION-CONTROL]`.

use std::{
    fs, io,
    net::Ipv4Addr,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
    process::{Command, Stdio},
};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use serde::{Deserialize, Serialize};

use super::{
    devices::{self, packet_udp_segments},
    fabric::{current_namespace, lacking},
    settings::Settings,
    sys,
};
use crate::{
    engine::Lack,
    netlink::{self, Netlink},
};

/// Each thing that an agent needs inside of its namespaces; none: it works, else why not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// A network namespace for a node, with its settings, and the way in and out.
    pub namespace: Option<String>,
    /// A veth pair into it.
    pub veth: Option<String>,
    /// A packet socket with virtio headers.
    pub packet: Option<String>,
    /// A TUN device with offloads.
    pub tun: Option<String>,
    /// A route with the congestion control.
    pub congestion_control: Option<String>,
    /// What the `tc` engine would need and the kernel does not have.
    #[serde(default)]
    pub kernel_engine: Vec<Lack>,
    /// Whether UDP super-packets pass, for the kind of end that would be chosen.
    pub udp_segments: bool,
}

impl Inside {
    /// Whether a link can be held by one of the two kinds of ends.
    pub fn has_ends(&self) -> bool {
        self.tun.is_none() || (self.veth.is_none() && self.packet.is_none())
    }
}

/// Run `program agent probe` and read what it found. The error says why there are no namespaces at all.
pub fn ask(program: &Path, congestion_control: &str) -> Result<Inside, String> {
    let mut command = Command::new(program);
    command.args(["agent", "probe", congestion_control]).stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("{} cannot be run: {error}", program.display()))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("the probe's answer cannot be read: {error}"))
}

/// What to do when namespaces are refused, by what this machine says about them.
pub fn remedy() -> String {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    if number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        return "this kernel keeps them from ordinary users: `sudo sysctl -w kernel.unprivileged_userns_clone=1`"
            .to_owned();
    }
    if number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").is_some_and(|restricted| restricted != 0) {
        return "AppArmor keeps them from ordinary users: `sudo sysctl -w \
                kernel.apparmor_restrict_unprivileged_userns=0`, or allow `userns` to this program in an AppArmor profile"
            .to_owned();
    }
    for kind in ["user", "net", "mnt", "pid"] {
        if number(&format!("/proc/sys/user/max_{kind}_namespaces")) == Some(0) {
            return format!("they are switched off: `sudo sysctl -w user.max_{kind}_namespaces=60000`");
        }
    }
    "if this is a container, its sandbox (seccomp) forbids them: start it with rights to create namespaces, or work \
     outside of it; else see `peerbed doctor`"
        .to_owned()
}

/// Process 1 of the probe: try everything, print what was found.
pub(super) fn inside(congestion_control: &str) -> io::Result<()> {
    let found = try_all(congestion_control);
    serde_json::to_writer(io::stdout(), &found).map_err(io::Error::from)
}

fn try_all(congestion_control: &str) -> Inside {
    const NODE: &str = "probe";
    const OUTER_INDEX: u32 = 1000;
    let mut found = Inside { udp_segments: packet_udp_segments().0, ..Inside::default() };
    let made = || -> Result<(OwnedFd, Netlink, OwnedFd), String> {
        let own = current_namespace().map_err(|error| error.to_string())?;
        let netlink = Netlink::open(NODE).map_err(|error| error.to_string())?;
        sys::unshare(UnshareFlags::NEWNET).map_err(|error| error.to_string())?;
        let mut settings = Settings::new().map_err(|error| error.to_string())?;
        settings.node(NODE).map_err(|error| error.to_string())?;
        let node = current_namespace().map_err(|error| error.to_string())?;
        Ok((own, netlink, node))
    };
    let (own, mut netlink, node) = match made() {
        Ok(made) => made,
        Err(error) => {
            let because = || Some(format!("not tried, as there is no namespace: {error}"));
            return Inside {
                namespace: Some(error.clone()),
                veth: because(),
                packet: because(),
                tun: because(),
                congestion_control: because(),
                kernel_engine: vec![none_of_it(error)],
                udp_segments: false,
            };
        }
    };
    found.veth = netlink
        .carry_out(NODE, &[netlink::veth("v0", OUTER_INDEX, node.as_raw_fd())])
        .err()
        .map(|error| error.to_string());
    // A TUN device would take the same name and index, so it gets a namespace of its own.
    let route = if found.veth.is_none() {
        Some(Netlink::open(NODE).and_then(|mut inner| inner.carry_out(NODE, &program(congestion_control))))
    } else {
        None
    };
    match sys::unshare(UnshareFlags::NEWNET).and_then(|()| devices::tun()) {
        Ok(tun) => found.udp_segments = tun.udp.0,
        Err(error) => found.tun = Some(error.to_string()),
    }
    let route = route.unwrap_or_else(|| Netlink::open(NODE)?.carry_out(NODE, &program(congestion_control)));
    found.congestion_control = route.err().map(|error| error.to_string());
    found.namespace = move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network))
        .err()
        .map(|error| format!("it cannot be left: {error}"));
    found.packet = match &found.veth {
        None => devices::packet(OUTER_INDEX).err().map(|error| error.to_string()),
        Some(_) => Some("not tried, as there is no veth".to_owned()),
    };
    found.kernel_engine = lacking().unwrap_or_else(|error| vec![none_of_it(error.to_string())]);
    found
}

/// Nothing of what the `tc` engine needs could be tried.
fn none_of_it(found: String) -> Lack {
    let remedy = "mend that first".to_owned();
    Lack { feature: "namespaces".to_owned(), for_delays: false, found, remedy }
}

fn program(congestion_control: &str) -> Vec<netlink::Step> {
    netlink::node(netlink::DEVICE_INDEX, Ipv4Addr::new(10, 0, 0, 1), congestion_control, netlink::Beyond::Engine)
}
