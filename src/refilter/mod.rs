//! Decides again about the corpus of a finished run, from the scores that its filters stored.
//!
//! Texts are not read to decide: of each Parquet file only the scores of filters whose options changed, the
//! stored verdicts, id, address, language, source and passed-through fields. A filter whose options did not
//! change keeps its stored verdict. A document goes at the first filter that it fails, as in a run.
//!
//! What this cannot do: bring back what the run dropped (`mode: drop` and deduplication), because no later
//! stage measured it; those that would pass now are counted. Deduplication is not done again either.

mod rows;
mod write;

use std::path::Path;

use rayon::prelude::*;

use self::rows::CorpusColumns;
use crate::document::{Document, Outcome, Reason};
use crate::error::{Error, Result};
use crate::pipeline::config::Mode;
use crate::pipeline::{Plan, Refilter};
use crate::report::rows::{RowTable, tables};
use crate::report::{Redecided, RedecidedStage};

pub use self::write::write;

/// What the filters say of one document, in their order: a reason or nothing.
type Verdicts = Vec<Option<Reason>>;

/// Decides about every document of the corpus and counts what changes.
///
/// # Errors
/// [`Error::User`] where a filter cannot decide from what is stored, else where a table cannot be read.
pub fn decide(run: &Path, plan: &Plan, filters: &[Refilter]) -> Result<Redecided> {
    let mut redecided = empty(plan, filters);
    let tallies: Vec<Redecided> = tables(run, "corpus")?
        .par_iter()
        .map(|path| {
            let mut tally = empty(plan, filters);
            verdicts_of(path, plan, filters, &mut tally, None)?;
            Ok(tally)
        })
        .collect::<Result<_>>()?;
    for tally in &tallies {
        add(&mut redecided, tally);
    }
    count_lost(run, filters, &mut redecided)?;
    Ok(redecided)
}

fn mode_name(mode: Mode) -> String {
    match mode {
        Mode::Drop => "drop",
        Mode::Annotate => "annotate",
        Mode::Sample => "sample",
    }
    .to_owned()
}

fn empty(plan: &Plan, filters: &[Refilter]) -> Redecided {
    let stage = |filter: &Refilter| RedecidedStage {
        stage: filter.id.clone(),
        mode_before: mode_name(filter.before.mode),
        mode: mode_name(filter.now.mode),
        changes: filter.changes.clone(),
        ..RedecidedStage::default()
    };
    Redecided {
        fingerprint: plan.fingerprint.clone(),
        stages: filters.iter().map(stage).collect(),
        ..Redecided::default()
    }
}

fn add(sum: &mut Redecided, tally: &Redecided) {
    sum.documents += tally.documents;
    sum.kept_before += tally.kept_before;
    sum.kept_now += tally.kept_now;
    sum.newly_kept += tally.newly_kept;
    sum.newly_dropped += tally.newly_dropped;
    for (mine, theirs) in sum.stages.iter_mut().zip(&tally.stages) {
        mine.failed_before += theirs.failed_before;
        mine.failed_now += theirs.failed_now;
        mine.newly_passing += theirs.newly_passing;
        mine.newly_failing += theirs.newly_failing;
    }
}

/// Decides about every row of a corpus file, counts, and appends the verdicts where they are wanted.
fn verdicts_of(
    path: &Path,
    plan: &Plan,
    filters: &[Refilter],
    tally: &mut Redecided,
    mut all: Option<&mut Vec<Verdicts>>,
) -> Result<()> {
    let table = RowTable::open(path)?;
    let columns = CorpusColumns::needed(plan, filters);
    for batch in table.scan(&columns.names())? {
        let (_, batch) = batch?;
        let rows = columns.rows(&batch, path)?;
        for row in 0..batch.num_rows() {
            let doc = rows.document(row);
            let (mut before, mut now) = (true, true);
            let mut verdicts = Verdicts::with_capacity(filters.len());
            for (filter, count) in filters.iter().zip(&mut tally.stages) {
                let stored = stored_verdict(filter, &doc, path)?;
                let failed = stored.is_some();
                let verdict = match &filter.stage {
                    Some(_) => redecide(filter, &doc, stored)?,
                    None => stored,
                };
                count.failed_before += u64::from(failed);
                count.failed_now += u64::from(verdict.is_some());
                count.newly_passing += u64::from(failed && verdict.is_none());
                count.newly_failing += u64::from(!failed && verdict.is_some());
                if filter.now.mode != Mode::Annotate {
                    before &= !failed;
                    now &= verdict.is_none();
                }
                verdicts.push(verdict);
            }
            tally.documents += 1;
            tally.kept_before += u64::from(before);
            tally.kept_now += u64::from(now);
            tally.newly_kept += u64::from(now && !before);
            tally.newly_dropped += u64::from(before && !now);
            if let Some(all) = &mut all {
                all.push(verdicts);
            }
        }
    }
    Ok(())
}

/// The reason that the run stored.
fn stored_verdict(filter: &Refilter, doc: &Document, path: &Path) -> Result<Option<Reason>> {
    let Some((_, reason)) = doc.verdicts.iter().find(|(stage, _)| *stage == filter.id) else {
        return Ok(None);
    };
    match filter.spec.reasons.iter().find(|(name, _)| name == reason) {
        Some((name, _)) => Ok(Some(Reason::new(name))),
        None => Err(Error::damaged(path, format!("`{}` has no reason `{reason}`", filter.id))),
    }
}

/// The verdict of the new options; `stored` is that of the run.
fn redecide(filter: &Refilter, doc: &Document, stored: Option<Reason>) -> Result<Option<Reason>> {
    match filter.stage.as_ref().and_then(|stage| stage.redecide(doc, &filter.id)) {
        Some(Outcome::Drop(reason)) => Ok(Some(reason)),
        Some(Outcome::Keep | Outcome::Changed) => Ok(None),
        // What was never measured, or failed another check than one of a score (an empty page, a word that bans
        // it), was decided without the options that may differ.
        None if decided_without_scores(filter, doc, stored.as_ref()) => Ok(stored),
        None => Err(Error::User(format!(
            "`{}` cannot decide again about document `{}` from what the run stored of it\n = hint: leave its options as they were, or run the pipeline again",
            filter.id, doc.id
        ))),
    }
}

fn decided_without_scores(filter: &Refilter, doc: &Document, stored: Option<&Reason>) -> bool {
    let measured = doc.scores.iter().any(|(name, _)| rows::is_of(name, &filter.id));
    let of_limit = |reason: &Reason| filter.spec.limits.iter().any(|limit| limit.reason == reason.name);
    !measured || stored.is_some_and(|reason| !of_limit(reason))
}

/// Counts the documents that a filter with changed options dropped in the run and would let pass now.
fn count_lost(run: &Path, filters: &[Refilter], redecided: &mut Redecided) -> Result<()> {
    let changed = |filter: &Refilter| filter.stage.is_some() && filter.before.mode != Mode::Annotate;
    if !filters.iter().any(changed) {
        return Ok(());
    }
    for path in tables(run, "rejects")? {
        let place = |stage: &str| filters.iter().position(|filter| filter.id == stage && changed(filter));
        rows::each_reject(
            &path,
            |stage| place(stage).is_some(),
            |stage, doc| {
                let Some(place) = place(stage) else { return Ok(()) };
                let stored = stored_verdict(&filters[place], doc, &path)?;
                redecided.stages[place].lost += u64::from(redecide(&filters[place], doc, stored)?.is_none());
                Ok(())
            },
        )?;
    }
    Ok(())
}
