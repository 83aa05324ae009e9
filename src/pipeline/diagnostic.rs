//! A mistake in a pipeline and how it is shown: file, line and column, the line itself, a hint.

use std::fmt::Write;

/// Characters of a line that are shown; of a longer one, those around the mistake.
const FRAME_CHARS: usize = 160;
/// Characters up to which a word is compared with what was probably meant.
const MAX_WORD_CHARS: usize = 100;

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a pipeline file.
    File {
        /// Number of the file among those of the pipeline.
        file: usize,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// Characters to underline.
        length: usize,
    },
    /// On the command line, as typed.
    CommandLine(String),
}

impl Place {
    /// The beginning of a file, for mistakes that stand nowhere (a missing key).
    pub fn start(file: usize) -> Self {
        Self::File { file, line: 1, column: 1, length: 1 }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where.
    pub place: Place,
    /// What was found and what is allowed.
    pub message: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A mistake without a hint.
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A pipeline file's name and text, for code frames.
#[derive(Debug, Clone)]
pub struct Source {
    /// Path as the user gave it.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// All mistakes as text, in the order of the files and lines.
pub fn render(mut diagnostics: Vec<Diagnostic>, sources: &[Source]) -> String {
    diagnostics.sort_by(|a, b| a.place.cmp(&b.place));
    diagnostics.dedup();
    let mut out = String::new();
    for diagnostic in &diagnostics {
        render_one(diagnostic, sources, &mut out);
        out.push('\n');
    }
    let n = diagnostics.len();
    let mistakes = if n == 1 { "1 mistake" } else { &format!("{n} mistakes") };
    out.push_str(mistakes);
    out.push_str(" found, nothing was read or written");
    out
}

fn render_one(diagnostic: &Diagnostic, sources: &[Source], out: &mut String) {
    out.push_str("error: ");
    out.push_str(&diagnostic.message);
    out.push('\n');
    let mut margin = String::new();
    match &diagnostic.place {
        Place::File { file, line, column, length } => {
            let source = &sources[*file];
            let number = line.to_string();
            margin = " ".repeat(number.len());
            push(out, format_args!("{margin}--> {}:{line}:{column}\n", source.path));
            if let Some(text) = source.text.lines().nth(line - 1) {
                let before = column.saturating_sub(1);
                let skipped = before.saturating_sub(FRAME_CHARS / 2);
                let shown: String = text
                    .chars()
                    .skip(skipped)
                    .take(FRAME_CHARS)
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .collect();
                let indent = before - skipped;
                let marks = (*length).min(shown.chars().count().saturating_sub(indent)).max(1);
                push(out, format_args!("{margin} |\n{number} | {shown}\n"));
                push(out, format_args!("{margin} | {}{}\n", " ".repeat(indent), "^".repeat(marks)));
            }
        }
        Place::CommandLine(argument) => push(out, format_args!("--> command line: {argument}\n")),
    }
    if let Some(hint) = &diagnostic.hint {
        push(out, format_args!("{margin} = hint: {hint}\n"));
    }
}

fn push(out: &mut String, text: std::fmt::Arguments) {
    out.write_fmt(text).expect("a String takes everything that is written to it");
}

/// The candidate that is closest to what was written, if one is close enough.
pub fn closest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.chars().nth(MAX_WORD_CHARS).is_some() {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&written.to_lowercase(), candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= 2.max(candidate.chars().count() / 3) && *distance < candidate.chars().count()
        })
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_shown_in_its_line() {
        let sources = [Source { path: "p.yaml".to_owned(), text: "name: x\n  min_word: 3\n".to_owned() }];
        let place = Place::File { file: 0, line: 2, column: 3, length: 8 };
        let text = render(
            vec![Diagnostic::new(place, "unknown key `min_word`").hint("did you mean `min_words`?")],
            &sources,
        );
        assert_eq!(
            text,
            "error: unknown key `min_word`\n --> p.yaml:2:3\n  |\n2 |   min_word: 3\n  |   ^^^^^^^^\n  = hint: did you mean `min_words`?\n\n1 mistake found, nothing was read or written"
        );
    }

    #[test]
    fn of_a_long_line_only_the_place_is_shown() {
        let text = format!("{}HERE{}", "a".repeat(50_000), "b".repeat(50_000));
        let sources = [Source { path: "p".to_owned(), text }];
        let place = Place::File { file: 0, line: 1, column: 50_001, length: 4 };
        let text = render(vec![Diagnostic::new(place, "wrong")], &sources);
        assert!(text.chars().count() < 500);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[3].find("HERE"), lines[4].find("^^^^"));
    }

    #[test]
    fn closest_is_close() {
        assert_eq!(closest("min_word", ["max_words", "min_words"]), Some("min_words"));
        assert_eq!(closest("gofer_quality", ["gopher_quality", "c4_quality"]), Some("gopher_quality"));
        assert_eq!(closest("xyz", ["min_words", "ab"]), None);
    }
}
