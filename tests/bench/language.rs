//! Speed of language identification, keywords and URL lists, and the Rust half of
//! `tests/tools/compare_fasttext.py`.
//!
//! `cargo bench -- language`: figures per CPU second, each after a check of the answer. Needs
//! the shared data folder; without it only the embedded detector is timed.
//! `cargo bench -- language levels`: lines, paragraphs and samples, see `language_levels.rs`.
//! `cargo bench -- fasttext-predict MODEL LINES OUT`: the three best labels of every line.
//! `cargo bench -- url-reasons OPTIONS LINES OUT`: what the `url` stage says to every line (an address),
//! for `tests/tools/compare_url.py`.

#![expect(clippy::print_stdout, reason = "a benchmark reports to the terminal")]

use std::fmt::Write as _;

use cpu_time::ProcessTime;
use serde_json::json;
use tamis::document::{Document, Ordinal, Outcome};
use tamis::models::fasttext::FastText;
use tamis::stage::{BuildContext, Built, Context, DocStage};

/// Runs what the command line asks for.
pub(crate) fn run() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["fasttext-predict", model, lines, out] = args[..] {
        predict_lines(model, lines, out);
    } else if let ["url-reasons", options, lines, out] = args[..] {
        url_reasons(options, lines, out);
    } else if let ["language", "levels"] = args[..] {
        super::language_levels::run();
    } else if args.is_empty() || args.contains(&"language") {
        stages();
    }
}

/// A filter of the filter room, built from options.
pub(crate) fn filter(name: &str, options: serde_json::Value) -> Box<dyn DocStage> {
    let spec = tamis::stages::filter::STAGES.iter().find(|spec| spec.name == name).expect("a filter");
    match (spec.build)(options, &mut BuildContext::default()) {
        Ok(Built::Doc(stage)) => stage,
        Ok(_) => panic!("`{name}` is a filter"),
        Err(errors) => panic!("{name}: {errors:?}"),
    }
}

fn url_reasons(options: &str, lines: &str, out: &str) {
    let options = serde_json::from_slice(&read(options)).expect("options as JSON");
    let start = ProcessTime::now();
    let stage = filter("url", options);
    println!("lists read in {:.2} CPU s", start.elapsed().as_secs_f64());
    let text = String::from_utf8(read(lines)).expect("UTF-8 lines");
    let mut pages: Vec<Document> = text.lines().map(|url| page(String::new(), url)).collect();
    let mut cx = Context::default();
    let start = ProcessTime::now();
    let outcomes: Vec<Outcome> = pages.iter_mut().map(|page| stage.process(page, &mut cx)).collect();
    println!("{:.0} addresses per CPU s", pages.len() as f64 / start.elapsed().as_secs_f64());
    let mut table = String::new();
    for outcome in &outcomes {
        table.push_str(if let Outcome::Drop(reason) = outcome { reason.name } else { "keep" });
        table.push('\n');
    }
    tamis::io::AtomicFile::write_all(out, table.as_bytes()).expect("a writable output file");
}

/// A document with text and address.
pub(crate) fn page(text: String, url: &str) -> Document {
    let mut doc = Document::new(Ordinal { split: 0, record: 0 }, "id".to_owned(), text);
    doc.url = Some(url.to_owned());
    doc
}

/// Text, URL and reference language of the shared C4 pages; own text where they are absent.
fn pages() -> Vec<Document> {
    let path =
        std::env::var("TAMIS_PAGES").unwrap_or_else(|_| "../shared/reference/c4/documents.jsonl".to_owned());
    let own = || {
        let rows = String::from_utf8(read("fixtures/models/sentences.tsv")).expect("UTF-8");
        let text =
            rows.lines().map(|row| row.split_once('\t').map_or(row, |(_, text)| text)).collect::<Vec<_>>();
        vec![(text.join("\n"), "https://www.example.org/market?page=2".to_owned()); 200]
    };
    let rows: Vec<(String, String)> = if std::path::Path::new(&path).exists() {
        let field = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap_or("").to_owned();
        String::from_utf8(read(&path))
            .expect("UTF-8")
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .map(|row| (field(&row, "text"), field(&row, "url")))
            .collect()
    } else {
        println!("{path} is not here: own text instead");
        own()
    };
    rows.into_iter().map(|(text, url)| page(text, &url)).collect()
}

/// Times a stage over the pages (best of five) after `check` has seen its decisions.
fn time(
    what: &str,
    stage: &dyn DocStage,
    pages: &mut [Document],
    check: impl Fn(&[Document], &[Outcome]) -> String,
) {
    let bytes: usize = pages.iter().map(|page| page.text.len()).sum();
    let mut best = f64::INFINITY;
    let mut outcomes = Vec::new();
    for _ in 0..5 {
        for page in &mut *pages {
            page.scores.clear();
        }
        let mut cx = Context::default();
        let start = ProcessTime::now();
        outcomes = pages.iter_mut().map(|page| stage.process(page, &mut cx)).collect();
        best = best.min(start.elapsed().as_secs_f64());
    }
    let found = check(pages, &outcomes);
    let (mb, docs) = (bytes as f64 / 1e6 / best, pages.len() as f64 / best);
    println!("{what:<44} {mb:>8.1} MB/s {docs:>9.0} docs/s   {found}");
}

fn dropped(_: &[Document], outcomes: &[Outcome]) -> String {
    let dropped = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Drop(_))).count();
    format!("{dropped} of {} dropped", outcomes.len())
}

/// Times language identification on whole texts and on samples, and counts equal labels.
fn labels(name: &str, model: &serde_json::Value, pages: &mut [Document]) -> Vec<Option<String>> {
    let stage = filter("language", json!({ "model": model }));
    time(&format!("language, {name}"), &*stage, pages, |pages, _| {
        let english = pages.iter().filter(|page| page.language.as_deref() == Some("en")).count();
        format!("{english} of {} labelled en", pages.len())
    });
    let whole: Vec<Option<String>> = pages.iter().map(|page| page.language.clone()).collect();
    let keep = filter("language", json!({ "model": model, "keep": ["en"] }));
    time(&format!("language, {name}, keep: [en]"), &*keep, pages, dropped);
    for sample_bytes in [1024, 4096] {
        let stage = filter("language", json!({ "model": model, "sample_bytes": sample_bytes }));
        time(&format!("language, {name}, {sample_bytes} bytes"), &*stage, pages, |pages, _| {
            let same = pages.iter().zip(&whole).filter(|(page, whole)| page.language == **whole).count();
            format!("{same} of {} labels as for the whole text", pages.len())
        });
    }
    whole
}

fn stages() {
    let mut pages = pages();
    let embedded = labels("whatlang", &json!(null), &mut pages);
    if let Ok(model) = std::env::var("TAMIS_LID_MODEL") {
        let by_model = labels("fastText", &json!(model), &mut pages);
        let same = embedded.iter().zip(&by_model).filter(|(a, b)| a == b).count();
        println!("whatlang and the model agree on {same} of {} pages", pages.len());
    } else {
        println!("TAMIS_LID_MODEL is not set: no fastText timing");
    }
    if let Ok(folder) = std::env::var("TAMIS_WORD_LISTS") {
        let paths = tamis::io::list(&folder, "").expect("a folder of word lists");
        let paths: Vec<String> = paths
            .iter()
            .filter(|path| {
                path.extension().is_none() && path.file_name().is_some_and(|name| name != "LICENSE")
            })
            .map(|path| path.display().to_string())
            .collect();
        let english: Vec<&String> = paths.iter().filter(|path| path.ends_with("/en")).collect();
        let one = filter("keywords", json!({ "lists": english }));
        time("keywords, one list", &*one, &mut pages, dropped);
        let all = filter("keywords", json!({ "lists": paths }));
        time("keywords, all lists", &*all, &mut pages, dropped);
    } else {
        println!("TAMIS_WORD_LISTS is not set: no keywords timing");
    }
    let listed = pages.iter().step_by(10).filter_map(|page| page.url.clone()).collect::<Vec<_>>();
    let url =
        filter("url", json!({ "urls": listed, "banned_words": ["casino"], "soft_words": ["free", "win"] }));
    time("url, a hundred addresses and some words", &*url, &mut pages, dropped);
}

fn read(path: &str) -> Vec<u8> {
    tamis::io::read_side_file(std::path::Path::new(path)).expect("the file that the command names")
}

fn predict_lines(model: &str, lines: &str, out: &str) {
    let model = FastText::from_bytes(&read(model)).expect("a fastText classifier");
    let text = String::from_utf8(read(lines)).expect("UTF-8 lines");
    let lines: Vec<&str> = text.lines().collect();
    let start = ProcessTime::now();
    let predictions: Vec<_> = lines.iter().map(|line| model.predict(line, 3, 0.0)).collect();
    let seconds = start.elapsed().as_secs_f64();
    let mut table = String::new();
    for best in &predictions {
        for (place, prediction) in best.iter().enumerate() {
            let tab = if place == 0 { "" } else { "\t" };
            let label = &model.labels()[prediction.label];
            write!(table, "{tab}{label}\t{:.9}", prediction.probability).expect("a String takes everything");
        }
        table.push('\n');
    }
    tamis::io::AtomicFile::write_all(out, table.as_bytes()).expect("a writable output file");
    println!(
        "{:.3} CPU s, {:.2} MB/s, {:.0} lines/s",
        seconds,
        text.len() as f64 / 1e6 / seconds,
        lines.len() as f64 / seconds
    );
}
