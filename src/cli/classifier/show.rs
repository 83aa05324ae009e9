//! What `tamis classifier train` prints.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line prints")]

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::super::LogFormat;
use crate::models::fasttext::Trained;
use crate::models::fasttext::evaluate::Report;

/// A line to standard error at every tenth of the work; `tenths` is the last one shown.
pub(super) fn progress(share: f64, tenths: &AtomicU32, format: LogFormat) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share")]
    let now = (share * 10.0) as u32;
    if tenths.fetch_max(now, Ordering::Relaxed) >= now {
        return;
    }
    match format {
        LogFormat::Text => eprintln!("trained {} %", now * 10),
        LogFormat::Json => {
            eprintln!("{}", serde_json::json!({ "event": "progress", "share": f64::from(now) / 10.0 }));
        }
    }
}

/// Tables of what was measured.
pub(super) fn result(output: &Path, trained: &Trained, report: &Report, bad: &[String], facts: &Value) {
    println!(
        "{}: {} labels, {} words, {} bytes; trained with {} tokens",
        output.display(),
        report.labels.len(),
        trained.words(),
        facts["model"]["bytes"],
        trained.tokens()
    );
    let records = &facts["records"];
    for (key, what) in [
        ("bad", "bad records were passed over"),
        ("empty", "texts were empty"),
        ("repeated", "texts were there before with the same label"),
        ("in_two_labels", "texts were there before with another label"),
    ] {
        if records[key].as_u64() != Some(0) {
            println!("{} {what}", records[key]);
        }
    }
    for record in bad {
        println!("  {record}");
    }
    if report.documents == 0 {
        println!("nothing was held out, so nothing was measured");
        return;
    }
    println!("\n{} documents were held out; right: {}", report.documents, number(report.accuracy));
    println!(
        "{:<24} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "label", "documents", "precision", "recall", "F1", "ROC AUC"
    );
    for label in &report.labels {
        println!(
            "{:<24} {:>9} {:>9} {:>9} {:>9} {:>9}",
            label.label,
            label.documents,
            number(label.precision),
            number(label.recall),
            number(label.f1),
            number(label.roc_auc)
        );
    }
    let wanted = format!("__label__{}", super::POSITIVE);
    let has_wanted = report.labels.iter().any(|label| label.label == wanted);
    for label in report.labels.iter().filter(|label| !has_wanted || label.label == wanted) {
        println!("\nkeeping texts by `{}`:", label.label);
        println!(
            "{:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "min_score", "kept", "right", "wrong", "missed", "dropped", "precision", "recall"
        );
        for limit in &label.limits {
            println!(
                "{:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
                limit.min_score,
                number(limit.kept),
                limit.true_positives,
                limit.false_positives,
                limit.false_negatives,
                limit.true_negatives,
                number(limit.precision),
                number(limit.recall)
            );
        }
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}
