//! What nodes are given here that containers get from their engine.

use std::{path::Path, time::Duration};

use peerbed::{
    agent::probe,
    engine::{EndsChoice, EngineChoice, EngineOptions},
    runtime::{Deployment, Runtime},
};
use peerbed_link::{FabricLink, LinkSpec};
use peerbed_model::{Act, Action, NewLink};

use crate::support::{block_on, files, idle, line_of, netns, plan, shell};

#[test]
fn a_congestion_control_that_is_not_there_is_named_before_the_run() {
    let mut plan = plan(vec![idle()]);
    plan.fabric.congestion_control = "nonesuch".to_owned();
    let unmet = block_on(netns(EngineOptions::wire(EndsChoice::Auto)).preflight(&plan));
    assert!(unmet.iter().any(|unmet| unmet.need == "congestion control"), "{unmet:?}");
}

/// On a kernel that has everything nothing is missing, and on one that has no netem only what needs it is refused.
#[test]
fn what_the_kernel_lacks_is_told_before_the_run() {
    let options = |engine| EngineOptions { engine, ..EngineOptions::wire(EndsChoice::Auto) };
    let mut with_delay = plan(vec![idle(), idle()]);
    let mut without = with_delay.clone();
    let FabricLink { forward, backward, .. } = &mut without.fabric.links[0];
    (*forward, *backward) = (LinkSpec::TRANSPARENT, LinkSpec::TRANSPARENT);
    let mut later = without.clone();
    let slow = LinkSpec { delay: Duration::from_millis(5), ..LinkSpec::TRANSPARENT };
    let act = Act::SetLink(NewLink { link: 0, name: "a~b".to_owned(), forward: slow, backward: slow });
    later.timeline = vec![Action { at: Duration::from_secs(1), act }];
    let lacking = probe::ask(Path::new(env!("CARGO_BIN_EXE_peerbed")), "cubic").unwrap().kernel_engine;
    assert!(lacking.iter().all(|lack| lack.for_delays), "the tests need a kernel with the rest of it: {lacking:?}");

    block_on(async {
        let tc = netns(options(EngineChoice::Tc));
        assert_eq!(tc.preflight(&without).await, []);
        for plan in [&with_delay, &later] {
            let unmet = tc.preflight(plan).await;
            assert_eq!(unmet.len(), lacking.len(), "{unmet:?}");
            assert!(
                unmet.iter().all(|one| one.need.contains("netem") && one.remedy.contains("linux-image")),
                "{unmet:?}"
            );
            assert_eq!(netns(options(EngineChoice::Auto)).preflight(plan).await, []);
        }
        // Whoever does not ask before is told by the agent.
        with_delay.fabric.seed += 1;
        for (plan, choice, fits) in [
            (&without, EngineChoice::Auto, true),
            (&with_delay, EngineChoice::Auto, lacking.is_empty()),
            (&later, EngineChoice::Auto, lacking.is_empty()),
            (&with_delay, EngineChoice::Tc, lacking.is_empty()),
        ] {
            let directory = tempfile::tempdir().unwrap();
            match (netns(options(choice)).up(plan, &files(directory.path()), &mut |_| {}).await, choice) {
                (Ok((deployment, _notices)), _) => {
                    let engine = if fits { "tc" } else { "wire" };
                    assert_eq!(deployment.engine().engine, engine);
                    deployment.down().await.unwrap();
                }
                (Err(error), EngineChoice::Tc) if !fits => {
                    let error = error.to_string();
                    assert!(error.contains("netem") && error.contains("linux-image"), "{error}");
                }
                (Err(error), _) => panic!("{error}"),
            }
        }
    });
}

#[test]
fn nodes_have_their_own_limits_and_little_environment() {
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(vec![shell(
        "echo limit $(ulimit -Sn); echo nice $(nice); echo home ${HOME:-unset}; echo up $(cat /sys/class/net/lo/flags >/dev/null; echo yes); exec cat",
    )]);
    block_on(async {
        let runtime = netns(EngineOptions::wire(EndsChoice::Auto));
        let (deployment, mut notices) = runtime.up(&plan, &files(directory.path()), &mut |_| {}).await.unwrap();
        let limit = line_of(&mut notices, "n0").await;
        let limit: u64 = limit.strip_prefix("limit ").unwrap().parse().unwrap();
        assert!(limit >= 1024, "{limit}");
        assert_eq!(line_of(&mut notices, "n0").await, "nice 0");
        assert_eq!(line_of(&mut notices, "n0").await, "home unset");
        deployment.down().await.unwrap();
    });
}

/// What `peerbed bench` compares engines with.
#[test]
fn without_an_engine_two_nodes_are_joined_by_a_veth_pair() {
    let directory = tempfile::tempdir().unwrap();
    let server = shell("echo hello | busybox nc -l -p 7000; exec cat");
    let client = shell("until busybox nc -w 5 10.1.0.16 7000 </dev/null; do :; done; exec cat");
    let linked = plan(vec![server, client]);
    let mut bare = linked.clone();
    bare.fabric.links.clear();
    bare.fabric.routes.clear();
    let mut shaped = bare.clone();
    shaped.fabric.nodes[1].access.down.delay = Duration::from_millis(1);
    let options = EngineOptions { engine: EngineChoice::Bare, ..EngineOptions::wire(EndsChoice::Auto) };
    block_on(async {
        let runtime = netns(options);
        let (deployment, mut notices) = runtime.up(&bare, &files(directory.path()), &mut |_| {}).await.unwrap();
        assert_eq!(deployment.engine().engine, "none");
        assert_eq!(line_of(&mut notices, "n1").await, "hello");
        deployment.down().await.unwrap();
        for more in [&linked, &shaped] {
            let error = runtime.up(more, &files(directory.path()), &mut |_| {}).await.map(drop).unwrap_err();
            assert!(error.to_string().contains("without a link engine"), "{error}");
        }
    });
}
