//! What `text_ratios` measures, what it checks and in which order, as data.

use super::super::rules::{above, below};
use crate::stage::{Limit, ScoreSpec};

/// A measure, by its place in [`SCORES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    NonAlphanumericRatio,
    NumberRatio,
    UrlRatio,
    WhiteSpaceRatio,
    ParenthesisRatio,
    BoilerplateParagraphRatio,
    UniqueLineRatio,
    UniqueParagraphRatio,
    UniqueLineCharRatio,
    UniqueParagraphCharRatio,
    UnpunctuatedLineRatio,
    LetterlessWordRatio,
    LongestWordChars,
    Chars,
    AlphanumericRatio,
    SpecialCharRatio,
    UppercaseRatio,
    CurlyBracketRatio,
    SamePunctuationRatio,
    AllCapsWordRatio,
    UniqueWordRatio,
    WordEntropy,
    StopWordRatio,
    MeanSentenceWords,
    MeanLineChars,
    LongestLineChars,
    MeanLineWords,
    SymbolLineRatio,
    CharRepetitionRatio,
    WordRepetitionRatio,
    LetterOrderBits,
    HanRatio,
}

/// Number of measures.
pub(super) const MEASURES: usize = SCORES.len();

const fn score(name: &'static str, doc: &'static str, max: f64) -> ScoreSpec {
    ScoreSpec { name, doc, min: 0.0, max }
}

/// The scores, in the order of [`Measure`].
pub(super) const SCORES: &[ScoreSpec] = &[
    score(
        "non_alphanumeric_ratio",
        "characters that are neither letters, digits, newlines nor sentence marks",
        1.0,
    ),
    score("number_ratio", "decimal digits per character", 1.0),
    score("url_ratio", "characters of web addresses per character", 1.0),
    score("white_space_ratio", "white space per character", 1.0),
    score("parenthesis_ratio", "brackets per character", 0.4),
    score("boilerplate_paragraph_ratio", "share of paragraphs with a string of `boilerplate_strings`", 1.0),
    score("unique_line_ratio", "share of lines that are no copy of an earlier one", 1.0),
    score("unique_paragraph_ratio", "share of paragraphs that are no copy of an earlier one", 1.0),
    score("unique_line_char_ratio", "share of the lines' characters outside copies", 1.0),
    score("unique_paragraph_char_ratio", "share of the paragraphs' characters outside copies", 1.0),
    score("unpunctuated_line_ratio", "share of lines that do not end a sentence", 1.0),
    score("letterless_word_ratio", "share of words between white space without a letter", 1.0),
    score("longest_word_chars", "characters of the longest word between white space", 400.0),
    score("chars", "characters", 40000.0),
    score("alphanumeric_ratio", "letters, their marks and numbers per character", 1.0),
    score("special_char_ratio", "characters that are neither letters nor their marks, per character", 1.0),
    score("uppercase_ratio", "upper-case letters per character", 1.0),
    score("curly_bracket_ratio", "`{` and `}` per character", 0.2),
    score("same_punctuation_ratio", "share of the most frequent mark among all punctuation marks", 1.0),
    score("all_caps_word_ratio", "share of words in capitals", 1.0),
    score("unique_word_ratio", "different words per word, in lower case", 1.0),
    score("word_entropy", "entropy of the words in nats, in lower case", 10.0),
    score("stop_word_ratio", "share of words that are stop words", 1.0),
    score("mean_sentence_words", "words per sentence", 80.0),
    score("mean_line_chars", "mean characters of a line", 1000.0),
    score("longest_line_chars", "characters of the longest line", 4000.0),
    score("mean_line_words", "mean words of a line", 200.0),
    score("symbol_line_ratio", "share of lines without a letter or number", 1.0),
    score("char_repetition_ratio", "share of the most frequent runs of `repeated_chars` characters", 1.0),
    score("word_repetition_ratio", "share of runs of `repeated_words` words that occur more than once", 1.0),
    score(
        "letter_order_bits",
        "bits that a letter tells of the next one beyond what it does in a shuffle; 8 where it cannot be told",
        8.0,
    ),
    score("han_ratio", "Chinese characters per character", 1.0),
];

/// The reasons; all but the first in the order of [`LIMITS`].
pub(super) const REASONS: &[(&str, &str)] = &[
    ("empty_text", "nothing but white space"),
    (
        "too_many_non_alphanumerics",
        "a larger share of characters is neither letter, digit nor sentence mark than `max_non_alphanumeric_ratio`",
    ),
    ("too_many_numbers", "a larger share of characters is digits than `max_number_ratio`"),
    ("too_many_url_chars", "a larger share of characters is in web addresses than `max_url_ratio`"),
    ("too_much_white_space", "a larger share of characters is white space than `max_white_space_ratio`"),
    ("too_many_parentheses", "a larger share of characters is brackets than `max_parenthesis_ratio`"),
    (
        "too_much_boilerplate",
        "a larger share of paragraphs has boilerplate in it than `max_boilerplate_paragraph_ratio`",
    ),
    ("too_few_unique_lines", "a smaller share of lines is no copy than `min_unique_line_ratio`"),
    (
        "too_few_unique_paragraphs",
        "a smaller share of paragraphs is no copy than `min_unique_paragraph_ratio`",
    ),
    (
        "too_few_unique_line_chars",
        "a smaller share of the lines' characters is no copy than `min_unique_line_char_ratio`",
    ),
    (
        "too_few_unique_paragraph_chars",
        "a smaller share of the paragraphs' characters is no copy than `min_unique_paragraph_char_ratio`",
    ),
    (
        "too_many_unpunctuated_lines",
        "a larger share of lines ends without a sentence mark than `max_unpunctuated_line_ratio`",
    ),
    ("too_many_letterless_words", "a larger share of words has no letter than `max_letterless_word_ratio`"),
    ("longest_word_too_long", "the longest word is longer than `max_word_chars`"),
    ("too_few_chars", "fewer characters than `min_chars`"),
    ("too_many_chars", "more characters than `max_chars`"),
    (
        "too_few_alphanumerics",
        "a smaller share of characters is letters and numbers than `min_alphanumeric_ratio`",
    ),
    ("too_many_special_chars", "a larger share of characters is no letter than `max_special_char_ratio`"),
    ("too_many_uppercase_chars", "a larger share of characters is upper case than `max_uppercase_ratio`"),
    (
        "too_many_curly_brackets",
        "a larger share of characters is curly brackets than `max_curly_bracket_ratio`",
    ),
    (
        "too_uniform_punctuation",
        "one mark has a larger share of all punctuation than `max_same_punctuation_ratio`",
    ),
    ("too_many_all_caps_words", "a larger share of words is in capitals than `max_all_caps_word_ratio`"),
    ("too_few_unique_words", "fewer different words per word than `min_unique_word_ratio`"),
    ("word_entropy_too_low", "the words have less entropy than `min_word_entropy`"),
    ("word_entropy_too_high", "the words have more entropy than `max_word_entropy`"),
    ("too_few_stop_words", "a smaller share of words is stop words than `min_stop_word_ratio`"),
    ("sentences_too_short", "fewer words per sentence than `min_mean_sentence_words`"),
    ("sentences_too_long", "more words per sentence than `max_mean_sentence_words`"),
    ("lines_too_short", "the lines are shorter on average than `min_mean_line_chars`"),
    ("lines_too_long", "the lines are longer on average than `max_mean_line_chars`"),
    ("longest_line_too_short", "the longest line is shorter than `min_longest_line_chars`"),
    ("longest_line_too_long", "the longest line is longer than `max_longest_line_chars`"),
    ("too_few_words_per_line", "the lines have fewer words on average than `min_mean_line_words`"),
    (
        "too_many_symbol_lines",
        "a larger share of lines has neither letter nor number than `max_symbol_line_ratio`",
    ),
    ("repeated_char_runs", "frequent runs of characters make up more than `max_char_repetition_ratio`"),
    ("repeated_word_runs", "repeated runs of words make up more than `max_word_repetition_ratio`"),
    ("scrambled_letters", "letters tell less of the next ones than `min_letter_order_bits`"),
    ("too_few_han", "a smaller share of characters is Chinese than `min_han_ratio`"),
];

/// The checks: NeMo Curator's in its order, then the others.
pub(super) const LIMITS: &[Limit] = &[
    above("too_many_non_alphanumerics", "non_alphanumeric_ratio", "max_non_alphanumeric_ratio"),
    above("too_many_numbers", "number_ratio", "max_number_ratio"),
    above("too_many_url_chars", "url_ratio", "max_url_ratio"),
    above("too_much_white_space", "white_space_ratio", "max_white_space_ratio"),
    above("too_many_parentheses", "parenthesis_ratio", "max_parenthesis_ratio"),
    above("too_much_boilerplate", "boilerplate_paragraph_ratio", "max_boilerplate_paragraph_ratio"),
    below("too_few_unique_lines", "unique_line_ratio", "min_unique_line_ratio"),
    below("too_few_unique_paragraphs", "unique_paragraph_ratio", "min_unique_paragraph_ratio"),
    below("too_few_unique_line_chars", "unique_line_char_ratio", "min_unique_line_char_ratio"),
    below("too_few_unique_paragraph_chars", "unique_paragraph_char_ratio", "min_unique_paragraph_char_ratio"),
    above("too_many_unpunctuated_lines", "unpunctuated_line_ratio", "max_unpunctuated_line_ratio"),
    above("too_many_letterless_words", "letterless_word_ratio", "max_letterless_word_ratio"),
    above("longest_word_too_long", "longest_word_chars", "max_word_chars"),
    below("too_few_chars", "chars", "min_chars"),
    above("too_many_chars", "chars", "max_chars"),
    below("too_few_alphanumerics", "alphanumeric_ratio", "min_alphanumeric_ratio"),
    above("too_many_special_chars", "special_char_ratio", "max_special_char_ratio"),
    above("too_many_uppercase_chars", "uppercase_ratio", "max_uppercase_ratio"),
    above("too_many_curly_brackets", "curly_bracket_ratio", "max_curly_bracket_ratio"),
    above("too_uniform_punctuation", "same_punctuation_ratio", "max_same_punctuation_ratio"),
    above("too_many_all_caps_words", "all_caps_word_ratio", "max_all_caps_word_ratio"),
    below("too_few_unique_words", "unique_word_ratio", "min_unique_word_ratio"),
    below("word_entropy_too_low", "word_entropy", "min_word_entropy"),
    above("word_entropy_too_high", "word_entropy", "max_word_entropy"),
    below("too_few_stop_words", "stop_word_ratio", "min_stop_word_ratio"),
    below("sentences_too_short", "mean_sentence_words", "min_mean_sentence_words"),
    above("sentences_too_long", "mean_sentence_words", "max_mean_sentence_words"),
    below("lines_too_short", "mean_line_chars", "min_mean_line_chars"),
    above("lines_too_long", "mean_line_chars", "max_mean_line_chars"),
    below("longest_line_too_short", "longest_line_chars", "min_longest_line_chars"),
    above("longest_line_too_long", "longest_line_chars", "max_longest_line_chars"),
    below("too_few_words_per_line", "mean_line_words", "min_mean_line_words"),
    above("too_many_symbol_lines", "symbol_line_ratio", "max_symbol_line_ratio"),
    above("repeated_char_runs", "char_repetition_ratio", "max_char_repetition_ratio"),
    above("repeated_word_runs", "word_repetition_ratio", "max_word_repetition_ratio"),
    below("scrambled_letters", "letter_order_bits", "min_letter_order_bits"),
    below("too_few_han", "han_ratio", "min_han_ratio"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_and_scores_have_the_same_order() {
        assert_eq!(SCORES[Measure::NonAlphanumericRatio as usize].name, "non_alphanumeric_ratio");
        assert_eq!(SCORES[Measure::LongestWordChars as usize].name, "longest_word_chars");
        assert_eq!(SCORES[Measure::LetterOrderBits as usize].name, "letter_order_bits");
        assert_eq!(SCORES[Measure::HanRatio as usize].name, "han_ratio");
        assert_eq!(Measure::HanRatio as usize + 1, MEASURES);
        let reasons: Vec<&str> = REASONS[1..].iter().map(|(reason, _)| *reason).collect();
        assert_eq!(LIMITS.iter().map(|limit| limit.reason).collect::<Vec<_>>(), reasons);
    }
}
