//! The draws of users and machines: when uploads are switched, the link is used and machines are away; which copies of an
//! installation there are.
//!
//! The link is used or not at the start in proportion to the mean periods, as exponential ones leave it at any moment.
//! Every machine is there at the start, or from the moment on at which the
//! timeline adds it.

use std::time::Duration;

use peerbed_contract::{Guid, Habit, HabitAct};

use crate::{
    experiment::users::{Busy, Sessions, Users},
    resolve::seeds::{Draws, Seeds},
};

/// What the user and the machine of one peer do, in order of time, from its `beginning` on. Its uploads are `on` at first;
/// with `restored`, its second session begins from an image of its disk older than the run.
pub(super) fn habits(
    users: &Users,
    host: &str,
    (on, restored): (bool, bool),
    beginning: Duration,
    end: Duration,
    seeds: &Seeds,
) -> Vec<Habit> {
    let mut habits = Vec::new();
    let end = end.saturating_sub(beginning).as_secs_f64();
    if users.toggles > 0.0 {
        toggles(users.toggles, on, end, &mut seeds.draws(&format!("toggles/{host}")), &mut habits);
    }
    if let Some(busy) = users.busy {
        link_use(busy, end, &mut seeds.draws(&format!("busy/{host}")), &mut habits);
    }
    if let Some(sessions) = users.sessions {
        presence(sessions, restored, end, &mut seeds.draws(&format!("sessions/{host}")), &mut habits);
    }
    for habit in &mut habits {
        habit.at_ns += beginning.as_nanos() as u64;
    }
    habits.sort_by_key(|habit| habit.at_ns);
    habits
}

fn push(habits: &mut Vec<Habit>, at: f64, act: HabitAct) {
    habits.push(Habit { at_ns: (at * 1e9) as u64, act });
}

/// A Poisson process of switches.
fn toggles(rate: f64, mut on: bool, end: f64, draws: &mut Draws, habits: &mut Vec<Habit>) {
    let mut now = draws.exponential() / rate;
    while now < end {
        on = !on;
        push(habits, now, if on { HabitAct::UploadsOn } else { HabitAct::UploadsOff });
        now += draws.exponential() / rate;
    }
}

/// Exponential periods of use and of none.
fn link_use(busy: Busy, end: f64, draws: &mut Draws, habits: &mut Vec<Habit>) {
    let (on, off) = (busy.on.as_secs_f64(), busy.off.as_secs_f64());
    let mut used = draws.unit() <= on / (on + off);
    if used {
        push(habits, 0.0, HabitAct::LinkBusy);
    }
    let mut now = 0.0;
    loop {
        now += draws.exponential() * if used { on } else { off };
        if now >= end {
            return;
        }
        used = !used;
        push(habits, now, if used { HabitAct::LinkBusy } else { HabitAct::LinkIdle });
    }
}

/// Sessions and the times between them, by Weibull's distribution with the given means: the scale is the mean divided by
/// Γ(1 + 1/k), and with E exponential of mean 1, scale · E^(1/k) is a draw (Devroye, Non-Uniform Random Variate
/// Generation, 1986, chapter II.2.1). Lengths of sessions of peers follow it (Stutzbach and Rejaie, Understanding Churn in
/// Peer-to-Peer Networks, IMC 2006), with shapes below 1.
fn presence(sessions: Sessions, restored: bool, end: f64, draws: &mut Draws, habits: &mut Vec<Habit>) {
    let unit = libm::tgamma(1.0 + 1.0 / sessions.shape);
    let mut length = |mean: Duration| mean.as_secs_f64() / unit * libm::pow(draws.exponential(), 1.0 / sessions.shape);
    let (mut now, mut first) = (0.0, restored);
    loop {
        now += length(sessions.online);
        if now >= end {
            return;
        }
        push(habits, now, HabitAct::Offline { clean: sessions.clean });
        now += length(sessions.offline);
        if now >= end {
            return;
        }
        push(habits, now, HabitAct::Online { restored: std::mem::take(&mut first) });
    }
}

/// The first moment from `at_ns` on at which the machine is there; none if it does not come back.
pub(super) fn present(habits: &[Habit], at_ns: u64) -> Option<u64> {
    let is_there = |habit: &&Habit| matches!(habit.act, HabitAct::Offline { .. } | HabitAct::Online { .. });
    let last = habits.iter().filter(is_there).take_while(|habit| habit.at_ns <= at_ns).last();
    if last.is_none_or(|habit| matches!(habit.act, HabitAct::Online { .. })) {
        return Some(at_ns);
    }
    let back = |habit: &&Habit| habit.at_ns > at_ns && matches!(habit.act, HabitAct::Online { .. });
    habits.iter().find(back).map(|habit| habit.at_ns)
}

/// The GUID that a name stands for.
pub(super) fn guid(seeds: &Seeds, name: &str) -> Guid {
    Guid::from_bytes(seeds.bytes(name)[..16].try_into().expect("sixteen bytes"))
}
