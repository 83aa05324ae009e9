//! `keywords`: drops pages that hold listed words.
//!
//! Source: the bad-words step of C4 as datatrove's `C4BadWordsFilter` has it (LDNOOBW lists by the page's language, one
//! occurrence drops the page) and the flagged-words ratio of Data-Juicer. All entries are searched at once
//! (Aho and Corasick, 1975).
//!
//! An occurrence of a whole word has no letter, mark, digit or `_` on either side. Where we differ from datatrove:
//! * Python's `\W` takes combining vowel signs (Hindi, Thai) for borders; here they belong to the word;
//! * occurrences are counted, the largest number that do not overlap, and one separator between two of them is enough;
//! * `match: auto` chooses per entry instead of per language: entries in a script that is written without spaces are
//!   found anywhere, and letters of such scripts end a word of another script;
//! * the ratio is of characters, so that it means the same in scripts without spaces.

mod matcher;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::lists;
use crate::document::{Document, Outcome, Reason};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, OptionError, ScoreSpec, StageSpec, parse_options, schema_of,
};
use crate::text::langcodes;
use matcher::{Entries, Matcher};

/// How the pipeline room knows this stage.
pub static SPEC: StageSpec = StageSpec {
    name: "keywords",
    kind: Kind::Filter,
    needs_text: true,
    summary: "Drops pages that hold words of a list.",
    source: "datatrove C4BadWordsFilter (C4, LDNOOBW lists); Data-Juicer flagged words for the ratio",
    reasons: &[
        ("too_many_keywords", "more occurrences of listed words than `max_matches`"),
        ("high_keyword_ratio", "listed words make up more of the text than `max_match_ratio`"),
    ],
    scores: &[
        ScoreSpec { name: "matches", doc: "occurrences of listed words", min: 0.0, max: 20.0 },
        ScoreSpec {
            name: "match_ratio",
            doc: "characters in listed words / characters of the text",
            min: 0.0,
            max: 0.1,
        },
    ],
    limits: &[],
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

/// Options of `keywords`. At least one of `lists`, `words` and `language_lists` must be given.
#[derive(Debug, Default, Deserialize, JsonSchema)]
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
    /// Entries to leave out of every list. Default: none.
    pub exclude: Vec<String>,
    /// What counts as an occurrence. Default: `auto`.
    pub r#match: Match,
    /// Whether capital and small letters differ. Default: false, both text and entries are turned to small letters (all of
    /// Unicode; both small sigmas are one).
    pub case_sensitive: bool,
    /// Largest number of occurrences that a page may have; so many are kept, one more is dropped. Default: 0 where
    /// `max_match_ratio` is not given, else no limit.
    pub max_matches: Option<u32>,
    /// Largest share of a page's characters (white space included) that may lie in occurrences, 0 to 1; an equal share is
    /// kept. Default: no limit.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_match_ratio: Option<f64>,
}

struct Stage {
    /// For pages whose language has no list of its own.
    general: Matcher,
    /// The general entries and those of the language.
    by_language: BTreeMap<String, Matcher>,
    max_matches: Option<u32>,
    max_match_ratio: Option<f64>,
}

fn build(options: serde_json::Value, cx: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    let mut errors = Vec::new();
    if config.lists.is_empty() && config.words.is_empty() && config.language_lists.is_empty() {
        let error = OptionError::new("", "no keywords are given");
        return Err(vec![error.hint("give `lists`, `words` or `language_lists`")]);
    }
    let excluded = Entries::new(config.case_sensitive, &config.exclude);
    let mut general = Entries::new(config.case_sensitive, &[]);
    for (place, word) in config.words.iter().enumerate() {
        if word.trim().is_empty() {
            errors
                .push(OptionError::new(format!("words.{place}"), "an empty word would be found everywhere"));
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
    if !errors.is_empty() {
        return Err(errors);
    }
    let matcher = |entries: Entries| {
        Matcher::new(entries.without(&excluded), config.r#match, config.case_sensitive)
            .map_err(|what| vec![OptionError::new("", what)])
    };
    let by_language = by_language
        .into_iter()
        .map(|(language, entries)| Ok((language, matcher(entries)?)))
        .collect::<Result<_, Vec<OptionError>>>()?;
    let default_max = if config.max_match_ratio.is_none() { Some(0) } else { None };
    Ok(Built::Doc(Box::new(Stage {
        general: matcher(general)?,
        by_language,
        max_matches: config.max_matches.or(default_max),
        max_match_ratio: config.max_match_ratio,
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
        let found = own.unwrap_or(&self.general).search(&doc.text);
        let matches = found.count as f64;
        cx.score(doc, "matches", matches);
        cx.score(doc, "match_ratio", found.ratio);
        let reason = match (self.max_matches, self.max_match_ratio) {
            (Some(max), _) if found.count > u64::from(max) => {
                Reason::measured("too_many_keywords", matches, f64::from(max))
            }
            (_, Some(max)) if found.ratio > max => Reason::measured("high_keyword_ratio", found.ratio, max),
            _ => return Outcome::Keep,
        };
        Outcome::Drop(match found.first {
            Some(entry) => reason.detail(entry),
            None => reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::stages::filter::case_files;

    #[test]
    fn cases() {
        case_files::check(&SPEC);
    }

    proptest! {
        #[test]
        fn counts_agree_with_a_plain_search(
            text in "[ab _cΣ人ä]{0,60}",
            words in prop::collection::vec("[abΣ人]{1,3}", 1..6),
            kind in prop::sample::select(vec!["whole_word", "substring"]),
        ) {
            let stage = case_files::build(&SPEC, json!({ "words": words, "match": kind })).unwrap();
            let mut doc = case_files::document(&text);
            stage.process(&mut doc, &mut case_files::context(&SPEC));
            let plain = plain_count(&text, &words, kind == "whole_word") as f64;
            prop_assert!((doc.scores[0].1 - plain).abs() < 0.5, "{} found, {plain} wanted", doc.scores[0].1);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,300}", words in prop::collection::vec("\\PC{1,6}", 1..6)) {
            if let Ok(stage) = case_files::build(&SPEC, json!({ "words": words })) {
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
