//! Lines and sentences that repeat: the whole way through a pipeline, with what is on record of it.

use std::path::Path;

use super::support::{StringColumns, assert_same_outputs, run, run_pipeline, stderr, stdout};

/// Lines that every page of a made site has, and lines of its own.
fn page(number: usize) -> String {
    let letters: String =
        format!("{number:04}").bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
    let own =
        ["a", "b", "c", "d"].map(|line| format!("The gate of {letters}{line} was open at noon. ")).concat();
    let stock = "Welcome to the garden diary.\nUse the links above to find other years.";
    let quote = "Rain came late that year. The beans did not mind. Nobody else was pleased.";
    format!(
        "{stock}\nDiary of {letters}, page {letters}.\n{own}{letters}. {quote} That was {letters}.\nContact the keeper"
    )
}

pub(crate) fn pipeline(folder: &Path, stages: &str) -> String {
    let mut paths = Vec::new();
    for file in 0..3 {
        let lines: String = (0..200)
            .map(|n| {
                let number = file * 200 + n;
                serde_json::json!({"id": format!("p{number}"), "text": page(number)}).to_string() + "\n"
            })
            .collect();
        let path = folder.join(format!("pages-{file}.jsonl"));
        std::fs::write(&path, lines).expect("folder is writable");
        paths.push(path.display().to_string());
    }
    let yaml = folder.join("pipeline.yaml");
    let text =
        format!("name: spans\ninput:\n  - jsonl: {{ paths: [{}] }}\nstages:\n{stages}", paths.join(", "));
    std::fs::write(&yaml, text).expect("folder is writable");
    yaml.display().to_string()
}

const STAGES: &str = "  - line_dedup\n  - sentence_dedup: { min_words: 5, min_sentences: 1 }\n";
/// What comes before the letters of a page stands in all of them.
const SUBSTRINGS: &str = "  - substring_dedup: { min_bytes: 20 }\n";

#[test]
fn cuts_leave_the_rest_and_a_record() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let yaml = pipeline(folder.path(), STAGES);
    let run_dir = folder.path().join("run");
    run_pipeline(&yaml, &run_dir, &[]);
    let corpus = StringColumns::read(&run_dir.join("corpus"), &["id", "text"]);
    assert_eq!(corpus.len(), 600);
    assert_eq!(corpus[0][1], page(0), "the first page keeps all");
    for row in &corpus[1..] {
        let text = &row[1];
        assert!(text.starts_with("Diary of ") && text.ends_with('.'), "{text}");
        assert!(!text.contains("Welcome") && !text.contains("keeper"), "{text}");
        assert!(!text.contains("The beans did not mind"), "{text}");
    }
    let cuts = StringColumns::read(&run_dir.join("cuts"), &["id", "stage", "first_id", "text"]);
    let of_page: Vec<&[String]> = cuts.iter().filter(|row| row[0] == "p7").map(|row| &row[1..]).collect();
    let stock = "Welcome to the garden diary.\nUse the links above to find other years.";
    assert_eq!(of_page[0], ["line_dedup", "p0", stock]);
    assert_eq!(of_page[1], ["line_dedup", "p0", "Contact the keeper"]);
    assert_eq!(of_page[2][..2], ["sentence_dedup", "p0"]);
    assert!(of_page[2][2].contains("The beans did not mind"), "{of_page:?}");
    let said = stdout(&run(&["explain", &run_dir.to_string_lossy(), "p7"]));
    assert!(said.contains("line_dedup, first in p0: Welcome"), "{said}");
}

#[test]
fn stretches_go_that_stand_in_earlier_pages() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let yaml = pipeline(folder.path(), SUBSTRINGS);
    let run_dir = folder.path().join("run");
    run_pipeline(&yaml, &run_dir, &[]);
    let corpus = StringColumns::read(&run_dir.join("corpus"), &["id", "text"]);
    assert_eq!(corpus.len(), 600);
    // Page 0 has itself to repeat: the gate of its second line is that of its first.
    assert!(corpus[0][1].starts_with("Welcome to the garden diary.\nUse the links"));
    for row in &corpus[1..] {
        let text = &row[1];
        assert!(!text.contains("Welcome") && !text.contains("was open at noon. The gate"), "{text}");
    }
    let cuts = StringColumns::read(&run_dir.join("cuts"), &["id", "stage", "first_id", "text"]);
    let of_page: Vec<&[String]> = cuts.iter().filter(|row| row[0] == "p7").map(|row| &row[1..]).collect();
    assert_eq!(of_page[0][..2], ["substring_dedup", "p0"]);
    assert!(of_page[0][2].starts_with("Welcome to the garden diary.\n"), "{of_page:?}");
    let said = stdout(&run(&["explain", &run_dir.to_string_lossy(), "p7"]));
    assert!(said.contains("substring_dedup, first in p0: Welcome"), "{said}");
}

#[test]
fn threads_memory_and_single_tasks_change_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let yaml = pipeline(folder.path(), &[STAGES, SUBSTRINGS].concat());
    let one = folder.path().join("one");
    run_pipeline(&yaml, &one, &["--threads", "1", "--memory", "1GiB", "--set", "output.keep_work=true"]);
    let many = folder.path().join("many");
    run_pipeline(&yaml, &many, &["--threads", "8", "--memory", "256MiB", "--set", "output.keep_work=true"]);
    assert_same_outputs(&one, &many);
    // As after a kill between tasks: each runs in a process of its own, the last of a pass first.
    let single = folder.path().join("single");
    std::fs::create_dir_all(&single).expect("folder is writable");
    std::fs::copy(one.join("plan.json"), single.join("plan.json")).expect("plan is there");
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(one.join("report.json")).expect("report")).expect("JSON");
    for pass in report["passes"].as_array().expect("passes") {
        let name = pass["name"].as_str().expect("a name");
        for task in (0..pass["tasks"].as_u64().expect("tasks")).rev() {
            let output =
                run(&["task", &single.to_string_lossy(), "--pass", name, "--task", &task.to_string()]);
            assert_eq!(output.status.code(), Some(0), "{name} {task}: {}", stderr(&output));
        }
    }
    run_pipeline(&yaml, &single, &["--set", "output.keep_work=true"]);
    assert_same_outputs(&one, &single);
}
