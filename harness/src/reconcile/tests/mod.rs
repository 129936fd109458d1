//! Each way in which a run can be wrong makes it invalid, with a sentence that names what is wrong.

mod counters;

use std::{net::IpAddr, sync::Arc, time::Duration};

use peerbed_contract::{Event, EventKind, TerminalStatus};
use peerbed_link::{FabricNode, FabricPlace};
use peerbed_model::{Act, Action, NewLink};

use super::*;
use crate::{
    fixture::{self, change},
    record::{Carried, NodeExit, RunRecord},
};

fn judge(record: &RunRecord) -> Validity {
    Validity::of(&RunView::of(record))
}

/// The reasons against the fixture's run after `damage`.
fn after(damage: impl FnOnce(&mut RunRecord)) -> Vec<String> {
    let mut record = fixture::record("hybrid", 0);
    damage(&mut record);
    let validity = judge(&record);
    assert_eq!(validity.valid(), validity.reasons().is_empty());
    validity.reasons().to_vec()
}

fn transfer_of<'a>(event: &'a mut Event, node: &str, remote: &str) -> Option<&'a mut peerbed_contract::TransferRecord> {
    match &mut event.kind {
        EventKind::Transfer(transfer) if event.node.as_str() == node && transfer.remote == fixture::address(remote) => {
            Some(transfer)
        }
        _ => None,
    }
}

fn finished(event: &mut Event, number: u32) -> Option<&mut peerbed_contract::DownloadRecord> {
    match &mut event.kind {
        EventKind::DownloadFinished(record) if record.download == number => Some(record),
        _ => None,
    }
}

fn killed(record: &mut RunRecord, node: &str) {
    let plan = Arc::make_mut(&mut record.plan);
    plan.timeline.push(Action { at: Duration::from_secs(5), act: Act::Kill { nodes: vec![fixture::name(node)] } });
    let exit = record.exits.iter_mut().find(|exit| exit.node.as_str() == node).expect("every node has one");
    (exit.code, exit.signal) = (None, Some(9));
    record.events.retain(|event| event.node.as_str() != node || event.kind != EventKind::Stopped);
}

#[test]
fn the_clean_run_is_valid() {
    assert_eq!(after(|_| ()), [""; 0]);
    assert_eq!(judge(&fixture::record("hybrid", 0)).set_apart(), SetApart::default());
}

#[test]
fn a_byte_between_sender_and_receiver_is_too_much() {
    let reasons = after(|record| {
        change(record, |event| transfer_of(event, "peer-1", "peer-2").map(|transfer| transfer.sent += 1));
    });
    assert_eq!(reasons, ["peer-1 says it sent 700001 bytes of `patch` to peer-2, which says it received 700000"]);
}

#[test]
fn several_lines_of_a_pair_are_summed() {
    let reasons = after(|record| {
        change(record, |event| transfer_of(event, "peer-1", "peer-2").map(|transfer| transfer.sent -= 1));
        let rest = fixture::transfer("peer-2", "patch", 1, 0);
        record.events.push(Event { node: fixture::name("peer-1"), t: 1, kind: rest });
    });
    assert_eq!(reasons, [""; 0]);
}

#[test]
fn a_broken_connection_is_set_apart_but_cannot_bring_bytes_from_nowhere() {
    let broken = |sent: i64| {
        let mut record = fixture::record("hybrid", 0);
        change(&mut record, |event| {
            let transfer = transfer_of(event, "peer-1", "peer-2")?;
            transfer.broken = true;
            transfer.sent = transfer.sent.saturating_add_signed(sent);
            Some(())
        });
        judge(&record)
    };
    let more = broken(1000);
    assert_eq!(more.reasons(), [""; 0]);
    assert_eq!(more.set_apart(), SetApart { broken_pairs: 1, broken_bytes: 701_000, ..SetApart::default() });
    assert!(broken(-1).reasons()[0].contains("peer-1 says it sent 699999 bytes"));
}

#[test]
fn a_run_that_is_mostly_broken_is_not_reconciled() {
    let reasons = after(|record| {
        for event in &mut record.events {
            if let EventKind::Transfer(transfer) = &mut event.kind {
                transfer.broken = true;
            }
        }
    });
    assert_eq!(
        reasons,
        ["2105000 of 2105000 content bytes belong to connections that broke, so most could not be reconciled"]
    );
}

#[test]
fn what_moves_broke_is_set_apart_and_the_rest_is_judged() {
    // Everything of peer-1 broke, or everything of everybody.
    let run = |moved: &[&str], broken: &[&str]| {
        let mut record = fixture::record("hybrid", 0);
        let nodes = moved.iter().map(|node| fixture::name(node)).collect();
        let act = Act::Move { nodes, to: Vec::new() };
        record.acts.push(Carried { at: Duration::from_secs(5), began_ns: 5_000_000_000, done_ns: 5_001_000_000, act });
        let addresses: Vec<IpAddr> = broken.iter().map(|node| fixture::address(node).into()).collect();
        for event in &mut record.events {
            let own = broken.contains(&event.node.as_str());
            if let EventKind::Transfer(transfer) = &mut event.kind {
                transfer.broken |= own || addresses.contains(&transfer.remote);
            }
        }
        judge(&record)
    };
    let one = run(&["peer-1"], &["peer-1"]);
    assert_eq!(one.reasons(), [""; 0]);
    assert!(one.set_apart().moved_bytes > 0 && one.set_apart().broken_pairs == 0, "{:?}", one.set_apart());
    assert!(run(&[], &["peer-1"]).set_apart().broken_pairs > 0);
    let all = ["peer-0", "peer-1", "peer-2"];
    let nothing_left = run(&all, &all);
    let reasons = nothing_left.reasons();
    assert!(reasons.len() == 1 && reasons[0].contains("broke when their nodes moved"), "{reasons:?}");
}

#[test]
fn what_a_mover_exchanged_is_told_apart_by_where_it_was() {
    // peer-1 has a place in the other AS; what it got there from peer-2 crosses no border any more.
    let mut record = fixture::record("hybrid", 0);
    let plan = Arc::make_mut(&mut record.plan);
    let there = plan.nodes.iter().find(|node| node.name.as_str() == "peer-2").unwrap().config.as_number;
    let home = plan.fabric.nodes.iter().find(|node| node.name.as_str() == "peer-1").unwrap().clone();
    let address: IpAddr = [10, 0, 9, 9].into();
    let at = FabricNode { name: fixture::name("peer-1.1"), as_number: there, address, ..home.clone() };
    plan.fabric.places.push(FabricPlace { of: home.name, at });
    let between = |record: &RunRecord| {
        let view = RunView::of(record);
        assert_eq!(view.strange, [""; 0]);
        let bytes = view.peer_bytes_by_as();
        let sum = |same: bool| bytes.iter().filter(|((a, b), _)| (a == b) == same).map(|(_, bytes)| bytes).sum::<u64>();
        (sum(true), sum(false))
    };
    let before = between(&record);
    let mut told = 0;
    for event in &mut record.events {
        let node = event.node.to_string();
        let EventKind::Transfer(transfer) = &mut event.kind else { continue };
        if node == "peer-1" && transfer.remote == IpAddr::from(fixture::address("peer-2")) {
            transfer.local = Some(address);
            told += transfer.received + transfer.sent;
        } else if node == "peer-2" && transfer.remote == IpAddr::from(fixture::address("peer-1")) {
            transfer.remote = address;
        }
    }
    assert!(told > 0, "they exchanged something");
    assert_eq!(between(&record), (before.0 + told, before.1 - told));
    // An address that is not its own is strange.
    change(&mut record, |event| match &mut event.kind {
        EventKind::Transfer(transfer) if event.node.as_str() == "peer-2" => {
            transfer.local = Some(address);
            Some(())
        }
        _ => None,
    });
    assert!(RunView::of(&record).strange[0].contains("peer-2 exchanged content from 10.0.9.9"));
}

#[test]
fn what_was_cut_off_is_set_apart_and_the_rest_is_judged() {
    // The two ASes have one link; peer-2 and edge-1 are behind it.
    let cut = |record: &mut RunRecord| {
        let plan = Arc::make_mut(&mut record.plan);
        let link = &plan.fabric.links[0];
        let (forward, backward) = (link.forward.cut(), link.backward.cut());
        let new = NewLink { link: 0, name: link.name.clone(), forward, backward };
        plan.timeline.push(Action { at: Duration::from_secs(5), act: Act::Cut { ases: Vec::new(), links: vec![new] } });
    };
    let break_all = |record: &mut RunRecord, within: bool| {
        let behind = [fixture::address("peer-2"), fixture::address("edge-1")];
        for event in &mut record.events {
            let far = ["peer-2", "edge-1"].contains(&event.node.as_str());
            if let EventKind::Transfer(transfer) = &mut event.kind {
                let crosses = far != behind.iter().any(|address| transfer.remote == *address);
                transfer.broken |= crosses || within;
            }
        }
    };
    let run = |planned: bool, within: bool| {
        let mut record = fixture::record("hybrid", 0);
        if planned {
            cut(&mut record);
        }
        break_all(&mut record, within);
        judge(&record)
    };
    let good = run(true, false);
    assert_eq!(good.reasons(), [""; 0]);
    assert!(good.set_apart().cut_bytes > 0 && good.set_apart().broken_pairs == 0, "{:?}", good.set_apart());
    let none = run(true, true);
    assert!(none.reasons()[0].contains("belong to connections that broke, so most could not"), "{:?}", none.reasons());
    // Without a plan the counters tell: what came to the link in the end did not leave it.
    let mut record = fixture::record("hybrid", 0);
    break_all(&mut record, false);
    assert_eq!(judge(&record).set_apart().cut_pairs, 0);
    let last = record.samples.last_mut().expect("samples");
    last.links[0].backward.offered_packets += 1;
    last.links[0].backward.dropped_packets += 1;
    assert_eq!(judge(&record).set_apart(), good.set_apart());
    // Where everything was behind it, its name is the reason.
    let mut record = fixture::record("hybrid", 0);
    cut(&mut record);
    break_all(&mut record, false);
    record.events.retain(|event| match &event.kind {
        EventKind::Transfer(transfer) => transfer.broken,
        _ => true,
    });
    let reasons = judge(&record).reasons().to_vec();
    let link = &record.plan.fabric.links[0].name;
    assert!(
        reasons.iter().any(|reason| reason.contains(&format!("broke over {link}, which was cut at 5 s"))),
        "{reasons:?}"
    );
}

#[test]
fn a_planned_kill_sets_its_pairs_apart_and_an_unplanned_death_does_not() {
    // The killed sender never told what it sent.
    let mute = |record: &mut RunRecord| {
        record.events.retain(|event| {
            event.node.as_str() != "peer-1" || !matches!(event.kind, EventKind::Transfer(_) | EventKind::Stopped)
        });
    };
    let mut record = fixture::record("hybrid", 0);
    killed(&mut record, "peer-1");
    mute(&mut record);
    let validity = judge(&record);
    assert_eq!(validity.reasons(), [""; 0]);
    assert_eq!(validity.set_apart(), SetApart { killed_pairs: 2, killed_bytes: 1_300_000, ..SetApart::default() });

    let reasons = after(|record| {
        mute(record);
        let exit = record.exits.iter_mut().find(|exit| exit.node.as_str() == "peer-1").expect("every node has one");
        *exit = NodeExit { t: 5_000_000_000, code: None, signal: Some(11), planned: false, ..exit.clone() };
    });
    assert_eq!(
        reasons,
        [
            "peer-1 was ended by signal 11 at 5.0 s, which nobody planned",
            "peer-1 ended without its last word `stopped`: what it said is not all",
            "peer-1 says it sent 0 bytes of `patch` to peer-0, which says it received 600000",
            "peer-1 says it sent 0 bytes of `patch` to peer-2, which says it received 700000",
        ]
    );
}

#[test]
fn the_downloads_of_a_killed_peer_may_be_lost() {
    let reasons = after(|record| {
        killed(record, "peer-2");
        record
            .events
            .retain(|event| event.node.as_str() != "peer-2" || matches!(event.kind, EventKind::DownloadStarted { .. }));
    });
    assert_eq!(reasons, [""; 0]);
    // What it had told of its transfers before does not count against it either.
    let reasons = after(|record| {
        killed(record, "peer-2");
        let ended = |event: &Event| matches!(event.kind, EventKind::DownloadFinished(_));
        record.events.retain(|event| event.node.as_str() != "peer-2" || !ended(event));
    });
    assert_eq!(reasons, [""; 0]);
}

#[test]
fn nodes_that_had_to_be_killed_or_failed_at_the_end_are_named() {
    let reasons = after(|record| {
        (record.exits[0].code, record.exits[0].signal) = (None, Some(9));
        record.exits[2].code = Some(4);
        record.exits.pop();
    });
    assert_eq!(
        reasons,
        [
            "edge-0 did not stop when asked and was ended by signal 9 at 10.0 s",
            "peer-0 stopped with exit code 4 at 10.0 s",
            "the end of peer-2 was never seen",
        ]
    );
}

#[test]
fn used_and_wasted_bytes_are_what_was_received() {
    let reasons = after(|record| {
        change(record, |event| finished(event, 2).map(|download| download.wasted_bytes -= 1));
    });
    assert_eq!(reasons, ["peer-0 received 105000 bytes of `film`, but its downloads used and wasted 104999"]);
    let reasons = after(|record| {
        record.events.retain(|event| !matches!(event.kind, EventKind::Transfer(_)));
    });
    assert!(reasons.iter().any(|reason| reason == "no content byte was received, so nothing could be reconciled"));
    assert!(
        reasons
            .iter()
            .any(|reason| reason == "peer-2 received 0 bytes of `patch`, but its downloads used and wasted 1000000"),
        "{reasons:?}"
    );
}

#[test]
fn a_record_must_add_up() {
    let with = |damage: fn(&mut peerbed_contract::DownloadRecord)| {
        after(|record| change(record, |event| finished(event, 0).map(damage)))
    };
    assert_eq!(
        with(|download| download.sources[0].bytes -= 1),
        ["download 0 of peer-0 names sources of 399999 edge and 600000 peer bytes, but has used 400000 and 600000"]
    );
    assert_eq!(
        with(|download| {
            download.edge_bytes -= 1;
            download.wasted_bytes += 1;
        }),
        ["download 0 of peer-0 is completed with 999999 of 1000000 bytes"]
    );
    assert_eq!(
        with(|download| download.size = 5),
        ["download 0 of peer-0 is of 5 bytes, but `patch` has 1000000 bytes"]
    );
    assert_eq!(
        with(|download| {
            download.status = TerminalStatus::Failed;
            download.edge_bytes += 9;
        })[0],
        "download 0 of peer-0 used 1000009 bytes of an object of 1000000"
    );
}

#[test]
fn every_download_begins_and_ends_once() {
    let without = |keep: fn(&Event) -> bool| after(|record| record.events.retain(keep));
    assert_eq!(
        without(|event| !matches!(&event.kind, EventKind::DownloadFinished(end) if end.download == 3)),
        ["download 3 of peer-2 was started and has no terminal record"]
    );
    assert_eq!(
        without(|event| match &event.kind {
            EventKind::DownloadFinished(end) => end.download != 3,
            EventKind::DownloadStarted { download, .. } => *download != 3,
            _ => true,
        }),
        ["download 3 of peer-2 was never started"]
    );
    let twice = after(|record| {
        let again = record
            .events
            .iter()
            .find(|event| matches!(&event.kind, EventKind::DownloadFinished(end) if end.download == 3));
        record.events.extend(again.cloned());
    });
    assert_eq!(twice, ["download 3 of peer-2 was started 1 times and has 2 terminal records"]);
}

#[test]
fn a_download_after_the_end_need_not_begin() {
    let at = |ms: u64| {
        after(|record| {
            let plan = Arc::make_mut(&mut record.plan);
            if let peerbed_contract::RoleConfig::Peer(peer) = &mut plan.nodes[2].config.role {
                let mut step = peer.script[0].clone();
                (step.download, step.at_ns) = (77, ms * 1_000_000);
                peer.script.push(step);
            }
        })
    };
    assert_eq!(at(9_900), [""; 0]);
    assert_eq!(at(9_700), ["download 77 of peer-0 was never started"]);
}

#[test]
fn a_run_without_downloads_is_not_valid() {
    let validity = judge(&fixture::record_of(fixture::plan("hybrid", 0), &[]));
    assert_eq!(
        validity.reasons(),
        [
            "no download was planned, so nothing was measured",
            "no content byte was received, so nothing could be reconciled",
        ]
    );
    let reasons = after(|record| record.events.retain(|event| event.kind == EventKind::Stopped));
    assert_eq!(reasons[0], "no download was started, so nothing was measured");
}

#[test]
fn strangers_are_not_overheard() {
    let reasons = after(|record| {
        let say = |node: &str, kind| Event { node: fixture::name(node), t: 1, kind };
        record.events.push(say("ghost", EventKind::Started));
        let mut stranger = fixture::transfer("peer-0", "patch", 10, 0);
        if let EventKind::Transfer(transfer) = &mut stranger {
            transfer.remote = [10, 9, 9, 9].into();
        }
        record.events.push(say("edge-0", stranger));
        record.events.push(say("peer-1", EventKind::DownloadPaused { download: 0 }));
        record.events.push(say("peer-1", EventKind::DownloadPaused { download: 99 }));
    });
    assert_eq!(
        reasons,
        [
            "an event came from `ghost`, which is no node of the plan",
            "edge-0 exchanged content with 10.9.9.9, which is no node of the plan",
            "peer-1 spoke of download 0, which is in the script of peer-0",
            "peer-1 spoke of download 99, which no script has",
        ]
    );
}

#[test]
fn faults_and_interruption_are_reasons_and_an_interrupted_run_is_not_blamed_for_what_it_did_not_reach() {
    let reasons = after(|record| {
        record.faults.push("edge-0 took 9 s to start".into());
        record.interrupted = true;
        record.exits.clear();
        record.events.retain(|event| match &event.kind {
            EventKind::DownloadFinished(end) => end.download != 3,
            EventKind::DownloadStarted { download, .. } => *download != 3,
            EventKind::Stopped => false,
            _ => true,
        });
    });
    assert_eq!(reasons, ["interrupted: the run was ended before its time", "edge-0 took 9 s to start"]);
}

#[test]
fn of_many_findings_the_first_are_written_out() {
    let mut reasons = Reasons::default();
    reasons.add_all("oddities", (0..9).map(|number| number.to_string()).collect());
    assert_eq!(reasons.0, ["0", "1", "2", "3", "4", "… and 4 more oddities"]);
}
