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

use super::rules::{Rules, above, below, count, deciding, ratio};
use super::stop_words::{MAX_STOP_WORDS, StopWords};
use crate::document::{Document, Outcome};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, Limit, OptionError, ScoreSpec, StageSpec, parse_options,
    schema_of,
};
use crate::text::lines::{lines, strip_end, strip_start};

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
    limits: LIMITS,
    schema: schema_of::<Config>,
    build,
};

const LIMITS: &[Limit] = &[
    below("too_few_words", "words", "min_words"),
    above("too_many_words", "words", "max_words"),
    below("words_too_short", "mean_word_chars", "min_mean_word_chars"),
    above("words_too_long", "mean_word_chars", "max_mean_word_chars"),
    above("too_many_hashes", "hashes_per_word", "max_hashes_per_word"),
    above("too_many_ellipses", "ellipses_per_word", "max_ellipses_per_word"),
    above("too_many_bullet_lines", "bullet_line_ratio", "max_bullet_line_ratio"),
    above("too_many_ellipsis_lines", "ellipsis_line_ratio", "max_ellipsis_line_ratio"),
    below("too_few_alphabetic_words", "alphabetic_word_ratio", "min_alphabetic_word_ratio"),
    below("too_few_stop_words", "stop_words", "min_stop_words"),
];
static DECIDING: [&str; LIMITS.len()] = deciding(LIMITS);

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
    let different = StopWords::new(&config.stop_words).len() as u64;
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
    Ok(Built::Doc(Box::new(Stage::new(&config))))
}

/// The filter.
#[derive(Debug)]
pub struct Stage {
    rules: Rules,
    stop_words: StopWords,
}

impl Stage {
    /// The filter with these options; of the stop words, the first 1,024 by hash count.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let bounds = [
            count(config.min_words),
            count(config.max_words),
            config.min_mean_word_chars,
            config.max_mean_word_chars,
            config.max_hashes_per_word,
            config.max_ellipses_per_word,
            config.max_bullet_line_ratio,
            config.max_ellipsis_line_ratio,
            config.min_alphabetic_word_ratio,
            count(config.min_stop_words),
        ];
        Self { rules: Rules::new(&SPEC, &bounds), stop_words: StopWords::new(&config.stop_words) }
    }
}

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let values = self.measure(&doc.text, cx);
        self.rules.score(doc, cx, &values);
        self.decide(&values).expect("all values were just measured")
    }

    fn redecide(&self, stored: &Document, stage: &str) -> Option<Outcome> {
        self.decide(&self.rules.stored(stored, stage))
    }

    fn deciding_options(&self) -> &'static [&'static str] {
        &DECIDING
    }
}

impl Stage {
    /// The values of a text, in the order of the scores.
    fn measure(&self, text: &str, cx: &mut Context) -> [f64; 8] {
        let counts = cx.features.word_counts(text);
        let bytes = text.as_bytes();
        let hashes = memchr::memchr_iter(b'#', bytes).count();
        let ellipses =
            memchr::memmem::find_iter(bytes, "...").count() + memchr::memmem::find_iter(bytes, "…").count();
        let (all_lines, bullet_lines, ellipsis_lines) = count_lines(text, cx);
        [
            counts.non_symbol_words as f64,
            ratio(counts.non_symbol_chars, counts.non_symbol_words),
            ratio(hashes as u64, counts.words),
            ratio(ellipses as u64, counts.words),
            ratio(bullet_lines, all_lines),
            ratio(ellipsis_lines, all_lines),
            ratio(counts.alphabetic_words, counts.words),
            self.stop_words.count_different(text, cx.features.words(text)) as f64,
        ]
    }

    fn decide(&self, values: &[f64]) -> Option<Outcome> {
        // A document without words has no mean length to judge.
        let has_words = values[0] > 0.0;
        self.rules.verdict(values, |limit, _| has_words || limit.score != "mean_word_chars")
    }
}

/// All lines as Python's `splitlines` has them, those with a bullet, those with an ellipsis.
fn count_lines(text: &str, cx: &mut Context) -> (u64, u64, u64) {
    let (mut all, mut bullets, mut ellipses) = (0, 0, 0);
    let mut look_at = |line: &str| {
        all += 1;
        bullets += u64::from(strip_start(line).starts_with(['•', '-']));
        let end = strip_end(line);
        ellipses += u64::from(end.ends_with("...") || end.ends_with('…'));
    };
    let index = cx.features.lines(text);
    if index.has_other_line_ends {
        lines(text).for_each(look_at);
    } else {
        index.lines.iter().for_each(|line| look_at(line.of(text)));
        all = index.newlines + u64::from(!text.is_empty() && !text.ends_with('\n'));
    }
    (all, bullets, ellipses)
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
