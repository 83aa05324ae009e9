//! The nouns that every room shares: a document, its place in the input, and the verdict on it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Place of a document in the whole input: the total order that every choice between documents uses.
///
/// Splits are numbered after sorting all input files by path, so the order in which a user lists them
/// does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ordinal {
    /// Number of the split (input file), from 0.
    pub split: u32,
    /// Number of the record in the split, from 0; records that are no documents count too.
    pub record: u64,
}

/// One page or text on its way from the crawl to the corpus.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Place in the input.
    pub ordinal: Ordinal,
    /// Stable id: the input's own where it has one, else 32 hex digits from file and offset.
    pub id: String,
    /// The text. Empty while [`Document::raw`] waits for extraction.
    pub text: String,
    /// The page as it was fetched, from a WARC response until a stage extracts its text.
    pub raw: Option<Raw>,
    /// Address of the page.
    pub url: Option<String>,
    /// When it was fetched or written, as the input has it (WARC: `WARC-Date`).
    pub date: Option<String>,
    /// Name of the input that it came from (`source:` in the pipeline, default the reader's name).
    pub source: Arc<str>,
    /// Input file, as the pipeline names it.
    pub file: Arc<str>,
    /// Byte offset of the record in the file: of the gzip member where each record has its own, else in
    /// the decompressed stream. Parquet: the row number.
    pub offset: u64,
    /// Language as an ISO 639-1 code where one exists, else ISO 639-3; set by the `language` stage.
    pub language: Option<String>,
    /// Probability of that language, 0 to 1.
    pub language_score: Option<f64>,
    /// Named measurements, `stage.score`, in the order in which stages made them.
    pub scores: Vec<(String, f64)>,
    /// Verdicts of filters in `annotate` mode: (stage, reason), for those that would have dropped it.
    pub verdicts: Vec<(String, String)>,
    /// Fields of the input that are passed through (JSONL keys, Parquet columns), plus page metadata
    /// that extraction found (`title`, `html_lang`, `canonical_url`, `page_date`).
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// Names of the [`Document::fields`] that extraction fills in where the page has them.
pub const PAGE_FIELDS: [&str; 4] = ["title", "html_lang", "canonical_url", "page_date"];

/// An undecoded HTTP payload (transfer and content encodings already removed).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What they are.
    pub media: Media,
    /// `charset` parameter of the `Content-Type` header, as sent.
    pub charset: Option<String>,
}

/// Kinds of payload that the WARC reader hands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Media {
    /// `text/html`, `application/xhtml+xml`, or sniffed as such.
    Html,
    /// `text/plain`.
    Plain,
}

impl Document {
    /// A document with nothing but its place and its text; readers and tests fill in the rest.
    #[must_use]
    pub fn new(ordinal: Ordinal, id: String, text: String) -> Self {
        Self {
            ordinal,
            id,
            text,
            raw: None,
            url: None,
            date: None,
            source: Arc::from(""),
            file: Arc::from(""),
            offset: 0,
            language: None,
            language_score: None,
            scores: Vec::new(),
            verdicts: Vec::new(),
            fields: serde_json::Map::new(),
        }
    }

    /// The score `stage.name`, where the document has it.
    #[must_use]
    pub fn stored_score(&self, stage: &str, name: &str) -> Option<f64> {
        let is_it = |key: &str| key.strip_prefix(stage).and_then(|rest| rest.strip_prefix('.')) == Some(name);
        self.scores.iter().find(|(key, _)| is_it(key)).map(|(_, value)| *value)
    }

    /// The id of a record that brings none: a hash of the file's name and the record's place in it.
    #[must_use]
    pub fn derived_id(file: &str, offset: u64, record: u64) -> String {
        let mut key = Vec::with_capacity(file.len() + 17);
        key.extend_from_slice(file.as_bytes());
        key.push(0);
        key.extend_from_slice(&offset.to_le_bytes());
        key.extend_from_slice(&record.to_le_bytes());
        format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&key))
    }

    /// Bytes that this document weighs in batches and rates: payload while it has one, else text.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.raw.as_ref().map_or(0, |raw| raw.bytes.len()) + self.text.len()
    }
}

/// Why a stage drops a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// What was found, one of the names in the stage's [`crate::stage::StageSpec::reasons`].
    pub name: &'static str,
    /// The measured value that crossed the limit, where there is one.
    pub value: Option<f64>,
    /// The limit itself, where there is one.
    pub limit: Option<f64>,
    /// What exactly was found (the word, the domain), where that helps.
    pub detail: Option<String>,
}

impl Reason {
    /// A reason without a number.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, value: None, limit: None, detail: None }
    }

    /// A reason with the measured value and the limit that it crossed.
    #[must_use]
    pub fn measured(name: &'static str, value: f64, limit: f64) -> Self {
        Self { name, value: Some(value), limit: Some(limit), detail: None }
    }

    /// The same reason with what was found.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// What a stage decides about one document.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Kept as it is (scores, language and fields may have been added).
    Keep,
    /// Kept, and its text was changed: cached features are void.
    Changed,
    /// Dropped.
    Drop(Reason),
}
