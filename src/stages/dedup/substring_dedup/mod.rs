//! `substring_dedup`: stretches of at least `min_bytes` bytes that stand in the corpus before are cut out.
//!
//! Source: Lee et al. 2022, "Deduplicating Training Data Makes Language Models Better", section 4.1 (`ExactSubstr`:
//! repeats of 50 tokens, here bytes). There a suffix array over the whole corpus finds them; here anchors that the
//! content picks ([`anchors`]) bring copies together, and bytes are compared ([`rounds`]). Exact both: no repeat is
//! missed, none is made up. Where we differ: the first copy in input order stays (there all copies go, or one of
//! them at random); in one text a copy must begin `min_bytes` or more behind the first one, so that a long run of one
//! character keeps `min_bytes` bytes; cuts end at character borders; every cut is on record.
//!
//! Passes: [`catalog`](super::catalog); `match`, one task per range of anchors; `order`, one task per range of parts.
//! Memory: the sort buffers, and twice `min_bytes` per comparison. Texts are read back from the parts' files, so the
//! scratch folder holds them once more.

mod anchors;
mod passes;
mod rounds;
mod rows;
#[cfg(test)]
mod tests;
mod texts;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::anchors::Sampling;
use self::passes::{ANCHORS_PER_TASK, Finding};
use crate::document::{Document, Reason};
use crate::error::Result;
use crate::stage::{
    Barrier, BuildContext, Built, Context, Cut, Kind, Observer, OptionError, Pass, Removals, StageSpec,
    parse_options, schema_of,
};
use crate::text::cut;
use crate::text::lines::strip;

/// Describes the stage.
pub static SPEC: StageSpec = StageSpec {
    name: "substring_dedup",
    kind: Kind::Dedup,
    needs_text: true,
    summary: "Cuts stretches of text out that stand in the corpus before, wherever they begin and end.",
    source: "ExactSubstr (Lee et al. 2022) by anchors and comparison of bytes; the first copy stays, cuts on record.",
    reasons: &[
        ("nothing_left", "all of it stands in earlier texts"),
        ("repeated_share", "more of its bytes are repeats than `max_repeated_share`"),
        ("too_few_words", "fewer words are left after cuts than `min_words`"),
    ],
    scores: &[],
    limits: &[],
    schema: schema_of::<Config>,
    build,
};

/// Least `min_bytes`.
const LEAST_BYTES: u32 = 16;
/// Largest `min_bytes`.
const MOST_BYTES: u32 = 65_536;

/// Options of `substring_dedup`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bytes of UTF-8 that a repeat has at least, 16 to 65,536. Default 200: about the 50 tokens of Lee et al. in
    /// English; a Chinese character has three bytes.
    #[schemars(range(min = 16, max = 65_536))]
    pub min_bytes: u32,
    /// Documents go as a whole where more than this share of their bytes (0 to 1) are repeats. Default `null`: none.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_repeated_share: Option<f64>,
    /// Words that a document must have at least once something was cut out of it; one with fewer is dropped. Documents
    /// of which nothing was cut are not looked at. Default `null`: any that has a visible character left stays.
    pub min_words: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self { min_bytes: 200, max_repeated_share: None, min_words: None }
    }
}

fn build(options: serde_json::Value, _cx: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    let mut errors = Vec::new();
    if !(LEAST_BYTES..=MOST_BYTES).contains(&config.min_bytes) {
        let what = format!("is {}, and must be from {LEAST_BYTES} to {MOST_BYTES} bytes", config.min_bytes);
        errors.push(OptionError::new("min_bytes", what));
    }
    if let Some(share) = config.max_repeated_share.filter(|share| !(0.0..=1.0).contains(share)) {
        errors.push(OptionError::new("max_repeated_share", format!("is {share}, and must be from 0 to 1")));
    }
    if errors.is_empty() { Ok(Built::Barrier(Arc::new(Stage::new(config)))) } else { Err(errors) }
}

/// The stage.
pub struct Stage {
    config: Config,
    sampling: Sampling,
    anchors_per_task: u64,
}

impl Stage {
    /// The stage with these options, which are in their ranges.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let sampling = Sampling::new(config.min_bytes as usize);
        Self { config, sampling, anchors_per_task: ANCHORS_PER_TASK }
    }

    /// With tasks for so many anchors, about.
    #[cfg(test)]
    fn with_anchors_per_task(config: Config, anchors_per_task: u64) -> Self {
        Self { anchors_per_task, ..Self::new(config) }
    }

    fn finding(&self) -> Finding {
        Finding { sampling: self.sampling, anchors_per_task: self.anchors_per_task }
    }
}

impl Barrier for Stage {
    fn signature(&self, doc: &Document, _cx: &mut Context) -> Vec<u8> {
        passes::signature(self.sampling, doc.text.as_bytes())
    }

    fn observer(&self, dir: &Path, task: u32, part: u32, memory_bytes: u64) -> Result<Box<dyn Observer>> {
        passes::observer(dir, task, part, memory_bytes)
    }

    fn passes(self: Arc<Self>, dir: PathBuf) -> Vec<Box<dyn Pass>> {
        self.finding().passes(&dir)
    }

    fn removals(&self, dir: &Path, split: u32) -> Result<Box<dyn Removals>> {
        passes::removals(dir, split)
    }

    fn cut(&self, text: &str, cuts: &[Cut], cx: &mut Context) -> Result<String, Reason> {
        if let Some(max) = self.config.max_repeated_share {
            let repeated: usize = cuts.iter().map(|cut| cut.range.len()).sum();
            let share = repeated as f64 / text.len().max(1) as f64;
            if share > max {
                return Err(Reason::measured("repeated_share", share, max));
            }
        }
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
