//! Writing down one part: its documents, and its rows (key, place) as one sorted run.

use std::path::{Path, PathBuf};

use super::docs::{self, DocsWriter, RANK_BYTES};
use super::records::{Key, Ranked, Row, take_u64};
use crate::document::Ordinal;
use crate::error::{Error, Result};
use crate::io::runs::{self, RunSorter};
use crate::stage::Observer;

/// Path of a part's rows.
pub(super) fn rows_path(dir: &Path, name: &str) -> PathBuf {
    docs::folder(dir).join(format!("{name}.rows"))
}

/// Takes signatures that consist of `keys` keys, little-endian, and then the bytes of a shingle set. An
/// empty signature stands for a document that is no duplicate of anything.
pub(super) struct PartWriter<K: Key> {
    docs: DocsWriter,
    rows: RunSorter<Row<K>>,
    rows_path: PathBuf,
    keys: usize,
}

impl<K: Key> PartWriter<K> {
    pub(super) fn create(dir: &Path, task: u32, part: u32, keys: usize, memory_bytes: u64) -> Result<Self> {
        let name = docs::part_name(task, part);
        Ok(Self {
            docs: DocsWriter::create(dir, &name)?,
            // A vector that grows holds its old and its new self for a moment.
            rows: RunSorter::new(dir.join("scratch").join(&name), memory_bytes / 3),
            rows_path: rows_path(dir, &name),
            keys,
        })
    }
}

impl<K: Key> Observer for PartWriter<K> {
    fn observe(&mut self, ordinal: Ordinal, id: &str, signature: &[u8]) -> Result<()> {
        if signature.is_empty() {
            return Ok(());
        }
        let (keys, set) = signature
            .split_at_checked(self.keys * K::BYTES)
            .ok_or_else(|| Error::Failed(format!("document `{id}` has a cut signature")))?;
        for key in keys.chunks_exact(K::BYTES) {
            self.rows.push(Row { key: K::take(key), ordinal })?;
        }
        self.docs.add(ordinal, id, set)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        runs::write_sorted(&self.rows_path, self.rows.finish()?)?;
        self.docs.finish()
    }
}

/// Takes signatures that consist of `keys` keys, a rank of 8 bytes, and then words: the rank goes into every row, and in front
/// of the words.
pub(super) struct RankedWriter<K: Key>(PartWriter<Ranked<K>>);

impl<K: Key> RankedWriter<K> {
    pub(super) fn create(dir: &Path, task: u32, part: u32, keys: usize, memory_bytes: u64) -> Result<Self> {
        Ok(Self(PartWriter::create(dir, task, part, keys, memory_bytes)?))
    }
}

impl<K: Key> Observer for RankedWriter<K> {
    fn observe(&mut self, ordinal: Ordinal, id: &str, signature: &[u8]) -> Result<()> {
        if signature.is_empty() {
            return Ok(());
        }
        let (keys, rest) = signature
            .split_at_checked(self.0.keys * K::BYTES)
            .filter(|(_, rest)| rest.len() >= RANK_BYTES)
            .ok_or_else(|| Error::Failed(format!("document `{id}` has a cut signature")))?;
        let rank = take_u64(rest, 0);
        for key in keys.chunks_exact(K::BYTES) {
            self.0.rows.push(Row { key: Ranked { hash: K::take(key), rank }, ordinal })?;
        }
        self.0.docs.add(ordinal, id, rest)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Box::new(self.0).finish()
    }
}
