//! The stage's models: files of the user, or trained as part of the run from a text that is trusted.
//!
//! A trained model is the work of a pass of its own before any document is read. It stays in `models/<stage>/` of the run
//! directory, beside a note with its hash. What it is trained from is a side file of the plan, so another text is another
//! plan; a model that was changed afterwards is an error.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::io::{self, spool::Scratch};
use crate::models::ngram::Model;
use crate::models::ngram::probing_writer::ProbingWriter;
use crate::models::ngram::tokens::LmTokens;
use crate::models::ngram::train::discounts::DEFAULT_FALLBACK;
use crate::models::ngram::train::text::for_each_line;
use crate::models::ngram::train::{Reserved, TrainConfig, Trainer};
use crate::stage::{BuildContext, OptionError, Pass, TaskEnv, TaskReport};

/// Lines between two looks at whether the run is asked to stop.
const LINES_PER_CHECK: u64 = 1 << 14;

/// A text to train a model on.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainFrom {
    /// Text file, one sentence or paragraph a line; plain, gzip or zstd. Empty lines are left out.
    pub text: String,
    /// Words of the longest n-gram, 2 to 7. Default: 5.
    #[serde(default = "default_order")]
    #[schemars(range(min = 2, max = 7))]
    pub order: usize,
}

fn default_order() -> usize {
    5
}

/// One model of the stage.
#[derive(Debug)]
pub(super) struct Held {
    model: OnceLock<Model>,
    /// What the model's words are.
    pub(super) tokens: Arc<LmTokens>,
    training: Option<Training>,
}

/// How a model is made.
#[derive(Debug, Clone)]
struct Training {
    from: TrainFrom,
    /// Name of its files: the language, or `model`.
    name: String,
    tokens: Arc<LmTokens>,
}

/// What stands beside a trained model.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// xxh3-128 of the model, hex.
    xxh3: String,
    sentences: u64,
    tokens: u64,
    words: u64,
}

impl Held {
    /// A model of the user's.
    pub(super) fn file(
        key: &str,
        path: &str,
        tokens: Arc<LmTokens>,
        cx: &mut BuildContext,
    ) -> Result<Self, OptionError> {
        cx.note_file(key, path)?;
        tokens
            .note()
            .check(Path::new(path))
            .map_err(|error| OptionError::new("tokens", error.to_string()))?;
        let model = Model::open(path).map_err(|error| OptionError::new(key, error.to_string()))?;
        Ok(Self { model: OnceLock::from(model), tokens, training: None })
    }

    /// A model to be trained.
    pub(super) fn trained(
        key: &str,
        name: &str,
        from: &TrainFrom,
        tokens: Arc<LmTokens>,
        cx: &mut BuildContext,
    ) -> Result<Self, OptionError> {
        cx.note_file(&format!("{key}.text"), &from.text)?;
        let training = Training { from: from.clone(), name: name.to_owned(), tokens: Arc::clone(&tokens) };
        Ok(Self { model: OnceLock::new(), tokens, training: Some(training) })
    }

    /// The model; none before [`Held::ready`].
    pub(super) fn model(&self) -> Option<&Model> {
        self.model.get()
    }

    pub(super) fn pass(&self, stage: &str, dir: &Path) -> Option<Box<dyn Pass>> {
        let training = self.training.clone()?;
        let name = format!("{stage}-train-{}", training.name);
        Some(Box::new(TrainPass { name, dir: dir.to_path_buf(), training }))
    }

    pub(super) fn ready(&self, dir: &Path) -> Result<()> {
        let Some(training) = self.training.as_ref().filter(|_| self.model.get().is_none()) else {
            return Ok(());
        };
        let path = training.model(dir);
        let note: Note = io::read_json(path.with_extension("json"))?;
        if hex(&path)? != note.xxh3 {
            return Err(Error::damaged(&path, "it is not the model that this run trained"));
        }
        // Another thread may have been faster; its model is the same.
        drop(self.model.set(Model::open(&path)?));
        Ok(())
    }
}

fn hex(path: &Path) -> Result<String> {
    Ok(format!("{:032x}", io::map::hash_file(path)?))
}

impl Training {
    fn model(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{}.bin", self.name))
    }
}

/// Trains one model.
struct TrainPass {
    name: String,
    dir: PathBuf,
    training: Training,
}

impl Pass for TrainPass {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        Ok(1)
    }

    fn run(&self, _task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let Training { from, tokens, .. } = &self.training;
        let path = self.training.model(&self.dir);
        let config = TrainConfig {
            memory_bytes: env.memory_bytes,
            discount_fallback: Some(DEFAULT_FALLBACK),
            reserved: Reserved::Skip,
            ..TrainConfig::new(from.order, &self.dir)
        };
        let mut trainer = Trainer::new(config)?;
        let mut lines = 0;
        let mut sentence = Vec::new();
        for_each_line(Path::new(&from.text), |line| {
            lines += 1;
            if lines % LINES_PER_CHECK == 0 {
                env.check_cancel()?;
            }
            sentence.clear();
            let mut failed = None;
            tokens.each(&String::from_utf8_lossy(line), |token| match trainer.id(token.as_bytes()) {
                Ok(id) => sentence.extend(id),
                Err(error) => failed = failed.take().or(Some(error)),
            });
            match failed {
                Some(error) => Err(error),
                None if sentence.is_empty() => Ok(()),
                None => trainer.add_ids(&sentence),
            }
        })?;
        let mut binary = ProbingWriter::create(&path, Scratch::new(&self.dir)?)?;
        let summary = trainer.finish(&mut [&mut binary])?;
        let note = Note {
            xxh3: hex(&path)?,
            sentences: summary.sentences,
            tokens: summary.tokens,
            words: summary.words,
        };
        io::write_json(path.with_extension("json"), &note)?;
        let mut report = TaskReport::default();
        report.counts.insert("lm.sentences".to_owned(), summary.sentences);
        report.counts.insert("lm.tokens".to_owned(), summary.tokens);
        Ok(report)
    }
}
