//! What is carried, counted and refused, whatever the links are.

use std::time::Duration;

use peerbed::{agent::protocol::Request, engine::EngineChoice};
use peerbed_contract::NatClass;
use peerbed_link::{Bandwidth, LinkSpec, Queue, Rate, TraceId, Traced};

use super::{delayed, entry, limited};
use crate::{
    bed::Bed,
    lab::{Lab, OPEN, address, fabric},
};

pub(super) fn what_it_cannot_carry_is_refused(bed: Bed) {
    let plain = || fabric(&[(1, OPEN), (2, OPEN)], LinkSpec::TRANSPARENT, LinkSpec::TRANSPARENT);
    let mut other_family = plain();
    other_family.nodes[1].address = "2001:db8::1".parse().expect("an address");
    let refused = Lab::refused(other_family, bed);
    assert!(refused.contains("node n1 has the address 2001:db8::1, but only IPv4 is carried"), "{refused}");
    if bed.engine == EngineChoice::Tc {
        let mut slow = plain();
        slow.links[0].forward.bandwidth = Bandwidth::Limited(Rate::from_bps(999_000).expect("a valid rate"));
        let refused = Lab::refused(slow, bed);
        assert!(refused.contains("the tc engine cannot make a link of 999kbit"), "{refused}");
    }
    if bed.engine == EngineChoice::Tc {
        let mut translated = plain();
        translated.nodes[1].nat = NatClass::Symmetric;
        let refused = Lab::refused(translated, bed);
        assert!(refused.contains("the tc engine has no address translation, which 1 hosts"), "{refused}");
    }
    let mut traced = plain();
    let rate = Rate::from_bps(1_000_000).expect("a valid rate");
    let trace = Traced { trace: TraceId::from_hash(7), mean: rate, peak: rate };
    traced.links[0].backward.bandwidth = Bandwidth::Trace(trace);
    let (refused, why) = (
        Lab::refused(traced, bed),
        if bed.engine == EngineChoice::Tc {
            "the tc engine cannot make a link follow a trace"
        } else {
            "there is no trace 0000000000000007"
        },
    );
    assert!(refused.contains(why), "{refused}");
}

pub(super) fn udp_super_packets_are_cut(bed: Bed) {
    // 1 ms of 8 Mbit/s is 1000 bytes: single datagrams; without a rate they stay together.
    for forward in [limited(8), LinkSpec::TRANSPARENT] {
        let mut lab = Lab::new(fabric(&[(1, OPEN), (2, OPEN)], forward, delayed(0)), bed, None);
        lab.start_listener(1, "count");
        lab.start(0, &format!("blast {} 500 1000 25 30000", address(1)));
        assert_eq!(lab.line(0), "sent");
        let sample = lab.sample_when(|sample| entry(sample, 1, 2).packets == 500);
        assert_eq!(entry(&sample, 1, 2).bytes, 500 * 1028);
        lab.say(1, "stop");
        assert_eq!(lab.counts(1), (500, 0));
    }
}

pub(super) fn strays_are_counted_and_hurt_nobody(bed: Bed) {
    let fabric = fabric(&[(1, OPEN), (2, OPEN), (3, OPEN)], LinkSpec::TRANSPARENT, LinkSpec::TRANSPARENT);
    let mut lab = Lab::new(fabric, bed, None);
    // An address that nobody has, then a node without a route.
    for (to, strays) in [(address(200), 20), (address(2), 40)] {
        lab.start(0, &format!("blast {to} 20 400 1 0"));
        lab.ended(0);
        assert_eq!(lab.line(0), "sent");
        lab.sample_when(|sample| sample.health.strays == strays);
    }
    lab.start_listener(1, "echo");
    lab.start(0, &format!("ping {} 10 0", address(1)));
    let [answered, ..]: [f64; 4] = lab.numbers(0);
    assert!(answered > 9.5, "{answered} of 10 answered");
    let sample = lab.sample_when(|sample| entry(sample, 1, 2).packets == 10);
    assert_eq!((sample.health.strays, sample.health.overruns), (40, 0));
    let refused = lab.refusal(Request::SetLink { link: 7, forward: delayed(0), backward: delayed(0) });
    assert!(refused.contains("no link number 7"), "{refused}");
}

pub(super) fn what_a_node_says_to_itself_is_not_counted(bed: Bed) {
    let fabric = fabric(&[(1, OPEN), (2, OPEN)], LinkSpec::TRANSPARENT, LinkSpec::TRANSPARENT);
    let mut lab = Lab::new(fabric, bed, None);
    lab.start(0, &format!("murmur {} 50", address(0)));
    assert_eq!(lab.line(0), "heard");
    lab.ended(0);
    let sample = lab.sample();
    assert_eq!((entry(&sample, 1, 1).packets, sample.access[0].forward.offered_packets), (0, 0), "{sample:?}");
}

pub(super) fn what_the_kernel_drops_is_counted(bed: Bed) {
    const SENT: u64 = 400_000;
    // Three nodes send single datagrams as fast as they can, while the engine stands still and cannot read them.
    let nodes = [(1, OPEN), (1, OPEN), (1, OPEN), (2, OPEN)];
    let mut lab = Lab::new(fabric(&nodes, LinkSpec::TRANSPARENT, LinkSpec::TRANSPARENT), bed, Some(1));
    lab.start_listener(3, "count");
    for node in [0, 1, 2] {
        lab.start(node, &format!("blast {} {SENT} 400 1 0", address(3)));
    }
    lab.stand_still(Duration::from_millis(300));
    for node in [0, 1, 2] {
        assert_eq!(lab.line(node), "sent");
    }
    let sample = lab.sample_when(|sample| {
        let offered: u64 = sample.access.iter().map(|access| access.forward.offered_packets).sum();
        offered + sample.health.overruns == 3 * SENT && entry(sample, 1, 2).packets + sample.health.overruns == 3 * SENT
    });
    println!("  {} of {} overran", sample.health.overruns, 3 * SENT);
    assert!(sample.health.overruns > 0, "nothing overran while the engine stood still");
}

pub(super) fn what_the_machine_drops_between_devices_is_counted(bed: Bed) {
    // How many packets may wait for a core that is to take them on. With room for none at all this kernel locks up.
    const ROOM: &str = "/proc/sys/net/core/netdev_max_backlog";
    const SENT: u64 = 1000;
    let before = std::fs::read_to_string(ROOM).expect("it can be read");
    let queue = Queue::Bytes(1 << 21);
    let link = LinkSpec { delay: Duration::from_millis(20), queue, ..limited(100) };
    let mut lab = Lab::new(fabric(&[(1, OPEN), (2, OPEN)], link, LinkSpec::TRANSPARENT), bed, None);
    lab.start_listener(1, "count");
    std::fs::write(ROOM, "8").expect("it can be written");
    lab.start(0, &format!("blast {} {SENT} 1000 1 0", address(1)));
    assert_eq!(lab.line(0), "sent");
    let sample = lab.sample_when(|sample| {
        let arrived = entry(sample, 1, 2).packets;
        arrived + sample.links[0].forward.dropped_packets + sample.health.overruns == SENT
    });
    std::fs::write(ROOM, before).expect("it can be written");
    println!("  {} of {SENT} were dropped between devices", sample.health.overruns);
    assert!(sample.health.overruns > 0, "no packet was dropped where there is no room: {sample:?}");
}

pub(super) fn an_open_link_carries_whole_super_packets(bed: Bed) {
    let mut lab = Lab::new(fabric(&[(1, OPEN), (2, OPEN)], LinkSpec::TRANSPARENT, LinkSpec::TRANSPARENT), bed, Some(1));
    lab.start_listener(1, "sink 500 1000");
    lab.start(0, &format!("source {}", address(1)));
    let [bytes, nanos] = lab.numbers(1);
    println!("  {:.2} Gbit/s", bytes * 8.0 / nanos);
    let sample = lab.sample();
    assert!(sample.links[0].forward.carried_bytes as f64 > bytes);
    // Without super-packets it is less than 2 on any machine that these tests will see in years.
    assert!(bytes * 8.0 / nanos > 2.0, "{} Gbit/s", bytes * 8.0 / nanos);
}
