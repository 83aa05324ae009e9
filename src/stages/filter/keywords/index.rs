//! Entries that are looked for as whole words, by their first word.
//!
//! An automaton over tens of thousands of words walks a table that fits no cache. Words of a text are found by
//! their borders anyway, so each is looked up once: most are told apart by first byte and length, others by a bit map that
//! stays in the cache. A word of up to eight bytes is its own key, so that nothing is left to compare when it is found.
//! Phrases hang on their first word, by length.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use super::fold::{is_unspaced, is_word_char};

/// No entry.
const NONE: u32 = u32::MAX;

/// Entries that start with a letter, mark, digit or `_`.
pub(super) struct Index {
    /// First words, at the place that their key says or behind it; a power of two, at most half of it taken.
    slots: Vec<Slot>,
    shift: u32,
    /// Entries of more than one word.
    phrases: Vec<Phrases>,
    /// By first byte: a bit for each length of a first word, all lengths of 63 and more share one.
    lengths: [u64; 256],
    /// A bit for the place of each key, 32 KiB: most words of a text are none of the list.
    bits: Vec<u64>,
    unspaced_is_border: bool,
}

/// Entries with one first word. Words of up to eight bytes are their own key; longer ones have their hash for one.
#[derive(Clone, Copy)]
struct Slot {
    key: u64,
    bytes: u32,
    /// The entry that is this word alone.
    alone: u32,
    /// The longer ones: a number in [`Index::phrases`].
    phrases: u32,
}

const EMPTY: Slot = Slot { key: 0, bytes: 0, alone: NONE, phrases: NONE };

/// Entries with one first word that go on behind it.
struct Phrases {
    /// A bit for the second byte behind the first word (the first is mostly a space).
    second_bytes: u64,
    /// Those of one length each, short ones first: length in bytes, and by hash the entry.
    by_length: Vec<(usize, Vec<(u64, usize)>)>,
}

/// While an index is made: the entry that is a first word alone, and the longer ones by length.
type First<'w> = (u32, BTreeSet<(usize, &'w str, usize)>);

/// Number of bits in the map of first words: 32 KiB.
const MAP_BITS: u32 = 18;

#[inline]
fn place_of(key: u64) -> u64 {
    key.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[inline]
fn map_place(place: u64) -> (usize, u64) {
    let bit = place >> (64 - MAP_BITS);
    (usize::try_from(bit >> 6).unwrap_or(0), 1 << (bit & 63))
}

fn length_bit(bytes: usize) -> u64 {
    1 << bytes.min(63)
}

/// The key of the word at a place of a text.
#[inline]
fn key_at(text: &[u8], start: usize, end: usize) -> u64 {
    let length = end - start;
    if length > 8 {
        return xxh3_64(&text[start..end]);
    }
    if let Some(eight) = text.get(start..start + 8).and_then(|eight| eight.first_chunk::<8>()) {
        let unused = 64 - 8 * length.max(1);
        return u64::from_le_bytes(*eight) << unused >> unused;
    }
    text[start..end].iter().rev().fold(0, |key, &byte| key << 8 | u64::from(byte))
}

impl Phrases {
    fn second_byte(byte: u8) -> u64 {
        1 << (byte & 63)
    }
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
            slots: Vec::new(),
            shift: 0,
            phrases: Vec::new(),
            bits: vec![0; 1 << (MAP_BITS - 6)],
            lengths: [0; 256],
            unspaced_is_border,
        };
        let mut firsts: BTreeMap<(u64, usize), First<'_>> = BTreeMap::new();
        for (number, entry) in entries {
            let end = index.word_end(entry, 0);
            let bytes = entry.as_bytes();
            let key = key_at(bytes, 0, end);
            index.lengths[usize::from(bytes[0])] |= length_bit(end);
            let first = firsts.entry((key, end)).or_insert((NONE, BTreeSet::new()));
            if entry.len() == end {
                first.0 = u32::try_from(number).unwrap_or(NONE);
            } else {
                first.1.insert((entry.len(), entry, number));
            }
        }
        let size = (firsts.len() * 2).next_power_of_two().max(2);
        index.slots = vec![EMPTY; size];
        index.shift = 64 - size.ilog2();
        for ((key, end), (alone, longer)) in firsts {
            let (at, bit) = map_place(place_of(key));
            index.bits[at] |= bit;
            let mut slot = Slot { key, bytes: u32::try_from(end).unwrap_or(NONE), alone, phrases: NONE };
            if !longer.is_empty() {
                slot.phrases = u32::try_from(index.phrases.len()).unwrap_or(NONE);
                let mut phrases = Phrases { second_bytes: 0, by_length: Vec::new() };
                for (length, entry, number) in longer {
                    phrases.second_bytes |=
                        entry.as_bytes().get(end + 1).map_or(u64::MAX, |&b| Phrases::second_byte(b));
                    let hashed = (xxh3_64(entry.as_bytes()), number);
                    match phrases.by_length.last_mut() {
                        Some((last, same)) if *last == length => same.push(hashed),
                        _ => phrases.by_length.push((length, vec![hashed])),
                    }
                }
                for (_, same) in &mut phrases.by_length {
                    same.sort_unstable();
                }
                index.phrases.push(phrases);
            }
            let mut place = index.first_place(key);
            while index.slots[place].bytes != 0 {
                place = (place + 1) & (size - 1);
            }
            index.slots[place] = slot;
        }
        index
    }

    fn first_place(&self, key: u64) -> usize {
        usize::try_from(place_of(key) >> self.shift).unwrap_or(0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.iter().all(|slot| slot.bytes == 0)
    }

    /// The first word with this key and length.
    #[inline]
    fn find(&self, key: u64, bytes: usize) -> Option<Slot> {
        let mut place = self.first_place(key);
        loop {
            let slot = self.slots[place];
            if slot.key == key && slot.bytes as usize == bytes {
                return Some(slot);
            }
            if slot.bytes == 0 {
                return None;
            }
            place = (place + 1) & (self.slots.len() - 1);
        }
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
            let key = key_at(bytes, start, end);
            let (place, bit) = map_place(place_of(key));
            if self.bits[place] & bit == 0 {
                continue;
            }
            let Some(slot) = self.find(key, end - start) else { continue };
            let alone = slot.alone as usize;
            if slot.alone != NONE && (end - start <= 8 || words[alone].as_bytes() == &bytes[start..end]) {
                found(alone, start, end);
            }
            if slot.phrases != NONE {
                self.search_phrases(slot.phrases, words, text, start..end, &mut found);
            }
        }
    }

    /// The entries that begin with the word at `first`.
    fn search_phrases(
        &self,
        number: u32,
        words: &[String],
        text: &str,
        first: Range<usize>,
        found: &mut impl FnMut(usize, usize, usize),
    ) {
        let (bytes, start) = (text.as_bytes(), first.start);
        let phrases = &self.phrases[number as usize];
        let second = bytes.get(first.end + 1).copied().unwrap_or(0);
        if phrases.second_bytes & Phrases::second_byte(second) == 0 {
            return;
        }
        for (length, same) in &phrases.by_length {
            let end = start + length;
            let Some(phrase) = bytes.get(start..end) else { break };
            let hash = xxh3_64(phrase);
            let candidates = same.partition_point(|&(other, _)| other < hash);
            for &(_, number) in same[candidates..].iter().take_while(|&&(other, _)| other == hash) {
                if words[number].as_bytes() == phrase && !self.is_inside_at(text, end) {
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
