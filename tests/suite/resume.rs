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

/// Runs a pipeline, kills it at random moments so many times, and lets it finish. `whole` is how long it takes undisturbed.
fn run_with_kills(pipeline: &str, killed: &Path, more: &[&str], whole: Duration, kills: u32) {
    let mut done = 0;
    for round in 0..200 {
        let mut child = tamis()
            .args(["run", pipeline, "--run-dir"])
            .arg(killed)
            .args(more)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the program starts");
        let wait = jitter(round, whole.as_millis().max(2));
        let until = Instant::now() + Duration::from_millis(u64::try_from(wait).expect("fits"));
        while Instant::now() < until && child.try_wait().expect("child is ours").is_none() {
            std::thread::yield_now();
        }
        if child.try_wait().expect("child is ours").is_some() {
            // It was faster than the killer: begin anew.
            std::fs::remove_dir_all(killed).expect("run is removable");
        } else {
            child.kill().expect("child is ours");
            done += 1;
        }
        child.wait().expect("child is ours");
        if done == kills {
            break;
        }
    }
    run_pipeline(pipeline, killed, more);
    assert!(done == kills, "only {done} runs lasted long enough to be killed");
}

#[test]
fn a_run_killed_at_random_moments_writes_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (calm, killed) = (folder.path().join("calm"), folder.path().join("killed"));
    let started = Instant::now();
    run_pipeline(QUICKSTART, &calm, &[]);
    run_with_kills(QUICKSTART, &killed, &[], started.elapsed(), 6);
    assert_same_outputs(&calm, &killed);
}

#[test]
fn every_way_of_deduplication_survives_kills() {
    const STAGES: &str = "  - line_dedup: { min_chars: 30 }\n  - substring_dedup: { min_bytes: 30 }\n  \
                          - sentence_dedup: { min_words: 5, min_sentences: 1 }\n  \
                          - exact_dedup: { keep: longest }\n  - minhash_dedup: { ngram_words: 2 }\n";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (calm, killed) = (folder.path().join("calm"), folder.path().join("killed"));
    let yaml = super::span_dedup::pipeline(folder.path(), STAGES);
    let started = Instant::now();
    run_pipeline(&yaml, &calm, &[]);
    run_with_kills(&yaml, &killed, &["--threads", "2", "--memory", "256MiB"], started.elapsed(), 6);
    assert_same_outputs(&calm, &killed);
}

#[test]
fn a_selection_of_a_crawl_survives_kills() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (calm, killed) = (folder.path().join("calm"), folder.path().join("killed"));
    let yaml = super::common_crawl::pipeline(folder.path());
    let started = Instant::now();
    run_pipeline(&yaml, &calm, &[]);
    run_with_kills(&yaml, &killed, &["--threads", "2"], started.elapsed(), 6);
    assert_same_outputs(&calm, &killed);
}

#[test]
fn a_dump_against_an_earlier_run_survives_kills() {
    const SIGNATURES: &str = "stages.minhash_dedup.keep_signatures=true";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [old, calm, killed] = ["old", "calm", "killed"].map(|name| folder.path().join(name));
    run_pipeline(QUICKSTART, &old, &["--set", SIGNATURES]);
    let started = Instant::now();
    let against = format!("stages.minhash_dedup.against={}", old.display());
    let more = ["--set", SIGNATURES, "--set", &against];
    let output = run_pipeline(QUICKSTART, &calm, &more);
    let whole = started.elapsed();
    // The same crawl again: everything that stayed then goes now.
    assert!(super::support::stdout(&output).contains("not one document was kept"));
    run_with_kills(QUICKSTART, &killed, &more, whole, 4);
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

/// Invented text that takes a while to learn from, the same every time.
fn trusted_text(lines: u32) -> String {
    let mut state = 1_u32;
    let mut next = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let mut text = String::new();
    for _ in 0..lines {
        for _ in 0..20 {
            // Few words are frequent, most are rare.
            let rank = next(200) * next(200);
            text.push('w');
            text.push_str(&rank.to_string());
            text.push(' ');
        }
        text.push('\n');
    }
    text
}

#[test]
fn a_run_killed_while_it_trains_a_model_writes_the_same_bytes() {
    const KILLS: usize = 4;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [calm, killed] = ["calm", "killed"].map(|name| folder.path().join(name));
    let (text, yaml) = (folder.path().join("trusted.txt"), folder.path().join("pipeline.yaml"));
    std::fs::write(&text, trusted_text(20_000)).expect("folder is writable");
    let pipeline = format!(
        "name: trained\n\
         input:\n\
         - jsonl: {{ paths: [fixtures/crawl/documents.jsonl] }}\n\
         stages:\n\
         - perplexity: {{ train_from: {{ text: {}, order: 4 }}, tokens: words }}\n",
        text.display()
    );
    std::fs::write(&yaml, pipeline).expect("folder is writable");
    let yaml = yaml.to_string_lossy().into_owned();
    let start = |run_dir: &Path| {
        let mut child = tamis()
            .args(["run", &yaml, "--run-dir"])
            .arg(run_dir)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the program starts");
        // The plan is written before the first pass, which trains.
        while !run_dir.join("plan.json").exists() && child.try_wait().expect("child is ours").is_none() {
            std::thread::yield_now();
        }
        child
    };
    let trained = |run_dir: &Path| run_dir.join("models/perplexity/model.json").exists();

    let mut child = start(&calm);
    let started = Instant::now();
    while !trained(&calm) && child.try_wait().expect("child is ours").is_none() {
        std::thread::yield_now();
    }
    let training = started.elapsed();
    assert!(child.wait().expect("child is ours").success());
    assert!(trained(&calm), "the model stays in the run directory");

    let mut kills = 0;
    for round in 0..100 {
        let mut child = start(&killed);
        let wait = jitter(round + 2000, training.as_micros().max(2));
        let until = Instant::now() + Duration::from_micros(u64::try_from(wait).expect("fits"));
        while Instant::now() < until && !trained(&killed) {
            std::thread::yield_now();
        }
        child.kill().expect("child is ours");
        child.wait().expect("child is ours");
        if trained(&killed) {
            // It was faster than the killer: begin anew.
            std::fs::remove_dir_all(&killed).expect("run is removable");
        } else {
            kills += 1;
        }
        if kills == KILLS {
            break;
        }
    }
    assert!(kills == KILLS, "only {kills} runs were killed while they trained");
    run_pipeline(&yaml, &killed, &[]);
    assert_same_outputs(&calm, &killed);
}
