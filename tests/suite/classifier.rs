//! A classifier from training to the corpus: trained by the command, used by a run, its best share kept.

use super::support::{StringColumns, assert_same_outputs, root, run, stderr};

const PIPELINE: &str = "name: best
input:
  - jsonl: { paths: [fixtures/crawl/documents.jsonl] }
stages:
  - classifier: { model: MODEL, min_score: 0.6 }
  - classifier: { model: MODEL, label: cc, pareto_alpha: 0.2, seed: 7 }
  - top_ratio: { score: classifier.score, keep_ratio: 0.5 }
  - top_ratio: { score: classifier-2.score, keep_ratio: 0.9, best: lowest, within: source }
";

fn train(folder: &std::path::Path, threads: &str) -> String {
    let model = folder.join(format!("model-{threads}.bin")).to_string_lossy().into_owned();
    let files = |name: &str| root().join("fixtures/models/quality").join(name).to_string_lossy().into_owned();
    let output = run(&[
        "classifier",
        "train",
        "--positive",
        &files("hq.txt"),
        "--negative",
        &files("cc.txt"),
        "--dim",
        "40",
        "--epoch",
        "30",
        "--minn",
        "3",
        "--maxn",
        "4",
        "--bucket",
        "500",
        "--lr",
        "0.5",
        "--threads",
        threads,
        "--output",
        &model,
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    model
}

#[test]
fn a_trained_model_decides_what_a_run_keeps() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (model, again) = (train(folder.path(), "1"), train(folder.path(), "2"));
    let read = |path: &str| std::fs::read(path).expect("a model");
    assert!(read(&model) == read(&again), "one and two threads train different models");
    let pipeline = folder.path().join("best.yaml");
    std::fs::write(&pipeline, PIPELINE.replace("MODEL", &model)).expect("a writable folder");
    let pipeline = pipeline.to_string_lossy();
    let runs: Vec<_> = ["1", "4"]
        .map(|threads| {
            let run_dir = folder.path().join(format!("run-{threads}"));
            let dir = run_dir.to_string_lossy().into_owned();
            let output = run(&["run", &pipeline, "--run-dir", &dir, "--threads", threads]);
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            run_dir
        })
        .into();
    assert_same_outputs(&runs[0], &runs[1]);
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(runs[0].join("report.json")).expect("a report")).expect("JSON");
    let stage = |name: &str| {
        let stages = report["stages"].as_array().expect("stages");
        stages.iter().find(|stage| stage["name"] == name).unwrap_or_else(|| panic!("no `{name}`")).clone()
    };
    let number = |stage: &serde_json::Value, key: &str| stage[key].as_u64().expect("a count");
    let (first, second, best) = (stage("classifier"), stage("classifier-2"), stage("top_ratio"));
    assert!(number(&first, "docs_in") > 20 && number(&first, "docs_in") > number(&first, "docs_out"));
    assert!(number(&second, "docs_in") > number(&second, "docs_out"));
    assert_eq!(number(&best, "docs_in"), number(&second, "docs_out"));
    // Half of them, rounded up; more only where scores are equal.
    let half = number(&best, "docs_in").div_ceil(2);
    assert!((half..half + 3).contains(&number(&best, "docs_out")), "{best}");
    let rejects = StringColumns::read(&runs[0].join("rejects"), &["stage", "reason"]);
    for (stage, reason) in [
        ("classifier", "low_classifier_score"),
        ("classifier-2", "not_sampled"),
        ("top_ratio", "below_top_ratio"),
        ("top_ratio-2", "below_top_ratio"),
    ] {
        assert!(rejects.iter().any(|row| row[0] == stage && row[1] == reason), "no {stage}/{reason}");
    }
    // A share is no duplicate.
    assert!(!runs[0].join("duplicates").read_dir().is_ok_and(|mut entries| entries.next().is_some()));
}
