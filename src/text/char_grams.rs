//! How much of a text is made of frequent runs of n characters.
//!
//! The measure is Data-Juicer's (`character_repetition_filter`, after the BigScience filters): of all places where
//! a run of n characters starts, the share that belongs to the most frequent runs, as many of these as the
//! square root of the number of different ones, and only runs that occur twice. Runs are compared byte by byte.
//!
//! We differ in that only the first [`MAX_CHARS`] characters of a text are looked at, so that memory is bounded.

/// Characters that are looked at.
pub const MAX_CHARS: usize = 1 << 20;
/// Tables of more slots than this are freed after use.
const MAX_KEPT_SLOTS: usize = 1 << 18;
/// Multiplier of the rolling hash.
const BASE: u64 = 0x9E37_79B9_7F4A_7C15;

/// A run: upper bits of its hash and its number in `runs` plus 1; 0 is free.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    tag: u32,
    run: u32,
}

/// Working memory.
#[derive(Debug, Default)]
pub struct CharGrams {
    slots: Vec<Slot>,
    /// First byte and count of each different run.
    runs: Vec<(u32, u32)>,
    counts: Vec<u32>,
}

impl CharGrams {
    /// The share in a text of so many characters, 0 where there are fewer than `n`.
    pub(super) fn repetition(&mut self, text: &str, chars: u64, n: usize) -> f64 {
        let length = usize::try_from(chars).unwrap_or(MAX_CHARS).min(MAX_CHARS);
        let n = n.max(1);
        if length < n {
            return 0.0;
        }
        let places = length + 1 - n;
        let mask = (2 * places).next_power_of_two().max(16) - 1;
        self.slots.clear();
        self.slots.resize(mask + 1, Slot::default());
        self.runs.clear();
        let bytes = text.as_bytes();
        // Weight of the first character of a run in its hash.
        let weight = (1..n).fold(1_u64, |power, _| power.wrapping_mul(BASE));
        let mut hash = 0_u64;
        let mut firsts = text.char_indices();
        for (number, (place, c)) in text.char_indices().take(length).enumerate() {
            hash = hash.wrapping_mul(BASE).wrapping_add(u64::from(c) + 1);
            if number + 1 < n {
                continue;
            }
            let Some((start, first)) = firsts.next() else { break };
            self.add(bytes, start, place + c.len_utf8(), mask, hash);
            hash = hash.wrapping_sub(weight.wrapping_mul(u64::from(first) + 1));
        }
        self.share(places as u64)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "2^20 characters have at most 2^22 bytes")]
    fn add(&mut self, bytes: &[u8], start: usize, end: usize, mask: usize, hash: u64) {
        let tag = (hash.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 32) as u32;
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
                // A run of as many characters that begins with these bytes is the same run.
                if bytes[*first as usize..].starts_with(&bytes[start..end]) {
                    *count += 1;
                    return;
                }
            }
            place = (place + 1) & mask;
        }
    }

    fn share(&mut self, places: u64) -> f64 {
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

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
            n in 1_usize..6
        ) {
            let text = pieces.concat();
            let mut grams = CharGrams::default();
            grams.repetition("something else, something else", 30, 3);
            let found = grams.repetition(&text, text.chars().count() as u64, n);
            prop_assert!((found - plain(&text, n)).abs() < 1e-12, "{} {}", found, plain(&text, n));
        }
    }

    #[test]
    fn a_share_worked_out_by_hand() {
        // aa ab ba aa ab: five places, three runs, of which one (the square root of 3) counts: aa or ab, twice.
        assert_eq!(CharGrams::default().repetition("aabaab", 6, 2).to_bits(), 0.4_f64.to_bits());
        assert_eq!(CharGrams::default().repetition("short", 5, 6).to_bits(), 0.0_f64.to_bits());
    }
}
