//! Text reduced to what counts for likeness: lower case, numbers as `0`, no punctuation, no diacritics.
//!
//! The method is datatrove 0.10's `simplify_text` with its default settings, step by step: lower case;
//! every number (digits of any script, with at most one decimal part) becomes `0`; punctuation becomes a
//! space; white space is collapsed; canonical decomposition without non-spacing marks; trimmed. The result
//! is decomposed: Hangul comes out as single letters.
//!
//! What happens to a character alone is looked up in a table, so that a text is gone through once. The few
//! characters whose place in the decomposition depends on their neighbours send a text the long way.

use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, decompose_canonical};

use super::charsets::{Classes, DECIMAL, NONSPACING, PUNCTUATION, SPACE, is_space};

/// Puts the simplified form of `text` into `out`, which is emptied first.
pub fn simplify(text: &str, out: &mut String) {
    // The one letter whose lower case depends on its place.
    let lower = text.contains('Σ').then(|| text.to_lowercase());
    let text = lower.as_deref().unwrap_or(text);
    out.clear();
    out.reserve(text.len());
    if !simplify_once(text, out) {
        out.clear();
        collapse(text.chars().flat_map(char::to_lowercase), out);
        let classes = Classes::get();
        *out = out.nfd().filter(|&c| classes.of(c) & NONSPACING == 0).collect();
    }
    out.truncate(out.trim_end_matches(is_space).len());
    let blank = out.len() - out.trim_start_matches(is_space).len();
    if blank > 0 {
        out.drain(..blank);
    }
}

/// What becomes of one character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// One character.
    Becomes(char),
    /// A space, together with its likes.
    Gap,
    /// Part of a number.
    Digit,
    /// Nothing, but it stands between what is around it.
    Mark,
    /// Several characters.
    Several,
    /// That depends on its neighbours.
    Depends,
}

impl Fate {
    fn of(c: char) -> Self {
        static TABLE: LazyLock<Vec<Fate>> = LazyLock::new(|| {
            (0..=0xFFFF).map(|code| char::from_u32(code).map_or(Fate::Depends, Fate::computed)).collect()
        });
        TABLE.get(c as usize).copied().unwrap_or_else(|| Self::computed(c))
    }

    fn computed(c: char) -> Self {
        let classes = Classes::get();
        if classes.of(c) & DECIMAL != 0 {
            return Self::Digit;
        }
        if c.to_lowercase().all(|lower| classes.of(lower) & (PUNCTUATION | SPACE) != 0) {
            return Self::Gap;
        }
        let mut fate = Self::Mark;
        each_part(classes, c, |part| {
            fate = match fate {
                _ if canonical_combining_class(part) != 0 => Self::Depends,
                Self::Mark => Self::Becomes(part),
                Self::Depends => Self::Depends,
                _ => Self::Several,
            }
        });
        fate
    }
}

/// The characters of the decomposed lower case of `c` that stay.
fn each_part(classes: &Classes, c: char, mut each: impl FnMut(char)) {
    for lower in c.to_lowercase() {
        decompose_canonical(lower, |part| {
            if classes.of(part) & NONSPACING == 0 {
                each(part);
            }
        });
    }
}

/// Simplifies all but the trimming; `false` where a character depends on its neighbours.
fn simplify_once(text: &str, out: &mut String) -> bool {
    let mut chars = text.chars();
    let (mut started, mut gap) = (false, false);
    while let Some(c) = chars.next() {
        let fate = Fate::of(c);
        if fate == Fate::Gap {
            gap = started;
            continue;
        }
        if gap {
            out.push(' ');
            gap = false;
        }
        started = true;
        match fate {
            Fate::Becomes(c) => out.push(c),
            Fate::Digit => {
                skip_number(&mut chars);
                out.push('0');
            }
            Fate::Several => each_part(Classes::get(), c, |part| out.push(part)),
            Fate::Mark | Fate::Gap => {}
            Fate::Depends => return false,
        }
    }
    true
}

/// Goes to the end of a number whose first digit was read: more digits, and a separator with digits behind.
fn skip_number(chars: &mut std::str::Chars) {
    let skip_digits = |chars: &mut std::str::Chars| {
        let mut digits = 0;
        while chars.clone().next().is_some_and(|c| Fate::of(c) == Fate::Digit) {
            chars.next();
            digits += 1;
        }
        digits
    };
    skip_digits(chars);
    let mut beyond = chars.clone();
    if beyond.next().is_some_and(is_decimal_separator) && skip_digits(&mut beyond) > 0 {
        *chars = beyond;
    }
}

fn is_decimal_separator(c: char) -> bool {
    matches!(c, '.' | ',' | '،' | '٫' | '⎖' | '⎗' | '⎘')
}

/// Numbers, punctuation and white space of text in lower case.
fn collapse(chars: impl Iterator<Item = char>, out: &mut String) {
    let classes = Classes::get();
    let mut chars = chars.peekable();
    let mut gap = false;
    // A separator after a number is held back until the next character shows what it is.
    let mut held = None;
    let mut push = |c: char, class: u32, out: &mut String| {
        if class & (PUNCTUATION | SPACE) != 0 {
            gap = true;
        } else {
            if gap && !out.is_empty() {
                out.push(' ');
            }
            gap = false;
            out.push(c);
        }
    };
    while let Some(c) = held.take().or_else(|| chars.next()) {
        let class = classes.of(c);
        if class & DECIMAL == 0 {
            push(c, class, out);
            continue;
        }
        let is_decimal = |c: &char| classes.of(*c) & DECIMAL != 0;
        while chars.next_if(is_decimal).is_some() {}
        push('0', 0, out);
        if let Some(separator) = chars.next_if(|c| is_decimal_separator(*c)) {
            if chars.peek().is_some_and(is_decimal) {
                while chars.next_if(is_decimal).is_some() {}
            } else {
                held = Some(separator);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn simplified(text: &str) -> String {
        let mut out = "old".to_owned();
        simplify(text, &mut out);
        out
    }

    #[test]
    fn numbers_punctuation_and_diacritics() {
        assert_eq!(simplified("  It's 3.50 EUR on 12/03/2024, or 3,000.00!\n"), "it s 0 eur on 0 0 0 or 0 0");
        assert_eq!(simplified("Ünïcödé — №5 … ٣٫٥،x"), "unicode №0 0،x");
        assert_eq!(simplified("ΟΔΟΣ Σ"), "οδος σ");
        assert_eq!(simplified("한"), "\u{1112}\u{1161}\u{11AB}");
        assert_eq!(simplified("1. 2.x 3.4.5"), "0 0 x 0 0");
        assert_eq!(simplified("a \u{301}"), "a");
        assert_eq!(simplified(" \t"), "");
    }

    /// The definition, step by step.
    fn plain(text: &str) -> String {
        let mut out = String::new();
        if text.contains('Σ') {
            collapse(text.to_lowercase().chars(), &mut out);
        } else {
            collapse(text.chars().flat_map(char::to_lowercase), &mut out);
        }
        let classes = Classes::get();
        let bare: String = out.nfd().filter(|&c| classes.of(c) & NONSPACING == 0).collect();
        bare.trim_matches(super::super::charsets::is_space).to_owned()
    }

    fn assert_plain(text: &str) {
        assert_eq!(simplified(text), plain(text), "{text:?}");
    }

    #[test]
    fn characters_of_both_lower_planes_between_letters_gaps_and_digits() {
        for c in (0..0x0002_0000).filter_map(char::from_u32) {
            assert_plain(&format!("x{c}Y {c} {c}1{c}2"));
        }
    }

    proptest! {
        #[test]
        fn any_text(text in "(\\PC|[0-9., \n\u{301}\u{302e}\u{1b44}\u{323}ÅΣé٫]){0,60}") {
            assert_plain(&text);
        }
    }
}
