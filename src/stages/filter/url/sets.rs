//! The lists of this stage in memory, and how they are read.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use aho_corasick::AhoCorasick;
use xxhash_rust::xxh3::xxh3_64;

use crate::stage::{BuildContext, OptionError};
use crate::stages::filter::lists;

/// Names by their 64-bit hash, sorted: 8 bytes each, whatever their length.
#[derive(Default)]
pub(super) struct HashSet64 {
    hashes: Vec<u64>,
}

impl HashSet64 {
    fn new(mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        hashes.shrink_to_fit();
        Self { hashes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        !self.hashes.is_empty() && self.hashes.binary_search(&xxh3_64(name.as_bytes())).is_ok()
    }
}

/// Words of ASCII letters and digits, in small letters.
#[derive(Default)]
pub(super) struct WordSet {
    words: HashSet<String>,
}

impl WordSet {
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The first word of an address that is listed.
    pub(super) fn first_in(&self, url: &str) -> Option<&str> {
        if self.words.is_empty() {
            return None;
        }
        words(url).find_map(|word| self.words.get(&*word)).map(String::as_str)
    }

    /// How many different listed words an address holds.
    pub(super) fn distinct_in(&self, url: &str) -> usize {
        words(url).filter_map(|word| self.words.get(&*word)).collect::<BTreeSet<_>>().len()
    }
}

/// Runs of ASCII letters and digits, in small letters.
fn words(url: &str) -> impl Iterator<Item = String> {
    url.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
}

/// All ASCII letters and digits, in small letters.
fn letters_and_digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Strings that are found anywhere in the letters and digits of an address.
pub(super) struct Substrings {
    automaton: AhoCorasick,
    strings: Vec<String>,
}

impl Substrings {
    /// `None` without strings.
    pub(super) fn new(strings: WordSet) -> Result<Option<Self>, String> {
        if strings.words.is_empty() {
            return Ok(None);
        }
        // Sorted, so that of two found at one place it is always the same that is reported.
        let strings: Vec<String> = strings.words.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let automaton =
            AhoCorasick::new(&strings).map_err(|error| format!("too many banned substrings: {error}"))?;
        Ok(Some(Self { automaton, strings }))
    }

    pub(super) fn first_in(&self, url: &str) -> Option<&str> {
        let found = self.automaton.find(&letters_and_digits(url))?;
        self.strings.get(found.pattern().as_usize()).map(String::as_str)
    }
}

/// Reads lists and inline entries, and keeps the mistakes for the end.
pub(super) struct Collector<'c> {
    cx: &'c mut BuildContext,
    errors: Vec<OptionError>,
    given: bool,
}

impl<'c> Collector<'c> {
    pub(super) fn new(cx: &'c mut BuildContext) -> Self {
        Self { cx, errors: Vec::new(), given: false }
    }

    /// Whether any list or entry has been given so far.
    pub(super) fn given(&self) -> bool {
        self.given
    }

    pub(super) fn errors(self) -> Vec<OptionError> {
        self.errors
    }

    /// Entries as hashes of their normal form.
    pub(super) fn hashes(
        &mut self,
        lists_key: &str,
        paths: &[String],
        entries_key: &str,
        entries: &[String],
        normal: impl Fn(&str) -> Result<Cow<'_, str>, String>,
    ) -> HashSet64 {
        let mut hashes = Vec::new();
        self.each(lists_key, paths, entries_key, entries, |entry| {
            hashes.push(xxh3_64(normal(entry)?.as_bytes()));
            Ok(())
        });
        HashSet64::new(hashes)
    }

    /// Entries as words, without what is no ASCII letter or digit.
    pub(super) fn words(
        &mut self,
        lists_key: &str,
        paths: &[String],
        entries_key: &str,
        entries: &[String],
    ) -> WordSet {
        let mut words = HashSet::new();
        self.each(lists_key, paths, entries_key, entries, |entry| {
            let word = letters_and_digits(entry);
            if word.is_empty() {
                return Err(format!("`{entry}` holds no ASCII letter or digit"));
            }
            words.insert(word);
            Ok(())
        });
        WordSet { words }
    }

    fn each(
        &mut self,
        lists_key: &str,
        paths: &[String],
        entries_key: &str,
        entries: &[String],
        mut entry: impl FnMut(&str) -> Result<(), String>,
    ) {
        self.given |= !paths.is_empty() || !entries.is_empty();
        for (place, path) in paths.iter().enumerate() {
            let read = lists::read(self.cx, &format!("{lists_key}.{place}"), path, &mut entry);
            self.errors.extend(read.err());
        }
        for (place, text) in entries.iter().enumerate() {
            if let Err(what) = entry(text.trim()) {
                self.errors.push(OptionError::new(format!("{entries_key}.{place}"), what));
            }
        }
    }
}
