//! Parquet files from rows, through the crate's low-level writer: one row group for each run.

use std::{io::Write, sync::Arc};

use parquet::{
    basic::{Compression, LogicalType, Repetition, Type as Physical},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::{ParquetError, Result},
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::Type as Schema,
};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A whole number (INT64).
    Int,
    /// A number (DOUBLE).
    Float,
    /// UTF-8 text.
    Text,
    /// True or false.
    Bool,
}

impl Type {
    /// What it is called in messages.
    pub(super) fn word(self) -> &'static str {
        match self {
            Type::Int => "whole numbers",
            Type::Float => "numbers",
            Type::Text => "text",
            Type::Bool => "true or false",
        }
    }

    /// Whether a value that was read is of it; null is of any.
    pub(super) fn fits(self, field: &parquet::record::Field) -> bool {
        use parquet::record::Field;
        match field {
            Field::Null => true,
            Field::Long(_) => self == Type::Int,
            Field::Double(_) => self == Type::Float,
            Field::Str(_) => self == Type::Text,
            Field::Bool(_) => self == Type::Bool,
            _ => false,
        }
    }
}

/// One column; its name ends with its unit where that is one of time, bytes or rate.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub ty: Type,
    /// It may be null.
    pub optional: bool,
    /// The unit of its values, `1` for plain numbers; empty of what has none: names, words, numbers that only name something.
    pub unit: &'static str,
    /// What it means, in Markdown.
    pub doc: &'static str,
}

impl Column {
    pub(super) const fn new(name: &'static str, ty: Type, unit: &'static str, doc: &'static str) -> Self {
        Self { name, ty, optional: false, unit, doc }
    }

    pub(super) const fn maybe(name: &'static str, ty: Type, unit: &'static str, doc: &'static str) -> Self {
        Self { name, ty, optional: true, unit, doc }
    }
}

/// One Parquet file.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its file's name.
    pub file: &'static str,
    /// Its columns, in order.
    pub columns: &'static [Column],
}

/// One value of a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'a> {
    Int(i64),
    Float(f64),
    Text(&'a str),
    Bool(bool),
    Null,
}

impl From<u64> for Cell<'_> {
    fn from(value: u64) -> Self {
        // Bytes and nanoseconds of a run are far below 2^63.
        Cell::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Cell<'_> {
    fn from(value: u32) -> Self {
        Cell::Int(i64::from(value))
    }
}

impl From<f64> for Cell<'_> {
    fn from(value: f64) -> Self {
        Cell::Float(value)
    }
}

impl From<bool> for Cell<'_> {
    fn from(value: bool) -> Self {
        Cell::Bool(value)
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(value: &'a str) -> Self {
        Cell::Text(value)
    }
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

/// The values of one column; for each row a definition level: 1 for a value, 0 for null.
struct Values {
    data: Data,
    levels: Vec<i16>,
}

enum Data {
    Int(Vec<i64>),
    Float(Vec<f64>),
    Text(Vec<ByteArray>),
    Bool(Vec<bool>),
}

/// The rows of one run.
pub(super) struct Rows {
    table: &'static Table,
    columns: Vec<Values>,
}

impl Rows {
    pub(super) fn new(table: &'static Table) -> Self {
        let empty = |column: &Column| Values {
            data: match column.ty {
                Type::Int => Data::Int(Vec::new()),
                Type::Float => Data::Float(Vec::new()),
                Type::Text => Data::Text(Vec::new()),
                Type::Bool => Data::Bool(Vec::new()),
            },
            levels: Vec::new(),
        };
        Self { table, columns: table.columns.iter().map(empty).collect() }
    }

    /// Adds a row. Its cells are those of the table, in order: anything else is a mistake in this crate and panics.
    pub(super) fn push(&mut self, cells: &[Cell<'_>]) {
        assert_eq!(cells.len(), self.columns.len(), "{}: cells and columns", self.table.file);
        for ((values, cell), column) in self.columns.iter_mut().zip(cells).zip(self.table.columns) {
            match (&mut values.data, *cell) {
                (Data::Int(data), Cell::Int(value)) => data.push(value),
                (Data::Float(data), Cell::Float(value)) => data.push(value),
                (Data::Text(data), Cell::Text(value)) => data.push(ByteArray::from(value)),
                (Data::Bool(data), Cell::Bool(value)) => data.push(value),
                (_, Cell::Null) if column.optional => {}
                (_, cell) => panic!("{}: column {} cannot hold {cell:?}", self.table.file, column.name),
            }
            values.levels.push(i16::from(!matches!(cell, Cell::Null)));
        }
    }

    fn is_empty(&self) -> bool {
        self.columns.first().is_none_or(|values| values.levels.is_empty())
    }
}

/// A Parquet file under way.
pub(super) struct TableWriter<W: Write + Send> {
    writer: SerializedFileWriter<W>,
}

impl<W: Write + Send> TableWriter<W> {
    pub(super) fn new(sink: W, table: &'static Table) -> Result<Self> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        Ok(Self { writer: SerializedFileWriter::new(sink, Arc::new(schema(table)?), Arc::new(properties))? })
    }

    /// Writes the rows of one run as one row group; no rows make none.
    pub(super) fn write(&mut self, rows: &Rows) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for (values, column) in rows.columns.iter().zip(rows.table.columns) {
            let levels = column.optional.then_some(values.levels.as_slice());
            match &values.data {
                Data::Int(data) => write_column::<Int64Type, W>(&mut group, data, levels)?,
                Data::Float(data) => write_column::<DoubleType, W>(&mut group, data, levels)?,
                Data::Text(data) => write_column::<ByteArrayType, W>(&mut group, data, levels)?,
                Data::Bool(data) => write_column::<BoolType, W>(&mut group, data, levels)?,
            }
        }
        group.close()?;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<()> {
        self.writer.close().map(drop)
    }
}

fn write_column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<()> {
    let missing = || ParquetError::General("fewer columns in the schema than in the table".to_owned());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

fn schema(table: &Table) -> Result<Schema> {
    let field = |column: &Column| {
        let physical = match column.ty {
            Type::Int => Physical::INT64,
            Type::Float => Physical::DOUBLE,
            Type::Text => Physical::BYTE_ARRAY,
            Type::Bool => Physical::BOOLEAN,
        };
        Schema::primitive_type_builder(column.name, physical)
            .with_repetition(if column.optional { Repetition::OPTIONAL } else { Repetition::REQUIRED })
            .with_logical_type((column.ty == Type::Text).then_some(LogicalType::String))
            .build()
            .map(Arc::new)
    };
    let fields = table.columns.iter().map(field).collect::<Result<_>>()?;
    Schema::group_type_builder("rows").with_fields(fields).build()
}
