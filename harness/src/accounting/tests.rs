//! Accusations on reports whose truth is known.

use std::collections::BTreeMap;

use peerbed_contract::{
    ContentId, Event, EventKind, Guid, Inflate, LoginRecord, NatClass, Offence, Role, RoleConfig, UsageRecord,
};

use super::{Accounting, claims::Claims, verdict::judge};
use crate::{fixture, metrics::RunView, record::RunRecord};

fn guid(number: u8) -> Guid {
    Guid::from_bytes([number; 16])
}

fn content() -> &'static ContentId {
    static CONTENT: std::sync::LazyLock<ContentId> = std::sync::LazyLock::new(|| "patch".parse().expect("a name"));
    &CONTENT
}

/// What everybody reports of true transfers (sender, receiver, bytes) when some multiply what they say.
fn claims(transfers: &[(u8, u8, u64)], factors: &BTreeMap<u8, u64>) -> Claims<'static> {
    let mut claims = Claims::default();
    for (sender, receiver, bytes) in transfers {
        let says = |who: &u8| bytes * factors.get(who).copied().unwrap_or(1);
        claims.totals.entry((guid(*sender), content(), Some(guid(*receiver)))).or_default().1 += says(sender);
        claims.totals.entry((guid(*receiver), content(), Some(guid(*sender)))).or_default().0 += says(receiver);
        claims.whole.extend([guid(*sender), guid(*receiver)]);
    }
    claims
}

/// Who is accused, and how many disputes are left open.
fn accused(claims: &Claims<'_>) -> (Vec<u8>, usize) {
    let verdict = judge(claims);
    (verdict.accused.keys().map(|guid| guid.as_bytes()[0]).collect(), verdict.disputes.len())
}

const MB: u64 = 1_000_000;

#[test]
fn nobody_is_accused_of_the_truth_nor_of_what_was_lost_on_the_way() {
    let transfers = [(1, 5, MB), (2, 5, 2 * MB), (1, 6, 3 * MB), (5, 6, MB)];
    let mut honest = claims(&transfers, &BTreeMap::new());
    assert_eq!(accused(&honest), (vec![], 0));
    // 150 kB of 3 MB were sent and not received.
    honest.totals.get_mut(&(guid(6), content(), Some(guid(1)))).unwrap().0 -= 150_000;
    assert_eq!(accused(&honest), (vec![], 0));
    assert_eq!(judge(&honest).pairs_judged, 4);
    // As much again each time that one of them moved.
    honest.totals.get_mut(&(guid(6), content(), Some(guid(1)))).unwrap().0 -= 250_000;
    assert_eq!(accused(&honest), (vec![], 1));
    honest.moves.insert(guid(1), 1);
    assert_eq!(accused(&honest), (vec![], 0));
}

#[test]
fn who_contradicts_all_is_singled_out_and_its_partners_are_cleared() {
    let transfers = [(1, 5, MB), (1, 6, MB), (1, 7, MB), (2, 5, MB), (2, 6, MB), (3, 7, MB)];
    assert_eq!(accused(&claims(&transfers, &[(1, 3)].into())), (vec![1], 0));
    // A receiver that lies of everything.
    let transfers = [(1, 5, MB), (2, 5, MB), (3, 5, MB), (1, 6, MB), (2, 6, MB), (3, 7, MB)];
    assert_eq!(accused(&claims(&transfers, &[(5, 2)].into())), (vec![5], 0));
}

#[test]
fn transfers_that_never_were_are_contradicted_too() {
    let mut claims = claims(&[(2, 5, MB), (2, 6, MB), (1, 7, MB)], &BTreeMap::new());
    for receiver in [5, 6] {
        claims.totals.entry((guid(1), content(), Some(guid(receiver)))).or_default().1 = 4 * MB;
    }
    assert_eq!(accused(&claims), (vec![1], 0));
}

#[test]
fn of_a_lonely_pair_nobody_is_accused() {
    let pair = claims(&[(1, 5, MB)], &[(1, 3)].into());
    assert_eq!(accused(&pair), (vec![], 1));
    let told = judge(&pair).disputes[0].to_string();
    assert!(told.contains("sent 3000000 bytes") && told.contains("received 1000000"), "{told}");
}

#[test]
fn an_honest_peer_among_liars_who_agree_is_not_accused() {
    // Two liars with the same factor agree with each other; 5 meets nobody else.
    let transfers =
        [(1, 5, MB), (2, 5, MB), (1, 2, MB), (1, 6, MB), (2, 6, MB), (1, 7, MB), (2, 7, MB), (3, 6, MB), (3, 7, MB)];
    assert_eq!(accused(&claims(&transfers, &[(1, 3), (2, 3)].into())), (vec![1, 2], 0));
}

#[test]
fn what_cannot_be_compared_is_not_judged() {
    let transfers = [(1, 5, MB), (1, 6, MB), (1, 7, 90_000)];
    let mut claims = claims(&transfers, &[(1, 3)].into());
    claims.whole.remove(&guid(5)); // killed before its last report
    let verdict = judge(&claims);
    assert_eq!((verdict.pairs_judged, verdict.pairs_not_judged), (1, 2));
    assert!(verdict.accused.is_empty() && verdict.disputes.len() == 1);
}

#[test]
fn edges_logs_convict_and_sizes_bound_what_can_be_claimed() {
    let mut claims = Claims::default();
    let address = "10.0.0.5".parse().unwrap();
    claims.totals.insert((guid(5), content(), None), (3 * MB, 0));
    claims.addresses.entry(guid(5)).or_default().insert(address);
    assert_eq!(accused(&claims), (vec![], 0), "without the edges' logs nothing is known");
    claims.edge_log = Some([((address, content()), 3 * MB)].into());
    assert_eq!(accused(&claims), (vec![], 0));
    claims.edge_log = Some([((address, content()), MB)].into());
    assert_eq!(accused(&claims), (vec![5], 0));
    // Two that agree on a transfer that never was.
    let mut colluding = self::claims(&[(1, 2, 9 * MB)], &BTreeMap::new());
    assert_eq!(accused(&colluding), (vec![], 0));
    colluding.sizes.insert(content(), 4 * MB);
    assert_eq!(accused(&colluding), (vec![2], 0));
    // It was killed and started again, and had to begin again.
    colluding.starts.insert(guid(2), 2);
    assert_eq!(accused(&colluding), (vec![], 0));
}

#[test]
fn in_many_random_swarms_liars_are_found_and_the_honest_are_not_accused() {
    let (mut lied, mut found, mut wrong) = (0, 0, 0);
    let mut state = 7_u64;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..300 {
        // Twelve holders and twelve downloaders; a quarter of all lie, each downloader has three to eight sources.
        let factors: BTreeMap<u8, u64> = (0..24).filter(|_| draw(4) == 0).map(|peer| (peer, 3)).collect();
        let mut transfers = Vec::new();
        for receiver in 12..24_u8 {
            let first = draw(12) as u8;
            for source in 0..(3 + draw(6)) as u8 {
                transfers.push(((first + source) % 12, receiver, 300_000 + draw(2 * MB)));
            }
        }
        let (accused, _) = accused(&claims(&transfers, &factors));
        lied += factors
            .keys()
            .filter(|peer| transfers.iter().any(|(one, other, _)| one == *peer || other == *peer))
            .count();
        found += accused.iter().filter(|peer| factors.contains_key(*peer)).count();
        wrong += accused.iter().filter(|peer| !factors.contains_key(*peer)).count();
    }
    eprintln!("{lied} lied, {found} were found, {wrong} were wrongly accused");
    assert!(found * 100 >= lied * 90, "{found} of {lied}");
    // Of so many who lie alike, some swarms have no majority left.
    assert!(wrong * 50 <= found, "{wrong} of {found}");
}

fn usage(of: u8, partner: Option<u8>, received: u64, sent: u64) -> EventKind {
    EventKind::Usage(Box::new(UsageRecord {
        guid: guid(of),
        start: None,
        address: [10, 0, 0, of].into(),
        content: content().clone(),
        partner: partner.map(guid),
        received,
        sent,
        last: true,
    }))
}

/// The fixture's run, its peers with GUIDs of their own and their reports; `peer-1` (GUID 1) lies if it is told to.
fn record(lies: bool) -> RunRecord {
    let mut record = fixture::record("hybrid", 0);
    let mut plan = (*record.plan).clone();
    let mut control = None;
    for node in &mut plan.nodes {
        match &mut node.config.role {
            RoleConfig::Peer(peer) => {
                let number = node.name.as_str().trim_start_matches("peer-").parse().unwrap();
                peer.guid = guid(number);
                if number == 1 && lies {
                    peer.misbehaviour.inflate = Some(Inflate { factor: 3 });
                }
            }
            RoleConfig::Control(_) => control = Some(node.name.clone()),
            RoleConfig::Edge(_) => {}
        }
    }
    record.plan = std::sync::Arc::new(plan);
    let node = control.expect("a control plane");
    let factor = if lies { 3 } else { 1 };
    for kind in [
        usage(0, Some(1), 600_000, 0),
        usage(2, Some(1), 700_000, 0),
        usage(1, Some(0), 0, 600_000 * factor),
        usage(1, Some(2), 0, 700_000 * factor),
        EventKind::Offence { by: [192, 0, 2, 7].into(), guid: Some(guid(1)), offence: Offence::Stall, count: 2 },
    ] {
        record.events.insert(0, Event { node: node.clone(), t: 9_000_000_000, kind });
    }
    record
}

/// A login of GUID 1, of a start with this secondary GUID.
fn login(record: &mut RunRecord, address: &str, start: Option<u8>) {
    let control = record.plan.nodes.iter().find(|node| node.role == Role::Control).expect("there is one").name.clone();
    let login = LoginRecord {
        guid: guid(1),
        secondary: start.map(guid).into_iter().collect(),
        address: address.parse().unwrap(),
        as_number: None,
        region: None,
        country: None,
        uploads: true,
        nat: NatClass::None,
        version: String::new(),
    };
    record.events.push(Event { node: control, t: 1, kind: EventKind::Login(Box::new(login)) });
}

#[test]
fn who_was_killed_before_it_reported_is_not_held_to_what_it_reports_later() {
    let mut record = record(false);
    let started = |event: &mut Event, start| match &mut event.kind {
        EventKind::Usage(usage) if usage.guid == guid(1) => usage.start = Some(guid(start)),
        _ => {}
    };
    record.events.iter_mut().for_each(|event| started(event, 101));
    login(&mut record, "10.0.0.9:1", Some(101));
    let claims = |record: &RunRecord| {
        let claims = Claims::of(&RunView::of(record));
        (claims.whole.contains(&guid(1)), claims.starts.get(&guid(1)).copied())
    };
    assert_eq!(claims(&record), (true, Some(1)));
    // Of the start before nothing was heard but its login.
    login(&mut record, "10.0.0.9:1", Some(100));
    assert_eq!(claims(&record), (false, Some(2)));
}

#[test]
fn a_login_from_another_address_is_a_move() {
    let mut record = fixture::record("hybrid", 0);
    for address in ["10.0.0.9:1", "10.0.0.9:2", "10.1.0.9:1", "10.0.0.9:1"] {
        login(&mut record, address, None);
    }
    let view = RunView::of(&record);
    assert_eq!(Claims::of(&view).moves, [(guid(1), 2)].into());
}

#[test]
fn accusations_are_scored_against_the_plan_and_told() {
    let record_true = record(false);
    let honest = Accounting::of(&RunView::of(&record_true));
    assert!(honest.accused.is_empty() && honest.missed.is_empty() && honest.disputes.is_empty(), "{honest:?}");
    assert_eq!((honest.offenders.len(), honest.honest_offenders), (1, 1));

    let record_lies = record(true);
    let found = Accounting::of(&RunView::of(&record_lies));
    assert_eq!(found.accused.len(), 1);
    assert_eq!(found.accused[0].node.as_deref(), Some("peer-1"));
    assert!(found.false_accusations.is_empty() && found.missed.is_empty());
    let told = found.sentences();
    assert!(told[0].starts_with("peer-1 lied: 2 of 2 partners contradict it"), "{told:?}");
    assert!(told[1].starts_with("peer-1 owed bytes") && told[1].contains("2 times, seen by 1 node"), "{told:?}");
    let json = serde_json::to_value(&found).unwrap();
    assert!(json["accused"][0]["evidence"][0].as_str().unwrap().contains("partners contradict it"), "{json}");
}
