//! Named string columns of a Parquet file, in batches of rows: what later passes read of the corpus.
//!
//! Only the asked-for columns are read and decompressed. Own code on the `parquet` crate's Arrow reader.

use std::io::Read;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, LargeStringArray, StringArray, StringViewArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::File;
use crate::error::{Error, Result};

/// Rows per batch: small, because one row can hold a whole book.
const BATCH_ROWS: usize = 128;

/// Reads some string columns of a Parquet file from its first row to its last.
pub struct StringColumns {
    path: PathBuf,
    /// What a store says is kept here: the decoder tells only that it cannot go on.
    file: File,
    names: Vec<String>,
    batches: ParquetRecordBatchReader,
    /// Rows of the whole file, from its footer.
    pub rows: u64,
    /// Bytes that the columns take before compression, from the footer: an estimate of the text's size.
    pub plain_bytes: u64,
}

/// Whether a file begins as Parquet files do.
///
/// # Errors
/// [`Error::Io`] where it cannot be read.
pub fn is_parquet(path: impl AsRef<Path>) -> Result<bool> {
    let mut head = Vec::new();
    let file = super::open(&path)?;
    file.take(4).read_to_end(&mut head).map_err(Error::io("read", path))?;
    Ok(head == b"PAR1")
}

/// Names of the columns of a Parquet file, those inside structs and lists with dots.
///
/// # Errors
/// [`Error::Io`] where it cannot be opened; [`Error::Damaged`] where it is no Parquet file.
pub fn column_names(path: impl AsRef<Path>) -> Result<Vec<String>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(super::open(&path)?)
        .map_err(|error| Error::damaged(&path, error.to_string()))?;
    Ok(builder.parquet_schema().columns().iter().map(|column| column.path().string()).collect())
}

impl StringColumns {
    /// Opens a file for reading the columns `names`, in that order.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be opened; [`Error::Damaged`] where it is no Parquet file or lacks
    /// one of the columns.
    pub fn open(path: impl AsRef<Path>, names: &[&str]) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let file = super::open(&path)?;
        let damaged = |error: &dyn std::fmt::Display| {
            file.take_fault().unwrap_or_else(|| Error::damaged(&path, error.to_string()))
        };
        let read = file.try_clone().map_err(Error::io("open", &path))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(read).map_err(|error| damaged(&error))?;
        let metadata = std::sync::Arc::clone(builder.metadata());
        let schema = builder.parquet_schema();
        for name in names {
            if !schema.columns().iter().any(|column| column.path().string() == *name) {
                return Err(damaged(&format!("it has no column `{name}`")));
            }
        }
        let mask = ProjectionMask::columns(schema, names.iter().copied());
        let mut plain_bytes = 0;
        for group in metadata.row_groups() {
            for column in group.columns() {
                if names.contains(&column.column_path().string().as_str()) {
                    plain_bytes += u64::try_from(column.uncompressed_size()).unwrap_or(0);
                }
            }
        }
        let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        let batches = builder
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|error| damaged(&error))?;
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Ok(Self { path, file, names, batches, rows, plain_bytes })
    }

    /// The next rows, or `None` at the end.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the file cannot be decoded or a column holds no strings.
    #[expect(clippy::should_implement_trait, reason = "fallible, and named like the record streams")]
    pub fn next(&mut self) -> Result<Option<StringBatch>> {
        let Some(batch) = self.batches.next() else { return Ok(None) };
        let fault = |error: &dyn std::fmt::Display| {
            self.file.take_fault().unwrap_or_else(|| Error::damaged(&self.path, error.to_string()))
        };
        let batch = batch.map_err(|error| fault(&error))?;
        let mut columns = Vec::with_capacity(self.names.len());
        for name in &self.names {
            let array = batch.column_by_name(name).and_then(Strings::new).ok_or_else(|| {
                Error::damaged(&self.path, format!("column `{name}` does not hold strings"))
            })?;
            columns.push(array);
        }
        Ok(Some(StringBatch { columns, rows: batch.num_rows() }))
    }
}

/// Some rows of the columns that were asked for.
pub struct StringBatch {
    columns: Vec<Strings>,
    /// Number of rows.
    pub rows: usize,
}

impl StringBatch {
    /// The value of one column (by its place in the list given to [`StringColumns::open`]) in one row;
    /// a null is the empty string.
    ///
    /// # Panics
    /// Where the column or the row is out of range.
    #[must_use]
    pub fn get(&self, column: usize, row: usize) -> &str {
        match &self.columns[column] {
            Strings::Small(array) if !array.is_null(row) => array.value(row),
            Strings::Large(array) if !array.is_null(row) => array.value(row),
            Strings::View(array) if !array.is_null(row) => array.value(row),
            _ => "",
        }
    }
}

/// The Arrow types that writers use for strings.
enum Strings {
    Small(StringArray),
    Large(LargeStringArray),
    View(StringViewArray),
}

impl Strings {
    fn new(array: &ArrayRef) -> Option<Self> {
        if let Some(array) = array.as_string_opt::<i32>() {
            return Some(Self::Small(array.clone()));
        }
        if let Some(array) = array.as_string_opt::<i64>() {
            return Some(Self::Large(array.clone()));
        }
        array.as_string_view_opt().map(|array| Self::View(array.clone()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use arrow_array::RecordBatch;
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::io::AtomicFile;

    /// Writes `(id, text)` rows the way the corpus has them, with a column in between.
    pub(crate) fn write_corpus(path: &Path, rows: &[(String, String)]) {
        let ids = StringArray::from_iter_values(rows.iter().map(|row| &row.0));
        let urls: StringArray = rows.iter().map(|_| None::<&str>).collect();
        let texts = StringArray::from_iter_values(rows.iter().map(|row| &row.1));
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("id", Arc::new(ids) as ArrayRef, false),
            ("url", Arc::new(urls) as ArrayRef, true),
            ("text", Arc::new(texts) as ArrayRef, false),
        ])
        .unwrap();
        let mut writer =
            ArrowWriter::try_new(AtomicFile::create(path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap().commit().unwrap();
    }

    #[test]
    fn reads_columns_in_the_order_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        let rows: Vec<_> = (0..300).map(|n| (format!("id{n}"), format!("text {n} \u{e9}"))).collect();
        write_corpus(&path, &rows);
        let mut columns = StringColumns::open(&path, &["text", "id"]).unwrap();
        assert_eq!(columns.rows, 300);
        assert!(columns.plain_bytes > 3000);
        let mut read = Vec::new();
        while let Some(batch) = columns.next().unwrap() {
            for row in 0..batch.rows {
                read.push((batch.get(1, row).to_owned(), batch.get(0, row).to_owned()));
            }
        }
        assert_eq!(read, rows);
        let mut nulls = StringColumns::open(&path, &["url"]).unwrap();
        assert_eq!(nulls.next().unwrap().unwrap().get(0, 0), "");
        let missing = StringColumns::open(&path, &["language"]).err().unwrap().to_string();
        assert!(missing.contains("it has no column `language`"), "{missing}");
    }
}
