//! Temporary streams: bytes that are written once, read back in order, and never seen by anyone else.
//!
//! A [`Scratch`] hands out files that never have a name (where the file system has none such, they are removed as soon as they
//! are open), so nothing is left behind even by a killed process. A [`SpoolWriter`] makes one stream; [`Buckets`] deals records out to many
//! streams that share one file, so that a distribution into hundreds of them costs neither files nor big buffers.
//! Positions are kept by the readers: several of them may read one stream at once.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// Bytes that a stream holds before it writes, and that a reader reads at once.
const BUFFER_BYTES: usize = 1 << 17;
/// Bytes that one bucket holds before they go to the common file.
const CHUNK_BYTES: usize = 1 << 14;

/// A folder for temporary files.
#[derive(Debug, Clone)]
pub struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    /// Uses a folder, which is made if it is absent.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be made or no file can be made in it.
    pub fn new(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = super::scratch::stand_in(dir)?;
        super::create_dir(&dir)?;
        let scratch = Self { dir };
        scratch.file()?;
        Ok(scratch)
    }

    /// A file without a name, for reading and writing.
    fn file(&self) -> Result<File> {
        tempfile::tempfile_in(&self.dir).map_err(Error::io("create a temporary file in", &self.dir))
    }

    /// Starts a stream.
    ///
    /// # Errors
    /// [`Error::Io`] where no file can be made.
    pub fn spool(&self) -> Result<SpoolWriter> {
        let buffer = Vec::with_capacity(BUFFER_BYTES + 64);
        Ok(SpoolWriter { file: self.file()?, dir: self.dir.clone(), buffer, written: 0 })
    }

    /// Starts a distribution into `count` streams.
    ///
    /// # Errors
    /// [`Error::Io`] where no file can be made.
    pub fn buckets(&self, count: usize) -> Result<Buckets> {
        let streams =
            (0..count).map(|_| Bucket { buffer: Vec::new(), chunks: Vec::new(), bytes: 0 }).collect();
        Ok(Buckets { file: Arc::new(self.file()?), dir: self.dir.clone(), streams, written: 0 })
    }
}

/// A stream being written.
pub struct SpoolWriter {
    file: File,
    dir: PathBuf,
    buffer: Vec<u8>,
    written: u64,
}

impl SpoolWriter {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::Io`], for example on a full disk.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.spill()
    }

    /// Appends a number in as many bytes as it needs (LEB128).
    ///
    /// # Errors
    /// [`Error::Io`], for example on a full disk.
    #[inline]
    pub fn write_varint(&mut self, mut value: u64) -> Result<()> {
        while value >= 0x80 {
            self.buffer.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.push((value & 0x7f) as u8);
        self.spill()
    }

    #[inline]
    fn spill(&mut self) -> Result<()> {
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.file
            .write_all_at(&self.buffer, self.written)
            .map_err(Error::io("write a temporary file in", &self.dir))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// [`Error::Io`], for example on a full disk.
    pub fn finish(mut self) -> Result<Spool> {
        self.flush()?;
        Ok(Spool { file: Arc::new(self.file), dir: self.dir, bytes: self.written })
    }
}

/// A stream that was written.
#[derive(Debug)]
pub struct Spool {
    file: Arc<File>,
    dir: PathBuf,
    bytes: u64,
}

impl Spool {
    /// Reads it from the beginning.
    #[must_use]
    pub fn read(&self) -> SpoolReader {
        SpoolReader {
            file: Arc::clone(&self.file),
            dir: self.dir.clone(),
            at: 0,
            end: self.bytes,
            buffer: Vec::new(),
            start: 0,
        }
    }

    /// Its size.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Reads a stream in order.
pub struct SpoolReader {
    file: Arc<File>,
    dir: PathBuf,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    start: usize,
}

impl SpoolReader {
    /// Whether everything was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len() && self.at == self.end
    }

    #[cold]
    fn refill(&mut self, wanted: usize) -> Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let kept = self.buffer.len();
        let room = BUFFER_BYTES.max(wanted) - kept;
        let count = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(room);
        self.buffer.resize(kept + count, 0);
        self.file
            .read_exact_at(&mut self.buffer[kept..], self.at)
            .map_err(Error::io("read back a temporary file in", &self.dir))?;
        self.at += count as u64;
        Ok(())
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Damaged`] where the stream has fewer.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&[u8]> {
        if self.buffer.len() - self.start < count {
            self.refill(count)?;
            if self.buffer.len() < count {
                return Err(self.cut());
            }
        }
        let taken = &self.buffer[self.start..self.start + count];
        self.start += count;
        Ok(taken)
    }

    /// The next number that [`SpoolWriter::write_varint`] wrote.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Damaged`] where the stream ends inside it.
    #[inline]
    pub fn varint(&mut self) -> Result<u64> {
        if self.buffer.len() - self.start < 10 && self.at < self.end {
            self.refill(BUFFER_BYTES)?;
        }
        let mut value = 0;
        for (number, &byte) in self.buffer[self.start..].iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * number);
            if byte < 0x80 {
                self.start += number + 1;
                return Ok(value);
            }
        }
        Err(self.cut())
    }

    #[cold]
    fn cut(&self) -> Error {
        Error::damaged(&self.dir, "a temporary file ends too early")
    }
}

struct Bucket {
    buffer: Vec<u8>,
    chunks: Vec<(u64, u32)>,
    bytes: u64,
}

/// Many streams in one file.
pub struct Buckets {
    file: Arc<File>,
    dir: PathBuf,
    streams: Vec<Bucket>,
    written: u64,
}

impl Buckets {
    /// Number of streams.
    #[must_use]
    pub fn count(&self) -> usize {
        self.streams.len()
    }

    /// Size of a stream.
    #[must_use]
    pub fn bytes(&self, bucket: usize) -> u64 {
        self.streams[bucket].bytes
    }

    /// Appends a record to a stream; it is read back in one piece.
    ///
    /// # Errors
    /// [`Error::Io`], for example on a full disk.
    ///
    /// # Panics
    /// Where there is no such stream.
    #[inline]
    pub fn push(&mut self, bucket: usize, record: &[u8]) -> Result<()> {
        let stream = &mut self.streams[bucket];
        if stream.buffer.len() + record.len() > CHUNK_BYTES {
            let bytes = u32::try_from(stream.buffer.len()).unwrap_or(u32::MAX);
            self.file
                .write_all_at(&stream.buffer, self.written)
                .map_err(Error::io("write a temporary file in", &self.dir))?;
            stream.chunks.push((self.written, bytes));
            self.written += u64::from(bytes);
            stream.buffer.clear();
        }
        if stream.buffer.capacity() == 0 {
            stream.buffer.reserve_exact(CHUNK_BYTES);
        }
        stream.buffer.extend_from_slice(record);
        stream.bytes += record.len() as u64;
        Ok(())
    }

    /// Gives the records of a stream back in pieces of some kilobytes, in the order in which they came; then
    /// forgets them.
    ///
    /// # Errors
    /// [`Error::Io`], and what `take` says.
    ///
    /// # Panics
    /// Where there is no such stream.
    pub fn drain(&mut self, bucket: usize, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let stream = &mut self.streams[bucket];
        let mut piece = Vec::new();
        for (offset, bytes) in std::mem::take(&mut stream.chunks) {
            piece.resize(bytes as usize, 0);
            self.file
                .read_exact_at(&mut piece, offset)
                .map_err(Error::io("read back a temporary file in", &self.dir))?;
            take(&piece)?;
        }
        stream.bytes = 0;
        take(&std::mem::take(&mut stream.buffer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(dir.path().join("deep")).unwrap();
        let mut writer = scratch.spool().unwrap();
        let values: Vec<u64> = (0..200_000_u64).map(|n| n.pow(3) >> (n % 50)).chain([u64::MAX]).collect();
        for &value in &values {
            writer.write_varint(value).unwrap();
            writer.write(&[7, 8, 9]).unwrap();
        }
        let spool = writer.finish().unwrap();
        for _ in 0..2 {
            let mut reader = spool.read();
            for &value in &values {
                assert_eq!(reader.varint().unwrap(), value);
                assert_eq!(reader.take(3).unwrap(), [7, 8, 9]);
            }
            assert!(reader.is_empty());
            assert!(reader.varint().is_err() && reader.take(1).is_err());
        }
        assert!(crate::io::list(dir.path().join("deep"), "").unwrap().is_empty());
    }

    #[test]
    fn buckets_keep_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut buckets = Scratch::new(dir.path()).unwrap().buckets(7).unwrap();
        for number in 0..100_000_u32 {
            buckets.push((number % 5) as usize, &number.to_le_bytes()).unwrap();
        }
        for bucket in 0..7 {
            let mut expected = (0..100_000_u32).filter(|number| number % 5 == bucket);
            let drained = |piece: &[u8]| {
                for bytes in piece.chunks(4) {
                    assert_eq!(bytes, expected.next().unwrap().to_le_bytes());
                }
                Ok(())
            };
            buckets.drain(bucket as usize, drained).unwrap();
            assert_eq!((expected.next(), buckets.bytes(bucket as usize)), (None, 0));
        }
    }

    #[test]
    fn an_unusable_folder_is_said() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let error = Scratch::new(dir.path().join("file/x")).unwrap_err();
        assert!(error.to_string().contains("file/x"), "{error}");
    }
}
