//! Pass `tokens-shuffle`: one task per cell that has documents; each writes one shard.
//!
//! The documents of a cell are put in the order of their keys. Where the cell fits into half of the task's
//! memory it is read in one go, else only the keys are sorted (on disk if need be) and each document is
//! read where it lies. Both ways write the same bytes.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::io::runs::{Record, RunSorter};
use crate::stage::{Pass, TaskEnv, TaskReport};

use super::Layout;
use super::encode::{Dealt, HEADER_BYTES, Header, Segment, read_plan};
use super::shard::{ShardInfo, ShardWriter, Width};

/// The pass.
pub struct Shuffle {
    pub(super) layout: Layout,
    pub(super) eos: String,
    pub(super) name: String,
}

/// Where a document waits, in the order of the shuffle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    key: u64,
    /// Number of the dealt file.
    file: u32,
    /// Offset of the record in the file; in memory, in the cell's own bytes.
    offset: u64,
}

impl Record for Place {
    const BYTES: usize = 20;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.key.to_le_bytes());
        out.extend_from_slice(&self.file.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        let number = |range: std::ops::Range<usize>| {
            bytes[range].iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte))
        };
        Self {
            key: number(0..8),
            file: u32::try_from(number(8..12)).unwrap_or(u32::MAX),
            offset: number(12..20),
        }
    }
}

/// The documents of one cell, in memory or on disk.
struct Cell {
    files: Vec<PathBuf>,
    width: Width,
    memory: Option<Vec<u8>>,
    /// The file that was read last.
    open: Option<(u32, crate::io::File)>,
    record: Vec<u8>,
}

impl Cell {
    /// The record at a place: id and tokens.
    fn read(&mut self, place: Place) -> Result<(&str, &[u8])> {
        let path = &self.files[place.file as usize];
        let mut head = [0; HEADER_BYTES];
        let bytes = if let Some(memory) = &self.memory {
            let start = usize::try_from(place.offset).unwrap_or(usize::MAX);
            let cut = || Error::damaged(path, "a record is cut short");
            head.copy_from_slice(memory.get(start..start + HEADER_BYTES).ok_or_else(cut)?);
            let body = start + HEADER_BYTES;
            let length = usize::try_from(Header::decode(&head).body_bytes(self.width)).unwrap_or(usize::MAX);
            memory.get(body..body.saturating_add(length)).ok_or_else(cut)?
        } else {
            let file = match &self.open {
                Some((number, file)) if *number == place.file => file,
                _ => &self.open.insert((place.file, crate::io::open(path)?)).1,
            };
            file.read_exact_at(&mut head, place.offset).map_err(Error::io("read", path))?;
            let length = usize::try_from(Header::decode(&head).body_bytes(self.width)).unwrap_or(usize::MAX);
            self.record.resize(length, 0);
            file.read_exact_at(&mut self.record, place.offset + HEADER_BYTES as u64)
                .map_err(Error::io("read", path))?;
            &self.record[..]
        };
        let (id, tokens) = bytes.split_at(Header::decode(&head).id_bytes as usize);
        let id = std::str::from_utf8(id).map_err(|error| Error::damaged(path, error.to_string()))?;
        Ok((id, tokens))
    }
}

impl Shuffle {
    fn dealt_files(&self) -> Result<Vec<PathBuf>> {
        let dir = self.layout.work("encode");
        let tasks = super::per_corpus_file(&self.layout)?;
        Ok((0..tasks).map(|task| dir.join(format!("{task:05}.dealt"))).collect())
    }

    fn segments(&self, mut each: impl FnMut(u32, Segment)) -> Result<()> {
        for (number, path) in (0..).zip(self.dealt_files()?) {
            let dealt: Dealt = crate::io::read_json(path.with_extension("json"))?;
            for segment in dealt.segments {
                each(number, segment);
            }
        }
        Ok(())
    }

    /// The cells that have documents: each becomes a shard, numbered in this order.
    fn cells(&self) -> Result<Vec<u32>> {
        let mut full = vec![false; read_plan(&self.layout)?.cells as usize];
        self.segments(|_, segment| {
            if let Some(cell) = full.get_mut(segment.cell as usize) {
                *cell = true;
            }
        })?;
        Ok((0..).zip(full).filter_map(|(cell, full)| full.then_some(cell)).collect())
    }
}

/// Reads the segments of a cell and calls `each` with the place of every record.
fn index(
    segments: &[(u32, Segment)],
    cell: &mut Cell,
    env: &TaskEnv,
    mut each: impl FnMut(Place) -> Result<()>,
) -> Result<()> {
    let mut base = 0;
    for &(file, segment) in segments {
        env.check_cancel()?;
        let path = &cell.files[file as usize];
        let mut input = BufReader::with_capacity(1 << 17, crate::io::open(path)?);
        input.seek(SeekFrom::Start(segment.offset)).map_err(Error::io("read", path))?;
        let mut at = 0;
        for _ in 0..segment.docs {
            let mut head = [0; HEADER_BYTES];
            input.read_exact(&mut head).map_err(Error::io("read", path))?;
            let header = Header::decode(&head);
            let body = header.body_bytes(cell.width);
            if at + HEADER_BYTES as u64 + body > segment.bytes {
                return Err(Error::damaged(path, "a record is longer than its segment"));
            }
            if let Some(memory) = &mut cell.memory {
                memory.extend_from_slice(&head);
                let read = (&mut input).take(body).read_to_end(memory).map_err(Error::io("read", path))?;
                if read as u64 != body {
                    return Err(Error::damaged(path, "a record is cut short"));
                }
                each(Place { key: header.key, file, offset: base + at })?;
            } else {
                let skip = i64::try_from(body).unwrap_or(i64::MAX);
                input.seek_relative(skip).map_err(Error::io("read", path))?;
                each(Place { key: header.key, file, offset: segment.offset + at })?;
            }
            at += HEADER_BYTES as u64 + body;
        }
        base += at;
    }
    Ok(())
}

/// Where the task of one shard leaves what the manifest says about it.
pub(super) fn info_path(layout: &Layout, task: u32) -> PathBuf {
    layout.work("shuffle").join(format!("{task:05}.json"))
}

impl Pass for Shuffle {
    fn name(&self) -> &'static str {
        "tokens-shuffle"
    }

    fn tasks(&self) -> Result<u32> {
        u32::try_from(self.cells()?.len()).map_err(|_| Error::Failed("too many cells".to_owned()))
    }

    fn run(&self, task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let number = *self
            .cells()?
            .get(task as usize)
            .ok_or_else(|| Error::Failed(format!("there is no cell for shard {task}")))?;
        let mut segments = Vec::new();
        self.segments(|file, segment| {
            if segment.cell == number {
                segments.push((file, segment));
            }
        })?;
        let bytes: u64 = segments.iter().map(|(_, segment)| segment.bytes).sum();
        let fits = bytes <= env.memory_bytes / 2;
        let memory = if fits { Some(Vec::with_capacity(usize::try_from(bytes).unwrap_or(0))) } else { None };
        let width = Width::of(self.layout.encoder(&self.eos)?.vocab_size);
        let mut cell = Cell { files: self.dealt_files()?, width, memory, open: None, record: Vec::new() };
        let scratch = self.layout.work("shuffle").join(format!("{task:05}.scratch"));
        let mut sorter: RunSorter<Place> = RunSorter::new(scratch, env.memory_bytes / 4);
        index(&segments, &mut cell, env, |place| sorter.push(place))?;
        let name = format!("{}_{task:05}", self.name);
        let mut shard = ShardWriter::create(&self.layout.tokens(), &name, width)?;
        for place in sorter.finish()? {
            env.check_cancel()?;
            let (id, tokens) = cell.read(place?)?;
            shard.push(id, tokens)?;
        }
        let info: ShardInfo = shard.finish()?;
        crate::io::write_json(info_path(&self.layout, task), &info)?;
        env.progress.advance(info.bytes, info.docs);
        let mut report = TaskReport::default();
        report.counts.insert("shards".to_owned(), 1);
        Ok(report)
    }
}
