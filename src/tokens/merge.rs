//! Pass `tokenizer-merge`: one task that adds up the counts, trains, and writes `tokenizer.json`; and
//! `tokenizer-copy`, its stand-in where the pipeline names a finished tokenizer.
//!
//! Memory is bounded by `max_distinct_pieces`, not by the budget, so that any budget gives the same
//! tokenizer. The counts are read twice: once for the rank of the last piece that takes part, once for the
//! pieces.

use std::cmp::Reverse;
use std::path::PathBuf;

use crate::error::Result;
use crate::io::AtomicFile;
use crate::stage::{Pass, TaskEnv, TaskReport};

use super::pieces::{PieceReader, PieceWriter, merge};
use super::train::{Words, train};
use super::{Layout, TrainConfig, tokenizer_json};

/// Order in which pieces take part: frequent ones first, then by hash, which favours no language.
type Rank = (Reverse<u64>, u64);

fn rank(piece: &[u8], count: u64) -> Rank {
    (Reverse(count), xxhash_rust::xxh3::xxh3_64(piece))
}

/// The pass that trains.
pub struct Merge {
    pub(super) layout: Layout,
    pub(super) config: TrainConfig,
    pub(super) eos: String,
}

impl Merge {
    /// Adds up all counts into one file; returns it with the rank of the last piece to take part, how many
    /// those are, and their bytes.
    fn add_up(&self, env: &TaskEnv) -> Result<(PathBuf, Option<Rank>)> {
        let counts = crate::io::list(self.layout.work("count"), ".pieces")?;
        let dir = crate::io::scratch::private(self.layout.work("merge").join("scratch"))?;
        let all = dir.join("all.pieces");
        let mut out = PieceWriter::create(&all)?;
        let limit = self.config.max_distinct_pieces as usize;
        let mut ranks: Vec<Rank> = Vec::new();
        let mut dropped = false;
        merge(&counts, &dir, |piece, count| {
            out.write(piece, count)?;
            ranks.push(rank(piece, count));
            if ranks.len() >= limit * 2 {
                env.check_cancel()?;
                ranks.select_nth_unstable(limit - 1);
                ranks.truncate(limit);
                dropped = true;
            }
            Ok(())
        })?;
        out.finish()?;
        if ranks.len() > limit {
            ranks.select_nth_unstable(limit - 1);
            ranks.truncate(limit);
            dropped = true;
        }
        Ok((all, if dropped { ranks.into_iter().max() } else { None }))
    }
}

impl Pass for Merge {
    fn name(&self) -> &'static str {
        "tokenizer-merge"
    }

    fn tasks(&self) -> Result<u32> {
        Ok(1)
    }

    fn run(&self, _task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let (all, last) = self.add_up(env)?;
        let takes_part = |piece: &[u8], count| last.is_none_or(|last| rank(piece, count) <= last);
        let (mut pieces, mut bytes) = (0, 0);
        let mut reader = PieceReader::open(&all)?;
        while reader.advance()? {
            if takes_part(&reader.piece, reader.count) {
                pieces += 1;
                bytes += reader.piece.len();
            }
        }
        let mut words = Words::with_capacity(pieces, bytes);
        let mut reader = PieceReader::open(&all)?;
        while reader.advance()? {
            if takes_part(&reader.piece, reader.count) {
                words.push(&reader.piece, reader.count)?;
            }
        }
        env.check_cancel()?;
        let special: Vec<String> =
            std::iter::once(&self.eos).chain(&self.config.special_tokens).cloned().collect();
        let max_tokens = (self.config.vocab_size as usize).saturating_sub(special.len());
        let trained = train(words, max_tokens, self.config.min_pair_count, || env.check_cancel())?;
        crate::io::remove_leftovers(self.layout.tokenizer())?;
        crate::io::write_json(self.layout.tokenizer(), &tokenizer_json::render(&trained, &special))?;
        crate::io::remove_files(&[all])?;
        let mut report = TaskReport::default();
        report.counts.insert("distinct_pieces".to_owned(), pieces as u64);
        report.counts.insert("merges".to_owned(), trained.merges.len() as u64);
        report.counts.insert("vocab_size".to_owned(), (trained.tokens.len() + special.len()) as u64);
        Ok(report)
    }
}

/// The pass that takes over a finished tokenizer.
pub struct Copy {
    pub(super) layout: Layout,
    pub(super) file: PathBuf,
    pub(super) eos: String,
}

impl Pass for Copy {
    fn name(&self) -> &'static str {
        "tokenizer-copy"
    }

    fn tasks(&self) -> Result<u32> {
        Ok(1)
    }

    fn run(&self, _task: u32, _env: &TaskEnv) -> Result<TaskReport> {
        let bytes = crate::io::read_side_file(&self.file)?;
        let encoder = super::encoder::Encoder::from_json(&bytes, &self.eos)?;
        crate::io::remove_leftovers(self.layout.tokenizer())?;
        AtomicFile::write_all(self.layout.tokenizer(), &bytes)?;
        let mut report = TaskReport::default();
        report.counts.insert("vocab_size".to_owned(), u64::from(encoder.vocab_size));
        Ok(report)
    }
}
