//! `keywords`: pages that hold listed words go, or lose the lines or the words.
//!
//! Source: the bad-words step of C4 as datatrove's `C4BadWordsFilter` has it (LDNOOBW lists by the page's language, one
//! occurrence drops the page), the flagged-words ratio of Data-Juicer, and, with `search_in: addresses`, the filter of NeMo
//! Curator for pages that link to pornography. Whole words are looked up by their hash (`keywords/index.rs`), all other
//! entries are searched at once (Aho and Corasick, 1975).
//!
//! An occurrence of a whole word has no letter, mark, digit or `_` on either side. Where we differ from datatrove:
//! * Python's `\W` takes combining vowel signs (Hindi, Thai) for borders; here they belong to the word;
//! * occurrences are counted, the largest number that do not overlap, and one separator between two of them is enough;
//! * `match: auto` chooses per entry instead of per language: entries in a script that is written without spaces are
//!   found anywhere, and letters of such scripts end a word of another script;
//! * the ratio is of characters, so that it means the same in scripts without spaces;
//! * lines or occurrences can be taken out in place of the page.

mod fold;
mod index;
mod lists_dir;
mod matcher;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::lists;
use crate::document::{Document, Outcome, Reason};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, Limit, OptionError, ScoreSpec, Side, StageSpec,
    parse_options, schema_of,
};
use crate::text::cut::{self, Edit};
use crate::text::langcodes;
use matcher::{Entries, Found, Matcher};

/// How the pipeline room knows this stage.
pub static SPEC: StageSpec = StageSpec {
    name: "keywords",
    kind: Kind::Filter,
    needs_text: true,
    summary: "Drops pages that hold words of a list, or takes out the lines or the words.",
    source: "datatrove C4BadWordsFilter (C4, LDNOOBW lists); Data-Juicer flagged words for the ratio",
    reasons: &[
        ("too_many_keywords", "more occurrences of listed words than `max_matches`"),
        ("high_keyword_ratio", "listed words make up more of the text than `max_match_ratio`"),
        ("dense_keywords", "more occurrences per 1000 words than `max_matches_per_1000_words`"),
        ("too_little_left", "fewer characters are left than `min_left_chars` after lines or words went"),
    ],
    scores: &[
        ScoreSpec { name: "matches", doc: "occurrences of listed words", min: 0.0, max: 20.0 },
        ScoreSpec {
            name: "match_ratio",
            doc: "characters in listed words / characters of the text",
            min: 0.0,
            max: 0.1,
        },
        ScoreSpec {
            name: "matches_per_1000_words",
            doc: "occurrences per 1000 words, punctuation not counted (where `max_matches_per_1000_words` is given)",
            min: 0.0,
            max: 100.0,
        },
        ScoreSpec {
            name: "left_chars",
            doc: "characters left, white space left out (where lines or words may go)",
            min: 0.0,
            max: 20000.0,
        },
    ],
    limits: &[
        Limit { reason: "too_many_keywords", score: "matches", option: "max_matches", fails: Side::Above },
        Limit {
            reason: "high_keyword_ratio",
            score: "match_ratio",
            option: "max_match_ratio",
            fails: Side::Above,
        },
        Limit {
            reason: "dense_keywords",
            score: "matches_per_1000_words",
            option: "max_matches_per_1000_words",
            fails: Side::Above,
        },
        Limit {
            reason: "too_little_left",
            score: "left_chars",
            option: "min_left_chars",
            fails: Side::Below,
        },
    ],
    schema: schema_of::<Config>,
    build,
};

/// What counts as an occurrence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    /// Entries with a letter of a script that is written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese,
    /// Tibetan) are found anywhere, all others as whole words.
    #[default]
    Auto,
    /// Only where no letter, mark, digit or `_` is next to it.
    WholeWord,
    /// Anywhere, inside words too.
    Substring,
}

/// Where occurrences count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchIn {
    /// In the whole text.
    #[default]
    Text,
    /// Only in web addresses that stand in the text (`http://`, `https://`, `www.` up to white space, a quotation mark
    /// or a bracket).
    Addresses,
}

/// What becomes of a page with occurrences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It goes where a limit is crossed, and stays as it is where none is.
    #[default]
    DropPage,
    /// It goes where a limit is crossed; else every line with an occurrence goes.
    DropLine,
    /// It goes where a limit is crossed; else every occurrence goes, with the white space that is then too much.
    CutMatch,
}

/// Options of `keywords`. At least one of `lists`, `words`, `language_lists` and `lists_dir` must be given.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Paths of word lists: UTF-8, one entry a line, plain or gzip; lines that start with `#` are comments. An entry may be
    /// several words. Default: none.
    pub lists: Vec<String>,
    /// Words beside those of the lists. Default: none.
    pub words: Vec<String>,
    /// A word list per language (`en`, `de`, ...), used only for pages that an earlier stage found to be in that language.
    /// Default: none.
    pub language_lists: BTreeMap<String, String>,
    /// A folder of word lists named by language as LDNOOBW has them: `en`, `de.txt`, `fr-CA-u-sd-caqc`, `zh.gz`; several
    /// for one language are put together, and with that of `language_lists`. Files whose name is no language code are left
    /// out. Default: none.
    pub lists_dir: Option<String>,
    /// Entries to leave out of every list. Default: none.
    pub exclude: Vec<String>,
    /// What counts as an occurrence. Default: `auto`.
    pub r#match: Match,
    /// Whether capital and small letters differ. Default: false, both text and entries are turned to small letters (all of
    /// Unicode; both small sigmas are one).
    pub case_sensitive: bool,
    /// Where occurrences count. Default: `text`.
    pub search_in: SearchIn,
    /// What becomes of a page with occurrences. Default: `drop_page`.
    pub action: Action,
    /// Largest number of occurrences that a page may have; so many are kept, one more is dropped. Default: 0 for
    /// `action: drop_page` where no other limit is given, else no limit.
    pub max_matches: Option<u32>,
    /// Largest share of a page's characters (white space included) that may lie in occurrences, 0 to 1; an equal share is
    /// kept. Default: no limit.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_match_ratio: Option<f64>,
    /// Largest number of occurrences per 1000 words of the page (punctuation marks are no words); an equal density is
    /// kept. Default: no limit.
    #[schemars(range(min = 0.0))]
    pub max_matches_per_1000_words: Option<f64>,
    /// Fewest characters (spaces, tabs and line ends left out) that must be left of a page of which lines or words went; a page with
    /// exactly so many is kept. `null` for no limit. Default: 1, so that no empty page goes on.
    pub min_left_chars: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lists: Vec::new(),
            words: Vec::new(),
            language_lists: BTreeMap::new(),
            lists_dir: None,
            exclude: Vec::new(),
            r#match: Match::Auto,
            case_sensitive: false,
            search_in: SearchIn::Text,
            action: Action::DropPage,
            max_matches: None,
            max_match_ratio: None,
            max_matches_per_1000_words: None,
            min_left_chars: Some(1),
        }
    }
}

struct Stage {
    /// For pages whose language has no list of its own.
    general: Matcher,
    /// The general entries and those of the language.
    by_language: BTreeMap<String, Matcher>,
    action: Action,
    max_matches: Option<u32>,
    max_match_ratio: Option<f64>,
    max_density: Option<f64>,
    min_left_chars: Option<u64>,
}

/// What the verdict hangs on; not all of it is measured for all options.
struct Measures {
    matches: f64,
    match_ratio: f64,
    density: Option<f64>,
    left_chars: Option<f64>,
}

fn build(options: serde_json::Value, cx: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    let mut errors = Vec::new();
    let none = config.lists.is_empty() && config.words.is_empty() && config.language_lists.is_empty();
    if none && config.lists_dir.is_none() {
        let error = OptionError::new("", "no keywords are given");
        return Err(vec![error.hint("give `lists`, `words`, `language_lists` or `lists_dir`")]);
    }
    let excluded = Entries::new(config.case_sensitive, &config.exclude);
    let mut general = Entries::new(config.case_sensitive, &[]);
    for (place, word) in config.words.iter().enumerate() {
        if word.trim().is_empty() {
            errors
                .push(OptionError::new(format!("words.{place}"), "an empty word would be found everywhere"));
        }
        if word.contains('\n') {
            errors.push(OptionError::new(format!("words.{place}"), "an entry is one line"));
        }
        general.add(word);
    }
    for (place, path) in config.lists.iter().enumerate() {
        read_list(cx, &format!("lists.{place}"), path, &mut general, &mut errors);
    }
    let mut by_language = BTreeMap::new();
    for (language, path) in &config.language_lists {
        let key = format!("language_lists.{language}");
        let Some(code) = langcodes::normalise(language) else {
            let message = format!("`{language}` is not a language code (ISO 639-1 or 639-3)");
            errors.push(OptionError::new(key, message));
            continue;
        };
        let mut entries = general.clone();
        read_list(cx, &key, path, &mut entries, &mut errors);
        if by_language.insert(code.into_owned(), entries).is_some() {
            errors.push(OptionError::new(key, format!("a second list for the language `{language}`")));
        }
    }
    if let Some(dir) = &config.lists_dir {
        for (language, path) in lists_dir::lists(dir).unwrap_or_else(|error| {
            errors.push(error);
            Vec::new()
        }) {
            let entries = by_language.entry(language).or_insert_with(|| general.clone());
            read_list(cx, "lists_dir", &path, entries, &mut errors);
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let matcher = |entries: Entries| {
        Matcher::new(entries.without(&excluded), config.r#match, config.search_in, config.case_sensitive)
            .map_err(|what| vec![OptionError::new("", what)])
    };
    let by_language = by_language
        .into_iter()
        .map(|(language, entries)| Ok((language, matcher(entries)?)))
        .collect::<Result<_, Vec<OptionError>>>()?;
    let no_limit = config.max_match_ratio.is_none() && config.max_matches_per_1000_words.is_none();
    let default_max = (no_limit && config.action == Action::DropPage).then_some(0);
    Ok(Built::Doc(Box::new(Stage {
        general: matcher(general)?,
        by_language,
        max_matches: config.max_matches.or(default_max),
        action: config.action,
        max_match_ratio: config.max_match_ratio,
        max_density: config.max_matches_per_1000_words,
        min_left_chars: config.min_left_chars,
    })))
}

fn read_list(
    cx: &mut BuildContext,
    key: &str,
    path: &str,
    entries: &mut Entries,
    errors: &mut Vec<OptionError>,
) {
    let read = lists::read(cx, key, path, |entry| {
        entries.add(entry);
        Ok(())
    });
    errors.extend(read.err());
}

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let own = doc.language.as_ref().and_then(|language| self.by_language.get(language));
        let matcher = own.unwrap_or(&self.general);
        let found = matcher.search(&doc.text, self.action != Action::DropPage);
        let matches = found.count as f64;
        let density = self.max_density.map(|_| {
            let words = cx.features.word_counts(&doc.text).non_symbol_words;
            1000.0 * matches / words.max(1) as f64
        });
        let changed = self.changed(matcher, &doc.text, &found);
        let left_chars = (self.action != Action::DropPage)
            .then(|| cut::ink(changed.as_deref().unwrap_or(&doc.text)) as f64);
        let measures = Measures { matches, match_ratio: found.ratio, density, left_chars };
        cx.score(doc, "matches", matches);
        cx.score(doc, "match_ratio", found.ratio);
        if let Some(density) = density {
            cx.score(doc, "matches_per_1000_words", density);
        }
        if let Some(left) = left_chars {
            cx.score(doc, "left_chars", left);
        }
        let outcome = self.decide(&measures);
        match (outcome, changed) {
            (Outcome::Drop(reason), _) => Outcome::Drop(match found.first {
                Some(entry) => reason.detail(entry),
                None => reason,
            }),
            (outcome, Some(text)) => {
                doc.text = text;
                outcome
            }
            (outcome, None) => outcome,
        }
    }

    fn redecide(&self, stored: &Document, stage: &str) -> Option<Outcome> {
        let score = |wanted: &str| {
            let is_wanted =
                |name: &str| name.strip_prefix(stage).and_then(|name| name.strip_prefix('.')) == Some(wanted);
            stored.scores.iter().find(|(name, _)| is_wanted(name)).map(|(_, value)| *value)
        };
        let measures = Measures {
            matches: score("matches")?,
            match_ratio: score("match_ratio")?,
            density: score("matches_per_1000_words"),
            left_chars: score("left_chars"),
        };
        let measured = (self.max_density.is_none() || measures.density.is_some())
            && (self.action == Action::DropPage || measures.left_chars.is_some());
        measured.then(|| self.decide(&measures))
    }

    fn deciding_options(&self) -> &'static [&'static str] {
        &["max_matches", "max_match_ratio", "max_matches_per_1000_words", "min_left_chars"]
    }
}

impl Stage {
    fn decide(&self, measures: &Measures) -> Outcome {
        let Measures { matches, match_ratio, density, left_chars } = *measures;
        for (name, value, max) in [
            ("too_many_keywords", Some(matches), self.max_matches.map(f64::from)),
            ("high_keyword_ratio", Some(match_ratio), self.max_match_ratio),
            ("dense_keywords", density, self.max_density),
        ] {
            if let (Some(value), Some(max)) = (value, max)
                && value > max
            {
                return Outcome::Drop(Reason::measured(name, value, max));
            }
        }
        if self.action == Action::DropPage || matches == 0.0 {
            return Outcome::Keep;
        }
        let min = self.min_left_chars.map(|min| min as f64);
        match (left_chars, min) {
            (Some(left), Some(min)) if left < min => {
                Outcome::Drop(Reason::measured("too_little_left", left, min))
            }
            _ => Outcome::Changed,
        }
    }

    /// The text after the action; `None` where it stays.
    fn changed(&self, matcher: &Matcher, text: &str, found: &Found<'_>) -> Option<String> {
        if self.action == Action::DropPage || found.count == 0 {
            return None;
        }
        let ranges = matcher.ranges(text, found);
        let mut edits: Vec<Edit> = Vec::with_capacity(ranges.len());
        for range in ranges {
            if self.action == Action::CutMatch {
                edits.push(Edit::cut(range));
            } else if edits.last().is_none_or(|edit| edit.range.end <= range.start) {
                let line =
                    |end: usize| text.as_bytes().get(..end).and_then(|head| memchr::memrchr(b'\n', head));
                let start = line(range.start).map_or(0, |at| at + 1);
                let rest = text.as_bytes().get(range.end..).unwrap_or_default();
                let end = memchr::memchr(b'\n', rest).map_or(text.len(), |at| range.end + at);
                let carriage = text.as_bytes().get(..end).is_some_and(|head| head.ends_with(b"\r"));
                edits.push(Edit::cut(start..(end - usize::from(carriage)).max(range.end)));
            }
        }
        Some(cut::apply(text, &edits))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::stages::filter::case_files;

    #[test]
    fn cases() {
        case_files::check(&SPEC);
    }

    #[test]
    fn limits_can_be_moved_over_stored_scores() {
        let words = json!(["turnip", "beet"]);
        let with = |action: &str, limits: Value| {
            let mut options = json!({ "words": words, "action": action });
            options.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
            case_files::build(&SPEC, options).unwrap()
        };
        let limits = [
            json!({}),
            json!({"max_matches": 1}),
            json!({"max_match_ratio": 0.3}),
            json!({"max_matches_per_1000_words": 500.0}),
            json!({"max_matches_per_1000_words": 499.0}),
            json!({"max_matches": 5, "min_left_chars": 3}),
        ];
        for action in ["drop_page", "drop_line", "cut_match"] {
            for text in ["a turnip, a beet", "turnip", "nothing", "", "an\nold beet\nox"] {
                for limit in &limits {
                    let stage = with(action, limit.clone());
                    let mut doc = case_files::document(text);
                    let outcome = match stage.process(&mut doc, &mut case_files::context(&SPEC)) {
                        Outcome::Drop(reason) => Outcome::Drop(Reason { detail: None, ..reason }),
                        other => other,
                    };
                    assert_eq!(stage.redecide(&doc, "keywords"), Some(outcome), "{action} {limit} {text}");
                    for other in &limits {
                        let unmeasured = other.get("max_matches_per_1000_words").is_some()
                            && limit.get("max_matches_per_1000_words").is_none();
                        let again = with(action, other.clone()).redecide(&doc, "keywords");
                        let mut fresh = case_files::document(text);
                        let wanted =
                            with(action, other.clone()).process(&mut fresh, &mut case_files::context(&SPEC));
                        let name = |outcome: &Outcome| match outcome {
                            Outcome::Drop(reason) => reason.name,
                            Outcome::Changed => "changed",
                            Outcome::Keep => "keep",
                        };
                        assert_eq!(
                            again.as_ref().map(name),
                            (!unmeasured).then(|| name(&wanted)),
                            "{action} {limit} to {other}: {text}"
                        );
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn counts_agree_with_a_plain_search(
            text in "[ab _cΣ人ä-]{0,60}",
            words in prop::collection::vec("[abΣ人]{1,3}|-?[ab][ -][abΣ]-?", 1..6),
            kind in prop::sample::select(vec!["whole_word", "substring"]),
        ) {
            let stage = case_files::build(&SPEC, json!({ "words": words, "match": kind })).unwrap();
            let mut doc = case_files::document(&text);
            stage.process(&mut doc, &mut case_files::context(&SPEC));
            let plain = plain_count(&text, &words, kind == "whole_word") as f64;
            prop_assert!((doc.scores[0].1 - plain).abs() < 0.5, "{} found, {plain} wanted", doc.scores[0].1);
        }

        #[test]
        fn no_text_makes_it_panic(
            text in "\\PC{0,300}|[aİK\\n b]{0,60}",
            words in prop::collection::vec("\\PC{1,6}|[aik ]{1,3}", 1..6),
            kind in prop::sample::select(vec!["whole_word", "substring", "auto"]),
            action in prop::sample::select(vec!["drop_page", "drop_line", "cut_match"]),
        ) {
            let options = json!({ "words": words, "match": kind, "action": action, "max_matches": 100 });
            if let Ok(stage) = case_files::build(&SPEC, options) {
                stage.process(&mut case_files::document(&text), &mut case_files::context(&SPEC));
            }
        }
    }

    /// Most occurrences that do not overlap: always the one that ends first.
    fn plain_count(text: &str, words: &[String], whole: bool) -> usize {
        let lower = |text: &str| -> Vec<char> { text.chars().flat_map(char::to_lowercase).collect() };
        let (text, words) = (lower(text), words.iter().map(|word| lower(word)).collect::<Vec<_>>());
        let border = |c: Option<&char>| !whole || c.is_none_or(|c| !c.is_alphanumeric() && *c != '_');
        let (mut count, mut free) = (0, 0);
        for end in 1..=text.len() {
            let found = words.iter().any(|word| {
                word.len() <= end - free
                    && text[end - word.len()..end] == word[..]
                    && border(text.get(end))
                    && border((end - word.len()).checked_sub(1).and_then(|before| text.get(before)))
            });
            if found {
                count += 1;
                free = end;
            }
        }
        count
    }
}
