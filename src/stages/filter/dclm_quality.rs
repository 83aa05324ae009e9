//! `dclm_quality`: the Gopher rules as DCLM-Baseline applies them.
//!
//! Source: DCLM (Li et al. 2024), the page filters between language and repetition in
//! `dclm_baseline_refinedweb.yaml`: Gopher's rules (Rae et al. 2021) written anew, with words between white space. Against
//! `gopher_quality` (datatrove): marks that stick to a word count with it, `. . .` is an ellipsis, `●` and `*` are
//! bullets, blank lines are no lines, stop words count each time and in any case.
//!
//! We differ from DCLM in that a text without words has ratios of 0 and is dropped as too short, and that `null`
//! switches a check off.

use schemars::JsonSchema;
use serde::Deserialize;

use super::dclm_words;
use crate::document::{Document, Outcome, Reason};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, Limit, OptionError, ScoreSpec, Side, StageSpec,
    parse_options, schema_of,
};
use crate::text::charsets::{Classes, LETTER};
use crate::text::lines::{chars, strip};

/// The stage as the registry knows it.
pub static SPEC: StageSpec = StageSpec {
    name: "dclm_quality",
    kind: Kind::Filter,
    needs_text: true,
    summary: "Gopher's quality rules in DCLM's version, over words between white space.",
    source: "DCLM-Baseline (Li et al. 2024), `dclm_baseline_refinedweb.yaml` and `content_filters.py`.",
    reasons: &[
        ("too_few_words", "fewer words that begin with a letter or digit than `min_words`"),
        ("too_many_words", "more words that begin with a letter or digit than `max_words`"),
        ("words_too_short", "mean word length below `min_mean_word_chars`"),
        ("words_too_long", "mean word length above `max_mean_word_chars`"),
        ("too_many_symbols", "more `#` and ellipses per word than `max_symbols_per_word`"),
        (
            "too_many_bullet_lines",
            "a larger share of lines starts with a bullet than `max_bullet_line_ratio`",
        ),
        (
            "too_many_ellipsis_lines",
            "a larger share of lines ends with an ellipsis than `max_ellipsis_line_ratio`",
        ),
        (
            "too_many_words_without_letters",
            "a larger share of words holds no letter than `max_letterless_word_ratio`",
        ),
        ("too_few_stop_words", "stop words occur fewer times than `min_stop_words`"),
    ],
    scores: &[
        ScoreSpec { name: "words", doc: "words that begin with a letter or digit", min: 0.0, max: 4000.0 },
        ScoreSpec { name: "mean_word_chars", doc: "mean characters of all words", min: 0.0, max: 20.0 },
        ScoreSpec { name: "symbols_per_word", doc: "`#` and ellipses per word", min: 0.0, max: 0.4 },
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
            name: "letterless_word_ratio",
            doc: "share of words that hold no letter",
            min: 0.0,
            max: 1.0,
        },
        ScoreSpec { name: "stop_words", doc: "occurrences of stop words", min: 0.0, max: 400.0 },
    ],
    limits: &[
        limit("too_few_words", "words", "min_words", Side::Below),
        limit("too_many_words", "words", "max_words", Side::Above),
        limit("words_too_short", "mean_word_chars", "min_mean_word_chars", Side::Below),
        limit("words_too_long", "mean_word_chars", "max_mean_word_chars", Side::Above),
        limit("too_many_symbols", "symbols_per_word", "max_symbols_per_word", Side::Above),
        limit("too_many_bullet_lines", "bullet_line_ratio", "max_bullet_line_ratio", Side::Above),
        limit("too_many_ellipsis_lines", "ellipsis_line_ratio", "max_ellipsis_line_ratio", Side::Above),
        limit(
            "too_many_words_without_letters",
            "letterless_word_ratio",
            "max_letterless_word_ratio",
            Side::Above,
        ),
        limit("too_few_stop_words", "stop_words", "min_stop_words", Side::Below),
    ],
    schema: schema_of::<Config>,
    build,
};

const fn limit(reason: &'static str, score: &'static str, option: &'static str, fails: Side) -> Limit {
    Limit { reason, score, option, fails }
}

/// Options of `dclm_quality`. `null` switches a check off.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Fewest words that begin with a letter or digit; a page with exactly so many stays. DCLM:
    /// `page_length_filter`, 50.
    pub min_words: Option<u64>,
    /// Most such words. DCLM: 100000.
    pub max_words: Option<u64>,
    /// Smallest mean length in characters of all words between white space. DCLM: `word_length_filter`, 3.
    #[schemars(range(min = 0.0))]
    pub min_mean_word_chars: Option<f64>,
    /// Largest mean length of those words. DCLM: 10.
    #[schemars(range(min = 0.0))]
    pub max_mean_word_chars: Option<f64>,
    /// Largest number of `#`, `...`, `. . .` and `…` together per word. DCLM: `symbol_ratio_filter`, 0.1.
    #[schemars(range(min = 0.0))]
    pub max_symbols_per_word: Option<f64>,
    /// Largest share of lines, blank ones left out, that start with `●`, `•`, `*` or `-`. DCLM:
    /// `bullet_count_filter`, 0.9.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_bullet_line_ratio: Option<f64>,
    /// Largest share of those lines that end with `...`, `. . .` or `…`. DCLM: `ellipsis_count_filter`, 0.3.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_ellipsis_line_ratio: Option<f64>,
    /// Largest share of words between white space without a letter. DCLM: `alphabetic_word_ratio_filter`, 0.2.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_letterless_word_ratio: Option<f64>,
    /// How often stop words must occur together, each time counted. DCLM: `stop_word_filter`, 2.
    pub min_stop_words: Option<u64>,
    /// The stop words, in any case. A word with a mark stuck to it is another word. DCLM: the same eight.
    pub stop_words: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            min_words: Some(50),
            max_words: Some(100_000),
            min_mean_word_chars: Some(3.0),
            max_mean_word_chars: Some(10.0),
            max_symbols_per_word: Some(0.1),
            max_bullet_line_ratio: Some(0.9),
            max_ellipsis_line_ratio: Some(0.3),
            max_letterless_word_ratio: Some(0.2),
            min_stop_words: Some(2),
            stop_words: ["the", "be", "to", "of", "and", "that", "have", "with"].map(str::to_owned).to_vec(),
        }
    }
}

fn build(options: serde_json::Value, _: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let mut config: Config = parse_options(options)?;
    if config.stop_words.is_empty() && config.min_stop_words.is_some_and(|wanted| wanted > 0) {
        let error = OptionError::new("stop_words", "without stop words every page would go");
        return Err(vec![error.hint("give some, or set `min_stop_words: null`")]);
    }
    for word in &mut config.stop_words {
        *word = word.to_lowercase();
    }
    config.stop_words.sort();
    let longest_stop_word = config.stop_words.iter().map(String::len).max().unwrap_or(0);
    Ok(Built::Doc(Box::new(Stage { config, longest_stop_word })))
}

struct Stage {
    config: Config,
    longest_stop_word: usize,
}

/// What the checks look at, in the order of the scores.
#[derive(Default)]
struct Measures {
    words: f64,
    mean_word_chars: f64,
    symbols_per_word: f64,
    bullet_line_ratio: f64,
    ellipsis_line_ratio: f64,
    letterless_word_ratio: f64,
    stop_words: f64,
}

impl Stage {
    fn measure(&self, text: &str) -> Measures {
        let classes = Classes::get();
        let has_letter = |word: &str| {
            word.bytes().any(|b| b.is_ascii_alphabetic())
                || !word.is_ascii() && word.chars().any(|c| classes.of(c) & LETTER != 0)
        };
        let (mut words, mut word_chars, mut letterless, mut stop_words) = (0_u64, 0_u64, 0_u64, 0_u64);
        for word in dclm_words::split(text) {
            words += 1;
            word_chars += chars(word) as u64;
            letterless += u64::from(!has_letter(word));
            stop_words += u64::from(self.is_stop_word(word));
        }
        let bytes = text.as_bytes();
        let symbols = memchr::memchr_iter(b'#', bytes).count()
            + ["...", ". . .", "…"]
                .iter()
                .map(|mark| memchr::memmem::find_iter(bytes, mark).count())
                .sum::<usize>();
        let (mut lines, mut bullets, mut ellipses) = (0_u64, 0_u64, 0_u64);
        for line in text.split('\n').map(strip).filter(|line| !line.is_empty()) {
            lines += 1;
            bullets += u64::from(line.starts_with(['●', '•', '*', '-']));
            ellipses += u64::from(line.ends_with("...") || line.ends_with(". . .") || line.ends_with('…'));
        }
        let per = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        Measures {
            words: dclm_words::count_alphanumeric(text) as f64,
            mean_word_chars: per(word_chars, words),
            symbols_per_word: per(symbols as u64, words),
            bullet_line_ratio: per(bullets, lines),
            ellipsis_line_ratio: per(ellipses, lines),
            letterless_word_ratio: per(letterless, words),
            stop_words: stop_words as f64,
        }
    }

    fn is_stop_word(&self, word: &str) -> bool {
        let mut lower = [0; 32];
        if let Some(lower) = lower.get_mut(..word.len()).filter(|_| word.is_ascii()) {
            lower.copy_from_slice(word.as_bytes());
            lower.make_ascii_lowercase();
            return self.config.stop_words.binary_search_by(|known| known.as_bytes().cmp(lower)).is_ok();
        }
        // Beyond ASCII, a character and its lower case may differ in bytes, at most by a factor of three.
        word.len() <= self.longest_stop_word * 3
            && self.config.stop_words.binary_search(&word.to_lowercase()).is_ok()
    }

    fn reason(&self, found: &Measures) -> Option<Reason> {
        let config = &self.config;
        let count = |limit: Option<u64>| limit.map(|limit| limit as f64);
        let values = [
            (found.words, count(config.min_words)),
            (found.words, count(config.max_words)),
            (found.mean_word_chars, config.min_mean_word_chars),
            (found.mean_word_chars, config.max_mean_word_chars),
            (found.symbols_per_word, config.max_symbols_per_word),
            (found.bullet_line_ratio, config.max_bullet_line_ratio),
            (found.ellipsis_line_ratio, config.max_ellipsis_line_ratio),
            (found.letterless_word_ratio, config.max_letterless_word_ratio),
            (found.stop_words, count(config.min_stop_words)),
        ];
        SPEC.limits.iter().zip(values).find_map(|(check, (value, limit))| {
            let limit = limit?;
            let fails = match check.fails {
                Side::Below => value < limit,
                Side::Above => value > limit,
            };
            fails.then(|| Reason::measured(check.reason, value, limit))
        })
    }
}

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let found = self.measure(&doc.text);
        cx.score(doc, "words", found.words);
        cx.score(doc, "mean_word_chars", found.mean_word_chars);
        cx.score(doc, "symbols_per_word", found.symbols_per_word);
        cx.score(doc, "bullet_line_ratio", found.bullet_line_ratio);
        cx.score(doc, "ellipsis_line_ratio", found.ellipsis_line_ratio);
        cx.score(doc, "letterless_word_ratio", found.letterless_word_ratio);
        cx.score(doc, "stop_words", found.stop_words);
        self.reason(&found).map_or(Outcome::Keep, Outcome::Drop)
    }

    fn redecide(&self, stored: &Document, stage: &str) -> Option<Outcome> {
        let score = |name: &str| stored.stored_score(stage, name);
        let found = Measures {
            words: score("words")?,
            mean_word_chars: score("mean_word_chars")?,
            symbols_per_word: score("symbols_per_word")?,
            bullet_line_ratio: score("bullet_line_ratio")?,
            ellipsis_line_ratio: score("ellipsis_line_ratio")?,
            letterless_word_ratio: score("letterless_word_ratio")?,
            stop_words: score("stop_words")?,
        };
        Some(self.reason(&found).map_or(Outcome::Keep, Outcome::Drop))
    }

    fn deciding_options(&self) -> &'static [&'static str] {
        &[
            "min_words",
            "max_words",
            "min_mean_word_chars",
            "max_mean_word_chars",
            "max_symbols_per_word",
            "max_bullet_line_ratio",
            "max_ellipsis_line_ratio",
            "max_letterless_word_ratio",
            "min_stop_words",
        ]
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
    fn no_stop_words_at_all_is_a_mistake() {
        let options = serde_json::json!({"stop_words": []});
        let errors = (SPEC.build)(options, &mut BuildContext::default()).err().unwrap();
        assert_eq!(errors[0].key, "stop_words");
    }
}
