//! `sentence_dedup`: spans of three sentences that occur more than once are cut out of the texts.
//!
//! Source: C4 (Raffel et al. 2020, section 2.2) discards all but one of any three-sentence span that occurs more
//! than once; the rules are those of datatrove 0.10's `SentenceDedup*` blocks: the `window` simplified sentences
//! are joined with spaces and hashed at every sentence; each occurrence of a hash but the first takes its `window`
//! sentences out; white space in front of a sentence goes and stays with it; a text is then stripped at its start;
//! a changed document with too few words or sentences is dropped, and an unchanged one is not looked at.
//!
//! Where we differ: the first occurrence follows the input's order over all files (datatrove: the number in the file comes
//! before the file); sentences are numbered alike when they are hashed and when they are cut (datatrove leaves blank
//! ones out only when hashing, so that it cuts one too early behind one); texts may have more than 65,535 sentences;
//! keys have 96 bits. Its `min_words_to_remove_span`, which looks at one sentence of a run and puts that one back, is not here.
//!
//! Cuts bring other sentences together, so the output may hold a span twice again. In a text that repeats itself
//! with less than `window` sentences in between (`a a a a`), the second occurrence overlaps the first and takes a part of it along.

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
use crate::text::lines::{strip, strip_start};
use crate::text::sentences::sentences;
use crate::text::simplify::simplify;

/// Describes the stage.
pub static SPEC: StageSpec = StageSpec {
    name: "sentence_dedup",
    kind: Kind::Dedup,
    needs_text: true,
    summary: "Cuts spans of three sentences out that occur more than once in the corpus or the document.",
    source: "C4 (Raffel et al. 2020) as in datatrove 0.10 `SentenceDedup`.",
    reasons: &[
        ("nothing_left", "all of its sentences occur elsewhere"),
        ("too_few_words", "fewer words are left after cuts than `min_words`"),
        ("too_few_sentences", "fewer sentences are left after cuts than `min_sentences`"),
    ],
    scores: &[],
    limits: &[],
    schema: schema_of::<Config>,
    build,
};

/// Options of `sentence_dedup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Sentences in a row that are compared and cut together, 1 to 100. Default 3. datatrove: `n_sentences`. A
    /// document with fewer sentences is left as it is.
    #[schemars(range(min = 1, max = 100))]
    pub window: u32,
    /// Which copies stay. Default `first`.
    pub keep: Keep,
    /// Where copies are looked for. Default `corpus`.
    pub scope: Scope,
    /// Words (punctuation marks among them) that a document must have at least once something was cut out of it; one
    /// with fewer is dropped. Documents of which nothing was cut are not looked at. Default 50. datatrove:
    /// `min_doc_words`.
    pub min_words: Option<u64>,
    /// The same for sentences. Default 3. datatrove: `min_num_sentences`.
    pub min_sentences: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window: 3,
            keep: Keep::First,
            scope: Scope::Corpus,
            min_words: Some(50),
            min_sentences: Some(3),
        }
    }
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
}

impl Barrier for Stage {
    fn signature(&self, doc: &Document, cx: &mut Context) -> Vec<u8> {
        let text = doc.text.as_str();
        let mut all = Vec::new();
        sentences(text, cx.features.words(text), &mut all);
        // Blank ones belong to the sentence before them.
        let mut places: Vec<(usize, usize)> = Vec::with_capacity(all.len());
        for (start, end) in all {
            match places.last_mut() {
                Some(last) if strip(&text[start..end]).is_empty() => last.1 = end,
                _ => places.push((start, end)),
            }
        }
        let window = self.config.window as usize;
        if places.len() < window {
            return Vec::new();
        }
        // All sentences in a row, a space behind each, so that every window is a slice.
        let (mut simple, mut row, mut ends) =
            (String::new(), String::new(), Vec::with_capacity(places.len() + 1));
        ends.push(0);
        let mut writer = SignatureWriter::default();
        for (number, &(start, end)) in places.iter().enumerate() {
            simplify(&text[start..end], &mut simple);
            row.push_str(&simple);
            row.push(' ');
            ends.push(row.len());
            writer.piece(start, end);
            if let Some(first) = (number + 1).checked_sub(window) {
                let span = &row[ends[first]..ends[number + 1] - 1];
                if !strip(span).is_empty() {
                    writer.unit(u32::try_from(first).unwrap_or(u32::MAX), UnitKey::of(span.as_bytes()));
                }
            }
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
        Ok(Box::new(Cuts::open(dir, split, self.config.window)?))
    }

    fn cut(&self, text: &str, cuts: &[Cut], cx: &mut Context) -> Result<String, Reason> {
        let left = crate::stage::without(text, cuts);
        let left = strip_start(&left);
        if strip(left).is_empty() {
            return Err(Reason::new("nothing_left"));
        }
        if let Some(min) = self.config.min_words {
            let words = cx.features.words(left).len() as u64;
            if words < min {
                return Err(Reason::measured("too_few_words", words as f64, min as f64));
            }
        }
        if let Some(min) = self.config.min_sentences {
            let count = cx.features.sentences(left);
            if count < min {
                return Err(Reason::measured("too_few_sentences", count as f64, min as f64));
            }
        }
        Ok(left.to_owned())
    }
}
