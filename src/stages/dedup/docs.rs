//! What the passes look up by a document's place: its id, and its shingle set where it has one.
//!
//! Each part writes `docs/<part>.data` (id, then set, document after document) and `docs/<part>.index`
//! (entries of fixed size in ordinal order, then the stretches of splits that they cover). A look-up
//! guesses the entry's place from the record number and reads a small block around it, so memory does
//! not grow with the corpus and most look-ups cost two reads.

use std::path::{Path, PathBuf};

use super::catalog::{Catalog, Segment, Stretch};
use super::records::{take_u32, take_u64};
use crate::document::Ordinal;
use crate::error::{Error, Result};
use crate::io::AtomicFile;
use crate::io::ranges::{ReadAt, RunFile};

/// Bytes of an index entry: split, record, offset of its data, length of the id, length of the set.
const ENTRY_BYTES: usize = 28;
/// Bytes of a segment in the index's tail.
const SEGMENT_BYTES: usize = 36;
/// Entries read at once.
const BLOCK_ENTRIES: u64 = 64;
/// Bytes of a rank in front of a document's words.
pub(super) const RANK_BYTES: usize = 8;
/// Parts kept open.
const OPEN_PARTS: usize = 32;

/// Folder of the parts' files below the barrier's.
pub(super) fn folder(dir: &Path) -> PathBuf {
    dir.join("docs")
}

/// File name, without ending, of a part.
pub(super) fn part_name(task: u32, part: u32) -> String {
    format!("{task:07}-{part:07}")
}

/// The numbers that [`part_name`] put into a file's name.
pub(super) fn parse_name(path: &Path) -> Result<(u32, u32)> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let numbers =
        stem.split_once('-').and_then(|(task, part)| Some((task.parse().ok()?, part.parse().ok()?)));
    numbers.ok_or_else(|| Error::damaged(path, "its name is not that of a part"))
}

/// Writes the documents of one part.
pub(super) struct DocsWriter {
    data: AtomicFile,
    index: AtomicFile,
    data_bytes: u64,
    entries: u64,
    segments: Vec<Segment>,
}

impl DocsWriter {
    pub(super) fn create(dir: &Path, name: &str) -> Result<Self> {
        let folder = folder(dir);
        Ok(Self {
            data: AtomicFile::create(folder.join(format!("{name}.data")))?,
            index: AtomicFile::create(folder.join(format!("{name}.index")))?,
            data_bytes: 0,
            entries: 0,
            segments: Vec::new(),
        })
    }

    /// Bytes of the data file so far: where the id of the next document begins.
    pub(super) fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// Appends a document; ordinals rise.
    pub(super) fn add(&mut self, ordinal: Ordinal, id: &str, set: &[u8]) -> Result<()> {
        let length = |bytes: &[u8]| {
            u32::try_from(bytes.len())
                .map_err(|_| Error::Failed(format!("document `{id}` has over 4 GiB of shingles")))
        };
        let mut entry = Vec::with_capacity(ENTRY_BYTES);
        entry.extend_from_slice(&ordinal.split.to_le_bytes());
        entry.extend_from_slice(&ordinal.record.to_le_bytes());
        entry.extend_from_slice(&self.data_bytes.to_le_bytes());
        entry.extend_from_slice(&length(id.as_bytes())?.to_le_bytes());
        entry.extend_from_slice(&length(set)?.to_le_bytes());
        self.index.write(&entry)?;
        self.data.write(id.as_bytes())?;
        self.data.write(set)?;
        match self.segments.last_mut() {
            Some(segment) if segment.split == ordinal.split => {
                segment.last = ordinal.record;
                segment.docs += 1;
            }
            _ => self.segments.push(Segment {
                split: ordinal.split,
                first: ordinal.record,
                last: ordinal.record,
                start: self.entries,
                docs: 1,
            }),
        }
        self.data_bytes += (id.len() + set.len()) as u64;
        self.entries += 1;
        Ok(())
    }

    /// Makes the files visible, the index last: a part without one does not exist.
    pub(super) fn finish(mut self) -> Result<()> {
        for segment in &self.segments {
            let mut bytes = Vec::with_capacity(SEGMENT_BYTES);
            bytes.extend_from_slice(&segment.split.to_le_bytes());
            for number in [segment.first, segment.last, segment.start, segment.docs] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            self.index.write(&bytes)?;
        }
        self.index.write(&(self.segments.len() as u64).to_le_bytes())?;
        self.data.commit()?;
        self.index.commit()
    }
}

/// Reads the stretches that a part's index covers.
pub(super) fn read_segments(path: &Path) -> Result<Vec<Segment>> {
    let file = ReadAt::open(path)?;
    let damaged = || Error::damaged(path, "it is cut short");
    let body = file.size()?.checked_sub(8).ok_or_else(damaged)?;
    let mut count = [0; 8];
    file.read_exact(&mut count, body)?;
    let count = u64::from_le_bytes(count);
    let tail = count.checked_mul(SEGMENT_BYTES as u64).ok_or_else(damaged)?;
    let entries = body.checked_sub(tail).ok_or_else(damaged)?;
    let mut bytes = vec![0; usize::try_from(tail).map_err(|_| damaged())?];
    file.read_exact(&mut bytes, entries)?;
    let segments: Vec<Segment> = bytes
        .chunks_exact(SEGMENT_BYTES)
        .map(|bytes| Segment {
            split: take_u32(bytes, 0),
            first: take_u64(bytes, 4),
            last: take_u64(bytes, 12),
            start: take_u64(bytes, 20),
            docs: take_u64(bytes, 28),
        })
        .collect();
    let docs = segments.iter().fold(0_u64, |docs, segment| docs.saturating_add(segment.docs));
    if docs.saturating_mul(ENTRY_BYTES as u64) == entries { Ok(segments) } else { Err(damaged()) }
}

/// Goes through the documents of a part: place, id, bytes of the set.
pub(super) fn each(
    dir: &Path,
    name: &str,
    mut each: impl FnMut(Ordinal, &str, &[u8]) -> Result<()>,
) -> Result<()> {
    let path = folder(dir).join(format!("{name}.index"));
    let docs: u64 = read_segments(&path)?.iter().map(|segment| segment.docs).sum();
    let (index, data) = (ReadAt::open(&path)?, ReadAt::open(path.with_extension("data"))?);
    let mut block = Block::default();
    let mut bytes = Vec::new();
    let mut next = 0;
    while next < docs {
        let count = BLOCK_ENTRIES.min(docs - next);
        block.bytes.resize(usize::try_from(count).unwrap_or(0) * ENTRY_BYTES, 0);
        index.read_exact(&mut block.bytes, next * ENTRY_BYTES as u64)?;
        next += count;
        for number in 0..block.entries() {
            let entry = block.entry(number);
            bytes.resize(entry.id_bytes as usize + entry.set_bytes as usize, 0);
            data.read_exact(&mut bytes, entry.offset)?;
            let (id, set) = bytes.split_at(entry.id_bytes as usize);
            let id =
                std::str::from_utf8(id).map_err(|error| Error::damaged(data.path(), error.to_string()))?;
            each(block.ordinal(number), id, set)?;
        }
    }
    Ok(())
}

/// The index of one part, searched by bytes of the data file.
pub(super) struct PartIndex {
    index: ReadAt,
    docs: u64,
}

impl PartIndex {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let docs = read_segments(path)?.iter().map(|segment| segment.docs).sum();
        Ok(Self { index: ReadAt::open(path)?, docs })
    }

    /// The last document that begins at a byte of the data file or before it, and which bytes its set has.
    pub(super) fn by_offset(&self, offset: u64) -> Result<Option<(Ordinal, std::ops::Range<u64>)>> {
        let mut block = Block { bytes: vec![0; ENTRY_BYTES], ..Block::default() };
        let (mut low, mut high) = (0, self.docs);
        while low < high {
            let middle = low + (high - low) / 2;
            self.index.read_exact(&mut block.bytes, middle * ENTRY_BYTES as u64)?;
            if block.entry(0).offset <= offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let Some(number) = low.checked_sub(1) else { return Ok(None) };
        self.index.read_exact(&mut block.bytes, number * ENTRY_BYTES as u64)?;
        let entry = block.entry(0);
        let start = entry.offset + u64::from(entry.id_bytes);
        Ok(Some((block.ordinal(0), start..start + u64::from(entry.set_bytes))))
    }
}

/// Folder, task and number of a part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    folder: u32,
    task: u32,
    part: u32,
}

/// Where a document's data lies.
#[derive(Debug, Clone, Copy)]
struct Entry {
    part: Place,
    offset: u64,
    id_bytes: u32,
    set_bytes: u32,
}

struct OpenPart {
    part: Place,
    index: ReadAt,
    data: ReadAt,
}

/// The block of entries that was read last.
#[derive(Default)]
struct Block {
    part: Place,
    /// What is added to the splits in it.
    base: u32,
    bytes: Vec<u8>,
}

impl Block {
    fn ordinal(&self, number: usize) -> Ordinal {
        let at = number * ENTRY_BYTES;
        Ordinal { split: take_u32(&self.bytes, at) + self.base, record: take_u64(&self.bytes, at + 4) }
    }

    fn entries(&self) -> usize {
        self.bytes.len() / ENTRY_BYTES
    }

    /// Where `ordinal` is to be sought: `Less` before this block, `Greater` behind it.
    fn side(&self, ordinal: Ordinal) -> std::cmp::Ordering {
        if self.bytes.is_empty() || ordinal > self.ordinal(self.entries() - 1) {
            std::cmp::Ordering::Greater
        } else if ordinal < self.ordinal(0) {
            std::cmp::Ordering::Less
        } else {
            std::cmp::Ordering::Equal
        }
    }

    fn entry(&self, number: usize) -> Entry {
        let at = number * ENTRY_BYTES;
        Entry {
            part: self.part,
            offset: take_u64(&self.bytes, at + 12),
            id_bytes: take_u32(&self.bytes, at + 20),
            set_bytes: take_u32(&self.bytes, at + 24),
        }
    }

    fn find(&self, ordinal: Ordinal) -> Option<Entry> {
        let (mut low, mut high) = (0, self.entries());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.ordinal(middle).cmp(&ordinal) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(self.entry(middle)),
            }
        }
        None
    }
}

/// Stretches that are held in memory; of more than these each look-up searches the file.
const MAX_HELD: u64 = 1 << 16;

/// Looks documents up by their place in the catalogue.
pub(super) struct DocStore {
    catalog: Catalog,
    stretches: RunFile<Stretch>,
    /// All of them, where they are few.
    held: Vec<Stretch>,
    /// The one that was found last.
    last: Option<Stretch>,
    open: Vec<OpenPart>,
    block: Block,
}

impl DocStore {
    pub(super) fn open(catalog: Catalog) -> Result<Self> {
        Self::holding(catalog, MAX_HELD)
    }

    fn holding(catalog: Catalog, max_held: u64) -> Result<Self> {
        let stretches = catalog.stretches()?;
        let held = if stretches.records() <= max_held {
            catalog.stretches()?.range(0, max_held)?.collect::<Result<_>>()?
        } else {
            Vec::new()
        };
        Ok(Self { catalog, stretches, held, last: None, open: Vec::new(), block: Block::default() })
    }

    /// The id of a document.
    pub(super) fn id(&mut self, ordinal: Ordinal) -> Result<String> {
        let entry = self.find(ordinal)?;
        let mut bytes = vec![0; entry.id_bytes as usize];
        let part = self.part(entry.part)?;
        part.data.read_exact(&mut bytes, entry.offset)?;
        String::from_utf8(bytes).map_err(|error| Error::damaged(part.data.path(), error.to_string()))
    }

    /// The words of a document, mostly its sorted shingle set, behind `skip` bytes of something else.
    pub(super) fn set(&mut self, ordinal: Ordinal, skip: usize) -> Result<Vec<u32>> {
        let bytes = self.set_bytes(ordinal)?;
        Ok(bytes[skip.min(bytes.len())..].chunks_exact(4).map(|bytes| take_u32(bytes, 0)).collect())
    }

    /// The rank of a document, where its words stand behind one.
    pub(super) fn rank(&mut self, ordinal: Ordinal) -> Result<u64> {
        let bytes = self.set_bytes(ordinal)?;
        if bytes.len() < RANK_BYTES {
            return Err(Error::damaged(self.stretches.path(), format!("there is no rank at {ordinal:?}")));
        }
        Ok(take_u64(&bytes, 0))
    }

    /// What was written down beside the id of a document.
    pub(super) fn set_bytes(&mut self, ordinal: Ordinal) -> Result<Vec<u8>> {
        let entry = self.find(ordinal)?;
        let mut bytes = vec![0; entry.set_bytes as usize];
        let part = self.part(entry.part)?;
        part.data.read_exact(&mut bytes, entry.offset + u64::from(entry.id_bytes))?;
        Ok(bytes)
    }

    fn find(&mut self, ordinal: Ordinal) -> Result<Entry> {
        if let Some(entry) = self.block.find(ordinal) {
            return Ok(entry);
        }
        let absent = || {
            let Ordinal { split, record } = ordinal;
            Error::damaged(self.stretches.path(), format!("record {record} of split {split} is missing"))
        };
        let holds = |stretch: &Stretch| {
            let segment = &stretch.segment;
            segment.split == ordinal.split && (segment.first..=segment.last).contains(&ordinal.record)
        };
        let stretch = match self.last.filter(holds) {
            Some(stretch) => stretch,
            None => self.stretch_before(ordinal)?.filter(holds).ok_or_else(absent)?,
        };
        self.last = Some(stretch);
        let Stretch { segment, folder, task, part } = stretch;
        let part = Place { folder, task, part };
        let (mut low, mut high) = (segment.start, segment.start + segment.docs);
        let mut guess = low + segment.guess(ordinal.record);
        while low < high {
            let from = guess.saturating_sub(BLOCK_ENTRIES / 2).max(low);
            let to = (from + BLOCK_ENTRIES).min(high);
            self.read_block(part, from, to)?;
            match self.block.side(ordinal) {
                std::cmp::Ordering::Less => high = from,
                std::cmp::Ordering::Greater => low = to,
                std::cmp::Ordering::Equal => break,
            }
            guess = low + (high - low) / 2;
        }
        self.block.find(ordinal).ok_or_else(|| {
            Error::damaged(self.stretches.path(), format!("there is no document at {ordinal:?}"))
        })
    }

    /// The last stretch that does not begin behind `ordinal`.
    fn stretch_before(&self, ordinal: Ordinal) -> Result<Option<Stretch>> {
        let begins_before = |stretch: &Stretch| {
            (stretch.segment.split, stretch.segment.first) <= (ordinal.split, ordinal.record)
        };
        if !self.held.is_empty() {
            let behind = self.held.partition_point(begins_before);
            return Ok(behind.checked_sub(1).map(|at| self.held[at]));
        }
        let behind = self.stretches.partition_point(begins_before)?;
        behind.checked_sub(1).map(|at| self.stretches.get(at)).transpose()
    }

    fn read_block(&mut self, part: Place, from: u64, to: u64) -> Result<()> {
        let mut bytes = std::mem::take(&mut self.block.bytes);
        let length = usize::try_from(to - from).unwrap_or(0) * ENTRY_BYTES;
        bytes.resize(length, 0);
        self.part(part)?.index.read_exact(&mut bytes, from * ENTRY_BYTES as u64)?;
        let (_, base) = self.catalog.folder(part.folder)?;
        self.block = Block { part, base, bytes };
        Ok(())
    }

    /// The part's files, opened at need; the ones not used for longest are closed.
    fn part(&mut self, part: Place) -> Result<&OpenPart> {
        let place = if let Some(place) = self.open.iter().position(|open| open.part == part) {
            place
        } else {
            if self.open.len() >= OPEN_PARTS {
                self.open.remove(0);
            }
            let (above, _) = self.catalog.folder(part.folder)?;
            let path = folder(above).join(part_name(part.task, part.part) + ".index");
            let index = ReadAt::open(&path)?;
            let data = ReadAt::open(path.with_extension("data"))?;
            self.open.push(OpenPart { part, index, data });
            self.open.len() - 1
        };
        let last = self.open.len() - 1;
        self.open[place..].rotate_left(1);
        Ok(&self.open[last])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_documents_in_gapped_and_uneven_parts() {
        let dir = tempfile::tempdir().unwrap();
        let mut expected = Vec::new();
        for (task, part) in [(0, 0), (0, 1), (1, 0)] {
            let mut docs = DocsWriter::create(dir.path(), &part_name(task, part)).unwrap();
            // Records bunch together at the end of a part, so a linear guess is far off.
            for n in 0..1000_u64 {
                let record = u64::from(part) * 10_000_000 + if n < 990 { n * n * 3 } else { 9_000_000 + n };
                let ordinal = Ordinal { split: task, record };
                let set: Vec<u32> = (0..(n % 7) as u32).collect();
                let bytes: Vec<u8> = set.iter().flat_map(|x| x.to_le_bytes()).collect();
                let id = format!("doc-{task}-{record}");
                docs.add(ordinal, &id, &bytes).unwrap();
                expected.push((ordinal, id, set));
            }
            docs.finish().unwrap();
        }
        let catalog = Catalog::scan(dir.path(), &[], 1, 1 << 20).unwrap();
        for max_held in [MAX_HELD, 0] {
            let mut store = DocStore::holding(catalog.clone(), max_held).unwrap();
            for (ordinal, id, set) in expected.iter().rev().chain(&expected) {
                assert_eq!(&store.id(*ordinal).unwrap(), id);
                assert_eq!(&store.set(*ordinal, 0).unwrap(), set);
            }
            for absent in [Ordinal { split: 0, record: 1 }, Ordinal { split: 9, record: 0 }] {
                assert!(store.id(absent).is_err(), "{absent:?}");
            }
        }
    }
}
