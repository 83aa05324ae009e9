//! Pieces of text and how often each occurs: a table in memory, sorted files on disk, and their merge.
//!
//! A pieces file holds (piece, count) in byte order: length of the prefix shared with the piece before,
//! length of the rest, the rest, the count; numbers as LEB128. Counts are 64-bit: 32 bits overflow at
//! four billion occurrences of a word like "the", which has lost words in a known trainer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::io::AtomicFile;

/// Files merged at once; more are merged in rounds.
const MAX_FAN_IN: usize = 128;
/// Longest piece that a file may claim: a guard against damage.
const MAX_PIECE_BYTES: u64 = 1 << 16;

struct Entry {
    start: usize,
    bytes: u32,
    hash: u32,
    count: u64,
}

/// Counts pieces in memory.
#[derive(Default)]
pub struct PieceTable {
    /// Entry number + 1, or 0 for a free place; the size is a power of two.
    places: Vec<u32>,
    entries: Vec<Entry>,
    arena: Vec<u8>,
}

impl PieceTable {
    /// Adds `count` occurrences of a piece.
    pub fn add(&mut self, piece: &[u8], count: u64) {
        if self.entries.len() * 2 >= self.places.len() {
            self.grow();
        }
        let hash = low32(xxhash_rust::xxh3::xxh3_64(piece));
        let mask = self.places.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let place = self.places[at];
            if place == 0 {
                break;
            }
            let entry = &mut self.entries[place as usize - 1];
            let end = entry.start + entry.bytes as usize;
            if entry.hash == hash && &self.arena[entry.start..end] == piece {
                entry.count += count;
                return;
            }
            at = (at + 1) & mask;
        }
        let start = self.arena.len();
        self.arena.extend_from_slice(piece);
        self.entries.push(Entry { start, bytes: low32(piece.len() as u64), hash, count });
        self.places[at] = low32(self.entries.len() as u64);
    }

    fn grow(&mut self) {
        let size = (self.places.len() * 2).max(1 << 12);
        self.places.clear();
        self.places.resize(size, 0);
        for (number, entry) in self.entries.iter().enumerate() {
            let mut at = entry.hash as usize & (size - 1);
            while self.places[at] != 0 {
                at = (at + 1) & (size - 1);
            }
            self.places[at] = low32(number as u64 + 1);
        }
    }

    /// Different pieces so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether adding one more piece could take it over `memory_bytes`. Growing doubles a buffer while the
    /// old one still lives, so the buffers count one and a half times. A few thousand pieces always fit.
    #[must_use]
    pub fn is_full(&self, memory_bytes: u64) -> bool {
        let held = self.arena.len() + self.entries.len() * size_of::<Entry>() + self.places.len() * 4;
        self.len() >= 4096 && (held as u64 * 3 / 2 > memory_bytes || self.len() >= u32::MAX as usize / 2)
    }

    /// Writes all pieces in byte order and empties the table.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be written.
    pub fn write(&mut self, path: &Path) -> Result<()> {
        let arena = &self.arena;
        let piece = |entry: &Entry| &arena[entry.start..entry.start + entry.bytes as usize];
        self.entries.sort_unstable_by(|a, b| piece(a).cmp(piece(b)));
        let mut out = PieceWriter::create(path)?;
        for entry in &self.entries {
            out.write(piece(entry), entry.count)?;
        }
        out.finish()?;
        self.entries.clear();
        self.arena.clear();
        self.places.fill(0);
        Ok(())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "hash bits, or lengths and numbers kept below 2^32")]
fn low32(value: u64) -> u32 {
    value as u32
}

/// Writes a pieces file; it appears at [`PieceWriter::finish`].
pub struct PieceWriter {
    out: AtomicFile,
    last: Vec<u8>,
    buffer: Vec<u8>,
}

impl PieceWriter {
    /// Starts a file.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self { out: AtomicFile::create(path)?, last: Vec::new(), buffer: Vec::new() })
    }

    /// Appends a piece, which must come after the one before in byte order.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn write(&mut self, piece: &[u8], count: u64) -> Result<()> {
        let shared = piece.iter().zip(&self.last).take_while(|(a, b)| a == b).count();
        put_number(&mut self.buffer, shared as u64);
        put_number(&mut self.buffer, (piece.len() - shared) as u64);
        self.buffer.extend_from_slice(&piece[shared..]);
        put_number(&mut self.buffer, count);
        self.last.clear();
        self.last.extend_from_slice(piece);
        if self.buffer.len() >= 1 << 16 {
            self.out.write(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Makes the file visible.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.out.write(&self.buffer)?;
        self.out.commit()
    }
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Reads a pieces file in order.
pub struct PieceReader {
    input: BufReader<crate::io::File>,
    path: PathBuf,
    /// The piece that [`PieceReader::advance`] stopped at.
    pub piece: Vec<u8>,
    /// Its count.
    pub count: u64,
}

impl PieceReader {
    /// Opens a file, before its first piece.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn open(path: &Path) -> Result<Self> {
        let input = BufReader::with_capacity(1 << 16, crate::io::open(path)?);
        Ok(Self { input, path: path.to_path_buf(), piece: Vec::new(), count: 0 })
    }

    /// Goes to the next piece; false at the end.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the file is cut short or makes no sense.
    pub fn advance(&mut self) -> Result<bool> {
        if self.input.fill_buf().map_err(Error::io("read", &self.path))?.is_empty() {
            return Ok(false);
        }
        let shared = self.number()?;
        let rest = self.number()?;
        if shared > self.piece.len() as u64 || rest > MAX_PIECE_BYTES {
            return Err(Error::damaged(&self.path, "a piece has an impossible length"));
        }
        let shared = usize::try_from(shared).unwrap_or(0);
        self.piece.resize(shared + usize::try_from(rest).unwrap_or(0), 0);
        self.input.read_exact(&mut self.piece[shared..]).map_err(Error::io("read", &self.path))?;
        self.count = self.number()?;
        Ok(true)
    }

    fn number(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.input.read_exact(&mut byte).map_err(Error::io("read", &self.path))?;
            value |= u64::from(byte[0] & 0x7F) << shift;
            if byte[0] < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::damaged(&self.path, "a number is too long"))
    }
}

/// Reads many pieces files as one, each piece once with the sum of its counts, and gives them to `each`
/// in byte order. More than a few files are first merged in rounds below `scratch`.
///
/// # Errors
/// As reading and writing; or what `each` returns.
pub fn merge(
    paths: &[PathBuf],
    scratch: &Path,
    mut each: impl FnMut(&[u8], u64) -> Result<()>,
) -> Result<()> {
    let mut level = paths.to_vec();
    let mut temporary: Vec<PathBuf> = Vec::new();
    let mut round = 0;
    while level.len() > MAX_FAN_IN {
        let mut next = Vec::new();
        for (number, group) in level.chunks(MAX_FAN_IN).enumerate() {
            let path = scratch.join(format!("merge-{round}-{number}.pieces"));
            let mut out = PieceWriter::create(&path)?;
            merge_once(group, &mut |piece, count| out.write(piece, count))?;
            out.finish()?;
            next.push(path);
        }
        crate::io::remove_files(&temporary)?;
        temporary.clone_from(&next);
        level = next;
        round += 1;
    }
    merge_once(&level, &mut each)?;
    crate::io::remove_files(&temporary)
}

fn merge_once(paths: &[PathBuf], each: &mut dyn FnMut(&[u8], u64) -> Result<()>) -> Result<()> {
    let mut readers = Vec::with_capacity(paths.len());
    // The heap holds each reader's current piece; readers keep an empty buffer to swap it back into.
    let mut heap = BinaryHeap::with_capacity(paths.len());
    for path in paths {
        let mut reader = PieceReader::open(path)?;
        if reader.advance()? {
            heap.push(Reverse((reader.piece.clone(), readers.len())));
        }
        readers.push(reader);
    }
    let mut current: Vec<u8> = Vec::new();
    let mut total = 0;
    while let Some(mut top) = heap.peek_mut() {
        let Reverse((piece, number)) = &mut *top;
        if total == 0 || *piece != current {
            if total > 0 {
                each(&current, total)?;
            }
            current.clone_from(piece);
            total = 0;
        }
        let reader = &mut readers[*number];
        total += reader.count;
        if reader.advance()? {
            piece.clone_from(&reader.piece);
        } else {
            std::collections::binary_heap::PeekMut::pop(top);
        }
    }
    if total > 0 { each(&current, total) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn counted(paths: &[PathBuf], scratch: &Path) -> Vec<(Vec<u8>, u64)> {
        let mut all = Vec::new();
        merge(paths, scratch, |piece, count| {
            all.push((piece.to_vec(), count));
            Ok(())
        })
        .unwrap();
        all
    }

    #[test]
    fn counts_survive_any_number_of_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut expected = BTreeMap::new();
        let mut table = PieceTable::default();
        let mut paths = Vec::new();
        for n in 0_u64..60_000 {
            let piece = format!("w{}", n * n % 7919).into_bytes();
            *expected.entry(piece.clone()).or_insert(0) += n << 30;
            table.add(&piece, n << 30);
            if n % 200 == 199 {
                let path = dir.path().join(format!("{n}.pieces"));
                table.write(&path).unwrap();
                assert!(table.is_empty());
                paths.push(path);
            }
        }
        assert!(paths.len() > MAX_FAN_IN);
        expected.retain(|_, count| *count > 0);
        assert_eq!(counted(&paths, dir.path()), expected.into_iter().collect::<Vec<_>>());
        assert_eq!(crate::io::list(dir.path(), ".pieces").unwrap().len(), paths.len());
    }

    #[test]
    fn damage_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pieces");
        for bytes in [&[9, 1, b'a', 1][..], &[0, 5, b'a'], &[0, 1, b'a'], &[0xFF; 12]] {
            AtomicFile::write_all(&path, bytes).unwrap();
            assert!(merge(std::slice::from_ref(&path), dir.path(), |_, _| Ok(())).is_err());
        }
    }
}
