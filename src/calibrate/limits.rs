//! From a score's values to a limit.

use serde_json::Value;

use super::Settings;
use crate::stage::{Limit, Side};

/// Scores of stop words; they are measured on the start of each document.
pub(super) const STOP_WORD_SCORES: [&str; 2] = [STOP_WORDS, STOP_WORD_RATIO];
const STOP_WORDS: &str = "stop_words";
const STOP_WORD_RATIO: &str = "stop_word_ratio";

/// Values of one score.
#[derive(Debug, Default)]
pub(super) struct Sample {
    values: Vec<f64>,
    sorted: bool,
}

impl Sample {
    pub(super) fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.values.push(value);
            self.sorted = false;
        }
    }

    /// The value that a share of `ratio` of the values does not exceed; of two candidates the smaller one.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ratio is 0 to 1")]
    fn quantile(&mut self, ratio: f64) -> Option<f64> {
        if !self.sorted {
            self.values.sort_unstable_by(f64::total_cmp);
            self.sorted = true;
        }
        let last = self.values.len().checked_sub(1)?;
        self.values.get((last as f64 * ratio).floor() as usize).copied()
    }
}

/// Where a limit stands.
pub(super) struct Place<'s> {
    pub(super) stage: &'s str,
    pub(super) limit: &'static Limit,
    /// What the filter's general options say.
    pub(super) general: Option<f64>,
    /// Whether the option is a whole number.
    pub(super) whole: bool,
    /// Whether the language is written without spaces between words.
    pub(super) spaceless: bool,
    /// Share of the words that shuffled letters would make stop words.
    pub(super) chance: f64,
}

/// An option of the table with its evidence.
#[derive(Debug, PartialEq)]
pub(super) struct Proposal {
    pub(super) option: &'static str,
    /// `None` switches the check off.
    pub(super) value: Option<f64>,
    pub(super) whole: bool,
    pub(super) side: Side,
    pub(super) quantile: f64,
    pub(super) median: f64,
}

/// What a table does with an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// The value describes the language: it is set even where it is narrower than the general one.
    Set,
    /// Set only where the language needs a wider limit than the general one.
    Widen,
    /// Says nothing of a language: sizes of documents, and checks that FineWeb2 switches off.
    Leave,
}

/// Every option that is not here is `Widen`; of `text_ratios`, whose limits are those of one English pipeline, `Leave`.
const POLICIES: &[(&str, &str, Policy)] = &[
    ("gopher_quality", "min_mean_word_chars", Policy::Set),
    ("gopher_quality", "max_mean_word_chars", Policy::Set),
    ("gopher_quality", "min_stop_words", Policy::Set),
    ("text_ratios", "min_stop_word_ratio", Policy::Set),
    ("gopher_quality", "min_words", Policy::Leave),
    ("gopher_quality", "max_words", Policy::Leave),
    ("gopher_repetition", "max_duplicate_paragraph_ratio", Policy::Leave),
    ("gopher_repetition", "max_duplicate_paragraph_char_ratio", Policy::Leave),
    ("gopher_repetition", "max_duplicate_line_char_ratio", Policy::Leave),
    ("fineweb_quality", "max_short_line_ratio", Policy::Leave),
    ("fineweb_quality", "max_duplicate_line_char_ratio", Policy::Leave),
];

/// The share of words with a letter: how many numbers and marks a page has is more its subject's than its
/// language's, so the limit is at least so far below the quantile.
const ALPHABETIC: &str = "min_alphabetic_word_ratio";
const NUMBERS_MARGIN: f64 = 0.1;
const PUNCTUATED: &str = "min_punctuated_line_ratio";
/// Limits of the mean word length. Where a dictionary cuts the words, scrambled text falls into short ones, and the
/// lower limit is tight to catch it; elsewhere they are for text of another language or none, and pages vary.
const WORD_LENGTHS: [&str; 2] = ["min_mean_word_chars", "max_mean_word_chars"];
const SPACED_WORDS_FACTOR: f64 = 4.0;
const CUT_WORDS_FACTOR: f64 = 0.75;
/// Most different stop words that are asked of a page.
const MOST_STOP_WORDS: f64 = 2.0;
/// Lower limits of ratios below this are no limits: the check is switched off.
const SMALLEST_RATIO: f64 = 0.02;

/// The limit for one option, where the table should have one.
pub(super) fn propose(place: &Place, sample: &mut Sample, settings: &Settings) -> Option<Proposal> {
    let option = place.limit.option;
    let unlisted = if place.stage == "text_ratios" { Policy::Leave } else { Policy::Widen };
    let policy = POLICIES
        .iter()
        .find(|(stage, name, _)| *stage == place.stage && *name == option)
        .map_or(unlisted, |(.., policy)| *policy);
    if policy == Policy::Leave || (policy == Policy::Widen && place.general.is_none()) {
        return None;
    }
    let side = place.limit.fails;
    if option == PUNCTUATED {
        // A page without any mark is the business of `keep_unpunctuated`.
        let (all, marked) = (sample.values.len(), sample.values.iter().filter(|value| **value > 0.0).count());
        if marked * 2 > all {
            sample.values.retain(|value| *value > 0.0);
            sample.sorted = false;
        }
    }
    let median = sample.quantile(0.5)?;
    let quantile = sample.quantile(match side {
        Side::Below => settings.quantile,
        Side::Above => 1.0 - settings.quantile,
    })?;
    let value = if place.limit.score == STOP_WORDS {
        // One less than nearly all pages have, and at most FineWeb2's two.
        (quantile - 1.0).clamp(0.0, MOST_STOP_WORDS)
    } else if place.limit.score == STOP_WORD_RATIO {
        // Half-way, in proportion, between what chance makes and what nearly all pages have, but no further from these.
        let halfway = (quantile * place.chance).sqrt();
        outward(halfway.clamp(0.5 * quantile, 0.75 * quantile), side, false)
    } else {
        let margin = match side {
            _ if !WORD_LENGTHS.contains(&option) => settings.margin,
            Side::Below if place.spaceless => settings.margin * CUT_WORDS_FACTOR,
            Side::Below | Side::Above => settings.margin * SPACED_WORDS_FACTOR,
        };
        let exact = quantile + margin * (quantile - median);
        let exact = match side {
            Side::Below if option == ALPHABETIC => exact.min(quantile - NUMBERS_MARGIN),
            Side::Below => exact.max(quantile * 0.5),
            Side::Above => exact,
        };
        outward(exact, side, place.whole).max(0.0)
    };
    let wider = place.general.is_none_or(|general| match side {
        Side::Below => value < general,
        Side::Above => value > general,
    });
    if policy == Policy::Widen && !wider {
        return None;
    }
    let smallest = match place.limit.score {
        STOP_WORD_RATIO => 0.001,
        _ if place.whole => 1.0,
        _ => SMALLEST_RATIO,
    };
    let off = side == Side::Below && value < smallest;
    let value = if off { None } else { Some(value) };
    Some(Proposal { option, value, whole: place.whole, side, quantile, median })
}

/// Rounds away from the documents: to whole numbers, hundredths of lengths, thousandths of ratios.
fn outward(value: f64, side: Side, whole: bool) -> f64 {
    let step = if whole {
        1.0
    } else if value >= 1.0 {
        100.0
    } else {
        1000.0
    };
    match side {
        Side::Below => (value * step).floor() / step,
        Side::Above => (value * step).ceil() / step,
    }
}

/// Whether an option of the schema takes whole numbers only.
pub(super) fn is_whole(schema: &Value, option: &str) -> bool {
    let kind = &schema["properties"][option]["type"];
    kind == "integer" || kind.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "integer"))
}
