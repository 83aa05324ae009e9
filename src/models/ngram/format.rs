//! The head of a KenLM binary, and bytes of a model that may lie in a mapped file.
//!
//! Layout (format version 5, little endian), as it was found in files: a mark of 56 bytes, seven test
//! values that a machine of another kind would write otherwise, the parameters, the number of n-grams per order.

use std::ops::Range;
use std::sync::Arc;

use crate::io::Map;

/// Longest n-grams that are read.
pub const MAX_ORDER: usize = 7;

/// Why a file cannot be used as an n-gram model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither kind of file.
    #[error("this is no n-gram model (neither ARPA text with `\\data\\` nor a KenLM binary)")]
    NotAModel,
    /// A kind of model that this reader does not know.
    #[error("unsupported n-gram model: {0}")]
    Unsupported(String),
    /// The file ends too early.
    #[error("the model is cut short: {what} would end at byte {end}, the file has {bytes} bytes")]
    Truncated {
        /// The part that is not all there.
        what: String,
        /// Where that part would end.
        end: u64,
        /// Size of the file.
        bytes: u64,
    },
    /// The file contradicts itself.
    #[error("{0}")]
    Damaged(String),
    /// A mistake in ARPA text.
    #[error("line {line}: {what}")]
    Line {
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The machine refused something.
    #[error(transparent)]
    File(#[from] crate::error::Error),
}

/// An [`Error::Damaged`].
pub(super) fn damaged<T>(what: impl Into<String>) -> Result<T, Error> {
    Err(Error::Damaged(what.into()))
}

/// Where bytes of a model live.
#[derive(Debug)]
pub(super) enum Source {
    Map(Map),
    Memory(Vec<u8>),
}

/// A stretch of a model's bytes; keeps the mapping alive.
#[derive(Debug, Clone)]
pub(super) struct Block {
    source: Arc<Source>,
    range: Range<usize>,
}

impl Block {
    pub(super) fn whole(source: Source) -> Self {
        let mut block = Self { source: Arc::new(source), range: 0..0 };
        block.range = 0..block.all().len();
        block
    }

    fn all(&self) -> &[u8] {
        match &*self.source {
            Source::Map(map) => map.bytes(),
            Source::Memory(bytes) => bytes,
        }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.all()[self.range.clone()]
    }
}

/// Cuts a file into its parts, front to back.
pub(super) struct Cursor {
    file: Block,
    at: usize,
}

impl Cursor {
    pub(super) fn new(file: Block) -> Self {
        Self { file, at: 0 }
    }

    /// Place of the next byte in the file.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next `bytes` bytes.
    pub(super) fn take(&mut self, bytes: u64, what: &str) -> Result<Block, Error> {
        let size = self.file.bytes().len();
        let end = self.at as u64 + bytes.min(u64::MAX / 2);
        match usize::try_from(end) {
            Ok(end) if end <= size => {
                let start = std::mem::replace(&mut self.at, end);
                let offset = self.file.range.start;
                Ok(Block { source: Arc::clone(&self.file.source), range: offset + start..offset + end })
            }
            _ => Err(Error::Truncated { what: what.to_owned(), end, bytes: size as u64 }),
        }
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> Block {
        let left = self.file.bytes().len() - self.at;
        let range = self.file.range.end - left..self.file.range.end;
        self.at += left;
        Block { source: Arc::clone(&self.file.source), range }
    }
}

/// Little-endian numbers at a place of a slice; zero behind its end, which callers have ruled out.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// See [`u64_at`].
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

/// See [`u64_at`].
pub(super) fn f32_at(bytes: &[u8], at: usize) -> f32 {
    f32::from_bits(u32_at(bytes, at))
}

/// How a binary stores its n-grams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Hash tables.
    Probing,
    /// A bit-packed trie.
    Trie {
        /// Probabilities and backoffs are places in tables.
        quantised: bool,
        /// Upper bits of the pointers are kept in an array.
        array: bool,
    },
}

/// The parameters of a binary.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// Table size over number of entries, for hash tables.
    pub(super) multiplier: f32,
    pub(super) has_words: bool,
    /// Number of n-grams per order, unigrams first; 2 to [`MAX_ORDER`] of them.
    pub(super) counts: Vec<u64>,
}

/// What every binary of whatever version begins with.
pub(super) const MARK: &[u8] = b"mmap lm http://kheafield.com/code format version";
const VERSION_5: &[u8; 56] = b"mmap lm http://kheafield.com/code format version 5\n\0\0\0\0\0";
/// 0, 1, -0.5 as floats, 1 and the largest as 32-bit, padding, 1 as 64-bit number.
const TEST_VALUES: [u32; 8] = [0, 0x3f80_0000, 0xbf00_0000, 1, u32::MAX, 0, 1, 0];
const FIXED_BYTES: u64 = 108;
/// More n-grams than any disk holds; keeps sizes in bits within 64-bit numbers.
const MAX_COUNT: u64 = 1 << 48;

impl Header {
    /// Reads the head and leaves the cursor behind it.
    pub(super) fn read(cursor: &mut Cursor) -> Result<Self, Error> {
        let fixed = cursor.take(FIXED_BYTES, "the header")?;
        let fixed = fixed.bytes();
        if fixed[..56] != *VERSION_5 {
            return Err(Error::Unsupported("a KenLM binary of a version other than 5".to_owned()));
        }
        if (0..8).any(|i| u32_at(fixed, 56 + 4 * i) != TEST_VALUES[i]) {
            return Err(Error::Unsupported(
                "test values in the header are not those of a little-endian 64-bit machine".to_owned(),
            ));
        }
        let (order, multiplier) = (usize::from(fixed[88]), f32_at(fixed, 92));
        let (kind, words, version) = (u32_at(fixed, 96), fixed[100], u32_at(fixed, 104));
        let kind = match kind {
            0 => Kind::Probing,
            1 => return Err(Error::Unsupported("a probing binary with rest costs".to_owned())),
            2..=5 => Kind::Trie { quantised: kind & 1 == 1, array: kind >= 4 },
            _ => return damaged(format!("header: unknown kind of model {kind}")),
        };
        let expected = u32::from(kind != Kind::Probing);
        if version != expected {
            return Err(Error::Unsupported(format!("search version {version}; {expected} is known")));
        }
        let has_words = match words {
            0 => false,
            1 => true,
            other => return damaged(format!("header: {other} where 0 or 1 tells whether there are words")),
        };
        if !(2..=MAX_ORDER).contains(&order) {
            return Err(Error::Unsupported(format!("order {order}; 2 to {MAX_ORDER} can be read")));
        }
        if !(multiplier.is_finite() && (0.0..1e6).contains(&multiplier)) {
            return damaged(format!("header: {multiplier} as size of the hash tables"));
        }
        let bytes = (FIXED_BYTES + 8 * order as u64).next_multiple_of(8) - FIXED_BYTES;
        let counts = cursor.take(bytes, "the header")?;
        let counts: Vec<u64> = (0..order).map(|i| u64_at(counts.bytes(), 8 * i)).collect();
        if let Some(count) = counts.iter().find(|count| **count > MAX_COUNT) {
            return damaged(format!("header: {count} n-grams of one order"));
        }
        if counts[0] == 0 || u32::try_from(counts[0]).is_err() {
            return damaged(format!("header: {} words", counts[0]));
        }
        Ok(Self { kind, multiplier, has_words, counts })
    }
}
