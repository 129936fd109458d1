//! What is due when: the deadlines of connections, downloads and the run, and what happens at them.

use peerbed_contract::{Constants, Offence};

use super::{
    PeerMachine, Stage,
    download::Run,
    link::{Kind, Link, Phase},
    params::{DRAIN_TIMEOUT, MILLISECOND},
};
use crate::{ConnId, Time};

impl Link {
    /// When one that is being left is broken off, unless something moves on it before.
    fn drained_by(&self) -> Time {
        self.since.max(self.pull.heard).max(self.push.used) + DRAIN_TIMEOUT
    }

    /// When something must be done about the connection, unless something happens on it before.
    fn deadline(&self, constants: &Constants) -> Option<Time> {
        let Constants { defences, waits, .. } = constants;
        match self.phase {
            Phase::Dialling => Some(self.since.saturating_add(waits.connect_ns)),
            Phase::Greeting => Some(self.since.saturating_add(waits.greeting_ns)),
            // As long as something moves, it may go on: a slow piece is waited for, but not one that next to nothing comes of.
            Phase::Leaving => Some(self.drained_by().min(self.pull.looked_at_by().unwrap_or(Time::MAX))),
            Phase::Open => {
                let sends = self.push.busy || self.push.unsent > 0;
                // Who takes a byte now and then would hold its slot for ever.
                let part = self.push.busy.then(|| self.push.ordered.saturating_add(defences.part_dead_ns));
                let taken = sends.then(|| self.push.used.saturating_add(defences.upload_dead_ns));
                // A source is looked after by its download.
                let owes = !self.pull.wanted.is_empty() && !self.source;
                let given = owes.then(|| self.pull.heard.max(self.since).saturating_add(defences.dead_ns));
                let rests = !sends && !owes && !self.source && self.push.queue.is_empty();
                let idle = rests.then(|| self.push.used.max(self.since).saturating_add(waits.idle_ns));
                [part, taken, given, idle].into_iter().flatten().min()
            }
        }
    }
}

impl PeerMachine {
    /// Does everything that is due, and everything that what just happened allows.
    pub(super) fn advance(&mut self, now: Time) {
        if self.stage == Stage::Finished {
            return;
        }
        self.follow_habits(now);
        self.follow_script(now);
        self.misbehave(now);
        self.keep_control(now);
        self.tell_news(now);
        self.expire_links(now);
        let numbers: Vec<u32> = self.downloads.keys().copied().collect();
        for number in numbers {
            self.follow_user(now, number);
            if let Some(download) = self.downloads.get_mut(&number) {
                download.watch_stall(now);
                download.stir |= download.edges.spared.take_if(|until| *until <= now).is_some();
                if download.is_active() && download.next_tick <= now {
                    download.plan_tick(now, &mut self.rng);
                    self.tick(now, number);
                }
            }
            if self.downloads.get(&number).is_some_and(|download| download.stir) {
                self.pump(now, number);
            }
            self.conclude(number);
        }
        self.keep_cache(now);
        self.upload(now);
        self.keep_accounts(now);
        self.keep_standing(now);
        self.try_to_finish(now);
    }

    /// The regular look of a running download.
    fn tick(&mut self, now: Time, number: u32) {
        let Constants { defences, .. } = self.config.constants;
        let Some(download) = self.downloads.get_mut(&number) else { return };
        download.share.look(now);
        download.stir = true;
        // All that an edge is left for is another. Begun anew at the same one, what has come would come again.
        let edges = &download.edges;
        let edge_dead_ns = |link: &Link| match link.kind {
            Kind::Edge(index) if !edges.has_other(index, now) => defences.edge_dead_ns.saturating_mul(3),
            _ => defences.edge_dead_ns,
        };
        // The answer to an authorisation comes after the ranges that were asked for before it.
        let (current, asked) = (download.edges.current, download.edges.asking);
        let mute = |conn: ConnId, link: &Link| {
            let since = asked.filter(|_| current == Some(conn)).map(|since| since.max(link.pull.heard));
            since.is_some_and(|since| now.saturating_sub(since) >= edge_dead_ns(link))
        };
        let dead = |link: &Link| {
            let silent = if link.pull.wanted.is_empty() { 0 } else { now.saturating_sub(link.pull.heard) };
            silent >= if link.is_edge() { edge_dead_ns(link) } else { defences.dead_ns }
        };
        let lost: Vec<(ConnId, Kind)> = download
            .links
            .iter()
            .filter_map(|conn| self.links.get(conn).map(|link| (*conn, link)))
            .filter(|(conn, link)| link.source && (dead(link) || mute(*conn, link)))
            .map(|(conn, link)| (conn, link.kind))
            .collect();
        let slow = |(conn, link): (&ConnId, &mut Link)| {
            let gives = link.source || link.phase == Phase::Leaving;
            let crawls = gives && !link.is_edge() && link.download == Some(number) && link.pull.crawls(now);
            crawls.then_some((*conn, link.kind))
        };
        let slow: Vec<(ConnId, Kind)> = self.links.iter_mut().filter_map(slow).collect();
        for (conn, kind) in lost.iter().chain(slow.iter().filter(|slow| !lost.contains(slow))).copied() {
            match kind {
                Kind::Edge(index) => {
                    self.edge_gone(now, conn, index, None);
                    self.leave(now, conn);
                }
                Kind::Dialled | Kind::Accepted => {
                    self.offended(now, conn, Offence::Stall);
                    self.candidate_stalled(now, conn);
                    if self.links.get(&conn).is_some_and(|link| link.source) {
                        self.detach(now, conn, true);
                    } else {
                        // It was being left, and what it owes from before would never be whole.
                        self.break_off(now, conn);
                    }
                }
            }
        }
        self.keep_edge(now, number);
        self.keep_swarm(now, number);
    }

    fn expire_links(&mut self, now: Time) {
        let constants = self.config.constants;
        let due = |link: &Link| link.deadline(&constants).is_some_and(|deadline| deadline <= now);
        let expired: Vec<ConnId> = self.links.iter().filter(|(_, link)| due(link)).map(|(conn, _)| *conn).collect();
        for conn in expired {
            let Some(link) = self.links.get_mut(&conn) else { continue };
            if link.phase == Phase::Leaving && link.drained_by() > now && !link.pull.crawls(now) {
                continue;
            }
            let moves = !link.push.queue.is_empty() || link.push.unsent > 0 || !link.pull.wanted.is_empty();
            match (link.phase, link.kind) {
                (Phase::Dialling, Kind::Edge(index)) => {
                    self.edge_gone(now, conn, index, None);
                    self.close(now, conn, true);
                }
                (Phase::Dialling | Phase::Greeting, _) => {
                    self.candidate_gone(now, conn, None);
                    self.close(now, conn, false);
                }
                (Phase::Leaving, _) => self.close(now, conn, false),
                (Phase::Open, _) if moves => self.break_off(now, conn),
                (Phase::Open, _) => self.leave(now, conn),
            }
        }
    }

    /// Whether nothing is due and nothing waits to be done.
    pub(super) fn rests(&self, now: Time) -> bool {
        let due = self.due.is_some_and(|due| due <= now);
        let stirs = self.cache.stir || self.downloads.values().any(|download| download.stir);
        self.stage == Stage::Running && !due && !stirs && self.out.is_empty()
    }

    /// When the next thing is due.
    pub(super) fn wake_at(&self, now: Time) -> Option<Time> {
        let running = self.stage == Stage::Running;
        let script = self.script.front().map(|step| step.at_ns).filter(|_| running);
        let control = self.control.due().filter(|_| running);
        let stop = if let Stage::Stopping { deadline } = self.stage { Some(deadline) } else { None };
        let links = self.links.values().filter_map(|link| link.deadline(&self.config.constants));
        let downloads = self.downloads.values().flat_map(|download| match download.run {
            Run::Active => {
                [Some(download.next_tick), download.next_act(), download.next_stall(), download.edges.spared]
            }
            Run::Paused { resume_at } => [Some(resume_at), None, None, None],
            Run::Away { .. } | Run::Over { .. } => [None; 4],
        });
        let cache = self.cache.wake.filter(|_| running);
        let accounts = self.accounts.due().filter(|_| running);
        let misdeeds = self.misdeeds.due().filter(|_| running);
        let due =
            [self.news.due(), script, self.next_habit(), control, stop, cache, misdeeds, accounts, self.uploader.wake]
                .into_iter()
                .chain(downloads)
                .flatten()
                .chain(links)
                .min();
        // Everything due by now was done; should something be left, it is tried again soon instead of without a pause.
        due.filter(|_| self.stage != Stage::Finished).map(|due| if due > now { due } else { now + MILLISECOND })
    }
}
