//! Parts of files: positioned reads, and stretches of a sorted run found by binary search.
//!
//! A pass whose tasks each own a range of keys reads its range from every run of the pass before, so
//! that nobody has to decide on the number of ranges while the runs are written.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::File;
use super::runs::Record;
use crate::error::{Error, Result};

/// Largest read buffer of a stretch.
const BUFFER_BYTES: u64 = 1 << 16;

/// A file for reads at given places; threads may share it.
pub struct ReadAt {
    file: File,
    path: PathBuf,
}

impl ReadAt {
    /// Opens a file.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { file: super::open(&path)?, path: path.as_ref().to_path_buf() })
    }

    /// Its size in bytes.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn size(&self) -> Result<u64> {
        self.file.size().map_err(Error::io("look at", &self.path))
    }

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// [`Error::Io`], also where the file ends before.
    pub fn read_exact(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(Error::io("read", &self.path))
    }

    /// The path it was opened at.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A sorted run with access by number.
pub struct RunFile<R> {
    file: ReadAt,
    records: u64,
    marker: std::marker::PhantomData<fn() -> R>,
}

impl<R: Record> RunFile<R> {
    /// Opens a run.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Damaged`] where its size is not a whole number of records.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let file = ReadAt::open(path)?;
        let bytes = file.size()?;
        if bytes % R::BYTES as u64 != 0 {
            let what = format!("{bytes} bytes are no whole number of {}-byte records", R::BYTES);
            return Err(Error::damaged(file.path(), what));
        }
        Ok(Self { file, records: bytes / R::BYTES as u64, marker: std::marker::PhantomData })
    }

    /// The path it was opened at.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Number of records.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The record with this number.
    ///
    /// # Errors
    /// [`Error::Io`], also where there is none.
    pub fn get(&self, number: u64) -> Result<R> {
        let mut bytes = vec![0; R::BYTES];
        self.file.read_exact(&mut bytes, number * R::BYTES as u64)?;
        Ok(R::decode(&bytes))
    }

    /// Number of leading records for which `before` holds; it must hold for a leading stretch only.
    ///
    /// # Errors
    /// [`Error::Io`] where a record cannot be read.
    pub fn partition_point(&self, before: impl Fn(&R) -> bool) -> Result<u64> {
        let (mut low, mut high) = (0, self.records);
        while low < high {
            let middle = low + (high - low) / 2;
            if before(&self.get(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The records with numbers in `start..end`, in order.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be positioned.
    pub fn range(self, start: u64, end: u64) -> Result<RangeReader<R>> {
        let end = end.min(self.records);
        let start = start.min(end);
        let ReadAt { mut file, path } = self.file;
        file.end_at(end * R::BYTES as u64);
        file.seek(SeekFrom::Start(start * R::BYTES as u64)).map_err(Error::io("read", &path))?;
        let bytes = ((end - start) * R::BYTES as u64).clamp(R::BYTES as u64, BUFFER_BYTES);
        let capacity = usize::try_from(bytes).unwrap_or(1 << 16);
        let input = BufReader::with_capacity(capacity, file);
        Ok(RangeReader {
            input,
            path,
            left: end - start,
            buffer: vec![0; R::BYTES],
            marker: std::marker::PhantomData,
        })
    }
}

/// A stretch of a sorted run.
pub struct RangeReader<R> {
    input: BufReader<File>,
    path: PathBuf,
    left: u64,
    buffer: Vec<u8>,
    marker: std::marker::PhantomData<fn() -> R>,
}

impl<R: Record> Iterator for RangeReader<R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        Some(match self.input.read_exact(&mut self.buffer) {
            Ok(()) => Ok(R::decode(&self.buffer)),
            Err(error) => {
                self.left = 0;
                Err(Error::io("read", &self.path)(error))
            }
        })
    }
}
