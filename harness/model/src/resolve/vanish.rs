//! What would never be judged, or drawn: expectations that a scale leaves nothing of, trends and figures over nothing.

use std::collections::BTreeSet;

use crate::{
    diagnostic::Report,
    experiment::{arms::ArmTree, expect::Expected},
    resolve::Arm,
    yaml::{Node, Value},
};

/// At a scale that leaves arms out, bounds that compare with one of those would never be judged.
pub(super) fn compared(arms: &[Arm], tree: &ArmTree, report: &mut Report) {
    let missing = |arm: &String| !arms.iter().any(|known| known.name == *arm);
    let others = arms.iter().flat_map(|arm| arm.expect.iter().filter_map(|one| one.other(&arm.which())));
    let missing: BTreeSet<String> = others.filter(missing).collect();
    for arm in missing {
        let message = format!("bounds are multiples of what arm `{arm}` has, but this scale leaves it out");
        report
            .error(tree.name.span, message)
            .help("add it to the scale's `arms`, or give the scale an `expect` of its own");
    }
}

/// Warns of expectations that are about no arm at a scale. Which arms its list leaves out is said there, so that is warned of
/// only where nothing is left; `all` are the arms with those.
pub(super) fn judged(
    base: &ArmTree,
    (all, kept): (&[ArmTree], &[ArmTree]),
    expected: &[Expected],
    report: &mut Report,
) {
    if !base.varied || expected.is_empty() || kept.is_empty() {
        return;
    }
    let scale = &base.name;
    let concerned = |one: &Expected, trees: &[ArmTree]| trees.iter().any(|tree| one.concerns(&tree.which()));
    let gone = expected.iter().filter(|one| !concerned(one, all));
    let help = "leave its arm, and its path of the matrix, in the scale, or give the scale an `expect` of its own";
    for one in gone {
        report.warning(one.span, format!("this expectation is about no arm at scale `{}`", scale.value)).help(help);
    }
    if expected.iter().any(|one| concerned(one, all)) && !expected.iter().any(|one| concerned(one, kept)) {
        report
            .warning(scale.span, format!("no expectation is about an arm that scale `{}` has", scale.value))
            .help("add such an arm to its `arms`, or give it an `expect` of its own");
    }
}

/// Without a matrix, there is nothing that the figure `sweep` would draw.
pub(super) fn nothing_swept(root: &Node, report: &mut Report) {
    let Some(Value::List(words)) = root.get("figures").map(|node| &node.value) else { return };
    let sweep = words.iter().filter(|word| matches!(&word.value, Value::Scalar { text, .. } if text == "sweep"));
    for word in sweep {
        report
            .warning(word.span, "`sweep` draws metrics over a path of the matrix, and there is no `matrix`")
            .help("leave the figure out, or write a `matrix`");
    }
}
