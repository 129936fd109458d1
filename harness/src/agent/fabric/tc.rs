//! A network for the `tc` engine: a namespace for each AS's router, one for each node, and veth pairs between them.

use std::{
    os::fd::{AsRawFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use peerbed_contract::NodeName;
use peerbed_link::{Bandwidth, Fabric, FabricLink, FabricNode, LinkSpec, Rate};
use rustix::thread::UnshareFlags;

use super::{Attached, FabricError, Site, Standing, current_namespace, go_back};
use crate::{
    agent::{settings::Settings, sys},
    engine::{
        Engine, EngineReport, Lack,
        tc::{
            self, Host, Router, Tc, TcError, has_delays,
            lane::{Device, Lane},
            program::Program,
            render,
            ways::{Block, Row, Ways},
        },
    },
    netlink::{self, Beyond, DEVICE, DEVICE_INDEX, GATEWAY, Netfilter, Netlink, NetlinkError, neighbour},
};

/// The module of `netem`.
const NETEM: &str = "sch_netem";
/// The device of each router to which packets go that are for nobody.
const NOWHERE: (&str, u32) = ("nowhere", 900);
/// Routers' devices have these indexes, clear of those the kernel gives out: some for each node, one for each link.
const FIRST_NODE: u32 = 1000;
const DEVICES_A_NODE: u32 = 3;
const FIRST_LINK: u32 = 10_000_000;

/// Why the engine cannot carry the network, whose links will also be like `later`. The calling thread is back in its namespace
/// then.
pub(super) fn check(fabric: &Fabric, later: &[LinkSpec]) -> Result<Option<TcError>, FabricError> {
    Ok(tc::unfit(fabric, later, &lacking()?))
}

/// What the kernel does not give to the engine, tried in a namespace that vanishes.
pub(crate) fn lacking() -> Result<Vec<Lack>, FabricError> {
    const WHO: &str = "(the probe)";
    let space = |source| FabricError::Namespace { node: WHO.to_owned(), source };
    let own = current_namespace().map_err(space)?;
    sys::unshare(UnshareFlags::NEWNET).map_err(space)?;
    let mut netlink = Netlink::open(WHO)?;
    let limited =
        LinkSpec { bandwidth: Bandwidth::Limited(Rate::from_bps(1_000_000).expect("a rate")), ..LinkSpec::TRANSPARENT };
    let delayed = LinkSpec { delay: Duration::from_millis(1), ..LinkSpec::TRANSPARENT };
    let program = |spec| Program::of(spec, 0, &Program::default(), false);
    let empty = Program::default();
    let block = Block { first: [10, 0, 0, 0].into(), length: 8 };
    let mut lacks = Vec::new();
    let mut lack = |feature: &str, module: &str, tried: Result<(), NetlinkError>| {
        lacks.extend(tried.err().map(|error| Lack {
            feature: feature.to_owned(),
            for_delays: module == NETEM,
            found: said(&error),
            remedy: remedy(module),
        }));
    };
    lack("ifb (for packets to nobody)", "ifb", netlink.carry_out(WHO, &[render::sink("p0", 10)]));
    let passage = render::passage(("p1", 11), ("p2", 12));
    lack("veth (links)", "veth", netlink.carry_out(WHO, &passage));
    lack("routes", "ipv4", netlink.carry_out(WHO, &[render::route("p1", 11, block, false)]));
    lack("ingress, u32 and mirred (to shape uplinks)", "sch_ingress cls_u32 act_mirred", {
        netlink.carry_out(WHO, &render::divert("p2", 12, 11))
    });
    lack(
        "tbf (rate and queue)",
        "sch_tbf",
        netlink.carry_out(WHO, &render::shape("p1", 11, &program(&limited), &empty)),
    );
    lack(
        "netem (delay, jitter, loss)",
        NETEM,
        netlink.carry_out(WHO, &render::shape("p2", 12, &program(&delayed), &empty)),
    );
    let count = || {
        let mut netfilter = Netfilter::open(WHO)?;
        netfilter.count_devices(WHO)?;
        netfilter.count_device(WHO, 10)?;
        netfilter.count_sources(WHO, &[([10, 0, 0, 1].into(), [10, 0, 0, 9].into(), 0)])
    };
    lack("nftables (the ledger)", "nf_tables", count());
    go_back(&own)?;
    Ok(lacks)
}

/// What the kernel said, without whose network it was.
fn said(error: &NetlinkError) -> String {
    match error {
        NetlinkError::Refused { source, hint, .. } => format!("{source}{hint}"),
        other => other.to_string(),
    }
}

fn remedy(modules: &str) -> String {
    format!(
        "load it (`sudo modprobe -a {modules}`); it is in Debian's linux-image-amd64 (or -arm64), Ubuntu's \
         linux-modules-extra-$(uname -r), Fedora's kernel-modules-extra; or use `--engine wire`, which needs none of it"
    )
}

/// Build it. The calling thread goes through every namespace and is back in the agent's own at the end.
pub(super) fn build(
    fabric: &Fabric,
    later: &[LinkSpec],
    mut progress: impl FnMut(usize),
) -> Result<Standing, FabricError> {
    let ways = Ways::of(fabric)?;
    let mut builder = Builder::new(fabric, &ways, has_delays(fabric, later))?;
    for (position, link) in fabric.links.iter().enumerate() {
        builder.link(position as u32, link, fabric.seed)?;
    }
    for (position, node) in fabric.nodes.iter().enumerate() {
        builder.node(position as u32, node, fabric)?;
        progress(position + 1);
    }
    builder.route()?;
    builder.finish(fabric)
}

struct Builder<'a> {
    own: OwnedFd,
    delays: bool,
    ways: &'a Ways,
    rows: Arc<[Row]>,
    settings: Settings,
    routers: Vec<Router>,
    spaces: Vec<OwnedFd>,
    nodes: Vec<(NodeName, OwnedFd)>,
    hosts: Vec<Host>,
    links: Vec<[Lane; 2]>,
}

impl<'a> Builder<'a> {
    /// Make the routers.
    fn new(fabric: &Fabric, ways: &'a Ways, delays: bool) -> Result<Self, FabricError> {
        let own = current_namespace()
            .map_err(|source| FabricError::Namespace { node: "(the agent itself)".to_owned(), source })?;
        let mut builder = Self {
            own,
            delays,
            ways,
            rows: ways.rows.clone().into(),
            settings: Settings::new().map_err(FabricError::Settings)?,
            routers: Vec::with_capacity(ways.ases.len()),
            spaces: Vec::with_capacity(ways.ases.len()),
            nodes: Vec::with_capacity(fabric.nodes.len()),
            hosts: Vec::with_capacity(fabric.nodes.len()),
            links: Vec::with_capacity(fabric.links.len()),
        };
        for number in &ways.ases {
            let name = format!("(the router of {number})");
            builder.spaces.push(space(&name)?);
            builder.settings.router(&name)?;
            let mut netlink = Netlink::open(&name)?;
            let everywhere = Block { first: [0, 0, 0, 0].into(), length: 0 };
            netlink.carry_out(
                &name,
                &[
                    netlink::loopback(),
                    render::sink(NOWHERE.0, NOWHERE.1),
                    render::route(NOWHERE.0, NOWHERE.1, everywhere, false),
                ],
            )?;
            let mut netfilter = Netfilter::open(&name)?;
            netfilter.count_devices(&name)?;
            netfilter.count_device(&name, NOWHERE.1)?;
            builder.routers.push(Router { name, netlink, netfilter, nowhere: NOWHERE.1 });
        }
        Ok(builder)
    }

    fn link(&mut self, position: u32, link: &FabricLink, seed: u64) -> Result<(), FabricError> {
        let (name, index) = (link_name(position), FIRST_LINK + position);
        let (a, b) = (self.ways.router(link.a), self.ways.router(link.b));
        let pair = netlink::pair((&name, index), (&name, index), Some(self.spaces[b].as_raw_fd()));
        let Router { name: router, netlink, .. } = &mut self.routers[a];
        netlink.carry_out(router, &[pair])?;
        let mut lane = |at: usize, spec: &LinkSpec, back: u64| {
            let router = &mut self.routers[at];
            let device = Device { name: name.clone(), index };
            let mut lane =
                Lane::leaving(at, device, draws(seed, 1 << 32 | u64::from(position) << 1 | back), self.delays);
            let mut steps = vec![render::take_up(&name, index), neighbour(&name, index, GATEWAY)];
            steps.extend(lane.begin(spec));
            router.netlink.carry_out(&router.name, &steps)?;
            router.netfilter.count_device(&router.name, index)?;
            Ok::<_, FabricError>(lane)
        };
        let lanes = [lane(a, &link.forward, 0)?, lane(b, &link.backward, 1)?];
        self.links.push(lanes);
        Ok(())
    }

    fn node(&mut self, position: u32, node: &FabricNode, fabric: &Fabric) -> Result<(), FabricError> {
        let name = node.name.as_str();
        let namespace = space(name)?;
        self.settings.node(name)?;
        let at = self.ways.router(node.as_number);
        let router = &mut self.routers[at];
        let device = |letter, number| Device {
            name: format!("{letter}{position}"),
            index: FIRST_NODE + DEVICES_A_NODE * position + number,
        };
        let (device, inside) = (device('v', 0), [device('u', 1), device('w', 2)]);
        let mut up =
            Lane::coming_in(at, device.clone(), inside, draws(fabric.seed, u64::from(position) << 1), self.delays);
        let mut down = Lane::leaving(at, device.clone(), draws(fabric.seed, u64::from(position) << 1 | 1), self.delays);
        let Device { name: outer, index } = device;
        let address = node.ipv4()?;
        let host = Block { first: address, length: 32 };
        let mut steps = vec![
            netlink::pair((&outer, index), (DEVICE, DEVICE_INDEX), Some(namespace.as_raw_fd())),
            render::take_up(&outer, index),
            neighbour(&outer, index, address),
            render::route(&outer, index, host, false),
        ];
        steps.extend(up.begin(&node.access.up));
        steps.extend(down.begin(&node.access.down));
        router.netlink.carry_out(name, &steps)?;
        router.netfilter.count_device(name, index)?;
        let set_up = netlink::node(DEVICE_INDEX, address, &fabric.congestion_control, Beyond::Router);
        Netlink::open(name)?.carry_out(name, &set_up)?;
        let mut netfilter = Netfilter::open(name)?;
        netfilter.count_sources(name, &tc::sources(&self.rows))?;
        let (as_number, role) = (node.as_number, node.role);
        self.hosts.push(Host { name: name.to_owned(), as_number, role, netfilter, up, down });
        self.nodes.push((node.name.clone(), namespace));
        Ok(())
    }

    /// Tell every router the ways to the others.
    fn route(&mut self) -> Result<(), FabricError> {
        for (router, routes) in self.routers.iter_mut().zip(&self.ways.routes) {
            let step = |(block, link): &(Block, u32)| render::route(&link_name(*link), FIRST_LINK + link, *block, true);
            let steps: Vec<_> = routes.iter().map(step).collect();
            router.netlink.carry_out(&router.name, &steps)?;
        }
        Ok(())
    }

    fn finish(self, fabric: &Fabric) -> Result<Standing, FabricError> {
        go_back(&self.own)?;
        let tc = Tc::new(self.routers, self.hosts, self.links, self.ways.senders.clone())?;
        let report = EngineReport {
            engine: "tc".to_owned(),
            ends: "veth".to_owned(),
            threads: 0,
            nice: 0,
            congestion_control: fabric.congestion_control.clone(),
            offloads: "none".to_owned(),
        };
        let sites = Site::all(fabric, &Attached::Router(self.rows))?;
        Ok(Standing::new(Engine::Tc(tc), report, self.nodes, fabric, sites)?)
    }
}

/// A network namespace, in which the calling thread is then.
fn space(name: &str) -> Result<OwnedFd, FabricError> {
    sys::unshare(UnshareFlags::NEWNET)
        .and_then(|()| current_namespace())
        .map_err(|source| FabricError::Namespace { node: name.to_owned(), source })
}

fn link_name(position: u32) -> String {
    format!("l{position}")
}

/// The seed of one direction of one link, so that each has its own draws.
fn draws(seed: u64, stream: u64) -> u64 {
    // The finalizer of SplitMix64 (G. Steele, D. Lea, C. Flood), which spreads every bit over all.
    let mut mixed = seed.wrapping_add(stream.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
