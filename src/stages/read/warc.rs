//! WARC files (web archives, ISO 28500): responses become pages, everything else is counted and skipped.
//!
//! A `response` becomes a document if its status is 200 and its media type HTML or plain text (without a
//! `Content-Type` the crawler's own finding, `WARC-Identified-Payload-Type`, counts, then the first bytes);
//! a `resource` if it is `text/html`. Transfer and content encodings are removed, the charset is left to
//! extraction. Framing and damage: `records.rs`; HTTP: `http.rs`.
//!
//! Differences from warcio and fastwarc: a record that is not whole never becomes a document, reading goes
//! on after damage, and a payload whose chunks or compression are broken is quarantined instead of handed
//! out raw.

use schemars::JsonSchema;
use serde::Deserialize;

use super::header::Header;
use super::http::{self, Refusal};
use super::records::{Record, Records};
use super::warc_stream::{Files, Judge, Origin, WarcStream, describe, kind, too_large};
use crate::document::{Media, Raw};
use crate::error::Result;
use crate::stage::{
    BuildContext, Built, FieldType, Item, Kind, OptionError, Position, Reader, RecordStream, StageSpec,
    parse_options, schema_of,
};

/// Endings by which files of a folder are taken.
const SUFFIXES: &[&str] = &[".warc", ".warc.gz", ".warc.zst"];

/// The `warc` reader.
pub static SPEC: StageSpec = StageSpec {
    name: "warc",
    kind: Kind::Read,
    needs_text: false,
    summary: "Reads HTML and text pages from WARC 1.0 and 1.1 files: `.gz` member by member, `.zst`, or plain.",
    source: "ISO 28500; unlike warcio and fastwarc it goes on after damage and never hands out a cut record.",
    reasons: &[],
    scores: &[],
    limits: &[],
    schema: schema_of::<Config>,
    build,
};

/// Options of the `warc` reader.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Files, folders (every file below that ends with `.warc`, `.warc.gz` or `.warc.zst`), glob patterns,
    /// or `-` for a list of paths on standard input. At least one. What a file is compressed with is read
    /// from its content, not from its name.
    #[schemars(length(min = 1))]
    pub paths: Vec<String>,
    /// Name of this input in the `source` column. Default `warc`.
    pub source: String,
    /// Largest record content and largest decoded payload, in bytes. Default 16777216 (16 MiB). A page of
    /// exactly this size is read; a larger one is passed over without being held in memory and quarantined
    /// as `record_too_large` or, where only decoding makes it too large, `payload_too_large`.
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub max_record_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { paths: Vec::new(), source: "warc".to_owned(), max_record_bytes: 16 << 20 }
    }
}

fn build(options: serde_json::Value, _: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    let files = Files::new(config.paths, SUFFIXES);
    let (source, max_record_bytes) = (config.source, config.max_record_bytes);
    Ok(Built::Reader(Box::new(WarcReader { files, source, max_record_bytes })))
}

struct WarcReader {
    files: Files,
    source: String,
    max_record_bytes: u64,
}

impl Reader for WarcReader {
    fn files(&self) -> Result<Vec<String>, Vec<OptionError>> {
        self.files.list()
    }

    fn source(&self) -> &str {
        &self.source
    }

    fn passthrough(&self, _: &str) -> Result<Vec<(String, FieldType)>> {
        Ok(Vec::new())
    }

    fn open(&self, split: u32, file: &str, at: Option<&Position>) -> Result<Box<dyn RecordStream>> {
        let records = Records::open(file, at, self.max_record_bytes)?;
        let origin = Origin::new(split, file, &self.source);
        let judge = Pages { max_record_bytes: self.max_record_bytes, http: Header::default() };
        Ok(Box::new(WarcStream { records, origin, judge }))
    }
}

/// Makes documents of responses.
pub(super) struct Pages {
    pub max_record_bytes: u64,
    /// HTTP header of the record at hand, kept to reuse its memory.
    pub http: Header,
}

/// A record's payload: a page, or why it is none.
enum Payload {
    Page(Raw),
    Other(&'static str),
}

impl Judge for Pages {
    fn judge(&mut self, record: &Record, header: &Header, content: &[u8], origin: &Origin) -> Item {
        let record_type = header.get("WARC-Type").unwrap_or_default();
        let payload = match kind(record_type) {
            "response" => self.response(record, header, content),
            "resource" => self.resource(record, header, content),
            other => return Item::Skipped(other),
        };
        let raw = match payload {
            Ok(Payload::Page(raw)) => raw,
            Ok(Payload::Other(what)) => return Item::Skipped(what),
            Err((cause, detail)) => return origin.bad(record.offset, record.number, cause, detail),
        };
        let mut doc = origin.document(record.offset, record.number);
        if let Err(detail) = describe(&mut doc, header) {
            return origin.bad(record.offset, record.number, "missing_header", detail);
        }
        doc.raw = Some(raw);
        Item::Document(doc)
    }
}

impl Pages {
    fn response(&mut self, record: &Record, header: &Header, content: &[u8]) -> Result<Payload, Refusal> {
        let declared = header.get("Content-Type").map(|value| http::content_type(value).0);
        let is_http = content.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"HTTP/"));
        if !is_http && declared.as_deref() != Some("application/http") {
            return Ok(Payload::Other("not_http"));
        }
        let head = http::head(content, &mut self.http)?;
        if head.status != 200 {
            return Ok(Payload::Other("http_status"));
        }
        let body = &content[head.bytes..];
        let sent = self.http.get("Content-Type").map(http::content_type);
        let (media_type, charset) = sent.unwrap_or_default();
        let known = if media_type.is_empty() {
            header.get("WARC-Identified-Payload-Type").map(|value| http::content_type(value).0)
        } else {
            Some(media_type)
        };
        let mut media = known.as_deref().and_then(http::media);
        if known.is_some() && media.is_none() {
            return Ok(Payload::Other("media_type"));
        }
        if !record.whole {
            return Err(("record_too_large", too_large(record.content_bytes, self.max_record_bytes)));
        }
        let max_bytes = usize::try_from(self.max_record_bytes).unwrap_or(usize::MAX);
        let truncated = header.get("WARC-Truncated").is_some();
        let bytes = match http::body(&self.http, body, max_bytes, truncated) {
            Ok(bytes) => bytes,
            // What could not be decoded was not known to be a page either.
            Err(_) if media.is_none() => return Ok(Payload::Other("media_type")),
            Err(refusal) => return Err(refusal),
        };
        media = media.or_else(|| http::sniff(&bytes));
        let Some(media) = media else { return Ok(Payload::Other("media_type")) };
        Ok(Payload::Page(Raw { bytes, media, charset }))
    }

    fn resource(&self, record: &Record, header: &Header, content: &[u8]) -> Result<Payload, Refusal> {
        let (media_type, charset) = header.get("Content-Type").map(http::content_type).unwrap_or_default();
        if http::media(&media_type) != Some(Media::Html) {
            return Ok(Payload::Other("resource"));
        }
        if !record.whole {
            return Err(("record_too_large", too_large(record.content_bytes, self.max_record_bytes)));
        }
        Ok(Payload::Page(Raw { bytes: content.to_vec(), media: Media::Html, charset }))
    }
}
