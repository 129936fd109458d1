//! The part of the agent's task that is about the network: has it built, moves devices, and asks whether the engine still works.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use peerbed_contract::NodeName;
use peerbed_link::{Fabric, LinkSpec};

use super::{Agent, Event, Installation, Node, State, unknown};
use crate::{
    agent::{
        fabric::{FabricError, Standing},
        misshape::misshape,
        plug,
        protocol::{Installed, Notice, Reply, Said},
    },
    engine::EngineOptions,
};

impl Agent {
    pub(super) fn install(
        &mut self,
        id: u64,
        mut fabric: Fabric,
        later: Vec<LinkSpec>,
        options: EngineOptions,
    ) -> io::Result<()> {
        if !matches!(self.fabric, Installation::None) {
            self.refuse(id, "the network was installed before; an agent holds one");
            return Ok(());
        }
        misshape(&mut fabric);
        self.fabric = Installation::UnderWay;
        let (events, urgent) = (self.events.clone(), self.urgent.clone());
        let total = fabric.nodes.len();
        let build = move || {
            let progress = |made: usize| {
                // Some twenty times in all is enough to look at.
                if made.is_multiple_of((total / 20).max(1)) || made == total {
                    let notice = Notice::Progress { made: made as u32, total: total as u32 };
                    let _ = urgent.send(Said::Notice(notice));
                }
            };
            let result = Box::new(Standing::build(&fabric, &later, &options, progress));
            // The serving task has gone only when the process is ending.
            let _ = events.send(Event::Built { call: id, result });
        };
        std::thread::Builder::new().name("fabric".to_owned()).spawn(build).map(drop)
    }

    pub(super) fn built(&mut self, id: u64, result: Result<Standing, FabricError>) {
        let standing = match result {
            Ok(standing) => standing,
            Err(error) => {
                self.fabric = Installation::None;
                return self.refuse(id, &error);
            }
        };
        let node = |(position, (name, namespace)): (usize, &(NodeName, OwnedFd))| {
            let node = Node { position, namespace: namespace.as_raw_fd(), state: State::Idle, next: None };
            (name.clone(), node)
        };
        self.nodes = standing.nodes.iter().enumerate().map(node).collect();
        let namespaces = standing.namespace_numbers();
        let installed = Installed { engine: standing.report.clone(), agent_pid: self.pid, namespaces };
        self.fabric = Installation::Stands(Box::new(standing));
        self.reply(id, Reply::Installed(installed));
    }

    pub(super) fn plug(&mut self, id: u64, node: &NodeName, pid: u32) -> io::Result<()> {
        let (Installation::Stands(standing), Some(position)) = (&self.fabric, self.nodes.get(node).map(|n| n.position))
        else {
            self.refuse(id, &unknown(node));
            return Ok(());
        };
        let from = standing.nodes[position].1.try_clone()?;
        standing.engine.departs(position);
        let what = plug::What::Plug(pid);
        self.plug_in(plug::Order { call: id, position, site: standing.sites[position].clone(), from, what })
    }

    fn plug_in(&self, order: plug::Order) -> io::Result<()> {
        self.plugs.send(order).map_err(|_| io::Error::other("the thread that moves devices has ended"))
    }

    /// From this moment on the node's packets come from and go to its new place; its address follows.
    pub(super) fn relocate(&mut self, id: u64, node: &NodeName, place: &NodeName) -> io::Result<()> {
        let position = self.nodes.get(node).map(|node| node.position);
        let (Installation::Stands(standing), Some(position)) = (&mut self.fabric, position) else {
            self.refuse(id, &unknown(node));
            return Ok(());
        };
        let index = standing.places.iter().position(|(name, _)| name == place);
        let address = match index {
            Some(index) => standing.places[index].1,
            None if node == place => standing.homes[position],
            None => {
                self.refuse(id, &format!("node {node}: there is no place {place}"));
                return Ok(());
            }
        };
        if let Err(error) = standing.engine.relocate(position, index) {
            self.refuse(id, &error);
            return Ok(());
        }
        let site = &mut standing.sites[position];
        let old = std::mem::replace(&mut site.address, address);
        if old == address {
            self.reply(id, Reply::Done);
            return Ok(());
        }
        let (site, from) = (site.clone(), standing.nodes[position].1.try_clone()?);
        self.plug_in(plug::Order { call: id, position, site, from, what: plug::What::Readdress(old) })
    }

    pub(super) fn plugged(&mut self, outcome: plug::Outcome) {
        let plug::Outcome { call, position, result } = outcome;
        let Installation::Stands(standing) = &mut self.fabric else { return };
        match result {
            Ok(None) => self.reply(call, Reply::Done),
            Ok(Some(plugged)) => {
                let moved = standing.moved(position, plugged);
                self.answer(call, moved);
            }
            Err(error) => {
                standing.engine.arrived(position, None);
                self.refuse(call, &error);
            }
        }
    }

    pub(super) fn look_at_engine(&mut self) {
        let Installation::Stands(standing) = &self.fabric else { return };
        if let Some(message) = standing.engine.broken().filter(|_| !self.broken) {
            self.broken = true;
            let _ = self.urgent.send(Said::Notice(Notice::Broken { message }));
        }
    }
}
