//! WET files (Common Crawl's extracted text): `conversion` records become documents, the rest is skipped.
//!
//! The text is taken as it is. It must be UTF-8, which the format promises: a record that is not is
//! quarantined as `invalid_utf8`, because a guess would silently corrupt text. The crawl's own language
//! finding (`WARC-Identified-Content-Language`, ISO 639-3 codes, most frequent first) is passed through as
//! the field `cc_languages`; it does not stand in for the `language` stage.

use schemars::JsonSchema;
use serde::Deserialize;

use super::header::Header;
use super::http;
use super::records::{Record, Records, Step};
use super::warc_stream::{Files, Judge, Origin, WarcStream, describe, kind, too_large};
use crate::error::Result;
use crate::stage::{
    BuildContext, Built, FieldType, Item, Kind, OptionError, Position, Reader, RecordStream, StageSpec,
    parse_options, schema_of,
};

/// Endings by which files of a folder are taken.
const SUFFIXES: &[&str] = &[".wet", ".wet.gz", ".wet.zst"];
/// Header that the field comes from.
const LANGUAGES_HEADER: &str = "WARC-Identified-Content-Language";
/// Name of the field.
pub(super) const LANGUAGES_FIELD: &str = "cc_languages";
/// How far [`Reader::passthrough`] looks.
const LOOK_RECORDS: u32 = 1000;
const LOOK_BYTES: u64 = 1 << 20;

/// The `wet` reader.
pub static SPEC: StageSpec = StageSpec {
    name: "wet",
    kind: Kind::Read,
    needs_text: false,
    summary: "Reads extracted text from WET files (`conversion` records): `.gz` member by member, `.zst`, or plain.",
    source: "Common Crawl's WET format on ISO 28500; text that is not UTF-8 is quarantined, not guessed.",
    reasons: &[],
    scores: &[],
    limits: &[],
    schema: schema_of::<Config>,
    build,
};

/// Options of the `wet` reader.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Files, folders (every file below that ends with `.wet`, `.wet.gz` or `.wet.zst`), glob patterns, or
    /// `-` for a list of paths on standard input. At least one. What a file is compressed with is read from
    /// its content, not from its name.
    #[schemars(length(min = 1))]
    pub paths: Vec<String>,
    /// Name of this input in the `source` column. Default `wet`.
    pub source: String,
    /// Largest text, in bytes. Default 16777216 (16 MiB). A text of exactly this size is read; a larger one
    /// is passed over without being held in memory and quarantined as `record_too_large`.
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub max_record_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { paths: Vec::new(), source: "wet".to_owned(), max_record_bytes: 16 << 20 }
    }
}

fn build(options: serde_json::Value, _: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    let files = Files::new(config.paths, SUFFIXES);
    let (source, max_record_bytes) = (config.source, config.max_record_bytes);
    Ok(Built::Reader(Box::new(WetReader { files, source, max_record_bytes })))
}

struct WetReader {
    files: Files,
    source: String,
    max_record_bytes: u64,
}

impl Reader for WetReader {
    fn files(&self) -> Result<Vec<String>, Vec<OptionError>> {
        self.files.list()
    }

    fn source(&self) -> &str {
        &self.source
    }

    fn passthrough(&self, file: &str) -> Result<Vec<(String, FieldType)>> {
        let mut records = Records::open(file, None, self.max_record_bytes)?;
        let mut bytes = 0;
        for _ in 0..LOOK_RECORDS {
            match records.advance()? {
                Step::End => break,
                Step::Bad(_) => {}
                Step::Record(record) => {
                    if records.header().get(LANGUAGES_HEADER).is_some() {
                        return Ok(vec![(LANGUAGES_FIELD.to_owned(), FieldType::String)]);
                    }
                    bytes += record.content_bytes;
                }
            }
            if bytes > LOOK_BYTES {
                break;
            }
        }
        Ok(Vec::new())
    }

    fn open(&self, split: u32, file: &str, at: Option<&Position>) -> Result<Box<dyn RecordStream>> {
        let records = Records::open(file, at, self.max_record_bytes)?;
        let origin = Origin::new(split, file, &self.source);
        Ok(Box::new(WarcStream { records, origin, judge: Texts { max_record_bytes: self.max_record_bytes } }))
    }
}

/// Makes documents of conversions.
pub(super) struct Texts {
    pub max_record_bytes: u64,
}

impl Judge for Texts {
    fn judge(&mut self, record: &Record, header: &Header, content: &[u8], origin: &Origin) -> Item {
        let bad = |cause, detail| origin.bad(record.offset, record.number, cause, detail);
        match kind(header.get("WARC-Type").unwrap_or_default()) {
            "conversion" => {}
            other => return Item::Skipped(other),
        }
        let media_type = header.get("Content-Type").map(|value| http::content_type(value).0);
        if media_type.is_some_and(|media_type| media_type != "text/plain") {
            return Item::Skipped("media_type");
        }
        if !record.whole {
            return bad("record_too_large", too_large(record.content_bytes, self.max_record_bytes));
        }
        let text = match std::str::from_utf8(content) {
            Ok(text) => text.to_owned(),
            Err(error) => return bad("invalid_utf8", format!("the text is not UTF-8: {error}")),
        };
        let mut doc = origin.document(record.offset, record.number);
        if let Err(detail) = describe(&mut doc, header) {
            return bad("missing_header", detail);
        }
        doc.text = text;
        if let Some(languages) = header.text(LANGUAGES_HEADER) {
            doc.fields.insert(LANGUAGES_FIELD.to_owned(), languages.into());
        }
        Item::Document(doc)
    }
}
