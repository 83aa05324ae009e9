//! Runs the tasks of a pass on local threads, each exactly once over any number of restarts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cpu_time::ProcessTime;
use serde::{Deserialize, Serialize};

use super::layout::RunDir;
use crate::error::{Error, Result};
use crate::io;
use crate::stage::{Pass, Progress, TaskEnv, TaskReport};

/// Memory that any task takes, whatever it is told to plan with: windows, row groups, buffers. With less than
/// this for each thread, fewer tasks run at once (inside a segment all threads work all the same).
const TASK_BYTES: u64 = 32 << 20;

/// What a run may use.
#[derive(Clone)]
pub struct Options {
    /// Tasks at once.
    pub threads: usize,
    /// Memory to plan with, all tasks together.
    pub memory_bytes: u64,
    /// Set by a signal.
    pub cancel: Arc<AtomicBool>,
}

/// Hears what a run does.
pub trait Listener: Send + Sync {
    /// A pass begins: its name, its number from 1, how many there are, its tasks and how many are done.
    fn pass_started(&self, name: &str, number: usize, of: usize, tasks: u32, done: u32);
    /// One more task is done.
    fn task_finished(&self, name: &str, task: u32);
    /// A task failed; one that a signal stopped has not.
    fn task_failed(&self, _name: &str, _task: u32, _error: &Error) {}
    /// A pass is complete.
    fn pass_finished(&self, name: &str);
    /// Where tasks report bytes and documents.
    fn progress(&self) -> Arc<dyn Progress>;
}

/// Runs what is left of a pass and returns the reports of all its tasks, in task order.
///
/// # Errors
/// The first error of a task; [`Error::Interrupted`] after a signal. Finished tasks stay finished.
pub fn run_pass(
    pass: &dyn Pass,
    place: (usize, usize),
    run: &RunDir,
    options: &Options,
    listener: &dyn Listener,
) -> Result<Vec<TaskReport>> {
    let tasks = pass.tasks()?;
    let done = run.done_tasks(pass.name())?;
    let pending: Vec<u32> = (0..tasks).filter(|task| !done.contains(task)).collect();
    let finished = tasks - u32::try_from(pending.len()).unwrap_or(tasks);
    listener.pass_started(pass.name(), place.0, place.1, tasks, finished);
    let affordable = usize::try_from(options.memory_bytes / TASK_BYTES).unwrap_or(usize::MAX);
    let workers = options.threads.min(pending.len()).min(affordable).max(1);
    let env = TaskEnv {
        memory_bytes: options.memory_bytes / workers as u64,
        cancel: Arc::clone(&options.cancel),
        progress: listener.progress(),
    };
    let next = AtomicUsize::new(0);
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    let started = ProcessTime::now();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(&task) = pending.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let guarded = AssertUnwindSafe(|| run_task(pass, task, run, &env));
                    let panicked = |_| {
                        let name = pass.name();
                        Err(Error::Failed(format!(
                            "task {task} of pass `{name}` panicked: this is a bug in tamis"
                        )))
                    };
                    match catch_unwind(guarded).unwrap_or_else(panicked) {
                        Ok(()) => listener.task_finished(pass.name(), task),
                        Err(error) => {
                            if !matches!(error, Error::Interrupted) {
                                listener.task_failed(pass.name(), task, &error);
                            }
                            next.store(pending.len(), Ordering::Relaxed);
                            // The others stop at their next window rather than after hours of work.
                            options.cancel.store(true, Ordering::Relaxed);
                            if let Ok(mut failure) = failure.lock() {
                                failure.get_or_insert(error);
                            }
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = failure.into_inner().unwrap_or(None) {
        return Err(error);
    }
    if !pending.is_empty() {
        let path = run.work("done").join(format!("{}.cpu", pass.name()));
        let before: f64 = if io::exists(&path)? { io::read_json(&path)? } else { 0.0 };
        io::write_json(&path, &(before + started.elapsed().as_secs_f64()))?;
    }
    listener.pass_finished(pass.name());
    run.done_reports(pass.name())
}

/// Runs one task, unless it is done already, and writes its done record.
///
/// # Errors
/// What the task returns.
pub fn run_task(pass: &dyn Pass, task: u32, run: &RunDir, env: &TaskEnv) -> Result<()> {
    let done = run.done(pass.name(), task);
    if io::exists(&done)? {
        return Ok(());
    }
    env.check_cancel()?;
    let failed = run.failed(pass.name(), task);
    match pass.run(task, env) {
        Ok(report) => {
            if io::exists(&failed)? {
                io::remove_files(&[failed])?;
            }
            io::write_json_once(done, &report)
        }
        // Somebody else was faster, and what a finished task needs no more may be gone.
        Err(_) if io::exists(&done).unwrap_or(false) => Ok(()),
        Err(error) => {
            // An interrupted task has not failed. Where the record cannot be written either, the error itself says more; a store
            // that has not answered for minutes is not asked to keep it.
            if error.exit_code() != 75 {
                drop(io::write_json(failed, &Failure { message: error.to_string() }));
            }
            Err(error)
        }
    }
}

/// As [`run_task`], with a record that somebody works on it for as long as that is so: for workers that others watch from afar.
///
/// # Errors
/// What the task returns.
pub fn run_watched_task(pass: &dyn Pass, task: u32, run: &RunDir, env: &TaskEnv) -> Result<()> {
    if io::exists(run.done(pass.name(), task))? {
        return Ok(());
    }
    let running = run.running(pass.name(), task);
    io::write_json(&running, &Running { machine: io::machine::name(), process: std::process::id() })?;
    let result = run_task(pass, task, run, env);
    let removed = io::remove_files(&[running]);
    result.and(removed)
}

/// Who works on a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Name of the machine, or of its container.
    pub machine: String,
    /// Number of the process there.
    pub process: u32,
}

/// Why a task failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What it said.
    pub message: String,
}
