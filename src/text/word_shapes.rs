//! Words between white space, and words in capitals: measures that need the characters of words.
//!
//! Several published filters cut text at white space (`str.split`). That makes no sense in scripts without spaces,
//! so here a word that [`super::words`] cut by dictionary is a word of its own, with the marks that follow it.

use super::charsets::{Classes, Kind, SPACELESS, kind_number};
use super::words::Word;

/// The counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WordShapes {
    /// Words between white space.
    pub spaced_words: u64,
    /// Those of them without a letter.
    pub letterless_words: u64,
    /// Characters of the longest.
    pub longest_chars: u64,
    /// Of all words, punctuation marks included: those with a capital and no lower-case letter.
    pub all_caps_words: u64,
}

impl WordShapes {
    /// Counts the words of a text.
    pub(super) fn of(text: &str, words: &[Word]) -> Self {
        let classes = Classes::get();
        let bytes = text.as_bytes();
        let mut shapes = Self::default();
        let (mut chars, mut has_letter, mut after_spaceless) = (0_u64, false, false);
        for word in words {
            let first = bytes[word.start as usize];
            let spaceless = first >= 0x80 && classes.of_first(word.of(text)) & SPACELESS != 0;
            let opens = word.opens_chunk() || (word.has_non_symbol() && (spaceless || after_spaceless));
            if opens {
                shapes.close(chars, has_letter);
                (chars, has_letter) = (0, false);
            }
            chars += u64::from(word.chars());
            has_letter |= word.has_letter();
            after_spaceless = spaceless;
            if word.has_letter() && !first.is_ascii_lowercase() {
                shapes.all_caps_words += u64::from(is_all_caps(classes, word.of(text)));
            }
        }
        shapes.close(chars, has_letter);
        shapes
    }

    fn close(&mut self, chars: u64, has_letter: bool) {
        if chars > 0 {
            self.spaced_words += 1;
            self.letterless_words += u64::from(!has_letter);
            self.longest_chars = self.longest_chars.max(chars);
        }
    }
}

/// Python's `str.isupper` for letters.
fn is_all_caps(classes: &Classes, word: &str) -> bool {
    let mut has_capital = false;
    for c in word.chars() {
        let kind = kind_number(classes.of(c));
        if kind == Kind::Lower as usize {
            return false;
        }
        has_capital |= kind == Kind::Upper as usize;
    }
    has_capital
}

#[cfg(test)]
mod tests {
    use super::super::words::Splitter;
    use super::*;

    fn shapes(text: &str) -> WordShapes {
        let mut words = Vec::new();
        Splitter::default().split(text, |word| words.push(word));
        WordShapes::of(text, &words)
    }

    #[test]
    fn words_between_white_space() {
        let found = shapes("Don't stop-me (now), 12:30 -- ok.");
        assert_eq!((found.spaced_words, found.letterless_words, found.longest_chars), (6, 2, 7));
        assert_eq!(shapes(" \n"), WordShapes::default());
    }

    #[test]
    fn words_of_scripts_without_spaces_are_counted_one_by_one() {
        let found = shapes("今天下雨。我不出门！");
        assert!(found.spaced_words >= 4, "{found:?}");
        assert_eq!(found.letterless_words, 0, "marks belong to the word before: {found:?}");
        assert!(found.longest_chars <= 4, "{found:?}");
        assert_eq!(shapes("在2024年").letterless_words, 1);
    }

    #[test]
    fn capitals() {
        assert_eq!(shapes("I SAID Stop: 3D, ÄÖ ЖУК жук 漢字 12 Ab").all_caps_words, 5);
    }
}
