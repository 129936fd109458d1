//! `set-policy`: a change of the policy, read over the policy that holds then.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::draw::{Step, What};
use crate::{
    diagnostic::Report,
    experiment::{Policy, arms},
    plan::PolicyChange,
    yaml::{Entry, Node, Value},
};

/// One policy takes the place of another.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub(crate) before: Policy,
    pub(crate) after: Policy,
    /// What of it that is.
    pub(crate) changes: Vec<PolicyChange>,
}

/// The changes of a timeline in the order in which they happen, each with its time and number.
pub(crate) fn changes(steps: &[Step]) -> impl Iterator<Item = ((Duration, Option<usize>), &Change)> {
    steps.iter().filter_map(|step| match &step.what {
        What::Policy(change) => Some(((step.at, Some(step.number)), &**change)),
        _ => None,
    })
}

/// A path and its map as one path for each value in it, so that `{edge: {mode: only}}` and `{edge.mode: only}` are the same.
fn spread(one: &Entry, path: &str, leaves: &mut Vec<Entry>) {
    match &one.node.value {
        Value::Map(entries) if !entries.is_empty() => {
            for inner in entries {
                spread(inner, &format!("{path}.{}", inner.key), leaves);
            }
        }
        _ => leaves.push(Entry { key: path.to_owned(), key_span: one.key_span, node: Arc::clone(&one.node) }),
    }
}

/// The constants of a peer's behaviour: it is made with them.
const BUILT_IN: [&str; 6] =
    ["defences.", "waits.", "edge.backstop.", "downloads.order", "downloads.duplicates", "downloads.news_"];

/// What a map of paths and values makes of the policy before; none if it is wrong.
pub(super) fn read(node: &Arc<Node>, before: &Policy, report: &mut Report) -> Option<Change> {
    let Value::Map(entries) = &node.value else {
        report.wrong_type(node, "a map of paths and values such as `{uploads.per_copy: 2}`");
        return None;
    };
    if entries.is_empty() {
        report.error(node.span, "no policy is named").help("write what changes, as `policy: {uploads.per_copy: 2}`");
        return None;
    }
    let errors = report.errors();
    let mut leaves = Vec::new();
    for one in entries {
        spread(one, &one.key, &mut leaves);
    }
    let mut tree = Node::new(node.span, Value::Map(Vec::new()));
    let mut seen = BTreeSet::new();
    for one in &leaves {
        if !seen.insert(&one.key) {
            report.error(one.key_span, format!("`{}` stands twice", one.key)).help("remove one of them");
        }
        if one.key.starts_with("policy.") {
            report.error(one.key_span, "paths begin inside of the policy here").help("leave `policy.` out");
            continue;
        }
        arms::lay(&mut tree, one, report);
    }
    if report.errors() > errors {
        return None;
    }
    let after = Policy::decode_over(*before, &tree, report);
    if report.errors() > errors {
        return None;
    }
    let (old, new) = (before.parameters(), after.parameters());
    let changed = new.into_iter().filter_map(|(path, to)| {
        let from = old.get(&path).filter(|from| **from != to)?.clone();
        Some(PolicyChange { path: path.trim_start_matches("policy.").to_owned(), from, to })
    });
    let changed: Vec<PolicyChange> = changed.collect();
    for one in changed.iter().filter(|one| BUILT_IN.iter().any(|prefix| one.path.starts_with(prefix))) {
        let message = format!("`{}` is what a peer has from its start to its end", one.path);
        let span = leaves.iter().find(|leaf| leaf.key == one.path).map_or(node.span, |leaf| leaf.key_span);
        report.error(span, message).help(format!(
            "set it in an arm instead; what `set-policy` cannot change begins with {}",
            BUILT_IN.map(|prefix| format!("`{prefix}`")).join(", ")
        ));
    }
    if report.errors() > errors {
        return None;
    }
    Some(Change { before: *before, after, changes: changed })
}
