//! What several filters need to know of one text, computed once and shared.
//!
//! Every part is computed when it is first asked for and kept until [`Features::reset`]. The engine calls that
//! for each new document and after a stage has changed the text; a stage that changes the text and asks
//! again in the same call must do it itself. All buffers are used again for the next text.

use super::lines;
use super::repetition::{Counter, Duplicates, Grams};
use super::words::{Splitter, Word};

/// Buffers for more words than this are freed after use.
const MAX_KEPT_WORDS: usize = 1 << 18;
/// The same for the text buffer.
const MAX_KEPT_BYTES: usize = 1 << 24;

/// Counts over the words of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WordCounts {
    /// All words, punctuation marks included.
    pub words: u64,
    /// Words with a character outside datatrove's punctuation sets.
    pub non_symbol_words: u64,
    /// Characters of those.
    pub non_symbol_chars: u64,
    /// Words with a letter.
    pub alphabetic_words: u64,
}

/// Words, counts and repetition of one text, and buffers for working on it.
#[derive(Debug, Default)]
pub struct Features {
    splitter: Splitter,
    words: Vec<Word>,
    counts: Option<WordCounts>,
    chars: Option<u64>,
    counter: Counter,
    grams: Option<Grams>,
    /// For a stage that builds a new text: take it, swap it with the document's, put the old one back.
    /// Its content means nothing.
    pub buffer: String,
    /// Words of a piece of text that is not the document's.
    piece_words: Vec<Word>,
}

impl Features {
    /// Forgets everything: the text changed, or another document comes.
    pub fn reset(&mut self) {
        self.counts = None;
        self.chars = None;
        self.grams = None;
        self.words.clear();
        self.splitter.trim();
        self.counter.trim();
        for words in [&mut self.words, &mut self.piece_words] {
            if words.capacity() > MAX_KEPT_WORDS {
                *words = Vec::new();
            }
        }
        if self.buffer.capacity() > MAX_KEPT_BYTES {
            self.buffer = String::new();
        }
    }

    /// The words of the text.
    pub fn words(&mut self, text: &str) -> &[Word] {
        self.count_words(text);
        &self.words
    }

    /// Counts over the words of the text.
    pub fn word_counts(&mut self, text: &str) -> WordCounts {
        self.count_words(text)
    }

    fn count_words(&mut self, text: &str) -> WordCounts {
        if let Some(counts) = self.counts {
            return counts;
        }
        let Self { splitter, words, .. } = self;
        words.clear();
        let mut counts = WordCounts::default();
        splitter.split(text, |word| {
            let non_symbol = u64::from(word.has_non_symbol());
            counts.non_symbol_words += non_symbol;
            counts.non_symbol_chars += non_symbol * u64::from(word.chars());
            counts.alphabetic_words += u64::from(word.has_letter());
            words.push(word);
        });
        counts.words = words.len() as u64;
        self.counts = Some(counts);
        counts
    }

    /// Length of the text in characters.
    pub fn chars(&mut self, text: &str) -> u64 {
        *self.chars.get_or_insert_with(|| lines::chars(text) as u64)
    }

    /// N-gram repetition of the text.
    pub fn grams(&mut self, text: &str) -> Grams {
        self.count_words(text);
        let Self { words, counter, .. } = self;
        *self.grams.get_or_insert_with(|| counter.grams(text, words))
    }

    /// Duplicates among parts of the text.
    pub fn duplicates<'t>(&mut self, text: &'t str, parts: impl Iterator<Item = &'t str>) -> Duplicates {
        self.counter.duplicates(text, parts)
    }

    /// The words of another text than the document's.
    pub fn split_piece(&mut self, piece: &str) -> &[Word] {
        let Self { splitter, piece_words, .. } = self;
        piece_words.clear();
        splitter.split(piece, |word| piece_words.push(word));
        piece_words
    }
}
