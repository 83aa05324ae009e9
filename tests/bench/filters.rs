//! Speed of the filters: each alone and FineWeb's chain, on `reference/c4` (without `../shared`: on made text).
//!
//! Answers are checked first: how many documents the chain keeps. Reported are megabytes (10^6 bytes) of text
//! and documents per CPU second of this thread, the copying of each document into a fresh `Document` excluded.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use cpu_time::ThreadTime;
use tamis::document::{Document, Ordinal, Outcome};
use tamis::stage::{BuildContext, Built, Context, DocStage};
use tamis::stages::filter::STAGES;
use tamis::text::words::Splitter;

/// Bytes of text that every measurement goes through.
const TARGET_BYTES: usize = 200_000_000;

/// FineWeb's order.
const CHAIN: [(&str, &str); 4] = [
    ("gopher_repetition", "{}"),
    ("gopher_quality", "{}"),
    ("c4_quality", r#"{"require_terminal_punctuation": false}"#),
    ("fineweb_quality", "{}"),
];

type Stages = Vec<(&'static str, Box<dyn DocStage>)>;

fn stages(wanted: &[(&'static str, &str)]) -> Stages {
    let build = |&(name, options): &(&'static str, &str)| {
        let spec = STAGES.iter().find(|spec| spec.name == name).expect("a stage of the filter room");
        let options = serde_json::from_str(options).expect("valid JSON");
        match (spec.build)(options, &mut BuildContext::default()) {
            Ok(Built::Doc(stage)) => (name, stage),
            _ => panic!("`{name}` does not build"),
        }
    };
    wanted.iter().map(build).collect()
}

/// Everything that `text_ratios` can measure, and the least: what it checks when nobody says otherwise.
const RATIOS: [(&str, &str); 2] = [("text_ratios", r#"{"measure_all": true}"#), ("text_ratios", "{}")];

/// The texts and whether they are the reference's.
fn texts() -> (Vec<String>, bool) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/c4/documents.jsonl");
    let Ok(bytes) = std::fs::read(path) else {
        let words = ["river", "the", "of", "stone", "and", "with", "lantern", "quiet", "that", "harbour"];
        let line = |number: usize| {
            let word = |place: usize| words[(number * 7 + place * place * 3 + place) % words.len()];
            format!("{}, {number}.", (0..12).map(word).collect::<Vec<_>>().join(" "))
        };
        return (
            (0..500).map(|d| (0..25).map(|l| line(d * 31 + l)).collect::<Vec<_>>().join("\n")).collect(),
            false,
        );
    };
    let text = |line: &[u8]| {
        let document: serde_json::Value = serde_json::from_slice(line).expect("a JSON line");
        document["text"].as_str().expect("a text").to_owned()
    };
    (bytes.split(|&b| b == b'\n').filter(|line| !line.is_empty()).map(text).collect(), true)
}

/// Runs the documents through the stages; returns how many are left, and the CPU time.
fn pass(stages: &Stages, texts: &[String], cx: &mut Context) -> (usize, Duration) {
    let ordinal = Ordinal { split: 0, record: 0 };
    let mut documents: Vec<Document> =
        texts.iter().map(|text| Document::new(ordinal, String::new(), text.clone())).collect();
    let start = ThreadTime::now();
    let mut kept = 0;
    for document in &mut documents {
        cx.features.reset();
        kept += usize::from(stages.iter().all(|(name, stage)| {
            cx.stage.clear();
            cx.stage.push_str(name);
            match stage.process(document, cx) {
                Outcome::Keep => true,
                Outcome::Changed => {
                    cx.features.reset();
                    true
                }
                Outcome::Drop(_) => false,
            }
        }));
    }
    let spent = start.elapsed();
    black_box(&documents);
    (kept, spent)
}

fn measure(label: &str, stages: &Stages, texts: &[String]) {
    // For a profile of one of them: `TAMIS_BENCH_ONLY=chain`.
    if std::env::var("TAMIS_BENCH_ONLY").is_ok_and(|only| only != label) {
        return;
    }
    let mut cx = Context::default();
    let bytes: usize = texts.iter().map(String::len).sum();
    let repeats = TARGET_BYTES.div_ceil(bytes);
    let (kept, _) = pass(stages, texts, &mut cx);
    let spent: Duration = (0..repeats)
        .map(|_| {
            let (again, spent) = pass(stages, texts, &mut cx);
            assert_eq!(again, kept, "the same documents are kept every time");
            spent
        })
        .sum();
    report(label, bytes * repeats, texts.len() * repeats, spent, &format!("{kept} of {} kept", texts.len()));
}

#[allow(clippy::cast_precision_loss, reason = "sizes of a benchmark")]
fn report(label: &str, bytes: usize, documents: usize, spent: Duration, note: &str) {
    let seconds = spent.as_secs_f64();
    println!(
        "{label:<20} {:8.1} MB {:8.2} CPU s {:8.1} MB/s {:10.0} docs/s   {note}",
        bytes as f64 / 1e6,
        seconds,
        bytes as f64 / 1e6 / seconds,
        documents as f64 / seconds,
    );
}

/// Runs the benchmark.
pub(crate) fn run() {
    let (texts, is_reference) = texts();
    let chain = stages(&CHAIN);
    let (kept, _) = pass(&chain, &texts, &mut Context::default());
    if is_reference {
        // 713 that datatrove's whole chain keeps, and those that its URL and language filters drop but these do not.
        assert!((713..=735).contains(&kept), "{kept} of the reference documents are kept");
    } else {
        println!("`../shared/reference/c4` is absent: made text");
    }
    for one in &CHAIN {
        measure(one.0, &stages(&[*one]), &texts);
    }
    measure("chain", &chain, &texts);
    measure("c4_paragraph", &stages(&[("c4_paragraph", "{}")]), &texts);
    for (label, one) in ["text_ratios, all", "text_ratios"].into_iter().zip(RATIOS) {
        measure(label, &stages(&[one]), &texts);
    }
    let with_ratios: Vec<_> = CHAIN[..2].iter().copied().chain([RATIOS[0]]).collect();
    measure("Gopher + ratios, all", &stages(&with_ratios), &texts);
    // The chain of five: with the built-in detector, and with a fastText model (`TAMIS_LID_MODEL=lid.176.ftz`), the whole
    // text scored.
    let mut five = vec![("language", r#"{"keep": ["en"], "min_score": 0.65}"#)];
    five.extend(CHAIN);
    measure("chain, built-in", &stages(&five), &texts);
    if let Ok(model) = std::env::var("TAMIS_LID_MODEL") {
        let options = serde_json::json!({ "model": model, "keep": ["en"], "min_score": 0.65 }).to_string();
        let mut five = vec![("language", options.as_str())];
        five.extend(CHAIN);
        measure("chain, fastText", &stages(&five), &texts);
    }

    let bytes: usize = texts.iter().map(String::len).sum();
    let repeats = TARGET_BYTES.div_ceil(bytes);
    let mut splitter = Splitter::default();
    let mut words = 0_u64;
    let start = ThreadTime::now();
    for text in (0..repeats).flat_map(|_| &texts) {
        splitter.split(text, |word| words += u64::from(black_box(word).chars() > 0));
    }
    let spent = start.elapsed();
    report(
        "words",
        bytes * repeats,
        texts.len() * repeats,
        spent,
        &format!("{} words", words / repeats as u64),
    );
}
