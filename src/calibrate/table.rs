//! The table as YAML, with its evidence in comments.

use std::fmt::Write as _;

use super::Settings;
use super::limits::Proposal;
use crate::stage::Side;

/// Width at which a list of stop words goes on in the next line.
const LINE_CHARS: usize = 110;

/// A language.
pub(super) struct Entry {
    pub(super) code: String,
    pub(super) docs: u64,
    pub(super) words: u64,
    pub(super) stages: Vec<Stage>,
}

/// One filter of a language.
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) stop_words: Vec<String>,
    pub(super) proposals: Vec<Proposal>,
}

/// Writes the whole table.
pub(super) fn render(settings: &Settings, entries: &[Entry]) -> String {
    let mut out = String::new();
    let (low, high) = (settings.quantile * 100.0, 100.0 - settings.quantile * 100.0);
    put(
        &mut out,
        format_args!(
            "# Options per language, made by `tamis calibrate` from a reference corpus. Behind each limit stands what was\n\
             # measured: few documents ({low} %) lie below (or above) the first number, half of them below the second. The\n\
             # limit is further away from the middle, by {} of their distance; see docs/languages.md. Stop words make up\n\
             # at least {} % of the words. Lower limits: {low} % quantile; upper limits: {high} %.\n",
            settings.margin,
            settings.min_stop_word_ratio * 100.0
        ),
    );
    for entry in entries {
        let nothing =
            entry.stages.iter().all(|stage| stage.stop_words.is_empty() && stage.proposals.is_empty());
        let empty = if nothing { " {}" } else { "" };
        put(
            &mut out,
            format_args!("{}:{empty} # {} documents, {} words\n", text(&entry.code), entry.docs, entry.words),
        );
        let mut listed = false;
        for stage in &entry.stages {
            if stage.stop_words.is_empty() && stage.proposals.is_empty() {
                continue;
            }
            put(&mut out, format_args!("  {}:\n", stage.name));
            if listed && !stage.stop_words.is_empty() {
                put(&mut out, format_args!("    stop_words: *{}\n", entry.code));
            } else if !stage.stop_words.is_empty() {
                list(&mut out, &entry.code, &stage.stop_words);
                listed = true;
            }
            for proposal in &stage.proposals {
                option(&mut out, proposal);
            }
        }
    }
    out
}

fn option(out: &mut String, proposal: &Proposal) {
    let value = match proposal.value {
        None => "null".to_owned(),
        Some(value) if proposal.whole => format!("{value:.0}"),
        Some(value) => format!("{value}"),
    };
    let sign = if proposal.side == Side::Below { "below" } else { "above" };
    let (quantile, median) = (short(proposal.quantile), short(proposal.median));
    put(out, format_args!("    {}: {value} # few {sign} {quantile}, median {median}\n", proposal.option));
}

/// Three decimals, without zeros behind.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The list with an anchor, for filters that come later.
fn list(out: &mut String, anchor: &str, words: &[String]) {
    put(out, format_args!("    stop_words: &{anchor} ["));
    let mut column = 18 + anchor.len();
    for (place, word) in words.iter().enumerate() {
        let word = text(word);
        let chars = word.chars().count() + 2;
        if place > 0 {
            out.push(',');
            if column + chars > LINE_CHARS {
                out.push_str("\n      ");
                column = 6;
            } else {
                out.push(' ');
            }
        }
        out.push_str(&word);
        column += chars;
    }
    out.push_str("]\n");
}

/// A word as YAML reads it back as text, whatever the reader's version of YAML.
fn text(word: &str) -> String {
    const TAKEN: [&str; 14] =
        ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "o", "x", "e"];
    let plain = word.chars().next().is_some_and(char::is_alphabetic)
        && word
            .chars()
            .all(|c| c.is_alphanumeric() || !c.is_ascii() && !c.is_control() && !c.is_whitespace())
        && !TAKEN.contains(&word);
    if plain { word.to_owned() } else { serde_json::Value::from(word).to_string() }
}

fn put(out: &mut String, arguments: std::fmt::Arguments) {
    out.write_fmt(arguments).expect("writing to a String cannot fail");
}
