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

/// A run: part of its hash and its number in `runs` plus 1; 0 is free.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    tag: u32,
    run: u32,
}

/// Working memory.
#[derive(Debug, Default)]
pub struct Runs {
    slots: Vec<Slot>,
    /// First place and count of each different run.
    runs: Vec<(u32, u32)>,
    counts: Vec<u32>,
}

impl Runs {
    /// The share of frequent runs of `n` characters in a text of so many characters, 0 where there are fewer than `n`.
    pub(super) fn of_chars(&mut self, text: &str, chars: u64, n: usize) -> f64 {
        let length = usize::try_from(chars).unwrap_or(MAX_CHARS).min(MAX_CHARS);
        let n = n.max(1);
        if length < n {
            return 0.0;
        }
        let places = length + 1 - n;
        self.clear(places);
        if text.len() as u64 == chars && (8..=16).contains(&n) {
            self.add_ascii(&text.as_bytes()[..length], n);
        } else {
            self.add_chars(text, length, n);
        }
        self.frequent(places as u64)
    }

    /// The number of places where a run of `n` words starts that occurs more than once.
    pub(super) fn of_words(&mut self, text: &str, words: &[Word], n: usize) -> u64 {
        let n = n.max(1);
        self.clear(words.len());
        let bytes = text.as_bytes();
        let weight = power(n);
        let mut hash = 0_u64;
        for (last, word) in words.iter().enumerate() {
            hash = hash.wrapping_mul(BASE).wrapping_add(u64::from(word.tag));
            let Some(first) = (last + 1).checked_sub(n) else { continue };
            let same = |other: usize| {
                words[other..other + n].iter().zip(&words[first..=last]).all(|(other, own)| {
                    bytes[other.start as usize..other.end as usize]
                        == bytes[own.start as usize..own.end as usize]
                })
            };
            self.add(hash, first, same);
            hash = hash.wrapping_sub(weight.wrapping_mul(u64::from(words[first].tag)));
        }
        self.runs.iter().filter(|&&(_, count)| count > 1).map(|&(_, count)| u64::from(count)).sum()
    }

    fn clear(&mut self, places: usize) {
        self.slots.clear();
        self.slots.resize((2 * places).next_power_of_two().max(16), Slot::default());
        self.runs.clear();
    }

    fn add_chars(&mut self, text: &str, length: usize, n: usize) {
        let bytes = text.as_bytes();
        let weight = power(n);
        let mut hash = 0_u64;
        let mut firsts = text.char_indices();
        for (number, (place, c)) in text.char_indices().take(length).enumerate() {
            hash = hash.wrapping_mul(BASE).wrapping_add(u64::from(c) + 1);
            if number + 1 < n {
                continue;
            }
            let Some((start, first)) = firsts.next() else { break };
            let own = &bytes[start..place + c.len_utf8()];
            // A run of as many characters that begins with these bytes is the same run.
            self.add(hash, start, |other| bytes[other..].starts_with(own));
            hash = hash.wrapping_sub(weight.wrapping_mul(u64::from(first) + 1));
        }
    }

    /// The same for 8 to 16 characters of one byte each: the first and last eight bytes of a run are all of it.
    fn add_ascii(&mut self, bytes: &[u8], n: usize) {
        let ends = |run: &[u8]| match (run.first_chunk(), run.last_chunk()) {
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => (0, 0),
        };
        for (start, run) in bytes.windows(n).enumerate() {
            let own = ends(run);
            let hash = (own.0.wrapping_mul(BASE) ^ own.1.rotate_left(32)).wrapping_mul(BASE);
            self.add(hash ^ hash >> 32, start, |other| ends(&bytes[other..other + n]) == own);
        }
    }

    /// Counts one run; `same` says whether the run that starts at another place is equal.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "texts are cut at 4 GiB before they get here")]
    fn add(&mut self, hash: u64, start: usize, same: impl Fn(usize) -> bool) {
        let tag = (hash.wrapping_mul(SPREAD) >> 32) as u32;
        let mask = self.slots.len() - 1;
        let mut place = tag as usize & mask;
        loop {
            let slot = self.slots[place];
            if slot.run == 0 {
                self.runs.push((start as u32, 1));
                self.slots[place] = Slot { tag, run: self.runs.len() as u32 };
                return;
            }
            if slot.tag == tag {
                let (first, count) = &mut self.runs[slot.run as usize - 1];
                if same(*first as usize) {
                    *count += 1;
                    return;
                }
            }
            place = (place + 1) & mask;
        }
    }

    fn frequent(&mut self, places: u64) -> f64 {
        self.counts.clear();
        self.counts.extend(self.runs.iter().map(|&(_, count)| count).filter(|&count| count > 1));
        let frequent = self.counts.len().min(self.runs.len().isqrt());
        if frequent < self.counts.len() {
            self.counts.select_nth_unstable_by(frequent, |a, b| b.cmp(a));
        }
        let covered: u64 = self.counts[..frequent].iter().map(|&count| u64::from(count)).sum();
        covered as f64 / places as f64
    }

    /// Frees what an unusually long text has left behind.
    pub(super) fn trim(&mut self) {
        if self.slots.capacity() > MAX_KEPT_SLOTS {
            *self = Self::default();
        }
    }
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
        let top = repeated.min((sorted.len() as f64).sqrt() as usize);
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
