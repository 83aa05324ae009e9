//! From `rejects/`: a few examples per stage and reason.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rows::{RowTable, tables, texts};
use crate::error::Result;

/// Characters of text in a sample.
const TEXT_CHARS: usize = 300;

/// A dropped document, for the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Its id.
    pub id: String,
    /// Its address.
    pub url: Option<String>,
    /// The input file and the record's place in it.
    pub file: String,
    /// Byte offset in the file.
    pub offset: u64,
    /// Why it was dropped.
    pub reason: String,
    /// What was measured.
    pub value: Option<f64>,
    /// The limit that it crossed.
    pub limit: Option<f64>,
    /// What was found.
    pub detail: Option<String>,
    /// Beginning of the text, where it was kept.
    pub text: Option<String>,
}

/// Samples by stage, in input order. `expected` says how many rejects there are by stage and reason, so that
/// reading can stop once enough of each were seen.
pub(super) fn collect(
    run: &Path,
    expected: &BTreeMap<String, BTreeMap<String, u64>>,
) -> Result<BTreeMap<String, Vec<Sample>>> {
    // What is still to be taken, by stage and reason.
    let mut missing: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for (stage, reasons) in expected.iter().filter(|(_, reasons)| !reasons.is_empty()) {
        let per_reason = if reasons.len() > 2 { 2 } else { 4 };
        missing.insert(
            stage,
            reasons.iter().map(|(name, &n)| (name.as_str(), n.clamp(1, per_reason))).collect(),
        );
    }
    let mut samples: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for path in tables(run, "rejects")? {
        if missing.is_empty() {
            break;
        }
        let table = RowTable::open(&path)?;
        let mut chosen = Vec::new();
        for batch in table.scan(&["stage", "reason"])? {
            let (first, batch) = batch?;
            let (stages, reasons) = (texts(&batch, "stage", &path)?, texts(&batch, "reason", &path)?);
            for row in 0..batch.num_rows() {
                if take_one(&mut missing, stages.value(row), reasons.value(row)) {
                    chosen.push(first + row as u64);
                }
            }
            if missing.is_empty() {
                break;
            }
        }
        for row in table.rows_at(&chosen)? {
            let stage = string(&row, "stage").unwrap_or_default();
            samples.entry(stage).or_default().push(sample(&row));
        }
    }
    Ok(samples)
}

/// Whether one more of this reason is wanted; if so it is counted, and the reason forgotten at the last one.
fn take_one(missing: &mut BTreeMap<&str, BTreeMap<&str, u64>>, stage: &str, reason: &str) -> bool {
    let Some(reasons) = missing.get_mut(stage) else { return false };
    let Some(left) = reasons.get_mut(reason).filter(|left| **left > 0) else { return false };
    *left -= 1;
    if *left == 0 {
        reasons.remove(reason);
        if reasons.is_empty() {
            missing.remove(stage);
        }
    }
    true
}

fn string(row: &Map<String, Value>, name: &str) -> Option<String> {
    row.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn sample(row: &Map<String, Value>) -> Sample {
    let text = row.get("text").and_then(Value::as_str).map(beginning);
    Sample {
        id: string(row, "id").unwrap_or_default(),
        url: string(row, "url"),
        file: string(row, "file").unwrap_or_default(),
        offset: row.get("offset").and_then(Value::as_u64).unwrap_or(0),
        reason: string(row, "reason").unwrap_or_default(),
        value: row.get("value").and_then(Value::as_f64),
        limit: row.get("limit").and_then(Value::as_f64),
        detail: string(row, "detail"),
        text,
    }
}

/// The first characters of a text, with `…` where it goes on.
pub(super) fn beginning(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS) {
        Some((end, _)) => text.get(..end).unwrap_or(text).to_owned() + "…",
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_a_character() {
        assert_eq!(beginning("über"), "über");
        assert_eq!(beginning(&"ü".repeat(301)), "ü".repeat(300) + "…");
    }
}
