//! What `boilerplate` takes out of real pages, and how fast it is.
//!
//! `cargo bench -- boilerplate [PAGES.jsonl ...]`: by default `../shared/reference/c4`. Prints by rule how often it fired,
//! and with `TAMIS_SHOW=N` N of its pieces, to be read by eye; `TAMIS_RULES=FILE` tries a file of rules. A page must come out as the stage's own account says
//! before anything is timed.

use std::collections::BTreeMap;
use std::path::Path;

use cpu_time::ThreadTime;
use tamis::document::{Document, Ordinal, Outcome};
use tamis::stage::{BuildContext, Context, DocStage};
use tamis::stages::rewrite::boilerplate::{Boilerplate, Config};

const TARGET_BYTES: usize = 100_000_000;

/// Runs the benchmark.
pub(crate) fn run() {
    let mut paths: Vec<String> = std::env::args().skip(2).filter(|arg| !arg.starts_with("--")).collect();
    if paths.is_empty() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        paths.push(root.join("../shared/reference/c4/documents.jsonl").to_string_lossy().into_owned());
    }
    let config = Config { rules: std::env::var("TAMIS_RULES").ok(), ..Config::default() };
    let stage = Boilerplate::new(&config, &mut BuildContext::default()).expect("sound rules");
    for path in paths {
        match std::fs::read(&path) {
            Ok(bytes) => measure(&stage, &path, &bytes),
            Err(error) => println!("boilerplate: {path} skipped: {error}"),
        }
    }
}

fn measure(stage: &Boilerplate, path: &str, bytes: &[u8]) {
    let text = |line: &[u8]| {
        let document: serde_json::Value = serde_json::from_slice(line).expect("a JSON line");
        document["text"].as_str().expect("a text").to_owned()
    };
    let texts: Vec<String> = bytes.split(|&b| b == b'\n').filter(|line| !line.is_empty()).map(text).collect();
    let show: usize = std::env::var("TAMIS_SHOW").ok().and_then(|show| show.parse().ok()).unwrap_or(0);
    let mut pieces: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut changed, mut left) = (0, 0);
    let document =
        |text: &str| Document::new(Ordinal { split: 0, record: 0 }, String::new(), text.to_owned());
    for text in &texts {
        let (removals, rest) = stage.removals(text, None);
        let mut doc = document(text);
        let outcome = stage.process(&mut doc, &mut Context::default());
        let wanted = if matches!(outcome, Outcome::Drop(_)) { text } else { &rest };
        assert_eq!(&doc.text, wanted, "two accounts of one page");
        changed += usize::from(outcome == Outcome::Changed);
        left += rest.len();
        for removal in removals {
            pieces.entry(removal.rule).or_default().push(removal.text);
        }
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    println!(
        "{path}: {} pages, {changed} changed, {:.2} % of the bytes taken out",
        texts.len(),
        100.0 * (bytes - left) as f64 / bytes as f64
    );
    for (rule, pieces) in &pieces {
        println!("  {rule:<20} {:>6}", pieces.len());
        for piece in pieces.iter().step_by((pieces.len() / show.max(1)).max(1)).take(show) {
            println!("      {:?}", piece.chars().take(300).collect::<String>());
        }
    }
    let (mut spent, repeats) = (0.0, TARGET_BYTES.div_ceil(bytes));
    for _ in 0..repeats {
        let mut documents: Vec<Document> = texts.iter().map(|text| document(text)).collect();
        let mut cx = Context::default();
        let start = ThreadTime::now();
        for doc in &mut documents {
            std::hint::black_box(stage.process(doc, &mut cx));
        }
        spent += start.elapsed().as_secs_f64();
    }
    println!(
        "  {:.0} MB/s, {:.0} pages per CPU second",
        (bytes * repeats) as f64 / 1e6 / spent,
        (texts.len() * repeats) as f64 / spent
    );
}
