//! Sentences as spaCy's rule-based sentencizer cuts them, which datatrove uses for every space-separated language.
//!
//! A sentence ends with a mark like `.`, `!` or `。` that is a word of its own, and with the punctuation right
//! after it; newlines end nothing. White space other than one space counts as a word, so it opens the next
//! sentence where one is due. In text without spaces between words our words differ (see
//! [`super::words`]), and with them the sentences: `。` ends one there.

use super::charsets::{Classes, PUNCT_CATEGORY, SENTENCE_END};
use super::words::Word;

/// Number of sentences in `text[start..end]`, whose words are `words`; 1 for no words at all, as in datatrove.
#[must_use]
pub fn count(text: &str, words: &[Word], start: usize, end: usize) -> usize {
    let mut sentences = 1;
    walk(text, words, start, end, |_| sentences += 1);
    sentences
}

/// Puts the byte ranges of all sentences into `out`, which is emptied first. They tile the whole text: each
/// begins with the white space that follows the one before. An empty text has one (empty) sentence.
pub fn sentences(text: &str, words: &[Word], out: &mut Vec<(usize, usize)>) {
    out.clear();
    let mut start = 0;
    walk(text, words, 0, text.len(), |last_end| {
        out.push((start, last_end));
        start = last_end;
    });
    out.push((start, text.len()));
}

/// Calls `cut` at every start of a sentence but the first, with the end of the word before it.
fn walk(text: &str, words: &[Word], start: usize, end: usize, mut cut: impl FnMut(usize)) {
    let classes = Classes::get();
    let bytes = text.as_bytes();
    let mut ended = false;
    let mut last_end = start;
    for word in words {
        let (word_start, word_end) = (word.start as usize, word.end as usize);
        if ended && is_space_word(&bytes[last_end..word_start]) {
            cut(last_end);
            ended = false;
        }
        if ended && !word.has_letter() && is_punctuation(classes, word.of(text)) {
            // Closing quotes and further marks belong to the sentence.
        } else if word.chars() == 1 && classes.of_first(word.of(text)) & SENTENCE_END != 0 {
            ended = true;
        } else if ended {
            cut(last_end);
            ended = false;
        }
        last_end = word_end;
    }
    if ended && is_space_word(&bytes[last_end..end]) {
        cut(last_end);
    }
}

/// Whether white space between words is a word for spaCy: all but nothing and a single space.
fn is_space_word(gap: &[u8]) -> bool {
    !matches!(gap, [] | [b' '])
}

fn is_punctuation(classes: &Classes, word: &str) -> bool {
    word.chars().all(|c| classes.of(c) & PUNCT_CATEGORY != 0)
}

#[cfg(test)]
mod tests {
    use super::super::words::Splitter;
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        let mut words = Vec::new();
        Splitter::default().split(text, |word| words.push(word));
        let mut out = Vec::new();
        sentences(text, &words, &mut out);
        assert_eq!(out.len(), count(text, &words, 0, text.len()));
        out.iter().map(|&(start, end)| &text[start..end]).collect()
    }

    #[test]
    fn sentences_end_with_marks_and_closing_punctuation() {
        assert_eq!(
            cut("He said \"Hi.\" Then left. Mr. Smith went. Really?! Yes."),
            ["He said \"Hi.\"", " Then left.", " Mr. Smith went.", " Really?!", " Yes."]
        );
        assert_eq!(cut(""), [""]);
        assert_eq!(cut("   "), ["   "]);
        assert_eq!(cut("a line\nand a line"), ["a line\nand a line"]);
        assert_eq!(cut("今天下雨。我不出门！"), ["今天下雨。", "我不出门！"]);
    }

    #[test]
    fn wide_white_space_opens_a_sentence() {
        assert_eq!(cut("End.\n"), ["End.", "\n"]);
        assert_eq!(cut("End. "), ["End. "]);
        assert_eq!(cut("End.  \" x"), ["End.", "  \" x"]);
        assert_eq!(cut("End. \" x"), ["End. \"", " x"]);
    }
}
