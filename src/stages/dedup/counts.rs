//! `keep_counts`: how many documents each one that stays stands for, itself counted.
//!
//! One task sorts the list of removals by the document that stays; [`Removals`](crate::stage::Removals) read the counts along
//! with the documents.

use std::path::{Path, PathBuf};

use super::records::{ORDINAL_BYTES, put_ordinal, take_ordinal, take_u64};
use super::{pass_name, removals};
use crate::document::Ordinal;
use crate::error::Result;
use crate::io::runs::{self, Record, RunReader, RunSorter};
use crate::stage::{Pass, ScoreSpec, TaskEnv, TaskReport};

/// The score that the stage adds.
pub(super) const COPIES: ScoreSpec = ScoreSpec {
    name: "copies",
    doc: "documents that this one stands for, itself counted; only with `keep_counts: true`",
    min: 1.0,
    max: 21.0,
};

/// How many documents went for one that stays; in the order of the documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Count {
    pub(super) kept: Ordinal,
    pub(super) removed: u64,
}

impl Record for Count {
    const BYTES: usize = ORDINAL_BYTES + 8;
    fn encode(&self, out: &mut Vec<u8>) {
        put_ordinal(self.kept, out);
        out.extend_from_slice(&self.removed.to_le_bytes());
    }
    fn decode(bytes: &[u8]) -> Self {
        Self { kept: take_ordinal(bytes, 0), removed: take_u64(bytes, ORDINAL_BYTES) }
    }
}

/// Path of the counts.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("counts.run")
}

/// Counts the removals of each document that stays.
pub(super) struct CountPass {
    name: String,
    dir: PathBuf,
}

impl CountPass {
    pub(super) fn new(dir: &Path) -> Self {
        Self { name: pass_name(dir, "counts"), dir: dir.to_path_buf() }
    }
}

impl Pass for CountPass {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        Ok(1)
    }

    fn run(&self, _task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let mut sorter = RunSorter::new(self.dir.join("scratch").join("counts"), env.memory_bytes / 3);
        for gone in RunReader::open(removals::path(&self.dir))? {
            let gone: super::records::Gone = gone?;
            sorter.push(Count { kept: gone.kept, removed: 1 })?;
        }
        env.check_cancel()?;
        let mut ones = sorter.finish()?.peekable();
        let counts = std::iter::from_fn(|| {
            let mut count = match ones.next()? {
                Ok(count) => count,
                Err(error) => return Some(Err(error)),
            };
            while ones.next_if(|next| next.as_ref().is_ok_and(|next| next.kept == count.kept)).is_some() {
                count.removed += 1;
            }
            Some(Ok(count))
        });
        runs::write_sorted(&path(&self.dir), counts)?;
        Ok(TaskReport::default())
    }
}
