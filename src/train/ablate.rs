//! Which corpus is better: the same model trained on each, on as many tokens, from several seeds, judged by the same texts.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use super::config::{Config, Data};
use super::engine::Engine;
use super::export;
use super::judge::{Chosen, Judge, Judgement, Question};
use super::run::{Event, train};
use crate::error::Result;
use crate::io;

/// What to compare, and by what.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison<'a> {
    /// Token shards of each corpus.
    pub corpora: &'a [String],
    /// Model, recipe and number of tokens; `data` and `seed` are put in.
    pub recipe: &'a Config,
    /// Seeds: 1 to this.
    pub seeds: u64,
    /// Texts to judge by.
    pub texts: &'a [String],
    /// Questions to judge by.
    pub questions: &'a [Question],
}

/// One model of the comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// Number of the corpus, from 0.
    pub corpus: usize,
    /// Its seed.
    pub seed: u64,
    /// On the texts.
    pub judgement: Judgement,
    /// On the questions, where there are some.
    pub chosen: Option<Chosen>,
    /// How often the corpus was gone through.
    pub epochs: f64,
}

/// Mean and sample standard deviation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Deviation of a single one; 0 for one alone.
    pub deviation: f64,
}

impl Spread {
    /// Of some values.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = if values.len() > 1 { (squares / (count - 1.0)).sqrt() } else { 0.0 };
        Self { mean, deviation }
    }
}

/// What came out: `ablation.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ablation {
    /// The corpora as they were named.
    pub corpora: Vec<String>,
    /// Tokens that each model was trained on.
    pub tokens: u64,
    /// Every model.
    pub trained: Vec<Trained>,
    /// Bits per byte of each corpus, over its seeds.
    pub bits_per_byte: Vec<Spread>,
    /// By how much each corpus is worse than the first: the mean difference between models of the same seed, and its deviation.
    pub difference: Vec<Spread>,
}

/// Trains and judges them all below `dir`; a model that is there already is judged only.
///
/// # Errors
/// As [`train`].
pub fn compare(
    comparison: &Comparison,
    dir: &Path,
    cancel: &AtomicBool,
    each: &mut dyn FnMut(usize, u64, Event),
) -> Result<Ablation> {
    let mut trained = Vec::new();
    let mut tokens = 0;
    for seed in 1..=comparison.seeds {
        for (corpus, path) in comparison.corpora.iter().enumerate() {
            let config = Config { data: Data::One(path.clone()), seed, ..comparison.recipe.clone() };
            let run_dir = run_dir(dir, corpus, seed);
            let outcome = train(&config, &run_dir, cancel, &mut |event| each(corpus, seed, event))?;
            tokens = outcome.summary.tokens;
            let opened = export::open(&run_dir)?;
            let context = opened.model.shape().context;
            let judge = Judge { context, encoder: &opened.encoder, bytes: &opened.bytes };
            let mut engine = Engine::to_judge(opened.model, config.device)?;
            let judgement = judge.texts(&mut engine, comparison.texts.iter().map(String::as_str))?;
            let chosen = (!comparison.questions.is_empty())
                .then(|| judge.choose(&mut engine, comparison.questions))
                .transpose()?;
            trained.push(Trained { corpus, seed, judgement, chosen, epochs: outcome.summary.epochs });
        }
    }
    let bits = |corpus: usize| -> Vec<f64> {
        let of_corpus = trained.iter().filter(|model| model.corpus == corpus);
        of_corpus.map(|model| model.judgement.bits_per_byte.unwrap_or(f64::NAN)).collect()
    };
    let first = bits(0);
    let behind =
        |corpus: usize| -> Vec<f64> { bits(corpus).iter().zip(&first).map(|(a, b)| a - b).collect() };
    let numbers = 0..comparison.corpora.len();
    let result = Ablation {
        corpora: comparison.corpora.to_vec(),
        tokens,
        bits_per_byte: numbers.clone().map(|corpus| Spread::of(&bits(corpus))).collect(),
        difference: numbers.map(|corpus| Spread::of(&behind(corpus))).collect(),
        trained,
    };
    io::write_json(dir.join("ablation.json"), &result)?;
    Ok(result)
}

fn run_dir(dir: &Path, corpus: usize, seed: u64) -> PathBuf {
    dir.join(format!("corpus-{}-seed-{seed}", corpus + 1))
}
