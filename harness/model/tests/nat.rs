//! NAT classes of a group, from the file to the plan.

mod common;

use common::{EXPERIMENT, TOPOLOGY, peers, read};
use peerbed_contract::NatClass;
use peerbed_model::Plan;

fn plan(nat: &str, peers: u32) -> Plan {
    let text = EXPERIMENT.replacen("peers: 10", &format!("peers: {peers}, nat: {nat}"), 1);
    let experiment =
        read(text.as_bytes(), TOPOLOGY.replace("/28", "/24").as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}"));
    experiment.plan("hybrid", 0, None).unwrap()
}

fn counts(plan: &Plan) -> [usize; 5] {
    NatClass::ALL.map(|class| peers(plan).filter(|(_, peer)| peer.nat == class).count())
}

#[test]
fn shares_are_rounded_to_whole_peers_and_one_word_is_for_all() {
    let mix = "{none: 20%, full-cone: 30%, port-restricted: 40%, symmetric: 10%}";
    assert_eq!(counts(&plan(mix, 20)), [4, 6, 8, 2, 0]);
    // 2.2, 3.3, 4.4, 1.1: the largest rest is rounded up.
    assert_eq!(counts(&plan(mix, 11)), [2, 3, 5, 1, 0]);
    assert_eq!(counts(&plan("blocked", 7)), [0, 0, 0, 0, 7]);
    let thirds = "{none: 33.3%, symmetric: 33.3%, blocked: 33.4%}";
    assert_eq!(counts(&plan(thirds, 10)), [3, 0, 0, 3, 4]);
}

#[test]
fn the_network_and_the_peer_agree_and_servers_have_none() {
    let plan = plan("{none: 50%, port-restricted: 50%}", 10);
    for (node, planned) in plan.fabric.nodes.iter().zip(&plan.nodes) {
        match &planned.config.role {
            peerbed_contract::RoleConfig::Peer(peer) => assert_eq!(node.nat, peer.nat, "{}", node.name),
            _ => assert_eq!(node.nat, NatClass::None, "{}", node.name),
        }
    }
}

#[test]
fn a_peer_keeps_its_class_as_far_as_shares_allow() {
    let classes = |nat: &str| peers(&plan(nat, 20)).map(|(_, peer)| peer.nat).collect::<Vec<_>>();
    let (few, many) = (classes("{none: 80%, symmetric: 20%}"), classes("{none: 60%, symmetric: 40%}"));
    assert!(few.iter().zip(&many).all(|(few, many)| *few == NatClass::None || few == many), "{few:?} {many:?}");
    assert_ne!(few, many);
}
