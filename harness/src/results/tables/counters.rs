//! `ledger.parquet` and `links.parquet`: what the counters rose by from sample to sample, about once a second.

use peerbed_link::Kind;

use super::since_start_s;
use crate::{
    engine::{Counters, LinkSample, Sample},
    metrics::{kind_word, ledger_delta},
    results::{
        RunOutcome,
        columns::{Cell, Column, Rows, Table, Type},
    },
};

pub(super) const LEDGER: Table = Table {
    file: "ledger.parquet",
    columns: &[
        Column::new("arm", Type::Text, "", "the arm"),
        Column::new("repeat", Type::Int, "", "the repeat, from 0"),
        Column::new("t_s", Type::Float, "s", "the end of the interval, seconds since the start of the run"),
        Column::new("interval_s", Type::Float, "s", "its length, seconds"),
        Column::new("from_as", Type::Int, "", "the AS of the sender"),
        Column::new("to_as", Type::Int, "", "the AS of the receiver"),
        Column::new("kind", Type::Text, "", "`edge`, `peer` or `control`"),
        Column::new("packets", Type::Int, "packets", "packets delivered"),
        Column::new("wire_bytes", Type::Int, "B", "their bytes"),
    ],
};

pub(super) const LINKS: Table = Table {
    file: "links.parquet",
    columns: &[
        Column::new("arm", Type::Text, "", "the arm"),
        Column::new("repeat", Type::Int, "", "the repeat, from 0"),
        Column::new("t_s", Type::Float, "s", "the end of the interval, seconds since the start of the run"),
        Column::new("interval_s", Type::Float, "s", "its length, seconds"),
        Column::new(
            "link",
            Type::Text,
            "",
            "the node, for an access link (`NODE.1`, `NODE.2`, … in its other places); else the link's name",
        ),
        Column::new("class", Type::Text, "", "`access`, or `between` two ASes"),
        Column::new(
            "direction",
            Type::Text,
            "",
            "`up` and `down` of an access link; `forward` (from `a` to `b`) and `backward` of a link between ASes",
        ),
        Column::new("offered_packets", Type::Int, "packets", "packets that came to it"),
        Column::new("offered_bytes", Type::Int, "B", "their wire bytes"),
        Column::new("carried_packets", Type::Int, "packets", "packets that it sent on"),
        Column::new("carried_bytes", Type::Int, "B", "their wire bytes"),
        Column::new("dropped_packets", Type::Int, "packets", "packets that found its queue full"),
        Column::new("lost_packets", Type::Int, "packets", "packets that its loss model took"),
    ],
};

/// What the rows of one interval begin with.
fn head<'a>(outcome: &'a RunOutcome, before: &Sample, after: &Sample) -> [Cell<'a>; 4] {
    let plan = &outcome.record().plan;
    let length = after.at_ns.saturating_sub(before.at_ns) as f64 / 1e9;
    [plan.arm.as_str().into(), plan.repeat.into(), since_start_s(outcome, after.at_ns).into(), length.into()]
}

pub(super) fn ledger(outcome: &RunOutcome, rows: &mut Rows) {
    for pair in outcome.record().samples.windows(2) {
        let head = head(outcome, &pair[0], &pair[1]);
        for ((from, to, kind), (packets, bytes)) in ledger_delta(&pair[0].ledger, &pair[1].ledger) {
            let kind: Kind = kind;
            let cells =
                [from.get().into(), to.get().into(), kind_word(kind).into(), Cell::from(packets), Cell::from(bytes)];
            rows.push(&[head.as_slice(), &cells].concat());
        }
    }
}

pub(super) fn links(outcome: &RunOutcome, rows: &mut Rows) {
    let fabric = &outcome.record().plan.fabric;
    for pair in outcome.record().samples.windows(2) {
        let head = head(outcome, &pair[0], &pair[1]);
        let names = fabric.attachments().map(|node| node.name.as_str());
        for (name, (before, after)) in names.zip(pair[0].access.iter().zip(&pair[1].access)) {
            both(rows, &head, [name, "access", "up", "down"], before, after);
        }
        let names = fabric.links.iter().map(|link| link.name.as_str());
        for (name, (before, after)) in names.zip(pair[0].links.iter().zip(&pair[1].links)) {
            both(rows, &head, [name, "between", "forward", "backward"], before, after);
        }
    }
}

fn both(rows: &mut Rows, head: &[Cell<'_>; 4], names: [&str; 4], before: &LinkSample, after: &LinkSample) {
    let [link, class, forward, backward] = names;
    for (direction, before, after) in
        [(forward, &before.forward, &after.forward), (backward, &before.backward, &after.backward)]
    {
        let rise = |counter: fn(&Counters) -> u64| Cell::from(counter(after).saturating_sub(counter(before)));
        let cells = [
            link.into(),
            class.into(),
            direction.into(),
            rise(|counters| counters.offered_packets),
            rise(|counters| counters.offered_bytes),
            rise(|counters| counters.carried_packets),
            rise(|counters| counters.carried_bytes),
            rise(|counters| counters.dropped_packets),
            rise(|counters| counters.lost_packets),
        ];
        rows.push(&[head.as_slice(), &cells].concat());
    }
}
