use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::document::Ordinal;
use crate::models::fasttext::{Settings, Trainer};
use crate::stages::filter::testing;

const MODEL: &str = "fixtures/models/quality.bin";

fn stage(options: Value) -> Box<dyn DocStage> {
    testing::stage(&SPEC, options)
}

fn mistake(options: Value) -> (String, String, Option<String>) {
    let error = (SPEC.build)(options, &mut BuildContext::default()).err().unwrap().remove(0);
    (error.key, error.message, error.hint)
}

#[test]
fn cases() {
    testing::run_cases(&SPEC);
}

/// The fixture model is what its texts make of it, on every machine: the command is in docs/classifier.md.
#[test]
fn the_fixture_model_can_be_made_again() {
    let read = |name: &str| crate::io::read_side_file(&Path::new("fixtures/models").join(name)).unwrap();
    let settings = Settings {
        dim: 20,
        epoch: 100,
        lr: 1.0,
        word_ngrams: 2,
        minn: 3,
        maxn: 4,
        bucket: 150,
        min_count: 1,
        seed: 1,
    };
    for threads in [1, 2] {
        let labels = ["hq".to_owned(), "cc".to_owned()];
        let mut trainer = Trainer::new(&settings, &labels, 1 << 30).unwrap();
        for (label, name) in ["quality/hq.txt", "quality/cc.txt"].into_iter().enumerate() {
            for line in std::str::from_utf8(&read(name)).unwrap().lines() {
                trainer.add(label, line).unwrap();
            }
        }
        let mut bytes = Vec::new();
        trainer.train(threads, &|_| {}).unwrap().write(&mut bytes).unwrap();
        assert!(bytes == read("quality.bin"), "with {threads} threads");
    }
}

#[test]
fn mistakes_are_named() {
    let (key, message, _) = mistake(json!({"model": "fixtures/models/none.bin"}));
    assert_eq!(key, "model");
    assert!(message.starts_with("cannot read `fixtures/models/none.bin`"), "{message}");
    let (key, message, _) = mistake(json!({"model": "fixtures/models/sentences.tsv"}));
    assert_eq!(key, "model");
    assert!(message.starts_with("cannot use `fixtures/models/sentences.tsv`: this is not"), "{message}");
    let (key, message, hint) = mistake(json!({"model": MODEL, "label": "good"}));
    assert_eq!((key.as_str(), message.as_str()), ("label", "the model has no label `good`"));
    assert_eq!(hint.as_deref(), Some("it has `__label__hq`, `__label__cc`"));
    let (_, message, _) = mistake(json!({"model": "fixtures/models/softmax.bin"}));
    assert_eq!(message, "must be given: the model has no label `__label__hq`");
}

#[test]
fn a_score_equal_to_the_limit_is_kept() {
    let text = "The river carries more water in spring.";
    let (_, doc) = testing::judge(&*stage(json!({"model": MODEL})), &SPEC, text, &mut Context::default());
    let score = doc.scores[0].1;
    for (limit, kept) in [(score, true), (score.next_up(), false), (score.next_down(), true)] {
        let stage = stage(json!({"model": MODEL, "min_score": limit}));
        let (outcome, _) = testing::judge(&*stage, &SPEC, text, &mut Context::default());
        assert_eq!(outcome == Outcome::Keep, kept, "{score} at {limit}");
    }
}

#[test]
fn a_line_break_is_a_space() {
    let stage = stage(json!({"model": MODEL}));
    let score = |text: &str| {
        let (_, doc) = testing::judge(&*stage, &SPEC, text, &mut Context::default());
        doc.scores[0].1.to_bits()
    };
    assert_eq!(score("The river rises\nin April,\r\n\r\nwhen"), score("The river rises in April, when"));
    assert_ne!(score("The river rises in April"), score("the river rises in april"));
}

#[test]
fn stored_scores_decide_alike() {
    let texts =
        ["The river rises in April.", "Click here! Buy now!", "", "Home | Login", "A bridge and a cart"];
    for options in [
        json!({"model": MODEL}),
        json!({"model": MODEL, "min_score": 0.5}),
        json!({"model": MODEL, "pareto_alpha": 3.0}),
        json!({"model": MODEL, "min_score": 0.2, "pareto_alpha": 1.0, "seed": 7, "head_chars": 9}),
    ] {
        let stage = stage(options);
        for (number, text) in (0..).zip(texts) {
            let ordinal = Ordinal { split: 0, record: number };
            let mut doc = Document::new(ordinal, format!("doc-{number}"), text.to_owned());
            let mut cx = Context { stage: "mine".to_owned(), ..Context::default() };
            let outcome = stage.process(&mut doc, &mut cx);
            let mut stored = Document::new(ordinal, format!("doc-{number}"), String::new());
            assert_eq!(stage.redecide(&stored, "mine"), None);
            stored.scores = doc.scores;
            assert_eq!(stage.redecide(&stored, "mine"), Some(outcome));
        }
    }
}

#[test]
fn any_text_has_a_score() {
    use proptest::prelude::*;
    let stage = stage(json!({"model": MODEL, "head_chars": 40}));
    proptest!(ProptestConfig::with_cases(200), |(text in testing::texts())| {
        let (outcome, doc) = testing::judge(&*stage, &SPEC, &text, &mut Context::default());
        prop_assert_eq!(outcome, Outcome::Keep);
        prop_assert!((0.0..=1.0).contains(&doc.scores[0].1));
        let beginning: String = text.chars().take(40).collect();
        let (_, other) = testing::judge(&*stage, &SPEC, &beginning, &mut Context::default());
        prop_assert_eq!(&other.scores, &doc.scores);
    });
}
