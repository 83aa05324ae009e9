//! `cargo bench -- keywords OPTIONS.json PAGES.jsonl [OUT]`: speed of the `keywords` stage with these options on these pages
//! (`text`, `language`), best of five. OUT gets the number of occurrences of every page, a line each;
//! `tests/tools/compare_keywords.py` runs this beside datatrove's regular expression and compares both.

use std::fmt::Write as _;

use cpu_time::ThreadTime;
use tamis::document::{Document, Ordinal, Outcome};
use tamis::stage::{BuildContext, Built, Context};

/// Runs the benchmark.
pub(crate) fn run() {
    let args: Vec<String> = std::env::args().skip(2).filter(|arg| !arg.starts_with("--")).collect();
    let [options, pages, out @ ..] = &args[..] else {
        println!("keywords: OPTIONS.json PAGES.jsonl [OUT]");
        return;
    };
    let options = serde_json::from_slice(&std::fs::read(options).expect("options")).expect("options as JSON");
    let start = ThreadTime::now();
    let spec = &tamis::stages::filter::keywords::SPEC;
    let stage = match (spec.build)(options, &mut BuildContext::default()) {
        Ok(Built::Doc(stage)) => stage,
        Ok(_) => panic!("`keywords` is a filter"),
        Err(errors) => panic!("{errors:?}"),
    };
    let built = start.elapsed().as_secs_f64();
    let pages: Vec<Document> = String::from_utf8(std::fs::read(pages).expect("pages"))
        .expect("UTF-8")
        .lines()
        .map(|line| {
            let page: serde_json::Value = serde_json::from_str(line).expect("a JSON line");
            let text = page["text"].as_str().expect("a text").to_owned();
            let mut doc = Document::new(Ordinal { split: 0, record: 0 }, String::new(), text);
            doc.language = page["language"].as_str().map(str::to_owned);
            doc
        })
        .collect();
    let bytes: usize = pages.iter().map(|page| page.text.len()).sum();
    let mut best = f64::INFINITY;
    let mut counts = Vec::new();
    for _ in 0..5 {
        let mut pages = pages.clone();
        let mut cx = Context { stage: "keywords".to_owned(), ..Context::default() };
        let start = ThreadTime::now();
        let mut dropped = 0;
        for page in &mut pages {
            cx.features.reset();
            dropped += usize::from(matches!(stage.process(page, &mut cx), Outcome::Drop(_)));
        }
        best = best.min(start.elapsed().as_secs_f64());
        let found: Vec<f64> = pages.iter().map(|page| page.scores[0].1).collect();
        assert!(counts.is_empty() || counts == found, "the same occurrences every time");
        if counts.is_empty() {
            let all: f64 = found.iter().sum();
            println!(
                "built in {built:.2} CPU s; {dropped} of {} pages dropped, {all} occurrences",
                pages.len()
            );
        }
        counts = found;
    }
    println!("{:.1} MB/s", bytes as f64 / 1e6 / best);
    if let [out] = out {
        let mut table = String::new();
        for count in counts {
            writeln!(table, "{count}").expect("a String takes everything");
        }
        tamis::io::AtomicFile::write_all(out, table.as_bytes()).expect("a writable output file");
    }
}
