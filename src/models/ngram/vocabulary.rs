//! From words to ids: a hash table (probing binaries, ARPA text) or a sorted list of hashes (trie binaries), both
//! without the words themselves. Id 0 is `<unk>`, spelled `<unk>` or `<UNK>`, and every unknown word.

use super::format::{Block, Cursor, Error, damaged, u32_at, u64_at};
use super::hash;
use super::prefetch::prefetch;
use super::search::AHEAD;
use super::table::{Filling, Table, View};

/// Id of all unknown words.
pub const UNKNOWN: u32 = 0;

/// A vocabulary of either kind.
#[derive(Debug)]
pub(super) enum Vocabulary {
    /// 12-byte entries: hash of the word, id.
    Hashed {
        table: Table<12>,
        /// Largest id and one.
        bound: u32,
    },
    /// Hashes in rising order; the id is the place, from 1.
    Sorted { hashes: Block, bound: u32 },
}

impl Vocabulary {
    /// The vocabulary at the front of a probing binary.
    pub(super) fn read_hashed(cursor: &mut Cursor, count: u64, multiplier: f32) -> Result<Self, Error> {
        let head = cursor.take(8, "the vocabulary")?;
        let (version, bound) = (u32_at(head.bytes(), 0), u32_at(head.bytes(), 4));
        if version != 0 {
            return Err(Error::Unsupported(format!("vocabulary version {version}; 0 is known")));
        }
        // A model whose text had no `<unk>` has one id more than unigrams.
        if !(count..=count + 1).contains(&u64::from(bound)) {
            return damaged(format!("vocabulary: {bound} ids for {count} unigrams"));
        }
        Ok(Self::Hashed { table: Table::read(cursor, count, multiplier, "the vocabulary")?, bound })
    }

    /// The vocabulary at the front of a trie binary.
    pub(super) fn read_sorted(cursor: &mut Cursor, count: u64) -> Result<Self, Error> {
        let block = cursor.take(8 * (count + 1), "the vocabulary")?;
        let words = u64_at(block.bytes(), 0);
        // The place of `<unk>`, which has no hash, is kept free.
        match u32::try_from(words + 1) {
            Ok(bound) if u64::from(bound) == count => Ok(Self::Sorted { hashes: block, bound }),
            _ => damaged(format!("vocabulary: {words} words besides `<unk>` for {count} unigrams")),
        }
    }

    /// From the hashes of the words 1, 2, ...; the place of the first one that was there before, if there is one.
    pub(super) fn build(hashes: &[u64], multiplier: f32) -> Result<Self, usize> {
        let mut bound = 1;
        let entries: Vec<[u8; 12]> = hashes
            .iter()
            .map(|hash| {
                let mut entry = [0; 12];
                entry[..8].copy_from_slice(&hash.to_le_bytes());
                entry[8..].copy_from_slice(&u32::to_le_bytes(bound));
                bound += 1;
                entry
            })
            .collect();
        Ok(Self::Hashed { table: Filling::new(&entries, multiplier)?.finish(), bound })
    }

    /// Number of ids, `<unk>` included.
    pub(super) fn bound(&self) -> u32 {
        match self {
            Self::Hashed { bound, .. } | Self::Sorted { bound, .. } => *bound,
        }
    }

    /// For many look-ups in a row.
    pub(super) fn view(&self) -> Words<'_> {
        match self {
            Self::Hashed { table, .. } => Words::Hashed(table.view()),
            Self::Sorted { hashes, .. } => {
                Words::Sorted(hashes.bytes().as_chunks().0.get(1..self.bound() as usize).unwrap_or_default())
            }
        }
    }

    /// Looks at everything; `words` are the words themselves, NUL-ended, in the order of their ids, where the
    /// file has them.
    pub(super) fn check(&self, words: Option<&[u8]>) -> Result<(), Error> {
        let view = self.view();
        match view {
            Words::Hashed(table) => {
                let bound = self.bound();
                let mut seen = vec![false; bound as usize];
                table.check(u64::from(bound) - 1, "vocabulary", |entry| {
                    let id = u32_at(entry, 8);
                    match seen.get_mut(id as usize) {
                        Some(seen) if id != UNKNOWN && !*seen => *seen = true,
                        _ => return Err(format!("id {id}, twice or out of range")),
                    }
                    Ok(())
                })?;
            }
            Words::Sorted(hashes) => {
                if let Some(at) = hashes
                    .windows(2)
                    .position(|pair| u64::from_le_bytes(pair[0]) >= u64::from_le_bytes(pair[1]))
                {
                    return damaged(format!("vocabulary: hashes out of order (place {at})"));
                }
            }
        }
        let Some(mut words) = words else { return Ok(()) };
        for id in 0..self.bound() {
            let Some(end) = memchr::memchr(0, words) else {
                return damaged(format!("list of words: {id} where the vocabulary has {}", self.bound()));
            };
            let word = &words[..end];
            let fits = if id == UNKNOWN { is_unknown(word) } else { view.id(hash::word(word)) == id };
            if !fits {
                let word = String::from_utf8_lossy(word);
                return damaged(format!("list of words: `{word}` is not the word of id {id}"));
            }
            words = &words[end + 1..];
        }
        if words.is_empty() {
            Ok(())
        } else {
            damaged(format!("{} bytes behind the list of words", words.len()))
        }
    }
}

/// Whether a word is a name of the unknown word.
pub(super) fn is_unknown(word: &[u8]) -> bool {
    word == b"<unk>" || word == b"<UNK>"
}

/// A vocabulary whose bytes were found.
#[derive(Clone, Copy)]
pub(super) enum Words<'a> {
    Hashed(View<'a, 12>),
    Sorted(&'a [[u8; 8]]),
}

impl Words<'_> {
    /// Id of the word with a hash.
    #[inline]
    pub(super) fn id(&self, hash: u64) -> u32 {
        match self {
            Self::Hashed(table) => table.find(hash).map_or(UNKNOWN, |entry| u32_at(entry, 8)),
            Self::Sorted(hashes) => place(hashes, hash).map_or(UNKNOWN, |at| {
                // At most as many as the ids, which fit.
                u32::try_from(at + 1).unwrap_or(UNKNOWN)
            }),
        }
    }

    /// Ids of many words at once, which hides the time that memory takes.
    pub(super) fn ids(&self, hashes: &[u64], ids: &mut Vec<u32>) {
        for hashes in hashes.chunks(AHEAD) {
            for hash in hashes {
                match self {
                    Self::Hashed(table) => table.prefetch(*hash),
                    Self::Sorted(list) => prefetch(list.get(first_look(list.len(), *hash))),
                }
            }
            ids.extend(hashes.iter().map(|hash| self.id(*hash)));
        }
    }
}

/// Interpolations before halving takes over, which bounds the time for lists that are not spread evenly.
const GUESSES: usize = 8;

/// Where a hash would be among `count` that are spread evenly.
#[expect(clippy::cast_possible_truncation, reason = "less than the length of a list")]
fn first_look(count: usize, hash: u64) -> usize {
    ((u128::from(hash) * count as u128) >> 64) as usize
}

/// Place of a hash in a rising list.
fn place(hashes: &[[u8; 8]], wanted: u64) -> Option<usize> {
    let (mut low, mut high) = (0, hashes.len());
    let (mut at_low, mut at_high) = (0, u64::MAX);
    for step in 0.. {
        if low >= high {
            return None;
        }
        let middle = if step < GUESSES && at_high > at_low {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a guess, kept in range"
            )]
            let guess = {
                let share = wanted.saturating_sub(at_low) as f64 / (at_high - at_low) as f64;
                (share * (high - low) as f64) as usize
            };
            low + guess.min(high - low - 1)
        } else {
            low + (high - low) / 2
        };
        let found = u64::from_le_bytes(hashes[middle]);
        match found.cmp(&wanted) {
            std::cmp::Ordering::Equal => return Some(middle),
            std::cmp::Ordering::Less => (low, at_low) = (middle + 1, found),
            std::cmp::Ordering::Greater => (high, at_high) = (middle, found),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_hash_of_a_sorted_list_is_found(
            spread in proptest::collection::btree_set(any::<u64>(), 0..300),
            dense in proptest::collection::btree_set(0_u64..400, 0..300),
        ) {
            for set in [spread, dense] {
                let list: Vec<[u8; 8]> = set.iter().map(|hash| hash.to_le_bytes()).collect();
                for (at, hash) in set.iter().enumerate() {
                    prop_assert_eq!(place(&list, *hash), Some(at));
                }
                for absent in (0..400).chain([u64::MAX]).filter(|hash| !set.contains(hash)) {
                    prop_assert_eq!(place(&list, absent), None);
                }
            }
        }
    }
}
