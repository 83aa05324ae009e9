//! Text of evaluation sets in a page, from `hits/`.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::MAX_SHOWN;
use crate::cli::show::text;
use crate::error::Result;
use crate::report::rows::{RowTable, tables};

/// A field of an example that the page holds.
#[derive(Debug, Serialize)]
pub(super) struct FoundText {
    pub(super) stage: String,
    pub(super) set: String,
    /// The example's name, else its number in the set.
    pub(super) example: String,
    pub(super) field: String,
    pub(super) ngrams: i64,
    pub(super) all_ngrams: i64,
    /// Bytes of the text as it came to the stage.
    pub(super) start: i64,
    pub(super) end: i64,
    /// The text around and the text itself, where texts were kept.
    pub(super) before: Option<String>,
    pub(super) text: Option<String>,
    pub(super) after: Option<String>,
}

/// Rows of `hits/`, and how many more there are.
pub(super) fn hits_of(run: &Path, id: &str) -> Result<(Vec<FoundText>, usize)> {
    let (mut hits, mut left_out) = (Vec::new(), 0);
    for path in tables(run, "hits")? {
        let table = RowTable::open(path)?;
        let numbers: Vec<u64> = table.find("id", &[id])?.into_iter().map(|(row, _)| row).collect();
        let shown = numbers.len().min(MAX_SHOWN - hits.len());
        left_out += numbers.len() - shown;
        for row in table.rows_at(&numbers[..shown])? {
            let owned = |name: &str| text(&row, name).map(str::to_owned);
            let integer = |name: &str| row.get(name).and_then(Value::as_i64).unwrap_or_default();
            hits.push(FoundText {
                stage: owned("stage").unwrap_or_default(),
                set: owned("set").unwrap_or_default(),
                example: owned("example_id").unwrap_or_else(|| integer("example").to_string()),
                field: owned("field").unwrap_or_default(),
                ngrams: integer("ngrams"),
                all_ngrams: integer("all_ngrams"),
                start: integer("start"),
                end: integer("end"),
                before: owned("before"),
                text: owned("text"),
                after: owned("after"),
            });
        }
    }
    Ok((hits, left_out))
}

#[cfg(test)]
mod tests {
    use super::super::{answer_text, explain};
    use crate::document::{Document, Ordinal};
    use crate::report::testing;
    use crate::stage::Hit;
    use crate::stages::write::HitsWriter;

    #[test]
    fn text_of_evaluation_sets_is_shown_in_its_context() {
        let dir = tempfile::tempdir().unwrap();
        let summary = testing::make_run(dir.path());
        crate::report::write(dir.path(), &summary).unwrap();
        let mut hits = HitsWriter::create(dir.path().join("hits/part.parquet"), true).unwrap();
        let doc = Document::new(Ordinal { split: 0, record: 0 }, "d0-3".to_owned(), String::new());
        for example in 0..25 {
            let hit = Hit {
                set: "sums".into(),
                example: example + 1,
                example_id: (example > 0).then(|| format!("sums/{example}")),
                field: "question".into(),
                ngrams: 3,
                all_ngrams: 4,
                range: 5..9,
                context: ["left of ".to_owned(), "the\nsum".to_owned(), " and right".to_owned()],
            };
            hits.write(&doc, "decontaminate", &hit).unwrap();
        }
        hits.finish().unwrap();
        let answer = explain(dir.path(), "d0-3").unwrap();
        assert_eq!((answer.pages[0].hits.len(), answer.pages[0].hits_left_out), (20, 5));
        let text = answer_text::describe("d0-3", &answer);
        assert!(text.contains("text of evaluation sets in it: 25"), "{text}");
        assert!(text.contains("sums 1, question: 3 of 4 n-grams, bytes 5 to 9, decontaminate"), "{text}");
        assert!(text.contains("sums sums/1, question"), "{text}");
        assert!(text.contains("left of [the sum] and right"), "{text}");
        assert!(explain(dir.path(), "d0-1").unwrap().pages[0].hits.is_empty());
    }
}
