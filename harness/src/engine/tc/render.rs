//! Routers, their devices and the queueing disciplines on them, as messages to the kernel.

use netlink_packet_core::DefaultNla;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
    },
    tc::{
        TcAction, TcActionAttribute, TcActionMirror, TcActionMirrorOption, TcActionOption, TcActionType, TcAttribute,
        TcFilterU32, TcFilterU32Option, TcHandle, TcMessage, TcMirror, TcMirrorActionType, TcOption, TcStats2,
        TcU32Key, TcU32Selector, TcU32SelectorFlags,
    },
};
use peerbed_link::Loss;

use super::{
    program::{ETHERNET, Netem, Program, Tbf},
    ways::Block,
};
use crate::netlink::{GATEWAY, SHARED_MAC, Step, pair, set_link};

/// `netem`, always at the root.
pub(crate) const NETEM: TcHandle = TcHandle { major: 1, minor: 0 };
/// `tbf`, at the root or below `netem`.
pub(crate) const TBF: TcHandle = TcHandle { major: 2, minor: 0 };
/// Where what comes in is watched; it counts that without Ethernet headers.
pub(crate) const INGRESS: TcHandle = TcHandle { major: u16::MAX, minor: 0 };
const BELOW_NETEM: TcHandle = TcHandle { major: 1, minor: 1 };

/// From `linux/rtnetlink.h` and `linux/pkt_sched.h`.
mod sched {
    pub(super) const TCA_OPTIONS: u16 = 2;
    pub(super) const TCA_TBF_PARMS: u16 = 1;
    pub(super) const TCA_TBF_RATE64: u16 = 4;
    pub(super) const TCA_TBF_BURST: u16 = 6;
    pub(super) const TCA_NETEM_LOSS: u16 = 5;
    pub(super) const TCA_NETEM_RATE: u16 = 6;
    pub(super) const TCA_NETEM_RATE64: u16 = 8;
    pub(super) const TCA_NETEM_LATENCY64: u16 = 10;
    pub(super) const TCA_NETEM_JITTER64: u16 = 11;
    pub(super) const TCA_NETEM_PRNG_SEED: u16 = 13;
    pub(super) const NETEM_LOSS_GE: u16 = 2;
    pub(super) const TCA_STAB_BASE: u16 = 1;
    pub(super) const TC_LINKLAYER_ETHERNET: u8 = 1;
    /// An attribute that has attributes.
    pub(super) const NLA_F_NESTED: u16 = 1 << 15;
}

/// Make a device that swallows what it is given to send.
pub(crate) fn sink(name: &str, index: u32) -> Step {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = LinkFlags::Up | LinkFlags::Noarp;
    message.header.change_mask = LinkFlags::Up | LinkFlags::Noarp;
    message.attributes =
        vec![LinkAttribute::IfName(name.to_owned()), LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Ifb)])];
    Step::create(name, "make a device for packets to nobody (ifb)", RouteNetlinkMessage::NewLink(message))
}

/// Take up a router's end of a link, with the address that every device has.
pub(crate) fn take_up(name: &str, index: u32) -> Step {
    let attributes = vec![LinkAttribute::Address(SHARED_MAC.to_vec())];
    Step::new(name, "take it up", set_link(index, LinkFlags::Up | LinkFlags::Noarp, attributes))
}

/// Send packets for these addresses to this device, to the node itself or to the router beyond it.
pub(crate) fn route(name: &str, index: u32, block: Block, beyond_router: bool) -> Step {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.kind = RouteType::Unicast;
    message.header.scope = if beyond_router { RouteScope::Universe } else { RouteScope::Link };
    message.header.destination_prefix_length = block.length;
    message.attributes = vec![RouteAttribute::Oif(index)];
    if block.length > 0 {
        message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(block.first)));
    }
    if beyond_router {
        message.header.flags = RouteFlags::Onlink;
        message.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(GATEWAY)));
    }
    Step::create(name, "add a route", RouteNetlinkMessage::NewRoute(message))
}

/// Make a pair of devices in one namespace: what the first sends comes in on the second.
pub(crate) fn passage((name, index): (&str, u32), (out, out_index): (&str, u32)) -> [Step; 3] {
    [pair((name, index), (out, out_index), None), take_up(name, index), take_up(out, out_index)]
}

/// Let everything that comes in on one device be sent by another instead.
///
/// What is sent is a copy (the data are shared), and the packet itself is done with. A packet that is passed on as it is still
/// belongs to its sender's socket: the sender would see it wait, and hold back instead of filling the queue.
pub(crate) fn divert(name: &str, index: u32, to: u32) -> [Step; 2] {
    let mut ingress = TcMessage::with_index(index as i32);
    ingress.header.handle = INGRESS;
    ingress.header.parent = TcHandle::INGRESS;
    ingress.attributes = vec![TcAttribute::Kind("ingress".to_owned())];

    let mut mirror = TcMirror::default();
    mirror.generic.action = TcActionType::Shot;
    mirror.eaction = TcMirrorActionType::EgressMirror;
    mirror.ifindex = to;
    let mut action = TcAction::default();
    action.attributes = vec![
        TcActionAttribute::Kind(TcActionMirror::KIND.to_owned()),
        TcActionAttribute::Options(vec![TcActionOption::Mirror(TcActionMirrorOption::Parms(mirror))]),
    ];
    let mut selector = TcU32Selector::default();
    selector.flags = TcU32SelectorFlags::Terminal;
    // One key that every packet has: any four bytes, none of which matter.
    selector.nkeys = 1;
    selector.keys = vec![TcU32Key::default()];
    let mut filter = TcMessage::with_index(index as i32);
    filter.header.parent = INGRESS;
    // Priority 1 of all protocols.
    filter.header.info = 1 << 16 | u32::from((libc::ETH_P_ALL as u16).to_be());
    filter.attributes = vec![
        TcAttribute::Kind(TcFilterU32::KIND.to_owned()),
        TcAttribute::Options(vec![
            TcOption::U32(TcFilterU32Option::Selector(selector)),
            TcOption::U32(TcFilterU32Option::Action(vec![action])),
        ]),
    ];
    [
        Step::create(name, "watch what comes in (ingress)", RouteNetlinkMessage::NewQueueDiscipline(ingress)),
        Step::create(name, "shape what comes in (u32, mirred)", RouteNetlinkMessage::NewTrafficFilter(filter)),
    ]
}

/// Give a device a program. A discipline that is there `before` is changed, any other is made.
pub(crate) fn shape(name: &str, index: u32, program: &Program, before: &Program) -> Vec<Step> {
    let step = |is_there, what, message| {
        let message = RouteNetlinkMessage::NewQueueDiscipline(message);
        if is_there { Step::new(name, what, message) } else { Step::create(name, what, message) }
    };
    let netem = program
        .netem
        .map(|netem| step(before.netem.is_some(), "give it loss and delay (netem)", with_netem(index, &netem)));
    let parent = if program.netem.is_some() { BELOW_NETEM } else { TcHandle::ROOT };
    let tbf = program
        .tbf
        .map(|tbf| step(before.tbf.is_some(), "give it a rate and a queue (tbf)", with_tbf(index, parent, &tbf)));
    netem.into_iter().chain(tbf).collect()
}

/// Take a device's disciplines away, with what waits in them.
pub(crate) fn unshape(name: &str, index: u32) -> Step {
    let mut message = TcMessage::with_index(index as i32);
    message.header.parent = TcHandle::ROOT;
    Step::new(name, "take its disciplines away", RouteNetlinkMessage::DelQueueDiscipline(message))
}

/// Ask for every discipline of a namespace, with its counters.
pub(crate) fn disciplines() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default())
}

/// What a discipline has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counted {
    /// Bytes that left it, as its size table has them.
    pub(crate) bytes: u64,
    /// Packets that left it; starts again after 2³².
    pub(crate) packets: u32,
    /// Packets that it dropped; starts again after 2³².
    pub(crate) drops: u32,
    /// Packets that are in it.
    pub(crate) waiting: u32,
}

/// Which discipline an answer to [`disciplines`] is about, and what that has counted; none if it is another message.
pub(crate) fn counted(message: RouteNetlinkMessage) -> Option<(u32, TcHandle, Counted)> {
    let RouteNetlinkMessage::NewQueueDiscipline(message) = message else { return None };
    let mut counted = Counted::default();
    for attribute in &message.attributes {
        let TcAttribute::Stats2(stats) = attribute else { continue };
        for stat in stats {
            match stat {
                TcStats2::Basic(basic) => (counted.bytes, counted.packets) = (basic.bytes, basic.packets),
                TcStats2::Queue(queue) => (counted.drops, counted.waiting) = (queue.drops, queue.qlen),
                _ => {}
            }
        }
    }
    Some((message.header.index as u32, message.header.handle, counted))
}

fn with_netem(index: u32, netem: &Netem) -> TcMessage {
    // struct tc_netem_qopt: latency, limit, loss, gap, duplicate, jitter.
    let loss = if let Loss::Random(share) = netem.loss { fixed(share.get()) } else { 0 };
    let mut options = words(&[0, netem.limit, loss, 0, 0, 0]);
    options.extend(attribute(sched::TCA_NETEM_LATENCY64, &nanos(netem.delay)));
    options.extend(attribute(sched::TCA_NETEM_JITTER64, &nanos(netem.jitter)));
    if !netem.jitter.is_zero() {
        // A packet does not overtake the one before it where there is a rate; this one takes no time.
        // struct tc_netem_rate: rate, packet overhead, cell size, cell overhead.
        options.extend(attribute(sched::TCA_NETEM_RATE64, &u64::MAX.to_ne_bytes()));
        options.extend(attribute(sched::TCA_NETEM_RATE, &words(&[u32::MAX, 0, 0, 0])));
    }
    if let Loss::GilbertElliott(burst) = netem.loss {
        // struct tc_netem_gemodel: p, r, h, k1, where h is what the bad state lets pass and k1 what the good one loses.
        let [p, r, bad, good] = [burst.p, burst.r, burst.loss_bad, burst.loss_good].map(|share| fixed(share.get()));
        let model = attribute(sched::NETEM_LOSS_GE, &words(&[p, r, u32::MAX - bad, good]));
        options.extend(attribute(sched::TCA_NETEM_LOSS | sched::NLA_F_NESTED, &model));
    }
    // Older kernels pass over what they do not know.
    options.extend(attribute(sched::TCA_NETEM_PRNG_SEED, &netem.seed.to_ne_bytes()));
    discipline(index, NETEM, TcHandle::ROOT, "netem", options)
}

fn with_tbf(index: u32, parent: TcHandle, tbf: &Tbf) -> TcMessage {
    let rate = u32::try_from(tbf.bytes_per_second).unwrap_or(u32::MAX);
    // struct tc_tbf_qopt: rate and peak rate (struct tc_ratespec: cell_log, linklayer, overhead, cell_align, mpu, rate), limit,
    // buffer, mtu; the last two in the kernel's ticks, and told in bytes below instead.
    let mut parameters = vec![0, sched::TC_LINKLAYER_ETHERNET, 0, 0, 0, 0, 0, 0];
    parameters.extend(rate.to_ne_bytes());
    parameters.extend([0; 12]);
    parameters.extend(words(&[tbf.limit, 0, 0]));
    let mut options = attribute(sched::TCA_TBF_PARMS, &parameters);
    options.extend(attribute(sched::TCA_TBF_RATE64, &tbf.bytes_per_second.to_ne_bytes()));
    options.extend(attribute(sched::TCA_TBF_BURST, &tbf.burst.to_ne_bytes()));
    discipline(index, TBF, parent, "tbf", options)
}

/// A discipline that counts IP packets without their Ethernet headers; one at the root sizes them for those below it.
fn discipline(index: u32, handle: TcHandle, parent: TcHandle, kind: &str, options: Vec<u8>) -> TcMessage {
    // struct tc_sizespec: cell_log, size_log, cell_align, overhead, linklayer, mpu, mtu, tsize; no table behind it.
    let mut sizes = vec![0; 4];
    sizes.extend((-ETHERNET).to_ne_bytes());
    sizes.extend(words(&[u32::from(sched::TC_LINKLAYER_ETHERNET), 0, 0, 0]));
    let mut message = TcMessage::with_index(index as i32);
    message.header.handle = handle;
    message.header.parent = parent;
    message.attributes = vec![TcAttribute::Kind(kind.to_owned())];
    if parent == TcHandle::ROOT {
        message.attributes.push(TcAttribute::Stab(attribute(sched::TCA_STAB_BASE, &sizes)));
    }
    message.attributes.push(TcAttribute::Other(DefaultNla::new(sched::TCA_OPTIONS, options)));
    message
}

/// A netlink attribute with its header, as long as it must be for another to follow.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + value.len().next_multiple_of(4));
    bytes.extend((4 + value.len() as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// A share as the kernel counts it, of 2³² − 1.
fn fixed(share: f64) -> u32 {
    (share * f64::from(u32::MAX)).round() as u32
}

fn nanos(time: std::time::Duration) -> [u8; 8] {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX).to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use peerbed_link::{Bandwidth, Burst, LinkSpec, Probability, Queue, Rate};

    use super::*;

    fn said(steps: &[Step]) -> String {
        steps.iter().map(|step| format!("{step:?}")).collect::<Vec<_>>().join("\n")
    }

    fn limited() -> LinkSpec {
        LinkSpec { bandwidth: Bandwidth::Limited(Rate::from_bps(40_000_000).unwrap()), ..LinkSpec::TRANSPARENT }
    }

    fn program(spec: &LinkSpec) -> Program {
        Program::of(spec, 7, &Program::default(), false)
    }

    #[test]
    fn a_rate_and_a_queue() {
        insta::assert_snapshot!(said(&shape("l0", 7, &program(&limited()), &Program::default())));
    }

    #[test]
    fn loss_delay_and_jitter_before_a_rate() {
        let share = |value| Probability::new(value).unwrap();
        let burst = Burst { p: share(0.01), r: share(0.25), loss_bad: share(1.0), loss_good: share(0.0) };
        let spec = LinkSpec {
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(5),
            loss: Loss::GilbertElliott(burst),
            queue: Queue::Bytes(60_000),
            ..limited()
        };
        insta::assert_snapshot!(said(&shape("l0", 7, &program(&spec), &Program::default())));
    }

    #[test]
    fn what_is_there_is_changed_and_what_is_not_is_made() {
        let delayed = program(&LinkSpec { delay: Duration::from_millis(1), ..LinkSpec::TRANSPARENT });
        let both = Program::of(&limited(), 7, &delayed, true);
        let creates = |before: &Program| shape("l0", 7, &both, before).iter().map(Step::creates).collect::<Vec<_>>();
        assert_eq!(creates(&Program::default()), [true, true]);
        assert_eq!(creates(&delayed), [false, true]);
        assert_eq!(creates(&both), [false, false]);
    }

    #[test]
    fn a_router_and_its_devices() {
        let block = Block { first: [10, 1, 0, 0].into(), length: 16 };
        let mut steps = vec![sink("nowhere", 900), take_up("v0", 1000), route("l0", 7, block, true), unshape("l0", 7)];
        steps.extend(passage(("u0", 1001), ("w0", 1002)));
        steps.extend(divert("v0", 1000, 1001));
        insta::assert_snapshot!(said(&steps));
    }
}
