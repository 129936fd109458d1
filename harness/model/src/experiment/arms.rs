//! `arms`: each sets values by dotted paths. An override is laid into the file's tree before anything is read, so that
//! any value can be varied and is checked like one that stands in its place.

use std::sync::Arc;

use crate::{
    diagnostic::{Report, Span, Spanned},
    limits,
    plan::Coordinates,
    read::{did_you_mean, listed},
    yaml::{Entry, Node, Value, shorten},
};

/// Values that every arm shares, with the reason.
pub(crate) const SHARED: &[(&str, &str)] = &[
    ("question", "an experiment asks one question"),
    ("seed", "arms of one repeat share every seed, or their difference would be chance"),
    ("repeats", "every arm is repeated as often"),
    ("engine", "all arms run on links of one engine; `--engine` says another for all of them"),
    ("arms", "arms are not nested"),
    ("matrix", "the matrix is of all arms; a scale may set it, or `matrix.PATH`"),
    ("scales", "a scale is of the whole experiment; it may set `arms.NAME.PATH`"),
    ("expect", "an expectation names its arm itself"),
    ("claims", "a claim names the arms that show it itself"),
    ("compare", "a comparison names its arm itself"),
    ("figures", "the report is of all arms"),
    ("topology", "one file is read; a path such as `topology.links.isp-x~transit.rate` changes a value of it"),
];

/// What maps that describe a link, or a change of one, may have.
const OF_LINKS: &[&str] = &[
    "rate", "trace", "delay", "jitter", "loss", "queue", "customer", "provider", "peers", "forward", "backward", "at",
    "do", "link",
];

/// One arm: its name and its two trees.
#[derive(Debug, Clone)]
pub(crate) struct ArmTree {
    pub(crate) name: Spanned<String>,
    /// Which of `arms` it comes from, where a matrix made several of it.
    pub(crate) base: Option<String>,
    /// Where it is in the matrix.
    pub(crate) matrix: Coordinates,
    /// What the arm itself sets, beside policies: paths and values as they are written.
    pub(crate) sets: Vec<(String, String)>,
    /// Whether it differs from the files at all.
    pub(crate) varied: bool,
    pub(crate) experiment: Arc<Node>,
    pub(crate) topology: Arc<Node>,
}

/// Lays every arm's overrides into the trees of both files.
pub(crate) fn apply(node: &Node, experiment: &Arc<Node>, topology: &Arc<Node>, report: &mut Report) -> Vec<ArmTree> {
    let Some(arms) = report.named(node, "arms") else { return Vec::new() };
    if arms.is_empty() {
        report
            .error(node.span, "there is no arm")
            .help("write `arms: {baseline: {}}` for an experiment without variants");
    }
    if arms.len() > limits::ARMS {
        let message = format!("{} arms are more than an experiment may have", arms.len());
        report.error(node.span, message).help(format!("at most {} are allowed", limits::ARMS));
        return Vec::new();
    }
    let mut trees = Vec::new();
    for (name, node) in arms {
        let mut tree = ArmTree {
            name,
            base: None,
            matrix: Coordinates::default(),
            sets: Vec::new(),
            varied: false,
            experiment: Arc::clone(experiment),
            topology: Arc::clone(topology),
        };
        match &node.value {
            _ if node.is_null() => {}
            Value::Map(overrides) => {
                contained(overrides.iter(), report);
                for one in overrides {
                    override_one(&mut tree, one, ("an arm", SHARED), report);
                }
                tree.sets = overrides.iter().map(|one| (one.key.clone(), one.node.written())).collect();
                tree.varied = !overrides.is_empty();
            }
            _ => report.wrong_type(node, "a map of paths and values such as `{policy.edge.mode: only}`"),
        }
        trees.push(tree);
    }
    trees
}

/// Paths of one map of which one leads to what another sets as a whole: which of them holds would hang on their order.
pub(super) fn contained<'e>(overrides: impl Iterator<Item = &'e Entry>, report: &mut Report) {
    let mut sorted: Vec<&Entry> = overrides.collect();
    sorted.sort_by(|one, other| one.key.split('.').cmp(other.key.split('.')));
    for pair in sorted.windows(2) {
        if let Some(rest) = pair[1].key.strip_prefix(pair[0].key.as_str())
            && rest.starts_with('.')
        {
            let message = format!("`{}` is set by `{}` as well", shorten(&pair[1].key), shorten(&pair[0].key));
            report.error(pair[1].key_span, message).help("write a path for each value, or all of them in one map");
        }
    }
}

/// Sets one value by its path; `whose` says what sets it, and which values that cannot, with the reasons.
pub(super) fn override_one(
    tree: &mut ArmTree,
    one: &Entry,
    (whose, fixed): (&str, &[(&str, &str)]),
    report: &mut Report,
) {
    let Some(segments) = segments(one, "`policy.edge.mode`", report) else { return };
    if let Some(("topology", rest)) = one.key.split_once('.') {
        let segments: Vec<&str> = rest.split('.').collect();
        set(Arc::make_mut(&mut tree.topology), &segments, "topology", one, report);
        return;
    }
    if let Some((name, why)) = fixed.iter().find(|(name, _)| *name == segments[0]) {
        report.error(one.key_span, format!("{whose} cannot change `{name}`")).help(*why);
        return;
    }
    set(Arc::make_mut(&mut tree.experiment), &segments, "", one, report);
}

/// Lays one path and its value into a policy.
pub(crate) fn lay(policy: &mut Node, one: &Entry, report: &mut Report) {
    if let Some(segments) = segments(one, "`uploads.per_copy`", report) {
        set(policy, &segments, "policy", one, report);
    }
}

/// The names in a path.
fn segments<'e>(one: &'e Entry, example: &str, report: &mut Report) -> Option<Vec<&'e str>> {
    let segments: Vec<&str> = one.key.split('.').collect();
    if segments.iter().any(|segment| segment.is_empty()) || segments.len() > 16 {
        let message = format!("`{}` is not a path", shorten(&one.key));
        report.error(one.key_span, message).help(format!("write names with dots between them: {example}"));
        return None;
    }
    Some(segments)
}

/// Puts the override's value where the path leads; `walked` is the part of it behind us.
fn set(node: &mut Node, path: &[&str], walked: &str, one: &Entry, report: &mut Report) {
    let taken = |count: usize| path[..count].join(".");
    if node.is_null() {
        *node = Node::clone(&nest(path, one));
        return;
    }
    match &mut node.value {
        Value::Map(entries) => {
            // A link has one or the other, and the arm says which. Where these are names, as of content, both may be there;
            // what they lead to is a number or a map then.
            if let ["rate" | "trace"] = path
                && entries.iter().all(|entry| OF_LINKS.contains(&entry.key.as_str()))
            {
                let other = if path[0] == "rate" { "trace" } else { "rate" };
                let says = |entry: &Entry| scalar(&entry.node).is_some_and(|text| text.parse::<u64>().is_err());
                entries.retain(|entry| entry.key != other || !says(entry));
            }
            // A key may itself have dots (names of content): the longest that fits is meant.
            for count in (1..=path.len()).rev() {
                let key = taken(count);
                if let Some(entry) = entries.iter_mut().find(|entry| entry.key == key) {
                    return descend(&mut entry.node, path, count, walked, one, report);
                }
            }
            entries.push(Entry { key: path[0].to_owned(), key_span: one.key_span, node: nest(&path[1..], one) });
        }
        Value::List(items) => {
            for count in (1..=path.len()).rev() {
                let name = taken(count);
                let found = items.iter().position(|item| element_name(item).as_deref() == Some(name.as_str()));
                let found =
                    found.or_else(|| numbered(items, &name).filter(|index| element_name(&items[*index]).is_none()));
                if let Some(index) = found {
                    return descend(&mut items[index], path, count, walked, one, report);
                }
            }
            no_element(items, path[0], walked, one.key_span, report);
        }
        Value::Scalar { text, .. } => {
            let message = format!("`{walked}` is `{}`, there is no `{}` in it", shorten(text), path[0]);
            report.error(one.key_span, message).help(format!("set `{walked}` as a whole: `{walked}: {{…}}`"));
        }
    }
}

fn descend(node: &mut Arc<Node>, path: &[&str], count: usize, walked: &str, one: &Entry, report: &mut Report) {
    if count == path.len() {
        *node = Arc::clone(&one.node);
        return;
    }
    let dot = if walked.is_empty() { "" } else { "." };
    let walked = format!("{walked}{dot}{}", path[..count].join("."));
    set(Arc::make_mut(node), &path[count..], &walked, one, report);
}

/// The override's value inside of new maps, one for each segment.
fn nest(path: &[&str], one: &Entry) -> Arc<Node> {
    path.iter().rev().fold(Arc::clone(&one.node), |node, key| {
        let entry = Entry { key: (*key).to_owned(), key_span: one.key_span, node };
        Arc::new(Node::new(one.key_span, Value::Map(vec![entry])))
    })
}

/// The element that a number means, in the one way to write it: `1`, not `01`.
fn numbered(items: &[Arc<Node>], number: &str) -> Option<usize> {
    number.parse().ok().filter(|index: &usize| *index < items.len() && index.to_string() == number)
}

/// What an element of a list is called: its `name` or `id`; a link by its ends.
fn element_name(node: &Node) -> Option<String> {
    let text = |key: &str| node.get(key).and_then(|node| scalar(node));
    if let Some(name) = text("name").or_else(|| text("id")) {
        return Some(name.to_owned());
    }
    if let (Some(customer), Some(provider)) = (text("customer"), text("provider")) {
        return Some(format!("{customer}~{provider}"));
    }
    match &node.get("peers")?.value {
        Value::List(ends) => Some(format!("{}~{}", scalar(ends.first()?)?, scalar(ends.get(1)?)?)),
        _ => None,
    }
}

fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

fn no_element(items: &[Arc<Node>], name: &str, walked: &str, span: Span, report: &mut Report) {
    // With two ways to one value, one arm could set it twice.
    if let Some(called) = numbered(items, name).and_then(|index| element_name(&items[index])) {
        report
            .error(span, format!("`{name}` is a number, and elements of `{walked}` have names"))
            .help(format!("use the name: `{walked}.{}`", shorten(&called)));
        return;
    }
    let names: Vec<String> = items.iter().filter_map(|item| element_name(item)).collect();
    let known = || names.iter().map(String::as_str);
    let message = format!("nothing in `{walked}` is named `{}`{}", shorten(name), did_you_mean(name, known()));
    let help = if names.is_empty() && !items.is_empty() {
        format!("its elements have no names; use their numbers, 0 to {}", items.len() - 1)
    } else {
        format!("there are: {}", listed(known()))
    };
    report.error(span, message).help(help);
}
