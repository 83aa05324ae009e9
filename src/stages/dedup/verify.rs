//! Two passes: candidates (documents that share a band) and their verification by Jaccard similarity.
//!
//! Verification is ordered by the later document: each task owns a range of places, so a pair that
//! several bands brought together is measured once, and the edges of all tasks, one after another, are
//! sorted by the document they speak against.

use std::path::{Path, PathBuf};

use super::buckets::Bucket;
use super::catalog::{Catalog, tasks_for};
use super::docs::DocStore;
use super::groups::Grouping;
use super::jaccard::{Contents, SetCache};
use super::pass_name;
use super::records::{Edge, Key, Pair};
use crate::document::Ordinal;
use crate::error::Result;
use crate::io;
use crate::io::ranges::RunFile;
use crate::io::runs::{self, Record, RunSorter, Sorted};
use crate::stage::{Pass, TaskEnv, TaskReport};

/// Pairs that a verifying task takes, about, unless a test wants more tasks.
pub(super) const PAIRS_PER_TASK: u64 = 1 << 18;

fn pairs_folder(dir: &Path) -> PathBuf {
    dir.join("pairs")
}

/// Folder of the verified pairs, one run per task, sorted as a whole.
pub(super) fn edges_folder(dir: &Path) -> PathBuf {
    dir.join("edges")
}

/// Lists pairs of documents that share a band, each once per task.
pub(super) struct CandidatePass<K> {
    name: String,
    grouping: Grouping,
    contents: Contents,
    min_jaccard: f64,
    marker: std::marker::PhantomData<fn() -> K>,
}

impl<K: Key> CandidatePass<K> {
    pub(super) fn new(grouping: Grouping, contents: Contents, min_jaccard: f64) -> Self {
        let name = pass_name(&grouping.dir, "candidates");
        Self { name, grouping, contents, min_jaccard, marker: std::marker::PhantomData }
    }
}

impl<K: Key> Pass for CandidatePass<K> {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        self.grouping.tasks()
    }

    fn run(&self, task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let share = env.memory_bytes / 6;
        let dir = &self.grouping.dir;
        let catalog = Catalog::read(dir)?;
        let own_split = catalog.own_split();
        let mut sets = SetCache::new(DocStore::open(catalog)?, self.contents, share);
        let mut sorter = RunSorter::new(self.grouping.scratch(task, "pairs"), share);
        let mut emit = |pair: Pair| sorter.push(pair);
        let mut bucket = Bucket::new(self.min_jaccard, own_split, &mut sets);
        self.grouping.for_each::<K>(task, env, share, |first, ordinal| {
            if first {
                bucket.close(&mut emit)?;
            }
            bucket.add(ordinal, &mut emit)
        })?;
        bucket.close(&mut emit)?;
        let (largest, shared) = (bucket.largest, bucket.shared);
        let path = pairs_folder(dir).join(format!("{task:05}.run"));
        let pairs = write_distinct(&path, sorter.finish()?)?;
        let mut report = TaskReport::default();
        report.counts.insert("shared_buckets".to_owned(), shared);
        report.counts.insert("candidate_pairs".to_owned(), pairs);
        if largest > super::buckets::MAX_PAIRED as u64 {
            report.counts.insert("large_bucket_tasks".to_owned(), 1);
        }
        Ok(report)
    }
}

/// Measures candidate pairs and keeps those that are alike.
pub(super) struct VerifyPass {
    name: String,
    dir: PathBuf,
    contents: Contents,
    min_jaccard: f64,
    pairs_per_task: u64,
}

impl VerifyPass {
    pub(super) fn new(dir: &Path, contents: Contents, min_jaccard: f64, pairs_per_task: u64) -> Self {
        let name = pass_name(dir, "verify");
        Self { name, dir: dir.to_path_buf(), contents, min_jaccard, pairs_per_task }
    }

    /// Pairs whose later document lies in the task's range, in order, with repeats.
    fn pairs(&self, task: u32, catalog: &Catalog, env: &TaskEnv, memory_bytes: u64) -> Result<Sorted<Pair>> {
        let starts = catalog.ordinal_ranges(self.tasks()?)?;
        let first = starts[task as usize];
        let next = starts.get(task as usize + 1).copied();
        let scratch = self.dir.join("scratch").join(format!("verify-{task:05}"));
        let mut sorter = RunSorter::new(scratch, memory_bytes);
        for path in io::list(pairs_folder(&self.dir), ".run")? {
            env.check_cancel()?;
            let run = RunFile::<Pair>::open(path)?;
            let start = run.partition_point(|pair| pair.later < first)?;
            let end = run.partition_point(|pair| next.is_none_or(|next| pair.later < next))?;
            for pair in run.range(start, end)? {
                sorter.push(pair?)?;
            }
        }
        sorter.finish()
    }
}

impl Pass for VerifyPass {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        let mut bytes = 0;
        for path in io::list(pairs_folder(&self.dir), ".run")? {
            bytes += io::size_of(path)?;
        }
        Ok(tasks_for(bytes / Pair::BYTES as u64, self.pairs_per_task))
    }

    fn run(&self, task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let catalog = Catalog::read(&self.dir)?;
        let pairs = self.pairs(task, &catalog, env, env.memory_bytes / 6)?;
        let mut sets = SetCache::new(DocStore::open(catalog)?, self.contents, env.memory_bytes / 4);
        let mut measured = 0_u64;
        let mut edges = 0_u64;
        let mut last: Option<(Pair, std::sync::Arc<[u32]>)> = None;
        let mut measure = |pair: Pair| -> Result<Option<Edge>> {
            if measured.is_multiple_of(1024) {
                env.check_cancel()?;
            }
            let set = match last.take() {
                Some((before, set)) if before.later == pair.later => set,
                _ => sets.get(pair.later)?,
            };
            measured += 1;
            let found = self.contents.overlap_from(&set, &sets.get(pair.earlier)?, self.min_jaccard);
            last = Some((pair, set));
            edges += u64::from(found.is_some());
            Ok(found.map(|overlap| Edge { pair, overlap }))
        };
        let verified = distinct(pairs).filter_map(|pair| pair.and_then(&mut measure).transpose());
        runs::write_sorted(&edges_folder(&self.dir).join(format!("{task:05}.run")), verified)?;
        let mut report = TaskReport::default();
        report.counts.insert("measured_pairs".to_owned(), measured);
        report.counts.insert("edges".to_owned(), edges);
        Ok(report)
    }
}

/// Equal neighbours once; an error ends nothing here, the reader of the stream stops at it.
fn distinct<R: Record>(records: impl Iterator<Item = Result<R>>) -> impl Iterator<Item = Result<R>> {
    let mut last = None;
    records.filter(move |record| match record {
        Ok(record) if last == Some(*record) => false,
        Ok(record) => {
            last = Some(*record);
            true
        }
        Err(_) => true,
    })
}

fn write_distinct<R: Record>(path: &Path, records: impl Iterator<Item = Result<R>>) -> Result<u64> {
    let mut written = 0;
    runs::write_sorted(path, distinct(records).inspect(|_| written += 1))?;
    Ok(written)
}

/// All verified pairs, sorted by the later document.
pub(super) fn edges(dir: &Path) -> Result<impl Iterator<Item = Result<Edge>> + use<>> {
    let paths = io::list(edges_folder(dir), ".run")?;
    Ok(paths.into_iter().flat_map(|path| match runs::RunReader::<Edge>::open(path) {
        Ok(run) => Box::new(run) as Box<dyn Iterator<Item = Result<Edge>>>,
        Err(error) => Box::new(std::iter::once(Err(error))),
    }))
}

/// Edges in groups that speak against the same document.
pub(super) fn edges_by_later(
    edges: impl Iterator<Item = Result<Edge>>,
    env: &TaskEnv,
    mut each: impl FnMut(Ordinal, &[Edge]) -> Result<()>,
) -> Result<()> {
    let mut group: Vec<Edge> = Vec::new();
    for edge in edges {
        let edge = edge?;
        if let Some(last) = group.last()
            && last.pair.later != edge.pair.later
        {
            env.check_cancel()?;
            each(last.pair.later, &group)?;
            group.clear();
        }
        group.push(edge);
    }
    match group.last() {
        Some(last) => each(last.pair.later, &group),
        None => Ok(()),
    }
}
