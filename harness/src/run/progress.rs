//! What a person sees while runs are under way: one live line on a terminal, one line per phase elsewhere.
//!
//! Everything goes to standard error, so that standard output holds only the result.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use super::estimate::{Estimate, Took, to_go};
use crate::{
    runtime::Progress as Setup,
    say::{complain, counted},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::termios::tcgetwinsize;

/// What the bar and the spaces around it take of a line.
const BAR_COLUMNS: usize = 18;

/// The display of one `peerbed run`.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    plain: bool,
    total_runs: usize,
    finished: usize,
    estimate: Estimate,
    /// The runs that are not over, by their numbers, the present one first.
    left: Vec<usize>,
    /// When the present run was begun.
    began: Instant,
    arm: String,
    title: String,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tick {
    /// Since the start of the run.
    pub(crate) elapsed: Duration,
    /// Downloads that ended.
    pub(crate) ended: usize,
    /// Downloads that are under way.
    pub(crate) active: usize,
    /// Downloads in the plan.
    pub(crate) planned: usize,
    /// What went to and from edges in the last second, Mbit/s.
    pub(crate) edge_mbps: f64,
    /// What went between peers in the last second, Mbit/s.
    pub(crate) peer_mbps: f64,
}

impl Tick {
    /// Where a run of this duration stands, in at most so many columns: what does not fit as a whole is left out, the last first.
    fn fitting(&self, duration: Duration, rest: Option<Duration>, columns: usize) -> String {
        let Self { elapsed, ended, active, planned, edge_mbps, peer_mbps } = self;
        let mut text = String::new();
        let mut add = |field: &str| {
            let gap = if text.is_empty() { "" } else { "  " };
            let fits = text.chars().count() + gap.len() + field.chars().count() <= columns;
            if fits {
                text.extend([gap, field]);
            }
            fits
        };
        // Those behind one that does not fit would say less.
        let _ = add(&format!("{:>4.0}/{} s", elapsed.as_secs_f64(), duration.as_secs()))
            && rest.is_none_or(|rest| add(&to_go(rest)))
            && add(&format!("downloads {ended}/{planned} ({active} active)"))
            // Both have one unit where both are there.
            && (add(&format!("edge {edge_mbps:.1}  peers {peer_mbps:.1} Mbit/s"))
                || add(&format!("edge {edge_mbps:.1} Mbit/s")));
        text
    }
}

/// How wide the terminal is; it may be changed at any time.
fn columns() -> usize {
    match tcgetwinsize(std::io::stderr()) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => 80,
    }
}

impl Progress {
    /// A display for so many runs; `quiet` shows nothing.
    pub(crate) fn new(total_runs: usize, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = (terminal && !quiet).then(|| {
            let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr_with_hz(10));
            bar.set_style(
                ProgressStyle::with_template("{prefix} {bar:16} {wide_msg}")
                    .expect("the template is constant")
                    .progress_chars("━╸─"),
            );
            bar
        });
        Self {
            plain: !terminal && !quiet,
            bar,
            total_runs,
            finished: 0,
            estimate: Estimate::default(),
            left: Vec::new(),
            began: Instant::now(),
            arm: String::new(),
            title: String::new(),
        }
    }

    /// A display of these runs, in their order, that tells how long the rest takes.
    pub(crate) fn of(estimate: Estimate, quiet: bool) -> Self {
        let mut progress = Self::new(estimate.runs(), quiet);
        progress.left = (0..estimate.runs()).collect();
        progress.estimate = estimate;
        progress
    }

    /// A run, by its number, was made before.
    pub(crate) fn taken_over(&mut self, number: usize, arm: &str, took: Took) {
        self.left.retain(|left| *left != number);
        self.finished += 1;
        self.estimate.took(arm, took);
    }

    /// The runs begin.
    pub(crate) fn begin(&mut self) {
        let time = self.estimate.of_runs(self.left.iter().copied());
        self.happened(&format!("{}, {}", counted(self.left.len(), "run"), to_go(time)));
    }

    /// How long it takes until all is done.
    fn rest(&self) -> Duration {
        let Some((present, later)) = self.left.split_first() else { return Duration::ZERO };
        self.estimate.of_runs([*present]).saturating_sub(self.began.elapsed())
            + self.estimate.of_runs(later.iter().copied())
    }

    /// A run is being set up.
    pub(crate) fn run(&mut self, arm: &str, repeat: u32, repeats: u32) {
        self.began = Instant::now();
        arm.clone_into(&mut self.arm);
        let repeat = if repeats > 1 { format!(" #{}", repeat + 1) } else { String::new() };
        self.title = format!("[{}/{}] {arm}{repeat}", self.finished + 1, self.total_runs);
        if let Some(bar) = &self.bar {
            bar.set_prefix(self.title.clone());
            bar.set_length(1);
            bar.set_position(0);
            bar.set_message("starting");
        }
    }

    /// Hosts were made or nodes became ready.
    pub(crate) fn setup(&mut self, step: Setup) {
        let (what, done, total) = match step {
            Setup::Hosts { made, total } => ("hosts made", made, total),
            Setup::Ready { ready, total } => ("nodes ready", ready, total),
        };
        if let Some(bar) = &self.bar {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            bar.set_message(format!("{what} {done}/{total}"));
        }
        if self.plain && done == total {
            complain(format_args!("{} {total} {what}", self.title));
        }
    }

    /// The run goes on.
    pub(crate) fn tick(&mut self, tick: Tick, duration: Duration) {
        let Some(bar) = &self.bar else { return };
        bar.set_length(duration.as_millis() as u64);
        bar.set_position(tick.elapsed.min(duration).as_millis() as u64);
        let rest = (!self.left.is_empty()).then(|| self.rest());
        let columns = columns().saturating_sub(self.title.chars().count() + BAR_COLUMNS);
        bar.set_message(tick.fitting(duration, rest, columns));
    }

    /// Something is done before the first run.
    pub(crate) fn preparing(&mut self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_prefix(String::new());
            bar.set_message(what.to_owned());
            bar.tick();
        }
        if self.plain {
            complain(what);
        }
    }

    /// A phase that takes a moment.
    pub(crate) fn phase(&mut self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
    }

    /// A run ended; whether it was the last one, for whatever reason, and what it took.
    pub(crate) fn ended(&mut self, summary: &str, last: bool, took: Took) {
        self.finished += 1;
        self.estimate.took(&self.arm, took);
        if !self.left.is_empty() {
            self.left.remove(0);
        }
        let time = self.estimate.of_runs(self.left.iter().copied());
        let rest = if last || self.left.is_empty() { String::new() } else { format!("; {}", to_go(time)) };
        let text = format!("{} {summary}{rest}", self.title);
        match &self.bar {
            Some(bar) => bar.println(text),
            None if self.plain => complain(&text),
            None => {}
        }
    }

    /// Something happened as it was planned.
    pub(crate) fn happened(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None if self.plain => complain(text),
            None => {}
        }
    }

    /// Something the user should know at once.
    pub(crate) fn notice(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => complain(text),
        }
    }

    /// The display is no longer needed.
    pub(crate) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_terminal_shows_whole_fields_only() {
        let tick = Tick {
            elapsed: Duration::from_millis(12_300),
            ended: 7,
            active: 3,
            planned: 24,
            edge_mbps: 93.26,
            peer_mbps: 101.0,
        };
        let fitting = |columns| tick.fitting(Duration::from_secs(24), Some(Duration::from_secs(80)), columns);
        let mut shown: Vec<String> = (9..=100).map(fitting).collect();
        assert!((9..).zip(&shown).all(|(columns, text): (usize, _)| text.chars().count() <= columns), "{shown:?}");
        shown.dedup();
        insta::assert_snapshot!(shown.join("\n").trim_start(), @"
        12/24 s
          12/24 s  about 1 min 20 s to go
          12/24 s  about 1 min 20 s to go  downloads 7/24 (3 active)
          12/24 s  about 1 min 20 s to go  downloads 7/24 (3 active)  edge 93.3 Mbit/s
          12/24 s  about 1 min 20 s to go  downloads 7/24 (3 active)  edge 93.3  peers 101.0 Mbit/s
        ");
        assert_eq!(fitting(8), "");
        assert_eq!(tick.fitting(Duration::from_secs(24), None, 12), "  12/24 s");
        assert_eq!(tick.fitting(Duration::from_secs(24), None, 40), "  12/24 s  downloads 7/24 (3 active)");
    }
}
