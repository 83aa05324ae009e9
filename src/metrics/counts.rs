//! Counts of a run while it goes on, by pass.
//!
//! What documents cost: an addition to three numbers for a window of them. Which pass it was for is settled when the next one begins.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::engine::Listener;
use crate::error::Error;
use crate::stage::Progress;

/// What does not change while a process works.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Name of the run.
    pub run: String,
    /// Threads that work.
    pub threads: usize,
    /// Memory that is planned with.
    pub memory_bytes: u64,
}

/// The counts of a process.
pub struct Counts {
    pub(super) facts: OnceLock<Facts>,
    pub(super) started: SystemTime,
    /// Input bytes of the pass that runs.
    bytes: AtomicU64,
    /// Documents of the pass that runs.
    documents: AtomicU64,
    /// Grows whenever something goes on.
    steps: AtomicU64,
    state: Mutex<State>,
}

struct State {
    passes: Vec<PassCounts>,
    /// The pass that runs from 1, and how many the run has.
    place: (usize, usize),
    /// Whether there is work, so that steps are due.
    is_working: bool,
    seen_steps: u64,
    seen_at: Instant,
}

/// What this process knows of a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PassCounts {
    pub(super) name: String,
    /// Tasks of the pass (of this worker's share of it).
    pub(super) tasks: u32,
    /// Those that are done, by whom and when ever.
    pub(super) done: u32,
    /// Those that this process did.
    pub(super) finished: u64,
    /// Those that failed in this process.
    pub(super) failed: u64,
    pub(super) bytes: u64,
    pub(super) documents: u64,
}

impl Default for Counts {
    fn default() -> Self {
        let state = State {
            passes: Vec::new(),
            place: (0, 0),
            is_working: false,
            seen_steps: 0,
            seen_at: Instant::now(),
        };
        Self {
            facts: OnceLock::new(),
            started: SystemTime::now(),
            bytes: AtomicU64::new(0),
            documents: AtomicU64::new(0),
            steps: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }
}

impl Counts {
    /// Says what the process works on; only the first time counts.
    pub fn describe(&self, facts: Facts) {
        self.facts.get_or_init(|| facts);
    }

    /// For how long nothing went on although there is work: no window of documents, no task, and no turn of a loop that looks for a signal. Progress is
    /// noticed when this is called, so that work pays no clock.
    pub fn stalled_for(&self, now: Instant) -> Duration {
        let mut state = self.state();
        let steps = self.steps();
        if steps != state.seen_steps || !state.is_working {
            (state.seen_steps, state.seen_at) = (steps, now);
        }
        now.saturating_duration_since(state.seen_at)
    }

    /// Passes in the order in which they began, and the place of the last one among those of the run.
    pub(super) fn passes(&self) -> (Vec<PassCounts>, (usize, usize)) {
        let state = self.state();
        let mut passes = state.passes.clone();
        if let Some(pass) = passes.last_mut() {
            pass.bytes += self.bytes.load(Ordering::Relaxed);
            pass.documents += self.documents.load(Ordering::Relaxed);
        }
        (passes, state.place)
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, name: &str, place: (usize, usize), tasks: u32, done: u32) {
        let mut state = self.state();
        let (bytes, documents) =
            (self.bytes.swap(0, Ordering::Relaxed), self.documents.swap(0, Ordering::Relaxed));
        if let Some(pass) = state.passes.last_mut() {
            pass.bytes += bytes;
            pass.documents += documents;
        }
        state.passes.push(PassCounts { name: name.to_owned(), tasks, done, ..PassCounts::default() });
        state.place = place;
        state.is_working = true;
        self.step();
    }

    fn change(&self, change: impl FnOnce(&mut PassCounts)) {
        if let Some(pass) = self.state().passes.last_mut() {
            change(pass);
        }
        self.step();
    }
}

impl Progress for Counts {
    fn advance(&self, bytes: u64, docs: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.documents.fetch_add(docs, Ordering::Relaxed);
        self.step();
    }

    fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts what another listener hears.
pub struct Measured<'a> {
    listener: &'a dyn Listener,
    counts: Arc<Counts>,
}

impl<'a> Measured<'a> {
    /// Hands everything on to `listener`.
    pub fn new(listener: &'a dyn Listener, counts: Arc<Counts>) -> Self {
        Self { listener, counts }
    }
}

impl Listener for Measured<'_> {
    fn pass_started(&self, name: &str, number: usize, of: usize, tasks: u32, done: u32) {
        self.counts.begin(name, (number, of), tasks, done);
        self.listener.pass_started(name, number, of, tasks, done);
    }

    fn task_finished(&self, name: &str, task: u32) {
        self.counts.change(|pass| {
            pass.done += 1;
            pass.finished += 1;
        });
        self.listener.task_finished(name, task);
    }

    fn task_failed(&self, name: &str, task: u32, error: &Error) {
        self.counts.change(|pass| pass.failed += 1);
        self.listener.task_failed(name, task, error);
    }

    fn pass_finished(&self, name: &str) {
        self.counts.state().is_working = false;
        self.listener.pass_finished(name);
    }

    fn progress(&self) -> Arc<dyn Progress> {
        Arc::new(Both(self.listener.progress(), Arc::clone(&self.counts)))
    }
}

struct Both(Arc<dyn Progress>, Arc<Counts>);

impl Progress for Both {
    fn advance(&self, bytes: u64, docs: u64) {
        self.0.advance(bytes, docs);
        self.1.advance(bytes, docs);
    }

    fn step(&self) {
        self.0.step();
        self.1.step();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Hears nothing.
    pub(in crate::metrics) struct Silence;

    impl Progress for Silence {
        fn advance(&self, _bytes: u64, _docs: u64) {}
    }

    impl Listener for Silence {
        fn pass_started(&self, _name: &str, _number: usize, _of: usize, _tasks: u32, _done: u32) {}
        fn task_finished(&self, _name: &str, _task: u32) {}
        fn pass_finished(&self, _name: &str) {}
        fn progress(&self) -> Arc<dyn Progress> {
            Arc::new(Silence)
        }
    }

    #[test]
    fn counts_belong_to_the_pass_that_ran() {
        let counts = Arc::new(Counts::default());
        let measured = Measured::new(&Silence, Arc::clone(&counts));
        let progress = measured.progress();
        measured.pass_started("00-read", 1, 2, 3, 1);
        progress.advance(100, 10);
        measured.task_finished("00-read", 1);
        measured.task_failed("00-read", 2, &Error::Interrupted);
        measured.pass_finished("00-read");
        measured.pass_started("01-apply", 2, 2, 1, 0);
        progress.advance(7, 1);
        let (passes, place) = counts.passes();
        assert_eq!(place, (2, 2));
        let read = PassCounts {
            name: "00-read".to_owned(),
            tasks: 3,
            done: 2,
            finished: 1,
            failed: 1,
            bytes: 100,
            documents: 10,
        };
        assert_eq!(passes[0], read);
        assert_eq!((passes[1].bytes, passes[1].documents, passes[1].finished), (7, 1, 0));
    }

    #[test]
    fn only_work_that_does_not_go_on_is_a_stall() {
        let counts = Arc::new(Counts::default());
        let measured = Measured::new(&Silence, Arc::clone(&counts));
        let progress = measured.progress();
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let secs = |n| Duration::from_secs(n);
        assert_eq!(counts.stalled_for(at(9000)), secs(0), "nothing is to be done yet");
        measured.pass_started("00-read", 1, 1, 1, 0);
        assert_eq!(counts.stalled_for(at(9010)), secs(0));
        assert_eq!(counts.stalled_for(at(9100)), secs(90));
        progress.step();
        assert_eq!(counts.stalled_for(at(9200)), secs(0));
        assert_eq!(counts.stalled_for(at(9201)), secs(1));
        progress.advance(0, 0);
        assert_eq!(counts.stalled_for(at(9300)), secs(0));
        measured.pass_finished("00-read");
        assert_eq!(counts.stalled_for(at(99_000)), secs(0), "the end may take its time");
    }
}
