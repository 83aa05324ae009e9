//! Odd run directories: foreign files, missing or changed plans, damaged records, scratch left by a kill.

use std::path::{Path, PathBuf};

use super::support::{assert_same_outputs, run, run_pipeline, stderr, stdout, tamis};

/// A small pipeline in `folder`.
fn pipeline(folder: &Path) -> String {
    let path = folder.join("small.yaml");
    let text =
        "name: small\ninput:\n- jsonl: { paths: [fixtures/crawl/documents.jsonl] }\nstages: [exact_dedup]\n";
    std::fs::write(&path, text).expect("pipeline is writable");
    path.to_string_lossy().into_owned()
}

fn write(path: PathBuf) -> PathBuf {
    std::fs::create_dir_all(path.parent().expect("below a folder")).expect("folder is writable");
    std::fs::write(&path, "").expect("file is writable");
    path
}

/// Runs the pipeline into `run_dir` and expects a refusal.
fn refused(pipeline: &str, run_dir: &Path, code: i32, message: &str) {
    let output =
        tamis().args(["run", pipeline, "--run-dir"]).arg(run_dir).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    assert!(stderr(&output).contains(message), "{}", stderr(&output));
}

#[test]
fn only_leftovers_of_our_own_are_removed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run_dir = folder.path().join("run");
    let foreign = [run_dir.join("film.partial"), run_dir.join("mine/a.parquet.12.partial")].map(write);
    let ours = write(run_dir.join("corpus/x.parquet.12.partial"));
    std::fs::remove_dir_all(run_dir.join("corpus")).expect("removable");
    run_pipeline(&pipeline(folder.path()), &run_dir, &[]);
    write(ours.clone());
    run_pipeline(&pipeline(folder.path()), &run_dir, &[]);
    assert!(!ours.exists());
    assert!(foreign.iter().all(|path| path.exists()), "a file that is not ours was removed");
}

#[test]
fn outputs_without_a_plan_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run_dir = folder.path().join("run");
    let small = pipeline(folder.path());
    run_pipeline(&small, &run_dir, &[]);
    let plan = run_dir.join("plan.json");
    let text = std::fs::read_to_string(&plan).expect("plan is there");
    let changed = text.replacen("\"max_bad_ratio\": 0.2", "\"max_bad_ratio\": 0.9", 1);
    assert_ne!(changed, text);
    std::fs::write(&plan, changed).expect("plan is writable");
    refused(&small, &run_dir, 2, "was changed after the run was planned");
    let task = run(&["task", &run_dir.to_string_lossy(), "--pass", "00-read", "--task", "0"]);
    assert_eq!(task.status.code(), Some(2), "{}", stderr(&task));
    std::fs::write(&plan, text.replacen("\"format\": ", "\"format\": 9", 1)).expect("plan is writable");
    refused(&small, &run_dir, 2, "another version of tamis");
    std::fs::write(&plan, "").expect("plan is writable");
    refused(&small, &run_dir, 1, "or remove this one");
    std::fs::remove_file(&plan).expect("plan is there");
    refused(&small, &run_dir, 2, "has no plan.json, but `corpus`");
}

#[test]
fn a_damaged_record_says_what_to_do_and_that_helps() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, hurt) = (folder.path().join("whole"), folder.path().join("hurt"));
    let small = pipeline(folder.path());
    let keep = ["--set", "output.keep_work=true"];
    for run_dir in [&whole, &hurt] {
        run_pipeline(&small, run_dir, &keep);
    }
    std::fs::remove_dir_all(hurt.join("work/done/run")).expect("record is there");
    for record in ["work/done/00-read/000000.json", "work/00-read/parts/000000-00000.json"] {
        std::fs::remove_file(hurt.join("work/done/00-read/000000.json")).ok();
        write(hurt.join(record));
        let output =
            tamis().args(["run", &small, "--run-dir"]).arg(&hurt).args(keep).output().expect("starts");
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("remove this file and start again"), "{}", stderr(&output));
        std::fs::remove_file(hurt.join(record)).expect("record is there");
    }
    run_pipeline(&small, &hurt, &keep);
    assert_same_outputs(&whole, &hurt);
}

#[test]
fn scratch_that_a_kill_left_behind_goes_at_the_next_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run_dir = folder.path().join("run");
    let small = pipeline(folder.path());
    run_pipeline(&small, &run_dir, &[]);
    let left = write(run_dir.join("work/00-read/docs/000000-00000.docs"));
    run_pipeline(&small, &run_dir, &[]);
    assert!(!left.exists());
}

#[test]
fn every_line_of_a_json_log_is_json() {
    for args in [
        &["--log-format", "json", "run", "--no-such-option"][..],
        &["--log-format=json", "validate", "fixtures/bad_pipelines/many_mistakes.yaml"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2));
        for line in stderr(&output).lines() {
            let event: serde_json::Value = serde_json::from_str(line).expect("a JSON line");
            assert_eq!(event["event"], "error");
        }
    }
}

#[test]
fn status_tells_what_is_done_and_what_failed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("small.yaml");
    let text = "name: small\ninput:\n- jsonl: { paths: [fixtures/crawl/documents.jsonl] }\nstages: [exact_dedup]\n\
                output: { keep_work: true }\n";
    std::fs::write(&path, text).expect("pipeline is writable");
    let run_dir = folder.path().join("run");
    run_pipeline(&path.to_string_lossy(), &run_dir, &[]);
    let dir = run_dir.to_string_lossy().into_owned();
    let status = || stdout(&run(&["status", &dir]));
    assert!(status().contains("the run is finished"), "{}", status());

    // As if the machine that had the task had lost a file.
    let pass = "01-exact_dedup-group";
    std::fs::remove_dir_all(run_dir.join("work/done/run")).expect("removable");
    std::fs::remove_file(run_dir.join("work/done").join(pass).join("000000.json")).expect("a record");
    let parts = run_dir.join("work/01-exact_dedup/parts.run");
    let kept = std::fs::read(&parts).expect("parts");
    std::fs::remove_file(&parts).expect("removable");
    let task = || run(&["task", &dir, "--pass", pass, "--task", "0"]);
    assert_eq!(task().status.code(), Some(1));
    let shown = status();
    let line = shown.lines().find(|line| line.starts_with(pass)).expect("a line").to_owned();
    assert_eq!(line.split_whitespace().skip(1).take(4).collect::<Vec<_>>(), ["1", "0", "0", "1"], "{shown}");
    assert!(shown.contains(&format!("task 0 of {pass} failed: cannot open")), "{shown}");
    let json = stdout(&run(&["--log-format", "json", "status", &dir]));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["finished"], &json["passes"][0]["done"]), (&false.into(), &1.into()));

    // As if a worker elsewhere had begun with it again; once it is done, whoever did it, nobody works on it.
    let running = run_dir.join("work/running").join(pass);
    std::fs::create_dir_all(&running).expect("writable");
    std::fs::write(running.join("000000.json"), "{\"machine\": \"elsewhere\", \"process\": 7}")
        .expect("writable");
    let row = |text: String| {
        let line = text.lines().find(|line| line.starts_with(pass)).expect("a line");
        line.split_whitespace().skip(1).map(str::to_owned).take(3).collect::<Vec<_>>()
    };
    assert_eq!(row(status()), ["1", "0", "1"]);
    std::fs::write(&parts, kept).expect("writable");
    assert_eq!(task().status.code(), Some(0));
    assert_eq!(row(status()), ["1", "1", "0"]);
    assert!(!status().contains("failed: "), "{}", status());
    let none = run(&["status", &folder.path().to_string_lossy()]);
    assert_eq!(none.status.code(), Some(2), "{}", stderr(&none));
}
