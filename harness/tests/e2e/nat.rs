//! Real peers behind the translations of the real engine: who exchanges pieces with whom.

use std::fmt::Write;

use peerbed_contract::NatClass;
use peerbed_proto::nat::may_connect;
use serde_json::Value;

use crate::program::{alone, project, run_in};

const TOPOLOGY: &str = "\
access:
  home: {up: 10mbit, down: 20mbit, delay: 5ms}
  server: {up: 20mbit, down: 20mbit, delay: 1ms}
ases:
  - {name: one, number: 64501, region: north, prefix: 10.1.0.0/24}
  - {name: two, number: 64502, region: north, prefix: 10.2.0.0/24}
links: [{peers: [one, two], rate: 100mbit, delay: 5ms}]
edges: [{as: one, access: server}]
control: [{as: one, access: server}]
";

fn word(class: NatClass) -> &'static str {
    match class {
        NatClass::None => "none",
        NatClass::FullCone => "full-cone",
        NatClass::PortRestricted => "port-restricted",
        NatClass::Symmetric => "symmetric",
        NatClass::Blocked => "blocked",
    }
}

/// For each pair of such a class with any other an object that one peer has and another asks for. The edge is slow enough that the peers have time
/// for each other.
fn experiment(askers: &[NatClass]) -> String {
    let (mut content, mut groups, mut workload) = (String::new(), String::new(), String::new());
    for &asker in askers {
        for holder in NatClass::ALL {
            let (asker, holder) = (word(asker), word(holder));
            let name = format!("{asker}.{holder}");
            let _ = writeln!(content, "  - {{id: {name}, size: 1MiB, piece: 32KiB, provider: A}}");
            let _ = writeln!(
                groups,
                "  - {{name: has.{name}, as: two, peers: 1, access: home, nat: {holder}, holds: {{{name}: 1}}}}\n  \
                 - {{name: asks.{name}, as: one, peers: 1, access: home, nat: {asker}}}"
            );
            let _ = writeln!(
                workload,
                "  - {{groups: [asks.{name}], content: [{name}], arrivals: {{burst: 1, at: 1500ms}}}}"
            );
        }
    }
    // The control plane names peers whatever their classes, so that those who cannot connect try.
    format!(
        "question: Who reaches whom?\ntopology: pairs\nseed: 5382\nduration: 40s\ncontent:\n{content}groups:\n{groups}\
         workload:\n{workload}policy: {{selection: {{filters: {{nat: false}}}}}}\narms: {{all: {{}}}}\n"
    )
}

#[test]
fn exactly_those_exchange_pieces_that_may_connect() {
    let _alone = alone();
    // An experiment has at most 16 workloads.
    for askers in [&NatClass::ALL[..3], &NatClass::ALL[3..]] {
        let project = project(("pairs", &experiment(askers)), ("pairs", TOPOLOGY));
        let (summary, events) = run_in(project.path(), "pairs");
        let arm = &summary["arms"]["all"];
        assert_eq!(arm["downloads"]["completed"], 5 * askers.len(), "{arm:#}");
        let finished: Vec<Value> = events.into_iter().filter(|event| event["event"] == "download_finished").collect();
        for &asker in askers {
            for holder in NatClass::ALL {
                let name = format!("{}.{}", word(asker), word(holder));
                let record = finished.iter().find(|record| record["content"] == name.as_str());
                let bytes = record.and_then(|record| record["peer_bytes"].as_u64()).expect("it was downloaded");
                println!("{name}: {bytes} bytes from the peer");
                assert_eq!(bytes > 0, may_connect(asker, holder), "{name}: {bytes} bytes from the peer");
            }
        }
    }
}
