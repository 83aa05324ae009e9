//! The list of a barrier's parts, made once observation is over, and the ranges that later passes cut.
//!
//! How many tasks a pass has follows from the amount of data alone, never from threads or memory.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{docs, pass_name};
use crate::document::Ordinal;
use crate::error::Result;
use crate::io;
use crate::stage::{Pass, TaskEnv, TaskReport};

/// Most tasks of a pass; past this, tasks grow.
const MAX_TASKS: u64 = 1024;

/// A stretch of one split inside a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) name: String,
    /// Rows (keys of documents) in its run.
    pub(super) rows: u64,
    pub(super) segments: Vec<Segment>,
}

/// All parts, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Catalog {
    pub(super) parts: Vec<Part>,
}

impl Catalog {
    fn path(dir: &Path) -> PathBuf {
        dir.join("catalog.json")
    }

    /// Looks at the files of every part, whose rows have `row_bytes` each.
    pub(super) fn scan(dir: &Path, row_bytes: u64) -> Result<Self> {
        let mut parts = Vec::new();
        for path in io::list(docs::folder(dir), ".index")? {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let rows = path.with_extension("rows");
            let rows = if rows.exists() { io::size_of(rows)? / row_bytes } else { 0 };
            parts.push(Part { name, rows, segments: docs::read_segments(&path)? });
        }
        Ok(Self { parts })
    }

    /// Reads what [`CatalogPass`] wrote.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        io::read_json(Self::path(dir))
    }

    /// Rows of all parts.
    pub(super) fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    fn docs(&self) -> u64 {
        self.parts.iter().flat_map(|part| &part.segments).map(|segment| segment.docs).sum()
    }

    /// First ordinals of `tasks` ranges that hold about equally many documents; the first is the least
    /// ordinal there is.
    pub(super) fn ordinal_ranges(&self, tasks: u32) -> Vec<Ordinal> {
        let mut segments: Vec<Segment> =
            self.parts.iter().flat_map(|part| part.segments.iter().copied()).collect();
        segments.sort_unstable_by_key(|segment| (segment.split, segment.first));
        let docs = u128::from(self.docs());
        let mut starts = vec![Ordinal { split: 0, record: 0 }];
        let mut place = segments.iter();
        let (mut segment, mut passed) = (place.next(), 0_u64);
        for task in 1..tasks {
            let target = u64::try_from(docs * u128::from(task) / u128::from(tasks)).unwrap_or(u64::MAX);
            while let Some(here) = segment
                && passed + here.docs <= target
            {
                passed += here.docs;
                segment = place.next();
            }
            starts.push(segment.map_or(Ordinal { split: u32::MAX, record: u64::MAX }, |here| Ordinal {
                split: here.split,
                record: here.record_near(target - passed),
            }));
        }
        starts
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
    pub(super) row_bytes: u64,
}

impl CatalogPass {
    pub(super) fn new(dir: &Path, row_bytes: usize) -> Self {
        Self { name: pass_name(dir, "catalog"), dir: dir.to_path_buf(), row_bytes: row_bytes as u64 }
    }
}

impl Pass for CatalogPass {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        Ok(1)
    }

    fn run(&self, _task: u32, _env: &TaskEnv) -> Result<TaskReport> {
        let catalog = Catalog::scan(&self.dir, self.row_bytes)?;
        io::write_json(Catalog::path(&self.dir), &catalog)?;
        let mut report = TaskReport::default();
        report.counts.insert("docs".to_owned(), catalog.docs());
        report.counts.insert("rows".to_owned(), catalog.rows());
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_rise_and_start_at_the_beginning() {
        let segment = |split, first, last, docs| Segment { split, first, last, start: 0, docs };
        let part = |name: &str, segments| Part { name: name.to_owned(), rows: 0, segments };
        let catalog = Catalog {
            parts: vec![
                part("a", vec![segment(0, 0, 99, 50), segment(2, 5, 5, 1)]),
                part("b", vec![segment(0, 100, 1000, 50), segment(1, 0, 1_000_000, 99)]),
            ],
        };
        for tasks in [1, 2, 3, 7, 200, 1000] {
            let starts = catalog.ordinal_ranges(tasks);
            assert_eq!(starts.len(), tasks as usize);
            assert_eq!(starts[0], Ordinal { split: 0, record: 0 });
            assert!(starts.is_sorted());
        }
        assert_eq!(catalog.ordinal_ranges(2)[1], Ordinal { split: 1, record: 0 });
        assert_eq!(Catalog::default().ordinal_ranges(3).len(), 3);
    }
}
