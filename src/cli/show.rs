//! Printing what pages hold: their texts and addresses are hostile input for a terminal too.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::io;
use crate::pipeline::Plan;

/// Prints to standard output; a reader that went away (`| head`) is no error.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("write", "standard output")(error))
        }
        _ => Ok(()),
    }
}

/// The text without characters that a terminal would obey: escapes, other control characters, and the
/// marks that reverse the writing direction.
pub(super) fn clean(text: &str) -> String {
    let hidden = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// The first characters of a text, on one line.
pub(super) fn snippet(text: &str, chars: usize) -> String {
    let mut line = String::new();
    let mut left = chars;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if length > left {
            line.extend(word.chars().take(left));
            line.push('…');
            break;
        }
        line.push_str(word);
        line.push(' ');
        left = (left - length).saturating_sub(1);
    }
    clean(line.trim_end())
}

/// Appends formatted text.
pub(super) fn put(out: &mut String, arguments: std::fmt::Arguments) {
    out.write_fmt(arguments).expect("writing to a String cannot fail");
}

/// A text value of a row.
pub(super) fn text<'a>(row: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    row.get(name).and_then(Value::as_str)
}

/// A number of a row.
pub(super) fn number(row: &Map<String, Value>, name: &str) -> Option<f64> {
    row.get(name).and_then(Value::as_f64)
}

/// Refuses a folder that is no run directory.
pub(super) fn check_run(run: &Path) -> Result<()> {
    let known = ["plan.json", "report.json", "corpus", "rejects", "quarantine.jsonl"];
    for name in known {
        let path = run.join(name);
        if io::exists(&path)? || io::folders::is_dir(&path) {
            return Ok(());
        }
    }
    let what = if io::folders::is_dir(run) { "is not a run directory" } else { "does not exist" };
    Err(Error::User(format!("`{}` {what}: expected the `run_dir` of an earlier `tamis run`", run.display())))
}

/// Whether a run was planned but has not come to its end.
pub(super) fn is_unfinished(run: &Path) -> Result<bool> {
    Ok(io::exists(run.join("plan.json"))? && !io::exists(run.join("report.json"))?)
}

/// Refuses a run that has not come to its end.
pub(super) fn check_finished(run: &Path, what: &str) -> Result<()> {
    if !is_unfinished(run)? {
        return Ok(());
    }
    Err(Error::User(format!(
        "the run in `{}` is not finished, and {what}\n = hint: `tamis run` with the same pipeline goes on with it",
        run.display()
    )))
}

/// The run's plan, where it has one.
pub(super) fn read_plan(run: &Path) -> Result<Option<Plan>> {
    let path = run.join("plan.json");
    if io::exists(&path)? { Plan::read(&path).map(Some) } else { Ok(None) }
}

/// Names of the run's stages in pipeline order: from its report, before the run is done from its plan.
pub(super) fn stage_names(run: &Path) -> Result<Vec<String>> {
    let path = run.join("report.json");
    if !io::exists(&path)? {
        let ids = read_plan(run)?.into_iter().flat_map(|plan| plan.stages).map(|stage| stage.id);
        let names: Vec<String> = std::iter::once("read".to_owned()).chain(ids).collect();
        return Ok(if names.len() > 1 { names } else { Vec::new() });
    }
    let report: crate::report::Report = crate::io::read_json(path)?;
    Ok(report.stages.into_iter().map(|stage| stage.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_plain_text() {
        assert_eq!(clean("a\u{1b}[31mb\u{202e}c\td"), "a\u{fffd}[31mb\u{fffd}c\td");
        assert_eq!(snippet("one  two\nthree", 100), "one two three");
        assert_eq!(snippet("北京北京北京", 3), "北京北…");
    }
}
