//! How much of a text is made of repeated runs of n characters or n words.
//!
//! The measures are Data-Juicer's. Of characters (`character_repetition_filter`, after the BigScience filters): of all
//! places where a run of n characters starts, the share that belongs to the most frequent runs, as many of these as
//! the square root of the number of different ones, and only runs that occur twice. Of words
//! (`word_repetition_filter`): the share of places whose run occurs more than once. Runs are compared byte by byte,
//! no hash is taken on trust.
//!
//! We differ in that only the first [`MAX_CHARS`] characters of a text are looked at for runs of characters, so that
//! memory is bounded.

use super::words::Word;

/// Characters that are looked at.
pub const MAX_CHARS: usize = 1 << 20;
/// Tables of more slots than this are freed after use.
const MAX_KEPT_SLOTS: usize = 1 << 18;
/// Multiplier of the rolling hash.
const BASE: u64 = 0x9E37_79B9_7F4A_7C15;
/// Multiplier that spreads it.
const SPREAD: u64 = 0xD6E8_FEB8_6659_FD93;

/// A run: its hash and its number in `found` plus 1; 0 is free.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    hash: u32,
    run: u32,
}

/// Working memory.
#[derive(Debug, Default)]
pub struct Runs {
    /// Hash of the run at each place.
    hashes: Vec<u32>,
    /// First byte of each character, and the end of the last.
    starts: Vec<u32>,
    /// One bit for the hashes that were met, one for those that were met again.
    met: Vec<(u64, u64)>,
    /// Places whose hash was met again.
    candidates: Vec<u32>,
    slots: Vec<Slot>,
    /// First place and count of each different run that may occur twice.
    found: Vec<(u32, u32)>,
    counts: Vec<u32>,
}

impl Runs {
    /// The share of frequent runs of `n` characters in a text of so many characters, 0 where there are fewer than
    /// `n`. The time grows with `n`, which is meant to be small.
    pub(super) fn of_chars(&mut self, text: &str, chars: u64, n: usize) -> f64 {
        let length = usize::try_from(chars).unwrap_or(MAX_CHARS).min(MAX_CHARS);
        let n = n.max(1);
        if length < n {
            return 0.0;
        }
        let places = length + 1 - n;
        let bytes = text.as_bytes();
        let different = if text.len() as u64 == chars {
            self.count_bytes(places, |place| &bytes[place..place + n])
        } else {
            let mut starts = std::mem::take(&mut self.starts);
            find_starts(bytes, length, &mut starts);
            let run = |place: usize| &bytes[starts[place] as usize..starts[place + n] as usize];
            let different = self.count_bytes(places, run);
            self.starts = starts;
            different
        };
        self.frequent(different)
    }

    /// The number of places where a run of `n` words starts that occurs more than once.
    pub(super) fn of_words(&mut self, text: &str, words: &[Word], n: usize) -> u64 {
        let n = n.max(1);
        let weight = power(n);
        let mut hash = 0_u64;
        self.hashes.clear();
        for (last, word) in words.iter().enumerate() {
            hash = hash.wrapping_mul(BASE).wrapping_add(u64::from(word.tag));
            if let Some(first) = (last + 1).checked_sub(n) {
                self.hashes.push(spread(hash));
                hash = hash.wrapping_sub(weight.wrapping_mul(u64::from(words[first].tag)));
            }
        }
        let pair = |(a, b): (&Word, &Word)| a.of(text) == b.of(text);
        self.count(|a, b| words[a..a + n].iter().zip(&words[b..b + n]).all(pair));
        self.found.iter().filter(|&&(_, count)| count > 1).map(|&(_, count)| u64::from(count)).sum()
    }

    fn count_bytes<'t>(&mut self, places: usize, run: impl Fn(usize) -> &'t [u8]) -> usize {
        self.hashes.clear();
        self.hashes.extend((0..places).map(|place| hash_bytes(run(place))));
        self.count(|a, b| run(a) == run(b))
    }

    /// Counts the runs whose hashes are in `hashes`; `same` says whether those at two places are equal. Returns how
    /// many different ones there are. Most runs of a text stand alone, which a small bit field tells at
    /// once; only the others go to the table.
    #[expect(clippy::cast_possible_truncation, reason = "texts are cut at 4 GiB before they get here")]
    fn count(&mut self, same: impl Fn(usize, usize) -> bool) -> usize {
        let Self { hashes, met, candidates, slots, found: runs, .. } = self;
        let bit_words = (hashes.len() / 8).next_power_of_two();
        met.clear();
        met.resize(bit_words, (0, 0));
        let bit_of = |hash: u32| ((hash >> 6) as usize & (bit_words - 1), 1_u64 << (hash & 63));
        for &hash in &*hashes {
            let (place, bit) = bit_of(hash);
            let (once, again) = &mut met[place];
            *again |= *once & bit;
            *once |= bit;
        }
        let is_met_again = |hash: u32| {
            let (place, bit) = bit_of(hash);
            met[place].1 & bit != 0
        };
        // Every place is written, and kept if it is a candidate: no branch to guess.
        candidates.clear();
        candidates.resize(hashes.len() + 1, 0);
        let mut found = 0;
        for (place, &hash) in hashes.iter().enumerate() {
            candidates[found] = place as u32;
            found += usize::from(is_met_again(hash));
        }
        let mask = (2 * found).next_power_of_two().max(16) - 1;
        slots.clear();
        slots.resize(mask + 1, Slot::default());
        runs.clear();
        for &place in &candidates[..found] {
            let hash = hashes[place as usize];
            let mut at = (hash as usize ^ (hash >> 16) as usize) & mask;
            loop {
                let slot = slots[at];
                if slot.run == 0 {
                    runs.push((place, 1));
                    slots[at] = Slot { hash, run: runs.len() as u32 };
                    break;
                }
                let run = &mut runs[slot.run as usize - 1];
                if slot.hash == hash && same(run.0 as usize, place as usize) {
                    run.1 += 1;
                    break;
                }
                at = (at + 1) & mask;
            }
        }
        hashes.len() - found + runs.len()
    }

    /// Share of the places that the most frequent of so many different runs have.
    fn frequent(&mut self, different: usize) -> f64 {
        self.counts.clear();
        self.counts.extend(self.found.iter().map(|&(_, count)| count).filter(|&count| count > 1));
        let frequent = self.counts.len().min(different.isqrt());
        if frequent < self.counts.len() {
            self.counts.select_nth_unstable_by(frequent, |a, b| b.cmp(a));
        }
        let covered: u64 = self.counts[..frequent].iter().map(|&count| u64::from(count)).sum();
        covered as f64 / self.hashes.len() as f64
    }

    /// Frees what an unusually long text has left behind.
    pub(super) fn trim(&mut self) {
        if self.hashes.capacity() > MAX_KEPT_SLOTS {
            *self = Self::default();
        }
    }
}

/// First byte of each of the first `length` characters, and the end of the last.
#[expect(clippy::cast_possible_truncation, reason = "2^20 characters have at most 2^22 bytes")]
fn find_starts(bytes: &[u8], length: usize, starts: &mut Vec<u32>) {
    starts.clear();
    // Every place is written, and kept if it is no continuation byte: no branch to guess.
    starts.resize(length + 1, 0);
    let mut found = 0;
    for (place, byte) in bytes.iter().enumerate() {
        starts[found] = place as u32;
        found += usize::from(byte.cast_signed() >= -64);
        if found > length {
            return;
        }
    }
    starts[length] = bytes.len() as u32;
}

/// Hash of a few bytes, eight at a time; the last eight may overlap those before.
#[inline]
fn hash_bytes(run: &[u8]) -> u32 {
    let mix = |hash: u64, eight: &[u8; 8]| (hash ^ u64::from_le_bytes(*eight)).wrapping_mul(BASE);
    let (eights, rest) = run.as_chunks();
    let hash = eights.iter().fold(run.len() as u64, mix);
    spread(match run.last_chunk() {
        Some(last) => mix(hash, last),
        None => rest.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(BASE)),
    })
}

/// Spreads a hash whose lower bits know only the lower bits of what went in.
fn spread(hash: u64) -> u32 {
    let hash = (hash ^ hash >> 32).wrapping_mul(SPREAD);
    (hash >> 32) as u32
}

/// Weight of the first of `n` items in the hash of a run.
fn power(n: usize) -> u64 {
    (1..n).fold(1_u64, |power, _| power.wrapping_mul(BASE))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::repetition::Counter;
    use super::super::words::Splitter;
    use super::*;

    /// The definition, written down without regard to speed.
    fn plain(text: &str, n: usize) -> f64 {
        let chars: Vec<char> = text.chars().collect();
        let mut counts: HashMap<&[char], u64> = HashMap::new();
        for run in chars.windows(n) {
            *counts.entry(run).or_default() += 1;
        }
        let mut sorted: Vec<u64> = counts.into_values().collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let repeated = sorted.iter().filter(|&&count| count > 1).count();
        let top =
            repeated.min((0..=sorted.len()).find(|root| (root + 1) * (root + 1) > sorted.len()).unwrap());
        let all: u64 = sorted.iter().sum();
        if all == 0 { 0.0 } else { sorted[..top].iter().sum::<u64>() as f64 / all as f64 }
    }

    proptest! {
        #[test]
        fn shares_are_those_of_the_definition(
            pieces in prop::collection::vec(prop::sample::select(vec!["a", "ab", "漢字", "é ", "abcabc"]), 0..60),
            ascii in any::<bool>(),
            n in 1_usize..20
        ) {
            let mut text = pieces.concat();
            if ascii {
                text.retain(|c| c.is_ascii());
            }
            let mut runs = Runs::default();
            runs.of_chars("something else, something else", 30, 3);
            let found = runs.of_chars(&text, text.chars().count() as u64, n);
            prop_assert!((found - plain(&text, n)).abs() < 1e-12, "{} {}", found, plain(&text, n));
        }
    }

    proptest! {
        #[test]
        fn repeated_words_are_those_of_the_ngram_counts(
            pieces in prop::collection::vec(prop::sample::select(vec!["a ", "bé ", "a bé a ", "d e f g h i "]), 0..60),
            n in 2_usize..=10
        ) {
            let text = pieces.concat();
            let mut words = Vec::new();
            Splitter::default().split(&text, |word| words.push(word));
            let grams = Counter::default().grams(&text, &words);
            let mut runs = Runs::default();
            runs.of_words(&text, &words, 3);
            prop_assert_eq!(runs.of_words(&text, &words, n), grams.repeated_places[n - 2]);
        }
    }

    #[test]
    fn a_share_worked_out_by_hand() {
        // aa ab ba aa ab: five places, three runs, of which one (the square root of 3) counts: aa or ab, twice.
        assert_eq!(Runs::default().of_chars("aabaab", 6, 2).to_bits(), 0.4_f64.to_bits());
        assert_eq!(Runs::default().of_chars("short", 5, 6).to_bits(), 0.0_f64.to_bits());
    }
}
