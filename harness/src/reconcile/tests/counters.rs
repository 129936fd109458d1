//! What is wrong with counters, the engine or the machine.

use std::time::Duration;

use super::after;
use crate::host::CpuTimes;

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
fn what_enters_a_link_is_accounted_for() {
    // Packets that entered in the seventh second and were never seen again, or in the very last one.
    let vanish = |from: usize, packets: u64| {
        after(|record| {
            for sample in &mut record.samples[from..] {
                sample.links[0].forward.offered_packets += packets;
            }
        })
    };
    let [reason] = &vanish(7, 20)[..] else { panic!("{:?}", vanish(7, 20)) };
    assert!(reason.contains("packets that entered the link ") && reason.contains(", 20 were neither"), "{reason}");
    let last = crate::fixture::record("hybrid", 0).samples.len() - 1;
    assert_eq!(vanish(last, 20), [""; 0], "it may still be on its way");
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
            "the ledger counted 2214250 bytes, address translation kept 0 from hosts and 0 came to places that hosts had left, but the downlinks carried 2232251: they differ by \
          more than the 18000 bytes that can be under way"
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
    let late = |seconds: usize, ns: u64| {
        after(|record| {
            record.samples.iter_mut().skip(1).take(seconds).for_each(|sample| sample.health.late_p99_ns = Some(ns));
        })
    };
    assert_eq!(late(1, 6_000_000), [""; 0]);
    assert_eq!(late(2, 5_000_000), [""; 0]);
    let reason = "the machine was not up to it in 2 of 10 seconds (limit 10 %): the link engine was late, 99th percentile, in 2 \
                  (up to 6 ms, limit 5 ms)";
    assert_eq!(late(2, 6_000_000), [reason]);
    // Of a run of less than ten seconds with traffic a single one is too much.
    let short = after(|record| {
        record.samples[3..].iter_mut().for_each(|sample| sample.health.released = 0);
        record.samples[1].health.late_p99_ns = Some(5_100_000);
    });
    assert_eq!(short, [reason.replace("2 of 10", "1 of 2").replace("in 2 (up to 6", "in 1 (up to 5.1")]);
    let idle = after(|record| record.samples.iter_mut().for_each(|sample| sample.health.released = 0));
    assert_eq!(idle, ["the link engine released no packet"]);
}

#[test]
fn the_machine_must_keep_up() {
    assert_eq!(
        after(|record| record.tick_late[4] = Duration::from_millis(501)),
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
fn seconds_in_which_the_machine_was_overloaded_are_marked_and_counted() {
    // A second in which everything was wrong, and another with the processors busy.
    let wrong = |seconds: &'static [usize]| {
        after(move |record| {
            for &second in seconds {
                record.samples[second].health.late_max_ns = Some(50_100_000);
                record.tick_late[second] = Duration::from_millis(101);
                for host in &mut record.host[second..] {
                    let pressure = host.pressure.as_mut().expect("pressure");
                    pressure.cpu_us += 900_000;
                    pressure.memory_us += 101_000;
                }
                record.host[second].runnable = 17;
            }
        })
    };
    assert_eq!(wrong(&[4]), [""; 0], "one of ten is allowed");
    let reason = "the machine was not up to it in 2 of 10 seconds (limit 10 %): the link engine was late with a packet in 2 \
                  (up to 50.1 ms, limit 50 ms); the harness's own tick was late in 2 (up to 101 ms, limit 100 ms); something \
                  waited for a processor in 2 (up to 90.1 %, limit 85 %); something waited for memory in 2 (up to 10.1 %, \
                  limit 10 %); tasks were runnable for each core in 2 (up to 8.5, limit 8)";
    assert_eq!(wrong(&[4, 7]), [reason]);
    // Of 2000 ms in a second, 1100 are idle; now 60 are, and of the others the hypervisor or interrupts have some.
    let busy = |of: fn(&mut CpuTimes) -> &mut u64, ms: u64| {
        after(|record| {
            for (second, host) in record.host.iter_mut().enumerate() {
                let marked = second.min(3) as u64;
                host.cpu.idle_ms -= 1040 * marked;
                host.cpu.user_ms += (1040 - ms) * marked;
                *of(&mut host.cpu) += ms * marked;
            }
        })
    };
    let busy_reason = "the machine was not up to it in 3 of 10 seconds (limit 10 %): the processors were busy in 3 (up to 97 %, \
                       limit 95 %)";
    assert_eq!(busy(|cpu| &mut cpu.system_ms, 500), [busy_reason]);
    assert_eq!(
        busy(|cpu| &mut cpu.interrupt_ms, 920),
        [format!("{busy_reason}; interrupts took processor time in 3 (up to 51 %, limit 50 %)")]
    );
    assert_eq!(
        busy(|cpu| &mut cpu.steal_ms, 440),
        [format!("{busy_reason}; the hypervisor took processor time in 3 (up to 22 %, limit 20 %)")]
    );
}

#[test]
fn the_clock_must_go_on_evenly() {
    let set = |by: i64| after(|record| record.host[5..].iter_mut().for_each(|host| host.wall_offset_ns += by));
    assert_eq!(set(100_000_000), [""; 0]);
    assert_eq!(set(3_600_000_000_000), ["the machine's clock was set by +3600.0 s, 5.0 s into the run"]);
    assert_eq!(set(-200_000_000), ["the machine's clock was set by -0.2 s, 5.0 s into the run"]);
    // While it sleeps, the wall clock goes on as well.
    let slept = after(|record| {
        for host in &mut record.host[5..] {
            host.wall_offset_ns += 7_000_000_000;
            host.boot_offset_ns += 7_000_000_000;
        }
    });
    assert_eq!(slept, ["the machine slept for 7.0 s, 5.0 s into the run"]);
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
