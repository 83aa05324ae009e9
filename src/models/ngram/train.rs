//! Training n-gram language models: interpolated modified Kneser-Ney, as KenLM's `lmplz` estimates it.
//!
//! From the papers: Chen & Goodman 1998, "An empirical study of smoothing techniques for language modeling" (the
//! estimator), and Heafield, Pouzyrevsky, Clark & Koehn 2013, "Scalable modified Kneser-Ney language model estimation"
//! (that it is a matter of sorting, on disk). What the papers leave open is done as `lmplz` was seen to do it: what `<s>` counts,
//! that pruning goes by raw counts while discounts are estimated before it, what a limited vocabulary means.
//!
//! Five steps, one file each: [`count`] the n-grams of the highest order, [`contexts`] for adjusted counts of all
//! orders, [`discounts`], [`estimate`], [`emit`]. Different from the 2013 paper: contexts that nest take the place of a sort
//! per order and step, and a sort by last word that only has to be stable takes the place of the last ones.
//!
//! A model depends on the text and the options alone, not on memory or threads. What is held in memory: the vocabulary
//! (some 60 bytes a word and its text), and within `memory_bytes` less that the block of text being sorted.

mod contexts;
mod count;
pub mod discounts;
pub mod emit;
mod estimate;
mod key;
pub mod text;
pub mod words;

use std::path::PathBuf;

use serde::Serialize;

use self::contexts::{Contexts, Rules};
use self::count::Counter;
use self::discounts::{CountOfCounts, Discounts};
use self::emit::{Emitter, Sink};
use self::words::{BEGIN, END, RESERVED, UNKNOWN, Words};
use crate::error::{Error, Result};
use crate::io::spool::Scratch;

pub use self::estimate::STEPS;
pub use self::key::MAX_ORDER;

/// Memory that is not for blocks of text: buffers of streams and of what is being written.
const FIXED_BYTES: usize = 40 << 20;
/// Size of a bucket that sorts quickly.
const BUCKET_BYTES: u64 = 2 << 20;
/// Most buckets per order.
const MAX_BUCKETS: u64 = 256;

/// Options of the training.
#[derive(Debug, Clone)]
pub struct TrainConfig {
    /// Words of the longest n-gram, 1 to 7.
    pub order: usize,
    /// Per order from 1: n-grams that come at most so often are left out. Must not decrease, the first must be 0, and the
    /// last value goes for all longer n-grams. Empty: none is left out.
    pub prune: Vec<u64>,
    /// Which words the model may hold; others are unknown to it, and n-grams with them are left out.
    pub vocabulary: Vocabulary,
    /// Discounts for adjusted counts of 1, 2, and 3 or more, for orders where they cannot be estimated. Each above 0 and
    /// at most 1, 2, 3. None: such a text is an error.
    pub discount_fallback: Option<[f64; 3]>,
    /// What becomes of tokens that are called `<s>`, `</s>` or `<unk>`.
    pub reserved: Reserved,
    /// Memory to keep to, in bytes; the vocabulary and 40 MiB always have room. Changes nothing in the model.
    pub memory_bytes: u64,
    /// Folder for temporary files.
    pub temp_dir: PathBuf,
}

/// Which words a model may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vocabulary {
    /// All of the text.
    All,
    /// The most frequent ones; of two that are equally frequent the one that comes first in the text.
    Most(u64),
    /// Those of a list that come in the text.
    Only(Vec<Vec<u8>>),
}

/// What becomes of tokens that are called like a border or the unknown word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// They stop the training.
    Error,
    /// They are left out, as if they were white space.
    Skip,
}

impl TrainConfig {
    /// Options with nothing left out.
    pub fn new(order: usize, temp_dir: impl Into<PathBuf>) -> Self {
        Self {
            order,
            prune: Vec::new(),
            vocabulary: Vocabulary::All,
            discount_fallback: None,
            reserved: Reserved::Error,
            memory_bytes: 1 << 30,
            temp_dir: temp_dir.into(),
        }
    }

    fn check(&self) -> Result<()> {
        if !(1..=MAX_ORDER).contains(&self.order) {
            return Err(Error::User(format!("the order is {}; it can be 1 to {MAX_ORDER}", self.order)));
        }
        if self.prune.first().is_some_and(|&first| first != 0) {
            return Err(Error::User("the first threshold of pruning must be 0: single words are never pruned by count (limit the vocabulary instead)".to_owned()));
        }
        if self.prune.len() > self.order || self.prune.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(Error::User(format!(
                "thresholds of pruning are {:?}; there can be one for each of {} orders, and none may be below the one before",
                self.prune, self.order
            )));
        }
        let fits = |d: &[f64; 3]| d.iter().zip([1.0, 2.0, 3.0]).all(|(&d, most)| d > 0.0 && d <= most);
        if let Some(d) = self.discount_fallback.filter(|d| !fits(d)) {
            return Err(Error::User(format!(
                "fallback discounts are {d:?}; each must be above 0 and at most 1, 2 and 3"
            )));
        }
        Ok(())
    }
}

/// What was trained, for the report.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Sentences.
    pub sentences: u64,
    /// Tokens, without borders of sentences.
    pub tokens: u64,
    /// Tokens that were skipped because of their name.
    pub skipped: u64,
    /// Different words of the text.
    pub words: u64,
    /// Per order how many n-grams there are and are kept.
    pub counts: Vec<CountOfCounts>,
    /// Per order the discounts.
    pub discounts: Vec<Discounts>,
    /// Blocks of text that went to disk; 0 where all fitted into memory.
    pub blocks: usize,
}

/// Trains one model: takes sentences, then writes to sinks.
pub struct Trainer {
    config: TrainConfig,
    scratch: Scratch,
    words: Words,
    counter: Option<Counter>,
    sentence: Vec<u32>,
    sentences: u64,
    tokens: u64,
    skipped: u64,
}

impl Trainer {
    /// Starts a training.
    ///
    /// # Errors
    /// [`Error::User`] for options that cannot be, [`Error::Io`] where the temporary folder is not writable.
    pub fn new(config: TrainConfig) -> Result<Self> {
        config.check()?;
        let scratch = Scratch::new(&config.temp_dir)?;
        let memory = usize::try_from(config.memory_bytes).unwrap_or(usize::MAX).saturating_sub(FIXED_BYTES);
        let counter = (config.order > 1).then(|| Counter::new(config.order, memory, scratch.clone()));
        Ok(Self {
            config,
            scratch,
            words: Words::default(),
            counter,
            sentence: Vec::new(),
            sentences: 0,
            tokens: 0,
            skipped: 0,
        })
    }

    /// The number of a token for [`Trainer::add_ids`]; the same token always has the same one. Numbers are given in
    /// the order in which tokens first come, so the order matters for files (not for probabilities).
    ///
    /// # Errors
    /// [`Error::User`] for a token that no model file can hold (empty, or with white space or NUL in it) or that is reserved,
    /// and where 2^32 - 2 words are reached.
    pub fn id(&mut self, token: &[u8]) -> Result<Option<u32>> {
        let known = self.words.len();
        let Some(number) = self.words.intern(token) else {
            return Err(Error::Failed("the text has more than 2^32 - 2 different words".to_owned()));
        };
        if number <= END {
            return self.reserved(token).map(|()| None);
        }
        if number as usize == known && (token.is_empty() || token.iter().copied().any(is_separator)) {
            return Err(Error::User(format!(
                "token {:?} cannot be in a model: it is empty, or has white space in it",
                String::from_utf8_lossy(token)
            )));
        }
        Ok(Some(number))
    }

    #[cold]
    fn reserved(&mut self, token: &[u8]) -> Result<()> {
        if self.config.reserved == Reserved::Skip {
            self.skipped += 1;
            return Ok(());
        }
        Err(Error::User(format!(
            "sentence {} of the text has `{}` in it, which is the model's own word\n = hint: `--skip-symbols` leaves such tokens out",
            self.sentences + 1,
            String::from_utf8_lossy(token)
        )))
    }

    /// Takes a sentence of tokens. One without any counts as an empty sentence.
    ///
    /// # Errors
    /// Those of [`Trainer::id`], and [`Error::Io`] where a temporary file cannot be written.
    pub fn add_sentence<T: AsRef<[u8]>>(&mut self, tokens: impl IntoIterator<Item = T>) -> Result<()> {
        let mut sentence = std::mem::take(&mut self.sentence);
        sentence.clear();
        for token in tokens {
            sentence.extend(self.id(token.as_ref())?);
        }
        self.add_ids(&sentence)?;
        self.sentence = sentence;
        Ok(())
    }

    /// Takes a sentence of numbers that [`Trainer::id`] gave.
    ///
    /// # Errors
    /// [`Error::Io`] where a temporary file cannot be written; [`Error::Failed`] for other numbers.
    pub fn add_ids(&mut self, sentence: &[u32]) -> Result<()> {
        for &number in sentence {
            if number <= END || number as usize >= self.words.len() {
                return Err(Error::Failed(format!("{number} is not the number of a word")));
            }
            self.words.count(number);
        }
        self.words.count(BEGIN);
        self.words.count(END);
        self.sentences += 1;
        self.tokens += sentence.len() as u64;
        match &mut self.counter {
            Some(counter) => counter.add(sentence, self.words.len(), self.words.memory_bytes()),
            None => Ok(()),
        }
    }

    /// Tokens so far.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Estimates the model and gives it to all sinks. Work is done in rayon's current pool.
    ///
    /// # Errors
    /// [`Error::User`] for a text without words, for discounts that cannot be estimated and have no fallback, for a
    /// vocabulary that leaves no word; [`Error::Io`] where something cannot be written.
    pub fn finish(mut self, sinks: &mut [&mut dyn Sink]) -> Result<Summary> {
        if self.tokens == 0 {
            return Err(Error::User("the text has no words to train on".to_owned()));
        }
        let order = self.config.order;
        let allowed = self.allowed()?;
        self.words.freeze();
        let words = self.words.len();
        let mut prune = self.config.prune.clone();
        prune.resize(order, prune.last().copied().unwrap_or(0));
        let rules = Rules { prune: &prune, allowed: &allowed };
        let mut contexts = Contexts::new(order, words, rules, &self.scratch)?;
        let blocks = match self.counter.take() {
            Some(counter) => counter.finish(words, |gram, count| contexts.take(gram, count))?,
            None => 0,
        };
        let mut adjusted = contexts.finish()?;
        if order == 1 {
            adjusted.unigrams.copy_from_slice(self.words.counts());
            adjusted.unigrams[BEGIN as usize] = 0;
        }
        let mut counts = std::mem::take(&mut adjusted.counts);
        for (word, &count) in adjusted.unigrams.iter().enumerate().filter(|(_, count)| **count > 0) {
            counts[0].add(count, allowed.is_empty() || allowed[word]);
        }
        let discounts: Vec<Discounts> = (counts.iter().enumerate())
            .map(|(place, counts)| Discounts::estimate(place + 1, counts, self.config.discount_fallback))
            .collect::<Result<_>>()?;
        let memory = self.config.memory_bytes;
        let records = (counts.iter().enumerate()).map(|(place, counts)| counts.kept * 4 * (place as u64 + 2));
        let buckets = (records.max().unwrap_or(0) / BUCKET_BYTES).clamp(1, MAX_BUCKETS);
        let ends = emit::cuts(self.words.counts(), 0..words, buckets as usize);
        let bucket_of = emit::bucket_of(&ends, 0);
        let model =
            estimate::estimate(&adjusted, &discounts, &allowed, (&bucket_of, ends.len()), &self.scratch)?;
        drop((bucket_of, adjusted));
        let mut kept: Vec<u64> = counts.iter().map(|counts| counts.kept).collect();
        kept[0] += 2;
        let limit = (memory / 16).max(1 << 20);
        Emitter::new(&self.words, &allowed, limit, &self.scratch, sinks)
            .run(model, &ends, &kept, &allowed)?;
        Ok(Summary {
            sentences: self.sentences,
            tokens: self.tokens,
            skipped: self.skipped,
            words: words as u64 - RESERVED.len() as u64,
            counts,
            discounts,
            blocks,
        })
    }

    /// Which words may stay; empty for all.
    fn allowed(&self) -> Result<Vec<bool>> {
        let words = self.words.len();
        let mut allowed = vec![false; words];
        match &self.config.vocabulary {
            Vocabulary::All => return Ok(Vec::new()),
            Vocabulary::Most(most) => {
                let counts = self.words.counts();
                let mut numbers: Vec<usize> = (END as usize + 1..words).collect();
                numbers.sort_by_key(|&number| std::cmp::Reverse(counts[number]));
                for number in numbers.into_iter().take(usize::try_from(*most).unwrap_or(usize::MAX)) {
                    allowed[number] = true;
                }
            }
            Vocabulary::Only(list) => {
                for number in list.iter().filter_map(|word| self.words.find(word)) {
                    allowed[number as usize] = true;
                }
            }
        }
        if !allowed[END as usize + 1..].contains(&true) {
            return Err(Error::User("the vocabulary holds no word of the text".to_owned()));
        }
        for number in [UNKNOWN, BEGIN, END] {
            allowed[number as usize] = true;
        }
        Ok(allowed)
    }
}

/// Whether a byte ends a token in model files: NUL, white space of ASCII.
#[inline]
pub fn is_separator(byte: u8) -> bool {
    matches!(byte, 0 | b'\t'..=b'\r' | b' ')
}

/// The tokens of a line: what stands between separators.
pub fn split(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| is_separator(byte)).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests;
