//! `set-policy`: a change of the policy, read over the policy that holds then.

use std::sync::Arc;

use crate::{
    diagnostic::Report,
    experiment::{Policy, arms},
    plan::PolicyChange,
    yaml::{Node, Value},
};

/// The policy that a map of paths and values makes of the one before, with what changes by it; none if it is wrong.
pub(super) fn read(node: &Arc<Node>, before: &Policy, report: &mut Report) -> Option<(Policy, Vec<PolicyChange>)> {
    let Value::Map(entries) = &node.value else {
        report.wrong_type(node, "a map of paths and values such as `{uploads.per_copy: 2}`");
        return None;
    };
    if entries.is_empty() {
        report.error(node.span, "no policy is named").help("write what changes, as `policy: {uploads.per_copy: 2}`");
        return None;
    }
    let errors = report.errors();
    let mut tree = Node::new(node.span, Value::Map(Vec::new()));
    for one in entries {
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
    Some((after, changed.collect()))
}
