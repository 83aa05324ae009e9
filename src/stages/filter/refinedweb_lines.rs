//! `refinedweb_lines`: cuts the lines that are page furniture, and drops the page if that took too many words.
//!
//! The line-wise corrections of RefinedWeb (Penedo et al. 2023, appendix G.2) as DCLM wrote them down in
//! `baselines/mappers/modifiers.py` and orders them in `dclm_baseline_refinedweb.yaml`: lines of capitals, of digits,
//! counters (`3 likes`), lines of one word, and three phrases that are cut out of short lines.
//!
//! We differ from DCLM in this: `Read more...` is these characters (DCLM uses it as a regular expression, where
//! each dot stands for any character); white space at both ends of the page is cut once, at the end, and not
//! between the rules; a page without words has nothing to lose and stays.

use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::Deserialize;

use super::dclm_words;
use crate::document::{Document, Outcome, Reason};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, Limit, OptionError, ScoreSpec, Side, StageSpec,
    parse_options, schema_of,
};
use crate::text::charsets::{Classes, DECIMAL};
use crate::text::lines::{chars, strip, strip_end};

/// The stage as the registry knows it.
pub static SPEC: StageSpec = StageSpec {
    name: "refinedweb_lines",
    kind: Kind::Filter,
    needs_text: true,
    summary: "Removes lines of capitals, digits, counters and single words, and drops pages that lose too much by it.",
    source: "RefinedWeb (Penedo et al. 2023), appendix G.2, in the order and with the patterns of DCLM.",
    reasons: &[
        ("no_lines_left", "every line was removed"),
        ("too_many_words_removed", "a larger share of the words was removed than `max_removed_word_ratio`"),
    ],
    scores: &[
        ScoreSpec {
            name: "kept_line_ratio",
            doc: "share of the lines that are not empty that are left",
            min: 0.0,
            max: 1.0,
        },
        ScoreSpec {
            name: "removed_char_ratio",
            doc: "share of the characters that went",
            min: 0.0,
            max: 0.5,
        },
        ScoreSpec { name: "removed_word_ratio", doc: "share of the words that went", min: 0.0, max: 0.5 },
    ],
    limits: &[Limit {
        reason: "too_many_words_removed",
        score: "removed_word_ratio",
        option: "max_removed_word_ratio",
        fails: Side::Above,
    }],
    schema: schema_of::<Config>,
    build,
};

/// Options of `refinedweb_lines`. Lines end at `\n`; empty ones stay.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Largest share of upper-case characters, of all of a line, with which it stays. `null` for no limit. DCLM:
    /// `uppercase_ratio_line_modifier`, 0.5.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_upper_case_ratio: Option<f64>,
    /// Removes lines of nothing but digits. DCLM: `numeric_ratio_line_modifier`, 0.999999.
    pub remove_numeric_lines: bool,
    /// A line that is a number (with `K`, `M` or `B` if need be) and one of these words is removed, in any case.
    /// Empty: no line is. DCLM: `counter_line_modifier`, the same twelve.
    pub counter_words: Vec<String>,
    /// Fewest words (between white space) of a line that stays. `null` for no limit. DCLM:
    /// `line_length_modifier`, 2.
    pub min_words_per_line: Option<u64>,
    /// Cut, with one white space before, wherever they stand in a line of at most `max_edited_line_words`, in any
    /// case. DCLM: `items in cart`.
    pub cut_anywhere: Vec<String>,
    /// The same, only at the end of such a line. DCLM: `Read more...`.
    pub cut_at_end: Vec<String>,
    /// The same, only at the beginning, with one white space behind. DCLM: `Sign-in`.
    pub cut_at_start: Vec<String>,
    /// Longest line in words (between white space) that phrases are cut from; one with exactly so many is
    /// edited. `null` for any line. DCLM: `max_length`, 10.
    pub max_edited_line_words: Option<u64>,
    /// Largest share of the page's words that may go; a page that loses exactly so much stays. Words stand
    /// between white space and begin with a letter or digit. `null` for no limit. DCLM: `max_removed_ratio`, 0.05.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_removed_word_ratio: Option<f64>,
}

impl Default for Config {
    fn default() -> Self {
        let list = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Self {
            max_upper_case_ratio: Some(0.5),
            remove_numeric_lines: true,
            counter_words: list(&[
                "likes",
                "shares",
                "comments",
                "retweets",
                "reposts",
                "quotes",
                "bookmarks",
                "upvotes",
                "downvotes",
                "downloads",
                "views",
                "followers",
            ]),
            min_words_per_line: Some(2),
            cut_anywhere: list(&["items in cart"]),
            cut_at_end: list(&["Read more..."]),
            cut_at_start: list(&["Sign-in"]),
            max_edited_line_words: Some(10),
            max_removed_word_ratio: Some(0.05),
        }
    }
}

fn build(options: serde_json::Value, _: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    let mut errors = Vec::new();
    let lists = [
        ("counter_words", &config.counter_words),
        ("cut_anywhere", &config.cut_anywhere),
        ("cut_at_end", &config.cut_at_end),
        ("cut_at_start", &config.cut_at_start),
    ];
    for (key, list) in lists {
        for (place, _) in list.iter().enumerate().filter(|(_, phrase)| phrase.trim().is_empty()) {
            errors
                .push(OptionError::new(format!("{key}.{place}"), "an empty text would be found everywhere"));
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let pattern = |key: &str, before: &str, list: &[String], after: &str| match list {
        [] => Ok(None),
        list => {
            let words: Vec<String> = list.iter().map(|word| regex::escape(word)).collect();
            RegexBuilder::new(&format!("{before}(?:{}){after}", words.join("|")))
                .case_insensitive(true)
                .build()
                .map(Some)
                .map_err(|error| vec![OptionError::new(key, error.to_string())])
        }
    };
    let counter_start = r"^\W*\d[\d,.]*[kmb]?\s+";
    let stage = Stage {
        counter: pattern("counter_words", counter_start, &config.counter_words, r"\W*$")?,
        anywhere: pattern("cut_anywhere", r"\s?", &config.cut_anywhere, "")?,
        at_end: pattern("cut_at_end", r"\s?", &config.cut_at_end, "$")?,
        at_start: pattern("cut_at_start", "^", &config.cut_at_start, r"\s?")?,
        config,
    };
    Ok(Built::Doc(Box::new(stage)))
}

struct Stage {
    counter: Option<Regex>,
    anywhere: Option<Regex>,
    at_end: Option<Regex>,
    at_start: Option<Regex>,
    config: Config,
}

/// What the verdict rests on.
struct Measures {
    kept_line_ratio: f64,
    removed_word_ratio: f64,
}

impl Stage {
    /// Appends to `kept` what stays of a line; false where the line goes as a whole.
    fn edit(&self, line: &str, classes: &Classes, kept: &mut String) -> bool {
        if line.is_empty() {
            return true;
        }
        let config = &self.config;
        let (mut all, mut upper, mut digits) = (0_u32, 0_u32, 0_u32);
        for c in line.chars() {
            all += 1;
            upper += u32::from(c.is_uppercase());
            digits += u32::from(classes.of(c) & DECIMAL != 0);
        }
        let upper_ratio = f64::from(upper) / f64::from(all);
        if config.max_upper_case_ratio.is_some_and(|limit| upper_ratio > limit)
            || config.remove_numeric_lines && digits == all
            || digits > 0 && self.counter.as_ref().is_some_and(|counter| counter.is_match(line))
        {
            return false;
        }
        let words = dclm_words::split(line).count() as u64;
        if config.min_words_per_line.is_some_and(|limit| words < limit) {
            return false;
        }
        if config.max_edited_line_words.is_some_and(|limit| words > limit) {
            kept.push_str(line);
            return true;
        }
        let mut edited = std::borrow::Cow::Borrowed(line);
        for pattern in [&self.anywhere, &self.at_end, &self.at_start].into_iter().flatten() {
            if let std::borrow::Cow::Owned(shorter) = pattern.replace_all(&edited, "") {
                edited = std::borrow::Cow::Owned(shorter);
                if strip(&edited).is_empty() {
                    return false;
                }
            }
        }
        kept.push_str(&edited);
        true
    }

    fn rewrite(&self, text: &str, kept: &mut String) -> Measures {
        let classes = Classes::get();
        let (mut lines, mut kept_lines, mut any) = (0_u64, 0_u64, false);
        for line in text.split('\n') {
            let before = kept.len();
            if any {
                kept.push('\n');
            }
            let stays = self.edit(line, classes, kept);
            lines += u64::from(!line.is_empty());
            kept_lines += u64::from(stays && !line.is_empty());
            if stays {
                any = true;
            } else {
                kept.truncate(before);
            }
        }
        let (words, words_left) =
            (dclm_words::count_alphanumeric(text), dclm_words::count_alphanumeric(kept));
        Measures {
            kept_line_ratio: kept_lines as f64 / lines.max(1) as f64,
            removed_word_ratio: words.saturating_sub(words_left) as f64 / words.max(1) as f64,
        }
    }

    fn reason(&self, found: &Measures) -> Option<Reason> {
        let limit = self.config.max_removed_word_ratio.filter(|&limit| found.removed_word_ratio > limit)?;
        Some(Reason::measured("too_many_words_removed", found.removed_word_ratio, limit))
    }
}

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let mut kept = std::mem::take(&mut cx.features.buffer);
        kept.clear();
        let found = self.rewrite(&doc.text, &mut kept);
        cx.score(doc, "kept_line_ratio", found.kept_line_ratio);
        cx.score(doc, "removed_word_ratio", found.removed_word_ratio);
        kept.truncate(strip_end(&kept).len());
        let blank = kept.len() - strip(&kept).len();
        kept.drain(..blank);
        let (before, after) = (chars(&doc.text), chars(&kept));
        cx.score(doc, "removed_char_ratio", (before - after) as f64 / before.max(1) as f64);
        let outcome = match self.reason(&found) {
            _ if kept.is_empty() && !strip(&doc.text).is_empty() => {
                Outcome::Drop(Reason::new("no_lines_left"))
            }
            Some(reason) => Outcome::Drop(reason),
            None if kept == doc.text => Outcome::Keep,
            None => {
                std::mem::swap(&mut doc.text, &mut kept);
                Outcome::Changed
            }
        };
        cx.features.buffer = kept;
        outcome
    }

    fn redecide(&self, stored: &Document, stage: &str) -> Option<Outcome> {
        let found = Measures {
            // Nothing but blank lines may be left of such a page, and then another reason holds.
            kept_line_ratio: stored.stored_score(stage, "kept_line_ratio").filter(|&ratio| ratio > 0.0)?,
            removed_word_ratio: stored.stored_score(stage, "removed_word_ratio")?,
        };
        let changed = stored.stored_score(stage, "removed_char_ratio")? > 0.0;
        let kept = if changed { Outcome::Changed } else { Outcome::Keep };
        Some(self.reason(&found).map_or(kept, Outcome::Drop))
    }

    fn deciding_options(&self) -> &'static [&'static str] {
        &["max_removed_word_ratio"]
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
    fn an_empty_phrase_is_a_mistake() {
        let options = serde_json::json!({"cut_at_end": ["more", " "]});
        let errors = (SPEC.build)(options, &mut BuildContext::default()).err().unwrap();
        assert_eq!(errors[0].key, "cut_at_end.1");
    }
}
