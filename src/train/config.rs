//! What a training file says: data, model, recipe.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::Shape;

/// A training file. Recipe: AdamW with decoupled weight decay on matrices, linear warm-up, cosine decay, clipping by the global norm, as
/// surveys of large language models recommend (see `docs/trainer.md`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the run: letters, digits, `-` and `_`. Default `train`.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Folder for everything that the run writes. Default `runs/<name>`.
    pub run_dir: Option<String>,
    /// Token shards: a folder that `tamis run` wrote (`runs/NAME/tokens`), Megatron's `.bin` with `.idx`, or datatrove's `.ds` with `.ds.index`
    /// (a folder or a file); or a list of them, of which each may be `{ path: ..., weight: 2 }`. Weights are shares of the
    /// sequences that are drawn; default 1 each.
    pub data: Data,
    /// Tokens in the vocabulary: needed for shards without a manifest, which do not say it. Default: what the manifest says.
    pub vocab_size: Option<u32>,
    /// Share of the documents that are never trained on and measured instead, 0 to 0.5; which ones follows from a hash of each. Default 0.01.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub held_out_ratio: f64,
    /// Whether attention stops at the borders of documents. Default false: a document may see the ones before it in its sequence.
    pub mask_documents: bool,
    /// The model: `10M`, `30M`, `124M`, `350M`, `1B` (names of the size with a vocabulary of 32,000 to 50,000), or its numbers
    /// `{ layers, dim, heads, kv_heads, ffn, tied, rope_theta, norm_eps }`. Default `10M`.
    pub model: Model,
    /// Tokens in a sequence, 2 to 65,536. Default 1024.
    #[schemars(range(min = 2, max = 65536))]
    pub context: u32,
    /// Tokens to train on, at least 1. Default: 20 for each parameter (Hoffmann et al. 2022), but no set more than four times.
    #[schemars(range(min = 1))]
    pub tokens: Option<u64>,
    /// Tokens in a step (gradients of all are added up before the weights change), rounded down to whole sequences. Default 65,536.
    #[schemars(range(min = 2))]
    pub batch_tokens: u64,
    /// Smaller steps at the beginning: from `from_tokens` it grows linearly to `batch_tokens` over `steps`. Default: none.
    pub batch_ramp: Option<BatchRamp>,
    /// Tokens that go through the model at once; changes memory and, by rounding, the last digits. Default 8,192, on a GPU 32,768.
    #[schemars(range(min = 2))]
    pub micro_batch_tokens: Option<u64>,
    /// Whether what happens inside the blocks is computed a second time for the backward pass instead of kept: a third more
    /// work for much less memory, the same result. Default false.
    pub recompute: bool,
    /// What computes: `cpu`, `cuda`, or `auto`: a GPU where there is one that can do it, else the CPU. GPUs multiply 16-bit floats, so they
    /// do not come to the very same weights. Default auto.
    pub device: Device,
    /// GPUs of this machine that share the sequences of a step (data parallelism). Which ones there are is up to `CUDA_VISIBLE_DEVICES`.
    /// Default 1.
    #[schemars(range(min = 1, max = 16))]
    pub gpus: u32,
    /// Highest learning rate, above 0. Default 0.0006.
    pub learning_rate: f64,
    /// Learning rate at the end, as a share of the highest. Default 0.1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_learning_rate_ratio: f64,
    /// Steps over which the learning rate rises from 0. Default: 0.5 % of the steps, at least 200, but at most a tenth of them.
    pub warmup_steps: Option<u64>,
    /// Weight decay of matrices (embeddings too, norms not). Default 0.1.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub weight_decay: f64,
    /// AdamW's first decay rate. Default 0.9.
    #[schemars(range(min = 0.0, max = 0.9999))]
    pub beta1: f64,
    /// AdamW's second decay rate. Default 0.95.
    #[schemars(range(min = 0.0, max = 0.99999))]
    pub beta2: f64,
    /// Largest norm of the gradient; a larger one is scaled down to it. Default 1.
    pub clip_norm: f64,
    /// What is done about steps that stand out.
    pub spikes: Spikes,
    /// Seed of the weights and of the order of the data. Default 1.
    pub seed: u64,
    /// Steps between two measurements on held-out documents; there is one before the first step and one after the last. Default 100.
    #[schemars(range(min = 1))]
    pub eval_steps: u64,
    /// Most held-out tokens that are measured. Default 131,072.
    pub eval_tokens: u64,
    /// Steps between two checkpoints; there is one after the last. Default 500.
    #[schemars(range(min = 1))]
    pub checkpoint_steps: u64,
    /// Checkpoints that stay, at least 1. Default 2.
    #[schemars(range(min = 1))]
    pub keep_checkpoints: u32,
    /// Threads. Default all cores. Changes nothing in the result.
    #[schemars(range(min = 1, max = 4096))]
    pub threads: Option<u32>,
}

/// What computes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// A GPU where there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU by NVIDIA.
    Cuda,
}

/// Smaller steps at the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRamp {
    /// Tokens of the first step.
    #[schemars(range(min = 2))]
    pub from_tokens: u64,
    /// Steps until the full size.
    #[schemars(range(min = 1))]
    pub steps: u64,
}

/// Steps whose loss or gradient norm is far above the last ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spikes {
    /// A step is skipped (its update, not its data) where its loss or its gradient norm lies more than so many standard deviations above the
    /// mean of the last `window` steps. Default 6; null: never.
    pub max_z_score: Option<f64>,
    /// Steps that mean and deviation are taken over; nothing is skipped before so many. Default 128.
    #[schemars(range(min = 8, max = 100_000))]
    pub window: u32,
    /// After so many skipped steps in a row the run goes back to its last checkpoint and on with new data (PaLM, OPT). Default 10; null: never.
    pub rollback_after: Option<u32>,
}

impl Default for Spikes {
    fn default() -> Self {
        Self { max_z_score: Some(6.0), window: 128, rollback_after: Some(10) }
    }
}

/// One set of shards or several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Data {
    /// One.
    One(String),
    /// Several.
    Many(Vec<Entry>),
}

/// An entry of a list of sets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Entry {
    /// Weight 1.
    Path(String),
    /// With its weight.
    Weighted(Weighted),
}

/// A set and its weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weighted {
    /// As for one alone.
    pub path: String,
    /// Share of the sequences, relative to the other sets; above 0.
    pub weight: f64,
}

/// A set of shards.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSet {
    /// Folder or file.
    pub path: PathBuf,
    /// Share of the sequences.
    pub weight: f64,
}

impl Data {
    /// All sets, with their weights.
    #[must_use]
    pub fn sets(&self) -> Vec<DataSet> {
        let set = |path: &str, weight| DataSet { path: PathBuf::from(path), weight };
        match self {
            Self::One(path) => vec![set(path, 1.0)],
            Self::Many(entries) => entries
                .iter()
                .map(|entry| match entry {
                    Entry::Path(path) => set(path, 1.0),
                    Entry::Weighted(Weighted { path, weight }) => set(path, *weight),
                })
                .collect(),
        }
    }
}

/// A model by name or by numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Model {
    /// A size.
    Named(Size),
    /// Numbers.
    Numbers(Numbers),
}

/// Sizes with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Size {
    /// 6 layers of width 256, tied.
    #[serde(rename = "10M")]
    M10,
    /// 10 layers of width 384, tied.
    #[serde(rename = "30M")]
    M30,
    /// 12 layers of width 768, tied: GPT-2 small.
    #[serde(rename = "124M")]
    M124,
    /// 24 layers of width 1024, tied.
    #[serde(rename = "350M")]
    M350,
    /// 20 layers of width 2048, not tied.
    #[serde(rename = "1B")]
    B1,
}

/// The numbers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Numbers {
    /// Transformer blocks, at least 1.
    #[schemars(range(min = 1, max = 1000))]
    pub layers: u32,
    /// Width, a multiple of `heads`.
    #[schemars(range(min = 2, max = 65536))]
    pub dim: u32,
    /// Attention heads; `dim / heads` must be even.
    #[schemars(range(min = 1, max = 1024))]
    pub heads: u32,
    /// Heads of keys and values, of which `heads` is a multiple (grouped-query attention). Default: `heads`.
    pub kv_heads: Option<u32>,
    /// Width inside the feed-forward block. Default: 8/3 of `dim`, rounded up to a multiple of 8.
    pub ffn: Option<u32>,
    /// Whether the output layer is the input embedding. Default true.
    #[serde(default = "yes")]
    pub tied: bool,
    /// Base of the rotary positions. Default 10,000.
    #[serde(default = "theta")]
    pub rope_theta: f32,
    /// What is added to a mean square before its root. Default 0.00001.
    #[serde(default = "epsilon")]
    pub norm_eps: f32,
}

fn yes() -> bool {
    true
}

fn theta() -> f32 {
    10_000.0
}

fn epsilon() -> f32 {
    1e-5
}

impl Model {
    /// The shape with this vocabulary and context.
    #[must_use]
    pub fn shape(&self, vocab: usize, context: usize) -> Shape {
        let numbers = match self {
            Self::Numbers(numbers) => numbers.clone(),
            Self::Named(size) => {
                let (layers, dim, heads, ffn, tied) = match size {
                    Size::M10 => (6, 256, 8, 688, true),
                    Size::M30 => (10, 384, 6, 1024, true),
                    Size::M124 => (12, 768, 12, 2048, true),
                    Size::M350 => (24, 1024, 16, 2816, true),
                    Size::B1 => (20, 2048, 16, 5504, false),
                };
                let (rope_theta, norm_eps) = (theta(), epsilon());
                Numbers { layers, dim, heads, kv_heads: None, ffn: Some(ffn), tied, rope_theta, norm_eps }
            }
        };
        Shape {
            vocab,
            layers: numbers.layers as usize,
            dim: numbers.dim as usize,
            heads: numbers.heads as usize,
            kv_heads: numbers.kv_heads.unwrap_or(numbers.heads) as usize,
            ffn: numbers.ffn.unwrap_or((numbers.dim * 8).div_ceil(3).next_multiple_of(8)) as usize,
            context,
            rope_theta: numbers.rope_theta,
            norm_eps: numbers.norm_eps,
            tied: numbers.tied,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "train".to_owned(),
            description: None,
            run_dir: None,
            data: Data::Many(Vec::new()),
            vocab_size: None,
            held_out_ratio: 0.01,
            mask_documents: false,
            model: Model::Named(Size::M10),
            context: 1024,
            tokens: None,
            batch_tokens: 65_536,
            batch_ramp: None,
            micro_batch_tokens: None,
            recompute: false,
            device: Device::Auto,
            gpus: 1,
            learning_rate: 6e-4,
            min_learning_rate_ratio: 0.1,
            warmup_steps: None,
            weight_decay: 0.1,
            beta1: 0.9,
            beta2: 0.95,
            clip_norm: 1.0,
            spikes: Spikes::default(),
            seed: 1,
            eval_steps: 100,
            eval_tokens: 131_072,
            checkpoint_steps: 500,
            keep_checkpoints: 2,
            threads: None,
        }
    }
}

impl Config {
    /// Mistakes that the schema does not see: the key, and what is wrong.
    #[must_use]
    pub fn mistakes(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let sets = self.data.sets();
        if sets.is_empty() {
            found.push((
                "data",
                "there must be a folder of token shards, such as `runs/quickstart/tokens`".to_owned(),
            ));
        }
        if sets.iter().any(|set| !(set.weight.is_finite() && set.weight > 0.0)) {
            found.push(("data", "a weight must be above 0".to_owned()));
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.name.is_empty() || !self.name.chars().all(is_plain) {
            found.push(("name", "must be of letters, digits, `-` and `_`".to_owned()));
        }
        for (key, value) in [("learning_rate", self.learning_rate), ("clip_norm", self.clip_norm)] {
            if !(value.is_finite() && value > 0.0) {
                found.push((key, "must be above 0".to_owned()));
            }
        }
        if self.batch_tokens < u64::from(self.context) {
            let message =
                format!("{} is less than one sequence (`context` is {})", self.batch_tokens, self.context);
            found.push(("batch_tokens", message));
        }
        if let Some(ramp) = self.batch_ramp
            && !(u64::from(self.context)..=self.batch_tokens).contains(&ramp.from_tokens)
        {
            found.push((
                "batch_ramp",
                "`from_tokens` must lie between `context` and `batch_tokens`".to_owned(),
            ));
        }
        if self.spikes.max_z_score.is_some_and(|limit| limit.is_nan() || limit <= 0.0) {
            found.push(("spikes", "`max_z_score` must be above 0".to_owned()));
        }
        if let Err(message) = self.model.shape(1, self.context as usize).check() {
            found.push(("model", message));
        }
        found
    }
}
