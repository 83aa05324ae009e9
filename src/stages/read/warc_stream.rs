//! What the `warc` and `wet` readers share: options, the list of files, and records turned into items.

use std::sync::{Arc, OnceLock};

use super::header::Header;
use super::records::{Bad, Record, Records, Step};
use crate::document::{Document, Ordinal};
use crate::error::Result;
use crate::io::paths;
use crate::stage::{BadRecord, Item, OptionError, Position, RecordStream};

/// The files of an input, listed once: standard input can only be read once.
pub(super) struct Files {
    patterns: Vec<String>,
    suffixes: &'static [&'static str],
    listed: OnceLock<Result<Vec<String>, Vec<OptionError>>>,
}

impl Files {
    pub(super) fn new(patterns: Vec<String>, suffixes: &'static [&'static str]) -> Self {
        Self { patterns, suffixes, listed: OnceLock::new() }
    }

    pub(super) fn list(&self) -> Result<Vec<String>, Vec<OptionError>> {
        let list = || {
            if self.patterns.is_empty() {
                return Err(vec![OptionError::new("paths", "names no file")]);
            }
            paths::expand(&self.patterns, self.suffixes).map_err(|errors| {
                let option_error = |(number, message)| OptionError::new(format!("paths.{number}"), message);
                errors.into_iter().map(option_error).collect()
            })
        };
        self.listed.get_or_init(list).clone()
    }
}

/// A file as the items of it name it.
#[derive(Clone)]
pub(super) struct Origin {
    pub split: u32,
    pub file: Arc<str>,
    pub source: Arc<str>,
    /// Path of the file in its crawl, where ids of documents go by that.
    crawl_path: Option<Arc<str>>,
}

impl Origin {
    pub(super) fn new(split: u32, file: &str, source: &str) -> Self {
        Self { split, file: Arc::from(file), source: Arc::from(source), crawl_path: None }
    }

    /// The same in a crawl whose every record is known by its file and offset: ids hold neither the place of the crawl nor the
    /// number of the record.
    pub(super) fn in_crawl(mut self, path: &str) -> Self {
        self.crawl_path = Some(Arc::from(path));
        self
    }

    /// An empty document at this place.
    pub(super) fn document(&self, offset: u64, record: u64) -> Box<Document> {
        let id = match &self.crawl_path {
            Some(path) => Document::derived_id(path, offset, 0),
            None => Document::derived_id(&self.file, offset, record),
        };
        let mut doc = Document::new(Ordinal { split: self.split, record }, id, String::new());
        doc.source = Arc::clone(&self.source);
        doc.file = Arc::clone(&self.file);
        doc.offset = offset;
        Box::new(doc)
    }

    /// A quarantine entry at this place.
    pub(super) fn bad(&self, offset: u64, record: u64, cause: &str, detail: impl Into<String>) -> Item {
        let file = self.file.to_string();
        Item::Bad(BadRecord { file, offset, record, cause: cause.to_owned(), detail: detail.into() })
    }
}

/// Decides what a whole record becomes.
pub(super) trait Judge: Send {
    /// A document, something that was never meant to be one, or a quarantine entry.
    fn judge(&mut self, record: &Record, header: &Header, content: &[u8], origin: &Origin) -> Item;
}

/// Items of one WARC or WET file.
pub(super) struct WarcStream<J> {
    pub records: Records,
    pub origin: Origin,
    pub judge: J,
}

impl<J: Judge> RecordStream for WarcStream<J> {
    fn next(&mut self) -> Result<Option<Item>> {
        Ok(match self.records.advance()? {
            Step::End => None,
            Step::Bad(Bad { offset, record, cause, detail }) => {
                Some(self.origin.bad(offset, record, cause, detail))
            }
            Step::Record(record) => {
                let (header, content) = (self.records.header(), self.records.content());
                Some(self.judge.judge(&record, header, content, &self.origin))
            }
        })
    }

    fn position(&self) -> Position {
        self.records.position()
    }
}

/// Address and date of a record that is to become a document; by ISO 28500 it must have both, and an id.
pub(super) fn describe(doc: &mut Document, header: &Header) -> Result<(), String> {
    for name in ["WARC-Record-ID", "WARC-Date", "WARC-Target-URI"] {
        if header.get(name).is_none() {
            return Err(format!("the record has no `{name}`"));
        }
    }
    doc.date = header.text("WARC-Date");
    // Files of old crawlers have the address in angle brackets.
    doc.url = header.text("WARC-Target-URI").map(|url| {
        url.strip_prefix('<').and_then(|url| url.strip_suffix('>')).map(str::to_owned).unwrap_or(url)
    });
    Ok(())
}

/// Fixed name of a record type, for those that never become documents.
pub(super) fn kind(record_type: &[u8]) -> &'static str {
    const KINDS: [&str; 8] =
        ["warcinfo", "request", "metadata", "revisit", "continuation", "resource", "conversion", "response"];
    let known = KINDS.iter().find(|kind| record_type.eq_ignore_ascii_case(kind.as_bytes()));
    known.copied().unwrap_or("unknown_type")
}

/// Words of the quarantine entry for a record above the limit.
pub(super) fn too_large(content_bytes: u64, max_record_bytes: u64) -> String {
    format!("{content_bytes} bytes of content, more than `max_record_bytes` {max_record_bytes}")
}
