//! A large network: every host of it is like the first. How fast it stands is for `peerbed bench` to say.

use peerbed::{agent::protocol::Notice, engine::EndsChoice, runtime::Deployment};

use crate::support::{assert_gone, block_on, is_plain, members, namespaces, next, plan, shell, up_with};

#[test]
fn a_hundred_nodes_stand_with_their_settings() {
    const NODES: usize = 100;
    let directory = tempfile::tempdir().unwrap();
    // A kernel without IPv6 has nothing to be disabled.
    let settings = "v6=1; f=/proc/sys/net/ipv6/conf/all/disable_ipv6; [ ! -e $f ] || v6=$(cat $f); \
                    echo $(cat /proc/sys/net/ipv4/tcp_rmem) / $(cat /proc/sys/net/ipv4/tcp_wmem) / $v6; exec cat";
    let plan = plan(vec![shell(settings); NODES]);
    block_on(async {
        let (deployment, mut notices) =
            up_with(EndsChoice::Packet, &plan, directory.path(), &mut |_| {}).await.unwrap();
        let spaces = namespaces(&members(directory.path()));
        assert_eq!(spaces.len(), NODES + 1);
        let mut told = std::collections::BTreeMap::new();
        while told.len() < NODES {
            if let Notice::Line { node, line } = next(&mut notices).await
                && is_plain(&line)
            {
                told.insert(node, line);
            }
        }
        for (node, line) in told {
            assert_eq!(line, "4096 131072 67108864 / 4096 16384 67108864 / 1", "{node}");
        }
        deployment.down().await.unwrap();
        assert_gone(directory.path(), &spaces);
    });
}
