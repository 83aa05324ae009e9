//! `tamis explain RUN PAGE`: what happened to one page, from where it was read to why it is in the corpus
//! or not.
//!
//! Looks the page up by id or address in `corpus/` and `rejects/` (Bloom filters leave out what cannot
//! hold it), follows `duplicates/` to the page that stayed, lists what `cuts/` and `hits/` have of it, and finds unreadable records by `FILE` or
//! `FILE:OFFSET` in `quarantine.jsonl`. Memory does not grow with the run.

mod answer_text;
mod diff;
mod found;
mod hints;
mod twins;

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::show::{check_run, is_unfinished, number, print, snippet, stage_names, text};
use crate::error::{Error, Result};
use crate::report::rows::{RowTable, integers, tables, texts};
use crate::stage::BadRecord;

/// Pages, unreadable records and copies that are shown.
const MAX_SHOWN: usize = 20;
/// Columns of the corpus that are not fields of the input.
const OWN_COLUMNS: [&str; 10] =
    ["id", "text", "url", "date", "source", "file", "record", "offset", "language", "language_score"];

/// What happened to a page.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run directory
    pub run: PathBuf,
    /// Address or id of the page; or an input file, or FILE:OFFSET of a record in it
    #[arg(value_name = "PAGE")]
    pub needle: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command. Returns 0 where something was found, else 1.
///
/// # Errors
/// Where the run directory is none or its tables cannot be read.
pub fn run(args: &Args) -> Result<u8> {
    check_run(&args.run)?;
    let answer = explain(&args.run, &args.needle)?;
    let found = !(answer.pages.is_empty() && answer.quarantined.is_empty());
    if args.json {
        let mut json =
            serde_json::to_string_pretty(&answer).map_err(|error| Error::Failed(error.to_string()))?;
        json.push('\n');
        print(&json)?;
    } else {
        print(&answer_text::describe(&args.needle, &answer))?;
    }
    Ok(u8::from(!found))
}

/// All that is known about a needle.
#[derive(Debug, Default, Serialize)]
struct Answer {
    /// Whether the run has not come to its end, so that a page may be missing or its fate still open.
    unfinished: bool,
    /// Pages with this id or address; more than one where it was crawled more than once.
    pages: Vec<Page>,
    /// How many more there are than are listed.
    pages_left_out: usize,
    /// Records of this file (and offset) that could not be read.
    quarantined: Vec<BadRecord>,
    /// How many more there are than are listed.
    quarantined_left_out: usize,
    /// Addresses like the needle, where nothing was found.
    similar_urls: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Page {
    id: String,
    url: Option<String>,
    date: Option<String>,
    source: String,
    file: String,
    record: i64,
    offset: i64,
    language: Option<String>,
    language_score: Option<f64>,
    fate: Fate,
    stages: Vec<StageVerdict>,
    /// The page that stayed instead, the one that stayed instead of that, and so on.
    copy_of: Vec<Copy>,
    /// Pages that were removed as copies of this one.
    copies: Vec<String>,
    copies_left_out: usize,
    /// Pieces that were taken out of its text, and how many more there are than are listed.
    cuts: Vec<CutOut>,
    cuts_left_out: usize,
    /// Text of evaluation sets that was found in it, and how many more there are than are listed.
    hits: Vec<found::FoundText>,
    hits_left_out: usize,
    fields: Map<String, Value>,
    text: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Fate {
    /// It is in the corpus.
    Kept,
    /// A stage dropped it.
    Dropped { stage: String, reason: String },
    /// Neither the corpus nor the rejects have it.
    Unknown,
}

#[derive(Debug, Serialize)]
struct StageVerdict {
    stage: String,
    /// `kept`, `dropped`, `would_drop` (annotate mode) or `not_reached`.
    verdict: &'static str,
    reason: Option<String>,
    value: Option<f64>,
    limit: Option<f64>,
    detail: Option<String>,
    scores: Map<String, Value>,
}

#[derive(Debug, Serialize)]
struct Copy {
    stage: String,
    kept_id: String,
    kept_url: Option<String>,
    similarity: f64,
    cluster: String,
    /// What became of the kept page.
    kept_fate: Fate,
    /// Run directory that the kept page is in, where the stage held this run against an earlier one.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_run: Option<PathBuf>,
    /// Where the two texts differ; only for the first of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    differences: Option<diff::Differences>,
    /// Why there are none, or what the texts are that were compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    differences_note: Option<String>,
}

#[derive(Debug, Serialize)]
struct CutOut {
    stage: String,
    /// Bytes of the text as it came to the stage.
    start: i64,
    end: i64,
    /// The page with the first copy.
    first_id: String,
    text: Option<String>,
}

fn explain(run: &Path, needle: &str) -> Result<Answer> {
    let stages = stage_names(run)?;
    let mut answer = Answer { unfinished: is_unfinished(run)?, ..Answer::default() };
    let mut rows = find_pages(run, needle)?;
    let place = parse_place(needle);
    if rows.is_empty()
        && let (file, Some(offset)) = place
    {
        rows = find_by_place(run, file, offset)?;
    }
    answer.pages_left_out = rows.len().saturating_sub(MAX_SHOWN);
    for (folder, row) in rows.into_iter().take(MAX_SHOWN) {
        answer.pages.push(page(run, &stages, folder, &row)?);
    }
    if answer.pages.is_empty() {
        find_quarantined(run, place, &mut answer)?;
    }
    if answer.pages.is_empty() && answer.quarantined.is_empty() {
        answer.similar_urls = hints::similar_urls(run, needle)?;
    }
    Ok(answer)
}

/// A row with the folder that it stands in.
type Found = (&'static str, Map<String, Value>);

fn find_pages(run: &Path, needle: &str) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for folder in ["corpus", "rejects"] {
        for path in tables(run, folder)? {
            let table = RowTable::open(path)?;
            let mut numbers = BTreeSet::new();
            for column in ["id", "url"] {
                numbers.extend(table.find(column, &[needle])?.into_iter().map(|(row, _)| row));
            }
            let numbers: Vec<u64> = numbers.into_iter().collect();
            found.extend(table.rows_at(&numbers)?.into_iter().map(|row| (folder, row)));
        }
    }
    Ok(found)
}

/// The page with this id, where there are several the one that stayed.
fn find_by_id(run: &Path, id: &str) -> Result<Option<Found>> {
    let pages = find_pages(run, id)?;
    Ok(pages.into_iter().find(|(_, row)| text(row, "id") == Some(id)))
}

/// `FILE:OFFSET` or `FILE`.
fn parse_place(needle: &str) -> (&str, Option<i64>) {
    match needle.rsplit_once(':').and_then(|(file, offset)| Some((file, offset.parse().ok()?))) {
        Some((file, offset)) => (file, Some(offset)),
        None => (needle, None),
    }
}

/// Whether a user who wrote `wanted` can have meant `file`: the same path, or its last parts.
fn same_file(file: &str, wanted: &str) -> bool {
    file.strip_suffix(wanted).is_some_and(|rest| rest.is_empty() || rest.ends_with('/')) && !wanted.is_empty()
}

fn find_by_place(run: &Path, file: &str, offset: i64) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for folder in ["corpus", "rejects"] {
        for path in tables(run, folder)? {
            let table = RowTable::open(&path)?;
            let mut numbers = Vec::new();
            for batch in table.scan(&["file", "offset"])? {
                let (first, batch) = batch?;
                let (files, offsets) = (texts(&batch, "file", &path)?, integers(&batch, "offset", &path)?);
                let rows = (0..batch.num_rows())
                    .filter(|&row| offsets.value(row) == offset && same_file(files.value(row), file));
                numbers.extend(rows.map(|row| first + row as u64));
            }
            found.extend(table.rows_at(&numbers)?.into_iter().map(|row| (folder, row)));
        }
    }
    Ok(found)
}

fn find_quarantined(run: &Path, (file, offset): (&str, Option<i64>), answer: &mut Answer) -> Result<()> {
    let path = run.join("quarantine.jsonl");
    if !crate::io::exists(&path)? {
        return Ok(());
    }
    let wanted = offset.map(i64::cast_unsigned);
    for line in std::io::BufReader::new(crate::io::open(&path)?).lines() {
        let line = line.map_err(Error::io("read", &path))?;
        let record: BadRecord =
            serde_json::from_str(&line).map_err(|error| Error::damaged(&path, error.to_string()))?;
        if same_file(&record.file, file) && wanted.is_none_or(|offset| offset == record.offset) {
            if answer.quarantined.len() < MAX_SHOWN {
                answer.quarantined.push(record);
            } else {
                answer.quarantined_left_out += 1;
            }
        }
    }
    Ok(())
}

fn page(run: &Path, stages: &[String], folder: &str, row: &Map<String, Value>) -> Result<Page> {
    let owned = |name: &str| text(row, name).map(str::to_owned);
    let integer = |name: &str| row.get(name).and_then(Value::as_i64).unwrap_or_default();
    let id = owned("id").unwrap_or_default();
    let kept = folder == "corpus";
    let (verdicts, fields) = if kept { corpus_verdicts(stages, row) } else { reject_verdicts(stages, row) };
    let copy_of = if kept { Vec::new() } else { follow_copies(run, row)? };
    let (copies, copies_left_out) = copies_of(run, &id)?;
    let (cuts, cuts_left_out) = cuts_of(run, &id)?;
    let (hits, hits_left_out) = found::hits_of(run, &id)?;
    Ok(Page {
        url: owned("url"),
        date: owned("date"),
        source: owned("source").unwrap_or_default(),
        file: owned("file").unwrap_or_default(),
        record: integer("record"),
        offset: integer("offset"),
        language: owned("language"),
        language_score: number(row, "language_score"),
        fate: fate(folder, row),
        stages: verdicts,
        copy_of,
        copies,
        copies_left_out,
        cuts,
        cuts_left_out,
        hits,
        hits_left_out,
        fields,
        text: text(row, "text").map(|text| snippet(text, 400)),
        id,
    })
}

fn fate(folder: &str, row: &Map<String, Value>) -> Fate {
    if folder == "corpus" {
        return Fate::Kept;
    }
    let owned = |name: &str| text(row, name).unwrap_or_default().to_owned();
    Fate::Dropped { stage: owned("stage"), reason: owned("reason") }
}

/// An entry per stage of the run; stages that only the page names are added at the end.
struct Verdicts(Vec<StageVerdict>);

impl Verdicts {
    fn new(stages: &[String]) -> Self {
        let mut verdicts = Self(Vec::new());
        for stage in stages {
            verdicts.of(stage);
        }
        verdicts
    }

    fn of(&mut self, stage: &str) -> &mut StageVerdict {
        let at = self.0.iter().position(|verdict| verdict.stage == stage).unwrap_or_else(|| {
            self.0.push(StageVerdict {
                stage: stage.to_owned(),
                verdict: "kept",
                reason: None,
                value: None,
                limit: None,
                detail: None,
                scores: Map::new(),
            });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    fn score(&mut self, name: &str, value: &Value) {
        if let Some((stage, score)) = name.split_once('.') {
            self.of(stage).scores.insert(score.to_owned(), value.clone());
        }
    }

    fn would_drop(&mut self, stage: &str, reason: &str) {
        let verdict = self.of(stage);
        verdict.verdict = "would_drop";
        verdict.reason = Some(reason.to_owned());
    }
}

fn corpus_verdicts(stages: &[String], row: &Map<String, Value>) -> (Vec<StageVerdict>, Map<String, Value>) {
    let mut verdicts = Verdicts::new(stages);
    let mut fields = Map::new();
    for (name, value) in row.iter().filter(|(name, _)| !OWN_COLUMNS.contains(&name.as_str())) {
        let stage = name.split_once('.').map(|(stage, _)| stage);
        let known = stage.is_some_and(|stage| stages.is_empty() || stages.iter().any(|other| other == stage));
        match (name.strip_suffix(".verdict"), value) {
            (Some(stage), Value::String(reason)) if known => verdicts.would_drop(stage, reason),
            (None, Value::Number(_)) if known => verdicts.score(name, value),
            _ => drop(fields.insert(name.clone(), value.clone())),
        }
    }
    (verdicts.0, fields)
}

fn reject_verdicts(stages: &[String], row: &Map<String, Value>) -> (Vec<StageVerdict>, Map<String, Value>) {
    let mut verdicts = Verdicts::new(stages);
    let object = |name: &str| -> Map<String, Value> {
        text(row, name).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    };
    for (name, value) in &object("scores") {
        verdicts.score(name, value);
    }
    for (stage, reason) in &object("verdicts") {
        verdicts.would_drop(stage, reason.as_str().unwrap_or_default());
    }
    let stage = text(row, "stage").unwrap_or_default();
    let dropping = verdicts.of(stage);
    dropping.verdict = "dropped";
    dropping.reason = text(row, "reason").map(str::to_owned);
    dropping.value = number(row, "value");
    dropping.limit = number(row, "limit");
    dropping.detail = text(row, "detail").map(str::to_owned);
    let after = verdicts.0.iter_mut().skip_while(|verdict| verdict.stage != stage).skip(1);
    for verdict in after.filter(|verdict| stages.contains(&verdict.stage)) {
        verdict.verdict = "not_reached";
    }
    (verdicts.0, Map::new())
}

/// From a removed page to the one that stayed, and on where that one was removed by a later stage.
fn follow_copies(run: &Path, page: &Map<String, Value>) -> Result<Vec<Copy>> {
    let id = text(page, "id").unwrap_or_default();
    let mut chain: Vec<Copy> = Vec::new();
    let mut current = id.to_owned();
    let mut stage = text(page, "stage").map(str::to_owned);
    while chain.len() < MAX_SHOWN {
        let Some(row) = duplicate_row(run, &current, stage.as_deref())? else { break };
        let owned = |name: &str| text(&row, name).unwrap_or_default().to_owned();
        let kept_id = owned("kept_id");
        let seen = kept_id == id || chain.iter().any(|copy| copy.kept_id == kept_id);
        let mut kept = if seen { None } else { find_by_id(run, &kept_id)? };
        let mut kept_run = None;
        if kept.is_none() && !seen {
            for earlier in twins::earlier_runs(run, &owned("stage"))? {
                kept = find_by_id(&earlier, &kept_id)?;
                if kept.is_some() {
                    kept_run = Some(earlier);
                    break;
                }
            }
        }
        let compared = match &kept {
            Some((_, kept)) if chain.is_empty() => {
                Some(twins::compare((run, page), (kept_run.as_deref().unwrap_or(run), kept))?)
            }
            _ => None,
        };
        let (differences, differences_note) = compared.unwrap_or_default();
        let kept_fate = kept.as_ref().map_or(Fate::Unknown, |(folder, row)| fate(folder, row));
        chain.push(Copy {
            stage: owned("stage"),
            kept_url: kept.as_ref().and_then(|(_, row)| text(row, "url")).map(str::to_owned),
            similarity: number(&row, "similarity").unwrap_or_default(),
            cluster: owned("cluster"),
            kept_fate: kept_fate.clone(),
            kept_id: kept_id.clone(),
            kept_run: kept_run.clone(),
            differences,
            differences_note,
        });
        if kept_run.is_some() {
            break;
        }
        let Fate::Dropped { stage: next, .. } = kept_fate else { break };
        current = kept_id;
        stage = Some(next);
    }
    Ok(chain)
}

fn duplicate_row(run: &Path, id: &str, stage: Option<&str>) -> Result<Option<Map<String, Value>>> {
    for path in tables(run, "duplicates")? {
        let table = RowTable::open(path)?;
        let numbers: Vec<u64> = table.find("removed_id", &[id])?.into_iter().map(|(row, _)| row).collect();
        let mut rows = table.rows_at(&numbers)?.into_iter();
        let found = rows.find(|row| stage.is_none_or(|stage| text(row, "stage") == Some(stage)));
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn copies_of(run: &Path, id: &str) -> Result<(Vec<String>, usize)> {
    let (mut copies, mut left_out) = (Vec::new(), 0);
    for path in tables(run, "duplicates")? {
        let table = RowTable::open(path)?;
        let numbers: Vec<u64> = table.find("kept_id", &[id])?.into_iter().map(|(row, _)| row).collect();
        let shown = numbers.len().min(MAX_SHOWN - copies.len());
        left_out += numbers.len() - shown;
        let rows = table.rows_at(&numbers[..shown])?;
        copies.extend(rows.iter().filter_map(|row| text(row, "removed_id").map(str::to_owned)));
    }
    Ok((copies, left_out))
}

fn cuts_of(run: &Path, id: &str) -> Result<(Vec<CutOut>, usize)> {
    let (mut cuts, mut left_out) = (Vec::new(), 0);
    for path in tables(run, "cuts")? {
        let table = RowTable::open(path)?;
        let numbers: Vec<u64> = table.find("id", &[id])?.into_iter().map(|(row, _)| row).collect();
        let shown = numbers.len().min(MAX_SHOWN - cuts.len());
        left_out += numbers.len() - shown;
        for row in table.rows_at(&numbers[..shown])? {
            let owned = |name: &str| text(&row, name).unwrap_or_default().to_owned();
            let integer = |name: &str| row.get(name).and_then(Value::as_i64).unwrap_or_default();
            cuts.push(CutOut {
                stage: owned("stage"),
                start: integer("start"),
                end: integer("end"),
                first_id: owned("first_id"),
                text: text(&row, "text").map(|text| snippet(text, 120)),
            });
        }
    }
    Ok((cuts, left_out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing;
    use crate::stage::Cut;
    use crate::stages::write::CutsWriter;

    fn made_run() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let summary = testing::make_run(dir.path());
        crate::report::write(dir.path(), &summary).unwrap();
        dir
    }

    fn verdicts(page: &Page) -> String {
        let each = page.stages.iter().map(|verdict| format!("{} {}", verdict.stage, verdict.verdict));
        each.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_kept_page_by_id_and_by_address() {
        let dir = made_run();
        let answer = explain(dir.path(), "d0-3").unwrap();
        let page = &answer.pages[0];
        assert_eq!(page.fate, Fate::Kept);
        assert_eq!(
            verdicts(page),
            "extract kept, gopher_quality kept, c4_quality kept, minhash_dedup kept, pii kept"
        );
        assert!(page.stages[1].scores.contains_key("words"));
        assert_eq!(page.fields["title"], "Page 3");
        assert_eq!((page.record, page.offset), (3, 9000));
        let url = page.url.clone().unwrap();
        assert_eq!(explain(dir.path(), &url).unwrap().pages[0].id, "d0-3");
    }

    #[test]
    fn a_dropped_page_tells_stage_value_and_limit() {
        let dir = made_run();
        let answer = explain(dir.path(), "d1-1").unwrap();
        let page = &answer.pages[0];
        assert_eq!(
            verdicts(page),
            "extract kept, gopher_quality dropped, c4_quality not_reached, minhash_dedup not_reached, pii not_reached"
        );
        let text = answer_text::describe("d1-1", &answer);
        assert!(
            text.contains("dropped: too_few_words, 1 where the limit is 50  [words 1, symbol_ratio"),
            "{text}"
        );
        assert!(text.contains("crawl/a-00001.warc.gz, record 1, offset 3000"), "{text}");
    }

    #[test]
    fn a_copy_names_the_page_that_stayed() {
        let dir = made_run();
        let table = RowTable::open(&tables(dir.path(), "duplicates").unwrap()[0]).unwrap();
        let row = &table.rows_at(&[0]).unwrap()[0];
        let removed = text(row, "removed_id").unwrap();
        let answer = explain(dir.path(), removed).unwrap();
        let page = &answer.pages[0];
        assert_eq!(page.copy_of[0].kept_id, text(row, "kept_id").unwrap());
        assert_eq!(page.copy_of[0].kept_fate, Fate::Kept);
        assert!(page.copy_of[0].kept_url.is_some());
        let kept = explain(dir.path(), &page.copy_of[0].kept_id).unwrap();
        assert!(kept.pages[0].copies.iter().any(|id| id == removed));
    }

    #[test]
    fn what_was_cut_out_is_listed_with_its_first_copy() {
        let dir = made_run();
        let mut cuts = CutsWriter::create(dir.path().join("cuts/part.parquet")).unwrap();
        for number in 0..25 {
            let cut = Cut { range: number..number + 4, first_id: "d0-1".into() };
            cuts.write("d0-3", "line_dedup", &cut, Some("menu")).unwrap();
        }
        cuts.finish().unwrap();
        let answer = explain(dir.path(), "d0-3").unwrap();
        let page = &answer.pages[0];
        assert_eq!((page.cuts.len(), page.cuts_left_out), (20, 5));
        let text = answer_text::describe("d0-3", &answer);
        assert!(text.contains("cut out of its text: 25"), "{text}");
        assert!(text.contains("bytes 3 to 7, line_dedup, first in d0-1: menu"), "{text}");
        assert!(explain(dir.path(), "d0-1").unwrap().pages[0].cuts.is_empty());
    }

    #[test]
    fn records_are_found_by_file_and_offset() {
        let dir = made_run();
        let page = &explain(dir.path(), "a-00001.warc.gz:9000").unwrap().pages[0];
        assert_eq!(page.id, "d1-3");
        let bad = explain(dir.path(), "crawl/a-00000.warc.gz:4096").unwrap();
        assert_eq!(bad.quarantined.len(), 3);
        assert_eq!(explain(dir.path(), "a-00000.warc.gz").unwrap().quarantined.len(), 9);
        assert!(explain(dir.path(), "0000.warc.gz").unwrap().quarantined.is_empty());
    }

    #[test]
    fn an_unknown_page_fails_with_hints() {
        let dir = made_run();
        let needle = "http://www.site3.example/page/0/3?a=1&b=<scr>".to_owned();
        let answer = explain(dir.path(), &needle).unwrap();
        assert_eq!(answer.similar_urls[0], "https://site3.example/page/0/3?a=1&b=<script>");
        let args = Args { run: dir.path().to_owned(), needle, json: false };
        assert_eq!(run(&args).unwrap(), 1);
        let nowhere = Args { run: dir.path().join("corpus"), needle: "x".to_owned(), json: false };
        assert_eq!(run(&nowhere).unwrap_err().exit_code(), 2);
    }
}
