//! Two nodes with nothing between them but a veth pair, the fastest link that the kernel has between two namespaces: what
//! `peerbed bench` compares the engines with.

use std::os::fd::{AsRawFd, OwnedFd};

use peerbed_link::{Duplex, Fabric, FabricNode, LinkSpec};
use rustix::thread::UnshareFlags;

use super::{Attached, FabricError, Site, Standing, current_namespace, go_back};
use crate::{
    agent::{settings::Settings, sys},
    engine::{Engine, EngineReport},
    netlink::{self, Beyond, DEVICE, DEVICE_INDEX, Netlink},
};

/// Access links that ask for nothing, which is what a veth pair does.
const OPEN: Duplex = Duplex { up: LinkSpec::TRANSPARENT, down: LinkSpec::TRANSPARENT };

/// Build it. The calling thread goes through both namespaces and is back in the agent's own at the end.
pub(super) fn build(fabric: &Fabric) -> Result<Standing, FabricError> {
    let [one, other] = &fabric.nodes[..] else { return Err(FabricError::Bare) };
    if one.access != OPEN || other.access != OPEN || !fabric.links.is_empty() {
        return Err(FabricError::Bare);
    }
    let own = current_namespace()
        .map_err(|source| FabricError::Namespace { node: "(the agent itself)".to_owned(), source })?;
    let mut settings = Settings::new().map_err(FabricError::Settings)?;
    let (there, mut there_netlink) = space(other, &mut settings)?;
    let (here, mut here_netlink) = space(one, &mut settings)?;
    let pair = netlink::pair((DEVICE, DEVICE_INDEX), (DEVICE, DEVICE_INDEX), Some(there.as_raw_fd()));
    here_netlink.carry_out(one.name.as_str(), &[pair, netlink::share_address(DEVICE, DEVICE_INDEX)])?;
    for (node, netlink) in [(one, &mut here_netlink), (other, &mut there_netlink)] {
        let set_up = netlink::node(DEVICE_INDEX, node.ipv4()?, &fabric.congestion_control, Beyond::Engine);
        netlink.carry_out(node.name.as_str(), &set_up)?;
    }
    go_back(&own)?;
    let report = EngineReport {
        engine: "none".to_owned(),
        ends: "veth".to_owned(),
        threads: 0,
        nice: 0,
        congestion_control: fabric.congestion_control.clone(),
        offloads: "the kernel's own".to_owned(),
    };
    let nodes = vec![(one.name.clone(), here), (other.name.clone(), there)];
    let sites = Site::all(fabric, &Attached::Node)?;
    Ok(Standing::new(Engine::Bare, report, nodes, fabric, sites)?)
}

/// A network namespace for a node, in which the calling thread is then, and what speaks to it.
fn space(node: &FabricNode, settings: &mut Settings) -> Result<(OwnedFd, Netlink), FabricError> {
    let name = node.name.as_str();
    let namespace = sys::unshare(UnshareFlags::NEWNET)
        .and_then(|()| current_namespace())
        .map_err(|source| FabricError::Namespace { node: name.to_owned(), source })?;
    settings.node(name)?;
    Ok((namespace, Netlink::open(name)?))
}
