//! The command line: one file per command. The only room that prints.

mod calibrate;
mod classifier;
mod console;
mod describe;
pub mod dups;
pub mod explain;
pub mod filter;
pub mod inspect;
mod launch;
mod lm;
mod metrics;
pub mod records;
mod run;
mod show;
mod status;
pub mod tokens;
mod train;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::error::Error;

/// Turns web crawls into training-ready token shards, and shows what every step did to the text.
#[derive(Debug, Parser)]
#[command(name = "tamis", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How progress and errors are written to standard error.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// How progress is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people: bars on a terminal, else plain lines.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a pipeline, or go on with a run that was stopped.
    Run(run::RunArgs),
    /// Run one task of a planned run, as a cluster's machines do.
    Task(run::TaskArgs),
    /// Put the end to a run whose tasks are all done: report, clean-up.
    Finish(run::FinishArgs),
    /// Hand the tasks of a run to a cluster's engine.
    Launch(launch::Args),
    /// Show how far a run is: passes, tasks done and failed, time left.
    Status(status::Args),
    /// Check a pipeline without reading its data.
    Validate(describe::ValidateArgs),
    /// Show the passes and tasks of a pipeline, with all options filled in.
    Plan(describe::PlanArgs),
    /// Print the reference of all readers and stages, or of one.
    Stages(describe::StagesArgs),
    /// Print the JSON Schema of pipeline files, or of training files.
    Schema(describe::SchemaArgs),
    /// Show what happened to a page.
    Explain(explain::Args),
    /// List the largest clusters of copies that a run removed.
    Dups(dups::Args),
    /// Show pages on both sides of a stage's limits, nearest first.
    Inspect(inspect::Args),
    /// Decide again with other limits, from a finished run's stored scores.
    Filter(filter::Args),
    /// Write report.html anew from report.json.
    Report(describe::ReportArgs),
    /// List what a reader finds in files.
    Records(records::Args),
    /// Propose options per language from a reference corpus.
    Calibrate(calibrate::Args),
    /// Train a classifier that tells good text from bad.
    Classifier(classifier::Args),
    /// Check token shards.
    Tokens(tokens::Args),
    /// Train n-gram language models, score text with them.
    Lm(lm::Args),
    /// Train a small language model on token shards, or go on with a training that was stopped.
    Train(train::TrainArgs),
    /// Train the same model on several corpora and compare them.
    Ablate(train::AblateArgs),
    /// Judge a trained model by texts and questions.
    Evaluate(train::EvaluateArgs),
    /// Let a trained model write.
    Generate(train::GenerateArgs),
}

/// A pipeline and what the command line changes in it.
#[derive(Debug, clap::Args)]
struct PipelineArgs {
    /// The pipeline file.
    pipeline: PathBuf,
    /// Change an option: `stages.gopher_quality.min_words=30`. May be given several times.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
}

/// Runs the command line and returns the exit code.
#[must_use]
pub fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            if error.use_stderr() && wants_json() {
                report(&Error::User(error.to_string()), LogFormat::Json);
            } else {
                drop(error.print());
            }
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let format = cli.log_format;
    crate::io::store::when_waiting(move |text| note("waiting", text, format));
    let result = match &cli.command {
        Command::Run(args) => run::run(args, cli.log_format),
        Command::Task(args) => run::task(args, cli.log_format),
        Command::Finish(args) => run::finish(args, cli.log_format),
        Command::Launch(args) => launch::run(args, cli.log_format),
        Command::Status(args) => status::run(args, cli.log_format),
        Command::Validate(args) => describe::validate(args),
        Command::Plan(args) => describe::plan(args),
        Command::Stages(args) => describe::stages(args),
        Command::Schema(args) => describe::schema(args),
        Command::Explain(args) => explain::run(args),
        Command::Dups(args) => dups::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Filter(args) => filter::run(args),
        Command::Report(args) => describe::report(args),
        Command::Records(args) => records::run(args),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Classifier(args) => classifier::run(args, cli.log_format),
        Command::Tokens(args) => tokens::run(args),
        Command::Lm(args) => lm::run(args, cli.log_format),
        Command::Train(args) => train::train(args, cli.log_format),
        Command::Ablate(args) => train::ablate(args, cli.log_format),
        Command::Evaluate(args) => train::evaluate(args, cli.log_format),
        Command::Generate(args) => train::generate(args),
    };
    crate::io::scratch::clean_up();
    match result {
        Ok(code) => code,
        Err(error) => {
            report(&error, cli.log_format);
            error.exit_code()
        }
    }
}

/// Whether JSON was asked for, where the command line as a whole could not be read.
fn wants_json() -> bool {
    let args: Vec<_> = std::env::args_os().collect();
    let pair = args.windows(2).any(|pair| pair[0] == "--log-format" && pair[1] == "json");
    pair || args.iter().any(|arg| arg == "--log-format=json")
}

/// Something to know while the work goes on.
#[expect(clippy::print_stderr, reason = "the command line prints")]
fn note(event: &str, text: &str, format: LogFormat) {
    match format {
        LogFormat::Json => eprintln!("{}", serde_json::json!({ "event": event, "message": text })),
        LogFormat::Text => eprintln!("{text}"),
    }
}

#[expect(clippy::print_stderr, reason = "the command line prints")]
fn report(error: &Error, format: LogFormat) {
    let text = error.to_string();
    match format {
        LogFormat::Json => {
            eprintln!(
                "{}",
                serde_json::json!({ "event": "error", "exit_code": error.exit_code(), "message": text })
            );
        }
        LogFormat::Text if text.starts_with("error:") => eprintln!("{text}"),
        LogFormat::Text => eprintln!("error: {text}"),
    }
}
