//! Address translation in front of hosts: who reaches whom with real TCP, and what is rewritten, dropped and counted.

use peerbed_contract::NatClass::{self, Blocked, FullCone, None as Open, PortRestricted, Symmetric};
use peerbed_link::LinkSpec;

use super::{entry, limited};
use crate::{
    bed::Bed,
    lab::{Lab, OPEN, address, fabric},
};

/// A network of hosts in AS 1 and AS 2 in turn, behind these.
fn network(classes: &[NatClass], bed: Bed, forward: LinkSpec) -> Lab {
    let nodes: Vec<_> = (0..classes.len() as u32).map(|index| (1 + index % 2, OPEN)).collect();
    let mut fabric = fabric(&nodes, forward, LinkSpec::TRANSPARENT);
    for (node, class) in fabric.nodes.iter_mut().zip(classes) {
        node.nat = *class;
    }
    Lab::new(fabric, bed, None)
}

/// Whether two hosts come together when both dial, each from the port at which it listens. Of two that filter, each one's own
/// packet lets the other's in; a blocked one gets an answer to its own.
fn meet(one: NatClass, other: NatClass) -> bool {
    let strict = |class| matches!(class, PortRestricted | Symmetric | Blocked);
    // Nobody can know the port that a symmetric one will have for another remote.
    let unknown = strict(one) && strict(other) && (one == Symmetric || other == Symmetric);
    !unknown && (one, other) != (Blocked, Blocked)
}

pub(super) fn hosts_behind_translation_meet_where_their_classes_allow(bed: Bed) {
    let pairs: Vec<(NatClass, NatClass)> = NatClass::ALL
        .iter()
        .enumerate()
        .flat_map(|(index, one)| NatClass::ALL[index..].iter().map(|other| (*one, *other)))
        .collect();
    // The first host is the mirror.
    let classes: Vec<NatClass> =
        [Open].into_iter().chain(pairs.iter().flat_map(|(one, other)| [*one, *other])).collect();
    let mut lab = network(&classes, bed, LinkSpec::TRANSPARENT);
    lab.start_listener(0, "mirror");
    for node in 1..classes.len() {
        lab.start(node, &format!("meet {}", address(0)));
    }
    let seen: Vec<String> = (1..classes.len()).map(|node| lab.line(node)).collect();
    for (seen, class) in seen.iter().zip(&classes[1..]) {
        let own = seen.ends_with(":4000");
        assert_eq!(own, matches!(class, Open | Blocked), "{class:?} is seen as {seen}");
    }
    for node in 1..classes.len() {
        let other = if node % 2 == 1 { node } else { node - 2 };
        lab.say(node, &seen[other]);
    }
    for (index, (one, other)) in pairs.iter().enumerate() {
        let word = if meet(*one, *other) { "met" } else { "alone" };
        for node in [2 * index + 1, 2 * index + 2] {
            assert_eq!(lab.line(node), word, "{one:?} and {other:?}");
        }
    }
    for node in 1..classes.len() {
        lab.say(node, "");
        lab.ended(node);
    }
    lab.kill(0);
    let sample = lab.sample();
    assert!(sample.health.nat.in_packets > 0 && sample.health.nat.out_packets == 0, "{sample:?}");
}

pub(super) fn what_nobody_asked_for_is_dropped_and_counted(bed: Bed) {
    const SENT: u64 = 40;
    for class in [FullCone, PortRestricted, Symmetric, Blocked] {
        let mut lab = network(&[Open, class], bed, LinkSpec::TRANSPARENT);
        lab.start(0, &format!("blast {} {SENT} 400 1 0", address(1)));
        assert_eq!(lab.line(0), "sent");
        let sample = lab.sample_when(|sample| sample.health.nat.in_packets == SENT);
        assert_eq!(sample.health.nat.in_bytes, SENT * 428);
        assert_eq!(sample.access[1].backward.carried_bytes, SENT * 428, "the downlink carried it");
        assert_eq!(entry(&sample, 1, 2).packets, 0, "the ledger has what arrived");
    }
}

pub(super) fn what_is_translated_arrives_whole(bed: Bed) {
    for class in [FullCone, PortRestricted, Symmetric, Blocked] {
        // Datagrams, alone and cut out of super-packets.
        for forward in [limited(8), LinkSpec::TRANSPARENT] {
            let mut lab = network(&[class, Open], bed, forward);
            lab.start_listener(1, "count");
            lab.start(0, &format!("blast {} 500 1000 25 30000", address(1)));
            assert_eq!(lab.line(0), "sent");
            lab.sample_when(|sample| entry(sample, 1, 2).packets == 500);
            lab.say(1, "stop");
            assert_eq!(lab.counts(1), (500, 0));
        }
        // Questions and their answers.
        let mut lab = network(&[class, Open], bed, limited(40));
        lab.start_listener(1, "echo");
        lab.start(0, &format!("ping {} 20 0", address(1)));
        let [answered, ..]: [f64; 4] = lab.numbers(0);
        assert!(answered > 19.5, "{answered} of 20 answered through {class:?}");
        lab.kill(1);
        // A flow, every byte of which is looked at.
        lab.start_listener(1, "sink 50 200");
        lab.start(0, &format!("source {}", address(1)));
        let [bytes, _] = lab.numbers(1);
        assert!(bytes > 5e5, "{bytes} bytes through {class:?}");
        assert_eq!(lab.sample().health.nat.packets(), 0, "{class:?}");
    }
}
