//! All entries of a list, and their occurrences in a text.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::fold::{fold, is_unspaced, unfold};
use super::index::{Index, is_inside};
use super::{Match, SearchIn};

/// Up to this many bytes of entries a full transition table is built (faster, some hundred bytes per
/// byte of entry), above it a compact one.
const MAX_TABLE_BYTES: usize = 64 << 10;

/// Texts are searched by blocks of lines of at least so many bytes, which bounds the list of occurrences.
const BLOCK_BYTES: usize = 256 << 10;

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
        self.words.retain(|word| !word.is_empty() && !excluded.words.contains(word));
        self
    }
}

/// Finds entries in texts.
pub(super) struct Matcher {
    words: Vec<String>,
    /// Length of each in characters.
    chars: Vec<u64>,
    /// Entries that need borders and start like a word.
    index: Index,
    /// All others, with the number of each.
    automaton: Option<(AhoCorasick, Vec<usize>)>,
    /// Whether no entry of the automaton is in an ASCII text.
    automaton_is_foreign: bool,
    /// Whether the entry needs borders.
    whole: Vec<bool>,
    /// Whether letters of scripts without spaces are borders.
    unspaced_is_border: bool,
    search_in: SearchIn,
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
    /// Where they are in the folded text.
    ranges: Vec<Range<usize>>,
}

struct Hit {
    start: usize,
    end: usize,
    entry: usize,
}

impl Matcher {
    /// Fails where the entries are too many for an automaton.
    pub(super) fn new(
        entries: Entries,
        kind: Match,
        search_in: SearchIn,
        case_sensitive: bool,
    ) -> Result<Self, String> {
        let words: Vec<String> = entries.words.into_iter().collect();
        let unspaced_is_border = kind == Match::Auto;
        let whole: Vec<bool> = words
            .iter()
            .map(|word| match kind {
                Match::WholeWord => true,
                Match::Substring => false,
                Match::Auto => !word.chars().any(is_unspaced),
            })
            .collect();
        let indexed = |number: &usize| whole[*number] && Index::takes(&words[*number], unspaced_is_border);
        let (inside, outside): (Vec<usize>, Vec<usize>) = (0..words.len()).partition(indexed);
        let index =
            Index::new(inside.iter().map(|&number| (number, words[number].as_str())), unspaced_is_border);
        let automaton = if outside.is_empty() {
            None
        } else {
            let bytes: usize = outside.iter().map(|&number| words[number].len()).sum();
            let automaton = AhoCorasick::builder()
                .match_kind(MatchKind::Standard)
                .kind(Some(if bytes <= MAX_TABLE_BYTES {
                    AhoCorasickKind::DFA
                } else {
                    AhoCorasickKind::ContiguousNFA
                }))
                .build(outside.iter().map(|&number| &words[number]))
                .map_err(|error| format!("too many keywords: {error}"))?;
            Some((automaton, outside))
        };
        let automaton_is_foreign =
            automaton.as_ref().is_some_and(|(_, numbers)| numbers.iter().all(|&n| !words[n].is_ascii()));
        let chars = words.iter().map(|word| word.chars().count() as u64).collect();
        Ok(Self {
            words,
            chars,
            index,
            automaton,
            automaton_is_foreign,
            whole,
            unspaced_is_border,
            search_in,
            case_sensitive,
        })
    }

    /// The largest number of occurrences that do not overlap; with `places`, where they are.
    pub(super) fn search(&self, text: &str, places: bool) -> Found<'_> {
        let text = fold(text, self.case_sensitive);
        let mut found = Found { count: 0, ratio: 0.0, first: None, ranges: Vec::new() };
        let (mut chars, mut base) = (0, 0);
        let mut hits = Vec::new();
        // Entries hold no line end, so the text can be searched by blocks of lines.
        while base < text.len() {
            let rest = text.get(base..).unwrap_or_default();
            let end = rest.as_bytes().get(BLOCK_BYTES..).and_then(|tail| memchr::memchr(b'\n', tail));
            let block = end.and_then(|end| rest.get(..BLOCK_BYTES + end)).unwrap_or(rest);
            hits.clear();
            self.hits(block, &mut hits);
            if self.search_in == SearchIn::Addresses && !hits.is_empty() {
                retain_inside(&mut hits, &addresses(block));
            }
            // Of occurrences by their end, of those with one end the longest first, taking each that does not
            // overlap the last one taken gives the largest number.
            // Two runs mostly, each in order, which a stable sort puts together in one go.
            if !hits.is_sorted_by_key(|hit| (hit.end, hit.start)) {
                hits.sort_by_key(|hit| (hit.end, hit.start));
            }
            let mut free = 0;
            for &Hit { start, end, entry } in &hits {
                if start < free {
                    continue;
                }
                found.count += 1;
                found.first = found.first.or(Some(&self.words[entry]));
                if places {
                    found.ranges.push(base + start..base + end);
                }
                chars += self.chars[entry];
                free = end;
            }
            base += block.len();
        }
        if chars > 0 {
            found.ratio = chars as f64 / text.chars().count() as f64;
        }
        found
    }

    /// The occurrences as ranges of the text that was searched.
    pub(super) fn ranges(&self, text: &str, found: &Found<'_>) -> Vec<Range<usize>> {
        unfold(text, self.case_sensitive, &found.ranges)
    }

    fn hits(&self, text: &str, hits: &mut Vec<Hit>) {
        if !self.index.is_empty() {
            self.index.search(&self.words, text, |entry, start, end| hits.push(Hit { start, end, entry }));
        }
        let Some((automaton, numbers)) = &self.automaton else { return };
        if self.automaton_is_foreign && text.is_ascii() {
            return;
        }
        // Of occurrences with one end the longest comes first, so the last one that was taken bounds the next: of
        // a run of overlapping ones only those are kept that could be chosen.
        let mut last_start = None;
        for hit in automaton.find_overlapping_iter(text) {
            let entry = numbers[hit.pattern().as_usize()];
            let (start, end) = (hit.start(), hit.end());
            if self.whole[entry] && !self.has_borders(text, start, end) {
                continue;
            }
            // One that starts no later than an earlier one that ended before it is never the better choice.
            if last_start.is_some_and(|last| start <= last) {
                continue;
            }
            last_start = Some(start);
            hits.push(Hit { start, end, entry });
        }
    }

    fn has_borders(&self, text: &str, start: usize, end: usize) -> bool {
        let is_border = |c: char| !is_inside(c, self.unspaced_is_border);
        let before = text.get(..start).and_then(|head| head.chars().next_back());
        let after = text.get(end..).and_then(|tail| tail.chars().next());
        before.is_none_or(is_border) && after.is_none_or(is_border)
    }
}

/// Web addresses in a folded text: from `http://`, `https://` or a leading `www.` to white space, a quotation mark or a
/// bracket.
fn addresses(text: &str) -> Vec<Range<usize>> {
    let ends =
        |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '(' | ')' | '[' | ']' | '{' | '}');
    let mut found = Vec::new();
    let mut at = 0;
    for piece in text.split(ends) {
        let lower = if piece.is_ascii() && piece.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(piece.to_ascii_lowercase())
        } else {
            Cow::Borrowed(piece)
        };
        let scheme = lower.find("http://").into_iter().chain(lower.find("https://")).min();
        if let Some(start) = scheme.or_else(|| lower.starts_with("www.").then_some(0)) {
            found.push(at + start..at + piece.len());
        }
        at += piece.len();
        at += text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    }
    found
}

fn retain_inside(hits: &mut Vec<Hit>, pieces: &[Range<usize>]) {
    hits.retain(|hit| {
        let next = pieces.partition_point(|piece| piece.end < hit.end);
        pieces.get(next).is_some_and(|piece| piece.start <= hit.start && hit.end <= piece.end)
    });
}
