//! Runs over a crawl with Common Crawl's layout: the bundled one, whose lists and index name its files.

use std::collections::BTreeSet;
use std::path::Path;

use super::support::{StringColumns, assert_same_outputs, root, run, run_pipeline, stderr, stdout};

/// Two inputs: chosen pages of the WARC files, and the WET file.
pub(crate) fn pipeline(folder: &Path) -> String {
    write(folder, "select: { languages: [zho, deu], mime_types: [text/html] }, ")
}

fn write(folder: &Path, select: &str) -> String {
    let path = folder.join("cc.yaml");
    let text = format!(
        "name: cc\ninput:\n  - cc: {{ {select}crawl: CC-MAIN-2026-40, base: fixtures/crawl }}\n  \
         - cc: {{ crawl: CC-MAIN-2026-40, kind: wet, base: fixtures/crawl, source: texts }}\n\
         stages:\n  - extract\n  - exact_dedup\n"
    );
    std::fs::write(&path, text).expect("folder is writable");
    path.to_string_lossy().into_owned()
}

/// Input file, address, id and text of all documents that were kept.
fn kept(run_dir: &Path) -> BTreeSet<Vec<String>> {
    StringColumns::read(&run_dir.join("corpus"), &["file", "url", "id", "text"]).into_iter().collect()
}

/// Addresses of the pages of one of the WARC files that the generator made in one of these languages.
fn made(languages: &[&str]) -> BTreeSet<String> {
    let text =
        std::fs::read_to_string(root().join("fixtures/crawl/manifest.tsv")).expect("manifest is there");
    let cells = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
    let wanted = |row: &Vec<String>| row[0].starts_with("pages-") && languages.contains(&row[3].as_str());
    text.lines().map(cells).filter(wanted).map(|row| row[2].clone()).collect()
}

#[test]
fn a_selection_has_the_documents_of_a_whole_read_on_any_number_of_threads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [one, two, whole] = ["one", "two", "whole"].map(|name| folder.path().join(name));
    let yaml = pipeline(folder.path());
    run_pipeline(&yaml, &one, &["--threads", "1"]);
    run_pipeline(&yaml, &two, &["--threads", "2"]);
    assert_same_outputs(&one, &two);
    let everything = write(folder.path(), "");
    run_pipeline(&everything, &whole, &[]);

    let (some, all) = (kept(&one), kept(&whole));
    let chosen = made(&["zh", "de"]);
    let found: BTreeSet<String> =
        some.iter().filter(|row| row[0].contains("pages-")).map(|row| row[1].clone()).collect();
    assert!(chosen.len() > 30 && found.is_subset(&chosen), "{} {}", chosen.len(), found.len());
    let same: BTreeSet<Vec<String>> =
        all.iter().filter(|row| chosen.contains(&row[1]) || row[0].contains("text-")).cloned().collect();
    // What was a copy of a page that was not chosen may stay now.
    assert!(same.is_subset(&some) && same.len() > 60, "{} of {}", same.len(), some.len());

    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(one.join("report.json")).expect("report is there"))
            .expect("JSON");
    assert_eq!(report["read"]["quarantine"], serde_json::json!({}), "{report}");
    assert_eq!(
        (&report["inputs"][0]["files"], &report["inputs"][0]["bytes"]),
        (&2.into(), &serde_json::Value::Null)
    );
    assert!(report["inputs"][1]["bytes"].as_u64() > Some(10_000), "{}", report["inputs"]);
}

#[test]
fn a_run_goes_on_with_another_pace_but_not_with_another_selection() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let yaml = pipeline(folder.path());
    let run_dir = folder.path().join("run").to_string_lossy().into_owned();
    let plan = |more: &[&str]| run(&[&["run", &yaml, "--run-dir", &run_dir], more].concat());
    assert_eq!(plan(&[]).status.code(), Some(0));
    assert_eq!(plan(&["--set", "input.cc.max_requests_per_sec=0.5"]).status.code(), Some(0));
    let json = std::fs::read_to_string(Path::new(&run_dir).join("plan.json")).expect("a plan");
    assert!(json.contains("\"max_requests_per_sec\": 0.5"), "{json}");
    let other = plan(&["--set", "input.cc.select.languages=[spa]"]);
    assert!(other.status.code() == Some(2) && stderr(&other).contains("another plan"), "{}", stderr(&other));
}

#[test]
fn the_plan_names_the_passes_of_a_selection() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let yaml = pipeline(folder.path());
    let output = run(&["plan", &yaml]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for line in
        ["cc: 2 files, size not known", "cc-select", "1 task: index of the crawl >", "cc-ranges", "00-read"]
    {
        assert!(text.contains(line), "{text}");
    }
    let output = run(&["lm", "train", "--input", &yaml, "--output", "nowhere.arpa"]);
    assert!(output.status.code() == Some(2), "{}", stderr(&output));
}
