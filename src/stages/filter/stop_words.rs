//! A set of words that is asked once per word of a text.

use crate::text::words::{Word, tag};

/// Most words that a set may have.
pub(super) const MAX_STOP_WORDS: usize = 1024;

/// Words compared exactly.
#[derive(Debug)]
pub(super) struct StopWords {
    /// Sorted by tag.
    words: Vec<(u32, String)>,
    /// One bit per possible value of a tag's lower bits.
    filter: [u64; 16],
}

impl StopWords {
    /// The set of these words; of more than [`MAX_STOP_WORDS`] different ones, the first by hash.
    pub(super) fn new(list: &[String]) -> Self {
        let mut words: Vec<_> = list.iter().map(|word| (tag(word.as_bytes()), word.clone())).collect();
        words.sort();
        words.dedup();
        words.truncate(MAX_STOP_WORDS);
        let mut filter = [0; 16];
        for (tag, _) in &words {
            filter[*tag as usize / 64 % 16] |= 1 << (tag % 64);
        }
        Self { words, filter }
    }

    /// Number of different words.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// Place of a word in the set, by its text and its [`tag`].
    pub(super) fn find(&self, word: &str, tag: u32) -> Option<usize> {
        if self.filter[tag as usize / 64 % 16] & 1 << (tag % 64) == 0 {
            return None;
        }
        let first = self.words.partition_point(|(other, _)| *other < tag);
        let candidates = self.words[first..].iter().take_while(|(other, _)| *other == tag);
        candidates.zip(first..).find(|((_, other), _)| other == word).map(|(_, place)| place)
    }

    /// How many different ones occur among the words of a text.
    pub(super) fn count_different(&self, text: &str, words: &[Word]) -> u64 {
        let mut seen = [0_u64; MAX_STOP_WORDS / 64];
        let mut count = 0;
        for word in words {
            let Some(place) = self.find(word.of(text), word.tag) else { continue };
            if seen[place / 64] & 1 << (place % 64) == 0 {
                seen[place / 64] |= 1 << (place % 64);
                count += 1;
            }
            if count == self.words.len() as u64 {
                break;
            }
        }
        count
    }
}
