//! A Parquet file written row by row with bounded memory: what the writers of this room share.
//!
//! Rows gather in column builders and go to the Parquet encoder in batches; a row group ends at
//! 16,384 rows or at about 32 MiB of text, whichever comes first. Everything is compressed with zstd
//! level 3. Columns that are looked up by value get a Bloom filter, so that finding one page in a large
//! run reads little more than the footers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::error::{Error, Result};
use crate::io::AtomicFile;

/// Rows after which a row group ends.
const GROUP_ROWS: usize = 16_384;
/// Bytes of values after which a row group ends.
const GROUP_BYTES: usize = 32 << 20;
/// Rows that wait in the builders.
const BATCH_ROWS: usize = 1024;
/// Bytes that wait in the builders.
const BATCH_BYTES: usize = 4 << 20;
/// Bytes of one value; the offsets of a string column have 31 bits.
const MAX_VALUE_BYTES: usize = (1 << 31) - 2 * BATCH_BYTES;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// Text with few or repeating values: dictionary, statistics.
    Text,
    /// Text that identifies a row and is looked up by value: Bloom filter, no dictionary.
    Key,
    /// Long text that is never compared: no dictionary, no statistics.
    Body,
    /// 64-bit integer.
    Integer,
    /// 64-bit float.
    Float,
    /// True or false.
    Boolean,
}

/// Name, type and whether values may be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) nullable: bool,
}

impl Column {
    /// A column that has a value in every row.
    pub(super) fn required(name: &str, kind: Type) -> Self {
        Self { name: name.to_owned(), kind, nullable: false }
    }

    /// A column whose value may be absent.
    pub(super) fn nullable(name: impl Into<String>, kind: Type) -> Self {
        Self { name: name.into(), kind, nullable: true }
    }

    fn field(&self) -> Field {
        let data_type = match self.kind {
            Type::Text | Type::Key | Type::Body => DataType::Utf8,
            Type::Integer => DataType::Int64,
            Type::Float => DataType::Float64,
            Type::Boolean => DataType::Boolean,
        };
        Field::new(&self.name, data_type, self.nullable)
    }
}

enum Builder {
    Text(StringBuilder),
    Integer(Int64Builder),
    Float(Float64Builder),
    Boolean(BooleanBuilder),
}

impl Builder {
    fn new(kind: Type) -> Self {
        match kind {
            Type::Text | Type::Key | Type::Body => Self::Text(StringBuilder::new()),
            Type::Integer => Self::Integer(Int64Builder::new()),
            Type::Float => Self::Float(Float64Builder::new()),
            Type::Boolean => Self::Boolean(BooleanBuilder::new()),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Float(builder) => Arc::new(builder.finish()),
            Self::Boolean(builder) => Arc::new(builder.finish()),
        }
    }
}

/// One value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell<'a> {
    /// Absent.
    Null,
    /// For the three sorts of text column.
    Text(&'a str),
    /// For [`Type::Integer`].
    Integer(i64),
    /// For [`Type::Float`].
    Float(f64),
    /// For [`Type::Boolean`].
    Boolean(bool),
}

impl<'a> Cell<'a> {
    /// Text that may be absent.
    pub(super) fn text(value: Option<&'a str>) -> Self {
        value.map_or(Self::Null, Self::Text)
    }

    /// A number that may be absent.
    pub(super) fn float(value: Option<f64>) -> Self {
        value.map_or(Self::Null, Self::Float)
    }

    /// A count or an offset.
    pub(super) fn count(value: u64) -> Result<Self> {
        i64::try_from(value)
            .map(Self::Integer)
            .map_err(|_| Error::Failed(format!("`{value}` does not fit a signed 64-bit column")))
    }
}

/// A table being written; the file appears at [`Table::finish`] if it has rows.
pub(super) struct Table {
    path: PathBuf,
    out: ArrowWriter<AtomicFile>,
    schema: Arc<Schema>,
    builders: Vec<Builder>,
    batch_rows: usize,
    batch_bytes: usize,
    group_rows: usize,
    group_bytes: usize,
    rows: u64,
}

impl Table {
    /// Starts a table with these columns.
    pub(super) fn create(path: impl AsRef<Path>, columns: &[Column]) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let file = AtomicFile::create(&path)?;
        let schema = Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()));
        let out = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties(columns)?))
            .map_err(|error| Error::io("write", &path)(std::io::Error::other(error)))?;
        let builders = columns.iter().map(|column| Builder::new(column.kind)).collect();
        Ok(Self {
            path,
            out,
            schema,
            builders,
            batch_rows: 0,
            batch_bytes: 0,
            group_rows: 0,
            group_bytes: 0,
            rows: 0,
        })
    }

    /// Appends a row: one cell per column, in the order of the columns.
    pub(super) fn row(&mut self, cells: &[Cell]) -> Result<()> {
        let bytes: usize =
            cells.iter().map(|cell| if let Cell::Text(text) = cell { text.len() } else { 8 }).sum();
        if cells.len() != self.builders.len() || bytes > MAX_VALUE_BYTES {
            return Err(Error::Failed(format!(
                "a row of {} values and {bytes} bytes does not fit `{}`",
                cells.len(),
                self.path.display()
            )));
        }
        if self.batch_rows >= BATCH_ROWS || self.batch_bytes + bytes > BATCH_BYTES {
            self.flush_batch()?;
        }
        for (number, (builder, cell)) in self.builders.iter_mut().zip(cells).enumerate() {
            match (builder, cell) {
                (Builder::Text(builder), Cell::Text(text)) => builder.append_value(text),
                (Builder::Text(builder), Cell::Null) => builder.append_null(),
                (Builder::Integer(builder), Cell::Integer(value)) => builder.append_value(*value),
                (Builder::Integer(builder), Cell::Null) => builder.append_null(),
                (Builder::Float(builder), Cell::Float(value)) => builder.append_value(*value),
                (Builder::Float(builder), Cell::Null) => builder.append_null(),
                (Builder::Boolean(builder), Cell::Boolean(value)) => builder.append_value(*value),
                (Builder::Boolean(builder), Cell::Null) => builder.append_null(),
                _ => {
                    let name = self.schema.field(number).name();
                    return Err(Error::Failed(format!("a value of the wrong type for column `{name}`")));
                }
            }
        }
        self.batch_rows += 1;
        self.batch_bytes += bytes;
        self.rows += 1;
        Ok(())
    }

    /// Appends a row of a table that an earlier [`Table`] with these columns wrote, with other values in some
    /// columns.
    pub(super) fn copy_row(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        changed: &[(usize, Cell)],
    ) -> Result<()> {
        let mut cells = Vec::with_capacity(batch.num_columns());
        for (number, column) in batch.columns().iter().enumerate() {
            let change = changed.iter().find(|(changed, _)| *changed == number);
            cells.push(change.map_or_else(|| cell_of(column, row), |(_, cell)| *cell));
        }
        self.row(&cells)
    }

    /// Rows so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    fn flush_batch(&mut self) -> Result<()> {
        if self.batch_rows == 0 {
            return Ok(());
        }
        let columns = self.builders.iter_mut().map(Builder::finish).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| Error::Failed(format!("cannot write `{}`: {error}", self.path.display())))?;
        let failed = |error| Error::io("write", &self.path)(std::io::Error::other(error));
        if self.group_rows + self.batch_rows > GROUP_ROWS || self.group_bytes + self.batch_bytes > GROUP_BYTES
        {
            self.out.flush().map_err(failed)?;
            self.group_rows = 0;
            self.group_bytes = 0;
        }
        self.out.write(&batch).map_err(failed)?;
        self.group_rows += self.batch_rows;
        self.group_bytes += self.batch_bytes;
        self.batch_rows = 0;
        self.batch_bytes = 0;
        Ok(())
    }

    /// Makes the file visible, unless it has no rows.
    pub(super) fn finish(mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        self.flush_batch()?;
        let file = self
            .out
            .into_inner()
            .map_err(|error| Error::io("write", &self.path)(std::io::Error::other(error)))?;
        file.commit()
    }
}

fn cell_of(column: &ArrayRef, row: usize) -> Cell<'_> {
    if column.is_null(row) {
        return Cell::Null;
    }
    match column.data_type() {
        DataType::Utf8 => Cell::Text(column.as_string::<i32>().value(row)),
        DataType::Int64 => Cell::Integer(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Cell::Float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => Cell::Boolean(column.as_boolean().value(row)),
        // No table of this room has another type; where a column is required, `row` refuses the null.
        _ => Cell::Null,
    }
}

fn properties(columns: &[Column]) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(3).map_err(|error| Error::Failed(error.to_string()))?;
    let mut properties = WriterProperties::builder()
        .set_created_by("tamis version 1".to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    for column in columns {
        let path = ColumnPath::from(vec![column.name.clone()]);
        match column.kind {
            Type::Key => {
                properties = properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_bloom_filter_enabled(path.clone(), true)
                    .set_column_bloom_filter_fpp(path.clone(), 0.01)
                    .set_column_bloom_filter_max_ndv(path, GROUP_ROWS as u64);
            }
            Type::Body => {
                properties = properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_statistics_enabled(path, EnabledStatistics::None);
            }
            Type::Text | Type::Integer | Type::Float | Type::Boolean => {}
        }
    }
    Ok(properties.build())
}
