//! Large networks: not timed tests, but they print what they measured.

use std::time::Instant;

use peerbed::{
    engine::EndsChoice,
    runtime::{Deployment, Progress},
};

use crate::support::{assert_gone, block_on, idle, members, namespaces, plan, up_with};

fn measure(nodes: usize, ends: EndsChoice) {
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(vec![idle(); nodes]);
    block_on(async {
        let begun = Instant::now();
        let mut hosts = None;
        let mut progress = |progress| {
            if let Progress::Hosts { made, total } = progress
                && made == total
            {
                hosts = Some(begun.elapsed());
            }
        };
        let (deployment, _notices) = up_with(ends, &plan, directory.path(), &mut progress).await.unwrap();
        let ready = begun.elapsed();
        let spaces = namespaces(&members(directory.path()));
        assert_eq!(spaces.len(), nodes + 1);
        let ending = Instant::now();
        deployment.down().await.unwrap();
        let down = ending.elapsed();
        assert_gone(directory.path(), &spaces);
        eprintln!("{nodes} nodes, {ends:?}: hosts {hosts:.2?}, all ready {ready:.2?}, down {down:.2?}");
    });
}

#[test]
fn a_hundred_nodes_stand() {
    measure(100, EndsChoice::Packet);
}

#[test]
#[ignore = "a measurement: run it alone, with --no-capture"]
fn set_up_and_teardown_times() {
    for ends in [EndsChoice::Auto, EndsChoice::Packet] {
        for nodes in [100, 200, 1000] {
            measure(nodes, ends);
        }
    }
}
