//! `status`: how far a run is, from its directory alone.

use std::path::PathBuf;
use std::time::SystemTime;

use super::LogFormat;
use super::show::{clean, print, put};
use crate::engine::RunDir;
use crate::engine::status::PassStatus;
use crate::error::Result;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run directory of a run that `tamis run` or `tamis task` planned.
    run: PathBuf,
}

pub(super) fn run(args: &Args, format: LogFormat) -> Result<u8> {
    let run = RunDir::new(&args.run);
    let job = super::run::open(&run, 1)?;
    let is_finished = job.is_finished()?;
    let passes = job.status(SystemTime::now())?;
    print(&match format {
        LogFormat::Json => {
            format!("{}\n", serde_json::json!({ "finished": is_finished, "passes": passes }))
        }
        LogFormat::Text => told(&passes, is_finished),
    })?;
    Ok(0)
}

fn told(passes: &[PassStatus], is_finished: bool) -> String {
    let width = passes.iter().map(|pass| pass.name.len()).max().unwrap_or(0).max(4);
    let mut text =
        format!("{:<width$}  {:>7}  {:>7}  {:>7}  {:>7}\n", "pass", "tasks", "done", "running", "failed");
    let mut failures = String::new();
    for pass in passes {
        let tasks = pass.tasks.map_or_else(|| "?".to_owned(), |tasks| tasks.to_string());
        put(
            &mut text,
            format_args!(
                "{:<width$}  {tasks:>7}  {:>7}  {:>7}  {:>7}",
                pass.name,
                pass.done,
                pass.running.len(),
                pass.failed.len()
            ),
        );
        if !pass.is_done()
            && let (Some(rate), Some(left), Some(idle)) =
                (pass.tasks_per_sec, pass.left_secs(), pass.idle_secs)
        {
            let per_minute = rate * 60.0;
            put(
                &mut text,
                format_args!(
                    "  {per_minute:.1} tasks a minute, {left:.0} s left; the last was done {idle:.0} s ago"
                ),
            );
        }
        text.push('\n');
        for task in &pass.failed {
            let message = clean(&task.message);
            put(&mut failures, format_args!("task {} of {} failed: {message}\n", task.task, pass.name));
        }
    }
    if is_finished {
        text.push_str("\nthe run is finished\n");
    } else if !failures.is_empty() {
        text.push('\n');
        text.push_str(&failures);
    }
    text
}
