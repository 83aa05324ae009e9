//! Ratios and lengths of a text that the Gopher, C4 and FineWeb rules leave out, each with a limit of its own.
//!
//! They come from NeMo Curator's heuristic filters, the quality signals of RedPajama-v2, the taggers of Dolma and
//! the text filters of Data-Juicer; each option names its source. What of NeMo Curator's English chain is not here is in
//! `gopher_quality` (words, word length, stop words, bullets, ellipses, symbols) and `gopher_repetition` (n-grams),
//! so the three together are that chain. The checks run in its order, those of the others behind them.
//!
//! We differ in three things everywhere. Letters, digits, brackets and sentence marks are those of all scripts,
//! not of ASCII (`ascii_letters_only` and `terminal_punctuation` go back). Words are those of the other filters, in
//! which punctuation marks stand alone, unless an option says "between white space". A page of nothing but
//! white space always goes; NeMo Curator divides by zero on some and drops others. Dolma's search for short
//! sequences in a row (`repetitions_v1`) is covered by the two repetition measures.

mod checks;
mod config;
mod measure;

use aho_corasick::AhoCorasick;

use self::checks::{LIMITS, MEASURES, REASONS, SCORES};
pub use self::config::Config;
use super::rules::{self, Rules, deciding};
use super::stop_words::{MAX_STOP_WORDS, StopWords};
use crate::document::{Document, Outcome, Reason};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, OptionError, StageSpec, parse_options, schema_of,
};
use crate::text::lines::strip_start;

/// The stage as the registry knows it.
pub static SPEC: StageSpec = StageSpec {
    name: "text_ratios",
    kind: Kind::Filter,
    needs_text: true,
    summary: "Drops pages by shares of digits, addresses, white space, brackets, copies and many others, and by lengths.",
    source: "NeMo Curator 1.4 heuristic filters (its limits are the default), RedPajama-v2, Dolma, Data-Juicer.",
    reasons: REASONS,
    scores: SCORES,
    limits: LIMITS,
    schema: schema_of::<Config>,
    build,
};

static DECIDING: [&str; LIMITS.len()] = deciding(LIMITS);

fn build(options: serde_json::Value, _: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    let mut errors = Vec::new();
    if config.terminal_punctuation.iter().flatten().any(String::is_empty) {
        errors.push(OptionError::new("terminal_punctuation", "an empty string ends every line"));
    }
    if config.boilerplate_strings.iter().any(String::is_empty) {
        errors.push(OptionError::new("boilerplate_strings", "an empty string is in every paragraph"));
    }
    if let Some(string) = config.boilerplate_strings.iter().find(|string| string.contains('\n')) {
        let message = format!("`{}` holds a newline", string.escape_debug());
        errors.push(OptionError::new("boilerplate_strings", message));
    }
    if let Some(word) = config.stop_words.iter().find(|word| **word != word.to_lowercase()) {
        let error = OptionError::new("stop_words", format!("`{word}` is not in lower case and never found"));
        errors.push(error.hint(word.to_lowercase()));
    }
    if config.stop_words.len() > MAX_STOP_WORDS {
        let message = format!("{} are more than {MAX_STOP_WORDS}", config.stop_words.len());
        errors.push(OptionError::new("stop_words", message));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let stage = Stage::new(&config)
        .map_err(|error| vec![OptionError::new("boilerplate_strings", error.to_string())])?;
    Ok(Built::Doc(Box::new(stage)))
}

/// What the measures go by.
#[derive(Debug)]
struct Settings {
    wanted: [bool; MEASURES],
    ascii_letters_only: bool,
    boilerplate: AhoCorasick,
    terminal_punctuation: Option<Vec<String>>,
    stop_words: StopWords,
    repeated_chars: usize,
    repeated_words: usize,
}

/// The filter.
#[derive(Debug)]
pub struct Stage {
    settings: Settings,
    rules: Rules,
}

impl Stage {
    /// The filter with these options.
    ///
    /// # Errors
    /// Where there are more boilerplate strings than an automaton can hold.
    pub fn new(config: &Config) -> Result<Self, aho_corasick::BuildError> {
        let rules = Rules::new(&SPEC, &config.bounds());
        let settings = Settings {
            wanted: std::array::from_fn(|score| config.measure_all || rules.needs(score)),
            ascii_letters_only: config.ascii_letters_only,
            boilerplate: measure::boilerplate_automaton(&config.boilerplate_strings)?,
            terminal_punctuation: config.terminal_punctuation.clone(),
            stop_words: StopWords::new(&config.stop_words),
            repeated_chars: usize::try_from(config.repeated_chars).unwrap_or(usize::MAX),
            repeated_words: config.repeated_words.clamp(2, 10) as usize,
        };
        Ok(Self { settings, rules })
    }

    fn decide(&self, values: &[f64]) -> Option<Outcome> {
        self.rules.verdict(values, |_, _| true)
    }
}

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        if strip_start(&doc.text).is_empty() {
            return Outcome::Drop(Reason::new("empty_text"));
        }
        let values = measure::measure(&self.settings, &doc.text, cx);
        self.rules.score(doc, cx, &values);
        self.decide(&values).expect("what is checked was measured")
    }

    /// Options that switch a check on can be asked for where its score was stored (`measure_all`).
    fn redecide(&self, stored: &Document, stage: &str) -> Option<Outcome> {
        let values = self.rules.stored(stored, stage);
        // Without any score the page was empty, or was never here.
        if values.iter().all(|value| value.is_nan()) { None } else { self.decide(&values) }
    }

    fn deciding_options(&self) -> &'static [&'static str] {
        &DECIDING
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::stages::filter::testing;

    #[test]
    fn cases() {
        testing::run_cases(&SPEC);
    }

    #[test]
    fn any_text_gets_a_verdict() {
        testing::any_text(&SPEC);
        testing::any_text_with(&SPEC, json!({"measure_all": true, "ascii_letters_only": true}));
        testing::any_text_with(&SPEC, all_on());
    }

    /// Every check with a limit that no text fails at once.
    fn all_on() -> serde_json::Value {
        let mut options = serde_json::Map::new();
        for limit in LIMITS {
            let bound = if limit.option.starts_with("min_") { 0 } else { 1 };
            let bound = if limit.option.ends_with("_ratio") { bound } else { bound * 40 };
            options.insert(limit.option.to_owned(), bound.into());
        }
        options.into()
    }

    #[test]
    fn what_is_not_checked_is_not_stored() {
        let scores = |options: serde_json::Value| {
            let stage = testing::stage(&SPEC, options);
            testing::judge(&*stage, &SPEC, "Some text. And more.", &mut Context::default()).1.scores.len()
        };
        assert_eq!(scores(json!({})), 13);
        assert_eq!(scores(json!({"measure_all": true})), MEASURES);
        assert_eq!(scores(json!({"max_url_ratio": null, "min_word_entropy": 0.0})), 13);
    }

    #[test]
    fn a_check_can_be_added_where_all_was_measured() {
        let measured = testing::stage(&SPEC, json!({"measure_all": true}));
        let plain = testing::stage(&SPEC, json!({}));
        let stricter = testing::stage(&SPEC, json!({"max_uppercase_ratio": 0.1}));
        let mut cx = Context::default();
        let (kept, doc) = testing::judge(&*measured, &SPEC, "ALL CAPITALS.", &mut cx);
        assert_eq!(kept, Outcome::Keep);
        let again = stricter.redecide(&doc, SPEC.name).unwrap();
        assert_eq!(testing::name(&again), "too_many_uppercase_chars");
        let (_, doc) = testing::judge(&*plain, &SPEC, "ALL CAPITALS.", &mut cx);
        assert_eq!(stricter.redecide(&doc, SPEC.name), None);
    }

    #[test]
    fn mistakes_in_lists() {
        for (options, key) in [
            (json!({"terminal_punctuation": [""]}), "terminal_punctuation"),
            (json!({"boilerplate_strings": [""]}), "boilerplate_strings"),
            (json!({"boilerplate_strings": ["a\nb"]}), "boilerplate_strings"),
            (json!({"stop_words": ["The"]}), "stop_words"),
        ] {
            let errors = (SPEC.build)(options, &mut BuildContext::default()).err().unwrap();
            assert_eq!(errors[0].key, key);
        }
    }
}
