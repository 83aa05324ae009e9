//! The lists of this stage in memory, and how they are read.

use std::collections::{BTreeSet, HashSet};

use aho_corasick::AhoCorasick;
use xxhash_rust::xxh3::xxh3_64;

use super::path::{self, Prefixes};
use super::{SubstringText, address, domains};
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

impl SubstringText {
    /// What of an address, or of an entry, is compared.
    fn of(self, text: &str) -> String {
        match self {
            Self::LettersAndDigits => letters_and_digits(text),
            Self::NoDashesOrDots => {
                text.chars().filter(|c| !matches!(c, '-' | '.')).map(|c| c.to_ascii_lowercase()).collect()
            }
            Self::Address => text.to_ascii_lowercase(),
        }
    }
}

/// Strings that are found anywhere in an address.
pub(super) struct Substrings {
    automaton: AhoCorasick,
    strings: Vec<String>,
    text: SubstringText,
}

impl Substrings {
    /// `None` without strings.
    pub(super) fn new(strings: WordSet, text: SubstringText) -> Result<Option<Self>, String> {
        if strings.words.is_empty() {
            return Ok(None);
        }
        // Sorted, so that of two found at one place it is always the same that is reported.
        let strings: Vec<String> = strings.words.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let automaton =
            AhoCorasick::new(&strings).map_err(|error| format!("too many banned substrings: {error}"))?;
        Ok(Some(Self { automaton, strings, text }))
    }

    pub(super) fn first_in(&self, url: &str) -> Option<&str> {
        let found = self.automaton.find(&self.text.of(url))?;
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

    /// Whole addresses; for a folder the file `urls` in it.
    pub(super) fn urls(
        &mut self,
        lists_key: &str,
        paths: &[String],
        entries_key: &str,
        entries: &[String],
    ) -> HashSet64 {
        let mut hashes = Vec::new();
        let paths = self.inside(lists_key, paths, "urls");
        self.each(lists_key, &paths, entries_key, entries, |entry| {
            hashes.push(xxh3_64(address::url_entry(entry).as_bytes()));
            Ok(())
        });
        HashSet64::new(hashes)
    }

    /// Names of domain lists, in any of their formats; for a folder the file `domains` in it.
    pub(super) fn hosts(
        &mut self,
        lists_key: &str,
        paths: &[String],
        entries_key: &str,
        entries: &[String],
    ) -> HashSet64 {
        let mut hashes = Vec::new();
        let paths = self.inside(lists_key, paths, "domains");
        self.each(lists_key, &paths, entries_key, entries, |line| {
            domains::names(line, |name| hashes.push(xxh3_64(name.as_bytes())))
        });
        HashSet64::new(hashes)
    }

    /// Beginnings of paths.
    pub(super) fn prefixes(
        &mut self,
        lists_key: &str,
        paths: &[String],
        entries_key: &str,
        entries: &[String],
    ) -> Prefixes {
        let (mut hashes, mut max_segments) = (Vec::new(), 0);
        self.each(lists_key, paths, entries_key, entries, |line| {
            let (entry, segments) = path::entry(line)?;
            hashes.push(xxh3_64(entry.as_bytes()));
            max_segments = max_segments.max(segments);
            Ok(())
        });
        Prefixes::new(HashSet64::new(hashes), max_segments)
    }

    /// Entries as words, without what is no ASCII letter or digit.
    pub(super) fn words(
        &mut self,
        lists_key: &str,
        paths: &[String],
        entries_key: &str,
        entries: &[String],
    ) -> WordSet {
        self.strings(lists_key, paths, entries_key, entries, SubstringText::LettersAndDigits)
    }

    /// Entries as strings, in the form in which they are compared.
    pub(super) fn strings(
        &mut self,
        lists_key: &str,
        paths: &[String],
        entries_key: &str,
        entries: &[String],
        text: SubstringText,
    ) -> WordSet {
        let mut words = HashSet::new();
        self.each(lists_key, paths, entries_key, entries, |entry| {
            let word = text.of(entry);
            if word.is_empty() {
                let what = match text {
                    SubstringText::LettersAndDigits => "no ASCII letter or digit",
                    SubstringText::NoDashesOrDots | SubstringText::Address => "nothing to look for",
                };
                return Err(format!("`{entry}` holds {what}"));
            }
            words.insert(word);
            Ok(())
        });
        WordSet { words }
    }

    /// The paths, each folder replaced by the list of that name in it (plain or `.gz`).
    pub(super) fn inside(&mut self, lists_key: &str, paths: &[String], file: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (place, path) in paths.iter().enumerate() {
            match lists::in_folder(&format!("{lists_key}.{place}"), path, file) {
                Ok(path) => found.push(path),
                Err(error) => {
                    self.given = true;
                    self.errors.push(error);
                }
            }
        }
        found
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
