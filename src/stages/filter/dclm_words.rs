//! Words as DCLM's filters have them: between white space, or by UAX #29, and only those that begin with a
//! letter or digit where punctuation is to be left out.
//!
//! Source: `split_words` of DCLM's `baselines/mappers/core_utils.py` (fastText's tokenizer cuts at ASCII white space and
//! NUL only, `uniseg` is UAX #29). Python's `isalnum` is true for letters and all numbers, not for marks.

use unicode_segmentation::UnicodeSegmentation;

use crate::text::charsets::{Classes, LETTER, SPACE};

/// `text.split()`: pieces between white space of all of Unicode.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    let classes = Classes::get();
    text.split(move |c: char| if c.is_ascii() { is_ascii_space(c) } else { classes.of(c) & SPACE != 0 })
        .filter(|piece| !piece.is_empty())
}

/// Python's ASCII white space: `\t` to `\r`, U+001C to U+001F, blank.
fn is_ascii_space(c: char) -> bool {
    matches!(c, '\t'..='\r' | '\u{1c}'..='\u{1f}' | ' ')
}

/// How many of fastText's tokens begin with a letter or digit.
pub(super) fn count_alphanumeric(text: &str) -> u64 {
    let cut = |b: &u8| matches!(b, b' ' | b'\n' | b'\r' | b'\t' | 0x0b | 0x0c | 0);
    let tokens = text.as_bytes().split(cut).filter(|token| !token.is_empty());
    tokens
        .filter(|token| match token[0] {
            first if first.is_ascii() => first.is_ascii_alphanumeric(),
            _ => {
                let start = token.as_ptr() as usize - text.as_ptr() as usize;
                text[start..].chars().next().is_some_and(is_alphanumeric)
            }
        })
        .count() as u64
}

/// Python's `str.isalnum` for one character.
pub(super) fn is_alphanumeric(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric()
    } else {
        Classes::get().of(c) & LETTER != 0 || c.is_numeric()
    }
}

/// The words of UAX #29 that begin with a letter or digit.
pub(super) fn unicode_words(text: &str) -> impl Iterator<Item = &str> {
    text.split_word_bounds().filter(|word| word.chars().next().is_some_and(is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(split(" a\u{a0}b\u{3000}\u{1c}c ").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(count_alphanumeric("one \"two\" 3rd\u{a0}x - é \0 中文, ½"), 5);
        assert_eq!(count_alphanumeric(""), 0);
        assert_eq!(unicode_words("don't, (10.5) 中文!").collect::<Vec<_>>(), ["don't", "10.5", "中", "文"]);
    }
}
