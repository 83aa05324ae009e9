//! The texts of a removed page and of the one that was kept for it, and where the kept one lies.
//!
//! Texts come from the run's tables; where `rejects` keeps none (`output.rejects: full` does) the record is read from
//! the input again, which gives the text of JSONL, Parquet and WET files but not of web pages that a stage extracted.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::diff::{Differences, differences};
use crate::cli::show::{read_plan, text};
use crate::error::Result;
use crate::pipeline;
use crate::stage::{Item, Position, Reader};

/// Run directories that a stage of this run was held against (`against:`).
pub(super) fn earlier_runs(run: &Path, stage: &str) -> Result<Vec<PathBuf>> {
    let plan = read_plan(run)?;
    let stage = plan.iter().flat_map(|plan| &plan.stages).find(|planned| planned.id == stage);
    let Some(against) = stage.and_then(|stage| stage.options.get("against")) else { return Ok(Vec::new()) };
    let runs: Vec<&str> = match against {
        Value::String(run) => vec![run],
        Value::Array(runs) => runs.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    Ok(runs.into_iter().map(PathBuf::from).filter(|run| crate::io::folders::is_dir(run)).collect())
}

/// The differences, or why there are none.
type Compared = (Option<Differences>, Option<String>);

/// Compares a removed page with the kept one, each with the run that it is in.
pub(super) fn compare(
    removed: (&Path, &Map<String, Value>),
    kept: (&Path, &Map<String, Value>),
) -> Result<Compared> {
    let mut note = None;
    let mut texts = Vec::new();
    for (what, (run, row)) in [("removed", removed), ("kept", kept)] {
        if let Some(text) = text(row, "text") {
            texts.push(text.to_owned());
        } else if let Some(text) = read_again(run, row)? {
            note = Some("as read from the input: stages may have changed the text since".to_owned());
            texts.push(text);
        } else {
            let why = format!(
                "the text of the {what} page is not stored and its input cannot be read as text (`output.rejects: full` stores it)"
            );
            return Ok((None, Some(why)));
        }
    }
    Ok((Some(differences(&texts[1], &texts[0])), note))
}

/// The text of a record of the input; `None` where it is not there any more, or is no text before extraction.
fn read_again(run: &Path, row: &Map<String, Value>) -> Result<Option<String>> {
    let Some(plan) = read_plan(run)? else { return Ok(None) };
    let number = |name: &str| row.get(name).and_then(Value::as_i64).and_then(|n| u64::try_from(n).ok());
    let (Some(file), Some(offset), Some(record)) = (text(row, "file"), number("offset"), number("record"))
    else {
        return Ok(None);
    };
    let split = plan.splits.iter().position(|split| split.file == file);
    let Some((number, split)) = split.and_then(|at| Some((u32::try_from(at).ok()?, &plan.splits[at]))) else {
        return Ok(None);
    };
    let Some(reader) = plan.inputs.get(split.input).and_then(|input| reader(&input.reader, &input.options))
    else {
        return Ok(None);
    };
    // A file that is gone, or another one now, is no mistake of whoever asks about a page.
    if reader.bytes(file).ok() != Some(split.bytes) {
        return Ok(None);
    }
    let Ok(mut stream) = reader.open(number, file, Some(&Position { offset, record })) else {
        return Ok(None);
    };
    let id = text(row, "id").unwrap_or_default();
    match stream.next() {
        Ok(Some(Item::Document(doc))) if doc.id == id && doc.raw.is_none() => Ok(Some(doc.text)),
        _ => Ok(None),
    }
}

fn reader(name: &str, options: &Value) -> Option<Box<dyn Reader>> {
    let spec = pipeline::registry::find(pipeline::registry::Section::Input, name)?;
    match (spec.build)(options.clone(), &mut crate::stage::BuildContext::default()) {
        Ok(crate::stage::Built::Reader(reader)) => Some(reader),
        _ => None,
    }
}
