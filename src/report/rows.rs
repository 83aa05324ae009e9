//! Reading the tables of a run directory with bounded memory: some columns at a time, a few hundred rows
//! at a time, and by value with the Bloom filters that the writers left.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    RowSelection, RowSelector,
};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Rows per batch.
const BATCH_ROWS: usize = 256;

/// An open Parquet file of the run directory.
pub struct RowTable {
    path: PathBuf,
    file: Arc<crate::io::File>,
    metadata: ArrowReaderMetadata,
}

/// The Parquet files of `run/folder`, in order.
///
/// # Errors
/// Where the folder cannot be listed or a file is no Parquet file.
pub fn tables(run: &Path, folder: &str) -> Result<Vec<PathBuf>> {
    crate::io::list(run.join(folder), ".parquet")
}

impl RowTable {
    /// Opens a file and reads its footer.
    ///
    /// # Errors
    /// Where it cannot be read or is no Parquet file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let file = Arc::new(crate::io::open(&path)?);
        let metadata = ArrowReaderMetadata::load(&*file, ArrowReaderOptions::default())
            .map_err(|error| unreadable(&file, &path, &error))?;
        Ok(Self { path, file, metadata })
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Names and types of the columns.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &DataType)> {
        self.metadata.schema().fields().iter().map(|field| (field.name().as_str(), field.data_type()))
    }

    fn builder(&self, columns: Option<&[&str]>) -> Result<ParquetRecordBatchReaderBuilder<crate::io::File>> {
        let file = self.file.try_clone().map_err(Error::io("open", &self.path))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_batch_size(BATCH_ROWS);
        let Some(columns) = columns else { return Ok(builder) };
        let roots =
            self.columns().enumerate().filter(|(_, (name, _))| columns.contains(name)).map(|(n, _)| n);
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), roots);
        Ok(builder.with_projection(mask))
    }

    fn batches(
        &self,
        columns: Option<&[&str]>,
        refine: impl FnOnce(
            ParquetRecordBatchReaderBuilder<crate::io::File>,
        ) -> ParquetRecordBatchReaderBuilder<crate::io::File>,
    ) -> Result<Batches> {
        let reader = refine(self.builder(columns)?)
            .build()
            .map_err(|error| unreadable(&self.file, &self.path, &error))?;
        Ok(Batches { reader, file: Arc::clone(&self.file), path: self.path.clone(), first: 0 })
    }

    /// All rows, only these columns.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn scan(&self, columns: &[&str]) -> Result<Batches> {
        self.batches(Some(columns), |builder| builder)
    }

    /// All rows, all columns.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn scan_all(&self) -> Result<Batches> {
        self.batches(None, |builder| builder)
    }

    /// Numbers of the rows whose `column` equals one of `needles`, with the number of the needle.
    /// Row groups whose Bloom filter excludes all of them are not read.
    ///
    /// # Errors
    /// Where the file cannot be read or lacks the column.
    pub fn find(&self, column: &str, needles: &[&str]) -> Result<Vec<(u64, usize)>> {
        let damaged = |error: parquet::errors::ParquetError| Error::damaged(&self.path, error.to_string());
        let number = self
            .columns()
            .position(|(name, _)| name == column)
            .ok_or_else(|| Error::damaged(&self.path, format!("it has no column `{column}`")))?;
        let mut found = Vec::new();
        let mut first = 0;
        for group in 0..self.metadata.metadata().num_row_groups() {
            let rows = u64::try_from(self.metadata.metadata().row_group(group).num_rows()).unwrap_or(0);
            let filter =
                self.builder(None)?.get_row_group_column_bloom_filter(group, number).map_err(damaged)?;
            if filter.is_none_or(|filter| needles.iter().any(|needle| filter.check(needle.as_bytes()))) {
                for batch in self.batches(Some(&[column]), |builder| builder.with_row_groups(vec![group]))? {
                    let (offset, batch) = batch?;
                    for (row, value) in texts(&batch, column, &self.path)?.iter().enumerate() {
                        if let Some(needle) = needles.iter().position(|needle| value == Some(*needle)) {
                            found.push((first + offset + row as u64, needle));
                        }
                    }
                }
            }
            first += rows;
        }
        Ok(found)
    }

    /// These rows (rising numbers), all columns; absent values are left out.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn rows_at(&self, numbers: &[u64]) -> Result<Vec<Map<String, Value>>> {
        let mut selectors = Vec::new();
        let mut next = 0;
        for &number in numbers {
            let skipped = usize::try_from(number.saturating_sub(next)).unwrap_or(usize::MAX);
            if skipped > 0 {
                selectors.push(RowSelector::skip(skipped));
            }
            selectors.push(RowSelector::select(1));
            next = number + 1;
        }
        let mut rows = Vec::with_capacity(numbers.len());
        for batch in
            self.batches(None, |builder| builder.with_row_selection(RowSelection::from(selectors)))?
        {
            let (_, batch) = batch?;
            rows.extend((0..batch.num_rows()).map(|row| as_object(&batch, row)));
        }
        Ok(rows)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A store that failed, or else damage.
fn unreadable(file: &crate::io::File, path: &Path, error: &dyn std::fmt::Display) -> Error {
    file.take_fault().unwrap_or_else(|| Error::damaged(path, error.to_string()))
}

/// Batches of rows, each with the number of its first row.
pub struct Batches {
    reader: ParquetRecordBatchReader,
    file: Arc<crate::io::File>,
    path: PathBuf,
    first: u64,
}

impl Iterator for Batches {
    type Item = Result<(u64, RecordBatch)>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.reader.next()? {
            Ok(batch) => {
                let first = self.first;
                self.first += batch.num_rows() as u64;
                Ok((first, batch))
            }
            Err(error) => Err(unreadable(&self.file, &self.path, &error)),
        })
    }
}

/// A text column of a batch.
///
/// # Errors
/// [`Error::Damaged`] where the file does not have it.
pub fn texts<'a>(batch: &'a RecordBatch, name: &str, path: &Path) -> Result<&'a StringArray> {
    batch
        .column_by_name(name)
        .and_then(|column| column.as_string_opt::<i32>())
        .ok_or_else(|| Error::damaged(path, format!("it has no text column `{name}`")))
}

/// A column of 64-bit floats.
///
/// # Errors
/// [`Error::Damaged`] where the file does not have it.
pub fn floats<'a>(batch: &'a RecordBatch, name: &str, path: &Path) -> Result<&'a Float64Array> {
    batch
        .column_by_name(name)
        .and_then(|column| column.as_primitive_opt::<Float64Type>())
        .ok_or_else(|| Error::damaged(path, format!("it has no number column `{name}`")))
}

/// A column of 64-bit integers.
///
/// # Errors
/// [`Error::Damaged`] where the file does not have it.
pub fn integers<'a>(batch: &'a RecordBatch, name: &str, path: &Path) -> Result<&'a Int64Array> {
    batch
        .column_by_name(name)
        .and_then(|column| column.as_primitive_opt::<Int64Type>())
        .ok_or_else(|| Error::damaged(path, format!("it has no integer column `{name}`")))
}

/// The value of a row that may be absent.
pub fn text_at(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

/// The number of a row that may be absent.
pub fn float_at(column: &Float64Array, row: usize) -> Option<f64> {
    column.is_valid(row).then(|| column.value(row))
}

fn as_object(batch: &RecordBatch, row: usize) -> Map<String, Value> {
    let mut object = Map::new();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if column.is_null(row) {
            continue;
        }
        let value = match field.data_type() {
            DataType::Utf8 => Value::from(column.as_string::<i32>().value(row)),
            DataType::Int64 => Value::from(column.as_primitive::<Int64Type>().value(row)),
            DataType::Float64 => Value::from(column.as_primitive::<Float64Type>().value(row)),
            DataType::Boolean => Value::from(column.as_boolean().value(row)),
            _ => continue,
        };
        object.insert(field.name().clone(), value);
    }
    object
}
