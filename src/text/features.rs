//! What several filters need to know of one text, computed once and shared.
//!
//! Every part is computed when it is first asked for and kept until [`Features::reset`]. The engine calls that
//! for each new document and after a stage has changed the text; a stage that changes the text and asks
//! again in the same call must do it itself. All buffers are used again for the next text.

use super::char_counts::CharCounts;
use super::letter_order::LetterOrder;
use super::line_index::{Line, LineIndex};
use super::repetition::{Counter, Duplicates, Grams};
use super::runs::Runs;
use super::terms::Terms;
use super::word_shapes::WordShapes;
use super::words::{Splitter, Word};
use super::{lines, sentences};

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

/// Words, lines, counts and repetition of one text, and buffers for working on it.
#[derive(Debug, Default)]
pub struct Features {
    splitter: Splitter,
    words: Vec<Word>,
    counts: Option<WordCounts>,
    shapes: Option<WordShapes>,
    sentences: Option<u64>,
    terms: Terms,
    lines: LineIndex,
    chars: CharCounts,
    counter: Counter,
    paragraphs: Option<Duplicates>,
    grams: Option<Grams>,
    runs: Runs,
    char_repetition: Option<(usize, f64)>,
    letter_order: LetterOrder,
    order_bits: Option<f64>,
    known: Known,
    /// For a stage that builds a new text: take it, swap it with the document's, put the old one back.
    /// Its content means nothing.
    pub buffer: String,
    /// Words of a piece of text that is not the document's.
    piece_words: Vec<Word>,
}

/// Which of the buffers hold what they are for.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one per buffer")]
struct Known {
    terms: bool,
    lines: bool,
    copies: bool,
    chars: bool,
    order: bool,
}

impl Features {
    /// Forgets everything: the text changed, or another document comes.
    pub fn reset(&mut self) {
        self.counts = None;
        self.shapes = None;
        self.sentences = None;
        self.paragraphs = None;
        self.grams = None;
        self.char_repetition = None;
        self.known = Known::default();
        self.words.clear();
        self.splitter.trim();
        self.counter.trim();
        self.terms.trim();
        self.runs.trim();
        self.lines.trim(MAX_KEPT_WORDS);
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

    /// What the order of the letters says, in bits; see [`LetterOrder::bits`].
    pub fn letter_order(&mut self, text: &str) -> Option<f64> {
        if !std::mem::replace(&mut self.known.order, true) {
            self.order_bits = self.letter_order.bits(text);
        }
        self.order_bits
    }

    /// Words between white space, and those in capitals.
    pub fn word_shapes(&mut self, text: &str) -> WordShapes {
        self.count_words(text);
        *self.shapes.get_or_insert_with(|| WordShapes::of(text, &self.words))
    }

    /// Sentences of the text, at least 1.
    pub fn sentences(&mut self, text: &str) -> u64 {
        self.count_words(text);
        *self.sentences.get_or_insert_with(|| sentences::count(text, &self.words, 0, text.len()) as u64)
    }

    /// The different words of the text in lower case.
    pub fn terms(&mut self, text: &str) -> &Terms {
        self.count_words(text);
        if !std::mem::replace(&mut self.known.terms, true) {
            self.terms.count(text, &self.words);
        }
        &self.terms
    }

    /// The lines and paragraphs of the text.
    pub fn lines(&mut self, text: &str) -> &LineIndex {
        if !std::mem::replace(&mut self.known.lines, true) {
            self.lines.find(text);
        }
        &self.lines
    }

    /// The same, with the lines marked that stood earlier.
    pub fn line_copies(&mut self, text: &str) -> &LineIndex {
        self.lines(text);
        if !std::mem::replace(&mut self.known.copies, true) {
            let Self { lines: LineIndex { lines, .. }, counter, .. } = self;
            let cells = std::cell::Cell::from_mut(&mut lines[..]).as_slice_of_cells();
            let range = |number: usize| (cells[number].get().start, cells[number].get().end);
            counter.copies(text, cells.len(), range, |number| {
                cells[number].set(Line { is_copy: true, ..cells[number].get() });
            });
        }
        &self.lines
    }

    /// Duplicates among the paragraphs of the text, see [`LineIndex::paragraphs`].
    pub fn paragraph_duplicates(&mut self, text: &str) -> Duplicates {
        self.lines(text);
        let Self { lines: LineIndex { paragraphs, .. }, counter, .. } = self;
        *self.paragraphs.get_or_insert_with(|| {
            let mut found = Duplicates { total: paragraphs.len() as u64, ..Duplicates::default() };
            counter.copies(
                text,
                paragraphs.len(),
                |number| paragraphs[number],
                |number| {
                    let (start, end) = paragraphs[number];
                    found.duplicates += 1;
                    found.duplicate_chars += lines::chars(&text[start as usize..end as usize]) as u64;
                },
            );
            found
        })
    }

    /// Characters of the text by sort.
    pub fn char_counts(&mut self, text: &str) -> &CharCounts {
        if !std::mem::replace(&mut self.known.chars, true) {
            self.chars.count(text);
        }
        &self.chars
    }

    /// Length of the text in characters.
    pub fn chars(&mut self, text: &str) -> u64 {
        if self.known.chars { self.chars.chars } else { self.lines(text).chars }
    }

    /// N-gram repetition of the text.
    pub fn grams(&mut self, text: &str) -> Grams {
        self.count_words(text);
        let Self { words, counter, .. } = self;
        *self.grams.get_or_insert_with(|| counter.grams(text, words))
    }

    /// Share of the text's frequent runs of `n` characters, see [`super::runs`].
    pub fn char_repetition(&mut self, text: &str, n: usize) -> f64 {
        if let Some((_, found)) = self.char_repetition.filter(|&(known, _)| known == n) {
            return found;
        }
        let chars = self.chars(text);
        let found = self.runs.of_chars(text, chars, n);
        self.char_repetition = Some((n, found));
        found
    }

    /// Places where a run of `n` (2 to 10) words starts that occurs more than once.
    pub fn repeated_words(&mut self, text: &str, n: usize) -> u64 {
        self.count_words(text);
        match (&self.grams, n.checked_sub(2)) {
            // Counting n-grams of all lengths finds it too, so where that was done it is not done again.
            (Some(Grams { repeated_places, .. }), Some(place)) if place < repeated_places.len() => {
                repeated_places[place]
            }
            _ => self.runs.of_words(text, &self.words, n),
        }
    }

    /// The words of another text than the document's.
    pub fn split_piece(&mut self, piece: &str) -> &[Word] {
        let Self { splitter, piece_words, .. } = self;
        piece_words.clear();
        splitter.split(piece, |word| piece_words.push(word));
        piece_words
    }
}
