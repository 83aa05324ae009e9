//! Probabilities and backoffs of trie records: 31 and 32 bits of a float (the sign of a probability goes without
//! saying), or places in tables of up to 2^25 values per order.

use super::bits::{self, mask};
use crate::models::ngram::format::{Block, Cursor, Error, damaged};
use crate::models::ngram::search::Gram;

/// How the values of one order are kept.
#[derive(Debug)]
pub(super) enum Values {
    Whole,
    Tables { prob_bits: u32, backoff_bits: u32, probs: Block, backoffs: Block },
}

/// Most bits that a table's places may have.
const MAX_BITS: u8 = 25;
const PROB_BITS: u32 = 31;
const BACKOFF_BITS: u32 = 32;

/// The values of the orders from 2 on; tables come next in the file of a quantised model.
pub(super) fn read(cursor: &mut Cursor, order: usize, quantised: bool) -> Result<Vec<Values>, Error> {
    if !quantised {
        return Ok((1..order).map(|_| Values::Whole).collect());
    }
    let what = "the tables of quantised values";
    let head = cursor.take(8, what)?;
    let [version, prob_bits, backoff_bits, ..] = *head.bytes() else { return damaged(what) };
    if version != 2 {
        return Err(Error::Unsupported(format!("quantiser version {version}; 2 is known")));
    }
    if !((1..=MAX_BITS).contains(&prob_bits) && (1..=MAX_BITS).contains(&backoff_bits)) {
        return damaged(format!("{what} have places of {prob_bits} and {backoff_bits} bits"));
    }
    let (prob_bits, backoff_bits) = (u32::from(prob_bits), u32::from(backoff_bits));
    (1..order)
        .map(|i| {
            let probs = cursor.take(4 << prob_bits, what)?;
            let backoffs = cursor.take(if i + 1 < order { 4 << backoff_bits } else { 0 }, what)?;
            Ok(Values::Tables { prob_bits, backoff_bits, probs, backoffs })
        })
        .collect()
}

impl Values {
    /// Bits of both values in a record.
    pub(super) fn middle_bits(&self) -> u32 {
        match *self {
            Self::Whole => PROB_BITS + BACKOFF_BITS,
            Self::Tables { prob_bits, backoff_bits, .. } => prob_bits + backoff_bits,
        }
    }

    /// Bits of a record's probability where it has no backoff.
    pub(super) fn longest_bits(&self) -> u32 {
        match *self {
            Self::Whole => PROB_BITS,
            Self::Tables { prob_bits, .. } => prob_bits,
        }
    }

    #[inline]
    pub(super) fn view(&self) -> View<'_> {
        match self {
            Self::Whole => View::Whole,
            Self::Tables { backoff_bits, probs, backoffs, prob_bits } => View::Tables {
                backoff_bits: *backoff_bits,
                backoff_mask: mask(*backoff_bits),
                prob_mask: mask(*prob_bits),
                probs: probs.bytes().as_chunks().0,
                backoffs: backoffs.bytes().as_chunks().0,
            },
        }
    }
}

/// Values whose tables were found.
#[derive(Clone, Copy)]
pub(super) enum View<'a> {
    Whole,
    Tables {
        backoff_bits: u32,
        backoff_mask: u64,
        prob_mask: u64,
        probs: &'a [[u8; 4]],
        backoffs: &'a [[u8; 4]],
    },
}

/// A float from the lowest 32 bits.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lowest 32 bits are meant")]
fn float(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

/// The table's value at a place, which has no more bits than the table has places.
#[inline]
fn value(table: &[[u8; 4]], place: u64) -> f32 {
    let at = usize::try_from(place).unwrap_or(usize::MAX);
    table.get(at).map_or(f32::NAN, |bytes| f32::from_le_bytes(*bytes))
}

const SIGN: u64 = 1 << 31;

impl View<'_> {
    /// Values of a record that has both.
    #[inline]
    pub(super) fn middle(&self, records: &bits::View, at: u64) -> Gram {
        match *self {
            Self::Whole => Gram {
                prob: float(records.after_word(at, 0) | SIGN),
                backoff: float(records.after_word(at, PROB_BITS)),
            },
            Self::Tables { backoff_bits, backoff_mask, prob_mask, probs, backoffs } => {
                let both = records.after_word(at, 0);
                Gram {
                    prob: value(probs, both >> backoff_bits & prob_mask),
                    backoff: value(backoffs, both & backoff_mask),
                }
            }
        }
    }

    /// Probability of a record that has nothing else.
    #[inline]
    pub(super) fn longest(&self, records: &bits::View, at: u64) -> f32 {
        let bits = records.after_word(at, 0);
        match *self {
            Self::Whole => float(bits | SIGN),
            Self::Tables { prob_mask, probs, .. } => value(probs, bits & prob_mask),
        }
    }
}
