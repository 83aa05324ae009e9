//! How far a run is, on standard error: bars on a terminal, plain lines in a pipe, JSON lines on request.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::LogFormat;
use super::show::put;
use crate::engine::Listener;
use crate::error::Error;
use crate::job::FIRST_SEGMENT;
use crate::report::human_bytes;
use crate::stage::Progress;

/// Pause between two lines about the same pass.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Console {
    state: Arc<State>,
    input_bytes: u64,
}

struct State {
    format: LogFormat,
    /// Whether this is one of many workers on a pass, which tells of each of its tasks.
    is_worker: bool,
    bar: Option<ProgressBar>,
    bytes: AtomicU64,
    docs: AtomicU64,
    pass: Mutex<Current>,
}

struct Current {
    name: String,
    tasks: u32,
    done: u32,
    /// Bytes that the pass will read, where that is known.
    total_bytes: u64,
    started: Instant,
    last_line: Instant,
}

impl Console {
    /// For a whole run; `input_bytes` is the size of all input files, where it is known.
    pub(super) fn new(format: LogFormat, input_bytes: Option<u64>) -> Self {
        Self::of(format, input_bytes.unwrap_or(0), false)
    }

    /// For a worker's share of a pass.
    pub(super) fn worker(format: LogFormat) -> Self {
        Self::of(format, 0, true)
    }

    fn of(format: LogFormat, input_bytes: u64, is_worker: bool) -> Self {
        let bar = (format == LogFormat::Text && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // Until the first pass there is nothing to show.
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let now = Instant::now();
        let pass =
            Current { name: String::new(), tasks: 0, done: 0, total_bytes: 0, started: now, last_line: now };
        let (bytes, docs) = (AtomicU64::new(0), AtomicU64::new(0));
        let state = State { format, is_worker, bar, bytes, docs, pass: Mutex::new(pass) };
        Self { state: Arc::new(state), input_bytes }
    }

    /// Takes the bar off the screen.
    pub(super) fn close(&self) {
        if let Some(bar) = &self.state.bar {
            bar.finish_and_clear();
        }
    }
}

impl State {
    fn with_pass<T>(&self, act: impl FnOnce(&mut Current) -> T) -> T {
        act(&mut self.pass.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn line(&self, event: &str, pass: &Current) {
        let (bytes, docs) = (self.bytes.load(Ordering::Relaxed), self.docs.load(Ordering::Relaxed));
        let secs = pass.started.elapsed().as_secs_f64();
        let mut out = std::io::stderr().lock();
        // Nothing can be said about a failure to say something.
        drop(match self.format {
            LogFormat::Json => {
                let line = serde_json::json!({
                    "event": event, "pass": pass.name, "tasks": pass.tasks, "done": pass.done,
                    "bytes": bytes, "documents": docs, "secs": (secs * 1000.0).round() / 1000.0,
                });
                writeln!(out, "{line}")
            }
            LogFormat::Text => writeln!(out, "{}", text(pass, bytes, docs, secs)),
        });
    }

    /// What became of a task, in JSON; lines for people tell only what a pass is about.
    fn task_line(&self, event: &str, name: &str, task: u32, error: Option<&Error>) {
        if self.format == LogFormat::Json {
            let mut line = serde_json::json!({ "event": event, "pass": name, "task": task });
            if let Some(error) = error {
                line["message"] = error.to_string().into();
            }
            drop(writeln!(std::io::stderr().lock(), "{line}"));
        }
    }

    fn show(&self) {
        let Some(bar) = &self.bar else { return };
        let (bytes, docs) = (self.bytes.load(Ordering::Relaxed), self.docs.load(Ordering::Relaxed));
        let (text, position) = self.with_pass(|pass| {
            let text = text(pass, bytes, docs, pass.started.elapsed().as_secs_f64());
            let by_tasks = u64::from(pass.done) * 1000 / u64::from(pass.tasks.max(1));
            let share = (bytes.min(pass.total_bytes) * 1000).checked_div(pass.total_bytes);
            (text, share.unwrap_or(by_tasks))
        });
        bar.set_position(position);
        bar.set_message(text);
    }
}

fn text(pass: &Current, bytes: u64, docs: u64, secs: f64) -> String {
    let mut text = format!("{}  {} of {} tasks", pass.name, pass.done, pass.tasks);
    if docs > 0 {
        let rate = human_bytes(whole(bytes as f64 / secs.max(0.001)));
        put(&mut text, format_args!("  {docs} documents  {rate}/s"));
    }
    let share = if pass.total_bytes > 0 {
        (bytes as f64 / pass.total_bytes as f64).min(1.0)
    } else {
        f64::from(pass.done) / f64::from(pass.tasks.max(1))
    };
    if pass.done < pass.tasks && share > 0.02 {
        let eta = whole(secs / share - secs);
        put(&mut text, format_args!("  ETA {}:{:02}", eta / 60, eta % 60));
    }
    text
}

/// A number for people, without its fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, and far below 2^63"
)]
fn whole(x: f64) -> u64 {
    x as u64
}

impl Progress for State {
    fn advance(&self, bytes: u64, docs: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.docs.fetch_add(docs, Ordering::Relaxed);
        if self.bar.is_some() {
            self.show();
            return;
        }
        self.with_pass(|pass| {
            if pass.last_line.elapsed() >= LINE_INTERVAL {
                pass.last_line = Instant::now();
                self.line("progress", pass);
            }
        });
    }
}

impl Listener for Console {
    fn pass_started(&self, name: &str, number: usize, of: usize, tasks: u32, done: u32) {
        let state = &self.state;
        state.bytes.store(0, Ordering::Relaxed);
        state.docs.store(0, Ordering::Relaxed);
        let total_bytes = if name == FIRST_SEGMENT && done == 0 { self.input_bytes } else { 0 };
        let now = Instant::now();
        state.with_pass(|pass| {
            *pass = Current { name: name.to_owned(), tasks, done, total_bytes, started: now, last_line: now };
        });
        if let Some(bar) = &state.bar {
            let template = format!("[{number}/{of}] {{bar:24}} {{msg}}");
            bar.set_length(1000);
            bar.set_position(0);
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style);
            }
            state.show();
        } else if state.is_worker && state.format == LogFormat::Json {
            state.with_pass(|pass| state.line("share_started", pass));
        }
    }

    fn task_finished(&self, name: &str, task: u32) {
        self.state.with_pass(|pass| pass.done += 1);
        self.state.show();
        if self.state.is_worker {
            self.state.task_line("task_done", name, task, None);
        }
    }

    fn task_failed(&self, name: &str, task: u32, error: &Error) {
        self.state.task_line("task_failed", name, task, Some(error));
    }

    fn pass_finished(&self, _name: &str) {
        if self.state.bar.is_none() {
            let event = if self.state.is_worker { "share_done" } else { "pass_done" };
            self.state.with_pass(|pass| self.state.line(event, pass));
        }
    }

    fn progress(&self) -> Arc<dyn Progress> {
        Arc::clone(&self.state) as Arc<dyn Progress>
    }
}
