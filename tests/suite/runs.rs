//! Whole runs over the bundled crawl: what is written, and that it is the same every time.

use std::collections::{BTreeMap, BTreeSet};

use super::support::{StringColumns, assert_same_outputs, root, run, run_pipeline, stderr, stdout, tamis};

const QUICKSTART: &str = "pipelines/quickstart.yaml";

fn temp() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn json(path: &std::path::Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).expect("file is readable")).expect("file is JSON")
}

/// A row of the generator's manifest.
struct Page {
    file: String,
    url: String,
    language: String,
    kind: String,
    detail: String,
    dup_of: String,
}

impl Page {
    /// Similarity to the page that it was made from, as the generator measured it.
    fn jaccard(&self) -> f64 {
        self.detail.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0.0)
    }
}

fn manifest() -> Vec<Page> {
    let text =
        std::fs::read_to_string(root().join("fixtures/crawl/manifest.tsv")).expect("manifest is there");
    let row = |line: &str| {
        let cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
        let cell = |number: usize| cells.get(number).cloned().unwrap_or_default();
        Page {
            file: cell(0),
            url: cell(2),
            language: cell(3),
            kind: cell(4),
            detail: cell(5),
            dup_of: cell(6),
        }
    };
    text.lines().skip(1).map(row).collect()
}

#[test]
fn quickstart_writes_everything_that_it_promises() {
    let folder = temp();
    let run_dir = folder.path().join("run");
    let output = run_pipeline(QUICKSTART, &run_dir, &[]);
    let table = stdout(&output);
    for name in [
        "report.html",
        "report.json",
        "plan.json",
        "tokenizer.json",
        "tokens/manifest.json",
        "quarantine.jsonl",
    ] {
        assert!(run_dir.join(name).is_file(), "`{name}` is missing");
    }
    for name in ["corpus", "rejects", "duplicates", "tokens"] {
        assert!(
            run_dir.join(name).read_dir().expect("folder is there").next().is_some(),
            "`{name}` is empty"
        );
    }
    assert!(table.contains("gopher_quality") && table.contains("report.html"), "{table}");
    let report = json(&run_dir.join("report.json"));
    assert!(report["timing"].is_object());
    let verify = run(&["tokens", "verify", &run_dir.join("tokens").to_string_lossy()]);
    assert_eq!(verify.status.code(), Some(0), "{}", stderr(&verify));
    // A second start of a finished run changes nothing and says the same.
    let again = run_pipeline(QUICKSTART, &run_dir, &[]);
    assert_eq!(again.status.code(), output.status.code());
    assert!(stdout(&again).contains("finished before"), "{}", stdout(&again));
    // Unless something is gone: then it says so instead of repeating the old figures.
    let payload = run_dir.join("tokens/quickstart_00000.bin");
    std::fs::write(&payload, b"cut").expect("shard is writable");
    let damaged = tamis().args(["run", QUICKSTART, "--run-dir"]).arg(&run_dir).output().expect("it starts");
    assert_eq!(damaged.status.code(), Some(1));
    assert!(stderr(&damaged).contains("quickstart_00000.bin"), "{}", stderr(&damaged));
}

#[test]
fn every_kind_of_page_meets_its_fate() {
    let folder = temp();
    let run_dir = folder.path().join("run");
    run_pipeline(QUICKSTART, &run_dir, &[]);
    let corpus = StringColumns::read(&run_dir.join("corpus"), &["url", "text"]);
    let rejects = StringColumns::read(&run_dir.join("rejects"), &["url", "stage", "reason"]);
    let kept: BTreeSet<&str> = corpus.iter().map(|row| row[0].as_str()).collect();
    let reason =
        |url: &str| rejects.iter().find(|row| row[0] == url).map(|row| format!("{}/{}", row[1], row[2]));
    let is_copy = |url: &str| reason(url).is_some_and(|why| why.contains("_dedup/"));
    // The copy in the first file stays, whichever of the two was made from the other.
    let removed = |page: &Page| is_copy(&page.url) || is_copy(&page.dup_of);
    let pages: Vec<Page> = manifest().into_iter().filter(|page| !page.file.starts_with("broken")).collect();
    let mut seen = BTreeMap::new();
    for page in pages.iter().filter(|page| page.kind != "no_page") {
        let (url, kind) = (page.url.as_str(), page.kind.as_str());
        let why = reason(url);
        assert!(kept.contains(url) != why.is_some(), "{url} is both or neither kept and dropped");
        let why = why.unwrap_or_else(|| "keep".to_owned());
        *seen.entry((kind.to_owned(), page.language.clone(), why.clone())).or_insert(0) += 1;
        match kind {
            "exact_dup" => assert!(removed(page), "{url}: {why}"),
            // Below .9 a pair may share no band (at .8 one in thirteen does not), or lie below `min_jaccard`
            // by the words of the extracted text.
            "near_dup" if page.jaccard() >= 0.9 => assert!(removed(page), "{url}: {why}"),
            "spam" => assert!(why != "keep", "{url} ({}) is kept", page.detail),
            "banned_url" => assert_eq!(why, "url/banned_domain", "{url}"),
            "keyword" => assert_eq!(why, "keywords/too_many_keywords", "{url}"),
            _ => {}
        }
    }
    for language in ["en", "zh", "de", "es", "ar", "ja"] {
        let articles = || pages.iter().filter(|page| page.kind == "article" && page.language == language);
        let survive =
            articles().filter(|page| kept.contains(page.url.as_str()) || is_copy(&page.url)).count();
        assert!(
            survive * 100 >= articles().count() * 95,
            "{language}: only {survive} of {}; {seen:?}",
            articles().count()
        );
    }
    let near = || pages.iter().filter(|page| page.kind == "near_dup");
    let found = near().filter(|page| removed(page)).count();
    assert!(found * 10 >= near().count() * 8, "only {found} of {} near duplicates found", near().count());
    let address =
        |text: &str| text.split_whitespace().any(|word| word.contains('@') && word.contains(".example"));
    for row in &corpus {
        assert!(!address(&row[1]), "{}: an e-mail address is left", row[0]);
    }
}

#[test]
fn threads_and_the_order_of_inputs_change_nothing() {
    let folder = temp();
    let (one, two, turned) = (folder.path().join("1"), folder.path().join("2"), folder.path().join("turned"));
    run_pipeline(QUICKSTART, &one, &["--threads", "1"]);
    run_pipeline(QUICKSTART, &two, &["--threads", "3", "--memory", "300MiB"]);
    assert_same_outputs(&one, &two);
    let text = std::fs::read_to_string(root().join(QUICKSTART)).expect("pipeline is readable");
    let paths = "fixtures/crawl/pages-*.warc.gz";
    assert!(text.contains(paths), "quickstart reads `{paths}`");
    let listed = "fixtures/crawl/pages-00001.warc.gz, fixtures/crawl/pages-00000.warc.gz";
    let other = folder.path().join("turned.yaml");
    std::fs::write(&other, text.replace(paths, listed)).expect("pipeline is writable");
    run_pipeline(&other.to_string_lossy(), &turned, &[]);
    // The plan names the patterns as they were written; everything else is the same.
    for plan in [&one, &turned] {
        std::fs::remove_file(plan.join("plan.json")).expect("plan is there");
        let report = plan.join("report.json");
        let mut value = json(&report);
        value.as_object_mut().expect("an object").remove("fingerprint");
        std::fs::write(&report, value.to_string()).expect("report is writable");
    }
    assert_same_outputs(&one, &turned);
}

#[test]
fn a_run_directory_of_another_plan_is_refused() {
    let folder = temp();
    let run_dir = folder.path().join("run");
    run_pipeline(QUICKSTART, &run_dir, &[]);
    let output = tamis()
        .args(["run", QUICKSTART, "--set", "stages.gopher_quality.min_words=51", "--run-dir"])
        .arg(&run_dir)
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    assert!(message.contains("another plan") && message.contains("`stages`"), "{message}");
}

#[test]
fn a_run_directory_that_cannot_be_written_is_an_error() {
    let folder = temp();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").expect("file is writable");
    let output = tamis()
        .args(["run", QUICKSTART, "--run-dir"])
        .arg(file.join("run"))
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot create folder"), "{}", stderr(&output));
}

#[test]
fn damaged_input_is_quarantined_and_counted() {
    let folder = temp();
    let pipeline = folder.path().join("broken.yaml");
    let text = "name: broken\ninput:\n  - warc: { paths: [fixtures/crawl/broken.warc.gz] }\n  - jsonl: { paths: [fixtures/crawl/broken.jsonl] }\nstages: [extract]\n";
    std::fs::write(&pipeline, text).expect("pipeline is writable");
    let run_dir = folder.path().join("run");
    let output = run_pipeline(&pipeline.to_string_lossy(), &run_dir, &[]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let quarantine = std::fs::read_to_string(run_dir.join("quarantine.jsonl")).expect("quarantine is there");
    let entry = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("a JSON line");
    let entries: Vec<serde_json::Value> = quarantine.lines().map(entry).collect();
    let causes: BTreeSet<&str> = entries.iter().filter_map(|entry| entry["cause"].as_str()).collect();
    for cause in
        ["corrupt_gzip_member", "wrong_content_length", "truncated_record", "not_warc", "invalid_json"]
    {
        assert!(causes.contains(cause), "no `{cause}` among {causes:?}");
    }
    let good: Vec<Page> = manifest()
        .into_iter()
        .filter(|page| page.file.starts_with("broken") && page.kind == "article")
        .collect();
    assert!(!good.is_empty());
    let corpus = StringColumns::read(&run_dir.join("corpus"), &["url"]);
    for page in &good {
        assert!(corpus.iter().any(|row| row[0] == page.url), "{} is lost", page.url);
    }
    let report = json(&run_dir.join("report.json")).to_string();
    assert!(report.contains("corrupt_gzip_member"), "the report does not count the quarantine");
}
