//! From verified pairs to the documents that go: one task, in the order of the input, in bounded memory.
//!
//! `direct` linkage walks over the documents in order and removes one where it is alike to an earlier
//! one that stays: nobody goes without a twin in the corpus, and no two documents that stay are linked.
//! `single` linkage closes the pairs transitively and keeps the first of each component. What either
//! needs to know of other documents is held up to a share of the budget and then passed on through
//! sorted files: see [`Removed`] and [`components`]. Where another than the first stays, the order is that of [`Ranking`].

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalog::Catalog;
use super::components::components;
use super::docs::DocStore;
use super::jaccard::{Contents, SetCache};
use super::ranking::Ranking;
use super::records::{Edge, Gone, Overlap};
use super::removed::Removed;
use super::verify::{edges, edges_by_later};
use super::{pass_name, removals};
use crate::document::Ordinal;
use crate::error::Result;
use crate::io::AtomicFile;
use crate::io::runs::{Record, RunSorter};
use crate::stage::{Pass, TaskEnv, TaskReport};

/// Which pairs of a cluster have to be alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Linkage {
    /// Every removed document is alike to the one that is kept for it. A chain (A like B, B like C, but A
    /// not like C) loses B only.
    Direct,
    /// Whatever is connected by any chain of alike pairs is one cluster, of which the first document
    /// stays. Removes more; the recorded similarity to the kept document can be below `min_jaccard`.
    Single,
}

/// Decides who stays.
pub(super) struct ClusterPass {
    name: String,
    dir: PathBuf,
    linkage: Linkage,
    contents: Contents,
}

/// Verified pairs, sorted.
type Edges = Box<dyn Iterator<Item = Result<Edge>>>;

impl ClusterPass {
    pub(super) fn new(dir: &Path, linkage: Linkage, contents: Contents) -> Self {
        Self { name: pass_name(dir, "clusters"), dir: dir.to_path_buf(), linkage, contents }
    }

    /// The pairs in the order in which it is decided.
    fn edges(&self, ranking: Option<&Ranking>) -> Result<Edges> {
        Ok(match ranking {
            Some(ranking) => Box::new(ranking.edges()?),
            None => Box::new(edges(&self.dir)?),
        })
    }

    fn direct(
        &self,
        ranking: Option<&Ranking>,
        env: &TaskEnv,
        each: &mut dyn FnMut(Gone) -> Result<()>,
    ) -> Result<()> {
        let pairs = || Ok(self.edges(ranking)?.map(|edge| edge.map(|edge| edge.pair)));
        let mut removed = Removed::new(pairs, &self.scratch(), env.memory_bytes / 2);
        edges_by_later(self.edges(ranking)?, env, |later, edges| {
            for Edge { pair, overlap } in edges {
                if !removed.contains(*pair)? {
                    let (kept, overlap) = (pair.earlier, *overlap);
                    each(Gone { removed: later, kept, cluster: kept, overlap })?;
                    return removed.insert(later);
                }
            }
            Ok(())
        })
    }

    fn single(
        &self,
        ranking: Option<&Ranking>,
        env: &TaskEnv,
        each: &mut dyn FnMut(Gone) -> Result<()>,
    ) -> Result<()> {
        let catalog = Catalog::read(&self.dir)?;
        let own_split = catalog.own_split();
        let mut sets = SetCache::new(DocStore::open(catalog)?, self.contents, env.memory_bytes / 4);
        let document = |place: Ordinal| ranking.map_or(Ok(place), |ranking| ranking.document(place));
        let pairs = self.edges(ranking)?.map(|edge| edge.map(|edge| edge.pair));
        components(pairs, &self.scratch(), env.memory_bytes / 2, env, |removed, kept| {
            // Two documents of earlier runs that a new one connects stay where they are.
            if ranking.is_none() && removed.split < own_split {
                return Ok(());
            }
            let (of_removed, of_kept) = (sets.get(document(removed)?)?, sets.get(document(kept)?)?);
            let overlap = self.contents.overlap_from(&of_removed, &of_kept, 0.0);
            let overlap = overlap.unwrap_or(Overlap { shared: 0, union: 0 });
            each(Gone { removed, kept, cluster: kept, overlap })
        })?;
        Ok(())
    }

    fn decide(
        &self,
        ranking: Option<&Ranking>,
        env: &TaskEnv,
        each: &mut dyn FnMut(Gone) -> Result<()>,
    ) -> Result<()> {
        match self.linkage {
            Linkage::Direct => self.direct(ranking, env, each),
            Linkage::Single => self.single(ranking, env, each),
        }
    }

    fn scratch(&self) -> PathBuf {
        self.dir.join("scratch").join("clusters")
    }
}

impl Pass for ClusterPass {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        Ok(1)
    }

    fn run(&self, _task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let mut list = GoneWriter::create(&self.dir)?;
        if self.contents.is_ranked {
            let mut docs = DocStore::open(Catalog::read(&self.dir)?)?;
            let ranking = Ranking::make(|| edges(&self.dir), &mut docs, &self.scratch(), env)?;
            let mut sorter = RunSorter::new(self.scratch().join("gone"), env.memory_bytes / 8);
            self.decide(Some(&ranking), env, &mut |gone| sorter.push(ranking.named(gone)?))?;
            for gone in sorter.finish()? {
                list.add(gone?)?;
            }
        } else {
            self.decide(None, env, &mut |gone| list.add(gone))?;
        }
        let removed = list.finish()?;
        let mut report = TaskReport::default();
        report.counts.insert("removed".to_owned(), removed);
        Ok(report)
    }
}

/// Writes the list of documents that go; they come in rising order.
struct GoneWriter {
    out: AtomicFile,
    bytes: Vec<u8>,
    count: u64,
}

impl GoneWriter {
    fn create(dir: &Path) -> Result<Self> {
        Ok(Self { out: AtomicFile::create(removals::path(dir))?, bytes: Vec::new(), count: 0 })
    }

    fn add(&mut self, gone: Gone) -> Result<()> {
        self.bytes.clear();
        gone.encode(&mut self.bytes);
        self.count += 1;
        self.out.write(&self.bytes)
    }

    fn finish(self) -> Result<u64> {
        self.out.commit()?;
        Ok(self.count)
    }
}
