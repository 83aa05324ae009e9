//! Gopher's quality rules: word count, word length, symbols, bullets, ellipses, letters, stop words.
//!
//! From Rae et al. 2021, "Scaling Language Models", appendix A.1.1, as datatrove 0.10 has them in
//! `GopherQualityFilter` (which FineWeb uses), with its defaults, its order of checks and its word splitter.
//! Against the paper, datatrove counts `#` and ellipses per word instead of words that hold one, does not take
//! `*` for a bullet, and counts distinct stop words in lower case only; so do we.
//!
//! We differ in three things. A limit of 0 is a limit, and `null` switches a check off (in datatrove 0
//! switches it off as well). A text without words has ratios of 0 (datatrove divides by zero, unless it
//! already dropped the text as too short). Scores are measured for every document, dropped ones too.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{Document, Outcome, Reason};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, OptionError, ScoreSpec, StageSpec, parse_options, schema_of,
};
use crate::text::lines::{lines, strip_end, strip_start};
use crate::text::words::{Word, tag};

/// The reasons' names in datatrove.
pub const DATATROVE_REASONS: &[(&str, &str)] = &[
    ("too_few_words", "gopher_short_doc"),
    ("too_many_words", "gopher_long_doc"),
    ("words_too_short", "gopher_below_avg_threshold"),
    ("words_too_long", "gopher_above_avg_threshold"),
    ("too_many_hashes", "gopher_too_many_hashes"),
    ("too_many_ellipses", "gopher_too_many_ellipsis"),
    ("too_many_bullet_lines", "gopher_too_many_bullets"),
    ("too_many_ellipsis_lines", "gopher_too_many_end_ellipsis"),
    ("too_few_alphabetic_words", "gopher_below_alpha_threshold"),
    ("too_few_stop_words", "gopher_enough_stop_words"),
];

/// The stage as the registry knows it.
pub static SPEC: StageSpec = StageSpec {
    name: "gopher_quality",
    kind: Kind::Filter,
    needs_text: true,
    summary: "Drops pages that do not look like prose: too short or long, odd words, symbols, lists, no stop words.",
    source: "Gopher (Rae et al. 2021) as in datatrove 0.10 `GopherQualityFilter`; limits of 0 are limits here.",
    reasons: &[
        ("too_few_words", "fewer words (without symbols) than `min_words`"),
        ("too_many_words", "more words (without symbols) than `max_words`"),
        ("words_too_short", "mean word length below `min_mean_word_chars`"),
        ("words_too_long", "mean word length above `max_mean_word_chars`"),
        ("too_many_hashes", "more `#` per word than `max_hashes_per_word`"),
        ("too_many_ellipses", "more ellipses per word than `max_ellipses_per_word`"),
        (
            "too_many_bullet_lines",
            "a larger share of lines starts with a bullet than `max_bullet_line_ratio`",
        ),
        (
            "too_many_ellipsis_lines",
            "a larger share of lines ends with an ellipsis than `max_ellipsis_line_ratio`",
        ),
        (
            "too_few_alphabetic_words",
            "a smaller share of words holds a letter than `min_alphabetic_word_ratio`",
        ),
        ("too_few_stop_words", "fewer distinct stop words than `min_stop_words`"),
    ],
    scores: &[
        ScoreSpec { name: "words", doc: "words without symbols", min: 0.0, max: 4000.0 },
        ScoreSpec { name: "mean_word_chars", doc: "mean characters of those words", min: 0.0, max: 20.0 },
        ScoreSpec { name: "hashes_per_word", doc: "`#` per word", min: 0.0, max: 0.4 },
        ScoreSpec { name: "ellipses_per_word", doc: "`...` and `…` per word", min: 0.0, max: 0.4 },
        ScoreSpec {
            name: "bullet_line_ratio",
            doc: "share of lines that start with a bullet",
            min: 0.0,
            max: 1.0,
        },
        ScoreSpec {
            name: "ellipsis_line_ratio",
            doc: "share of lines that end with an ellipsis",
            min: 0.0,
            max: 1.0,
        },
        ScoreSpec {
            name: "alphabetic_word_ratio",
            doc: "share of words that hold a letter",
            min: 0.0,
            max: 1.0,
        },
        ScoreSpec { name: "stop_words", doc: "distinct stop words found", min: 0.0, max: 40.0 },
    ],
    limits: &[],
    schema: schema_of::<Config>,
    build,
};

/// Options of `gopher_quality`. `null` switches a check off.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Fewest words that a document may have; one with exactly so many is kept. Words of nothing but
    /// punctuation do not count. datatrove: `min_doc_words`, 50.
    pub min_words: Option<u64>,
    /// Most words that a document may have, counted likewise. datatrove: `max_doc_words`, 100000.
    pub max_words: Option<u64>,
    /// Smallest mean length of those words in characters. datatrove: `min_avg_word_length`, 3.
    #[schemars(range(min = 0.0))]
    pub min_mean_word_chars: Option<f64>,
    /// Largest mean length of those words in characters. datatrove: `max_avg_word_length`, 10.
    #[schemars(range(min = 0.0))]
    pub max_mean_word_chars: Option<f64>,
    /// Largest number of `#` per word (of all words, punctuation included). datatrove:
    /// `max_symbol_word_ratio`, 0.1, which is one option for this and the next.
    #[schemars(range(min = 0.0))]
    pub max_hashes_per_word: Option<f64>,
    /// Largest number of `...` and `…` per word (of all words). datatrove: `max_symbol_word_ratio`, 0.1.
    #[schemars(range(min = 0.0))]
    pub max_ellipses_per_word: Option<f64>,
    /// Largest share of lines that start with `•` or `-` after white space; empty lines are lines.
    /// datatrove: `max_bullet_lines_ratio`, 0.9.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_bullet_line_ratio: Option<f64>,
    /// Largest share of lines that end with `...` or `…` before white space; empty lines are lines.
    /// datatrove: `max_ellipsis_lines_ratio`, 0.3.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_ellipsis_line_ratio: Option<f64>,
    /// Smallest share of words (of all words) that hold a letter. datatrove: `max_non_alpha_words_ratio`
    /// (which, in spite of its name, is this minimum), 0.8.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_alphabetic_word_ratio: Option<f64>,
    /// Fewest different stop words that must occur. datatrove: `min_stop_words`, 2.
    pub min_stop_words: Option<u64>,
    /// The stop words, compared exactly: `The` is not `the`. At most 1,024. datatrove: `stop_words`, the same eight.
    #[schemars(length(max = 1024))]
    pub stop_words: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            min_words: Some(50),
            max_words: Some(100_000),
            min_mean_word_chars: Some(3.0),
            max_mean_word_chars: Some(10.0),
            max_hashes_per_word: Some(0.1),
            max_ellipses_per_word: Some(0.1),
            max_bullet_line_ratio: Some(0.9),
            max_ellipsis_line_ratio: Some(0.3),
            min_alphabetic_word_ratio: Some(0.8),
            min_stop_words: Some(2),
            stop_words: ["the", "be", "to", "of", "and", "that", "have", "with"].map(str::to_owned).to_vec(),
        }
    }
}

fn build(options: serde_json::Value, _: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    let different = StopWords::new(&config.stop_words).words.len() as u64;
    if let Some(wanted) = config.min_stop_words.filter(|&wanted| wanted > different) {
        let message = format!(
            "`{wanted}` is more than the {different} different `stop_words`, every document would go"
        );
        return Err(vec![OptionError::new("min_stop_words", message)]);
    }
    if config.stop_words.len() > MAX_STOP_WORDS {
        let message = format!("{} are more than {MAX_STOP_WORDS}", config.stop_words.len());
        return Err(vec![OptionError::new("stop_words", message)]);
    }
    Ok(Built::Doc(Box::new(Stage::new(config))))
}

/// The filter.
#[derive(Debug)]
pub struct Stage {
    config: Config,
    stop_words: StopWords,
}

impl Stage {
    /// The filter with these options; of the stop words, the first 1,024 by hash count.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let stop_words = StopWords::new(&config.stop_words);
        Self { config, stop_words }
    }
}

/// What the checks look at, in the order of the scores.
struct Measures {
    words: u64,
    mean_word_chars: f64,
    hashes_per_word: f64,
    ellipses_per_word: f64,
    bullet_line_ratio: f64,
    ellipsis_line_ratio: f64,
    alphabetic_word_ratio: f64,
    stop_words: u64,
}

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let found = self.measure(&doc.text, cx);
        cx.score(doc, "words", found.words as f64);
        cx.score(doc, "mean_word_chars", found.mean_word_chars);
        cx.score(doc, "hashes_per_word", found.hashes_per_word);
        cx.score(doc, "ellipses_per_word", found.ellipses_per_word);
        cx.score(doc, "bullet_line_ratio", found.bullet_line_ratio);
        cx.score(doc, "ellipsis_line_ratio", found.ellipsis_line_ratio);
        cx.score(doc, "alphabetic_word_ratio", found.alphabetic_word_ratio);
        cx.score(doc, "stop_words", found.stop_words as f64);
        match self.reason(&found) {
            Some(reason) => Outcome::Drop(reason),
            None => Outcome::Keep,
        }
    }
}

impl Stage {
    fn measure(&self, text: &str, cx: &mut Context) -> Measures {
        let counts = cx.features.word_counts(text);
        let bytes = text.as_bytes();
        let hashes = memchr::memchr_iter(b'#', bytes).count();
        let ellipses =
            memchr::memmem::find_iter(bytes, "...").count() + memchr::memmem::find_iter(bytes, "…").count();
        let (mut all_lines, mut bullet_lines, mut ellipsis_lines) = (0, 0, 0);
        for line in lines(text) {
            all_lines += 1;
            bullet_lines += u64::from(strip_start(line).starts_with(['•', '-']));
            let end = strip_end(line);
            ellipsis_lines += u64::from(end.ends_with("...") || end.ends_with('…'));
        }
        Measures {
            words: counts.non_symbol_words,
            mean_word_chars: ratio(counts.non_symbol_chars, counts.non_symbol_words),
            hashes_per_word: ratio(hashes as u64, counts.words),
            ellipses_per_word: ratio(ellipses as u64, counts.words),
            bullet_line_ratio: ratio(bullet_lines, all_lines),
            ellipsis_line_ratio: ratio(ellipsis_lines, all_lines),
            alphabetic_word_ratio: ratio(counts.alphabetic_words, counts.words),
            stop_words: self.stop_words.count(text, cx.features.words(text)),
        }
    }

    fn reason(&self, found: &Measures) -> Option<Reason> {
        let config = &self.config;
        let below = |name, value: f64, limit: Option<f64>| {
            limit.filter(|&limit| value < limit).map(|limit| Reason::measured(name, value, limit))
        };
        let above = |name, value: f64, limit: Option<f64>| {
            limit.filter(|&limit| value > limit).map(|limit| Reason::measured(name, value, limit))
        };
        let count = |limit: Option<u64>| limit.map(|limit| limit as f64);
        let words = found.words as f64;
        // A document without words has no mean length to judge.
        let mean = |limit: Option<f64>| limit.filter(|_| found.words > 0);
        below("too_few_words", words, count(config.min_words))
            .or_else(|| above("too_many_words", words, count(config.max_words)))
            .or_else(|| below("words_too_short", found.mean_word_chars, mean(config.min_mean_word_chars)))
            .or_else(|| above("words_too_long", found.mean_word_chars, mean(config.max_mean_word_chars)))
            .or_else(|| above("too_many_hashes", found.hashes_per_word, config.max_hashes_per_word))
            .or_else(|| above("too_many_ellipses", found.ellipses_per_word, config.max_ellipses_per_word))
            .or_else(|| above("too_many_bullet_lines", found.bullet_line_ratio, config.max_bullet_line_ratio))
            .or_else(|| {
                above("too_many_ellipsis_lines", found.ellipsis_line_ratio, config.max_ellipsis_line_ratio)
            })
            .or_else(|| {
                below(
                    "too_few_alphabetic_words",
                    found.alphabetic_word_ratio,
                    config.min_alphabetic_word_ratio,
                )
            })
            .or_else(|| below("too_few_stop_words", found.stop_words as f64, count(config.min_stop_words)))
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Most stop words that a list may have.
const MAX_STOP_WORDS: usize = 1024;

/// A set of words that is asked once per word of a text.
#[derive(Debug)]
struct StopWords {
    /// Sorted by tag.
    words: Vec<(u32, String)>,
    /// One bit per possible value of a tag's lower bits.
    filter: [u64; 16],
}

impl StopWords {
    fn new(list: &[String]) -> Self {
        let mut words: Vec<_> = list.iter().map(|word| (tag(word.as_bytes()), word.clone())).collect();
        words.sort();
        words.dedup();
        words.truncate(MAX_STOP_WORDS);
        let mut filter = [0; 16];
        for (tag, _) in &words {
            filter[*tag as usize / 64 % 16] |= 1 << (tag % 64);
        }
        Self { words, filter }
    }

    /// How many different ones occur.
    fn count(&self, text: &str, words: &[Word]) -> u64 {
        let mut seen = [0_u64; MAX_STOP_WORDS / 64];
        let mut count = 0;
        for word in words {
            if self.filter[word.tag as usize / 64 % 16] & 1 << (word.tag % 64) == 0 {
                continue;
            }
            let first = self.words.partition_point(|(tag, _)| *tag < word.tag);
            let candidates = self.words[first..].iter().take_while(|(tag, _)| *tag == word.tag);
            for (place, (_, stop_word)) in (first..).zip(candidates) {
                if seen[place / 64] & 1 << (place % 64) == 0 && stop_word == word.of(text) {
                    seen[place / 64] |= 1 << (place % 64);
                    count += 1;
                }
            }
            if count == self.words.len() as u64 {
                break;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::filter::testing;

    #[test]
    fn cases() {
        testing::run_cases(&SPEC);
    }

    #[test]
    fn any_text_gets_a_verdict() {
        testing::any_text(&SPEC);
    }

    #[test]
    fn more_stop_words_than_there_are_is_a_mistake() {
        let options = serde_json::json!({"stop_words": ["a", "a", "b"], "min_stop_words": 3});
        let errors = (SPEC.build)(options, &mut BuildContext::default()).err().unwrap();
        assert_eq!(errors[0].key, "min_stop_words");
    }
}
