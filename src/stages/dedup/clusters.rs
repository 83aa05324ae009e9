//! From verified pairs to the documents that go: one task, in the order of the input.
//!
//! `direct` linkage walks over the documents in order and removes one where it is alike to an earlier
//! one that stays: nobody goes without a twin in the corpus, and no two documents that stay are linked.
//! Held: 16 bytes per removed document. `single` linkage closes the pairs transitively (union-find) and
//! keeps the first of each component. Held: 24 bytes per document that has an edge. Everything else is
//! streamed.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalog::Catalog;
use super::docs::DocStore;
use super::jaccard::{SetCache, overlap};
use super::records::{Edge, Gone};
use super::verify::{edges, edges_by_later};
use super::{pass_name, removals};
use crate::document::Ordinal;
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
        let mut removed: Vec<Ordinal> = Vec::new();
        edges_by_later(&self.dir, env, |later, edges| {
            let stays = |edge: &&Edge| removed.binary_search(&edge.pair.earlier).is_err();
            if let Some(Edge { pair, overlap }) = edges.iter().find(stays) {
                let (kept, overlap) = (pair.earlier, *overlap);
                list.add(Gone { removed: later, kept, cluster: kept, overlap })?;
                removed.push(later);
            }
            Ok(())
        })
    }

    fn single(&self, env: &TaskEnv, list: &mut GoneWriter) -> Result<()> {
        let mut forest = Forest::over(&self.dir, env)?;
        for edge in edges(&self.dir)? {
            let edge = edge?;
            forest.join(edge.pair.later, edge.pair.earlier);
        }
        let store = DocStore::open(&self.dir, Catalog::read(&self.dir)?)?;
        let mut sets = SetCache::new(store, env.memory_bytes / 4);
        for number in 0..forest.members.len() {
            env.check_cancel()?;
            let root = forest.root(number);
            if root != number {
                let (removed, kept) = (forest.members[number], forest.members[root]);
                let overlap = overlap(&sets.get(removed)?, &sets.get(kept)?);
                list.add(Gone { removed, kept, cluster: kept, overlap })?;
            }
        }
        Ok(())
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

/// Union-find whose roots are the smallest members.
struct Forest {
    members: Vec<Ordinal>,
    parents: Vec<usize>,
}

impl Forest {
    /// Every document with an edge, alone.
    fn over(dir: &Path, env: &TaskEnv) -> Result<Self> {
        let mut members: Vec<Ordinal> = Vec::new();
        let mut next_tidy = 1 << 16;
        for edge in edges(dir)? {
            let Edge { pair, .. } = edge?;
            if members.last() != Some(&pair.later) {
                members.push(pair.later);
            }
            members.push(pair.earlier);
            if members.len() >= next_tidy {
                env.check_cancel()?;
                members.sort_unstable();
                members.dedup();
                next_tidy = (members.len() * 2).max(1 << 16);
            }
        }
        members.sort_unstable();
        members.dedup();
        members.shrink_to_fit();
        Ok(Self { parents: (0..members.len()).collect(), members })
    }

    fn root(&mut self, mut member: usize) -> usize {
        while self.parents[member] != member {
            let above = self.parents[self.parents[member]];
            self.parents[member] = above;
            member = above;
        }
        member
    }

    fn join(&mut self, a: Ordinal, b: Ordinal) {
        if let (Ok(a), Ok(b)) = (self.members.binary_search(&a), self.members.binary_search(&b)) {
            let (a, b) = (self.root(a), self.root(b));
            self.parents[a.max(b)] = a.min(b);
        }
    }
}
