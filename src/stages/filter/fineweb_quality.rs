//! FineWeb's own quality rules: line ends, short lines, duplicate lines, lists.
//!
//! From Penedo et al. 2024, "The FineWeb Datasets", section 3.6, as datatrove 0.10 has them in
//! `FineWebQualityFilter`, with its defaults, its order of checks and its word splitter.
//!
//! We differ in that `null` switches a check off, and in that scores are measured for every document that
//! has a line, dropped ones too.

use schemars::JsonSchema;
use serde::Deserialize;

use super::rules::{Rules, above, below, deciding, ratio};
use crate::document::{Document, Outcome, Reason};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, Limit, OptionError, ScoreSpec, StageSpec, parse_options,
    schema_of,
};
use crate::text::charsets::{Classes, TERMINAL};

/// The reasons' names in datatrove.
pub const DATATROVE_REASONS: &[(&str, &str)] = &[
    ("empty_text", "empty"),
    ("too_few_punctuated_lines", "line_punct_ratio"),
    ("too_many_short_lines", "short_line_ratio"),
    ("duplicate_line_chars", "char_dup_ratio"),
    ("too_many_newlines", "list_ratio"),
];

/// The stage as the registry knows it.
pub static SPEC: StageSpec = StageSpec {
    name: "fineweb_quality",
    kind: Kind::Filter,
    needs_text: true,
    summary: "Drops pages of unpunctuated, short or duplicate lines, and lists.",
    source: "FineWeb (Penedo et al. 2024) as in datatrove 0.10 `FineWebQualityFilter`.",
    reasons: &[
        ("empty_text", "nothing but white space"),
        (
            "too_few_punctuated_lines",
            "a smaller share of lines ends a sentence than `min_punctuated_line_ratio`",
        ),
        ("too_many_short_lines", "a larger share of lines is short than `max_short_line_ratio`"),
        (
            "duplicate_line_chars",
            "a larger share of characters is in copied lines than `max_duplicate_line_char_ratio`",
        ),
        ("too_many_newlines", "more newlines per word than `max_newlines_per_word`"),
    ],
    scores: &[
        ScoreSpec {
            name: "punctuated_line_ratio",
            doc: "share of lines that end with a sentence mark",
            min: 0.0,
            max: 1.0,
        },
        ScoreSpec { name: "short_line_ratio", doc: "share of short lines", min: 0.0, max: 1.0 },
        ScoreSpec {
            name: "duplicate_line_char_ratio",
            doc: "characters of copied lines per character",
            min: 0.0,
            max: 1.0,
        },
        ScoreSpec { name: "newlines_per_word", doc: "newlines per word", min: 0.0, max: 1.0 },
    ],
    limits: LIMITS,
    schema: schema_of::<Config>,
    build,
};

const LIMITS: &[Limit] = &[
    below("too_few_punctuated_lines", "punctuated_line_ratio", "min_punctuated_line_ratio"),
    above("too_many_short_lines", "short_line_ratio", "max_short_line_ratio"),
    above("duplicate_line_chars", "duplicate_line_char_ratio", "max_duplicate_line_char_ratio"),
    above("too_many_newlines", "newlines_per_word", "max_newlines_per_word"),
];
static DECIDING: [&str; 5] = {
    let [a, b, c, d] = deciding(LIMITS);
    ["keep_unpunctuated", a, b, c, d]
};

/// Options of `fineweb_quality`. Lines are what stands between newlines, blank ones left out; they are not
/// trimmed. `null` switches a check off.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Smallest share of lines that end with a mark of `terminal_punctuation`. datatrove: `line_punct_thr`, 0.12.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_punctuated_line_ratio: Option<f64>,
    /// Keeps a document in which no line at all ends with such a mark (for languages without them).
    /// datatrove: `line_punct_exclude_zero`, false.
    pub keep_unpunctuated: bool,
    /// Strings that end a line properly; `null` for the 159 sentence marks of all scripts, which include
    /// `.`, `!`, `?` and `。` but no quotation mark and no `…`. datatrove: `stop_chars`, the same set.
    pub terminal_punctuation: Option<Vec<String>>,
    /// Largest share of short lines. datatrove: `short_line_thr`, 0.67.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_short_line_ratio: Option<f64>,
    /// Characters up to which a line is short; one of exactly so many is. datatrove: `short_line_length`, 30.
    pub short_line_chars: u64,
    /// Largest share of characters (without newlines) in lines that stood earlier. datatrove:
    /// `char_duplicates_ratio`, 0.01.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_duplicate_line_char_ratio: Option<f64>,
    /// Largest number of newlines per word (punctuation marks are words). datatrove: `new_line_ratio`, 0.3.
    #[schemars(range(min = 0.0))]
    pub max_newlines_per_word: Option<f64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            min_punctuated_line_ratio: Some(0.12),
            keep_unpunctuated: false,
            terminal_punctuation: None,
            max_short_line_ratio: Some(0.67),
            short_line_chars: 30,
            max_duplicate_line_char_ratio: Some(0.01),
            max_newlines_per_word: Some(0.3),
        }
    }
}

fn build(options: serde_json::Value, _: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    if config.terminal_punctuation.iter().flatten().any(String::is_empty) {
        return Err(vec![OptionError::new("terminal_punctuation", "an empty string ends every line")]);
    }
    Ok(Built::Doc(Box::new(Stage::new(config))))
}

/// The filter.
#[derive(Debug)]
pub struct Stage {
    config: Config,
    rules: Rules,
}

impl Stage {
    /// The filter with these options.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let bounds = [
            config.min_punctuated_line_ratio,
            config.max_short_line_ratio,
            config.max_duplicate_line_char_ratio,
            config.max_newlines_per_word,
        ];
        Self { rules: Rules::new(&SPEC, &bounds), config }
    }

    fn ends_properly(&self, classes: &Classes, line: &str) -> bool {
        match &self.config.terminal_punctuation {
            None => classes.of_last(line) & TERMINAL != 0,
            Some(marks) => marks.iter().any(|mark| line.ends_with(mark.as_str())),
        }
    }
}

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let Some(values) = self.measure(&doc.text, cx) else {
            return Outcome::Drop(Reason::new("empty_text"));
        };
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
    /// The values of a text, in the order of the scores; `None` where no line is left.
    fn measure(&self, text: &str, cx: &mut Context) -> Option<[f64; 4]> {
        let classes = Classes::get();
        let index = cx.features.line_copies(text);
        let (mut lines, mut punctuated, mut short, mut copied) = (0_u64, 0_u64, 0_u64, 0_u64);
        for line in index.full_lines() {
            lines += 1;
            punctuated += u64::from(self.ends_properly(classes, line.of(text)));
            short += u64::from(u64::from(line.chars) <= self.config.short_line_chars);
            copied += if line.is_copy { u64::from(line.chars) } else { 0 };
        }
        if lines == 0 {
            return None;
        }
        let (newlines, other_chars) = (index.newlines, index.chars - index.newlines);
        let words = cx.features.word_counts(text).words;
        Some([
            ratio(punctuated, lines),
            ratio(short, lines),
            ratio(copied, other_chars),
            newlines as f64 / words.max(1) as f64,
        ])
    }

    fn decide(&self, values: &[f64]) -> Option<Outcome> {
        self.rules.verdict(values, |limit, value| {
            let unpunctuated = value == 0.0 && limit.score == "punctuated_line_ratio";
            !(unpunctuated && self.config.keep_unpunctuated)
        })
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
    fn an_empty_mark_is_a_mistake() {
        let options = serde_json::json!({"terminal_punctuation": [""]});
        assert!((SPEC.build)(options, &mut BuildContext::default()).is_err());
    }
}
