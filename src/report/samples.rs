//! From `rejects/`: a few examples per stage and reason, and which score each reason judges.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rows::{RowTable, float_at, floats, tables, text_at, texts};
use crate::error::Result;

/// Characters of text in a sample.
const TEXT_CHARS: usize = 300;
/// Rows per reason that a [`Tracer`] looks at.
const TRACED_ROWS: u64 = 200;

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

/// The limit that a reason puts on a score, as far as the rejects show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// The stage.
    pub stage: String,
    /// The reason.
    pub reason: String,
    /// The score that it judges, `stage.score`.
    pub score: String,
    /// The limit.
    pub limit: f64,
    /// Whether documents below it are dropped (else those above).
    pub drops_below: bool,
}

/// Finds out which score each reason judges: the only one of the stage's scores that equals the measured
/// value in every reject looked at. A reason that names a measurement which is no score stays without one.
#[derive(Debug, Default)]
pub struct Tracer {
    stages: BTreeMap<String, BTreeMap<String, Trace>>,
}

#[derive(Debug, Default)]
struct Trace {
    rows: u64,
    candidates: Option<Vec<String>>,
    limit: Option<f64>,
    drops_below: bool,
    first_value: f64,
    telling: bool,
    void: bool,
}

impl Tracer {
    /// Whether more rejects of this reason would still be looked at.
    pub fn wants(&self, stage: &str, reason: &str) -> bool {
        let trace = self.stages.get(stage).and_then(|reasons| reasons.get(reason));
        trace.is_none_or(|trace| trace.rows < TRACED_ROWS)
    }

    /// Looks at one reject; `scores` is the JSON object of the table.
    pub fn observe(
        &mut self,
        (stage, reason): (&str, &str),
        value: Option<f64>,
        limit: Option<f64>,
        scores: Option<&str>,
    ) {
        let reasons = self.stages.entry(stage.to_owned()).or_default();
        let trace = reasons.entry(reason.to_owned()).or_default();
        trace.rows += 1;
        let (Some(value), Some(limit)) = (value, limit) else {
            trace.void = true;
            return;
        };
        if trace.rows == 1 {
            trace.limit = Some(limit);
            trace.first_value = value;
            trace.drops_below = value < limit;
        }
        let same_limit = trace.limit.is_some_and(|first| first.to_bits() == limit.to_bits());
        trace.void |= !same_limit || trace.drops_below != (value < limit);
        // Several scores can be 0 by chance; a fraction or a second value tells them apart.
        trace.telling |= value.fract() != 0.0 || value.to_bits() != trace.first_value.to_bits();
        let scores: Map<String, Value> =
            scores.and_then(|scores| serde_json::from_str(scores).ok()).unwrap_or_default();
        let prefix = format!("{stage}.");
        let equal = |name: &str| {
            scores.get(name).and_then(Value::as_f64).is_some_and(|score| {
                score.to_bits() == value.to_bits() || (score - value).abs() <= 1e-12 * value.abs()
            })
        };
        if let Some(candidates) = &mut trace.candidates {
            candidates.retain(|name| equal(name));
        } else {
            let names = scores.keys().filter(|name| name.starts_with(&prefix) && equal(name));
            trace.candidates = Some(names.cloned().collect());
        }
    }

    /// What was found, in the order of stages' and reasons' names.
    pub fn limits(&self) -> Vec<Limit> {
        let mut limits = Vec::new();
        for (stage, reasons) in &self.stages {
            for (reason, trace) in reasons {
                if let (Some([score]), Some(limit), true, false) =
                    (trace.candidates.as_deref(), trace.limit, trace.telling, trace.void)
                {
                    limits.push(Limit {
                        stage: stage.clone(),
                        reason: reason.clone(),
                        score: score.clone(),
                        limit,
                        drops_below: trace.drops_below,
                    });
                }
            }
        }
        limits
    }
}

/// What the report shows of the rejects.
#[derive(Debug, Default)]
pub(super) struct Rejects {
    /// Samples by stage, in input order.
    pub(super) samples: BTreeMap<String, Vec<Sample>>,
    /// Limits that could be told.
    pub(super) limits: Vec<Limit>,
}

/// Reads the first rejects of each reason. `expected` says how many there are by stage and reason, so that
/// reading can stop once enough of each were seen.
pub(super) fn collect(run: &Path, expected: &BTreeMap<String, BTreeMap<String, u64>>) -> Result<Rejects> {
    let mut missing: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for (stage, reasons) in expected.iter().filter(|(_, reasons)| !reasons.is_empty()) {
        let wanted = reasons.iter().map(|(reason, &n)| (reason.as_str(), n.clamp(1, TRACED_ROWS)));
        missing.insert(stage, wanted.collect());
    }
    let mut rejects = Rejects::default();
    let mut tracer = Tracer::default();
    let mut taken: BTreeMap<(String, String), usize> = BTreeMap::new();
    for path in tables(run, "rejects")? {
        if missing.is_empty() {
            break;
        }
        let table = RowTable::open(&path)?;
        let mut chosen = Vec::new();
        for batch in table.scan(&["stage", "reason", "value", "limit", "scores"])? {
            let (first, batch) = batch?;
            let (stages, reasons) = (texts(&batch, "stage", &path)?, texts(&batch, "reason", &path)?);
            let (values, limits) = (floats(&batch, "value", &path)?, floats(&batch, "limit", &path)?);
            let scores = texts(&batch, "scores", &path)?;
            for row in 0..batch.num_rows() {
                let (stage, reason) = (stages.value(row), reasons.value(row));
                if tracer.wants(stage, reason) {
                    let (value, limit) = (float_at(values, row), float_at(limits, row));
                    tracer.observe((stage, reason), value, limit, text_at(scores, row));
                    let taken = taken.entry((stage.to_owned(), reason.to_owned())).or_default();
                    let per_reason = if expected.get(stage).is_some_and(|all| all.len() > 2) { 2 } else { 4 };
                    if *taken < per_reason {
                        *taken += 1;
                        chosen.push(first + row as u64);
                    }
                }
                note_seen(&mut missing, stage, reason);
            }
            if missing.is_empty() {
                break;
            }
        }
        for row in table.rows_at(&chosen)? {
            let stage = string(&row, "stage").unwrap_or_default();
            rejects.samples.entry(stage).or_default().push(sample(&row));
        }
    }
    rejects.limits = tracer.limits();
    Ok(rejects)
}

/// Counts down what is still to be seen of a reason, and forgets it at zero.
fn note_seen(missing: &mut BTreeMap<&str, BTreeMap<&str, u64>>, stage: &str, reason: &str) {
    let Some(reasons) = missing.get_mut(stage) else { return };
    let Some(left) = reasons.get_mut(reason) else { return };
    *left -= 1;
    if *left == 0 {
        reasons.remove(reason);
        if reasons.is_empty() {
            missing.remove(stage);
        }
    }
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
    fn a_reason_is_traced_to_the_one_score_that_always_agrees() {
        let mut tracer = Tracer::default();
        for (value, scores) in [
            (0.0, r#"{"q.words":0.0,"q.lines":0.0,"other.words":0.0}"#),
            (3.0, r#"{"q.words":3.0,"q.lines":1.0,"other.words":3.0}"#),
        ] {
            tracer.observe(("q", "too_few_words"), Some(value), Some(50.0), Some(scores));
        }
        tracer.observe(("q", "by_chance"), Some(0.0), Some(1.0), Some(r#"{"q.words":0.0}"#));
        tracer.observe(("q", "no_score"), Some(0.5), Some(0.1), Some(r#"{"q.words":3}"#));
        tracer.observe(("q", "no_number"), None, None, None);
        let limits = tracer.limits();
        assert_eq!(limits.len(), 1);
        assert_eq!((limits[0].score.as_str(), limits[0].drops_below), ("q.words", true));
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        assert_eq!(beginning("über"), "über");
        assert_eq!(beginning(&"ü".repeat(301)), "ü".repeat(300) + "…");
    }
}
