//! `downloads.parquet`: one row for each planned download, whatever became of it.

use peerbed_contract::DownloadRecord;

use crate::{
    metrics::{Download, peer_efficiency, speed_mbps, startup_ms, status_word, wall_speed_mbps},
    results::{
        RunOutcome,
        columns::{Cell, Column, Rows, Table, Type},
    },
};

pub(super) const TABLE: Table = Table {
    file: "downloads.parquet",
    columns: &[
        Column::new("arm", Type::Text),
        Column::new("repeat", Type::Int),
        Column::new("download", Type::Int),
        Column::new("node", Type::Text),
        Column::new("group", Type::Text),
        Column::new("as_number", Type::Int),
        Column::new("region", Type::Text),
        Column::new("content", Type::Text),
        Column::new("planned_ns", Type::Int),
        Column::new("status", Type::Text),
        Column::maybe("guid", Type::Text),
        Column::maybe("provider", Type::Text),
        Column::maybe("size_bytes", Type::Int),
        Column::maybe("start_ns", Type::Int),
        Column::maybe("first_byte_ns", Type::Int),
        Column::maybe("end_ns", Type::Int),
        Column::maybe("active_ns", Type::Int),
        Column::maybe("offline_ns", Type::Int),
        Column::maybe("pauses", Type::Int),
        Column::maybe("stalls", Type::Int),
        Column::maybe("edge_bytes", Type::Int),
        Column::maybe("peer_bytes", Type::Int),
        Column::maybe("wasted_bytes", Type::Int),
        Column::maybe("sources", Type::Int),
        Column::maybe("copies_registered", Type::Int),
        Column::maybe("peers_returned", Type::Int),
        Column::maybe("rejected_pieces", Type::Int),
        Column::maybe("speed_mbps", Type::Float),
        Column::maybe("speed_wall_mbps", Type::Float),
        Column::maybe("startup_ms", Type::Float),
        Column::maybe("peer_efficiency", Type::Float),
        Column::maybe("failure", Type::Text),
    ],
};

pub(super) fn rows(outcome: &RunOutcome, rows: &mut Rows) {
    let view = outcome.view();
    let plan = &outcome.record().plan;
    for (number, download) in &view.downloads {
        let Some((index, step)) = download.planned else { continue };
        let node = view.node(index);
        let record = download.record();
        let guid = record.map(|record| record.guid.to_string());
        let mut cells: Vec<Cell<'_>> = vec![
            plan.arm.as_str().into(),
            plan.repeat.into(),
            (*number).into(),
            node.name.as_str().into(),
            node.group.as_str().into(),
            node.config.as_number.get().into(),
            node.config.region.as_str().into(),
            step.content.as_str().into(),
            step.at_ns.into(),
            status(download).into(),
            guid.as_deref().into(),
        ];
        cells.extend(recorded(record));
        rows.push(&cells);
    }
}

fn status(download: &Download<'_>) -> &'static str {
    match (download.record(), download.started) {
        (Some(record), _) => status_word(record.status),
        (None, 0) => "not_started",
        (None, _) => "lost",
    }
}

/// The columns after `guid`.
fn recorded(record: Option<&DownloadRecord>) -> [Cell<'_>; 21] {
    let int = |field: fn(&DownloadRecord) -> u64| Cell::from(record.map(field));
    [
        record.map(|record| record.provider.as_str()).into(),
        int(|record| record.size),
        int(|record| record.start_ns),
        record.and_then(|record| record.first_byte_ns).into(),
        int(|record| record.end_ns),
        int(|record| record.active_ns),
        int(|record| record.offline_ns),
        int(|record| record.pauses.into()),
        int(|record| record.stalls.into()),
        int(|record| record.edge_bytes),
        int(|record| record.peer_bytes),
        int(|record| record.wasted_bytes),
        int(|record| record.sources.len() as u64),
        record.and_then(|record| record.copies_registered).into(),
        record.and_then(|record| record.peers_returned).into(),
        int(|record| record.rejected_pieces.into()),
        record.and_then(speed_mbps).into(),
        record.and_then(wall_speed_mbps).into(),
        record.and_then(startup_ms).into(),
        record.and_then(peer_efficiency).into(),
        record.and_then(|record| record.failure.as_deref()).into(),
    ]
}
