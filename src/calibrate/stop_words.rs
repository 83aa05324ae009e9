//! Stop words by frequency: the first pass.

use std::collections::BTreeMap;

use super::Settings;
use crate::text::words::Splitter;

/// A language gets at least so many (FineWeb2's number), even below the smallest share.
const MIN_STOP_WORDS: usize = 8;
/// Share of the documents in which a stop word occurs at least.
const MIN_DOC_RATIO: f64 = 0.1;
/// A stop word is so many times as frequent as in a shuffle of the language's letters.
const MIN_LIFT: f64 = 3.0;
/// Longer words are not counted.
const MAX_CHARS: u32 = 24;
/// Different words that are held per language; beyond it, those seen once are forgotten.
const MAX_WORDS: usize = 1 << 20;

/// Word counts of every language.
#[derive(Default)]
pub struct Words {
    languages: BTreeMap<String, Counts>,
    splitter: Splitter,
}

#[derive(Default)]
struct Counts {
    docs: u64,
    words: u64,
    /// By word: how often, in how many documents, the last one of them.
    by_word: BTreeMap<Box<str>, (u64, u64, u64)>,
    letters: BTreeMap<char, u64>,
    all_letters: u64,
    /// Number of words by length in characters.
    lengths: [u64; MAX_CHARS as usize + 1],
}

impl Words {
    /// Counts one document's words. Beyond `max_docs` documents of a language it does nothing.
    pub fn add(&mut self, language: &str, text: &str, max_docs: u64) {
        if !self.languages.contains_key(language) {
            self.languages.insert(language.to_owned(), Counts::default());
        }
        let Some(counts) = self.languages.get_mut(language).filter(|counts| counts.docs < max_docs) else {
            return;
        };
        counts.docs += 1;
        self.splitter.split(text, |word| {
            if word.has_letter() && word.chars() <= MAX_CHARS {
                counts.add(word.of(text), word.chars());
            }
        });
        self.splitter.trim();
        if counts.by_word.len() > MAX_WORDS {
            counts.by_word.retain(|_, (count, ..)| *count > 1);
        }
    }

    /// The stop words of every language with enough documents.
    pub(super) fn choose(self, settings: &Settings) -> BTreeMap<String, Choice> {
        let mut languages = self.languages;
        languages.retain(|_, counts| counts.docs >= settings.min_docs && counts.words > 0);
        languages.into_iter().map(|(language, counts)| (language, counts.choose(settings))).collect()
    }
}

/// A list of stop words.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) words: Vec<String>,
    /// Share of the words that would be one of them if the language's letters were shuffled.
    pub(super) chance: f64,
}

impl Counts {
    fn add(&mut self, word: &str, chars: u32) {
        self.words += 1;
        self.lengths[chars as usize] += 1;
        self.all_letters += u64::from(chars);
        for c in word.chars() {
            *self.letters.entry(c).or_default() += 1;
        }
        let entry = match self.by_word.get_mut(word) {
            Some(entry) => entry,
            None => self.by_word.entry(word.into()).or_default(),
        };
        entry.0 += 1;
        if entry.2 != self.docs {
            entry.1 += 1;
            entry.2 = self.docs;
        }
    }

    /// Share of the words that would be this one in a shuffle of the language's letters, with words as long as
    /// they were or with the spaces shuffled too, whichever makes it more frequent.
    fn chance(&self, word: &str) -> f64 {
        let chars = word.chars().count();
        let (words, letters) = (self.words as f64, self.all_letters as f64);
        let kept = self.lengths.get(chars).copied().unwrap_or(0) as f64 / words;
        let ends = words / (words + letters);
        let shuffled = (0..chars).fold(ends, |share, _| share * (1.0 - ends));
        word.chars().fold(kept.max(shuffled), |chance, c| {
            chance * self.letters.get(&c).copied().unwrap_or(0) as f64 / letters
        })
    }

    fn chance_of_any(&self, words: &[String]) -> f64 {
        words.iter().map(|word| self.chance(word)).sum()
    }

    /// Words (with their counts) in lower case that occur all over the documents, most frequent first.
    fn candidates(&self) -> Vec<(u64, &str)> {
        let mut candidates: Vec<(u64, &str)> = Vec::new();
        for (word, (count, docs, _)) in &self.by_word {
            let everywhere = *docs as f64 >= MIN_DOC_RATIO * self.docs as f64;
            if everywhere && word.to_lowercase() == **word {
                candidates.push((*count, word));
            }
        }
        candidates.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        candidates
    }

    fn choose(&self, settings: &Settings) -> Choice {
        let mut candidates = self.candidates();
        candidates.retain(|(count, word)| *count as f64 >= MIN_LIFT * self.chance(word) * self.words as f64);
        let smallest = settings.min_stop_word_ratio * self.words as f64;
        let frequent = candidates.iter().take_while(|(count, _)| *count as f64 >= smallest).count();
        candidates.truncate(frequent.max(MIN_STOP_WORDS).min(settings.max_stop_words));
        let words: Vec<String> = candidates.into_iter().map(|(_, word)| word.to_owned()).collect();
        let chance = self.chance_of_any(&words);
        Choice { words, chance }
    }
}
