//! The Parquet tables: which columns each has, and how the rows of one run are made. `docs/results.md` describes every
//! column; a test writes it from here, and compares.

mod ases;
mod counters;
mod downloads;
mod host;
mod logins;
mod series;
mod transfers;

use std::path::Path;

use super::{
    RunOutcome,
    columns::{Rows, Table, TableWriter},
    files::{ResultsError, write_whole},
};

/// Every table.
pub const TABLES: [&Table; 8] = [
    &downloads::TABLE,
    &transfers::TABLE,
    &ases::TABLE,
    &logins::TABLE,
    &counters::LEDGER,
    &counters::LINKS,
    &series::TABLE,
    &host::TABLE,
];

/// What became of every planned download.
pub(super) const DOWNLOADS: &Table = &downloads::TABLE;
/// Balance of every AS.
pub(super) const ASES: &Table = &ases::TABLE;
/// Runs over time.
pub(super) const SERIES: &Table = &series::TABLE;

/// Writes all tables into a directory.
pub(super) fn write_all(directory: &Path, outcomes: &[RunOutcome]) -> Result<(), ResultsError> {
    write(directory, &downloads::TABLE, outcomes, downloads::rows)?;
    write(directory, &transfers::TABLE, outcomes, transfers::rows)?;
    write(directory, &ases::TABLE, outcomes, ases::rows)?;
    write(directory, &logins::TABLE, outcomes, logins::rows)?;
    write(directory, &counters::LEDGER, outcomes, counters::ledger)?;
    write(directory, &counters::LINKS, outcomes, counters::links)?;
    write(directory, &series::TABLE, outcomes, series::rows)?;
    write(directory, &host::TABLE, outcomes, host::rows)
}

fn write(
    directory: &Path,
    table: &'static Table,
    outcomes: &[RunOutcome],
    fill: fn(&RunOutcome, &mut Rows),
) -> Result<(), ResultsError> {
    let path = directory.join(table.file);
    let parquet = |source| ResultsError::Parquet { path: path.clone(), source };
    write_whole(&path, |file| {
        let mut writer = TableWriter::new(file, table).map_err(parquet)?;
        for outcome in outcomes {
            let mut rows = Rows::new(table);
            fill(outcome, &mut rows);
            writer.write(&rows).map_err(parquet)?;
        }
        writer.finish().map_err(parquet)
    })
}

/// Seconds since the start of the run of a moment of `CLOCK_MONOTONIC`; negative before it.
fn since_start_s(outcome: &RunOutcome, at_ns: u64) -> f64 {
    (i128::from(at_ns) - i128::from(outcome.record().epoch_ns)) as f64 / 1e9
}
