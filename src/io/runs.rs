//! Sorted runs: how more records than fit in memory are sorted and grouped.
//!
//! A run is a file of fixed-size records in order. [`RunSorter`] sorts any number of records within a
//! memory budget; [`merge`] reads many runs as one sorted stream with bounded fan-in.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::{AtomicFile, File, scratch};
use crate::error::{Error, Result};

/// A record of fixed size whose order is that of its fields.
pub trait Record: Copy + Ord + Send + 'static {
    /// Size on disk.
    const BYTES: usize;
    /// Appends exactly [`Record::BYTES`] bytes.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads what [`Record::encode`] wrote.
    fn decode(bytes: &[u8]) -> Self;
}

/// Runs that are merged at once; more are merged in rounds.
const MAX_FAN_IN: usize = 256;
/// Read buffer per run.
const BUFFER_BYTES: usize = 1 << 16;

/// Sorts `records` and writes them as one run, whole or not at all.
///
/// # Errors
/// [`Error::Io`] where it cannot be written.
pub fn write_run<R: Record>(path: impl AsRef<Path>, records: &mut [R]) -> Result<()> {
    records.sort_unstable();
    let mut out = AtomicFile::create(path)?;
    let mut bytes = Vec::with_capacity(R::BYTES * 1024);
    for chunk in records.chunks(1024) {
        bytes.clear();
        for record in chunk {
            record.encode(&mut bytes);
        }
        out.write(&bytes)?;
    }
    out.commit()
}

/// Records of one run.
pub struct RunReader<R> {
    input: BufReader<File>,
    path: PathBuf,
    left: u64,
    buffer: Vec<u8>,
    marker: std::marker::PhantomData<R>,
}

impl<R: Record> RunReader<R> {
    /// Opens a run.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Damaged`] where its size is not a whole number of records.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let file = super::open(&path)?;
        let bytes = file.size().map_err(Error::io("look at", &path))?;
        if bytes % R::BYTES as u64 != 0 {
            return Err(Error::damaged(
                path,
                format!("{bytes} bytes are no whole number of {}-byte records", R::BYTES),
            ));
        }
        Ok(Self {
            input: BufReader::with_capacity(BUFFER_BYTES, file),
            path: path.as_ref().to_path_buf(),
            left: bytes / R::BYTES as u64,
            buffer: vec![0; R::BYTES],
            marker: std::marker::PhantomData,
        })
    }
}

impl<R: Record> Iterator for RunReader<R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        Some(match self.input.read_exact(&mut self.buffer) {
            Ok(()) => Ok(R::decode(&self.buffer)),
            Err(error) => Err(Error::io("read", &self.path)(error)),
        })
    }
}

/// Reads sorted runs as one sorted stream. More than a few hundred runs are first merged in rounds
/// into files below `scratch`.
///
/// # Errors
/// [`Error::Io`] where a run cannot be read or `scratch` cannot be written.
pub fn merge<R: Record>(paths: &[PathBuf], scratch: &Path) -> Result<Merged<R>> {
    let mut level = paths.to_vec();
    let mut round = 0;
    let mut temporary: Vec<PathBuf> = Vec::new();
    while level.len() > MAX_FAN_IN {
        let mut next = Vec::new();
        for (number, group) in level.chunks(MAX_FAN_IN).enumerate() {
            let path = scratch::private(scratch)?.join(format!("merge-{round}-{number}.run"));
            write_sorted(&path, Merged::<R>::open(group)?)?;
            next.push(path);
        }
        for path in temporary.drain(..) {
            std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
        temporary.clone_from(&next);
        level = next;
        round += 1;
    }
    let mut merged = Merged::open(&level)?;
    merged.temporary = temporary;
    Ok(merged)
}

/// Writes records that come in order as one run, whole or not at all.
///
/// # Errors
/// Those of the records, and [`Error::Io`] where the run cannot be written.
pub fn write_sorted<R: Record>(path: &Path, records: impl Iterator<Item = Result<R>>) -> Result<()> {
    let mut out = AtomicFile::create(path)?;
    let mut bytes = Vec::with_capacity(1 << 16);
    for record in records {
        record?.encode(&mut bytes);
        if bytes.len() >= 1 << 16 {
            out.write(&bytes)?;
            bytes.clear();
        }
    }
    out.write(&bytes)?;
    out.commit()
}

/// Many runs as one sorted stream; equal records come in the order of their runs.
pub struct Merged<R: Record> {
    runs: Vec<RunReader<R>>,
    heap: BinaryHeap<Reverse<(R, usize)>>,
    temporary: Vec<PathBuf>,
}

impl<R: Record> Merged<R> {
    fn open(paths: &[PathBuf]) -> Result<Self> {
        let mut runs = Vec::with_capacity(paths.len());
        let mut heap = BinaryHeap::with_capacity(paths.len());
        for path in paths {
            let mut run = RunReader::open(path)?;
            if let Some(first) = run.next() {
                heap.push(Reverse((first?, runs.len())));
            }
            runs.push(run);
        }
        Ok(Self { runs, heap, temporary: Vec::new() })
    }
}

impl<R: Record> Iterator for Merged<R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        let Reverse((record, run)) = self.heap.pop()?;
        match self.runs[run].next() {
            Some(Ok(following)) => self.heap.push(Reverse((following, run))),
            Some(Err(error)) => return Some(Err(error)),
            None => {}
        }
        Some(Ok(record))
    }
}

impl<R: Record> Drop for Merged<R> {
    fn drop(&mut self) {
        self.runs.clear();
        for path in &self.temporary {
            drop(std::fs::remove_file(path));
        }
    }
}

/// Sorts any number of records within a memory budget, spilling runs below a scratch folder.
pub struct RunSorter<R> {
    scratch: PathBuf,
    capacity: usize,
    records: Vec<R>,
    runs: Vec<PathBuf>,
}

impl<R: Record> RunSorter<R> {
    /// A sorter that holds at most `memory_bytes` of records and spills below `scratch`, a folder of its own.
    #[must_use]
    pub fn new(scratch: impl AsRef<Path>, memory_bytes: u64) -> Self {
        let capacity = usize::try_from(memory_bytes).unwrap_or(usize::MAX) / size_of::<R>().max(1);
        Self {
            scratch: scratch.as_ref().to_path_buf(),
            capacity: capacity.max(1024),
            records: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Takes a record.
    ///
    /// # Errors
    /// [`Error::Io`] where a run cannot be spilled.
    pub fn push(&mut self, record: R) -> Result<()> {
        if self.records.len() >= self.capacity {
            self.spill()?;
        }
        self.records.push(record);
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        let path = scratch::private(&self.scratch)?.join(format!("spill-{:05}.run", self.runs.len()));
        write_run(&path, &mut self.records)?;
        self.records.clear();
        self.runs.push(path);
        Ok(())
    }

    /// All records in order.
    ///
    /// # Errors
    /// [`Error::Io`] where the runs cannot be read back.
    pub fn finish(mut self) -> Result<Sorted<R>> {
        if self.runs.is_empty() {
            let mut records = std::mem::take(&mut self.records);
            records.sort_unstable();
            return Ok(Sorted::Memory(records.into_iter()));
        }
        if !self.records.is_empty() {
            self.spill()?;
        }
        self.records = Vec::new();
        let mut merged = merge(&self.runs, &self.scratch)?;
        merged.temporary.append(&mut self.runs);
        Ok(Sorted::Disk(merged))
    }
}

/// The result of a [`RunSorter`].
pub enum Sorted<R: Record> {
    /// Everything fitted.
    Memory(std::vec::IntoIter<R>),
    /// Merged from disk.
    Disk(Merged<R>),
}

impl<R: Record> Iterator for Sorted<R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        match self {
            Self::Memory(records) => records.next().map(Ok),
            Self::Disk(merged) => merged.next(),
        }
    }
}
