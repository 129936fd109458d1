//! `downloads.parquet`: one row for each planned download, whatever became of it.

use peerbed_contract::DownloadRecord;

use crate::{
    metrics::{Download, lan_of, peer_efficiency, speed_mbps, startup_ms, status_word, wall_speed_mbps},
    results::{
        RunOutcome,
        columns::{Cell, Column, Rows, Table, Type},
    },
};

pub(super) const TABLE: Table = Table {
    file: "downloads.parquet",
    columns: &[
        Column::new("arm", Type::Text, "", "the arm"),
        Column::new("repeat", Type::Int, "", "the repeat, from 0"),
        Column::new("download", Type::Int, "", "its number in the plan, the same in every arm of a repeat"),
        Column::new("node", Type::Text, "", "the downloading peer"),
        Column::new("group", Type::Text, "", "its group"),
        Column::new("as_number", Type::Int, "", "its AS at the start of the run"),
        Column::new("region", Type::Text, "", "the region of that AS"),
        Column::maybe("country", Type::Text, "", "the country of that AS, where the topology says it"),
        Column::maybe("lan", Type::Text, "", "the local network in that AS which it shares with others, if any"),
        Column::new("content", Type::Text, "", "the object"),
        Column::new("planned_ns", Type::Int, "ns", "when the user was to ask for it"),
        Column::new(
            "status",
            Type::Text,
            "",
            "`completed`, `paused`, `aborted`, `failed`, `unfinished`; `lost`: started, but its node was killed; \
             `not_started`",
        ),
        Column::maybe("guid", Type::Text, "", "the peer's installation"),
        Column::maybe("provider", Type::Text, "", "whose content it is"),
        Column::maybe("size_bytes", Type::Int, "B", "size of the object"),
        Column::maybe("start_ns", Type::Int, "ns", "when the user asked"),
        Column::maybe("first_byte_ns", Type::Int, "ns", "when the first content byte came"),
        Column::maybe("end_ns", Type::Int, "ns", "when it ended"),
        Column::maybe(
            "active_ns",
            Type::Int,
            "ns",
            "time between start and end that it was neither paused nor its machine away",
        ),
        Column::maybe("offline_ns", Type::Int, "ns", "time between start and end that its machine was away"),
        Column::maybe("pauses", Type::Int, "1", "how often the user paused"),
        Column::maybe("stalls", Type::Int, "1", "how often no byte came for two seconds or more while active"),
        Column::maybe("edge_bytes", Type::Int, "B", "content bytes used, from edges"),
        Column::maybe("peer_bytes", Type::Int, "B", "content bytes used, from peers"),
        Column::maybe("wasted_bytes", Type::Int, "B", "content bytes received and not used"),
        Column::maybe("sources", Type::Int, "1", "how many nodes gave bytes that were used"),
        Column::maybe(
            "copies_registered",
            Type::Int,
            "1",
            "copies in the registry at the first answer; null if nobody was asked or answered",
        ),
        Column::maybe("peers_returned", Type::Int, "1", "peers in the first answer, likewise"),
        Column::maybe("rejected_pieces", Type::Int, "1", "pieces that failed their hash"),
        Column::maybe(
            "speed_mbps",
            Type::Float,
            "Mbit/s",
            "used content bytes over active time, Mbit/s, whatever the status",
        ),
        Column::maybe(
            "speed_wall_mbps",
            Type::Float,
            "Mbit/s",
            "used content bytes over the time from start to end, Mbit/s",
        ),
        Column::maybe("startup_ms", Type::Float, "ms", "from the request to the first byte"),
        Column::maybe("peer_efficiency", Type::Float, "share", "share of the used bytes that came from peers, 0 to 1"),
        Column::maybe("failure", Type::Text, "", "why it failed"),
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
            plan.localities.get(&node.config.as_number).and_then(|locality| locality.country.as_deref()).into(),
            lan_of(&view, index).map(|(_, lan)| lan).into(),
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
