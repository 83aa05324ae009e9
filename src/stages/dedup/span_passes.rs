//! How repeated units are found: the files and passes that [`super::line_dedup`] and [`super::sentence_dedup`] share.
//!
//! Source: the scheme of datatrove's sentence dedup (signatures, find, filter), with sorted runs, tasks over ranges
//! of the hash, and the place in the input as the order. Where we differ: the first copy in input order stays,
//! whatever the number of tasks or files (datatrove orders by number in the file before the file), documents have
//! any number of units (there up to 65,535), keys have 96 bits (there 64).
//!
//! Files: per part one sorted run of (key, document, unit) and the places of the pieces. A task per range of keys lists
//! the units that go; a task per range of documents puts these lists in order. Memory: the sort buffers alone.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalog::{Catalog, CatalogPass, tasks_for};
use super::docs::{self, DocsWriter};
use super::groups::{GatherPass, Grouping};
use super::observe::rows_path;
use super::pass_name;
use super::span_rows::{GoneUnit, Signature, UnitKey, UnitRow};
use crate::document::Ordinal;
use crate::error::{Error, Result};
use crate::io;
use crate::io::ranges::RunFile;
use crate::io::runs::{self, Record, RunSorter};
use crate::stage::{Observer, Pass, TaskEnv, TaskReport};

/// Which copies stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The first in the order of the input.
    #[default]
    First,
    /// None: what occurs twice or more goes everywhere, as in CCNet.
    None,
}

/// Where copies are looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// In all documents.
    #[default]
    Corpus,
    /// Within each document.
    Document,
}

/// Units that a grouping task and removed units that an ordering task takes, about.
pub(super) const UNITS_PER_TASK: u64 = 1 << 22;
/// Rows between two looks at the cancel flag.
const CANCEL_ROWS: u64 = 1 << 14;

/// What the passes need to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finding {
    pub(super) keep: Keep,
    pub(super) scope: Scope,
    pub(super) units_per_task: u64,
}

impl Finding {
    pub(super) fn observer(
        self,
        dir: &Path,
        task: u32,
        part: u32,
        memory_bytes: u64,
    ) -> Result<Box<dyn Observer>> {
        let name = docs::part_name(task, part);
        Ok(Box::new(PartUnits {
            docs: DocsWriter::create(dir, &name)?,
            // A vector that grows holds its old and its new self for a moment.
            rows: RunSorter::new(dir.join("scratch").join(&name), memory_bytes / 3),
            rows_path: rows_path(dir, &name),
            gone: RunSorter::new(dir.join("scratch").join(format!("{name}-gone")), memory_bytes / 6),
            gone_path: dir.join("docs").join(format!("{name}.gone")),
            seen: HashMap::new(),
            finding: self,
        }))
    }

    pub(super) fn passes(self, dir: &Path) -> Vec<Box<dyn Pass>> {
        let grouping = Grouping::new(dir, self.units_per_task);
        let gather = GatherPass::<UnitRow>::new(&grouping);
        let group = GroupPass { name: pass_name(dir, "group"), grouping, keep: self.keep };
        let order = OrderPass { name: pass_name(dir, "order"), dir: dir.to_path_buf(), finding: self };
        let catalog = CatalogPass::new(dir, Vec::new(), UnitRow::BYTES);
        vec![Box::new(catalog), Box::new(gather), Box::new(group), Box::new(order)]
    }
}

/// Lists the units that go of those with one key, given in rising order.
struct Copies {
    keep: Keep,
    first: Option<(Ordinal, u32)>,
    repeated: bool,
}

impl Copies {
    fn new(keep: Keep) -> Self {
        Self { keep, first: None, repeated: false }
    }

    /// Takes a unit; returns up to two that go: the first copy, where all copies go, and this one.
    fn take(&mut self, doc: Ordinal, unit: u32) -> [Option<GoneUnit>; 2] {
        let Some((first, first_unit)) = self.first else {
            self.first = Some((doc, unit));
            return [None, None];
        };
        let also = self.keep == Keep::None && !self.repeated;
        self.repeated = true;
        [
            also.then_some(GoneUnit { doc: first, unit: first_unit, first }),
            Some(GoneUnit { doc, unit, first }),
        ]
    }
}

/// Writes down one part.
struct PartUnits {
    docs: DocsWriter,
    rows: RunSorter<UnitRow>,
    rows_path: PathBuf,
    /// Units that go within their document.
    gone: RunSorter<GoneUnit>,
    gone_path: PathBuf,
    seen: HashMap<UnitKey, Copies>,
    finding: Finding,
}

impl Observer for PartUnits {
    fn observe(&mut self, ordinal: Ordinal, id: &str, signature: &[u8]) -> Result<()> {
        if signature.is_empty() {
            return Ok(());
        }
        let signature = Signature::read(signature)
            .ok_or_else(|| Error::Failed(format!("document `{id}` has a cut signature")))?;
        match self.finding.scope {
            Scope::Corpus => {
                for (unit, key) in signature.units() {
                    self.rows.push(UnitRow { key, doc: ordinal, unit })?;
                }
            }
            Scope::Document => {
                self.seen.clear();
                for (unit, key) in signature.units() {
                    let copies = self.seen.entry(key).or_insert_with(|| Copies::new(self.finding.keep));
                    for gone in copies.take(ordinal, unit).into_iter().flatten() {
                        self.gone.push(gone)?;
                    }
                }
            }
        }
        self.docs.add(ordinal, id, signature.pieces)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        runs::write_sorted(&self.rows_path, self.rows.finish()?)?;
        runs::write_sorted(&self.gone_path, self.gone.finish()?)?;
        self.docs.finish()
    }
}

fn gone_folder(dir: &Path) -> PathBuf {
    dir.join("gone")
}

/// Folder of the ordered lists, which [`super::span_removals`] reads.
pub(super) fn removals_folder(dir: &Path) -> PathBuf {
    dir.join("removals")
}

/// Lists, for one range of keys, the units that go.
struct GroupPass {
    name: String,
    grouping: Grouping,
    keep: Keep,
}

impl Pass for GroupPass {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        self.grouping.tasks()
    }

    fn run(&self, task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let share = env.memory_bytes / 6;
        let mut gone = RunSorter::new(self.grouping.scratch(task, "gone"), share);
        let (mut units, mut removed) = (0_u64, 0_u64);
        let mut key = None;
        let mut copies = Copies::new(self.keep);
        for row in self.grouping.sorted::<UnitRow>(task, env, share)? {
            let row = row?;
            if units.is_multiple_of(CANCEL_ROWS) {
                env.check_cancel()?;
            }
            units += 1;
            if key != Some(row.key) {
                key = Some(row.key);
                copies = Copies::new(self.keep);
            }
            for unit in copies.take(row.doc, row.unit).into_iter().flatten() {
                removed += 1;
                gone.push(unit)?;
            }
        }
        runs::write_sorted(&gone_folder(&self.grouping.dir).join(format!("{task:05}.run")), gone.finish()?)?;
        let mut report = TaskReport::default();
        report.counts.insert("units".to_owned(), units);
        report.counts.insert("removed".to_owned(), removed);
        Ok(report)
    }
}

/// Puts the lists together in the order of the documents, one file per range of them.
struct OrderPass {
    name: String,
    dir: PathBuf,
    finding: Finding,
}

impl OrderPass {
    /// The lists that may have something of documents from `first` up to and without `next`.
    fn lists(&self, catalog: &Catalog, first: Ordinal, next: Option<Ordinal>) -> Result<Vec<PathBuf>> {
        if self.finding.scope == Scope::Corpus {
            return io::list(gone_folder(&self.dir), ".run");
        }
        let here = |segment: &super::catalog::Segment| {
            let last = Ordinal { split: segment.split, record: segment.last };
            let start = Ordinal { split: segment.split, record: segment.first };
            last >= first && next.is_none_or(|next| start < next)
        };
        let mut names = BTreeSet::new();
        for stretch in catalog.stretches()?.range(0, u64::MAX)? {
            let stretch = stretch?;
            if here(&stretch.segment) {
                names.insert(docs::part_name(stretch.task, stretch.part));
            }
        }
        Ok(names.iter().map(|name| docs::folder(&self.dir).join(format!("{name}.gone"))).collect())
    }
}

impl Pass for OrderPass {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        let lists = match self.finding.scope {
            Scope::Corpus => io::list(gone_folder(&self.dir), ".run")?,
            Scope::Document => io::list(docs::folder(&self.dir), ".gone")?,
        };
        let mut bytes = 0;
        for path in lists {
            bytes += io::size_of(path)?;
        }
        Ok(tasks_for(bytes / GoneUnit::BYTES as u64, self.finding.units_per_task))
    }

    fn run(&self, task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let catalog = Catalog::read(&self.dir)?;
        let starts = catalog.ordinal_ranges(self.tasks()?)?;
        let first = starts[task as usize];
        let next = starts.get(task as usize + 1).copied();
        let scratch = self.dir.join("scratch").join(format!("order-{task:05}"));
        let mut sorter = RunSorter::new(scratch, env.memory_bytes / 3);
        for path in self.lists(&catalog, first, next)? {
            env.check_cancel()?;
            let run = RunFile::<GoneUnit>::open(path)?;
            let start = run.partition_point(|gone| gone.doc < first)?;
            let end = run.partition_point(|gone| next.is_none_or(|next| gone.doc < next))?;
            for gone in run.range(start, end)? {
                sorter.push(gone?)?;
            }
        }
        let path = removals_folder(&self.dir).join(format!("{task:05}.run"));
        runs::write_sorted(&path, sorter.finish()?)?;
        Ok(TaskReport::default())
    }
}
