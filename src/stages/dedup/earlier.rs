//! `against:`: the signatures that earlier runs kept, so that a new dump is held against them and not their texts.
//!
//! A run whose stage says `keep_signatures: true` leaves `signatures/<stage>/` in its run directory (see `keep.rs`). A
//! later run adds those folders to its catalogue, in front of its own documents, and everything else goes as ever:
//! documents of an earlier run come before all others, so they stay.
//!
//! Signatures can be compared only where they were made alike, so every option that goes into one must be equal;
//! which pairs then count (`min_jaccard`, `linkage`) may differ.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::io::{self, folders};
use crate::stage::{BuildContext, OptionError};

/// Version of the files; another one cannot be read.
pub(super) const FORMAT: u32 = 1;
/// Folder of a run directory that holds the signatures of its stages.
const FOLDER: &str = "signatures";
/// What is written last: a folder without it is not complete.
const SEAL: &str = "signatures.json";
/// Options that go into no signature; any other must be the same in both runs.
const FREE_OPTIONS: [&str; 4] = ["against", "keep_signatures", "min_jaccard", "linkage"];

/// One run directory or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Runs {
    /// One.
    One(String),
    /// Several, or none.
    Many(Vec<String>),
}

impl Default for Runs {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Runs {
    fn list(&self) -> &[String] {
        match self {
            Self::One(run) => std::slice::from_ref(run),
            Self::Many(runs) => runs,
        }
    }
}

/// `signatures.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seal {
    pub(super) format: u32,
    /// Name of the stage, not its id in the pipeline.
    pub(super) stage: String,
    /// The options that go into signatures.
    pub(super) options: Map<String, Value>,
    pub(super) docs: u64,
    /// xxh3-128 of all that was kept: makes plans differ where it does.
    pub(super) xxh3: String,
}

/// Path of `signatures.json`.
pub(super) fn seal_path(folder: &Path) -> PathBuf {
    folder.join(SEAL)
}

/// The options that go into signatures.
pub(super) fn signature_options(config: &impl Serialize) -> Map<String, Value> {
    let Ok(Value::Object(mut options)) = serde_json::to_value(config) else { return Map::new() };
    options.retain(|name, _| !FREE_OPTIONS.contains(&name.as_str()));
    options
}

/// Folders of the runs that a stage is held against, in the order in which they are named.
#[derive(Debug, Clone, Default)]
pub(super) struct Earlier {
    folders: Vec<PathBuf>,
}

impl Earlier {
    /// Finds the signatures of every run and checks that they fit; their hashes become part of the plan.
    pub(super) fn open(
        stage: &str,
        runs: &Runs,
        config: &impl Serialize,
        cx: &mut BuildContext,
    ) -> Result<Self, Vec<OptionError>> {
        let options = signature_options(config);
        let (mut folders, mut errors) = (Vec::new(), Vec::new());
        for run in runs.list() {
            match find(stage, run, &options, cx) {
                Ok(folder) if folders.contains(&folder) => {
                    errors.push(OptionError::new("against", format!("`{run}` is named twice")));
                }
                Ok(folder) => folders.push(folder),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Self { folders }) } else { Err(errors) }
    }

    /// The folders.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        self.folders.clone()
    }
}

fn find(
    stage: &str,
    run: &str,
    options: &Map<String, Value>,
    cx: &mut BuildContext,
) -> Result<PathBuf, OptionError> {
    let error = |message: String| OptionError::new("against", message);
    if !folders::is_dir(run) {
        let hint = "name the run directory of an earlier run (its `--run-dir`)";
        return Err(error(format!("there is no folder `{run}`")).hint(hint));
    }
    let entries =
        folders::entries(Path::new(run).join(FOLDER)).map_err(|failed| error(failed.to_string()))?;
    let mut candidates = Vec::new();
    let mut unfinished = false;
    for folder in entries.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.path) {
        let path = seal_path(&folder);
        if !path.exists() {
            unfinished = true;
            continue;
        }
        let seal: Seal = io::read_json(&path).map_err(|failed| error(failed.to_string()))?;
        if seal.stage == stage {
            candidates.push((folder, seal));
        }
    }
    let Some((_, nearest)) = candidates.last() else {
        return Err(if unfinished {
            error(format!("the signatures in `{run}` are not complete")).hint("let that run come to its end")
        } else {
            error(format!("the run in `{run}` kept no signatures of `{stage}`"))
                .hint(format!("run it with `keep_signatures: true` in its `{stage}`"))
        });
    };
    if nearest.format != FORMAT {
        return Err(error(format!("another version of tamis wrote the signatures in `{run}`")));
    }
    // Of two stages of that name the later one has seen fewer documents go.
    let Some((folder, _)) = candidates.iter().rev().find(|(_, seal)| seal.options == *options) else {
        let message = format!(
            "the signatures in `{run}` were made with other options: {}",
            differences(&nearest.options, options)
        );
        return Err(error(message).hint("use that run's options here, or run it again with these"));
    };
    // Notes its hash; another set of signatures is another plan.
    cx.read_file("against", &seal_path(folder).to_string_lossy())?;
    Ok(folder.clone())
}

/// Every option that differs, with both values.
fn differences(there: &Map<String, Value>, here: &Map<String, Value>) -> String {
    let shown =
        |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), |value| format!("`{value}`"));
    let mut names: Vec<&String> =
        there.keys().chain(here.keys().filter(|name| !there.contains_key(*name))).collect();
    names.retain(|name| there.get(*name) != here.get(*name));
    let one = |name: &String| {
        format!("`{name}` is {} there and {} here", shown(there.get(name)), shown(here.get(name)))
    };
    names.into_iter().map(one).collect::<Vec<_>>().join(", ")
}
