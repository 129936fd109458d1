//! `scales`: the same experiment in other sizes, each under a name. A scale sets values by dotted paths before the arms do, and
//! may leave arms out.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    diagnostic::{Report, Spanned},
    experiment::{
        arms::{ArmTree, contained, override_one},
        matrix,
    },
    limits,
    yaml::{Entry, Node, Value},
};

/// What is the same at every scale, with the reason.
const FIXED: &[(&str, &str)] = &[
    ("question", "an experiment asks one question"),
    ("scales", "scales are not nested"),
    ("topology", "one file is read; a path such as `topology.links.isp-x~transit.rate` changes a value of it"),
];

/// One scale: its two trees, and the arms that it has.
#[derive(Debug, Clone)]
pub(crate) struct ScaleTree {
    pub(crate) tree: ArmTree,
    /// None: all. Whether there are such is not checked yet: a matrix makes more of them.
    pub(crate) arms: Option<Vec<Spanned<String>>>,
    /// It has bounds of its own, which speak of no other arms.
    pub(crate) expects: bool,
}

/// Lays every scale's overrides into the trees of both files; `arms` are the names that there are.
pub(crate) fn apply(
    node: &Node,
    (experiment, topology): (&Arc<Node>, &Arc<Node>),
    arms: &[&str],
    report: &mut Report,
) -> Vec<ScaleTree> {
    let Some(scales) = report.named(node, "scales") else { return Vec::new() };
    if scales.len() > limits::SCALES {
        let message = format!("{} scales are more than an experiment may have", scales.len());
        report.error(node.span, message).help(format!("at most {} are allowed", limits::SCALES));
        return Vec::new();
    }
    let read = scales.into_iter().filter_map(|(name, node)| {
        let Value::Map(overrides) = &node.value else {
            report.wrong_type(node, "a map of paths and values such as `{groups.x-homes.peers: 2}`");
            return None;
        };
        let swept = overrides.iter().filter(|one| one.key.starts_with("matrix.")).count();
        if swept > limits::PATHS {
            matrix::too_many(swept, node.span, report);
            return None;
        }
        let tree = ArmTree { name, varied: true, ..ArmTree::base(experiment, topology) };
        let mut scale = ScaleTree { tree, arms: None, expects: false };
        // The key `arms` names arms; a path that begins with it leads into one.
        contained(overrides.iter().filter(|one| one.key != "arms"), report);
        for one in overrides {
            if one.key == "arms" {
                scale.arms = Some(named_arms(&one.node, report));
            } else if let Some(path) = one.key.strip_prefix("matrix.") {
                set_in_matrix(&mut scale.tree, path, one);
            } else if let Some(rest) = one.key.strip_prefix("arms.").filter(|_| !arms.is_empty()) {
                match in_arm(rest, arms) {
                    Some((name, Some(path))) => set_in_arm(&mut scale.tree, name, path, one),
                    Some((_, None)) => override_one(&mut scale.tree, one, ("a scale", FIXED), report),
                    None => {
                        let name = rest.split('.').next().unwrap_or(rest);
                        report.dangling("arm", name, one.key_span, arms.iter().copied());
                    }
                }
            } else {
                scale.expects |= one.key == "expect";
                override_one(&mut scale.tree, one, ("a scale", FIXED), report);
            }
        }
        Some(scale)
    });
    read.collect()
}

/// The arm that a path begins with, and where it leads in it. Names may have dots: the longest that fits is meant.
fn in_arm<'a>(rest: &'a str, arms: &[&'a str]) -> Option<(&'a str, Option<&'a str>)> {
    let fits = |name: &&'a str| {
        let after = rest.strip_prefix(*name)?;
        if after.is_empty() { Some((*name, None)) } else { Some((*name, Some(after.strip_prefix('.')?))) }
    };
    arms.iter().filter_map(fits).max_by_key(|(name, _)| name.len())
}

/// Has an arm set `path` too, or to another value than it does.
fn set_in_arm(tree: &mut ArmTree, name: &str, path: &str, one: &Entry) {
    let experiment = Arc::make_mut(&mut tree.experiment);
    let arm = experiment.get_mut("arms").and_then(|arms| Arc::make_mut(arms).get_mut(name));
    if let Some(arm) = arm {
        set_path(Arc::make_mut(arm), path, one);
    }
}

/// Gives the matrix other values of a path; one that it has stays at its place in the order.
fn set_in_matrix(tree: &mut ArmTree, path: &str, one: &Entry) {
    let experiment = Arc::make_mut(&mut tree.experiment);
    if experiment.get("matrix").is_none()
        && let Value::Map(entries) = &mut experiment.value
    {
        let node = Arc::new(Node::new(one.key_span, Value::Map(Vec::new())));
        entries.push(Entry { key: "matrix".to_owned(), key_span: one.key_span, node });
    }
    if let Some(matrix) = experiment.get_mut("matrix") {
        set_path(Arc::make_mut(matrix), path, one);
    }
}

/// Lets a map of paths say this of one of them.
fn set_path(map: &mut Node, path: &str, one: &Entry) {
    if map.is_null() {
        map.value = Value::Map(Vec::new());
    }
    if let Value::Map(entries) = &mut map.value {
        let entry = Entry { key: path.to_owned(), key_span: one.key_span, node: Arc::clone(&one.node) };
        match entries.iter_mut().find(|known| known.key == path) {
            Some(known) => *known = entry,
            None => entries.push(entry),
        }
    }
}

/// The arms that a scale has.
fn named_arms(node: &Node, report: &mut Report) -> Vec<Spanned<String>> {
    let Value::List(items) = &node.value else {
        let message = format!("expected a list of the arms that the scale has, found {}", node.describe());
        report.error(node.span, message).help("to change what an arm sets, write `arms.NAME.PATH`");
        return Vec::new();
    };
    if items.is_empty() {
        report.error(node.span, "there is no arm").help("without `arms` a scale has all of them");
    }
    let mut seen = BTreeSet::new();
    let names = items.iter().filter_map(|item| {
        let name = report.arm_name(item)?;
        if !seen.insert(name.value.clone()) {
            report.error(name.span, format!("arm `{}` is named twice", name.value)).help("remove one of them");
        }
        Some(name)
    });
    names.collect()
}
