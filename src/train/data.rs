//! Token shards as training sequences: memory-mapped, packed, in a seeded order, with documents held out.
//!
//! Read are tamis' own token folders (`manifest.json`), Megatron's `.bin` with `.idx`, and datatrove's `.ds` with `.ds.index`. The
//! documents of a set that are not held out stand one behind the other; sequence `k` is the tokens from `k * context` on, and
//! one more as the last target. An epoch goes through all sequences in an order that a seed determines (a Feistel permutation, so that
//! no list is held). Held out is a document by a hash of its own first tokens, so that equal documents fall on the same side.
//!
//! Held in memory: one number per 256 documents, one bit per document, and the list of held-out documents.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::config::{Config, DataSet};
use crate::error::{Error, Result};
use crate::io::{self, Map};
use crate::tokens::manifest::{FORMAT, Manifest};
use crate::tokens::shard::{self, Width};

/// Documents between two entries of the index.
const INDEX_DOCS: usize = 256;
/// Tokens of a document that decide whether it is held out.
const HASHED_TOKENS: usize = 64;
/// Seed of that hash: its own, so that nothing else in the pipeline is in step with it.
const HELD_OUT_SEED: u64 = 0x7461_6d69_735f_6f75;

/// Where the documents of a shard begin and end.
#[derive(Debug)]
enum Index {
    /// Megatron's: lengths from byte 34 on, then pointers in bytes.
    Megatron { file: Map, docs: usize },
    /// datatrove's: ends in tokens.
    Datatrove(Map),
}

/// One payload and its index.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    payload: Map,
    width: Width,
    index: Index,
}

/// The path with something put behind its name.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Bytes in front of the lengths of Megatron's index.
const MEGATRON_HEAD: usize = 34;

impl Shard {
    /// A payload beside its Megatron index.
    fn megatron(payload: &Path, expected_bytes: Option<u64>) -> Result<Self> {
        let index_path = payload.with_extension("idx");
        let file = Map::open(&index_path)?;
        let bytes = file.bytes();
        let damaged = |what: &str| Error::damaged(&index_path, what);
        if bytes.get(..9) != Some(b"MMIDIDX\0\0") || u64_at(bytes, 9) != Some(1) {
            return Err(damaged("it is no Megatron index of version 1"));
        }
        let width = match bytes.get(17) {
            Some(8) => Width::Two,
            Some(4) => Width::Four,
            Some(code) => {
                return Err(damaged(&format!(
                    "its tokens have the type {code}; 8 (uint16) and 4 (int32) are read"
                )));
            }
            None => return Err(damaged("it is cut short")),
        };
        let docs = u64_at(bytes, 18).and_then(|docs| usize::try_from(docs).ok());
        let docs =
            docs.filter(|docs| docs.checked_mul(12).is_some_and(|size| size + MEGATRON_HEAD <= bytes.len()));
        let docs = docs.ok_or_else(|| damaged("it is cut short"))?;
        Self::checked(payload, width, Index::Megatron { file, docs }, expected_bytes)
    }

    /// A payload beside datatrove's index, which does not say how wide a token is.
    fn datatrove(payload: &Path) -> Result<Self> {
        let index_path = with_suffix(payload, ".index");
        let file = Map::open(&index_path)?;
        let bytes = file.bytes();
        let tokens = bytes.len().checked_sub(8).and_then(|last| u64_at(bytes, last)).unwrap_or(0);
        let size = io::size_of(payload)?;
        let width = match tokens {
            0 => Width::Two,
            _ if tokens.checked_mul(2) == Some(size) => Width::Two,
            _ if tokens.checked_mul(4) == Some(size) => Width::Four,
            _ => {
                return Err(Error::damaged(
                    payload,
                    format!(
                        "it has {size} bytes, and its index ends at token {tokens}: neither 2 nor 4 bytes a token"
                    ),
                ));
            }
        };
        Self::checked(payload, width, Index::Datatrove(file), None)
    }

    fn checked(path: &Path, width: Width, index: Index, expected_bytes: Option<u64>) -> Result<Self> {
        let shard = Self { path: path.to_path_buf(), payload: Map::open(path)?, width, index };
        let size = shard.payload.bytes().len() as u64;
        if let Some(expected) = expected_bytes
            && expected != size
        {
            return Err(Error::damaged(
                path,
                format!(
                    "it has {size} bytes, its manifest says {expected}; `tamis tokens verify` checks the whole folder"
                ),
            ));
        }
        let mut end = 0;
        for doc in 0..shard.docs() {
            let (from, to) = shard.span(doc);
            if from < end || to < from || to as u64 * width.bytes() as u64 > size {
                return Err(Error::damaged(path, format!("its index places document {doc} outside of it")));
            }
            end = to;
        }
        Ok(shard)
    }

    /// Documents in it.
    fn docs(&self) -> usize {
        match &self.index {
            Index::Megatron { docs, .. } => *docs,
            Index::Datatrove(file) => file.bytes().len() / 8,
        }
    }

    /// First token of a document, and the one behind its last.
    fn span(&self, doc: usize) -> (usize, usize) {
        let number = |bytes: &[u8], at: usize| {
            usize::try_from(u64_at(bytes, at).unwrap_or(0)).unwrap_or(usize::MAX / 8)
        };
        match &self.index {
            Index::Megatron { file, docs } => {
                let bytes = file.bytes();
                let length = MEGATRON_HEAD + doc * 4;
                let length = bytes.get(length..length + 4).and_then(|four| four.try_into().ok());
                let length = length.map_or(0, u32::from_le_bytes) as usize;
                let start = number(bytes, MEGATRON_HEAD + docs * 4 + doc * 8) / self.width.bytes();
                (start, start.saturating_add(length))
            }
            Index::Datatrove(file) => {
                let start = if doc == 0 { 0 } else { number(file.bytes(), (doc - 1) * 8) };
                (start, number(file.bytes(), doc * 8))
            }
        }
    }

    /// The bytes of tokens `from..to`.
    fn bytes(&self, from: usize, to: usize) -> &[u8] {
        let width = self.width.bytes();
        self.payload.bytes().get(from * width..to * width).unwrap_or_default()
    }

    /// Appends tokens; each must be below `vocab`.
    fn read(&self, from: usize, to: usize, vocab: usize, out: &mut Vec<u32>) -> Result<()> {
        let before = out.len();
        self.width.read(self.bytes(from, to), out);
        match out[before..].iter().position(|&id| id as usize >= vocab) {
            None => Ok(()),
            Some(place) => Err(Error::damaged(
                &self.path,
                format!(
                    "token {} is {}, the vocabulary ends at {}; were the shards made with another tokenizer?",
                    from + place,
                    out[before + place],
                    vocab - 1
                ),
            )),
        }
    }
}

/// What is known of the tokens of a set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// One more than the highest id, where the data says it.
    pub size: Option<u32>,
    /// Id of the token that ends documents, where the data says it.
    pub eos: Option<u32>,
    /// Text of that token.
    pub eos_token: Option<String>,
    /// The tokenizer's file, where the data names one.
    pub tokenizer: Option<PathBuf>,
    /// SHA-256 of that file.
    pub sha256: Option<String>,
}

/// One corpus: some shards in order.
#[derive(Debug)]
pub struct Set {
    path: PathBuf,
    weight: f64,
    shards: Vec<Shard>,
    /// Per shard: training tokens in all shards before, then before each [`INDEX_DOCS`]th document.
    index: Vec<Vec<u64>>,
    /// Per shard and document.
    held: Vec<Vec<u64>>,
    /// Shard and document of those held out.
    held_docs: Vec<(u32, u32)>,
    tokens: u64,
    held_tokens: u64,
}

impl Set {
    fn open(set: &DataSet, held_out_ratio: f64) -> Result<(Self, Vocabulary)> {
        let (shards, vocabulary) = open_shards(&set.path)?;
        let mut opened = Self {
            path: set.path.clone(),
            weight: set.weight,
            shards,
            index: Vec::new(),
            held: Vec::new(),
            held_docs: Vec::new(),
            tokens: 0,
            held_tokens: 0,
        };
        for number in 0..opened.shards.len() {
            opened.index_shard(number, held_out_ratio);
        }
        Ok((opened, vocabulary))
    }

    fn index_shard(&mut self, number: usize, held_out_ratio: f64) {
        let shard = &self.shards[number];
        let docs = shard.docs();
        let (mut starts, mut held) =
            (Vec::with_capacity(docs / INDEX_DOCS + 1), vec![0_u64; docs.div_ceil(64)]);
        // Hashed as 32-bit ids, so that the width of the shards does not count.
        let (mut ids, mut hashed) = (Vec::new(), Vec::new());
        for doc in 0..docs {
            if doc % INDEX_DOCS == 0 {
                starts.push(self.tokens);
            }
            let (from, to) = shard.span(doc);
            ids.clear();
            shard.width.read(shard.bytes(from, to.min(from + HASHED_TOKENS)), &mut ids);
            hashed.clear();
            hashed.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
            let hash = xxh3_64_with_seed(&hashed, HELD_OUT_SEED);
            if ((hash >> 11) as f64) < held_out_ratio * (1_u64 << 53) as f64 {
                held[doc / 64] |= 1 << (doc % 64);
                self.held_tokens += (to - from) as u64;
                let place =
                    (u32::try_from(number).unwrap_or(u32::MAX), u32::try_from(doc).unwrap_or(u32::MAX));
                self.held_docs.push(place);
            } else {
                self.tokens += (to - from) as u64;
            }
        }
        if docs == 0 {
            starts.push(self.tokens);
        }
        self.index.push(starts);
        self.held.push(held);
    }

    fn is_held(&self, shard: usize, doc: usize) -> bool {
        self.held[shard][doc / 64] >> (doc % 64) & 1 == 1
    }

    /// Sequences of `context` tokens that it has.
    fn sequences(&self, context: usize) -> u64 {
        self.tokens.saturating_sub(1) / context as u64
    }

    /// The shard and document that holds the training token `offset`, and the tokens of it before.
    fn find(&self, offset: u64) -> (usize, usize, u64) {
        let shard = self.index.partition_point(|starts| starts[0] <= offset).saturating_sub(1);
        let entry = self.index[shard].partition_point(|&start| start <= offset).saturating_sub(1);
        let mut before = self.index[shard][entry];
        let mut doc = entry * INDEX_DOCS;
        while doc < self.shards[shard].docs() {
            if !self.is_held(shard, doc) {
                let (from, to) = self.shards[shard].span(doc);
                let length = (to - from) as u64;
                if before + length > offset {
                    return (shard, doc, offset - before);
                }
                before += length;
            }
            doc += 1;
        }
        (shard, doc, 0)
    }

    /// Appends `count` training tokens from `offset` on, and for each the number of its document within these.
    fn read(
        &self,
        offset: u64,
        count: usize,
        vocab: usize,
        tokens: &mut Vec<u32>,
        documents: &mut Vec<u32>,
    ) -> Result<()> {
        let (mut shard, mut doc, within) = self.find(offset);
        let mut skip = usize::try_from(within).unwrap_or(0);
        let (mut left, mut number) = (count, 0_u32);
        while left > 0 && shard < self.shards.len() {
            if doc >= self.shards[shard].docs() {
                (shard, doc) = (shard + 1, 0);
                continue;
            }
            if !self.is_held(shard, doc) {
                let (from, to) = self.shards[shard].span(doc);
                let from = from + skip;
                let to = to.min(from + left);
                self.shards[shard].read(from, to, vocab, tokens)?;
                documents.resize(documents.len() + (to - from), number);
                left -= to - from;
                number += 1;
            }
            skip = 0;
            doc += 1;
        }
        if left > 0 {
            return Err(Error::damaged(&self.path, "it has fewer tokens than it had when it was opened"));
        }
        Ok(())
    }
}

/// All shards of a path: a folder with a manifest, a folder of shards, one payload, or its path without ending.
fn open_shards(path: &Path) -> Result<(Vec<Shard>, Vocabulary)> {
    let manifest_path = path.join("manifest.json");
    if crate::io::exists(&manifest_path)? {
        return open_manifest(path, &manifest_path);
    }
    let mut shards = Vec::new();
    let none = || {
        Error::User(format!(
            "`data`: there are no token shards at `{}`; name a folder that `tamis run` wrote (`runs/NAME/tokens`), a folder of \
             Megatron's .bin and .idx or of datatrove's .ds and .ds.index files, or one such file",
            path.display()
        ))
    };
    if io::folders::is_dir(path) {
        let indexed = io::list(path, ".idx")?;
        for index in &indexed {
            shards.push(Shard::megatron(&index.with_extension("bin"), None)?);
        }
        if indexed.is_empty() {
            for payload in io::list(path, ".ds")? {
                shards.push(Shard::datatrove(&payload)?);
            }
        }
    } else {
        match path.extension().and_then(std::ffi::OsStr::to_str) {
            Some("bin" | "idx") => shards.push(Shard::megatron(&path.with_extension("bin"), None)?),
            Some("ds") => shards.push(Shard::datatrove(path)?),
            _ if crate::io::exists(with_suffix(path, ".idx"))? => {
                shards.push(Shard::megatron(&with_suffix(path, ".bin"), None)?);
            }
            _ => return Err(none()),
        }
    }
    if shards.is_empty() { Err(none()) } else { Ok((shards, Vocabulary::default())) }
}

fn open_manifest(path: &Path, manifest_path: &Path) -> Result<(Vec<Shard>, Vocabulary)> {
    let manifest: Manifest = io::read_json(manifest_path)?;
    if manifest.format != FORMAT {
        return Err(Error::damaged(
            manifest_path,
            format!("its format is `{}`, not `{FORMAT}`", manifest.format),
        ));
    }
    if manifest.dtype == Width::Two && manifest.vocab_size > 1 << 16 {
        return Err(Error::damaged(
            manifest_path,
            format!("its {} tokens do not fit its type, uint16", manifest.vocab_size),
        ));
    }
    let mut shards = Vec::new();
    for info in &manifest.shards {
        let shard = Shard::megatron(&shard::file(path, &info.name, "bin"), Some(info.bytes))?;
        if shard.width != manifest.dtype {
            return Err(Error::damaged(
                &shard.path,
                "its index and the manifest disagree on the type of a token",
            ));
        }
        shards.push(shard);
    }
    let vocabulary = Vocabulary {
        size: Some(manifest.vocab_size),
        eos: Some(manifest.eos_id),
        eos_token: Some(manifest.eos_token),
        tokenizer: Some(path.join(manifest.tokenizer.file)),
        sha256: Some(manifest.tokenizer.sha256),
    };
    Ok((shards, vocabulary))
}

/// All corpora of a training run.
#[derive(Debug)]
pub struct Data {
    sets: Vec<Set>,
    /// Tokens of all of them.
    pub vocabulary: Vocabulary,
    vocab: usize,
    context: usize,
}

/// Sequences for the model: `rows` of `length` tokens each, row after row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequences {
    /// Rows.
    pub rows: usize,
    /// Tokens per row.
    pub length: usize,
    /// Tokens.
    pub inputs: Vec<u32>,
    /// The token behind each.
    pub targets: Vec<u32>,
    /// Numbers that are equal within a document and differ between neighbours in a row.
    pub documents: Vec<u32>,
}

impl Sequences {
    /// Takes a row of `length + 1` tokens.
    fn push(&mut self, tokens: &[u32], documents: &[u32]) {
        self.rows += 1;
        self.length = tokens.len() - 1;
        self.inputs.extend_from_slice(&tokens[..self.length]);
        self.targets.extend_from_slice(&tokens[1..]);
        self.documents.extend_from_slice(&documents[..self.length]);
    }
}

impl Data {
    /// Opens every set and checks that they belong together.
    ///
    /// # Errors
    /// [`Error::User`] where there are no shards, or those of different tokenizers; [`Error::Damaged`] where a shard is cut short.
    pub fn open(config: &Config) -> Result<Self> {
        let mut sets = Vec::new();
        let mut vocabulary = Vocabulary::default();
        for set in config.data.sets() {
            let (opened, own) = Set::open(&set, config.held_out_ratio)?;
            if let (Some(first), Some(other)) = (&vocabulary.sha256, &own.sha256)
                && first != other
            {
                return Err(Error::User(format!(
                    "`data`: `{}` was made with another tokenizer than the sets before it (SHA-256 {other} and {first}); encode both with \
                     the same `tokenizer: {{ file: ... }}`",
                    opened.path.display()
                )));
            }
            if vocabulary.sha256.is_none() {
                vocabulary = own;
            }
            sets.push(opened);
        }
        let vocab = config.vocab_size.or(vocabulary.size).ok_or_else(|| {
            Error::User("`vocab_size`: these shards do not say how many tokens there are; give it (one more than the highest id)".to_owned())
        })?;
        if let Some(size) = vocabulary.size
            && size > vocab
        {
            return Err(Error::User(format!(
                "`vocab_size`: {vocab} is less than the {size} of the shards' manifest"
            )));
        }
        vocabulary.size = Some(vocab);
        let (vocab, context) = (vocab as usize, config.context as usize);
        for set in &sets {
            if set.sequences(context) == 0 {
                return Err(Error::User(format!(
                    "`data`: `{}` has {} tokens to train on, fewer than one sequence of {context} (and one more); lower `context`, or \
                     `held_out_ratio`",
                    set.path.display(),
                    set.tokens
                )));
            }
        }
        Ok(Self { sets, vocabulary, vocab, context })
    }

    /// Tokens to train on, in all sets.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.sets.iter().map(|set| set.tokens).sum()
    }

    /// Tokens held out, in all sets.
    #[must_use]
    pub fn held_out_tokens(&self) -> u64 {
        self.sets.iter().map(|set| set.held_tokens).sum()
    }

    /// How often the most repeated set is gone through when `tokens` are drawn by weight.
    #[must_use]
    pub fn epochs(&self, tokens: u64) -> f64 {
        let weights: f64 = self.sets.iter().map(|set| set.weight).sum();
        let passes =
            self.sets.iter().map(|set| tokens as f64 * set.weight / weights / set.tokens.max(1) as f64);
        passes.fold(0.0, f64::max)
    }

    /// Tokens of all sets that are gone through at most `epochs` times when they are drawn by weight.
    #[must_use]
    pub fn tokens_in(&self, epochs: f64) -> u64 {
        let once = self.epochs(1 << 40);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of tokens")]
        let tokens = (epochs / once * (1_u64 << 40) as f64) as u64;
        tokens
    }

    /// Up to `max_tokens` of the held-out documents, packed in rows of `context` tokens; the last row may be shorter and then stands alone.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a token is not in the vocabulary.
    pub fn held_out(&self, max_tokens: u64) -> Result<Vec<Sequences>> {
        let (mut tokens, mut documents, mut number) = (Vec::new(), Vec::new(), 0_u32);
        // A little of each set.
        let share = max_tokens / self.sets.len().max(1) as u64;
        for set in &self.sets {
            let end = tokens.len() as u64 + share;
            for &(shard, doc) in &set.held_docs {
                if tokens.len() as u64 >= end {
                    break;
                }
                let shard = &set.shards[shard as usize];
                let (from, to) = shard.span(doc as usize);
                shard.read(from, to, self.vocab, &mut tokens)?;
                documents.resize(tokens.len(), number);
                number += 1;
            }
        }
        let mut packed = Vec::new();
        let mut rows = Sequences::default();
        let mut at = 0;
        while at + 2 <= tokens.len() && (at as u64) < max_tokens {
            let end = (at + self.context + 1).min(tokens.len());
            if end - at <= self.context || rows.inputs.len() >= 1 << 13 {
                packed.push(std::mem::take(&mut rows));
            }
            rows.push(&tokens[at..end], &documents[at..end]);
            at += self.context;
        }
        packed.push(rows);
        packed.retain(|rows| rows.rows > 0);
        Ok(packed)
    }
}

/// Where a run is in its data: rows taken from each set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Rows taken, per set.
    pub taken: Vec<u64>,
}

/// Draws rows: the set that lags most behind its weight, and in it the next sequence of its order.
#[derive(Debug)]
pub struct Sampler {
    data: Arc<Data>,
    seed: u64,
    /// What comes next.
    pub position: Position,
}

impl Sampler {
    /// From a position; the default one is the beginning.
    #[must_use]
    pub fn new(data: Arc<Data>, seed: u64, mut position: Position) -> Self {
        position.taken.resize(data.sets.len(), 0);
        Self { data, seed, position }
    }

    /// The next `rows` sequences.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a token is not in the vocabulary.
    pub fn next(&mut self, rows: usize) -> Result<Sequences> {
        let context = self.data.context;
        let mut sequences = Sequences::default();
        let (mut tokens, mut documents) = (Vec::new(), Vec::new());
        for _ in 0..rows {
            let number = self.next_set();
            let set = &self.data.sets[number];
            let count = set.sequences(context);
            let taken = self.position.taken[number];
            let key = [self.seed, number as u64, taken / count].map(u64::to_le_bytes).concat();
            let sequence = permuted(taken % count, count, xxh3_64_with_seed(&key, 0));
            self.position.taken[number] += 1;
            tokens.clear();
            documents.clear();
            set.read(sequence * context as u64, context + 1, self.data.vocab, &mut tokens, &mut documents)?;
            sequences.push(&tokens, &documents);
        }
        Ok(sequences)
    }

    fn next_set(&self) -> usize {
        let total: u64 = self.position.taken.iter().sum();
        let weights: f64 = self.data.sets.iter().map(|set| set.weight).sum();
        let mut best = (f64::NEG_INFINITY, 0);
        for (number, (set, &taken)) in self.data.sets.iter().zip(&self.position.taken).enumerate() {
            let lag = set.weight / weights * (total + 1) as f64 - taken as f64;
            if lag > best.0 {
                best = (lag, number);
            }
        }
        best.1
    }
}

/// The `index`th of `0..count` in an order that `key` determines: a Feistel network of four rounds on the next even number of bits,
/// walked on until it falls below `count` (Black and Rogaway 2002).
fn permuted(index: u64, count: u64, key: u64) -> u64 {
    let bits = 64 - count.saturating_sub(1).leading_zeros();
    let half = bits.div_ceil(2).max(1);
    let mask = (1_u64 << half) - 1;
    let mut place = index;
    loop {
        let (mut left, mut right) = (place >> half, place & mask);
        for round in 0..4_u64 {
            let mixed =
                xxh3_64_with_seed(&right.to_le_bytes(), key ^ round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            (left, right) = (right, (left ^ mixed) & mask);
        }
        place = left << half | right;
        if place < count {
            return place;
        }
    }
}
