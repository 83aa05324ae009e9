//! `tamis lm`: n-gram language models.

mod score;

use crate::error::Result;

/// Score lines with an n-gram language model.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Score the lines of standard input: log10 probability, tokens, unknown words, perplexity.
    Score(score::Args),
}

/// Runs the command.
///
/// # Errors
/// Where the model or the input cannot be read.
pub fn run(args: &Args) -> Result<u8> {
    match &args.command {
        Command::Score(args) => score::run(args),
    }
}
