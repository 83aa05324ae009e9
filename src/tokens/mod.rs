//! From the clean corpus to token shards: trains a byte-level BPE tokenizer, encodes, shuffles, writes what
//! trainers read, and checks it.
//!
//! Reading order: [`split`], [`pieces`], [`train`], [`tokenizer_json`], [`encoder`] are the means; [`count`],
//! [`merge`], [`encode`], [`shuffle`], [`manifest`] are the passes; [`shard`] is the file format, [`verify`]
//! reads it back, [`export`] rewrites it. Sees only the corpus' `id` and `text` columns: never a stage, never
//! the pipeline.

pub mod config;
pub mod count;
pub mod encode;
pub mod encoder;
pub mod export;
pub mod manifest;
pub mod merge;
pub mod pieces;
pub mod shard;
pub mod shuffle;
pub mod split;
pub mod tokenizer_json;
pub mod train;
pub mod verify;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::error::{Error, Result};
use crate::stage::Pass;

pub use config::{TokenizerConfig, TokensConfig, TrainConfig};
pub use verify::{VerifyReport, verify};

/// The passes that follow the corpus: training (or taking over) the tokenizer and, with `tokens`, encoding,
/// shuffling and writing shards. Reads `RUN/corpus/*.parquet`; writes `RUN/tokenizer.json` and
/// `RUN/tokens/`; what is only needed in between lies below `RUN/work/tokens/`.
#[must_use]
pub fn passes(
    run_dir: &Path,
    tokenizer: TokenizerConfig,
    tokens: Option<TokensConfig>,
) -> Vec<Box<dyn Pass>> {
    let layout = Layout::new(run_dir);
    let mut passes: Vec<Box<dyn Pass>> = Vec::new();
    let eos = tokenizer.eos;
    if let Some(train) = tokenizer.train {
        let max_piece_bytes = train.max_piece_bytes as usize;
        passes.push(Box::new(count::Count { layout: layout.clone(), max_piece_bytes }));
        passes.push(Box::new(merge::Merge { layout: layout.clone(), config: train, eos: eos.clone() }));
    } else if let Some(file) = tokenizer.file {
        passes.push(Box::new(merge::Copy { layout: layout.clone(), file: file.into(), eos: eos.clone() }));
    }
    if let Some(tokens) = tokens {
        let name = tokens.name.unwrap_or_else(|| "tokens".to_owned());
        let (seed, shard_tokens) = (tokens.seed, tokens.shard_tokens);
        passes.push(Box::new(encode::Estimate { layout: layout.clone(), eos: eos.clone(), shard_tokens }));
        passes.push(Box::new(encode::Encode { layout: layout.clone(), eos: eos.clone(), seed }));
        passes.push(Box::new(shuffle::Shuffle {
            layout: layout.clone(),
            eos: eos.clone(),
            name: name.clone(),
        }));
        passes.push(Box::new(manifest::Finish { layout, eos, name, seed }));
    }
    passes
}

/// Where everything lies in a run directory.
#[derive(Clone)]
pub struct Layout {
    run_dir: PathBuf,
    /// The tokenizer, once a pass has loaded it: loading takes longer than encoding a small file.
    encoder: Arc<OnceLock<encoder::Encoder>>,
    /// The corpus' files, listed when the first task asks: listing them for each would be quadratic.
    files: Arc<OnceLock<Vec<PathBuf>>>,
}

impl Layout {
    /// The layout of one run directory.
    #[must_use]
    pub fn new(run_dir: &Path) -> Self {
        Self { run_dir: run_dir.to_path_buf(), encoder: Arc::default(), files: Arc::default() }
    }

    /// Corpus files in document order.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be listed.
    pub fn corpus(&self) -> Result<Vec<PathBuf>> {
        crate::io::list(self.run_dir.join("corpus"), ".parquet")
    }

    /// The corpus file of one task.
    ///
    /// # Errors
    /// [`Error::Failed`] where there are fewer files.
    pub fn corpus_file(&self, task: u32) -> Result<PathBuf> {
        let files = if let Some(files) = self.files.get() {
            files
        } else {
            let files = self.corpus()?;
            self.files.get_or_init(|| files)
        };
        let file = files.get(task as usize).cloned();
        file.ok_or_else(|| Error::Failed(format!("the corpus has no file number {task}")))
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> PathBuf {
        self.run_dir.join("tokenizer.json")
    }

    /// The tokenizer, loaded; all passes that share this layout load it once.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it cannot be used.
    pub fn encoder(&self, eos: &str) -> Result<encoder::Encoder> {
        if let Some(encoder) = self.encoder.get() {
            return Ok(encoder.clone());
        }
        let path = self.tokenizer();
        let bytes = crate::io::read_side_file(&path)?;
        let encoder = encoder::Encoder::from_json(&bytes, eos)
            .map_err(|error| Error::damaged(&path, error.to_string()))?;
        Ok(self.encoder.get_or_init(|| encoder).clone())
    }

    /// Folder of the finished shards.
    #[must_use]
    pub fn tokens(&self) -> PathBuf {
        self.run_dir.join("tokens")
    }

    /// A file or folder of one pass' own.
    #[must_use]
    pub fn work(&self, pass: &str) -> PathBuf {
        self.run_dir.join("work").join("tokens").join(pass)
    }
}

/// Number of tasks of a pass that has one per corpus file.
fn per_corpus_file(layout: &Layout) -> Result<u32> {
    u32::try_from(layout.corpus()?.len()).map_err(|_| Error::Failed("too many corpus files".to_owned()))
}

/// SHA-256 as 64 hex digits.
fn hex(digest: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('?');
    digest.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests;
