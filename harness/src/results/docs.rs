//! The parts of `docs/results.md` that are written from the code: the columns of every table and the metrics. Each stands
//! between two markers; `UPDATE_DOCS=1 cargo test -p peerbed --lib results::docs` writes them anew. What else is said there of
//! figures and limits is compared.

use std::{collections::BTreeSet, fmt::Write, fs, path::PathBuf};

use super::{
    Column, TABLES, Table,
    test_tree::Tree,
    tests::{DOCS, lines, two_arms},
};
use crate::{
    metrics::{Better, definitions},
    reconcile::{limits, overload::SIGNALS},
};

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/results.md")
}

/// A table of Markdown; cells must not contain a bar.
fn markdown<const N: usize>(heads: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let line = |cells: [String; N]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(heads.map(str::to_owned));
    let _ = writeln!(text, "|{}", "---|".repeat(N));
    for cells in rows {
        for cell in &cells {
            assert!(!cell.contains(['|', '\n']), "`{cell}` would break the table");
        }
        text.push_str(&line(cells));
    }
    text
}

fn columns(table: &Table) -> String {
    let row = |column: &Column| {
        let null = if column.optional { "?" } else { "" };
        [format!("`{}`", column.name), format!("{:?}{null}", column.ty), column.unit.into(), column.doc.into()]
    };
    markdown(["Column", "Type", "Unit", "Meaning"], table.columns.iter().map(row))
}

fn metrics() -> String {
    let rows = definitions().map(|metric| {
        let better = match metric.better {
            Better::Higher => "higher",
            Better::Lower => "lower",
            Better::Neither => "",
        };
        [format!("`{}`", metric.name), metric.unit.into(), better.into(), metric.doc.into()]
    });
    markdown(["Metric", "Unit", "Better", "Definition"], rows)
}

/// The page with what stands between the two markers of this name replaced.
fn with_part(page: &str, name: &str, part: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->\n"));
    let start = page.find(&begin).unwrap_or_else(|| panic!("docs/results.md has no marker {begin}")) + begin.len();
    let stop = page.find(&end).unwrap_or_else(|| panic!("docs/results.md has no marker {end}"));
    format!("{}{part}{}", &page[..start], &page[stop..])
}

#[test]
fn the_page_has_every_column_and_every_metric() {
    let old = fs::read_to_string(page()).expect("the page is there");
    let mut new = with_part(&old, "metrics", &metrics());
    for table in TABLES {
        new = with_part(&new, &format!("columns: {}", table.file), &columns(table));
    }
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        fs::write(page(), &new).expect("written");
        return;
    }
    let differing: Vec<(&str, &str)> = old.lines().zip(new.lines()).filter(|(old, new)| old != new).collect();
    assert!(
        old == new,
        "docs/results.md is not what the code says (first difference: {:?}); write it anew with\n\
         UPDATE_DOCS=1 cargo test -p peerbed --lib results::docs",
        differing.first()
    );
}

/// The rows of the first table below a heading: the cells of each, without the back quotes.
fn documented(heading: &str) -> Vec<Vec<String>> {
    let section = DOCS.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no section {heading}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    section.lines().filter(|line| line.starts_with("| `")).map(cells).collect()
}

#[test]
fn every_defined_metric_is_written_with_its_unit() {
    let tree = Tree::new();
    let path = two_arms(&tree).path;
    let written: BTreeSet<(String, String)> = lines(&path.join("metrics.jsonl"))
        .iter()
        .map(|row| (row["name"].as_str().expect("text").into(), row["unit"].as_str().expect("text").into()))
        .collect();
    let defined: BTreeSet<(String, String)> =
        definitions().map(|metric| (metric.name.into(), metric.unit.into())).collect();
    assert_eq!(written, defined);
}

#[test]
fn the_docs_list_every_figure_and_every_limit() {
    let figures: BTreeSet<String> = documented("summary.json")
        .iter()
        .flat_map(|row| row[0].split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let code: BTreeSet<String> = crate::metrics::FIGURES.iter().map(|figure| figure.key.to_owned()).collect();
    assert_eq!(figures, code);

    let limits: Vec<[String; 2]> =
        documented("Validity").into_iter().map(|row| [row[0].clone(), row[1].clone()]).collect();
    let in_code = [
        ("OVERHEAD_MIN", format!("{:.4}", limits::OVERHEAD_MIN)),
        ("OVERHEAD_MAX", limits::OVERHEAD_MAX.to_string()),
        ("PER_DOWNLOAD_BYTES", limits::PER_DOWNLOAD_BYTES.to_string()),
        ("PER_EDGE_PIECE_BYTES", limits::PER_EDGE_PIECE_BYTES.to_string()),
        ("PER_PEER_PIECE_BYTES", limits::PER_PEER_PIECE_BYTES.to_string()),
        ("PER_ATTACKER_BYTES", limits::PER_ATTACKER_BYTES.to_string()),
        ("UNDERWAY_PER_NODE_BYTES", limits::UNDERWAY_PER_NODE_BYTES.to_string()),
        ("UNDERWAY_UNLIMITED_BYTES", limits::UNDERWAY_UNLIMITED_BYTES.to_string()),
        ("MISSING_SHARE_MAX", limits::MISSING_SHARE_MAX.to_string()),
        ("BROKEN_SHARE_MAX", limits::BROKEN_SHARE_MAX.to_string()),
        ("TICK_LATE_MAX_MS", limits::TICK_LATE_MAX_MS.to_string()),
        ("STEAL_SHARE_MAX", limits::STEAL_SHARE_MAX.to_string()),
        ("MARKED_SECONDS_SHARE_MAX", limits::MARKED_SECONDS_SHARE_MAX.to_string()),
        ("CLOCK_STEP_MAX_MS", limits::CLOCK_STEP_MAX_MS.to_string()),
        ("START_GRACE_MS", limits::START_GRACE_MS.to_string()),
        ("REASONS_PER_CHECK", limits::REASONS_PER_CHECK.to_string()),
    ];
    assert_eq!(limits, in_code.map(|(name, value)| [name.to_owned(), value]));
    let marks: Vec<[String; 2]> =
        documented("Marked seconds").into_iter().map(|row| [row[0].clone(), row[1].clone()]).collect();
    let signals = SIGNALS.iter().map(|signal| [signal.word.to_owned(), signal.limit_text()]);
    assert_eq!(marks, signals.collect::<Vec<_>>());
    // And the code has no limit that is in neither list.
    let source = include_str!("../reconcile/limits.rs");
    assert_eq!(source.matches("pub const ").count(), limits.len() + marks.len());
}
