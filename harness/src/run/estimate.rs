//! How long the rest of a sweep takes: what its arms took so far, and for those that were not run yet what the plan allows. Pure.

use std::{collections::BTreeMap, time::Duration};

use peerbed_model::Plan;

/// What one run took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Took {
    /// From the start to the last node's end.
    pub(crate) elapsed: Duration,
    /// Before and after: building the network, starting nodes, taking everything down.
    pub(crate) around: Duration,
}

/// Set-up and tear-down of a run as long as none was made: a second, and 3 ms a node.
const AROUND: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(3));

/// The runs of a sweep, and what those that are over took.
#[derive(Debug, Clone, Default)]
pub(crate) struct Estimate {
    /// Arm, the most that it may take, and a guess of what is around it.
    planned: Vec<(String, Duration, Duration)>,
    took: BTreeMap<String, Vec<Took>>,
}

impl Estimate {
    /// Of these runs.
    pub(crate) fn of<'p>(plans: impl IntoIterator<Item = &'p Plan>) -> Self {
        let one = |plan: &Plan| (plan.arm.clone(), plan.duration, AROUND.0 + AROUND.1 * plan.nodes.len() as u32);
        Self { planned: plans.into_iter().map(one).collect(), took: BTreeMap::new() }
    }

    /// How many runs there are.
    pub(crate) fn runs(&self) -> usize {
        self.planned.len()
    }

    /// A run of an arm is over.
    pub(crate) fn took(&mut self, arm: &str, took: Took) {
        self.took.entry(arm.to_owned()).or_default().push(took);
    }

    /// How long these runs take together, by their numbers.
    pub(crate) fn of_runs(&self, runs: impl IntoIterator<Item = usize>) -> Duration {
        runs.into_iter().filter_map(|run| self.planned.get(run)).map(|run| self.of_run(run)).sum()
    }

    /// A run takes what the arm's runs took on average. One of which nothing is known takes the share of its time that the others
    /// took of theirs, for runs end when all downloads have; and as long around it as they.
    fn of_run(&self, (arm, most, guess): &(String, Duration, Duration)) -> Duration {
        if let Some(known) = self.took.get(arm) {
            return mean(known.iter().map(|took| took.elapsed + took.around)).unwrap_or_default();
        }
        let all = || self.took.iter().flat_map(|(arm, runs)| runs.iter().map(move |took| (arm, took)));
        let Some(around) = mean(all().map(|(_, took)| took.around)) else { return *most + *guess };
        let share = |(arm, took): (&String, &Took)| {
            let (_, most, _) = self.planned.iter().find(|(known, ..)| known == arm)?;
            Some((took.elapsed.as_secs_f64() / most.as_secs_f64()).min(1.0))
        };
        let shares: Vec<f64> = all().filter_map(share).collect();
        let share = if shares.is_empty() { 1.0 } else { shares.iter().sum::<f64>() / shares.len() as f64 };
        most.mul_f64(share) + around
    }
}

fn mean(times: impl Iterator<Item = Duration>) -> Option<Duration> {
    let times: Vec<Duration> = times.collect();
    let count = u32::try_from(times.len()).ok().filter(|count| *count > 0)?;
    Some(times.iter().sum::<Duration>() / count)
}

/// `about 3 min 20 s to go`.
pub(crate) fn to_go(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    let ten = seconds.div_ceil(10) * 10;
    let text = match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 if ten < 3_600 => match ten % 60 {
            0 => format!("{} min", ten / 60),
            rest => format!("{} min {rest} s", ten / 60),
        },
        _ => match (seconds.div_ceil(60) / 60, seconds.div_ceil(60) % 60) {
            (hours, 0) => format!("{hours} h"),
            (hours, minutes) => format!("{hours} h {minutes} min"),
        },
    };
    format!("about {text} to go")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_left_is_known_from_the_start_and_learnt_by_arm() {
        // Ten seconds each, with six nodes.
        let plans = [fixture::plan("a", 0), fixture::plan("b", 0), fixture::plan("a", 1), fixture::plan("c", 0)];
        let mut estimate = Estimate::of(&plans);
        assert_eq!((estimate.runs(), estimate.of_runs(0..4)), (4, Duration::from_millis(4 * 11_018)));
        estimate.took("a", Took { elapsed: s(4), around: s(1) });
        // The other run of the arm takes as long; the others two fifths of their time, and a second.
        assert_eq!((estimate.of_runs([2]), estimate.of_runs([1, 3])), (s(5), s(10)));
        estimate.took("b", Took { elapsed: s(8), around: s(3) });
        assert_eq!((estimate.of_runs([2]), estimate.of_runs([1]), estimate.of_runs([3])), (s(5), s(11), s(8)));
        assert_eq!(estimate.of_runs([9]), s(0), "there is no such run");
    }

    #[test]
    fn times_are_said_as_people_do() {
        let said = |seconds| to_go(s(seconds));
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 10 s"),
            (199, "3 min 20 s"),
            (200, "3 min 20 s"),
            (3_590, "59 min 50 s"),
            (3_595, "1 h"),
            (3_600, "1 h"),
            (3_661, "1 h 2 min"),
            (90_000, "25 h"),
        ] {
            assert_eq!(said(seconds), format!("about {text} to go"));
        }
    }
}
