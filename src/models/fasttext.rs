//! Reads fastText classifiers (`.bin` and the quantised `.ftz`), predicts with them, and trains them (`train`).
//!
//! Method: Joulin et al., "Bag of Tricks for Efficient Text Classification" (2016) and "FastText.zip"
//! (2016); the file layout and the exact arithmetic are those of the official library, versions 11 and 12.
//! Written new because the crate `fasttext` 0.8 walks a wrong Huffman tree for quantised
//! hierarchical-softmax models (lid.176.ftz) and because this is the hottest loop of a crawl: a crawl's words
//! repeat, so the sum of a word's rows is kept in a small exact cache instead of hashing its
//! character n-grams again.
//!
//! Where we differ from the official library:
//! * a line break inside the text is a space (the official Python binding refuses it, the C++ program would
//!   stop there); the end-of-sentence token is added at the end, as the binding does;
//! * rows are summed word by word, and the score of a leaf is a product instead of the exponential of a sum of
//!   logarithms: probabilities differ by about 1e-6;
//! * equal probabilities are ordered by the label's place in the model.
//!
//! Kept as it is: the token `</s>` inside a text ends it.

mod arithmetic;
mod cache;
mod descent;
mod dictionary;
pub mod evaluate;
mod examples;
mod format;
mod matrix;
mod output;
mod save;
mod train;

use std::sync::{Mutex, PoisonError};

use cache::{Cache, Word};
use dictionary::{Dictionary, EOS};
use format::{Args, Cursor, ModelKind};
use matrix::Matrix;
use output::Output;

pub use format::Error;
pub use train::{Settings, TrainError, Trained, Trainer};

/// A classifier, shared by all threads.
pub struct FastText {
    dictionary: Dictionary,
    input: Matrix,
    output: Output,
    dim: usize,
    /// Word caches that no thread is using. They change the speed, never the result.
    caches: Mutex<Vec<Cache>>,
}

/// A label and how probable the model holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Place of the label in [`FastText::labels`].
    pub label: usize,
    /// Probability. Hierarchical softmax adds 0.00001 per node, as the official library does, so a sure label
    /// can be a little above 1.
    pub probability: f32,
}

impl FastText {
    /// Reads a model.
    ///
    /// # Errors
    /// Where the bytes are no fastText model, are cut short, contradict themselves, or hold word vectors
    /// instead of a classifier. Allocates no more than a small multiple of `bytes`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(bytes);
        let args = Args::read(&mut cursor)?;
        if args.model != ModelKind::Supervised {
            return Err(Error::NotAClassifier);
        }
        let mut dictionary = Dictionary::read(&mut cursor, &args)?;
        let quantised = cursor.flag("input matrix")?;
        if !quantised && dictionary.is_pruned() {
            return Err(Error::Invalid("a pruned dictionary without a quantised matrix"));
        }
        let input = Matrix::read(&mut cursor, quantised, "input matrix")?;
        let quantised_output = cursor.flag("output matrix")?;
        let output = Matrix::read(&mut cursor, quantised && quantised_output, "output matrix")?;
        if input.cols() != args.dim || output.cols() != args.dim {
            return Err(Error::Invalid("a matrix whose width is not the model's"));
        }
        if output.rows() != dictionary.labels().len() {
            return Err(Error::Invalid("an output matrix that does not fit the labels"));
        }
        dictionary.check_rows(input.rows())?;
        let output = Output::new(args.loss, output, dictionary.label_counts())?;
        Ok(Self { dictionary, input, output, dim: args.dim, caches: Mutex::new(Vec::new()) })
    }

    /// The labels in the model's order, `__label__` included.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        self.dictionary.labels()
    }

    /// The `k` most probable labels, best first, leaving out those below `min_probability`.
    ///
    /// None at all only for a model without an end-of-sentence token and a text in which it knows nothing.
    #[must_use]
    pub fn predict(&self, text: &str, k: usize, min_probability: f32) -> Vec<Prediction> {
        let mut predictions: Vec<Prediction> = self
            .probabilities(&[text])
            .into_iter()
            .enumerate()
            .map(|(label, probability)| Prediction { label, probability })
            .filter(|prediction| prediction.probability >= min_probability)
            .collect();
        predictions.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.label.cmp(&b.label)));
        predictions.truncate(k);
        predictions
    }

    /// Probability of every label, in the order of [`FastText::labels`], for the text that `parts` make up.
    /// A word does not reach over the border of two parts.
    #[must_use]
    pub fn probabilities(&self, parts: &[&str]) -> Vec<f32> {
        let pooled = self.caches.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut cache = pooled.unwrap_or_else(|| Cache::new(self.dim));
        let hidden = self.hidden(parts, &mut cache);
        self.caches.lock().unwrap_or_else(PoisonError::into_inner).push(cache);
        hidden.map_or_else(Vec::new, |hidden| self.output.probabilities(&hidden))
    }

    /// Mean of the input rows of all words and n-grams, if there are any.
    fn hidden(&self, parts: &[&str], cache: &mut Cache) -> Option<Vec<f32>> {
        let mut sum =
            Sum { hidden: vec![0.0; self.dim], rows: 0, window: Window::new(self.dictionary.word_ngrams()) };
        let mut ended = false;
        for part in parts {
            ended = self.add_tokens(part.as_bytes(), &mut sum, cache);
            if ended {
                break;
            }
        }
        if !ended {
            self.add_token(EOS, &mut sum, cache);
        }
        if sum.rows == 0 {
            return None;
        }
        let scale = 1.0 / sum.rows as f32;
        for value in &mut sum.hidden {
            *value *= scale;
        }
        Some(sum.hidden)
    }

    /// Adds the tokens of one part; true where one of them ended the text.
    fn add_tokens(&self, text: &[u8], sum: &mut Sum, cache: &mut Cache) -> bool {
        let mut start = 0;
        while start < text.len() {
            let rest = &text[start..];
            let length = rest.iter().position(|&byte| is_separator(byte)).unwrap_or(rest.len());
            if length > 0 {
                let token = &rest[..length];
                self.add_token(token, sum, cache);
                if token == EOS {
                    return true;
                }
            }
            start += length + 1;
        }
        false
    }

    fn add_token(&self, token: &[u8], sum: &mut Sum, cache: &mut Cache) {
        let word = cache.word(token, |vector| self.look_up(token, vector));
        matrix::add(&mut sum.hidden, cache.vector());
        sum.rows += word.rows;
        if word.counts && self.dictionary.word_ngrams() > 1 {
            let hidden = &mut sum.hidden;
            let rows = &mut sum.rows;
            sum.window.push(word.hash, |ngram| {
                if let Some(row) = self.dictionary.ngram_row(ngram) {
                    self.input.add_row(row, hidden);
                    *rows += 1;
                }
            });
        }
    }

    /// Sums the rows of one token into `vector` (zeroed).
    fn look_up(&self, token: &[u8], vector: &mut [f32]) -> Word {
        let mut rows = 0_u64;
        let hash = dictionary::hash(token);
        let counts = self.dictionary.rows_of(token, hash, |row| {
            self.input.add_row(row, vector);
            rows += 1;
        });
        Word { rows, hash, counts }
    }
}

/// What a text adds up to so far.
struct Sum {
    hidden: Vec<f32>,
    rows: u64,
    window: Window,
}

/// The hashes of the last words, for word n-grams.
struct Window {
    hashes: Vec<u32>,
    size: usize,
}

impl Window {
    fn new(size: usize) -> Self {
        Self { hashes: Vec::new(), size }
    }

    /// Forgets all words: another text begins.
    fn clear(&mut self) {
        self.hashes.clear();
    }

    /// Takes the next word and hands on the hashes of the n-grams that end with it.
    fn push(&mut self, hash: u32, mut ngram: impl FnMut(u64)) {
        if self.hashes.len() == self.size {
            self.hashes.remove(0);
        }
        self.hashes.push(hash);
        for start in 0..self.hashes.len() - 1 {
            let (first, rest) = (self.hashes[start], &self.hashes[start + 1..]);
            ngram(
                rest.iter()
                    .fold(widen(first), |h, &next| h.wrapping_mul(116_049_371).wrapping_add(widen(next))),
            );
        }
    }
}

/// The official library keeps word hashes as signed numbers and widens them with their sign.
fn widen(hash: u32) -> u64 {
    i64::from(hash.cast_signed()).cast_unsigned()
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | 0x0b | 0x0c | 0)
}

#[cfg(test)]
pub(crate) mod tests;
