//! Bringing equal keys together: each task owns a range of keys and reads it from every part's run.
//!
//! With very many parts (10^10 pages are a million) each task would open as many files to read a few rows from each.
//! So above [`GATHER_ABOVE`] parts a pass before it merges the runs of [`GATHERED`] parts into one.

use std::path::{Path, PathBuf};

use super::catalog::{Catalog, Part, tasks_for};
use super::docs;
use super::observe::rows_path;
use super::pass_name;
use super::records::{Key, Row};
use crate::document::Ordinal;
use crate::error::{Error, Result};
use crate::io::ranges::RunFile;
use crate::io::runs::{self, Record, RunSorter, Sorted};
use crate::stage::{Pass, TaskEnv, TaskReport};

/// Rows that a grouping task takes, about, unless a test wants more tasks.
pub(super) const ROWS_PER_TASK: u64 = 1 << 20;
/// Parts above which their runs are gathered first, unless a test wants it earlier.
pub(super) const GATHER_ABOVE: u64 = 1024;
/// Parts whose runs are gathered into one.
const GATHERED: u64 = 256;
/// Rows between two looks at the cancel flag.
const CANCEL_ROWS: u64 = 1 << 14;

/// A row whose first field is a hash: what ranges are made of.
pub(super) trait Hashed: Record {
    /// The 64 most significant bits of the hash.
    fn high(&self) -> u64;

    /// The place of its document.
    fn document_mut(&mut self) -> &mut Ordinal;
}

impl<K: Key> Hashed for Row<K> {
    fn high(&self) -> u64 {
        self.key.high()
    }

    fn document_mut(&mut self) -> &mut Ordinal {
        &mut self.ordinal
    }
}

/// How the rows of a barrier are divided among tasks.
#[derive(Debug, Clone)]
pub(super) struct Grouping {
    pub(super) dir: PathBuf,
    pub(super) rows_per_task: u64,
    pub(super) gather_above: u64,
}

impl Grouping {
    pub(super) fn new(dir: &Path, rows_per_task: u64) -> Self {
        Self { dir: dir.to_path_buf(), rows_per_task, gather_above: GATHER_ABOVE }
    }

    /// Runs of parts that are gathered into one, none where there are few parts: numbers in the list of parts.
    fn gathered(&self, catalog: &Catalog) -> Vec<std::ops::Range<u64>> {
        let mut ranges = Vec::new();
        let mut first = 0;
        for folder in catalog.folders.iter().filter(|_| catalog.parts > self.gather_above) {
            let end = first + folder.parts;
            while first < end {
                let next = (first + GATHERED).min(end);
                ranges.push(first..next);
                first = next;
            }
        }
        ranges
    }

    fn gathered_path(&self, number: usize) -> PathBuf {
        self.dir.join("rows").join(format!("{number:06}.rows"))
    }

    /// Every run of rows, with what is added to the splits in it.
    fn runs(&self, catalog: &Catalog) -> Result<Vec<(PathBuf, u32)>> {
        let parts = catalog.parts()?;
        let gathered = self.gathered(catalog);
        if gathered.is_empty() {
            return parts
                .range(0, u64::MAX)?
                .map(|part| part.and_then(|part| run_of(catalog, part)))
                .collect();
        }
        let run = |(number, range): (usize, &std::ops::Range<u64>)| {
            Ok((self.gathered_path(number), catalog.folder(parts.get(range.start)?.folder)?.1))
        };
        gathered.iter().enumerate().map(run).collect()
    }

    pub(super) fn tasks(&self) -> Result<u32> {
        Ok(tasks_for(Catalog::read(&self.dir)?.rows, self.rows_per_task))
    }

    /// A scratch folder of this task's own.
    pub(super) fn scratch(&self, task: u32, what: &str) -> PathBuf {
        self.dir.join("scratch").join(format!("{what}-{task:05}"))
    }

    /// Walks over the rows of one task in order. `each` hears a key's documents in rising order, of ranked keys the best first; `true`
    /// marks the first of a key.
    pub(super) fn for_each<K: Key>(
        &self,
        task: u32,
        env: &TaskEnv,
        memory_bytes: u64,
        mut each: impl FnMut(bool, Ordinal) -> Result<()>,
    ) -> Result<u64> {
        let mut rows = 0_u64;
        let mut previous: Option<K> = None;
        for row in self.sorted::<Row<K>>(task, env, memory_bytes)? {
            let Row { key, ordinal } = row?;
            if rows.is_multiple_of(CANCEL_ROWS) {
                env.check_cancel()?;
            }
            rows += 1;
            each(previous.is_none_or(|previous| !previous.is_same(key)), ordinal)?;
            previous = Some(key);
        }
        Ok(rows)
    }

    /// The rows of one task in order.
    pub(super) fn sorted<R: Hashed>(&self, task: u32, env: &TaskEnv, memory_bytes: u64) -> Result<Sorted<R>> {
        let tasks = self.tasks()?;
        let (first, next) = (first_key(task, tasks), first_key(task + 1, tasks));
        let mut sorter = RunSorter::new(self.scratch(task, "rows"), memory_bytes);
        for (path, base) in self.runs(&Catalog::read(&self.dir)?)? {
            env.check_cancel()?;
            let run = RunFile::<R>::open(path)?;
            let start = run.partition_point(|row| u128::from(row.high()) < first)?;
            let end = run.partition_point(|row| u128::from(row.high()) < next)?;
            for row in run.range(start, end)? {
                let mut row = row?;
                row.document_mut().split += base;
                sorter.push(row)?;
            }
        }
        sorter.finish()
    }
}

fn run_of(catalog: &Catalog, part: Part) -> Result<(PathBuf, u32)> {
    let (above, base) = catalog.folder(part.folder)?;
    Ok((rows_path(above, &docs::part_name(part.task, part.part)), base))
}

/// Merges the runs of many parts into few.
pub(super) struct GatherPass<R> {
    name: String,
    grouping: Grouping,
    marker: std::marker::PhantomData<fn() -> R>,
}

impl<R: Hashed> GatherPass<R> {
    pub(super) fn new(grouping: &Grouping) -> Self {
        let name = pass_name(&grouping.dir, "gather");
        Self { name, grouping: grouping.clone(), marker: std::marker::PhantomData }
    }
}

impl<R: Hashed> Pass for GatherPass<R> {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        let ranges = self.grouping.gathered(&Catalog::read(&self.grouping.dir)?).len();
        u32::try_from(ranges).map_err(|_| Error::Failed("too many parts".to_owned()))
    }

    fn run(&self, task: u32, env: &TaskEnv) -> Result<TaskReport> {
        env.check_cancel()?;
        let catalog = Catalog::read(&self.grouping.dir)?;
        let missing = || Error::Failed(format!("there is no task {task}"));
        let range = self.grouping.gathered(&catalog).into_iter().nth(task as usize).ok_or_else(missing)?;
        let parts = catalog.parts()?.range(range.start, range.end)?;
        let paths: Vec<PathBuf> = parts.map(|part| Ok(run_of(&catalog, part?)?.0)).collect::<Result<_>>()?;
        let merged = runs::merge::<R>(&paths, &self.grouping.scratch(task, "gather"))?;
        runs::write_sorted(&self.grouping.gathered_path(task as usize), merged)?;
        Ok(TaskReport::default())
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
