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

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lines: &str, sentence: bool) -> (Vec<String>, SentenceScore) {
        let model = Model::open("fixtures/models/ngram/odd.arpa").unwrap();
        let mut output = Vec::new();
        let total = score(&model, sentence, lines.as_bytes(), &mut output).unwrap();
        (String::from_utf8(output).unwrap().lines().map(str::to_owned).collect(), total)
    }

    #[test]
    fn one_row_per_line() {
        let (rows, total) = table("a b c\n\n  z\tz\r\ny", true);
        // <s> a, <s> a b, <s> a b c, </s> with the backoffs of <s> a b c, a b c and c; </s> behind <s>; z, z z, </s>; ...
        assert_eq!(rows[0], "-3.087500\t4\t0\t5.9139");
        assert_eq!(rows[1], "-1.750000\t1\t0\t56.2341");
        assert_eq!(rows[2], "-12.500000\t3\t0\t14677.9927");
        assert!(rows[3].starts_with("-101.750000\t2\t1\t7498"), "{}", rows[3]);
        assert_eq!((rows.len(), total.tokens, total.oovs), (4, 10, 1));
        assert!((total.log10_prob - -119.0875).abs() < 1e-5);
    }

    #[test]
    fn words_alone() {
        let (rows, _) = table("a b\n\n", false);
        assert_eq!(rows, ["-1.375000\t2\t0\t4.8697", "0.000000\t0\t0\t1.0000"]);
        assert_eq!(table("", false).0, Vec::<String>::new());
    }

    #[test]
    fn long_input_is_scored_in_blocks() {
        let line = "a b c d жук a ".repeat(40) + "\n";
        let (rows, total) = table(&line.repeat(2 * BLOCK_BYTES / line.len() + 1), true);
        assert!(rows.len() * line.len() > 2 * BLOCK_BYTES);
        assert!(rows.iter().all(|row| *row == rows[0]));
        assert_eq!(total.tokens, rows.len() as u64 * 241);
    }
}
