//! Records of a fixed number of bits, one behind the other, least significant bit first.

use std::cmp::Ordering;
use std::ops::Range;

use crate::models::ngram::format::{Block, Cursor, Error, damaged, u64_at};
use crate::models::ngram::prefetch::prefetch;

/// Bits that the numbers up to `largest` need.
pub(super) fn width(largest: u64) -> u32 {
    u64::BITS - largest.leading_zeros()
}

/// The records of one order, each beginning with a word's id.
#[derive(Debug)]
pub(super) struct Records {
    block: Block,
    entries: u64,
    word_bits: u32,
    record_bits: u32,
}

impl Records {
    /// The records of `entries` n-grams, which come next in a file.
    pub(super) fn read(
        cursor: &mut Cursor,
        entries: u64,
        word_bits: u32,
        record_bits: u32,
        what: &str,
    ) -> Result<Self, Error> {
        // One more record, whose pointer ends the last one's children, and room to read 8 bytes at any bit.
        let bits = u128::from(entries + 1) * u128::from(record_bits);
        let Ok(bytes) = u64::try_from(bits.div_ceil(8) + 8) else {
            return damaged(format!("{what}: {entries} entries"));
        };
        Ok(Self { block: cursor.take(bytes, what)?, entries, word_bits, record_bits })
    }

    #[inline]
    pub(super) fn view(&self) -> View<'_> {
        View {
            bytes: self.block.bytes(),
            entries: self.entries,
            record_bits: u64::from(self.record_bits),
            word_bits: self.word_bits,
            word_mask: mask(self.word_bits),
        }
    }
}

#[inline]
pub(super) fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// Records whose bytes were found.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    bytes: &'a [u8],
    pub(super) entries: u64,
    record_bits: u64,
    word_bits: u32,
    word_mask: u64,
}

/// Ranges up to this many records are halved; in longer ones the place is guessed from the ids at both ends.
const SMALL: u64 = 16;
/// Guesses before halving takes over, which bounds the time for ids that are not spread evenly.
const GUESSES: u32 = 6;

impl View<'_> {
    /// The 64 bits of which the lowest 57 or more begin `skip` bits behind the id of a record.
    #[inline]
    pub(super) fn after_word(&self, at: u64, skip: u32) -> u64 {
        self.bits(at * self.record_bits + u64::from(self.word_bits + skip))
    }

    #[inline]
    fn bits(&self, bit: u64) -> u64 {
        // A place behind the end reads as 0; ranges are cut to the number of entries, so that none is asked for.
        u64_at(self.bytes, usize::try_from(bit >> 3).unwrap_or(usize::MAX)) >> (bit & 7)
    }

    /// Id that a record begins with.
    #[inline]
    pub(super) fn word(&self, at: u64) -> u64 {
        self.bits(at * self.record_bits) & self.word_mask
    }

    /// Asks for a record.
    #[inline]
    pub(super) fn prefetch(&self, at: u64) {
        prefetch(self.bytes.get(usize::try_from((at * self.record_bits) >> 3).unwrap_or(usize::MAX)));
    }

    /// Where [`View::find`] looks first.
    #[inline]
    pub(super) fn first_look(&self, siblings: &Range<u64>, word: u32) -> u64 {
        let (low, high) = (siblings.start, siblings.end.min(self.entries));
        let count = high.saturating_sub(low);
        if count > SMALL { low + guess(u64::from(word), self.word_mask, count) } else { low + count / 2 }
    }

    /// The record with a word, among siblings.
    #[inline]
    pub(super) fn find(&self, siblings: Range<u64>, word: u32) -> Option<u64> {
        let wanted = u64::from(word);
        let (mut low, mut high) = (siblings.start, siblings.end.min(self.entries));
        if high.saturating_sub(low) > SMALL {
            let (mut at_low, mut at_high) = (0, self.word_mask);
            for _ in 0..GUESSES {
                if high - low <= SMALL || wanted < at_low || wanted > at_high {
                    break;
                }
                let middle = low + guess(wanted - at_low, at_high - at_low, high - low);
                let found = self.word(middle);
                match found.cmp(&wanted) {
                    Ordering::Equal => return Some(middle),
                    Ordering::Less => (low, at_low) = (middle + 1, found),
                    Ordering::Greater => (high, at_high) = (middle, found),
                }
            }
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match self.word(middle).cmp(&wanted) {
                Ordering::Equal => return Some(middle),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        None
    }
}

/// Place of a number among `count` that are spread evenly from 0 to `most`.
#[inline]
fn guess(wanted: u64, most: u64, count: u64) -> u64 {
    // Siblings differ in a 32-bit id, so there are no more of them in a sound file.
    (wanted.saturating_mul(count) / (most + 1)).min(count - 1)
}
