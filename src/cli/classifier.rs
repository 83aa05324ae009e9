//! `tamis classifier train`: a fastText classifier from files of good and of bad text.
//!
//! The documents are read with our readers; a share of them, chosen by the hash of the text, is held out and
//! tells how good the model is. What was measured is printed, and written beside the model with all settings.
//! Both files are the same, byte for byte, for the same documents and settings, whatever the number of threads.

mod documents;
mod show;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;

use rayon::prelude::*;
use serde_json::json;

use super::LogFormat;
use crate::error::{Error, Result};
use crate::io::{self, AtomicFile};
use crate::models::fasttext::evaluate::{Evaluation, Report};
use crate::models::fasttext::{FastText, Settings, TrainError, Trained, Trainer};
use crate::pipeline::config::parse_memory;
use documents::{Bad, LabelFiles};

/// Names of the two classes as DCLM's and NeMo Curator's models have them, so that ours can stand in for them.
const POSITIVE: &str = "hq";
const NEGATIVE: &str = "cc";

/// Train text classifiers.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Train a fastText classifier and measure it on documents that it has not seen.
    Train(Box<TrainArgs>),
}

/// What is learnt from, how, and where it goes. Options that the official library has too have its defaults.
#[derive(Debug, clap::Args)]
struct TrainArgs {
    /// Files of text that is wanted (label `hq`): JSON Lines or Parquet with a `text` column, WET, or plain text with
    /// one document a line; `.gz` or `.zst` may stand behind. Folders and glob patterns too.
    #[arg(long, num_args = 1.., value_name = "FILES")]
    positive: Vec<String>,
    /// Files of text that is not wanted (label `cc`).
    #[arg(long, num_args = 1.., value_name = "FILES")]
    negative: Vec<String>,
    /// Files of any label. Give it once for each label or pattern.
    #[arg(long, value_name = "NAME=FILES", value_parser = label_files)]
    label: Vec<(String, String)>,
    /// Where the model goes. What was measured goes beside it, as OUTPUT.json.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Length of the vectors.
    #[arg(long, default_value_t = Settings::default().dim)]
    dim: usize,
    /// How often every document is gone through.
    #[arg(long, default_value_t = Settings::default().epoch)]
    epoch: u32,
    /// Learning rate at the beginning; it falls to 0.
    #[arg(long, default_value_t = Settings::default().lr)]
    lr: f64,
    /// Longest word n-gram; 1 for words alone.
    #[arg(long, default_value_t = Settings::default().word_ngrams)]
    word_ngrams: usize,
    /// Shortest character n-gram.
    #[arg(long, default_value_t = Settings::default().minn)]
    minn: usize,
    /// Longest character n-gram; 0 for none.
    #[arg(long, default_value_t = Settings::default().maxn)]
    maxn: usize,
    /// Vectors that n-grams are hashed into. The model takes `4 * dim * (words + bucket)` bytes; without n-grams no bucket.
    #[arg(long, default_value_t = Settings::default().bucket)]
    bucket: u32,
    /// Words that occur fewer times have no vector of their own.
    #[arg(long, default_value_t = Settings::default().min_count)]
    min_count: u64,
    /// Decides the first weights and the order of documents.
    #[arg(long, default_value_t = Settings::default().seed)]
    seed: u64,
    /// Share of documents, 0 up to but not 1, that are held out to measure the model. Which ones, the hash of their text
    /// decides.
    #[arg(long, default_value_t = 0.1)]
    held_out: f64,
    /// Share of bad records, 0 to 1, above which nothing is trained.
    #[arg(long, default_value_t = 0.01)]
    max_bad_ratio: f64,
    /// Threads, at least 1; their number changes no byte of the model. They wait for each other at every document, so take
    /// more only on cores that are free; more than `dim / 16` are of no use.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Memory that training may take, such as `8GiB`: documents and two copies of the model. Default: half of what the
    /// cgroup or the machine has.
    #[arg(long)]
    memory: Option<String>,
}

fn label_files(argument: &str) -> Result<(String, String), String> {
    match argument.split_once('=') {
        Some((name, files)) if !name.is_empty() && !files.is_empty() => {
            Ok((name.to_owned(), files.to_owned()))
        }
        _ => Err("write `NAME=FILES`".to_owned()),
    }
}

impl TrainArgs {
    fn settings(&self) -> Settings {
        Settings {
            dim: self.dim,
            epoch: self.epoch,
            lr: self.lr,
            word_ngrams: self.word_ngrams,
            minn: self.minn,
            maxn: self.maxn,
            bucket: self.bucket,
            min_count: self.min_count,
            seed: self.seed,
        }
    }

    /// Labels and their files.
    fn files(&self) -> Result<Vec<LabelFiles>> {
        let mut patterns = Vec::new();
        for (name, files) in [(POSITIVE, &self.positive), (NEGATIVE, &self.negative)] {
            if !files.is_empty() {
                patterns.push((name.to_owned(), files.clone()));
            }
        }
        for (name, files) in &self.label {
            let name = name.strip_prefix("__label__").unwrap_or(name);
            patterns.push((name.to_owned(), vec![files.clone()]));
        }
        documents::expand(&patterns)
    }

    fn check(&self) -> Result<u64> {
        for (name, ratio, fits) in [
            ("held-out", self.held_out, (0.0..1.0).contains(&self.held_out)),
            ("max-bad-ratio", self.max_bad_ratio, (0.0..=1.0).contains(&self.max_bad_ratio)),
        ] {
            if !fits {
                return Err(Error::User(format!("`--{name}` is a share, 0 to 1, found `{ratio}`")));
            }
        }
        if self.threads == 0 {
            return Err(Error::User("`--threads` must be at least 1".to_owned()));
        }
        match &self.memory {
            None => Ok(io::machine::default_memory_bytes()),
            Some(text) => parse_memory(text).map_err(|message| Error::User(format!("`--memory`: {message}"))),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// [`Error::User`] for mistakes in the options and for documents that no classifier can be trained with; else
/// where files cannot be read or written.
pub(super) fn run(args: &Args, format: LogFormat) -> Result<u8> {
    let Command::Train(args) = &args.command;
    let memory_bytes = args.check()?;
    let labels = args.files()?;
    let names: Vec<String> = labels.iter().map(|label| label.label.clone()).collect();
    let trainer = Trainer::new(&args.settings(), &names, memory_bytes)?;
    let set = read(args, &labels, trainer, memory_bytes)?;
    let tenths = AtomicU32::new(0);
    let documents = set.trainer.documents();
    let trained = set.trainer.train(args.threads, &|share| show::progress(share, &tenths, format))?;
    write(&args.output, &trained)?;
    let bytes = io::read_side_file(&args.output)?;
    let model =
        FastText::from_bytes(&bytes).map_err(|error| Error::damaged(&args.output, error.to_string()))?;
    let report = measure(&model, &names, &set.held);
    let facts = json!({
        "tamis": env!("CARGO_PKG_VERSION"),
        "model": { "bytes": bytes.len(), "xxh3": format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes)),
            "words": trained.words(), "tokens": trained.tokens() },
        "settings": args.settings(),
        "labels": labels.iter().zip(&documents).enumerate().map(|(number, (label, trained_with))| json!({
            "label": format!("__label__{}", label.label), "files": label.files, "trained_with": trained_with,
            "held_out": set.held.iter().filter(|(truth, _)| *truth == number).count(),
        })).collect::<Vec<_>>(),
        "records": { "bad": set.bad.count, "empty": set.empty, "repeated": set.repeated,
            "in_two_labels": set.in_two_labels },
        "held_out": { "ratio": args.held_out, "chosen_by": "xxh3 of the text",
            "measured": (report.documents > 0).then_some(&report) },
    });
    io::write_json(report_path(&args.output), &facts)?;
    show::result(&args.output, &trained, &report, &set.bad.shown, &facts);
    Ok(0)
}

fn report_path(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}

impl From<TrainError> for Error {
    /// Whatever keeps a classifier from being trained is in what the user gave.
    fn from(error: TrainError) -> Self {
        Self::User(error.to_string())
    }
}

fn write(path: &Path, trained: &Trained) -> Result<()> {
    let mut out = AtomicFile::create(path)?;
    trained.write(&mut out).map_err(Error::io("write", path))?;
    out.commit()
}

/// What was read.
struct Set {
    trainer: Trainer,
    /// Number of the label and text of every document that was held out.
    held: Vec<(usize, String)>,
    bad: Bad,
    empty: u64,
    /// Documents whose text was there before, with the same label and with another.
    repeated: u64,
    in_two_labels: u64,
}

fn read(args: &TrainArgs, labels: &[LabelFiles], trainer: Trainer, memory_bytes: u64) -> Result<Set> {
    let (bad, held) = (Bad::default(), Vec::new());
    let mut set = Set { trainer, held, bad, empty: 0, repeated: 0, in_two_labels: 0 };
    let mut seen: HashMap<u64, usize> = HashMap::new();
    let (mut documents, mut held_bytes) = (0_u64, 0_u64);
    for (number, label) in labels.iter().enumerate() {
        for file in &label.files {
            let mut bad = std::mem::take(&mut set.bad);
            documents::for_each(file, &mut bad, |text| {
                if text.trim().is_empty() {
                    set.empty += 1;
                    return Ok(());
                }
                documents += 1;
                let hash = xxhash_rust::xxh3::xxh3_64(text.as_bytes());
                match seen.insert(hash, number) {
                    Some(before) if before == number => set.repeated += 1,
                    Some(_) => set.in_two_labels += 1,
                    None => {}
                }
                if share(hash) >= args.held_out {
                    return Ok(set.trainer.add(number, text)?);
                }
                held_bytes += text.len() as u64;
                if held_bytes > memory_bytes {
                    return Err(TrainError::Memory(memory_bytes).into());
                }
                set.held.push((number, text.to_owned()));
                Ok(())
            })?;
            set.bad = bad;
        }
    }
    let bad_ratio = set.bad.count as f64 / (set.bad.count + documents).max(1) as f64;
    if bad_ratio > args.max_bad_ratio {
        return Err(Error::TooManyBadRecords(format!(
            "{} of {} records are bad, more than `--max-bad-ratio` allows:\n  {}",
            set.bad.count,
            set.bad.count + documents,
            set.bad.shown.join("\n  ")
        )));
    }
    Ok(set)
}

/// A number in 0..1 that the hash decides.
fn share(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

fn measure(model: &FastText, names: &[String], held: &[(usize, String)]) -> Report {
    // The model has its labels in another order.
    let place = |name: &String| {
        let label = format!("__label__{name}");
        model.labels().iter().position(|known| *known == label).unwrap_or_default()
    };
    let places: Vec<usize> = names.iter().map(place).collect();
    let probabilities: Vec<Vec<f32>> =
        held.par_iter().map(|(_, text)| model.probabilities(&[text])).collect();
    let mut evaluation = Evaluation::new(model.labels());
    for ((label, _), probabilities) in held.iter().zip(&probabilities) {
        evaluation.add(places[*label], probabilities);
    }
    evaluation.report()
}

#[cfg(test)]
mod tests;
