//! Calibration for people: a row for each class, what was got beside what was asked.

use comfy_table::{CellAlignment, Table, presets};

use super::{Calibrated, Class, Finding};

const DATAGRAMS: &str = "rate (datagrams)";
/// What a trace carries is measured by datagrams.
const TRACE: &str = "rate (trace)";
const COLUMNS: [(&str, &str); 5] = [
    ("round trip", "round trip\nms"),
    (DATAGRAMS, "datagrams\nMbit/s"),
    ("rate (TCP)", "TCP\nMbit/s"),
    ("loss", "loss\n%"),
    ("queue", "queue\nkB"),
];

/// The quantities without a finding, of all that can be measured; `found` says whether there is one of that name.
pub fn unmeasured(found: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let whats = COLUMNS.iter().map(|(what, _)| *what);
    whats.filter(|what| !(found(what) || *what == DATAGRAMS && found(TRACE))).collect()
}

/// The table, and a line that says how to read it.
pub fn table(calibrated: &[(Class, Calibrated)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["link"].into_iter().chain(COLUMNS.map(|(_, heading)| heading)).chain(["within"]));
    for (class, of) in calibrated {
        let cells = COLUMNS.iter().map(|(what, _)| {
            let same = |finding: &&Finding| finding.what == *what || (finding.what, *what) == (TRACE, DATAGRAMS);
            let finding = of.findings.iter().find(same);
            finding.map_or("–".to_owned(), cell)
        });
        let within = if of.good() { "yes" } else { "NO" };
        let row = [class.to_string().replace(" of ", " of\n")].into_iter().chain(cells).chain([within.to_owned()]);
        table.add_row(row.collect::<Vec<_>>());
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let cached = calibrated.iter().filter(|(_, of)| of.cached).count();
    let earlier = match cached {
        0 => String::new(),
        some => format!("; {some} of {} measured in the last 24 hours", calibrated.len()),
    };
    format!("{table}\ngot, below it what was asked; –: not measured{earlier}\n")
}

fn cell(finding: &Finding) -> String {
    let number = |value: f64| match value.abs() {
        value_abs if value_abs >= 1000.0 => format!("{value:.0}"),
        value_abs if value_abs >= 100.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    let mark = if finding.good { "" } else { "✗ " };
    format!("{mark}{}\n{}", number(finding.got), number(finding.asked))
}
