//! Rows of `corpus/` and `rejects/` as documents.

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use serde_json::{Map, Value};

use crate::document::{Document, Ordinal};
use crate::error::{Error, Result};
use crate::pipeline::{Plan, Refilter};
use crate::report::rows::{RowTable, text_at, texts};
use crate::stage::FieldType;

/// What a column holds.
enum Role {
    /// One of the columns that every corpus has.
    Own,
    Score,
    /// Verdicts of that stage.
    Verdict(String),
    /// A passed-through field of that name.
    Field(String, FieldType),
}

/// The columns of a corpus that are read.
pub(super) struct CorpusColumns(Vec<(String, Role)>);

impl CorpusColumns {
    /// What the filters need to decide: no text, and the scores of filters with changed options only.
    pub(super) fn needed(plan: &Plan, filters: &[Refilter]) -> Self {
        let changed =
            |score: &str| filters.iter().any(|filter| filter.stage.is_some() && is_of(score, &filter.id));
        let own = ["id", "url", "source", "language", "language_score"];
        let any = filters.iter().any(|filter| filter.stage.is_some());
        Self::new(plan, &own, changed, any)
    }

    /// Everything that a document has but passed-through fields.
    pub(super) fn all(plan: &Plan) -> Self {
        let own =
            ["id", "url", "source", "language", "language_score", "text", "date", "file", "record", "offset"];
        Self::new(plan, &own, |_| true, false)
    }

    fn new(plan: &Plan, own: &[&str], wants_score: impl Fn(&str) -> bool, fields: bool) -> Self {
        let mut columns: Vec<(String, Role)> =
            own.iter().map(|name| ((*name).to_owned(), Role::Own)).collect();
        let scores = plan.corpus.scores.iter().filter(|score| wants_score(score));
        columns.extend(scores.map(|score| (score.clone(), Role::Score)));
        let verdict = |stage: &String| (format!("{stage}.verdict"), Role::Verdict(stage.clone()));
        columns.extend(plan.corpus.verdicts.iter().map(verdict));
        if fields {
            let field = |(name, column, kind)| (column, Role::Field(name, kind));
            columns.extend(plan.corpus.field_columns().into_iter().map(field));
        }
        Self(columns)
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The columns of a batch; it may have others, too.
    pub(super) fn rows<'b>(&'b self, batch: &'b RecordBatch, path: &Path) -> Result<CorpusRows<'b>> {
        let column = |(name, role): &'b (String, Role)| {
            let array = batch
                .column_by_name(name)
                .ok_or_else(|| Error::damaged(path, format!("it has no column `{name}`")))?;
            Ok((name.as_str(), role, array))
        };
        self.0.iter().map(column).collect::<Result<_>>().map(CorpusRows)
    }
}

/// Whether a score is of that stage.
pub(super) fn is_of(score: &str, stage: &str) -> bool {
    score.strip_prefix(stage).is_some_and(|rest| rest.starts_with('.'))
}

/// Some rows of a corpus.
pub(super) struct CorpusRows<'b>(Vec<(&'b str, &'b Role, &'b ArrayRef)>);

impl CorpusRows<'_> {
    /// The document in that row, as far as its columns were read.
    pub(super) fn document(&self, row: usize) -> Document {
        let mut doc = blank();
        for (name, role, array) in &self.0 {
            match role {
                Role::Own => set_own(&mut doc, name, array, row),
                Role::Score => {
                    if let Some(value) = float(array, row) {
                        doc.scores.push(((*name).to_owned(), value));
                    }
                }
                Role::Verdict(stage) => {
                    if let Some(reason) = string(array, row) {
                        doc.verdicts.push((stage.clone(), reason.to_owned()));
                    }
                }
                Role::Field(field, kind) => {
                    if let Some(value) = value(array, row, *kind) {
                        doc.fields.insert(field.clone(), value);
                    }
                }
            }
        }
        doc
    }
}

fn blank() -> Document {
    Document::new(Ordinal { split: 0, record: 0 }, String::new(), String::new())
}

fn set_own(doc: &mut Document, name: &str, array: &ArrayRef, row: usize) {
    let owned = || string(array, row).map(str::to_owned);
    let whole = || integer(array, row).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    match name {
        "id" => doc.id = owned().unwrap_or_default(),
        "text" => doc.text = owned().unwrap_or_default(),
        "url" => doc.url = owned(),
        "date" => doc.date = owned(),
        "source" => doc.source = Arc::from(string(array, row).unwrap_or_default()),
        "file" => doc.file = Arc::from(string(array, row).unwrap_or_default()),
        "record" => doc.ordinal.record = whole(),
        "offset" => doc.offset = whole(),
        "language" => doc.language = owned(),
        "language_score" => doc.language_score = float(array, row),
        _ => {}
    }
}

fn string(array: &ArrayRef, row: usize) -> Option<&str> {
    array.as_string_opt::<i32>().filter(|column| column.is_valid(row)).map(|column| column.value(row))
}

fn float(array: &ArrayRef, row: usize) -> Option<f64> {
    array
        .as_primitive_opt::<Float64Type>()
        .filter(|column| column.is_valid(row))
        .map(|column| column.value(row))
}

fn integer(array: &ArrayRef, row: usize) -> Option<i64> {
    array
        .as_primitive_opt::<Int64Type>()
        .filter(|column| column.is_valid(row))
        .map(|column| column.value(row))
}

fn value(array: &ArrayRef, row: usize, kind: FieldType) -> Option<Value> {
    match (kind, array.data_type()) {
        (FieldType::Json, DataType::Utf8) => serde_json::from_str(string(array, row)?).ok(),
        (_, DataType::Utf8) => string(array, row).map(Value::from),
        (_, DataType::Int64) => integer(array, row).map(Value::from),
        (_, DataType::Float64) => float(array, row).map(Value::from),
        (_, DataType::Boolean) if array.is_valid(row) => Some(Value::from(array.as_boolean().value(row))),
        _ => None,
    }
}

/// Calls `take` with every document of a table of rejects that a wanted stage dropped (with that as its
/// only verdict), and that stage.
pub(super) fn each_reject(
    path: &Path,
    wanted: impl Fn(&str) -> bool,
    mut take: impl FnMut(&str, &Document) -> Result<()>,
) -> Result<()> {
    let own = ["id", "url", "source", "language", "language_score"];
    let mut names = own.to_vec();
    names.extend(["stage", "reason", "scores"]);
    for batch in RowTable::open(path)?.scan(&names)? {
        let (_, batch) = batch?;
        let (stages, reasons) = (texts(&batch, "stage", path)?, texts(&batch, "reason", path)?);
        let scores = texts(&batch, "scores", path)?;
        for row in (0..batch.num_rows()).filter(|&row| wanted(stages.value(row))) {
            let mut doc = blank();
            doc.verdicts.push((stages.value(row).to_owned(), reasons.value(row).to_owned()));
            for name in own {
                if let Some(array) = batch.column_by_name(name) {
                    set_own(&mut doc, name, array, row);
                }
            }
            let measured: Map<String, Value> = match text_at(scores, row) {
                Some(json) => serde_json::from_str(json)
                    .map_err(|error| Error::damaged(path, format!("`scores` is no JSON object: {error}")))?,
                None => Map::new(),
            };
            doc.scores.extend(measured.into_iter().filter_map(|(name, value)| Some((name, value.as_f64()?))));
            take(stages.value(row), &doc)?;
        }
    }
    Ok(())
}
