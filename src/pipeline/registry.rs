//! Every reader and stage by name: the one place where the stage rooms' tables come together.

use crate::stage::{Kind, ScoreSpec, StageSpec};
use crate::stages::{dedup, extract, filter, read, rewrite};

/// Every stage that may stand under `stages:`, in the order of the reference.
pub fn stages() -> impl Iterator<Item = &'static StageSpec> {
    [extract::STAGES, filter::STAGES, rewrite::STAGES, dedup::STAGES].into_iter().flatten().copied()
}

/// Every reader that may stand under `input:`.
pub fn readers() -> impl Iterator<Item = &'static StageSpec> {
    read::STAGES.iter().copied()
}

/// The reader or stage of that name.
pub fn find(section: Section, name: &str) -> Option<&'static StageSpec> {
    section.specs().find(|spec| spec.name == name)
}

/// The two lists of a pipeline that name stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// `input:`.
    Input,
    /// `stages:`.
    Stages,
}

impl Section {
    /// The YAML key.
    pub fn key(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Stages => "stages",
        }
    }

    /// What one entry is called in messages.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Input => "reader",
            Self::Stages => "stage",
        }
    }

    /// What may stand there.
    pub fn specs(self) -> Box<dyn Iterator<Item = &'static StageSpec>> {
        match self {
            Self::Input => Box::new(readers()),
            Self::Stages => Box::new(stages()),
        }
    }
}

/// Whether a stage of this kind takes `mode` and `sample_ratio`.
pub fn has_mode(kind: Kind) -> bool {
    kind == Kind::Filter
}

/// Whether this stage finds out the language of a document.
pub fn sets_language(spec: &StageSpec) -> bool {
    spec.name == "language" && spec.kind == Kind::Filter
}

/// The scores that this stage adds with these options: those of whole-corpus stages are counts, which have to be asked for.
pub fn scores_with(
    spec: &'static StageSpec,
    options: &serde_json::Value,
) -> impl Iterator<Item = &'static ScoreSpec> + use<> {
    let adds = spec.kind != Kind::Dedup || options["keep_counts"] == true;
    spec.scores.iter().filter(move |_| adds)
}

/// The field that this stage adds to every document with these options, if any.
pub fn bucket_field(spec: &StageSpec, options: &serde_json::Value) -> Option<&'static str> {
    let sorts = spec.name == filter::perplexity::SPEC.name && !options["cutoffs"].is_null();
    sorts.then_some(filter::perplexity::BUCKET_FIELD)
}
