//! Words of an example, as n-grams count them, with their letters.
//!
//! A word is what stands between white space and has a letter or digit, as in GPT-3 (Brown et al. 2020, appendix C); so
//! `has_close_elements(numbers:` is one. Where letters of scripts without spaces are in it (Chinese, Japanese, Thai, Lao,
//! Khmer, Burmese), its words are those of the dictionary in [`crate::text::words`].

use schemars::JsonSchema;
use serde::Deserialize;

use crate::text::charsets::{Classes, SPACELESS, is_space};
use crate::text::letters::letters;
use crate::text::words::Splitter;

/// Longer words count as several of this many bytes of letters, so that comparing an n-gram takes bounded time.
const MAX_WORD_BYTES: usize = 96;

/// What n-grams are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unit {
    /// Words.
    #[default]
    Words,
    /// Characters of the letters.
    Characters,
}

/// The letters of one text and where its units begin in them; for use with one text after the other.
#[derive(Debug, Default)]
pub(super) struct Units {
    pub(super) letters: Vec<u8>,
    pub(super) starts: Vec<usize>,
    word: Vec<u8>,
    splitter: Splitter,
}

impl Units {
    /// Takes a text apart; returns how many words it has.
    pub(super) fn split(&mut self, text: &str, unit: Unit) -> usize {
        let Self { letters: all, starts, word, splitter } = self;
        all.clear();
        starts.clear();
        let mut add = |piece: &str| {
            letters(piece, word);
            let mut rest: &[u8] = word;
            while !rest.is_empty() {
                let (head, tail) = rest.split_at(end_of_word(rest));
                starts.push(all.len());
                all.extend_from_slice(head);
                rest = tail;
            }
        };
        let classes = Classes::get();
        for chunk in text.split(is_space) {
            if chunk.chars().any(|c| classes.of(c) & SPACELESS != 0) {
                splitter.split(chunk, |word| add(word.of(chunk)));
            } else {
                add(chunk);
            }
        }
        let words = starts.len();
        if unit == Unit::Characters {
            starts.clear();
            starts.extend((0..all.len()).filter(|&at| is_start(all[at])));
        }
        words
    }
}

/// Whether a byte begins a character of UTF-8.
fn is_start(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

fn end_of_word(letters: &[u8]) -> usize {
    if letters.len() <= MAX_WORD_BYTES {
        return letters.len();
    }
    (1..=MAX_WORD_BYTES).rev().find(|&end| is_start(letters[end])).unwrap_or(letters.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, unit: Unit) -> Vec<String> {
        let mut units = Units::default();
        units.split("another text", unit);
        units.split(text, unit);
        let ends = units.starts.iter().copied().skip(1).chain([units.letters.len()]);
        let word = |(&start, end)| String::from_utf8(units.letters[start..end].to_vec()).unwrap();
        units.starts.iter().zip(ends).map(word).collect()
    }

    #[test]
    fn words_are_what_stands_between_white_space() {
        assert_eq!(words("It's -- 16-3=13, O.K.\u{3000}Ja!", Unit::Words), ["its", "16313", "ok", "ja"]);
        assert_eq!(words("def f(x: List[float]) -> bool:", Unit::Words), ["def", "fx", "listfloat", "bool"]);
        assert_eq!(words(" ... ", Unit::Words), Vec::<String>::new());
        assert_eq!(words("Ab é\u{301}漢", Unit::Characters), ["a", "b", "e", "漢"]);
    }

    #[test]
    fn chinese_has_words_of_the_dictionary() {
        let found = words("小明有五个苹果，他吃了两个。", Unit::Words);
        assert!(found.len() > 6 && found.contains(&"苹果".to_owned()), "{found:?}");
        assert_eq!(found.concat(), "小明有五个苹果他吃了两个");
    }

    #[test]
    fn endless_words_are_cut_at_characters() {
        let found = words(&"ж".repeat(100), Unit::Words);
        assert_eq!(found.iter().map(String::len).collect::<Vec<_>>(), [96, 96, 8]);
    }
}
