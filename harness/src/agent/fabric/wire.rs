//! A network for the `wire` engine: a namespace and a device for each node, whose other ends the engine holds.

use std::os::fd::{AsRawFd, OwnedFd};

use peerbed_contract::NodeName;
use peerbed_link::{Fabric, FabricNode};
use rustix::thread::UnshareFlags;

use super::{Attached, FabricError, Site, Standing, current_namespace, go_back};
use crate::{
    agent::{
        devices::{self, Ends, Tun, UdpSegments},
        settings::Settings,
        sys,
    },
    engine::{
        Engine, EngineReport,
        wire::{End, Port, Wire},
    },
    netlink::{self, Beyond, Netlink},
};

/// Devices in the agent's own namespace have this index plus the node's position, clear of those the kernel gives out.
const FIRST_VETH: u32 = 1000;

pub(super) struct Builder {
    ends: Ends,
    own: OwnedFd,
    /// Speaks to the agent's own namespace.
    netlink: Netlink,
    settings: Settings,
    nodes: Vec<(NodeName, OwnedFd)>,
    tuns: Vec<Tun>,
}

impl Builder {
    pub(super) fn new(ends: Ends) -> Result<Self, FabricError> {
        let node = "(the agent itself)";
        let own = current_namespace().map_err(|source| FabricError::Namespace { node: node.to_owned(), source })?;
        let mut settings = Settings::new().map_err(FabricError::Settings)?;
        settings.own(node)?;
        Ok(Self { ends, own, netlink: Netlink::open(node)?, settings, nodes: Vec::new(), tuns: Vec::new() })
    }

    pub(super) fn add(
        &mut self,
        position: usize,
        node: &FabricNode,
        congestion_control: &str,
    ) -> Result<(), FabricError> {
        let name = node.name.as_str();
        let namespace = sys::unshare(UnshareFlags::NEWNET)
            .and_then(|()| current_namespace())
            .map_err(|source| FabricError::Namespace { node: name.to_owned(), source })?;
        self.settings.node(name)?;
        match self.ends {
            Ends::Tun => self.tuns.push(devices::tun().map_err(|source| FabricError::End {
                node: name.to_owned(),
                device: netlink::DEVICE.to_owned(),
                source,
                remedy: "choose the ends `packet` if TUN devices cannot be used here",
            })?),
            Ends::Packet => {
                let (outer, index) = (veth_name(position), veth_index(position));
                self.netlink.carry_out(name, &[netlink::veth(&outer, index, namespace.as_raw_fd())])?;
            }
        }
        Netlink::open(name)?
            .carry_out(name, &netlink::node(netlink::DEVICE_INDEX, node.ipv4()?, congestion_control, Beyond::Engine))?;
        self.nodes.push((node.name.clone(), namespace));
        Ok(())
    }

    pub(super) fn finish(self, fabric: &Fabric, threads: u32) -> Result<Standing, FabricError> {
        let Self { ends, own, nodes, tuns, .. } = self;
        go_back(&own)?;
        let (ports, udp) = match ends {
            Ends::Tun => {
                let udp = UdpSegments(tuns.iter().all(|tun| tun.udp.0));
                let port = |tun: Tun| Port { fd: tun.fd, end: End::Tun, statistics: Some(tun.statistics) };
                (tuns.into_iter().map(port).collect(), udp)
            }
            Ends::Packet => {
                let mut ports = Vec::with_capacity(nodes.len());
                for (position, (node, _)) in nodes.iter().enumerate() {
                    let fd = devices::packet(veth_index(position)).map_err(|source| FabricError::End {
                        node: node.to_string(),
                        device: veth_name(position),
                        source,
                        remedy: "packet sockets may be forbidden here by a sandbox",
                    })?;
                    ports.push(Port { fd, end: End::Packet, statistics: None });
                }
                (ports, devices::packet_udp_segments())
            }
        };
        let wire = Wire::start(fabric, ports, threads)?;
        let report = EngineReport {
            engine: "wire".to_owned(),
            ends: ends.name().to_owned(),
            threads: wire.threads(),
            nice: wire.nice(),
            congestion_control: fabric.congestion_control.clone(),
            offloads: devices::offloads(udp),
        };
        let sites = Site::all(fabric, &Attached::Engine(ends))?;
        Ok(Standing::new(Engine::Wire(wire), report, nodes, fabric, sites)?)
    }
}

fn veth_name(position: usize) -> String {
    format!("v{position}")
}

fn veth_index(position: usize) -> u32 {
    FIRST_VETH + position as u32
}
