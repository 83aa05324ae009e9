//! A streaming pass: documents come in, go through stages one at a time, and are written in order.
//!
//! One task per input file. A task commits its output in parts; a killed task goes on behind its last
//! part. Inside a part, windows of documents are worked on by all threads while the next is read, and
//! written in their order, so the files are the same for any number of threads.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::layout::{RunDir, read_record};
use super::source::{FileSource, PartSource, Source, Window};
use super::worker::{Fate, Finished, Worker};
use crate::error::{Error, Result};
use crate::io;
use crate::io::docfile::DocWriter;
use crate::stage::{Barrier, DocStage, Observer, Pass, Position, Reader, Side, TaskEnv, TaskReport};
use crate::stages::write::{
    CorpusSchema, CorpusWriter, CutsWriter, DuplicatesWriter, HitsWriter, QuarantineWriter, RejectsWriter,
};

/// Payload after which a part ends.
const PART_BYTES: usize = 32 << 20;

/// A stage in its place.
pub struct Slot {
    /// Unique name in the pipeline.
    pub id: String,
    /// The stage.
    pub stage: Box<dyn DocStage>,
    /// What happens to documents that it drops.
    pub mode: Mode,
    /// Its scores by full name, with the range of their histograms.
    pub scores: Vec<(String, f64, f64)>,
    /// The limits on them that are switched on.
    pub limits: Vec<SlotLimit>,
    /// Whether documents are counted by language after it.
    pub sets_language: bool,
}

/// A limit on a score of a slot.
pub struct SlotLimit {
    /// Full name of the score.
    pub score: String,
    /// Option that holds the limit.
    pub option: &'static str,
    /// The limit.
    pub limit: f64,
    /// On which side of it documents fail.
    pub fails: Side,
}

/// What happens to a document that a stage drops.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// It is dropped.
    Drop,
    /// It is kept, with the verdict.
    Annotate,
    /// It is dropped, and its text kept for this share of the documents.
    Sample(f64),
}

/// Where documents come from.
pub enum Input {
    /// Input files: (path, number of its reader).
    Files {
        /// Files in the order of their numbers.
        splits: Vec<(String, usize)>,
        /// All readers, each with the folder that its own passes wrote into.
        readers: Vec<(Box<dyn Reader>, PathBuf)>,
    },
    /// What an earlier segment wrote, less what the barrier behind it removes.
    Docs {
        /// Scratch folder of that segment.
        dir: PathBuf,
        /// Number of its tasks.
        tasks: u32,
        /// The barrier, its name and its folder.
        barrier: (Arc<dyn Barrier>, String, PathBuf),
    },
}

/// Where documents go.
pub enum Output {
    /// To the next segment, past a barrier: with its name and folder.
    Docs(Arc<dyn Barrier>, String, PathBuf),
    /// Into the corpus.
    Corpus(CorpusSchema),
}

/// A streaming pass.
pub struct Segment {
    /// Name of the pass.
    pub name: String,
    /// Where everything is written.
    pub run: RunDir,
    /// Where documents come from.
    pub input: Input,
    /// Stages in order.
    pub slots: Vec<Slot>,
    /// Where documents go.
    pub output: Output,
    /// Whether rejects keep their text.
    pub reject_texts: bool,
    /// Threads that work on documents.
    pub pool: Arc<rayon::ThreadPool>,
}

/// A committed part.
#[derive(Serialize, Deserialize)]
struct PartRecord {
    position: Option<Position>,
    last: bool,
    report: TaskReport,
}

impl Pass for Segment {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        match &self.input {
            Input::Files { splits, .. } => {
                u32::try_from(splits.len()).map_err(|_| Error::Failed("too many input files".to_owned()))
            }
            Input::Docs { tasks, .. } => Ok(*tasks),
        }
    }

    fn run(&self, task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let mut report = TaskReport::default();
        let mut part = 0;
        let mut position = None;
        loop {
            let path = self.part_record(task, part);
            if !io::exists(&path)? {
                break;
            }
            let record: PartRecord = read_record(path)?;
            report.merge(&record.report);
            part += 1;
            if record.last {
                return Ok(report);
            }
            position = record.position;
        }
        for slot in &self.slots {
            slot.stage.ready(&self.run.models(&slot.id))?;
        }
        let mut source = self.open(task, part, position)?;
        let mut window = Some(source.window()?);
        while window.is_some() {
            let (record, following) = self.run_part(task, part, window, source.as_mut(), env)?;
            io::write_json(self.part_record(task, part), &record)?;
            report.merge(&record.report);
            window = following;
            part += 1;
        }
        Ok(report)
    }
}

impl Segment {
    fn part_record(&self, task: u32, part: u32) -> PathBuf {
        self.run.work(&self.name).join("parts").join(format!("{task:06}-{part:05}.json"))
    }

    fn docs(dir: &Path, task: u32, part: u32) -> PathBuf {
        dir.join("docs").join(format!("{task:06}-{part:05}.docs"))
    }

    fn open(&self, task: u32, part: u32, position: Option<Position>) -> Result<Box<dyn Source>> {
        match &self.input {
            Input::Files { splits, readers } => {
                let (file, reader) = &splits[task as usize];
                let (reader, dir) = &readers[*reader];
                reader.ready(dir)?;
                let stream = reader.open(task, file, position.as_ref())?;
                Ok(Box::new(FileSource::new(stream, PART_BYTES)))
            }
            Input::Docs { dir, barrier, .. } => {
                let mut paths = VecDeque::new();
                for part in part..u32::MAX {
                    let path = Self::docs(dir, task, part);
                    if !io::exists(&path)? {
                        break;
                    }
                    paths.push_back(path);
                }
                let removals = barrier.0.removals(&barrier.2, task)?;
                Ok(Box::new(PartSource::new(paths, Some(removals))))
            }
        }
    }

    /// Names for the counts: the barrier behind, the stages, the barrier ahead.
    fn stat_names(&self) -> Vec<String> {
        let behind = match &self.input {
            Input::Files { .. } => "read".to_owned(),
            Input::Docs { barrier, .. } => barrier.1.clone(),
        };
        let ahead = match &self.output {
            Output::Docs(_, id, _) => Some(id.clone()),
            Output::Corpus(_) => None,
        };
        std::iter::once(behind).chain(self.slots.iter().map(|slot| slot.id.clone())).chain(ahead).collect()
    }

    /// Runs one part from its first window; returns its record and the first window of the next part.
    fn run_part(
        &self,
        task: u32,
        part: u32,
        first: Option<Window>,
        source: &mut dyn Source,
        env: &TaskEnv,
    ) -> Result<(PartRecord, Option<Window>)> {
        let names = self.stat_names();
        let workers: Vec<Mutex<Worker>> =
            (0..self.pool.current_num_threads()).map(|_| Mutex::new(Worker::new(&names))).collect();
        let barrier = match &self.output {
            Output::Docs(barrier, ..) => Some(&**barrier),
            Output::Corpus(_) => None,
        };
        let behind = match &self.input {
            Input::Docs { barrier, .. } => Some(&*barrier.0),
            Input::Files { .. } => None,
        };
        let mut writers = PartWriters::create(self, task, part, env)?;
        let mut report = TaskReport::default();
        let mut next = first;
        let mut record = PartRecord { position: None, last: true, report: TaskReport::default() };
        while let Some(mut window) = next.take() {
            env.check_cancel()?;
            let docs = std::mem::take(&mut window.docs);
            let (finished, following) = self.pool.install(|| {
                rayon::join(
                    || {
                        let work = |(doc, removal)| {
                            let thread = rayon::current_thread_index().unwrap_or(0);
                            let mut worker =
                                workers[thread].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                            worker.finish(doc, removal, behind, &self.slots, barrier)
                        };
                        docs.into_par_iter().with_max_len(1).map(work).collect::<Vec<Finished>>()
                    },
                    || if window.ends_task { Ok(None) } else { source.window().map(Some) },
                )
            });
            env.progress.advance(window.input_bytes, finished.len() as u64);
            count(&mut report, &window, finished.len());
            writers.take(self, &window, finished)?;
            next = following?;
            if window.ends_part {
                record.position = window.position;
                record.last = window.ends_task;
                break;
            }
        }
        writers.finish()?;
        for worker in workers {
            let worker = worker.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            report.merge(&TaskReport { stages: worker.stats, ..TaskReport::default() });
        }
        report.cpu_secs = report.stages.iter().map(|stats| stats.cpu_secs).sum();
        record.report = report;
        Ok((record, next))
    }
}

fn count(report: &mut TaskReport, window: &Window, documents: usize) {
    let mut add = |name: String, n: u64| *report.counts.entry(name).or_default() += n;
    if window.position.is_some() {
        add("documents".to_owned(), documents as u64);
    }
    for kind in &window.skipped {
        add(format!("skipped.{kind}"), 1);
    }
    for bad in &window.bad {
        add(format!("bad.{}", bad.cause), 1);
    }
}

/// The files of one part.
struct PartWriters {
    docs: Option<DocWriter>,
    observer: Option<Box<dyn Observer>>,
    corpus: Option<CorpusWriter>,
    rejects: RejectsWriter,
    duplicates: DuplicatesWriter,
    cuts: CutsWriter,
    hits: HitsWriter,
    quarantine: QuarantineWriter,
}

impl PartWriters {
    fn create(segment: &Segment, task: u32, part: u32, env: &TaskEnv) -> Result<Self> {
        let run = &segment.run;
        let table =
            |folder: &str| run.path(folder).join(format!("{}-{task:06}-{part:05}.parquet", segment.name));
        let (mut docs, mut observer, mut corpus) = (None, None, None);
        match &segment.output {
            Output::Docs(barrier, _, dir) => {
                docs = Some(DocWriter::create(Segment::docs(&run.work(&segment.name), task, part))?);
                observer = Some(barrier.observer(dir, task, part, env.memory_bytes / 2)?);
            }
            Output::Corpus(schema) => {
                let path = run.path("corpus").join(format!("{task:06}-{part:05}.parquet"));
                corpus = Some(CorpusWriter::create(path, schema)?);
            }
        }
        let quarantine = run.work("quarantine").join(format!("{task:06}-{part:05}.jsonl"));
        Ok(Self {
            docs,
            observer,
            corpus,
            rejects: RejectsWriter::create(table("rejects"), segment.reject_texts)?,
            duplicates: DuplicatesWriter::create(table("duplicates"))?,
            cuts: CutsWriter::create(table("cuts"))?,
            hits: HitsWriter::create(table("hits"), segment.reject_texts)?,
            quarantine: QuarantineWriter::create(quarantine)?,
        })
    }

    fn take(&mut self, segment: &Segment, window: &Window, finished: Vec<Finished>) -> Result<()> {
        for bad in &window.bad {
            self.quarantine.write(bad)?;
        }
        let behind = match &segment.input {
            Input::Docs { barrier, .. } => barrier.1.as_str(),
            Input::Files { .. } => "read",
        };
        for Finished { doc, fate, cuts, hits } in finished {
            for (slot, hit) in &hits {
                self.hits.write(&doc, &segment.slots[*slot].id, hit)?;
            }
            if let Some(taken) = cuts {
                let text = taken.text.as_ref().unwrap_or(&doc.text);
                for cut in &taken.cuts {
                    let text = segment.reject_texts.then(|| text.get(cut.range.clone())).flatten();
                    self.cuts.write(&doc.id, behind, cut, text)?;
                }
            }
            match fate {
                Fate::Kept(signature) => {
                    if let (Some(observer), Some(signature)) = (&mut self.observer, signature) {
                        observer.observe(doc.ordinal, &doc.id, &signature)?;
                    }
                    if let Some(docs) = &mut self.docs {
                        docs.write(&doc)?;
                    }
                    if let Some(corpus) = &mut self.corpus {
                        corpus.write(&doc)?;
                    }
                }
                Fate::Dropped { slot, reason, keep_text } => {
                    let keep_text = keep_text && segment.reject_texts;
                    self.rejects.write_with_text(&doc, &segment.slots[slot].id, &reason, keep_text)?;
                }
                Fate::Removed(reason, copy) => {
                    self.rejects.write(&doc, behind, &reason)?;
                    if let Some(copy) = copy {
                        self.duplicates.write(
                            &doc.id,
                            &copy.kept_id,
                            copy.similarity,
                            &copy.cluster,
                            behind,
                        )?;
                    }
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        if let Some(docs) = self.docs {
            docs.finish()?;
        }
        if let Some(observer) = self.observer {
            observer.finish()?;
        }
        if let Some(corpus) = self.corpus {
            corpus.finish()?;
        }
        self.rejects.finish()?;
        self.duplicates.finish()?;
        self.cuts.finish()?;
        self.hits.finish()?;
        self.quarantine.finish()
    }
}
