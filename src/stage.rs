//! What a stage is: the traits, how one describes itself, what it is given to work with, what is counted.
//!
//! A stage never knows the pipeline or the engine. It is built once from checked options, shared by all
//! threads, and given documents one at a time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::document::{Document, Ordinal, Outcome, Reason};
use crate::error::{Error, Result};
use crate::text::features::Features;

/// How a stage describes itself: the source of the reference page, the schema and the registry.
pub struct StageSpec {
    /// The YAML key, equal to the module's name.
    pub name: &'static str,
    /// What sort of stage it is.
    pub kind: Kind,
    /// Whether it looks at the text; if not, it may stand before extraction and save its cost.
    pub needs_text: bool,
    /// One sentence for the reference; the module's opening comment holds the rest.
    pub summary: &'static str,
    /// Where the rules come from, and where we differ.
    pub source: &'static str,
    /// Every reason that it may drop a document for, with what was found.
    pub reasons: &'static [(&'static str, &'static str)],
    /// Every score that it may add, without the stage's name in front.
    pub scores: &'static [ScoreSpec],
    /// Its checks of a score against an option, in the order in which it makes them; empty for stages that
    /// decide otherwise. `tamis inspect` and the reference show them.
    pub limits: &'static [Limit],
    /// JSON Schema of its options.
    pub schema: fn() -> schemars::Schema,
    /// Builds it from options that fit the schema.
    pub build: BuildFn,
}

/// Makes a stage from its options (valid against the schema).
pub type BuildFn = fn(serde_json::Value, &mut BuildContext) -> Result<Built, Vec<OptionError>>;

/// Sorts of stages, in the order in which a pipeline has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Bytes to documents; stands under `input:`.
    Read,
    /// HTML to main text.
    Extract,
    /// Judges one document.
    Filter,
    /// Changes one document.
    Rewrite,
    /// Looks at the whole corpus.
    Dedup,
}

/// A score that a stage adds: its name and the range of its histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreSpec {
    /// Name without the stage's.
    pub name: &'static str,
    /// Meaning and unit, one line.
    pub doc: &'static str,
    /// Lower end of the histogram; smaller values count in the first bin.
    pub min: f64,
    /// Upper end of the histogram; larger values count in the last bin.
    pub max: f64,
}

/// A check of one score against one option.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Reason of the documents that fail it.
    pub reason: &'static str,
    /// Score that is looked at, without the stage's name.
    pub score: &'static str,
    /// Option that holds the limit; a document with exactly this value passes.
    pub option: &'static str,
    /// On which side of the limit documents fail.
    pub fails: Side,
}

/// A side of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Values smaller than the limit.
    Below,
    /// Values larger than the limit.
    Above,
}

impl Side {
    /// Whether a document with this value fails a check that fails documents on this side of `limit`.
    #[must_use]
    pub fn fails(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Below => value < limit,
            Self::Above => value > limit,
        }
    }
}

impl StageSpec {
    /// The checks that are on with these options, each with its limit, in the order in which they are made.
    #[must_use]
    pub fn limits_in(&self, options: &serde_json::Value) -> Vec<(&'static Limit, f64)> {
        let value = |option: &str| options.pointer(&format!("/{}", option.replace('.', "/")))?.as_f64();
        self.limits.iter().filter_map(|limit| Some((limit, value(limit.option)?))).collect()
    }
}

/// What `build` made.
pub enum Built {
    /// Brings documents in.
    Reader(Box<dyn Reader>),
    /// Works on one document at a time.
    Doc(Box<dyn DocStage>),
    /// Needs the whole corpus.
    Barrier(std::sync::Arc<dyn Barrier>),
}

/// A mistake in a stage's options that its schema cannot see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionError {
    /// Key inside the options that is at fault (`min_words`, `lists.en`); empty for the stage as a whole.
    pub key: String,
    /// What was found and what would be right.
    pub message: String,
    /// A guess at what was meant.
    pub hint: Option<String>,
}

impl OptionError {
    /// An error at one option.
    #[must_use]
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Reads a stage's options into its `Config`.
///
/// # Errors
/// Where serde refuses what the schema let through.
pub fn parse_options<C: DeserializeOwned>(options: serde_json::Value) -> Result<C, Vec<OptionError>> {
    serde_json::from_value(options).map_err(|error| vec![OptionError::new("", error.to_string())])
}

/// The schema function for a `Config` type, for use in a [`StageSpec`].
#[must_use]
pub fn schema_of<C: JsonSchema>() -> schemars::Schema {
    schemars::schema_for!(C)
}

/// What a stage may ask for while it is built: files, which become part of the plan's fingerprint.
#[derive(Debug, Default)]
pub struct BuildContext {
    /// Files that were read (path, xxh3-128 of the content), in reading order.
    pub files: Vec<(String, u128)>,
    /// Full names (`stage.score`) of the scores that earlier stages of the pipeline add.
    pub scores: Vec<String>,
}

impl BuildContext {
    /// Reads a whole side file (word list, model) and records its hash for the fingerprint.
    ///
    /// # Errors
    /// An [`OptionError`] at `key` where the file cannot be read.
    pub fn read_file(&mut self, key: &str, path: &str) -> Result<Vec<u8>, OptionError> {
        let bytes = crate::io::read_side_file(Path::new(path))
            .map_err(|error| OptionError::new(key, error.to_string()))?;
        self.files.push((path.to_owned(), xxhash_rust::xxh3::xxh3_128(&bytes)));
        Ok(bytes)
    }

    /// Records the hash of a side file that is too large to be read whole; the stage opens it itself, as with
    /// [`Model::open`](crate::models::ngram::Model::open). The file is read once, in pieces.
    ///
    /// # Errors
    /// An [`OptionError`] at `key` where the file cannot be read.
    pub fn note_file(&mut self, key: &str, path: &str) -> Result<(), OptionError> {
        let hash =
            crate::io::map::hash_file(path).map_err(|error| OptionError::new(key, error.to_string()))?;
        self.files.push((path.to_owned(), hash));
        Ok(())
    }
}

/// Works on one document: keeps it, changes it or drops it. Cannot fail: whatever the text, it decides.
pub trait DocStage: Send + Sync {
    /// Decides about one document. Scores go through [`Context::score`].
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome;

    /// The decision again from what an earlier run stored of the document: scores (under `stage`, the stage's
    /// name in that run), language, address and fields, but no text. Equal to what [`DocStage::process`] decided
    /// for the same options; with other options it holds as long as only deciding ones differ
    /// ([`DocStage::deciding_options`]). `None` where the stored scores are not enough.
    fn redecide(&self, _stored: &Document, _stage: &str) -> Option<Outcome> {
        None
    }

    /// Options that change the verdict but nothing that is measured, so that [`DocStage::redecide`] may be
    /// asked with others. Empty: none.
    fn deciding_options(&self) -> &'static [&'static str] {
        &[]
    }

    /// Passes that must be done before the first document comes, such as the training of a model. What they make is
    /// written into `dir`, which is the stage's own and stays with the run. `name` is the stage's in this pipeline; names
    /// of passes begin with it.
    fn passes(&self, _name: &str, _dir: &Path) -> Vec<Box<dyn Pass>> {
        Vec::new()
    }

    /// The sets of texts that it looks for in every document, as the report names them ([`Context::hits`] says what was found).
    fn searched_sets(&self) -> Vec<SearchedSet> {
        Vec::new()
    }

    /// Takes up what its passes wrote. Called before documents come, perhaps several times and from several threads.
    ///
    /// # Errors
    /// Where the files are not there or not what the passes wrote.
    fn ready(&self, _dir: &Path) -> Result<()> {
        Ok(())
    }
}

/// A set of texts that a stage looks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchedSet {
    /// Its name.
    pub name: String,
    /// Examples in it.
    pub examples: u64,
    /// Examples that are too short to be looked for.
    pub too_short: u64,
}

/// A text of a set that stands in a document: a row of `hits/`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Name of the set.
    pub set: std::sync::Arc<str>,
    /// Number of the example in the set, from 1.
    pub example: u64,
    /// Name of the example, where the set has names.
    pub example_id: Option<String>,
    /// Field of the example that was found.
    pub field: std::sync::Arc<str>,
    /// Different n-grams of the field that stand in the document.
    pub ngrams: u64,
    /// Different n-grams that the field has.
    pub all_ngrams: u64,
    /// The longest stretch that is the same: bytes of the text as it came to the stage, at character borders.
    pub range: std::ops::Range<usize>,
    /// What stands in front of it, the stretch itself (its beginning, where it is long), what stands behind it.
    pub context: [String; 3],
}

/// Working memory of one thread, handed from stage to stage with the document.
#[derive(Default)]
pub struct Context {
    /// What the stage that is running found of texts that it looks for; the engine writes it to `hits/`.
    pub hits: Vec<Hit>,
    /// Words and lines of the document's text, computed on first use and kept until the text changes.
    pub features: Features,
    /// Name of the stage that is running; set by the engine.
    pub stage: String,
}

impl Context {
    /// Adds the score `stage.name` to the document.
    pub fn score(&self, doc: &mut Document, name: &str, value: f64) {
        // Once per score and document: `format!` takes three times as long.
        let mut full = String::with_capacity(self.stage.len() + 1 + name.len());
        full.push_str(&self.stage);
        full.push('.');
        full.push_str(name);
        doc.scores.push((full, value));
    }
}

/// Opens input files and yields their records.
pub trait Reader: Send + Sync {
    /// The files that this input names: globs expanded, folders listed, sorted by path.
    ///
    /// # Errors
    /// One [`OptionError`] per pattern that matches nothing or cannot be read.
    fn files(&self) -> Result<Vec<String>, Vec<OptionError>>;

    /// Name of the input, for `Document::source`.
    fn source(&self) -> &str;

    /// Size of one of its files in bytes; `None` where asking would cost a request per file, or where only parts of it are read.
    ///
    /// # Errors
    /// Where the file cannot be asked.
    fn bytes(&self, file: &str) -> Result<Option<u64>> {
        crate::io::paths::input_size(file)
    }

    /// Passes that must be done before the first file is opened, such as a look into an index. What they make is written into `dir`,
    /// which is this input's own scratch. `name` is the input's in this pipeline; names of passes begin with it.
    fn passes(&self, _name: &str, _dir: &Path) -> Vec<Box<dyn Pass>> {
        Vec::new()
    }

    /// Takes up what its passes wrote. Called before files are opened, perhaps several times and from several threads.
    ///
    /// # Errors
    /// Where the files are not there or not what the passes wrote.
    fn ready(&self, _dir: &Path) -> Result<()> {
        Ok(())
    }

    /// Names and types of passed-through fields, from a look at the beginning of `file`.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    fn passthrough(&self, file: &str) -> Result<Vec<(String, FieldType)>>;

    /// Opens a file at a position that an earlier [`RecordStream::position`] returned, or at the start.
    ///
    /// # Errors
    /// Where the file cannot be opened at all; damage inside it is for the stream to report.
    fn open(&self, split: u32, file: &str, at: Option<&Position>) -> Result<Box<dyn RecordStream>>;
}

/// Type of a passed-through column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// Text.
    String,
    /// 64-bit integer.
    Integer,
    /// 64-bit float.
    Number,
    /// True or false.
    Boolean,
    /// Anything else, as JSON text.
    Json,
}

/// Records of one file, in file order.
pub trait RecordStream: Send {
    /// The next record, or `None` at the end of the file.
    ///
    /// # Errors
    /// Where the machine fails (a disk, the network). Bad content is an [`Item::Bad`], never an error.
    fn next(&mut self) -> Result<Option<Item>>;

    /// Where the next record starts; opening there goes on exactly as if the stream had not stopped.
    fn position(&self) -> Position;
}

/// A place between two records of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Byte offset to seek to; meaning as in [`Document::offset`].
    pub offset: u64,
    /// Number of the next record.
    pub record: u64,
}

/// One thing found in an input file.
#[derive(Debug)]
pub enum Item {
    /// A document.
    Document(Box<Document>),
    /// A record that is not meant to become one (a request, an image), with the kind of it.
    Skipped(&'static str),
    /// A record that should have become one and cannot.
    Bad(BadRecord),
}

/// An entry of `quarantine.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRecord {
    /// Input file.
    pub file: String,
    /// Where in it; meaning as in [`Document::offset`].
    pub offset: u64,
    /// Number of the record, where records can still be told apart.
    pub record: u64,
    /// Fixed name of the cause: `truncated_record`, `corrupt_gzip_member`, ...
    pub cause: String,
    /// The particulars.
    pub detail: String,
}

/// A whole-corpus step: observes every document, works in passes of independent tasks, then names the
/// documents to remove.
pub trait Barrier: Send + Sync {
    /// What it needs to know of one document, as bytes; computed in parallel.
    fn signature(&self, doc: &Document, cx: &mut Context) -> Vec<u8>;

    /// Takes the signatures of one part of one task, in order, and writes them below `dir`.
    /// Writing the same part again (after a kill) replaces its files.
    ///
    /// # Errors
    /// Where files cannot be created.
    fn observer(&self, dir: &Path, task: u32, part: u32, memory_bytes: u64) -> Result<Box<dyn Observer>>;

    /// The passes between observation and removal, in order; their files live below `dir`.
    fn passes(self: std::sync::Arc<Self>, dir: PathBuf) -> Vec<Box<dyn Pass>>;

    /// Passes after those, where the stage was asked to keep for later runs what it knows of the documents that stay;
    /// they write it to `target`, a folder of the run directory.
    fn keep(self: std::sync::Arc<Self>, _dir: PathBuf, _target: PathBuf) -> Vec<Box<dyn Pass>> {
        Vec::new()
    }

    /// The documents of one split that go, to be asked for in rising ordinal order.
    ///
    /// # Errors
    /// Where the files of the last pass cannot be read.
    fn removals(&self, dir: &Path, split: u32) -> Result<Box<dyn Removals>>;

    /// The text of a document less what [`Removal::Cut`] takes out, or why the document goes for what is left.
    /// Called in parallel. `cx.features` is free for the new text.
    ///
    /// # Errors
    /// The reason, one of the stage's.
    fn cut(&self, text: &str, cuts: &[Cut], _cx: &mut Context) -> Result<String, Reason> {
        Ok(without(text, cuts))
    }
}

/// The text without these pieces, and nothing else changed.
#[must_use]
pub fn without(text: &str, cuts: &[Cut]) -> String {
    let mut left = String::with_capacity(text.len());
    let mut from = 0;
    for cut in cuts {
        left.push_str(text.get(from..cut.range.start).unwrap_or_default());
        from = cut.range.end;
    }
    left.push_str(text.get(from..).unwrap_or_default());
    left
}

/// Writes the signatures of one part.
pub trait Observer: Send {
    /// Takes one document's signature. Called in rising ordinal order.
    ///
    /// # Errors
    /// Where spilling to disk fails.
    fn observe(&mut self, ordinal: Ordinal, id: &str, signature: &[u8]) -> Result<()>;

    /// Makes the part's files visible.
    ///
    /// # Errors
    /// Where writing fails.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// Removal list of one split.
pub trait Removals: Send {
    /// Whether this document or a part of it goes, and which one stays instead; or what it gets where it stays.
    ///
    /// # Errors
    /// Where reading fails.
    fn lookup(&mut self, ordinal: Ordinal) -> Result<Option<Removal>>;
}

/// What a barrier does to a document: it goes, or pieces of its text, or it gets a score.
#[derive(Debug, Clone, PartialEq)]
pub enum Removal {
    /// A copy of another document.
    Duplicate(Duplicate),
    /// One that falls behind the rest of the corpus.
    Dropped(Reason),
    /// Nothing: the document stays, with this score of the barrier's.
    Scored {
        /// One of the stage's.
        score: &'static ScoreSpec,
        /// Its value.
        value: f64,
    },
    /// Pieces of a text, in order and apart: the rest goes on, or the document goes for what is left
    /// ([`Barrier::cut`]).
    Cut(Vec<Cut>),
}

/// A piece that is cut out of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Bytes of the text as it came to the barrier; at character borders.
    pub range: std::ops::Range<usize>,
    /// The document with the first copy; the same document where the text repeats itself, or where the first copy
    /// goes too.
    pub first_id: std::sync::Arc<str>,
}

/// A removed duplicate.
#[derive(Debug, Clone, PartialEq)]
pub struct Duplicate {
    /// Reason for the rejects table, one of the stage's reasons.
    pub reason: &'static str,
    /// The document that stays.
    pub kept_id: String,
    /// Similarity to it, 0 to 1.
    pub similarity: f64,
    /// Similarity from which on documents go, where the stage has such a limit.
    pub limit: Option<f64>,
    /// Name of the cluster (equal for all its members).
    pub cluster: String,
}

/// A step of a run: tasks that do not depend on each other.
///
/// A task is a pure function of the plan, its number and the files of earlier passes. Its files appear
/// whole (atomic rename); running it again writes the same bytes again.
pub trait Pass: Send + Sync {
    /// Unique name inside the run: letters, digits, `-` and `_`.
    fn name(&self) -> &str;

    /// How many tasks it has; asked once the earlier passes are done.
    ///
    /// # Errors
    /// Where files of earlier passes cannot be read.
    fn tasks(&self) -> Result<u32>;

    /// Does one task.
    ///
    /// # Errors
    /// [`Error::Interrupted`] where `env.cancel` was set; else what went wrong.
    fn run(&self, task: u32, env: &TaskEnv) -> Result<TaskReport>;
}

/// What a task may use.
#[derive(Clone)]
pub struct TaskEnv {
    /// Memory that this task may plan with, in bytes.
    pub memory_bytes: u64,
    /// Set when the run is asked to stop; long loops look at it and return [`Error::Interrupted`].
    pub cancel: std::sync::Arc<std::sync::atomic::AtomicBool>,
    /// Where progress goes.
    pub progress: std::sync::Arc<dyn Progress>,
}

impl TaskEnv {
    /// Stops a loop after a signal, and says that it goes on.
    ///
    /// # Errors
    /// [`Error::Interrupted`] once the run was asked to stop.
    pub fn check_cancel(&self) -> Result<()> {
        self.progress.step();
        if self.cancel.load(std::sync::atomic::Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// Hears how far a run is.
pub trait Progress: Send + Sync {
    /// So many more bytes of input and documents were worked on.
    fn advance(&self, bytes: u64, docs: u64);

    /// Work goes on, with nothing to count. Called by many threads, and often.
    fn step(&self) {}
}

/// What a task did, kept in its done record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    /// One entry per stage that ran, in pipeline order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageStats>,
    /// Other counts by name (`tokens`, `edges`, `records.request`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
    /// CPU seconds of the task, all threads; not reproducible.
    #[serde(default)]
    pub cpu_secs: f64,
}

impl TaskReport {
    /// Adds another report to this one, stage by stage.
    pub fn merge(&mut self, other: &Self) {
        for stats in &other.stages {
            match self.stages.iter_mut().find(|s| s.name == stats.name) {
                Some(mine) => mine.merge(stats),
                None => self.stages.push(stats.clone()),
            }
        }
        for (name, n) in &other.counts {
            *self.counts.entry(name.clone()).or_default() += n;
        }
        self.cpu_secs += other.cpu_secs;
    }
}

/// Counts of one stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageStats {
    /// Name of the stage in this pipeline.
    pub name: String,
    /// Documents that came in.
    pub docs_in: u64,
    /// Documents that went on.
    pub docs_out: u64,
    /// UTF-8 bytes of text (payload before extraction) that came in.
    pub bytes_in: u64,
    /// UTF-8 bytes of text that went on.
    pub bytes_out: u64,
    /// Documents kept with changed text.
    pub docs_changed: u64,
    /// Dropped documents by reason. In `annotate` mode: those that would have been.
    pub reasons: BTreeMap<String, u64>,
    /// Histograms by score name.
    pub histograms: BTreeMap<String, Histogram>,
    /// Documents by language after this stage, where it sets the language.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub languages: BTreeMap<String, u64>,
    /// What came in and was dropped by language; `unknown` for documents that have none (yet).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_language: BTreeMap<String, Flow>,
    /// What came in and was dropped by source.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_source: BTreeMap<String, Flow>,
    /// Documents on the failing side of each limit, by option, whatever they were dropped for or not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub beyond: BTreeMap<String, u64>,
    /// CPU seconds inside the stage; not reproducible.
    pub cpu_secs: f64,
}

/// Documents that came into a stage, and how many of them it dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Documents that came in.
    pub docs_in: u64,
    /// Documents that were dropped; in `annotate` mode those that would have been.
    pub docs_dropped: u64,
}

impl Flow {
    /// Counts one document in a map of flows.
    pub fn count(flows: &mut BTreeMap<String, Self>, name: &str, dropped: bool) {
        let one = Self { docs_in: 1, docs_dropped: u64::from(dropped) };
        match flows.get_mut(name) {
            Some(flow) => flow.add(one),
            None => drop(flows.insert(name.to_owned(), one)),
        }
    }

    fn add(&mut self, other: Self) {
        self.docs_in += other.docs_in;
        self.docs_dropped += other.docs_dropped;
    }
}

impl StageStats {
    /// Adds another task's counts of the same stage.
    pub fn merge(&mut self, other: &Self) {
        self.docs_in += other.docs_in;
        self.docs_out += other.docs_out;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.docs_changed += other.docs_changed;
        for (reason, n) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += n;
        }
        for (language, n) in &other.languages {
            *self.languages.entry(language.clone()).or_default() += n;
        }
        for (mine, theirs) in
            [(&mut self.by_language, &other.by_language), (&mut self.by_source, &other.by_source)]
        {
            for (name, flow) in theirs {
                mine.entry(name.clone()).or_default().add(*flow);
            }
        }
        for (option, n) in &other.beyond {
            *self.beyond.entry(option.clone()).or_default() += n;
        }
        for (score, histogram) in &other.histograms {
            match self.histograms.get_mut(score) {
                Some(mine) => mine.merge(histogram),
                None => {
                    self.histograms.insert(score.clone(), histogram.clone());
                }
            }
        }
        self.cpu_secs += other.cpu_secs;
    }
}

/// Counts of a score in equal bins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Lower end of the first bin.
    pub min: f64,
    /// Upper end of the last bin.
    pub max: f64,
    /// Counts; values outside the range are in the first or last bin.
    pub bins: Vec<u64>,
}

impl Histogram {
    /// Number of bins of every histogram.
    pub const BINS: usize = 40;

    /// An empty histogram over `min..max`.
    #[must_use]
    pub fn new(min: f64, max: f64) -> Self {
        Self { min, max, bins: vec![0; Self::BINS] }
    }

    /// Counts one value; NaN counts nowhere.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the bin range")]
    #[expect(clippy::cast_precision_loss, reason = "40 bins")]
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        let place = (value - self.min) / (self.max - self.min) * Self::BINS as f64;
        let bin = place.clamp(0.0, Self::BINS as f64 - 1.0) as usize;
        self.bins[bin] += 1;
    }

    /// Adds the counts of another histogram over the same range.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.bins.iter_mut().zip(&other.bins) {
            *mine += theirs;
        }
    }
}
