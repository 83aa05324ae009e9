//! The list of a barrier's parts, made once observation is over, and the ranges that later passes cut.
//!
//! How many tasks a pass has follows from the amount of data alone, never from threads or memory. The list is kept in
//! two sorted runs and read by binary search, because 10^10 pages are a million parts: `parts.run` has the parts and
//! their rows, `stretches.run` which stretch of which split lies in which part.
//!
//! A catalogue may span several folders: the barrier's own and the signatures that earlier runs kept (`against:`).
//! Inside a folder documents have the places of their own run. The catalogue gives each folder a base that is added
//! to the number of the split, so that all documents of earlier runs lie before those of this one.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::records::{take_u32, take_u64};
use super::{docs, pass_name};
use crate::document::Ordinal;
use crate::error::{Error, Result};
use crate::io;
use crate::io::ranges::RunFile;
use crate::io::runs::{self, Record, RunReader, RunSorter};
use crate::stage::{Pass, TaskEnv, TaskReport};

/// Most tasks of a pass; past this, tasks grow.
const MAX_TASKS: u64 = 1024;

/// A stretch of one split inside a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Segment {
    pub(super) split: u32,
    /// First and last record.
    pub(super) first: u64,
    pub(super) last: u64,
    /// Number of its first entry in the part's index.
    pub(super) start: u64,
    /// Entries.
    pub(super) docs: u64,
}

impl Segment {
    /// About which entry, counted from the segment's first, a record has, were they evenly spread.
    pub(super) fn guess(&self, record: u64) -> u64 {
        let width = u128::from(self.last - self.first).max(1);
        let before = u128::from(record.saturating_sub(self.first)) * u128::from(self.docs.saturating_sub(1));
        u64::try_from(before / width).unwrap_or(u64::MAX).min(self.docs.saturating_sub(1))
    }

    /// About which record the entry has: the inverse of [`Segment::guess`].
    fn record_near(&self, entry: u64) -> u64 {
        let width = u128::from(self.last - self.first + 1);
        let beyond = u128::from(entry) * width / u128::from(self.docs.max(1));
        self.first.saturating_add(u64::try_from(beyond).unwrap_or(u64::MAX))
    }
}

/// One part of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::struct_field_names, reason = "a task's parts are numbered, and so is it")]
pub(super) struct Part {
    /// Number of its folder.
    pub(super) folder: u32,
    pub(super) task: u32,
    pub(super) part: u32,
    /// Rows (keys of documents) in its run.
    pub(super) rows: u64,
}

impl Record for Part {
    const BYTES: usize = 20;
    fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.folder, self.task, self.part] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.rows.to_le_bytes());
    }
    fn decode(bytes: &[u8]) -> Self {
        let [folder, task, part] = [0, 4, 8].map(|at| take_u32(bytes, at));
        Self { folder, task, part, rows: take_u64(bytes, 12) }
    }
}

/// A segment (its split with the folder's base added) and the part that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stretch {
    pub(super) segment: Segment,
    pub(super) folder: u32,
    pub(super) task: u32,
    pub(super) part: u32,
}

impl Record for Stretch {
    const BYTES: usize = 48;
    fn encode(&self, out: &mut Vec<u8>) {
        let Segment { split, first, last, start, docs } = self.segment;
        for number in [split, self.folder, self.task, self.part] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [first, last, start, docs] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    fn decode(bytes: &[u8]) -> Self {
        let [split, folder, task, part] = [0, 4, 8, 12].map(|at| take_u32(bytes, at));
        let [first, last, start, docs] = [16, 24, 32, 40].map(|at| take_u64(bytes, at));
        Self { segment: Segment { split, first, last, start, docs }, folder, task, part }
    }
}

/// Where parts lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Folder {
    /// The folder above `docs/`; absent for the barrier's own.
    pub(super) path: Option<PathBuf>,
    /// What is added to the number of a split.
    pub(super) base: u32,
    pub(super) parts: u64,
}

/// What is known of all parts together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Catalog {
    #[serde(skip)]
    dir: PathBuf,
    /// Folders of earlier runs in the order in which they are named, then the barrier's own.
    pub(super) folders: Vec<Folder>,
    pub(super) parts: u64,
    pub(super) docs: u64,
    /// Rows of all parts.
    pub(super) rows: u64,
}

impl Catalog {
    fn path(dir: &Path) -> PathBuf {
        dir.join("catalog.json")
    }

    /// Looks at the files of every part, whose rows have `row_bytes` each, and writes the catalogue. `earlier` are
    /// the folders of earlier runs.
    pub(super) fn scan(dir: &Path, earlier: &[PathBuf], row_bytes: u64, memory_bytes: u64) -> Result<Self> {
        let mut catalog = Self { dir: dir.to_path_buf(), ..Self::default() };
        let mut parts = RunSorter::new(dir.join("scratch").join("parts"), memory_bytes / 6);
        let mut stretches = RunSorter::new(dir.join("scratch").join("stretches"), memory_bytes / 6);
        let mut base = 0;
        let paths = earlier.iter().cloned().map(Some).chain([None]);
        for (folder, path) in (0..).zip(paths) {
            let (mut count, mut next_base) = (0, base);
            for index in io::list(docs::folder(path.as_deref().unwrap_or(dir)), ".index")? {
                let (task, part) = docs::parse_name(&index)?;
                let rows = index.with_extension("rows");
                let rows = if io::exists(&rows)? { io::size_of(rows)? / row_bytes } else { 0 };
                parts.push(Part { folder, task, part, rows })?;
                for mut segment in docs::read_segments(&index)? {
                    let too_many = || Error::damaged(&index, "it counts too many splits");
                    segment.split = segment.split.checked_add(base).ok_or_else(too_many)?;
                    next_base = next_base.max(segment.split.checked_add(1).ok_or_else(too_many)?);
                    catalog.docs += segment.docs;
                    stretches.push(Stretch { segment, folder, task, part })?;
                }
                catalog.rows += rows;
                count += 1;
            }
            catalog.parts += count;
            catalog.folders.push(Folder { path, base, parts: count });
            base = next_base;
        }
        runs::write_sorted(&dir.join("parts.run"), parts.finish()?)?;
        let mut last: Option<Segment> = None;
        let stretches = stretches.finish()?.map(|stretch| {
            let stretch = stretch?;
            let before = last.replace(stretch.segment);
            if before.is_some_and(|before| {
                before.split == stretch.segment.split && before.last >= stretch.segment.first
            }) {
                return Err(Error::damaged(docs::folder(dir), "two parts hold the same documents"));
            }
            Ok(stretch)
        });
        runs::write_sorted(&dir.join("stretches.run"), stretches)?;
        io::write_json(Self::path(dir), &catalog)?;
        Ok(catalog)
    }

    /// Reads what [`CatalogPass`] wrote.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let catalog: Self = io::read_json(Self::path(dir))?;
        Ok(Self { dir: dir.to_path_buf(), ..catalog })
    }

    /// The folder above the `docs/` of a folder's parts.
    pub(super) fn folder(&self, number: u32) -> Result<(&Path, u32)> {
        let folder = self.folders.get(number as usize);
        let folder = folder.ok_or_else(|| Error::damaged(Self::path(&self.dir), "a folder is missing"))?;
        Ok((folder.path.as_deref().unwrap_or(&self.dir), folder.base))
    }

    /// Number of the first split of this run; smaller ones are of earlier runs.
    pub(super) fn own_split(&self) -> u32 {
        self.folders.last().map_or(0, |folder| folder.base)
    }

    /// All parts, by folder, task and number.
    pub(super) fn parts(&self) -> Result<RunFile<Part>> {
        RunFile::<Part>::open(self.dir.join("parts.run"))
    }

    /// All stretches, by place.
    pub(super) fn stretches(&self) -> Result<RunFile<Stretch>> {
        RunFile::<Stretch>::open(self.dir.join("stretches.run"))
    }

    /// First ordinals of `tasks` ranges that hold about equally many documents; the first is the least
    /// ordinal there is.
    pub(super) fn ordinal_ranges(&self, tasks: u32) -> Result<Vec<Ordinal>> {
        let docs = u128::from(self.docs);
        let mut starts = vec![Ordinal { split: 0, record: 0 }];
        let mut place = RunReader::<Stretch>::open(self.dir.join("stretches.run"))?;
        let mut next = || Ok::<_, Error>(place.next().transpose()?.map(|stretch| stretch.segment));
        let (mut segment, mut passed) = (next()?, 0_u64);
        for task in 1..tasks {
            let target = u64::try_from(docs * u128::from(task) / u128::from(tasks)).unwrap_or(u64::MAX);
            while let Some(here) = segment
                && passed + here.docs <= target
            {
                passed += here.docs;
                segment = next()?;
            }
            starts.push(segment.map_or(Ordinal { split: u32::MAX, record: u64::MAX }, |here| Ordinal {
                split: here.split,
                record: here.record_near(target - passed),
            }));
        }
        Ok(starts)
    }
}

/// How many tasks share `records`, each taking about `per_task`.
pub(super) fn tasks_for(records: u64, per_task: u64) -> u32 {
    u32::try_from(records.div_ceil(per_task).clamp(1, MAX_TASKS)).unwrap_or(1)
}

/// The pass that writes the catalogue.
pub(super) struct CatalogPass {
    pub(super) name: String,
    pub(super) dir: PathBuf,
    pub(super) earlier: Vec<PathBuf>,
    pub(super) row_bytes: u64,
}

impl CatalogPass {
    pub(super) fn new(dir: &Path, earlier: Vec<PathBuf>, row_bytes: usize) -> Self {
        let name = pass_name(dir, "catalog");
        Self { name, dir: dir.to_path_buf(), earlier, row_bytes: row_bytes as u64 }
    }
}

impl Pass for CatalogPass {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        Ok(1)
    }

    fn run(&self, _task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let catalog = Catalog::scan(&self.dir, &self.earlier, self.row_bytes, env.memory_bytes)?;
        let mut report = TaskReport::default();
        report.counts.insert("docs".to_owned(), catalog.docs);
        report.counts.insert("rows".to_owned(), catalog.rows);
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_rise_and_start_at_the_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let write = |task, part, places: &[(u32, u64)]| {
            let mut docs = docs::DocsWriter::create(dir.path(), &docs::part_name(task, part)).unwrap();
            for &(split, record) in places {
                docs.add(Ordinal { split, record }, "id", &[]).unwrap();
            }
            docs.finish().unwrap();
        };
        let spread = |split, from, step| (0..50_u64).map(|n| (split, from + n * step)).collect::<Vec<_>>();
        write(0, 0, &spread(0, 0, 2));
        write(0, 1, &spread(0, 100, 18));
        write(1, 0, &spread(1, 0, 20_000));
        write(1, 1, &spread(1, 1_000_000, 1));
        let catalog = Catalog::scan(dir.path(), &[], 1, 1 << 20).unwrap();
        assert_eq!((catalog.parts, catalog.docs), (4, 200));
        for tasks in [1, 2, 3, 7, 200, 1000] {
            let starts = catalog.ordinal_ranges(tasks).unwrap();
            assert_eq!(starts.len(), tasks as usize);
            assert_eq!(starts[0], Ordinal { split: 0, record: 0 });
            assert!(starts.is_sorted());
        }
        assert_eq!(catalog.ordinal_ranges(2).unwrap()[1], Ordinal { split: 1, record: 0 });
        // The same folder as of two earlier runs: splits are counted on.
        let earlier = [dir.path().to_path_buf(), dir.path().to_path_buf()];
        let three = Catalog::scan(dir.path(), &earlier, 1, 1 << 20).unwrap();
        assert_eq!(three.folders.iter().map(|folder| folder.base).collect::<Vec<_>>(), [0, 2, 4]);
        assert_eq!((three.own_split(), three.docs), (4, 600));
        assert_eq!(three.stretches().unwrap().records(), 12);
        assert_eq!(Catalog::read(dir.path()).unwrap(), three);
        // A part that holds what another holds is no accident to go on with.
        write(2, 0, &spread(0, 10, 1));
        assert!(Catalog::scan(dir.path(), &[], 1, 1 << 20).is_err());
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(Catalog::scan(empty.path(), &[], 1, 0).unwrap().ordinal_ranges(3).unwrap().len(), 3);
    }
}
