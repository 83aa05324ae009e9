use std::io::Write;

use clap::Parser;
use serde_json::Value;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn train(words: &[&str]) -> Result<u8> {
    let line = ["classifier", "train", "--dim", "40", "--epoch", "20"].iter().chain(words).copied();
    run(&Line::try_parse_from(line).map_err(|error| Error::User(error.to_string()))?.args, LogFormat::Json)
}

/// Invented sentences about two gardens.
fn sentences(flower: &str, count: usize) -> Vec<String> {
    let places = ["by the wall", "under the oak", "near the well", "at the gate", "along the path"];
    let days = ["in May", "after rain", "every spring", "in a warm year", "late"];
    (0..count)
        .map(|n| format!("The {flower} number {n} blooms {} {}", places[n % 5], days[n / 5 % 5]))
        .collect()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn jsonl(&self, name: &str, texts: &[String]) -> String {
        let lines: Vec<String> = texts.iter().map(|text| json!({ "text": text }).to_string()).collect();
        self.write(name, lines.join("\n").as_bytes())
    }

    fn facts(&self, name: &str) -> Value {
        io::read_json(self.path(name)).unwrap()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

#[test]
fn every_format_trains_the_same_model() {
    let folder = Folder::new();
    let (roses, nettles) = (sentences("rose", 200), sentences("nettle", 150));
    let lines = |texts: &[String]| format!("{}\n\n", texts.join("\n")).into_bytes();
    let good = folder.jsonl("good.jsonl", &roses);
    let bad = folder.write("bad.txt", &lines(&nettles));
    let model = folder.path("model.bin");
    assert_eq!(train(&["--positive", &good, "--negative", &bad, "--output", &model]).unwrap(), 0);
    let bytes = std::fs::read(&model).unwrap();
    let facts = folder.facts("model.bin.json");
    let measured = &facts["held_out"]["measured"];
    assert!(measured["documents"].as_u64().unwrap() >= 15, "{measured}");
    assert_eq!(measured["labels"][0]["label"], "__label__hq");
    assert!(measured["labels"][0]["f1"].as_f64().unwrap() > 0.95, "{measured}");
    assert!(measured["labels"][0]["roc_auc"].as_f64().unwrap() > 0.95, "{measured}");
    assert_eq!(
        facts["labels"][0]["trained_with"].as_u64().unwrap()
            + facts["labels"][0]["held_out"].as_u64().unwrap(),
        200
    );

    // The same documents, packed, in other formats and through a pattern, on more threads.
    let plain = folder.write("good.txt.gz", &gzip(&lines(&roses)));
    let zst = zstd::bulk::compress(&lines(&nettles), 3).unwrap();
    folder.write("nettles-0.txt.zst", &zst);
    let again = folder.path("again.bin");
    let pattern = format!("cc={}", folder.path("nettles-*"));
    let named = format!("hq={plain}");
    train(&["--label", &named, "--label", &pattern, "--threads", "3", "--output", &again]).unwrap();
    assert!(bytes == std::fs::read(&again).unwrap());
    assert_eq!(folder.facts("again.bin.json")["held_out"], facts["held_out"]);
    assert_eq!(folder.facts("again.bin.json")["model"], facts["model"]);
}

#[test]
fn parquet_and_several_labels() {
    let folder = Folder::new();
    let [a, b, c] = ["rose", "nettle", "fern"]
        .map(|plant| folder.jsonl(&format!("{plant}.jsonl"), &sentences(plant, 60)));
    let model = folder.path("plants.bin");
    let labels = [
        format!("rose={a}"),
        format!("__label__nettle={b}"),
        format!("fern={c}"),
        "fern=fixtures/crawl/documents.parquet".to_owned(),
    ];
    let words: Vec<&str> = labels.iter().flat_map(|label| ["--label", label.as_str()]).collect();
    train(&[words.as_slice(), &["--held-out", "0", "--output", &model]].concat()).unwrap();
    let facts = folder.facts("plants.bin.json");
    assert_eq!(facts["held_out"]["measured"], Value::Null);
    let trained: Vec<u64> = facts["labels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|label| label["trained_with"].as_u64().unwrap())
        .collect();
    assert_eq!(trained[..2], [60, 60]);
    assert!(trained[2] > 60, "{trained:?}");
    let model = FastText::from_bytes(&std::fs::read(&model).unwrap()).unwrap();
    assert_eq!(model.labels()[0], "__label__fern");
}

#[test]
fn what_cannot_be_used_is_said() {
    let folder = Folder::new();
    let good = folder.jsonl("good.jsonl", &sentences("rose", 40));
    let bad = folder.jsonl("bad.jsonl", &sentences("nettle", 40));
    let model = folder.path("model.bin");
    let message = |words: &[&str]| {
        let error = train(&[words, &["--output", &model]].concat()).expect_err("a mistake");
        assert!(!std::path::Path::new(&model).exists(), "a model in spite of: {error}");
        error.to_string()
    };
    assert_eq!(message(&["--positive", &good]), "a classifier needs two labels or more");
    assert_eq!(
        message(&["--positive", &good, "--negative", &good]),
        format!("`{good}` is given for `hq` and for `cc`")
    );
    assert_eq!(
        message(&["--positive", "none.txt", "--negative", "neither.txt"]),
        "`hq`: no such file: `none.txt`\n`cc`: no such file: `neither.txt`"
    );
    let empty = folder.write("empty.txt", b"\n \n\n");
    assert_eq!(
        message(&["--positive", &good, "--negative", &empty]),
        "there is no document to train `cc` with"
    );
    assert_eq!(
        message(&["--positive", &good, "--negative", &bad, "--held-out", "1"]),
        "`--held-out` is a share, 0 to 1, found `1`"
    );
    assert_eq!(message(&["--positive", &good, "--negative", &bad, "--lr", "0"]), "`lr` must be above 0");
    let warc = folder.write("page.warc", b"WARC/1.0");
    assert_eq!(
        message(&["--positive", &good, "--negative", &warc]),
        format!("`{warc}` holds HTML; extract its text with a pipeline first")
    );
    // Bad records: lines that are no JSON, bytes that are no text, a member that is cut.
    let torn = folder.write("torn.jsonl", b"{\"text\": \"one\"}\n{\"text\": \n{\"words\": 1}\n");
    let error = message(&["--positive", &good, "--negative", &torn]);
    assert!(error.starts_with("2 of 43 records are bad, more than `--max-bad-ratio` allows:\n"), "{error}");
    assert!(error.contains(&format!("`{torn}`, record 1: invalid_json")), "{error}");
    assert!(error.contains(&format!("`{torn}`, record 2: missing_text")), "{error}");
    let bytes = folder.write("bytes.txt", b"one line\n\xff\xfe\n");
    assert!(message(&["--positive", &good, "--negative", &bytes]).contains("record 1: invalid_utf8"));
    let packed = gzip(sentences("nettle", 30).join("\n").as_bytes());
    let cut = folder.write("cut.txt.gz", &packed[..packed.len() - 40]);
    assert!(message(&["--positive", &good, "--negative", &cut]).contains("corrupt_gzip_member"));
}
