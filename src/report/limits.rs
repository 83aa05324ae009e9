//! The limits that a pipeline puts on scores, as its stages state them and its options set them.

use serde::{Deserialize, Serialize};

use crate::stage::{Side, StageSpec};

/// A limit on a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// The stage, by its name in the pipeline.
    pub stage: String,
    /// Reason of the documents that fail the check.
    pub reason: String,
    /// The score that it judges, `stage.score`.
    pub score: String,
    /// The option that holds the limit.
    pub option: String,
    /// The limit; a document at exactly this value passes.
    pub limit: f64,
    /// Whether documents below it fail (else those above).
    pub drops_below: bool,
    /// Documents on the failing side of it, whether dropped, for this or another reason, or not.
    #[serde(default)]
    pub beyond: u64,
}

impl Limit {
    /// Whether a document with this value fails.
    #[must_use]
    pub fn fails(&self, value: f64) -> bool {
        if self.drops_below { value < self.limit } else { value > self.limit }
    }

    /// The score's name without the stage's.
    #[must_use]
    pub fn short_score(&self) -> &str {
        let short = self.score.strip_prefix(self.stage.as_str()).and_then(|rest| rest.strip_prefix('.'));
        short.unwrap_or(&self.score)
    }
}

/// The limits of a stage that are switched on, in the order of its checks; `id` is its name in the pipeline.
#[must_use]
pub fn limits_of(spec: &StageSpec, id: &str, options: &serde_json::Value) -> Vec<Limit> {
    let limit = |(check, limit): (&crate::stage::Limit, f64)| Limit {
        stage: id.to_owned(),
        reason: check.reason.to_owned(),
        score: format!("{id}.{}", check.score),
        option: check.option.to_owned(),
        limit,
        drops_below: check.fails == Side::Below,
        beyond: 0,
    };
    spec.limits_in(options).into_iter().map(limit).collect()
}
