//! `series.parquet`: a run over time, as `report.html` draws it.

use crate::{
    metrics::series,
    results::{
        RunOutcome,
        columns::{Cell, Column, Rows, Table, Type},
    },
};

pub(super) const TABLE: Table = Table {
    file: "series.parquet",
    columns: &[
        Column::new("arm", Type::Text, "", "the arm"),
        Column::new("repeat", Type::Int, "", "the repeat, from 0"),
        Column::new("t_s", Type::Float, "s", "the end of the interval, seconds since the start of the run"),
        Column::new("interval_s", Type::Float, "s", "its length, seconds"),
        Column::new(
            "edge_wire_bytes",
            Type::Int,
            "B",
            "wire bytes between edges and peers that were delivered, both ways",
        ),
        Column::new("peer_wire_bytes", Type::Int, "B", "the same among peers"),
        Column::new(
            "downloads_under_way",
            Type::Int,
            "1",
            "downloads that had begun and not ended at its end, paused ones included",
        ),
        Column::new(
            "peers_on",
            Type::Int,
            "1",
            "peers whose process ran and whose machine was there (key `sessions` of a group) at its end",
        ),
    ],
};

pub(super) fn rows(outcome: &RunOutcome, rows: &mut Rows) {
    let plan = &outcome.record().plan;
    for moment in series(&outcome.view()) {
        rows.push(&[
            plan.arm.as_str().into(),
            plan.repeat.into(),
            moment.t_s.into(),
            moment.interval_s.into(),
            Cell::from(moment.edge_bytes),
            Cell::from(moment.peer_bytes),
            Cell::from(moment.under_way),
            Cell::from(moment.peers_on),
        ]);
    }
}
