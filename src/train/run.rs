//! The training loop: draws sequences, changes weights, measures, keeps checkpoints, goes on after a kill.
//!
//! A step is a pure function of the checkpoint before it and the data, so a run that was killed and goes on writes the same weights as
//! one that was not. `metrics.jsonl` has a line per step; lines behind the checkpoint that a run goes on from are written anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::checkpoint::{self, State};
use super::config::Config;
use super::data::{Data, Position, Sampler, Sequences};
use super::engine::{Engine, Wanted};
use super::export;
use super::judge::{self, Judgement, TokenBytes};
use super::model::{Batch, Model, Shape};
use super::optimizer::AdamW;
use super::page;
use super::recipe::Schedule;
use crate::error::{Error, Result};
use crate::io::{self, append::Lines};

/// Tokens per parameter that are worth their compute (Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models").
pub const TOKENS_PER_PARAMETER: u64 = 20;
/// Passes over the same data up to which it is nearly as good as new (Muennighoff et al. 2023, "Scaling Data-Constrained Language Models").
pub const GOOD_EPOCHS: f64 = 4.0;
/// Options that change nothing in the weights.
const FREE_OPTIONS: [&str; 8] = [
    "name",
    "description",
    "run_dir",
    "threads",
    "recompute",
    "checkpoint_steps",
    "keep_checkpoints",
    "eval_tokens",
];
/// Times that a run goes back to a checkpoint before it gives up.
const MAX_ROLLBACKS: u32 = 16;

/// What a run is about to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What computes, in words.
    #[serde(default)]
    pub device: String,
    /// The model.
    pub shape: Shape,
    /// Its parameters.
    pub parameters: u64,
    /// Floating-point operations per token, forward and backward.
    pub flops_per_token: u64,
    /// Tokens that will be drawn.
    pub tokens: u64,
    /// Tokens to draw from.
    pub data_tokens: u64,
    /// Tokens held out.
    pub held_out_tokens: u64,
    /// How often the most repeated set is gone through.
    pub epochs: f64,
    /// Tokens that would suit the model (Chinchilla).
    pub suggested_tokens: u64,
    /// Steps.
    pub steps: u64,
    /// Steps of the warm-up.
    pub warmup_steps: u64,
    /// Step to go on from, where there is one.
    pub resumed_at: u64,
}

/// A line of `metrics.jsonl`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metrics {
    /// Steps done.
    pub step: u64,
    /// Tokens drawn.
    pub tokens: u64,
    /// Mean loss of the step in nats, before its update. None before the first step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Learning rate of the update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Norm of the gradient, before clipping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grad_norm: Option<f64>,
    /// Tokens per second of the step, without measurements and checkpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_sec: Option<f64>,
    /// Model FLOPs utilisation: (6 N + 12 L d T) operations per token over what the matrix units could do; where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mfu: Option<f64>,
    /// Whether the step stood out and its update was left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// Loss on held-out documents after the step, where it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_loss: Option<f64>,
    /// Bits per byte on held-out documents, where the tokenizer is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_bits_per_byte: Option<f64>,
}

/// What happens while a run goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It begins, or goes on.
    Start(Box<Summary>),
    /// Something that the user should know.
    Warning(String),
    /// A step is done.
    Step(Metrics),
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The run.
    pub summary: Summary,
    /// On held-out documents before the first step and after the last; none where nothing is held out.
    pub held_out: Option<[Judgement; 2]>,
    /// Loss of the last step.
    pub loss: f64,
    /// Steps whose update was left out.
    pub skipped_steps: u64,
    /// Times that the run went back to a checkpoint.
    pub rollbacks: u32,
}

/// Trains as `config` says, in `dir`. Ends at once where it was finished before.
///
/// # Errors
/// [`Error::User`] for data or options that do not fit, also where `dir` holds a run with others; [`Error::Interrupted`] where `cancel`
/// was set (a checkpoint is kept); [`Error::Failed`] where the loss is no longer a number.
pub fn train(
    config: &Config,
    dir: &Path,
    cancel: &AtomicBool,
    each: &mut dyn FnMut(Event),
) -> Result<Outcome> {
    let data = Arc::new(Data::open(config)?);
    let run = Run::open(config, dir, data, each)?;
    if let Some(outcome) = run.finished()? {
        return Ok(outcome);
    }
    run.go(cancel, each)
}

struct Run<'a> {
    config: &'a Config,
    dir: &'a Path,
    data: Arc<Data>,
    summary: Summary,
    schedule: Schedule,
    engine: Engine,
    state: State,
    held_out: Vec<Sequences>,
    bytes: Option<TokenBytes>,
    first: Option<Judgement>,
    last: Option<Judgement>,
    loss: f64,
    skipped: u64,
}

impl<'a> Run<'a> {
    fn open(config: &'a Config, dir: &'a Path, data: Arc<Data>, each: &mut dyn FnMut(Event)) -> Result<Self> {
        let vocab = data.vocabulary.size.unwrap_or(0) as usize;
        let shape = config.model.shape(vocab, config.context as usize);
        shape.check().map_err(|message| Error::User(format!("`model`: {message}")))?;
        let suggested = shape.parameters() * TOKENS_PER_PARAMETER;
        let tokens = config.tokens.unwrap_or_else(|| suggested.min(data.tokens_in(GOOD_EPOCHS)));
        let schedule = Schedule::new(config, tokens);
        let options = same_options(config, &data, dir)?;
        let mut model = Model::new(shape.clone(), config.seed);
        let count = model.parameters().len();
        let mut optimizer = AdamW::new(count);
        #[expect(clippy::cast_possible_truncation, reason = "the nearest float is meant")]
        let [beta1, beta2, weight_decay] =
            [config.beta1, config.beta2, config.weight_decay].map(|x| x as f32);
        (optimizer.beta1, optimizer.beta2, optimizer.weight_decay) = (beta1, beta2, weight_decay);
        let checkpoints = dir.join("checkpoints");
        let state = match checkpoint::list(&checkpoints)?.last() {
            Some(&step) => checkpoint::read(&checkpoints, step, &mut model, &mut optimizer)?,
            None => State::default(),
        };
        let wanted = Wanted {
            device: config.device,
            gpus: config.gpus as usize,
            micro_tokens: config
                .micro_batch_tokens
                .map(|tokens| usize::try_from(tokens).unwrap_or(usize::MAX)),
            recompute: config.recompute,
            choices: Some(dir.join("gpu.json")),
        };
        let engine = Engine::open(model, optimizer, &wanted)?;
        // Not before: where a GPU is too small, other options are the remedy.
        io::write_json(dir.join("config.json"), &options)?;
        let summary = Summary {
            device: engine.name.clone(),
            parameters: shape.parameters(),
            flops_per_token: shape.flops_per_token(),
            shape,
            tokens,
            data_tokens: data.tokens(),
            held_out_tokens: data.held_out_tokens(),
            epochs: data.epochs(tokens),
            suggested_tokens: suggested,
            steps: schedule.steps,
            warmup_steps: schedule.warmup,
            resumed_at: state.step,
        };
        let held_out = data.held_out(config.eval_tokens)?;
        let bytes = match &data.vocabulary.tokenizer {
            Some(path) if io::exists(path)? => Some(TokenBytes::read(path)?),
            _ => None,
        };
        each(Event::Start(Box::new(summary.clone())));
        if summary.epochs > GOOD_EPOCHS {
            each(Event::Warning(format!(
                "the data is gone through {:.1} times; beyond about {GOOD_EPOCHS} passes more of the same helps little: lower `tokens`, or bring more data",
                summary.epochs
            )));
        }
        if config.held_out_ratio > 0.0 && held_out.is_empty() {
            each(Event::Warning(
                "no document is held out, so nothing is measured: raise `held_out_ratio`".to_owned(),
            ));
        }
        Ok(Self {
            config,
            dir,
            data,
            summary,
            schedule,
            engine,
            state,
            held_out,
            bytes,
            first: None,
            last: None,
            loss: f64::NAN,
            skipped: 0,
        })
    }

    fn checkpoints(&self) -> PathBuf {
        self.dir.join("checkpoints")
    }

    /// The outcome of a run that was finished before.
    fn finished(&self) -> Result<Option<Outcome>> {
        let path = self.dir.join("train.json");
        if self.state.step < self.schedule.steps || !path.exists() {
            return Ok(None);
        }
        io::read_json(path).map(Some)
    }

    fn judge(&mut self) -> Result<Option<Judgement>> {
        if self.held_out.is_empty() {
            return Ok(None);
        }
        let masked = self.config.mask_documents;
        judge::held_out(&mut self.engine, &self.held_out, masked, self.bytes.as_ref()).map(Some)
    }

    fn go(mut self, cancel: &AtomicBool, each: &mut dyn FnMut(Event)) -> Result<Outcome> {
        let (path, from) = (self.dir.join("metrics.jsonl"), self.state.step);
        let mut past = Vec::new();
        if path.exists() {
            past = judge::read_lines::<Metrics>(&path).unwrap_or_default();
            past.retain(|metrics| metrics.step <= from);
        }
        let is_past =
            |line: &str| serde_json::from_str::<Metrics>(line).is_ok_and(|metrics| metrics.step <= from);
        let mut lines = Lines::open(&path, is_past)?;
        self.recall(&past);
        if from == 0 && past.is_empty() {
            self.first = self.judge()?;
            if self.first.is_some() {
                let metrics = with_judgement(&Metrics::default(), self.first);
                lines.push(&json(&metrics)?)?;
                each(Event::Step(metrics.clone()));
                past.push(metrics);
            }
        }
        while self.state.step < self.schedule.steps {
            self.stretch(cancel, &mut lines, &mut past, each)?;
        }
        self.engine.fetch()?;
        export::write(&self.dir.join("model"), &self.engine.model, &self.data.vocabulary)?;
        let outcome = Outcome {
            held_out: self.first.zip(self.last).map(|(first, last)| [first, last]),
            summary: Summary { resumed_at: 0, ..self.summary },
            loss: self.loss,
            skipped_steps: self.skipped,
            rollbacks: self.state.rollbacks,
        };
        page::write(&self.dir.join("train.html"), &self.config.name, &outcome, &past)?;
        io::write_json(self.dir.join("train.json"), &outcome)?;
        Ok(outcome)
    }

    /// What earlier lines say that the outcome needs.
    fn recall(&mut self, past: &[Metrics]) {
        let judgement = |metrics: &Metrics| {
            let tokens = self.held_out.iter().map(|rows| rows.targets.len() as u64).sum();
            let bytes_of = |bytes: &TokenBytes| {
                self.held_out.iter().flat_map(|rows| &rows.targets).map(|&id| u64::from(bytes.of(id))).sum()
            };
            let bytes = self.bytes.as_ref().map_or(0, bytes_of);
            metrics.eval_loss.map(|loss| Judgement {
                tokens,
                bytes,
                loss,
                bits_per_byte: metrics.eval_bits_per_byte,
            })
        };
        self.first = past.first().filter(|metrics| metrics.step == 0).and_then(judgement);
        self.last = past.iter().rev().find_map(judgement);
        self.loss = past.last().and_then(|metrics| metrics.loss).unwrap_or(f64::NAN);
        self.skipped = past.iter().filter(|metrics| metrics.skipped).count() as u64;
    }

    /// Steps until the end, or until the run goes back to a checkpoint. Another thread draws the sequences of the next step meanwhile.
    fn stretch(
        &mut self,
        cancel: &AtomicBool,
        lines: &mut Lines,
        past: &mut Vec<Metrics>,
        each: &mut dyn FnMut(Event),
    ) -> Result<()> {
        let mut sampler = Sampler::new(Arc::clone(&self.data), self.config.seed, self.state.position.clone());
        let (schedule, from) = (self.schedule.clone(), self.state.step);
        std::thread::scope(|scope| {
            let (sender, receiver) = std::sync::mpsc::sync_channel::<Result<(Sequences, Position)>>(1);
            scope.spawn(move || {
                for step in from..schedule.steps {
                    let rows = usize::try_from(schedule.rows_at(step)).unwrap_or(usize::MAX);
                    let drawn = sampler.next(rows).map(|rows| (rows, sampler.position.clone()));
                    let is_last = drawn.is_err();
                    // Nobody takes it: the run goes back, or has failed.
                    if sender.send(drawn).is_err() || is_last {
                        return;
                    }
                }
            });
            for drawn in &receiver {
                let (sequences, position) = drawn?;
                self.state.position = position;
                let mut metrics = self.step(&sequences)?;
                if metrics.skipped && self.wants_rollback() {
                    self.roll_back(each)?;
                    let until = self.state.step;
                    past.retain(|metrics| metrics.step <= until);
                    self.skipped = past.iter().filter(|metrics| metrics.skipped).count() as u64;
                    let is_past = |line: &str| {
                        serde_json::from_str::<Metrics>(line).is_ok_and(|metrics| metrics.step <= until)
                    };
                    *lines = Lines::open(&self.dir.join("metrics.jsonl"), is_past)?;
                    return Ok(());
                }
                let step = self.state.step;
                let is_last = step == self.schedule.steps;
                if is_last || step.is_multiple_of(self.config.eval_steps) {
                    self.last = self.judge()?;
                    metrics = with_judgement(&metrics, self.last);
                }
                lines.push(&json(&metrics)?)?;
                past.push(metrics.clone());
                each(Event::Step(metrics));
                let stop = cancel.load(Ordering::Relaxed);
                if is_last || stop || step.is_multiple_of(self.config.checkpoint_steps) {
                    let keep = self.config.keep_checkpoints;
                    self.engine.fetch()?;
                    let (model, optimizer) = (&self.engine.model, &self.engine.optimizer);
                    checkpoint::write(&self.checkpoints(), &self.state, model, optimizer, keep)?;
                }
                if stop && !is_last {
                    return Err(Error::Interrupted);
                }
            }
            Ok(())
        })
    }

    fn step(&mut self, sequences: &Sequences) -> Result<Metrics> {
        let start = Instant::now();
        let tokens = sequences.inputs.len();
        #[expect(clippy::cast_possible_truncation, reason = "the nearest float is meant")]
        let scale = (1.0 / tokens as f64) as f32;
        let micro = (self.engine.micro_tokens / sequences.length).max(1) * sequences.length;
        let batches = (0..tokens).step_by(micro).map(|from| {
            let range = from..(from + micro).min(tokens);
            Batch {
                rows: range.len() / sequences.length,
                length: sequences.length,
                inputs: &sequences.inputs[range.clone()],
                targets: &sequences.targets[range.clone()],
                documents: self.config.mask_documents.then(|| &sequences.documents[range]),
            }
        });
        let (sum, norm) = self.engine.gradients(&batches.collect::<Vec<_>>(), scale)?;
        let loss = sum / tokens as f64;
        if !(loss.is_finite() && norm.is_finite()) {
            let kept = checkpoint::list(&self.checkpoints())?.last().copied();
            let kept = kept.map_or_else(
                || "there is no checkpoint yet".to_owned(),
                |step| format!("the checkpoint of step {step} stays"),
            );
            return Err(Error::Failed(format!(
                "step {}: the loss is {loss} and the norm of the gradient {norm}; lower `learning_rate` ({}) or raise `warmup_steps`, in a new run \
                 directory; {kept}",
                self.state.step + 1,
                self.config.learning_rate
            )));
        }
        let rate = self.schedule.rate_at(self.state.step);
        let skipped = self.state.watch.is_spike(&self.config.spikes, loss, norm);
        if !skipped {
            let clip = (self.config.clip_norm / norm).min(1.0);
            #[expect(clippy::cast_possible_truncation, reason = "the nearest float is meant")]
            self.engine.update(rate as f32, clip as f32)?;
        }
        self.state.step += 1;
        self.state.tokens += tokens as u64;
        self.state.updates = self.engine.optimizer.steps();
        self.loss = loss;
        self.skipped += u64::from(skipped);
        let speed = tokens as f64 / start.elapsed().as_secs_f64().max(1e-9);
        let operations = self.summary.flops_per_token as f64 * speed;
        Ok(Metrics {
            step: self.state.step,
            tokens: self.state.tokens,
            loss: Some(loss),
            lr: Some(rate),
            grad_norm: Some(norm),
            tokens_per_sec: Some(speed),
            mfu: self.engine.peak().map(|peak| operations / peak),
            skipped,
            ..Metrics::default()
        })
    }

    fn wants_rollback(&self) -> bool {
        let limit = self.config.spikes.rollback_after;
        limit.is_some_and(|limit| self.state.watch.skipped >= limit) && self.state.rollbacks < MAX_ROLLBACKS
    }

    /// Back to the last checkpoint, but on with the data: the batches that led here are not drawn again.
    fn roll_back(&mut self, each: &mut dyn FnMut(Event)) -> Result<()> {
        let checkpoints = self.checkpoints();
        let (position, rollbacks, at) =
            (self.state.position.clone(), self.state.rollbacks + 1, self.state.step);
        match checkpoint::list(&checkpoints)?.last() {
            Some(&step) => {
                let Engine { model, optimizer, .. } = &mut self.engine;
                self.state = checkpoint::read(&checkpoints, step, model, optimizer)?;
                self.engine.put()?;
                self.state.watch.skipped = 0;
                (self.state.position, self.state.rollbacks) = (position, rollbacks);
                checkpoint::write_state(&checkpoints, &self.state)?;
                each(Event::Warning(format!(
                    "step {at}: the loss does not come down again; back to step {step}, on with new data"
                )));
                Ok(())
            }
            None => Err(Error::Failed(format!(
                "step {at}: the loss does not come down again, and there is no checkpoint to go back to; lower `learning_rate` or `checkpoint_steps`"
            ))),
        }
    }
}

fn with_judgement(metrics: &Metrics, judgement: Option<Judgement>) -> Metrics {
    Metrics {
        eval_loss: judgement.map(|judgement| judgement.loss),
        eval_bits_per_byte: judgement.and_then(|judgement| judgement.bits_per_byte),
        ..metrics.clone()
    }
}

fn json(metrics: &Metrics) -> Result<String> {
    serde_json::to_string(metrics).map_err(|error| Error::Failed(format!("cannot write metrics: {error}")))
}

/// Whether the run directory is new, or holds a run with the same options and data: what to write down about it.
fn same_options(config: &Config, data: &Data, dir: &Path) -> Result<Map<String, Value>> {
    let path = dir.join("config.json");
    let mut options = options(config);
    options.insert("data_tokens".to_owned(), (data.tokens() + data.held_out_tokens()).into());
    if !path.exists() {
        return Ok(options);
    }
    let earlier: Map<String, Value> = io::read_json(&path)?;
    let is_free = |name: &str| FREE_OPTIONS.contains(&name);
    let differ = options.iter().filter(|(name, value)| !is_free(name) && earlier.get(*name) != Some(value));
    let differ: Vec<String> = differ
        .map(|(name, value)| {
            format!("`{name}` was {} and is {value}", earlier.get(name).unwrap_or(&Value::Null))
        })
        .collect();
    if differ.is_empty() {
        return Ok(options);
    }
    Err(Error::User(format!(
        "`{}` holds a run with other options: {}; go on with those, or name another `--run-dir`",
        dir.display(),
        differ.join(", ")
    )))
}

fn options(config: &Config) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(options)) => options,
        _ => Map::new(),
    }
}
