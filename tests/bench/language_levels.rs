//! What lines, paragraphs, samples and newlines do to language identification, on the shared data.
//!
//! `TAMIS_LID_MODEL=lid.176.ftz cargo bench -- language levels` prints the tables of docs/language.md. Sets: the C4
//! pages of reference/c4, the WET texts of bench-crawl, and of the text archive the declarations of human rights (one a page) and
//! pages of eight sentences made from lingua's test sentences.

use std::fmt::Write as _;

use cpu_time::ProcessTime;
use serde_json::{Value, json};
use tamis::document::{Document, Outcome};
use tamis::stage::{BuildContext, Built, Context, DocStage, Item};

use super::data;
use super::language::{filter, page};

/// Prints the tables.
pub(crate) fn run() {
    let Ok(model) = std::env::var("TAMIS_LID_MODEL") else {
        println!("TAMIS_LID_MODEL is not set");
        return;
    };
    let sets = sets();
    for (model, name) in [(json!(model), "model"), (Value::Null, "whatlang")] {
        samples(&model, name, &sets);
        newlines(&model, name, &sets);
        speed(&model, name, &sets);
        pieces(&model, name);
    }
}

fn sets() -> Vec<(&'static str, Vec<String>)> {
    vec![("C4", c4()), ("bench-crawl", wet()), ("UDHR", declarations()), ("lingua", lingua_pages())]
}

/// Labels by a sample against labels by the whole text.
fn samples(model: &Value, name: &str, sets: &[(&str, Vec<String>)]) {
    println!("\n{name}: same label as for the whole text; MB/s");
    let mut header = format!("{:<14}", "sample_bytes");
    for (set, texts) in sets {
        write!(header, " {:>26}", format!("{set} ({})", texts.len())).expect("a String takes everything");
    }
    println!("{header}");
    let whole: Vec<Vec<Option<String>>> =
        sets.iter().map(|(_, texts)| labels(&json!({ "model": model }), texts).0).collect();
    for bytes in [None, Some(512), Some(1024), Some(2048), Some(4096), Some(8192)] {
        let mut row = format!("{:<14}", bytes.map_or("whole".to_owned(), |bytes: u32| bytes.to_string()));
        for ((_, texts), whole) in sets.iter().zip(&whole) {
            let (labels, speed) = labels(&json!({ "model": model, "sample_bytes": bytes }), texts);
            let same = labels.iter().zip(whole).filter(|(a, b)| a == b).count();
            let share = 100.0 * same as f64 / texts.len() as f64;
            write!(row, " {:>26}", format!("{same} ({share:.2} %) {speed:.0}"))
                .expect("a String takes everything");
        }
        println!("{row}");
    }
}

/// Labels with newlines removed against labels with newlines as spaces.
fn newlines(model: &Value, name: &str, sets: &[(&str, Vec<String>)]) {
    for (set, texts) in sets {
        let outcome = |newlines: &str| {
            let options = json!({ "model": model, "keep": ["en"], "newlines": newlines });
            let stage = filter("language", options);
            let mut cx = Context::default();
            texts
                .iter()
                .map(|text| {
                    let mut doc = page(text.clone(), "");
                    let kept = stage.process(&mut doc, &mut cx) == Outcome::Keep;
                    (doc.language, kept)
                })
                .collect::<Vec<_>>()
        };
        let (space, remove) = (outcome("space"), outcome("remove"));
        let labels = space.iter().zip(&remove).filter(|(a, b)| a.0 != b.0).count();
        let verdicts = space.iter().zip(&remove).filter(|(a, b)| a.1 != b.1).count();
        println!(
            "{name}, {set}: newlines removed: {labels} labels differ, {verdicts} verdicts of keep: [en]"
        );
    }
}

/// Megabytes per CPU second by level.
fn speed(model: &Value, name: &str, sets: &[(&str, Vec<String>)]) {
    for (set, texts) in &sets[..2] {
        for level in ["document", "paragraph", "line"] {
            let (labels, speed) = labels(&json!({ "model": model, "level": level }), texts);
            let english = labels.iter().filter(|label| label.as_deref() == Some("en")).count();
            println!(
                "{name}, {set}, level: {level}: {speed:.1} MB/s, {english} of {} in English",
                texts.len()
            );
        }
    }
}

fn labels(options: &Value, texts: &[String]) -> (Vec<Option<String>>, f64) {
    let stage = filter("language", options.clone());
    let mut docs: Vec<Document> = texts.iter().map(|text| page(text.clone(), "")).collect();
    let mut cx = Context::default();
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let start = ProcessTime::now();
        for doc in &mut docs {
            doc.scores.clear();
            stage.process(doc, &mut cx);
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    (docs.into_iter().map(|doc| doc.language).collect(), bytes as f64 / 1e6 / best)
}

/// What `keep` cuts from pages in one language, and from made pages in two.
fn pieces(model: &Value, name: &str) {
    let english: Vec<String> = c4();
    let passes = filter("language", json!({ "model": model, "keep": ["en"] }));
    let english: Vec<String> = english.into_iter().filter(|text| kept(&*passes, text).is_some()).collect();
    let sentences = lingua();
    println!("\n{name}: characters cut, level: line");
    println!(
        "chars score | C4 English | one language | two: foreign, own | pages with other_ratio > 0.2: one, two"
    );
    for chars in [1, 25, 50, 100] {
        for score in [0.0, 0.3, 0.5, 0.65, 0.8] {
            let options = |keep: &str| {
                json!({ "model": model, "keep": [keep], "level": "line", "min_piece_chars": chars,
                        "min_piece_score": score })
            };
            let stage = filter("language", options("en"));
            let mut c4_cut = Cut::default();
            for text in &english {
                c4_cut.add(text, kept(&*stage, text).as_deref());
            }
            let (mut one, mut own, mut foreign) = (Cut::default(), Cut::default(), Cut::default());
            let (mut mixed_one, mut mixed_two, mut pages) = (0, 0, 0);
            for (number, (language, lines)) in sentences.iter().enumerate() {
                let Ok(stage) = try_filter(options(language)) else { continue };
                let other = &sentences[(number + 7) % sentences.len()].1;
                for (lines, other) in lines.chunks_exact(8).zip(other.chunks_exact(8)).take(10) {
                    let text = lines.join("\n");
                    let (after, ratio) = measured(&*stage, &text);
                    one.add(&text, after.as_deref());
                    // Two thirds own, one third foreign, one after the other.
                    let text = [&lines[..3], &other[..4], &lines[3..]].concat().join("\n");
                    let (after, other_ratio) = measured(&*stage, &text);
                    for line in lines {
                        own.add(
                            line,
                            after.as_deref().filter(|after| after.contains(line)).map(|_| line.as_str()),
                        );
                    }
                    for line in &other[..4] {
                        foreign.add(
                            line,
                            after.as_deref().filter(|after| after.contains(line)).map(|_| line.as_str()),
                        );
                    }
                    pages += 1;
                    mixed_one += usize::from(ratio > 0.2);
                    mixed_two += usize::from(other_ratio > 0.2);
                }
            }
            println!(
                "{chars:>5} {score:>5.2} | {:>9.2}% | {:>9.2}% | {:>7.2}% {:>7.2}% | {mixed_one} {mixed_two} of {pages}",
                c4_cut.percent(),
                one.percent(),
                foreign.percent(),
                own.percent(),
            );
        }
    }
}

/// Characters before and after.
#[derive(Default)]
struct Cut {
    before: usize,
    after: usize,
}

impl Cut {
    fn add(&mut self, before: &str, after: Option<&str>) {
        self.before += before.len();
        self.after += after.map_or(0, str::len);
    }

    fn percent(&self) -> f64 {
        100.0 * (self.before - self.after) as f64 / self.before as f64
    }
}

fn try_filter(options: Value) -> Result<Box<dyn DocStage>, ()> {
    let spec = tamis::stages::filter::STAGES.iter().find(|spec| spec.name == "language").expect("a filter");
    match (spec.build)(options, &mut BuildContext::default()) {
        Ok(Built::Doc(stage)) => Ok(stage),
        _ => Err(()),
    }
}

/// The text afterwards, where the page is kept.
fn kept(stage: &dyn DocStage, text: &str) -> Option<String> {
    measured(stage, text).0
}

fn measured(stage: &dyn DocStage, text: &str) -> (Option<String>, f64) {
    let mut doc = page(text.to_owned(), "");
    let outcome =
        stage.process(&mut doc, &mut Context { stage: "language".to_owned(), ..Context::default() });
    let ratio =
        doc.scores.iter().find(|(name, _)| name == "language.other_ratio").map_or(0.0, |(_, value)| *value);
    ((!matches!(outcome, Outcome::Drop(_))).then_some(doc.text), ratio)
}

fn c4() -> Vec<String> {
    let bytes = std::fs::read("../shared/reference/c4/documents.jsonl").unwrap_or_default();
    String::from_utf8(bytes)
        .expect("UTF-8")
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).expect("JSON")["text"].as_str().expect("a text").to_owned()
        })
        .collect()
}

fn wet() -> Vec<String> {
    let spec = tamis::stages::read::STAGES.iter().find(|spec| spec.name == "wet").expect("a reader");
    let options = json!({ "paths": ["../shared/data/bench-crawl"] });
    let Ok(Built::Reader(reader)) = (spec.build)(options, &mut BuildContext::default()) else {
        panic!("the reader takes a path")
    };
    let mut texts = Vec::new();
    for (split, file) in reader.files().unwrap_or_default().iter().enumerate() {
        let split = u32::try_from(split).expect("a few files");
        let mut records = reader.open(split, file, None).expect("a readable file");
        while let Some(item) = records.next().expect("a readable file") {
            if let Item::Document(doc) = item {
                texts.push(doc.text);
            }
        }
    }
    texts
}

fn text_files(folder: &str) -> Vec<(String, String)> {
    let files = data::load("text").unwrap_or_default();
    files
        .into_iter()
        .filter(|(path, _)| path.contains(folder))
        .filter_map(|(path, bytes)| Some((path, String::from_utf8(bytes).ok()?)))
        .collect()
}

/// The paragraphs of every declaration, one a line.
fn declarations() -> Vec<String> {
    text_files("/udhr/")
        .into_iter()
        .map(|(_, xml)| {
            let paragraphs = xml.split("<para>").skip(1).filter_map(|part| part.split("</para>").next());
            paragraphs.map(|text| html_escape::decode_html_entities(text)).collect::<Vec<_>>().join("\n")
        })
        .filter(|text| !text.is_empty())
        .collect()
}

/// Sentences by language.
fn lingua() -> Vec<(String, Vec<String>)> {
    text_files("/lingua-testdata/sentences/")
        .into_iter()
        .map(|(path, text)| {
            let name = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".txt").to_owned();
            (name, text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect())
        })
        .collect()
}

fn lingua_pages() -> Vec<String> {
    lingua().iter().flat_map(|(_, lines)| lines.chunks_exact(8).map(|chunk| chunk.join("\n"))).collect()
}
