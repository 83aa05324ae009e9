//! Documents as training needs them: distinct words with their counts, and the buckets of word n-grams.
//!
//! A word is looked up and hashed once, when its document is taken; the epochs then go through numbers. Memory: 8
//! bytes per distinct word of a document, 4 per word n-gram, and every distinct word of all documents once.

use super::Window;
use super::dictionary::{Dictionary, EOS, LABEL_PREFIX, hash, reduce};

/// One document in [`Examples`].
struct Place {
    label: u32,
    /// Tokens, the end-of-sentence token too.
    tokens: u32,
    /// Where its words and its n-grams end.
    words_end: usize,
    ngrams_end: usize,
}

/// All documents, before it is known which words have a row.
pub(super) struct Examples {
    types: Types,
    counts: Vec<u64>,
    /// Place in `words` where a type was last put, for counting inside a document.
    last: Vec<usize>,
    docs: Vec<Place>,
    /// (type, occurrences)
    words: Vec<(u32, u32)>,
    ngrams: Vec<u32>,
    window: Window,
    word_ngrams: usize,
    bucket: u32,
}

impl Examples {
    pub(super) fn new(word_ngrams: usize, bucket: u32) -> Self {
        Self {
            types: Types::default(),
            counts: Vec::new(),
            last: Vec::new(),
            docs: Vec::new(),
            words: Vec::new(),
            ngrams: Vec::new(),
            window: Window::new(word_ngrams),
            word_ngrams,
            bucket,
        }
    }

    /// Takes a document; one without any token is passed over.
    pub(super) fn add(&mut self, label: usize, text: &str) {
        let start = self.words.len();
        let mut tokens = 0;
        self.window.clear();
        for token in text.as_bytes().split(|&byte| super::is_separator(byte)) {
            if token == EOS {
                break;
            }
            if !token.is_empty() && !token.starts_with(LABEL_PREFIX) {
                self.add_token(token, start);
                tokens += 1;
            }
        }
        if tokens == 0 {
            return;
        }
        self.add_token(EOS, start);
        self.docs.push(Place {
            label: u32::try_from(label).unwrap_or(u32::MAX),
            tokens: tokens + 1,
            words_end: self.words.len(),
            ngrams_end: self.ngrams.len(),
        });
    }

    fn add_token(&mut self, token: &[u8], start: usize) {
        let hash = hash(token);
        let number = self.types.number(token, hash);
        if number as usize == self.counts.len() {
            self.counts.push(0);
            self.last.push(usize::MAX);
        }
        self.counts[number as usize] += 1;
        let last = &mut self.last[number as usize];
        if let Some((_, count)) = self.words.get_mut(*last).filter(|_| *last >= start) {
            *count += 1;
        } else {
            *last = self.words.len();
            self.words.push((number, 1));
        }
        if self.word_ngrams > 1 {
            let (ngrams, bucket) = (&mut self.ngrams, self.bucket);
            self.window.push(hash, |ngram| ngrams.push(reduce(ngram, bucket)));
        }
    }

    /// Memory in use, about.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = self.words.capacity() * 8
            + self.ngrams.capacity() * 4
            + self.docs.capacity() * size_of::<Place>()
            + self.counts.capacity() * 16
            + self.types.bytes.capacity()
            + self.types.ends.capacity() * 8
            + self.types.slots.len() * 4;
        bytes as u64
    }

    /// Documents by label.
    pub(super) fn documents(&self, labels: usize) -> Vec<u64> {
        let mut counts = vec![0; labels];
        for doc in &self.docs {
            counts[doc.label as usize] += 1;
        }
        counts
    }

    /// Tokens of all documents.
    pub(super) fn tokens(&self) -> u64 {
        self.docs.iter().map(|doc| u64::from(doc.tokens)).sum()
    }

    /// Types that are frequent enough with their counts, by falling count; equal ones by first occurrence.
    pub(super) fn vocabulary(&self, min_count: u64) -> Vec<(u32, u64)> {
        let mut words: Vec<(u32, u64)> =
            (0..).zip(self.counts.iter().copied()).filter(|&(_, count)| count >= min_count).collect();
        words.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        words
    }

    /// The bytes of a type.
    pub(super) fn word(&self, number: u32) -> &[u8] {
        self.types.get(number as usize)
    }

    /// The same with rows of the input matrix in place of types and buckets; `rank` gives the labels' places in
    /// the model. N-gram buckets start at row `words`.
    pub(super) fn with_rows(self, dictionary: &Dictionary, rank: &[usize], words: usize) -> Rows {
        let mut rows = Vec::new();
        let mut ends = Vec::with_capacity(self.counts.len());
        for number in 0..self.counts.len() {
            let token = self.types.get(number);
            dictionary.rows_of(token, hash(token), |row| rows.push(to_u32(row)));
            ends.push(rows.len());
        }
        let mut ngrams = self.ngrams;
        for bucket in &mut ngrams {
            *bucket += to_u32(words);
        }
        let labels = self.docs.iter().map(|doc| rank[doc.label as usize]).collect();
        Rows {
            of_types: rows,
            ends,
            docs: self.docs,
            labels,
            words: self.words,
            ngrams,
            label_count: rank.len(),
        }
    }
}

/// Rows are counted in 31 bits by the file format.
fn to_u32(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}

/// All documents as rows of the input matrix.
pub(super) struct Rows {
    /// Rows of every type, one type after the other.
    of_types: Vec<u32>,
    ends: Vec<usize>,
    docs: Vec<Place>,
    labels: Vec<usize>,
    words: Vec<(u32, u32)>,
    ngrams: Vec<u32>,
    label_count: usize,
}

impl Rows {
    pub(super) fn docs(&self) -> usize {
        self.docs.len()
    }

    pub(super) fn label_count(&self) -> usize {
        self.label_count
    }

    pub(super) fn label(&self, doc: usize) -> usize {
        self.labels[doc]
    }

    pub(super) fn tokens(&self, doc: usize) -> u32 {
        self.docs[doc].tokens
    }

    /// Hands on every row of a document with the number of its occurrences; returns how many rows those are.
    pub(super) fn for_each(&self, doc: usize, mut row: impl FnMut(usize, f32)) -> u64 {
        let (words_start, ngrams_start) = doc
            .checked_sub(1)
            .map_or((0, 0), |before| (self.docs[before].words_end, self.docs[before].ngrams_end));
        let mut total = 0;
        for &(word, count) in &self.words[words_start..self.docs[doc].words_end] {
            let start = (word as usize).checked_sub(1).map_or(0, |before| self.ends[before]);
            let rows = &self.of_types[start..self.ends[word as usize]];
            for &found in rows {
                row(found as usize, count as f32);
            }
            total += rows.len() as u64 * u64::from(count);
        }
        let ngrams = &self.ngrams[ngrams_start..self.docs[doc].ngrams_end];
        for &found in ngrams {
            row(found as usize, 1.0);
        }
        total + ngrams.len() as u64
    }
}

/// Distinct tokens: open addressing by the library's hash.
#[derive(Default)]
struct Types {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Number + 1, or 0.
    slots: Vec<u32>,
}

impl Types {
    fn get(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[number]]
    }

    /// Number of a token, the next one where it is new.
    fn number(&mut self, token: &[u8], hash: u32) -> u32 {
        if self.ends.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        while let Some(number) = self.slots[slot].checked_sub(1) {
            if self.get(number as usize) == token {
                return number;
            }
            slot = (slot + 1) & mask;
        }
        self.bytes.extend_from_slice(token);
        self.ends.push(self.bytes.len());
        let number = to_u32(self.ends.len());
        self.slots[slot] = number;
        number - 1
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(1 << 12);
        let mut slots = vec![0; size];
        for number in 0..self.ends.len() {
            let mut slot = hash(self.get(number)) as usize & (size - 1);
            while slots[slot] != 0 {
                slot = (slot + 1) & (size - 1);
            }
            slots[slot] = to_u32(number + 1);
        }
        self.slots = slots;
    }
}
