//! `tamis tokens`: check a set of token shards, or rewrite it for other trainers.

use std::path::PathBuf;

use crate::error::Result;
use crate::tokens;

/// Check or convert token shards.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check sizes, checksums, indexes and ids of a set of shards, and decode some documents.
    Verify {
        /// Folder with `manifest.json` (`RUN/tokens`).
        dir: PathBuf,
        /// Documents to decode and print, evenly spaced over the set.
        #[arg(long, default_value_t = 3)]
        samples: usize,
    },
    /// Write the shards in another format.
    Export {
        /// Folder with `manifest.json` (`RUN/tokens`).
        dir: PathBuf,
        /// Folder to write to.
        target: PathBuf,
        /// What to write.
        #[arg(long, value_enum)]
        format: Format,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// llm.c and modded-nanogpt: `.bin` with a header of 1,024 bytes, 2-byte tokens.
    Llmc,
}

/// Runs the command; exit code 0, or 1 where `verify` found a problem.
///
/// # Errors
/// Where files cannot be read or written.
#[expect(clippy::print_stdout, reason = "the command line prints")]
pub fn run(args: &Args) -> Result<u8> {
    match &args.command {
        Command::Verify { dir, samples } => {
            let report = tokens::verify(dir, *samples)?;
            println!("{report}");
            Ok(u8::from(report.problem_count > 0))
        }
        Command::Export { dir, target, format: Format::Llmc } => {
            for path in tokens::export::llmc(dir, target)? {
                println!("{}", path.display());
            }
            Ok(0)
        }
    }
}
