//! `hits/*.parquet`: what stages found in documents of texts that they look for, evaluation sets above all.
//!
//! Columns: `id` (string, the document), `url` (string, nullable), `stage`, `set` (strings), `example` (int64, its number in the set, from
//! 1), `example_id` (string, nullable: its name), `field` (string), `ngrams` and `all_ngrams` (int64: different n-grams of the
//! field in the document, and in all), `overlap_ratio` (double, the one divided by the other), `start` and `end` (int64, the longest
//! common stretch in bytes of the text as it came to the stage), `before`, `text` and `after` (strings, nullable: that stretch or its
//! beginning, and what stands around it, where the run keeps the texts of rejects). The rows of a document stand together.

use std::path::Path;

use super::table::{Cell, Column, Table, Type};
use crate::document::Document;
use crate::error::Result;
use crate::stage::Hit;

/// Writes one part of the hits.
pub struct HitsWriter {
    table: Table,
    keep_text: bool,
}

impl HitsWriter {
    /// Starts a part. `keep_text`: whether the texts around hits are written.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where the folder is not writable.
    pub fn create(path: impl AsRef<Path>, keep_text: bool) -> Result<Self> {
        let columns = [
            Column::required("id", Type::Key),
            Column::nullable("url", Type::Key),
            Column::required("stage", Type::Text),
            Column::required("set", Type::Text),
            Column::required("example", Type::Integer),
            Column::nullable("example_id", Type::Key),
            Column::required("field", Type::Text),
            Column::required("ngrams", Type::Integer),
            Column::required("all_ngrams", Type::Integer),
            Column::required("overlap_ratio", Type::Float),
            Column::required("start", Type::Integer),
            Column::required("end", Type::Integer),
            Column::nullable("before", Type::Body),
            Column::nullable("text", Type::Body),
            Column::nullable("after", Type::Body),
        ];
        Ok(Self { table: Table::create(path, &columns)?, keep_text })
    }

    /// Appends what `stage` found in a document.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where it cannot be written.
    pub fn write(&mut self, doc: &Document, stage: &str, hit: &Hit) -> Result<()> {
        let ratio = hit.ngrams as f64 / hit.all_ngrams.max(1) as f64;
        let text = |place: usize| Cell::text(self.keep_text.then(|| hit.context[place].as_str()));
        let cells = [
            Cell::Text(&doc.id),
            Cell::text(doc.url.as_deref()),
            Cell::Text(stage),
            Cell::Text(&hit.set),
            Cell::count(hit.example)?,
            Cell::text(hit.example_id.as_deref()),
            Cell::Text(&hit.field),
            Cell::count(hit.ngrams)?,
            Cell::count(hit.all_ngrams)?,
            Cell::Float(ratio),
            Cell::count(hit.range.start as u64)?,
            Cell::count(hit.range.end as u64)?,
            text(0),
            text(1),
            text(2),
        ];
        self.table.row(&cells)
    }

    /// Makes the part visible; one without rows leaves no file.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where it cannot be written.
    pub fn finish(self) -> Result<()> {
        self.table.finish()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

    use super::*;
    use crate::document::Ordinal;

    /// A hit of three of four n-grams.
    pub(crate) fn hit(set: &str, example: u64) -> Hit {
        Hit {
            set: set.into(),
            example,
            example_id: Some(format!("{set}/{example}")),
            field: "question".into(),
            ngrams: 3,
            all_ngrams: 4,
            range: 5..9,
            context: ["left ".to_owned(), "text".to_owned(), " right".to_owned()],
        }
    }

    #[test]
    fn hits_read_back_and_none_leave_no_file() {
        let dir = tempfile::tempdir().unwrap();
        for keep_text in [true, false] {
            let path = dir.path().join(format!("{keep_text}.parquet"));
            HitsWriter::create(&path, keep_text).unwrap().finish().unwrap();
            assert!(!path.exists());
            let mut writer = HitsWriter::create(&path, keep_text).unwrap();
            let doc = Document::new(Ordinal { split: 0, record: 0 }, "page".to_owned(), String::new());
            writer.write(&doc, "decontaminate", &hit("sums", 7)).unwrap();
            writer.finish().unwrap();
            let mut batches = ParquetRecordBatchReader::try_new(crate::io::open(&path).unwrap(), 10).unwrap();
            let batch = batches.next().unwrap().unwrap();
            let column = |name: &str| batch.column_by_name(name).unwrap();
            for (name, wanted) in [("id", "page"), ("set", "sums"), ("example_id", "sums/7")] {
                assert_eq!(column(name).as_string::<i32>().value(0), wanted);
            }
            for (name, wanted) in [("example", 7), ("ngrams", 3), ("start", 5), ("end", 9)] {
                assert_eq!(column(name).as_primitive::<Int64Type>().value(0), wanted);
            }
            assert!((column("overlap_ratio").as_primitive::<Float64Type>().value(0) - 0.75).abs() < 1e-12);
            assert_eq!(column("after").is_null(0), !keep_text);
            assert!(column("url").is_null(0));
        }
    }
}
