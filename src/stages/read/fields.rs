//! A JSON object or a table row as a document: which keys are text, id, address and date, and what passes
//! through.
//!
//! A key may be a dotted path into nested objects (`metadata.url`); a key that has this very name, dots
//! included, comes first. What was taken is removed; everything else goes to `Document::fields`. A key that
//! has the name of a column of the corpus (`source`, `language`, ...) is passed through with `input_` in
//! front, so that it is neither lost nor mistaken for ours.

use serde_json::{Map, Value};

use super::warc_stream::Origin;
use crate::stage::{FieldType, Item};

/// Columns that every document of a corpus has.
const OWN_COLUMNS: [&str; 10] =
    ["id", "text", "url", "date", "source", "file", "record", "offset", "language", "language_score"];

/// Keys by which a document's parts are found.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub text: String,
    pub id: String,
    pub url: String,
    pub dates: Vec<String>,
}

impl Keys {
    pub(super) fn new(text: String, id: Option<String>, url: Option<String>, date: Option<String>) -> Self {
        Self {
            text,
            id: id.unwrap_or_else(|| "id".to_owned()),
            url: url.unwrap_or_else(|| "url".to_owned()),
            dates: date.map_or_else(|| vec!["date".to_owned(), "timestamp".to_owned()], |date| vec![date]),
        }
    }

    /// The document, or a quarantine entry for an object without text.
    pub(super) fn item(
        &self,
        mut row: Map<String, Value>,
        offset: u64,
        record: u64,
        origin: &Origin,
    ) -> Item {
        let text = match take(&mut row, &self.text, &|_| true) {
            Some(Value::String(text)) => text,
            None | Some(Value::Null) => {
                return origin.bad(offset, record, "missing_text", format!("no field `{}`", self.text));
            }
            Some(other) => {
                let detail = format!("field `{}` is {}", self.text, kind_of(&other));
                return origin.bad(offset, record, "text_not_string", detail);
            }
        };
        let mut doc = origin.document(offset, record);
        doc.text = text;
        if let Some(id) = take_label(&mut row, &self.id) {
            doc.id = id;
        }
        doc.url = take_label(&mut row, &self.url);
        for date in &self.dates {
            if doc.date.is_none() {
                doc.date = take_label(&mut row, date);
            }
        }
        if row.keys().any(|key| OWN_COLUMNS.contains(&key.as_str())) {
            row = row.into_iter().map(|(key, value)| (column_name(&key), value)).collect();
        }
        doc.fields = row;
        Item::Document(doc)
    }

    /// Types of the fields that pass through, from a look at some rows.
    pub(super) fn passthrough(
        &self,
        rows: impl Iterator<Item = Map<String, Value>>,
    ) -> Vec<(String, FieldType)> {
        let mut seen: Vec<(String, Option<FieldType>)> = Vec::new();
        let origin = Origin::new(0, "", "");
        for row in rows {
            let Item::Document(doc) = self.item(row, 0, 0, &origin) else { continue };
            for (name, value) in doc.fields {
                let found = type_of(&value);
                match seen.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => *known = join(*known, found),
                    None => seen.push((name, found)),
                }
            }
        }
        seen.into_iter().map(|(name, found)| (name, found.unwrap_or(FieldType::Json))).collect()
    }
}

/// Name under which a field passes through.
pub(super) fn column_name(key: &str) -> String {
    if OWN_COLUMNS.contains(&key) { format!("input_{key}") } else { key.to_owned() }
}

fn take(row: &mut Map<String, Value>, path: &str, wanted: &dyn Fn(&Value) -> bool) -> Option<Value> {
    if let Some(value) = row.get(path) {
        return if wanted(value) { row.shift_remove(path) } else { None };
    }
    let (first, rest) = path.split_once('.')?;
    match row.get_mut(first) {
        Some(Value::Object(inner)) => take(inner, rest, wanted),
        _ => None,
    }
}

/// A string or a number as text; anything else stays where it is, except that a null is dropped.
fn take_label(row: &mut Map<String, Value>, path: &str) -> Option<String> {
    match take(row, path, &|value| matches!(value, Value::String(_) | Value::Number(_) | Value::Null)) {
        Some(Value::String(text)) => Some(text),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

fn type_of(value: &Value) -> Option<FieldType> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some(FieldType::Boolean),
        Value::String(_) => Some(FieldType::String),
        Value::Number(number) if number.is_i64() => Some(FieldType::Integer),
        Value::Number(_) => Some(FieldType::Number),
        Value::Array(_) | Value::Object(_) => Some(FieldType::Json),
    }
}

fn join(a: Option<FieldType>, b: Option<FieldType>) -> Option<FieldType> {
    match (a, b) {
        (None, other) | (other, None) => other,
        (Some(a), Some(b)) if a == b => Some(a),
        (Some(FieldType::Integer | FieldType::Number), Some(FieldType::Integer | FieldType::Number)) => {
            Some(FieldType::Number)
        }
        _ => Some(FieldType::Json),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(row) => row,
            _ => panic!("no object"),
        }
    }

    #[test]
    fn takes_what_it_knows_and_passes_the_rest() {
        let keys = Keys::new("text".into(), None, Some("metadata.url".into()), None);
        let value =
            json!({"id": 7, "text": "t", "metadata": {"url": "u", "n": 1}, "timestamp": "d", "source": "s"});
        let Item::Document(doc) = keys.item(row(value), 3, 1, &Origin::new(0, "f", "in")) else { panic!() };
        assert_eq!((doc.id.as_str(), doc.url.as_deref(), doc.date.as_deref()), ("7", Some("u"), Some("d")));
        assert_eq!(Value::Object(doc.fields), json!({"metadata": {"n": 1}, "input_source": "s"}));
    }

    #[test]
    fn a_dotted_name_comes_before_a_path_and_odd_labels_stay() {
        let keys = Keys::new("a.b".into(), None, None, None);
        let value = json!({"a.b": "t", "a": {"b": "other"}, "id": [1], "url": null, "date": 5});
        let Item::Document(doc) = keys.item(row(value), 3, 1, &Origin::new(0, "f", "in")) else { panic!() };
        assert_eq!((doc.text.as_str(), doc.date.as_deref(), doc.url), ("t", Some("5"), None));
        assert_eq!(Value::Object(doc.fields), json!({"a": {"b": "other"}, "input_id": [1]}));
    }

    #[test]
    fn types_widen() {
        let keys = Keys::new("text".into(), None, None, None);
        let rows = [
            json!({"text": "", "n": 1, "s": "x", "m": 1, "z": null}),
            json!({"text": "", "n": 1.5, "s": null, "m": "x", "b": true}),
        ];
        let found = keys.passthrough(rows.into_iter().map(row));
        let expected = [
            ("n", FieldType::Number),
            ("s", FieldType::String),
            ("m", FieldType::Json),
            ("z", FieldType::Json),
            ("b", FieldType::Boolean),
        ];
        assert_eq!(found, expected.map(|(name, found)| (name.to_owned(), found)));
    }
}
