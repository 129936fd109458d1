//! Did every node live as planned: no death unasked, a last word from each, nothing said by strangers, and did the run
//! loop itself see nothing wrong?

use std::collections::BTreeSet;

use peerbed_contract::NodeName;

use super::{INTERRUPTED, Reasons};
use crate::{
    metrics::RunView,
    record::{NodeExit, RunRecord},
};

pub(super) fn check(view: &RunView<'_>, reasons: &mut Reasons) {
    let record = view.record;
    if record.interrupted {
        reasons.add(format!("{INTERRUPTED}the run was ended before its time"));
    }
    record.faults.iter().for_each(|fault| reasons.add(fault.clone()));
    reasons.add_all("events from nowhere", view.strange.clone());
    reasons.add_all("deaths", deaths(view));
    // Of an interrupted run nobody can expect that everything came to its end.
    if !record.interrupted {
        reasons.add_all("nodes without an end", unended(view));
    }
}

fn deaths(view: &RunView<'_>) -> Vec<String> {
    let killed: BTreeSet<&NodeName> = view.killed.iter().map(|&index| &view.node(index).name).collect();
    let sentence = |exit: &NodeExit| {
        let node = &exit.node;
        let at = exit.t as f64 / 1e9;
        match (exit.planned, exit.signal, exit.code) {
            (true, Some(signal), _) if !killed.contains(node) => {
                Some(format!("{node} did not stop when asked and was ended by signal {signal} at {at:.1} s"))
            }
            (true, None, Some(code)) if code != peerbed_contract::exit::OK => {
                Some(format!("{node} stopped with exit code {code} at {at:.1} s"))
            }
            (true, ..) => None,
            (false, Some(signal), _) => {
                Some(format!("{node} was ended by signal {signal} at {at:.1} s, which nobody planned"))
            }
            (false, None, Some(code)) => {
                Some(format!("{node} ended with exit code {code} at {at:.1} s, which nobody planned"))
            }
            (false, None, None) => Some(format!("{node} ended at {at:.1} s, which nobody planned")),
        }
    };
    view.record.exits.iter().filter_map(sentence).collect()
}

fn unended(view: &RunView<'_>) -> Vec<String> {
    let ended = ended(view.record);
    let mut sentences = Vec::new();
    let nodes = view.record.plan.nodes.iter().enumerate().filter(|(index, _)| !view.never_added.contains(index));
    for (index, node) in nodes {
        let name = &node.name;
        let killed_for_good = view.killed.contains(&index) && !view.restarted.contains(&index);
        if !ended.contains(name) {
            sentences.push(format!("the end of {name} was never seen"));
        } else if !killed_for_good && !view.stopped.contains(&index) {
            sentences.push(format!("{name} ended without its last word `stopped`: what it said is not all"));
        }
    }
    sentences
}

fn ended(record: &RunRecord) -> BTreeSet<&NodeName> {
    record.exits.iter().map(|exit| &exit.node).collect()
}
