//! What the tests of runtimes share: plans of small networks whose nodes are shell scripts, a way to hear them, and a look at
//! what exists of them on this machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::Ipv4Addr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use peerbed::{
    agent::protocol::Notice,
    engine::EngineOptions,
    runtime::{NodeFiles, Notices, netns::Netns},
};
use peerbed_contract::{
    AsNumber, ControlConfig, ControlLimits, ControlPart, Filters, NatClass, NodeConfig, NodeName, ReAddPolicy, Role,
    RoleConfig, Selection, Strategy,
};
use peerbed_link::{Duplex, Fabric, FabricLink, FabricNode, Heading, Hop, LinkSpec, Route};
use peerbed_model::{Plan, PlannedNode};

/// A shell node: says it is ready, then runs what is given, with `$n` its name.
pub(crate) fn shell(then: &str) -> Vec<String> {
    let ready = r#"n=$(sed 's/^{"name":"\([^"]*\)".*/\1/' "$2"); echo "{\"node\":\"$n\",\"t\":0,\"event\":\"ready\",\"role\":\"control\",\"listen\":\"10.0.0.1:1\",\"version\":\"0\"}""#;
    script(&format!("{ready}\n{then}"))
}

/// A shell node that is no more than this.
pub(crate) fn script(text: &str) -> Vec<String> {
    ["sh", "-c", text, "node"].map(str::to_owned).to_vec()
}

/// A shell node that does nothing until its input ends.
pub(crate) fn idle() -> Vec<String> {
    shell("exec cat")
}

pub(crate) fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

pub(crate) fn as_number(number: u32) -> AsNumber {
    AsNumber::try_from(number).unwrap()
}

pub(crate) fn address(position: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x0a01_0010 + position as u32)
}

/// A plan of nodes `n0`, `n1`, … with these commands, taking turns in two ASes that one link of 10 ms joins.
pub(crate) fn plan(commands: Vec<Vec<String>>) -> Plan {
    let number = |position: usize| as_number(1 + (position % 2) as u32);
    let node_name = |position: usize| name(&format!("n{position}"));
    let link = LinkSpec { delay: Duration::from_millis(10), ..LinkSpec::TRANSPARENT };
    let route =
        |from, to, heading| Route { from: as_number(from), to: as_number(to), hops: vec![Hop { link: 0, heading }] };
    let access = Duplex { up: LinkSpec::TRANSPARENT, down: LinkSpec::TRANSPARENT };
    let hosts = (0..commands.len()).map(|position| FabricNode {
        name: node_name(position),
        role: Role::Control,
        as_number: number(position),
        address: address(position).into(),
        access,
        nat: NatClass::None,
    });
    let fabric = Fabric {
        places: Vec::new(),
        seed: 1,
        congestion_control: "cubic".to_owned(),
        nodes: hosts.collect(),
        links: vec![FabricLink {
            name: "a~b".to_owned(),
            a: as_number(1),
            b: as_number(2),
            forward: link,
            backward: link,
        }],
        routes: vec![route(1, 2, Heading::Forward), route(2, 1, Heading::Backward)],
        traces: BTreeMap::new(),
    };
    let nodes = commands.into_iter().enumerate().map(|(position, command)| PlannedNode {
        name: node_name(position),
        role: Role::Control,
        group: "control".to_owned(),
        command,
        image: None,
        limits: peerbed_model::Limits::default(),
        config: NodeConfig {
            name: node_name(position),
            as_number: number(position),
            region: "r".to_owned(),
            address: address(position).into(),
            seed: 1,
            role: RoleConfig::Control(ControlConfig {
                port: 1,
                verify_key: [0; 32],
                part: ControlPart::default(),
                selection: Selection {
                    strategy: Strategy::Nested,
                    max_returned: 40,
                    diversity: 0.1,
                    rotation: true,
                    filters: Filters::default(),
                },
                readd: ReAddPolicy::default(),
                limits: ControlLimits::default(),
                directory: vec![],
            }),
        },
    });
    Plan {
        engine: None,
        tolerance: peerbed_model::Tolerance::default(),
        experiment: "test".to_owned(),
        question: "does it stand?".to_owned(),
        arm: "only".to_owned(),
        base: None,
        matrix: peerbed_model::Coordinates::default(),
        trends: Vec::new(),
        claims: Vec::new(),
        figures: Vec::new(),
        repeat: 0,
        seed: 1,
        duration: Duration::from_secs(10),
        nodes: nodes.collect(),
        fabric,
        as_names: BTreeMap::new(),
        localities: BTreeMap::new(),
        timeline: vec![],
        expect: vec![],
        parameters: BTreeMap::new(),
    }
}

/// The `netns` runtime with links made like this.
pub(crate) fn netns(options: EngineOptions) -> Netns {
    Netns::new(PathBuf::from(env!("CARGO_BIN_EXE_peerbed")), options)
}

pub(crate) fn files(directory: &Path) -> NodeFiles {
    NodeFiles { configs: directory.join("nodes"), logs: directory.join("logs") }
}

/// Run a test's body on a runtime like the harness's own.
pub(crate) fn block_on<F: Future>(body: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(body)
}

/// The next notice, which must come soon.
pub(crate) async fn next(notices: &mut Notices) -> Notice {
    let notice = tokio::time::timeout(Duration::from_secs(20), notices.next()).await;
    notice.expect("a notice within 20 s").expect("the stream has not ended")
}

/// The next line of a node that is not an event, passing over everything else.
pub(crate) async fn line_of(notices: &mut Notices, of: &str) -> String {
    loop {
        match next(notices).await {
            Notice::Line { node, line } if node.as_str() == of && is_plain(&line) => return line,
            Notice::Broken { message } => panic!("broken: {message}"),
            Notice::Exited { node, code, signal } if node.as_str() == of => panic!("{node} ended: {code:?} {signal:?}"),
            _ => {}
        }
    }
}

/// Whether a line is not an event.
pub(crate) fn is_plain(line: &str) -> bool {
    !line.starts_with('{')
}

/// The end of a node, passing over everything else.
pub(crate) async fn end_of(notices: &mut Notices, of: &str) -> (Option<i32>, Option<i32>) {
    loop {
        match next(notices).await {
            Notice::Exited { node, code, signal } if node.as_str() == of => return (code, signal),
            _ => {}
        }
    }
}

/// The processes of a deployment: those whose standard error is a file under its directory. Includes the agent.
pub(crate) fn members(directory: &Path) -> BTreeSet<u32> {
    let directory = directory.canonicalize().unwrap();
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    all.filter(|pid: &u32| fs::read_link(format!("/proc/{pid}/fd/2")).is_ok_and(|log| log.starts_with(&directory)))
        .collect()
}

/// The network namespaces in which these processes are or of which they have descriptors, except this process's own.
pub(crate) fn namespaces(pids: &BTreeSet<u32>) -> BTreeSet<u64> {
    let own = fs::metadata("/proc/self/ns/net").unwrap().ino();
    let mut found = BTreeSet::new();
    for pid in pids {
        found.extend(fs::metadata(format!("/proc/{pid}/ns/net")).map(|space| space.ino()));
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        found.extend(descriptors.filter_map(|descriptor| {
            let target = fs::read_link(descriptor.path()).ok()?;
            target.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.parse::<u64>().ok()
        }));
    }
    found.remove(&own);
    found
}

/// All processes that this user may look at.
pub(crate) fn all_processes() -> BTreeSet<u32> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// How long what is left may take to go.
pub(crate) const GONE_WITHIN: Duration = Duration::from_secs(8);

/// What is left of a deployment: its processes, and those of its namespaces in which somebody is.
pub(crate) fn left(directory: &Path, spaces: &BTreeSet<u64>) -> Option<String> {
    let processes = members(directory);
    let held: Vec<_> = namespaces(&all_processes()).intersection(spaces).copied().collect();
    let nothing = processes.is_empty() && held.is_empty();
    (!nothing).then(|| format!("left behind: processes {processes:?}, namespaces {held:?}"))
}

/// Wait until nothing is left of a deployment. The processes are not this one's children and their ends cannot be awaited,
/// so this looks again and again.
pub(crate) fn assert_gone(directory: &Path, spaces: &BTreeSet<u64>) {
    let deadline = Instant::now() + GONE_WITHIN;
    while let Some(left) = left(directory, spaces) {
        assert!(Instant::now() < deadline, "{left}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What of the host's own network could change: devices, routes, rules' effect, settings, mounts.
pub(crate) fn host() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let devices = fs::read_to_string("/proc/net/dev").unwrap();
    let names: Vec<_> = devices.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect();
    found.insert("devices".to_owned(), names.join(" "));
    for file in
        ["/proc/net/route", "/proc/net/fib_trie", "/proc/net/ipv6_route", "/proc/net/arp", "/proc/self/mountinfo"]
    {
        if let Ok(text) = fs::read_to_string(file) {
            // Columns of counters and of the kernel's own clock are left out.
            let text: Vec<_> =
                text.lines().map(|line| line.split_whitespace().take(6).collect::<Vec<_>>().join(" ")).collect();
            found.insert(file.to_owned(), text.join("\n"));
        }
    }
    // Whoever else runs containers meanwhile mounts what they see.
    if let Some(mounts) = found.get_mut("/proc/self/mountinfo") {
        let engines = |line: &str| ["docker", "overlay", "/netns/"].iter().any(|word| line.contains(word));
        *mounts = mounts.lines().filter(|line| !engines(line)).collect::<Vec<_>>().join("\n");
    }
    settings(Path::new("/proc/sys/net"), &mut found);
    found
}

/// What differs between two looks, for messages: all of it would be too long to read.
pub(crate) fn changes(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let differ = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    differ.map(|name| format!("{name}: {:?} became {:?}", before.get(name), after.get(name))).collect()
}

fn settings(directory: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            settings(&path, found);
        } else if !path.ends_with("nf_conntrack_count")
            && let Ok(text) = fs::read_to_string(&path)
        {
            found.insert(path.display().to_string(), text);
        }
    }
}
