//! Talks to the kernel's netlink: messages are built first, as values, then sent in batches, and every one of them is
//! acknowledged or fails by name. `node` has the messages that make nodes' devices, `netfilter` counts packets; those of
//! routers and shapers are with the `tc` engine. Only this module sends.

mod netfilter;
mod node;

use std::{collections::BTreeMap, io};

use netlink_packet_core::{
    DecodeError, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable, NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

pub(crate) use self::{
    netfilter::{Count, Counts, Netfilter, Watched},
    node::{
        Beyond, DEVICE, DEVICE_INDEX, GATEWAY, SHARED_MAC, give, loopback, neighbour, node, pair, readdress, set_link,
        share_address, veth,
    },
};

/// Why the kernel's network could not be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetlinkError {
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
pub(crate) struct Step {
    /// The device it is about.
    pub(crate) device: String,
    /// What it does, after "cannot".
    pub(crate) what: &'static str,
    message: RouteNetlinkMessage,
    create: bool,
}

impl Step {
    pub(crate) fn new(device: &str, what: &'static str, message: RouteNetlinkMessage) -> Self {
        Self { device: device.to_owned(), what, message, create: false }
    }

    /// Whether it makes something that must not be there.
    #[cfg(test)]
    pub(crate) fn creates(&self) -> bool {
        self.create
    }

    pub(crate) fn create(device: &str, what: &'static str, message: RouteNetlinkMessage) -> Self {
        Self { create: true, ..Self::new(device, what, message) }
    }
}

/// So many steps go to the kernel at once; their answers must find room in the socket.
const STEPS_AT_ONCE: usize = 64;

/// A netlink socket; it speaks to the network namespace that its thread was in when it was opened.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
    answers: Vec<u8>,
}

impl Netlink {
    /// Open a socket in the calling thread's network namespace.
    pub(crate) fn open(node: &str) -> Result<Self, NetlinkError> {
        let socket =
            connected(NETLINK_ROUTE).map_err(|source| NetlinkError::Socket { node: node.to_owned(), source })?;
        Ok(Self { socket, sequence: 0, answers: vec![0; 1 << 15] })
    }

    /// Carry out all steps, in order. Each is answered; the first refusal is the error.
    pub(crate) fn carry_out(&mut self, node: &str, steps: &[Step]) -> Result<(), NetlinkError> {
        steps.chunks(STEPS_AT_ONCE).try_for_each(|steps| self.carry_out_at_once(node, steps))
    }

    /// In one message to the kernel.
    fn carry_out_at_once(&mut self, node: &str, steps: &[Step]) -> Result<(), NetlinkError> {
        let failed = |source| NetlinkError::Socket { node: node.to_owned(), source };
        let mut batch = Vec::with_capacity(128 * steps.len());
        let mut open = BTreeMap::new();
        for step in steps {
            self.sequence = self.sequence.wrapping_add(1);
            open.insert(self.sequence, step);
            let flags = NLM_F_REQUEST | NLM_F_ACK | if step.create { NLM_F_CREATE | NLM_F_EXCL } else { 0 };
            append(&mut batch, step.message.clone(), flags, self.sequence);
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

    /// Everything that the kernel has to tell to this question.
    pub(crate) fn ask(
        &mut self,
        node: &str,
        question: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        dump(&self.socket, &mut self.answers, node, question, self.sequence)
    }
}

/// A socket of the calling thread's network namespace.
fn connected(family: isize) -> io::Result<Socket> {
    let socket = Socket::new(family)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    // Acknowledgements need not repeat the request, and may explain a refusal.
    socket.set_cap_ack(true)?;
    socket.set_ext_ack(true)?;
    Ok(socket)
}

/// Ask for a list of things and take in the whole of it.
fn dump<M: NetlinkSerializable + NetlinkDeserializable>(
    socket: &Socket,
    answers: &mut [u8],
    node: &str,
    question: M,
    sequence: u32,
) -> Result<Vec<M>, NetlinkError> {
    let failed = |source| NetlinkError::Socket { node: node.to_owned(), source };
    let mut request = Vec::new();
    append(&mut request, question, NLM_F_REQUEST | NLM_F_DUMP, sequence);
    socket.send(&request, 0).map_err(failed)?;
    let mut told = Vec::new();
    loop {
        let received = socket.recv(&mut &mut *answers, 0).map_err(failed)?;
        let mut rest = &answers[..received];
        while !rest.is_empty() {
            let message = NetlinkMessage::<M>::deserialize(rest)
                .map_err(|source| NetlinkError::Decode { node: node.to_owned(), source })?;
            let length = (message.header.length as usize).next_multiple_of(4);
            if message.header.sequence_number == sequence {
                match message.payload {
                    NetlinkPayload::Done(_) => return Ok(told),
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(failed(error.to_io())),
                    NetlinkPayload::InnerMessage(message) => told.push(message),
                    _ => {}
                }
            }
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}

fn append<M: NetlinkSerializable>(batch: &mut Vec<u8>, message: M, flags: u16, sequence: u32) {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
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
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn batches_are_aligned_and_numbered() {
        let mut batch = Vec::new();
        let steps = node(DEVICE_INDEX, Ipv4Addr::new(10, 1, 0, 16), "reno", Beyond::Engine);
        for (number, step) in steps.iter().enumerate() {
            let flags = if step.create { NLM_F_EXCL } else { 0 };
            append(&mut batch, step.message.clone(), flags, number as u32 + 5);
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
