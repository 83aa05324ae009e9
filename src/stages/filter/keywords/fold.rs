//! Characters: what belongs to a word, what is written without spaces, and small letters with the way back.

use std::borrow::Cow;
use std::ops::Range;

use unicode_general_category::{GeneralCategory, get_general_category};

/// Letters, marks, digits and `_`.
pub(super) fn is_word_char(c: char) -> bool {
    use GeneralCategory as Category;
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    // The bulk of Latin, Greek, Cyrillic, Hebrew, Arabic, kana, Han and Hangul: no look-up for them.
    if matches!(c, 'à'..='ö' | 'ø'..='ʯ' | 'α'..='ώ' | 'а'..='ҁ' | 'א'..='ת' | 'ء'..='ي' | 'ぁ'..='ゖ' | '一'..='鿿' | '가'..='힣')
    {
        return true;
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
pub(super) fn is_unspaced(c: char) -> bool {
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
pub(super) fn fold(text: &str, case_sensitive: bool) -> Cow<'_, str> {
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
            fold_char(c, |c| folded.push(c));
        }
        rest = tail;
    }
    Cow::Owned(folded)
}

fn fold_char(c: char, mut push: impl FnMut(char)) {
    match c {
        'ς' => push('σ'),
        // Kana, Han and their neighbours have no case: no look-up for them.
        '\u{3000}'..='\u{9fff}' => push(c),
        c => c.to_lowercase().for_each(push),
    }
}

/// Ranges of the folded text, in order and without overlaps, as ranges of the text itself. A character of which a
/// part was found is found whole.
pub(super) fn unfold(text: &str, case_sensitive: bool, ranges: &[Range<usize>]) -> Vec<Range<usize>> {
    if case_sensitive || text.is_ascii() {
        return ranges.to_vec();
    }
    let mut found = Vec::with_capacity(ranges.len());
    let mut wanted = ranges.iter();
    let mut next = wanted.next();
    let mut start = None;
    let mut folded = 0;
    for (at, c) in text.char_indices() {
        let Some(range) = next else { break };
        let mut after = folded;
        fold_char(c, |c| after += c.len_utf8());
        if start.is_none() && after > range.start {
            start = Some(at);
        }
        if after >= range.end {
            found.push(start.take().unwrap_or(at)..at + c.len_utf8());
            next = wanted.next();
            // Two entries in one character: the second finds it taken.
            while next.is_some_and(|range| range.start < after) {
                next = wanted.next();
            }
        }
        folded = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_knows_characters_that_change_their_length() {
        for (text, part, wanted) in [
            ("abc", "b", "b"),
            ("İstanbul ROT", "rot", "ROT"),
            ("ẞß \u{212a}ohl", "kohl", "\u{212a}ohl"),
            ("ΚΑΡΠΟΣ!", "καρποσ", "ΚΑΡΠΟΣ"),
            ("İ", "i", "İ"),
            ("\u{0130}\u{0130}x", "x", "x"),
        ] {
            let folded = fold(text, false);
            let start = folded.find(part).unwrap();
            let ranges = unfold(text, false, std::slice::from_ref(&(start..start + part.len())));
            assert_eq!(&text[ranges[0].clone()], wanted, "{text}");
        }
    }
}
