//! What nodes are given here that containers get from their engine.

use peerbed::{
    engine::EndsChoice,
    runtime::{Deployment, Runtime},
};

use crate::support::{block_on, files, idle, line_of, netns, plan, shell};

#[test]
fn a_congestion_control_that_is_not_there_is_named_before_the_run() {
    let mut plan = plan(vec![idle()]);
    plan.fabric.congestion_control = "nonesuch".to_owned();
    let unmet = block_on(netns(EndsChoice::Auto).preflight(&plan));
    assert!(unmet.iter().any(|unmet| unmet.need == "congestion control"), "{unmet:?}");
}

#[test]
fn nodes_have_their_own_limits_and_little_environment() {
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(vec![shell(
        "echo limit $(ulimit -Sn); echo nice $(nice); echo home ${HOME:-unset}; echo up $(cat /sys/class/net/lo/flags >/dev/null; echo yes); exec cat",
    )]);
    block_on(async {
        let runtime = netns(EndsChoice::Auto);
        let (deployment, mut notices) = runtime.up(&plan, &files(directory.path()), &mut |_| {}).await.unwrap();
        let limit = line_of(&mut notices, "n0").await;
        let limit: u64 = limit.strip_prefix("limit ").unwrap().parse().unwrap();
        assert!(limit >= 1024, "{limit}");
        assert_eq!(line_of(&mut notices, "n0").await, "nice 0");
        assert_eq!(line_of(&mut notices, "n0").await, "home unset");
        deployment.down().await.unwrap();
    });
}
