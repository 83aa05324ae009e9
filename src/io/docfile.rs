//! Document files: how documents wait between passes.
//!
//! Blocks of documents, each compressed with zstd level 1: `u32` compressed bytes, `u32` plain bytes,
//! `u64` xxh3 of the plain bytes, then the block. Little-endian. An undecoded payload is not kept:
//! whatever waits here is text.

use std::borrow::Cow;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::AtomicFile;
use crate::document::{Document, Ordinal};
use crate::error::{Error, Result};

/// Plain bytes per block.
const BLOCK_BYTES: usize = 1 << 20;
/// Largest block that a reader accepts: one document can be larger than [`BLOCK_BYTES`].
const MAX_BLOCK_BYTES: u32 = 3 << 30;

/// Everything but the text, as JSON. Scores are the bits of their numbers: JSON has no NaN, and reading
/// decimals back can be off in the last place.
#[derive(Serialize, Deserialize)]
struct Header<'a> {
    #[serde(rename = "s")]
    split: u32,
    #[serde(rename = "r")]
    record: u64,
    #[serde(rename = "i", borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "u")]
    url: Cow<'a, Option<String>>,
    #[serde(rename = "d")]
    date: Cow<'a, Option<String>>,
    #[serde(rename = "o")]
    offset: u64,
    #[serde(rename = "l")]
    language: Cow<'a, Option<String>>,
    #[serde(rename = "p")]
    language_score: Option<u64>,
    #[serde(rename = "c", borrow)]
    scores: Vec<(Cow<'a, str>, u64)>,
    #[serde(rename = "v")]
    verdicts: Cow<'a, [(String, String)]>,
    #[serde(rename = "f")]
    fields: Cow<'a, serde_json::Map<String, serde_json::Value>>,
    #[serde(rename = "n", borrow)]
    source: Cow<'a, str>,
    #[serde(rename = "p2", borrow)]
    file: Cow<'a, str>,
}

/// Writes documents; the file appears at [`DocWriter::finish`].
pub struct DocWriter {
    out: AtomicFile,
    block: Vec<u8>,
}

impl DocWriter {
    /// Starts a document file.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder is not writable.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { out: AtomicFile::create(path)?, block: Vec::with_capacity(BLOCK_BYTES) })
    }

    /// Appends a document.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn write(&mut self, doc: &Document) -> Result<()> {
        let header = Header {
            split: doc.ordinal.split,
            record: doc.ordinal.record,
            id: doc.id.as_str().into(),
            url: Cow::Borrowed(&doc.url),
            date: Cow::Borrowed(&doc.date),
            offset: doc.offset,
            language: Cow::Borrowed(&doc.language),
            language_score: doc.language_score.map(f64::to_bits),
            scores: doc.scores.iter().map(|(name, value)| (name.into(), value.to_bits())).collect(),
            verdicts: Cow::Borrowed(&doc.verdicts),
            fields: Cow::Borrowed(&doc.fields),
            source: (&*doc.source).into(),
            file: (&*doc.file).into(),
        };
        let header = serde_json::to_vec(&header).map_err(|error| Error::Failed(error.to_string()))?;
        for part in [&header[..], doc.text.as_bytes()] {
            let length = u32::try_from(part.len())
                .map_err(|_| Error::Failed(format!("document `{}` has over 4 GiB of text", doc.id)))?;
            self.block.extend_from_slice(&length.to_le_bytes());
            self.block.extend_from_slice(part);
        }
        if self.block.len() >= BLOCK_BYTES { self.flush_block() } else { Ok(()) }
    }

    fn flush_block(&mut self) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let packed =
            zstd::bulk::compress(&self.block, 1).map_err(|error| Error::Failed(error.to_string()))?;
        let too_large = |_| Error::Failed("a document of over 4 GiB cannot be stored".to_owned());
        self.out.write(&u32::try_from(packed.len()).map_err(too_large)?.to_le_bytes())?;
        self.out.write(&u32::try_from(self.block.len()).map_err(too_large)?.to_le_bytes())?;
        self.out.write(&xxhash_rust::xxh3::xxh3_64(&self.block).to_le_bytes())?;
        self.out.write(&packed)?;
        self.block.clear();
        Ok(())
    }

    /// Makes the file visible.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.flush_block()?;
        self.out.commit()
    }
}

/// Reads the documents of one file in order.
pub struct DocReader {
    input: BufReader<super::File>,
    path: PathBuf,
    block: Vec<u8>,
    at: usize,
    source: Arc<str>,
    file: Arc<str>,
}

impl DocReader {
    /// Opens a document file.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let input = BufReader::with_capacity(1 << 18, super::open_stream(&path)?);
        let path = path.as_ref().to_path_buf();
        Ok(Self { input, path, block: Vec::new(), at: 0, source: Arc::from(""), file: Arc::from("") })
    }

    /// The next document, or `None` at the end.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a checksum or a length is wrong.
    #[expect(clippy::should_implement_trait, reason = "fallible, and named like the record streams")]
    pub fn next(&mut self) -> Result<Option<Document>> {
        if self.at == self.block.len() && !self.read_block()? {
            return Ok(None);
        }
        let block = std::mem::take(&mut self.block);
        let doc = self.parse(&block);
        self.block = block;
        doc.map(Some)
    }

    fn parse(&mut self, block: &[u8]) -> Result<Document> {
        let header = self.part(block)?;
        let text = self.part(block)?;
        let header: Header =
            serde_json::from_slice(header).map_err(|error| Error::damaged(&self.path, error.to_string()))?;
        let text =
            std::str::from_utf8(text).map_err(|error| Error::damaged(&self.path, error.to_string()))?;
        if *self.source != *header.source {
            self.source = Arc::from(&*header.source);
        }
        if *self.file != *header.file {
            self.file = Arc::from(&*header.file);
        }
        let ordinal = Ordinal { split: header.split, record: header.record };
        let mut doc = Document::new(ordinal, header.id.into_owned(), text.to_owned());
        doc.url = header.url.into_owned();
        doc.date = header.date.into_owned();
        doc.offset = header.offset;
        doc.language = header.language.into_owned();
        doc.language_score = header.language_score.map(f64::from_bits);
        let score = |(name, bits): (Cow<str>, u64)| (name.into_owned(), f64::from_bits(bits));
        doc.scores = header.scores.into_iter().map(score).collect();
        doc.verdicts = header.verdicts.into_owned();
        doc.fields = header.fields.into_owned();
        doc.source = Arc::clone(&self.source);
        doc.file = Arc::clone(&self.file);
        Ok(doc)
    }

    fn part<'b>(&mut self, block: &'b [u8]) -> Result<&'b [u8]> {
        let damaged = || Error::damaged(&self.path, "a document is cut short");
        let length = block.get(self.at..self.at + 4).ok_or_else(damaged)?;
        let length = length.iter().rev().fold(0_usize, |n, &byte| n << 8 | usize::from(byte));
        let start = self.at + 4;
        let part = block.get(start..start + length).ok_or_else(damaged)?;
        self.at = start + length;
        Ok(part)
    }

    fn read_block(&mut self) -> Result<bool> {
        let mut head = [0; 16];
        let mut filled = 0;
        while filled < head.len() {
            let n = self.input.read(&mut head[filled..]).map_err(Error::io("read", &self.path))?;
            if n == 0 {
                break;
            }
            filled += n;
        }
        if filled == 0 {
            return Ok(false);
        }
        if filled < head.len() {
            return Err(Error::damaged(&self.path, "the last block is cut short"));
        }
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (packed_bytes, plain_bytes) = (word(0), word(4));
        let checksum = u64::from(word(8)) | u64::from(word(12)) << 32;
        if plain_bytes > MAX_BLOCK_BYTES {
            return Err(Error::damaged(&self.path, "a block claims an impossible size"));
        }
        let mut packed = vec![0; packed_bytes as usize];
        self.input.read_exact(&mut packed).map_err(Error::io("read", &self.path))?;
        self.block = zstd::bulk::decompress(&packed, plain_bytes as usize)
            .map_err(|error| Error::damaged(&self.path, error.to_string()))?;
        if xxhash_rust::xxh3::xxh3_64(&self.block) != checksum {
            return Err(Error::damaged(&self.path, "a block's checksum is wrong"));
        }
        self.at = 0;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_read_back_exactly() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.docs");
        let mut doc =
            Document::new(Ordinal { split: 3, record: 1 << 40 }, "i\"d".to_owned(), "t\u{0}é".repeat(9));
        doc.url = Some("https://a.example/\n".to_owned());
        doc.language_score = Some(0.1 + 0.2);
        doc.verdicts = vec![("a".to_owned(), "b".to_owned())];
        // Decimals whose bits a quick parser misses.
        let numbers =
            (0..2000_u32).map(|n| 1.0 / f64::from(3 * n + 1) * 1e-3_f64.powi(n.rem_euclid(7).cast_signed()));
        doc.scores = numbers.clone().map(|x| ("q.x".to_owned(), x)).collect();
        doc.fields = numbers.enumerate().map(|(n, x)| (n.to_string(), x.into())).collect();
        let mut odd = Document::new(Ordinal { split: 3, record: u64::MAX }, String::new(), String::new());
        odd.scores = vec![("q.nan".to_owned(), f64::NAN), ("q.inf".to_owned(), f64::NEG_INFINITY)];
        let mut writer = DocWriter::create(&path).unwrap();
        writer.write(&doc).unwrap();
        writer.write(&odd).unwrap();
        writer.finish().unwrap();
        let mut reader = DocReader::open(&path).unwrap();
        assert_eq!(reader.next().unwrap().unwrap(), doc);
        let back = reader.next().unwrap().unwrap();
        assert!(back.scores[0].1.is_nan() && back.scores[1] == odd.scores[1]);
        assert!(reader.next().unwrap().is_none());
    }
}
