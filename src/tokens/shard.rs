//! The files of one shard: one payload that most trainers read, and the small index files of each.
//!
//! `X.bin` is the tokens of all documents, each with its end token, without a header: Megatron's payload,
//! datatrove's `.ds`, OLMo's `.npy`, nanoGPT's `train.bin`. `X.idx` is Megatron's memory-mapped index
//! version 1, `X.ds.index` datatrove's document ends, `X.ds` a second name of `X.bin` (datatrove looks for
//! it). `X.docs.parquet` is ours: the id, first token and number of tokens of each document. Formats from
//! reading `megatron.core.datasets.indexed_dataset` and `datatrove.utils.dataset`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt32Array, UInt64Array};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokenizers::pipeline::PipelineToken;

use crate::error::{Error, Result};
use crate::io::AtomicFile;

/// Bytes per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Width {
    /// Unsigned 16-bit.
    #[serde(rename = "uint16")]
    Two,
    /// Signed 32-bit: what Megatron reads; the same bits as unsigned, for all ids below 2^31.
    #[serde(rename = "int32")]
    Four,
}

impl Width {
    /// Two bytes below 65,500 tokens (Megatron's own limit), from there on four.
    #[must_use]
    pub fn of(vocab_size: u32) -> Self {
        if vocab_size < 65_500 { Self::Two } else { Self::Four }
    }

    /// Bytes per token.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Megatron's number for the type.
    #[must_use]
    pub fn megatron_code(self) -> u8 {
        match self {
            Self::Two => 8,
            Self::Four => 4,
        }
    }

    /// Appends tokens as little-endian bytes.
    pub fn write(self, ids: &[PipelineToken], out: &mut Vec<u8>) {
        match self {
            Self::Two => {
                out.extend(ids.iter().flat_map(|id| {
                    let [low, high, ..] = id.id().to_le_bytes();
                    [low, high]
                }));
            }
            Self::Four => out.extend(ids.iter().flat_map(|id| id.id().to_le_bytes())),
        }
    }

    /// Reads tokens; `bytes` must be a whole number of them.
    pub fn read(self, bytes: &[u8], out: &mut Vec<u32>) {
        out.extend(
            bytes
                .chunks_exact(self.bytes())
                .map(|token| token.iter().rev().fold(0_u32, |id, &byte| id << 8 | u32::from(byte))),
        );
    }
}

/// What the manifest says about a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardInfo {
    /// Name of its files without endings.
    pub name: String,
    /// Tokens, end tokens included.
    pub tokens: u64,
    /// Documents.
    pub docs: u64,
    /// Size of the payload.
    pub bytes: u64,
    /// SHA-256 of the payload, 64 hex digits.
    pub sha256: String,
}

/// The file of a shard with this ending (`bin`, `idx`, `ds`, `ds.index`, `docs.parquet`).
#[must_use]
pub fn file(dir: &Path, name: &str, ending: &str) -> PathBuf {
    dir.join(format!("{name}.{ending}"))
}

/// Writes one shard. Its files appear at [`ShardWriter::finish`].
pub struct ShardWriter {
    dir: PathBuf,
    name: String,
    width: Width,
    payload: AtomicFile,
    digest: Sha256,
    /// Tokens of each document. The only thing that grows: 4 bytes a document.
    lengths: Vec<u32>,
    docs: DocsWriter,
    tokens: u64,
}

impl ShardWriter {
    /// Starts the shard `name` in `dir`.
    ///
    /// # Errors
    /// [`Error::Io`] where files cannot be created.
    pub fn create(dir: &Path, name: &str, width: Width) -> Result<Self> {
        for ending in ["bin", "idx", "ds.index", "docs.parquet"] {
            crate::io::remove_leftovers(file(dir, name, ending))?;
        }
        Ok(Self {
            dir: dir.to_path_buf(),
            name: name.to_owned(),
            width,
            payload: AtomicFile::create(file(dir, name, "bin"))?,
            digest: Sha256::new(),
            lengths: Vec::new(),
            docs: DocsWriter::create(file(dir, name, "docs.parquet"))?,
            tokens: 0,
        })
    }

    /// Appends a document: its id and its tokens as bytes, the end token among them.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn push(&mut self, id: &str, tokens: &[u8]) -> Result<()> {
        let length = tokens.len() / self.width.bytes();
        let length = u32::try_from(length)
            .map_err(|_| Error::Failed(format!("document `{id}` has 2^32 tokens or more")))?;
        self.payload.write(tokens)?;
        self.digest.update(tokens);
        self.docs.push(id, self.tokens, length)?;
        self.lengths.push(length);
        self.tokens += u64::from(length);
        Ok(())
    }

    /// Writes the indexes and makes all files visible.
    ///
    /// # Errors
    /// [`Error::Io`] where they cannot be written.
    pub fn finish(self) -> Result<ShardInfo> {
        let path = |ending| file(&self.dir, &self.name, ending);
        self.payload.commit()?;
        self.docs.finish()?;
        write_megatron_index(&path("idx"), &self.lengths, self.width)?;
        write_datatrove_index(&path("ds.index"), &self.lengths)?;
        crate::io::link(path("bin"), path("ds"))?;
        Ok(ShardInfo {
            name: self.name,
            tokens: self.tokens,
            docs: self.lengths.len() as u64,
            bytes: self.tokens * self.width.bytes() as u64,
            sha256: super::hex(&self.digest.finalize()),
        })
    }
}

/// Megatron's index: one sequence per document.
fn write_megatron_index(path: &Path, lengths: &[u32], width: Width) -> Result<()> {
    let mut out = AtomicFile::create(path)?;
    let docs = lengths.len() as u64;
    out.write(b"MMIDIDX\0\0")?;
    out.write(&1_u64.to_le_bytes())?;
    out.write(&[width.megatron_code()])?;
    out.write(&docs.to_le_bytes())?;
    out.write(&(docs + 1).to_le_bytes())?;
    for length in lengths {
        out.write(&length.to_le_bytes())?;
    }
    let mut pointer = 0_u64;
    for &length in lengths {
        out.write(&pointer.to_le_bytes())?;
        pointer += u64::from(length) * width.bytes() as u64;
    }
    for document in 0..=docs {
        out.write(&document.to_le_bytes())?;
    }
    out.commit()
}

/// Datatrove's index: where each document ends, in tokens.
fn write_datatrove_index(path: &Path, lengths: &[u32]) -> Result<()> {
    let mut out = AtomicFile::create(path)?;
    let mut end = 0_u64;
    for &length in lengths {
        end += u64::from(length);
        out.write(&end.to_le_bytes())?;
    }
    out.commit()
}

/// Rows written at once into the document index.
const DOCS_ROWS: usize = 8192;

struct DocsWriter {
    writer: ArrowWriter<AtomicFile>,
    path: PathBuf,
    ids: Vec<String>,
    starts: Vec<u64>,
    lengths: Vec<u32>,
}

impl DocsWriter {
    fn create(path: PathBuf) -> Result<Self> {
        let out = AtomicFile::create(&path)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(parquet::basic::ZstdLevel::default()))
            .set_created_by("tamis".to_owned())
            .build();
        let schema = batch(&[], &[], &[]).map_err(|error| Error::Failed(error.to_string()))?.schema();
        let writer = ArrowWriter::try_new(out, schema, Some(properties))
            .map_err(|error| Error::Failed(format!("cannot write `{}`: {error}", path.display())))?;
        Ok(Self { writer, path, ids: Vec::new(), starts: Vec::new(), lengths: Vec::new() })
    }

    fn push(&mut self, id: &str, start: u64, length: u32) -> Result<()> {
        self.ids.push(id.to_owned());
        self.starts.push(start);
        self.lengths.push(length);
        if self.ids.len() >= DOCS_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let written = batch(&self.ids, &self.starts, &self.lengths)
            .map_err(|error| error.to_string())
            .and_then(|batch| self.writer.write(&batch).map_err(|error| error.to_string()));
        self.ids.clear();
        self.starts.clear();
        self.lengths.clear();
        written.map_err(|error| Error::Failed(format!("cannot write `{}`: {error}", self.path.display())))
    }

    fn finish(mut self) -> Result<()> {
        self.flush()?;
        let path = self.path;
        let out = self
            .writer
            .into_inner()
            .map_err(|error| Error::Failed(format!("cannot write `{}`: {error}", path.display())))?;
        out.commit()
    }
}

fn batch(ids: &[String], starts: &[u64], lengths: &[u32]) -> Result<RecordBatch, arrow_schema::ArrowError> {
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(StringArray::from_iter_values(ids)) as ArrayRef, false),
        ("start", Arc::new(UInt64Array::from(starts.to_vec())) as ArrayRef, false),
        ("tokens", Arc::new(UInt32Array::from(lengths.to_vec())) as ArrayRef, false),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(width: Width, ids: &[u32]) -> Vec<u8> {
        let ids: Vec<PipelineToken> = ids.iter().map(|&id| id.into()).collect();
        let mut out = Vec::new();
        width.write(&ids, &mut out);
        let mut back = Vec::new();
        width.read(&out, &mut back);
        assert!(ids.iter().map(|id| id.id()).eq(back));
        out
    }

    fn unhex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
            .collect()
    }

    /// Documents [5, 6, 7, end], [8, 9, end], [10, 11, 12, 13, 14, end] with end token 0.
    fn example(width: Width) -> (tempfile::TempDir, ShardInfo) {
        let dir = tempfile::tempdir().unwrap();
        let mut shard = ShardWriter::create(dir.path(), "x_00000", width).unwrap();
        shard.push("a", &bytes(width, &[5, 6, 7, 0])).unwrap();
        shard.push("b", &bytes(width, &[8, 9, 0])).unwrap();
        shard.push("c", &bytes(width, &[10, 11, 12, 13, 14, 0])).unwrap();
        let info = shard.finish().unwrap();
        (dir, info)
    }

    #[test]
    fn golden_bytes_of_two_byte_shards() {
        let (dir, info) = example(Width::Two);
        let read = |ending| std::fs::read(file(dir.path(), "x_00000", ending)).unwrap();
        let payload = unhex("0500 0600 0700 0000 0800 0900 0000 0a00 0b00 0c00 0d00 0e00 0000");
        assert_eq!(read("bin"), payload);
        assert_eq!(read("ds"), payload);
        let index = unhex(
            "4d4d494449445800 00 0100000000000000 08 0300000000000000 0400000000000000
             04000000 03000000 06000000
             0000000000000000 0800000000000000 0e00000000000000
             0000000000000000 0100000000000000 0200000000000000 0300000000000000",
        );
        assert_eq!(index.len(), 34 + 12 * 3 + 8 * 4);
        assert_eq!(read("idx"), index);
        assert_eq!(read("ds.index"), unhex("0400000000000000 0700000000000000 0d00000000000000"));
        assert_eq!((info.tokens, info.docs, info.bytes), (13, 3, 26));
        assert_eq!(info.sha256, super::super::hex(&Sha256::digest(&payload)));
    }

    #[test]
    fn golden_bytes_of_four_byte_shards() {
        let (dir, info) = example(Width::Four);
        let index = std::fs::read(file(dir.path(), "x_00000", "idx")).unwrap();
        assert_eq!(index[17], 4);
        assert_eq!(index[46..70], unhex("0000000000000000 1000000000000000 1c00000000000000"));
        assert_eq!(
            std::fs::read(file(dir.path(), "x_00000", "bin")).unwrap()[8..16],
            unhex("07000000 00000000")
        );
        assert_eq!(info.bytes, 52);
    }

    #[test]
    fn width_changes_at_65500() {
        assert_eq!((Width::of(65_499), Width::of(65_500)), (Width::Two, Width::Four));
        assert_eq!(serde_json::to_string(&Width::Four).unwrap(), "\"int32\"");
    }
}
