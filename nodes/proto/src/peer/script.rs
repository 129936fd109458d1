//! The user's acts: downloads begin, pause, resume and end; and the end of the run.

use std::sync::Arc;

use peerbed_contract::{EventKind, Object, ScriptStep, TerminalStatus, UserAct};

use super::{
    PeerMachine, Stage,
    download::{Download, Run},
    params::DRAIN_TIMEOUT,
};
use crate::{ConnId, Output, Time};

impl PeerMachine {
    pub(super) fn start(&mut self, now: Time) {
        if self.stage == Stage::Waiting {
            self.stage = Stage::Running;
            self.draw_secondary(now);
            self.take_up_habits(now);
            self.offer_held();
            self.begin_misdeeds(now);
        }
    }

    /// Begins every download whose moment has come.
    pub(super) fn follow_script(&mut self, now: Time) {
        while self.stage == Stage::Running && self.script.front().is_some_and(|step| step.at_ns <= now) {
            if let Some(step) = self.script.pop_front() {
                self.begin_download(now, step);
            }
        }
    }

    fn begin_download(&mut self, now: Time, step: ScriptStep) {
        let number = step.download;
        if self.downloads.contains_key(&number) {
            return self.notice(format!("download {number} is in the script twice; the second is left out"));
        }
        self.event(EventKind::DownloadStarted { download: number, content: step.content.clone() });
        let known = self.objects.get(&step.content).cloned();
        let failure = match &known {
            None => Some(format!("`{}` is not among the objects of this peer", step.content)),
            Some(_) if self.config.edges.is_empty() => Some("no edge is configured".to_owned()),
            Some(_) => None,
        };
        let object = known.unwrap_or_else(|| {
            let (provider, id) = (String::new(), step.content.clone());
            Arc::new(Object { id, provider, size: 0, piece_length: 1, key: 0, peers_allowed: false })
        });
        if failure.is_none() {
            self.uploader.expect(now, &object);
            self.cache.stir = true;
        }
        let download = Download::new(step, object, &self.config, now, &mut self.rng);
        self.downloads.insert(number, download);
        match failure {
            Some(reason) => self.fail_download(now, number, reason),
            None => self.keep_edge(now, number),
        }
    }

    /// Does what the user does by now.
    pub(super) fn follow_user(&mut self, now: Time, number: u32) {
        loop {
            let Some(download) = self.downloads.get_mut(&number) else { return };
            match download.run {
                Run::Paused { resume_at } if resume_at <= now => {
                    download.resume(now);
                    self.event(EventKind::DownloadResumed { download: number });
                    self.attach_kept(number);
                    self.keep_edge(now, number);
                }
                Run::Active if download.next_act().is_some_and(|due| due <= now) => {
                    let act = download.user.pop_front().map(|moment| moment.act);
                    match act {
                        Some(UserAct::Pause { resume_after_ns: Some(after) }) => {
                            self.pause_download(now, number, now.saturating_add(after));
                        }
                        Some(UserAct::Pause { resume_after_ns: None }) => {
                            self.event(EventKind::DownloadPaused { download: number });
                            self.end_download(now, number, TerminalStatus::Paused);
                        }
                        Some(UserAct::Abort) => self.end_download(now, number, TerminalStatus::Aborted),
                        None => return,
                    }
                }
                Run::Active | Run::Paused { .. } | Run::Away { .. } | Run::Over { .. } => return,
            }
        }
    }

    /// Nothing new is asked for; what is outstanding comes and counts.
    fn pause_download(&mut self, now: Time, number: u32, resume_at: Time) {
        let Some(download) = self.downloads.get_mut(&number) else { return };
        download.pause(now, resume_at);
        self.event(EventKind::DownloadPaused { download: number });
        self.release_links(now, number, false);
    }

    /// A download comes to its end; its record follows when its connections have drained.
    pub(super) fn end_download(&mut self, now: Time, number: u32, status: TerminalStatus) {
        let Some(download) = self.downloads.get_mut(&number).filter(|download| !download.is_over()) else { return };
        download.end(now, status);
        self.cache.stir = true;
        let content = download.content().clone();
        self.release_links(now, number, status != TerminalStatus::Paused);
        if !self.uploader.is_whole(&content) {
            self.control_withdraw(&content);
        }
    }

    pub(super) fn release_links(&mut self, now: Time, number: u32, cancel: bool) {
        let Some(download) = self.downloads.get_mut(&number) else { return };
        download.edges.current = None;
        download.edges.dialling = None;
        download.edges.asking = None;
        for candidate in &mut download.swarm.candidates {
            candidate.link = None;
        }
        let links: Vec<ConnId> = download.links.iter().copied().collect();
        for conn in links {
            self.detach(now, conn, cancel);
        }
    }

    /// Prints the record of a download that is over and has nothing outstanding any more.
    pub(super) fn conclude(&mut self, number: u32) {
        let Some(download) = self.downloads.get(&number).filter(|download| download.is_over()) else { return };
        let drained = |conn: &ConnId| self.links.get(conn).is_none_or(|link| link.pull.wanted.is_empty());
        if !download.links.iter().all(drained) {
            return;
        }
        let Some(download) = self.downloads.remove(&number) else { return };
        for conn in &download.links {
            if let Some(link) = self.links.get_mut(conn) {
                link.download = None;
            }
        }
        let record = download.record(&self.me);
        self.event(EventKind::DownloadFinished(Box::new(record)));
    }

    /// The harness asks for the end: everything is ended in good order, within [`DRAIN_TIMEOUT`].
    pub(super) fn stop(&mut self, now: Time) {
        if !matches!(self.stage, Stage::Waiting | Stage::Running | Stage::Offline) {
            return;
        }
        self.stage = Stage::Stopping { deadline: now + DRAIN_TIMEOUT };
        self.script.clear();
        let running: Vec<u32> = self.downloads.keys().copied().collect();
        for number in running {
            self.end_download(now, number, TerminalStatus::Unfinished);
        }
        let open: Vec<ConnId> = self.links.keys().copied().collect();
        for conn in open {
            self.call_off(conn);
            self.leave(now, conn);
        }
    }

    /// Finishes when everything has drained, or the time for it is over.
    pub(super) fn try_to_finish(&mut self, now: Time) {
        let Stage::Stopping { deadline } = self.stage else { return };
        if now >= deadline {
            let rest: Vec<ConnId> = self.links.keys().copied().collect();
            for conn in rest {
                self.close(now, conn, false);
            }
        }
        let over: Vec<u32> = self.downloads.keys().copied().collect();
        for number in over {
            self.conclude(number);
        }
        if self.downloads.is_empty() && self.links.is_empty() {
            self.tell_offences();
            self.report_usage(true);
            self.leave_control();
            self.stage = Stage::Finished;
            self.out.push_back(Output::Finished);
        }
    }
}
