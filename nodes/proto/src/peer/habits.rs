//! What the user and the machine do beside downloads: the upload setting, other use of the link, going and coming back.

use peerbed_contract::{EventKind, HabitAct};

use super::{PeerMachine, Stage, download::Run};
use crate::{ConnId, Message, Time};

impl PeerMachine {
    /// Does everything that is due by now.
    pub(super) fn follow_habits(&mut self, now: Time) {
        while matches!(self.stage, Stage::Running | Stage::Offline)
            && let Some(habit) = self.habits.pop_front_if(|habit| habit.at_ns <= now)
        {
            match habit.act {
                HabitAct::UploadsOn => self.switch_uploads(now, true),
                HabitAct::UploadsOff => self.switch_uploads(now, false),
                HabitAct::LinkBusy => self.uploader.limit.use_link(now, true),
                HabitAct::LinkIdle => self.uploader.limit.use_link(now, false),
                HabitAct::Offline { clean } => self.go_offline(now, clean),
                HabitAct::Online { restored } => self.come_online(now, restored),
            }
        }
    }

    /// A process that is started late, as after a kill, begins where its user and machine are by now.
    pub(super) fn take_up_habits(&mut self, now: Time) {
        let (mut uploads, mut link, mut presence) = (None, None, None);
        while let Some(habit) = self.habits.pop_front_if(|habit| habit.at_ns < now) {
            match habit.act {
                HabitAct::UploadsOn | HabitAct::UploadsOff => uploads = Some(habit.act == HabitAct::UploadsOn),
                HabitAct::LinkBusy | HabitAct::LinkIdle => link = Some((habit.at_ns, habit.act == HabitAct::LinkBusy)),
                HabitAct::Offline { clean } => presence = Some(clean),
                HabitAct::Online { .. } => presence = None,
            }
        }
        if let Some(on) = uploads {
            self.uploader.switch(on);
        }
        if let Some((since, in_use)) = link {
            self.uploader.limit.use_link(since, in_use);
        }
        if let Some(clean) = presence {
            self.go_offline(now, clean);
        }
    }

    /// When the next of them is due.
    pub(super) fn next_habit(&self) -> Option<Time> {
        let present = matches!(self.stage, Stage::Running | Stage::Offline);
        self.habits.front().filter(|_| present).map(|habit| habit.at_ns)
    }

    /// The user's setting changes: copies are registered again, or withdrawn and their uploads ended in good order.
    fn switch_uploads(&mut self, now: Time, on: bool) {
        if !self.uploader.switch(on) {
            return;
        }
        if on {
            self.tell_control(Message::Uploads { on });
            self.offer_all();
        } else {
            for content in self.control_offered() {
                self.control_withdraw(&content);
            }
            self.tell_control(Message::Uploads { on });
            self.end_uploads(now, None);
        }
    }

    /// Offers whatever may be given out: whole copies, and what is being downloaded with leave.
    pub(super) fn offer_all(&mut self) {
        for (content, _) in self.uploader.offered().into_iter().filter(|(_, whole)| *whole) {
            self.control_offer(&content, true);
        }
        for number in self.downloads.keys().copied().collect::<Vec<_>>() {
            self.offer_begun(number);
        }
    }

    /// Downloads stand still, connections end, and nothing is accepted any more.
    fn go_offline(&mut self, now: Time, clean: bool) {
        if self.stage != Stage::Running {
            return;
        }
        self.stage = Stage::Offline;
        self.event(EventKind::Offline { clean });
        self.stand_still(now);
        let open: Vec<ConnId> = self.links.keys().copied().collect();
        for conn in open {
            if clean {
                self.call_off(conn);
                self.leave(now, conn);
            } else {
                self.close(now, conn, false);
            }
        }
        self.leave_control();
    }

    /// Every download that is not over waits until its machine is back.
    pub(super) fn stand_still(&mut self, now: Time) {
        let running: Vec<u32> =
            self.downloads.iter().filter(|(_, download)| !download.is_over()).map(|(number, _)| *number).collect();
        for number in running {
            if let Some(download) = self.downloads.get_mut(&number) {
                download.go_away(now);
            }
            self.release_links(now, number, true);
        }
    }

    /// A new start of the same installation: it logs in anew, and downloads go on where they were.
    fn come_online(&mut self, now: Time, restored: bool) {
        if self.stage != Stage::Offline {
            return;
        }
        self.stage = Stage::Running;
        self.event(EventKind::Online);
        if restored {
            self.me.secondary.clone_from(&self.config.secondary);
        }
        self.draw_secondary(now);
        self.return_to_control(now);
        self.go_on(now);
    }

    /// Every download that waited goes on where it was.
    pub(super) fn go_on(&mut self, now: Time) {
        self.cache.stir = true;
        let away: Vec<u32> = self.downloads.keys().copied().collect();
        for number in away {
            let Some(download) = self.downloads.get_mut(&number) else { continue };
            download.come_back(now);
            if download.run == Run::Active {
                self.keep_edge(now, number);
            }
        }
    }
}
