//! Where the children of a record begin: a whole number in the record, or its lower bits there and its upper
//! bits in an array (Raj & Whittaker, "Lossless Compression of Language Model Structure and Word Identifiers", 2003).
//!
//! Pointers rise, so the array holds, for each value of the upper bits, the first record that has it or a larger one.
//! How many bits go to the array follows from the counts and a limit in the file: the number that makes the
//! whole smallest, the fewest of several.

use super::bits::{self, mask, width};
use crate::models::ngram::format::{Block, Cursor, Error, damaged};

/// The pointers of one order.
#[derive(Debug)]
pub(super) struct Pointers {
    /// Bits in the record.
    bits: u32,
    /// First record per value of the upper bits.
    upper: Option<Block>,
    skip: u32,
}

impl Pointers {
    /// Pointers that stand in the records.
    pub(super) fn whole(largest: u64) -> Self {
        Self { bits: width(largest), upper: None, skip: 0 }
    }

    /// Pointers of `records` records up to `largest`, whose array comes next in a file. `limit` is the number of
    /// bits that the first array of the file allows.
    pub(super) fn read_array(
        cursor: &mut Cursor,
        records: u64,
        largest: u64,
        limit: &mut Option<u8>,
        what: &str,
    ) -> Result<Self, Error> {
        // The array is preceded by 8 bytes and aligned to 8 bytes of the file.
        let start = cursor.at();
        let head = cursor.take(2, what)?;
        let [version, bits] = *head.bytes() else { return damaged(format!("{what}: no pointers")) };
        if version != 0 {
            return Err(Error::Unsupported(format!("pointer array version {version}; 0 is known")));
        }
        // The first one's limit holds for all of them.
        let allowed = *limit.get_or_insert(bits);
        if bits != allowed {
            return damaged(format!("{what}: {bits} bits for the pointer array, {allowed} before"));
        }
        let needed = width(largest);
        let moved = moved_bits(records, largest, u32::from(allowed));
        let entries = (largest >> (needed - moved)) + 1;
        let total = 8 * (entries + 1) + 7;
        let aligned = start.next_multiple_of(8) + 8;
        cursor.take((aligned - start - 2) as u64, what)?;
        let upper = cursor.take(8 * entries, what)?;
        cursor.take(total - (cursor.at() - start) as u64, what)?;
        Ok(Self { bits: needed - moved, upper: Some(upper), skip: 0 })
    }

    /// Bits of a pointer in its record.
    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    /// Says how many bits of values stand between a record's id and its pointer.
    pub(super) fn behind(mut self, value_bits: u32) -> Self {
        self.skip = value_bits;
        self
    }

    #[inline]
    pub(super) fn view(&self) -> View<'_> {
        View {
            upper: self.upper.as_ref().map(|block| block.bytes().as_chunks().0),
            bits: self.bits,
            mask: mask(self.bits),
            skip: self.skip,
        }
    }
}

/// How many upper bits the array takes.
fn moved_bits(records: u64, largest: u64, limit: u32) -> u32 {
    let needed = width(largest);
    let cost = |moved: u32| {
        let array = i128::from(largest.checked_shr(needed - moved).unwrap_or(0)) * 64;
        array - i128::from(records) * i128::from(moved)
    };
    (0..=needed.min(limit)).min_by_key(|moved| cost(*moved)).unwrap_or(0)
}

/// Pointers whose bytes were found.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    upper: Option<&'a [[u8; 8]]>,
    bits: u32,
    mask: u64,
    skip: u32,
}

impl<'a> View<'a> {
    #[inline]
    fn lower(&self, records: &bits::View, at: u64) -> u64 {
        records.after_word(at, self.skip) & self.mask
    }

    /// Where the children of a record begin and end.
    #[inline]
    pub(super) fn pair(&self, records: &bits::View, at: u64) -> (u64, u64) {
        let (low, next) = (self.lower(records, at), self.lower(records, at + 1));
        let Some(upper) = self.upper else { return (low, next) };
        // The upper bits are how many entries behind the first are not above the record's place.
        let mine = upper.partition_point(|first| u64::from_le_bytes(*first) <= at).saturating_sub(1);
        let mut its_end = mine;
        while upper.get(its_end + 1).is_some_and(|first| u64::from_le_bytes(*first) <= at + 1) {
            its_end += 1;
        }
        (((mine as u64) << self.bits) | low, ((its_end as u64) << self.bits) | next)
    }

    /// Where the children of all records begin, and where the last ones end.
    pub(super) fn all(self, records: bits::View<'a>) -> impl Iterator<Item = u64> + 'a {
        let mut mine = 0;
        (0..=records.entries).map(move |at| {
            let upper = self.upper.unwrap_or_default();
            while upper.get(mine + 1).is_some_and(|first| u64::from_le_bytes(*first) <= at) {
                mine += 1;
            }
            ((mine as u64) << self.bits) | self.lower(&records, at)
        })
    }
}
