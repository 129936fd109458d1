//! Who gave how much to whom, between ASes.

use std::collections::{BTreeMap, BTreeSet};

use super::counts;
use crate::{
    metrics::median,
    report::{chart::Heat, source::Column},
};

/// So many arms at most get a matrix of their own.
const MATRICES: usize = 4;

/// So many ASes at most are in a matrix.
const LARGEST: usize = 100;

/// Content bytes that peers sent, by the ASes of sender and receiver: the median over the arm's runs of each.
pub(super) fn between(column: &Column<'_>) -> BTreeMap<(String, String), f64> {
    let mut values: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
    let rows = column.set.metrics.iter().filter(|row| row.arm == column.arm.arm && row.name == "peer_bytes_between");
    for row in rows {
        if let (Some(from), Some(to), Some(bytes)) = (row.labels.get("from"), row.labels.get("to"), row.value) {
            values.entry((from.clone(), to.clone())).or_default().push(bytes);
        }
    }
    // A pair that a run has no row of gave nothing in it.
    let runs = column.runs();
    let all = values.into_iter().map(|(pair, mut bytes)| {
        bytes.resize(runs.max(bytes.len()), 0.0);
        (pair, median(bytes).unwrap_or(0.0))
    });
    all.collect()
}

/// A matrix for each of the first arms in which peers gave anything.
pub(super) fn matrices(columns: &[Column<'_>]) -> Vec<Heat> {
    let giving = columns.iter().map(|column| (column, between(column)));
    let giving: Vec<_> = giving.filter(|(_, between)| between.values().any(|bytes| *bytes > 0.0)).collect();
    // The same ASes in all of them, so that they can be compared.
    let numbers: BTreeSet<u32> = giving
        .iter()
        .flat_map(|(_, between)| between.keys())
        .flat_map(|(from, to)| [from, to])
        .filter_map(|number| number.parse().ok())
        .collect();
    // A matrix of thousands shows nothing, and grows with their square: those with most bytes.
    let mut order: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    let bytes_of = |number: &String| -> f64 {
        let of = giving.iter().flat_map(|(_, between)| between);
        of.filter(|((from, to), _)| from == number || to == number).map(|(_, bytes)| bytes).sum()
    };
    let all = order.len();
    if all > LARGEST {
        let mut weighed: Vec<(f64, String)> = order.into_iter().map(|number| (bytes_of(&number), number)).collect();
        weighed.sort_by(|one, other| other.0.total_cmp(&one.0));
        order = weighed.into_iter().take(LARGEST).map(|(_, number)| number).collect();
    }
    let cut = if all > LARGEST { format!(" Of {all} ASes those with most bytes.") } else { String::new() };
    let left = giving.len().saturating_sub(MATRICES);
    let cell = |between: &BTreeMap<(String, String), f64>, from: &String, to: &String| {
        between.get(&(from.clone(), to.clone())).copied().unwrap_or(0.0)
    };
    let cells = |between: &BTreeMap<(String, String), f64>| -> Vec<Vec<f64>> {
        order.iter().map(|from| order.iter().map(|to| cell(between, from, to)).collect()).collect()
    };
    let drawn: Vec<_> = giving.iter().take(MATRICES).map(|(column, between)| (**column, cells(between))).collect();
    // The same colours in all of them, so that they can be compared.
    let bytes = || drawn.iter().flat_map(|(_, cells)| cells).flatten().copied().filter(|bytes| *bytes > 0.0);
    let ends = (bytes().fold(f64::INFINITY, f64::min), bytes().fold(0.0, f64::max));
    let same = if drawn.len() > 1 { " Colours are the same in all of these pictures." } else { "" };
    let heats = drawn.iter().map(|(column, cells)| {
        let more = if left > 0 { format!(" {left} more arms are in metrics.jsonl.") } else { String::new() };
        Heat {
            id: format!("as-matrix-{}", column.look),
            title: format!("Bytes of peers between ASes: {}", column.name()),
            counts: counts(order.len(), "AS", &[*column]).replace("ASs", "ASes"),
            definition: format!(
                "Content bytes that peers sent, by the AS of sender and receiver; of several runs the median.{same}{cut}{more}"
            ),
            names: order.iter().map(|number| column.as_name(number.parse().unwrap_or(0))).collect(),
            cells: cells.clone(),
            ends,
        }
    });
    heats.collect()
}
