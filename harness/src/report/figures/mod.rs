//! What the figures of a report show: from results to charts.

mod balance;
mod observed;
mod paper;
mod speed;
mod sweep;
mod time;
mod traffic;

use super::{
    chart::{Chart, Heat},
    source::{Column, Source},
};
use crate::say::counted;

/// A figure, by how it is drawn.
pub(super) enum Figure {
    Chart(Box<Chart>),
    Heat(Heat),
}

impl Figure {
    /// How many series it has that can be hidden.
    pub(super) fn series(&self) -> usize {
        match self {
            Figure::Chart(chart) => chart.series.len(),
            Figure::Heat(_) => 0,
        }
    }
}

/// Everything that is drawn: what answers first, then the figures of every report (how fast, when, between whom).
pub(super) fn all(source: &Source) -> Vec<Figure> {
    let columns = source.columns();
    let mut charts = sweep::charts(&columns);
    let mut drawn: Vec<&str> = Vec::new();
    for word in source.sets.iter().flat_map(|set| set.summary.figures.iter().map(String::as_str)) {
        // Of results side by side each may ask for the same.
        if !drawn.contains(&word) {
            drawn.push(word);
            charts.extend(of(word, &columns));
        }
    }
    charts.push(speed::cdf(&columns));
    charts.extend(time::charts(&columns));
    let heats = traffic::matrices(&columns);
    charts.into_iter().map(|chart| Figure::Chart(Box::new(chart))).chain(heats.into_iter().map(Figure::Heat)).collect()
}

/// The figures that an experiment asks for by this word, beside those of every report.
fn of(word: &str, columns: &[Column<'_>]) -> Vec<Chart> {
    match word {
        "speed-by-source" => paper::speed_by_source(columns),
        "efficiency-by-copies" => vec![observed::efficiency_by_copies(columns)],
        "efficiency-by-returned" => vec![observed::efficiency_by_returned(columns)],
        "pause-by-size" => vec![paper::pause_by_size(columns)],
        "providers" => vec![paper::providers(columns)],
        "regions" => vec![paper::regions(columns)],
        "lan" => vec![paper::lan(columns)],
        "as-sent" => balance::sent(columns).into_iter().chain([balance::population(columns)]).collect(),
        "as-balance" => vec![balance::scatter(columns)],
        "as-pairs" => vec![balance::pairs(columns)],
        // Those of every report.
        _ => Vec::new(),
    }
}

/// `n = 46 downloads in 2 runs.`
fn counts(things: usize, thing: &str, columns: &[Column<'_>]) -> String {
    let runs: usize = columns.iter().map(Column::runs).sum();
    format!("n = {} in {}.", counted(things, thing), counted(runs, "run"))
}
