//! `ases.parquet`: one row for each AS that has peers or traffic of theirs.

use crate::{
    metrics::ases,
    results::{
        RunOutcome,
        columns::{Cell, Column, Rows, Table, Type},
    },
};

pub(super) const TABLE: Table = Table {
    file: "ases.parquet",
    columns: &[
        Column::new("arm", Type::Text, "", "the arm"),
        Column::new("repeat", Type::Int, "", "the repeat, from 0"),
        Column::new("as_number", Type::Int, "", "the AS"),
        Column::maybe("name", Type::Text, "", "its name in the topology"),
        Column::maybe("region", Type::Text, "", "its region"),
        Column::maybe("country", Type::Text, "", "its country, where the topology says it"),
        Column::new("peers", Type::Int, "1", "distinct addresses that peers have in it (`as_peers`)"),
        Column::new("sent_bytes", Type::Int, "B", "content bytes that its peers sent to other ASes"),
        Column::new("received_bytes", Type::Int, "B", "content bytes that its peers received from peers of other ASes"),
        Column::new("intra_bytes", Type::Int, "B", "content bytes among its own peers"),
        Column::new("heavy", Type::Bool, "", "it is one of the heavy uploaders"),
        Column::maybe("symmetry", Type::Float, "share", "abs(sent − received) / (sent + received); null if both are 0"),
    ],
};

pub(super) fn rows(outcome: &RunOutcome, rows: &mut Rows) {
    let plan = &outcome.record().plan;
    for one in ases(&outcome.view()) {
        let locality = plan.localities.get(&one.number);
        rows.push(&[
            Cell::from(plan.arm.as_str()),
            plan.repeat.into(),
            one.number.get().into(),
            plan.as_names.get(&one.number).map(String::as_str).into(),
            locality.map(|locality| locality.region.as_str()).into(),
            locality.and_then(|locality| locality.country.as_deref()).into(),
            one.peers.into(),
            one.sent.into(),
            one.received.into(),
            one.intra.into(),
            one.heavy.into(),
            one.symmetry().into(),
        ]);
    }
}
