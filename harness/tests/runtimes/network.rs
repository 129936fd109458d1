//! Nodes reach each other through the network as it was planned, and nothing of it touches the machine's own.

use std::time::Duration;

use peerbed::{
    engine::{EndsChoice, EngineChoice, EngineOptions, Sample},
    runtime::{Deployment, Notices},
};
use peerbed_link::{Bandwidth, Duplex, LinkSpec, Rate};
use peerbed_model::{Act, NewLink, Plan};

use crate::{
    bed::{Bed, Up},
    support::{changes, end_of, line_of, name, plan, shell},
};

/// How many bytes a server sends: the lines of `seq 1 400000`.
const SENT: u64 = 2_688_895;
/// Their checksum, as `md5sum` prints it.
const CHECKSUM: &str = "9661da04da603a826131297f907b45fb  -";

/// A plan of a server and of a node that does what it is told.
fn server_and_client() -> Plan {
    let answer = r"{ printf 'HTTP/1.0 200 OK\r\n\r\n'; seq 1 400000; }";
    let server = shell(&format!("while :; do {answer} | busybox nc -l -p 7000 >/dev/null; done"));
    plan(vec![server, shell(r#"while read -r what; do eval "$what" </dev/null; done"#)])
}

/// Fetch what the server sends. Between two clients nobody listens, so it tries until there is something.
const FETCH: &str = "until busybox wget -q -O /dev/stdout http://10.1.0.16:7000/ > /tmp/got.$$ 2>/dev/null; do :; done; \
                     md5sum < /tmp/got.$$; rm /tmp/got.$$";

/// What `n1` prints when it does this.
async fn ask(deployment: &impl Deployment, notices: &mut Notices, what: &str) -> String {
    deployment.line(&name("n1"), what).await.unwrap();
    line_of(notices, "n1").await
}

/// How long `n1` waits for the answer of `n0` that nobody listens at a port, milliseconds: one round trip, measured there and
/// rounded down to ten.
async fn round_trip(deployment: &impl Deployment, notices: &mut Notices) -> f64 {
    let what = "busybox time -f time=%e busybox nc -w 5 10.1.0.16 9 2>&1 | grep time=";
    let answer = ask(deployment, notices, what).await;
    let seconds: Option<f64> = answer.strip_prefix("time=").and_then(|time| time.parse().ok());
    seconds.unwrap_or_else(|| panic!("{answer}")) * 1e3
}

/// Bytes that crossed each link on the way from the server to the client, and what the ledger has of them.
fn carried(sample: &Sample) -> [u64; 4] {
    let ledger = sample.ledger.iter().filter(|entry| u32::from(entry.from) == 1 && u32::from(entry.to) == 2);
    [
        sample.access[0].forward.carried_bytes,
        sample.links[0].forward.carried_bytes,
        sample.access[1].backward.carried_bytes,
        ledger.map(|entry| entry.bytes).sum(),
    ]
}

async fn packets_cross<B: Bed>(ends: EndsChoice) {
    let bed = B::new(ends).await;
    let before = bed.surroundings().await;
    let mut up = Up::on(bed, &server_and_client()).await;
    let wanted = if ends == EndsChoice::Packet { &["packet"][..] } else { &["packet", "tun"] };
    assert!(wanted.contains(&up.deployment.engine().ends.as_str()), "{:?}", up.deployment.engine());
    // Two crossings of a link of 10 ms; the upper bound only tells a working network from a broken one.
    let time = round_trip(&up.deployment, &mut up.notices).await;
    assert!((20.0..2000.0).contains(&time), "{time} ms");

    assert_eq!(ask(&up.deployment, &mut up.notices, FETCH).await, CHECKSUM);
    let sample = up.deployment.sample().await.unwrap();
    for count in carried(&sample) {
        assert!((SENT..2 * SENT).contains(&count), "{count} bytes of {SENT}: {sample:?}");
    }
    let devices = "tail -n +3 /proc/self/net/dev | cut -d: -f1 | tr -d ' ' | sort | tr '\\n' ' '; echo";
    assert_eq!(ask(&up.deployment, &mut up.notices, devices).await.trim(), "eth0 lo");

    let meanwhile = changes(&before, &up.bed.surroundings().await);
    assert!(meanwhile.is_empty(), "the machine's network changed while nodes ran: {meanwhile:#?}");
    let standing = up.standing().await;
    assert_eq!(B::places(&standing), 3, "one of the agent, two of nodes");
    up.deployment.down().await.unwrap();
    up.assert_gone(standing).await;
    let after = changes(&before, &up.bed.surroundings().await);
    assert!(after.is_empty(), "the machine's network changed: {after:#?}");
}

pub(crate) async fn packets_cross_packet_ends<B: Bed>() {
    packets_cross::<B>(EndsChoice::Packet).await;
}

pub(crate) async fn packets_cross_the_ends_this_user_gets<B: Bed>() {
    packets_cross::<B>(EndsChoice::Auto).await;
}

/// A link of 20 Mbit/s that takes so long.
fn slow(delay: u64) -> LinkSpec {
    let bandwidth = Bandwidth::Limited(Rate::from_bps(20_000_000).unwrap());
    LinkSpec { bandwidth, delay: Duration::from_millis(delay), ..LinkSpec::TRANSPARENT }
}

pub(crate) async fn links_change_while_they_are_used<B: Bed>() {
    let mut plan = server_and_client();
    (plan.fabric.links[0].forward, plan.fabric.links[0].backward) = (slow(10), slow(10));
    let mut up = Up::on(B::new(EndsChoice::Auto).await, &plan).await;
    up.deployment.line(&name("n1"), FETCH).await.unwrap();
    // The transfer of a second is under way when its first tenth has arrived.
    let sample = loop {
        let sample = up.deployment.sample().await.unwrap();
        if carried(&sample)[2] > SENT / 10 {
            break sample;
        }
    };
    assert!(carried(&sample)[2] < SENT, "it is over before the link could change");
    let link = Act::SetLink(NewLink { link: 0, name: "a~b".to_owned(), forward: slow(60), backward: slow(60) });
    up.deployment.apply(&link).await.unwrap();
    assert_eq!(line_of(&mut up.notices, "n1").await, CHECKSUM, "what was under way was not lost");
    let time = round_trip(&up.deployment, &mut up.notices).await;
    assert!((120.0..2000.0).contains(&time), "{time} ms over a link of 60 ms");

    let Duplex { up: uplink, down } = plan.fabric.nodes[1].access;
    let uplink = LinkSpec { delay: Duration::from_millis(200), ..uplink };
    up.deployment.apply(&Act::SetAccess { node: name("n1"), up: uplink, down }).await.unwrap();
    let time = round_trip(&up.deployment, &mut up.notices).await;
    assert!((320.0..2200.0).contains(&time), "{time} ms with an uplink of 200 ms");
    let after = up.deployment.sample().await.unwrap();
    assert!(carried(&after).iter().zip(carried(&sample)).all(|(after, before)| *after > before), "counters go on");
    up.deployment.down().await.unwrap();
}

pub(crate) async fn a_restarted_node_has_its_link_again<B: Bed>() {
    let mut up = Up::on(B::new(EndsChoice::Auto).await, &server_and_client()).await;
    round_trip(&up.deployment, &mut up.notices).await;
    let before = up.deployment.sample().await.unwrap().access[1];
    for _ in 0..3 {
        up.deployment.apply(&Act::Restart { nodes: vec![name("n1")] }).await.unwrap();
        // What it says now comes after the end of what ran before.
        end_of(&mut up.notices, "n1").await;
        let time = round_trip(&up.deployment, &mut up.notices).await;
        assert!((20.0..2000.0).contains(&time), "{time} ms");
    }
    let after = up.deployment.sample().await.unwrap().access[1];
    assert!(after.forward.carried_packets >= before.forward.carried_packets + 3, "{before:?} {after:?}");
    up.deployment.down().await.unwrap();
}

/// A plan whose links have no delay, which every kernel can have, and the `tc` engine to carry it.
fn of_the_kernel() -> (Plan, EngineOptions) {
    let mut plan = server_and_client();
    (plan.fabric.links[0].forward, plan.fabric.links[0].backward) = (slow(0), slow(0));
    plan.fabric.nodes[1].access.up = slow(0);
    (plan, EngineOptions { engine: EngineChoice::Tc, ..EngineOptions::wire(EndsChoice::Auto) })
}

pub(crate) async fn the_kernel_carries_and_counts<B: Bed>() {
    let (plan, options) = of_the_kernel();
    let bed = B::with(options).await;
    let before = bed.surroundings().await;
    let mut up = Up::on(bed, &plan).await;
    let engine = up.deployment.engine();
    assert_eq!((engine.engine.as_str(), engine.ends.as_str()), ("tc", "veth"));
    let mut fetched = 0;
    for restarts in 0..3 {
        if restarts > 0 {
            up.deployment.apply(&Act::Restart { nodes: vec![name("n1")] }).await.unwrap();
            // What it says now comes after the end of what ran before.
            end_of(&mut up.notices, "n1").await;
        }
        assert_eq!(ask(&up.deployment, &mut up.notices, FETCH).await, CHECKSUM);
        fetched += SENT;
        let sample = up.deployment.sample().await.unwrap();
        for count in carried(&sample) {
            assert!((fetched..fetched + fetched / 10).contains(&count), "{count} bytes of {fetched}: {sample:?}");
        }
        // Nothing is lost, and what has arrived was counted on every link of its way.
        let [up, link, down, ledger] = carried(&sample);
        assert!(up >= link && link >= down && down >= ledger, "{sample:?}");
    }
    let Duplex { down, .. } = plan.fabric.nodes[1].access;
    up.deployment.apply(&Act::SetAccess { node: name("n1"), up: slow(0), down: slow(0) }).await.unwrap();
    up.deployment.apply(&Act::SetAccess { node: name("n1"), up: down, down }).await.unwrap();
    assert_eq!(ask(&up.deployment, &mut up.notices, FETCH).await, CHECKSUM);
    let count = carried(&up.deployment.sample().await.unwrap())[2];
    assert!((fetched + SENT..2 * fetched).contains(&count), "counters go on: {count}");
    let standing = up.standing().await;
    up.deployment.down().await.unwrap();
    up.assert_gone(standing).await;
    let after = changes(&before, &up.bed.surroundings().await);
    assert!(after.is_empty(), "the machine's network changed: {after:#?}");
}

pub(crate) async fn two_networks_do_not_meet<B: Bed>() {
    let mut one = Up::on(B::new(EndsChoice::Auto).await, &server_and_client()).await;
    let mut other = Up::on(B::new(EndsChoice::Auto).await, &server_and_client()).await;
    assert_eq!(ask(&one.deployment, &mut one.notices, FETCH).await, CHECKSUM);
    let sample = other.deployment.sample().await.unwrap();
    assert_eq!(carried(&sample), [0; 4], "the other has the same addresses, and nothing of this");
    one.deployment.down().await.unwrap();
    assert_eq!(ask(&other.deployment, &mut other.notices, FETCH).await, CHECKSUM);
    other.deployment.down().await.unwrap();
}
