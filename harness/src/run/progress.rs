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
        // What a narrow terminal cuts off is at the end.
        bar.set_message(format!(
            "{:>4.0}/{} s{}  downloads {}/{} ({} active)  edge {:.1}  peers {:.1} Mbit/s",
            tick.elapsed.as_secs_f64(),
            duration.as_secs(),
            if self.left.is_empty() { String::new() } else { format!("  {}", to_go(self.rest())) },
            tick.ended,
            tick.planned,
            tick.active,
            tick.edge_mbps,
            tick.peer_mbps,
        ));
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
