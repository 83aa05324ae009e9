//! A file that is open for reading, wherever it lies.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::store::{Location, Remote};
use crate::error::{Error, Result};

/// A local file, or an object of a store that is fetched as it is read.
pub struct File {
    kind: Kind,
}

enum Kind {
    Local(std::fs::File),
    Remote(Box<Remote>),
}

impl File {
    pub(super) fn open(path: &Path, streaming: bool) -> Result<Self> {
        let kind = match Location::of(path)? {
            None => Kind::Local(std::fs::File::open(path).map_err(Error::io("open", path))?),
            Some(location) => Kind::Remote(Box::new(Remote::open(location, streaming)?)),
        };
        Ok(Self { kind })
    }

    /// Its size in bytes.
    ///
    /// # Errors
    /// What the system says.
    pub fn size(&self) -> std::io::Result<u64> {
        match &self.kind {
            Kind::Local(file) => Ok(file.metadata()?.len()),
            Kind::Remote(remote) => Ok(remote.size()),
        }
    }

    /// Says that nothing behind this place will be read, so that no more is fetched.
    pub fn end_at(&mut self, end: u64) {
        if let Kind::Remote(remote) = &mut self.kind {
            remote.end_at(end);
        }
    }

    /// Fills a buffer from a place on; threads may share the file.
    ///
    /// # Errors
    /// What the system or the store says, also where the file ends before.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        match &self.kind {
            Kind::Local(file) => file.read_exact_at(buffer, offset),
            Kind::Remote(remote) => remote.read_exact_at(buffer, offset),
        }
    }

    /// Whether two open files are one, under two names.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let identity = |kind: &Kind| match kind {
            Kind::Local(file) => file.metadata().ok().map(|meta| (meta.dev(), meta.ino())),
            Kind::Remote(_) => None,
        };
        identity(&self.kind).is_some_and(|one| Some(one) == identity(&other.kind))
    }

    /// A second handle, at the beginning of the file or where this one is.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_clone(&self) -> std::io::Result<Self> {
        let kind = match &self.kind {
            Kind::Local(file) => Kind::Local(file.try_clone()?),
            Kind::Remote(remote) => Kind::Remote(Box::new(remote.again())),
        };
        Ok(Self { kind })
    }

    /// What a store said last, if it failed: libraries that read a file tell only that it cannot be read.
    #[must_use]
    pub fn take_fault(&self) -> Option<Error> {
        match &self.kind {
            Kind::Local(_) => None,
            Kind::Remote(remote) => remote.take_fault(),
        }
    }
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.kind {
            Kind::Local(file) => file.read(buffer),
            Kind::Remote(remote) => remote.read(buffer),
        }
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        match &mut self.kind {
            Kind::Local(file) => file.seek(to),
            Kind::Remote(remote) => remote.seek(to),
        }
    }
}

impl Length for File {
    fn len(&self) -> u64 {
        self.size().unwrap_or(0)
    }
}

impl ChunkReader for File {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        if let Kind::Remote(remote) = &self.kind {
            // Headers of pages: the blocks that are kept serve them.
            return Ok(Box::new(TableReader { remote: remote.again(), at: start }));
        }
        let mut file = self.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        Ok(Box::new(BufReader::new(file)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let Kind::Remote(remote) = &self.kind else {
            let mut buffer = vec![0; length];
            self.read_exact_at(&mut buffer, start)?;
            return Ok(buffer.into());
        };
        let end = start + length as u64;
        if end > remote.size() {
            return Err(ParquetError::EOF(format!("the file ends before byte {end}")));
        }
        Ok(remote.table_part(start, end)?)
    }
}

/// Reads a table from a place on.
struct TableReader {
    remote: Remote,
    at: u64,
}

impl Read for TableReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let end = (self.at + buffer.len() as u64).min(self.remote.size());
        let part = self.remote.table_part(self.at.min(end), end)?;
        buffer[..part.len()].copy_from_slice(&part);
        self.at += part.len() as u64;
        Ok(part.len())
    }
}
