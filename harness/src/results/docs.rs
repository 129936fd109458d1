//! The parts of `docs/results.md` that are written from the code: the columns of every table and the metrics. Each stands
//! between two markers; `UPDATE_DOCS=1 cargo test -p peerbed --lib results::docs` writes them anew.

use std::{fmt::Write, fs, path::PathBuf};

use super::{Column, TABLES, Table};
use crate::metrics::{Better, definitions};

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
