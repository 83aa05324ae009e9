//! N-grams in hash tables: KenLM's probing binaries, and what ARPA text becomes in memory.
//!
//! Layout behind the header: vocabulary; one 8-byte entry per id (probability, backoff); a table of 16-byte entries
//! (key, probability, backoff) per middle order; a table of 12-byte entries (key, probability) for the
//! longest; the words, NUL-ended, if the header says so. The sign of a probability below the longest order is a
//! mark: set where no longer n-gram ends with this one.

use super::format::{Block, Cursor, Error, Header, f32_at};
use super::hash;
use super::prefetch::prefetch;
use super::search::{Gram, Level, Search, check_gram};
use super::table::{Table, View};
use super::vocabulary::Vocabulary;

/// A model in hash tables.
#[derive(Debug)]
pub(super) struct Probing {
    pub(super) unigrams: Block,
    pub(super) middles: Vec<Table<16>>,
    /// `None` for a model of single words, which only ARPA text can be.
    pub(super) longest: Option<Table<12>>,
}

impl Probing {
    /// Reads what follows the header.
    pub(super) fn read(cursor: &mut Cursor, header: &Header) -> Result<(Vocabulary, Self), Error> {
        let counts = &header.counts;
        let vocabulary = Vocabulary::read_hashed(cursor, counts[0], header.multiplier)?;
        let unigrams = cursor.take(8 * (counts[0] + 1), "the unigrams")?;
        let last = counts.len() - 1;
        let middles = (1..last)
            .map(|i| Table::read(cursor, counts[i], header.multiplier, &format!("the {}-grams", i + 1)))
            .collect::<Result<_, _>>()?;
        let longest =
            Table::read(cursor, counts[last], header.multiplier, &format!("the {}-grams", last + 1))?;
        Ok((vocabulary, Self { unigrams, middles, longest: Some(longest) }))
    }

    /// Looks at every entry.
    pub(super) fn check(&self, counts: &[u64], ids: u32) -> Result<(), Error> {
        for id in 0..ids {
            check_gram(self.unigram(id).0)
                .map_err(|wrong| Error::Damaged(format!("unigrams: {wrong} (id {id})")))?;
        }
        for (middle, i) in self.middles.iter().zip(1..) {
            let what = format!("{}-grams", i + 1);
            middle.view().check(counts[i], &what, |entry| check_gram(gram(entry, 8)))?;
        }
        if let (Some(longest), Some(count)) = (&self.longest, counts.last()) {
            let what = format!("{}-grams", counts.len());
            longest
                .view()
                .check(*count, &what, |entry| check_gram(Gram { prob: f32_at(entry, 8), backoff: 0.0 }))?;
        }
        Ok(())
    }
}

/// Probability and backoff at a place, the mark taken off.
#[inline]
fn gram(bytes: &[u8], at: usize) -> Gram {
    Gram { prob: -f32_at(bytes, at).abs(), backoff: f32_at(bytes, at + 4) }
}

/// The node of an entry: its key, unless nothing extends it.
#[inline]
fn node(bytes: &[u8], at: usize, key: u64) -> Option<u64> {
    f32_at(bytes, at).is_sign_positive().then_some(key)
}

impl Search for Probing {
    type Node = u64;
    type Level<'a> = TableLevel<'a>;

    #[inline]
    fn level(&self, order: usize) -> TableLevel<'_> {
        match (self.middles.get(order - 2), &self.longest) {
            (Some(middle), _) => TableLevel::Middle(middle.view()),
            (None, Some(longest)) => TableLevel::Longest(longest.view()),
            (None, None) => TableLevel::None,
        }
    }

    #[inline]
    fn unigram(&self, id: u32) -> (Gram, Option<u64>) {
        let entries = self.unigrams.bytes();
        let (id, at) = if entries.len() / 8 > id as usize { (id, 8 * id as usize) } else { (0, 0) };
        (gram(entries, at), node(entries, at, u64::from(id)))
    }

    #[inline]
    fn prefetch(&self, id: u32) {
        prefetch(self.unigrams.bytes().get(8 * id as usize));
    }
}

/// The table of one order.
#[derive(Clone, Copy)]
pub(super) enum TableLevel<'a> {
    Middle(View<'a, 16>),
    Longest(View<'a, 12>),
    None,
}

impl Level for TableLevel<'_> {
    type Node = u64;

    #[inline]
    fn find(&self, shorter: u64, previous: u32) -> Option<(Gram, Option<u64>)> {
        let key = hash::longer(shorter, previous);
        match self {
            Self::Middle(table) => table.find(key).map(|entry| (gram(entry, 8), node(entry, 8, key))),
            Self::Longest(table) => {
                table.find(key).map(|entry| (Gram { prob: f32_at(entry, 8), backoff: 0.0 }, None))
            }
            Self::None => None,
        }
    }

    #[inline]
    fn prefetch(&self, shorter: u64, previous: u32) {
        let key = hash::longer(shorter, previous);
        match self {
            Self::Middle(table) => table.prefetch(key),
            Self::Longest(table) => table.prefetch(key),
            Self::None => {}
        }
    }
}

/// An entry of a middle order.
pub(super) fn middle_entry(key: u64, prob: f32, backoff: f32) -> [u8; 16] {
    let mut entry = [0; 16];
    entry[..8].copy_from_slice(&key.to_le_bytes());
    entry[8..12].copy_from_slice(&prob.to_le_bytes());
    entry[12..].copy_from_slice(&backoff.to_le_bytes());
    entry
}

/// An entry of the longest order.
pub(super) fn longest_entry(key: u64, prob: f32) -> [u8; 12] {
    let mut entry = [0; 12];
    entry[..8].copy_from_slice(&key.to_le_bytes());
    entry[8..].copy_from_slice(&prob.to_le_bytes());
    entry
}
