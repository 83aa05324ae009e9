//! Runs over a crawl with Common Crawl's layout: the bundled one, whose lists and index name its files.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::store::{Faults, Options, Store};
use super::support::{
    StringColumns, assert_same_outputs, outputs, root, run, run_pipeline, stderr, stdout, tamis,
};

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
fn a_run_does_not_go_on_with_another_selection() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let yaml = pipeline(folder.path());
    let run_dir = folder.path().join("run").to_string_lossy().into_owned();
    let plan = |more: &[&str]| run(&[&["run", &yaml, "--run-dir", &run_dir], more].concat());
    assert_eq!(plan(&[]).status.code(), Some(0));
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

/// The bundled crawl on a web server.
fn served(faults: Faults) -> Store {
    let options =
        Options { buckets: vec!["cc".to_owned()], anonymous: true, seed: 20_261_130, ..Options::default() };
    let store = Store::start(options);
    let crawl = root().join("fixtures/crawl");
    for file in outputs(&crawl) {
        store.put("cc", &file.0.to_string_lossy(), &file.1);
    }
    store.set(|current| *current = faults);
    store
}

/// The pipeline of [`write`], with the crawl at this server.
fn from_server(folder: &Path, store: &Store) -> String {
    let local = pipeline(folder);
    let text = std::fs::read_to_string(&local).expect("it was written");
    let there = format!("base: {}/cc, max_requests_per_sec: 20", store.url());
    std::fs::write(&local, text.replace("base: fixtures/crawl", &there)).expect("folder is writable");
    local
}

#[test]
fn a_server_that_cuts_and_fails_gives_the_same_documents_at_a_polite_pace() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [here, there] = ["here", "there"].map(|name| folder.path().join(name));
    run_pipeline(&pipeline(folder.path()), &here, &[]);
    let store = served(Faults { cut: 0.2, wrong_length: 0.1, fail: 0.25, ..Faults::default() });
    let yaml = from_server(folder.path(), &store);
    run_pipeline(&yaml, &there, &[]);
    let plain = |run_dir: &Path| -> BTreeSet<Vec<String>> {
        StringColumns::read(&run_dir.join("corpus"), &["url", "id", "text"]).into_iter().collect()
    };
    assert!(
        plain(&here).len() > 60 && plain(&here) == plain(&there),
        "the same documents, with the same ids"
    );
    let log = store.log();
    assert!(log.iter().any(|request| request.status == 500), "there was trouble");
    for pair in log.windows(2) {
        let after = pair[1].at.duration_since(pair[0].at + pair[0].took);
        // Two clocks, and a request that was on its way.
        let least = if pair[0].status == 500 { 950 } else { 30 };
        assert!(after >= Duration::from_millis(least), "{after:?} after {:?}: {:?}", pair[0], pair[1]);
    }
    // The run goes on with another pace, which is no other plan.
    run_pipeline(&yaml, &there, &["--set", "input.cc.max_requests_per_sec=50"]);
}

#[test]
fn what_a_server_sends_in_place_of_a_file_is_never_a_page() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = served(Faults { forbid: Some("pages-00001".to_owned()), ..Faults::default() });
    let yaml = from_server(folder.path(), &store);
    let run_dir = folder.path().join("run");
    let refused = || {
        let mut command = tamis();
        command.args(["run", &yaml, "--run-dir"]).arg(&run_dir).env("TAMIS_STORE_RETRY_SECS", "2");
        let output = command.output().expect("the program starts");
        (output.status.code(), stderr(&output))
    };
    let (code, message) = refused();
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("403") && message.contains("max_requests_per_sec"), "{message}");
    store.set(|faults| *faults = Faults { html_error: 1.0, ..Faults::default() });
    let (code, message) = refused();
    assert_eq!(code, Some(2), "{message}");
    store.set(|faults| *faults = Faults::default());
    assert_eq!(refused().0, Some(0), "what was done before stays");
}
