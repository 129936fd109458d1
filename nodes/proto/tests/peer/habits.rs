//! The upload setting, other use of the link, the caps that follow from it, and machines that go and come back.

use peerbed_contract::{Courtesy, EventKind, Guid, Habit, HabitAct, TerminalStatus, UserAct, UserMoment};

use crate::{
    agenda::Todo,
    net::{SECOND, address_of},
    world::{Outcome, World, object, speed},
};

fn at(seconds: u64, act: HabitAct) -> Habit {
    Habit { at_ns: seconds * SECOND, act }
}

const SHUT_DOWN: HabitAct = HabitAct::Offline { clean: true };
const ASLEEP: HabitAct = HabitAct::Offline { clean: false };
const BACK: HabitAct = HabitAct::Online { restored: false };

/// One holder with these habits, an edge of 2 Mbit/s and a downloader of a large object, so that it takes long.
fn slow(habits: Vec<Habit>) -> World {
    let mut world = World::new(object(64, 262_144));
    world.edges = vec![2.0];
    let holder = world.seed_peer(20.0);
    holder.config.habits = habits;
    holder.config.uploads.rate_bps = Some(8_000_000);
    world.downloader(5.0, 40.0, 0, vec![]).config.uploads.enabled = false;
    world
}

/// Content bits a second that the first holder handed to its connections between two moments.
fn rate(world: &World, from: u64, to: u64) -> f64 {
    let mut net = world.build();
    let host = world.peer_host(0);
    net.run_until(from * SECOND);
    let before = net.sent[&host];
    net.run_until(to * SECOND);
    let bits = (net.sent[&host] - before) * 8;
    World::run(net, (to + 1) * SECOND);
    bits as f64 / (to - from) as f64
}

fn times(outcome: &Outcome, host: usize, wanted: fn(&EventKind) -> bool) -> Vec<u64> {
    outcome.net.events.iter().filter(|(_, of, event)| *of == host && wanted(event)).map(|(at, _, _)| *at).collect()
}

#[test]
fn switching_uploads_off_withdraws_copies_and_ends_uploads_in_good_order() {
    let mut world = slow(vec![at(5, HabitAct::UploadsOff), at(25, HabitAct::UploadsOn)]);
    for moment in [10, 30] {
        world.downloader(5.0, 40.0, moment * SECOND, vec![]).config.uploads.enabled = false;
    }
    let outcome = World::run(world.build(), 400 * SECOND);
    assert!(!outcome.any_broken());
    let control = world.control_host(0);
    let told = times(&outcome, control, |event| matches!(event, EventKind::UploadsSwitched { .. }));
    assert!(told[0].abs_diff(5 * SECOND) < SECOND && told[1].abs_diff(25 * SECOND) < SECOND, "{told:?}");
    let parted = times(&outcome, world.peer_host(0), |event| matches!(event, EventKind::Transfer(t) if t.sent > 0));
    assert!((5 * SECOND..6 * SECOND).contains(&parted[0]), "{parted:?}");
    let copies = |download| outcome.completed(download).copies_registered;
    assert_eq!((copies(1), copies(2), copies(3)), (Some(1), Some(0), Some(1)));
    assert!(outcome.completed(3).peer_bytes > 0);
}

#[test]
fn a_download_goes_on_from_the_peers_that_it_no_longer_serves() {
    // Both download and serve each other; one switches its uploads off and still gets from the other.
    let mut world = World::new(object(32, 262_144));
    world.edges = vec![4.0];
    world.seed_peer(10.0);
    world.downloader(10.0, 40.0, 0, vec![]).config.habits = vec![at(4, HabitAct::UploadsOff)];
    world.downloader(10.0, 40.0, 0, vec![]);
    let outcome = World::run(world.build(), 120 * SECOND);
    assert!(!outcome.any_broken());
    let from = |download: u32, peer: usize| {
        let address = address_of(world.peer_host(peer));
        outcome.completed(download).sources.iter().find(|source| source.address == address).map_or(0, |s| s.bytes)
    };
    assert!(from(1, 2) > 2 * from(2, 1) && from(2, 1) > 0, "{} {}", from(1, 2), from(2, 1));
}

#[test]
fn uploads_stop_while_the_link_is_used_and_come_back_step_by_step() {
    let world = slow(vec![at(10, HabitAct::LinkBusy), at(20, HabitAct::LinkIdle)]);
    let (before, during) = (rate(&world, 4, 9), rate(&world, 11, 20));
    assert!((7e6..8.1e6).contains(&before), "{before}");
    assert!(during == 0.0, "{during}");
    // The downloader comes back a few seconds after it was refused, and the rate doubles each second from a tenth.
    let after = rate(&world, 34, 40);
    assert!(after > 7e6, "{after}");
    let outcome = World::run(world.build(), 60 * SECOND);
    assert!(!outcome.any_broken());
}

#[test]
fn a_share_of_the_rate_may_be_left_to_uploads_and_the_back_off_is_seen() {
    let mut world = slow(vec![at(10, HabitAct::LinkBusy), at(20, HabitAct::LinkIdle)]);
    let courtesy = |busy, back_off| Courtesy { busy_rate_bps: busy, downloading_rate_bps: None, back_off_ns: back_off };
    world.peers[0].config.courtesy = courtesy(Some(800_000), 4 * SECOND);
    let during = rate(&world, 12, 20);
    assert!((0.6e6..0.9e6).contains(&during), "{during}");
    let (first, second) = (rate(&world, 20, 24), rate(&world, 25, 28));
    assert!(first < 1e6 && (1.4e6..1.8e6).contains(&second), "{first} {second}");
    world.peers[0].config.courtesy = courtesy(None, SECOND);
    let ignored = rate(&world, 12, 20);
    assert!(ignored > 7e6, "{ignored}");
}

#[test]
fn an_own_download_can_come_before_uploads() {
    let mut world = slow(vec![]);
    let other = peerbed_contract::Object { id: crate::world::content("other"), ..object(16, 262_144) };
    world.objects.push(other.clone());
    let step = peerbed_contract::ScriptStep { download: 9, at_ns: 10 * SECOND, content: other.id, user: vec![] };
    world.peers[0].config.script.push(step);
    let during = |world: &World| rate(world, 14, 20);
    assert!(during(&world) > 7e6, "by default it changes nothing");
    world.peers[0].config.courtesy.downloading_rate_bps = Some(2_000_000);
    let slowed = during(&world);
    assert!((1.6e6..2.1e6).contains(&slowed), "{slowed}");
}

#[test]
fn each_connection_keeps_to_its_own_rate_and_the_rest_is_shared_fairly() {
    let mut world = World::new(object(64, 262_144));
    world.edges = vec![1.0];
    let holder = world.seed_peer(40.0);
    holder.config.uploads.rate_bps = Some(16_000_000);
    holder.config.uploads.connection_rate_bps = Some(3_000_000);
    for _ in 0..3 {
        world.downloader(5.0, 40.0, 0, vec![]).config.uploads.enabled = false;
    }
    let total = rate(&world, 4, 14);
    assert!((8.5e6..9.1e6).contains(&total), "{total}");
    // With five the whole rate is less than what each could have, and each gets the same.
    for _ in 0..3 {
        world.downloader(5.0, 40.0, 0, vec![]).config.uploads.enabled = false;
    }
    let outcome = World::run(world.build(), 30 * SECOND);
    let bytes: Vec<u64> = (1..7).map(|download| outcome.record(download).peer_bytes).collect();
    let (least, most) = (bytes.iter().min().unwrap(), bytes.iter().max().unwrap());
    assert!(most - least <= 4 * 262_144, "{bytes:?}");
    assert!(bytes.iter().sum::<u64>() > 50_000_000, "{bytes:?}");
}

/// A downloader with these habits beside two holders.
fn churning(habits: Vec<Habit>, user: Vec<UserMoment>) -> World {
    let mut world = World::new(object(32, 262_144));
    world.edges = vec![4.0];
    world.downloader(5.0, 40.0, SECOND, user).config.habits = habits;
    for _ in 0..2 {
        world.seed_peer(5.0);
    }
    world
}

#[test]
fn a_machine_that_is_shut_down_takes_its_download_up_where_it_was() {
    let world = churning(vec![at(8, SHUT_DOWN), at(28, BACK)], vec![]);
    let outcome = World::run(world.build(), 120 * SECOND);
    assert!(!outcome.any_broken());
    let record = outcome.completed(0);
    assert_eq!((record.offline_ns, record.pauses, record.stalls), (20 * SECOND, 0, 0), "{record:?}");
    assert_eq!(record.end_ns - record.start_ns, record.active_ns + record.offline_ns);
    assert!(record.wasted_bytes < 2_000_000, "{record:?}");
    // It is as fast as without a break, but for its two starts.
    let whole = World::run(churning(vec![], vec![]).build(), 120 * SECOND);
    assert!(speed(record) > 0.8 * speed(whole.completed(0)), "{} {}", speed(record), speed(whole.completed(0)));
    let host = world.peer_host(0);
    assert_eq!(times(&outcome, host, |event| matches!(event, EventKind::Offline { clean: true })), [8 * SECOND]);
    assert_eq!(times(&outcome, host, |event| matches!(event, EventKind::Online)), [28 * SECOND]);
}

#[test]
fn a_machine_that_falls_asleep_breaks_its_connections_and_loses_nothing_it_holds() {
    let world = churning(vec![at(8, ASLEEP), at(28, BACK)], vec![]);
    let outcome = World::run(world.build(), 120 * SECOND);
    assert!(outcome.any_broken());
    let record = outcome.completed(0);
    assert_eq!((record.offline_ns, record.pauses), (20 * SECOND, 0));
    let nothing = times(&outcome, world.peer_host(0), |event| matches!(event, EventKind::Transfer(_)));
    assert!(nothing.iter().all(|at| *at <= 8 * SECOND || *at >= 28 * SECOND), "{nothing:?}");
}

#[test]
fn nothing_comes_or_goes_while_a_machine_is_away() {
    let mut world = churning(vec![], vec![]);
    world.peers[1].config.habits = vec![at(4, SHUT_DOWN), at(60, BACK)];
    // A second downloader comes while the holder is away, and a third when it is back.
    world.downloader(5.0, 40.0, 40 * SECOND, vec![]).config.uploads.enabled = false;
    world.downloader(5.0, 40.0, 70 * SECOND, vec![]).config.uploads.enabled = false;
    let outcome = World::run(world.build(), 160 * SECOND);
    let gone = address_of(world.peer_host(1));
    let gave = |download: u32| outcome.completed(download).sources.iter().any(|source| source.address == gone);
    assert!(gave(0) && !gave(3) && gave(4));
    assert_eq!(outcome.completed(3).copies_registered, Some(2), "of the other holder and the first downloader");
}

#[test]
fn a_pause_and_an_abort_wait_for_the_machine() {
    let pause = UserMoment { after_active_ns: 2 * SECOND, act: UserAct::Pause { resume_after_ns: Some(4 * SECOND) } };
    let abort = UserMoment { after_active_ns: 4 * SECOND, act: UserAct::Abort };
    // Paused from 3 s on, away from 5 s to 20 s: it resumes at 20 s, and is aborted two active seconds later.
    let outcome = World::run(churning(vec![at(5, SHUT_DOWN), at(20, BACK)], vec![pause, abort]).build(), 60 * SECOND);
    let record = outcome.record(0);
    assert_eq!(record.status, TerminalStatus::Aborted);
    assert_eq!((record.end_ns, record.active_ns, record.offline_ns), (22 * SECOND, 4 * SECOND, 15 * SECOND));
}

#[test]
fn a_download_that_is_due_while_the_machine_is_away_begins_when_it_is_back() {
    let mut world = World::new(object(8, 262_144));
    world.downloader(5.0, 40.0, 5 * SECOND, vec![]).config.habits = vec![at(2, SHUT_DOWN), at(12, BACK)];
    // One that never comes back does not begin at all, and its machine still stops in good order.
    world.downloader(5.0, 40.0, SECOND, vec![]).config.habits = vec![at(1, SHUT_DOWN)];
    let outcome = World::run(world.build(), 60 * SECOND);
    assert_eq!(outcome.completed(0).start_ns, 12 * SECOND);
    assert!(!outcome.records.contains_key(&1));
}

#[test]
fn a_run_that_ends_while_the_machine_is_away_says_how_long() {
    let outcome = World::run(churning(vec![at(8, SHUT_DOWN)], vec![]).build(), 20 * SECOND);
    let record = outcome.record(0);
    assert_eq!(record.status, TerminalStatus::Unfinished);
    assert_eq!((record.active_ns, record.offline_ns), (7 * SECOND, 12 * SECOND));
}

#[test]
fn each_start_has_its_own_secondary_guid_and_a_restored_one_forgets_the_later() {
    let mut world = World::new(object(8, 262_144));
    let image = Guid::from_bytes([7; 16]);
    let peer = world.seed_peer(5.0);
    peer.config.secondary = vec![image];
    peer.config.habits =
        vec![at(5, SHUT_DOWN), at(10, BACK), at(15, SHUT_DOWN), at(20, HabitAct::Online { restored: true })];
    let outcome = World::run(world.build(), 30 * SECOND);
    let logins: Vec<Vec<Guid>> = outcome
        .net
        .events
        .iter()
        .filter_map(|(_, _, event)| match event {
            EventKind::Login(login) => Some(login.secondary.clone()),
            _ => None,
        })
        .collect();
    let [first, second, third] = &logins[..] else { panic!("{logins:?}") };
    assert_eq!(first[1..], [image]);
    assert_eq!(second[1..], first[..]);
    // Two starts follow the same one: that is how a restored or copied installation is found.
    assert_eq!(third[1..], [image]);
    assert!(third[0] != first[0] && third[0] != second[0]);
}

#[test]
fn copies_of_an_installation_do_not_replace_each_other_without_end() {
    let mut world = World::new(object(8, 262_144));
    let guid = world.seed_peer(5.0).config.guid;
    world.seed_peer(5.0).config.guid = guid;
    world.downloader(5.0, 40.0, 60 * SECOND, vec![]);
    let outcome = World::run(world.build(), 120 * SECOND);
    // Each waits twice as long after every time, up to half a minute; each login of one sends the other away.
    let logins = times(&outcome, world.control_host(0), |event| matches!(event, EventKind::Login(_)));
    assert!((6..30).contains(&logins.len()), "{}", logins.len());
    // One of them is there most of the time, so that a downloader finds the copy.
    assert_eq!(outcome.completed(2).copies_registered, Some(1));
}

#[test]
fn a_process_that_starts_late_is_where_its_user_is_by_then() {
    let mut world = World::new(object(8, 262_144));
    world.seed_peer(5.0).config.habits = vec![at(2, HabitAct::UploadsOff), at(4, SHUT_DOWN), at(12, BACK)];
    let mut net = world.build();
    let host = world.peer_host(0);
    net.at(3 * SECOND, Todo::Kill(host));
    net.run_until(6 * SECOND);
    net.hosts[host].program = crate::net::Program::Peer(Box::new(world.peer_machine(0)));
    net.hosts[host].alive = true;
    net.input(host, peerbed_proto::Input::Start);
    let outcome = World::run(net, 20 * SECOND);
    assert_eq!(times(&outcome, host, |event| matches!(event, EventKind::Offline { .. })), [6 * SECOND]);
    let logins: Vec<(u64, bool)> = outcome
        .net
        .events
        .iter()
        .filter_map(|(at, _, event)| match event {
            EventKind::Login(login) => Some((*at / SECOND, login.uploads)),
            _ => None,
        })
        .collect();
    assert_eq!(logins, [(0, true), (12, false)]);
}
