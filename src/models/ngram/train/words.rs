//! The words of a text, numbered in the order in which they first come.
//!
//! One arena of bytes, one open-addressing table of 8 bytes per place (32 bits of the hash, the number plus one).
//! Words are bytes: a text that is no UTF-8 is counted as it stands, as KenLM does.

#![expect(
    clippy::cast_possible_truncation,
    reason = "word numbers and the upper half of hashes have 32 bits; offsets are in memory"
)]

use xxhash_rust::xxh3::xxh3_64;

/// Number of `<unk>`, every word that is not in the model.
pub const UNKNOWN: u32 = 0;
/// Number of `<s>`, what stands before a sentence.
pub const BEGIN: u32 = 1;
/// Number of `</s>`, what stands behind a sentence.
pub const END: u32 = 2;
/// What the three are called in files.
pub const RESERVED: [&[u8]; 3] = [b"<unk>", b"<s>", b"</s>"];
/// Words that a table can hold: their numbers leave the highest one free.
const MAX_WORDS: usize = u32::MAX as usize - 1;

/// A growing table of words with their counts.
pub struct Words {
    bytes: Vec<u8>,
    ends: Vec<u64>,
    counts: Vec<u64>,
    table: Vec<u64>,
}

impl Default for Words {
    fn default() -> Self {
        let mut words =
            Self { bytes: Vec::new(), ends: Vec::new(), counts: Vec::new(), table: vec![0; 1 << 12] };
        for word in RESERVED {
            words.intern(word);
        }
        words
    }
}

impl Words {
    /// The number of a word, a new one if need be; none where 2^32 - 2 words are reached.
    #[inline]
    pub fn intern(&mut self, word: &[u8]) -> Option<u32> {
        let hash = xxh3_64(word);
        let mask = self.table.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let entry = self.table[place];
            if entry == 0 {
                return self.insert(word, hash, place);
            }
            let number = (entry as u32) - 1;
            if entry >> 32 == hash >> 32 && self.word(number) == word {
                return Some(number);
            }
            place = (place + 1) & mask;
        }
    }

    /// The number of a word that is in the table.
    pub fn find(&self, word: &[u8]) -> Option<u32> {
        let hash = xxh3_64(word);
        let mask = self.table.len() - 1;
        let mut place = hash as usize & mask;
        while self.table[place] != 0 {
            let number = (self.table[place] as u32) - 1;
            if self.word(number) == word {
                return Some(number);
            }
            place = (place + 1) & mask;
        }
        None
    }

    #[cold]
    fn insert(&mut self, word: &[u8], hash: u64, place: usize) -> Option<u32> {
        if self.ends.len() >= MAX_WORDS {
            return None;
        }
        self.bytes.extend_from_slice(word);
        self.ends.push(self.bytes.len() as u64);
        self.counts.push(0);
        let number = (self.ends.len() - 1) as u32;
        self.table[place] = (hash >> 32 << 32) | u64::from(number + 1);
        if self.ends.len() * 2 > self.table.len() {
            self.grow();
        }
        Some(number)
    }

    fn grow(&mut self) {
        let mask = self.table.len() * 2 - 1;
        self.table = Vec::new();
        let mut table = vec![0_u64; mask + 1];
        for number in 0..self.ends.len() as u32 {
            let hash = xxh3_64(self.word(number));
            let mut place = hash as usize & mask;
            while table[place] != 0 {
                place = (place + 1) & mask;
            }
            table[place] = (hash >> 32 << 32) | u64::from(number + 1);
        }
        self.table = table;
    }

    /// A word by its number.
    ///
    /// # Panics
    /// Where there is no such number.
    #[inline]
    pub fn word(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[start as usize..self.ends[number] as usize]
    }

    /// Counts one occurrence.
    #[inline]
    pub fn count(&mut self, number: u32) {
        self.counts[number as usize] += 1;
    }

    /// Occurrences of every word, by number.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Number of words, the reserved ones among them.
    #[expect(clippy::len_without_is_empty, reason = "the reserved words are always there")]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes that the table takes.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + 8 * (self.ends.capacity() + self.counts.capacity() + self.table.len())
    }

    /// Gives back what is only needed to find words by their bytes.
    pub fn freeze(&mut self) {
        self.table = vec![0];
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_first_occurrence() {
        let mut words = Words::default();
        let texts: Vec<Vec<u8>> = (0..20_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) % 7_001).to_string().into_bytes())
            .collect();
        let mut seen: Vec<&[u8]> = RESERVED.to_vec();
        for text in &texts {
            let expected = seen.iter().position(|word| word == text).unwrap_or_else(|| {
                seen.push(text);
                seen.len() - 1
            });
            let number = words.intern(text).unwrap();
            words.count(number);
            assert_eq!(number as usize, expected);
        }
        assert_eq!(words.len(), seen.len());
        assert_eq!(words.counts().iter().sum::<u64>(), 20_000);
        assert_eq!(words.find(b"17"), words.intern(b"17"));
        assert_eq!(words.find(b"absent"), None);
        assert_eq!((words.word(BEGIN), words.word(END)), (&b"<s>"[..], &b"</s>"[..]));
    }
}
