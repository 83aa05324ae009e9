//! Bringing equal keys together: each task owns a range of keys and reads it from every part's run.

use std::path::PathBuf;

use super::catalog::{Catalog, tasks_for};
use super::observe::rows_path;
use super::records::{Key, Row};
use crate::document::Ordinal;
use crate::error::Result;
use crate::io::ranges::RunFile;
use crate::io::runs::{Record, RunSorter, Sorted};
use crate::stage::TaskEnv;

/// Rows that a grouping task takes, about, unless a test wants more tasks.
pub(super) const ROWS_PER_TASK: u64 = 1 << 20;
/// Rows between two looks at the cancel flag.
const CANCEL_ROWS: u64 = 1 << 14;

/// A row whose first field is a hash: what ranges are made of.
pub(super) trait Hashed: Record {
    /// The 64 most significant bits of the hash.
    fn high(&self) -> u64;
}

impl<K: Key> Hashed for Row<K> {
    fn high(&self) -> u64 {
        self.key.high()
    }
}

/// How the rows of a barrier are divided among tasks.
#[derive(Debug, Clone)]
pub(super) struct Grouping {
    pub(super) dir: PathBuf,
    pub(super) rows_per_task: u64,
}

impl Grouping {
    pub(super) fn tasks(&self) -> Result<u32> {
        Ok(tasks_for(Catalog::read(&self.dir)?.rows(), self.rows_per_task))
    }

    /// A scratch folder of this task's own.
    pub(super) fn scratch(&self, task: u32, what: &str) -> PathBuf {
        self.dir.join("scratch").join(format!("{what}-{task:05}"))
    }

    /// Walks over the rows of one task in order. `each` hears a key's documents in rising order; `true`
    /// marks the first of a key.
    pub(super) fn for_each<K: Key>(
        &self,
        task: u32,
        env: &TaskEnv,
        memory_bytes: u64,
        mut each: impl FnMut(bool, Ordinal) -> Result<()>,
    ) -> Result<u64> {
        let mut rows = 0_u64;
        let mut previous = None;
        for row in self.sorted::<Row<K>>(task, env, memory_bytes)? {
            let Row { key, ordinal } = row?;
            if rows.is_multiple_of(CANCEL_ROWS) {
                env.check_cancel()?;
            }
            rows += 1;
            each(previous != Some(key), ordinal)?;
            previous = Some(key);
        }
        Ok(rows)
    }

    /// The rows of one task in order.
    pub(super) fn sorted<R: Hashed>(&self, task: u32, env: &TaskEnv, memory_bytes: u64) -> Result<Sorted<R>> {
        let tasks = self.tasks()?;
        let (first, next) = (first_key(task, tasks), first_key(task + 1, tasks));
        let mut sorter = RunSorter::new(self.scratch(task, "rows"), memory_bytes);
        for part in Catalog::read(&self.dir)?.parts {
            env.check_cancel()?;
            let run = RunFile::<R>::open(rows_path(&self.dir, &part.name))?;
            let start = run.partition_point(|row| u128::from(row.high()) < first)?;
            let end = run.partition_point(|row| u128::from(row.high()) < next)?;
            for row in run.range(start, end)? {
                sorter.push(row?)?;
            }
        }
        sorter.finish()
    }
}

/// Smallest upper half of a key in the task's range; 2^64 for the one after the last.
fn first_key(task: u32, tasks: u32) -> u128 {
    (u128::from(task) << 64) / u128::from(tasks.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_every_key() {
        for tasks in [1, 3, 1024] {
            assert_eq!(first_key(0, tasks), 0);
            assert_eq!(first_key(tasks, tasks), 1 << 64);
        }
    }
}
