//! `mode: annotate` and `sample`, `tamis filter`, `tamis inspect`, removal rates: on runs over the bundled crawl.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Map, Value};

use super::support::{StringColumns, assert_same_outputs, run, run_pipeline, stderr, stdout, tamis};

/// Options that are stricter here and looser there than those of [`pipeline`].
const OTHER: [&str; 3] = [
    "stages.gopher_quality.min_words=120",
    "stages.gopher_quality.max_bullet_line_ratio=1",
    "stages.fineweb_quality.max_short_line_ratio=0.3",
];

/// A pipeline over the crawl's pages whose filters all have one mode; `more` are its last stages.
fn pipeline(folder: &Path, mode: &str, more: &str) -> String {
    let path = folder.join(format!("{mode}.yaml"));
    let text = format!(
        "name: modes\n\
         input:\n\
         - warc: {{ paths: [fixtures/crawl/pages-*.warc.gz] }}\n\
         - jsonl: {{ paths: [fixtures/crawl/documents.jsonl] }}\n\
         stages:\n\
         - extract\n\
         - language: {{ keep: [en, zh, de, es, ar, ja], min_score: 0.5 }}\n\
         - gopher_repetition: {{ mode: {mode} }}\n\
         - gopher_quality: {{ mode: {mode}, min_mean_word_chars: 1, min_stop_words: null }}\n\
         - c4_quality: {{ mode: {mode}, require_terminal_punctuation: false, min_words_per_line: 1 }}\n\
         - fineweb_quality: {{ mode: {mode} }}\n{more}"
    );
    std::fs::write(&path, text).expect("pipeline is writable");
    path.to_string_lossy().into_owned()
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// `tamis filter RUN --set ...`, with more arguments behind.
fn filter(run_dir: &Path, set: &[&str], more: &[&str]) -> std::process::Output {
    let mut command = tamis();
    command.arg("filter").arg(run_dir);
    command.args(set.iter().flat_map(|set| ["--set", set]));
    command.args(more).output().expect("the program starts")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// All rows of a folder's tables, by id, without their texts.
fn rows(folder: &Path) -> BTreeMap<String, Map<String, Value>> {
    let mut found = BTreeMap::new();
    for path in tamis::io::list(folder, ".parquet").expect("folder is readable") {
        let table = tamis::report::rows::RowTable::open(&path).expect("table opens");
        let all: Vec<u64> = (0..table.rows()).collect();
        for mut row in table.rows_at(&all).expect("table is readable") {
            row.remove("text");
            let id = row["id"].as_str().expect("an id").to_owned();
            assert!(found.insert(id, row).is_none());
        }
    }
    found
}

fn sets(set: &[&str]) -> Vec<String> {
    set.iter().flat_map(|set| ["--set".to_owned(), (*set).to_owned()]).collect()
}

#[test]
fn deciding_again_equals_running_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (marked, dropped) = (folder.path().join("marked"), folder.path().join("dropped"));
    run_pipeline(&pipeline(folder.path(), "annotate", ""), &marked, &[]);
    let set = sets(&OTHER);
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    run_pipeline(&pipeline(folder.path(), "drop", ""), &dropped, &set);
    let again = folder.path().join("again");
    let output = filter(&marked, &OTHER, &["--output", &path(&again), "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let counts = json(&stdout(&output));

    let texts = |folder: &Path| -> BTreeMap<String, String> {
        let rows = StringColumns::read(&folder.join("corpus"), &["id", "text"]);
        rows.into_iter().map(|mut row| (row.remove(0), row.remove(0))).collect()
    };
    assert_eq!(texts(&again), texts(&dropped));
    // Rejects of the run's own are not repeated: those that `language` dropped.
    let expected: BTreeMap<_, _> =
        rows(&dropped.join("rejects")).into_iter().filter(|(_, row)| row["stage"] != "language").collect();
    let found = rows(&again.join("rejects"));
    assert_eq!(found, expected);
    let stages: BTreeSet<&str> = found.values().filter_map(|row| row["stage"].as_str()).collect();
    assert_eq!(stages.len(), 4, "every filter drops something: {stages:?}");
    // Nothing is marked in what was kept.
    assert!(
        rows(&again.join("corpus")).values().all(|row| row.keys().all(|name| !name.ends_with(".verdict")))
    );

    let number = |name: &str| counts[name].as_u64().expect("a count");
    assert_eq!(number("kept_now"), texts(&again).len() as u64);
    assert_eq!(number("documents"), (found.len() + texts(&again).len()) as u64);
    assert_eq!(number("kept_now") + number("newly_dropped"), number("kept_before") + number("newly_kept"));
    assert!(number("newly_dropped") > 0 && number("newly_kept") > 0, "{counts}");

    // The report of both counts the same, and other commands read what was written.
    let report =
        |run: &Path| json(&std::fs::read_to_string(run.join("report.json")).expect("report is there"));
    let (mine, theirs) = (report(&again), report(&dropped));
    for stage in theirs["stages"].as_array().expect("stages").iter().skip(3) {
        let name = &stage["name"];
        let own = mine["stages"].as_array().expect("stages").iter().find(|own| own["name"] == *name);
        let own = own.expect("the stage is there");
        for key in ["docs_in", "docs_out", "reasons", "by_language", "by_source", "limits", "histograms"] {
            assert_eq!(own[key], stage[key], "{name} {key}");
        }
    }
    let id = found.keys().next().expect("a reject");
    assert_eq!(run(&["explain", &path(&again), id]).status.code(), Some(0));
    assert_eq!(run(&["inspect", &path(&again), "gopher_quality"]).status.code(), Some(0));

    // The same bytes every time, and never over what is there.
    let twice = folder.path().join("twice");
    filter(&marked, &OTHER, &["--output", &path(&twice)]);
    assert_same_outputs(&again, &twice);
    let refused = filter(&marked, &OTHER, &["--output", &path(&twice)]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("is not empty"), "{}", stderr(&refused));

    // One filter left to mark only: its reasons stay in the corpus.
    let set = [OTHER[0], OTHER[1], OTHER[2], "stages.fineweb_quality.mode=annotate"];
    let half = folder.path().join("half");
    filter(&marked, &set, &["--output", &path(&half)]);
    let marks = rows(&half.join("corpus"));
    assert!(marks.values().any(|row| row.get("fineweb_quality.verdict").is_some()));
    assert!(rows(&half.join("rejects")).values().all(|row| row["stage"] != "fineweb_quality"));
}

/// Overwrites every value of a column, so that whoever reads it fails.
fn destroy_column(path: &Path, name: &str) {
    let mut bytes = std::fs::read(path).expect("file is readable");
    let reader = SerializedFileReader::new(std::fs::File::open(path).expect("file opens")).expect("Parquet");
    for group in reader.metadata().row_groups() {
        let column = group.columns().iter().find(|column| column.column_path().string() == name);
        let (start, length) = column.expect("the column is there").byte_range();
        let (start, length) =
            (usize::try_from(start).expect("small"), usize::try_from(length).expect("small"));
        bytes[start..start + length].fill(0xff);
    }
    std::fs::write(path, bytes).expect("file is writable");
}

#[test]
fn deciding_again_reads_no_text() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run_dir = folder.path().join("run");
    run_pipeline(&pipeline(folder.path(), "annotate", ""), &run_dir, &[]);
    let before = stdout(&filter(&run_dir, &OTHER, &[]));
    assert!(before.contains("newly fail"), "{before}");
    let files: Vec<PathBuf> = tamis::io::list(run_dir.join("corpus"), ".parquet").expect("corpus is there");
    for file in &files {
        for column in ["text", "extra", "file", "c4_quality.sentences"] {
            destroy_column(file, column);
        }
    }
    assert_eq!(stdout(&filter(&run_dir, &OTHER, &[])), before);
    let output = filter(&run_dir, &OTHER, &["--output", &path(&folder.path().join("out"))]);
    assert_eq!(output.status.code(), Some(1), "copying must read them: {}", stdout(&output));
}

#[test]
fn what_scores_cannot_follow_is_a_mistake() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run_dir = folder.path().join("run");
    run_pipeline(&pipeline(folder.path(), "annotate", "- minhash_dedup\n"), &run_dir, &[]);
    let refused = |set: &str, expected: &str| {
        let output = filter(&run_dir, &[set], &[]);
        assert_eq!(output.status.code(), Some(2), "{set}");
        let message = stderr(&output);
        assert!(
            message.contains(expected) && message.contains("--> command line: --set"),
            "{set}: {message}"
        );
    };
    refused(
        "stages.fineweb_quality.short_line_chars=40",
        "`short_line_chars` of `fineweb_quality` changes what is measured",
    );
    refused("stages.gopher_qualty.min_words=40", "did you mean `gopher_quality`?");
    refused("stages.gopher_quality.min_word=40", "did you mean `min_words`?");
    refused("stages.fineweb_quality.max_short_line_ratio=4", "must be between 0 and 1, found `4`");
    refused("stages.minhash_dedup.rows=4", "`minhash_dedup` is no filter");
    refused("stages.language.mode=annotate", "did not run in `annotate` mode");
    refused("tokens.seed=4", "only options of filters");
    // The values of the plan are no change, however they are written.
    let same = filter(
        &run_dir,
        &["stages.fineweb_quality.short_line_chars=30", "stages.gopher_quality.min_words=50"],
        &["--json"],
    );
    let counts = json(&stdout(&same));
    assert_eq!((&counts["newly_kept"], &counts["newly_dropped"]), (&Value::from(0), &Value::from(0)));
    assert!(stdout(&filter(&run_dir, &[], &[])).contains("deduplication is not done again"));
}

#[test]
fn what_a_run_dropped_is_counted_and_not_brought_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run_dir = folder.path().join("run");
    run_pipeline(&pipeline(folder.path(), "drop", ""), &run_dir, &[]);
    let dropped = rows(&run_dir.join("rejects"));
    let few =
        |row: &&Map<String, Value>| row["reason"] == "too_few_words" && row["stage"] == "gopher_quality";
    let output = filter(&run_dir, &["stages.gopher_quality.min_words=null"], &["--json"]);
    let counts = json(&stdout(&output));
    let stage =
        counts["stages"].as_array().expect("stages").iter().find(|stage| stage["stage"] == "gopher_quality");
    let lost = stage.expect("the stage is there")["lost"].as_u64().expect("a count");
    assert!(lost > 0 && lost <= dropped.values().filter(few).count() as u64, "{lost}");
    assert_eq!(counts["newly_kept"], 0);
}

#[test]
fn an_unfinished_run_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run_dir = folder.path().join("run");
    run_pipeline(&pipeline(folder.path(), "annotate", ""), &run_dir, &[]);
    std::fs::remove_file(run_dir.join("report.json")).expect("report is there");
    let dir = path(&run_dir);
    for command in [&["report", &dir][..], &["filter", &dir]] {
        let output = run(command);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("is not finished"), "{}", stderr(&output));
    }
    for command in [&["explain", &dir, "nobody"][..], &["inspect", &dir, "gopher_quality"]] {
        assert!(stdout(&run(command)).contains("this run is not finished"), "{command:?}");
    }
    let id = rows(&run_dir.join("corpus")).into_keys().next().expect("a document");
    let page = stdout(&run(&["explain", &dir, &id]));
    assert!(page.contains("fineweb_quality  "), "the plan names the stages: {page}");
}

#[test]
fn inspect_shows_both_sides_of_every_limit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run_dir = folder.path().join("run");
    run_pipeline(
        &pipeline(folder.path(), "annotate", "- minhash_dedup: { min_jaccard: 0.7 }\n"),
        &run_dir,
        &["--set", "stages.gopher_quality.min_words=500"],
    );
    let look = |stage: &str, more: &[&str]| {
        let output =
            tamis().arg("inspect").arg(&run_dir).args([stage, "--json"]).args(more).output().expect("starts");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        json(&stdout(&output)).as_array().expect("findings").clone()
    };
    let values = |finding: &Value, side: &str| -> Vec<f64> {
        let samples = finding[side].as_array().expect("samples");
        samples.iter().map(|sample| sample["value"].as_f64().expect("a value")).collect()
    };
    let mut marked_and_gone = 0;
    for stage in ["gopher_repetition", "gopher_quality", "c4_quality", "fineweb_quality"] {
        let findings = look(stage, &["-n", "1000"]);
        for finding in findings.iter().filter(|finding| finding["limit"].is_object()) {
            let limit = finding["limit"]["limit"].as_f64().expect("a limit");
            let below = finding["limit"]["drops_below"].as_bool().expect("a side");
            let distance = |value: f64| (value - limit).abs();
            let (failing, passing) = (values(finding, "failing"), values(finding, "passing"));
            assert!(!passing.is_empty(), "{finding}");
            assert!(failing.iter().all(|value| if below { *value < limit } else { *value > limit }));
            assert!(passing.iter().all(|value| if below { *value >= limit } else { *value <= limit }));
            for side in [&failing, &passing] {
                assert!(side.is_sorted_by(|a, b| distance(*a) <= distance(*b)), "{stage}: {side:?}");
            }
        }
        // Every page that the stage marked stands below exactly one reason.
        let marked: u64 =
            findings.iter().map(|finding| finding["failing"].as_array().expect("samples").len() as u64).sum();
        let report = json(&std::fs::read_to_string(run_dir.join("report.json")).expect("report is there"));
        let stages = report["stages"].as_array().expect("stages");
        let own = stages.iter().find(|own| own["name"] == stage).expect("the stage is there");
        let reasons = own["reasons"].as_object().expect("reasons");
        assert_eq!(marked, reasons.values().filter_map(Value::as_u64).sum::<u64>(), "{stage}");
        marked_and_gone += findings
            .iter()
            .flat_map(|finding| finding["failing"].as_array().expect("samples"))
            .filter(|sample| sample["fate"] == "marked, dropped later by minhash_dedup: near_duplicate")
            .count();
    }
    assert!(marked_and_gone > 0, "no marked page was dropped later");
    let never = look("gopher_quality", &["--reason", "too_many_words", "-n", "3"]);
    assert_eq!(
        (never.len(), values(&never[0], "failing").len(), values(&never[0], "passing").len()),
        (1, 0, 3)
    );
    let score = look("fineweb_quality", &["--score", "short_line_ratio", "-n", "2"]);
    assert_eq!((score.len(), &score[0]["reason"]), (1, &Value::from("too_many_short_lines")));
    let copies = look("minhash_dedup", &["-n", "5"]);
    let similar = values(&copies[0], "failing");
    assert!(similar.len() == 5 && similar.is_sorted() && similar[0] >= 0.7, "{similar:?}");
    let rejects = rows(&run_dir.join("rejects"));
    let near = rejects.values().find(|row| row["stage"] == "minhash_dedup").expect("a near duplicate");
    assert_eq!(near["limit"], 0.7);
}

#[test]
fn removal_rates_add_up() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut reports = Vec::new();
    for mode in ["drop", "annotate"] {
        let run_dir = folder.path().join(mode);
        run_pipeline(&pipeline(folder.path(), mode, ""), &run_dir, &[]);
        let report = json(&std::fs::read_to_string(run_dir.join("report.json")).expect("report is there"));
        let stages = report["stages"].as_array().expect("stages").clone();
        let sum = |flows: &Value, key: &str| -> u64 {
            flows.as_object().expect("flows").values().filter_map(|flow| flow[key].as_u64()).sum()
        };
        for stage in &stages {
            let failed: u64 =
                stage["reasons"].as_object().expect("reasons").values().filter_map(Value::as_u64).sum();
            assert_eq!(sum(&stage["by_source"], "docs_in"), stage["docs_in"].as_u64().expect("a count"));
            assert_eq!(sum(&stage["by_source"], "docs_dropped"), failed);
            if ["read", "extract"].contains(&stage["name"].as_str().expect("a name")) {
                assert_eq!(stage["by_language"], Value::Object(Map::new()), "no language is known yet");
            } else {
                assert_eq!(
                    sum(&stage["by_language"], "docs_in"),
                    stage["docs_in"].as_u64().expect("a count")
                );
                assert_eq!(sum(&stage["by_language"], "docs_dropped"), failed);
            }
        }
        assert_eq!(stages[0]["by_source"].as_object().expect("flows").len(), 2);
        reports.push(stages);
    }
    // The first filter sees the same documents in both modes, and fails the same.
    assert_eq!(reports[0][3]["by_language"], reports[1][3]["by_language"]);
}

#[test]
fn a_sampled_filter_keeps_the_texts_of_a_share() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let small = pipeline(folder.path(), "sample", "");
    let texts = |ratio: &str| -> BTreeMap<String, bool> {
        let run_dir = folder.path().join(ratio);
        let mut set = Vec::new();
        for stage in ["gopher_repetition", "gopher_quality", "c4_quality", "fineweb_quality"] {
            set.extend(["--set".to_owned(), format!("stages.{stage}.sample_ratio={ratio}")]);
        }
        run_pipeline(&small, &run_dir, &set.iter().map(String::as_str).collect::<Vec<_>>());
        StringColumns::read(&run_dir.join("rejects"), &["id", "stage", "text"])
            .into_iter()
            .filter(|row| row[1] != "language")
            .map(|row| (row[0].clone(), !row[2].is_empty()))
            .collect()
    };
    let (none, some, all) = (texts("0"), texts("0.4"), texts("1"));
    assert!(none.values().all(|kept| !kept) && all.values().all(|kept| *kept) && none.len() == all.len());
    let kept = some.values().filter(|kept| **kept).count();
    assert!(kept > 0 && kept < some.len(), "{kept} of {}", some.len());
}

#[test]
fn buckets_of_perplexity_are_a_column_of_the_corpus() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pages = [
        (
            "known",
            "The river rises in April. The soil is heavy, and it holds water long after the rain has stopped.",
        ),
        (
            "odd",
            "Rises the April river in it. Heavy holds is and soil has stopped rain after the long water the.",
        ),
        (
            "strange",
            "Of the frighten scholars would evenings the always grumbling quincunx which Wednesday have about were on.",
        ),
        (
            "german",
            "Die Brücke wird im Frühjahr eröffnet, und die Fähre fährt danach noch ein letztes Mal über den Fluss.",
        ),
        ("empty", "   "),
    ];
    let documents = folder.path().join("pages.jsonl");
    let lines = pages.map(|(id, text)| serde_json::json!({"id": id, "text": text}).to_string() + "\n");
    std::fs::write(&documents, lines.concat()).expect("folder is writable");
    let write = |name: &str, options: &str| {
        let yaml = folder.path().join(name);
        let text = format!(
            "name: buckets\n\
             input:\n\
             - jsonl: {{ paths: [{}] }}\n\
             stages:\n\
             - language\n\
             - perplexity: {{ train_models_from: {{ en: {{ text: fixtures/models/quality/hq.txt, order: 3 }} }}, \
             tokens: words, normalize: ccnet{options} }}\n",
            documents.display()
        );
        std::fs::write(&yaml, text).expect("folder is writable");
        path(&yaml)
    };
    let value = |row: &Map<String, Value>| row.get("perplexity.perplexity").and_then(Value::as_f64);

    // Cut-offs between and exactly at what is measured.
    let scored = folder.path().join("scored");
    run_pipeline(&write("scored.yaml", ""), &scored, &[]);
    let measured = rows(&scored.join("corpus"));
    assert!(measured.values().all(|row| !row.contains_key("perplexity_bucket")));
    let [known, odd, strange] =
        ["known", "odd", "strange"].map(|id| value(&measured[id]).expect("a perplexity"));
    assert!(known < odd && odd < strange, "{known} {odd} {strange}");
    assert_eq!(measured["german"]["language"], "de");

    let all = folder.path().join("all");
    let cutoffs = format!(", cutoffs: {{ en: [{odd}, {strange}] }}");
    run_pipeline(&write("all.yaml", &cutoffs), &all, &[]);
    let buckets = |folder: &Path| -> BTreeMap<String, String> {
        let table = StringColumns::read(folder, &["id", "perplexity_bucket"]);
        table.into_iter().map(|mut row| (row.remove(0), row.remove(0))).collect()
    };
    let expected =
        [("empty", "all"), ("german", "all"), ("known", "head"), ("odd", "middle"), ("strange", "tail")];
    let expected: BTreeMap<String, String> =
        expected.iter().map(|(id, bucket)| ((*id).to_owned(), (*bucket).to_owned())).collect();
    assert_eq!(buckets(&all.join("corpus")), expected);
    for (id, row) in rows(&all.join("corpus")) {
        assert_eq!(value(&row), value(&measured[&id]), "{id}");
    }

    // Of what goes the reason tells the bucket.
    let some = folder.path().join("some");
    run_pipeline(&write("some.yaml", &format!("{cutoffs}, keep: [head, tail]")), &some, &[]);
    let kept = buckets(&some.join("corpus"));
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["empty", "german", "known", "strange"]);
    let rejects = rows(&some.join("rejects"));
    assert_eq!(rejects.keys().collect::<Vec<_>>(), ["odd"]);
    assert_eq!(rejects["odd"]["reason"], "bucket_not_kept");
    assert_eq!(rejects["odd"]["detail"], "middle");
    assert_eq!(rejects["odd"]["value"].as_f64(), Some(odd));
}
