//! Killed runs go on, and write what an undisturbed run writes.

use std::path::Path;
use std::time::{Duration, Instant};

use super::support::{assert_same_outputs, run, run_pipeline, stderr, tamis};

const QUICKSTART: &str = "pipelines/quickstart.yaml";

/// A number that differs from call to call and from run to run of the test: when to kill is meant to be
/// any moment.
fn jitter(round: u64, limit: u128) -> u128 {
    let nanos =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    (nanos ^ u128::from(round.wrapping_mul(0x9E37_79B9_7F4A_7C15))) % limit
}

#[test]
fn a_run_killed_at_random_moments_writes_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (calm, killed) = (folder.path().join("calm"), folder.path().join("killed"));
    let started = Instant::now();
    run_pipeline(QUICKSTART, &calm, &[]);
    let whole = started.elapsed();
    let mut kills = 0;
    for round in 0..200 {
        let mut child = tamis()
            .args(["run", QUICKSTART, "--run-dir"])
            .arg(&killed)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the program starts");
        let wait = jitter(round, whole.as_millis().max(2));
        let until = Instant::now() + Duration::from_millis(u64::try_from(wait).expect("fits"));
        while Instant::now() < until && child.try_wait().expect("child is ours").is_none() {
            std::thread::yield_now();
        }
        let finished = child.try_wait().expect("child is ours").is_some();
        if !finished {
            child.kill().expect("child is ours");
            kills += 1;
        }
        child.wait().expect("child is ours");
        if kills == 6 {
            break;
        }
        if finished {
            // It was faster than the killer: begin anew.
            std::fs::remove_dir_all(&killed).expect("run is removable");
        }
    }
    run_pipeline(QUICKSTART, &killed, &[]);
    assert!(kills == 6, "only {kills} runs lasted long enough to be killed");
    assert_same_outputs(&calm, &killed);
}

#[test]
fn a_dump_against_an_earlier_run_survives_kills() {
    const SIGNATURES: &str = "stages.minhash_dedup.keep_signatures=true";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [old, calm, killed] = ["old", "calm", "killed"].map(|name| folder.path().join(name));
    let options = |run: &Path| {
        vec![
            "--set".to_owned(),
            SIGNATURES.to_owned(),
            "--set".to_owned(),
            format!("stages.minhash_dedup.against={}", run.display()),
        ]
    };
    run_pipeline(QUICKSTART, &old, &["--set", SIGNATURES]);
    let started = Instant::now();
    let options = options(&old);
    let more: Vec<&str> = options.iter().map(String::as_str).collect();
    let output = run_pipeline(QUICKSTART, &calm, &more);
    let whole = started.elapsed();
    // The same crawl again: everything that stayed then goes now.
    assert!(super::support::stdout(&output).contains("not one document was kept"));
    let mut kills = 0;
    for round in 0..60 {
        let mut child = tamis()
            .args(["run", QUICKSTART, "--run-dir"])
            .arg(&killed)
            .args(&more)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the program starts");
        let wait = jitter(round + 1000, whole.as_millis().max(2));
        let until = Instant::now() + Duration::from_millis(u64::try_from(wait).expect("fits"));
        while Instant::now() < until && child.try_wait().expect("child is ours").is_none() {
            std::thread::yield_now();
        }
        if child.try_wait().expect("child is ours").is_some() {
            std::fs::remove_dir_all(&killed).expect("run is removable");
        } else {
            child.kill().expect("child is ours");
            kills += 1;
        }
        child.wait().expect("child is ours");
        if kills == 4 {
            break;
        }
    }
    run_pipeline(QUICKSTART, &killed, &more);
    assert!(kills == 4, "only {kills} runs lasted long enough to be killed");
    assert_same_outputs(&calm, &killed);
}

#[test]
fn tasks_run_one_by_one_write_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, single) = (folder.path().join("whole"), folder.path().join("single"));
    run_pipeline(QUICKSTART, &whole, &["--set", "output.keep_work=true"]);
    std::fs::create_dir_all(&single).expect("folder is writable");
    std::fs::copy(whole.join("plan.json"), single.join("plan.json")).expect("plan is there");
    for (pass, tasks) in passes(&whole) {
        for task in (0..tasks).rev() {
            let output =
                run(&["task", &single.to_string_lossy(), "--pass", &pass, "--task", &task.to_string()]);
            assert_eq!(output.status.code(), Some(0), "{pass} {task}: {}", stderr(&output));
        }
    }
    run_pipeline(QUICKSTART, &single, &["--set", "output.keep_work=true"]);
    assert_same_outputs(&whole, &single);
}

/// Passes of a finished run in order, with the number of their tasks.
fn passes(run_dir: &Path) -> Vec<(String, u32)> {
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(run_dir.join("report.json")).expect("report is there"))
            .expect("JSON");
    let list = report["passes"].as_array().expect("report.json lists the passes");
    let pass = |pass: &serde_json::Value| {
        let tasks = pass["tasks"].as_u64().and_then(|n| u32::try_from(n).ok()).expect("a number of tasks");
        (pass["name"].as_str().expect("a name").to_owned(), tasks)
    };
    list.iter().map(pass).collect()
}

#[test]
fn a_task_out_of_turn_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, single) = (folder.path().join("whole"), folder.path().join("single"));
    run_pipeline(QUICKSTART, &whole, &[]);
    std::fs::create_dir_all(&single).expect("folder is writable");
    std::fs::copy(whole.join("plan.json"), single.join("plan.json")).expect("plan is there");
    let refused = run(&["task", &single.to_string_lossy(), "--pass", "02-apply", "--task", "0"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("comes first"), "{}", stderr(&refused));
    let unknown = run(&["task", &single.to_string_lossy(), "--pass", "02-aply", "--task", "0"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("`02-apply`"), "{}", stderr(&unknown));
}
