//! Words in scripts that put no spaces between them: Han, kana, Thai, Lao, Khmer, Burmese.
//!
//! Runs of such letters are cut by the dictionary of ICU4X (`WordSegmenter::new_dictionary`); punctuation
//! next to them stands alone; letters and digits of other scripts in between stay together. This is where
//! we differ on purpose from datatrove's default, whose English tokenizer takes a whole Chinese sentence
//! for one word.

use icu_segmenter::options::WordBreakInvariantOptions;
use icu_segmenter::{WordSegmenter, WordSegmenterBorrowed};

use super::charsets::{Classes, PUNCT_CATEGORY, SPACELESS, SYMBOL};

/// Runs longer than this are cut into pieces of this many bytes (at a character) before the dictionary sees
/// them: the dictionary search is slow on very long runs, and no word is anywhere near as long.
const MAX_RUN_BYTES: usize = 4096;

#[derive(PartialEq, Clone, Copy)]
enum Part {
    Letters,
    Punctuation,
    Other,
}

fn part_of(class: u32) -> Part {
    if class & SPACELESS != 0 {
        Part::Letters
    } else if class & (PUNCT_CATEGORY | SYMBOL) != 0 {
        Part::Punctuation
    } else {
        Part::Other
    }
}

/// Gives the words of `text`, which holds letters of such a script, as byte ranges that tile it.
pub(super) fn split(classes: &Classes, text: &str, mut found: impl FnMut(usize, usize)) {
    let segmenter: WordSegmenterBorrowed<'static> =
        WordSegmenter::new_dictionary(WordBreakInvariantOptions::default());
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        let part = part_of(classes.of(first));
        let mut end = start + first.len_utf8();
        if part == Part::Punctuation {
            found(start, end);
            start = end;
            continue;
        }
        for c in text[end..].chars() {
            if part_of(classes.of(c)) != part || (part == Part::Letters && end - start >= MAX_RUN_BYTES) {
                break;
            }
            end += c.len_utf8();
        }
        if part == Part::Other {
            found(start, end);
        } else {
            let mut last = start;
            for place in segmenter.segment_str(&text[start..end]) {
                if start + place > last {
                    found(last, start + place);
                    last = start + place;
                }
            }
        }
        start = end;
    }
}
