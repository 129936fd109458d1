//! A suite: the comparisons of one night.

use std::sync::Arc;

use crate::{
    diagnostic::{Diagnostics, Report},
    experiment::compare::read_looks,
    shape::{
        Shape,
        suite::{MEASURE, NEGATIVE, POSITIVE, SUITE},
    },
    source::Source,
    yaml::{self, Node},
};

/// Comparisons of one kind.
const MOST: usize = 64;
/// References at once: one, and the one that takes its place.
const REFERENCES: usize = 2;

/// What is measured in a night.
#[derive(Debug, Clone, PartialEq)]
pub struct Suite {
    /// The commits with which the newest version is compared.
    pub references: Vec<String>,
    /// Comparisons of the newest version with each reference.
    pub measure: Vec<Item>,
    /// Comparisons of the newest version with itself.
    pub negative: Vec<Item>,
    /// Comparisons of the newest version with itself in an arm that is worse.
    pub positive: Vec<Item>,
}

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The name of the experiment.
    pub experiment: String,
    /// Its scale.
    pub scale: Option<String>,
    /// The arm; none: as the experiment says.
    pub arm: Option<String>,
    /// The arm of the head, where that is another.
    pub injected: Option<String>,
    /// After how many pairs results are looked at; empty: as the experiment says.
    pub looks: Vec<u32>,
}

impl Suite {
    /// Reads a file; whether its experiments, arms and commits exist is for others to say.
    pub fn parse(source: &Source) -> Result<Self, Diagnostics> {
        let mut report = Report::new(vec![source.clone()]);
        let suite = yaml::read(source, 0, &mut report).and_then(|root| decode(&root, &mut report));
        match suite {
            Some(suite) if report.errors() == 0 => Ok(suite),
            _ => Err(report.into_diagnostics()),
        }
    }
}

fn decode(root: &Node, report: &mut Report) -> Option<Suite> {
    let fields = report.map(root, &SUITE)?;
    let references = fields.get("references").map_or_else(Vec::new, |node| read_references(node, report));
    let mut items = |key, shape| fields.get(key).map_or_else(Vec::new, |node| read_items(node, shape, report));
    let (measure, negative, positive) =
        (items("measure", &MEASURE), items("negative", &NEGATIVE), items("positive", &POSITIVE));
    Some(Suite { references, measure, negative, positive })
}

fn read_references(node: &Node, report: &mut Report) -> Vec<String> {
    let items: &[Arc<Node>] = report.bounded_list(node, "commits", (1, REFERENCES)).unwrap_or_default();
    let mut found = Vec::new();
    for item in items {
        let Some(text) = report.text(item) else { continue };
        let full = matches!(text.len(), 40 | 64) && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        if !full {
            report
                .error(item.span, format!("`{}` is not the full hash of a commit", yaml::shorten(&text)))
                .help("write what `git rev-parse` prints of it: what it is compared with must not move");
        }
        if found.contains(&text) {
            report.error(item.span, format!("`{text}` is named twice")).help("remove one of both");
        }
        found.push(text);
    }
    found
}

fn read_items(node: &Node, shape: &'static Shape, report: &mut Report) -> Vec<Item> {
    let items: &[Arc<Node>] = report.bounded_list(node, "comparisons", (1, MOST)).unwrap_or_default();
    let mut found: Vec<Item> = Vec::new();
    for node in items {
        let Some(item) = read_item(node, shape, report) else { continue };
        if found.contains(&item) {
            let why = format!("the same is asked of `{}` twice", yaml::shorten(&item.experiment));
            report.error(node.span, why).help("remove one of both, or name another scale or arm");
        }
        found.push(item);
    }
    found
}

fn read_item(node: &Node, shape: &'static Shape, report: &mut Report) -> Option<Item> {
    let fields = report.map(node, shape)?;
    let experiment = fields.get("experiment").and_then(|node| report.name(node, 63));
    let scale = fields.get("scale").and_then(|node| report.name(node, 63)).map(|name| name.value);
    let arm = fields.get("arm").and_then(|node| report.arm_name(node)).map(|name| name.value);
    // Shapes without controls have no such key.
    let injected = shape.key("injected").and_then(|_| fields.get("injected"));
    let injected = injected.and_then(|node| report.arm_name(node)).map(|name| name.value);
    let looks = fields.get("pairs").map_or_else(Vec::new, |node| read_looks(node, report));
    Some(Item { experiment: experiment?.value, scale, arm, injected, looks })
}
