//! Finished results as they are read back: typed summary, rows of Parquet tables, metrics, and what the timeline did.
//!
//! Whoever reads works from files alone, as anybody could who has the directory and not the program that made it.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Summary, Table, layout, tables};
use crate::regular;

/// Why results could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file could not be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no JSON, or not what it should hold.
    #[error("{}: {}{source}", path.display(), line.map_or(String::new(), |line| format!("line {line}: ")))]
    Json {
        /// Which.
        path: PathBuf,
        /// Where in it, from 1; none: the file is one value.
        line: Option<usize>,
        /// Why.
        source: serde_json::Error,
    },
    /// A file is no Parquet, or damaged.
    #[error("{}: {source}", path.display())]
    Parquet {
        /// Which.
        path: PathBuf,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// A table's column holds something else than it should.
    #[error("{}: column `{column}` should hold {wanted}", path.display())]
    Column {
        /// Which file.
        path: PathBuf,
        /// Which column.
        column: &'static str,
        /// What it should hold.
        wanted: &'static str,
    },
    /// The results were written by a version whose files mean something else.
    #[error(
        "{}: the layout is {found}, this program reads {}: the version of Peerbed that wrote it does",
        path.display(),
        layout::LAYOUT_VERSION
    )]
    Layout {
        /// Which file says it.
        path: PathBuf,
        /// Which layout.
        found: u64,
    },
    /// Files are there that do not belong together.
    #[error("{}: {why}: files of other results, or damaged ones, are among these", path.display())]
    Mixed {
        /// Which directory.
        path: PathBuf,
        /// What does not agree.
        why: String,
    },
    /// The directory holds no finished results.
    #[error("{}: no finished results: there is no {}; `peerbed ls` lists what there is", path.display(), layout::SUMMARY_JSON)]
    Unfinished {
        /// Which directory.
        path: PathBuf,
    },
}

impl ReadError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| ReadError::Io { path, source }
    }
}

/// A directory of finished results; its files are read when they are asked for.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    summary: Summary,
}

/// One row of `metrics.jsonl`.
#[derive(Debug, Clone, Deserialize)]
pub struct MetricRow {
    /// Of which arm.
    pub arm: String,
    /// Of which repeat.
    pub repeat: u32,
    /// Whether its run is valid.
    pub valid: bool,
    /// Its name.
    pub name: String,
    /// What tells it from others of the same name.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// `distribution`, `proportion`, `ratio` or `count`.
    pub kind: String,
    /// How many things it is of.
    #[serde(default)]
    pub n: Option<u64>,
    /// Of a distribution, the mean; none of no values.
    #[serde(default)]
    pub mean: Option<f64>,
    /// Of a distribution, its quantiles by name (`min`, `p10`, …); none of no values.
    #[serde(default)]
    pub quantiles: Option<BTreeMap<String, f64>>,
    /// Its number, unless it is a distribution or undefined.
    #[serde(default)]
    pub value: Option<f64>,
    /// What it is a share or quotient of.
    #[serde(default)]
    pub numerator: Option<f64>,
    /// What it is measured by.
    #[serde(default)]
    pub denominator: Option<f64>,
}

/// Something that the timeline did, as `events.jsonl` tells it.
#[derive(Debug, Clone, Deserialize)]
pub struct Deed {
    /// In which arm.
    pub arm: String,
    /// In which repeat.
    pub repeat: u32,
    /// When it was begun, nanoseconds since the start of the run.
    pub t: u64,
    /// The verb of the timeline.
    pub action: String,
    /// What it was, in words.
    pub label: String,
    /// To whom it happened.
    #[serde(default)]
    pub nodes: Vec<String>,
}

impl Deed {
    /// When it was begun, seconds since the start of the run.
    pub fn at_s(&self) -> f64 {
        self.t as f64 / 1e9
    }
}

impl Results {
    /// Opens a directory: its summary is read and must be of this program's layout.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let file = path.join(layout::SUMMARY_JSON);
        if path.is_dir() && !file.exists() {
            return Err(ReadError::Unfinished { path: path.to_owned() });
        }
        let value: Value = read_json(&file)?;
        match value["layout"].as_u64() {
            Some(found) if found != u64::from(layout::LAYOUT_VERSION) => {
                return Err(ReadError::Layout { path: file, found });
            }
            _ => {}
        }
        // Not by way of `value`: that would put the arms in the order of the alphabet.
        Ok(Self { path: path.to_owned(), summary: read_json(&file)? })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was found.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// `manifest.json`, as far as `T` wants it.
    pub fn manifest<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        read_json(&self.path.join(layout::MANIFEST))
    }

    /// `metrics.jsonl`, the rows of these names.
    pub fn metrics(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<MetricRow>, ReadError> {
        let mut rows: Vec<MetricRow> = Vec::new();
        each_line(&self.path.join(layout::METRICS), |line| {
            let row: MetricRow = serde_json::from_str(line)?;
            if wanted(&row.name) {
                rows.push(row);
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// What the timelines of all runs did, in the order of each.
    pub fn deeds(&self) -> Result<Vec<Deed>, ReadError> {
        let mut deeds = Vec::new();
        each_line(&self.path.join(layout::EVENTS), |line| {
            // A node could say no such thing: its lines are read by its own vocabulary before they are written here.
            if line.contains(r#""event":"action""#) {
                deeds.push(serde_json::from_str(line)?);
            }
            Ok(())
        })?;
        Ok(deeds)
    }

    /// The table of downloads.
    pub fn downloads(&self) -> Result<Read, ReadError> {
        self.table(tables::DOWNLOADS)
    }

    /// The table of ASes; none in results of a version that did not write it.
    pub fn ases(&self) -> Result<Option<Read>, ReadError> {
        let there = self.path.join(tables::ASES.file).exists();
        there.then(|| self.table(tables::ASES)).transpose()
    }

    /// The runs over time.
    pub fn series(&self) -> Result<Read, ReadError> {
        self.table(tables::SERIES)
    }

    /// One of the Parquet tables. A column that may be null and is not in the file (an earlier version wrote it) is so throughout.
    fn table(&self, table: &'static Table) -> Result<Read, ReadError> {
        let path = self.path.join(table.file);
        let parquet = |source| ReadError::Parquet { path: path.clone(), source };
        let reader = SerializedFileReader::new(open(&path)?).map_err(parquet)?;
        let rows: Vec<Row> = reader.get_row_iter(None).map_err(parquet)?.collect::<Result<_, _>>().map_err(parquet)?;
        let mut places = BTreeMap::new();
        if let Some(first) = rows.first() {
            for (place, (name, _)) in first.get_column_iter().enumerate() {
                if let Some(column) = table.columns.iter().find(|column| column.name == name) {
                    places.insert(column.name, place);
                }
            }
        }
        for column in table.columns {
            let Some(place) = places.get(column.name) else {
                if column.optional || rows.is_empty() {
                    continue;
                }
                return Err(ReadError::Column { path, column: column.name, wanted: column.ty.word() });
            };
            let fits = |row: &Row| match row.get_column_iter().nth(*place) {
                Some((_, field)) => column.ty.fits(field),
                None => false,
            };
            if !rows.iter().all(fits) {
                return Err(ReadError::Column { path, column: column.name, wanted: column.ty.word() });
            }
        }
        let rows = rows.into_iter().map(|row| row.into_columns().into_iter().map(|(_, field)| field).collect());
        Ok(Read { places, rows: rows.collect() })
    }
}

/// A table that was read.
#[derive(Debug)]
pub struct Read {
    places: BTreeMap<&'static str, usize>,
    rows: Vec<Vec<Field>>,
}

impl Read {
    /// Its rows, in the order of the file.
    pub fn rows(&self) -> impl Iterator<Item = Line<'_>> {
        self.rows.iter().map(|fields| Line { places: &self.places, fields })
    }
}

/// One row of a table.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    places: &'a BTreeMap<&'static str, usize>,
    fields: &'a [Field],
}

impl<'a> Line<'a> {
    fn field(self, column: &str) -> Option<&'a Field> {
        self.fields.get(*self.places.get(column)?)
    }

    /// A text; none of null.
    pub fn text(self, column: &str) -> Option<&'a str> {
        match self.field(column)? {
            Field::Str(text) => Some(text),
            _ => None,
        }
    }

    /// True or false; none of null.
    pub fn truth(self, column: &str) -> Option<bool> {
        match self.field(column)? {
            Field::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// A number, whole or not; none of null.
    pub fn number(self, column: &str) -> Option<f64> {
        match self.field(column)? {
            Field::Long(number) => Some(*number as f64),
            Field::Double(number) => Some(*number),
            _ => None,
        }
    }

    /// A whole number; none of null.
    pub fn whole(self, column: &str) -> Option<u64> {
        match self.field(column)? {
            Field::Long(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Whether it is of this run.
    pub fn is_of(self, arm: &str, repeat: u32) -> bool {
        self.text("arm") == Some(arm) && self.whole("repeat") == Some(repeat.into())
    }
}

/// A regular file; anything else may never end.
fn open(path: &Path) -> Result<File, ReadError> {
    if path.exists() && !regular::is_regular(path) {
        let source = std::io::Error::other("it is no regular file");
        return Err(ReadError::Io { path: path.to_owned(), source });
    }
    File::open(path).map_err(ReadError::io(path))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ReadError> {
    let mut text = Vec::new();
    open(path)?.read_to_end(&mut text).map_err(ReadError::io(path))?;
    serde_json::from_slice(&text).map_err(|source| ReadError::Json { path: path.to_owned(), line: None, source })
}

/// Every line of a file of JSON lines.
fn each_line(path: &Path, mut take: impl FnMut(&str) -> Result<(), serde_json::Error>) -> Result<(), ReadError> {
    let file = BufReader::new(open(path)?);
    for (number, line) in (1..).zip(file.lines()) {
        let line = line.map_err(ReadError::io(path))?;
        take(&line).map_err(|source| ReadError::Json { path: path.to_owned(), line: Some(number), source })?;
    }
    Ok(())
}
