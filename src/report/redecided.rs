//! What deciding again from stored scores changes: kept in the report of what `tamis filter` writes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A run's filters with other options.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Redecided {
    /// Fingerprint of the plan of the run whose scores were used.
    pub fingerprint: String,
    /// Documents in the corpus of that run.
    pub documents: u64,
    /// Of those, documents that its own options let pass everywhere.
    pub kept_before: u64,
    /// Of those, documents that the new options let pass everywhere.
    pub kept_now: u64,
    /// Documents that pass now and did not before.
    pub newly_kept: u64,
    /// Documents that passed before and do not now.
    pub newly_dropped: u64,
    /// The filters, in pipeline order.
    pub stages: Vec<RedecidedStage>,
}

/// One filter, looked at alone: what the others say of a document does not matter here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RedecidedStage {
    /// Its name in the pipeline.
    pub stage: String,
    /// `drop`, `annotate` or `sample` in the run.
    pub mode_before: String,
    /// The same now.
    pub mode: String,
    /// Options that differ: name, value in the run, value now.
    pub changes: Vec<(String, Value, Value)>,
    /// Documents of the corpus that failed it in the run; none where it dropped them.
    pub failed_before: u64,
    /// Documents of the corpus that fail it now.
    pub failed_now: u64,
    /// Documents that failed and pass now.
    pub newly_passing: u64,
    /// Documents that passed and fail now.
    pub newly_failing: u64,
    /// Documents that it dropped in the run and would let pass now. They stay out: no later stage saw them.
    pub lost: u64,
}
