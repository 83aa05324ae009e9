//! The list of documents that go, sorted by place, and how each document is looked up in it.

use std::path::{Path, PathBuf};

use super::catalog::Catalog;
use super::counts::{self, COPIES, Count};
use super::docs::DocStore;
use super::records::Gone;
use crate::document::Ordinal;
use crate::error::Result;
use crate::io::ranges::{RangeReader, RunFile};
use crate::stage::{Duplicate, Removal, Removals};

/// Path of the list.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("removals.run")
}

/// Removals of one split: reads the list along with the documents.
pub(super) struct Listed {
    list: RangeReader<Gone>,
    next: Option<Gone>,
    ids: DocStore,
    reason: &'static str,
    limit: Option<f64>,
    /// How many went for each document that stays, where that is wanted.
    counts: Option<std::iter::Peekable<RangeReader<Count>>>,
    /// First split of this run in the catalogue.
    own_split: u32,
}

impl Listed {
    pub(super) fn open(dir: &Path, split: u32, reason: &'static str, limit: Option<f64>) -> Result<Self> {
        let catalog = Catalog::read(dir)?;
        let own_split = catalog.own_split();
        let split = split + own_split;
        let run = RunFile::<Gone>::open(path(dir))?;
        let start = run.partition_point(|gone| gone.removed.split < split)?;
        let end = run.partition_point(|gone| gone.removed.split <= split)?;
        let mut list = run.range(start, end)?;
        let next = list.next().transpose()?;
        let ids = DocStore::open(catalog)?;
        Ok(Self { list, next, ids, reason, limit, counts: None, own_split })
    }

    /// The same; documents that stay get the score `copies`.
    pub(super) fn counted(self, dir: &Path, split: u32) -> Result<Self> {
        let split = split + self.own_split;
        let run = RunFile::<Count>::open(counts::path(dir))?;
        let start = run.partition_point(|count| count.kept.split < split)?;
        let end = run.partition_point(|count| count.kept.split <= split)?;
        Ok(Self { counts: Some(run.range(start, end)?.peekable()), ..self })
    }

    /// What a document gets that stays.
    fn copies(&mut self, kept: Ordinal) -> Result<Option<Removal>> {
        let Some(counts) = &mut self.counts else { return Ok(None) };
        while let Some(before) = counts.next_if(|count| !count.as_ref().is_ok_and(|count| count.kept >= kept))
        {
            before?;
        }
        let found =
            counts.next_if(|count| count.as_ref().is_ok_and(|count| count.kept == kept)).transpose()?;
        let value = 1.0 + found.map_or(0, |count| count.removed) as f64;
        Ok(Some(Removal::Scored { score: &COPIES, value }))
    }
}

impl Removals for Listed {
    fn lookup(&mut self, ordinal: Ordinal) -> Result<Option<Removal>> {
        let ordinal = Ordinal { split: ordinal.split + self.own_split, ..ordinal };
        while let Some(gone) = self.next
            && gone.removed < ordinal
        {
            self.next = self.list.next().transpose()?;
        }
        let Some(gone) = self.next.filter(|gone| gone.removed == ordinal) else {
            return self.copies(ordinal);
        };
        let kept_id = self.ids.id(gone.kept)?;
        let cluster = if gone.cluster == gone.kept { kept_id.clone() } else { self.ids.id(gone.cluster)? };
        let (reason, similarity, limit) = (self.reason, gone.overlap.jaccard(), self.limit);
        Ok(Some(Removal::Duplicate(Duplicate { reason, kept_id, similarity, limit, cluster })))
    }
}
