//! The passes of a selection: the index is read, and what fits is put together by file.
//!
//! `cc-select` has a task per index file and writes one sorted run of places each. `cc-ranges` has a task per
//! [`FILES_PER_RUN`] chosen files and gathers their places from all of these runs, so that a read task opens one small file.
//! Both sort within the memory of a task.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::index;
use super::select::Selection;
use crate::error::{Error, Result};
use crate::io::ranges::RunFile;
use crate::io::runs::{Record, RunSorter, write_sorted};
use crate::stage::{Pass, TaskEnv, TaskReport};

/// Chosen files whose places lie in one run: few enough that a run is small (a WARC file has some 30,000 records, so 150 MB at most),
/// so many that a crawl of 90,000 files has few hundred.
pub(super) const FILES_PER_RUN: usize = 256;

/// Where a record lies: number of the file among the chosen ones, offset, length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub file: u32,
    pub offset: u64,
    pub length: u64,
}

impl Record for Place {
    const BYTES: usize = 20;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.file.to_be_bytes());
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(&self.length.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        let mut word = [0; 4];
        word.copy_from_slice(&bytes[..4]);
        let number = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_be_bytes(word)
        };
        Self { file: u32::from_be_bytes(word), offset: number(4), length: number(12) }
    }
}

fn selected_run(dir: &Path, part: u32) -> PathBuf {
    dir.join("select").join(format!("{part:05}.run"))
}

/// The run with the places of a file.
pub(super) fn places_run(dir: &Path, file: u32) -> PathBuf {
    dir.join("ranges").join(format!("{:05}.run", file as usize / FILES_PER_RUN))
}

fn task_count(tasks: usize) -> Result<u32> {
    u32::try_from(tasks).map_err(|_| Error::Failed("the crawl has too many files".to_owned()))
}

/// Reads the index.
pub(super) struct SelectPass {
    name: String,
    dir: PathBuf,
    selection: Arc<Selection>,
}

impl SelectPass {
    pub(super) fn new(name: &str, dir: &Path, selection: Arc<Selection>) -> Self {
        Self { name: format!("{name}-select"), dir: dir.to_path_buf(), selection }
    }
}

impl Pass for SelectPass {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        task_count(self.selection.parts.len())
    }

    fn run(&self, task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let scratch = self.dir.join("select").join(format!("scratch-{task:05}"));
        let mut sorter = RunSorter::new(scratch, env.memory_bytes / 2);
        let part = &self.selection.parts[task as usize];
        let rows = index::places(part, &self.selection, env, &mut |place| sorter.push(place))?;
        let mut found = 0;
        let places = sorter.finish()?.inspect(|_| found += 1);
        write_sorted(&selected_run(&self.dir, task), places)?;
        let mut report = TaskReport::default();
        report.counts.insert("index_rows".to_owned(), rows);
        report.counts.insert("index_rows_selected".to_owned(), found);
        Ok(report)
    }
}

/// Puts the places of each file together.
pub(super) struct RangesPass {
    name: String,
    dir: PathBuf,
    selection: Arc<Selection>,
}

impl RangesPass {
    pub(super) fn new(name: &str, dir: &Path, selection: Arc<Selection>) -> Self {
        Self { name: format!("{name}-ranges"), dir: dir.to_path_buf(), selection }
    }
}

impl Pass for RangesPass {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        task_count(self.selection.paths.len().div_ceil(FILES_PER_RUN))
    }

    fn run(&self, task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let first = task_count(task as usize * FILES_PER_RUN)?;
        let behind = task_count((task as usize + 1) * FILES_PER_RUN)?;
        let scratch = self.dir.join("ranges").join(format!("scratch-{task:05}"));
        let mut sorter = RunSorter::new(scratch, env.memory_bytes / 2);
        for part in 0..task_count(self.selection.parts.len())? {
            env.check_cancel()?;
            // One after the other: hundreds at once would need as many open files in each task.
            let run = RunFile::<Place>::open(selected_run(&self.dir, part))?;
            let start = run.partition_point(|place| place.file < first)?;
            let end = run.partition_point(|place| place.file < behind)?;
            for place in run.range(start, end)? {
                sorter.push(place?)?;
            }
        }
        let mut kept = 0;
        let places = Longest { places: sorter.finish()?, held: None }.inspect(|_| kept += 1);
        write_sorted(&places_run(&self.dir, first), places)?;
        let mut report = TaskReport::default();
        report.counts.insert("selected_records".to_owned(), kept);
        Ok(report)
    }
}

/// Of places that begin at the same byte only the longest: at most one of them can be right, and a record must not be read twice.
struct Longest<I> {
    places: I,
    held: Option<Place>,
}

impl<I: Iterator<Item = Result<Place>>> Iterator for Longest<I> {
    type Item = Result<Place>;

    fn next(&mut self) -> Option<Result<Place>> {
        for place in self.places.by_ref() {
            let place = match place {
                Ok(place) => place,
                Err(error) => return Some(Err(error)),
            };
            match self.held.replace(place) {
                Some(before) if (before.file, before.offset) != (place.file, place.offset) => {
                    return Some(Ok(before));
                }
                _ => {}
            }
        }
        self.held.take().map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_and_sort_by_file_then_offset() {
        let place = Place { file: 70_000, offset: 5 << 40, length: 1 << 33 };
        let mut bytes = Vec::new();
        place.encode(&mut bytes);
        assert_eq!((bytes.len(), Place::decode(&bytes)), (Place::BYTES, place));
        assert!(Place { file: 1, offset: 9, length: 0 } < Place { file: 2, offset: 0, length: 0 });
    }

    #[test]
    fn of_two_places_at_the_same_byte_the_longest_stays() {
        let place = |offset, length| Place { file: 0, offset, length };
        let places = [place(0, 1), place(0, 5), place(0, 5), place(7, 1), place(8, 2), place(8, 3)];
        let left: Vec<Place> = Longest { places: places.into_iter().map(Ok), held: None }
            .collect::<Result<_>>()
            .expect("no error goes in");
        assert_eq!(left, [place(0, 5), place(7, 1), place(8, 3)]);
    }
}
