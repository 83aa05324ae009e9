//! The answer of `tamis explain`, for people.

use std::fmt::Arguments;

use serde_json::Value;

use super::{Answer, Copy, Fate, Page, StageVerdict};
use crate::cli::show::{clean, put, snippet};
use crate::report::{human_count, human_measure};

/// The answer as text.
pub(super) fn describe(needle: &str, answer: &Answer) -> String {
    let mut out = String::new();
    for page in &answer.pages {
        if !out.is_empty() {
            out.push('\n');
        }
        describe_page(&mut out, page);
    }
    if answer.pages_left_out > 0 {
        line(&mut out, format_args!("\nand {} more pages", answer.pages_left_out));
    }
    for record in &answer.quarantined {
        let (file, cause, detail) = (clean(&record.file), clean(&record.cause), clean(&record.detail));
        line(
            &mut out,
            format_args!("{file}, record {}, offset {}: quarantined", record.record, record.offset),
        );
        line(&mut out, format_args!("  {cause}: {detail}"));
    }
    if answer.quarantined_left_out > 0 {
        line(&mut out, format_args!("and {} more records", answer.quarantined_left_out));
    }
    if out.is_empty() {
        line(&mut out, format_args!("no page with the id or address `{}` in this run", clean(needle)));
        if answer.similar_urls.is_empty() {
            let why = if answer.unfinished {
                "it may not have been read yet, or it waits below `work/` for a later stage"
            } else {
                "it was never read, or `rejects` does not list it"
            };
            line(&mut out, format_args!("{why}"));
        } else {
            line(&mut out, format_args!("did you mean"));
        }
        for url in &answer.similar_urls {
            line(&mut out, format_args!("  {}", clean(url)));
        }
    }
    if answer.unfinished {
        line(
            &mut out,
            format_args!("\nthis run is not finished: pages that are still on their way are not found"),
        );
    }
    out
}

fn line(out: &mut String, arguments: Arguments) {
    put(out, arguments);
    out.push('\n');
}

fn describe_page(out: &mut String, page: &Page) {
    line(out, format_args!("{}", clean(page.url.as_deref().unwrap_or(&page.id))));
    line(out, format_args!("  id        {}", clean(&page.id)));
    line(
        out,
        format_args!(
            "  from      {}, record {}, offset {} (input `{}`)",
            clean(&page.file),
            page.record,
            page.offset,
            clean(&page.source)
        ),
    );
    if let Some(date) = &page.date {
        line(out, format_args!("  date      {}", clean(date)));
    }
    if let Some(language) = &page.language {
        let score = page.language_score.map_or(String::new(), |score| format!(" ({})", human_measure(score)));
        line(out, format_args!("  language  {}{score}", clean(language)));
    }
    for (name, value) in &page.fields {
        line(out, format_args!("  {:<8}  {}", clean(name), snippet(&plain_value(value), 120)));
    }
    line(out, format_args!("  fate      {}", describe_fate(&page.fate)));
    let width = page.stages.iter().map(|verdict| verdict.stage.chars().count()).max().unwrap_or(0);
    if width > 0 {
        out.push('\n');
    }
    for verdict in &page.stages {
        let name = clean(&verdict.stage);
        line(out, format_args!("  {name:<width$}  {}", describe_verdict(verdict)));
    }
    for copy in &page.copy_of {
        let kept = copy.kept_url.as_deref().map_or(String::new(), |url| format!("{} ", clean(url)));
        line(
            out,
            format_args!(
                "\n  copy of {kept}(id {})\n    similarity {}, cluster {}, found by {}; {}",
                clean(&copy.kept_id),
                human_measure(copy.similarity),
                clean(&copy.cluster),
                clean(&copy.stage),
                match (&copy.kept_run, &copy.kept_fate) {
                    (Some(run), _) =>
                        format!("that page: of the earlier run `{}`", clean(&run.to_string_lossy())),
                    (None, Fate::Unknown) => "not found in this run's tables".to_owned(),
                    (None, fate) => format!("that page: {}", describe_fate(fate)),
                }
            ),
        );
        describe_differences(out, copy);
    }
    if !page.copies.is_empty() {
        let all = (page.copies.len() + page.copies_left_out) as u64;
        let more = if page.copies_left_out > 0 { ", ..." } else { "" };
        let ids = clean(&page.copies.join(", "));
        line(out, format_args!("\n  copies of it that were removed: {} ({ids}{more})", human_count(all)));
    }
    if !page.cuts.is_empty() {
        let all = (page.cuts.len() + page.cuts_left_out) as u64;
        line(out, format_args!("\n  cut out of its text: {}", human_count(all)));
        for cut in &page.cuts {
            let text = cut.text.as_ref().map_or(String::new(), |text| format!(": {text}"));
            let (stage, first) = (clean(&cut.stage), clean(&cut.first_id));
            line(
                out,
                format_args!("    bytes {} to {}, {stage}, first in {first}{text}", cut.start, cut.end),
            );
        }
        if page.cuts_left_out > 0 {
            line(out, format_args!("    and {} more", human_count(page.cuts_left_out as u64)));
        }
    }
    describe_hits(out, page);
    if let Some(text) = page.text.as_ref().filter(|text| !text.is_empty()) {
        line(out, format_args!("\n  {text}"));
    }
}

fn describe_hits(out: &mut String, page: &Page) {
    if page.hits.is_empty() {
        return;
    }
    let all = (page.hits.len() + page.hits_left_out) as u64;
    line(out, format_args!("\n  text of evaluation sets in it: {}", human_count(all)));
    for hit in &page.hits {
        line(
            out,
            format_args!(
                "    {} {}, {}: {} of {} n-grams, bytes {} to {}, {}",
                clean(&hit.set),
                clean(&hit.example),
                clean(&hit.field),
                hit.ngrams,
                hit.all_ngrams,
                hit.start,
                hit.end,
                clean(&hit.stage)
            ),
        );
        if let Some(text) = &hit.text {
            let around = |part: &Option<String>| {
                clean(&part.as_deref().unwrap_or_default().replace(['\n', '\r', '\t'], " "))
            };
            let (before, text, after) = (around(&hit.before), snippet(text, 200), around(&hit.after));
            line(out, format_args!("      {before}[{text}]{after}"));
        }
    }
    if page.hits_left_out > 0 {
        line(out, format_args!("    and {} more", human_count(page.hits_left_out as u64)));
    }
}

fn describe_differences(out: &mut String, copy: &Copy) {
    if let Some(found) = &copy.differences {
        let (common, kept, removed) = (found.common_words, found.kept_words, found.removed_words);
        line(
            out,
            format_args!(
                "    {} of its {} words stand in this page too, which has {}; [-only there-] {{+only here+}}",
                human_count(common as u64),
                human_count(kept as u64),
                human_count(removed as u64)
            ),
        );
        for change in &found.changes {
            let mark = |open: &str, words: &str, close: &str| {
                if words.is_empty() { String::new() } else { format!(" {open}{words}{close}") }
            };
            let (kept, removed) = (mark("[-", &change.kept, "-]"), mark("{+", &change.removed, "+}"));
            let text = format!("{}{kept}{removed} {}", change.before, change.after);
            line(out, format_args!("      … {} …", text.trim()));
        }
        if found.changes_left_out > 0 {
            line(out, format_args!("      and {} more differences", found.changes_left_out));
        }
        if found.coarse {
            line(
                out,
                format_args!("      (too long or too different to be compared word by word to the end)"),
            );
        }
    }
    if let Some(note) = &copy.differences_note {
        line(out, format_args!("    {note}"));
    }
}

fn plain_value(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn describe_fate(fate: &Fate) -> String {
    match fate {
        Fate::Kept => "kept, it is in the corpus".to_owned(),
        Fate::Dropped { stage, reason } => format!("dropped by {}: {}", clean(stage), clean(reason)),
        Fate::Unknown => "unknown".to_owned(),
    }
}

fn describe_verdict(verdict: &StageVerdict) -> String {
    let mut said = match verdict.verdict {
        "would_drop" => "kept, marked".to_owned(),
        "not_reached" => "not reached".to_owned(),
        other => other.to_owned(),
    };
    if let Some(reason) = &verdict.reason {
        said.push_str(": ");
        said.push_str(&clean(reason));
    }
    match (verdict.value, verdict.limit) {
        (Some(value), Some(limit)) => {
            let both = format!(", {} where the limit is {}", human_measure(value), human_measure(limit));
            said.push_str(&both);
        }
        (Some(value), None) => put(&mut said, format_args!(", {}", human_measure(value))),
        _ => {}
    }
    if let Some(detail) = &verdict.detail {
        put(&mut said, format_args!(", `{}`", snippet(detail, 100)));
    }
    let scores: Vec<String> = verdict
        .scores
        .iter()
        .map(|(name, value)| {
            let value = value.as_f64().map_or_else(|| value.to_string(), human_measure);
            format!("{} {value}", clean(name))
        })
        .collect();
    if !scores.is_empty() {
        put(&mut said, format_args!("  [{}]", scores.join(", ")));
    }
    said
}
