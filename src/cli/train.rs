//! `train`, `ablate`, `evaluate`, `generate`: a small language model on token shards.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::LogFormat;
use super::run::catch_signals;
use super::show::{clean, print, put};
use crate::error::{Error, Result};
use crate::io::folders;
use crate::pipeline::config::parse_count;
use crate::pipeline::options_file;
use crate::train::ablate::{Ablation, Comparison, compare};
use crate::train::config::Device;
use crate::train::engine::Engine;
use crate::train::generate::{Draw, generate as draw_tokens};
use crate::train::judge::{Chosen, Judge, Judgement, Question, Text, read_lines};
use crate::train::page::grouped;
use crate::train::run::Summary;
use crate::train::{Config, Event, Outcome, export, train as train_model};

/// Pause between two lines of progress.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(super) struct TrainArgs {
    /// The training file.
    config: PathBuf,
    /// Change an option: `data=runs/mine/tokens`. May be given several times.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Folder for everything that the run writes; default `run_dir:` of the file, else `runs/<name>`.
    #[arg(long)]
    run_dir: Option<PathBuf>,
    /// Threads; default `threads:` of the file, else all cores. Changes nothing in the model.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    threads: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub(super) struct AblateArgs {
    /// Token shards of each corpus; the others are compared with the first.
    #[arg(num_args = 2.., required = true)]
    corpora: Vec<String>,
    /// Texts to judge by: JSONL with a field `text`, which none of the corpora should hold.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    eval: Vec<PathBuf>,
    /// Questions to judge by as well: JSONL with `prompt`, `choices` and `answer` (the number of the right choice, from 0).
    #[arg(long, value_name = "FILE")]
    questions: Option<PathBuf>,
    /// Tokens that each model is trained on, such as `200M`; default `tokens:` of the recipe.
    #[arg(long, value_name = "TOKENS", value_parser = parse_count)]
    budget: Option<u64>,
    /// Seeds per corpus.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
    /// Training file with the model and the recipe; its `data` and `seed` do not count.
    #[arg(long, value_name = "FILE")]
    recipe: PathBuf,
    /// Change an option of the recipe. May be given several times.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Folder for the models and `ablation.json`.
    #[arg(long, default_value = "runs/ablate")]
    run_dir: PathBuf,
    /// Threads; default all cores. Changes nothing in the result.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    threads: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub(super) struct EvaluateArgs {
    /// Run directory of `tamis train`, or a folder with a Llama model of 32-bit floats.
    model: PathBuf,
    /// Texts: JSONL with a field `text`.
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "questions")]
    text: Vec<PathBuf>,
    /// Questions: JSONL with `prompt`, `choices` and `answer` (the number of the right choice, from 0).
    #[arg(long, value_name = "FILE", num_args = 1..)]
    questions: Vec<PathBuf>,
    /// What computes; `auto`: a GPU where there is one, else the CPU.
    #[arg(long, value_enum, default_value_t = Where::Auto)]
    device: Where,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Where {
    Auto,
    Cpu,
    Cuda,
}

#[derive(Debug, clap::Args)]
pub(super) struct GenerateArgs {
    /// Run directory of `tamis train`, or a folder with a Llama model of 32-bit floats.
    model: PathBuf,
    /// What the text begins with.
    #[arg(long, default_value = "")]
    prompt: String,
    /// Most tokens.
    #[arg(long, default_value_t = 100)]
    tokens: u32,
    /// What logits are divided by; 0 takes the likeliest token.
    #[arg(long, default_value_t = 0.8)]
    temperature: f32,
    /// Draw from so many of the likeliest tokens; 0: all.
    #[arg(long, default_value_t = 50)]
    top_k: u32,
    /// Chooses the draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn read_config(path: &Path, set: &[String]) -> Result<Config> {
    options_file::read(&path.to_string_lossy(), set, "the training file", Config::mistakes)
}

fn on_threads<T: Send>(threads: Option<u32>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let threads = threads.unwrap_or(0) as usize;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| Error::Failed(format!("cannot start {threads} threads: {error}")))?;
    pool.install(work)
}

pub(super) fn train(args: &TrainArgs, format: LogFormat) -> Result<u8> {
    let config = read_config(&args.config, &args.set)?;
    let dir = args.run_dir.clone().or_else(|| config.run_dir.as_ref().map(PathBuf::from));
    let dir = dir.unwrap_or_else(|| PathBuf::from("runs").join(&config.name));
    let _lock = lock(&dir)?;
    let cancel = catch_signals()?;
    let mut progress = Progress::new(format, String::new());
    let outcome = on_threads(args.threads.or(config.threads), || {
        train_model(&config, &dir, &cancel, &mut |event| progress.show(event))
    })?;
    print(&match format {
        LogFormat::Json => {
            format!("{}\n", serde_json::json!({ "event": "done", "run_dir": dir, "outcome": outcome }))
        }
        LogFormat::Text => told(&outcome, &dir),
    })?;
    Ok(0)
}

/// Nobody else may work in the folder.
fn lock(dir: &Path) -> Result<folders::Lock> {
    if crate::io::store::is_remote(dir) {
        return Err(Error::User(format!(
            "`{}`: a training writes into a local folder, where its metrics can grow\n = hint: `data` may be in a store; copy the model there when it is done",
            dir.display()
        )));
    }
    crate::io::create_dir(dir)?;
    folders::lock(dir.join("lock"), false)?
        .ok_or_else(|| Error::User(format!("another process works in `{}`", dir.display())))
}

fn told(outcome: &Outcome, dir: &Path) -> String {
    let mut text = String::new();
    put(
        &mut text,
        format_args!("loss      {:.4} in the last of {} steps\n", outcome.loss, outcome.summary.steps),
    );
    if let Some([first, last]) = outcome.held_out {
        put(&mut text, format_args!("held out  {:.4} before, {:.4} after", first.loss, last.loss));
        if let (Some(first), Some(last)) = (first.bits_per_byte, last.bits_per_byte) {
            put(&mut text, format_args!("; bits per byte {first:.4} before, {last:.4} after"));
        }
        text.push('\n');
    }
    for (name, file) in [("model", "model"), ("metrics", "metrics.jsonl"), ("curves", "train.html")] {
        put(&mut text, format_args!("{name:<9} {}\n", dir.join(file).display()));
    }
    text
}

/// Shows events on standard error.
struct Progress {
    format: LogFormat,
    prefix: String,
    steps: u64,
    tokens: u64,
    flops_per_token: u64,
    last_line: Option<Instant>,
}

impl Progress {
    fn new(format: LogFormat, prefix: String) -> Self {
        Self { format, prefix, steps: 0, tokens: 0, flops_per_token: 0, last_line: None }
    }

    #[expect(clippy::print_stderr, reason = "the command line prints")]
    fn show(&mut self, event: Event) {
        let prefix = &self.prefix;
        if self.format == LogFormat::Json {
            let json = match event {
                Event::Start(summary) => serde_json::json!({ "event": "start", "summary": summary }),
                Event::Warning(message) => serde_json::json!({ "event": "warning", "message": message }),
                Event::Step(metrics) => serde_json::json!({ "event": "step", "metrics": metrics }),
            };
            eprintln!("{json}");
            return;
        }
        match event {
            Event::Start(summary) => {
                (self.steps, self.tokens) = (summary.steps, summary.tokens);
                self.flops_per_token = summary.flops_per_token;
                eprintln!("{prefix}{}", introduced(&summary));
            }
            Event::Warning(message) => eprintln!("{prefix}warning: {message}"),
            Event::Step(metrics) => {
                let is_due = self.last_line.is_none_or(|last| last.elapsed() >= LINE_INTERVAL);
                if !is_due && metrics.eval_loss.is_none() {
                    return;
                }
                self.last_line = Some(Instant::now());
                let mut line = format!("{prefix}step {}/{}", metrics.step, self.steps);
                if let (Some(loss), Some(rate), Some(norm)) = (metrics.loss, metrics.lr, metrics.grad_norm) {
                    put(&mut line, format_args!("  loss {loss:.4}  norm {norm:.2}  rate {rate:.2e}"));
                }
                if let Some(speed) = metrics.tokens_per_sec {
                    let gflops = speed * self.flops_per_token as f64 / 1e9;
                    let share =
                        metrics.mfu.map_or(String::new(), |mfu| format!(", {:.1} % MFU", mfu * 100.0));
                    let left = self.tokens.saturating_sub(metrics.tokens) as f64 / speed;
                    put(
                        &mut line,
                        format_args!("  {speed:.0} tokens/s ({gflops:.0} GFLOP/s{share})  {left:.0} s left"),
                    );
                }
                if let Some(loss) = metrics.eval_loss {
                    put(&mut line, format_args!("  held out {loss:.4}"));
                }
                if metrics.skipped {
                    line.push_str("  skipped");
                }
                eprintln!("{line}");
            }
        }
    }
}

fn introduced(summary: &Summary) -> String {
    let mut line = format!(
        "on {}: {} parameters, {:.3} GFLOP per token; {} of {} tokens ({:.2} passes) in {} steps, {} of warm-up; {} tokens are held out; {} tokens \
         would suit the model (20 per parameter)",
        summary.device,
        grouped(summary.parameters),
        summary.flops_per_token as f64 / 1e9,
        grouped(summary.tokens),
        grouped(summary.data_tokens),
        summary.epochs,
        summary.steps,
        summary.warmup_steps,
        grouped(summary.held_out_tokens),
        grouped(summary.suggested_tokens),
    );
    if summary.resumed_at > 0 {
        put(&mut line, format_args!("; going on from step {}", summary.resumed_at));
    }
    line
}

pub(super) fn ablate(args: &AblateArgs, format: LogFormat) -> Result<u8> {
    // Any data will do for the check: the corpora come in its place.
    let mut set = args.set.clone();
    set.push(format!("data={}", args.corpora[0]));
    let mut recipe = read_config(&args.recipe, &set)?;
    recipe.tokens = args.budget.or(recipe.tokens);
    if recipe.tokens.is_none() {
        return Err(Error::User(
            "say on how many tokens each model is trained: `--budget 200M`, or `tokens:` in the recipe"
                .to_owned(),
        ));
    }
    let texts = texts_of(&args.eval)?;
    let questions: Vec<Question> = args.questions.as_deref().map_or(Ok(Vec::new()), questions_of)?;
    let comparison = Comparison {
        corpora: &args.corpora,
        recipe: &recipe,
        seeds: args.seeds,
        texts: &texts,
        questions: &questions,
    };
    let _lock = lock(&args.run_dir)?;
    let cancel: Arc<AtomicBool> = catch_signals()?;
    let mut current = (usize::MAX, 0, Progress::new(format, String::new()));
    let result = on_threads(args.threads.or(recipe.threads), || {
        compare(&comparison, &args.run_dir, &cancel, &mut |corpus, seed, event| {
            if (current.0, current.1) != (corpus, seed) {
                let prefix = format!("corpus {} seed {seed}: ", corpus + 1);
                current = (corpus, seed, Progress::new(format, prefix));
            }
            current.2.show(event);
        })
    })?;
    print(&match format {
        LogFormat::Json => format!("{}\n", serde_json::json!({ "event": "done", "ablation": result })),
        LogFormat::Text => compared(&result),
    })?;
    Ok(0)
}

fn compared(result: &Ablation) -> String {
    let seeds = result.trained.len() / result.corpora.len();
    let mut text = format!(
        "bits per byte on the same texts, each model trained on {} tokens, {seeds} seeds; a difference counts where it is larger than its spread\n\n",
        grouped(result.tokens)
    );
    for (number, corpus) in result.corpora.iter().enumerate() {
        let (bits, behind) = (result.bits_per_byte[number], result.difference[number]);
        put(&mut text, format_args!("{:.4} +- {:.4}  {}", bits.mean, bits.deviation, clean(corpus)));
        let of_corpus = result.trained.iter().filter(|model| model.corpus == number);
        let chosen: Vec<&Chosen> = of_corpus.clone().filter_map(|model| model.chosen.as_ref()).collect();
        if !chosen.is_empty() {
            let (right, asked) = chosen.iter().fold((0, 0), |(right, asked), chosen| {
                (right + chosen.correct_per_byte, asked + chosen.questions)
            });
            put(&mut text, format_args!("  {right} of {asked} questions right"));
        }
        if let Some(model) = of_corpus.clone().next() {
            put(&mut text, format_args!("  ({:.2} passes)", model.epochs));
        }
        if number > 0 {
            let share = 100.0 * behind.mean / result.bits_per_byte[0].mean;
            let word = if behind.mean.abs() <= behind.deviation {
                "no clear difference from the first"
            } else if behind.mean > 0.0 {
                "worse than the first"
            } else {
                "better than the first"
            };
            put(
                &mut text,
                format_args!("  {:+.4} +- {:.4} ({share:+.1} %): {word}", behind.mean, behind.deviation),
            );
        }
        text.push('\n');
    }
    text
}

fn texts_of(paths: &[PathBuf]) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for path in paths {
        texts.extend(read_lines::<Text>(path)?.into_iter().map(|line| line.text));
    }
    if texts.iter().all(String::is_empty) {
        return Err(Error::User("there is no text to judge by".to_owned()));
    }
    Ok(texts)
}

fn questions_of(path: &Path) -> Result<Vec<Question>> {
    let questions: Vec<Question> = read_lines(path)?;
    for (number, question) in questions.iter().enumerate() {
        if question.choices.len() < 2 || question.answer >= question.choices.len() {
            return Err(Error::User(format!(
                "`{}`: question {} has {} choices, and `answer` is {} (from 0)",
                path.display(),
                number + 1,
                question.choices.len(),
                question.answer
            )));
        }
    }
    Ok(questions)
}

pub(super) fn evaluate(args: &EvaluateArgs, format: LogFormat) -> Result<u8> {
    let opened = export::open(&args.model)?;
    let context = opened.model.shape().context;
    let judge = Judge { context, encoder: &opened.encoder, bytes: &opened.bytes };
    let device = match args.device {
        Where::Auto => Device::Auto,
        Where::Cpu => Device::Cpu,
        Where::Cuda => Device::Cuda,
    };
    let mut engine = Engine::to_judge(opened.model, device)?;
    let mut text = String::new();
    for path in &args.text {
        let texts = texts_of(std::slice::from_ref(path))?;
        let found = judge.texts(&mut engine, texts.iter().map(String::as_str))?;
        tell(&mut text, format, path, Some(&found), None);
    }
    for path in &args.questions {
        let found = judge.choose(&mut engine, &questions_of(path)?)?;
        tell(&mut text, format, path, None, Some(&found));
    }
    print(&text)?;
    Ok(0)
}

fn tell(
    text: &mut String,
    format: LogFormat,
    path: &Path,
    judgement: Option<&Judgement>,
    chosen: Option<&Chosen>,
) {
    if format == LogFormat::Json {
        let line = serde_json::json!({ "file": path, "text": judgement, "questions": chosen });
        put(text, format_args!("{line}\n"));
        return;
    }
    if let Some(found) = judgement {
        put(
            text,
            format_args!(
                "{}: loss {:.4}, bits per byte {:.4} ({} tokens, {} bytes)\n",
                path.display(),
                found.loss,
                found.bits_per_byte.unwrap_or(f64::NAN),
                grouped(found.tokens),
                grouped(found.bytes)
            ),
        );
    }
    if let Some(found) = chosen {
        put(
            text,
            format_args!(
                "{}: {} of {} right by the sum of losses, {} by the loss per byte; guessing gives {:.1}\n",
                path.display(),
                found.correct,
                found.questions,
                found.correct_per_byte,
                found.by_chance
            ),
        );
    }
}

pub(super) fn generate(args: &GenerateArgs) -> Result<u8> {
    let opened = export::open(&args.model)?;
    let mut tokens = Vec::new();
    opened.encoder.encode(&args.prompt, &mut tokens)?;
    let eos = opened.encoder.eos_id;
    let mut ids: Vec<u32> =
        std::iter::once(eos).chain(tokens.into_iter().map(tokenizers::pipeline::PipelineToken::id)).collect();
    let draw = Draw { temperature: args.temperature, top_k: args.top_k as usize, seed: args.seed };
    draw_tokens(&opened.model, &mut ids, args.tokens as usize, Some(eos), draw);
    let end = if ids.len() > 1 && ids.last() == Some(&eos) { ids.len() - 1 } else { ids.len() };
    print(&(clean(&opened.encoder.decode(&ids[1..end])?) + "\n"))?;
    Ok(0)
}
