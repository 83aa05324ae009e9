//! [`Report`]: the content of `report.json`, and all that the page shows.
//!
//! Everything in it is the same for any number of threads, except what stands under `timing`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::clusters::{self, Duplicates};
use super::contamination::{self, FoundSet};
use super::limits::Limit;
use super::rates::{self, Uneven};
use super::redecided::Redecided;
use super::rows::{RowTable, tables, text_at, texts};
use super::samples::{self, Sample};
use super::summary::{InputInfo, RunSummary, counted};
use crate::error::Result;
use crate::stage::{Flow, Histogram, StageStats};

/// A run in numbers and samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this layout.
    pub format: u32,
    /// Name of the pipeline.
    pub name: String,
    /// Fingerprint of the plan.
    pub fingerprint: String,
    /// The inputs.
    pub inputs: Vec<InputInfo>,
    /// What was read.
    pub read: Read,
    /// What was kept.
    pub corpus: Corpus,
    /// The stages that ran, in pipeline order.
    pub stages: Vec<Stage>,
    /// Languages and sources of which a stage drops another share than of the others.
    #[serde(default)]
    pub uneven: Vec<Uneven>,
    /// What changed, where this is a finished run that was decided about again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redecided: Option<Redecided>,
    /// What was found twice.
    pub duplicates: Option<Duplicates>,
    /// What was found of evaluation sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contamination: Vec<FoundSet>,
    /// Manifest of the token shards.
    pub tokens: Option<serde_json::Value>,
    /// Other counts of all passes.
    pub counts: BTreeMap<String, u64>,
    /// The passes.
    pub passes: Vec<Pass>,
    /// What differs from run to run.
    pub timing: Timing,
}

/// What came in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// Documents.
    pub documents: u64,
    /// Bytes of payload or text.
    pub bytes: u64,
    /// Records that are not meant to become documents, by kind.
    pub skipped: BTreeMap<String, u64>,
    /// Records that could not be read, by cause.
    pub quarantine: BTreeMap<String, u64>,
}

/// What was kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corpus {
    /// Documents, counted in the corpus files.
    pub documents: u64,
    /// UTF-8 bytes of text.
    pub bytes: u64,
    /// Documents by language; `unknown` for those without one.
    pub languages: BTreeMap<String, u64>,
}

/// What a stage did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name in the pipeline.
    pub name: String,
    /// `extract`, `filter`, `rewrite` or `dedup`.
    pub kind: String,
    /// `drop`, `annotate` or `sample`.
    pub mode: String,
    /// What it does.
    pub summary: String,
    /// Documents that came in.
    pub docs_in: u64,
    /// Documents that went on.
    pub docs_out: u64,
    /// Documents that did not.
    pub docs_dropped: u64,
    /// Documents that went on with changed text.
    pub docs_changed: u64,
    /// Bytes that came in.
    pub bytes_in: u64,
    /// Bytes that went on.
    pub bytes_out: u64,
    /// Dropped documents by reason; in `annotate` mode those that would have been.
    pub reasons: BTreeMap<String, u64>,
    /// Documents by language after this stage, where it sets the language.
    pub languages: BTreeMap<String, u64>,
    /// What came in and was dropped by language, from the stage that finds languages on.
    #[serde(default)]
    pub by_language: BTreeMap<String, Flow>,
    /// What came in and was dropped by source.
    #[serde(default)]
    pub by_source: BTreeMap<String, Flow>,
    /// Histograms by score.
    pub histograms: BTreeMap<String, Histogram>,
    /// The limits on its scores, in the order of its checks.
    pub limits: Vec<Limit>,
    /// Some of the documents that it dropped.
    pub samples: Vec<Sample>,
}

/// A pass of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// Its name.
    pub name: String,
    /// Number of tasks.
    pub tasks: u32,
    /// Its counts.
    pub counts: BTreeMap<String, u64>,
}

/// Times, in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// From start to end.
    pub wall_secs: f64,
    /// CPU time of all tasks.
    pub cpu_secs: f64,
    /// CPU time by stage, in pipeline order.
    pub stages: Vec<(String, f64)>,
    /// CPU time by pass.
    pub passes: Vec<(String, f64)>,
}

impl Report {
    /// Version of the layout of `report.json`.
    pub const FORMAT: u32 = 1;

    /// Puts together what the engine counted and what the run directory holds.
    ///
    /// # Errors
    /// Where a table of the run cannot be read.
    pub fn collect(run: &Path, summary: &RunSummary) -> Result<Self> {
        let stats = summary.stage_stats();
        let dropping = |mode: &str| mode != "annotate";
        let expected: BTreeMap<String, BTreeMap<String, u64>> = stats
            .iter()
            .filter(|(info, _)| info.is_none_or(|info| dropping(&info.mode)))
            .map(|(_, stats)| (stats.name.clone(), stats.reasons.clone()))
            .collect();
        let mut samples = samples::collect(run, &expected)?;
        let stages: Vec<Stage> = stats
            .iter()
            .map(|(info, stats)| {
                let mut stage = Stage::new(stats);
                if let Some(info) = info {
                    stage.kind.clone_from(&info.kind);
                    stage.mode.clone_from(&info.mode);
                    stage.summary.clone_from(&info.summary);
                    stage.limits.clone_from(&info.limits);
                    for limit in &mut stage.limits {
                        limit.beyond = stats.beyond.get(&limit.option).copied().unwrap_or(0);
                    }
                }
                stage.samples = samples.remove(&stage.name).unwrap_or_default();
                stage
            })
            .collect();
        let (documents, languages) = corpus_languages(run)?;
        let corpus = Corpus { documents, bytes: stages.last().map_or(0, |stage| stage.bytes_out), languages };
        Ok(Self {
            format: Self::FORMAT,
            name: summary.name.clone(),
            fingerprint: summary.fingerprint.clone(),
            inputs: summary.inputs.clone(),
            read: Read {
                documents: stages.first().map_or(documents, |stage| stage.docs_in),
                bytes: stages.first().map_or(0, |stage| stage.bytes_in),
                skipped: summary.skipped.clone(),
                quarantine: summary.quarantine.clone(),
            },
            corpus,
            uneven: rates::uneven(
                stages.iter().map(|stage| (stage.name.as_str(), &stage.by_language, &stage.by_source)),
            ),
            redecided: summary.redecided.clone(),
            duplicates: clusters::duplicates(run, clusters::LARGEST)?,
            contamination: contamination::collect(run, &summary.stages)?,
            tokens: summary.tokens.clone(),
            counts: summary.total.counts.clone(),
            passes: summary
                .passes
                .iter()
                .map(|pass| Pass {
                    name: pass.name.clone(),
                    tasks: pass.tasks,
                    counts: pass.report.counts.clone(),
                })
                .collect(),
            timing: Timing {
                wall_secs: summary.wall_secs,
                cpu_secs: summary.total.cpu_secs,
                stages: stats.iter().map(|(_, stats)| (stats.name.clone(), stats.cpu_secs)).collect(),
                passes: summary.passes.iter().map(|pass| (pass.name.clone(), pass.report.cpu_secs)).collect(),
            },
            stages,
        })
    }
}

impl Stage {
    fn new(stats: &StageStats) -> Self {
        Self {
            name: stats.name.clone(),
            docs_in: stats.docs_in,
            docs_out: stats.docs_out,
            docs_dropped: stats.docs_in.saturating_sub(stats.docs_out),
            docs_changed: stats.docs_changed,
            bytes_in: stats.bytes_in,
            bytes_out: stats.bytes_out,
            reasons: stats.reasons.clone(),
            languages: stats.languages.clone(),
            by_language: Some(&stats.by_language)
                .filter(|flows| rates::known(flows))
                .cloned()
                .unwrap_or_default(),
            by_source: stats.by_source.clone(),
            histograms: counted(&stats.histograms),
            ..Self::default()
        }
    }

    /// Reasons with their counts, most frequent first.
    pub(super) fn ranked_reasons(&self) -> Vec<(&str, u64)> {
        ranked(&self.reasons)
    }
}

/// Names with their counts, most frequent first.
pub(super) fn ranked(counts: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    let mut ranked: Vec<(&str, u64)> = counts.iter().map(|(name, &n)| (name.as_str(), n)).collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    ranked
}

/// Documents in the corpus files, in all and by language.
fn corpus_languages(run: &Path) -> Result<(u64, BTreeMap<String, u64>)> {
    let mut documents = 0;
    let mut languages: BTreeMap<String, u64> = BTreeMap::new();
    for path in tables(run, "corpus")? {
        let table = RowTable::open(&path)?;
        documents += table.rows();
        for batch in table.scan(&["language"])? {
            let (_, batch) = batch?;
            let column = texts(&batch, "language", &path)?;
            for row in 0..batch.num_rows() {
                let language = text_at(column, row).unwrap_or("unknown");
                match languages.get_mut(language) {
                    Some(n) => *n += 1,
                    None => drop(languages.insert(language.to_owned(), 1)),
                }
            }
        }
    }
    Ok((documents, languages))
}
