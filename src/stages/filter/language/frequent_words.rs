//! A language by its frequent words, for scripts that many languages share.
//!
//! whatlang's profiles are trigrams of 69 languages: it is sure of texts in languages that it does not know (Mongolian
//! and Kazakh are Russian to it), and it has no answer for "none of these". A page has hundreds of words, and a
//! few dozen function words tell its language nearly without mistake (Grefenstette 1995; Dunning 1994 for the naive Bayes
//! sum taken here). The lists, 300 words for each of 70 languages, are made by `tests/tools/frequent_words.py` and lie beside this file.
//!
//! Each word adds the logarithm of its share in the language over one in 10,000, which a word outside the list counts
//! as. How well a text *fits* a language is the share of its words in the list over what that share is in the
//! language itself; unknown languages fit none.

use std::sync::LazyLock;

use xxhash_rust::xxh3::xxh3_64;

use crate::text::charsets::{Classes, Kind, kind_number};

/// The lists; `tests/tools/frequent_words.py` describes the format.
const LISTS: &str = include_str!("frequent_words.txt");
/// Weights are tenths of a nat.
const WEIGHT_UNIT: f64 = 0.1;

/// The lists of all languages.
pub(super) struct FrequentWords {
    languages: Vec<Listed>,
    /// Open addressing: (hash of the word, first and last place in `entries`), 0 for an empty slot.
    slots: Vec<(u64, usize, usize)>,
    /// (language, weight) of each word's languages.
    entries: Vec<(u8, u8)>,
}

struct Listed {
    code: &'static str,
    /// Share of its words that are in its list.
    share: f64,
}

/// What the words of a text say.
pub(super) struct Vote<'w> {
    lists: &'w FrequentWords,
    /// Sum of weights by language.
    sums: Vec<u64>,
    /// Words in the language's list.
    hits: Vec<u64>,
    /// All words.
    pub(super) words: u64,
    /// Letters of the listed scripts, and of others.
    letters: [u64; 2],
}

impl FrequentWords {
    /// The lists that tamis brings.
    pub(super) fn get() -> &'static Self {
        static LOADED: LazyLock<FrequentWords> = LazyLock::new(|| FrequentWords::parse(LISTS));
        &LOADED
    }

    fn parse(lists: &'static str) -> Self {
        let mut languages = Vec::new();
        let mut found = Vec::new();
        for line in lists.lines() {
            let mut parts = line.split(' ');
            let code = parts.next().unwrap_or_default();
            let share = parts.next().and_then(|share| share.parse::<f64>().ok()).unwrap_or(0.0) / 1000.0;
            let language = u8::try_from(languages.len()).unwrap_or(u8::MAX);
            languages.push(Listed { code, share });
            let mut weight = 0;
            for part in parts {
                match part.parse::<u8>() {
                    Ok(number) => weight = number,
                    Err(_) => found.push((xxh3_64(part.as_bytes()), language, weight)),
                }
            }
        }
        found.sort_unstable();
        let mut slots = vec![(0, 0, 0); (found.len() * 2).next_power_of_two()];
        let mask = slots.len() - 1;
        let mut entries: Vec<(u8, u8)> = Vec::with_capacity(found.len());
        for word in found.chunk_by(|a, b| a.0 == b.0) {
            let start = entries.len();
            entries.extend(word.iter().map(|&(_, language, weight)| (language, weight)));
            let mut place = first_place(word[0].0, mask);
            while slots[place].2 > 0 {
                place = (place + 1) & mask;
            }
            slots[place] = (word[0].0, start, entries.len());
        }
        Self { languages, slots, entries }
    }

    /// Codes of the languages that have a list, in the order of their numbers.
    pub(super) fn codes(&self) -> impl Iterator<Item = &'static str> {
        self.languages.iter().map(|listed| listed.code)
    }

    /// The languages of a word in lower case, with its weight in each.
    fn find(&self, word: &[u8]) -> &[(u8, u8)] {
        let hash = xxh3_64(word);
        let mask = self.slots.len() - 1;
        let mut place = first_place(hash, mask);
        loop {
            let (known, start, end) = self.slots[place];
            if end == 0 {
                return &[];
            }
            if known == hash {
                return &self.entries[start..end];
            }
            place = (place + 1) & mask;
        }
    }

    /// Counts the words of a text.
    pub(super) fn vote(&self, parts: &[&str]) -> Vote<'_> {
        let count = self.languages.len();
        let mut vote =
            Vote { lists: self, sums: vec![0; count], hits: vec![0; count], words: 0, letters: [0; 2] };
        let classes = Classes::get();
        let mut word = String::new();
        for part in parts {
            for c in part.chars() {
                if c.is_ascii() {
                    if c.is_ascii_alphabetic() {
                        vote.letters[0] += 1;
                        word.push(c.to_ascii_lowercase());
                    } else {
                        vote.take(&mut word);
                    }
                    continue;
                }
                let kind = kind_number(classes.of(c));
                if !(Kind::Upper as usize..=Kind::Combining as usize).contains(&kind) {
                    vote.take(&mut word);
                } else if is_listed(c) {
                    vote.letters[0] += 1;
                    word.extend(c.to_lowercase());
                } else {
                    vote.letters[1] += 1;
                    vote.take(&mut word);
                }
            }
            vote.take(&mut word);
        }
        vote
    }
}

impl Vote<'_> {
    fn take(&mut self, word: &mut String) {
        if word.is_empty() {
            return;
        }
        self.words += 1;
        for &(language, weight) in self.lists.find(word.as_bytes()) {
            self.sums[usize::from(language)] += u64::from(weight);
            self.hits[usize::from(language)] += 1;
        }
        word.clear();
    }

    /// Whether most letters are of scripts whose languages have lists.
    pub(super) fn applies(&self) -> bool {
        self.words > 0 && self.letters[0] >= self.letters[1]
    }

    /// The best language, and by how many nats it is ahead of the second.
    pub(super) fn best(&self) -> (usize, f64) {
        let (mut best, mut first, mut second) = (0, 0, 0);
        for (language, &sum) in self.sums.iter().enumerate() {
            if sum > first {
                (best, first, second) = (language, sum, first);
            } else {
                second = sum.max(second);
            }
        }
        (best, (first - second) as f64 * WEIGHT_UNIT)
    }

    /// How well the text fits a language: 1 is as a text of that language on average, 0 not at all.
    pub(super) fn fit(&self, language: usize) -> f64 {
        self.hits[language] as f64 / self.words.max(1) as f64 / self.lists.languages[language].share
    }
}

/// Where the search for a hash begins.
#[expect(clippy::cast_possible_truncation, reason = "only the lower bits count")]
fn first_place(hash: u64, mask: usize) -> usize {
    hash as usize & mask
}

/// Whether a letter or mark beyond ASCII is of a script whose languages have lists: Latin, Greek, Cyrillic, Hebrew,
/// Arabic, Devanagari, Bengali, and the marks that combine with any.
const fn is_listed(c: char) -> bool {
    matches!(c as u32, 0x80..=0x52F | 0x590..=0x77F | 0x8A0..=0x9FF | 0x1C80..=0x1C8F | 0x1E00..=0x1FFF | 0x2C60..=0x2C7F | 0xA720..=0xA7FF | 0xFB00..=0xFB06 | 0xFB1D..=0xFDFF | 0xFE70..=0xFEFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_whole() {
        let lists = FrequentWords::get();
        assert!(lists.languages.len() >= 60, "{}", lists.languages.len());
        for listed in &lists.languages {
            assert!(crate::text::langcodes::normalise(listed.code).is_some_and(|code| code == listed.code));
            assert!((0.2..0.95).contains(&listed.share), "{}: {}", listed.code, listed.share);
        }
        assert!(lists.entries.iter().all(|&(_, weight)| weight > 0));
        assert!(!lists.find(b"the").is_empty() && lists.find(b"zzzzqq").is_empty());
        assert!(lists.find(b"de").len() > 5);
    }

    #[test]
    fn words_tell_a_language_and_that_it_is_none() {
        let lists = FrequentWords::get();
        let code = |vote: &Vote| lists.languages[vote.best().0].code;
        let english = lists
            .vote(&["The ferry ran for a hundred years, and most of that", "time nobody thought about it."]);
        assert_eq!(code(&english), "en");
        assert_eq!(english.words, 16);
        assert!(english.best().1 > 5.0 && english.fit(english.best().0) > 0.5);
        let none = lists.vote(&["Xqrt vlonk bremzu hadwik plostern quimby ragolk"]);
        assert!(none.fit(none.best().0) < 0.5);
        assert!(lists.vote(&["Река THE река"]).applies());
        assert!(!lists.vote(&["河边的渡船走了一百多年 OK"]).applies());
        assert!(!lists.vote(&["", "12 ..."]).applies());
    }
}
