//! `minhash_dedup`: of documents that are alike the first stays, or another one by rule.
//!
//! Source: MinHash with banding (Broder 1997; Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets",
//! chapter 3) with the parameters of FineWeb's datatrove: word 5-grams of simplified text, 14 bands of 8
//! rows. Two documents of similarity s share a band with probability 1 - (1 - s^8)^14: .05 at .5, .56 at
//! .7, .92 at .8, .9996 at .9.
//!
//! Where we differ from datatrove and most others: documents that share a band are candidates only. The
//! Jaccard similarity of their shingle sets is computed and must reach `min_jaccard`; by default
//! (`linkage: direct`) a document goes only where it is that much alike to one that stays, so that no
//! chain of near misses swallows a corpus. The survivor is the first in the input, or the best by `keep`. Our hash family works
//! on 32 bits; which pairs become candidates differs from datatrove, how many does not (`hash_family: datatrove` has its very
//! functions).
//!
//! Files: per part one sorted run of (band hash, place), and the shingle sets (4 bytes per shingle). Then
//! tasks over ranges of band hashes list candidate pairs, tasks over ranges of documents verify them, and
//! one task decides who stays (see `clusters.rs` for what it holds).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::catalog::CatalogPass;
use super::clusters::ClusterPass;
pub use super::clusters::Linkage;
use super::counts::{COPIES, CountPass};
use super::earlier::{Earlier, Runs};
use super::groups::{GATHER_ABOVE, GatherPass, Grouping, ROWS_PER_TASK};
use super::jaccard::Contents;
pub use super::jaccard::Measure;
use super::minwise::Family;
use super::observe::{PartWriter, RankedWriter};
use super::records::{Key, Ranked, Row, take_u32};
use super::scope::confine;
use super::shingles::{shingle_set, shingles_of_chars};
pub use super::survivor::Survivor;
use super::top_ratio::Within;
use super::verify::{CandidatePass, PAIRS_PER_TASK, VerifyPass};
use super::{datatrove_hashes, keep, removals};
use crate::document::Document;
use crate::error::Result;
use crate::io::runs::Record;
use crate::stage::{
    Barrier, BuildContext, Built, Context, Kind, Observer, OptionError, Pass, Removals, StageSpec,
    parse_options, schema_of,
};

/// Describes the stage.
pub static SPEC: StageSpec = StageSpec {
    name: "minhash_dedup",
    kind: Kind::Dedup,
    needs_text: true,
    summary: "Of documents that are alike (MinHash candidates, verified by Jaccard similarity) keeps the first.",
    source: "datatrove's MinHash parameters (FineWeb: word 5-grams, 14 x 8); candidates are verified, the \
             smallest ordinal survives.",
    reasons: &[("near_duplicate", "another document that stays has nearly the same words")],
    scores: &[COPIES],
    limits: &[],
    schema: schema_of::<Config>,
    build,
};

/// Options of `minhash_dedup`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Characters in a shingle, 1 to 1000, in place of words: of the simplified text, each run of white space one. NeMo Curator: 24.
    /// Not beside `ngram_words`. Default: none, words.
    #[schemars(range(min = 1, max = 1000))]
    pub ngram_chars: Option<u32>,
    /// Consecutive words in a shingle, 1 to 64. Default 5. A document with fewer words has no shingle and
    /// is never a duplicate here (`exact_dedup` finds it).
    #[schemars(range(min = 1, max = 64))]
    pub ngram_words: u32,
    /// Bands of a signature, 1 to 256. Default 14. More bands find more pairs and cost more disk: 20 bytes
    /// per band and document.
    #[schemars(range(min = 1, max = 256))]
    pub bands: u32,
    /// Hashes in a band, 1 to 64. Default 8. More rows find fewer pairs below the wanted similarity. Half
    /// of the pairs with similarity (1/bands)^(1/rows) (.72 by default) share a band.
    #[schemars(range(min = 1, max = 64))]
    pub rows: u32,
    /// In place of `bands` and `rows`: the similarity at which a pair should begin to share a band, above 0 and below 1. Of all numbers
    /// of bands and rows that take `hashes` at most, those are taken whose curve of finding 1 - (1 - s^rows)^bands has the least area on the
    /// wrong side of it, above and below counted alike (as datasketch and text-dedup): 9 x 13 for 0.8 of 128. Choose it a bit below
    /// `min_jaccard`, which removes what is found too much. Default: none.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub similarity: Option<f64>,
    /// Most hashes that `similarity` may use, 2 to 16,384. Only beside `similarity`. Default: 128.
    #[schemars(range(min = 2, max = 16384))]
    pub hashes: Option<u32>,
    /// The hash functions: `tamis`, 32 bits and fast, or `datatrove`, which gives that library's signatures bit for bit (xxh64, its
    /// default; `seed` is its `seed`), so that the same pairs become candidates as there, at a third of the speed. For
    /// words. Default `tamis`.
    pub hash_family: HashFamily,
    /// Least Jaccard similarity of two documents' shingle sets for one to go, 0 to 1. Default 0.8; a pair
    /// at exactly this value goes. 0 trusts every shared band, as datatrove does.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_jaccard: f64,
    /// Whether a document that goes must itself be alike to the one that stays (`direct`, the default) or
    /// chains count (`single`).
    pub linkage: Linkage,
    /// What `min_jaccard` is held against: the similarity of the `shingles` themselves (default), or the estimate from the `signatures`,
    /// which takes 4 bytes per hash on disk and no more for long documents, and is off by about .04 at .8 with 112 hashes.
    pub verify: Measure,
    /// Which of the documents that are alike stays: the `first` in the input (default), the `longest` in characters, the `newest` by its
    /// date (the first fourteen digits of `date`: year to second), or `{ highest: SCORE }`, by a score that an earlier stage added
    /// (`classifier.score`). Of equal ones the first stays, and any before one without a date or the score. Not beside `against` and
    /// `keep_signatures`, for which the earlier run's document stays.
    pub keep: Survivor,
    /// Chooses the hash functions. Default 1. Another seed finds other pairs near the threshold.
    pub seed: u64,
    /// What is compared: all documents (`corpus`, the default), or only those of the same `source` (a dump, say, where
    /// each has an input of its own) or `language`. Documents without a language are a group of their own.
    pub within: Within,
    /// Run directory of an earlier run, or a list of them: documents that are copies of one that stayed there go, and
    /// the removal names that document. Default: none. The earlier runs must have been made with `keep_signatures: true`
    /// and the same options of this stage (`min_jaccard` and `linkage` may differ); their texts are not read. Their directories must stay where
    /// they are until this run ends.
    pub against: Runs,
    /// Whether `signatures/` in the run directory keeps what a later run needs for `against`: 20 bytes per band,
    /// 4 per shingle and 28 with the id for each document that stays. Default false.
    pub keep_signatures: bool,
    /// Whether documents that stay get the score `copies`: how many documents of this run each stands for, itself counted, to weight it
    /// by how often its text occurred. Copies that an `exact_dedup` before this stage removed are counted there. Default false.
    pub keep_counts: bool,
}

/// Which functions make signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HashFamily {
    /// Ours.
    Tamis,
    /// datatrove's.
    Datatrove,
}

impl Config {
    /// What does not go together.
    fn mistakes(&self) -> Vec<OptionError> {
        let usual = Self::default();
        let mut errors = Vec::new();
        if self.ngram_chars.is_some() && self.ngram_words != usual.ngram_words {
            let error =
                OptionError::new("ngram_chars", "a shingle is made of words or of characters, not both");
            errors.push(error.hint("take out `ngram_words`"));
        }
        if self.ngram_chars.is_some() && self.hash_family == HashFamily::Datatrove {
            errors.push(OptionError::new("ngram_chars", "datatrove's signatures are of words"));
        }
        if self.hash_family == HashFamily::Datatrove && u32::try_from(self.seed).is_err() {
            errors.push(OptionError::new("seed", "the seeds of `hash_family: datatrove` end at 4294967295"));
        }
        match self.similarity {
            None if self.hashes.is_some() => {
                let error = OptionError::new("hashes", "how many there are follows from `bands` and `rows`");
                errors.push(error.hint("give `similarity`, or take it out"));
            }
            Some(_) if (self.bands, self.rows) != (usual.bands, usual.rows) => {
                let error = OptionError::new("similarity", "`bands` and `rows` follow from it");
                errors.push(error.hint("take them out, or `similarity`"));
            }
            Some(wanted) if wanted <= 0.0 || wanted >= 1.0 => {
                errors.push(OptionError::new("similarity", "must be above 0 and below 1"));
            }
            _ => {}
        }
        errors
    }

    /// Bands and rows, given or derived.
    fn shape(&self) -> (u32, u32) {
        self.similarity.map_or((self.bands, self.rows), |wanted| {
            bands_and_rows(wanted, self.hashes.unwrap_or(DEFAULT_HASHES))
        })
    }
}

/// Hashes that `similarity` may use where nothing is said.
const DEFAULT_HASHES: u32 = 128;

/// The numbers of bands and rows, at most `hashes` together, whose curve has the least wrong area; the first where two are alike.
fn bands_and_rows(wanted: f64, hashes: u32) -> (u32, u32) {
    let mut best = (f64::INFINITY, (1, 1));
    for bands in 1..=hashes.min(256) {
        for rows in 1..=(hashes / bands).min(64) {
            let found = |s: f64| 1.0 - (1.0 - s.powi(rows.cast_signed())).powi(bands.cast_signed());
            let wrong = area(0.0, wanted, found) + area(wanted, 1.0, |s| 1.0 - found(s));
            if wrong < best.0 {
                best = (wrong, (bands, rows));
            }
        }
    }
    best.1
}

/// Integral by midpoints, in steps of a thousandth as datasketch.
fn area(from: f64, to: f64, curve: impl Fn(f64) -> f64) -> f64 {
    const STEP: f64 = 0.001;
    let (mut x, mut sum) = (from, 0.0);
    while x < to {
        sum += curve(x + STEP / 2.0) * STEP;
        x += STEP;
    }
    sum
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ngram_chars: None,
            ngram_words: 5,
            bands: 14,
            rows: 8,
            similarity: None,
            hashes: None,
            hash_family: HashFamily::Tamis,
            min_jaccard: 0.8,
            linkage: Linkage::Direct,
            verify: Measure::Shingles,
            keep: Survivor::First,
            seed: 1,
            within: Within::Corpus,
            against: Runs::default(),
            keep_signatures: false,
            keep_counts: false,
        }
    }
}

fn build(options: serde_json::Value, cx: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    let mut errors = config.mistakes();
    errors.extend(config.keep.mistakes(config.keep_signatures || config.against != Runs::default(), cx));
    if !errors.is_empty() {
        return Err(errors);
    }
    let earlier = Earlier::open(SPEC.name, &config.against, &config, cx)?;
    Ok(Built::Barrier(Arc::new(Stage { earlier, ..Stage::new(config) })))
}

/// The stage.
pub struct Stage {
    config: Config,
    bands: usize,
    rows: usize,
    family: Functions,
    earlier: Earlier,
    gather_above: u64,
    rows_per_task: u64,
    pairs_per_task: u64,
}

/// The functions in use.
enum Functions {
    Tamis(Family),
    Datatrove(datatrove_hashes::Family),
}

impl Stage {
    /// The stage with these options, but for `against`, which only a pipeline can name.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let (bands, rows) = config.shape();
        let (bands, rows) = (bands as usize, rows as usize);
        let family = match config.hash_family {
            HashFamily::Tamis => Functions::Tamis(Family::new(bands * rows, config.seed)),
            HashFamily::Datatrove => Functions::Datatrove(datatrove_hashes::Family::new(
                bands * rows,
                u32::try_from(config.seed).unwrap_or(u32::MAX),
            )),
        };
        Self {
            config,
            bands,
            rows,
            family,
            earlier: Earlier::default(),
            gather_above: GATHER_ABOVE,
            rows_per_task: ROWS_PER_TASK,
            pairs_per_task: PAIRS_PER_TASK,
        }
    }

    /// One hash per band; equal hashes of different bands are as unlikely as any collision.
    fn put_band_hashes<const N: usize>(
        &self,
        values: impl Iterator<Item = [u8; N]>,
        signature: &mut Vec<u8>,
    ) {
        let mut bytes = Vec::with_capacity(self.rows * N);
        let (mut band, mut row) = (0, 0);
        for value in values {
            bytes.extend_from_slice(&value);
            row += 1;
            if row == self.rows {
                signature.extend_from_slice(&xxh3_64_with_seed(&bytes, band).to_le_bytes());
                bytes.clear();
                (band, row) = (band + 1, 0);
            }
        }
    }

    fn shingles(&self, text: &str) -> Vec<u32> {
        match self.config.ngram_chars {
            Some(chars) => shingles_of_chars(text, chars as usize),
            None => shingle_set(text, self.config.ngram_words as usize),
        }
    }

    /// Band hashes of a text and its set, the rank where there is one, then the set or the hashes; nothing for an empty set.
    pub(super) fn signature_of(&self, text: &str, set: &[u32], rank: Option<u64>) -> Vec<u8> {
        if set.is_empty() {
            return Vec::new();
        }
        let hashes = self.bands * self.rows;
        let mut signature = Vec::with_capacity(self.bands * 8 + 8 + set.len().max(hashes) * 4);
        let low_words: Vec<u32> = match &self.family {
            Functions::Tamis(family) => {
                let minima = family.minima(set);
                self.put_band_hashes(minima.iter().map(|value| value.to_le_bytes()), &mut signature);
                minima
            }
            Functions::Datatrove(family) => {
                let minima =
                    family.minima(&datatrove_hashes::ngram_hashes(text, self.config.ngram_words as usize));
                self.put_band_hashes(minima.iter().map(|value| value.to_le_bytes()), &mut signature);
                minima.iter().map(|value| take_u32(&value.to_le_bytes(), 0)).collect()
            }
        };
        if let Some(rank) = rank {
            signature.extend_from_slice(&rank.to_le_bytes());
        }
        let words = match self.config.verify {
            Measure::Shingles => set,
            Measure::Signatures => &low_words,
        };
        for word in words {
            signature.extend_from_slice(&word.to_le_bytes());
        }
        signature
    }

    /// What is written down of each document.
    fn contents(&self) -> Contents {
        Contents { is_ranked: self.config.keep.is_ranked(), measure: self.config.verify }
    }

    fn passes_over<K: Key>(&self, dir: &Path) -> Vec<Box<dyn Pass>> {
        let (min_jaccard, contents) = (self.config.min_jaccard, self.contents());
        let grouping = Grouping { gather_above: self.gather_above, ..Grouping::new(dir, self.rows_per_task) };
        let mut passes: Vec<Box<dyn Pass>> = vec![
            Box::new(CatalogPass::new(dir, self.earlier.folders(), Row::<K>::BYTES)),
            Box::new(GatherPass::<Row<K>>::new(&grouping)),
            Box::new(CandidatePass::<K>::new(grouping, contents, min_jaccard)),
            Box::new(VerifyPass::new(dir, contents, min_jaccard, self.pairs_per_task)),
            Box::new(ClusterPass::new(dir, self.config.linkage, contents)),
        ];
        if self.config.keep_counts {
            passes.push(Box::new(CountPass::new(dir)));
        }
        passes
    }
}

impl Barrier for Stage {
    fn signature(&self, doc: &Document, _cx: &mut Context) -> Vec<u8> {
        let rank = self.config.keep.is_ranked().then(|| self.config.keep.rank(doc));
        let mut signature = self.signature_of(&doc.text, &self.shingles(&doc.text), rank);
        confine(&mut signature, self.bands * size_of::<u64>(), self.config.within, doc);
        signature
    }

    fn observer(&self, dir: &Path, task: u32, part: u32, memory_bytes: u64) -> Result<Box<dyn Observer>> {
        Ok(if self.config.keep.is_ranked() {
            Box::new(RankedWriter::<u64>::create(dir, task, part, self.bands, memory_bytes)?)
        } else {
            Box::new(PartWriter::<u64>::create(dir, task, part, self.bands, memory_bytes)?)
        })
    }

    fn passes(self: Arc<Self>, dir: PathBuf) -> Vec<Box<dyn Pass>> {
        if self.config.keep.is_ranked() {
            self.passes_over::<Ranked<u64>>(&dir)
        } else {
            self.passes_over::<u64>(&dir)
        }
    }

    fn keep(self: Arc<Self>, dir: PathBuf, target: PathBuf) -> Vec<Box<dyn Pass>> {
        let wanted = self.config.keep_signatures;
        if wanted { keep::passes::<u64>(&dir, &target, SPEC.name, &self.config) } else { Vec::new() }
    }

    fn removals(&self, dir: &Path, split: u32) -> Result<Box<dyn Removals>> {
        // In a chain the recorded similarity is not the one that was held against the limit.
        let limit = (self.config.linkage == Linkage::Direct).then_some(self.config.min_jaccard);
        let listed = removals::Listed::open(dir, split, "near_duplicate", limit)?;
        Ok(Box::new(if self.config.keep_counts { listed.counted(dir, split)? } else { listed }))
    }
}

#[cfg(test)]
mod tests;
