//! C4's line rules: keeps the lines that look like prose and drops the page if too little is left.
//!
//! From Raffel et al. 2020, "Exploring the Limits of Transfer Learning", section 2.2, as datatrove 0.10 has them in
//! `C4QualityFilter`, with its defaults and its order of checks. FineWeb uses it with
//! `require_terminal_punctuation: false`. Two habits of datatrove matter for which page goes and are kept: only
//! a line that passed all checks before it can drop its page for `{` or `lorem ipsum`, and the words of a line
//! are counted before citation marks are removed.
//!
//! We differ in that `null` switches a limit off (in datatrove -1). The text of a dropped page stays as it was.

use aho_corasick::{AhoCorasick, MatchKind};
use schemars::JsonSchema;
use serde::Deserialize;

use super::rules::{Rules, below, count, deciding, ratio};
use crate::document::{Document, Outcome, Reason};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, Limit, OptionError, ScoreSpec, StageSpec, parse_options,
    schema_of,
};
use crate::text::charsets::{Classes, DECIMAL};
use crate::text::features::Features;
use crate::text::lines::{lines, strip, strip_end, strip_start};
use crate::text::sentences;
use crate::text::words::Word;

/// The reasons' names in datatrove.
pub const DATATROVE_REASONS: &[(&str, &str)] = &[
    ("lorem_ipsum", "lorem_ipsum"),
    ("curly_bracket", "curly_bracket"),
    ("too_few_sentences", "too_few_sentences"),
];

/// The stage as the registry knows it.
pub static SPEC: StageSpec = StageSpec {
    name: "c4_quality",
    kind: Kind::Filter,
    needs_text: true,
    summary: "Removes lines that are no prose, and drops pages with too few sentences left, code or dummy text.",
    source: "C4 (Raffel et al. 2020) as in datatrove 0.10 `C4QualityFilter`.",
    reasons: &[
        ("lorem_ipsum", "a line with `lorem ipsum`"),
        ("curly_bracket", "a line with `{`"),
        ("too_few_sentences", "fewer sentences in the lines that are left than `min_sentences`"),
    ],
    scores: &[
        ScoreSpec { name: "sentences", doc: "sentences in the lines that are left", min: 0.0, max: 200.0 },
        ScoreSpec { name: "kept_line_ratio", doc: "share of lines that are left", min: 0.0, max: 1.0 },
        ScoreSpec {
            name: "changed",
            doc: "1 where the rules take something out of the text, else 0",
            min: 0.0,
            max: 1.0,
        },
    ],
    limits: LIMITS,
    schema: schema_of::<Config>,
    build,
};

const LIMITS: &[Limit] = &[below("too_few_sentences", "sentences", "min_sentences")];
static DECIDING: [&str; LIMITS.len()] = deciding(LIMITS);

/// What the rules look at one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A line; what is left is joined with newlines.
    Line,
    /// A sentence; what is left is joined with spaces.
    Sentence,
}

/// Options of `c4_quality`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each rule can be switched on its own")]
pub struct Config {
    /// Whether lines or sentences are judged. datatrove: `split_paragraph`, true for lines.
    pub unit: Unit,
    /// Removes `[12]`, `[]`, `[edit]` and `[citation needed]` from the text. datatrove: `remove_citations`, true.
    pub remove_citations: bool,
    /// Removes lines that do not end with one of `.`, `?`, `!`, `"`, `'`, and those that end with `...`.
    /// datatrove: `filter_no_terminal_punct`, true; FineWeb sets it to false.
    pub require_terminal_punctuation: bool,
    /// Fewest sentences that the remaining lines may have together; a page with exactly so many is kept.
    /// `null` for no limit. datatrove: `min_num_sentences`, 5.
    pub min_sentences: Option<u64>,
    /// Fewest words (between white space) of a line that is kept. `null` for no limit. datatrove:
    /// `min_words_per_line`, 3.
    pub min_words_per_line: Option<u64>,
    /// Longest word in characters (between white space) of a line that is kept. `null` for no limit.
    /// datatrove: `max_word_length`, 1000.
    pub max_word_chars: Option<u64>,
    /// Drops a page with a line that has `lorem ipsum` in it, in any case. datatrove: `filter_lorem_ipsum`, true.
    pub drop_lorem_ipsum: bool,
    /// Removes lines with `javascript` in them, in any case. datatrove: `filter_javascript`, true.
    pub remove_javascript_lines: bool,
    /// Drops a page with a line that has `{` in it. datatrove: `filter_curly_bracket`, true.
    pub drop_curly_brackets: bool,
    /// Removes lines with `terms of use`, `privacy policy`, `cookie policy`, `uses cookies`, `use of cookies` or
    /// `use cookies` in them, in any case. datatrove: `filter_policy`, true.
    pub remove_policy_lines: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            unit: Unit::Line,
            remove_citations: true,
            require_terminal_punctuation: true,
            min_sentences: Some(5),
            min_words_per_line: Some(3),
            max_word_chars: Some(1000),
            drop_lorem_ipsum: true,
            remove_javascript_lines: true,
            drop_curly_brackets: true,
            remove_policy_lines: true,
        }
    }
}

/// What is searched for in lower case; the first two have rules of their own.
const PHRASES: [&str; 8] = [
    "lorem ipsum",
    "javascript",
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
];

/// The Kelvin sign, the only character outside ASCII whose lower case is a letter of the phrases.
const KELVIN: char = '\u{212A}';

fn build(options: serde_json::Value, _: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    Ok(Built::Doc(Box::new(Stage::new(config))))
}

/// The filter.
#[derive(Debug)]
pub struct Stage {
    config: Config,
    phrases: AhoCorasick,
    rules: Rules,
}

/// What becomes of a line.
enum Verdict {
    Keep,
    Remove,
    DropPage(Reason),
}

/// Phrases that a line holds.
#[derive(Default)]
struct Found {
    lorem_ipsum: bool,
    javascript: bool,
    policy: bool,
}

impl Stage {
    /// The filter with these options.
    ///
    /// # Panics
    /// Never: the phrases are fixed and few.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let phrases = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(aho_corasick::AhoCorasickKind::DFA))
            .build(PHRASES)
            .expect("eight short phrases make a small automaton");
        Self { rules: Rules::new(&SPEC, &[count(config.min_sentences)]), config, phrases }
    }

    fn find_phrases(&self, line: &str) -> Found {
        if line.contains(KELVIN) {
            return self.find_phrases(&line.replace(KELVIN, "k"));
        }
        let mut found = Found::default();
        for phrase in self.phrases.find_overlapping_iter(line) {
            match phrase.pattern().as_usize() {
                0 => found.lorem_ipsum = true,
                1 => found.javascript = true,
                _ => found.policy = true,
            }
        }
        found
    }

    /// Judges a line: `line` without citation marks, `words` from before their removal.
    fn judge(&self, line: &str, words: &[Word], search: bool) -> Verdict {
        let config = &self.config;
        if config.require_terminal_punctuation
            && (!line.ends_with(['.', '?', '!', '"', '\'']) || line.ends_with("..."))
        {
            return Verdict::Remove;
        }
        if config.min_words_per_line.is_some_and(|limit| split_words(words) < limit) {
            return Verdict::Remove;
        }
        let found = if search { self.find_phrases(line) } else { Found::default() };
        if config.drop_lorem_ipsum && found.lorem_ipsum {
            return Verdict::DropPage(Reason::new("lorem_ipsum"));
        }
        if config.remove_javascript_lines && found.javascript {
            return Verdict::Remove;
        }
        if config.drop_curly_brackets && memchr::memchr(b'{', line.as_bytes()).is_some() {
            return Verdict::DropPage(Reason::new("curly_bracket"));
        }
        if config.remove_policy_lines && found.policy {
            return Verdict::Remove;
        }
        Verdict::Keep
    }

    /// Builds the new text in `kept`.
    fn rewrite(&self, text: &str, features: &mut Features, kept: &mut String) -> Result<Counts, Reason> {
        let config = &self.config;
        let search = text.contains(KELVIN) || self.phrases.is_match(text);
        let mut units = Vec::new();
        let words = features.words(text);
        if config.unit == Unit::Sentence {
            sentences::sentences(text, words, &mut units);
        }
        let units = units.iter().map(|&(start, end)| &text[start..end]);
        let units = units.chain(lines(if config.unit == Unit::Line { text } else { "" }));
        let separator = if config.unit == Unit::Line { '\n' } else { ' ' };

        let mut counts = Counts::default();
        let mut next_word = 0;
        let mut dropped = None;
        let mut cleaned_lines = Vec::new();
        for unit in units {
            counts.units += 1;
            let line = strip(unit);
            let start = line.as_ptr() as usize - text.as_ptr() as usize;
            next_word += words[next_word..].iter().take_while(|word| (word.start as usize) < start).count();
            let end = start + line.len();
            let count = words[next_word..].iter().take_while(|word| (word.start as usize) < end).count();
            let line_words = &words[next_word..next_word + count];
            next_word += count;
            if config.max_word_chars.is_some_and(|limit| has_longer_word(line, line_words, limit)) {
                continue;
            }
            let line_start = kept.len() + usize::from(counts.kept > 0);
            let before = kept.len();
            if counts.kept > 0 {
                kept.push(separator);
            }
            let cleaned = push_without_citations(line, config.remove_citations, kept);
            let new_line = &kept[line_start..];
            match self.judge(new_line, line_words, search || cleaned) {
                Verdict::Remove => {
                    kept.truncate(before);
                    continue;
                }
                Verdict::DropPage(reason) => {
                    dropped = Some(reason);
                    break;
                }
                Verdict::Keep => counts.kept += 1,
            }
            if config.unit == Unit::Sentence {
                counts.sentences += 1;
            } else if cleaned {
                cleaned_lines.push((line_start, kept.len()));
            } else {
                counts.sentences += sentences::count(text, line_words, start, end) as u64;
            }
        }
        if let Some(reason) = dropped {
            return Err(reason);
        }
        for (start, end) in cleaned_lines {
            let line = &kept[start..end];
            counts.sentences += sentences::count(line, features.split_piece(line), 0, line.len()) as u64;
        }
        Ok(counts)
    }
}

/// What `rewrite` counts.
#[derive(Default)]
struct Counts {
    units: u64,
    kept: u64,
    sentences: u64,
}

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let mut kept = std::mem::take(&mut cx.features.buffer);
        kept.clear();
        let result = self.rewrite(&doc.text, &mut cx.features, &mut kept);
        let outcome = match result {
            Err(reason) => Outcome::Drop(reason),
            Ok(counts) => {
                kept.truncate(strip_end(&kept).len());
                let blank = kept.len() - strip_start(&kept).len();
                kept.drain(..blank);
                let changed = if kept == doc.text { 0.0 } else { 1.0 };
                let values = [counts.sentences as f64, ratio(counts.kept, counts.units), changed];
                self.rules.score(doc, cx, &values);
                let outcome = self.decide(&values).expect("all values were just measured");
                if outcome == Outcome::Changed {
                    std::mem::swap(&mut doc.text, &mut kept);
                }
                outcome
            }
        };
        cx.features.buffer = kept;
        outcome
    }

    /// A page that went for `lorem ipsum` or `{` has no scores and cannot be decided again.
    fn redecide(&self, stored: &Document, stage: &str) -> Option<Outcome> {
        self.decide(&self.rules.stored(stored, stage))
    }

    fn deciding_options(&self) -> &'static [&'static str] {
        &DECIDING
    }
}

impl Stage {
    fn decide(&self, values: &[f64]) -> Option<Outcome> {
        match self.rules.verdict(values, |_, _| true)? {
            Outcome::Keep if values[2].is_nan() => None,
            Outcome::Keep if values[2] > 0.0 => Some(Outcome::Changed),
            outcome => Some(outcome),
        }
    }
}

/// Number of items that `line.split()` would give, from the words of the line.
fn split_words(words: &[Word]) -> u64 {
    let opened = words.iter().filter(|word| word.opens_chunk()).count();
    let cut_off = words.first().is_some_and(|word| !word.opens_chunk());
    (opened + usize::from(cut_off)) as u64
}

/// Whether an item of `line.split()` has more than `limit` characters.
fn has_longer_word(line: &str, words: &[Word], limit: u64) -> bool {
    if line.len() as u64 <= limit {
        return false;
    }
    let mut chars = 0;
    words.iter().any(|word| {
        if word.opens_chunk() {
            chars = 0;
        }
        chars += u64::from(word.chars());
        chars > limit
    })
}

/// Appends the line without `[12]`, `[edit]` and the like; whether there was one.
fn push_without_citations(line: &str, remove: bool, out: &mut String) -> bool {
    let mut rest = line;
    let mut found = false;
    while remove && let Some(open) = memchr::memchr(b'[', rest.as_bytes()) {
        let inner = &rest[open + 1..];
        let classes = Classes::get();
        let digits = inner.find(|c| classes.of(c) & DECIMAL == 0).unwrap_or(inner.len());
        let length = if inner[digits..].starts_with(']') {
            digits + 1
        } else {
            ["edit]", "citation needed]"]
                .iter()
                .find(|mark| inner.starts_with(**mark))
                .map_or(0, |mark| mark.len())
        };
        if length == 0 {
            out.push_str(&rest[..=open]);
            rest = inner;
        } else {
            out.push_str(&rest[..open]);
            rest = &inner[length..];
            found = true;
        }
    }
    out.push_str(rest);
    found
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
    fn citations() {
        let clean = |line| {
            let mut out = String::new();
            let found = push_without_citations(line, true, &mut out);
            (out, found)
        };
        assert_eq!(clean("a[1] b[edit]c [citation needed] [x] [] [12"), ("a bc  [x]  [12".to_owned(), true));
        assert_eq!(clean("[[3]"), ("[".to_owned(), true));
        assert_eq!(clean("none"), ("none".to_owned(), false));
    }
}
