//! What is left of a text without punctuation, white space, case and diacritics: its letters and digits, one after
//! the other.
//!
//! Two texts that differ only in how they are set give the same letters, wherever their words end. Used to find
//! known passages in pages. A character becomes its compatibility decomposition (NFKD: `ﬁ` is `fi`, `Ａ` is `A`, `²` is `2`,
//! `é` is `e` and an accent) in lower case, of which letters (`L*`), numbers (`N*`) and spacing marks (`Mc`, the vowel signs of Indic
//! scripts) stay; both small sigmas are one. Everything else goes: white space, punctuation, symbols, accents, controls, soft hyphens.
//!
//! Compared with datatrove's `simplify_text` ([`super::simplify`]): that keeps one space where white space or punctuation was,
//! turns every number into `0`, keeps symbols (`=`, `+` and `_` go there, `№` stays) and compatibility forms.
//! Here `12` and `13` are different, so that two exercises that differ in their numbers are, too.

use std::sync::LazyLock;

use unicode_general_category::{GeneralCategory as Category, get_general_category};
use unicode_normalization::char::decompose_compatible;

/// In the table: several characters, or one of four bytes.
const SEVERAL: u32 = u32::MAX;

/// Calls `push` with the letters that a character becomes.
fn fold(c: char, mut push: impl FnMut(char)) {
    decompose_compatible(c, |part| {
        for lower in part.to_lowercase() {
            let lower = if lower == 'ς' { 'σ' } else { lower };
            if stays(lower) {
                push(lower);
            }
        }
    });
}

fn stays(c: char) -> bool {
    matches!(
        get_general_category(c),
        Category::UppercaseLetter
            | Category::LowercaseLetter
            | Category::TitlecaseLetter
            | Category::ModifierLetter
            | Category::OtherLetter
            | Category::DecimalNumber
            | Category::LetterNumber
            | Category::OtherNumber
            | Category::SpacingMark
    )
}

/// For each character below U+10000 the bytes of what it becomes, first byte lowest, their number in the upper eight
/// bits; 0 for nothing.
static TABLE: LazyLock<Vec<u32>> = LazyLock::new(|| {
    (0..=0xFFFF)
        .map(|code| {
            let (mut bytes, mut many, mut packed) = ([0; 4], 0, 0);
            fold(char::from_u32(code).unwrap_or(' '), |c| {
                many += 1;
                let encoded = c.encode_utf8(&mut bytes).as_bytes();
                let length = u32::try_from(encoded.len()).unwrap_or(4);
                let value = encoded.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
                packed = if length > 3 { SEVERAL } else { length << 24 | value };
            });
            if many > 1 { SEVERAL } else { packed }
        })
        .collect()
});

/// The same for ASCII: 0 or the letter.
static ASCII: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            table[byte as usize] = byte.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};

/// Puts the letters of `text` into `out`, which is emptied first. They are UTF-8.
pub fn letters(text: &str, out: &mut Vec<u8>) {
    out.clear();
    let table: &[u32] = &TABLE;
    let mut rest = text;
    while !rest.is_empty() {
        let ascii = ascii_bytes(rest.as_bytes());
        let (plain, behind) = rest.split_at(ascii);
        push_ascii(plain.as_bytes(), out);
        rest = behind;
        while let Some(c) = rest.chars().next() {
            if c.is_ascii() && rest.as_bytes().get(1).is_none_or(u8::is_ascii) {
                break;
            }
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            push_folded(table, c, out);
        }
    }
}

#[inline]
fn ascii_bytes(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk::<8>() {
        let high = u64::from_le_bytes(*eight) & 0x8080_8080_8080_8080;
        if high != 0 {
            return at + (high.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at + bytes[at..].iter().position(|byte| !byte.is_ascii()).unwrap_or(bytes.len() - at)
}

/// Every byte is written, and the place moves on only behind those that stay.
#[inline]
fn push_ascii(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len(), 0);
    let (_, room) = out.split_at_mut(start);
    let mut end = 0;
    for &byte in bytes {
        let letter = ASCII[byte as usize];
        if let Some(place) = room.get_mut(end) {
            *place = letter;
        }
        end += usize::from(letter != 0);
    }
    out.truncate(start + end);
}

#[inline]
fn push_folded(table: &[u32], c: char, out: &mut Vec<u8>) {
    let packed = table.get(c as usize).copied().unwrap_or(SEVERAL);
    if packed == SEVERAL {
        let mut bytes = [0; 4];
        return fold(c, |c| out.extend_from_slice(c.encode_utf8(&mut bytes).as_bytes()));
    }
    let bytes = packed.to_le_bytes();
    out.extend_from_slice(&bytes[..usize::from(bytes[3])]);
}

/// Where letters come from: for each of `wanted` (numbers of bytes of [`letters`], rising) the bytes of the character of the
/// text that became it, accents behind it included. Numbers beyond the end are left out.
#[must_use]
pub fn places(text: &str, wanted: &[usize]) -> Vec<std::ops::Range<usize>> {
    let mut found: Vec<std::ops::Range<usize>> = Vec::with_capacity(wanted.len());
    let (mut next, mut letters, mut last) = (0, 0, 0);
    for (at, c) in text.char_indices() {
        let before = letters;
        if c.is_ascii() {
            letters += usize::from(c.is_ascii_alphanumeric());
        } else {
            fold(c, |c| letters += c.len_utf8());
        }
        let end = at + c.len_utf8();
        if letters > before {
            if next == wanted.len() {
                break;
            }
            last = next;
            while wanted.get(next).is_some_and(|&place| place < letters) {
                found.push(at..end);
                next += 1;
            }
        } else if !c.is_ascii() && get_general_category(c) == Category::NonspacingMark {
            for range in found.iter_mut().skip(last).filter(|range| range.end == at) {
                range.end = end;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> String {
        let mut out = b"old".to_vec();
        letters(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_letters_and_digits_stay() {
        for (text, wanted) in [
            ("", ""),
            (" \t.,;!\u{a0}\u{200b}", ""),
            ("It's 3.50 — O.K.?", "its350ok"),
            ("def has_close(x: List[float])", "defhasclosexlistfloat"),
            ("exam-\nple exam\u{ad}ple", "exampleexample"),
            ("Cafe\u{301} Café ÅNGSTRÖM \u{212b}", "cafecafeangstroma"),
            ("ﬁnd Ａ１ x² ½ Ⅷ", "finda1x212viii"),
            ("ΟΔΟΣ οδός", "οδοσοδοσ"),
            ("İstanbul ẞ", "istanbulß"),
            ("小明有五个苹果，他吃了两个。", "小明有五个苹果他吃了两个"),
            ("한 국", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}"),
            ("कि है", "क\u{93f}ह"),
            ("😀 𝐀𝐛𝟙 𠀀", "ab1𠀀"),
        ] {
            assert_eq!(of(text), wanted, "{text}");
        }
    }

    #[test]
    fn letters_know_where_they_come_from() {
        let text = "A ﬁ\u{301}x, é-e\u{301}\u{302}!";
        assert_eq!(of(text), "afixee");
        let found = places(text, &[0, 1, 2, 3, 4, 5, 6]);
        let found: Vec<&str> = found.into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, ["A", "ﬁ\u{301}", "ﬁ\u{301}", "x", "é", "e\u{301}\u{302}"]);
        assert!(places(text, &[]).is_empty());
    }

    proptest! {
        #[test]
        fn the_table_says_what_the_rule_says(text in any::<String>()) {
            let mut plain = String::new();
            text.chars().for_each(|c| fold(c, |c| plain.push(c)));
            prop_assert_eq!(of(&text), plain);
        }

        #[test]
        fn places_are_characters_in_order(text in "[a-cé \u{301}ﬁ漢.]{0,30}") {
            let letters = of(&text);
            let all: Vec<usize> = (0..letters.len()).collect();
            let found = places(&text, &all);
            prop_assert_eq!(found.len(), letters.len());
            for (range, &byte) in found.iter().zip(letters.as_bytes()) {
                prop_assert!(of(&text[range.clone()]).as_bytes().contains(&byte));
            }
            prop_assert!(found.windows(2).all(|pair| pair[0] == pair[1] || pair[0].end <= pair[1].start));
        }
    }
}
