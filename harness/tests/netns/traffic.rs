//! Nodes reach each other through the network, and nothing of it touches the host's.

use peerbed::{engine::EndsChoice, runtime::Deployment};

use crate::support::{address, assert_gone, block_on, helper, host, line_of, members, name, namespaces, plan, up_with};

fn packets_cross(ends: EndsChoice) {
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(vec![helper("echo"), helper("caller")]);
    let before = host();
    block_on(async {
        let (deployment, mut notices) = up_with(ends, &plan, directory.path(), &mut |_| {}).await.unwrap();
        let caller = name("n1");
        deployment.line(&caller, &format!("ping {}", address(0))).await.unwrap();
        let answer = line_of(&mut notices, "n1").await;
        let rtt: u64 = answer.strip_prefix("rtt_us ").expect(&answer).parse().unwrap();
        // Two crossings of a link of 10 ms; the upper bound only tells a working network from a broken one.
        assert!((20_000..2_000_000).contains(&rtt), "{rtt} µs");

        deployment.line(&caller, &format!("tcp {} 3000000", address(0))).await.unwrap();
        assert_eq!(line_of(&mut notices, "n1").await, "echoed well cubic");

        let sample = deployment.sample().await.unwrap();
        let uplink = sample.access[1].forward.carried_bytes;
        assert!((3_000_000..6_000_000).contains(&uplink), "{uplink} bytes up");
        assert_eq!(host(), before, "the host's network changed while nodes ran");
        let spaces = namespaces(&members(directory.path()));
        assert_eq!(spaces.len(), 3, "one of the agent, two of nodes");
        deployment.down().await.unwrap();
        assert_gone(directory.path(), &spaces);
        deployment.down().await.expect("again is no error");
    });
    assert_eq!(host(), before, "the host's network changed");
}

#[test]
fn packets_cross_packet_ends() {
    packets_cross(EndsChoice::Packet);
}

#[test]
fn packets_cross_the_ends_this_user_gets() {
    packets_cross(EndsChoice::Auto);
}
