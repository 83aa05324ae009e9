//! `keep_signatures: true`: what a later run needs to know of the documents that stay, written to the run directory.
//!
//! Per group of parts the same three files that a barrier works with: ids and shingle sets, their index, and one
//! sorted run of keys, all without the documents that were removed. Few, large files: a later run opens each of
//! them in every task. `signatures.json` comes last.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::catalog::{Catalog, tasks_for};
use super::docs::{self, DocsWriter};
use super::earlier::{FORMAT, Seal, seal_path, signature_options};
use super::observe::rows_path;
use super::records::{Gone, Key, Row};
use super::{pass_name, removals};
use crate::document::Ordinal;
use crate::error::Result;
use crate::io;
use crate::io::ranges::RunFile;
use crate::io::runs::{self, Record, RunReader, RunSorter};
use crate::stage::{Pass, TaskEnv, TaskReport};

/// Parts that become one.
const PARTS_PER_TASK: u64 = 64;

/// The passes that write the signatures of a stage's documents to `target`.
pub(super) fn passes<K: Key>(
    dir: &Path,
    target: &Path,
    stage: &str,
    config: &impl Serialize,
) -> Vec<Box<dyn Pass>> {
    let (dir, target) = (dir.to_path_buf(), target.to_path_buf());
    let seal = Seal {
        format: FORMAT,
        stage: stage.to_owned(),
        options: signature_options(config),
        docs: 0,
        xxh3: String::new(),
    };
    let name = pass_name(&dir, "keep");
    let keep =
        KeepPass::<K> { name, dir: dir.clone(), target: target.clone(), marker: std::marker::PhantomData };
    vec![Box::new(keep), Box::new(SealPass { name: pass_name(&dir, "seal"), dir, target, seal })]
}

/// What a task kept.
#[derive(Serialize, Deserialize)]
struct Digest {
    docs: u64,
    rows: u64,
    xxh3: String,
}

fn digests_folder(dir: &Path) -> PathBuf {
    dir.join("kept")
}

/// Writes the documents of some parts that stay.
struct KeepPass<K> {
    name: String,
    dir: PathBuf,
    target: PathBuf,
    marker: std::marker::PhantomData<fn() -> K>,
}

impl<K: Key> KeepPass<K> {
    /// Numbers of the task's parts in the catalogue.
    fn parts(task: u32, catalog: &Catalog) -> std::ops::Range<u64> {
        let own = catalog.folders.last().map_or(0, |folder| folder.parts);
        let tasks = u64::from(tasks_for(own, PARTS_PER_TASK));
        let before = catalog.parts - own;
        before + own * u64::from(task) / tasks..before + own * (u64::from(task) + 1) / tasks
    }
}

impl<K: Key> Pass for KeepPass<K> {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        let own = Catalog::read(&self.dir)?.folders.last().map_or(0, |folder| folder.parts);
        Ok(tasks_for(own, PARTS_PER_TASK))
    }

    fn run(&self, task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let catalog = Catalog::read(&self.dir)?;
        let base = catalog.own_split();
        let range = Self::parts(task, &catalog);
        let name = docs::part_name(task, 0);
        let mut kept = DocsWriter::create(&self.target, &name)?;
        let scratch = self.dir.join("scratch").join(format!("keep-{task:05}"));
        let mut rows = RunSorter::new(scratch, env.memory_bytes / 3);
        let mut hash = Xxh3::new();
        let (mut doc_count, mut row_count) = (0, 0);
        // Documents come in rising order over all parts, and so do the removals.
        let mut gone: Option<std::iter::Peekable<_>> = None;
        for part in catalog.parts()?.range(range.start, range.end)? {
            env.check_cancel()?;
            let part = part?;
            let name = docs::part_name(part.task, part.part);
            let mut removed: HashSet<Ordinal> = HashSet::new();
            docs::each(&self.dir, &name, |ordinal, id, set| {
                let place = Ordinal { split: ordinal.split + base, ..ordinal };
                if gone.is_none() {
                    let run = RunFile::<Gone>::open(removals::path(&self.dir))?;
                    let start = run.partition_point(|gone| gone.removed < place)?;
                    gone = Some(run.range(start, u64::MAX)?.peekable());
                }
                if let Some(gone) = &mut gone {
                    let before =
                        |gone: &Result<Gone>| gone.as_ref().map_or(true, |gone| gone.removed <= place);
                    while let Some(gone) = gone.next_if(before) {
                        if gone?.removed == place {
                            removed.insert(ordinal);
                            return Ok(());
                        }
                    }
                }
                hash.update(&ordinal.split.to_le_bytes());
                hash.update(&ordinal.record.to_le_bytes());
                hash.update(id.as_bytes());
                hash.update(set);
                doc_count += 1;
                kept.add(ordinal, id, set)
            })?;
            for row in RunReader::<Row<K>>::open(rows_path(&self.dir, &name))? {
                let row = row?;
                if !removed.contains(&row.ordinal) {
                    rows.push(row)?;
                }
            }
        }
        let mut bytes = Vec::new();
        let sorted = rows.finish()?.inspect(|row| {
            if let Ok(row) = row {
                bytes.clear();
                row.encode(&mut bytes);
                hash.update(&bytes);
                row_count += 1;
            }
        });
        runs::write_sorted(&rows_path(&self.target, &name), sorted)?;
        kept.finish()?;
        let digest = Digest { docs: doc_count, rows: row_count, xxh3: format!("{:032x}", hash.digest128()) };
        io::write_json(digests_folder(&self.dir).join(format!("{task:05}.json")), &digest)?;
        let mut report = TaskReport::default();
        report.counts.insert("kept_signatures".to_owned(), doc_count);
        Ok(report)
    }
}

/// Says that the signatures are complete, and what they are of.
struct SealPass {
    name: String,
    dir: PathBuf,
    target: PathBuf,
    seal: Seal,
}

impl Pass for SealPass {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        Ok(1)
    }

    fn run(&self, _task: u32, _env: &TaskEnv) -> Result<TaskReport> {
        let mut seal = self.seal.clone();
        let mut all = String::new();
        for path in io::list(digests_folder(&self.dir), ".json")? {
            let digest: Digest = io::read_json(path)?;
            seal.docs += digest.docs;
            all.push_str(&digest.xxh3);
        }
        seal.xxh3 = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(all.as_bytes()));
        io::write_json(seal_path(&self.target), &seal)?;
        Ok(TaskReport::default())
    }
}
