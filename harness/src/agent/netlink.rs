//! Talks to the kernel's routing netlink: messages are built first, as values, then sent in one batch, and every one of
//! them is acknowledged or fails by name. Only this module speaks netlink.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr},
    os::fd::RawFd,
};

use netlink_packet_core::{
    DecodeError, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NlasIterator,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage, AddressScope},
    link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
    route::{
        RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteProtocol, RouteScope, RouteType,
    },
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Why the kernel's network could not be changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum NetlinkError {
    /// The kernel refused one message.
    #[error("node {node}: device {device}: cannot {what}: {source}{hint}")]
    Refused {
        /// The node whose network it is for.
        node: String,
        /// The device.
        device: String,
        /// `add its address`.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
        /// What the kernel explained beyond that, in brackets, or nothing.
        hint: String,
    },
    /// The socket failed.
    #[error("node {node}: netlink: {source}")]
    Socket {
        /// The node whose network it was for.
        node: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel answered something that is not netlink.
    #[error("node {node}: netlink: {source}")]
    Decode {
        /// The node whose network it was for.
        node: String,
        /// What is wrong.
        source: DecodeError,
    },
}

/// One change, with the words for it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// The device it is about.
    pub(super) device: String,
    /// What it does, after "cannot".
    pub(super) what: &'static str,
    message: RouteNetlinkMessage,
    create: bool,
}

impl Step {
    fn new(device: &str, what: &'static str, message: RouteNetlinkMessage) -> Self {
        Self { device: device.to_owned(), what, message, create: false }
    }

    fn create(device: &str, what: &'static str, message: RouteNetlinkMessage) -> Self {
        Self { create: true, ..Self::new(device, what, message) }
    }
}

/// The loopback device's index in every namespace.
const LOOPBACK: u32 = 1;
/// The device of a node.
pub(super) const DEVICE: &str = "eth0";
/// Its index.
pub(super) const DEVICE_INDEX: u32 = 2;
/// Every node's device has this address, so a frame that one of them sent can be given to any other as it is: without
/// ARP, a sender addresses its frames to its own address.
const SHARED_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The largest IP packet.
const MTU: u32 = 1500;
/// Packets that may wait between the kernel and the engine.
const QUEUE_PACKETS: u32 = 4000;

/// Take the loopback device up.
pub(super) fn loopback() -> Step {
    Step::new("lo", "take it up", set_link(LOOPBACK, LinkFlags::Up, vec![]))
}

/// Make a veth pair: `name` with `index` in the socket's namespace, the node's device in the other one.
pub(super) fn veth(name: &str, index: u32, namespace: RawFd) -> Step {
    let mut inner = LinkMessage::default();
    inner.header.index = DEVICE_INDEX;
    inner.attributes = vec![
        LinkAttribute::IfName(DEVICE.to_owned()),
        LinkAttribute::Address(SHARED_MAC.to_vec()),
        LinkAttribute::NetNsFd(namespace),
    ];
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

/// Give the node's device to the namespace of this descriptor. It loses its address and its routes on the way.
pub(super) fn give(index: u32, namespace: RawFd) -> Step {
    let message = set_link(index, LinkFlags::empty(), vec![LinkAttribute::NetNsFd(namespace)]);
    Step::new(DEVICE, "move it into the node's namespace", message)
}

/// Everything that a node's namespace needs once its device is there, with this index.
pub(super) fn node(index: u32, address: Ipv4Addr, congestion_control: &str) -> Vec<Step> {
    vec![
        loopback(),
        Step::new(
            DEVICE,
            "take it up",
            set_link(
                index,
                LinkFlags::Up | LinkFlags::Noarp,
                vec![LinkAttribute::Mtu(MTU), LinkAttribute::TxQueueLen(QUEUE_PACKETS)],
            ),
        ),
        Step::create(DEVICE, "add its address", add_address(index, address)),
        Step::create(
            DEVICE,
            "add the default route with its congestion control",
            default_route(index, address, congestion_control),
        ),
    ]
}

fn set_link(index: u32, flags: LinkFlags, attributes: Vec<LinkAttribute>) -> RouteNetlinkMessage {
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
fn default_route(index: u32, address: Ipv4Addr, congestion_control: &str) -> RouteNetlinkMessage {
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
    RouteNetlinkMessage::NewRoute(message)
}

/// A netlink socket; it speaks to the network namespace that its thread was in when it was opened.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
    answers: Vec<u8>,
}

impl Netlink {
    /// Open a socket in the calling thread's network namespace.
    pub(super) fn open(node: &str) -> Result<Self, NetlinkError> {
        let open = || -> io::Result<Socket> {
            let socket = Socket::new(NETLINK_ROUTE)?;
            socket.connect(&SocketAddr::new(0, 0))?;
            // Acknowledgements need not repeat the request, and may explain a refusal.
            socket.set_cap_ack(true)?;
            socket.set_ext_ack(true)?;
            Ok(socket)
        };
        let socket = open().map_err(|source| NetlinkError::Socket { node: node.to_owned(), source })?;
        Ok(Self { socket, sequence: 0, answers: vec![0; 1 << 15] })
    }

    /// Carry out all steps, in order, in one message to the kernel. Each is answered; the first refusal is the error.
    pub(super) fn carry_out(&mut self, node: &str, steps: &[Step]) -> Result<(), NetlinkError> {
        let failed = |source| NetlinkError::Socket { node: node.to_owned(), source };
        let mut batch = Vec::with_capacity(128 * steps.len());
        let mut open = BTreeMap::new();
        for step in steps {
            self.sequence = self.sequence.wrapping_add(1);
            open.insert(self.sequence, step);
            append(&mut batch, step, self.sequence);
        }
        let sent = self.socket.send(&batch, 0).map_err(failed)?;
        if sent != batch.len() {
            return Err(failed(io::Error::other("the batch was cut short")));
        }
        let mut refused: Option<(u32, NetlinkError)> = None;
        while !open.is_empty() {
            let received = self.socket.recv(&mut &mut self.answers[..], 0).map_err(failed)?;
            for (sequence, error) in acknowledgements(&self.answers[..received])
                .map_err(|source| NetlinkError::Decode { node: node.to_owned(), source })?
            {
                let Some(step) = open.remove(&sequence) else { continue };
                let Some((source, hint)) = error else { continue };
                if refused.as_ref().is_none_or(|(first, _)| sequence < *first) {
                    let (node, device) = (node.to_owned(), step.device.clone());
                    refused = Some((sequence, NetlinkError::Refused { node, device, what: step.what, source, hint }));
                }
            }
        }
        refused.map_or(Ok(()), |(_, error)| Err(error))
    }
}

fn append(batch: &mut Vec<u8>, step: &Step, sequence: u32) {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | if step.create { NLM_F_CREATE | NLM_F_EXCL } else { 0 };
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(step.message.clone()));
    message.finalize();
    let (start, length) = (batch.len(), message.buffer_len());
    // Messages in a batch begin at multiples of four.
    batch.resize(start + length.next_multiple_of(4), 0);
    message.serialize(&mut batch[start..start + length]);
}

type Refusal = Option<(io::Error, String)>;

/// The sequence numbers that were answered, with the errors.
fn acknowledgements(mut rest: &[u8]) -> Result<Vec<(u32, Refusal)>, DecodeError> {
    let mut answered = Vec::new();
    while !rest.is_empty() {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)?;
        if let NetlinkPayload::Error(error) = &message.payload {
            let refusal = error.code.map(|_| (error.to_io(), explanation(&error.header)));
            answered.push((message.header.sequence_number, refusal));
        }
        let length = (message.header.length as usize).next_multiple_of(4);
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(answered)
}

/// The kernel's words in an extended acknowledgement: attributes behind the header of the refused request.
fn explanation(request: &[u8]) -> String {
    const REQUEST_HEADER: usize = 16;
    const MESSAGE: u16 = 1;
    let attributes = NlasIterator::new(request.get(REQUEST_HEADER..).unwrap_or_default());
    let words = attributes.filter_map(Result::ok).find(|attribute| attribute.kind() == MESSAGE);
    words.map_or_else(String::new, |words| {
        format!(" ({})", String::from_utf8_lossy(words.value()).trim_end_matches('\0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_program() {
        let steps = node(DEVICE_INDEX, Ipv4Addr::new(10, 1, 0, 16), "cubic");
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

    #[test]
    fn batches_are_aligned_and_numbered() {
        let mut batch = Vec::new();
        let steps = node(DEVICE_INDEX, Ipv4Addr::new(10, 1, 0, 16), "reno");
        for (number, step) in steps.iter().enumerate() {
            append(&mut batch, step, number as u32 + 5);
        }
        let mut rest = &batch[..];
        for (number, step) in steps.iter().enumerate() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).unwrap();
            assert_eq!(message.header.sequence_number, number as u32 + 5);
            assert_eq!(message.header.flags & NLM_F_EXCL != 0, step.create);
            let NetlinkPayload::InnerMessage(inner) = message.payload else { panic!("not a request") };
            assert_eq!(inner, step.message);
            rest = &rest[(message.header.length as usize).next_multiple_of(4)..];
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn refusals_are_read_with_their_explanation() {
        // Error -22 for number 9, the request's header, then attribute 1, "no way".
        let mut answer = Vec::new();
        answer.extend(47u32.to_ne_bytes());
        answer.extend(2u16.to_ne_bytes());
        answer.extend([0, 2]);
        answer.extend(9u32.to_ne_bytes());
        answer.extend([0; 4]);
        answer.extend((-22i32).to_ne_bytes());
        answer.extend([0; 16]);
        answer.extend(11u16.to_ne_bytes());
        answer.extend(1u16.to_ne_bytes());
        answer.extend(b"no way\0\0");
        let answers = acknowledgements(&answer).unwrap();
        let [(9, Some((error, hint)))] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!((error.raw_os_error(), hint.as_str()), (Some(22), " (no way)"));
    }
}
