//! The small trainer: from token shards to a model that says whether the corpus is good.
//!
//! Reading order: [`config`] is what a training file says, [`data`] turns shards into sequences, [`model`] is the transformer with its backward
//! pass on the CPU, [`gpu`] the same on GPUs, [`engine`] the one of them that computes, [`optimizer`] AdamW, [`recipe`] the sizes and rates of the steps; [`run`] puts them together, [`checkpoint`] lets it go on after a
//! kill. [`judge`] measures models on texts and questions, [`export`] writes what `transformers` loads, [`page`] draws the curves; [`ablate`] compares corpora.
//! Sees shards through [`tokens`](crate::tokens), never the pipeline or a stage.

pub mod ablate;
pub mod checkpoint;
pub mod config;
pub mod data;
pub mod engine;
pub mod export;
pub mod generate;
pub mod gpu;
pub mod judge;
pub mod model;
pub mod optimizer;
pub mod page;
pub mod recipe;
pub mod run;
pub mod safetensors;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use run::{Event, Outcome, train};
