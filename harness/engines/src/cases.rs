//! What the engine promises, measured: the list, and what the cases share. Margins are far narrower than any mistake; what other programs can disturb is
//! measured again, but only while they are seen to.

mod links;
mod nat;
mod passage;

use std::time::Duration;

use peerbed::{
    engine::{EngineChoice, LedgerEntry, Sample},
    host::HostSample,
};
use peerbed_link::{Bandwidth, Kind, LinkSpec, Probability, Rate};

use crate::{
    bed::{Bed, Need, slowness},
    lab::asn,
};

/// One promise.
pub(crate) type Case = fn(Bed);

/// All of them, with what they need.
pub(crate) const ALL: [(&str, &[Need], Case); 21] = [
    ("a_flow_gets_the_rate_of_its_link", &[], links::a_flow_gets_the_rate_of_its_link),
    ("access_links_have_their_rates_both_ways", &[], links::access_links_have_their_rates_both_ways),
    ("round_trips_take_the_sum_of_the_delays", &[Need::Delay], links::round_trips_take_the_sum_of_the_delays),
    ("jitter_stays_between_its_bounds", &[Need::Delay], links::jitter_stays_between_its_bounds),
    ("loss_is_what_was_asked_for", &[Need::Delay], links::loss_is_what_was_asked_for),
    ("bursts_are_lost_together", &[Need::Delay], links::bursts_are_lost_together),
    ("flows_share_a_link_between_ases", &[], links::flows_share_a_link_between_ases),
    ("a_full_queue_drops_the_rest", &[], links::a_full_queue_drops_the_rest),
    ("a_link_changes_while_packets_wait", &[], links::a_link_changes_while_packets_wait),
    ("a_link_that_is_cut_carries_nothing", &[Need::Delay], links::a_link_that_is_cut_carries_nothing),
    ("a_link_follows_its_trace", &[Need::Agent], links::a_link_follows_its_trace),
    ("what_it_cannot_carry_is_refused", &[], passage::what_it_cannot_carry_is_refused),
    ("udp_super_packets_are_cut", &[], passage::udp_super_packets_are_cut),
    ("strays_are_counted_and_hurt_nobody", &[], passage::strays_are_counted_and_hurt_nobody),
    ("what_a_node_says_to_itself_is_not_counted", &[], passage::what_a_node_says_to_itself_is_not_counted),
    ("what_the_kernel_drops_is_counted", &[Need::Agent], passage::what_the_kernel_drops_is_counted),
    (
        "what_the_machine_drops_between_devices_is_counted",
        &[Need::OwnKernel],
        passage::what_the_machine_drops_between_devices_is_counted,
    ),
    (
        "hosts_behind_translation_meet_where_their_classes_allow",
        &[Need::Agent],
        nat::hosts_behind_translation_meet_where_their_classes_allow,
    ),
    ("what_nobody_asked_for_is_dropped_and_counted", &[Need::Agent], nat::what_nobody_asked_for_is_dropped_and_counted),
    ("what_is_translated_arrives_whole", &[Need::Agent], nat::what_is_translated_arrives_whole),
    ("an_open_link_carries_whole_super_packets", &[Need::Agent], passage::an_open_link_carries_whole_super_packets),
];

/// What a TCP flow of full packets of 1500 bytes can get of a rate: 20 bytes of IP, 32 of TCP with timestamps.
const PAYLOAD_SHARE: f64 = 1448.0 / 1500.0;

fn limited(mbit: u64) -> LinkSpec {
    let rate = Rate::from_bps(mbit * 1_000_000).expect("a valid rate");
    LinkSpec { bandwidth: Bandwidth::Limited(rate), ..LinkSpec::TRANSPARENT }
}

fn delayed(millis: u64) -> LinkSpec {
    LinkSpec { delay: Duration::from_millis(millis), ..LinkSpec::TRANSPARENT }
}

/// A delay for a link on which it is not the matter, where there can be one.
fn some_delay(bed: Bed) -> Duration {
    if bed.has(&[Need::Delay]) { Duration::from_millis(5) } else { Duration::ZERO }
}

/// The name of an engine in its report.
fn engine(bed: Bed) -> &'static str {
    if bed.engine == EngineChoice::Tc { "tc" } else { "wire" }
}

/// The rates that flows are given: a processor that is emulated carries less.
fn fast() -> u64 {
    if slowness() > 1.0 { 10 } else { 40 }
}

fn share(value: f64) -> Probability {
    Probability::new(value).expect("a valid share")
}

/// What a measurement gives that must be right, unless other programs have most of the cores meanwhile, or the hypervisor
/// has them: then it is made again, five times in all.
fn undisturbed<T>(mut measurement: impl FnMut() -> Result<T, String>) -> T {
    const BUSY: f64 = 0.6;
    const STOLEN: f64 = 0.03;
    for _ in 0..5 {
        let host = || HostSample::read().expect("the host can be read").cpu;
        let before = host();
        let result = measurement();
        let after = host();
        let total = (after.total_ms() - before.total_ms()).max(1) as f64;
        let busy = 1.0 - (after.idle_ms - before.idle_ms) as f64 / total;
        let stolen = (after.steal_ms - before.steal_ms) as f64 / total;
        match result {
            Ok(value) => return value,
            Err(wrong) if busy < BUSY && stolen < STOLEN => {
                panic!("{wrong}, and the cores were busy for {:.0} % only", busy * 100.0);
            }
            Err(wrong) => println!("  {wrong}, while the cores were busy for {:.0} %: again", busy * 100.0),
        }
    }
    panic!("other programs have the cores, nothing can be measured");
}

/// What was delivered from one AS to another.
fn entry(sample: &Sample, from: u32, to: u32) -> LedgerEntry {
    let (from, to) = (asn(from), asn(to));
    let found = sample.ledger.iter().find(|entry| (entry.from, entry.to) == (from, to));
    found.copied().unwrap_or(LedgerEntry { from, to, kind: Kind::Peer, packets: 0, bytes: 0 })
}
