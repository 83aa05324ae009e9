//! A file of rules: its form, and everything that can be wrong in it.
//!
//! JSON, `{"rules": [...]}`. The bundled file (`rules.json`) is read by the same code as a user's. Each rule brings
//! texts that it must change and texts that it must leave alone; they are tried when the file is read, so a rule
//! that does not do what its author meant never meets a corpus.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::find::fold;
use crate::text::langcodes;

/// The rules of the project.
pub(super) const BUNDLED: &str = include_str!("rules.json");

/// Most memory that one regular expression may compile to.
const MAX_REGEX_BYTES: usize = 4 << 20;

/// What a rule removes, for the scores of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Group {
    /// Tags, entities, templates.
    Markup,
    /// Menus, ways through a site, sharing.
    Navigation,
    /// Cookies, scripts, signing in, advertising.
    Notices,
    /// Addresses.
    Links,
    /// Legal lines.
    Footers,
    /// Anything else.
    Other,
}

impl Group {
    pub(super) const ALL: [Self; 6] =
        [Self::Markup, Self::Navigation, Self::Notices, Self::Links, Self::Footers, Self::Other];

    pub(super) fn score(self) -> &'static str {
        match self {
            Self::Markup => "markup",
            Self::Navigation => "navigation",
            Self::Notices => "notices",
            Self::Links => "links",
            Self::Footers => "footers",
            Self::Other => "other",
        }
    }
}

/// What a rule works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Whole lines go.
    Line,
    /// Matches inside the text go or are replaced.
    Match,
    /// A line and everything behind it goes, where all of that is short.
    Tail,
}

/// Where in a line a phrase must stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    /// It is the line, marks and numbers around it left out.
    #[default]
    Whole,
    /// At its start, marks before it left out.
    Start,
    /// Anywhere.
    Anywhere,
}

/// Phrases by language (`any` for none).
type Phrases = BTreeMap<String, Vec<String>>;

/// A rule as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    group: Group,
    kind: Kind,
    regex: Option<String>,
    #[serde(default)]
    phrases: Phrases,
    #[serde(default)]
    at: Option<Place>,
    #[serde(default)]
    with: Phrases,
    max_chars: Option<usize>,
    replace: Option<String>,
    #[serde(default)]
    decode_entities: bool,
    max_lines_after: Option<usize>,
    max_line_chars_after: Option<usize>,
    #[serde(default)]
    languages: Vec<String>,
    #[serde(default)]
    requires: Vec<String>,
    #[serde(default)]
    unless: Vec<String>,
    #[serde(default)]
    removes: Vec<String>,
    #[serde(default)]
    keeps: Vec<String>,
}

/// A rule that can be used.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub name: String,
    pub group: Group,
    pub kind: Kind,
    /// For lines: anchored at both ends.
    pub regex: Option<Regex>,
    /// Folded.
    pub phrases: Vec<String>,
    pub at: Place,
    /// One of these must be in the line too; folded; none for no such condition.
    pub with: Vec<String>,
    pub max_chars: usize,
    pub new: New,
    pub max_lines_after: usize,
    pub max_line_chars_after: usize,
    /// Pages of other languages are left alone; none for all.
    pub languages: Vec<String>,
    /// One of these must be on the page; small letters.
    pub requires: Vec<String>,
    /// None of these may be on the page; small letters.
    pub unless: Vec<String>,
    pub removes: Vec<String>,
    pub keeps: Vec<String>,
}

/// What comes in place of a match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum New {
    /// Nothing.
    Nothing,
    /// A text with `$1`, `$name` for what groups of the expression found.
    Text(String),
    /// The characters that HTML entities stand for.
    Decoded,
}

/// Reads a file of rules; all mistakes, each with its rule's name.
pub(super) fn read(text: &str) -> Result<Vec<Rule>, Vec<String>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        rules: Vec<serde_json::Value>,
    }
    let file: File =
        serde_json::from_str(text).map_err(|error| vec![format!("no file of rules: {error}")])?;
    let (mut rules, mut errors) = (Vec::<Rule>::new(), Vec::new());
    if file.rules.is_empty() {
        errors.push("it holds no rules".to_owned());
    }
    for (place, value) in file.rules.into_iter().enumerate() {
        let name = value["name"].as_str().unwrap_or_default().to_owned();
        let label = if name.is_empty() { format!("rule {}", place + 1) } else { format!("rule `{name}`") };
        match serde_json::from_value::<Raw>(value).map_err(|error| error.to_string()).and_then(checked) {
            Ok(rule) if rules.iter().any(|other| other.name == rule.name) => {
                errors.push(format!("{label}: a second rule of that name"));
            }
            Ok(rule) => rules.push(rule),
            Err(what) => errors.push(format!("{label}: {what}")),
        }
    }
    if errors.is_empty() { Ok(rules) } else { Err(errors) }
}

fn checked(raw: Raw) -> Result<Rule, String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if raw.name.is_empty() || !raw.name.chars().all(is_name) {
        return Err("`name` must be small letters, digits and `_`".to_owned());
    }
    let phrases = folded("phrases", &raw.phrases)?;
    let with = folded("with", &raw.with)?;
    if raw.regex.is_some() != phrases.is_empty() {
        return Err("give either `regex` or `phrases`".to_owned());
    }
    let only_for = |given: bool, key: &str, what: &str| {
        if given { Err(format!("`{key}` is only for {what}")) } else { Ok(()) }
    };
    let is_match = raw.kind == Kind::Match;
    only_for(is_match && !phrases.is_empty(), "phrases", "`kind: line` and `tail`")?;
    only_for(is_match && raw.max_chars.is_some(), "max_chars", "`kind: line` and `tail`")?;
    only_for(is_match && !with.is_empty(), "with", "`kind: line` and `tail`")?;
    only_for(raw.at.is_some() && phrases.is_empty(), "at", "`phrases`")?;
    only_for(!is_match && raw.replace.is_some(), "replace", "`kind: match`")?;
    only_for(!is_match && raw.decode_entities, "decode_entities", "`kind: match`")?;
    let tail_limits = raw.max_lines_after.is_some() || raw.max_line_chars_after.is_some();
    only_for(
        raw.kind != Kind::Tail && tail_limits,
        "max_lines_after`/`max_line_chars_after",
        "`kind: tail`",
    )?;
    if raw.replace.is_some() && raw.decode_entities {
        return Err("`replace` and `decode_entities` exclude each other".to_owned());
    }
    let at = raw.at.unwrap_or_default();
    let longest = phrases.iter().map(|phrase| phrase.chars().count()).max().unwrap_or(0);
    let max_chars = match raw.max_chars {
        Some(max) => max,
        None if is_match => usize::MAX,
        None if !phrases.is_empty() && at == Place::Whole => longest + 40,
        None => return Err("`max_chars` is missing: long lines are prose".to_owned()),
    };
    let regex = raw.regex.as_deref().map(|pattern| compiled(pattern, is_match)).transpose()?;
    let mut languages = Vec::new();
    for language in &raw.languages {
        let code = langcodes::normalise(language);
        languages
            .push(code.ok_or_else(|| format!("`languages`: `{language}` is no language code"))?.into_owned());
    }
    if raw.removes.is_empty() || raw.keeps.is_empty() {
        return Err("`removes` and `keeps` must each hold an example".to_owned());
    }
    let lower = |list: Vec<String>| list.into_iter().map(|text| text.to_lowercase()).collect::<Vec<_>>();
    Ok(Rule {
        name: raw.name,
        group: raw.group,
        kind: raw.kind,
        regex,
        phrases,
        at,
        with,
        max_chars,
        new: match raw.replace {
            Some(text) => New::Text(text),
            None if raw.decode_entities => New::Decoded,
            None => New::Nothing,
        },
        max_lines_after: raw.max_lines_after.unwrap_or(30),
        max_line_chars_after: raw.max_line_chars_after.unwrap_or(100),
        languages,
        requires: lower(raw.requires),
        unless: lower(raw.unless),
        removes: raw.removes,
        keeps: raw.keeps,
    })
}

fn folded(key: &str, phrases: &Phrases) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for (language, list) in phrases {
        if language != "any" && langcodes::normalise(language).is_none() {
            return Err(format!("`{key}`: `{language}` is no language code"));
        }
        for phrase in list {
            let mut line = String::new();
            fold(phrase, key == "phrases", &mut line);
            if line.is_empty() {
                return Err(format!("`{key}`: `{phrase}` holds no letter or digit"));
            }
            all.push(line);
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn compiled(pattern: &str, is_match: bool) -> Result<Regex, String> {
    let anchored = if is_match { pattern.to_owned() } else { format!("^(?:{pattern})$") };
    let regex = RegexBuilder::new(&anchored)
        .size_limit(MAX_REGEX_BYTES)
        .dfa_size_limit(2 * MAX_REGEX_BYTES)
        .build()
        .map_err(|error| format!("`regex`: {}", error.to_string().replace('\n', " ")))?;
    if regex.is_match("") {
        return Err("`regex` matches an empty text".to_owned());
    }
    Ok(regex)
}
