//! `tamis lm train`: text files or a pipeline's documents to an n-gram model.
//!
//! A line of a text file is a sentence, an empty one too (as for KenLM's lmplz). Of a document each line that has
//! tokens is a sentence. Tokens are what stands between white space of ASCII and NUL, or what `--tokens` says; a file
//! `MODEL.tokens.json` beside each model tells which (KenLM does not look at it).

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::cli::LogFormat;
use crate::cli::show::{print, put};
use crate::document::{Document, Outcome};
use crate::error::{Error, Result};
use crate::io;
use crate::io::spool::Scratch;
use crate::models::ngram::arpa_writer::ArpaWriter;
use crate::models::ngram::probing_writer::ProbingWriter;
use crate::models::ngram::tokens::{LmTokens, Normalize, Tokens};
use crate::models::ngram::train::discounts::DEFAULT_FALLBACK;
use crate::models::ngram::train::emit::Sink;
use crate::models::ngram::train::text::for_each_line;
use crate::models::ngram::train::{self, Reserved, Summary, TrainConfig, Trainer, Vocabulary};
use crate::pipeline::{self, Loaded, config};
use crate::stage::{Built, Context, Item};

/// Documents, and bytes of them, that go through a pipeline's stages together.
const WINDOW: (usize, usize) = (256, 4 << 20);
/// Lines of a file that are taken apart together.
const MAX_LINES: usize = 1 << 16;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Words of the longest n-gram, 1 to 7 (KenLM's Python module reads up to 6).
    #[arg(short, long, default_value_t = 5)]
    order: usize,
    /// Text files, one sentence a line, tokens between white space; plain, gzip or zstd.
    #[arg(long, num_args = 1.., value_name = "FILE", required_unless_present = "input")]
    text: Vec<PathBuf>,
    /// Pipeline whose documents are the text, after its stages; each line of a document is a sentence.
    #[arg(long, value_name = "PIPELINE", conflicts_with = "text")]
    input: Option<PathBuf>,
    /// Change an option of the pipeline: `stages.gopher_quality.min_words=30`. May be given several times.
    #[arg(long = "set", value_name = "PATH=VALUE", requires = "input")]
    set: Vec<String>,
    /// Write the model as ARPA text.
    #[arg(long, value_name = "OUT", required_unless_present = "binary")]
    arpa: Option<PathBuf>,
    /// Write the model as KenLM's probing binary.
    #[arg(long, value_name = "OUT")]
    binary: Option<PathBuf>,
    /// Leave out n-grams that come at most so often: a threshold per order from 1, the first 0, none below the one
    /// before; the last goes for all longer ones.
    #[arg(long, num_args = 1.., value_name = "COUNT")]
    prune: Vec<u64>,
    /// Keep only the N most frequent words, or those of a file (between white space); n-grams with others are left out.
    #[arg(long, value_name = "N|FILE")]
    vocabulary: Option<String>,
    /// Discounts for adjusted counts of 1, 2, and 3 or more, for orders where they cannot be estimated
    /// [default without numbers: 0.5 1 1.5]
    #[arg(long, num_args = 0..=3, value_name = "D")]
    discount_fallback: Option<Vec<f64>>,
    /// What a token is: `space` (between white space), `words`, `characters`, `sentencepiece:FILE.model` or
    /// `tokenizer:FILE.json`.
    #[arg(long, default_value = "space", value_name = "KIND")]
    tokens: Tokens,
    /// What is done to each line before: `none`, or `ccnet` (small letters, no accents, digits are 0, plain punctuation).
    #[arg(long, default_value = "none", value_name = "HOW")]
    normalize: Normalize,
    /// Leave out tokens that are called `<s>`, `</s>` or `<unk>`, instead of stopping at them.
    #[arg(long)]
    skip_symbols: bool,
    /// Memory to keep to, such as `200MiB`; default half of what there is. Changes nothing in the model.
    #[arg(long)]
    memory: Option<String>,
    /// Threads; default all cores. Changes nothing in the model.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    threads: Option<u32>,
    /// Folder for temporary files (about 100 bytes per token at order 5); default the system's.
    #[arg(long, value_name = "DIR")]
    temp: Option<PathBuf>,
}

impl Args {
    fn config(&self) -> Result<TrainConfig> {
        let discount_fallback = match self.discount_fallback.as_deref() {
            None => None,
            Some([]) => Some(DEFAULT_FALLBACK),
            Some(&[one, two, three]) => Some([one, two, three]),
            Some(other) => {
                return Err(Error::User(format!(
                    "--discount-fallback takes three numbers or none; there are {}",
                    other.len()
                )));
            }
        };
        let memory_bytes = match &self.memory {
            Some(text) => {
                config::parse_memory(text).map_err(|message| Error::User(format!("--memory: {message}")))?
            }
            None => io::machine::default_memory_bytes(),
        };
        Ok(TrainConfig {
            order: self.order,
            prune: self.prune.clone(),
            vocabulary: self.vocabulary.as_deref().map_or(Ok(Vocabulary::All), vocabulary)?,
            discount_fallback,
            reserved: if self.skip_symbols { Reserved::Skip } else { Reserved::Error },
            memory_bytes,
            temp_dir: self.temp.clone().unwrap_or_else(std::env::temp_dir),
        })
    }
}

/// A number, or the words of a file.
fn vocabulary(text: &str) -> Result<Vocabulary> {
    if let Ok(most) = text.parse() {
        return Ok(Vocabulary::Most(most));
    }
    let bytes = io::read_side_file(text.as_ref())?;
    Ok(Vocabulary::Only(train::split(&bytes).map(<[u8]>::to_vec).collect()))
}

pub(in crate::cli) fn run(args: &Args, format: LogFormat) -> Result<u8> {
    let config = args.config()?;
    if config.order == 1 && args.binary.is_some() {
        return Err(Error::User(
            "KenLM's binary format has no models of order 1; use `--arpa`, or a higher `--order`".to_owned(),
        ));
    }
    if args.arpa.is_some() && args.arpa == args.binary {
        return Err(Error::User("`--arpa` and `--binary` name the same file".to_owned()));
    }
    let threads = args.threads.unwrap_or(0) as usize;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| Error::Failed(format!("cannot start {threads} threads: {error}")))?;
    pool.install(|| train(args, config, format))
}

fn train(args: &Args, config: TrainConfig, format: LogFormat) -> Result<u8> {
    let tokens = LmTokens::open(&args.tokens, args.normalize)?;
    // Before any text is read, so that an output that cannot be written is known at once.
    let mut arpa = args.arpa.as_ref().map(ArpaWriter::create).transpose()?;
    let scratch = Scratch::new(&config.temp_dir)?;
    let binary = args.binary.as_ref().map(|path| ProbingWriter::create(path, scratch));
    let mut binary = binary.transpose()?;
    let mut trainer = Trainer::new(config)?;
    let mut bad = 0;
    for path in &args.text {
        add_file(&mut trainer, path, &tokens)?;
    }
    if let Some(path) = &args.input {
        let loaded = pipeline::load(&path.to_string_lossy(), &args.set)?;
        crate::pipeline::trial::prepare(&loaded)?;
        bad = add_pipeline(&mut trainer, &loaded, &tokens)?;
    }
    let mut sinks: Vec<&mut dyn Sink> = Vec::new();
    sinks.extend(arpa.as_mut().map(|sink| sink as &mut dyn Sink));
    sinks.extend(binary.as_mut().map(|sink| sink as &mut dyn Sink));
    let summary = trainer.finish(&mut sinks)?;
    for model in args.arpa.iter().chain(&args.binary) {
        tokens.note().write(model)?;
    }
    show(&summary, bad, format)?;
    Ok(if bad > 0 { 3 } else { 0 })
}

/// Adds the lines of a file. Where they have to be taken apart, all threads do it.
fn add_file(trainer: &mut Trainer, path: &Path, tokens: &LmTokens) -> Result<()> {
    if tokens.is_plain() {
        return for_each_line(path, |line| trainer.add_sentence(train::split(line)));
    }
    let mut lines = Vec::new();
    let mut bytes = 0;
    let add = |trainer: &mut Trainer, lines: &mut Vec<String>| {
        lines.par_iter_mut().with_min_len(16).for_each_init(String::new, |out, line| {
            tokens.line(line, out);
            std::mem::swap(line, out);
        });
        lines.drain(..).try_for_each(|line| trainer.add_sentence(train::split(line.as_bytes())))
    };
    for_each_line(path, |line| {
        bytes += line.len();
        lines.push(String::from_utf8_lossy(line).into_owned());
        if bytes < WINDOW.1 && lines.len() < MAX_LINES {
            return Ok(());
        }
        bytes = 0;
        add(trainer, &mut lines)
    })?;
    add(trainer, &mut lines)
}

/// Adds the documents of a pipeline; returns the number of bad records.
fn add_pipeline(trainer: &mut Trainer, loaded: &Loaded, tokens: &LmTokens) -> Result<u64> {
    for (plan, (_, built)) in loaded.plan.stages.iter().zip(&loaded.stages) {
        if !matches!(built, Built::Doc(_)) {
            return Err(Error::User(format!(
                "stage `{}` compares documents with each other, and `--input` takes documents one at a time\n = hint: give a pipeline without it, or run this one and train on the text of its corpus",
                plan.id
            )));
        }
    }
    let mut bad = 0;
    for (number, split) in loaded.plan.splits.iter().enumerate() {
        let number = u32::try_from(number).map_err(|_| Error::User("too many input files".to_owned()))?;
        let mut stream = loaded.readers[split.input].open(number, &split.file, None)?;
        loop {
            let (mut docs, mut bytes, mut ended) = (Vec::new(), 0, false);
            while docs.len() < WINDOW.0 && bytes < WINDOW.1 && !ended {
                match stream.next()? {
                    None => ended = true,
                    Some(Item::Document(doc)) => {
                        bytes += doc.weight_bytes();
                        docs.push(*doc);
                    }
                    Some(Item::Skipped(_)) => {}
                    Some(Item::Bad(_)) => bad += 1,
                }
            }
            let texts: Vec<Option<String>> = docs
                .into_par_iter()
                .with_max_len(1)
                .map_init(Context::default, |context, doc| text(loaded, doc, context, tokens))
                .collect();
            for text in texts.into_iter().flatten() {
                for line in text.as_bytes().split(|&byte| byte == b'\n') {
                    let mut tokens = train::split(line).peekable();
                    if tokens.peek().is_some() {
                        trainer.add_sentence(tokens)?;
                    }
                }
            }
            if ended {
                break;
            }
        }
    }
    Ok(bad)
}

/// The text that a document has after all stages, in tokens, if it is kept.
fn text(loaded: &Loaded, mut doc: Document, context: &mut Context, tokens: &LmTokens) -> Option<String> {
    context.features.reset();
    for (plan, (_, built)) in loaded.plan.stages.iter().zip(&loaded.stages) {
        let Built::Doc(stage) = built else { continue };
        context.stage.clone_from(&plan.id);
        match stage.process(&mut doc, context) {
            Outcome::Keep => {}
            Outcome::Changed => context.features.reset(),
            Outcome::Drop(_) if plan.filter.is_some_and(|filter| filter.mode == config::Mode::Annotate) => {}
            Outcome::Drop(_) => return None,
        }
    }
    if tokens.is_plain() {
        return Some(doc.text);
    }
    let (mut all, mut line) = (String::with_capacity(doc.text.len() * 3 / 2), String::new());
    for text in doc.text.split('\n') {
        tokens.line(text, &mut line);
        all.push_str(&line);
        all.push('\n');
    }
    Some(all)
}

fn show(summary: &Summary, bad: u64, format: LogFormat) -> Result<()> {
    if format == LogFormat::Json {
        let event = serde_json::json!({ "event": "done", "bad_records": bad, "model": summary });
        return print(&format!("{event}\n"));
    }
    let mut text = format!(
        "{} sentences, {} tokens, {} words\n\norder      n-grams         kept      D1      D2     D3+\n",
        summary.sentences, summary.tokens, summary.words
    );
    for (place, (counts, discounts)) in summary.counts.iter().zip(&summary.discounts).enumerate() {
        let [one, two, three] = discounts.d;
        let note = if discounts.fallback { "  (fallback)" } else { "" };
        let (order, all, kept) = (place + 1, counts.all, counts.kept);
        put(
            &mut text,
            format_args!("{order:>5} {all:>12} {kept:>12} {one:>7.4} {two:>7.4} {three:>7.4}{note}\n"),
        );
    }
    if summary.skipped > 0 {
        put(
            &mut text,
            format_args!("\nskipped {} tokens called `<s>`, `</s>` or `<unk>`\n", summary.skipped),
        );
    }
    if bad > 0 {
        put(&mut text, format_args!("\n{bad} records could not be read; exit code 3\n"));
    }
    print(&text)
}
