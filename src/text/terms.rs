//! The different words of a text in lower case, with their counts: vocabulary, entropy, stop words.
//!
//! A term is a word with a character that is no punctuation mark, in lower case. The measures are those of
//! RedPajama-v2 (`frac_unique_words`, `unigram_entropy`), which takes ASCII punctuation out of the text, lowers it
//! and cuts it at white space; here the words are those of [`super::words`], so `don't` is two terms, and Chinese
//! has some at all.

use std::sync::LazyLock;

use super::charsets::{Classes, Kind, kind_number};
use super::words::{Word, tag};

/// Tables of more slots than this are freed after use.
const MAX_KEPT_SLOTS: usize = 1 << 18;

/// One different word.
#[derive(Debug, Clone, Copy)]
pub struct Term {
    /// Hash of the lower-case word, see [`tag`].
    pub tag: u32,
    /// How often it occurs.
    pub count: u32,
    start: u32,
    end: u32,
}

/// Terms of one text.
#[derive(Debug, Default)]
pub struct Terms {
    /// The text in lower case, at the same byte places.
    lowered: String,
    /// The different words in the order of their first place.
    terms: Vec<Term>,
    /// Number of a term in `terms` plus 1; 0 is free.
    slots: Vec<u32>,
    /// All occurrences.
    total: u64,
}

impl Terms {
    /// Counts the words of a text; what was counted before is forgotten.
    pub(super) fn count(&mut self, text: &str, words: &[Word]) {
        lower_in_place(text, &mut self.lowered);
        self.terms.clear();
        self.total = 0;
        let size = (words.len() * 2).next_power_of_two().max(16);
        self.slots.clear();
        self.slots.resize(size, 0);
        let bytes = self.lowered.as_bytes();
        for word in words.iter().filter(|word| word.has_non_symbol()) {
            self.total += 1;
            let own = &bytes[word.start as usize..word.end as usize];
            let tag = tag(own);
            let mut place = tag as usize & (size - 1);
            loop {
                let slot = self.slots[place] as usize;
                if slot == 0 {
                    self.terms.push(Term { tag, count: 1, start: word.start, end: word.end });
                    self.slots[place] = u32::try_from(self.terms.len()).unwrap_or(u32::MAX);
                    break;
                }
                let term = &mut self.terms[slot - 1];
                if term.tag == tag && &bytes[term.start as usize..term.end as usize] == own {
                    term.count += 1;
                    break;
                }
                place = (place + 1) & (size - 1);
            }
        }
    }

    /// Frees what an unusually long text has left behind.
    pub(super) fn trim(&mut self) {
        if self.slots.capacity() > MAX_KEPT_SLOTS || self.lowered.capacity() > 8 * MAX_KEPT_SLOTS {
            *self = Self::default();
        }
    }

    /// Words that are not just punctuation.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many of them differ.
    #[must_use]
    pub fn different(&self) -> u64 {
        self.terms.len() as u64
    }

    /// The different ones, in lower case.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Term)> {
        self.terms.iter().map(|term| (&self.lowered[term.start as usize..term.end as usize], term))
    }

    /// Entropy of their distribution in nats; 0 for no words.
    #[must_use]
    pub fn entropy(&self) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        let total = self.total as f64;
        let sum: f64 = self.terms.iter().map(|term| f64::from(term.count) * ln(u64::from(term.count))).sum();
        (ln(self.total) - sum / total).max(0.0)
    }
}

/// Natural logarithm of a number of at least 1; the same on every machine, which the system's is not.
fn ln(n: u64) -> f64 {
    static SMALL: LazyLock<Vec<f64>> = LazyLock::new(|| (0..256).map(compute_ln).collect());
    usize::try_from(n).ok().and_then(|n| SMALL.get(n)).copied().unwrap_or_else(|| compute_ln(n))
}

/// From the series of the area tangent: ln m = 2 (s + s³/3 + s⁵/5 + ...) with s = (m - 1) / (m + 1).
fn compute_ln(n: u64) -> f64 {
    let exponent = n.max(1).ilog2();
    let fraction = n.max(1) as f64 / (1_u64 << exponent) as f64;
    let (fraction, exponent) = if fraction > std::f64::consts::SQRT_2 {
        (fraction / 2.0, exponent + 1)
    } else {
        (fraction, exponent)
    };
    let s = (fraction - 1.0) / (fraction + 1.0);
    let mut series = 0.0;
    for odd in (1..=21_u32).rev().step_by(2) {
        series = series * (s * s) + 1.0 / f64::from(odd);
    }
    2.0 * s * series + f64::from(exponent) * std::f64::consts::LN_2
}

/// Lower case that keeps every byte place: a letter whose lower case has another length in UTF-8 (`İ`, `ẞ`, the
/// Kelvin sign) stays as it is.
fn lower_in_place(text: &str, out: &mut String) {
    out.clear();
    out.push_str(text);
    out.make_ascii_lowercase();
    if text.is_ascii() {
        return;
    }
    let classes = Classes::get();
    let mut rest = text;
    out.clear();
    while let Some(c) = rest.chars().next() {
        if c.is_ascii() {
            let end = rest.bytes().position(|byte| byte >= 0x80).unwrap_or(rest.len());
            let start = out.len();
            out.push_str(&rest[..end]);
            out[start..].make_ascii_lowercase();
            rest = &rest[end..];
            continue;
        }
        rest = &rest[c.len_utf8()..];
        let upper = kind_number(classes.of(c)) == Kind::Upper as usize;
        let lower = if upper { single_lower(c) } else { c };
        out.push(lower);
    }
}

/// The lower case of a letter where it is one character of the same length, else the letter.
fn single_lower(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(lower), None) if lower.len_utf8() == c.len_utf8() => lower,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::Splitter;
    use super::*;

    fn terms(text: &str) -> Terms {
        let mut words = Vec::new();
        Splitter::default().split(text, |word| words.push(word));
        let mut terms = Terms::default();
        terms.count("Other words, other Words", &[]);
        terms.count(text, &words);
        terms
    }

    #[test]
    fn words_are_counted_without_regard_to_case() {
        let found = terms("The cat, the CAT -- and Ärger ärger 12 ЖУК жук.");
        let list: Vec<_> = found.iter().map(|(word, term)| (word, term.count)).collect();
        assert_eq!(list, [("the", 2), ("cat", 2), ("and", 1), ("ärger", 2), ("12", 1), ("жук", 2)]);
        assert_eq!((found.total(), found.different()), (10, 6));
    }

    #[test]
    fn lower_case_keeps_its_place() {
        let mut out = String::new();
        lower_in_place("ABC İẞ\u{212A} ÄÖ Ωx漢", &mut out);
        assert_eq!(out, "abc İẞ\u{212A} äö ωx漢");
    }

    #[test]
    fn entropy_is_that_of_the_distribution() {
        assert_eq!(terms("... !").entropy().to_bits(), 0.0_f64.to_bits());
        assert!(terms("same same same").entropy().abs() < 1e-15);
        assert!((terms("a b c d").entropy() - 4.0_f64.ln()).abs() < 1e-15);
        let plain: f64 = [3.0_f64, 1.0, 1.0].iter().map(|c| -c / 5.0 * (c / 5.0).ln()).sum();
        assert!((terms("x x y x z").entropy() - plain).abs() < 1e-15);
    }

    #[test]
    fn logarithms() {
        for n in (1..2000).chain([1 << 40, u64::MAX]) {
            let (ours, theirs) = (compute_ln(n), (n as f64).ln());
            assert!((ours - theirs).abs() <= 1e-15 * theirs.max(1.0), "{n}: {ours} {theirs}");
        }
    }
}
