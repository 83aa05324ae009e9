//! Test helper: runs the cases of `fixtures/stages/<stage>/cases.jsonl`, one JSON object a line.
//!
//! `name`; `text`, `url` and `language` of the document; `options` of the stage; `expect`: `reason` (absent: the
//! page is kept), `value`, `limit`, `detail`, `language`, `scores`, each checked where it is present, or `errors`:
//! `[key, message, hint]` of every mistake in the options. `text_after`, beside `expect`: the text as the stage
//! changed it (absent: it stays as it was).

use serde_json::Value;

use crate::document::{Document, Ordinal, Outcome, Reason};
use crate::stage::{BuildContext, Built, Context, DocStage, OptionError, StageSpec};

/// Builds a filter, or shows its mistakes.
pub(super) fn build(spec: &StageSpec, options: Value) -> Result<Box<dyn DocStage>, Vec<OptionError>> {
    match (spec.build)(options, &mut BuildContext::default())? {
        Built::Doc(stage) => Ok(stage),
        Built::Reader(_) | Built::Barrier(_) => panic!("`{}` is a filter", spec.name),
    }
}

/// A document with nothing but its text.
pub(super) fn document(text: &str) -> Document {
    Document::new(Ordinal { split: 0, record: 0 }, "id".to_owned(), text.to_owned())
}

/// A context as the engine makes it.
pub(super) fn context(spec: &StageSpec) -> Context {
    Context { stage: spec.name.to_owned(), ..Context::default() }
}

/// Runs every case of a stage and shows all that fail.
pub(super) fn check(spec: &StageSpec) {
    let path = format!("fixtures/stages/{}/cases.jsonl", spec.name);
    let bytes = crate::io::read_side_file(std::path::Path::new(&path)).unwrap();
    let mut failures = Vec::new();
    let cases: Vec<Value> = std::str::from_utf8(&bytes)
        .unwrap()
        .lines()
        .enumerate()
        .map(|(line, case)| {
            serde_json::from_str(case).unwrap_or_else(|error| panic!("{path}:{}: {error}", line + 1))
        })
        .collect();
    assert!(!cases.is_empty(), "{path} holds no cases");
    for case in &cases {
        if let Err(failure) = check_case(spec, case) {
            failures.push(format!("{}: {failure}", case["name"]));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases of {path} fail:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

fn check_case(spec: &StageSpec, case: &Value) -> Result<(), String> {
    let expect = &case["expect"];
    let stage = match build(spec, case["options"].clone()) {
        Ok(stage) => stage,
        Err(errors) => {
            let found: Vec<Value> = errors
                .iter()
                .map(|error| serde_json::json!([error.key, error.message, error.hint]))
                .collect();
            return same("errors", &expect["errors"], &Value::from(found));
        }
    };
    let string = |key: &str| case[key].as_str().map(str::to_owned);
    let text = case["text"].as_str().unwrap_or("");
    let mut doc = document(text);
    doc.url = string("url");
    doc.language = string("language");
    let outcome = stage.process(&mut doc, &mut context(spec));
    same("text", case.get("text_after").unwrap_or(&Value::from(text)), &Value::from(doc.text.clone()))?;
    same(
        "changed",
        &Value::from(case.get("text_after").is_some()),
        &Value::from(outcome == Outcome::Changed),
    )?;
    let reason = match outcome {
        Outcome::Keep | Outcome::Changed => None,
        Outcome::Drop(reason) => Some(reason),
    };
    if let Some(errors) = expect.get("errors") {
        return Err(format!("the options should be refused: {errors}"));
    }
    check_reason(spec, expect, reason.as_ref())?;
    if let Some(language) = expect.get("language") {
        same("language", language, &Value::from(doc.language.clone()))?;
    }
    for (name, value) in expect["scores"].as_object().into_iter().flatten() {
        let full = format!("{}.{name}", spec.name);
        let found = doc.scores.iter().find(|(score, _)| *score == full).map(|(_, value)| *value);
        near(name, value, found)?;
    }
    for (name, _) in &doc.scores {
        let known = spec.scores.iter().any(|score| *name == format!("{}.{}", spec.name, score.name));
        if !known {
            return Err(format!("score `{name}` is not in the stage's list"));
        }
    }
    Ok(())
}

fn check_reason(spec: &StageSpec, expect: &Value, reason: Option<&Reason>) -> Result<(), String> {
    let wanted = expect.get("reason").unwrap_or(&Value::Null);
    same("reason", wanted, &Value::from(reason.map(|reason| reason.name)))?;
    let Some(reason) = reason else { return Ok(()) };
    if !spec.reasons.iter().any(|(name, _)| *name == reason.name) {
        return Err(format!("reason `{}` is not in the stage's list", reason.name));
    }
    if let Some(detail) = expect.get("detail") {
        same("detail", detail, &Value::from(reason.detail.clone()))?;
    }
    for (key, found) in [("value", reason.value), ("limit", reason.limit)] {
        if let Some(number) = expect.get(key) {
            near(key, number, found)?;
        }
    }
    Ok(())
}

fn same(what: &str, wanted: &Value, found: &Value) -> Result<(), String> {
    if wanted == found { Ok(()) } else { Err(format!("{what}: wanted {wanted}, found {found}")) }
}

fn near(what: &str, wanted: &Value, found: Option<f64>) -> Result<(), String> {
    let close = match (wanted.as_f64(), found) {
        (Some(wanted), Some(found)) => (wanted - found).abs() <= 1e-4,
        (None, None) => true,
        _ => false,
    };
    if close { Ok(()) } else { Err(format!("{what}: wanted {wanted}, found {found:?}")) }
}
