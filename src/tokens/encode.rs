//! Passes `tokens-estimate` and `tokens-encode`: how many shards there will be, and the corpus as tokens,
//! dealt into one cell per shard.
//!
//! The shuffle is a sort by a keyed hash of each document's id and text: the same for any division of the
//! corpus into files. A cell takes one range of the hash, so that cells in order, each sorted, are the whole
//! order. Two equal documents with equal ids are the only ones that stand together.
//!
//! A dealt file holds, cell after cell and as often as memory made it necessary, the records of documents:
//! `u64` key, `u32` tokens, `u32` bytes of the id, the id, the tokens. A JSON file beside it says where
//! each run of records of one cell lies.

use serde::{Deserialize, Serialize};
use tokenizers::pipeline::PipelineToken;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::{Error, Result};
use crate::io::AtomicFile;
use crate::io::columns::StringColumns;
use crate::stage::{Pass, TaskEnv, TaskReport};

use super::Layout;
use super::encoder::Encoder;
use super::shard::Width;

/// Files and documents of each that the estimate looks at.
const SAMPLE_FILES: usize = 64;
const SAMPLE_DOCS: u64 = 64;
/// More shards than this are never made.
const MAX_CELLS: u64 = 1 << 20;

/// What `tokens-estimate` found.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Number of cells.
    pub(super) cells: u32,
    /// Estimated tokens of the corpus.
    pub(super) estimated_tokens: u64,
}

pub(super) fn read_plan(layout: &Layout) -> Result<Plan> {
    crate::io::read_json(layout.work("plan.json"))
}

/// Pass `tokens-estimate`.
pub struct Estimate {
    pub(super) layout: Layout,
    pub(super) eos: String,
    pub(super) shard_tokens: u64,
}

impl Pass for Estimate {
    fn name(&self) -> &'static str {
        "tokens-estimate"
    }

    fn tasks(&self) -> Result<u32> {
        Ok(1)
    }

    fn run(&self, _task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let encoder = self.layout.encoder(&self.eos)?;
        let files = self.layout.corpus()?;
        let step = files.len().div_ceil(SAMPLE_FILES).max(1);
        let (mut text_bytes, mut docs) = (0, 0);
        let (mut sample_bytes, mut sample_tokens) = (0_u64, 0_u64);
        let mut ids = Vec::new();
        for (number, path) in files.iter().enumerate() {
            env.check_cancel()?;
            let mut corpus = StringColumns::open(path, &["text"])?;
            text_bytes += corpus.plain_bytes;
            docs += corpus.rows;
            let mut wanted = if number % step == 0 { SAMPLE_DOCS } else { 0 };
            while wanted > 0
                && let Some(batch) = corpus.next()?
            {
                for row in 0..batch.rows.min(usize::try_from(wanted).unwrap_or(usize::MAX)) {
                    let text = batch.get(0, row);
                    ids.clear();
                    encoder.encode(text, &mut ids)?;
                    sample_bytes += text.len() as u64;
                    sample_tokens += ids.len() as u64;
                }
                wanted = wanted.saturating_sub(batch.rows as u64);
            }
        }
        let text_tokens =
            u128::from(text_bytes) * u128::from(sample_tokens) / u128::from(sample_bytes.max(1));
        let estimated_tokens = u64::try_from(text_tokens).unwrap_or(u64::MAX).saturating_add(docs);
        let cells =
            (estimated_tokens.saturating_add(self.shard_tokens / 2) / self.shard_tokens).clamp(1, MAX_CELLS);
        let cells = u32::try_from(cells).unwrap_or(u32::MAX);
        crate::io::write_json(self.layout.work("plan.json"), &Plan { cells, estimated_tokens })?;
        Ok(TaskReport::default())
    }
}

/// A run of records of one cell in a dealt file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Segment {
    pub(super) cell: u32,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) docs: u64,
}

/// Directory of a dealt file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Dealt {
    pub(super) segments: Vec<Segment>,
}

pub(super) const HEADER_BYTES: usize = 16;

/// Head of a document's record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) key: u64,
    pub(super) tokens: u32,
    pub(super) id_bytes: u32,
}

impl Header {
    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.key.to_le_bytes());
        out.extend_from_slice(&self.tokens.to_le_bytes());
        out.extend_from_slice(&self.id_bytes.to_le_bytes());
    }

    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Self {
        let number = |range: std::ops::Range<usize>| {
            bytes[range].iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte))
        };
        let small = |range| u32::try_from(number(range)).unwrap_or(u32::MAX);
        Self { key: number(0..8), tokens: small(8..12), id_bytes: small(12..16) }
    }

    /// Bytes of the record after its head.
    pub(super) fn body_bytes(self, width: Width) -> u64 {
        u64::from(self.id_bytes) + u64::from(self.tokens) * width.bytes() as u64
    }
}

/// Key of a document in the shuffle.
fn shuffle_key(seed: u64, id: &str, text: &str) -> u64 {
    xxh3_64_with_seed(text.as_bytes(), xxh3_64_with_seed(id.as_bytes(), seed))
}

/// The cell whose range of keys holds `key`: ranges of equal size, in order.
#[expect(clippy::cast_possible_truncation, reason = "less than `cells`")]
fn cell_of(key: u64, cells: u32) -> u32 {
    ((u128::from(key) * u128::from(cells)) >> 64) as u32
}

/// Collects records and writes them sorted by cell.
struct Dealer {
    out: AtomicFile,
    written: u64,
    records: Vec<u8>,
    /// Cell, start in `records`, length.
    places: Vec<(u32, usize, usize)>,
    dealt: Dealt,
}

impl Dealer {
    fn flush(&mut self) -> Result<()> {
        // Start positions rise, so sorting by them too keeps the order of documents.
        self.places.sort_unstable();
        for group in self.places.chunk_by(|a, b| a.0 == b.0) {
            let mut segment =
                Segment { cell: group[0].0, offset: self.written, bytes: 0, docs: group.len() as u64 };
            for &(_, start, length) in group {
                self.out.write(&self.records[start..start + length])?;
                segment.bytes += length as u64;
            }
            self.written += segment.bytes;
            self.dealt.segments.push(segment);
        }
        self.places.clear();
        self.records.clear();
        Ok(())
    }
}

/// Pass `tokens-encode`.
pub struct Encode {
    pub(super) layout: Layout,
    pub(super) eos: String,
    pub(super) seed: u64,
}

impl Pass for Encode {
    fn name(&self) -> &'static str {
        "tokens-encode"
    }

    fn tasks(&self) -> Result<u32> {
        super::per_corpus_file(&self.layout)
    }

    fn run(&self, task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let encoder = self.layout.encoder(&self.eos)?;
        let width = Width::of(encoder.vocab_size);
        let cells = read_plan(&self.layout)?.cells;
        let dir = self.layout.work("encode");
        let mut dealer = Dealer {
            out: AtomicFile::create(dir.join(format!("{task:05}.dealt")))?,
            written: 0,
            records: Vec::new(),
            places: Vec::new(),
            dealt: Dealt::default(),
        };
        let budget = usize::try_from(env.memory_bytes / 4).unwrap_or(usize::MAX).max(1 << 20);
        let mut corpus = StringColumns::open(self.layout.corpus_file(task)?, &["id", "text"])?;
        let mut ids: Vec<PipelineToken> = Vec::new();
        let (mut tokens, mut docs, mut text_bytes) = (0, 0, 0);
        while let Some(batch) = corpus.next()? {
            let mut bytes = 0;
            for row in 0..batch.rows {
                env.check_cancel()?;
                let (id, text) = (batch.get(0, row), batch.get(1, row));
                encode_doc(&encoder, text, &mut ids)?;
                let start = dealer.records.len();
                let header = header(self.seed, id, text, ids.len())?;
                header.encode(&mut dealer.records);
                dealer.records.extend_from_slice(id.as_bytes());
                width.write(&ids, &mut dealer.records);
                let length = dealer.records.len() - start;
                dealer.places.push((cell_of(header.key, cells), start, length));
                if dealer.records.len() + dealer.places.len() * 24 >= budget {
                    dealer.flush()?;
                }
                tokens += ids.len() as u64;
                bytes += text.len() as u64;
            }
            docs += batch.rows as u64;
            text_bytes += bytes;
            env.progress.advance(bytes, batch.rows as u64);
        }
        dealer.flush()?;
        dealer.out.commit()?;
        crate::io::write_json(dir.join(format!("{task:05}.json")), &dealer.dealt)?;
        let mut report = TaskReport::default();
        report.counts.insert("tokens".to_owned(), tokens);
        report.counts.insert("token_docs".to_owned(), docs);
        report.counts.insert("token_text_bytes".to_owned(), text_bytes);
        Ok(report)
    }
}

/// The tokens of a document with its end token.
fn encode_doc(encoder: &Encoder, text: &str, ids: &mut Vec<PipelineToken>) -> Result<()> {
    ids.clear();
    encoder.encode(text, ids)?;
    ids.push(PipelineToken::from(encoder.eos_id));
    Ok(())
}

fn header(seed: u64, id: &str, text: &str, tokens: usize) -> Result<Header> {
    // Megatron's index has signed 32-bit lengths.
    let tokens = i32::try_from(tokens)
        .map_err(|_| Error::Failed(format!("document `{id}` has 2^31 tokens or more")))?
        .unsigned_abs();
    let id_bytes =
        u32::try_from(id.len()).map_err(|_| Error::Failed("a document's id has over 4 GiB".to_owned()))?;
    Ok(Header { key: shuffle_key(seed, id, text), tokens, id_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_share_the_keys_evenly() {
        assert_eq!(cell_of(u64::MAX, 7), 6);
        assert_eq!(cell_of(0, 7), 0);
        let mut counts = [0; 7];
        for n in 0..7000 {
            counts[cell_of(shuffle_key(42, &n.to_string(), "x"), 7) as usize] += 1;
        }
        assert!(counts.iter().all(|&n| (850..1150).contains(&n)), "{counts:?}");
    }

    #[test]
    fn headers_survive() {
        let mut bytes = Vec::new();
        Header { key: 1 << 63 | 5, tokens: 7, id_bytes: 300 }.encode(&mut bytes);
        let header = Header::decode(bytes.as_slice().try_into().unwrap());
        assert_eq!((header.key, header.tokens, header.id_bytes), (1 << 63 | 5, 7, 300));
        assert_eq!(header.body_bytes(Width::Two), 314);
    }
}
