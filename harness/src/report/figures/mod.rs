//! What the figures of a report show: from results to charts.

mod speed;
mod time;
mod traffic;

use super::{
    chart::{Chart, Heat},
    source::{Column, Source},
};
use crate::say::counted;

/// A figure, by how it is drawn.
pub(super) enum Figure {
    Chart(Chart),
    Heat(Heat),
}

/// The figures of every report: how fast, when, between whom.
pub(super) fn usual(source: &Source) -> Vec<Figure> {
    let columns = source.columns();
    let mut figures = vec![Figure::Chart(speed::cdf(&columns))];
    figures.extend(time::charts(&columns).into_iter().map(Figure::Chart));
    figures.extend(traffic::matrices(&columns).into_iter().map(Figure::Heat));
    figures
}

/// `46 downloads in 2 runs.`
fn counts(things: usize, thing: &str, columns: &[Column<'_>]) -> String {
    let runs: usize = columns.iter().map(Column::runs).sum();
    format!("n = {} in {}.", counted(things, thing), counted(runs, "run"))
}
