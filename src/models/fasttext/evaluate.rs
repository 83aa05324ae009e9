//! How good a classifier is: precision, recall and F1 per label, area under the ROC curve, and counts at limits.
//!
//! Definitions as everywhere (Fawcett, "An introduction to ROC analysis", 2006): a label is predicted where its
//! probability is the highest (the first of equal ones); the area is the probability that a document of the label
//! scores above another one, equal scores counting half; at a limit, documents with at least that score pass.

use serde::Serialize;

/// Scores at which passing documents are counted.
const LIMITS: [f64; 13] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95];

/// Collects what a model says about documents whose label is known.
pub struct Evaluation {
    labels: Vec<String>,
    truth: Vec<usize>,
    /// Probabilities of all labels, document after document.
    probabilities: Vec<f32>,
}

/// What an [`Evaluation`] found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Documents.
    pub documents: u64,
    /// Share of documents whose best label is right; none without documents.
    pub accuracy: Option<f64>,
    /// One entry per label.
    pub labels: Vec<LabelReport>,
}

/// One label against all others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelReport {
    /// Its name, as in the model.
    pub label: String,
    /// Documents that have it.
    pub documents: u64,
    /// Documents that were given it.
    pub predicted: u64,
    /// Share of the predicted ones that have it; none where there are none.
    pub precision: Option<f64>,
    /// Share of those that have it that were predicted; none where there are none.
    pub recall: Option<f64>,
    /// Harmonic mean of both; none where a part is missing, 0 where both are 0.
    pub f1: Option<f64>,
    /// Area under the ROC curve; none where all documents, or none, have the label.
    pub roc_auc: Option<f64>,
    /// What a threshold would let pass.
    pub limits: Vec<LimitReport>,
}

/// Counts at one limit: documents with at least this score pass.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LimitReport {
    /// The limit.
    pub min_score: f64,
    /// Documents of the label that pass.
    pub true_positives: u64,
    /// Other documents that pass.
    pub false_positives: u64,
    /// Other documents that do not.
    pub true_negatives: u64,
    /// Documents of the label that do not.
    pub false_negatives: u64,
    /// Share of the passing ones that have the label; none where none passes.
    pub precision: Option<f64>,
    /// Share of the label's documents that pass; none where there are none.
    pub recall: Option<f64>,
    /// Share of all documents that pass.
    pub kept: Option<f64>,
}

impl Evaluation {
    /// For a model with these labels.
    #[must_use]
    pub fn new(labels: &[String]) -> Self {
        Self { labels: labels.to_vec(), truth: Vec::new(), probabilities: Vec::new() }
    }

    /// Takes the probabilities of all labels (none: 0 for each) for a document of label number `truth`.
    ///
    /// # Panics
    /// Where there is no such label, or another number of probabilities.
    pub fn add(&mut self, truth: usize, probabilities: &[f32]) {
        assert!(truth < self.labels.len(), "there is no label {truth}");
        self.truth.push(truth);
        if probabilities.is_empty() {
            self.probabilities.extend(std::iter::repeat_n(0.0, self.labels.len()));
        } else {
            assert_eq!(probabilities.len(), self.labels.len(), "one probability per label");
            self.probabilities.extend_from_slice(probabilities);
        }
    }

    /// The numbers.
    #[must_use]
    pub fn report(&self) -> Report {
        let best: Vec<usize> =
            self.probabilities.chunks_exact(self.labels.len().max(1)).map(first_best).collect();
        let right = best.iter().zip(&self.truth).filter(|(best, truth)| best == truth).count() as u64;
        Report {
            documents: self.truth.len() as u64,
            accuracy: ratio(right, self.truth.len() as u64),
            labels: (0..self.labels.len()).map(|label| self.label(label, &best)).collect(),
        }
    }

    fn label(&self, label: usize, best: &[usize]) -> LabelReport {
        let mut scores: Vec<(f32, bool)> = self
            .probabilities
            .chunks_exact(self.labels.len())
            .zip(&self.truth)
            .map(|(probabilities, &truth)| (probabilities[label], truth == label))
            .collect();
        scores.sort_by(|a, b| a.0.total_cmp(&b.0));
        let count = |keep: &dyn Fn(usize, usize) -> bool| {
            best.iter().zip(&self.truth).filter(|(best, truth)| keep(**best, **truth)).count() as u64
        };
        let documents = count(&|_, truth| truth == label);
        let predicted = count(&|best, _| best == label);
        let hits = count(&|best, truth| best == label && truth == label);
        let (precision, recall) = (ratio(hits, predicted), ratio(hits, documents));
        LabelReport {
            label: self.labels[label].clone(),
            documents,
            predicted,
            precision,
            recall,
            f1: precision.zip(recall).map(|(p, r)| if p + r > 0.0 { 2.0 * p * r / (p + r) } else { 0.0 }),
            roc_auc: roc_auc(&scores),
            limits: LIMITS.iter().map(|&limit| at_limit(&scores, limit)).collect(),
        }
    }
}

fn first_best(probabilities: &[f32]) -> usize {
    let mut best = 0;
    for (label, probability) in probabilities.iter().enumerate() {
        if *probability > probabilities[best] {
            best = label;
        }
    }
    best
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Mann and Whitney's count of pairs in the right order; `scores` rise.
fn roc_auc(scores: &[(f32, bool)]) -> Option<f64> {
    let (mut lower_others, mut wins) = (0_u64, 0.0);
    for equal in scores.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let members = equal.iter().filter(|(_, member)| *member).count() as u64;
        let others = equal.len() as u64 - members;
        wins += members as f64 * (lower_others as f64 + others as f64 / 2.0);
        lower_others += others;
    }
    let members = scores.len() as u64 - lower_others;
    (members > 0 && lower_others > 0).then(|| wins / (members as f64 * lower_others as f64))
}

fn at_limit(scores: &[(f32, bool)], limit: f64) -> LimitReport {
    let passing = &scores[scores.partition_point(|(score, _)| f64::from(*score) < limit)..];
    let members = |scores: &[(f32, bool)]| scores.iter().filter(|(_, member)| *member).count() as u64;
    let (true_positives, documents) = (members(passing), members(scores));
    let false_positives = passing.len() as u64 - true_positives;
    LimitReport {
        min_score: limit,
        true_positives,
        false_positives,
        true_negatives: scores.len() as u64 - documents - false_positives,
        false_negatives: documents - true_positives,
        precision: ratio(true_positives, passing.len() as u64),
        recall: ratio(true_positives, documents),
        kept: ratio(passing.len() as u64, scores.len() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rows: &[(usize, f32)]) -> Report {
        let mut evaluation = Evaluation::new(&["a".to_owned(), "b".to_owned()]);
        for &(truth, score) in rows {
            evaluation.add(truth, &[score, 1.0 - score]);
        }
        evaluation.report()
    }

    #[test]
    fn numbers_worked_out_by_hand() {
        let report = report(&[(0, 0.9), (0, 0.8), (0, 0.3), (1, 0.8), (1, 0.2), (1, 0.1), (1, 0.1)]);
        let a = &report.labels[0];
        assert_eq!(report.accuracy, Some(5.0 / 7.0));
        assert_eq!((a.documents, a.predicted), (3, 3));
        assert_eq!((a.precision, a.recall), (Some(2.0 / 3.0), Some(2.0 / 3.0)));
        assert!((a.f1.unwrap() - 2.0 / 3.0).abs() < 1e-12);
        // Pairs won: 4 for 0.9, 3 and a half for 0.8, 3 for 0.3, of 12.
        assert_eq!(a.roc_auc, Some(10.5 / 12.0));
        assert_eq!(report.labels[1].roc_auc, Some(10.5 / 12.0));
        let at = a.limits.iter().find(|limit| (limit.min_score - 0.3).abs() < 1e-9).unwrap();
        // 0.3 as an f32 is a little above 0.3.
        assert_eq!((at.true_positives, at.false_positives), (3, 1));
        assert_eq!((at.true_negatives, at.false_negatives), (3, 0));
        assert_eq!((at.precision, at.kept), (Some(0.75), Some(4.0 / 7.0)));
    }

    #[test]
    fn what_cannot_be_measured_is_missing() {
        let empty = report(&[]);
        assert_eq!((empty.accuracy, empty.labels[0].f1), (None, None));
        let one_sided = report(&[(0, 0.4), (0, 0.3)]);
        assert_eq!(one_sided.labels[0].roc_auc, None);
        assert_eq!((one_sided.labels[0].precision, one_sided.labels[0].recall), (None, Some(0.0)));
        assert_eq!((one_sided.labels[1].precision, one_sided.labels[1].recall), (Some(0.0), None));
        let wrong = report(&[(0, 0.4), (1, 0.6)]);
        assert_eq!(wrong.labels[0].f1, Some(0.0));
    }
}
