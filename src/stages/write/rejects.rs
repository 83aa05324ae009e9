//! `rejects/*.parquet`: the documents that a stage dropped, and why.
//!
//! Columns: `id`, `url`, `date`, `source`, `file`, `record`, `offset`, `language`, `language_score` as in
//! the corpus; then `stage`, `reason` (strings), `value`, `limit` (doubles, nullable: what was measured and
//! the bound that it crossed), `detail` (string, nullable: the word or domain that was found), `scores` and
//! `verdicts` (JSON objects, nullable: what earlier stages measured, what stages in `annotate` mode would
//! have dropped it for), and `text` (string, nullable: the text as the dropping stage saw it; absent where
//! texts are not kept and where nothing was extracted yet).

use std::path::Path;

use serde_json::{Map, Value};

use super::corpus::{origin_cells, origin_columns};
use super::table::{Cell, Column, Table, Type};
use crate::document::{Document, Reason};
use crate::error::Result;

/// Writes one part of the rejects.
pub struct RejectsWriter {
    table: Table,
    keep_text: bool,
}

impl RejectsWriter {
    /// Starts a part. `keep_text` is what [`RejectsWriter::write`] does with texts.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where the folder is not writable.
    pub fn create(path: impl AsRef<Path>, keep_text: bool) -> Result<Self> {
        let mut columns = vec![Column::required("id", Type::Key)];
        columns.extend(origin_columns());
        columns.extend([
            Column::required("stage", Type::Text),
            Column::required("reason", Type::Text),
            Column::nullable("value", Type::Float),
            Column::nullable("limit", Type::Float),
            Column::nullable("detail", Type::Text),
            Column::nullable("scores", Type::Body),
            Column::nullable("verdicts", Type::Text),
            Column::nullable("text", Type::Body),
        ]);
        Ok(Self { table: Table::create(path, &columns)?, keep_text })
    }

    /// Appends a document that `stage` dropped.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where it cannot be written.
    pub fn write(&mut self, doc: &Document, stage: &str, reason: &Reason) -> Result<()> {
        self.write_with_text(doc, stage, reason, self.keep_text)
    }

    /// The same, deciding for this document whether its text is kept: for stages in `sample` mode.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where it cannot be written.
    pub fn write_with_text(
        &mut self,
        doc: &Document,
        stage: &str,
        reason: &Reason,
        with_text: bool,
    ) -> Result<()> {
        let scores = json_object(doc.scores.iter().map(|(name, value)| (name, Value::from(*value))));
        let verdicts =
            json_object(doc.verdicts.iter().map(|(stage, reason)| (stage, Value::from(reason.as_str()))));
        let extracted = doc.raw.is_none() || !doc.text.is_empty();
        let mut cells = vec![Cell::Text(&doc.id)];
        cells.extend(origin_cells(doc)?);
        cells.extend([
            Cell::Text(stage),
            Cell::Text(reason.name),
            Cell::float(reason.value),
            Cell::float(reason.limit),
            Cell::text(reason.detail.as_deref()),
            Cell::text(scores.as_deref()),
            Cell::text(verdicts.as_deref()),
            if with_text && extracted { Cell::Text(&doc.text) } else { Cell::Null },
        ]);
        self.table.row(&cells)
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

/// Pairs as JSON text, or nothing for no pairs.
fn json_object<'a>(pairs: impl Iterator<Item = (&'a String, Value)>) -> Option<String> {
    let object: Map<String, Value> = pairs.map(|(name, value)| (name.clone(), value)).collect();
    if object.is_empty() { None } else { Some(Value::Object(object).to_string()) }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float64Type;
    use arrow_array::{Array, RecordBatch};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

    use super::*;
    use crate::document::{Media, Ordinal, Raw};

    #[test]
    fn reasons_and_texts_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("part.parquet");
        let mut writer = RejectsWriter::create(&path, true).unwrap();
        let mut doc = Document::new(Ordinal { split: 1, record: 2 }, "a".to_owned(), "short".to_owned());
        doc.scores = vec![("q.words".to_owned(), 1.0)];
        writer.write(&doc, "q", &Reason::measured("too_few_words", 1.0, 50.0)).unwrap();
        writer.write_with_text(&doc, "words", &Reason::new("bad_word").detail("<b>"), false).unwrap();
        doc.text = String::new();
        doc.raw = Some(Raw { bytes: vec![1], media: Media::Html, charset: None });
        writer.write(&doc, "url", &Reason::new("listed_domain")).unwrap();
        writer.finish().unwrap();

        let batches: Vec<RecordBatch> =
            ParquetRecordBatchReader::try_new(crate::io::open(&path).unwrap(), 100)
                .unwrap()
                .map(Result::unwrap)
                .collect();
        let batch = &batches[0];
        let column = |name: &str| batch.column_by_name(name).unwrap();
        assert_eq!(batch.num_rows(), 3);
        assert_eq!(column("reason").as_string::<i32>().value(0), "too_few_words");
        assert_eq!(column("value").as_primitive::<Float64Type>().value(0).to_bits(), 1.0_f64.to_bits());
        assert_eq!(column("limit").as_primitive::<Float64Type>().value(0).to_bits(), 50.0_f64.to_bits());
        assert!(column("value").is_null(1));
        assert_eq!(column("detail").as_string::<i32>().value(1), "<b>");
        assert_eq!(column("scores").as_string::<i32>().value(0), r#"{"q.words":1.0}"#);
        assert!(column("verdicts").is_null(0));
        assert_eq!(column("text").as_string::<i32>().value(0), "short");
        assert!(column("text").is_null(1) && column("text").is_null(2));
    }
}
