//! The plan itself: everything that was resolved, with every value that is drawn.

mod places;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ed25519_dalek::SigningKey;
use peerbed_contract::{
    ControlConfig, ControlPart, ControlPolicy, DatabaseAddress, EdgeConfig, EdgePolicy, Habit, HabitAct, Misbehaviour,
    NatClass, NodeConfig, NodeName, Object, PeerConfig, Place, Role, RoleConfig, ScriptStep, Storage, UploadPolicy,
};
use peerbed_link::{Bandwidth, Fabric, FabricNode, Trace, TraceId, Traced};

use crate::{
    experiment::{
        Body,
        expect::{Expected, Which},
        provider::Provider,
    },
    plan::{Act, Action, Locality, Plan, PlannedNode, Setting},
    resolve::{
        Arm, Experiment,
        demand::{self, Holders, Request},
        layout::{AsFacts, Host, Layout},
        moves, policies,
        seeds::Seeds,
        timeline, users,
    },
};

/// TCP port of every edge's HTTP server.
const EDGE_PORT: u16 = 80;
/// TCP port of every control plane.
const CONTROL_PORT: u16 = 7000;
/// TCP port of every peer.
const PEER_PORT: u16 = 7001;

/// What all nodes of a plan have in common.
struct Context<'a> {
    body: &'a Body,
    layout: &'a Layout,
    seeds: Seeds,
    objects: Vec<Object>,
    signing_key: [u8; 32],
    verify_key: [u8; 32],
    /// By group and peer.
    uploads: Vec<Vec<bool>>,
    misbehaviour: Vec<Vec<Misbehaviour>>,
    nats: Vec<Vec<NatClass>>,
    holders: Holders,
    /// Of the control plane.
    connection_nodes: Vec<IpAddr>,
    databases: Vec<DatabaseAddress>,
    /// By group and peer, in order of time.
    habits: Vec<Vec<Vec<Habit>>>,
    /// By group and peer, in order of time.
    scripts: Vec<Vec<Vec<ScriptStep>>>,
}

/// The plan of one arm with the seed of one repeat.
pub(super) fn plan(experiment: &Experiment, arm: &Arm, repeat: u32, seed: u64) -> Plan {
    let (body, layout) = (&arm.body, &*arm.layout);
    let seeds = Seeds::new(seed);
    let mut timeline = timeline::draw(&arm.timeline, layout, &seeds);
    let begins = beginnings(timeline.iter().map(|(_, action)| action), layout);
    let context = Context::draw(body, layout, &begins, seeds);
    let mut nodes: Vec<(FabricNode, PlannedNode)> = Vec::with_capacity(layout.hosts.len());
    let mut in_group = 0;
    for (index, host) in layout.hosts.iter().enumerate() {
        let starts = host.group.is_some_and(|group| layout.first_peer[group] == index);
        in_group = if starts { 0 } else { in_group + 1 };
        let nat = host.group.map_or(NatClass::None, |group| context.nats[group][in_group]);
        nodes.push((fabric_node(host, layout, nat), context.node(host, in_group)));
    }
    nodes.sort_by_key(|(node, _)| node.address);
    let (fabric_nodes, nodes) = nodes.into_iter().unzip();
    let wanted = timeline::wanted(&arm.timeline, layout, &context.seeds);
    let journeys = moves::draw(&body.groups, layout, (&wanted, &begins), body.duration, &context.seeds);
    timeline.extend(context.policies(&arm.timeline, &journeys, &wanted));
    timeline.extend(context.moves(&arm.timeline, &journeys, &wanted));
    // What happens at one moment does so in the order of the file; patterns come first.
    timeline.sort_by_key(|(number, action)| (action.at, *number));
    let timeline = timeline.into_iter().map(|(_, action)| action).collect();

    let mut parameters = body.policy.parameters();
    parameters.insert("congestion_control".to_owned(), Setting::Text(body.congestion_control.clone()));
    parameters.extend(experiment.scale.iter().map(|scale| ("scale".to_owned(), Setting::Text(scale.clone()))));
    parameters.extend(body.providers.iter().flat_map(Provider::parameters));
    // What arms and the matrix set elsewhere; policies are there, value by value.
    let set = arm.matrix.iter().chain(arm.sets.iter().map(|(path, value)| (path.as_str(), value.as_str())));
    for (path, value) in set.filter(|(path, _)| *path != "policy" && !path.starts_with("policy.")) {
        parameters.entry(path.to_owned()).or_insert_with(|| Setting::Text(value.to_owned()));
    }
    let mut plan = Plan {
        experiment: experiment.name.to_string(),
        question: experiment.head.question.clone(),
        arm: arm.name.clone(),
        base: arm.base.clone(),
        matrix: arm.matrix.clone(),
        repeat,
        seed,
        duration: body.duration,
        engine: experiment.head.engine,
        fabric: Fabric {
            seed: context.seeds.number("fabric"),
            congestion_control: body.congestion_control.clone(),
            nodes: fabric_nodes,
            places: context.places(&journeys),
            links: layout.links.clone(),
            routes: layout.routes.clone(),
            traces: BTreeMap::new(),
        },
        tolerance: body.tolerance,
        as_names: layout.ases.iter().map(|one| (one.number, one.name.clone())).collect(),
        localities: layout.ases.iter().map(|one| (one.number, locality(one))).collect(),
        nodes,
        timeline,
        expect: Vec::new(),
        trends: arm.expect.iter().filter_map(Expected::trend).collect(),
        claims: Vec::new(),
        figures: experiment.head.figures.clone(),
        parameters,
    };
    plan.fabric.traces = traces(&plan, layout);
    let downloads = plan.downloads();
    plan.expect = arm.expect.iter().filter_map(|one| one.resolve(&arm.which(), downloads)).collect();
    let arms: Vec<Which<'_>> = experiment.arms.iter().map(Arm::which).collect();
    plan.claims = experiment.head.claims.iter().map(|one| one.resolve(&arm.which(), &arms, downloads)).collect();
    plan
}

fn locality(of: &AsFacts) -> Locality {
    Locality { region: of.region.clone(), country: of.entry.country.clone() }
}

/// When each peer is first there, by group and peer.
fn beginnings<'a>(timeline: impl Iterator<Item = &'a Action>, layout: &Layout) -> Vec<Vec<Duration>> {
    let added = timeline.filter(|action| matches!(action.act, Act::Add { .. }));
    let at: BTreeMap<&NodeName, Duration> =
        added.flat_map(|action| action.act.nodes().iter().map(|node| (node, action.at))).collect();
    let of_host = |host: &Host| at.get(&host.name).copied().unwrap_or_default();
    let groups = 0..layout.first_peer.len();
    groups.map(|group| layout.peers(group).iter().map(of_host).collect()).collect()
}

/// The traces that links of a plan follow, or will follow.
fn traces(plan: &Plan, layout: &Layout) -> BTreeMap<TraceId, Trace> {
    let traced = plan.links().filter_map(|spec| match spec.bandwidth {
        Bandwidth::Trace(Traced { trace, .. }) => Some(trace),
        Bandwidth::Unlimited | Bandwidth::Limited(_) => None,
    });
    traced.filter_map(|id| Some((id, layout.traces.get(id)?.clone()))).collect()
}

/// The control plane's nodes of one kind, with their indexes.
fn control_nodes(layout: &Layout, database: bool) -> impl Iterator<Item = (usize, &Host)> {
    let hosts = layout.hosts.iter().enumerate();
    hosts.filter(move |(_, host)| host.role == Role::Control && host.database == database)
}

/// The database nodes, each with the regions that it is responsible for.
fn databases(layout: &Layout) -> Vec<DatabaseAddress> {
    let mut served = layout.served_regions();
    let address = |(index, host): (usize, &Host)| DatabaseAddress {
        address: SocketAddr::new(host.address, CONTROL_PORT),
        regions: served.remove(&index).unwrap_or_default(),
    };
    control_nodes(layout, true).map(address).collect()
}

/// A host in its own place.
fn fabric_node(host: &Host, layout: &Layout, nat: NatClass) -> FabricNode {
    FabricNode {
        name: host.name.clone(),
        role: host.role,
        as_number: layout.ases[host.at].number,
        address: host.address,
        access: host.access,
        nat,
    }
}

impl<'a> Context<'a> {
    fn draw(body: &'a Body, layout: &'a Layout, beginnings: &[Vec<Duration>], seeds: Seeds) -> Self {
        let objects = body.content.iter().map(|object| {
            let key = seeds.number(&format!("content/{}/key", object.id));
            Object { key, ..object.clone() }
        });
        let objects = objects.collect();
        let signing_key = seeds.bytes("signing key");
        let choose = |group: usize, what: &str, count: u32| {
            let names = layout.peers(group).iter().map(|host| host.name.as_str());
            seeds.choose(what, names, count)
        };
        let groups = || body.groups.iter().enumerate();
        let uploads: Vec<Vec<bool>> =
            groups().map(|(index, group)| group.uploads.drawn(|what, count| choose(index, what, count))).collect();
        let misbehaviour = groups().map(|(index, group)| {
            let mut peers = vec![Misbehaviour::default(); group.peers.value as usize];
            for culprits in &group.behaviour {
                let chosen = choose(index, &format!("behaviour/{}", culprits.deed.name()), culprits.count);
                let guilty = peers.iter_mut().zip(chosen).filter(|(_, chosen)| *chosen);
                guilty.for_each(|(peer, _)| culprits.deed.join(peer));
            }
            peers
        });
        let misbehaviour = misbehaviour.collect();
        let nats = groups()
            .map(|(index, group)| {
                let names = layout.peers(index).iter().map(|host| host.name.as_str());
                seeds.share_out("nat", names, &group.nat.divide(group.peers.value), NatClass::None)
            })
            .collect();
        let holders: Holders = groups()
            .map(|(index, group)| {
                let holds = group.holds.iter();
                holds
                    .map(|(content, copies)| {
                        (*content, choose(index, &format!("holds/{}", body.content[*content].id), *copies))
                    })
                    .collect()
            })
            .collect();
        let habits: Vec<Vec<Vec<Habit>>> = groups()
            .map(|(index, group)| {
                let restored = choose(index, "rollback", group.users.rollback);
                let peers = layout.peers(index).iter().zip(&beginnings[index]);
                let habits = |((host, beginning), (on, restored)): ((&Host, &Duration), (&bool, bool))| {
                    users::habits(&group.users, host.name.as_str(), (*on, restored), *beginning, body.duration, &seeds)
                };
                peers.zip(uploads[index].iter().zip(restored)).map(habits).collect()
            })
            .collect();
        let mut requests = demand::draw(body, layout, (&holders, beginnings), &seeds);
        // Who is not there asks when the machine is back, or not at all.
        requests.retain_mut(|request| {
            let at_ns = users::present(&habits[request.group][request.peer], request.at_ns);
            request.at_ns = at_ns.unwrap_or_default();
            at_ns.is_some()
        });
        requests.sort_unstable();
        let scripts = scripts(body, layout, &requests, &seeds);
        Self {
            body,
            layout,
            objects,
            signing_key,
            verify_key: SigningKey::from_bytes(&signing_key).verifying_key().to_bytes(),
            uploads,
            nats,
            misbehaviour,
            holders,
            connection_nodes: control_nodes(layout, false).map(|(_, host)| host.address).collect(),
            databases: databases(layout),
            habits,
            scripts,
            seeds,
        }
    }

    /// The node of a host; `number` is its place in its group.
    fn node(&self, host: &Host, number: usize) -> PlannedNode {
        let (group, command, role) = match (host.role, host.group) {
            (Role::Peer, Some(group)) => {
                let declared = &self.body.groups[group];
                let config = RoleConfig::Peer(Box::new(self.peer(host, group, number)));
                (declared.name.value.clone(), declared.command.clone(), config)
            }
            (Role::Control, _) => {
                let group = if host.database { "database" } else { "control" };
                (group.to_owned(), Vec::new(), RoleConfig::Control(self.control(host)))
            }
            _ => {
                let EdgePolicy { token_lifetime_ns, limits } = policies::edge(&self.body.policy);
                let (objects, signing_key) = (self.objects.clone(), self.signing_key);
                let config = EdgeConfig { port: EDGE_PORT, objects, signing_key, token_lifetime_ns, limits };
                ("edges".to_owned(), Vec::new(), RoleConfig::Edge(config))
            }
        };
        let at = &self.layout.ases[host.at];
        let declared = host.group.map(|group| &self.body.groups[group]);
        PlannedNode {
            name: host.name.clone(),
            role: host.role,
            group,
            command,
            image: declared.and_then(|group| group.image.clone()),
            limits: declared.map(|group| group.limits).unwrap_or_default(),
            config: NodeConfig {
                name: host.name.clone(),
                as_number: at.number,
                region: at.region.clone(),
                address: host.address,
                seed: self.seeds.number(&format!("node/{}/seed", host.name)),
                role,
            },
        }
    }

    fn control(&self, host: &Host) -> ControlConfig {
        let part = if host.database {
            ControlPart::Database { connection_nodes: self.connection_nodes.clone() }
        } else {
            ControlPart::Connection { databases: self.databases.clone() }
        };
        let ControlPolicy { selection, readd, limits } = policies::control(&self.body.policy);
        ControlConfig {
            port: CONTROL_PORT,
            verify_key: self.verify_key,
            part,
            selection,
            readd,
            limits,
            directory: self.layout.ases.iter().map(|one| one.entry.clone()).collect(),
        }
    }

    fn peer(&self, host: &Host, group: usize, number: usize) -> PeerConfig {
        let policy = policies::peer(&self.body.policy, host.access);
        // Copies of an installation have what the first of them had.
        let (clones, peers) = (self.body.groups[group].users.clones as usize, self.layout.peers(group));
        let original = &peers[number - number % clones].name;
        let habits = self.habits[group][number].clone();
        let restored = habits.iter().any(|habit| habit.act == HabitAct::Online { restored: true });
        let before = (clones > 1 || restored).then(|| users::guid(&self.seeds, &format!("node/{original}/secondary")));
        let held = self.holders[group].iter().filter(|(_, flags)| flags[number]);
        let held: Vec<usize> = held.map(|(content, _)| *content).collect();
        let script = self.scripts[group][number].clone();
        let known =
            |index: usize, object: &Object| held.contains(&index) || script.iter().any(|s| s.content == object.id);
        let objects = self.objects.iter().enumerate().filter(|(index, object)| known(*index, object));
        let Place { lan, control, edges, .. } = self.home(host, group, &self.body.policy);
        PeerConfig {
            guid: users::guid(&self.seeds, &format!("node/{original}/guid")),
            secondary: before.into_iter().collect(),
            nat: self.nats[group][number],
            lan,
            port: PEER_PORT,
            control,
            edges,
            verify_key: self.verify_key,
            uploads: UploadPolicy {
                enabled: self.uploads[group][number],
                per_copy: policy.uploads.per_copy,
                connections: policy.uploads.connections,
                waiting: policy.uploads.waiting,
                rate_bps: policy.uploads.rate_bps,
                connection_rate_bps: policy.uploads.connection_rate_bps,
            },
            courtesy: policy.courtesy,
            habits,
            cache: policy.cache,
            edge_mode: policy.edge_mode,
            edge_target_bps: policy.edge_target_bps,
            both_sides: policy.both_sides,
            max_sources: policy.max_sources,
            requery: policy.requery,
            constants: self.body.policy.constants,
            objects: objects.map(|(_, object)| object.clone()).collect(),
            holds: held.iter().map(|index| self.objects[*index].id.clone()).collect(),
            storage: Storage::Synthetic,
            script,
            misbehaviour: self.misbehaviour[group][number].clone(),
        }
    }

    /// Servers, nearest first; among those that are equally near each host begins with another.
    fn in_order(&self, runs: &[Vec<usize>], host: &Host, port: u16) -> Vec<SocketAddr> {
        let turn = self.seeds.number(&format!("node/{}/server", host.name));
        let runs = runs.iter().flat_map(|run| {
            let first = (turn % run.len() as u64) as usize;
            run[first..].iter().chain(&run[..first])
        });
        runs.map(|index| SocketAddr::new(self.layout.hosts[*index].address, port)).collect()
    }
}

/// The requests as scripts by group and peer, numbered in their order.
fn scripts(body: &Body, layout: &Layout, requests: &[Request], seeds: &Seeds) -> Vec<Vec<Vec<ScriptStep>>> {
    let mut scripts: Vec<Vec<Vec<ScriptStep>>> =
        body.groups.iter().map(|group| vec![Vec::new(); group.peers.value as usize]).collect();
    for (number, request) in requests.iter().enumerate() {
        let content = body.content[request.content].id.clone();
        let host = &layout.peers(request.group)[request.peer];
        let patience = body.workloads[request.workload].patience;
        let user = patience.map_or_else(Vec::new, |patience| {
            let mut draws = seeds.draws(&format!("patience/{}/{content}", host.name));
            demand::user(&patience, body.duration, &mut draws)
        });
        let step = ScriptStep { download: number as u32, at_ns: request.at_ns, content, user };
        scripts[request.group][request.peer].push(step);
    }
    scripts
}
