//! `tamis lm score --model M < lines`: what a model gives to every line.
//!
//! Per line, tab-separated: log10 probability (6 decimals), tokens, unknown words, perplexity (4 decimals).
//! Words are what white space of ASCII or NUL separates, bytes as they are, unless `--tokens`, `--normalize` or the note
//! beside the model say otherwise; `<s>` stands before the first one, and `</s>` is scored behind the last one. So tokens are the words and
//! one, and perplexity is 10 to the power of minus the log10 probability over the tokens, as in KenLM. An empty line
//! is the one token `</s>`. All lines together go to standard error.

use std::io::{Read, Write};
use std::path::PathBuf;

use super::fixed;
use crate::error::{Error, Result};
use crate::models::ngram::tokens::{LmTokens, Normalize, Note, Tokens};
use crate::models::ngram::{Model, Scorer, SentenceScore, train};

/// Options of `tamis lm score`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The model: ARPA text (also gzip or zstd) or a KenLM binary (probing or trie).
    #[arg(long)]
    model: PathBuf,
    /// What a token is: `space` (between white space), `words`, `characters`, `sentencepiece:FILE.model` or
    /// `tokenizer:FILE.json`. Default: what `MODEL.tokens.json` says, else `space`.
    #[arg(long, value_name = "KIND")]
    tokens: Option<Tokens>,
    /// What is done to each line before: `none` or `ccnet`. Default: what `MODEL.tokens.json` says, else `none`.
    #[arg(long, value_name = "HOW")]
    normalize: Option<Normalize>,
    /// Score the words alone, without `<s>` and `</s>`.
    #[arg(long)]
    no_sentence: bool,
}

/// Bytes of input that are scored together.
const BLOCK_BYTES: usize = 1 << 20;

pub(super) fn run(args: &Args) -> Result<u8> {
    let tokens = tokens(args)?;
    let model = Model::open(&args.model)?;
    let how = How { model: &model, tokens: &tokens, sentence: !args.no_sentence };
    let total = score(how, std::io::stdin().lock(), std::io::stdout().lock())?;
    print_total(&total);
    Ok(0)
}

/// Tokens by the options, which must not contradict what stands beside the model.
fn tokens(args: &Args) -> Result<LmTokens> {
    let note = Note::of(&args.model)?;
    let (kind, normalize) = note.map_or_else(Default::default, |note| (note.tokens, note.normalize));
    let tokens = LmTokens::open(args.tokens.as_ref().unwrap_or(&kind), args.normalize.unwrap_or(normalize))?;
    tokens.note().check(&args.model)?;
    Ok(tokens)
}

/// With what lines are scored.
#[derive(Clone, Copy)]
struct How<'m> {
    model: &'m Model,
    tokens: &'m LmTokens,
    /// Between `<s>` and `</s>`.
    sentence: bool,
}

/// Scores of all lines to `output`; returns their sum.
fn score(how: How<'_>, mut input: impl Read, mut output: impl Write) -> Result<SentenceScore> {
    let mut scorer = Scorer::new(how.model);
    let mut total = SentenceScore::default();
    let mut table = Vec::new();
    let mut apart = String::new();
    let mut add = |line: &[u8], scorer: &mut Scorer<'_>| {
        if how.tokens.is_plain() {
            scorer.sentence(train::split(line), how.sentence, how.sentence);
        } else {
            how.tokens.line(&String::from_utf8_lossy(line), &mut apart);
            scorer.sentence(train::split(apart.as_bytes()), how.sentence, how.sentence);
        }
    };
    let mut block = vec![0; BLOCK_BYTES];
    let mut filled = 0;
    loop {
        // A line that is longer than the block makes the block longer.
        if filled == block.len() {
            block.resize(filled * 2, 0);
        }
        let before = filled;
        while filled < block.len() {
            match input.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", "standard input")(error)),
            }
        }
        let ended = filled < block.len();
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &block[before..filled]).map(|at| at + before) {
            add(&block[start..end], &mut scorer);
            start = end + 1;
        }
        if ended && start < filled {
            add(&block[start..filled], &mut scorer);
            start = filled;
        }
        block.copy_within(start..filled, 0);
        filled -= start;
        table.clear();
        for score in scorer.finish() {
            total.merge(&score);
            fixed::put(&mut table, score.log10_prob, 6);
            table.push(b'\t');
            fixed::put_whole(&mut table, score.tokens);
            table.push(b'\t');
            fixed::put_whole(&mut table, score.oovs);
            table.push(b'\t');
            fixed::put(&mut table, score.perplexity(), 4);
            table.push(b'\n');
        }
        match output.write_all(&table).and_then(|()| output.flush()) {
            // Whoever read the output has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(total),
            written => written.map_err(Error::io("write", "standard output"))?,
        }
        if ended {
            return Ok(total);
        }
    }
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
        let tokens = LmTokens::open(&Tokens::Space, Normalize::None).unwrap();
        let how = How { model: &model, tokens: &tokens, sentence };
        let mut output = Vec::new();
        let total = score(how, lines.as_bytes(), &mut output).unwrap();
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
        // One line of several blocks, at every place of a border.
        for more in 0..3 {
            let long = format!("{}a\n\nb", "a ".repeat(BLOCK_BYTES * 3 / 2 - 1 + more));
            let (rows, total) = table(&long, true);
            assert_eq!((rows.len(), total.tokens), (3, (BLOCK_BYTES * 3 / 2 + more) as u64 + 4));
        }
    }

    #[test]
    fn other_tokens_than_those_between_white_space() {
        let model = Model::open("fixtures/models/ngram/odd.arpa").unwrap();
        let tokens = LmTokens::open(&Tokens::Characters, Normalize::Ccnet).unwrap();
        let how = How { model: &model, tokens: &tokens, sentence: true };
        let mut output = Vec::new();
        score(how, "A\u{300}b C\n".as_bytes(), &mut output).unwrap();
        assert_eq!(String::from_utf8(output).unwrap().trim_end(), table("a b c", true).0[0]);
    }
}
