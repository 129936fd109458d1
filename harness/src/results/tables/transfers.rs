//! `transfers.parquet`: one row for each sender, receiver and object, with both sides' counts.

use crate::results::{
    RunOutcome,
    columns::{Cell, Column, Rows, Table, Type},
};

pub(super) const TABLE: Table = Table {
    file: "transfers.parquet",
    columns: &[
        Column::new("arm", Type::Text, "", "the arm"),
        Column::new("repeat", Type::Int, "", "the repeat, from 0"),
        Column::new("content", Type::Text, "", "the object"),
        Column::new("source", Type::Text, "", "the sender"),
        Column::new("source_role", Type::Text, "", "`edge` or `peer`"),
        Column::new("source_as", Type::Int, "", "its AS then"),
        Column::new("destination", Type::Text, "", "the receiver"),
        Column::new("destination_role", Type::Text, "", "its role"),
        Column::new("destination_as", Type::Int, "", "its AS then"),
        Column::new("sent_bytes", Type::Int, "B", "content bytes that the sender counted"),
        Column::new("received_bytes", Type::Int, "B", "content bytes that the receiver counted"),
        Column::new("broken", Type::Bool, "", "a connection between the two broke"),
        Column::new("killed", Type::Bool, "", "the plan killed one of the two"),
    ],
};

pub(super) fn rows(outcome: &RunOutcome, rows: &mut Rows) {
    let view = outcome.view();
    let plan = &outcome.record().plan;
    for (key, pair) in &view.pairs {
        let (source, destination) = (view.node(key.source), view.node(key.destination));
        let roles = [source.role.to_string(), destination.role.to_string()];
        let killed = view.killed.contains(&key.source) || view.killed.contains(&key.destination);
        rows.push(&[
            Cell::from(plan.arm.as_str()),
            plan.repeat.into(),
            key.content.as_str().into(),
            source.name.as_str().into(),
            roles[0].as_str().into(),
            key.source_as.get().into(),
            destination.name.as_str().into(),
            roles[1].as_str().into(),
            key.destination_as.get().into(),
            pair.sent.into(),
            pair.received.into(),
            pair.broken.into(),
            killed.into(),
        ]);
    }
}
