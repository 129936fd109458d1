//! Counts packets by nftables: a table of counters, of which each packet that comes by finds its own in a map.
//!
//! Counters count IP packets with their headers as they are at that moment. Where super-packets pass they would count too
//! little.

use std::{collections::BTreeMap, net::Ipv4Addr};

use netlink_packet_core::{DefaultNla, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST, NlasIterator};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    nftables::{
        ChainAttribute, ChainMessage, Cmp, DataAttribute, Expressions, Hook, InetHookNumber, ListAttribute, Meta,
        MetaKey, NfTablesMessage, Operator, Payload, Register, RuleAttribute, RuleMessage, SetAttribute,
        SetElementAttribute, SetElementFlags, SetElementList, SetElementMessage, SetFlags, SetMessage, TableAttribute,
        TableMessage,
    },
    none::ControlMessage,
};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};

use super::{NetlinkError, acknowledgements, append, connected, dump};

/// The table with everything.
const TABLE: &str = "peerbed";
/// The subsystem of nftables, to which a batch is addressed.
const NFTABLES: u16 = 10;
/// Before everything else that looks at packets (`NF_IP_PRI_RAW`).
const RAW: i32 = -300;
/// Elements of a map in one message, whose length is limited.
const ELEMENTS_AT_ONCE: usize = 400;

/// From `linux/netfilter/nf_tables.h`.
mod tables {
    pub(super) const NFT_OBJECT_COUNTER: u32 = 1;
    pub(super) const NFTA_OBJ_TABLE: u16 = 1;
    pub(super) const NFTA_OBJ_NAME: u16 = 2;
    pub(super) const NFTA_OBJ_TYPE: u16 = 3;
    pub(super) const NFTA_OBJ_DATA: u16 = 4;
    pub(super) const NFTA_COUNTER_BYTES: u16 = 1;
    pub(super) const NFTA_COUNTER_PACKETS: u16 = 2;
    pub(super) const NFTA_OBJREF_SET_SREG: u16 = 3;
    pub(super) const NFTA_OBJREF_SET_NAME: u16 = 4;
    pub(super) const NFT_PAYLOAD_NETWORK_HEADER: u32 = 1;
    pub(super) const NLA_F_NESTED: u16 = 1 << 15;
    /// Where a packet's source address is in its header.
    pub(super) const SOURCE: u32 = 12;
}

/// The index of `lo` in every namespace.
const LOOPBACK_INDEX: u32 = 1;

/// What decides which counter counts a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    /// Which row of addresses its source is in, when it has come in.
    Source,
    /// The device that it came in on.
    Input,
    /// The device that it will leave by, having come in on another.
    Output,
}

impl Watched {
    /// The letter with which names begin: of the map, the chain, the counters.
    fn letter(self) -> char {
        match self {
            Watched::Source => 's',
            Watched::Input => 'i',
            Watched::Output => 'o',
        }
    }

    fn map(self) -> String {
        format!("{}map", self.letter())
    }

    fn counter(self, number: u32) -> String {
        format!("{}{number}", self.letter())
    }
}

/// What a counter has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    /// Packets.
    pub(crate) packets: u64,
    /// Bytes of IP packets.
    pub(crate) bytes: u64,
}

/// A socket to the packet filter of the network namespace that its thread was in when it was opened.
#[derive(Debug)]
pub(crate) struct Netfilter {
    socket: Socket,
    sequence: u32,
    answers: Vec<u8>,
    sets: u32,
}

impl Netfilter {
    /// Open a socket in the calling thread's network namespace, and make the table.
    pub(crate) fn open(node: &str) -> Result<Self, NetlinkError> {
        let socket =
            connected(NETLINK_NETFILTER).map_err(|source| NetlinkError::Socket { node: node.to_owned(), source })?;
        let mut netfilter = Self { socket, sequence: 0, answers: vec![0; 1 << 15], sets: 0 };
        let table = TableMessage { attributes: vec![TableAttribute::Name(TABLE.to_owned())] };
        netfilter.carry_out(
            node,
            "make a table to count packets (nf_tables)",
            vec![NfTablesMessage::NewTable(table)],
        )?;
        Ok(netfilter)
    }

    /// Count the packets of each row of source addresses, `(first, last, counter)`, which are in order and apart.
    pub(crate) fn count_sources(&mut self, node: &str, rows: &[(Ipv4Addr, Ipv4Addr, u32)]) -> Result<(), NetlinkError> {
        let mut messages = self.map(Watched::Source);
        let mut counters: Vec<u32> = rows.iter().map(|(.., counter)| *counter).collect();
        counters.sort_unstable();
        counters.dedup();
        messages.extend(counters.iter().map(|number| counter(&Watched::Source.counter(*number))));
        let ends = rows.iter().flat_map(|(first, last, number)| {
            let begin = element(first.octets().to_vec(), Some(Watched::Source.counter(*number)));
            // The first address behind; behind the last of all there is none to end at.
            let behind = u32::from(*last).checked_add(1);
            let end = behind.map(|behind| element(behind.to_be_bytes().to_vec(), None));
            std::iter::once(begin).chain(end)
        });
        messages.extend(elements(Watched::Source, &ends.collect::<Vec<_>>()));
        messages.extend(chain(Watched::Source));
        self.carry_out(node, "count packets by where they come from (nf_tables)", messages)
    }

    /// Begin to count packets by device; which ones, [`Netfilter::count_device`] says.
    pub(crate) fn count_devices(&mut self, node: &str) -> Result<(), NetlinkError> {
        let mut messages = Vec::new();
        for watched in [Watched::Input, Watched::Output] {
            messages.extend(self.map(watched));
            messages.extend(chain(watched));
        }
        self.carry_out(node, "count packets by device (nf_tables)", messages)
    }

    /// Count the packets of one more device.
    pub(crate) fn count_device(&mut self, node: &str, index: u32) -> Result<(), NetlinkError> {
        let messages = [Watched::Input, Watched::Output].into_iter().flat_map(|watched| {
            let name = watched.counter(index);
            let key = index.to_ne_bytes().to_vec();
            std::iter::once(counter(&name)).chain(elements(watched, &[element(key, Some(name))]))
        });
        self.carry_out(node, "count the packets of a device (nf_tables)", messages.collect())
    }

    /// What every counter has counted.
    pub(crate) fn read(&mut self, node: &str) -> Result<Counts, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let question = NfTablesMessage::GetObject(vec![
            text(tables::NFTA_OBJ_TABLE, TABLE),
            DefaultNla::new(tables::NFTA_OBJ_TYPE, tables::NFT_OBJECT_COUNTER.to_be_bytes().to_vec()),
        ]);
        let answers = dump(&self.socket, &mut self.answers, node, addressed(question), self.sequence)?;
        let mut counts = Counts::default();
        for answer in answers {
            if let NetfilterMessageInner::NfTables(NfTablesMessage::NewObject(attributes)) = answer.inner {
                counts.add(&attributes);
            }
        }
        Ok(counts)
    }

    /// The map by which packets find their counters.
    fn map(&mut self, watched: Watched) -> Vec<NfTablesMessage> {
        self.sets += 1;
        let interval = if watched == Watched::Source { SetFlags::Interval } else { SetFlags::empty() };
        let attributes = vec![
            SetAttribute::Table(TABLE.to_owned()),
            SetAttribute::Name(watched.map()),
            SetAttribute::Flags(SetFlags::Object | interval),
            // Only programs that list tables care for the type.
            SetAttribute::KeyType(0),
            SetAttribute::KeyLen(4),
            SetAttribute::ObjectType(tables::NFT_OBJECT_COUNTER),
            SetAttribute::Id(self.sets),
        ];
        vec![NfTablesMessage::NewSet(SetMessage { attributes })]
    }

    /// Carry out everything or nothing.
    fn carry_out(
        &mut self,
        node: &str,
        what: &'static str,
        messages: Vec<NfTablesMessage>,
    ) -> Result<(), NetlinkError> {
        let failed = |source| NetlinkError::Socket { node: node.to_owned(), source };
        let control =
            |message| NetfilterMessage::new(NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, NFTABLES), message);
        let mut batch = Vec::new();
        let first = self.sequence.wrapping_add(1);
        append(&mut batch, control(ControlMessage::BatchBegin), NLM_F_REQUEST, first);
        let count = messages.len() as u32;
        let last = first.wrapping_add(count);
        for (message, sequence) in messages.into_iter().zip(first.wrapping_add(1)..) {
            let append_rule = if matches!(message, NfTablesMessage::NewRule(_)) { NLM_F_APPEND } else { 0 };
            let answer = if sequence == last { NLM_F_ACK } else { 0 };
            append(&mut batch, addressed(message), NLM_F_REQUEST | NLM_F_CREATE | append_rule | answer, sequence);
        }
        append(&mut batch, control(ControlMessage::BatchEnd), NLM_F_REQUEST, last.wrapping_add(1));
        self.sequence = last.wrapping_add(1);
        let sent = self.socket.send(&batch, 0).map_err(failed)?;
        if sent != batch.len() {
            return Err(failed(std::io::Error::other("the batch was cut short")));
        }
        loop {
            let received = self.socket.recv(&mut &mut self.answers[..], 0).map_err(failed)?;
            let answers = acknowledgements(&self.answers[..received])
                .map_err(|source| NetlinkError::Decode { node: node.to_owned(), source })?;
            for (sequence, refusal) in answers {
                if let Some((source, hint)) = refusal {
                    let device = "any".to_owned();
                    return Err(NetlinkError::Refused { node: node.to_owned(), device, what, source, hint });
                }
                if sequence == last {
                    return Ok(());
                }
            }
        }
    }
}

/// What the counters of one namespace have counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Counts(BTreeMap<(char, u32), Count>);

impl Counts {
    /// What one of them has; one that is not there has counted nothing.
    pub(crate) fn of(&self, watched: Watched, number: u32) -> Count {
        self.0.get(&(watched.letter(), number)).copied().unwrap_or_default()
    }

    fn add(&mut self, attributes: &[DefaultNla]) {
        use netlink_packet_core::Nla;
        let mut name = None;
        let mut count = Count::default();
        for attribute in attributes {
            let mut value = vec![0; attribute.value_len()];
            attribute.emit_value(&mut value);
            match attribute.kind() & !tables::NLA_F_NESTED {
                tables::NFTA_OBJ_NAME => name = parse_name(&value),
                tables::NFTA_OBJ_DATA => {
                    for inner in NlasIterator::new(&value[..]).filter_map(Result::ok) {
                        let number = inner.value().try_into().map(u64::from_be_bytes);
                        match (inner.kind(), number) {
                            (tables::NFTA_COUNTER_BYTES, Ok(bytes)) => count.bytes = bytes,
                            (tables::NFTA_COUNTER_PACKETS, Ok(packets)) => count.packets = packets,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        self.0.extend(name.map(|name| (name, count)));
    }
}

/// A counter's name, without the zero at its end.
fn parse_name(value: &[u8]) -> Option<(char, u32)> {
    let text = std::str::from_utf8(value.strip_suffix(&[0]).unwrap_or(value)).ok()?;
    let letter = text.chars().next()?;
    Some((letter, text[letter.len_utf8()..].parse().ok()?))
}

fn addressed(message: NfTablesMessage) -> NetfilterMessage {
    NetfilterMessage::new(NetfilterHeader::new(NetfilterProtoFamily::IPv4, 0, 0), message)
}

fn text(kind: u16, text: &str) -> DefaultNla {
    DefaultNla::new(kind, text.bytes().chain([0]).collect())
}

fn counter(name: &str) -> NfTablesMessage {
    NfTablesMessage::NewObject(vec![
        text(tables::NFTA_OBJ_TABLE, TABLE),
        text(tables::NFTA_OBJ_NAME, name),
        DefaultNla::new(tables::NFTA_OBJ_TYPE, tables::NFT_OBJECT_COUNTER.to_be_bytes().to_vec()),
        DefaultNla::new(tables::NFTA_OBJ_DATA | tables::NLA_F_NESTED, Vec::new()),
    ])
}

type Element = Vec<SetElementAttribute>;

/// An element of a map: a key with its counter, or the end of an interval.
fn element(key: Vec<u8>, counter: Option<String>) -> Element {
    let key = SetElementAttribute::Key(DataAttribute::Value(key));
    match counter {
        Some(name) => vec![key, SetElementAttribute::ObjectRefrence(name)],
        None => vec![key, SetElementAttribute::Flags(SetElementFlags::IntervalEnd)],
    }
}

fn elements(watched: Watched, elements: &[Element]) -> Vec<NfTablesMessage> {
    let message = |some: &[Element]| {
        let listed = some.iter().cloned().map(ListAttribute::Element).collect();
        NfTablesMessage::NewSetElement(SetElementMessage {
            attributes: vec![
                SetElementList::Table(TABLE.to_owned()),
                SetElementList::Set(watched.map()),
                SetElementList::Elements(listed),
            ],
        })
    };
    elements.chunks(ELEMENTS_AT_ONCE).map(message).collect()
}

/// The chain that every packet passes, with the one rule that finds its counter.
fn chain(watched: Watched) -> [NfTablesMessage; 2] {
    let name = format!("{}chain", watched.letter());
    let hook = if watched == Watched::Output { InetHookNumber::Forward } else { InetHookNumber::PreRouting };
    let chain = ChainMessage {
        attributes: vec![
            ChainAttribute::Table(TABLE.to_owned()),
            ChainAttribute::Name(name.clone()),
            ChainAttribute::Hook(vec![Hook::Number(hook.into()), Hook::Priority(RAW.cast_unsigned())]),
            ChainAttribute::Type("filter".to_owned()),
        ],
    };
    // What a node says to itself is nobody's.
    let elsewhere = [
        meta(MetaKey::Iif),
        Expressions::Cmp(vec![
            Cmp::SourceRegister(Register::Reg1),
            Cmp::Op(Operator::NotEqual),
            Cmp::Data(DataAttribute::Value(LOOPBACK_INDEX.to_ne_bytes().to_vec())),
        ]),
    ];
    let load = match watched {
        Watched::Source => Expressions::Payload(vec![
            Payload::DestinationRegister(Register::Reg1),
            Payload::Base(tables::NFT_PAYLOAD_NETWORK_HEADER),
            Payload::Offset(tables::SOURCE),
            Payload::Len(4),
        ]),
        Watched::Input => meta(MetaKey::Iif),
        Watched::Output => meta(MetaKey::Oif),
    };
    let count = Expressions::Other {
        expression_type: "objref".to_owned(),
        attributes: vec![
            DefaultNla::new(tables::NFTA_OBJREF_SET_SREG, u32::from(Register::Reg1).to_be_bytes().to_vec()),
            text(tables::NFTA_OBJREF_SET_NAME, &watched.map()),
        ],
    };
    let rule = RuleMessage {
        attributes: vec![
            RuleAttribute::Table(TABLE.to_owned()),
            RuleAttribute::Chain(name),
            RuleAttribute::Expressions(elsewhere.into_iter().chain([load, count]).map(Into::into).collect()),
        ],
    };
    [NfTablesMessage::NewChain(chain), NfTablesMessage::NewRule(rule)]
}

fn meta(key: MetaKey) -> Expressions {
    Expressions::Meta(vec![Meta::DestinationRegister(Register::Reg1), Meta::Key(key)])
}
