//! `tamis lm`: n-gram language models.

mod fixed;
mod score;
mod train;

use super::LogFormat;
use crate::error::Result;

/// Train n-gram language models, score text with them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Train a model: interpolated modified Kneser-Ney, as KenLM's lmplz.
    Train(Box<train::Args>),
    /// Score the lines of standard input: log10 probability, tokens, unknown words, perplexity.
    Score(score::Args),
}

pub(super) fn run(args: &Args, format: LogFormat) -> Result<u8> {
    match &args.command {
        Command::Train(args) => train::run(args, format),
        Command::Score(args) => score::run(args),
    }
}
