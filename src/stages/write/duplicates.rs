//! `duplicates/*.parquet`: the documents that dedup stages removed, and which one stayed instead.
//!
//! Columns: `removed_id`, `kept_id` (strings), `similarity` (double, 0 to 1), `cluster` (string, equal for
//! all members of a cluster), `stage` (string).

use std::path::Path;

use super::table::{Cell, Column, Table, Type};
use crate::error::Result;

/// Writes one part of the duplicates.
pub struct DuplicatesWriter {
    table: Table,
}

impl DuplicatesWriter {
    /// Starts a part.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where the folder is not writable.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let columns = [
            Column::required("removed_id", Type::Key),
            Column::required("kept_id", Type::Key),
            Column::required("similarity", Type::Float),
            Column::required("cluster", Type::Text),
            Column::required("stage", Type::Text),
        ];
        Ok(Self { table: Table::create(path, &columns)? })
    }

    /// Appends a removed document.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where it cannot be written.
    pub fn write(
        &mut self,
        removed_id: &str,
        kept_id: &str,
        similarity: f64,
        cluster: &str,
        stage: &str,
    ) -> Result<()> {
        self.table.row(&[
            Cell::Text(removed_id),
            Cell::Text(kept_id),
            Cell::Float(similarity),
            Cell::Text(cluster),
            Cell::Text(stage),
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
    use arrow_array::RecordBatch;
    use arrow_array::cast::AsArray;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

    use super::*;

    #[test]
    fn many_row_groups_read_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("part.parquet");
        let mut writer = DuplicatesWriter::create(&path).unwrap();
        for number in 0..40_000 {
            writer.write(&format!("r{number}"), "k", 0.75, "c", "minhash_dedup").unwrap();
        }
        writer.finish().unwrap();
        let batches: Vec<RecordBatch> =
            ParquetRecordBatchReader::try_new(crate::io::open(&path).unwrap(), 1000)
                .unwrap()
                .map(Result::unwrap)
                .collect();
        let ids = batches.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter());
        assert!(ids.enumerate().all(|(number, id)| id == Some(&format!("r{number}"))));
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 40_000);
    }
}
