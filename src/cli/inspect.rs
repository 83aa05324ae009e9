//! `tamis inspect RUN --stage S`: what a stage dropped and kept, nearest its limits first.
//!
//! For each reason: the rejects whose measured value is nearest the limit, then, where the rejects show
//! which score the reason judges, the kept pages nearest it on the other side. A stage in `annotate` mode
//! drops nothing: its marked pages stand in the corpus and are shown from there. Reads the columns that it
//! compares, keeps the nearest few, and fetches only their texts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::show::{check_run, clean, number, print, put, snippet, stage_names, text};
use crate::error::{Error, Result};
use crate::report::rows::{RowTable, float_at, floats, tables, text_at, texts};
use crate::report::{Limit, Tracer, human_measure};

/// Characters of text per page.
const TEXT_CHARS: usize = 240;

/// What a stage dropped and kept, nearest its limits first.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run directory
    pub run: PathBuf,
    /// Stage to look at
    #[arg(long)]
    pub stage: String,
    /// Only this reason
    #[arg(long)]
    pub reason: Option<String>,
    /// Pages to show of each kind and reason
    #[arg(long, default_value_t = 5)]
    pub limit: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command. Returns 0 where there is something to show, else 1.
///
/// # Errors
/// Where the run directory is none, the stage or reason is unknown, or a table cannot be read.
pub fn run(args: &Args) -> Result<u8> {
    check_run(&args.run)?;
    let findings = inspect(&args.run, &args.stage, args.reason.as_deref(), args.limit)?;
    if args.json {
        let mut json =
            serde_json::to_string_pretty(&findings).map_err(|error| Error::Failed(error.to_string()))?;
        json.push('\n');
        print(&json)?;
    } else if findings.is_empty() {
        print(&format!("`{}` dropped and marked no page in this run\n", clean(&args.stage)))?;
    } else {
        print(&findings.iter().map(describe).collect::<Vec<_>>().join("\n"))?;
    }
    Ok(u8::from(findings.is_empty()))
}

/// The pages around one reason.
#[derive(Debug, Serialize)]
struct Finding {
    reason: String,
    /// The score that it judges, where the rejects show it.
    score: Option<String>,
    limit: Option<f64>,
    /// Pages that it dropped or, in `annotate` mode, marked.
    hit: Vec<Sample>,
    /// Whether those were only marked.
    annotate: bool,
    /// Pages of the corpus nearest the limit.
    kept: Vec<Sample>,
}

#[derive(Debug, Serialize)]
struct Sample {
    id: String,
    url: Option<String>,
    value: Option<f64>,
    detail: Option<String>,
    text: Option<String>,
}

/// A row on the way into the report: its distance to the limit, then its place.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    distance: f64,
    part: usize,
    row: u64,
    value: Option<f64>,
}

/// The nearest few candidates, in order.
#[derive(Debug, Default)]
struct Nearest(Vec<Candidate>);

impl Nearest {
    fn offer(&mut self, candidate: Candidate, capacity: usize) {
        // Equal distances stay in input order because later ones come after.
        let at = self.0.partition_point(|other| other.distance.total_cmp(&candidate.distance).is_le());
        if at < capacity {
            self.0.insert(at, candidate);
            self.0.truncate(capacity);
        }
    }

    fn fetch(&self, paths: &[PathBuf]) -> Result<Vec<Sample>> {
        let mut samples = Vec::new();
        for candidate in &self.0 {
            let rows = RowTable::open(&paths[candidate.part])?.rows_at(&[candidate.row])?;
            samples.extend(rows.iter().map(|row| sample(row, candidate.value)));
        }
        Ok(samples)
    }
}

fn sample(row: &Map<String, Value>, value: Option<f64>) -> Sample {
    Sample {
        id: text(row, "id").unwrap_or_default().to_owned(),
        url: text(row, "url").map(str::to_owned),
        value: value.or_else(|| number(row, "value")),
        detail: text(row, "detail").map(str::to_owned),
        text: text(row, "text").map(|text| snippet(text, TEXT_CHARS)),
    }
}

fn inspect(run: &Path, stage: &str, reason: Option<&str>, limit: usize) -> Result<Vec<Finding>> {
    let rejects = tables(run, "rejects")?;
    let corpus = tables(run, "corpus")?;
    let mut seen_stages = stage_names(run)?;
    let (dropped, limits) = nearest_rejects(&rejects, stage, limit, &mut seen_stages)?;
    let marked = marked_pages(&corpus, stage, limit)?;
    if !seen_stages.iter().any(|other| other == stage) && dropped.is_empty() && marked.is_empty() {
        return Err(unknown("stage", stage, seen_stages.iter().map(String::as_str)));
    }
    if let Some(reason) = reason
        && !dropped.contains_key(reason)
        && !marked.contains_key(reason)
    {
        return Err(unknown("reason", reason, dropped.keys().chain(marked.keys()).map(String::as_str)));
    }
    let mut findings = Vec::new();
    for (name, nearest) in dropped.iter().filter(|(name, _)| reason.is_none_or(|reason| reason == *name)) {
        let traced = limits.iter().find(|limit| limit.reason == *name);
        let hit = nearest.fetch(&rejects)?;
        let kept = traced.map_or(Ok(Vec::new()), |traced| nearest_kept(&corpus, traced, limit))?;
        findings.push(Finding {
            reason: name.clone(),
            score: traced.map(|traced| traced.score.clone()),
            limit: traced.map(|traced| traced.limit),
            hit,
            annotate: false,
            kept,
        });
    }
    for (name, nearest) in marked.iter().filter(|(name, _)| reason.is_none_or(|reason| reason == *name)) {
        let hit = nearest.fetch(&corpus)?;
        findings.push(Finding {
            reason: name.clone(),
            score: None,
            limit: None,
            hit,
            annotate: true,
            kept: Vec::new(),
        });
    }
    Ok(findings)
}

/// By reason: the rejects nearest the limit, or the first ones where there is none; and the traced limits.
fn nearest_rejects(
    paths: &[PathBuf],
    stage: &str,
    capacity: usize,
    seen_stages: &mut Vec<String>,
) -> Result<(BTreeMap<String, Nearest>, Vec<Limit>)> {
    let mut dropped: BTreeMap<String, Nearest> = BTreeMap::new();
    let mut tracer = Tracer::default();
    for (part, path) in paths.iter().enumerate() {
        for batch in RowTable::open(path)?.scan(&["stage", "reason", "value", "limit", "scores"])? {
            let (first, batch) = batch?;
            let (stages, reasons) = (texts(&batch, "stage", path)?, texts(&batch, "reason", path)?);
            let (values, limits) = (floats(&batch, "value", path)?, floats(&batch, "limit", path)?);
            let scores = texts(&batch, "scores", path)?;
            for row in 0..batch.num_rows() {
                if stages.value(row) != stage {
                    if seen_stages.iter().all(|seen| seen != stages.value(row)) {
                        seen_stages.push(stages.value(row).to_owned());
                    }
                    continue;
                }
                let reason = reasons.value(row);
                let (value, limit) = (float_at(values, row), float_at(limits, row));
                if tracer.wants(stage, reason) {
                    tracer.observe((stage, reason), value, limit, text_at(scores, row));
                }
                let distance = value.zip(limit).map_or(f64::INFINITY, |(value, limit)| (value - limit).abs());
                let candidate = Candidate { distance, part, row: first + row as u64, value };
                if !dropped.contains_key(reason) {
                    dropped.insert(reason.to_owned(), Nearest::default());
                }
                if let Some(nearest) = dropped.get_mut(reason) {
                    nearest.offer(candidate, capacity);
                }
            }
        }
    }
    Ok((dropped, tracer.limits()))
}

/// The pages of the corpus whose score is nearest the limit.
fn nearest_kept(paths: &[PathBuf], limit: &Limit, capacity: usize) -> Result<Vec<Sample>> {
    let mut nearest = Nearest::default();
    for (part, path) in paths.iter().enumerate() {
        let table = RowTable::open(path)?;
        if table.columns().all(|(name, _)| name != limit.score) {
            continue;
        }
        for batch in table.scan(&[&limit.score])? {
            let (first, batch) = batch?;
            let scores = floats(&batch, &limit.score, path)?;
            for row in 0..batch.num_rows() {
                if let Some(value) = float_at(scores, row) {
                    let distance = (value - limit.limit).abs();
                    let candidate = Candidate { distance, part, row: first + row as u64, value: Some(value) };
                    nearest.offer(candidate, capacity);
                }
            }
        }
    }
    nearest.fetch(paths)
}

/// By reason: the first pages of the corpus that a stage in `annotate` mode marked.
fn marked_pages(paths: &[PathBuf], stage: &str, capacity: usize) -> Result<BTreeMap<String, Nearest>> {
    let column = format!("{stage}.verdict");
    let mut marked: BTreeMap<String, Nearest> = BTreeMap::new();
    for (part, path) in paths.iter().enumerate() {
        let table = RowTable::open(path)?;
        if table.columns().all(|(name, _)| name != column) {
            continue;
        }
        for batch in table.scan(&[&column])? {
            let (first, batch) = batch?;
            let verdicts = texts(&batch, &column, path)?;
            for row in 0..batch.num_rows() {
                if let Some(reason) = text_at(verdicts, row) {
                    let candidate =
                        Candidate { distance: f64::INFINITY, part, row: first + row as u64, value: None };
                    marked.entry(reason.to_owned()).or_default().offer(candidate, capacity);
                }
            }
        }
    }
    Ok(marked)
}

fn unknown<'a>(what: &str, found: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = known.collect();
    let near = known
        .iter()
        .map(|name| (strsim::jaro_winkler(name, found), *name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.8);
    let mut message = format!("no {what} `{}` in this run", clean(found));
    if let Some((_, name)) = near {
        put(&mut message, format_args!("; did you mean `{}`?", clean(name)));
    } else if !known.is_empty() {
        put(&mut message, format_args!("; it has `{}`", clean(&known.join("`, `"))));
    }
    Error::User(message)
}

fn describe(finding: &Finding) -> String {
    let mut out = clean(&finding.reason);
    if let (Some(score), Some(limit)) = (&finding.score, finding.limit) {
        put(&mut out, format_args!(": {} against {}", clean(score), human_measure(limit)));
    }
    out.push('\n');
    let hit = if finding.annotate { "marked, kept" } else { "dropped" };
    for (heading, samples) in [(hit, &finding.hit), ("kept", &finding.kept)] {
        if samples.is_empty() {
            continue;
        }
        put(&mut out, format_args!("  {heading}\n"));
        for sample in samples {
            let value = sample.value.map(human_measure).unwrap_or_default();
            let name = clean(sample.url.as_deref().unwrap_or(&sample.id));
            let detail = sample.detail.as_ref().map(|detail| format!("  `{}`", snippet(detail, 60)));
            put(&mut out, format_args!("    {value:>8}  {name}{}\n", detail.unwrap_or_default()));
            if let Some(text) = sample.text.as_ref().filter(|text| !text.is_empty()) {
                put(&mut out, format_args!("              {text}\n"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing;

    #[test]
    fn samples_stand_nearest_the_limit_first_on_both_sides() {
        let dir = tempfile::tempdir().unwrap();
        testing::make_run(dir.path());
        let findings = inspect(dir.path(), "gopher_quality", Some("too_few_words"), 4).unwrap();
        assert_eq!(findings.len(), 1);
        let values =
            |samples: &[Sample]| samples.iter().map(|sample| sample.value.unwrap()).collect::<Vec<_>>();
        let (hit, kept) = (values(&findings[0].hit), values(&findings[0].kept));
        assert_eq!(findings[0].limit, Some(50.0));
        assert_eq!((hit.len(), kept.len()), (4, 4));
        assert!(hit.iter().all(|value| *value < 50.0) && hit.is_sorted_by(|a, b| a >= b), "{hit:?}");
        assert!(kept.iter().all(|value| *value >= 50.0) && kept.is_sorted(), "{kept:?}");
        let text = describe(&findings[0]);
        assert!(text.starts_with("too_few_words: gopher_quality.words against 50\n  dropped\n"), "{text}");
    }

    #[test]
    fn marked_pages_and_unknown_names() {
        let dir = tempfile::tempdir().unwrap();
        testing::make_run(dir.path());
        let findings = inspect(dir.path(), "c4_quality", None, 3).unwrap();
        assert_eq!((findings.len(), findings[0].annotate, findings[0].hit.len()), (1, true, 3));
        let message = |stage, reason| inspect(dir.path(), stage, reason, 3).unwrap_err().to_string();
        assert_eq!(
            message("gopher_qualty", None),
            "no stage `gopher_qualty` in this run; did you mean `gopher_quality`?"
        );
        assert_eq!(message("extract", Some("x")), "no reason `x` in this run; it has `no_text`");
    }
}
