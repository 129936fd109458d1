//! What is wrong with counters, the engine or the machine.

use std::time::Duration;

use super::after;

#[test]
fn wire_bytes_must_be_plausible() {
    // The ledger without its edge bytes, and the links with them.
    let scaled = |percent: u64| {
        after(|record| {
            for entry in record.samples.iter_mut().flat_map(|sample| &mut sample.ledger) {
                if entry.kind == peerbed_link::Kind::Peer {
                    entry.bytes = entry.bytes * percent / 100;
                }
            }
        })
    };
    let low = scaled(97);
    assert!(
        low[0].starts_with("1350000 content bytes came from peers, but the network carried only 1374975"),
        "{low:?}"
    );
    assert!(low[1].starts_with("the ledger counted"), "{low:?}");
    let high = scaled(300);
    assert!(high[0].starts_with("1350000 content bytes came from peers, but the network carried 4252500"), "{high:?}");
}

#[test]
fn the_ledger_and_the_downlinks_count_the_same() {
    let more = |bytes: u64| {
        after(|record| {
            let last = record.samples.last_mut().expect("samples");
            last.access[2].backward.carried_bytes += bytes;
        })
    };
    // Six nodes may each have two packets under way.
    assert_eq!(more(18_000), [""; 0]);
    assert_eq!(
        more(18_001),
        [
            "the ledger counted 2214250 bytes, but the downlinks carried 2232251: they differ by more than the 18000 bytes \
          that can be under way"
        ]
    );
}

#[test]
fn the_engine_must_keep_its_times() {
    assert_eq!(
        after(|record| record.samples.last_mut().expect("samples").health.overruns = 3),
        ["3 packets were lost between the kernel and the link engine, which no link was asked to lose"]
    );
    // What was lost before the start does not count.
    assert_eq!(after(|record| record.samples.iter_mut().for_each(|sample| sample.health.overruns = 3)), [""; 0]);
    let late = |seconds: usize| {
        after(|record| {
            record.samples.iter_mut().skip(1).take(seconds).for_each(|sample| sample.health.late_p99_ns = 6_000_000);
        })
    };
    assert_eq!(late(1), [""; 0]);
    assert_eq!(
        late(2),
        ["the link engine was late: in 2 of 11 seconds the 99th percentile was over 5 ms (worst 6.000 ms)"]
    );
    // Of a run of less than ten seconds a single one is too much.
    let short = |late: usize| {
        let reasons = after(|record| {
            let last = record.samples.pop().expect("samples");
            record.samples.truncate(4);
            record.samples.push(last);
            record.samples.iter_mut().skip(1).take(late).for_each(|sample| sample.health.late_p99_ns = 5_004_000);
        });
        reasons.into_iter().filter(|reason| reason.contains("late")).collect::<Vec<_>>()
    };
    assert_eq!(short(0), [""; 0]);
    assert_eq!(
        short(1),
        ["the link engine was late: in 1 of 4 seconds the 99th percentile was over 5 ms (worst 5.004 ms)"]
    );
    let idle = after(|record| record.samples.iter_mut().for_each(|sample| sample.health.released = 0));
    assert_eq!(idle, ["the link engine released no packet"]);
}

#[test]
fn the_machine_must_keep_up() {
    assert_eq!(
        after(|record| record.tick_late_max = Duration::from_millis(501)),
        ["the harness's own tick was 501 ms late (limit 500 ms): the machine was overloaded"]
    );
    assert_eq!(
        after(|record| record.host.last_mut().expect("samples").cpu.steal_ms = 4000),
        ["the hypervisor took 17 % of the processor time (limit 10 %)"]
    );
    assert_eq!(
        after(|record| record.host.clear()),
        ["the host was not observed from the beginning to the end of the run"]
    );
}

#[test]
fn counters_must_be_there_fit_and_never_go_back() {
    assert_eq!(
        after(|record| record.samples.truncate(1)),
        ["there are no counters from the beginning and the end of the run"]
    );
    let fewer = after(|record| record.samples.iter_mut().for_each(|sample| sample.access.truncate(5)));
    assert_eq!(fewer[0], "the counters are not of this plan: 6 nodes and 1 links were planned, 5 and 1 counted");
    let back = after(|record| record.samples[6].links[0].forward.carried_packets = 0);
    assert_eq!(back, ["counters went back at 6.0 s"]);
}
