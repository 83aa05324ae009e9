//! Trains fastText classifiers: the official library's supervised training with the softmax loss.
//!
//! Method: Joulin et al., "Bag of Tricks for Efficient Text Classification" (2016), and the official
//! library's `train_supervised`, whose options have the same names and defaults here. A document is the mean of
//! its words' vectors and of those of its word and character n-grams; one linear layer gives a score per label;
//! plain stochastic gradient descent, one document at a time, with a learning rate that falls linearly to 0.
//!
//! Tokens, n-grams and rows come from the same code as in prediction (`Dictionary::rows_of`, `Window`), so both
//! read a text alike. Where we differ from the official library:
//! * a document is a text, line breaks included, with one end-of-sentence token, as in prediction;
//! * documents come in another order in every epoch (by the seed), not in the order of the file;
//! * the result is the same for any number of threads, bit by bit: see [`super::descent`]. The official one is
//!   reproducible with one thread only;
//! * a token that starts with `__label__` is passed over; labels come beside the text;
//! * only the softmax loss is offered, and no pretrained vectors.

use std::io::Write;

use super::descent::{self, Shard};
use super::dictionary::Dictionary;
use super::examples::Examples;
use super::format::{Args, Loss, ModelKind};
use super::save;

/// How a classifier is trained.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Settings {
    /// Length of the vectors, 1 to 4096. Default 100.
    pub dim: usize,
    /// How often every document is gone through, at least 1. Default 5.
    pub epoch: u32,
    /// Learning rate at the beginning, above 0; falls linearly to 0. Default 0.1.
    pub lr: f64,
    /// Longest word n-gram, 1 to 64; 1 for words alone. Default 1.
    pub word_ngrams: usize,
    /// Shortest character n-gram, in characters. Default 0; with `maxn` above 0 at least 1.
    pub minn: usize,
    /// Longest character n-gram, up to 256; 0 for none. Default 0.
    pub maxn: usize,
    /// Rows that n-grams are hashed into, at least 1. Not used without n-grams. Default 2,000,000.
    pub bucket: u32,
    /// Words that occur fewer times have no vector of their own. Default 1.
    pub min_count: u64,
    /// Decides the first weights and the order of documents. Default 0.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dim: 100,
            epoch: 5,
            lr: 0.1,
            word_ngrams: 1,
            minn: 0,
            maxn: 0,
            bucket: 2_000_000,
            min_count: 1,
            seed: 0,
        }
    }
}

/// Why no classifier could be trained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// A setting out of its range.
    #[error("`{setting}` must be {range}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// A label that the format cannot hold, or that is there twice.
    #[error("`{0}` cannot be a label: it must be new, and without white space")]
    Label(String),
    /// Fewer than two labels.
    #[error("a classifier needs two labels or more")]
    TooFewLabels,
    /// A label without a document to learn from.
    #[error("there is no document to train `{0}` with")]
    EmptyLabel(String),
    /// Too much for the memory that was allowed.
    #[error(
        "training needs more than {0} bytes of memory: give fewer documents, a smaller `bucket` or `dim`, or more memory"
    )]
    Memory(u64),
    /// The weights grew beyond all numbers.
    #[error("training diverged: the weights are no numbers any more; lower the learning rate")]
    Diverged,
}

/// Takes documents, then trains.
pub struct Trainer {
    settings: Settings,
    labels: Vec<String>,
    examples: Examples,
    memory_bytes: u64,
}

impl Trainer {
    /// A trainer for these labels (without `__label__`), which holds no more than `memory_bytes`.
    ///
    /// # Errors
    /// [`TrainError::Setting`], [`TrainError::Label`] or [`TrainError::TooFewLabels`].
    pub fn new(settings: &Settings, labels: &[String], memory_bytes: u64) -> Result<Self, TrainError> {
        check(settings)?;
        for (place, label) in labels.iter().enumerate() {
            if label.is_empty() || label.bytes().any(super::is_separator) || labels[..place].contains(label) {
                return Err(TrainError::Label(label.clone()));
            }
        }
        if labels.len() < 2 {
            return Err(TrainError::TooFewLabels);
        }
        let bucket = if has_ngrams(settings) { settings.bucket } else { 0 };
        let settings = Settings { bucket, ..settings.clone() };
        let examples = Examples::new(settings.word_ngrams, bucket);
        Ok(Self { settings, labels: labels.to_vec(), examples, memory_bytes })
    }

    /// Takes a document of the label with this number. A text without any token is passed over.
    ///
    /// # Errors
    /// [`TrainError::Memory`] where the documents so far take too much.
    ///
    /// # Panics
    /// Where there is no such label.
    pub fn add(&mut self, label: usize, text: &str) -> Result<(), TrainError> {
        assert!(label < self.labels.len(), "there is no label {label}");
        self.examples.add(label, text);
        if self.examples.bytes() > self.memory_bytes {
            return Err(TrainError::Memory(self.memory_bytes));
        }
        Ok(())
    }

    /// Documents taken so far, by label.
    #[must_use]
    pub fn documents(&self) -> Vec<u64> {
        self.examples.documents(self.labels.len())
    }

    /// Trains on `threads` threads; their number changes the speed alone. More than `dim / 16` are of no use.
    /// `progress` hears the share that is done, 0 to 1.
    ///
    /// # Errors
    /// [`TrainError::EmptyLabel`], [`TrainError::Memory`] or [`TrainError::Diverged`].
    pub fn train(self, threads: usize, progress: &(dyn Fn(f64) + Sync)) -> Result<Trained, TrainError> {
        let Self { settings, labels, examples, memory_bytes } = self;
        let documents = examples.documents(labels.len());
        if let Some(empty) = documents.iter().position(|&count| count == 0) {
            return Err(TrainError::EmptyLabel(labels[empty].clone()));
        }
        // The library's order: by falling count. Equal ones stay as they were given.
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.sort_by_key(|&label| std::cmp::Reverse(documents[label]));
        let labels: Vec<(String, u64)> =
            order.iter().map(|&label| (format!("__label__{}", labels[label]), documents[label])).collect();
        let mut rank = vec![0; order.len()];
        for (place, &label) in order.iter().enumerate() {
            rank[label] = place;
        }
        let args = Args {
            dim: settings.dim,
            word_ngrams: settings.word_ngrams,
            loss: Loss::Softmax,
            model: ModelKind::Supervised,
            bucket: settings.bucket,
            minn: settings.minn,
            maxn: settings.maxn,
        };
        let words = examples.vocabulary(settings.min_count);
        let dictionary = Dictionary::new(
            words.iter().map(|&(word, _)| examples.word(word)),
            labels.iter().map(|(label, count)| (label.as_str(), *count)),
            &args,
        );
        let rows = words.len() as u64 + u64::from(settings.bucket);
        // The weights, and once more as the bytes of the file.
        let weights = rows.saturating_mul(settings.dim as u64 * 8);
        if examples.bytes().saturating_add(weights) > memory_bytes {
            return Err(TrainError::Memory(memory_bytes));
        }
        let tokens = examples.tokens();
        let words: Vec<(Vec<u8>, u64)> =
            words.into_iter().map(|(word, count)| (examples.word(word).to_vec(), count)).collect();
        let examples = examples.with_rows(&dictionary, &rank, words.len());
        let shards =
            descent::run(&examples, &settings, words.len() + settings.bucket as usize, threads, progress);
        if shards.iter().any(|shard| !shard.is_finite()) {
            return Err(TrainError::Diverged);
        }
        Ok(Trained { settings, words, labels, tokens, shards })
    }
}

fn has_ngrams(settings: &Settings) -> bool {
    settings.word_ngrams > 1 || settings.maxn > 0
}

fn check(settings: &Settings) -> Result<(), TrainError> {
    let s = settings;
    let rules = [
        ("dim", (1..=4096).contains(&s.dim), "from 1 to 4096"),
        ("epoch", s.epoch > 0, "at least 1"),
        ("lr", s.lr > 0.0 && s.lr.is_finite(), "above 0"),
        ("word-ngrams", (1..=64).contains(&s.word_ngrams), "from 1 to 64"),
        ("maxn", s.maxn <= 256, "at most 256"),
        ("minn", s.minn <= s.maxn && (s.maxn == 0 || s.minn > 0), "from 1 to `maxn`, or 0 where `maxn` is 0"),
        ("bucket", !has_ngrams(s) || (1..=1 << 30).contains(&s.bucket), "from 1 to 1073741824"),
    ];
    match rules.into_iter().find(|(_, holds, _)| !holds) {
        Some((setting, _, range)) => Err(TrainError::Setting { setting, range }),
        None => Ok(()),
    }
}

/// A classifier as it came out of training.
pub struct Trained {
    pub(super) settings: Settings,
    pub(super) words: Vec<(Vec<u8>, u64)>,
    pub(super) labels: Vec<(String, u64)>,
    pub(super) tokens: u64,
    pub(super) shards: Vec<Shard>,
}

impl Trained {
    /// Words that have a vector of their own.
    #[must_use]
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// Tokens that it was trained with, one end-of-sentence token per document among them.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Writes the official file format, version 12 (`.bin`).
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        save::write(self, out)
    }
}

#[cfg(test)]
mod tests;
