//! Labelled documents from files of any of our formats, told apart by their names.
//!
//! `.jsonl`, `.ndjson`, `.json`, `.parquet` and `.wet` go through the readers of `stages/read`, with their text
//! in `text`; every other file is plain text with one document a line. `.gz` or `.zst` may stand behind. A bad
//! record is counted and named, never taken.

use serde_json::json;

use crate::error::{Error, Result};
use crate::io::paths;
use crate::stage::{BuildContext, Built, Item, Reader};
use crate::stages::read;
use crate::stages::read::lines::{Line, Lines};

/// Endings by which files of a folder are taken.
const SUFFIXES: &[&str] = &[
    ".jsonl",
    ".jsonl.gz",
    ".jsonl.zst",
    ".ndjson",
    ".ndjson.gz",
    ".ndjson.zst",
    ".json",
    ".json.gz",
    ".json.zst",
    ".parquet",
    ".wet",
    ".wet.gz",
    ".wet.zst",
    ".txt",
    ".txt.gz",
    ".txt.zst",
];
/// Longest document; as the readers' default.
const MAX_LINE_BYTES: usize = 64 << 20;
/// Bad records that are described.
const SHOWN_BAD: usize = 5;

/// The files that belong to one label.
#[derive(Debug, Clone)]
pub(super) struct LabelFiles {
    /// Without `__label__`.
    pub(super) label: String,
    pub(super) files: Vec<String>,
}

/// Records that were no documents.
#[derive(Debug, Default)]
pub(super) struct Bad {
    pub(super) count: u64,
    /// The first of them, for people.
    pub(super) shown: Vec<String>,
}

impl Bad {
    fn add(&mut self, file: &str, record: u64, cause: &str, detail: &str) {
        self.count += 1;
        if self.shown.len() < SHOWN_BAD {
            self.shown.push(format!("`{file}`, record {record}: {cause} ({detail})"));
        }
    }
}

/// Files of every label, patterns expanded. The same label may be named more than once.
///
/// # Errors
/// [`Error::User`] with every pattern that names nothing, and every file that is in two labels.
pub(super) fn expand(patterns: &[(String, Vec<String>)]) -> Result<Vec<LabelFiles>> {
    let mut labels: Vec<LabelFiles> = Vec::new();
    let mut mistakes = Vec::new();
    for (label, patterns) in patterns {
        let found = match paths::expand(patterns, SUFFIXES) {
            Ok(found) => found,
            Err(errors) => {
                mistakes.extend(errors.into_iter().map(|(_, message)| format!("`{label}`: {message}")));
                continue;
            }
        };
        let place = labels.iter().position(|known| known.label == *label).unwrap_or_else(|| {
            labels.push(LabelFiles { label: label.clone(), files: Vec::new() });
            labels.len() - 1
        });
        for file in found {
            if let Some(other) = labels.iter().find(|known| known.files.contains(&file)) {
                mistakes.push(format!("`{file}` is given for `{}` and for `{label}`", other.label));
            } else {
                labels[place].files.push(file);
            }
        }
    }
    if !mistakes.is_empty() {
        return Err(Error::User(mistakes.join("\n")));
    }
    for label in &mut labels {
        label.files.sort();
    }
    Ok(labels)
}

/// Hands on the text of every document of a file.
///
/// # Errors
/// Where the machine fails, and what `take` returns.
pub(super) fn for_each(file: &str, bad: &mut Bad, mut take: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let name = file.strip_suffix(".gz").or_else(|| file.strip_suffix(".zst")).unwrap_or(file);
    let reader = match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "jsonl" | "ndjson" | "json" => "jsonl",
        "parquet" => "parquet",
        "wet" => "wet",
        "warc" => {
            return Err(Error::User(format!("`{file}` holds HTML; extract its text with a pipeline first")));
        }
        _ => return lines(file, bad, &mut take),
    };
    let mut stream = open(reader, file)?.open(0, file, None)?;
    while let Some(item) = stream.next()? {
        match item {
            Item::Document(doc) => take(&doc.text)?,
            Item::Skipped(_) => {}
            Item::Bad(record) => bad.add(file, record.record, &record.cause, &record.detail),
        }
    }
    Ok(())
}

fn open(reader: &str, file: &str) -> Result<Box<dyn Reader>> {
    let spec = read::STAGES.iter().find(|spec| spec.name == reader);
    let spec = spec.ok_or_else(|| Error::Failed(format!("there is no reader `{reader}`")))?;
    match (spec.build)(json!({ "paths": [file] }), &mut BuildContext::default()) {
        Ok(Built::Reader(reader)) => Ok(reader),
        Ok(_) => Err(Error::Failed(format!("`{reader}` is no reader"))),
        Err(errors) => {
            let messages: Vec<String> = errors.into_iter().map(|error| error.message).collect();
            Err(Error::User(messages.join("\n")))
        }
    }
}

/// Plain text: a document a line, blank ones passed over.
fn lines(file: &str, bad: &mut Bad, take: &mut impl FnMut(&str) -> Result<()>) -> Result<()> {
    let mut lines = Lines::open(file, None, MAX_LINE_BYTES)?;
    loop {
        match lines.advance()? {
            Line::End => return Ok(()),
            Line::Whole { record, offset, .. } => match std::str::from_utf8(lines.bytes()) {
                Ok(line) => {
                    let line = if offset == 0 { line.trim_start_matches('\u{feff}') } else { line };
                    if !line.trim().is_empty() {
                        take(line)?;
                    }
                }
                Err(error) => bad.add(file, record, "invalid_utf8", &error.to_string()),
            },
            Line::TooLong { record, bytes, .. } => {
                bad.add(file, record, "line_too_long", &format!("{bytes} bytes"));
            }
            Line::Damaged { record, damage, .. } => {
                bad.add(file, record, lines.codec().damage_cause(), &damage.detail);
            }
        }
    }
}
