//! `tamis lm`: n-gram language models.

mod train;

use super::LogFormat;
use crate::error::Result;

/// Train n-gram language models.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Train a model: interpolated modified Kneser-Ney, as KenLM's lmplz.
    Train(train::Args),
}

pub(super) fn run(args: &Args, format: LogFormat) -> Result<u8> {
    match &args.command {
        Command::Train(args) => train::run(args, format),
    }
}
