//! Hash tables of KenLM's files: open addressing, a 64-bit key in front of each entry, key 0 for a free one,
//! the next place tried after the ideal one.

use super::format::{Block, Cursor, Error, Source, damaged};
use super::prefetch::prefetch;

/// Number of places of a table for `count` entries.
pub(super) fn places(count: u64, multiplier: f32) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "KenLM rounds in this way")]
    let scaled = (multiplier * count as f32) as u64;
    scaled.max(count + 1)
}

/// A table with entries of `STRIDE` bytes.
#[derive(Debug)]
pub(super) struct Table<const STRIDE: usize> {
    block: Block,
    divisor: Divisor,
}

/// The remainder of a division by the same number again and again, by multiplication.
#[derive(Debug, Clone, Copy)]
struct Divisor {
    number: u64,
    /// 2^64 / number, rounded down (for 1: the largest number).
    inverse: u64,
}

impl Divisor {
    /// `number` is not 0.
    fn new(number: u64) -> Self {
        let inverse = u64::try_from((1_u128 << 64) / u128::from(number)).unwrap_or(u64::MAX);
        Self { number, inverse }
    }

    #[inline]
    fn remainder(self, key: u64) -> u64 {
        // The quotient is right or too small by one.
        let quotient = ((u128::from(key) * u128::from(self.inverse)) >> 64) as u64;
        let rest = key.wrapping_sub(quotient.wrapping_mul(self.number));
        if rest >= self.number { rest - self.number } else { rest }
    }
}

impl<const STRIDE: usize> Table<STRIDE> {
    /// The table of `count` entries that comes next in a file.
    pub(super) fn read(cursor: &mut Cursor, count: u64, multiplier: f32, what: &str) -> Result<Self, Error> {
        let places = places(count, multiplier);
        let block = cursor.take(places.saturating_mul(STRIDE as u64), what)?;
        Ok(Self { block, divisor: Divisor::new(places) })
    }

    /// For many look-ups in a row.
    #[inline]
    pub(super) fn view(&self) -> View<'_, STRIDE> {
        View { slots: self.block.bytes().as_chunks().0, divisor: self.divisor }
    }
}

/// A table in memory whose entries can still be changed.
pub(super) struct Filling<const STRIDE: usize> {
    slots: Vec<[u8; STRIDE]>,
    divisor: Divisor,
}

impl<const STRIDE: usize> Filling<STRIDE> {
    /// A table of entries; the place of the first one whose key is 0 or was there before, if there is one.
    pub(super) fn new(entries: &[[u8; STRIDE]], multiplier: f32) -> Result<Self, usize> {
        let places = places(entries.len() as u64, multiplier);
        let divisor = Divisor::new(places);
        let mut slots = vec![[0; STRIDE]; index(places)];
        for (number, entry) in entries.iter().enumerate() {
            let wanted = key(entry);
            let mut at = index(divisor.remainder(wanted));
            while key(&slots[at]) != 0 && key(&slots[at]) != wanted {
                at = if at + 1 == slots.len() { 0 } else { at + 1 };
            }
            if wanted == 0 || key(&slots[at]) == wanted {
                return Err(number);
            }
            slots[at] = *entry;
        }
        Ok(Self { slots, divisor })
    }

    /// The entry with a key.
    pub(super) fn find_mut(&mut self, wanted: u64) -> Option<&mut [u8; STRIDE]> {
        let at = View { slots: &self.slots, divisor: self.divisor }.place(wanted)?;
        self.slots.get_mut(at)
    }

    /// The entries, in no particular order.
    pub(super) fn entries(&self) -> Vec<[u8; STRIDE]> {
        self.slots.iter().filter(|entry| key(entry) != 0).copied().collect()
    }

    /// The table as it is now.
    pub(super) fn finish(self) -> Table<STRIDE> {
        let block = Block::whole(Source::Memory(self.slots.into_flattened()));
        Table { block, divisor: self.divisor }
    }
}

/// A table whose bytes were found.
#[derive(Clone, Copy)]
pub(super) struct View<'a, const STRIDE: usize> {
    slots: &'a [[u8; STRIDE]],
    divisor: Divisor,
}

#[inline]
fn index(place: u64) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// Key of an entry.
#[inline]
pub(super) fn key<const STRIDE: usize>(entry: &[u8; STRIDE]) -> u64 {
    entry.first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

impl<'a, const STRIDE: usize> View<'a, STRIDE> {
    /// Where the search for a key begins.
    #[inline]
    pub(super) fn ideal(&self, key: u64) -> usize {
        index(self.divisor.remainder(key))
    }

    /// Asks for the place where [`View::find`] looks first.
    #[inline]
    pub(super) fn prefetch(&self, wanted: u64) {
        prefetch(self.slots.get(self.ideal(wanted)));
    }

    /// The entry with a key.
    #[inline]
    pub(super) fn find(&self, wanted: u64) -> Option<&'a [u8; STRIDE]> {
        self.slots.get(self.place(wanted)?)
    }

    #[inline]
    fn place(&self, wanted: u64) -> Option<usize> {
        let mut at = self.ideal(wanted);
        for _ in 0..self.slots.len() {
            let found = key(self.slots.get(at)?);
            if found == wanted {
                return (wanted != 0).then_some(at);
            }
            if found == 0 {
                return None;
            }
            at = if at + 1 == self.slots.len() { 0 } else { at + 1 };
        }
        None
    }

    /// Looks at every entry: there are at least `count`, a free place is left, and each can be found. `sound` says
    /// what is wrong with the rest of an entry.
    pub(super) fn check(
        &self,
        count: u64,
        what: &str,
        mut sound: impl FnMut(&[u8; STRIDE]) -> Result<(), String>,
    ) -> Result<(), Error> {
        let Some(free) = self.slots.iter().position(|entry| key(entry) == 0) else {
            return damaged(format!("{what}: the hash table has no free place"));
        };
        // Starting behind a free place, every run of entries is seen from its first one.
        let (mut filled, mut run) = (0_u64, 0);
        for step in 1..=self.slots.len() {
            let at = (free + step) % self.slots.len();
            let entry = &self.slots[at];
            if key(entry) == 0 {
                run = 0;
                continue;
            }
            let ideal = self.ideal(key(entry));
            let away = if at >= ideal { at - ideal } else { at + self.slots.len() - ideal };
            if away > run {
                return damaged(format!("{what}: an entry of the hash table is out of place (place {at})"));
            }
            sound(entry).or_else(|wrong| damaged(format!("{what}: {wrong} (place {at})")))?;
            filled += 1;
            run += 1;
        }
        if filled < count {
            return damaged(format!("{what}: {filled} entries where the header tells of {count}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn remainders_are_exact(key: u64, number in 1_u64.., small in 1_u64..1000) {
            for number in [number, small, u64::MAX, 1 << 63] {
                prop_assert_eq!(Divisor::new(number).remainder(key), key % number);
                prop_assert_eq!(Divisor::new(number).remainder(u64::MAX), u64::MAX % number);
            }
        }

        #[test]
        fn what_was_put_in_is_found(keys in proptest::collection::hash_set(1_u64.., 0..200), tight: bool) {
            let entries: Vec<[u8; 12]> = keys.iter().map(|key| {
                let mut entry = [7; 12];
                entry[..8].copy_from_slice(&key.to_le_bytes());
                entry
            }).collect();
            let table = Filling::new(&entries, if tight { 1.0 } else { 1.5 }).unwrap_or_else(|_| panic!()).finish();
            for entry in &entries {
                prop_assert_eq!(table.view().find(key(entry)), Some(entry));
            }
            if let Some(first) = entries.first() {
                let twice = [&entries[..], &[*first]].concat();
                prop_assert_eq!(Filling::new(&twice, 1.5).err(), Some(entries.len()));
            }
            prop_assert!(table.view().find(0).is_none());
            for absent in (1..100).filter(|key| !keys.contains(key)) {
                prop_assert!(table.view().find(absent).is_none());
            }
            prop_assert!(table.view().check(entries.len() as u64, "t", |_| Ok(())).is_ok());
            prop_assert!(table.view().check(entries.len() as u64 + 1, "t", |_| Ok(())).is_err());
        }
    }
}
