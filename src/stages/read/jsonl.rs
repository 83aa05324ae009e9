//! JSON Lines: one object per line.
//!
//! Read as Common Crawl derivatives and Hugging Face data sets write it: UTF-8 with or without a byte order
//! mark, LF or CRLF, with or without a line end at the end. Blank lines are skipped and counted in the line
//! number, which is the record number. An empty text is a document. A last line that does not end and is
//! no JSON was cut: `truncated_record`, not `invalid_json`. A file that is something else altogether (an
//! HTML error page, one big list) is one quarantine entry, not one per line.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::fields::Keys;
use super::lines::{Line, Lines};
use super::warc_stream::{Files, Origin};
use crate::error::Result;
use crate::stage::{
    BuildContext, Built, FieldType, Item, Kind, OptionError, Position, Reader, RecordStream, StageSpec,
    parse_options, schema_of,
};

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
];
/// How far [`Reader::passthrough`] looks.
const LOOK_LINES: usize = 1000;
const LOOK_BYTES: u64 = 1 << 20;

/// The `jsonl` reader.
pub static SPEC: StageSpec = StageSpec {
    name: "jsonl",
    kind: Kind::Read,
    needs_text: false,
    summary: "Reads text from JSON Lines files: `.gz`, `.zst`, or plain.",
    source: "One JSON object per line, as Hugging Face data sets and datatrove have it.",
    reasons: &[],
    scores: &[],
    limits: &[],
    schema: schema_of::<Config>,
    build,
};

/// Options of the `jsonl` reader.
///
/// A field is named by its key or by a dotted path into nested objects (`metadata.url`); a key of exactly
/// that name comes first. Keys that are not used pass through to the output.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Files, folders (every file below that ends with `.jsonl`, `.ndjson` or `.json`, also with `.gz` or
    /// `.zst` behind), glob patterns, or `-` for a list of paths on standard input. At least one. What a
    /// file is compressed with is read from its content, not from its name.
    #[schemars(length(min = 1))]
    pub paths: Vec<String>,
    /// Name of this input in the `source` column. Default `jsonl`.
    pub source: String,
    /// Key of the text, a string. Default `text`. A line without it is quarantined as `missing_text`.
    #[schemars(length(min = 1))]
    pub text_field: String,
    /// Key of the document's own id, a string or a number. Default: `id` where a line has one; a line
    /// without it gets an id from file and offset.
    #[schemars(length(min = 1))]
    pub id_field: Option<String>,
    /// Key of the address. Default `url`; a line may lack it.
    #[schemars(length(min = 1))]
    pub url_field: Option<String>,
    /// Key of the date. Default: `date`, else `timestamp`; a line may lack both.
    #[schemars(length(min = 1))]
    pub date_field: Option<String>,
    /// Longest line, in bytes without its line end. Default 67108864 (64 MiB). A line of exactly this length
    /// is read; a longer one is passed over without being held in memory and quarantined as `line_too_long`.
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub max_line_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            source: "jsonl".to_owned(),
            text_field: "text".to_owned(),
            id_field: None,
            url_field: None,
            date_field: None,
            max_line_bytes: 64 << 20,
        }
    }
}

fn build(options: serde_json::Value, _: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    Ok(Built::Reader(Box::new(JsonlReader {
        files: Files::new(config.paths, SUFFIXES),
        source: config.source,
        keys: Keys::new(config.text_field, config.id_field, config.url_field, config.date_field),
        max_line_bytes: usize::try_from(config.max_line_bytes).unwrap_or(usize::MAX),
    })))
}

struct JsonlReader {
    files: Files,
    source: String,
    keys: Keys,
    max_line_bytes: usize,
}

impl Reader for JsonlReader {
    fn files(&self) -> Result<Vec<String>, Vec<OptionError>> {
        self.files.list()
    }

    fn source(&self) -> &str {
        &self.source
    }

    fn passthrough(&self, file: &str) -> Result<Vec<(String, FieldType)>> {
        let mut lines = Lines::open(file, None, self.max_line_bytes)?;
        let mut rows = Vec::new();
        for _ in 0..LOOK_LINES {
            match lines.advance()? {
                Line::End => break,
                Line::Whole { offset, .. } => {
                    if let Ok(row) = serde_json::from_slice(without_mark(lines.bytes(), offset)) {
                        rows.push(row);
                    }
                }
                Line::TooLong { .. } | Line::Damaged { .. } => {}
            }
            if lines.position().offset > LOOK_BYTES {
                break;
            }
        }
        Ok(self.keys.passthrough(rows.into_iter()))
    }

    fn open(&self, split: u32, file: &str, at: Option<&Position>) -> Result<Box<dyn RecordStream>> {
        Ok(Box::new(JsonlStream {
            lines: Lines::open(file, at, self.max_line_bytes)?,
            origin: Origin::new(split, file, &self.source),
            keys: self.keys.clone(),
            max_line_bytes: self.max_line_bytes,
            looked: at.is_some_and(|at| at.record > 0),
            reported_empty: at.is_some_and(|at| at.record > 0),
        }))
    }
}

struct JsonlStream {
    lines: Lines,
    origin: Origin,
    keys: Keys,
    max_line_bytes: usize,
    /// Whether the first line with content was seen, which tells what the file is.
    looked: bool,
    reported_empty: bool,
}

impl RecordStream for JsonlStream {
    fn next(&mut self) -> Result<Option<Item>> {
        loop {
            let item = match self.lines.advance()? {
                Line::End if self.lines.is_empty_file() && !self.reported_empty => {
                    self.reported_empty = true;
                    return Ok(Some(self.origin.bad(0, 0, "empty_file", "the file holds nothing")));
                }
                Line::End => return Ok(None),
                Line::TooLong { offset, record, bytes } => {
                    let detail = format!("{bytes} bytes, more than `max_line_bytes` {}", self.max_line_bytes);
                    self.origin.bad(offset, record, "line_too_long", detail)
                }
                Line::Damaged { offset, record, damage, found } => {
                    let cut = damage.truncated && !found;
                    let cause = if cut { "truncated_record" } else { self.lines.codec().damage_cause() };
                    self.origin.bad(offset, record, cause, damage.detail)
                }
                Line::Whole { offset, record, ended } => {
                    let line = without_mark(self.lines.bytes(), offset);
                    if line.iter().all(u8::is_ascii_whitespace) {
                        continue;
                    }
                    let first = !std::mem::replace(&mut self.looked, true);
                    if let Some(what) = foreign(line).filter(|_| first) {
                        self.lines.stop()?;
                        return Ok(Some(self.origin.bad(offset, record, "not_jsonl", what)));
                    }
                    self.parse(line, offset, record, ended)
                }
            };
            return Ok(Some(item));
        }
    }

    fn position(&self) -> Position {
        let mut position = self.lines.position();
        if self.reported_empty && self.lines.is_empty_file() {
            position.record = 1;
        }
        position
    }
}

impl JsonlStream {
    fn parse(&self, line: &[u8], offset: u64, record: u64, ended: bool) -> Item {
        let error = match serde_json::from_slice::<Map<String, Value>>(line) {
            Ok(row) => return self.keys.item(row, offset, record, &self.origin),
            Err(error) => error,
        };
        let bad = |cause, detail: String| self.origin.bad(offset, record, cause, detail);
        if !ended && error.is_eof() {
            return bad("truncated_record", "the file ends inside the line".to_owned());
        }
        if let Err(error) = std::str::from_utf8(line) {
            // A cut in the middle of a character is a cut, too.
            let cut = !ended && error.error_len().is_none();
            return bad(
                if cut { "truncated_record" } else { "invalid_utf8" },
                format!("the line is not UTF-8: {error}"),
            );
        }
        if serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
            && !line.trim_ascii_start().starts_with(b"{")
        {
            return bad("not_an_object", "the line is JSON, but no object".to_owned());
        }
        bad(if ended { "invalid_json" } else { "truncated_record" }, error.to_string())
    }
}

/// The line without the byte order mark that may begin the file.
fn without_mark(line: &[u8], offset: u64) -> &[u8] {
    if offset > 0 {
        return line;
    }
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
}

/// What a file is that begins with this line and cannot be JSON Lines.
fn foreign(line: &[u8]) -> Option<&'static str> {
    let line = line.trim_ascii_start();
    match line {
        [b'<', ..] => Some("an HTML or XML page, perhaps a server's error message"),
        [b'P', b'A', b'R', b'1', ..] => Some("a Parquet file; read it with `parquet`"),
        [b'W', b'A', b'R', b'C', b'/', ..] => Some("a WARC file; read it with `warc` or `wet`"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16; only UTF-8 is read"),
        [b'['] | [b'[', b'{' | b' ', ..] => Some("one big list; one object per line is read"),
        _ => None,
    }
}
