//! `tamis lm score --model M < lines`: what a model gives to every line.
//!
//! Per line, tab-separated: log10 probability (6 decimals), tokens, unknown words, perplexity (4 decimals).
//! Words are what ASCII white space separates (space, tab, carriage return, form feed, vertical tab), bytes as
//! they are; `<s>` stands before the first one, and `</s>` is scored behind the last one. So tokens are the words and
//! one, and perplexity is 10 to the power of minus the log10 probability over the tokens, as in KenLM. An empty line
//! is the one token `</s>`. All lines together go to standard error.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::models::ngram::{Model, Scorer, SentenceScore};

/// Options of `tamis lm score`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The model: ARPA text (also gzip or zstd) or a KenLM binary (probing or trie).
    #[arg(long)]
    model: PathBuf,
    /// Score the words alone, without `<s>` and `</s>`.
    #[arg(long)]
    no_sentence: bool,
}

/// Bytes of input that are scored together.
const BLOCK_BYTES: usize = 1 << 20;

pub(super) fn run(args: &Args) -> Result<u8> {
    let model = Model::open(&args.model)?;
    let total = score(&model, !args.no_sentence, std::io::stdin().lock(), std::io::stdout().lock())?;
    print_total(&total);
    Ok(0)
}

/// Scores of all lines to `output`; returns their sum.
fn score(
    model: &Model,
    sentence: bool,
    mut input: impl BufRead,
    mut output: impl Write,
) -> Result<SentenceScore> {
    let mut scorer = Scorer::new(model);
    let mut total = SentenceScore::default();
    let mut line = Vec::new();
    let mut table = Vec::new();
    let mut waiting = 0;
    loop {
        line.clear();
        let read = input.read_until(b'\n', &mut line).map_err(Error::io("read", "standard input"))?;
        if read > 0 {
            scorer.sentence(words(&line), sentence, sentence);
            waiting += read;
        }
        if waiting < BLOCK_BYTES && read > 0 {
            continue;
        }
        waiting = 0;
        table.clear();
        for score in scorer.finish() {
            total.merge(&score);
            let SentenceScore { log10_prob, tokens, oovs } = score;
            // A Vec takes everything.
            drop(writeln!(table, "{log10_prob:.6}\t{tokens}\t{oovs}\t{:.4}", score.perplexity()));
        }
        match output.write_all(&table).and_then(|()| output.flush()) {
            // Whoever read the output has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(total),
            written => written.map_err(Error::io("write", "standard output"))?,
        }
        if read == 0 {
            return Ok(total);
        }
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).filter(|word| !word.is_empty())
}

#[expect(clippy::print_stderr, reason = "the command line prints")]
fn print_total(total: &SentenceScore) {
    let SentenceScore { log10_prob, tokens, oovs } = total;
    eprintln!(
        "total: log10 probability {log10_prob:.6}, {tokens} tokens, {oovs} unknown, perplexity {:.4}",
        total.perplexity()
    );
}
