//! Benchmarks: each checks its answers before it is timed, and reports bytes and documents per CPU second.
//!
//! `cargo bench -- NAME [ARGS]` runs one, `cargo bench` names them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark reports")]

mod boilerplate;
mod data;
mod decontaminate;
mod dedup;
mod extraction;
mod extremes;
mod filters;
mod gpu;
mod job;
mod keywords;
mod language;
mod language_levels;
mod ngram;
mod pii;
mod tokens;
mod train;

/// Name, what is measured, how to run it.
const BENCHMARKS: &[(&str, &str, fn())] = &[
    ("boilerplate", "what the rules take out of real pages, text per CPU second", boilerplate::run),
    ("decontaminate", "evaluation sets looked for in pages, text per CPU second", decontaminate::run),
    ("dedup", "signatures, whole jobs of every dedup stage", dedup::run),
    ("extraction", "main text: score on the shared sets, HTML per CPU second", extraction::run),
    ("extremes", "every filter on one line of 50 MB, ten million line feeds: linear time", extremes::run),
    ("filters", "the statistical filters, alone and chained", filters::run),
    ("job", "WARC to token shards, HTML per CPU second, peak memory", job::run),
    ("fasttext-predict", "what a fastText model says to every line of a file", language::run),
    ("gpu", "the trainer on a GPU: tokens per second, each kernel beside its floor", gpu::run),
    ("keywords", "speed and occurrences for given lists and pages", keywords::run),
    ("language", "language identification, keyword and address lists", language::run),
    ("url-reasons", "what `url` says to every address of a file", language::run),
    ("language", "language identification", language::run),
    ("ngram", "n-gram models: tokens scored per CPU second", ngram::run),
    ("pii", "personal data: score on the shared sets, text per CPU second", pii::run),
    ("tokens", "tokenizer training and encoding", tokens::run),
    ("train", "twenty steps of a small model on the CPU, tokens per CPU second", train::run),
];

fn main() {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    if let Some((.., run)) = BENCHMARKS.iter().find(|(name, ..)| Some(*name) == wanted.as_deref()) {
        return run();
    }
    if let Some(name) = wanted {
        println!("there is no benchmark `{name}`");
    }
    for (name, what, _) in BENCHMARKS {
        println!("{name:<16} {what}");
    }
}
