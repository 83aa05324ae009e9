//! Limits on measured values: how a filter comes to its verdict, from a text or from the scores of an earlier run.
//!
//! A filter measures one value for each of its scores, in the order of [`StageSpec::scores`], and hands them
//! here with the limits that its options set. The first limit of [`StageSpec::limits`] that a value is on the
//! wrong side of gives the reason. Both [`crate::stage::DocStage::process`] and `redecide` end here, so they cannot
//! differ.

use crate::document::{Document, Outcome, Reason};
use crate::stage::{Context, Limit, Side, StageSpec};

/// The limits that are switched on.
#[derive(Debug)]
pub(super) struct Rules {
    /// Names of the stage's scores.
    scores: Vec<&'static str>,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    limit: &'static Limit,
    /// Place of its score among the stage's.
    score: usize,
    /// What the option holds.
    bound: f64,
}

impl Rules {
    /// The rules of a stage; `bounds` has one entry per [`StageSpec::limits`], `None` for those switched off.
    ///
    /// # Panics
    /// Where the stage names a score in its limits that is not in its list, or the lengths differ: a mistake
    /// in the stage, which its tests meet.
    pub(super) fn new(spec: &'static StageSpec, bounds: &[Option<f64>]) -> Self {
        assert_eq!(spec.limits.len(), bounds.len(), "`{}` has one option per limit", spec.name);
        let scores: Vec<_> = spec.scores.iter().map(|score| score.name).collect();
        let rule = |(limit, bound): (&'static Limit, &Option<f64>)| {
            let score = scores.iter().position(|score| *score == limit.score);
            let score = score.expect("a limit names one of the stage's scores");
            bound.map(|bound| Rule { limit, score, bound })
        };
        let rules = spec.limits.iter().zip(bounds).filter_map(rule).collect();
        Self { scores, rules }
    }

    /// The verdict on these values, one per score; NaN for those that are not known. `applies` says whether a
    /// limit is to be looked at for this value. `None` where a value is needed and not known.
    pub(super) fn verdict(&self, values: &[f64], applies: impl Fn(&Limit, f64) -> bool) -> Option<Outcome> {
        for rule in &self.rules {
            let value = values[rule.score];
            if value.is_nan() {
                return None;
            }
            let fails = match rule.limit.fails {
                Side::Below => value < rule.bound,
                Side::Above => value > rule.bound,
            };
            if fails && applies(rule.limit, value) {
                return Some(Outcome::Drop(Reason::measured(rule.limit.reason, value, rule.bound)));
            }
        }
        Some(Outcome::Keep)
    }

    /// Adds the values to the document's scores; NaN ones are left out.
    pub(super) fn score(&self, doc: &mut Document, cx: &Context, values: &[f64]) {
        for (name, &value) in self.scores.iter().zip(values) {
            if !value.is_nan() {
                cx.score(doc, name, value);
            }
        }
    }

    /// The values that a stage of this name stored; NaN where there is none.
    pub(super) fn stored(&self, doc: &Document, stage: &str) -> Vec<f64> {
        let mut values = vec![f64::NAN; self.scores.len()];
        for (name, value) in &doc.scores {
            let own = name.strip_prefix(stage).and_then(|rest| rest.strip_prefix('.'));
            let place = own.and_then(|own| self.scores.iter().position(|score| *score == own));
            if let Some(place) = place {
                values[place] = *value;
            }
        }
        values
    }

    /// Whether a check of this score is switched on.
    pub(super) fn needs(&self, score: usize) -> bool {
        self.rules.iter().any(|rule| rule.score == score)
    }
}

/// A limit that larger values fail.
pub(super) const fn above(reason: &'static str, score: &'static str, option: &'static str) -> Limit {
    Limit { reason, score, option, fails: Side::Above }
}

/// A limit that smaller values fail.
pub(super) const fn below(reason: &'static str, score: &'static str, option: &'static str) -> Limit {
    Limit { reason, score, option, fails: Side::Below }
}

/// A limit that is a count.
pub(super) fn count(limit: Option<u64>) -> Option<f64> {
    limit.map(|limit| limit as f64)
}

/// `part / whole`, 0 where there is nothing.
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The names of the options that limits name: they decide and change no measurement.
pub(super) const fn deciding<const N: usize>(limits: &'static [Limit]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut place = 0;
    while place < N {
        names[place] = limits[place].option;
        place += 1;
    }
    names
}
