//! What of each document goes, and where the first copy of it is: the ordered lists read along with the documents.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::catalog::Catalog;
use super::docs::DocStore;
use super::span_passes::removals_folder;
use super::span_rows::{GoneUnit, read_pieces};
use crate::document::Ordinal;
use crate::error::{Error, Result};
use crate::io;
use crate::io::ranges::{RangeReader, RunFile};
use crate::stage::{Cut, Removal, Removals};

/// Ids of first copies that are kept at hand. First copies bunch up: the first page of a site has the lines that all
/// others repeat.
const KNOWN_IDS: usize = 1 << 14;

/// Cuts of one split.
pub(super) struct Cuts {
    dir: PathBuf,
    split: u32,
    lists: VecDeque<PathBuf>,
    list: Option<RangeReader<GoneUnit>>,
    next: Option<GoneUnit>,
    /// Pieces that a removed unit takes along.
    window: u32,
    docs: DocStore,
    first_docs: DocStore,
    ids: HashMap<Ordinal, Arc<str>>,
}

impl Cuts {
    pub(super) fn open(dir: &Path, split: u32, window: u32) -> Result<Self> {
        let catalog = Catalog::read(dir)?;
        let lists = io::list(removals_folder(dir), ".run")?;
        let starts = catalog.ordinal_ranges(u32::try_from(lists.len()).unwrap_or(u32::MAX))?;
        let here = |number: usize| {
            starts[number].split <= split && starts.get(number + 1).is_none_or(|next| next.split >= split)
        };
        let lists = (0..).zip(lists).filter(|(number, _)| here(*number)).map(|(_, path)| path).collect();
        let mut cuts = Self {
            dir: dir.to_path_buf(),
            split,
            lists,
            list: None,
            next: None,
            window,
            docs: DocStore::open(catalog.clone())?,
            first_docs: DocStore::open(catalog)?,
            ids: HashMap::new(),
        };
        cuts.next = cuts.read()?;
        Ok(cuts)
    }

    /// The next unit of this split that goes.
    fn read(&mut self) -> Result<Option<GoneUnit>> {
        loop {
            if let Some(gone) = self.list.as_mut().and_then(Iterator::next) {
                return gone.map(Some);
            }
            let Some(path) = self.lists.pop_front() else { return Ok(None) };
            let run = RunFile::<GoneUnit>::open(path)?;
            let start = run.partition_point(|gone| gone.doc.split < self.split)?;
            let end = run.partition_point(|gone| gone.doc.split <= self.split)?;
            self.list = Some(run.range(start, end)?);
        }
    }

    fn id(&mut self, ordinal: Ordinal) -> Result<Arc<str>> {
        if let Some(id) = self.ids.get(&ordinal) {
            return Ok(Arc::clone(id));
        }
        if self.ids.len() >= KNOWN_IDS {
            self.ids.clear();
        }
        let id: Arc<str> = self.first_docs.id(ordinal)?.into();
        self.ids.insert(ordinal, Arc::clone(&id));
        Ok(id)
    }
}

impl Removals for Cuts {
    fn lookup(&mut self, ordinal: Ordinal) -> Result<Option<Removal>> {
        while self.next.is_some_and(|gone| gone.doc < ordinal) {
            self.next = self.read()?;
        }
        if self.next.is_none_or(|gone| gone.doc != ordinal) {
            return Ok(None);
        }
        let pieces = read_pieces(&self.docs.set_bytes(ordinal)?)?;
        let mut cuts: Vec<Cut> = Vec::new();
        let mut last_first = None;
        // Pieces before this one are dealt with.
        let mut from = 0_usize;
        while let Some(gone) = self.next.filter(|gone| gone.doc == ordinal) {
            let unit = gone.unit as usize;
            for number in unit.max(from)..unit + self.window as usize {
                let &(start, end) = pieces.get(number).ok_or_else(|| {
                    let what = format!("{ordinal:?} has {} pieces, and number {number} goes", pieces.len());
                    Error::damaged(&self.dir, what)
                })?;
                match cuts.last_mut() {
                    // Lines in a row from one page are one cut: at most a line feed lies between them.
                    Some(cut) if last_first == Some(gone.first) && start <= cut.range.end + 1 => {
                        cut.range.end = end;
                    }
                    _ => {
                        cuts.push(Cut { range: start..end, first_id: self.id(gone.first)? });
                        last_first = Some(gone.first);
                    }
                }
            }
            from = from.max(unit + self.window as usize);
            self.next = self.read()?;
        }
        Ok(Some(Removal::Cut(cuts)))
    }
}
