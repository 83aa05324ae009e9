//! `tamis inspect RUN STAGE`: pages on both sides of each of a stage's limits, nearest first.
//!
//! The limits are those that the stage states, with the values of the run's plan, also where nothing failed
//! them. On the failing side stand the pages that the stage dropped or (`annotate`) marked for that check, on
//! the passing side those that the stage let pass; either kind may have been dropped by a later stage, and
//! says so. Reasons without a limit show samples. Reads the columns that it compares, keeps the nearest few,
//! and fetches only their texts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::show::{
    check_run, clean, is_unfinished, number, print, put, read_plan, snippet, stage_names, text,
};
use crate::error::{Error, Result};
use crate::pipeline::registry::{Section, find};
use crate::report::rows::{RowTable, float_at, floats, tables, text_at, texts};
use crate::report::{Limit, Report, human_measure, limits_of};

/// Characters of text per page.
const TEXT_CHARS: usize = 240;

/// Kept and dropped pages on both sides of a stage's limits.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run directory
    pub run: PathBuf,
    /// Stage to look at
    pub stage: String,
    /// Only this reason
    #[arg(long)]
    pub reason: Option<String>,
    /// Only the limits on this score
    #[arg(long)]
    pub score: Option<String>,
    /// Pages to show on each side of a limit, and for each reason without one
    #[arg(short, long = "number", default_value_t = 10)]
    pub number: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command. Returns 0 where there is something to show, else 1.
///
/// # Errors
/// Where the run directory is none, the stage, reason or score is unknown, or a table cannot be read.
pub fn run(args: &Args) -> Result<u8> {
    check_run(&args.run)?;
    let stage = Stage::of_run(&args.run, &args.stage)?;
    let chosen = stage.choose(args.reason.as_deref(), args.score.as_deref())?;
    let findings = inspect(&args.run, &stage, &chosen, args.number)?;
    if args.json {
        let mut json =
            serde_json::to_string_pretty(&findings).map_err(|error| Error::Failed(error.to_string()))?;
        json.push('\n');
        print(&json)?;
        return Ok(u8::from(findings.is_empty()));
    }
    let mut text = String::new();
    if is_unfinished(&args.run)? {
        text.push_str("this run is not finished: these are the pages that it has written so far\n\n");
    }
    if findings.is_empty() {
        let name = clean(&args.stage);
        put(&mut text, format_args!("`{name}` has no limit and dropped and marked no page in this run\n"));
    }
    text.push_str(&findings.iter().map(describe).collect::<Vec<_>>().join("\n"));
    print(&text)?;
    Ok(u8::from(findings.is_empty()))
}

/// The stage that is looked at.
#[derive(Debug, Default)]
struct Stage {
    name: String,
    /// Its limits, in the order of its checks.
    limits: Vec<Limit>,
    /// Reasons that it may have.
    reasons: Vec<String>,
}

impl Stage {
    /// From the run's plan; where there is none (what `tamis filter` wrote), from its report.
    fn of_run(run: &Path, name: &str) -> Result<Self> {
        if let Some(plan) = read_plan(run)? {
            let planned = plan.stages.iter().find(|stage| stage.id == name);
            let Some(planned) = planned else {
                return Err(unknown("stage", name, plan.stages.iter().map(|stage| stage.id.as_str())));
            };
            let Some(spec) = find(Section::Stages, &planned.stage) else {
                return Err(Error::User(format!("this version of tamis has no stage `{}`", planned.stage)));
            };
            return Ok(Self {
                name: name.to_owned(),
                limits: limits_of(spec, name, &planned.options),
                reasons: spec.reasons.iter().map(|(reason, _)| (*reason).to_owned()).collect(),
            });
        }
        let report = run.join("report.json");
        let stages = if crate::io::exists(&report)? {
            crate::io::read_json::<Report>(&report)?.stages
        } else {
            Vec::new()
        };
        match stages.iter().find(|stage| stage.name == name) {
            Some(stage) => {
                let limits = stage.limits.clone();
                let mut reasons: Vec<String> = stage.reasons.keys().cloned().collect();
                reasons.extend(limits.iter().map(|limit| limit.reason.clone()));
                Ok(Self { name: name.to_owned(), limits, reasons })
            }
            None => Err(unknown("stage", name, stage_names(run)?.iter().map(String::as_str))),
        }
    }

    /// What to show of it.
    fn choose(&self, reason: Option<&str>, score: Option<&str>) -> Result<Chosen> {
        if let Some(reason) = reason
            && self.reasons.iter().all(|known| known != reason)
        {
            return Err(unknown("reason", reason, self.reasons.iter().map(String::as_str)));
        }
        let of_score = |limit: &Limit| score.is_none_or(|s| s == limit.score || s == limit.short_score());
        if let Some(score) = score
            && !self.limits.iter().any(of_score)
        {
            let known = self.limits.iter().map(Limit::short_score);
            return Err(unknown("limit on a score", score, known));
        }
        let wanted = |limit: &&Limit| of_score(limit) && reason.is_none_or(|reason| reason == limit.reason);
        Ok(Chosen {
            limits: self.limits.iter().filter(wanted).cloned().collect(),
            reason: reason.map(str::to_owned),
            without_limit: score.is_none(),
        })
    }
}

/// What to show of a stage.
#[derive(Debug, Default)]
struct Chosen {
    limits: Vec<Limit>,
    reason: Option<String>,
    /// Whether reasons that belong to no limit are shown.
    without_limit: bool,
}

/// The pages around one limit, or some with one reason.
#[derive(Debug, Serialize)]
struct Finding {
    reason: String,
    /// The limit, where the reason belongs to one.
    limit: Option<Limit>,
    /// Pages that failed, nearest the limit first.
    failing: Vec<Sample>,
    /// Pages that passed, nearest the limit first.
    passing: Vec<Sample>,
}

#[derive(Debug, Serialize)]
struct Sample {
    id: String,
    url: Option<String>,
    value: Option<f64>,
    detail: Option<String>,
    /// What became of it: `kept`, `marked` (annotate), `dropped`, `dropped later`.
    fate: String,
    text: Option<String>,
}

/// A row on the way into the answer: its distance to the limit, then its place.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    distance: f64,
    table: usize,
    row: u64,
    value: Option<f64>,
    /// Whether the stage only marked it.
    marked: bool,
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

    /// The pages with their texts; every table is read once.
    fn fetch(&self, tables: &[PathBuf], corpus: usize, stage: &str) -> Result<Vec<Sample>> {
        let mut places: Vec<usize> = (0..self.0.len()).collect();
        places.sort_by_key(|&place| (self.0[place].table, self.0[place].row));
        let mut samples = Vec::with_capacity(places.len());
        for group in places.chunk_by(|&a, &b| self.0[a].table == self.0[b].table) {
            let table = self.0[group[0]].table;
            let numbers: Vec<u64> = group.iter().map(|&place| self.0[place].row).collect();
            for (place, row) in group.iter().zip(RowTable::open(&tables[table])?.rows_at(&numbers)?) {
                samples.push((*place, sample(&row, &self.0[*place], table < corpus, stage)));
            }
        }
        samples.sort_by_key(|(place, _)| *place);
        Ok(samples.into_iter().map(|(_, sample)| sample).collect())
    }
}

fn sample(row: &Map<String, Value>, candidate: &Candidate, in_corpus: bool, stage: &str) -> Sample {
    let (by, reason) = (text(row, "stage").unwrap_or_default(), text(row, "reason").unwrap_or_default());
    let own = !in_corpus && by == stage;
    let mut fate = match (in_corpus, own, candidate.marked) {
        (true, _, true) => "marked, kept".to_owned(),
        (true, _, false) => "kept".to_owned(),
        (false, true, _) => "dropped".to_owned(),
        (false, false, true) => "marked, ".to_owned(),
        (false, false, false) => String::new(),
    };
    if !in_corpus && !own {
        put(&mut fate, format_args!("dropped later by {by}: {reason}"));
    }
    Sample {
        id: text(row, "id").unwrap_or_default().to_owned(),
        url: text(row, "url").map(str::to_owned),
        value: candidate.value.or_else(|| number(row, "value").filter(|_| own)),
        detail: text(row, "detail").filter(|_| own).map(str::to_owned),
        fate,
        text: text(row, "text").map(|text| snippet(text, TEXT_CHARS)),
    }
}

/// What the stage said of one page.
struct Verdict<'a> {
    table: usize,
    row: u64,
    /// The reason that it was dropped or marked for.
    reason: Option<&'a str>,
    marked: bool,
    /// Measured value and limit of that reason, where the table has them.
    measured: Option<(f64, f64)>,
}

/// The nearest pages of every limit and reason.
#[derive(Default)]
struct Search {
    failing: Vec<Nearest>,
    passing: Vec<Nearest>,
    /// By reason, those that belong to no limit.
    others: BTreeMap<String, Nearest>,
    capacity: usize,
}

impl Search {
    /// Takes one page; `score` is its value of the limit with that number.
    fn take(
        &mut self,
        verdict: &Verdict,
        all: &[Limit],
        score: impl Fn(&Limit) -> Option<f64>,
        chosen: &Chosen,
    ) {
        let (table, row, marked) = (verdict.table, verdict.row, verdict.marked);
        let at = |distance, value| Candidate { distance, table, row, value, marked };
        let Some(reason) = verdict.reason else {
            for (limit, nearest) in chosen.limits.iter().zip(&mut self.passing) {
                if let Some(value) = score(limit).filter(|value| !limit.fails(*value)) {
                    nearest.offer(at((value - limit.limit).abs(), Some(value)), self.capacity);
                }
            }
            return;
        };
        let judges =
            |limit: &Limit| limit.reason == reason && score(limit).is_some_and(|value| limit.fails(value));
        for (limit, nearest) in chosen.limits.iter().zip(&mut self.failing).filter(|(limit, _)| judges(limit))
        {
            if let Some(value) = score(limit) {
                nearest.offer(at((value - limit.limit).abs(), Some(value)), self.capacity);
            }
        }
        let wanted = chosen.without_limit && chosen.reason.as_ref().is_none_or(|wanted| wanted == reason);
        if wanted && !all.iter().any(judges) {
            let distance = verdict.measured.map_or(f64::INFINITY, |(value, limit)| (value - limit).abs());
            let candidate = at(distance, verdict.measured.map(|(value, _)| value));
            self.others.entry(reason.to_owned()).or_default().offer(candidate, self.capacity);
        }
    }
}

fn inspect(run: &Path, stage: &Stage, chosen: &Chosen, capacity: usize) -> Result<Vec<Finding>> {
    let mut paths = tables(run, "corpus")?;
    let corpus = paths.len();
    paths.extend(tables(run, "rejects")?);
    let mut search = Search { capacity, ..Search::default() };
    search.failing.resize_with(chosen.limits.len(), Nearest::default);
    search.passing.resize_with(chosen.limits.len(), Nearest::default);
    for (table, path) in paths.iter().enumerate() {
        if table < corpus {
            search_corpus(path, table, stage, chosen, &mut search)?;
        } else {
            search_rejects(path, table, stage, chosen, &mut search)?;
        }
    }
    let mut findings = Vec::new();
    for (number, limit) in chosen.limits.iter().enumerate() {
        findings.push(Finding {
            reason: limit.reason.clone(),
            limit: Some(limit.clone()),
            failing: search.failing[number].fetch(&paths, corpus, &stage.name)?,
            passing: search.passing[number].fetch(&paths, corpus, &stage.name)?,
        });
    }
    for (reason, nearest) in &search.others {
        findings.push(Finding {
            reason: reason.clone(),
            limit: None,
            failing: nearest.fetch(&paths, corpus, &stage.name)?,
            passing: Vec::new(),
        });
    }
    Ok(findings)
}

fn search_corpus(
    path: &Path,
    table: usize,
    stage: &Stage,
    chosen: &Chosen,
    search: &mut Search,
) -> Result<()> {
    let open = RowTable::open(path)?;
    let verdict_column = format!("{}.verdict", stage.name);
    let has = |name: &str| open.columns().any(|(column, _)| column == name);
    let mut wanted: Vec<&str> =
        stage.limits.iter().map(|limit| limit.score.as_str()).filter(|name| has(name)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let scored = wanted.len();
    if has(&verdict_column) {
        wanted.push(&verdict_column);
    }
    if wanted.is_empty() {
        return Ok(());
    }
    for batch in open.scan(&wanted)? {
        let (first, batch) = batch?;
        let scores = wanted[..scored]
            .iter()
            .map(|name| Ok((*name, floats(&batch, name, path)?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        let verdicts = if wanted.len() > scored { Some(texts(&batch, &verdict_column, path)?) } else { None };
        for row in 0..batch.num_rows() {
            let reason = verdicts.and_then(|column| text_at(column, row));
            let verdict =
                Verdict { table, row: first + row as u64, reason, marked: reason.is_some(), measured: None };
            let score = |limit: &Limit| float_at(scores.get(limit.score.as_str())?, row);
            search.take(&verdict, &stage.limits, score, chosen);
        }
    }
    Ok(())
}

fn search_rejects(
    path: &Path,
    table: usize,
    stage: &Stage,
    chosen: &Chosen,
    search: &mut Search,
) -> Result<()> {
    let object = |json: Option<&str>| -> Map<String, Value> {
        json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    };
    let (score_mark, verdict_mark) = (format!("\"{}.", stage.name), format!("\"{}\"", stage.name));
    for batch in RowTable::open(path)?.scan(&["stage", "reason", "value", "limit", "scores", "verdicts"])? {
        let (first, batch) = batch?;
        let (stages, reasons) = (texts(&batch, "stage", path)?, texts(&batch, "reason", path)?);
        let (values, limits) = (floats(&batch, "value", path)?, floats(&batch, "limit", path)?);
        let (scores, verdicts) = (texts(&batch, "scores", path)?, texts(&batch, "verdicts", path)?);
        for row in 0..batch.num_rows() {
            let own = stages.value(row) == stage.name;
            // Most rows were dropped before the stage: nothing to read in them.
            let has = |column, mark: &str| text_at(column, row).filter(|json| json.contains(mark));
            let marks = object(has(verdicts, &verdict_mark));
            let marked = marks.get(&stage.name).and_then(Value::as_str);
            let measured = object(has(scores, &score_mark));
            if !own && marked.is_none() && measured.is_empty() {
                continue;
            }
            let verdict = Verdict {
                table,
                row: first + row as u64,
                reason: if own { Some(reasons.value(row)) } else { marked },
                marked: !own && marked.is_some(),
                measured: float_at(values, row).zip(float_at(limits, row)).filter(|_| own),
            };
            let score = |limit: &Limit| measured.get(&limit.score).and_then(Value::as_f64);
            search.take(&verdict, &stage.limits, score, chosen);
        }
    }
    Ok(())
}

fn unknown<'a>(what: &str, found: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let mut known: Vec<&str> = known.collect();
    known.dedup();
    let mut message = format!("no {what} `{}` in this run", clean(found));
    if let Some(name) = crate::pipeline::diagnostic::closest(found, known.iter().copied()) {
        put(&mut message, format_args!("; did you mean `{}`?", clean(name)));
    } else if !known.is_empty() {
        put(&mut message, format_args!("; it has `{}`", clean(&known.join("`, `"))));
    }
    Error::User(message)
}

fn describe(finding: &Finding) -> String {
    let mut out = clean(&finding.reason);
    if let Some(limit) = &finding.limit {
        let side = if limit.drops_below { "below" } else { "above" };
        let (score, option) = (clean(limit.short_score()), clean(&limit.option));
        put(&mut out, format_args!(": {score} {side} {} ({option})", human_measure(limit.limit)));
    }
    out.push('\n');
    for (heading, samples) in [("fails", &finding.failing), ("passes", &finding.passing)] {
        if samples.is_empty() {
            if finding.limit.is_some() {
                put(&mut out, format_args!("  no page {heading}\n"));
            }
            continue;
        }
        put(&mut out, format_args!("  {heading}\n"));
        for sample in samples {
            let value = sample.value.map(human_measure).unwrap_or_default();
            let name = clean(sample.url.as_deref().unwrap_or(&sample.id));
            let detail = sample.detail.as_ref().map(|detail| format!("  `{}`", snippet(detail, 60)));
            let fate = clean(&sample.fate);
            put(&mut out, format_args!("    {value:>8}  {name}{}  [{fate}]\n", detail.unwrap_or_default()));
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

    /// The made run with its report, and what `inspect` finds in it.
    fn look(stage: &str, reason: Option<&str>, score: Option<&str>) -> Result<Vec<Finding>> {
        let dir = tempfile::tempdir().unwrap();
        let summary = testing::make_run(dir.path());
        crate::report::write(dir.path(), &summary).unwrap();
        let stage = Stage::of_run(dir.path(), stage)?;
        inspect(dir.path(), &stage, &stage.choose(reason, score)?, 4)
    }

    fn values(samples: &[Sample]) -> Vec<f64> {
        samples.iter().map(|sample| sample.value.unwrap()).collect()
    }

    #[test]
    fn pages_stand_nearest_the_limit_first_on_both_sides() {
        let findings = look("gopher_quality", Some("too_few_words"), None).unwrap();
        assert_eq!(findings.len(), 1);
        let (failing, passing) = (values(&findings[0].failing), values(&findings[0].passing));
        assert_eq!((failing.len(), passing.len()), (4, 4));
        assert!(
            failing.iter().all(|value| *value < 50.0) && failing.is_sorted_by(|a, b| a >= b),
            "{failing:?}"
        );
        assert!(passing.iter().all(|value| *value >= 50.0) && passing.is_sorted(), "{passing:?}");
        let text = describe(&findings[0]);
        assert!(text.starts_with("too_few_words: words below 50 (min_words)\n  fails\n"), "{text}");
        let by_score = look("gopher_quality", None, Some("symbol_ratio")).unwrap();
        assert_eq!((by_score.len(), by_score[0].reason.as_str()), (1, "too_many_symbols"));
    }

    #[test]
    fn marked_pages_are_found_wherever_they_ended() {
        let findings = look("c4_quality", None, None).unwrap();
        let fates: Vec<&str> =
            findings.iter().flat_map(|finding| &finding.failing).map(|sample| sample.fate.as_str()).collect();
        assert!(fates.contains(&"marked, kept"), "{fates:?}");
        let passing: Vec<&str> = findings[0].passing.iter().map(|sample| sample.fate.as_str()).collect();
        assert!(
            passing.iter().all(|fate| *fate == "kept" || fate.starts_with("dropped later by minhash_dedup"))
        );
    }

    #[test]
    fn unknown_names_get_a_hint() {
        let message = |stage, reason, score| look(stage, reason, score).unwrap_err().to_string();
        assert_eq!(
            message("gopher_qualty", None, None),
            "no stage `gopher_qualty` in this run; did you mean `gopher_quality`?"
        );
        assert_eq!(message("extract", Some("x"), None), "no reason `x` in this run; it has `no_text`");
        assert_eq!(
            message("gopher_quality", None, Some("wrds")),
            "no limit on a score `wrds` in this run; did you mean `words`?"
        );
    }
}
