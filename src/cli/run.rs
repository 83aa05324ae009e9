//! `run` and `task`: do the work.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::console::Console;
use super::metrics::MetricsArgs;
use super::show::{print, put};
use super::{LogFormat, PipelineArgs};
use crate::engine::{Options, RunDir};
use crate::error::{Error, Result};
use crate::io;
use crate::job::Job;
use crate::pipeline::{self, Plan, config::parse_memory};
use crate::report::RunSummary;
use crate::stage::TaskEnv;

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Folder for everything that the run writes; default `run_dir:` of the pipeline, else `runs/<name>`.
    #[arg(long)]
    run_dir: Option<PathBuf>,
    #[command(flatten)]
    machine: MachineArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct TaskArgs {
    /// Run directory of a run that `tamis run` or `tamis task` planned.
    run: PathBuf,
    /// Name of the pass.
    #[arg(long)]
    pass: String,
    /// Number of the task, from 0.
    #[arg(long, required_unless_present = "share")]
    task: Option<u32>,
    /// Instead of one task a share of them: of `I/N`, with `I` from 0, every task whose number leaves `I` when divided by `N`.
    #[arg(long, value_name = "I/N", conflicts_with = "task", value_parser = parse_share)]
    share: Option<Share>,
    #[command(flatten)]
    machine: MachineArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct FinishArgs {
    /// Run directory of a run whose tasks were done by `tamis task`.
    run: PathBuf,
}

/// A worker's part of a pass.
#[derive(Debug, Clone, Copy)]
struct Share {
    number: u32,
    of: u32,
}

fn parse_share(text: &str) -> std::result::Result<Share, String> {
    let wrong = || format!("`{text}` must be like `3/16`, the first from 0 and less than the second");
    let (number, of) = text.split_once('/').ok_or_else(wrong)?;
    let share = Share { number: number.parse().map_err(|_| wrong())?, of: of.parse().map_err(|_| wrong())? };
    if share.number < share.of { Ok(share) } else { Err(wrong()) }
}

#[derive(Debug, clap::Args)]
struct MachineArgs {
    /// Threads; default `threads:` of the pipeline, else all cores. Changes nothing in the output.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    threads: Option<u32>,
    /// Memory to plan with, such as `2GiB`; default `memory:` of the pipeline, else half of what there is.
    #[arg(long)]
    memory: Option<String>,
    /// Most requests a second to any one object store or web server, by this process; default no limit.
    #[arg(long, value_name = "N", env = "TAMIS_MAX_REQUESTS_PER_SEC")]
    max_requests_per_sec: Option<f64>,
    #[command(flatten)]
    metrics: MetricsArgs,
}

impl MachineArgs {
    fn options(&self, threads: Option<u32>, memory_bytes: Option<u64>) -> Result<Options> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = self.threads.or(threads).map_or(cores, |threads| threads as usize);
        let memory_bytes = match &self.memory {
            Some(text) => {
                parse_memory(text).map_err(|message| Error::User(format!("--memory: {message}")))?
            }
            None => memory_bytes.unwrap_or_else(io::machine::default_memory_bytes),
        };
        if let Some(rate) = self.max_requests_per_sec {
            if !(rate.is_finite() && rate > 0.0) {
                return Err(Error::User(format!("--max-requests-per-sec: `{rate}` must be more than 0")));
            }
            io::store::limit_requests(rate);
        }
        Ok(Options { threads, memory_bytes, cancel: catch_signals()? })
    }
}

/// A flag that Ctrl-C and SIGTERM set. A second Ctrl-C ends the process at once.
pub(super) fn catch_signals() -> Result<Arc<AtomicBool>> {
    let cancel = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 75, Arc::clone(&cancel))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&cancel)))
            .map_err(|error| Error::Failed(format!("cannot listen for signals: {error}")))?;
    }
    io::store::cancel_with(Arc::clone(&cancel));
    Ok(cancel)
}

pub(super) fn run(args: &RunArgs, format: LogFormat) -> Result<u8> {
    let metrics = args.machine.metrics.listen(format)?;
    let loaded = pipeline::load(&args.pipeline.pipeline.to_string_lossy(), &args.pipeline.set)?;
    let options = args.machine.options(loaded.config.threads, loaded.memory_bytes)?;
    let run_dir = args
        .run_dir
        .clone()
        .or_else(|| loaded.config.run_dir.as_ref().map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("runs").join(&loaded.plan.name));
    let run = RunDir::new(&run_dir);
    let bytes = loaded.plan.input_bytes();
    let has_tokens = loaded.plan.tokenizer.is_some();
    metrics.describe(&loaded.plan.name, &options);
    let job = Job::new(loaded.plan, loaded.readers, loaded.stages, run.clone(), options.threads)?;
    let console = Console::new(format, bytes);
    let was_finished = job.is_finished()?;
    let summary = metrics
        .around(&console, |listener| job.execute(&options, listener))
        .inspect_err(|_| console.close())?;
    console.close();
    tell(&summary, &run, has_tokens, was_finished, format)
}

/// What came out of a run that is finished, and its exit code.
fn tell(
    summary: &RunSummary,
    run: &RunDir,
    has_tokens: bool,
    was_finished: bool,
    format: LogFormat,
) -> Result<u8> {
    let bad: u64 = summary.quarantine.values().sum();
    if format == LogFormat::Json {
        let event = serde_json::json!({ "event": "done", "run_dir": run.root(), "quarantined": bad, "counts": summary.total.counts });
        print(&format!("{event}\n"))?;
    } else {
        let mut text = crate::report::table(summary);
        put(
            &mut text,
            format_args!(
                "\nreport   {}\ncorpus   {}\n",
                run.path("report.html").display(),
                run.path("corpus").display()
            ),
        );
        if has_tokens {
            put(&mut text, format_args!("tokens   {}\n", run.path("tokens").display()));
        }
        if bad > 0 {
            put(
                &mut text,
                format_args!(
                    "bad      {} ({bad} quarantined; exit code 3)\n",
                    run.path("quarantine.jsonl").display()
                ),
            );
        }
        if was_finished {
            text.push_str("\nthis run was finished before; nothing was done\n");
        }
        let kept = summary.total.stages.last().map_or(0, |stats| stats.docs_out);
        if kept == 0 {
            text.push_str("\nwarning: not one document was kept\n");
        }
        print(&text)?;
    }
    Ok(if bad > 0 { 3 } else { 0 })
}

/// The plan of a run directory.
pub(super) fn plan_of(run: &RunDir) -> Result<Plan> {
    let path = run.path("plan.json");
    if !io::exists(&path)? {
        return Err(Error::User(format!(
            "`{}` is no run directory: it has no plan.json",
            run.root().display()
        )));
    }
    Plan::read(&path)
}

/// A run as it stands in its directory.
pub(super) fn open(run: &RunDir, threads: usize) -> Result<Job> {
    let plan = plan_of(run)?;
    let (readers, stages) = pipeline::instantiate(&plan)?;
    Job::new(plan, readers, stages, run.clone(), threads)
}

pub(super) fn finish(args: &FinishArgs, format: LogFormat) -> Result<u8> {
    let run = RunDir::new(&args.run);
    let job = open(&run, 1)?;
    let was_finished = job.is_finished()?;
    let summary = job.finish_tasks()?;
    tell(&summary, &run, summary.tokens.is_some(), was_finished, format)
}

pub(super) fn task(args: &TaskArgs, format: LogFormat) -> Result<u8> {
    let metrics = args.machine.metrics.listen(format)?;
    let run = RunDir::new(&args.run);
    let options = args.machine.options(None, None)?;
    metrics.describe(&plan_of(&run)?.name, &options);
    let job = open(&run, options.threads)?;
    let console = Console::worker(format);
    let share = args.share.map(|share| (share.number, share.of));
    let result = metrics.around(&console, |listener| {
        let progress = listener.progress();
        let env = TaskEnv { memory_bytes: options.memory_bytes, cancel: options.cancel, progress };
        match (args.task, share) {
            (Some(task), _) => job.execute_task(&args.pass, task, &env, listener),
            (None, share) => job.execute_share(&args.pass, share.unwrap_or((0, 1)), &env, listener),
        }
    });
    console.close();
    result.map(|()| 0)
}
