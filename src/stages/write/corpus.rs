//! `corpus/*.parquet`: the documents that were kept, with where each came from and what was measured.
//!
//! Columns, in this order:
//!
//! | column | type | |
//! |---|---|---|
//! | `id` | string | the input's own id, or 32 hex digits |
//! | `text` | string | |
//! | `url`, `date` | string, nullable | |
//! | `source`, `file` | string | name of the input, path of the input file |
//! | `record` | int64 | number of the record in its file, from 0 |
//! | `offset` | int64 | bytes; Parquet inputs: the row number |
//! | `language` | string, nullable | |
//! | `language_score` | double, nullable | |
//! | `<stage>.<score>` | double, nullable | one per score of [`CorpusSchema::scores`] |
//! | `<stage>.verdict` | string, nullable | one per stage in `annotate` mode: the reason for which it would have dropped the page |
//! | passed-through fields | by [`FieldType`], nullable | a name that is already taken gets `_field` at its end, as often as needed |
//! | `extra` | string, nullable | one JSON object: fields and scores that the schema does not have, values that do not fit their column |

use std::collections::HashMap;
use std::path::Path;

use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::table::{Cell, Column, Table, Type};
use crate::document::Document;
use crate::error::{Error, Result};
use crate::stage::FieldType;

/// Largest integer up to which every integer is a 64-bit float.
const MAX_EXACT_FLOAT: u64 = 1 << 53;

/// The columns of a run's corpus that depend on its pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorpusSchema {
    /// Scores by full name, `stage.score`.
    pub scores: Vec<String>,
    /// Passed-through fields and their types.
    pub fields: Vec<(String, FieldType)>,
    /// Names of the stages that run in `annotate` mode; each gets the column `<stage>.verdict`.
    pub verdicts: Vec<String>,
}

impl CorpusSchema {
    /// Passed-through fields with the names of their columns.
    #[must_use]
    pub fn field_columns(&self) -> Vec<(String, String, FieldType)> {
        let layout = Layout::new(self);
        let column = |(name, kind): &(String, FieldType)| {
            Some((name.clone(), layout.columns[layout.fields.get(name)?.0].name.clone(), *kind))
        };
        self.fields.iter().filter_map(column).collect()
    }

    /// Adds the fields of another input. A field that both have keeps one column: of the same type where
    /// they agree, `number` for integers and numbers, else `json`.
    pub fn add_fields(&mut self, fields: &[(String, FieldType)]) {
        for (name, theirs) in fields {
            match self.fields.iter_mut().find(|(mine, _)| mine == name) {
                None => self.fields.push((name.clone(), *theirs)),
                Some((_, mine)) if mine == theirs => {}
                Some((_, mine)) => {
                    let numeric = |kind: FieldType| matches!(kind, FieldType::Integer | FieldType::Number);
                    let both = numeric(*mine) && numeric(*theirs);
                    *mine = if both { FieldType::Number } else { FieldType::Json };
                }
            }
        }
    }
}

/// The columns, and where each score, verdict and field stands.
struct Layout {
    columns: Vec<Column>,
    scores: HashMap<String, usize>,
    verdicts: HashMap<String, usize>,
    fields: HashMap<String, (usize, FieldType)>,
}

impl Layout {
    fn new(schema: &CorpusSchema) -> Self {
        let mut columns = vec![Column::required("id", Type::Key), Column::required("text", Type::Body)];
        columns.extend(origin_columns());
        let mut scores = HashMap::new();
        for name in &schema.scores {
            if !scores.contains_key(name) {
                scores.insert(name.clone(), columns.len());
                columns.push(Column::nullable(free_name(&columns, name), Type::Float));
            }
        }
        let mut verdicts = HashMap::new();
        for stage in &schema.verdicts {
            if !verdicts.contains_key(stage) {
                verdicts.insert(stage.clone(), columns.len());
                columns.push(Column::nullable(free_name(&columns, &format!("{stage}.verdict")), Type::Text));
            }
        }
        let mut fields = HashMap::new();
        for (name, kind) in &schema.fields {
            if !fields.contains_key(name) {
                fields.insert(name.clone(), (columns.len(), *kind));
                let column_type = match kind {
                    FieldType::String | FieldType::Json => Type::Text,
                    FieldType::Integer => Type::Integer,
                    FieldType::Number => Type::Float,
                    FieldType::Boolean => Type::Boolean,
                };
                columns.push(Column::nullable(free_name(&columns, name), column_type));
            }
        }
        columns.push(Column::nullable("extra", Type::Body));
        Self { columns, scores, verdicts, fields }
    }
}

/// Writes one part of the corpus.
pub struct CorpusWriter {
    table: Table,
    scores: HashMap<String, usize>,
    verdicts: HashMap<String, usize>,
    fields: HashMap<String, (usize, FieldType)>,
    columns: usize,
}

impl CorpusWriter {
    /// Starts a part.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder is not writable.
    pub fn create(path: impl AsRef<Path>, schema: &CorpusSchema) -> Result<Self> {
        let Layout { columns, scores, verdicts, fields } = Layout::new(schema);
        let table = Table::create(path, &columns)?;
        Ok(Self { table, scores, verdicts, fields, columns: columns.len() })
    }

    /// Appends a row that was read from the corpus of a run with the same schema, all columns in order, with
    /// the verdicts of these stages (reason or none) in place of its own.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written, [`Error::Failed`] where the row has other columns.
    pub fn copy(&mut self, batch: &RecordBatch, row: usize, verdicts: &[(&str, Option<&str>)]) -> Result<()> {
        let changed: Vec<(usize, Cell)> = verdicts
            .iter()
            .filter_map(|(stage, reason)| Some((*self.verdicts.get(*stage)?, Cell::text(*reason))))
            .collect();
        self.table.copy_row(batch, row, &changed)
    }

    /// Appends a document.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn write(&mut self, doc: &Document) -> Result<()> {
        let mut cells = Vec::with_capacity(self.columns);
        cells.extend([Cell::Text(&doc.id), Cell::Text(&doc.text)]);
        cells.extend(origin_cells(doc)?);
        cells.resize(self.columns, Cell::Null);
        let mut extra = Map::new();
        for (name, value) in &doc.scores {
            match self.scores.get(name) {
                Some(&column) => cells[column] = Cell::Float(*value),
                None => drop(extra.insert(name.clone(), Value::from(*value))),
            }
        }
        for (stage, reason) in &doc.verdicts {
            match self.verdicts.get(stage) {
                Some(&column) => cells[column] = Cell::Text(reason),
                None => drop(extra.insert(format!("{stage}.verdict"), Value::from(reason.as_str()))),
            }
        }
        let mut json = Vec::new();
        for (name, value) in &doc.fields {
            if value.is_null() {
                continue;
            }
            match self.fields.get(name) {
                Some(&(column, FieldType::Json)) => json.push((column, value.to_string())),
                Some(&(column, kind)) => match fit(value, kind) {
                    Some(cell) => cells[column] = cell,
                    None => drop(extra.insert(name.clone(), value.clone())),
                },
                None => drop(extra.insert(name.clone(), value.clone())),
            }
        }
        for (column, text) in &json {
            cells[*column] = Cell::Text(text);
        }
        let extra = if extra.is_empty() {
            None
        } else {
            Some(serde_json::to_string(&extra).map_err(|error| Error::Failed(error.to_string()))?)
        };
        cells[self.columns - 1] = Cell::text(extra.as_deref());
        self.table.row(&cells)
    }

    /// Makes the part visible; one without rows leaves no file.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn finish(self) -> Result<()> {
        self.table.finish()
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.table.rows()
    }
}

/// A column name that is not taken yet, nor equal to `extra`.
fn free_name(columns: &[Column], wish: &str) -> String {
    let mut name = wish.to_owned();
    while name == "extra" || columns.iter().any(|column| column.name == name) {
        name.push_str("_field");
    }
    name
}

/// The value as a cell of a typed column, if nothing of it is lost.
fn fit(value: &Value, kind: FieldType) -> Option<Cell<'_>> {
    match (kind, value) {
        (FieldType::String, Value::String(text)) => Some(Cell::Text(text)),
        (FieldType::Boolean, Value::Bool(value)) => Some(Cell::Boolean(*value)),
        (FieldType::Integer, Value::Number(number)) => number.as_i64().map(Cell::Integer),
        (FieldType::Number, Value::Number(number)) => {
            let exact = number.as_i64().is_none_or(|n| n.unsigned_abs() <= MAX_EXACT_FLOAT)
                && number.as_u64().is_none_or(|n| n <= MAX_EXACT_FLOAT);
            if exact { number.as_f64().map(Cell::Float) } else { None }
        }
        _ => None,
    }
}

/// Where a document comes from and its language: the columns that corpus and rejects share after the id.
pub(super) fn origin_columns() -> [Column; 8] {
    [
        Column::nullable("url", Type::Key),
        Column::nullable("date", Type::Text),
        Column::required("source", Type::Text),
        Column::required("file", Type::Text),
        Column::required("record", Type::Integer),
        Column::required("offset", Type::Integer),
        Column::nullable("language", Type::Text),
        Column::nullable("language_score", Type::Float),
    ]
}

/// The values of [`origin_columns`].
pub(super) fn origin_cells(doc: &Document) -> Result<[Cell<'_>; 8]> {
    Ok([
        Cell::text(doc.url.as_deref()),
        Cell::text(doc.date.as_deref()),
        Cell::Text(&doc.source),
        Cell::Text(&doc.file),
        Cell::count(doc.ordinal.record)?,
        Cell::count(doc.offset)?,
        Cell::text(doc.language.as_deref()),
        Cell::float(doc.language_score),
    ])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type};
    use serde_json::json;

    use super::*;
    use crate::document::Ordinal;

    fn read(path: &Path) -> Vec<RecordBatch> {
        parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(
            crate::io::open(path).unwrap(),
            1 << 20,
        )
        .unwrap()
        .map(Result::unwrap)
        .collect()
    }

    fn schema() -> CorpusSchema {
        CorpusSchema {
            scores: vec!["gopher_quality.words".to_owned(), "url.length".to_owned()],
            fields: vec![
                ("title".to_owned(), FieldType::String),
                ("likes".to_owned(), FieldType::Integer),
                ("text".to_owned(), FieldType::String),
                ("weight".to_owned(), FieldType::Number),
                ("live".to_owned(), FieldType::Boolean),
                ("tags".to_owned(), FieldType::Json),
            ],
            verdicts: vec!["c4_quality".to_owned()],
        }
    }

    fn document(record: u64) -> Document {
        let ordinal = Ordinal { split: 0, record };
        let mut doc = Document::new(ordinal, format!("id-{record}"), format!("Text {record} über 北京\n"));
        doc.url = Some(format!("https://example.org/{record}"));
        doc.source = Arc::from("crawl");
        doc.file = Arc::from("a.warc.gz");
        doc.offset = record * 1000;
        doc
    }

    #[test]
    fn every_column_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("corpus/part.parquet");
        let mut writer = CorpusWriter::create(&path, &schema()).unwrap();
        let mut doc = document(7);
        doc.language = Some("de".to_owned());
        doc.language_score = Some(0.5);
        doc.scores = vec![("url.length".to_owned(), 3.0), ("other.score".to_owned(), 1.5)];
        doc.verdicts = vec![("c4_quality".to_owned(), "too_few_sentences".to_owned())];
        doc.fields = json!({
            "title": "T", "likes": 3, "text": "theirs", "weight": 2, "live": true, "tags": ["a", 1], "more": {"x": null}
        })
        .as_object()
        .unwrap()
        .clone();
        writer.write(&doc).unwrap();
        let mut odd = document(8);
        odd.url = None;
        odd.fields =
            json!({ "title": 4, "likes": 1.5, "weight": 9_007_199_254_740_993_u64, "live": "yes", "tags": null })
                .as_object()
                .unwrap()
                .clone();
        writer.write(&odd).unwrap();
        assert_eq!(writer.rows(), 2);
        writer.finish().unwrap();

        let batch = &read(&path)[0];
        let names: Vec<_> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(
            names.join(" "),
            "id text url date source file record offset language language_score gopher_quality.words url.length \
             c4_quality.verdict title likes text_field weight live tags extra"
        );
        let text = |name: &str, row: usize| {
            let column = batch.column_by_name(name).unwrap().as_string::<i32>();
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        let float = |name: &str, row: usize| {
            let column = batch.column_by_name(name).unwrap().as_primitive::<Float64Type>();
            column.is_valid(row).then(|| column.value(row))
        };
        assert_eq!(text("text", 0).unwrap(), "Text 7 über 北京\n");
        assert_eq!(text("url", 1), None);
        assert_eq!(batch.column_by_name("offset").unwrap().as_primitive::<Int64Type>().value(0), 7000);
        assert_eq!(batch.column_by_name("record").unwrap().as_primitive::<Int64Type>().value(1), 8);
        assert_eq!((float("language_score", 0), float("language_score", 1)), (Some(0.5), None));
        assert_eq!((float("url.length", 0), float("gopher_quality.words", 0)), (Some(3.0), None));
        assert_eq!(text("c4_quality.verdict", 0).unwrap(), "too_few_sentences");
        assert_eq!(text("text_field", 0).unwrap(), "theirs");
        assert_eq!(float("weight", 0), Some(2.0));
        assert_eq!(text("tags", 0).unwrap(), r#"["a",1]"#);
        assert_eq!(text("extra", 0).unwrap(), r#"{"other.score":1.5,"more":{"x":null}}"#);
        assert_eq!(
            text("extra", 1).unwrap(),
            r#"{"title":4,"likes":1.5,"weight":9007199254740993,"live":"yes"}"#
        );
    }

    #[test]
    fn same_rows_same_bytes_and_nothing_for_no_rows() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = Vec::new();
        for name in ["a.parquet", "b.parquet"] {
            let path = dir.path().join(name);
            let mut writer = CorpusWriter::create(&path, &schema()).unwrap();
            for record in 0..3000 {
                writer.write(&document(record)).unwrap();
            }
            assert!(!path.exists());
            writer.finish().unwrap();
            bytes.push(std::fs::read(path).unwrap());
        }
        assert!(bytes[0] == bytes[1]);
        CorpusWriter::create(dir.path().join("c.parquet"), &schema()).unwrap().finish().unwrap();
        assert_eq!(crate::io::list(dir.path(), "").unwrap().len(), 2);
    }

    #[test]
    fn long_texts_end_a_row_group() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long.parquet");
        let mut writer = CorpusWriter::create(&path, &CorpusSchema::default()).unwrap();
        let mut doc = document(0);
        doc.text = "langer Text ".repeat(500_000);
        for record in 0..12 {
            doc.ordinal.record = record;
            writer.write(&doc).unwrap();
        }
        writer.finish().unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(
            crate::io::open(&path).unwrap(),
        );
        assert_eq!(reader.unwrap().metadata().num_row_groups(), 3);
        assert_eq!(read(&path).iter().map(RecordBatch::num_rows).sum::<usize>(), 12);
    }

    #[test]
    fn fields_of_several_inputs_share_columns() {
        use FieldType::{Boolean, Integer, Json, Number, String};

        let mut schema = schema();
        schema.add_fields(&[
            ("likes".to_owned(), FieldType::Number),
            ("title".to_owned(), FieldType::String),
            ("live".to_owned(), FieldType::String),
            ("new".to_owned(), FieldType::Integer),
        ]);
        let kinds: Vec<_> = schema.fields.iter().map(|(_, kind)| *kind).collect();
        assert_ne!(kinds[4], Boolean);
        assert_eq!(kinds, [String, Number, String, Number, Json, Json, Integer]);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
        #[test]
        fn any_text_reads_back(
            text in proptest::prelude::any::<String>(),
            url in proptest::prelude::any::<Option<String>>(),
            field in proptest::prelude::any::<(String, String)>(),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("part.parquet");
            let mut doc = document(0);
            doc.text.clone_from(&text);
            doc.url.clone_from(&url);
            doc.fields.insert(field.0.clone(), Value::from(field.1.clone()));
            let schema = CorpusSchema { fields: vec![(field.0, FieldType::String)], ..CorpusSchema::default() };
            let mut writer = CorpusWriter::create(&path, &schema).unwrap();
            writer.write(&doc).unwrap();
            writer.finish().unwrap();
            let batch = &read(&path)[0];
            let column = |number: usize| batch.column(number).as_string::<i32>();
            assert_eq!(column(1).value(0), text);
            assert_eq!(column(2).is_valid(0).then(|| column(2).value(0).to_owned()), url);
            assert_eq!(column(10).value(0), field.1);
        }
    }
}
