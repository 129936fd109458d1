//! A network of the tests: the real agent with the real engine, asked over its protocol.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Write},
    net::Ipv4Addr,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use peerbed::{
    agent::protocol::{Call, Notice, Reply, Request, Said, Signal, Spawn},
    engine::{EngineReport, Sample},
};
use peerbed_contract::{AsNumber, NatClass, NodeName, Role};
use peerbed_link::{Duplex, Fabric, FabricLink, FabricNode, Heading, Hop, LinkSpec, Route};
use rustix::process::{Pid, Signal as Kernel, kill_process};

use crate::bed::{Bed, program};

/// Nothing that the tests do takes longer.
const PATIENCE: Duration = Duration::from_mins(1);

/// A transparent access link.
pub(crate) const OPEN: Duplex = Duplex { up: LinkSpec::TRANSPARENT, down: LinkSpec::TRANSPARENT };

/// AS number `number`.
pub(crate) fn asn(number: u32) -> AsNumber {
    AsNumber::try_from(number).expect("AS numbers of the tests are valid")
}

/// The address of node number `index`.
pub(crate) fn address(index: usize) -> String {
    Ipv4Addr::from(0x0a01_0010 + index as u32).to_string()
}

/// Nodes `n0`, `n1`, … in these ASes with these access links, and a link with a route between AS 1 and AS 2.
pub(crate) fn fabric(nodes: &[(u32, Duplex)], forward: LinkSpec, backward: LinkSpec) -> Fabric {
    let node = |(index, (number, access)): (usize, &(u32, Duplex))| FabricNode {
        name: format!("n{index}").parse().expect("a valid name"),
        role: Role::Peer,
        as_number: asn(*number),
        address: address(index).parse().expect("a valid address"),
        access: *access,
        nat: NatClass::None,
    };
    let route = |from, to, heading| Route { from: asn(from), to: asn(to), hops: vec![Hop { link: 0, heading }] };
    Fabric {
        places: Vec::new(),
        seed: 20_121_001,
        congestion_control: "cubic".to_owned(),
        nodes: nodes.iter().enumerate().map(node).collect(),
        links: vec![FabricLink { name: "a~b".to_owned(), a: asn(1), b: asn(2), forward, backward }],
        routes: vec![route(1, 2, Heading::Forward), route(2, 1, Heading::Backward)],
        traces: BTreeMap::new(),
    }
}

/// A network that stands.
pub(crate) struct Lab {
    agent: Child,
    input: Option<ChildStdin>,
    said: Receiver<Said>,
    calls: u64,
    lines: BTreeMap<NodeName, VecDeque<String>>,
    exits: BTreeMap<NodeName, (Option<i32>, Option<i32>)>,
    pub(crate) report: EngineReport,
    agent_pid: u32,
}

impl Lab {
    /// Build it.
    pub(crate) fn new(fabric: Fabric, bed: Bed, threads: Option<u32>) -> Self {
        Self::with(fabric, vec![], bed, threads)
    }

    /// Build it, for links that will become like these.
    pub(crate) fn with(fabric: Fabric, later: Vec<LinkSpec>, bed: Bed, threads: Option<u32>) -> Self {
        let mut lab = Self::begun();
        let request = Request::Install { fabric: Box::new(fabric), later, options: bed.options(threads) };
        match lab.call(request) {
            Reply::Installed(installed) => {
                lab.report = installed.engine;
                lab.agent_pid = installed.agent_pid;
            }
            other => panic!("the network does not stand: {other:?}"),
        }
        lab
    }

    /// What the agent says instead of building this.
    pub(crate) fn refused(fabric: Fabric, bed: Bed) -> String {
        let options = bed.options(None);
        Self::begun().refusal(Request::Install { fabric: Box::new(fabric), later: Vec::new(), options })
    }

    /// An agent without a network.
    fn begun() -> Self {
        let mut agent = Command::new(program())
            .arg("agent")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the agent starts");
        let output = BufReader::new(agent.stdout.take().expect("it is a pipe"));
        let (say, said) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let parsed = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if say.send(parsed).is_err() {
                    return;
                }
            }
        });
        let report = EngineReport {
            engine: String::new(),
            ends: String::new(),
            threads: 0,
            nice: 0,
            congestion_control: String::new(),
            offloads: String::new(),
        };
        let (lines, exits) = (BTreeMap::new(), BTreeMap::new());
        Self { input: agent.stdin.take(), agent, said, calls: 0, lines, exits, report, agent_pid: 0 }
    }

    /// Ask the agent and await its answer, which is not a refusal.
    pub(crate) fn call(&mut self, request: Request) -> Reply {
        match self.ask(request) {
            Reply::Failed { message } => panic!("the agent: {message}"),
            reply => reply,
        }
    }

    /// Ask the agent for what it refuses, and await the refusal.
    pub(crate) fn refusal(&mut self, request: Request) -> String {
        match self.ask(request) {
            Reply::Failed { message } => message,
            reply => panic!("not refused: {reply:?}"),
        }
    }

    fn ask(&mut self, request: Request) -> Reply {
        self.calls += 1;
        let id = self.calls;
        let call = serde_json::to_string(&Call { id, request }).expect("a call can be written");
        writeln!(self.input.as_mut().expect("the agent listens"), "{call}").expect("the agent listens");
        loop {
            if let Some(reply) = self.hear(id) {
                return reply;
            }
        }
    }

    /// Take in one line of the agent; the answer if it is this call's.
    fn hear(&mut self, id: u64) -> Option<Reply> {
        match self.said.recv_timeout(PATIENCE).expect("the agent says something") {
            Said::Reply { id: of, reply } if of == id => return Some(reply),
            Said::Notice(Notice::Line { node, line }) => self.lines.entry(node).or_default().push_back(line),
            Said::Notice(Notice::Exited { node, code, signal }) => {
                self.exits.insert(node, (code, signal));
            }
            Said::Notice(Notice::Broken { message }) => panic!("the network broke: {message}"),
            _ => {}
        }
        None
    }

    /// Start one of the traffic programs in a node.
    pub(crate) fn start(&mut self, node: usize, program: &str) {
        let node = name(node);
        self.exits.remove(&node);
        let own = std::env::current_exe().expect("this program has a path").to_string_lossy().into_owned();
        let argv = [own, "traffic".to_owned()].into_iter().chain(program.split(' ').map(str::to_owned)).collect();
        let log = std::path::PathBuf::from("/dev/null");
        let reply = self.call(Request::Spawn(Spawn { node, argv, log: Some(log) }));
        assert!(matches!(reply, Reply::Spawned { .. }), "{reply:?}");
    }

    /// Start a program that announces when it is ready.
    pub(crate) fn start_listener(&mut self, node: usize, program: &str) {
        self.start(node, program);
        assert_eq!(self.line(node), "ready");
    }

    /// The next line that a node prints.
    pub(crate) fn line(&mut self, node: usize) -> String {
        let name = name(node);
        loop {
            if let Some(line) = self.lines.get_mut(&name).and_then(VecDeque::pop_front) {
                return line;
            }
            if let Some(exit) = self.exits.get(&name) {
                panic!("{name} ended ({exit:?}) and said nothing more");
            }
            self.hear(0);
        }
    }

    /// The next line that a node prints, as numbers.
    pub(crate) fn numbers<const N: usize>(&mut self, node: usize) -> [f64; N] {
        let line = self.line(node);
        let numbers: Result<Vec<f64>, _> = line.split(' ').map(str::parse).collect();
        numbers.ok().and_then(|numbers| numbers.try_into().ok()).unwrap_or_else(|| panic!("{line}"))
    }

    /// Good and wrong datagrams that a node's counter reports.
    pub(crate) fn counts(&mut self, node: usize) -> (u64, u64) {
        let [good, wrong] = self.numbers(node);
        (good as u64, wrong as u64)
    }

    /// Wait until a node's program has ended, by itself and well.
    pub(crate) fn ended(&mut self, node: usize) {
        let name = name(node);
        loop {
            if let Some(exit) = self.exits.get(&name) {
                assert_eq!(*exit, (Some(0), None), "{name}");
                return;
            }
            self.hear(0);
        }
    }

    /// Tell a node's program to come to its end.
    pub(crate) fn say(&mut self, node: usize, line: &str) {
        self.call(Request::Line { node: name(node), line: line.to_owned() });
    }

    /// End a program that does not end by itself.
    pub(crate) fn kill(&mut self, node: usize) {
        self.call(Request::Signal { node: name(node), signal: Signal::Kill });
        while !self.exits.contains_key(&name(node)) {
            self.hear(0);
        }
    }

    /// Every counter.
    pub(crate) fn sample(&mut self) -> Sample {
        match self.call(Request::Sample) {
            Reply::Sample(sample) => *sample,
            other => panic!("no sample: {other:?}"),
        }
    }

    /// Keep the engine from its work for so long.
    pub(crate) fn stand_still(&self, time: Duration) {
        let agent = Pid::from_raw(self.agent_pid as i32).expect("the agent has a process id");
        kill_process(agent, Kernel::STOP).expect("the agent can be stopped");
        std::thread::sleep(time);
        kill_process(agent, Kernel::CONT).expect("the agent can go on");
    }

    /// The first sample of which something is true.
    pub(crate) fn sample_when(&mut self, so: impl Fn(&Sample) -> bool) -> Sample {
        let start = Instant::now();
        loop {
            let sample = self.sample();
            if so(&sample) {
                return sample;
            }
            assert!(start.elapsed() < PATIENCE, "it never comes to that: {sample:?}");
        }
    }

    /// Traces that links follow begin now: at this time, `CLOCK_MONOTONIC` in nanoseconds.
    pub(crate) fn begin(&mut self) -> u64 {
        let at_ns = self.sample().at_ns;
        self.call(Request::Begin { at_ns });
        at_ns
    }

    /// Change the link between the two ASes.
    pub(crate) fn set_link(&mut self, forward: LinkSpec, backward: LinkSpec) {
        self.call(Request::SetLink { link: 0, forward, backward });
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The end of its input makes the agent remove everything.
        self.input = None;
        let status = self.agent.wait();
        if !std::thread::panicking() {
            assert!(status.is_ok_and(|status| status.success()), "the agent did not end well");
        }
    }
}

fn name(node: usize) -> NodeName {
    format!("n{node}").parse().expect("a valid name")
}
