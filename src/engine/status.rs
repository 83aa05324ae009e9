//! How far a run is, read from its directory alone: what is done, what failed, how fast it goes.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::layout::{RunDir, read_record};
use super::runner::{Failure, Running};
use crate::error::Result;
use crate::io;
use crate::stage::Pass;

/// One pass.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PassStatus {
    /// Its name.
    pub name: String,
    /// Its tasks; none where that is known only once earlier passes are done, or what they are counted from is damaged.
    pub tasks: Option<u32>,
    /// Tasks that are done.
    pub done: u32,
    /// Tasks that failed when they were tried last.
    pub failed: Vec<FailedTask>,
    /// Tasks that a worker of `tamis task` has begun and not ended. One whose machine is gone counts until it is done elsewhere.
    pub running: Vec<RunningTask>,
    /// Tasks per second between the first that was done and the last.
    pub tasks_per_sec: Option<f64>,
    /// Seconds since the last task was done.
    pub idle_secs: Option<f64>,
}

/// A task that a worker has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunningTask {
    /// Its number.
    pub task: u32,
    /// The worker's machine.
    pub machine: String,
    /// Number of the worker's process there.
    pub process: u32,
}

/// A task that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedTask {
    /// Its number.
    pub task: u32,
    /// What it said.
    pub message: String,
}

impl PassStatus {
    /// Reads what the directory says of a pass. `is_next`: all passes before it are done, so that its tasks can be counted.
    ///
    /// # Errors
    /// Where records cannot be read.
    pub fn read(pass: &dyn Pass, run: &RunDir, is_next: bool, now: SystemTime) -> Result<Self> {
        let (done, failed) = (run.done(pass.name(), 0), run.failed(pass.name(), 0));
        let times = done.parent().map_or(Ok(Vec::new()), |folder| io::list_times(folder, ".json"))?;
        let is_done = run.done_tasks(pass.name())?;
        let number =
            |path: &Path| path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).unwrap_or(u32::MAX);
        let mut failures = Vec::new();
        for path in failed.parent().map_or(Ok(Vec::new()), |folder| io::list(folder, ".json"))? {
            let task = number(&path);
            // One that another machine did meanwhile has not failed.
            if !is_done.contains(&task) {
                let Failure { message } = read_record(path)?;
                failures.push(FailedTask { task, message });
            }
        }
        let mut begun = Vec::new();
        for path in
            run.running(pass.name(), 0).parent().map_or(Ok(Vec::new()), |folder| io::list(folder, ".json"))?
        {
            let task = number(&path);
            // It may have come to its end since the folder was listed.
            if !is_done.contains(&task)
                && io::exists(&path)?
                && let Ok(Running { machine, process }) = read_record(path)
            {
                begun.push(RunningTask { task, machine, process });
            }
        }
        let (first, last) = (times.iter().min(), times.iter().max());
        let between = first.zip(last).and_then(|(first, last)| last.duration_since(*first).ok());
        let steps = times.len().saturating_sub(1) as f64;
        let rate = between.filter(|time| *time > Duration::ZERO).map(|time| steps / time.as_secs_f64());
        Ok(Self {
            name: pass.name().to_owned(),
            tasks: if is_next { pass.tasks().ok() } else { None },
            done: u32::try_from(times.len()).unwrap_or(u32::MAX),
            failed: failures,
            running: begun,
            tasks_per_sec: rate,
            idle_secs: last.map(|last| now.duration_since(*last).unwrap_or_default().as_secs_f64()),
        })
    }

    /// Whether every task is done.
    pub fn is_done(&self) -> bool {
        self.tasks.is_some_and(|tasks| self.done >= tasks)
    }

    /// Seconds until the last task is done, at the rate so far.
    pub fn left_secs(&self) -> Option<f64> {
        let left = self.tasks?.checked_sub(self.done)?;
        Some(f64::from(left) / self.tasks_per_sec?)
    }
}
