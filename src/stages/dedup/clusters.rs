//! From verified pairs to the documents that go: one task, in the order of the input, in bounded memory.
//!
//! `direct` linkage walks over the documents in order and removes one where it is alike to an earlier
//! one that stays: nobody goes without a twin in the corpus, and no two documents that stay are linked.
//! `single` linkage closes the pairs transitively and keeps the first of each component. What either
//! needs to know of other documents is held up to a share of the budget and then passed on through
//! sorted files: see [`Removed`] and [`components`].

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalog::Catalog;
use super::components::components;
use super::docs::DocStore;
use super::jaccard::{SetCache, overlap};
use super::records::{Edge, Gone};
use super::removed::Removed;
use super::verify::{edges, edges_by_later};
use super::{pass_name, removals};
use crate::error::Result;
use crate::io::AtomicFile;
use crate::io::runs::Record;
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
}

impl ClusterPass {
    pub(super) fn new(dir: &Path, linkage: Linkage) -> Self {
        Self { name: pass_name(dir, "clusters"), dir: dir.to_path_buf(), linkage }
    }

    fn direct(&self, env: &TaskEnv, list: &mut GoneWriter) -> Result<()> {
        let pairs = || Ok(edges(&self.dir)?.map(|edge| edge.map(|edge| edge.pair)));
        let mut removed = Removed::new(pairs, &self.scratch(), env.memory_bytes / 2);
        edges_by_later(&self.dir, env, |later, edges| {
            for Edge { pair, overlap } in edges {
                if !removed.contains(*pair)? {
                    let (kept, overlap) = (pair.earlier, *overlap);
                    list.add(Gone { removed: later, kept, cluster: kept, overlap })?;
                    return removed.insert(later);
                }
            }
            Ok(())
        })
    }

    fn single(&self, env: &TaskEnv, list: &mut GoneWriter) -> Result<()> {
        let catalog = Catalog::read(&self.dir)?;
        let own_split = catalog.own_split();
        let store = DocStore::open(catalog)?;
        let mut sets = SetCache::new(store, env.memory_bytes / 4);
        let pairs = edges(&self.dir)?.map(|edge| edge.map(|edge| edge.pair));
        components(pairs, &self.scratch(), env.memory_bytes / 2, env, |removed, kept| {
            // Two documents of earlier runs that a new one connects stay where they are.
            if removed.split < own_split {
                return Ok(());
            }
            let overlap = overlap(&sets.get(removed)?, &sets.get(kept)?);
            list.add(Gone { removed, kept, cluster: kept, overlap })
        })?;
        Ok(())
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
        match self.linkage {
            Linkage::Direct => self.direct(env, &mut list)?,
            Linkage::Single => self.single(env, &mut list)?,
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
