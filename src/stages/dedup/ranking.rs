//! Deciding in another order than the input's (`keep:`): documents are called by their place in the order of preference.
//!
//! The documents that have verified pairs are sorted by rank and numbered; two joins, each a sort and a walk, put the numbers into
//! the pairs. To whoever decides the numbers are places like any other, and the first of those that are alike is the best.
//! Held: the buffers of the sorts.

use std::path::{Path, PathBuf};

use super::docs::DocStore;
use super::records::{
    Edge, Gone, ORDINAL_BYTES, Overlap, Pair, put_ordinal, take_ordinal, take_u32, take_u64,
};
use crate::document::Ordinal;
use crate::error::{Error, Result};
use crate::io::ranges::RunFile;
use crate::io::runs::{self, Record, RunReader, RunSorter};
use crate::stage::TaskEnv;

/// Documents between two looks at the cancel flag.
const CANCEL_DOCS: u64 = 1 << 12;

/// A document that has a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Named(Ordinal);

impl Record for Named {
    const BYTES: usize = ORDINAL_BYTES;
    fn encode(&self, out: &mut Vec<u8>) {
        put_ordinal(self.0, out);
    }
    fn decode(bytes: &[u8]) -> Self {
        Self(take_ordinal(bytes, 0))
    }
}

/// A document in the order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    rank: u64,
    document: Ordinal,
}

impl Record for Standing {
    const BYTES: usize = 8 + ORDINAL_BYTES;
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.rank.to_le_bytes());
        put_ordinal(self.document, out);
    }
    fn decode(bytes: &[u8]) -> Self {
        Self { rank: take_u64(bytes, 0), document: take_ordinal(bytes, 8) }
    }
}

/// The number of a document in the order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Number {
    document: Ordinal,
    number: u64,
}

impl Record for Number {
    const BYTES: usize = ORDINAL_BYTES + 8;
    fn encode(&self, out: &mut Vec<u8>) {
        put_ordinal(self.document, out);
        out.extend_from_slice(&self.number.to_le_bytes());
    }
    fn decode(bytes: &[u8]) -> Self {
        Self { document: take_ordinal(bytes, 0), number: take_u64(bytes, ORDINAL_BYTES) }
    }
}

/// A pair of which the later document has its number, by the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Half {
    earlier: Ordinal,
    number: u64,
    overlap: Overlap,
}

impl Record for Half {
    const BYTES: usize = ORDINAL_BYTES + 16;
    fn encode(&self, out: &mut Vec<u8>) {
        put_ordinal(self.earlier, out);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.overlap.shared.to_le_bytes());
        out.extend_from_slice(&self.overlap.union.to_le_bytes());
    }
    fn decode(bytes: &[u8]) -> Self {
        let [number, shared, union] = [ORDINAL_BYTES, ORDINAL_BYTES + 8, ORDINAL_BYTES + 12];
        let overlap = Overlap { shared: take_u32(bytes, shared), union: take_u32(bytes, union) };
        Self { earlier: take_ordinal(bytes, 0), number: take_u64(bytes, number), overlap }
    }
}

/// Verified pairs by numbers.
pub(super) struct Ranking {
    edges: PathBuf,
    order: RunFile<Standing>,
}

impl Ranking {
    /// Numbers the documents of these pairs, which come sorted; `edges` yields them as often as it is asked.
    pub(super) fn make<I: Iterator<Item = Result<Edge>>>(
        edges: impl Fn() -> Result<I>,
        docs: &mut DocStore,
        scratch: &Path,
        env: &TaskEnv,
    ) -> Result<Self> {
        let share = env.memory_bytes / 8;
        let mut named = RunSorter::new(scratch.join("named"), share);
        for edge in edges()? {
            let Pair { later, earlier } = edge?.pair;
            named.push(Named(later))?;
            named.push(Named(earlier))?;
        }
        let mut standings = RunSorter::new(scratch.join("standings"), share);
        let (mut last, mut count) = (None, 0_u64);
        for document in named.finish()? {
            let Named(document) = document?;
            if last.replace(document) == Some(document) {
                continue;
            }
            if count.is_multiple_of(CANCEL_DOCS) {
                env.check_cancel()?;
            }
            count += 1;
            standings.push(Standing { rank: docs.rank(document)?, document })?;
        }
        let order = scratch.join("order.run");
        runs::write_sorted(&order, standings.finish()?)?;
        let mut numbers = RunSorter::new(scratch.join("numbers"), share);
        for (number, standing) in (0..).zip(RunReader::<Standing>::open(&order)?) {
            numbers.push(Number { document: standing?.document, number })?;
        }
        let path = scratch.join("numbers.run");
        runs::write_sorted(&path, numbers.finish()?)?;

        let mut halves = RunSorter::new(scratch.join("halves"), share);
        let mut numbers = Numbers::open(&path)?;
        for edge in edges()? {
            let Edge { pair, overlap } = edge?;
            halves.push(Half { earlier: pair.earlier, number: numbers.of(pair.later)?, overlap })?;
        }
        env.check_cancel()?;
        let mut numbered = RunSorter::new(scratch.join("numbered"), share);
        let mut numbers = Numbers::open(&path)?;
        for half in halves.finish()? {
            let Half { earlier, number, overlap } = half?;
            let pair = Pair::of(place(number), place(numbers.of(earlier)?));
            numbered.push(Edge { pair, overlap })?;
        }
        let edges = scratch.join("edges.run");
        runs::write_sorted(&edges, numbered.finish()?)?;
        Ok(Self { edges, order: RunFile::<Standing>::open(order)? })
    }

    /// The pairs, sorted, of numbers.
    pub(super) fn edges(&self) -> Result<RunReader<Edge>> {
        RunReader::open(&self.edges)
    }

    /// The document of a number.
    pub(super) fn document(&self, number: Ordinal) -> Result<Ordinal> {
        Ok(self.order.get(number.record)?.document)
    }

    /// The same with documents in place of numbers.
    pub(super) fn named(&self, gone: Gone) -> Result<Gone> {
        let [removed, kept, cluster] = [gone.removed, gone.kept, gone.cluster];
        Ok(Gone {
            removed: self.document(removed)?,
            kept: self.document(kept)?,
            cluster: self.document(cluster)?,
            ..gone
        })
    }
}

/// A number in the form of a place.
fn place(number: u64) -> Ordinal {
    Ordinal { split: 0, record: number }
}

/// Looks numbers up in the order of the documents.
struct Numbers {
    run: std::iter::Peekable<RunReader<Number>>,
    path: PathBuf,
}

impl Numbers {
    fn open(path: &Path) -> Result<Self> {
        Ok(Self { run: RunReader::open(path)?.peekable(), path: path.to_path_buf() })
    }

    fn of(&mut self, document: Ordinal) -> Result<u64> {
        while let Some(next) =
            self.run.next_if(|next| !next.as_ref().is_ok_and(|next| next.document >= document))
        {
            next?;
        }
        match self.run.peek() {
            Some(Ok(next)) if next.document == document => Ok(next.number),
            _ => Err(Error::damaged(&self.path, format!("there is no document at {document:?}"))),
        }
    }
}
