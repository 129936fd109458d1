//! `matrix`: lists of values by path. Every arm is there once for each combination of them, under a name that says which.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    diagnostic::{Report, Span, Spanned},
    experiment::arms::{ArmTree, SHARED, contained, override_one},
    limits,
    plan::Coordinates,
    read::{ARM_NAME, is_of_arms},
    shape::experiment::LABELLED,
    yaml::{Entry, Node, Value, shorten},
};

/// What a value is called.
const LABEL: usize = 40;

/// One path with its values.
struct Axis<'n> {
    entry: &'n Entry,
    /// What its path is called in names of arms.
    short: String,
    /// What each value is called, and the value.
    values: Vec<(String, &'n Arc<Node>)>,
}

/// Makes every arm for every combination of the values; without a matrix they stay as they are. `written` is the map `arms`.
pub(crate) fn cross(node: &Node, arms: Vec<ArmTree>, written: Option<&Node>, report: &mut Report) -> Vec<ArmTree> {
    let Value::Map(entries) = &node.value else {
        report.wrong_type(node, "a map of paths and lists such as `{policy.selection.max_returned: [0, 5, 40]}`");
        return Vec::new();
    };
    if entries.is_empty() {
        return arms;
    }
    if entries.len() > limits::PATHS {
        too_many(entries.len(), node.span, report);
        return Vec::new();
    }
    let before = report.errors();
    contained(entries.iter(), report);
    beside(entries, written, report);
    let shorts = shorts(&entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>());
    let read = entries.iter().zip(shorts).map(|(entry, short)| Axis::read(entry, short, report));
    let axes: Vec<Axis<'_>> = read.collect();
    if report.errors() > before {
        return Vec::new();
    }
    let sizes: Vec<usize> = axes.iter().map(|axis| axis.values.len()).collect();
    let product = sizes.iter().fold(arms.len(), |product, size| product.saturating_mul(*size));
    if product > limits::ARMS {
        let of = sizes.iter().zip(&axes).map(|(size, axis)| format!("{size} of `{}`", axis.short));
        let factors: Vec<String> =
            std::iter::once(format!("{} of `arms`", arms.len())).filter(|_| arms.len() > 1).chain(of).collect();
        let message = format!("{} are {product} arms, more than an experiment may have", factors.join(" × "));
        report.error(node.span, message).help(format!("at most {} are allowed", limits::ARMS));
        return Vec::new();
    }
    let mut crossed = Vec::with_capacity(product);
    for arm in &arms {
        for combination in 0..sizes.iter().product() {
            crossed.extend(point(arm, &axes, combination, report));
        }
    }
    crossed
}

/// Notes that so many paths are too many.
pub(super) fn too_many(count: usize, span: Span, report: &mut Report) {
    let message = format!("{count} paths are more than a matrix may have");
    report.error(span, message).help(format!("at most {} are allowed", limits::PATHS));
}

/// One arm at one combination, counted with the last path's values changing fastest.
fn point(arm: &ArmTree, axes: &[Axis<'_>], combination: usize, report: &mut Report) -> Option<ArmTree> {
    let mut rest = combination;
    let mut chosen: Vec<(&Axis<'_>, &(String, &Arc<Node>))> = Vec::with_capacity(axes.len());
    for axis in axes.iter().rev() {
        chosen.push((axis, &axis.values[rest % axis.values.len()]));
        rest /= axis.values.len();
    }
    chosen.reverse();
    let base = (!arm.name.value.is_empty()).then(|| arm.name.value.clone());
    let parts = chosen.iter().map(|(axis, (label, _))| format!("{}={label}", axis.short));
    let name = base.iter().cloned().chain(parts).collect::<Vec<_>>().join("+");
    let span = chosen[0].0.entry.key_span;
    if name.len() > ARM_NAME {
        let message = format!("`{}` is too long for the name of an arm", shorten(&name));
        report.error(span, message).help(format!(
            "at most {ARM_NAME} characters are allowed; give values a short name: `{{label: …, value: …}}`"
        ));
        return None;
    }
    if !is_of_arms(&name) {
        report
            .error(span, format!("`{}` cannot be the name of an arm", shorten(&name)))
            .help("the parts of a path are names, with dots between them: `policy.selection.max_returned`");
        return None;
    }
    let coordinates = chosen.iter().map(|(axis, (label, _))| (axis.entry.key.clone(), label.clone())).collect();
    let mut tree = ArmTree {
        name: Spanned { value: name, span },
        base,
        matrix: Coordinates(coordinates),
        sets: arm.sets.clone(),
        varied: true,
        experiment: Arc::clone(&arm.experiment),
        topology: Arc::clone(&arm.topology),
    };
    let mut own = report.beside();
    for (axis, (_, value)) in chosen {
        let Entry { key, key_span, .. } = axis.entry;
        let one = Entry { key: key.clone(), key_span: *key_span, node: Arc::clone(value) };
        override_one(&mut tree, &one, ("the matrix", SHARED), &mut own);
    }
    let note = format!("in arm `{}`", tree.name.value);
    report.absorb(own, &note);
    Some(tree)
}

impl<'n> Axis<'n> {
    /// What is wrong with it is in the report.
    fn read(entry: &'n Entry, short: String, report: &mut Report) -> Self {
        let items = report.bounded_list(&entry.node, "values", (1, limits::ARMS)).unwrap_or_default();
        let mut values: Vec<(String, &Arc<Node>)> = Vec::new();
        for item in items {
            let Some((label, value)) = labelled(item, &entry.key, report) else { continue };
            if values.iter().any(|(known, _)| *known == label) {
                let message = format!("two values of `{}` are called `{label}`", shorten(&entry.key));
                report.error(item.span, message).help("remove one, or give it another name: `{label: …, value: …}`");
            }
            values.push((label, value));
        }
        Self { entry, short, values }
    }
}

/// What a value is called, and the value itself.
fn labelled<'n>(item: &'n Arc<Node>, path: &str, report: &mut Report) -> Option<(String, &'n Arc<Node>)> {
    let help = "write `{label: NAME, value: …}`: the name stands in that of the arm";
    match &item.value {
        Value::Map(entries) if entries.iter().any(|entry| matches!(entry.key.as_str(), "label" | "value")) => {
            let fields = report.map(item, &LABELLED)?;
            let label = fields.get("label").and_then(|node| report.name(node, LABEL));
            Some((label?.value, fields.get("value")?))
        }
        Value::Scalar { text, .. } if !item.is_null() => {
            // `0.5/s`
            let name = text.replace('/', "-per-");
            if name.is_empty()
                || name.len() > LABEL
                || !name.chars().all(|c| c != '+' && c != '=' && is_of_arms(&format!("a{c}")))
            {
                let message = format!("`{}` cannot be part of the name of an arm", shorten(text));
                report.error(item.span, message).help(help);
                return None;
            }
            Some((name, item))
        }
        _ => {
            let message = format!("this value of `{}` is {} and needs a name", shorten(path), item.describe());
            report.error(item.span, message).help(help);
            None
        }
    }
}

/// Which of the two holds would hang on their order, as within one map.
fn beside(matrix: &[Entry], arms: Option<&Node>, report: &mut Report) {
    let Some(Value::Map(arms)) = arms.map(|node| &node.value) else { return };
    let within = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    for arm in arms {
        let Value::Map(overrides) = &arm.node.value else { continue };
        for one in overrides {
            let (path, span) = (one.key.as_str(), one.key_span);
            let meets = |axis: &&Entry| axis.key == path || within(&axis.key, path) || within(path, &axis.key);
            if let Some(axis) = matrix.iter().find(meets) {
                let message = format!("`{}` is set by the matrix as well (`{}`)", shorten(path), shorten(&axis.key));
                report.error(span, message).help("an arm sets what the matrix does not; remove one of the two");
            }
        }
    }
}

/// What each path is called: its last part, and more of them where that is a number, or where two would be the same.
fn shorts(paths: &[&str]) -> Vec<String> {
    let parts: Vec<Vec<&str>> = paths.iter().map(|path| path.split('.').collect()).collect();
    let number = |path: &&Vec<&str>| path.last().is_some_and(|last| last.parse::<u64>().is_ok());
    let mut lengths: Vec<usize> = parts.iter().map(|path| if number(&path) { 2 } else { 1 }).collect();
    let name = |path: &Vec<&str>, length: usize| path[path.len().saturating_sub(length)..].join(".");
    loop {
        let names: Vec<String> = parts.iter().zip(&lengths).map(|(path, length)| name(path, *length)).collect();
        let twice = |index: usize| names.iter().filter(|other| **other == names[index]).count() > 1;
        let longer: BTreeSet<usize> =
            (0..names.len()).filter(|index| twice(*index) && lengths[*index] < parts[*index].len()).collect();
        if longer.is_empty() {
            return names;
        }
        for index in longer {
            lengths[index] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_called_by_as_many_of_their_last_parts_as_tell_them_apart() {
        for (paths, names) in [
            (&["policy.selection.max_returned"][..], &["max_returned"][..]),
            (&["policy.uploads.rate", "policy.edge.rate", "seed"], &["uploads.rate", "edge.rate", "seed"]),
            (&["rate", "a.rate"], &["rate", "a.rate"]),
            (&["workload.0.at", "workload.1.at", "x.1"], &["0.at", "1.at", "x.1"]),
            (&["a.b.c.d", "x.b.c.d"], &["a.b.c.d", "x.b.c.d"]),
        ] {
            assert_eq!(shorts(paths), names, "{paths:?}");
        }
    }
}
