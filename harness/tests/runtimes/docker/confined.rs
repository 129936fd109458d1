//! What a node may do and use: next to nothing beside its network.

use std::fs;

use peerbed::{engine::EndsChoice, runtime::Deployment};
use peerbed_model::Limits;

use super::Docker;
use crate::{
    bed::{Bed, Up},
    support::{end_of, files, idle, line_of, name, plan, shell},
};

/// A node that does what it is told.
fn obedient() -> Vec<String> {
    shell(r#"while read -r what; do eval "$what" </dev/null; done"#)
}

/// What `n0` prints when it does this.
async fn ask(up: &mut Up<Docker>, what: &str) -> String {
    up.deployment.line(&name("n0"), what).await.unwrap();
    line_of(&mut up.notices, "n0").await
}

pub(super) async fn nodes_have_no_rights() {
    let mut up = Up::<Docker>::of(vec![obedient()]).await;
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let what = format!("grep {set} /proc/self/status | tr -d '\\t'");
        assert_eq!(ask(&mut up, &what).await, format!("{set}:0000000000000000"));
    }
    assert_eq!(ask(&mut up, "grep NoNewPrivs /proc/self/status | tr -d '\\t'").await, "NoNewPrivs:1");
    assert_ne!(ask(&mut up, "grep Seccomp: /proc/self/status | tr -d '\\t'").await, "Seccomp:0");
    for (directory, how) in
        [("/", "closed"), ("/bin", "closed"), ("/etc", "closed"), ("/dev", "closed"), ("/tmp", "open")]
    {
        let what = format!("if touch {directory}/x 2>/dev/null; then echo open; else echo closed; fi");
        let found = ask(&mut up, &what).await;
        assert!(found == how || directory == "/dev", "{directory} is {found}");
    }
    let root = "grep ' / ' /proc/mounts | cut -d' ' -f4 | cut -d, -f1";
    assert_eq!(ask(&mut up, root).await, "ro", "nobody at all could write to it");
    let devices = "tail -n +3 /proc/self/net/dev | cut -d: -f1 | tr -d ' ' | sort | tr '\\n' ' '; echo";
    assert_eq!(ask(&mut up, devices).await, "eth0 lo ");
    assert_eq!(ask(&mut up, "ls -A /sys/class/net | tr '\\n' ' '; echo").await, "eth0 lo ");
    assert_eq!(ask(&mut up, "ip link set eth0 down 2>/dev/null && echo done || echo refused").await, "refused");
    let disk = up.bed.container(&up.deployment, 0).await;
    let container = up.bed.look.inspect(&disk.id).await.unwrap();
    assert!(container.mounts.unwrap_or_default().is_empty(), "nothing of the machine is in it");
    assert!(container.network_settings.unwrap().ports.unwrap_or_default().is_empty(), "nothing leads into it");
    up.deployment.down().await.unwrap();
}

pub(super) async fn nodes_have_the_limits_of_the_plan() {
    let mut plan = plan(vec![obedient(), idle()]);
    plan.nodes[0].limits = Limits { memory_bytes: 32 << 20, pids: 24 };
    let mut up = Up::on(Docker::new(EndsChoice::Auto).await, &plan).await;
    for (position, node) in plan.nodes.iter().enumerate() {
        let container = up.bed.container(&up.deployment, position).await;
        let host = up.bed.look.inspect(&container.id).await.unwrap().host_config.unwrap();
        let memory = Some(node.limits.memory_bytes as i64);
        assert_eq!((host.memory, host.memory_swap), (memory, memory), "{}", node.name);
        assert_eq!(host.pids_limit, Some(i64::from(node.limits.pids)), "{}", node.name);
    }
    if up.bed.runtime.about().limits_pids {
        // Reading the word again needs no process.
        let fork = "(i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; echo unlimited >&2) 2>/tmp/e; \
                    read -r said < /tmp/e; echo $said";
        let said = ask(&mut up, fork).await;
        assert!(said.contains("fork"), "{said}");
    } else {
        eprintln!("the engine cannot limit processes, so no node was asked to exceed its limit");
    }
    up.deployment.down().await.unwrap();
}

pub(super) async fn a_node_that_wants_too_much_memory_is_told_of() {
    let mut plan = plan(vec![shell(r#"read x; exec awk 'BEGIN { s = "xxxxxxxx"; while (1) s = s s }'"#), idle()]);
    plan.nodes[0].limits.memory_bytes = 16 << 20;
    let mut up = Up::on(Docker::new(EndsChoice::Auto).await, &plan).await;
    assert!(up.bed.runtime.about().limits_memory, "the engine cannot limit memory: {:?}", up.bed.runtime.about());
    up.deployment.line(&name("n0"), "go").await.unwrap();
    assert_eq!(end_of(&mut up.notices, "n0").await, (None, Some(9)));
    let log = fs::read_to_string(files(up.directory.path()).log(&name("n0"))).unwrap();
    assert!(log.contains("more memory than its limit of 16 MiB"), "{log}");
    up.deployment.line(&name("n1"), "and you?").await.unwrap();
    assert_eq!(line_of(&mut up.notices, "n1").await, "and you?");
    up.deployment.down().await.unwrap();
}
