//! How much of a text repeats itself: duplicate lines and paragraphs, frequent and repeated word n-grams.
//!
//! The measures are those of Gopher (Rae et al. 2021, appendix A) as datatrove 0.10 computes them. The counts
//! are exact, with no hash taken on trust: lines and words are compared byte by byte, and an n-gram is known
//! by the pair of (n-1)-grams that it consists of, each known by its first place in the text. Only places whose
//! (n-1)-grams both occur more than once are looked at for n, so that longer n-grams cost next to nothing.
//!
//! One difference: datatrove compares the repeated 5- to 10-grams by their words written together, so `ab c` and
//! `a bc` are the same there and different here.

use super::words::Word;

/// Smallest n of the repeated n-grams that are measured.
const MIN_REPEATED: usize = 5;
/// Largest n of the n-grams that are measured.
const MAX_GRAM: usize = 10;
/// Tables of more slots than this are freed after use.
const MAX_KEPT_SLOTS: usize = 1 << 18;

/// Characters covered by n-grams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grams {
    /// For n = 2, 3, 4: length of the most frequent n-gram (words joined with a space) times its count; of
    /// several equally frequent ones the first counts. 0 where the text has fewer than n words.
    pub top_chars: [u64; 3],
    /// For n = 5 to 10: length of the n-grams (without spaces) that occurred before, counted from the left
    /// and without overlap.
    pub repeated_chars: [u64; 6],
    /// For n = 2 to 10: places where an n-gram starts that occurs more than once, all copies counted.
    pub repeated_places: [u64; 9],
}

/// Duplicates among a list of texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Duplicates {
    /// All texts.
    pub total: u64,
    /// Those that stood earlier in the list.
    pub duplicates: u64,
    /// Their characters.
    pub duplicate_chars: u64,
}

/// A key's first place and how often it was seen; free where `count` is 0.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    key: u64,
    first: u32,
    count: u32,
}

/// Working memory for the counts.
#[derive(Debug, Default)]
pub struct Counter {
    slots: Vec<Slot>,
    /// Places whose n-gram occurs more than once, with the first place of that n-gram.
    repeated: Vec<(u32, u32)>,
    /// The same for n + 1, and before that the places that may repeat, with their slots.
    next: Vec<(u32, u32)>,
    /// Characters before each word.
    chars_before: Vec<u32>,
    /// For each place, the last n whose walk has seen the n-gram that first stands there.
    seen: Vec<u8>,
}

/// Power of two with room for `entries` at half load.
fn table_size(entries: usize) -> usize {
    (entries * 2).next_power_of_two().max(16)
}

fn place_of(key: u64, mask: usize) -> usize {
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & mask
}

#[expect(clippy::cast_possible_truncation, reason = "texts are cut at 4 GiB before they get here")]
fn index(place: usize) -> u32 {
    place as u32
}

impl Counter {
    fn clear_slots(&mut self, entries: usize) -> usize {
        let size = table_size(entries);
        if self.slots.len() < size {
            self.slots.resize(size, Slot::default());
        }
        self.slots[..size].fill(Slot::default());
        size - 1
    }

    /// Frees tables that an unusually long text has left behind.
    pub fn trim(&mut self) {
        if self.slots.len() > MAX_KEPT_SLOTS {
            *self = Self::default();
        }
    }

    /// Calls `copy` with the number of each of `count` parts of a text that stood earlier among them.
    pub fn copies(
        &mut self,
        text: &str,
        count: usize,
        range: impl Fn(usize) -> (u32, u32),
        mut copy: impl FnMut(usize),
    ) {
        if count < 2 {
            return;
        }
        let mask = self.clear_slots(count);
        let bytes = text.as_bytes();
        let part_of = |number: usize| {
            let (start, end) = range(number);
            &bytes[start as usize..end as usize]
        };
        for number in 0..count {
            let part = part_of(number);
            let key = xxhash_rust::xxh3::xxh3_64(part);
            let mut place = place_of(key, mask);
            loop {
                let slot = &mut self.slots[place];
                if slot.count == 0 {
                    *slot = Slot { key, first: index(number), count: 1 };
                    break;
                }
                if slot.key == key && part_of(slot.first as usize) == part {
                    copy(number);
                    break;
                }
                place = (place + 1) & mask;
            }
        }
    }

    /// Measures the n-grams of a text with these words.
    pub fn grams(&mut self, text: &str, words: &[Word]) -> Grams {
        let mut grams = Grams::default();
        let mut before = 0;
        self.chars_before.clear();
        self.chars_before.extend(words.iter().map(|word| {
            let here = before;
            before += word.chars();
            here
        }));
        self.chars_before.push(before);
        self.count_words(text, words);
        let mut fresh = true;
        for n in 2..=MAX_GRAM {
            if words.len() < n {
                break;
            }
            let top = self.count_pairs();
            grams.repeated_places[n - 2] = self.repeated.len() as u64;
            if n < MIN_REPEATED {
                let (first, count) = top.unwrap_or((0, 1));
                let length = self.chars_in(first as usize, n) + (n as u64 - 1);
                grams.top_chars[n - 2] = length * u64::from(count);
            } else {
                if fresh {
                    self.seen.clear();
                    self.seen.resize(words.len(), 0);
                    fresh = false;
                }
                grams.repeated_chars[n - MIN_REPEATED] = self.repeated_chars(n);
            }
            if self.repeated.is_empty() && n >= MIN_REPEATED {
                break;
            }
        }
        grams
    }

    fn chars_in(&self, first: usize, n: usize) -> u64 {
        u64::from(self.chars_before[first + n] - self.chars_before[first])
    }

    /// Fills `repeated` with the places of words that occur more than once.
    fn count_words(&mut self, text: &str, words: &[Word]) {
        let mask = self.clear_slots(words.len());
        let bytes = text.as_bytes();
        self.next.clear();
        for (number, word) in words.iter().enumerate() {
            let own = &bytes[word.start as usize..word.end as usize];
            let key = u64::from(word.tag);
            let mut place = word.tag as usize & mask;
            loop {
                let slot = &mut self.slots[place];
                if slot.count == 0 {
                    *slot = Slot { key, first: index(number), count: 1 };
                    break;
                }
                if slot.key == key {
                    let other = &words[slot.first as usize];
                    if &bytes[other.start as usize..other.end as usize] == own {
                        slot.count += 1;
                        break;
                    }
                }
                place = (place + 1) & mask;
            }
            self.next.push((index(number), index(place)));
        }
        self.keep_repeated();
    }

    /// Turns `next` (place, slot) into `repeated` (place, first place) where the slot counts two or more.
    fn keep_repeated(&mut self) {
        self.repeated.clear();
        for &(place, slot) in &self.next {
            let slot = &self.slots[slot as usize];
            if slot.count > 1 {
                self.repeated.push((place, slot.first));
            }
        }
    }

    /// From the repeated (n-1)-grams in `repeated` to the repeated n-grams. Returns the first place and count of
    /// the most frequent n-gram, where one occurs more than once.
    fn count_pairs(&mut self) -> Option<(u32, u32)> {
        let mask = self.clear_slots(self.repeated.len());
        self.next.clear();
        for pair in self.repeated.windows(2) {
            let [(place, left), (following, right)] = *pair else { continue };
            if following != place + 1 {
                continue;
            }
            let key = u64::from(left) << 32 | u64::from(right);
            let mut at = place_of(key, mask);
            loop {
                let slot = &mut self.slots[at];
                if slot.count == 0 {
                    *slot = Slot { key, first: place, count: 1 };
                    break;
                }
                if slot.key == key {
                    slot.count += 1;
                    break;
                }
                at = (at + 1) & mask;
            }
            self.next.push((place, index(at)));
        }
        self.keep_repeated();
        let mut top: Option<(u32, u32)> = None;
        for &(place, slot) in &self.next {
            let slot = &self.slots[slot as usize];
            if slot.first == place && slot.count > 1 && top.is_none_or(|(_, count)| slot.count > count) {
                top = Some((place, slot.count));
            }
        }
        top
    }

    /// Walks the n-grams from the left: one that was seen counts and is jumped over, else it is remembered.
    #[expect(clippy::cast_possible_truncation, reason = "n is at most 10")]
    fn repeated_chars(&mut self, n: usize) -> u64 {
        let mut total = 0;
        let mut next_place = 0;
        for &(place, first) in &self.repeated {
            if place < next_place {
                continue;
            }
            let seen = &mut self.seen[first as usize];
            if *seen == n as u8 {
                total += u64::from(self.chars_before[place as usize + n] - self.chars_before[place as usize]);
                next_place = place + n as u32;
            } else {
                *seen = n as u8;
            }
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::lines::chars;
    use super::super::words::Splitter;
    use super::*;

    /// The definition, written down without regard to speed.
    fn plain(words: &[&str]) -> Grams {
        let mut grams = Grams::default();
        for n in 2..=4 {
            let mut counts: HashMap<Vec<&str>, u64> = HashMap::new();
            for gram in words.windows(n) {
                *counts.entry(gram.to_vec()).or_default() += 1;
            }
            let best = counts.values().copied().max().unwrap_or(0);
            if let Some(gram) = words.windows(n).find(|gram| counts[*gram] == best) {
                grams.top_chars[n - 2] = chars(&gram.join(" ")) as u64 * best;
            }
        }
        for n in 2..=10 {
            let mut counts: HashMap<&[&str], u64> = HashMap::new();
            for gram in words.windows(n) {
                *counts.entry(gram).or_default() += 1;
            }
            grams.repeated_places[n - 2] = counts.values().filter(|&&count| count > 1).sum();
        }
        for n in 5..=10 {
            let mut seen = std::collections::HashSet::new();
            let mut place = 0;
            while place + n <= words.len() {
                let gram = words[place..place + n].to_vec();
                if seen.contains(&gram) {
                    grams.repeated_chars[n - 5] += chars(&gram.concat()) as u64;
                    place += n;
                } else {
                    seen.insert(gram);
                    place += 1;
                }
            }
        }
        grams
    }

    proptest! {
        #[test]
        fn grams_are_those_of_the_definition(
            parts in prop::collection::vec(prop::sample::select(vec!["a ", "bé ", "ccc ", "a bé a ", "d e f g h i "]), 0..60)
        ) {
            let text = parts.concat();
            let mut words = Vec::new();
            Splitter::default().split(&text, |word| words.push(word));
            let plain_words: Vec<&str> = words.iter().map(|word| word.of(&text)).collect();
            let mut counter = Counter::default();
            prop_assert_eq!(counter.grams(&text, &words), plain(&plain_words));
            prop_assert_eq!(counter.grams(&text, &words), plain(&plain_words), "in used tables");
        }
    }

    #[test]
    fn copies_stood_earlier() {
        let text = "é\nb\né\n\né\nb";
        let parts = [(0, 2), (3, 4), (5, 7), (8, 8), (9, 11), (12, 13)];
        let mut found = Vec::new();
        Counter::default().copies(text, parts.len(), |number| parts[number], |number| found.push(number));
        assert_eq!(found, [2, 4, 5]);
    }
}
