//! Figures by arm: tables with a column for each arm, several of them where one would be wider than a screen.

use std::ops::Range;

use maud::{Markup, html};

use crate::{
    metrics::FIGURES,
    report::{number, rows::rows, shown, source::Column},
    results::ArmSummary,
};

/// So many arms fit side by side.
pub(super) const ABREAST: usize = 5;

/// Which columns go into one table: as many as fit, the same arm of several results in one if possible.
fn tables(columns: &[Column<'_>]) -> Vec<Range<usize>> {
    let mut tables: Vec<Range<usize>> = Vec::new();
    let mut begin = 0;
    for same in columns.chunk_by(|one, other| one.arm.arm == other.arm.arm) {
        for part in same.chunks(ABREAST) {
            let end = begin + part.len();
            match tables.last_mut() {
                Some(table) if end - table.start <= ABREAST => table.end = end,
                _ => tables.push(begin..end),
            }
            begin = end;
        }
    }
    tables
}

/// The figures that most readers look for.
pub(super) fn key_figures(columns: &[Column<'_>]) -> Markup {
    let class = |arm: &ArmSummary| if arm.valid { "" } else { "bad" };
    let arms: Vec<&ArmSummary> = columns.iter().map(|column| column.arm).collect();
    // Of all arms, so that every table has the same rows.
    let rows = rows(&arms);
    html! {
        @for table in tables(columns) {
            div .wide { table .arms {
                thead { tr { th { "" } @for column in &columns[table.clone()] { th class=(class(column.arm)) { (column.name()) } } } }
                tbody { @for row in &rows { tr {
                    th scope="row" { (row.label) }
                    @for place in table.clone() { td class=(class(arms[place])) { (row.values[place]) } }
                } } }
            } }
        }
    }
}

/// Every figure of `summary.json` with its interval, for who looks for one.
pub(super) fn all_figures(columns: &[Column<'_>]) -> Markup {
    let cell = |column: &Column<'_>, key: &str| {
        let interval = column.arm.intervals.get(key);
        let interval = interval.map(|[low, high]| format!(" [{}, {}]", number(Some(*low)), number(Some(*high))));
        shown(column.arm.valid, number(column.arm.figures.get(key)) + &interval.unwrap_or_default())
    };
    html! {
        details {
            summary { (FIGURES.len()) " figures" }
            p .note {
                "Medians over runs, in the units of " code { "summary.json" } " (shares from 0 to 1, bytes in bytes); in square brackets \
                 the bootstrap interval at 95 %, where there are three runs or more."
            }
            @for table in tables(columns) {
                div .wide { table .arms {
                    thead { tr { th { "" } @for column in &columns[table.clone()] { th { (column.name()) } } } }
                    tbody { @for figure in &FIGURES { tr {
                        th scope="row" { (figure.key) } @for column in &columns[table.clone()] { td { (cell(column, figure.key)) } }
                    } } }
                } }
            }
        }
    }
}
