//! `cuts/*.parquet`: the pieces that dedup stages took out of texts, and where the first copy of each is.
//!
//! Columns: `id` (string, the document), `stage` (string), `start` and `end` (int64, bytes of the text as it came to the
//! stage), `first_id` (string, the document with the first copy; the same one where a text repeats itself, or where
//! all copies go), `text` (string, nullable: the piece, where the run keeps the texts of rejects).

use std::path::Path;

use super::table::{Cell, Column, Table, Type};
use crate::error::Result;
use crate::stage::Cut;

/// Writes one part of the cuts.
pub struct CutsWriter {
    table: Table,
}

impl CutsWriter {
    /// Starts a part.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where the folder is not writable.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let columns = [
            Column::required("id", Type::Key),
            Column::required("stage", Type::Text),
            Column::required("start", Type::Integer),
            Column::required("end", Type::Integer),
            Column::required("first_id", Type::Key),
            Column::nullable("text", Type::Body),
        ];
        Ok(Self { table: Table::create(path, &columns)? })
    }

    /// Appends a piece that was taken out of the document `id`.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where it cannot be written.
    pub fn write(&mut self, id: &str, stage: &str, cut: &Cut, text: Option<&str>) -> Result<()> {
        self.table.row(&[
            Cell::Text(id),
            Cell::Text(stage),
            Cell::count(cut.range.start as u64)?,
            Cell::count(cut.range.end as u64)?,
            Cell::Text(&cut.first_id),
            Cell::text(text),
        ])
    }

    /// Makes the part visible; one without rows leaves no file.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where it cannot be written.
    pub fn finish(self) -> Result<()> {
        self.table.finish()
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.table.rows()
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

    use super::*;

    #[test]
    fn cuts_read_back_and_none_leave_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("part.parquet");
        CutsWriter::create(&path).unwrap().finish().unwrap();
        assert!(!path.exists());
        let mut writer = CutsWriter::create(&path).unwrap();
        let cut = Cut { range: 3..9, first_id: "first".into() };
        writer.write("page", "line_dedup", &cut, Some("repeat")).unwrap();
        writer.write("page", "line_dedup", &cut, None).unwrap();
        assert_eq!(writer.rows(), 2);
        writer.finish().unwrap();
        let mut batches = ParquetRecordBatchReader::try_new(crate::io::open(&path).unwrap(), 10).unwrap();
        let batch = batches.next().unwrap().unwrap();
        for (column, wanted) in [(0, "page"), (1, "line_dedup"), (4, "first")] {
            assert_eq!(batch.column(column).as_string::<i32>().value(0), wanted);
        }
        for (column, wanted) in [(2, 3), (3, 9)] {
            assert_eq!(batch.column(column).as_primitive::<Int64Type>().value(1), wanted);
        }
        let texts: Vec<Option<&str>> = batch.column(5).as_string::<i32>().iter().collect();
        assert_eq!(texts, [Some("repeat"), None]);
    }
}
