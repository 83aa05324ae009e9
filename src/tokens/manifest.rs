//! Pass `tokens-manifest`: what a set of shards is, in one file that is written last.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::stage::{Pass, TaskEnv, TaskReport};

use super::Layout;
use super::shard::{ShardInfo, Width};
use super::shuffle::info_path;

/// Version of the manifest: readers refuse others.
pub const FORMAT: &str = "tamis-tokens-1";

/// `manifest.json` of a token folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// First part of the shards' names.
    pub name: String,
    /// The tokenizer.
    pub tokenizer: TokenizerInfo,
    /// One more than the highest id.
    pub vocab_size: u32,
    /// Type of a token in the payload: `uint16` or `int32`, little-endian.
    pub dtype: Width,
    /// Id of the token that ends every document.
    pub eos_id: u32,
    /// Its text.
    pub eos_token: String,
    /// Seed of the shuffle.
    pub seed: u64,
    /// Tokens of all shards.
    pub tokens: u64,
    /// Documents of all shards.
    pub docs: u64,
    /// The shards, in order.
    pub shards: Vec<ShardInfo>,
}

/// Which tokenizer made the shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizerInfo {
    /// Its file, as seen from the manifest's folder.
    pub file: String,
    /// SHA-256 of that file, 64 hex digits.
    pub sha256: String,
}

/// The pass.
pub struct Finish {
    pub(super) layout: Layout,
    pub(super) eos: String,
    pub(super) name: String,
    pub(super) seed: u64,
}

impl Pass for Finish {
    fn name(&self) -> &'static str {
        "tokens-manifest"
    }

    fn tasks(&self) -> Result<u32> {
        Ok(1)
    }

    fn run(&self, _task: u32, _env: &TaskEnv) -> Result<TaskReport> {
        let shuffle = super::shuffle::Shuffle {
            layout: self.layout.clone(),
            eos: self.eos.clone(),
            name: self.name.clone(),
        };
        let mut shards: Vec<ShardInfo> = Vec::new();
        for task in 0..shuffle.tasks()? {
            shards.push(crate::io::read_json(info_path(&self.layout, task))?);
        }
        let encoder = self.layout.encoder(&self.eos)?;
        let tokenizer = crate::io::read_side_file(&self.layout.tokenizer())?;
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            name: self.name.clone(),
            tokenizer: TokenizerInfo {
                file: "../tokenizer.json".to_owned(),
                sha256: super::hex(&Sha256::digest(&tokenizer)),
            },
            vocab_size: encoder.vocab_size,
            dtype: Width::of(encoder.vocab_size),
            eos_id: encoder.eos_id,
            eos_token: self.eos.clone(),
            seed: self.seed,
            tokens: shards.iter().map(|shard| shard.tokens).sum(),
            docs: shards.iter().map(|shard| shard.docs).sum(),
            shards,
        };
        let path = self.layout.tokens().join("manifest.json");
        crate::io::remove_leftovers(&path)?;
        crate::io::write_json(path, &manifest)?;
        // What is large and was only needed in between. The small JSON files stay: they tell this pass and
        // the shuffle how many shards there are, should this task have to run again.
        for (pass, ending) in
            [("encode", ".dealt"), ("encode", ".partial"), ("count", ".pieces"), ("count", ".partial")]
        {
            crate::io::remove_files(&crate::io::list(self.layout.work(pass), ending)?)?;
        }
        Ok(TaskReport::default())
    }
}
