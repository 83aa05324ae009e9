//! A run put together: plan to passes, passes to outputs.
//!
//! The one place outside `cli` that knows every room; it decides nothing about documents.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::engine::segment::{Input, Mode, Output, Segment, Slot, SlotLimit};
use crate::engine::status::PassStatus;
use crate::engine::{Listener, Options, RunDir, run_pass, run_watched_task};
use crate::error::{Error, Result};
use crate::io;
use crate::pipeline::config::{self, Rejects};
use crate::pipeline::plan::{Plan, StagePlan};
use crate::pipeline::registry;
use crate::report::{InputInfo, PassSummary, RunSummary, StageInfo};
use crate::stage::{Barrier, Built, DocStage, Kind, Pass, Reader, StageSpec, TaskEnv, TaskReport};

/// Bad records below which a run is never stopped for their share.
const MIN_BAD_RECORDS: u64 = 100;
/// The pass that reads the input.
pub const FIRST_SEGMENT: &str = "00-read";

/// A run, ready to go.
pub struct Job {
    plan: Plan,
    run: RunDir,
    passes: Vec<Box<dyn Pass>>,
    inputs: Vec<InputInfo>,
    stages: Vec<StageInfo>,
}

impl Job {
    /// Puts the passes of a plan together.
    ///
    /// # Errors
    /// [`Error::Failed`] where threads cannot be started.
    pub fn new(
        plan: Plan,
        readers: Vec<Box<dyn Reader>>,
        stages: Vec<(&'static StageSpec, Built)>,
        run: RunDir,
        threads: usize,
    ) -> Result<Self> {
        let inputs = input_infos(&plan, &readers);
        let infos = stage_infos(&plan, &stages);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("tamis-{number}"))
            .build()
            .map_err(|error| Error::Failed(format!("cannot start {threads} threads: {error}")))?;
        let mut passes = Assembly::new(&plan, run.clone(), readers, Arc::new(pool)).passes(stages);
        if let Some(tokenizer) = &plan.tokenizer {
            passes.extend(crate::tokens::passes(run.root(), tokenizer.clone(), plan.tokens.clone()));
        }
        Ok(Self { plan, run, passes, inputs, stages: infos })
    }

    /// Names of the passes, in order.
    pub fn pass_names(&self) -> impl Iterator<Item = &str> {
        self.passes.iter().map(|pass| pass.name())
    }

    /// Number of tasks of a pass, where its earlier passes have run.
    pub fn tasks(&self, pass: &str) -> Option<u32> {
        self.passes.iter().find(|p| p.name() == pass).and_then(|pass| pass.tasks().ok())
    }

    /// Number of tasks of a pass that follows from the plan alone; none where it is up to the data.
    pub fn planned_tasks(&self, pass: &str) -> Option<u32> {
        let depends = pass.starts_with("tokens") || pass.starts_with("tokenizer");
        if depends { None } else { self.tasks(pass) }
    }

    /// Writes `plan.json`, or checks that the run directory holds a run of the same plan.
    ///
    /// # Errors
    /// [`Error::User`] where it holds another one.
    pub fn prepare(&self) -> Result<()> {
        let path = self.run.path("plan.json");
        if !io::exists(&path)? {
            if let Some(output) = self.run.output()? {
                return Err(Error::User(format!(
                    "`{}` has no plan.json, but `{output}` of some other run\n = hint: give this run another folder with `--run-dir`, or empty that one",
                    self.run.root().display()
                )));
            }
            return io::write_json(path, &self.plan);
        }
        let before = Plan::read(&path)?;
        if before.fingerprint == self.plan.fingerprint {
            // What differs all the same changes no output, such as how fast a server is asked; single tasks are to know it.
            return if before == self.plan { Ok(()) } else { io::write_json(path, &self.plan) };
        }
        Err(Error::User(format!(
            "`{}` holds a run of another plan; what differs: {}\n = hint: give this run another folder with `--run-dir`, or remove that one",
            self.run.root().display(),
            before.differences(&self.plan)
        )))
    }

    /// Runs everything that is not done yet, and writes the report.
    ///
    /// # Errors
    /// The first error of a task; [`Error::Interrupted`] after a signal.
    pub fn execute(&self, options: &Options, listener: &dyn Listener) -> Result<RunSummary> {
        let started = Instant::now();
        let _lock = self.run.lock(false)?;
        self.prepare()?;
        self.run.remove_partial_files()?;
        if self.is_finished()? {
            self.clean_up()?;
            self.check_outputs()?;
            return self.summary(0.0);
        }
        for (number, pass) in self.passes.iter().enumerate() {
            let reports =
                run_pass(pass.as_ref(), (number + 1, self.passes.len()), &self.run, options, listener)?;
            if pass.name() == FIRST_SEGMENT {
                self.check_bad_records(&reports)?;
            }
        }
        self.finish(started.elapsed().as_secs_f64())
    }

    /// Runs one task of one pass.
    ///
    /// # Errors
    /// [`Error::User`] where there is no such task or an earlier pass is not done.
    pub fn execute_task(&self, pass: &str, task: u32, env: &TaskEnv, listener: &dyn Listener) -> Result<()> {
        let _lock = self.run.lock(true)?;
        let (place, tasks) = self.next_pass(pass)?;
        let pass = self.passes[place].as_ref();
        if task >= tasks {
            return Err(Error::User(format!(
                "pass `{}` has {tasks} tasks, numbered from 0; there is no task {task}",
                pass.name()
            )));
        }
        self.work(place, &[task], env, listener)
    }

    /// Runs every task of one pass whose number leaves `share.0` when divided by `share.1`. A task that fails keeps the others from
    /// nothing.
    ///
    /// # Errors
    /// The first error of a task, after the others were run; [`Error::Interrupted`] at once; [`Error::User`] where an earlier pass is not done.
    pub fn execute_share(
        &self,
        pass: &str,
        share: (u32, u32),
        env: &TaskEnv,
        listener: &dyn Listener,
    ) -> Result<()> {
        let _lock = self.run.lock(true)?;
        let (place, tasks) = self.next_pass(pass)?;
        let share: Vec<u32> = (share.0..tasks).step_by(share.1 as usize).collect();
        self.work(place, &share, env, listener)
    }

    /// A worker's tasks of one pass, one after the other; the listener hears of them as of a pass.
    fn work(&self, place: usize, tasks: &[u32], env: &TaskEnv, listener: &dyn Listener) -> Result<()> {
        let pass = self.passes[place].as_ref();
        let name = pass.name();
        let is_done = self.run.done_tasks(name)?;
        let pending: Vec<u32> = tasks.iter().filter(|task| !is_done.contains(task)).copied().collect();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let done = count(tasks.len() - pending.len());
        listener.pass_started(name, place + 1, self.passes.len(), count(tasks.len()), done);
        let mut result = Ok(());
        for task in pending {
            match run_watched_task(pass, task, &self.run, env) {
                Ok(()) => listener.task_finished(name, task),
                // A signal, or a store that has not answered for minutes: the others would fare no better.
                Err(error) if error.exit_code() == 75 => return Err(error),
                Err(error) => {
                    listener.task_failed(name, task, &error);
                    result = result.and(Err(error));
                }
            }
        }
        listener.pass_finished(name);
        result
    }

    /// The end of a run whose tasks were done one by one: checks, report, clean-up.
    ///
    /// # Errors
    /// [`Error::User`] where tasks are not done; otherwise as [`Job::execute`].
    pub fn finish_tasks(&self) -> Result<RunSummary> {
        let _lock = self.run.lock(false)?;
        if self.is_finished()? {
            self.clean_up()?;
            self.check_outputs()?;
            return self.summary(0.0);
        }
        self.expect_done(&self.passes)?;
        self.check_bad_records(&self.run.done_reports(FIRST_SEGMENT)?)?;
        self.run.remove_partial_files()?;
        self.finish(0.0)
    }

    /// The place of a pass whose turn it is, and its number of tasks.
    fn next_pass(&self, pass: &str) -> Result<(usize, u32)> {
        let Some(position) = self.passes.iter().position(|p| p.name() == pass) else {
            let names: Vec<String> = self.pass_names().map(|name| format!("`{name}`")).collect();
            return Err(Error::User(format!("there is no pass `{pass}`; this run has {}", names.join(", "))));
        };
        self.expect_done(&self.passes[..position])?;
        Ok((position, self.passes[position].tasks()?))
    }

    fn expect_done(&self, passes: &[Box<dyn Pass>]) -> Result<()> {
        for earlier in passes {
            let tasks = earlier.tasks()?;
            let done = self.run.done_tasks(earlier.name())?;
            let missing = (0..tasks).filter(|task| !done.contains(task)).count();
            if missing > 0 {
                let name = earlier.name();
                return Err(Error::User(format!(
                    "pass `{name}` comes first, and {missing} of its {tasks} tasks are not done"
                )));
            }
        }
        Ok(())
    }

    /// How far each pass is, from the run directory alone.
    ///
    /// # Errors
    /// Where records cannot be read.
    pub fn status(&self, now: SystemTime) -> Result<Vec<PassStatus>> {
        let is_finished = self.is_finished()?;
        let mut is_next = true;
        let mut passes = Vec::new();
        for pass in &self.passes {
            let mut status = PassStatus::read(pass.as_ref(), &self.run, is_next && !is_finished, now)?;
            if is_finished {
                // What the tasks were counted from is gone.
                status.tasks = Some(status.done);
            }
            is_next &= status.is_done();
            passes.push(status);
        }
        Ok(passes)
    }

    /// Whether the run was finished before; [`Job::execute`] then does nothing.
    ///
    /// # Errors
    /// Where a store cannot be asked.
    pub fn is_finished(&self) -> Result<bool> {
        io::exists(self.run.done("run", 0))
    }

    /// Looks whether a finished run still has what it wrote: cheaply, by names and sizes.
    fn check_outputs(&self) -> Result<()> {
        let gone = |path: &std::path::Path, what: &str| {
            Err(Error::Failed(format!(
                "the run in `{}` is finished, but `{}` {what}; nothing was done\n = hint: remove the run directory, or name another with `--run-dir`, to run anew",
                self.run.root().display(),
                path.display()
            )))
        };
        for name in ["report.json", "report.html", "quarantine.jsonl"] {
            if !io::exists(self.run.path(name))? {
                return gone(&self.run.path(name), "is missing");
            }
        }
        let kept = self
            .run
            .done_reports(self.last_segment())?
            .iter()
            .any(|report| report.stages.last().is_some_and(|stats| stats.docs_out > 0));
        if kept && io::list(self.run.path("corpus"), ".parquet")?.is_empty() {
            return gone(&self.run.path("corpus"), "is missing or empty");
        }
        let manifest = self.run.path("tokens").join("manifest.json");
        if self.plan.tokens.is_none() {
            return Ok(());
        }
        if !io::exists(&manifest)? {
            return gone(&manifest, "is missing");
        }
        let manifest: serde_json::Value = io::read_json(manifest)?;
        for shard in manifest["shards"].as_array().into_iter().flatten() {
            let name = shard["name"].as_str().unwrap_or_default();
            for suffix in ["bin", "idx", "ds.index"] {
                let path = self.run.path("tokens").join(format!("{name}.{suffix}"));
                if !io::exists(&path)? {
                    return gone(&path, "is missing");
                }
            }
            let payload = self.run.path("tokens").join(format!("{name}.bin"));
            if shard["bytes"].as_u64() != Some(io::size_of(&payload)?) {
                return gone(&payload, "has another size than its manifest says");
            }
        }
        Ok(())
    }

    /// The pass that writes the corpus.
    fn last_segment(&self) -> &str {
        let segment = |name: &&str| name.ends_with("-read") || name.ends_with("-apply");
        self.pass_names().filter(segment).last().unwrap_or_default()
    }

    fn check_bad_records(&self, reports: &[TaskReport]) -> Result<()> {
        let sum = |prefix: &str| -> u64 {
            let counts = reports.iter().flat_map(|report| &report.counts);
            counts.filter(|(name, _)| name.starts_with(prefix)).map(|(_, n)| n).sum()
        };
        let (bad, documents) = (sum("bad."), sum("documents"));
        let ratio = bad as f64 / (bad + documents).max(1) as f64;
        if bad < MIN_BAD_RECORDS || ratio <= self.plan.output.max_bad_ratio {
            return Ok(());
        }
        self.join_quarantine()?;
        Err(Error::TooManyBadRecords(format!(
            "{bad} of {} records are bad ({:.1} %), more than `output.max_bad_ratio` allows ({:.1} %): see `{}`\n = hint: to go on all the same, raise it and give the run another `--run-dir`",
            bad + documents,
            100.0 * ratio,
            100.0 * self.plan.output.max_bad_ratio,
            self.run.path("quarantine.jsonl").display()
        )))
    }

    fn join_quarantine(&self) -> Result<()> {
        let parts = io::list(self.run.work("quarantine"), ".jsonl")?;
        let mut out = io::AtomicFile::create(self.run.path("quarantine.jsonl"))?;
        for part in parts {
            let mut input = io::open(&part)?;
            std::io::copy(&mut input, &mut out).map_err(Error::io("copy", &part))?;
        }
        out.commit()
    }

    fn finish(&self, wall_secs: f64) -> Result<RunSummary> {
        self.join_quarantine()?;
        let summary = self.summary(wall_secs)?;
        crate::report::write(self.run.root(), &summary)?;
        io::write_json(self.run.done("run", 0), &TaskReport::default())?;
        self.clean_up()?;
        Ok(summary)
    }

    fn clean_up(&self) -> Result<()> {
        if self.plan.output.keep_work { Ok(()) } else { self.run.remove_work() }
    }

    fn summary(&self, wall_secs: f64) -> Result<RunSummary> {
        let mut passes = Vec::new();
        let mut total = TaskReport::default();
        for pass in &self.passes {
            let mut merged = TaskReport::default();
            let reports = self.run.done_reports(pass.name())?;
            for report in &reports {
                merged.merge(report);
            }
            let cpu = self.run.work("done").join(format!("{}.cpu", pass.name()));
            if io::exists(&cpu)? {
                merged.cpu_secs = io::read_json(cpu)?;
            }
            total.merge(&merged);
            let tasks = u32::try_from(reports.len()).unwrap_or(u32::MAX);
            passes.push(PassSummary { name: pass.name().to_owned(), tasks, report: merged });
        }
        let with_prefix = |prefix: &str| -> BTreeMap<String, u64> {
            let strip = |(name, n): (&String, &u64)| Some((name.strip_prefix(prefix)?.to_owned(), *n));
            total.counts.iter().filter_map(strip).collect()
        };
        let manifest = self.run.path("tokens").join("manifest.json");
        Ok(RunSummary {
            name: self.plan.name.clone(),
            fingerprint: self.plan.fingerprint.clone(),
            inputs: self.inputs.clone(),
            stages: self.stages.clone(),
            passes,
            quarantine: with_prefix("bad."),
            skipped: with_prefix("skipped."),
            tokens: if io::exists(&manifest)? { Some(io::read_json(manifest)?) } else { None },
            total,
            wall_secs,
            redecided: None,
        })
    }
}

fn input_infos(plan: &Plan, readers: &[Box<dyn Reader>]) -> Vec<InputInfo> {
    let info = |number: usize| {
        let splits = plan.splits.iter().filter(|split| split.input == number);
        InputInfo {
            reader: plan.inputs[number].reader.clone(),
            source: readers[number].source().to_owned(),
            files: splits.clone().count() as u64,
            bytes: splits.map(|split| split.bytes).sum(),
        }
    };
    (0..readers.len()).map(info).collect()
}

fn stage_infos(plan: &Plan, stages: &[(&'static StageSpec, Built)]) -> Vec<StageInfo> {
    let info = |(stage, (spec, built)): (&StagePlan, &(&'static StageSpec, Built))| StageInfo {
        name: stage.id.clone(),
        kind: json_name(&spec.kind),
        summary: spec.summary.to_owned(),
        mode: stage.filter.map_or_else(|| "drop".to_owned(), |filter| json_name(&filter.mode)),
        limits: crate::report::limits_of(spec, &stage.id, &stage.options),
        sets: match built {
            Built::Doc(stage) => stage.searched_sets(),
            Built::Reader(_) | Built::Barrier(_) => Vec::new(),
        },
    };
    let read = StageInfo {
        name: "read".to_owned(),
        kind: json_name(&Kind::Read),
        summary: "Records that became documents.".to_owned(),
        mode: "drop".to_owned(),
        limits: Vec::new(),
        sets: Vec::new(),
    };
    std::iter::once(read).chain(plan.stages.iter().zip(stages).map(info)).collect()
}

fn json_name(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Cuts the list of stages at its barriers.
struct Assembly<'p> {
    plan: &'p Plan,
    run: RunDir,
    pool: Arc<rayon::ThreadPool>,
    /// Where the segment that is being put together reads from.
    input: Input,
    slots: Vec<Slot>,
    tasks: u32,
    passes: Vec<Box<dyn Pass>>,
    number: usize,
}

impl<'p> Assembly<'p> {
    fn new(plan: &'p Plan, run: RunDir, readers: Vec<Box<dyn Reader>>, pool: Arc<rayon::ThreadPool>) -> Self {
        let splits: Vec<_> = plan.splits.iter().map(|split| (split.file.clone(), split.input)).collect();
        let tasks = u32::try_from(splits.len()).unwrap_or(u32::MAX);
        // What readers make for themselves (places of records) comes before any file is opened.
        let mut passes = Vec::new();
        let mut inputs = Vec::new();
        for (reader, name) in readers.into_iter().zip(plan.input_names()) {
            let dir = run.work(&name);
            passes.extend(reader.passes(&name, &dir));
            inputs.push((reader, dir));
        }
        let input = Input::Files { splits, readers: inputs };
        Self { plan, run, pool, input, slots: Vec::new(), tasks, passes, number: 0 }
    }

    fn passes(mut self, stages: Vec<(&'static StageSpec, Built)>) -> Vec<Box<dyn Pass>> {
        // What stages make for themselves (models) comes before any document.
        for (plan, (_, built)) in self.plan.stages.iter().zip(&stages) {
            if let Built::Doc(stage) = built {
                self.passes.extend(stage.passes(&plan.id, &self.run.models(&plan.id)));
            }
        }
        for (plan, (spec, built)) in self.plan.stages.iter().zip(stages) {
            match built {
                Built::Doc(stage) => self.slots.push(slot(plan, spec, stage)),
                Built::Barrier(barrier) => self.barrier(plan, &barrier),
                Built::Reader(_) => {}
            }
        }
        let output = Output::Corpus(self.plan.corpus.clone());
        let last = self.input_after_last();
        self.segment(last, output);
        self.passes
    }

    fn input_after_last(&mut self) -> Input {
        std::mem::replace(&mut self.input, Input::Files { splits: Vec::new(), readers: Vec::new() })
    }

    fn name(&mut self, what: &str) -> String {
        self.number += 1;
        format!("{:02}-{what}", self.number - 1)
    }

    fn segment(&mut self, input: Input, output: Output) -> PathBuf {
        let name = self.name(if matches!(input, Input::Files { .. }) { "read" } else { "apply" });
        let dir = self.run.work(&name);
        self.passes.push(Box::new(Segment {
            name,
            run: self.run.clone(),
            input,
            slots: std::mem::take(&mut self.slots),
            output,
            reject_texts: self.plan.output.rejects == Rejects::Full,
            pool: Arc::clone(&self.pool),
        }));
        dir
    }

    fn barrier(&mut self, plan: &StagePlan, barrier: &Arc<dyn Barrier>) {
        let input = self.input_after_last();
        let dir = self.run.work(&format!("{:02}-{}", self.number + 1, plan.id));
        let docs = self.segment(input, Output::Docs(Arc::clone(barrier), plan.id.clone(), dir.clone()));
        self.number += 1;
        self.passes.extend(Arc::clone(barrier).passes(dir.clone()));
        let signatures = self.run.path("signatures").join(&plan.id);
        self.passes.extend(Arc::clone(barrier).keep(dir.clone(), signatures));
        self.input = Input::Docs {
            dir: docs,
            tasks: self.tasks,
            barrier: (Arc::clone(barrier), plan.id.clone(), dir),
        };
    }
}

fn slot(plan: &StagePlan, spec: &StageSpec, stage: Box<dyn DocStage>) -> Slot {
    let mode = match plan.filter {
        Some(filter) if filter.mode == config::Mode::Annotate => Mode::Annotate,
        Some(filter) if filter.mode == config::Mode::Sample => Mode::Sample(filter.sample_ratio),
        _ => Mode::Drop,
    };
    let scores =
        spec.scores.iter().map(|score| (format!("{}.{}", plan.id, score.name), score.min, score.max));
    let limit = |(check, limit): (&crate::stage::Limit, f64)| SlotLimit {
        score: format!("{}.{}", plan.id, check.score),
        option: check.option,
        limit,
        fails: check.fails,
    };
    Slot {
        id: plan.id.clone(),
        stage,
        mode,
        scores: scores.collect(),
        limits: spec.limits_in(&plan.options).into_iter().map(limit).collect(),
        sets_language: registry::sets_language(spec),
    }
}
