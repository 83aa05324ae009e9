//! Rewrites a set of shards for trainers that want a header: llm.c and modded-nanogpt.
//!
//! Format: 256 32-bit integers (magic 20240520, version 1, number of tokens, zeros), then 16-bit tokens.
//! Those trainers expect the end token at the start of each document instead of at its end: in the stream
//! that moves one token, from the end of the shard to its front.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::io::AtomicFile;

use super::shard::{Width, file};
use super::verify::load;

/// Writes `name_train_000000.bin`, ... into `target`, one per shard; returns the files.
///
/// # Errors
/// [`Error::User`] for 4-byte shards, which these trainers cannot read; as reading and writing.
pub fn llmc(tokens_dir: &Path, target: &Path) -> Result<Vec<PathBuf>> {
    let (manifest, _) = load(tokens_dir)?;
    if manifest.dtype != Width::Two {
        return Err(Error::User(format!(
            "llm.c shards hold 2-byte tokens; these have {} bytes each (vocabulary of {})",
            manifest.dtype.bytes(),
            manifest.vocab_size
        )));
    }
    let mut written = Vec::new();
    for (number, shard) in manifest.shards.iter().enumerate() {
        let tokens = i32::try_from(shard.tokens)
            .map_err(|_| Error::User(format!("`{}` has too many tokens for llm.c (2^31)", shard.name)))?;
        let source = file(tokens_dir, &shard.name, "bin");
        let path = target.join(format!("{}_train_{number:06}.bin", manifest.name));
        let mut out = AtomicFile::create(&path)?;
        let mut header = [0; 1024];
        header[..4].copy_from_slice(&20_240_520_i32.to_le_bytes());
        header[4..8].copy_from_slice(&1_i32.to_le_bytes());
        header[8..12].copy_from_slice(&tokens.to_le_bytes());
        out.write(&header)?;
        let eos = u16::try_from(manifest.eos_id)
            .map_err(|_| Error::damaged(tokens_dir, "the end token does not fit into 2 bytes"))?;
        out.write(&eos.to_le_bytes())?;
        // All but the last end token.
        let mut left = shard.bytes.saturating_sub(2);
        let mut input = BufReader::new(crate::io::open(&source)?);
        let mut buffer = vec![0; 1 << 18];
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            input.read_exact(&mut buffer[..part]).map_err(Error::io("read", &source))?;
            out.write(&buffer[..part])?;
            left -= part as u64;
        }
        out.commit()?;
        written.push(path);
    }
    Ok(written)
}
