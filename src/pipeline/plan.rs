//! The plan: a pipeline with everything decided, as `plan.json` holds it.
//!
//! Nothing in it depends on the machine, the number of threads or the memory; two runs with the same
//! fingerprint write the same bytes.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::config::{FilterOptions, OutputConfig};
use super::per_language::LanguageOptions;
use crate::error::{Error, Result};
use crate::stages::write::CorpusSchema;
use crate::tokens::{TokenizerConfig, TokensConfig};

/// Changes whenever the same plan would write other bytes than before.
pub const FORMAT: u32 = 1;

/// Options of readers that change no output byte: how fast a server is asked.
const NOT_SEALED: &[&str] = &["max_requests_per_sec"];

/// Everything that decides a run's output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of the plan's format and of what the stages write.
    pub format: u32,
    /// Name of the pipeline.
    pub name: String,
    /// Hash of all the rest, 32 hex digits.
    pub fingerprint: String,
    /// Readers with all options filled in.
    pub inputs: Vec<InputPlan>,
    /// Input files in the order of their numbers.
    pub splits: Vec<Split>,
    /// Stages with all options filled in.
    pub stages: Vec<StagePlan>,
    /// Tokenizer, if any.
    pub tokenizer: Option<TokenizerConfig>,
    /// Token shards, if any.
    pub tokens: Option<TokensConfig>,
    /// What is written beside the corpus.
    pub output: OutputConfig,
    /// Columns of the corpus.
    pub corpus: CorpusSchema,
    /// Side files (models, word lists) with the xxh3-128 of their content.
    pub side_files: Vec<SideFile>,
}

/// One reader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputPlan {
    /// Name of the reader.
    pub reader: String,
    /// Its options.
    pub options: serde_json::Value,
}

/// One input file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Split {
    /// Path as the pipeline names it.
    pub file: String,
    /// Number of the input that it belongs to.
    pub input: usize,
    /// Size in bytes; a file that changed makes another plan. `null` where the reader does not know it.
    pub bytes: Option<u64>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StagePlan {
    /// Unique name in this pipeline: the stage's, with `-2` and so on for further uses.
    pub id: String,
    /// Name of the stage.
    pub stage: String,
    /// What happens to documents that fail; only filters have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterOptions>,
    /// Its own options.
    pub options: serde_json::Value,
    /// Complete options for the languages that have their own.
    #[serde(default, skip_serializing_if = "LanguageOptions::is_empty")]
    pub per_language: LanguageOptions,
}

/// A model or word list that a stage read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideFile {
    /// Path as the pipeline names it.
    pub path: String,
    /// xxh3-128 of the content, hex.
    pub xxh3: String,
}

impl Plan {
    /// Size of all input files in bytes; `None` where that of one is not known.
    #[must_use]
    pub fn input_bytes(&self) -> Option<u64> {
        self.splits.iter().map(|split| split.bytes).sum()
    }

    /// A name for each input, unlike all others: the reader's, with `-2` and so on for further uses.
    #[must_use]
    pub fn input_names(&self) -> Vec<String> {
        let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
        let mut names = Vec::new();
        for input in &self.inputs {
            let uses = uses.entry(&input.reader).or_default();
            *uses += 1;
            names.push(if *uses == 1 { input.reader.clone() } else { format!("{}-{uses}", input.reader) });
        }
        names
    }

    /// Computes the fingerprint over everything else that decides what is written.
    ///
    /// # Panics
    /// Never: a plan can always be written as JSON.
    pub fn seal(&mut self) {
        self.fingerprint.clear();
        let mut sealed = self.clone();
        for options in sealed.inputs.iter_mut().filter_map(|input| input.options.as_object_mut()) {
            options.retain(|name, _| !NOT_SEALED.contains(&name.as_str()));
        }
        let bytes = serde_json::to_vec(&sealed).expect("a plan holds only strings, numbers, lists and maps");
        self.fingerprint = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes));
    }

    /// Reads a `plan.json`.
    ///
    /// # Errors
    /// [`Error::User`] where another version of tamis wrote it or somebody changed it,
    /// [`Error::Damaged`] where it is no plan at all.
    pub fn read(path: &Path) -> Result<Self> {
        const REMEDY: &str = "give the run another folder with `--run-dir`, or remove this one";
        let damaged = |what: String| Error::damaged(path, format!("{what}; {REMEDY}"));
        let json: serde_json::Value = crate::io::read_json(path).map_err(|error| match error {
            Error::Damaged { what, .. } => damaged(what),
            other => other,
        })?;
        if json.get("format").and_then(serde_json::Value::as_u64).is_some_and(|n| n != u64::from(FORMAT)) {
            let path = path.display();
            return Err(Error::User(format!("another version of tamis wrote `{path}`\n = hint: {REMEDY}")));
        }
        let plan: Self = serde_json::from_value(json).map_err(|error| damaged(error.to_string()))?;
        let mut sealed = plan.clone();
        sealed.seal();
        if sealed.fingerprint != plan.fingerprint {
            let path = path.display();
            return Err(Error::User(format!(
                "`{path}` was changed after the run was planned: its fingerprint does not fit\n = hint: {REMEDY}"
            )));
        }
        Ok(plan)
    }

    /// Where this plan differs from another: the names of the parts, for a message.
    pub fn differences(&self, other: &Self) -> String {
        let mut ids: Vec<&str> = Vec::new();
        for (one, two) in [(self, other), (other, self)] {
            let differing = one.stages.iter().filter(|stage| !two.stages.contains(stage));
            ids.extend(differing.map(|stage| stage.id.as_str()));
        }
        ids.sort_unstable();
        ids.dedup();
        let stages = if ids.is_empty() {
            "the order of `stages`".to_owned()
        } else {
            format!("`stages` ({})", ids.join(", "))
        };
        let parts: [(&str, bool); 10] = [
            ("the version of tamis", self.format != other.format),
            ("`name`", self.name != other.name),
            ("`input`", self.inputs != other.inputs),
            ("the list or size of the input files", self.splits != other.splits),
            (&stages, self.stages != other.stages),
            ("`tokenizer`", self.tokenizer != other.tokenizer),
            ("`tokens`", self.tokens != other.tokens),
            ("`output`", self.output != other.output),
            ("the content of a model or word list", self.side_files != other.side_files),
            ("the columns of the corpus", self.corpus != other.corpus),
        ];
        let names: Vec<&str> =
            parts.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
        names.join(", ")
    }
}
