//! All entries of a list as one automaton, and the borders of words.

use std::borrow::Cow;
use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use unicode_general_category::{GeneralCategory, get_general_category};

use super::Match;

/// Up to this many bytes of entries a full transition table is built (faster, some hundred bytes per
/// byte of entry), above it a compact one.
const MAX_TABLE_BYTES: usize = 64 << 10;

/// Distinct entries, folded like the text.
#[derive(Clone)]
pub(super) struct Entries {
    case_sensitive: bool,
    words: BTreeSet<String>,
}

impl Entries {
    pub(super) fn new(case_sensitive: bool, words: &[String]) -> Self {
        let mut entries = Self { case_sensitive, words: BTreeSet::new() };
        for word in words {
            entries.add(word);
        }
        entries
    }

    pub(super) fn add(&mut self, word: &str) {
        self.words.insert(fold(word.trim(), self.case_sensitive).into_owned());
    }

    pub(super) fn without(mut self, excluded: &Self) -> Self {
        self.words.retain(|word| !excluded.words.contains(word));
        self
    }
}

/// Finds entries in texts.
pub(super) struct Matcher {
    automaton: AhoCorasick,
    words: Vec<String>,
    /// Whether the entry needs borders.
    whole: Vec<bool>,
    /// Whether letters of scripts without spaces are borders.
    unspaced_is_border: bool,
    case_sensitive: bool,
}

/// What a text holds.
pub(super) struct Found<'m> {
    /// Occurrences that do not overlap.
    pub(super) count: u64,
    /// Their characters / all characters of the text.
    pub(super) ratio: f64,
    /// The entry that ends first.
    pub(super) first: Option<&'m str>,
}

impl Matcher {
    /// Fails where the entries are too many for an automaton.
    pub(super) fn new(entries: Entries, kind: Match, case_sensitive: bool) -> Result<Self, String> {
        let words: Vec<String> = entries.words.into_iter().collect();
        let bytes: usize = words.iter().map(String::len).sum();
        let whole = words
            .iter()
            .map(|word| match kind {
                Match::WholeWord => true,
                Match::Substring => false,
                Match::Auto => !word.chars().any(is_unspaced),
            })
            .collect();
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(if bytes <= MAX_TABLE_BYTES {
                AhoCorasickKind::DFA
            } else {
                AhoCorasickKind::ContiguousNFA
            }))
            .build(&words)
            .map_err(|error| format!("too many keywords: {error}"))?;
        Ok(Self { automaton, words, whole, unspaced_is_border: kind == Match::Auto, case_sensitive })
    }

    /// Counts the largest number of occurrences that do not overlap.
    pub(super) fn search(&self, text: &str) -> Found<'_> {
        let text = fold(text, self.case_sensitive);
        let mut found = Found { count: 0, ratio: 0.0, first: None };
        let (mut free, mut chars) = (0, 0);
        // Occurrences come by their end, of those with one end the longest first: taking each that does
        // not overlap the last one taken gives the largest number.
        for hit in self.automaton.find_overlapping_iter(text.as_ref()) {
            let entry = hit.pattern().as_usize();
            if hit.start() < free || (self.whole[entry] && !self.has_borders(&text, hit.start(), hit.end())) {
                continue;
            }
            found.count += 1;
            found.first = found.first.or(Some(&self.words[entry]));
            chars += self.words[entry].chars().count();
            free = hit.end();
        }
        if chars > 0 {
            found.ratio = chars as f64 / text.chars().count() as f64;
        }
        found
    }

    fn has_borders(&self, text: &str, start: usize, end: usize) -> bool {
        let is_border = |c: char| !is_word_char(c) || (self.unspaced_is_border && is_unspaced(c));
        let before = text.get(..start).and_then(|head| head.chars().next_back());
        let after = text.get(end..).and_then(|tail| tail.chars().next());
        before.is_none_or(is_border) && after.is_none_or(is_border)
    }
}

/// Letters, marks, digits and `_`.
fn is_word_char(c: char) -> bool {
    use GeneralCategory as Category;
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    matches!(
        get_general_category(c),
        Category::UppercaseLetter
            | Category::LowercaseLetter
            | Category::TitlecaseLetter
            | Category::ModifierLetter
            | Category::OtherLetter
            | Category::NonspacingMark
            | Category::SpacingMark
            | Category::EnclosingMark
            | Category::DecimalNumber
            | Category::LetterNumber
            | Category::OtherNumber
    )
}

/// Letters of scripts that are written without spaces between words.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF // Thai, Lao
        | 0x0F00..=0x109F // Tibetan, Burmese
        | 0x1780..=0x17FF // Khmer
        | 0x1950..=0x19FF | 0x1A20..=0x1AAF // Tai Le, New Tai Lue, Tai Tham
        | 0x2E80..=0x2FDF | 0x3005..=0x3007 // Han radicals and marks
        | 0x3040..=0x312F | 0x31A0..=0x31BF | 0x31F0..=0x31FF // kana, Bopomofo
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF // Han
        | 0xA9E0..=0xA9FF | 0xAA60..=0xAA7F // Burmese extensions
        | 0xFF66..=0xFF9F | 0x1AFF0..=0x1B16F // half-width and further kana
        | 0x20000..=0x3FFFF) // Han
}

/// The text in small letters, character by character, with one sigma.
fn fold(text: &str, case_sensitive: bool) -> Cow<'_, str> {
    if case_sensitive {
        return Cow::Borrowed(text);
    }
    if text.is_ascii() {
        return Cow::Owned(text.to_ascii_lowercase());
    }
    let mut folded = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let ascii = rest.bytes().position(|byte| !byte.is_ascii()).unwrap_or(rest.len());
        let (head, tail) = rest.split_at(ascii);
        let start = folded.len();
        folded.push_str(head);
        if let Some(added) = folded.get_mut(start..) {
            added.make_ascii_lowercase();
        }
        let other = tail.bytes().position(|byte| byte.is_ascii()).unwrap_or(tail.len());
        let (head, tail) = tail.split_at(other);
        for c in head.chars() {
            match c {
                'ς' => folded.push('σ'),
                // Kana, Han and their neighbours have no case: no look-up for them.
                '\u{3000}'..='\u{9fff}' => folded.push(c),
                c => folded.extend(c.to_lowercase()),
            }
        }
        rest = tail;
    }
    Cow::Owned(folded)
}
