//! `line_dedup`: lines or paragraphs that occur more than once are cut out of the texts.
//!
//! Source: CCNet (Wenzek et al. 2020) removes lines by a hash of the normalised line ([`crate::text::ccnet`]), all copies
//! of them within a group of shards; Dolma (Soldaini et al. 2024, `dolma dedupe` on paragraphs) keeps the first
//! copy. What both call a paragraph is a line. Where we differ: over the whole corpus, with exact counts
//! rather than a Bloom filter; the first copy stays (`keep: none`: as in CCNet) and is the first in the input's order
//! (in Dolma the threads' timing decides); lines that normalise to nothing are left alone (CCNet removes
//! blank lines as copies of each other); white space around a cut is closed up; and every cut is on record.
//!
//! A cut takes whole lines with their line ends; of the blank lines that then meet one stays. With `keep: first`,
//! going over the output again cuts nothing. A document that is dropped for what is left takes its first copies along:
//! later copies of them do not come back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::span_passes::{Finding, UNITS_PER_TASK};
pub use super::span_passes::{Keep, Scope};
use super::span_removals::Cuts;
use super::span_rows::{SignatureWriter, UnitKey};
use crate::document::{Document, Reason};
use crate::error::Result;
use crate::stage::{
    Barrier, BuildContext, Built, Context, Cut, Kind, Observer, OptionError, Pass, Removals, StageSpec,
    parse_options, schema_of,
};
use crate::text::lines::{chars, strip};
use crate::text::{ccnet, cut, simplify};

/// Describes the stage.
pub static SPEC: StageSpec = StageSpec {
    name: "line_dedup",
    kind: Kind::Dedup,
    needs_text: true,
    summary: "Cuts lines or paragraphs out that occur more than once in the corpus or the document.",
    source: "CCNet's line hashes and Dolma's paragraphs; 96-bit xxh3, the first in input order stays, cuts on record.",
    reasons: &[
        ("nothing_left", "all of its lines occur elsewhere"),
        ("too_few_words", "fewer words are left after cuts than `min_words`"),
    ],
    scores: &[],
    limits: &[],
    schema: schema_of::<Config>,
    build,
};

/// Options of `line_dedup`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What is compared and cut. Default `line`, which CCNet and Dolma call a paragraph.
    pub unit: Unit,
    /// What counts as the same line. Default `ccnet`.
    pub normalize: Normalize,
    /// Which copies stay. Default `first`.
    pub keep: Keep,
    /// Where copies are looked for. Default `corpus`.
    pub scope: Scope,
    /// Characters, without white space at the ends, that a line or paragraph has at least to be compared and cut;
    /// shorter ones stay. Default `null`: no minimum, as in CCNet. 20 or so spares dialogue, verse and code.
    pub min_chars: Option<u64>,
    /// Words that a document must have at least once something was cut out of it; one with fewer is dropped. Documents
    /// of which nothing was cut are not looked at. Default `null`: any that has a visible character left stays.
    pub min_words: Option<u64>,
}

/// What is compared and cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// What stands between line feeds.
    #[default]
    Line,
    /// Lines in a row that are not blank.
    Paragraph,
}

/// What counts as the same line or paragraph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// Equal but for white space at the ends.
    None,
    /// Equal but for case, digits (each counts as `0`), typographic punctuation (quotes, dashes, CJK marks; not that of
    /// ASCII), control characters and white space at the ends, as in CCNet. In a paragraph line feeds are control
    /// characters.
    #[default]
    Ccnet,
    /// Equal words: also without any punctuation and accents, with every number alike, white space collapsed (as in
    /// `exact_dedup` and `sentence_dedup`).
    Simplified,
}

fn build(options: serde_json::Value, _cx: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    Ok(Built::Barrier(Arc::new(Stage::new(parse_options(options)?))))
}

/// The stage.
pub struct Stage {
    config: Config,
    units_per_task: u64,
}

impl Stage {
    /// The stage with these options.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, units_per_task: UNITS_PER_TASK }
    }

    /// With tasks for so many units, about.
    #[cfg(test)]
    pub(super) fn with_units_per_task(config: Config, units_per_task: u64) -> Self {
        Self { config, units_per_task }
    }

    fn finding(&self) -> Finding {
        Finding { keep: self.config.keep, scope: self.config.scope, units_per_task: self.units_per_task }
    }

    fn is_long_enough(&self, piece: &str) -> bool {
        self.config.min_chars.is_none_or(|min| {
            let piece = strip(piece);
            // Bytes settle it for most.
            let bytes = piece.len() as u64;
            bytes >= min && (bytes >= min.saturating_mul(4) || chars(piece) as u64 >= min)
        })
    }
}

/// Calls `found` with the place of every line, without its line end.
fn for_each_line(text: &str, mut found: impl FnMut(usize, usize)) {
    let mut start = 0;
    for line in text.split('\n') {
        found(start, start + line.strip_suffix('\r').unwrap_or(line).len());
        start += line.len() + 1;
    }
}

/// Calls `found` with the place of every paragraph, without the line end of its last line.
fn for_each_paragraph(text: &str, mut found: impl FnMut(usize, usize)) {
    let mut open: Option<(usize, usize)> = None;
    for_each_line(text, |start, end| {
        if text[start..end].trim().is_empty() {
            if let Some((start, end)) = open.take() {
                found(start, end);
            }
        } else {
            open = Some((open.map_or(start, |(start, _)| start), end));
        }
    });
    if let Some((start, end)) = open {
        found(start, end);
    }
}

impl Barrier for Stage {
    fn signature(&self, doc: &Document, _cx: &mut Context) -> Vec<u8> {
        let text = doc.text.as_str();
        let mut writer = SignatureWriter::default();
        let (mut normalised, mut simple) = (Vec::new(), String::new());
        let found = |start: usize, end: usize| {
            let piece = &text[start..end];
            if !self.is_long_enough(piece) {
                return;
            }
            normalised.clear();
            let normalised: &[u8] = match self.config.normalize {
                Normalize::None => strip(piece).as_bytes(),
                Normalize::Ccnet => {
                    ccnet::normalize_line(piece, &mut normalised);
                    &normalised
                }
                Normalize::Simplified => {
                    simplify::simplify(piece, &mut simple);
                    simple.as_bytes()
                }
            };
            if !normalised.is_empty() {
                writer.unit(writer.next_piece(), UnitKey::of(normalised));
                writer.piece(start, end);
            }
        };
        match self.config.unit {
            Unit::Line => for_each_line(text, found),
            Unit::Paragraph => for_each_paragraph(text, found),
        }
        writer.finish()
    }

    fn observer(&self, dir: &Path, task: u32, part: u32, memory_bytes: u64) -> Result<Box<dyn Observer>> {
        self.finding().observer(dir, task, part, memory_bytes)
    }

    fn passes(self: Arc<Self>, dir: PathBuf) -> Vec<Box<dyn Pass>> {
        self.finding().passes(&dir)
    }

    fn removals(&self, dir: &Path, split: u32) -> Result<Box<dyn Removals>> {
        Ok(Box::new(Cuts::open(dir, split, 1)?))
    }

    fn cut(&self, text: &str, cuts: &[Cut], cx: &mut Context) -> Result<String, Reason> {
        let edits: Vec<cut::Edit> = cuts.iter().map(|cut| cut::Edit::cut(cut.range.clone())).collect();
        let left = cut::apply(text, &edits);
        if strip(&left).is_empty() {
            return Err(Reason::new("nothing_left"));
        }
        if let Some(min) = self.config.min_words {
            let words = cx.features.words(&left).len() as u64;
            if words < min {
                return Err(Reason::measured("too_few_words", words as f64, min as f64));
            }
        }
        Ok(left)
    }
}
