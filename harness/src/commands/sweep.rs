//! Runs in their order: links are measured, then run after run is made and kept, until all are or enough is known.

use std::{path::PathBuf, sync::Arc};

use peerbed_model::Plan;

use crate::{
    calibrate::{Calibrator, When, complaints},
    carry::{Order, carried_by},
    record::RunRecord,
    report,
    results::{Ending, ResultsDir, Resumed, RunOutcome},
    run::{Interrupt, estimate::Took, execute, order::blocks, progress::Progress},
    runtime::{Chosen, NodeFiles, Runtime},
    say::complain,
};

/// Runs that are to be made.
pub(super) struct Sweep<'a> {
    /// Their plans, in the order in which they are made.
    pub(super) plans: &'a [Arc<Plan>],
    /// Which links are measured before.
    pub(super) calibrate: When,
    /// What carries a run. All are of one kind and engine.
    pub(super) carrier: &'a dyn Fn(&Plan) -> &'a Chosen,
    /// The program of another harness that carries a run instead of this one.
    pub(super) harness: &'a dyn Fn(&Plan) -> Option<PathBuf>,
    /// Whether what was made is enough.
    pub(super) decided: &'a dyn Fn(&[RunOutcome]) -> bool,
    /// Whether the user wants no more.
    pub(super) interrupt: &'a Interrupt,
}

/// The order in which runs are made: the indexes of their plans, which are there repeat by repeat.
pub(super) fn order(plans: &[Arc<Plan>], seed: u64) -> Vec<usize> {
    let repeats = plans.iter().map(|plan| plan.repeat + 1).max().unwrap_or(0);
    let arms = plans.len() / repeats.max(1) as usize;
    let blocks = blocks(arms, repeats, seed).into_iter().enumerate();
    blocks.flat_map(|(repeat, block)| block.into_iter().map(move |arm| repeat * arms + arm)).collect()
}

/// Takes the whole runs of an earlier attempt over, and says so.
pub(super) fn take_over(
    resumed: Resumed,
    in_order: &[Arc<Plan>],
    progress: &mut Progress,
    outcomes: &mut Vec<RunOutcome>,
) -> ResultsDir {
    let Resumed { mut dir, from, records, damaged } = resumed;
    for sentence in damaged {
        complain(sentence);
    }
    let (taken, all) = (records.len(), in_order.len());
    complain(format_args!("taking over {taken} of {all} runs from {}", from.display()));
    dir.took_over(taken);
    for record in records {
        if let Some(number) = in_order.iter().position(|plan| Arc::ptr_eq(plan, &record.plan)) {
            progress.taken_over(number, &record.plan.arm, took(&record));
        }
        outcomes.push(RunOutcome::of(record));
    }
    dir
}

/// What a run took.
fn took(record: &RunRecord) -> Took {
    Took { elapsed: record.elapsed, around: record.setup + record.teardown }
}

impl Sweep<'_> {
    /// Makes them; those of which there are outcomes already are not made again.
    pub(super) async fn run(
        &self,
        dir: &mut ResultsDir,
        progress: &mut Progress,
        outcomes: &mut Vec<RunOutcome>,
    ) -> anyhow::Result<Ending> {
        if let Some(ending) = self.calibrate(dir, progress).await? {
            return Ok(ending);
        }
        self.run_all(dir, progress, outcomes).await
    }

    /// Measures the links of all plans as far as that is wanted; how it all ends if it ends here.
    async fn calibrate(&self, dir: &mut ResultsDir, progress: &mut Progress) -> anyhow::Result<Option<Ending>> {
        let Some(first) = self.plans.first().filter(|_| self.calibrate != When::Never) else { return Ok(None) };
        let carrier = (self.carrier)(first);
        let calibrator = Calibrator {
            launch: carrier.launch(),
            options: carrier.options(),
            when: self.calibrate,
            log: &dir.calibration_log()?,
        };
        let all: Vec<&Plan> = self.plans.iter().map(|plan| &**plan).collect();
        let mut show = |what: &str| progress.preparing(what);
        let calibrated = tokio::select! {
            calibrated = calibrator.calibrate(&all, &mut show) => calibrated?,
            () = self.interrupt.wait() => {
                calibrator.launch.settle().await;
                return Ok(Some(Ending::Interrupted));
            }
        };
        let complaints = complaints(&calibrated);
        dir.calibrated(calibrated.into_iter().map(|(_, calibrated)| calibrated).collect());
        Ok((!complaints.is_empty()).then_some(Ending::Unfit(complaints)))
    }

    async fn run_all(
        &self,
        dir: &ResultsDir,
        progress: &mut Progress,
        outcomes: &mut Vec<RunOutcome>,
    ) -> anyhow::Result<Ending> {
        let repeats = self.plans.iter().map(|plan| plan.repeat + 1).max().unwrap_or(1);
        let made: Vec<Arc<Plan>> = outcomes.iter().map(|outcome| Arc::clone(&outcome.record().plan)).collect();
        if !outcomes.is_empty() && (self.decided)(outcomes) {
            return Ok(Ending::Complete);
        }
        progress.begin();
        for (plan, order) in self.plans.iter().zip(0..) {
            if made.iter().any(|made| Arc::ptr_eq(made, plan)) {
                continue;
            }
            progress.run(&plan.arm, plan.repeat, repeats);
            let files = NodeFiles {
                configs: dir.nodes_dir(&plan.arm, plan.repeat)?,
                logs: dir.logs_dir(&plan.arm, plan.repeat)?,
            };
            let carrier = (self.carrier)(plan);
            let made = match (self.harness)(plan) {
                Some(program) => carried_by(&Order::of(plan, carrier, &files), &program, self.interrupt).await?,
                None => execute(plan.clone(), carrier, &files, progress, self.interrupt).await?,
            };
            let Some(mut record) = made else { return Ok(Ending::Interrupted) };
            let interrupted = record.interrupted;
            record.order = order;
            for fault in &mut record.faults {
                *fault = dir.as_finished(fault);
            }
            if !interrupted && let Err(error) = dir.keep(&record) {
                // It is not lost, unless this program ends before all runs have.
                progress.notice(&format!("this run could not be kept for `--resume`: {error}"));
            }
            let took = took(&record);
            let outcome = RunOutcome::of(record);
            let stopped = interrupted || self.interrupt.asked();
            let line = one_line(&outcome);
            outcomes.push(outcome);
            let enough = !stopped && (self.decided)(outcomes);
            progress.ended(&line, stopped || enough, took);
            if stopped {
                return Ok(Ending::Interrupted);
            }
            if enough {
                break;
            }
        }
        Ok(Ending::Complete)
    }
}

/// A run in a line, for whoever watches.
pub(super) fn one_line(outcome: &RunOutcome) -> String {
    let figure = |key| report::number(outcome.figures().get(key));
    let count = |key| outcome.figures().get(key).map_or("?".to_owned(), |count| format!("{count:.0}"));
    let verdict = if outcome.validity().valid() { "valid" } else { "INVALID" };
    format!(
        "{verdict}: {}/{} downloads, median {} Mbit/s, peer efficiency {}",
        count("downloads.completed"),
        count("downloads.planned"),
        figure("speed_mbps.p50"),
        report::percent(outcome.figures().get("peer_efficiency.bytes")),
    )
}
