//! Checks a finished set of shards: sizes, checksums, indexes, ids, end tokens; decodes samples.
//!
//! Reads the files as their readers do, not through the writer. What does not fit is a problem in the report,
//! not an error: all problems are found in one go (at most [`MAX_PROBLEMS`] of them are listed).

use std::io::{BufReader, Read};
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};
use tokenizers::pipeline::PipelineToken;

use super::encoder::Encoder;
use super::manifest::{FORMAT, Manifest};
use super::shard::{ShardInfo, Width, file};
use crate::error::{Error, Result};

/// Problems that a report lists; later ones are only counted.
pub const MAX_PROBLEMS: usize = 100;
/// Characters of a sample that a report keeps.
const SAMPLE_CHARS: usize = 400;

/// What [`verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Shards that the manifest names.
    pub shards: u64,
    /// Documents read.
    pub docs: u64,
    /// Tokens read.
    pub tokens: u64,
    /// Payload bytes read.
    pub bytes: u64,
    /// What is wrong, by file; empty for a good set.
    pub problems: Vec<String>,
    /// Problems that were found, listed or not.
    pub problem_count: u64,
    /// Decoded documents, evenly spaced over the set.
    pub samples: Vec<Sample>,
}

/// A decoded document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Name of its shard.
    pub shard: String,
    /// Its id.
    pub id: String,
    /// Number of its tokens, the end token included.
    pub tokens: u64,
    /// The first characters of its text.
    pub text: String,
}

impl VerifyReport {
    fn problem(&mut self, path: &Path, what: impl std::fmt::Display) {
        self.problem_count += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(format!("`{}`: {what}", path.display()));
        }
    }
}

impl std::fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for sample in &self.samples {
            writeln!(
                f,
                "{} {} ({} tokens): {}",
                sample.shard,
                sample.id,
                sample.tokens,
                sample.text.escape_debug()
            )?;
        }
        for problem in &self.problems {
            writeln!(f, "problem: {problem}")?;
        }
        let unlisted = self.problem_count - self.problems.len() as u64;
        if unlisted > 0 {
            writeln!(f, "and {unlisted} more problems")?;
        }
        write!(
            f,
            "{} shards, {} documents, {} tokens, {} bytes, {} problems",
            self.shards, self.docs, self.tokens, self.bytes, self.problem_count
        )
    }
}

/// Checks the token folder `tokens_dir` against its manifest and decodes `samples` documents.
///
/// # Errors
/// Where the manifest or the tokenizer cannot be read at all; everything else is a problem in the report.
pub fn verify(tokens_dir: &Path, samples: usize) -> Result<VerifyReport> {
    let (manifest, encoder) = load(tokens_dir)?;
    let mut report = VerifyReport::default();
    let path = tokens_dir.join("manifest.json");
    if manifest.vocab_size != encoder.vocab_size || manifest.eos_id != encoder.eos_id {
        report.problem(&path, "vocabulary size or end token are not those of the tokenizer");
    }
    if manifest.dtype != Width::of(manifest.vocab_size) {
        report.problem(&path, "the token type does not suit the vocabulary size");
    }
    let mut wanted = Wanted { next: 0, samples: (samples as u64).min(manifest.docs), docs: manifest.docs };
    for info in &manifest.shards {
        report.shards += 1;
        let before = report.docs;
        let mut check =
            Shard { dir: tokens_dir, manifest: &manifest, info, encoder: &encoder, report: &mut report };
        if let Err(error) = check.run(before, &mut wanted) {
            report.problem(&file(tokens_dir, &info.name, "bin"), error);
        }
    }
    for (what, found, said) in
        [("tokens", report.tokens, manifest.tokens), ("documents", report.docs, manifest.docs)]
    {
        if found != said {
            report.problem(&path, format!("{said} {what} in the manifest, {found} in the shards"));
        }
    }
    Ok(report)
}

/// The manifest and the tokenizer that belongs to it.
pub(super) fn load(tokens_dir: &Path) -> Result<(Manifest, Encoder)> {
    let path = tokens_dir.join("manifest.json");
    let manifest: Manifest = crate::io::read_json(&path)?;
    if manifest.format != FORMAT {
        return Err(Error::damaged(path, format!("format is `{}`, not `{FORMAT}`", manifest.format)));
    }
    let path = tokens_dir.join(&manifest.tokenizer.file);
    let bytes = crate::io::read_side_file(&path)?;
    if super::hex(&Sha256::digest(&bytes)) != manifest.tokenizer.sha256 {
        return Err(Error::damaged(path, "it is not the tokenizer that the manifest names (SHA-256)"));
    }
    let encoder = Encoder::from_json(&bytes, &manifest.eos_token)
        .map_err(|error| Error::damaged(&path, error.to_string()))?;
    Ok((manifest, encoder))
}

/// Little-endian numbers of one index file, in order.
struct Numbers {
    input: BufReader<crate::io::File>,
}

impl Numbers {
    fn open(path: &Path) -> Result<Self> {
        Ok(Self { input: BufReader::with_capacity(1 << 16, crate::io::open(path)?) })
    }

    /// A reader that starts `offset` bytes into the file.
    fn open_at(path: &Path, offset: u64) -> Result<Self> {
        use std::io::Seek;
        let mut numbers = Self::open(path)?;
        numbers.input.seek(std::io::SeekFrom::Start(offset)).map_err(Error::io("read", path))?;
        Ok(numbers)
    }

    /// The next number of `N` bytes; `None` where the file ends.
    fn next<const N: usize>(&mut self) -> Option<u64> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).ok()?;
        Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }
}

/// Which documents to decode: `samples` of `docs`, evenly spaced.
struct Wanted {
    next: u64,
    samples: u64,
    docs: u64,
}

impl Wanted {
    /// Whether the document with this number in the whole set is one; numbers come in rising order.
    fn take(&mut self, number: u64) -> bool {
        let place = u128::from(self.next) * u128::from(self.docs) / u128::from(self.samples.max(1));
        let wanted = self.next < self.samples && u128::from(number) == place;
        self.next += u64::from(wanted);
        wanted
    }
}

struct Shard<'a> {
    dir: &'a Path,
    manifest: &'a Manifest,
    info: &'a ShardInfo,
    encoder: &'a Encoder,
    report: &'a mut VerifyReport,
}

impl Shard<'_> {
    /// Reads one shard through; `first` is the number of its first document in the whole set.
    fn run(&mut self, first: u64, wanted: &mut Wanted) -> Result<()> {
        let path = |ending| file(self.dir, &self.info.name, ending);
        let (bin, idx, ends) = (path("bin"), path("idx"), path("ds.index"));
        let width = self.manifest.dtype.bytes() as u64;
        let docs = self.info.docs;
        let sizes = [
            (&bin, self.info.bytes),
            (&bin, self.info.tokens * width),
            (&idx, 34 + 12 * docs + 8 * (docs + 1)),
            (&ends, 8 * docs),
        ];
        for (path, expected) in sizes {
            let found = crate::io::size_of(path)?;
            if found != expected {
                self.report.problem(path, format!("{found} bytes, expected {expected}"));
            }
        }
        self.check_link()?;
        let mut head = Numbers::open(&idx)?;
        let magic = (head.next::<8>(), head.next::<1>(), head.next::<8>(), head.next::<1>());
        let code = u64::from(self.manifest.dtype.megatron_code());
        if magic != (Some(u64::from_le_bytes(*b"MMIDIDX\0")), Some(0), Some(1), Some(code)) {
            self.report.problem(&idx, "wrong magic number, version or token type");
        }
        if (head.next::<8>(), head.next::<8>()) != (Some(docs), Some(docs + 1)) {
            self.report.problem(&idx, "wrong number of sequences or documents");
        }
        let mut lengths = Numbers::open_at(&idx, 34)?;
        let mut pointers = Numbers::open_at(&idx, 34 + 4 * docs)?;
        let mut numbers = Numbers::open_at(&idx, 34 + 12 * docs)?;
        let mut datatrove = Numbers::open(&ends)?;
        let mut names = Names::open(&path("docs.parquet"))?;
        let mut payload = BufReader::with_capacity(1 << 18, crate::io::open(&bin)?);
        let mut digest = Sha256::new();
        let (mut bytes, mut ids) = (Vec::new(), Vec::new());
        let mut start = 0;
        for number in 0..docs {
            let Some(length) = lengths.next::<4>() else {
                self.report.problem(&idx, format!("no length for document {number}"));
                break;
            };
            if pointers.next::<8>() != Some(start * width) || numbers.next::<8>() != Some(number) {
                self.report.problem(&idx, format!("wrong pointer or number of document {number}"));
            }
            if datatrove.next::<8>() != Some(start + length) {
                self.report.problem(&ends, format!("wrong end of document {number}"));
            }
            let name = names.next()?;
            if name.as_ref().is_none_or(|name| (name.start, u64::from(name.tokens)) != (start, length)) {
                self.report.problem(&path("docs.parquet"), format!("wrong row for document {number}"));
            }
            bytes.clear();
            let read = (&mut payload)
                .take(length * width)
                .read_to_end(&mut bytes)
                .map_err(Error::io("read", &bin))?;
            if read as u64 != length * width {
                self.report.problem(&bin, format!("it ends inside document {number}"));
                break;
            }
            digest.update(&bytes);
            ids.clear();
            self.manifest.dtype.read(&bytes, &mut ids);
            self.check_ids(&bin, number, &ids);
            if wanted.take(first + number) {
                self.sample(&bin, name.map_or_else(String::new, |name| name.id), &ids)?;
            }
            start += length;
            self.report.docs += 1;
            self.report.tokens += length;
            self.report.bytes += bytes.len() as u64;
        }
        if numbers.next::<8>() != Some(docs) {
            self.report.problem(&idx, "the list of documents does not end with their number");
        }
        if names.next()?.is_some() {
            self.report.problem(&path("docs.parquet"), "more rows than documents");
        }
        if super::hex(&digest.finalize()) != self.info.sha256 {
            self.report.problem(&bin, "its SHA-256 is not that of the manifest");
        }
        Ok(())
    }

    /// `X.ds` may be missing (a copy that dropped links), but must not be another file.
    fn check_link(&mut self) -> Result<()> {
        let (bin, ds) = (file(self.dir, &self.info.name, "bin"), file(self.dir, &self.info.name, "ds"));
        if crate::io::size_of(&ds).is_err() {
            return Ok(());
        }
        let (one, two) = (crate::io::open(&bin)?, crate::io::open(&ds)?);
        if one.is_same(&two) {
            return Ok(());
        }
        let mut digest = Sha256::new();
        let mut input = BufReader::new(two);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = input.read(&mut buffer).map_err(Error::io("read", &ds))?;
            if read == 0 {
                break;
            }
            digest.update(&buffer[..read]);
        }
        if super::hex(&digest.finalize()) != self.info.sha256 {
            self.report.problem(&ds, "it differs from the `.bin` file");
        }
        Ok(())
    }

    fn check_ids(&mut self, bin: &Path, number: u64, ids: &[u32]) {
        if let Some(id) = ids.iter().find(|id| **id >= self.manifest.vocab_size) {
            self.report.problem(bin, format!("document {number} has token {id}, beyond the vocabulary"));
        }
        let eos = self.manifest.eos_id;
        match ids.split_last() {
            Some((last, before)) if *last == eos => {
                if before.contains(&eos) {
                    self.report.problem(bin, format!("document {number} has an end token inside"));
                }
            }
            _ => self.report.problem(bin, format!("document {number} does not end with the end token")),
        }
    }

    /// Decodes a document, and checks that encoding the text gives its tokens again.
    fn sample(&mut self, bin: &Path, id: String, ids: &[u32]) -> Result<()> {
        let body = &ids[..ids.len().saturating_sub(1)];
        let text = self.encoder.decode(body)?;
        let mut again: Vec<PipelineToken> = Vec::new();
        self.encoder.encode(&text, &mut again)?;
        if !again.iter().map(|token| token.id()).eq(body.iter().copied()) {
            self.report.problem(bin, format!("the text of document `{id}` encodes to other tokens"));
        }
        let short: String = text.chars().take(SAMPLE_CHARS).collect();
        let shard = self.info.name.clone();
        self.report.samples.push(Sample { shard, id, tokens: ids.len() as u64, text: short });
        Ok(())
    }
}

/// A row of `X.docs.parquet`.
pub(super) struct Name {
    pub(super) id: String,
    pub(super) start: u64,
    pub(super) tokens: u32,
}

/// Rows of `X.docs.parquet`.
struct Names {
    batches: parquet::arrow::arrow_reader::ParquetRecordBatchReader,
    rows: std::vec::IntoIter<Name>,
    path: std::path::PathBuf,
}

impl Names {
    fn open(path: &Path) -> Result<Self> {
        let batches = ParquetRecordBatchReaderBuilder::try_new(crate::io::open(path)?)
            .and_then(ParquetRecordBatchReaderBuilder::build)
            .map_err(|error| Error::damaged(path, error.to_string()))?;
        Ok(Self { batches, rows: Vec::new().into_iter(), path: path.to_path_buf() })
    }

    fn next(&mut self) -> Result<Option<Name>> {
        loop {
            if let Some(name) = self.rows.next() {
                return Ok(Some(name));
            }
            let Some(batch) = self.batches.next() else { return Ok(None) };
            let batch = batch.map_err(|error| Error::damaged(&self.path, error.to_string()))?;
            let column = |name| batch.column_by_name(name);
            let ids = column("id").and_then(|array| array.as_string_opt::<i32>());
            let starts = column("start").and_then(|array| array.as_primitive_opt::<UInt64Type>());
            let tokens = column("tokens").and_then(|array| array.as_primitive_opt::<UInt32Type>());
            let (Some(ids), Some(starts), Some(tokens)) = (ids, starts, tokens) else {
                return Err(Error::damaged(&self.path, "it lacks a column `id`, `start` or `tokens`"));
            };
            let rows: Vec<Name> = (0..batch.num_rows())
                .map(|row| Name {
                    id: ids.value(row).to_owned(),
                    start: starts.value(row),
                    tokens: tokens.value(row),
                })
                .collect();
            self.rows = rows.into_iter();
        }
    }
}
