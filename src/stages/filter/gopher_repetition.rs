//! Gopher's repetition rules: duplicate paragraphs and lines, frequent 2- to 4-grams, repeated 5- to 10-grams.
//!
//! From Rae et al. 2021, table A1, as datatrove 0.10 has them in `GopherRepetitionFilter` (which FineWeb uses), with
//! its defaults, its order of checks and its word splitter. What it does differently from the paper, we do
//! too: a first copy is no duplicate; character shares are of all characters, white space included; the most
//! frequent n-gram counts even if it occurs once, so a text of eight words can go for it; the length of a
//! frequent n-gram includes the spaces between its words, that of a repeated one does not.
//!
//! We differ in that a limit of 0 is a limit and `null` switches a check off (in datatrove 0 switches the
//! line and paragraph checks off), in that n is fixed to 2 to 4 and 5 to 10, and in that `ab c` is not the same
//! n-gram as `a bc`, see `text::repetition`. Scores are measured for every document, dropped ones too.

use schemars::JsonSchema;
use serde::Deserialize;

use super::rules::{Rules, above, deciding};
use crate::document::{Document, Outcome, Reason};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, Limit, OptionError, ScoreSpec, StageSpec, parse_options,
    schema_of,
};
use crate::text::repetition::Duplicates;

/// The reasons' names in datatrove.
pub const DATATROVE_REASONS: &[(&str, &str)] = &[
    ("empty_text", "empty"),
    ("duplicate_paragraphs", "dup_para_frac"),
    ("duplicate_paragraph_chars", "dup_para_char_frac"),
    ("duplicate_lines", "dup_line_frac"),
    ("duplicate_line_chars", "dup_line_char_frac"),
    ("frequent_2gram", "top_2_gram"),
    ("frequent_3gram", "top_3_gram"),
    ("frequent_4gram", "top_4_gram"),
    ("repeated_5grams", "duplicated_5_n_grams"),
    ("repeated_6grams", "duplicated_6_n_grams"),
    ("repeated_7grams", "duplicated_7_n_grams"),
    ("repeated_8grams", "duplicated_8_n_grams"),
    ("repeated_9grams", "duplicated_9_n_grams"),
    ("repeated_10grams", "duplicated_10_n_grams"),
];

/// The stage as the registry knows it.
pub static SPEC: StageSpec = StageSpec {
    name: "gopher_repetition",
    kind: Kind::Filter,
    needs_text: true,
    summary: "Drops pages that repeat themselves: paragraphs, lines, word n-grams.",
    source: "Gopher (Rae et al. 2021) as in datatrove 0.10 `GopherRepetitionFilter`; limits of 0 are limits here.",
    reasons: &[
        ("empty_text", "no text at all"),
        (
            "duplicate_paragraphs",
            "a larger share of paragraphs is a copy than `max_duplicate_paragraph_ratio`",
        ),
        (
            "duplicate_paragraph_chars",
            "a larger share of characters is in them than `max_duplicate_paragraph_char_ratio`",
        ),
        ("duplicate_lines", "a larger share of lines is a copy than `max_duplicate_line_ratio`"),
        (
            "duplicate_line_chars",
            "a larger share of characters is in them than `max_duplicate_line_char_ratio`",
        ),
        ("frequent_2gram", "the most frequent 2-gram covers more than `max_frequent_2gram_char_ratio`"),
        ("frequent_3gram", "the most frequent 3-gram covers more than `max_frequent_3gram_char_ratio`"),
        ("frequent_4gram", "the most frequent 4-gram covers more than `max_frequent_4gram_char_ratio`"),
        ("repeated_5grams", "repeated 5-grams cover more than `max_repeated_5gram_char_ratio`"),
        ("repeated_6grams", "repeated 6-grams cover more than `max_repeated_6gram_char_ratio`"),
        ("repeated_7grams", "repeated 7-grams cover more than `max_repeated_7gram_char_ratio`"),
        ("repeated_8grams", "repeated 8-grams cover more than `max_repeated_8gram_char_ratio`"),
        ("repeated_9grams", "repeated 9-grams cover more than `max_repeated_9gram_char_ratio`"),
        ("repeated_10grams", "repeated 10-grams cover more than `max_repeated_10gram_char_ratio`"),
    ],
    scores: &[
        ratio_score("duplicate_paragraph_ratio", "share of paragraphs that stood earlier"),
        ratio_score("duplicate_paragraph_char_ratio", "their characters per character of the text"),
        ratio_score("duplicate_line_ratio", "share of lines that stood earlier"),
        ratio_score("duplicate_line_char_ratio", "their characters per character of the text"),
        ratio_score("frequent_2gram_char_ratio", "characters of the most frequent 2-gram, all copies"),
        ratio_score("frequent_3gram_char_ratio", "characters of the most frequent 3-gram, all copies"),
        ratio_score("frequent_4gram_char_ratio", "characters of the most frequent 4-gram, all copies"),
        ratio_score("repeated_5gram_char_ratio", "characters of repeated 5-grams"),
        ratio_score("repeated_6gram_char_ratio", "characters of repeated 6-grams"),
        ratio_score("repeated_7gram_char_ratio", "characters of repeated 7-grams"),
        ratio_score("repeated_8gram_char_ratio", "characters of repeated 8-grams"),
        ratio_score("repeated_9gram_char_ratio", "characters of repeated 9-grams"),
        ratio_score("repeated_10gram_char_ratio", "characters of repeated 10-grams"),
    ],
    limits: LIMITS,
    schema: schema_of::<Config>,
    build,
};

const LIMITS: &[Limit] = &[
    above("duplicate_paragraphs", "duplicate_paragraph_ratio", "max_duplicate_paragraph_ratio"),
    above(
        "duplicate_paragraph_chars",
        "duplicate_paragraph_char_ratio",
        "max_duplicate_paragraph_char_ratio",
    ),
    above("duplicate_lines", "duplicate_line_ratio", "max_duplicate_line_ratio"),
    above("duplicate_line_chars", "duplicate_line_char_ratio", "max_duplicate_line_char_ratio"),
    above("frequent_2gram", "frequent_2gram_char_ratio", "max_frequent_2gram_char_ratio"),
    above("frequent_3gram", "frequent_3gram_char_ratio", "max_frequent_3gram_char_ratio"),
    above("frequent_4gram", "frequent_4gram_char_ratio", "max_frequent_4gram_char_ratio"),
    above("repeated_5grams", "repeated_5gram_char_ratio", "max_repeated_5gram_char_ratio"),
    above("repeated_6grams", "repeated_6gram_char_ratio", "max_repeated_6gram_char_ratio"),
    above("repeated_7grams", "repeated_7gram_char_ratio", "max_repeated_7gram_char_ratio"),
    above("repeated_8grams", "repeated_8gram_char_ratio", "max_repeated_8gram_char_ratio"),
    above("repeated_9grams", "repeated_9gram_char_ratio", "max_repeated_9gram_char_ratio"),
    above("repeated_10grams", "repeated_10gram_char_ratio", "max_repeated_10gram_char_ratio"),
];
static DECIDING: [&str; LIMITS.len()] = deciding(LIMITS);

const fn ratio_score(name: &'static str, doc: &'static str) -> ScoreSpec {
    ScoreSpec { name, doc, min: 0.0, max: 1.0 }
}

/// Options of `gopher_repetition`. Each is the largest value that is kept; `null` switches the check off.
/// Characters include white space; a duplicate is any copy but the first.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Duplicate paragraphs (separated by two or more newlines) per paragraph. datatrove: `dup_para_frac`, 0.3.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_duplicate_paragraph_ratio: Option<f64>,
    /// Characters of duplicate paragraphs per character. datatrove: `dup_para_char_frac`, 0.2.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_duplicate_paragraph_char_ratio: Option<f64>,
    /// Duplicate lines per line; newlines in a row separate once, but one at the start or end of the text
    /// makes an empty line. datatrove: `dup_line_frac`, 0.3.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_duplicate_line_ratio: Option<f64>,
    /// Characters of duplicate lines per character. datatrove: `dup_line_char_frac`, 0.2.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_duplicate_line_char_ratio: Option<f64>,
    /// Length of the most frequent 2-gram (two words and a space) times its count, per character; can be
    /// above 1 in short texts. datatrove: `top_n_grams`, 0.2.
    #[schemars(range(min = 0.0))]
    pub max_frequent_2gram_char_ratio: Option<f64>,
    /// The same for 3-grams. datatrove: `top_n_grams`, 0.18.
    #[schemars(range(min = 0.0))]
    pub max_frequent_3gram_char_ratio: Option<f64>,
    /// The same for 4-grams. datatrove: `top_n_grams`, 0.16.
    #[schemars(range(min = 0.0))]
    pub max_frequent_4gram_char_ratio: Option<f64>,
    /// Characters of 5-grams that occurred before (without spaces, without overlap) per character.
    /// datatrove: `dup_n_grams`, 0.15.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_repeated_5gram_char_ratio: Option<f64>,
    /// The same for 6-grams. datatrove: `dup_n_grams`, 0.14.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_repeated_6gram_char_ratio: Option<f64>,
    /// The same for 7-grams. datatrove: `dup_n_grams`, 0.13.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_repeated_7gram_char_ratio: Option<f64>,
    /// The same for 8-grams. datatrove: `dup_n_grams`, 0.12.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_repeated_8gram_char_ratio: Option<f64>,
    /// The same for 9-grams. datatrove: `dup_n_grams`, 0.11.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_repeated_9gram_char_ratio: Option<f64>,
    /// The same for 10-grams. datatrove: `dup_n_grams`, 0.1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_repeated_10gram_char_ratio: Option<f64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_duplicate_paragraph_ratio: Some(0.3),
            max_duplicate_paragraph_char_ratio: Some(0.2),
            max_duplicate_line_ratio: Some(0.3),
            max_duplicate_line_char_ratio: Some(0.2),
            max_frequent_2gram_char_ratio: Some(0.2),
            max_frequent_3gram_char_ratio: Some(0.18),
            max_frequent_4gram_char_ratio: Some(0.16),
            max_repeated_5gram_char_ratio: Some(0.15),
            max_repeated_6gram_char_ratio: Some(0.14),
            max_repeated_7gram_char_ratio: Some(0.13),
            max_repeated_8gram_char_ratio: Some(0.12),
            max_repeated_9gram_char_ratio: Some(0.11),
            max_repeated_10gram_char_ratio: Some(0.1),
        }
    }
}

fn build(options: serde_json::Value, _: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    Ok(Built::Doc(Box::new(Stage::new(&config))))
}

/// The filter.
#[derive(Debug)]
pub struct Stage {
    rules: Rules,
}

impl Stage {
    /// The filter with these options.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let bounds = [
            config.max_duplicate_paragraph_ratio,
            config.max_duplicate_paragraph_char_ratio,
            config.max_duplicate_line_ratio,
            config.max_duplicate_line_char_ratio,
            config.max_frequent_2gram_char_ratio,
            config.max_frequent_3gram_char_ratio,
            config.max_frequent_4gram_char_ratio,
            config.max_repeated_5gram_char_ratio,
            config.max_repeated_6gram_char_ratio,
            config.max_repeated_7gram_char_ratio,
            config.max_repeated_8gram_char_ratio,
            config.max_repeated_9gram_char_ratio,
            config.max_repeated_10gram_char_ratio,
        ];
        Self { rules: Rules::new(&SPEC, &bounds) }
    }
}

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        if doc.text.is_empty() {
            return Outcome::Drop(Reason::new("empty_text"));
        }
        let values = measure(&doc.text, cx);
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
    fn decide(&self, values: &[f64]) -> Option<Outcome> {
        self.rules.verdict(values, |_, _| true)
    }
}

/// The values of a text with at least one character, in the order of the scores.
fn measure(text: &str, cx: &mut Context) -> [f64; 13] {
    let chars = cx.features.chars(text) as f64;
    let paragraphs = cx.features.paragraph_duplicates(text);
    let lines = line_duplicates(text, cx);
    let grams = cx.features.grams(text);
    let mut values = [0.0; 13];
    for (place, found) in [paragraphs, lines].into_iter().enumerate() {
        values[2 * place] = found.duplicates as f64 / found.total as f64;
        values[2 * place + 1] = found.duplicate_chars as f64 / chars;
    }
    for (value, covered) in values[4..].iter_mut().zip(grams.top_chars.iter().chain(&grams.repeated_chars)) {
        *value = *covered as f64 / chars;
    }
    values
}

/// Duplicates among the pieces between runs of newlines; a newline at the start or end makes an empty one.
fn line_duplicates(text: &str, cx: &mut Context) -> Duplicates {
    let lines = &cx.features.line_copies(text).lines;
    let empty = u64::from(text.starts_with('\n')) + u64::from(text.ends_with('\n'));
    let copies = lines.iter().filter(|line| line.is_copy);
    let (count, chars) =
        copies.fold((0, 0), |(count, chars), line| (count + 1, chars + u64::from(line.chars)));
    Duplicates {
        total: lines.len() as u64 + empty,
        duplicates: count + u64::from(empty == 2),
        duplicate_chars: chars,
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
}
