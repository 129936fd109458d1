//! One direction of one link as it stands in the kernel: which device is shaped and how, and what that has counted.

use std::collections::BTreeMap;

use netlink_packet_route::tc::TcHandle;
use peerbed_link::{Counters, LinkSpec};

use super::{
    Router, TcError,
    program::Program,
    render::{self, Counted, INGRESS, NETEM, TBF},
};
use crate::netlink::{Count, Counts, NetlinkError, Step, Watched};

/// A device of a router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    /// Its name.
    pub(crate) name: String,
    /// Its index.
    pub(crate) index: u32,
}

/// One direction of one link.
#[derive(Debug)]
pub(crate) struct Lane {
    /// At which router.
    router: usize,
    /// The device that packets come in on or leave by.
    device: Device,
    /// For what comes in: the devices between which it is shaped, made when that is needed.
    inside: Option<[Device; 2]>,
    program: Program,
    seed: u64,
    /// Some links of the network have delays.
    delays: bool,
    /// What came in, where that is shaped.
    ingress: Meter,
    netem: Meter,
    tbf: Meter,
    /// What was counted by disciplines that are no more.
    before: Counters,
}

/// What one discipline has counted since it was made, beyond the kernel's 32 bits.
#[derive(Debug, Default)]
struct Meter {
    last: Counted,
    bytes: u64,
    packets: u64,
    drops: u64,
}

impl Meter {
    fn read(&mut self, now: Counted) {
        self.bytes += now.bytes.wrapping_sub(self.last.bytes);
        self.packets += u64::from(now.packets.wrapping_sub(self.last.packets));
        self.drops += u64::from(now.drops.wrapping_sub(self.last.drops));
        self.last = now;
    }

    /// Count from nothing; the discipline goes on, unless another takes its place.
    fn restart(&mut self, goes_on: bool) {
        let last = if goes_on { self.last } else { Counted::default() };
        *self = Self { last, ..Self::default() };
    }
}

/// Everything that is counted at one router, at one moment.
#[derive(Debug)]
pub(crate) struct Reading {
    disciplines: BTreeMap<(u32, u32), Counted>,
    counts: Counts,
}

impl Reading {
    pub(crate) fn of(router: &mut Router) -> Result<Self, NetlinkError> {
        // What has left a discipline has been offered to it: so this is read last.
        let told = router.netlink.ask(&router.name, render::disciplines())?;
        let counted = told.into_iter().filter_map(render::counted);
        let disciplines = counted.map(|(index, handle, counted)| ((index, handle.into()), counted)).collect();
        Ok(Self { disciplines, counts: router.netfilter.read(&router.name)? })
    }

    /// Packets that have passed a device.
    pub(crate) fn passed(&self, watched: Watched, index: u32) -> Count {
        self.counts.of(watched, index)
    }

    fn of_discipline(&self, Device { name, index }: &Device, handle: TcHandle) -> Result<Counted, TcError> {
        let gone = || TcError::Gone { device: name.clone() };
        self.disciplines.get(&(*index, handle.into())).copied().ok_or_else(gone)
    }
}

impl Lane {
    /// What comes in on a device, shaped between two others that do not stand yet.
    pub(crate) fn coming_in(router: usize, device: Device, inside: [Device; 2], seed: u64, delays: bool) -> Self {
        Self { inside: Some(inside), ..Self::leaving(router, device, seed, delays) }
    }

    /// What leaves by a device.
    pub(crate) fn leaving(router: usize, device: Device, seed: u64, delays: bool) -> Self {
        Self {
            router,
            device,
            inside: None,
            program: Program::default(),
            seed,
            delays,
            ingress: Meter::default(),
            netem: Meter::default(),
            tbf: Meter::default(),
            before: Counters::default(),
        }
    }

    /// What makes a new lane, whose devices stand, into a link.
    pub(crate) fn begin(&mut self, spec: &LinkSpec) -> Vec<Step> {
        let program = Program::of(spec, self.seed, &self.program, self.delays);
        let steps = self.steps(&program);
        self.program = program;
        steps
    }

    /// Change the link. What waits in it is kept where the kernel can: as long as no discipline has to come before another
    /// that is there.
    pub(crate) fn set(&mut self, routers: &mut [Router], spec: LinkSpec) -> Result<(), TcError> {
        let program = Program::of(&spec, self.seed, &self.program, self.delays);
        let router = &mut routers[self.router];
        if program.is_like(&self.program) {
            let Device { name, index } = self.shaped();
            let steps = render::shape(name, *index, &program, &self.program);
            router.netlink.carry_out(&router.name, &steps)?;
            self.program = program;
            return Ok(());
        }
        let reading = Reading::of(router)?;
        let replaced = self.program.tbf.is_some() && self.program.netem.is_none();
        self.before = self.count(&reading)?;
        if replaced {
            // What waits goes with its discipline.
            self.before.dropped_packets += u64::from(self.tbf.last.waiting);
        }
        let mut steps = self.steps(&program);
        if replaced {
            let Device { name, index } = self.shaped();
            steps.insert(0, render::unshape(name, *index));
        }
        self.ingress.restart(true);
        self.netem.restart(true);
        self.tbf.restart(!replaced);
        router.netlink.carry_out(&router.name, &steps)?;
        self.program = program;
        Ok(())
    }

    /// What it has counted.
    pub(crate) fn read(&mut self, readings: &[Reading]) -> Result<Counters, TcError> {
        self.count(&readings[self.router])
    }

    /// The steps from its program to another with other disciplines.
    fn steps(&self, program: &Program) -> Vec<Step> {
        if program.is_empty() {
            return Vec::new();
        }
        let begins = self.program.is_empty();
        let Device { name, index } = self.shaped();
        let is_kept = self.program.netem.is_some() || program.netem.is_none();
        let before = if is_kept { self.program } else { Program::default() };
        let mut steps = render::shape(name, *index, program, &before);
        if let (Some([queue, out]), true) = (&self.inside, begins) {
            let passage = render::passage((&queue.name, queue.index), (&out.name, out.index));
            // Only when they are shaped may packets take it.
            let divert = render::divert(&self.device.name, self.device.index, queue.index);
            steps = passage.into_iter().chain(steps).chain(divert).collect();
        }
        steps
    }

    /// The device that has the disciplines.
    fn shaped(&self) -> &Device {
        self.inside.as_ref().map_or(&self.device, |[queue, _]| queue)
    }

    fn count(&mut self, reading: &Reading) -> Result<Counters, TcError> {
        if self.program.netem.is_some() {
            let now = reading.of_discipline(self.shaped(), NETEM)?;
            self.netem.read(now);
        }
        if self.program.tbf.is_some() {
            let now = reading.of_discipline(self.shaped(), TBF)?;
            self.tbf.read(now);
        }
        let mut counters = self.before;
        if self.inside.is_some() && !self.program.is_empty() {
            // Whatever looks at packets behind that sees what came through.
            self.ingress.read(reading.of_discipline(&self.device, INGRESS)?);
            counters.offered_packets += self.ingress.packets;
            counters.offered_bytes += self.ingress.bytes;
        } else {
            let watched = if self.inside.is_some() { Watched::Input } else { Watched::Output };
            let offered = reading.passed(watched, self.device.index);
            (counters.offered_packets, counters.offered_bytes) = (offered.packets, offered.bytes);
        }
        counters.dropped_packets += self.tbf.drops;
        // `netem` counts what the discipline below it drops as well.
        counters.lost_packets += self.netem.drops.saturating_sub(self.tbf.drops);
        let last = match self.program {
            Program { tbf: Some(_), .. } => Some(&self.tbf),
            Program { netem: Some(_), .. } => Some(&self.netem),
            Program { .. } => None,
        };
        if let Some(last) = last {
            counters.carried_packets += last.packets;
            counters.carried_bytes += last.bytes;
        } else {
            (counters.carried_packets, counters.carried_bytes) = (counters.offered_packets, counters.offered_bytes);
        }
        Ok(counters)
    }
}
