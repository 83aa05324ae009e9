//! Every filter and every stage that rewrites on texts that no page should be: one line of 50 MB, ten million line feeds and the like.
//!
//! Checked: nobody panics, and the time grows with the size: the tenth part of a text takes a tenth of the time,
//! within a factor of 2.5 (tables that fall out of the processor's caches cost up to 2). Reported are megabytes per CPU
//! second on the whole text.

use cpu_time::ThreadTime;
use tamis::document::{Document, Ordinal};
use tamis::stage::{BuildContext, Built, Context, DocStage};
use tamis::stages::{filter, rewrite};

/// Options for filters that need some.
const OPTIONS: &[(&str, &str)] = &[
    ("url", r#"{"banned_words": ["casino"], "soft_words": ["bet"]}"#),
    ("keywords", r#"{"words": ["lantern", "中文", "quiet river"], "max_matches": null}"#),
    ("classifier", r#"{"model": "fixtures/models/quality.bin"}"#),
    ("perplexity", r#"{"model": "fixtures/models/ngram/fable.probing"}"#),
    (
        "decontaminate",
        r#"{"sets": [{"name": "riddles", "path": "fixtures/stages/decontaminate/riddles.jsonl"}], "action": "annotate"}"#,
    ),
];

/// Most that a tenth of the text may be faster per byte than the whole.
const MAX_GROWTH: f64 = 2.5;

fn texts(size: usize) -> Vec<(&'static str, String)> {
    let repeat = |piece: &str| piece.repeat(size / piece.len());
    let mut seed = 7_u64;
    let mut words = String::with_capacity(size + 16);
    while words.len() < size {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        for shift in (0..(2 + seed % 8) * 5).step_by(5) {
            words.push(char::from(b'a' + ((seed >> (13 + shift)) % 26) as u8));
        }
        words.push(' ');
    }
    vec![
        ("one line of words", words.clone()),
        ("one word", repeat("x")),
        ("one line of Chinese", repeat("中文词语说明书本国家人民")),
        ("the same line", repeat("the old mill at the ford turns once a week\n")),
        ("lines of one letter", repeat("a\n")),
        ("marks", repeat("#({[.\"'…•- ")),
        ("line feeds", "\n".repeat(size / 5)),
    ]
}

pub(crate) fn run() {
    let (small, large) = (texts(5_000_000), texts(50_000_000));
    println!(
        "{:<20} {}",
        "MB per CPU second",
        large.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" | ")
    );
    let mut grown = Vec::new();
    for spec in filter::STAGES.iter().chain(rewrite::STAGES) {
        let options =
            OPTIONS.iter().find(|(name, _)| *name == spec.name).map_or("{}", |(_, options)| options);
        let options = serde_json::from_str(options).expect("valid JSON");
        let Ok(Built::Doc(stage)) = (spec.build)(options, &mut BuildContext::default()) else {
            println!("{:<20} needs options that this benchmark has none of", spec.name);
            continue;
        };
        let mut row = format!("{:<20}", spec.name);
        for ((name, small), (_, large)) in small.iter().zip(&large) {
            let (short, long) = (seconds(&*stage, spec.name, small), seconds(&*stage, spec.name, large));
            let growth = long / large.len() as f64 / (short / small.len() as f64);
            if growth > MAX_GROWTH && long > 0.05 {
                grown.push(format!("`{}` on {name}: {growth:.1} times slower per byte", spec.name));
            }
            row = format!("{row} {:>8.0}", large.len() as f64 / 1e6 / long);
        }
        println!("{row}");
    }
    assert!(grown.is_empty(), "not linear:\n{}", grown.join("\n"));
}

fn seconds(stage: &dyn DocStage, name: &str, text: &str) -> f64 {
    let mut doc = Document::new(Ordinal { split: 0, record: 0 }, "extreme".to_owned(), text.to_owned());
    doc.url = Some("https://extreme.example/".to_owned());
    let mut cx = Context { stage: name.to_owned(), ..Context::default() };
    let start = ThreadTime::now();
    stage.process(&mut doc, &mut cx);
    start.elapsed().as_secs_f64()
}
