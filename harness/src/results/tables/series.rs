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
        Column::new("arm", Type::Text),
        Column::new("repeat", Type::Int),
        Column::new("t_s", Type::Float),
        Column::new("interval_s", Type::Float),
        Column::new("edge_wire_bytes", Type::Int),
        Column::new("peer_wire_bytes", Type::Int),
        Column::new("downloads_under_way", Type::Int),
        Column::new("peers_on", Type::Int),
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
