//! The devices of nodes, as messages to the kernel: how they are made, moved, and set up in a node's namespace.

use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::RawFd,
};

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage, AddressScope},
    link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RouteProtocol, RouteScope,
        RouteType,
    },
};

use super::Step;

/// The loopback device's index in every namespace.
const LOOPBACK: u32 = 1;
/// The device of a node.
pub(crate) const DEVICE: &str = "eth0";
/// Its index.
pub(crate) const DEVICE_INDEX: u32 = 2;
/// Every node's device has this address, so a frame that one of them sent can be given to any other as it is: without
/// ARP, a sender addresses its frames to its own address.
pub(crate) const SHARED_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The largest IP packet.
const MTU: u32 = 1500;
/// Packets that may wait between the kernel and the engine.
const QUEUE_PACKETS: u32 = 4000;

/// A router as its neighbours know it. Nobody has this address: it only names the other end of a link.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// Take the loopback device up.
pub(crate) fn loopback() -> Step {
    Step::new("lo", "take it up", set_link(LOOPBACK, LinkFlags::Up, vec![]))
}

/// Make a veth pair: `name` with `index` in the socket's namespace, the node's device in the other one.
pub(crate) fn veth(name: &str, index: u32, namespace: RawFd) -> Step {
    pair((name, index), (DEVICE, DEVICE_INDEX), Some(namespace))
}

/// Make a veth pair, each end with its name and index: one in the socket's namespace, the other, which has the address that
/// every device has, in another namespace or in the same.
pub(crate) fn pair((name, index): (&str, u32), (other, other_index): (&str, u32), namespace: Option<RawFd>) -> Step {
    let mut inner = LinkMessage::default();
    inner.header.index = other_index;
    inner.attributes = vec![LinkAttribute::IfName(other.to_owned()), LinkAttribute::Address(SHARED_MAC.to_vec())];
    inner.attributes.extend(namespace.map(LinkAttribute::NetNsFd));
    let mut outer = LinkMessage::default();
    outer.header.index = index;
    outer.header.flags = LinkFlags::Up;
    outer.header.change_mask = LinkFlags::Up;
    outer.attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::Mtu(MTU),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(inner))),
        ]),
    ];
    Step::create(name, "make the veth pair", RouteNetlinkMessage::NewLink(outer))
}

/// Give a device the address that every node's device has.
pub(crate) fn share_address(device: &str, index: u32) -> Step {
    let message = set_link(index, LinkFlags::empty(), vec![LinkAttribute::Address(SHARED_MAC.to_vec())]);
    Step::new(device, "give it the address that all have", message)
}

/// Give the node's device to the namespace of this descriptor. It loses its address and its routes on the way.
pub(crate) fn give(index: u32, namespace: RawFd) -> Step {
    let message = set_link(index, LinkFlags::empty(), vec![LinkAttribute::NetNsFd(namespace)]);
    Step::new(DEVICE, "move it into the node's namespace", message)
}

/// What a node's device leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// The engine itself, or another node's device; both take super-packets.
    Engine,
    /// A router of the kernel. It counts and shapes packets as they would be on the wire, so none leaves the node larger.
    Router,
}

/// Everything that a node's namespace needs once its device is there, with this index.
pub(crate) fn node(index: u32, address: Ipv4Addr, congestion_control: &str, beyond: Beyond) -> Vec<Step> {
    let mut attributes = vec![LinkAttribute::Mtu(MTU), LinkAttribute::TxQueueLen(QUEUE_PACKETS)];
    if beyond == Beyond::Router {
        attributes.push(LinkAttribute::GsoMaxSegs(1));
    }
    let mut steps = vec![
        loopback(),
        Step::new(DEVICE, "take it up", set_link(index, LinkFlags::Up | LinkFlags::Noarp, attributes)),
        Step::create(DEVICE, "add its address", add_address(index, address)),
    ];
    if beyond == Beyond::Router {
        steps.push(neighbour(DEVICE, index, GATEWAY));
    }
    steps.push(Step::create(
        DEVICE,
        "add the default route with its congestion control",
        default_route(index, address, congestion_control, beyond),
    ));
    steps
}

/// Everything that gives a node another address: with the old one its route goes. What is still open on the old one cannot
/// send any more.
pub(crate) fn readdress(index: u32, [old, new]: [Ipv4Addr; 2], congestion_control: &str, beyond: Beyond) -> Vec<Step> {
    let RouteNetlinkMessage::NewAddress(message) = add_address(index, old) else { unreachable!("it adds an address") };
    vec![
        Step::new(DEVICE, "remove its address", RouteNetlinkMessage::DelAddress(message)),
        Step::create(DEVICE, "add its new address", add_address(index, new)),
        Step::create(
            DEVICE,
            "add the default route from its new address",
            default_route(index, new, congestion_control, beyond),
        ),
    ]
}

/// What is beyond a device needs no asking for: it has the address that every device has. Such entries do not count against
/// the kernel's limit of neighbours.
pub(crate) fn neighbour(device: &str, index: u32, address: Ipv4Addr) -> Step {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    message.attributes = vec![
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)),
        NeighbourAttribute::LinkLayerAddress(SHARED_MAC.to_vec()),
    ];
    Step::create(device, "name what is beyond it", RouteNetlinkMessage::NewNeighbour(message))
}

pub(crate) fn set_link(index: u32, flags: LinkFlags, attributes: Vec<LinkAttribute>) -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = flags;
    message.header.change_mask = flags;
    message.attributes = attributes;
    RouteNetlinkMessage::SetLink(message)
}

fn add_address(index: u32, address: Ipv4Addr) -> RouteNetlinkMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = 32;
    message.header.scope = AddressScope::Universe;
    message.header.index = index;
    message.attributes =
        vec![AddressAttribute::Local(IpAddr::V4(address)), AddressAttribute::Address(IpAddr::V4(address))];
    RouteNetlinkMessage::NewAddress(message)
}

/// The congestion control is a property of the route, because a child namespace may not write the sysctl for it.
fn default_route(index: u32, address: Ipv4Addr, congestion_control: &str, beyond: Beyond) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = RouteScope::Link;
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![
        RouteAttribute::Oif(index),
        RouteAttribute::PrefSource(RouteAddress::Inet(address)),
        RouteAttribute::Metrics(vec![RouteMetric::CcAlgo(congestion_control.to_owned())]),
    ];
    if beyond == Beyond::Router {
        message.header.scope = RouteScope::Universe;
        message.header.flags = RouteFlags::Onlink;
        message.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(GATEWAY)));
    }
    RouteNetlinkMessage::NewRoute(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_a_move() {
        let addresses = [Ipv4Addr::new(10, 1, 0, 16), Ipv4Addr::new(10, 2, 0, 9)];
        let steps = readdress(DEVICE_INDEX, addresses, "cubic", Beyond::Engine);
        let said: Vec<_> =
            steps.iter().map(|step| format!("{} {}: {:?}", step.device, step.what, step.message)).collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        eth0 remove its address: DelAddress(AddressMessage { header: AddressHeader { family: Inet, prefix_len: 32, flags: AddressHeaderFlags(0x0), scope: Universe, index: 2 }, attributes: [Local(10.1.0.16), Address(10.1.0.16)] })
        eth0 add its new address: NewAddress(AddressMessage { header: AddressHeader { family: Inet, prefix_len: 32, flags: AddressHeaderFlags(0x0), scope: Universe, index: 2 }, attributes: [Local(10.2.0.9), Address(10.2.0.9)] })
        eth0 add the default route from its new address: NewRoute(RouteMessage { header: RouteHeader { address_family: Inet, destination_prefix_length: 0, source_prefix_length: 0, tos: 0, table: 254, protocol: Static, scope: Link, kind: Unicast, flags: RouteFlags(0x0) }, attributes: [Oif(2), PrefSource(Inet(10.2.0.9)), Metrics([CcAlgo("cubic")])] })
        "#);
    }

    #[test]
    fn a_nodes_program() {
        let steps = node(DEVICE_INDEX, Ipv4Addr::new(10, 1, 0, 16), "cubic", Beyond::Engine);
        let said: Vec<_> =
            steps.iter().map(|step| format!("{} {}: {:?}", step.device, step.what, step.message)).collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        lo take it up: SetLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 1, link_layer_type: Netrom, flags: LinkFlags(Up), change_mask: LinkFlags(Up) }, attributes: [] })
        eth0 take it up: SetLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 2, link_layer_type: Netrom, flags: LinkFlags(Up | Noarp), change_mask: LinkFlags(Up | Noarp) }, attributes: [Mtu(1500), TxQueueLen(4000)] })
        eth0 add its address: NewAddress(AddressMessage { header: AddressHeader { family: Inet, prefix_len: 32, flags: AddressHeaderFlags(0x0), scope: Universe, index: 2 }, attributes: [Local(10.1.0.16), Address(10.1.0.16)] })
        eth0 add the default route with its congestion control: NewRoute(RouteMessage { header: RouteHeader { address_family: Inet, destination_prefix_length: 0, source_prefix_length: 0, tos: 0, table: 254, protocol: Static, scope: Link, kind: Unicast, flags: RouteFlags(0x0) }, attributes: [Oif(2), PrefSource(Inet(10.1.0.16)), Metrics([CcAlgo("cubic")])] })
        "#);
        insta::assert_snapshot!(format!("{:?}", veth("v7", 1007, 42).message), @r#"NewLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 1007, link_layer_type: Netrom, flags: LinkFlags(Up), change_mask: LinkFlags(Up) }, attributes: [IfName("v7"), Mtu(1500), LinkInfo([Kind(Veth), Data(Veth(Peer(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 2, link_layer_type: Netrom, flags: LinkFlags(0x0), change_mask: LinkFlags(0x0) }, attributes: [IfName("eth0"), Address([2, 0, 0, 0, 0, 1]), NetNsFd(42)] })))])] })"#);
    }
}
