//! What the table of arms says, apart from how it is drawn.

use super::{bytes, number, percent};
use crate::results::{ArmSummary, Summary};

/// A label and one value for each arm.
pub(super) struct Row {
    pub(super) label: &'static str,
    pub(super) values: Vec<String>,
}

/// Downloads that ended in some way, over all runs of an arm.
type Count = fn(&ArmSummary) -> u64;

/// Every way for a download not to complete.
const ENDS: [(&str, Count); 5] = [
    ("  paused for good", |arm| arm.downloads_total.paused),
    ("  aborted by user", |arm| arm.downloads_total.aborted),
    ("  failed", |arm| arm.downloads_total.failed),
    ("  unfinished at end", |arm| arm.downloads_total.unfinished),
    ("  lost with a node", |arm| arm.downloads_total.lost),
];

/// The table's rows for these arms; values of an invalid arm stand in brackets.
pub(super) fn rows(arms: &[&ArmSummary]) -> Vec<Row> {
    let row = |label, value: &dyn Fn(&ArmSummary) -> String| Row {
        label,
        values: arms.iter().map(|arm| if arm.valid { value(arm) } else { format!("[{}]", value(arm)) }).collect(),
    };
    let verdict = |arm: &&ArmSummary| if arm.valid { "valid" } else { "INVALID" }.to_owned();
    let mut rows = vec![Row { label: "validity", values: arms.iter().map(verdict).collect() }];
    rows.push(row("completed / started", &|arm| {
        format!("{} / {}", arm.downloads_total.completed, arm.downloads_total.started)
    }));
    // What did not complete has a row of its own as soon as there is any.
    for (label, count) in ENDS {
        if arms.iter().any(|arm| count(arm) > 0) {
            rows.push(row(label, &|arm| count(arm).to_string()));
        }
    }
    rows.push(row("speed p10 (Mbit/s)", &|arm| number(arm.figures.get("speed_mbps.p10"))));
    rows.push(row("speed p50 (Mbit/s)", &|arm| number(arm.figures.get("speed_mbps.p50"))));
    rows.push(row("speed p90 (Mbit/s)", &|arm| number(arm.figures.get("speed_mbps.p90"))));
    // Else an arm would look faster for not completing its slow downloads.
    if arms.iter().any(|arm| arm.downloads_total.failed + arm.downloads_total.unfinished > 0) {
        rows.push(row("  p10, unfinished as 0", &|arm| number(arm.figures.get("speed_ranked_mbps.p10"))));
        rows.push(row("  p50, unfinished as 0", &|arm| number(arm.figures.get("speed_ranked_mbps.p50"))));
    }
    rows.push(row("pause rate", &|arm| percent(arm.figures.get("pause_rate"))));
    rows.push(row("peer efficiency (bytes)", &|arm| percent(arm.figures.get("peer_efficiency.bytes"))));
    rows.push(row("peer efficiency (mean)", &|arm| percent(arm.figures.get("peer_efficiency.mean"))));
    rows.push(row("bytes from edges", &|arm| bytes(arm.figures.get("bytes.edge"))));
    rows.push(row("bytes from peers", &|arm| bytes(arm.figures.get("bytes.peer"))));
    rows.push(row("bytes wasted", &|arm| bytes(arm.figures.get("bytes.wasted"))));
    rows.push(row("cross-AS peer bytes", &|arm| bytes(arm.figures.get("bytes.inter_as"))));
    rows.push(row("intra-AS peer bytes", &|arm| bytes(arm.figures.get("bytes.intra_as"))));
    rows.push(row("edge peak egress (Mbit/s)", &|arm| number(arm.figures.get("edge_peak_egress_mbps"))));
    if arms.iter().any(|arm| arm.figures.get("fluid_bound.seconds").is_some()) {
        rows.push(row("fluid bound (s)", &|arm| number(arm.figures.get("fluid_bound.seconds"))));
        rows.push(row("  first done / bound", &|arm| number(arm.figures.get("fluid_bound.first"))));
        rows.push(row("  last done / bound", &|arm| number(arm.figures.get("fluid_bound.last"))));
    }
    if arms.iter().any(|arm| arm.figures.get("packets.nat_dropped").is_some_and(|packets| packets > 0.0)) {
        rows.push(row("packets dropped by NAT", &|arm| number(arm.figures.get("packets.nat_dropped"))));
    }
    if arms.iter().any(|arm| arm.figures.get("requests.refused").is_some_and(|requests| requests > 0.0)) {
        rows.push(row("requests refused (503)", &|arm| number(arm.figures.get("requests.refused"))));
    }
    rows
}

/// How an arm is headed.
pub(super) fn heading(arm: &ArmSummary) -> String {
    if arm.valid { arm.arm.clone() } else { format!("{} (INVALID)", arm.arm) }
}

/// `Medians over 5 runs; …`, where there are several.
pub(super) fn runs_note(summary: &Summary) -> Option<String> {
    let most = summary.arms.iter().map(|arm| arm.runs_planned).max().unwrap_or(0);
    (most > 1).then(|| {
        format!(
            "Each figure is the median over an arm's runs ({most} planned); downloads are counted over all of them."
        )
    })
}
