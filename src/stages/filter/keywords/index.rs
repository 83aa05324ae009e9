//! Entries that are looked for as whole words, by their first word.
//!
//! An automaton over tens of thousands of words walks a table that fits no cache. Words of a text are found by
//! their borders anyway, so each is hashed once: most are told apart by first byte and length, others by a bit map that
//! stays in the cache. Phrases hang on their first word, by length.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64;

use super::fold::{is_unspaced, is_word_char};

/// Hash tables over keys that are hashes already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type ByHash<T> = HashMap<u64, T, BuildHasherDefault<Hashed>>;

/// Entries that start with a letter, mark, digit or `_`.
pub(super) struct Index {
    /// By the hash of a first word.
    firsts: ByHash<First>,
    /// By the hash of a phrase (an entry longer than its first word): its number.
    phrases: ByHash<usize>,
    /// A bit for each of the last bits of the hashes of first words.
    bits: Vec<u64>,
    /// By first byte: a bit for each length of a first word, all lengths of 63 and more share one.
    lengths: [u64; 256],
    unspaced_is_border: bool,
}

/// Entries with one first word.
#[derive(Default)]
struct First {
    /// The entry that is this word alone.
    alone: Option<usize>,
    /// Lengths in bytes of the others, short ones first.
    longer: BTreeSet<usize>,
}

/// Number of bits in the map of first words: 32 KiB.
const BITS: u64 = 1 << 18;

fn place_of(hash: u64) -> (usize, u64) {
    let bit = hash & (BITS - 1);
    (usize::try_from(bit >> 6).unwrap_or(0), 1 << (bit & 63))
}

fn length_bit(bytes: usize) -> u64 {
    1 << bytes.min(63)
}

impl Index {
    /// Whether an entry can be looked for here: it must start like a word.
    pub(super) fn takes(word: &str, unspaced_is_border: bool) -> bool {
        let first = word.chars().next();
        first.is_some_and(|c| is_inside(c, unspaced_is_border))
    }

    /// An index of these entries, each with its number.
    pub(super) fn new<'w>(entries: impl Iterator<Item = (usize, &'w str)>, unspaced_is_border: bool) -> Self {
        let mut index = Self {
            firsts: ByHash::default(),
            phrases: ByHash::default(),
            bits: vec![0; place_of(BITS - 1).0 + 1],
            lengths: [0; 256],
            unspaced_is_border,
        };
        for (number, entry) in entries {
            let end = index.word_end(entry, 0);
            let bytes = entry.as_bytes();
            let hash = xxh3_64(bytes.get(..end).unwrap_or_default());
            let (at, bit) = place_of(hash);
            index.bits[at] |= bit;
            index.lengths[usize::from(bytes[0])] |= length_bit(end);
            let first = index.firsts.entry(hash).or_default();
            if entry.len() == end {
                first.alone = Some(number);
            } else {
                first.longer.insert(entry.len());
                index.phrases.insert(xxh3_64(bytes), number);
            }
        }
        index
    }

    pub(super) fn is_empty(&self) -> bool {
        self.firsts.is_empty()
    }

    /// Hands every entry that stands between borders to `found`: its number, start and end. By start.
    pub(super) fn search(&self, words: &[String], text: &str, mut found: impl FnMut(usize, usize, usize)) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let Some(start) = self.word_start(text, at) else { break };
            let end = self.word_end(text, start);
            at = end;
            if self.lengths[usize::from(bytes[start])] & length_bit(end - start) == 0 {
                continue;
            }
            let hash = xxh3_64(&bytes[start..end]);
            let (place, bit) = place_of(hash);
            if self.bits[place] & bit == 0 {
                continue;
            }
            let Some(first) = self.firsts.get(&hash) else { continue };
            if let Some(number) = first.alone
                && words[number].as_bytes() == &bytes[start..end]
            {
                found(number, start, end);
            }
            for length in &first.longer {
                let end = start + length;
                let Some(phrase) = bytes.get(start..end) else { break };
                if let Some(&number) = self.phrases.get(&xxh3_64(phrase))
                    && words[number].as_bytes() == phrase
                    && !self.is_inside_at(text, end)
                {
                    found(number, start, end);
                }
            }
        }
    }

    fn is_inside_at(&self, text: &str, at: usize) -> bool {
        let next = text.get(at..).and_then(|rest| rest.chars().next());
        next.is_some_and(|c| is_inside(c, self.unspaced_is_border))
    }

    /// First byte of the next word.
    fn word_start(&self, text: &str, from: usize) -> Option<usize> {
        let bytes = text.as_bytes();
        let mut at = from;
        while let Some(&byte) = bytes.get(at) {
            if ASCII_INSIDE[usize::from(byte)] {
                return Some(at);
            }
            if byte < 0x80 {
                at += 1;
                continue;
            }
            let c = text.get(at..)?.chars().next()?;
            if is_inside(c, self.unspaced_is_border) {
                return Some(at);
            }
            at += c.len_utf8();
        }
        None
    }

    /// End of the word that starts at `from`.
    fn word_end(&self, text: &str, from: usize) -> usize {
        let bytes = text.as_bytes();
        let mut at = from;
        while let Some(&byte) = bytes.get(at) {
            if ASCII_INSIDE[usize::from(byte)] {
                at += 1;
                continue;
            }
            if byte < 0x80 {
                break;
            }
            match text.get(at..).and_then(|rest| rest.chars().next()) {
                Some(c) if is_inside(c, self.unspaced_is_border) => at += c.len_utf8(),
                _ => break,
            }
        }
        at
    }
}

/// Whether a character belongs to the word beside it.
pub(super) fn is_inside(c: char, unspaced_is_border: bool) -> bool {
    is_word_char(c) && !(unspaced_is_border && is_unspaced(c))
}

/// ASCII letters, digits and `_`.
static ASCII_INSIDE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_';
        byte += 1;
    }
    table
};
