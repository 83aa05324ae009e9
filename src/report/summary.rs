//! What the engine knows at the end of a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::limits::Limit;
use super::redecided::Redecided;
use crate::stage::{Histogram, SearchedSet, StageStats, TaskReport};

/// A finished run, as the engine counted it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Name of the pipeline.
    pub name: String,
    /// Fingerprint of the plan.
    pub fingerprint: String,
    /// The inputs, in the order of the pipeline.
    pub inputs: Vec<InputInfo>,
    /// The stages, in the order of the pipeline.
    pub stages: Vec<StageInfo>,
    /// The passes, in the order in which they ran.
    pub passes: Vec<PassSummary>,
    /// All passes together.
    pub total: TaskReport,
    /// Quarantined records by cause.
    pub quarantine: BTreeMap<String, u64>,
    /// Records that are not meant to become documents, by kind.
    pub skipped: BTreeMap<String, u64>,
    /// The manifest of the token shards, where the run made some.
    pub tokens: Option<serde_json::Value>,
    /// Seconds from start to end, of this process; not reproducible.
    #[serde(default)]
    pub wall_secs: f64,
    /// What changed, where a finished run was decided about again.
    #[serde(default)]
    pub redecided: Option<Redecided>,
}

/// One input of the pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputInfo {
    /// Name of the reader (`warc`).
    pub reader: String,
    /// Name of the input, as in the `source` column.
    pub source: String,
    /// Number of files.
    pub files: u64,
    /// Their size on disk in bytes; `null` where it is not known before they are read.
    pub bytes: Option<u64>,
}

/// One stage of the pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageInfo {
    /// Its name in this pipeline, as in [`StageStats::name`].
    pub name: String,
    /// `extract`, `filter`, `rewrite` or `dedup`.
    pub kind: String,
    /// One sentence on what it does.
    pub summary: String,
    /// `drop`, `annotate` or `sample`.
    pub mode: String,
    /// The limits on its scores that are switched on, in the order of its checks.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// The sets of texts that it looks for.
    #[serde(default)]
    pub sets: Vec<SearchedSet>,
}

/// One pass of the run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PassSummary {
    /// Its name.
    pub name: String,
    /// Number of tasks.
    pub tasks: u32,
    /// The reports of its tasks, merged.
    pub report: TaskReport,
}

impl RunSummary {
    /// Statistics of every stage that ran, in pipeline order; stages that the pipeline does not list come last.
    pub(super) fn stage_stats(&self) -> Vec<(Option<&StageInfo>, &StageStats)> {
        let listed = self.stages.iter().filter_map(|info| {
            let stats = self.total.stages.iter().find(|stats| stats.name == info.name)?;
            Some((Some(info), stats))
        });
        let unlisted = self
            .total
            .stages
            .iter()
            .filter(|stats| self.stages.iter().all(|info| info.name != stats.name))
            .map(|stats| (None, stats));
        listed.chain(unlisted).collect()
    }
}

/// The histogram without the empty copies that a stage without values carries.
pub(super) fn counted(histograms: &BTreeMap<String, Histogram>) -> BTreeMap<String, Histogram> {
    histograms
        .iter()
        .filter(|(_, histogram)| histogram.bins.iter().any(|&n| n > 0))
        .map(|(name, histogram)| (name.clone(), histogram.clone()))
        .collect()
}
