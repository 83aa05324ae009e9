//! Writes what the new options keep and drop: `corpus/`, `rejects/` and a report, shaped as a run leaves them.
//!
//! One corpus file after the other gives one file of each kind: first its verdicts are decided from the narrow
//! columns, then its rows are copied. Rejects get the text as the corpus has it, where a run would have written
//! it as the dropping stage saw it. What the run itself dropped is not written again.

use std::path::Path;

use rayon::prelude::*;

use super::rows::{CorpusColumns, is_of};
use super::{Verdicts, add, count_lost, empty, mode_name, verdicts_of};
use crate::document::{Document, Reason};
use crate::engine;
use crate::error::{Error, Result};
use crate::pipeline::config::{Mode, Rejects};
use crate::pipeline::{Plan, Refilter};
use crate::report::rows::{RowTable, tables};
use crate::report::{Redecided, RunSummary, StageInfo, limits_of};
use crate::stage::{Flow, Histogram, StageStats, TaskReport};
use crate::stages::write::{CorpusWriter, RejectsWriter};

/// Decides as [`super::decide`] does and writes the result into a folder that is absent or empty. The report
/// is written last: a folder without one is what an interrupted command left.
///
/// # Errors
/// [`Error::User`] where the folder holds something or a filter cannot decide, else where tables cannot be
/// read or written.
pub fn write(run: &Path, plan: &Plan, filters: &[Refilter], target: &Path) -> Result<Redecided> {
    if crate::io::folders::is_dir(target) && !crate::io::folders::entries(target)?.is_empty() {
        let target = target.display();
        return Err(Error::User(format!(
            "`{target}` is not empty\n = hint: name a new folder, or remove that one"
        )));
    }
    let parts: Vec<(Redecided, TaskReport)> = tables(run, "corpus")?
        .par_iter()
        .map(|path| write_part(path, plan, filters, target))
        .collect::<Result<_>>()?;
    let mut redecided = empty(plan, filters);
    let mut total = TaskReport { stages: blank_stats(filters), ..TaskReport::default() };
    for (tally, counts) in &parts {
        add(&mut redecided, tally);
        total.merge(counts);
    }
    count_lost(run, filters, &mut redecided)?;
    let summary = RunSummary {
        name: plan.name.clone(),
        fingerprint: plan.fingerprint.clone(),
        stages: infos(filters),
        total,
        redecided: Some(redecided.clone()),
        ..RunSummary::default()
    };
    crate::report::write(target, &summary)?;
    Ok(redecided)
}

fn infos(filters: &[Refilter]) -> Vec<StageInfo> {
    let read = StageInfo {
        name: "read".to_owned(),
        kind: "read".to_owned(),
        summary: "Documents of the corpus that was decided about again.".to_owned(),
        mode: "drop".to_owned(),
        limits: Vec::new(),
        sets: Vec::new(),
    };
    let info = |filter: &Refilter| StageInfo {
        name: filter.id.clone(),
        kind: "filter".to_owned(),
        summary: filter.spec.summary.to_owned(),
        mode: mode_name(filter.now.mode),
        limits: limits_of(filter.spec, &filter.id, &filter.options),
        sets: Vec::new(),
    };
    std::iter::once(read).chain(filters.iter().map(info)).collect()
}

/// One entry for what was read, then one per filter.
fn blank_stats(filters: &[Refilter]) -> Vec<StageStats> {
    let names = std::iter::once("read").chain(filters.iter().map(|filter| filter.id.as_str()));
    names.map(|name| StageStats { name: name.to_owned(), ..StageStats::default() }).collect()
}

fn write_part(
    path: &Path,
    plan: &Plan,
    filters: &[Refilter],
    target: &Path,
) -> Result<(Redecided, TaskReport)> {
    let mut tally = empty(plan, filters);
    let mut verdicts = Vec::new();
    verdicts_of(path, plan, filters, &mut tally, Some(&mut verdicts))?;
    let mut verdicts = verdicts.into_iter();
    let name = path.file_name().unwrap_or_default();
    let mut corpus = CorpusWriter::create(target.join("corpus").join(name), &plan.corpus)?;
    let keep_texts = plan.output.rejects == Rejects::Full;
    let mut rejects = RejectsWriter::create(target.join("rejects").join(name), keep_texts)?;
    let mut stats = blank_stats(filters);
    let columns = CorpusColumns::all(plan);
    for batch in RowTable::open(path)?.scan_all()? {
        let (_, batch) = batch?;
        let rows = columns.rows(&batch, path)?;
        for row in 0..batch.num_rows() {
            let mut doc = rows.document(row);
            let all = verdicts.next().ok_or_else(|| Error::damaged(path, "it changed while it was read"))?;
            let Some((place, reason)) = follow(&doc, filters, &all, &mut stats) else {
                let marks: Vec<(&str, Option<&str>)> = filters
                    .iter()
                    .zip(&all)
                    .map(|(filter, verdict)| (filter.id.as_str(), verdict.as_ref().map(|reason| reason.name)))
                    .collect();
                corpus.copy(&batch, row, &marks)?;
                continue;
            };
            let filter = &filters[place];
            let keep_text = keep_texts
                && (filter.now.mode != Mode::Sample || engine::is_sampled(&doc.id, filter.now.sample_ratio));
            as_dropped(&mut doc, plan, filters, &all, place);
            rejects.write_with_text(&doc, &filter.id, &reason, keep_text)?;
        }
    }
    corpus.finish()?;
    rejects.finish()?;
    Ok((tally, TaskReport { stages: stats, ..TaskReport::default() }))
}

/// Takes a document through the filters and counts it as a run would; returns the filter that drops it.
fn follow(
    doc: &Document,
    filters: &[Refilter],
    verdicts: &Verdicts,
    stats: &mut [StageStats],
) -> Option<(usize, Reason)> {
    let bytes = doc.text.len() as u64;
    let enter = |stats: &mut StageStats, dropped: bool, stays: bool| {
        stats.docs_in += 1;
        stats.bytes_in += bytes;
        if stays {
            stats.docs_out += 1;
            stats.bytes_out += bytes;
        }
        Flow::count(&mut stats.by_language, doc.language.as_deref().unwrap_or("unknown"), dropped);
        Flow::count(&mut stats.by_source, &doc.source, dropped);
    };
    let (read, stages) = stats.split_first_mut()?;
    enter(read, false, true);
    for (place, ((filter, verdict), stats)) in filters.iter().zip(verdicts).zip(stages).enumerate() {
        count_scores(doc, filter, stats);
        let drops = verdict.is_some() && filter.now.mode != Mode::Annotate;
        enter(stats, verdict.is_some(), !drops);
        if let Some(reason) = verdict {
            *stats.reasons.entry(reason.name.to_owned()).or_default() += 1;
            if drops {
                return Some((place, with_value(reason, doc, filter)));
            }
        }
    }
    None
}

fn count_scores(doc: &Document, filter: &Refilter, stats: &mut StageStats) {
    for spec in filter.spec.scores {
        let full = format!("{}.{}", filter.id, spec.name);
        let Some((_, value)) = doc.scores.iter().find(|(name, _)| *name == full) else { continue };
        stats.histograms.entry(full).or_insert_with(|| Histogram::new(spec.min, spec.max)).add(*value);
        for (limit, bound) in filter.spec.limits_in(filter.options_for(doc.language.as_deref())) {
            if limit.score == spec.name {
                let beyond = stats.beyond.entry(limit.option.to_owned()).or_default();
                *beyond += u64::from(limit.fails.fails(*value, bound));
            }
        }
    }
}

/// A stored verdict has only its name; value and limit follow from the scores.
fn with_value(reason: &Reason, doc: &Document, filter: &Refilter) -> Reason {
    if filter.stage.is_some() {
        return reason.clone();
    }
    let limits = filter.spec.limits_in(filter.options_for(doc.language.as_deref()));
    let found =
        limits.into_iter().filter(|(limit, _)| limit.reason == reason.name).find_map(|(limit, bound)| {
            let full = format!("{}.{}", filter.id, limit.score);
            let (_, value) = doc.scores.iter().find(|(name, _)| *name == full)?;
            limit.fails.fails(*value, bound).then(|| Reason::measured(reason.name, *value, bound))
        });
    found.unwrap_or_else(|| reason.clone())
}

/// Leaves the scores and marks that the document would have had when that filter dropped it.
fn as_dropped(doc: &mut Document, plan: &Plan, filters: &[Refilter], verdicts: &Verdicts, place: usize) {
    let by = &filters[place].id;
    let until = plan.stages.iter().position(|stage| stage.id == *by).unwrap_or(plan.stages.len());
    let later = plan.stages.get(until + 1..).unwrap_or_default();
    doc.scores.retain(|(name, _)| !later.iter().any(|stage| is_of(name, &stage.id)));
    let marks = filters.iter().zip(verdicts).take(place);
    doc.verdicts = marks
        .filter_map(|(filter, verdict)| Some((filter.id.clone(), verdict.as_ref()?.name.to_owned())))
        .collect();
}
