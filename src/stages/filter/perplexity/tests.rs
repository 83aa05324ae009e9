//! Cases, arbitrary text, deciding again, training in a pass.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::stage::{Progress, TaskEnv};
use crate::stages::filter::case_files;
use crate::stages::filter::testing::{any_text_with, judge, stage};

const MODEL: &str = "fixtures/models/ngram/fable.arpa";

struct Silent;
impl Progress for Silent {
    fn advance(&self, _: u64, _: u64) {}
}

fn env(memory_bytes: u64) -> TaskEnv {
    TaskEnv { memory_bytes, cancel: Arc::default(), progress: Arc::new(Silent) }
}

fn errors(options: Value) -> Vec<String> {
    match (SPEC.build)(options, &mut BuildContext::default()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().map(|error| format!("{}: {}", error.key, error.message)).collect(),
    }
}

#[test]
fn cases() {
    case_files::check(&SPEC);
}

#[test]
fn any_text_gets_a_verdict() {
    any_text_with(&SPEC, json!({"model": MODEL, "max_perplexity": 40.0, "cutoffs": {"en": [5.0, 9.0]}}));
    any_text_with(
        &SPEC,
        json!({"model": MODEL, "level": "line", "min_piece_chars": 1, "max_perplexity": 40.0}),
    );
}

#[test]
fn the_document_is_all_its_lines_together() {
    let text = "one line of it\n\nanother line\n";
    let (_, doc) = judge(&*stage(&SPEC, json!({"model": MODEL})), &SPEC, text, &mut Context::default());
    let model = Model::open(MODEL).unwrap();
    let mut sum = SentenceScore::default();
    for line in ["one line of it", "another line"] {
        sum.merge(&model.score_sentence(line.split(' '), true, true));
    }
    assert_eq!(sum.tokens, 4 + 1 + 2 + 1);
    assert_eq!(doc.stored_score("perplexity", "perplexity"), Some(sum.perplexity()));
    assert_eq!(doc.stored_score("perplexity", "unknown_ratio"), Some(sum.oovs as f64 / sum.tokens as f64));
}

#[test]
fn a_page_goes_to_the_model_of_its_language() {
    let judge = |language: Option<&str>, unknown: &str| {
        let stage =
            stage(&SPEC, json!({"models": {"eng": MODEL}, "max_perplexity": 0.5, "unknown": unknown}));
        let mut doc = case_files::document("some text");
        doc.language = language.map(str::to_owned);
        let mut cx = Context { stage: "perplexity".to_owned(), ..Context::default() };
        let outcome = stage.process(&mut doc, &mut cx);
        assert_eq!(stage.redecide(&doc, "perplexity"), Some(outcome.clone()));
        crate::stages::filter::testing::name(&outcome).to_owned()
    };
    assert_eq!(judge(Some("en"), "keep"), "high_perplexity");
    assert_eq!(judge(Some("de"), "keep"), "keep");
    assert_eq!(judge(Some("de"), "drop"), "no_model");
    assert_eq!(judge(None, "drop"), "no_model");
}

#[test]
fn mistakes_are_named() {
    assert!(errors(json!({}))[0].contains("no model"));
    assert!(errors(json!({"model": MODEL, "train_from": {"text": MODEL}}))[0].contains("only one"));
    assert!(errors(json!({"model": MODEL, "keep": ["head"]}))[0].starts_with("keep"));
    assert!(errors(json!({"model": MODEL, "min_kept_ratio": 0.5}))[0].starts_with("min_kept_ratio"));
    assert!(errors(json!({"model": MODEL, "level": "line"}))[0].starts_with("level"));
    assert!(errors(json!({"model": MODEL, "min_perplexity": 9, "max_perplexity": 8}))[0].contains("above"));
    assert!(errors(json!({"model": "no/such/file"}))[0].starts_with("model"));
    assert!(errors(json!({"models": {"zz9": MODEL}}))[0].starts_with("models.zz9"));
    assert!(errors(json!({"models": {"en": MODEL, "eng": MODEL}}))[0].contains("second"));
    assert!(
        errors(json!({"train_models_from": {"en": {"text": "no/file"}}}))[0]
            .starts_with("train_models_from.en.text")
    );
}

#[test]
fn a_trained_model_is_the_same_whatever_the_memory_and_changes_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        json!({"train_from": {"text": "fixtures/models/quality/hq.txt", "order": 3}, "tokens": "words"});
    let mut files = Vec::new();
    for (name, memory) in [("a", 1 << 30), ("b", 1)] {
        let stage = stage(&SPEC, options.clone());
        let dir = folder.path().join(name);
        let passes = stage.passes("perplexity", &dir);
        assert_eq!(passes.iter().map(|pass| pass.name()).collect::<Vec<_>>(), ["perplexity-train-model"]);
        assert!(stage.ready(&dir).is_err(), "nothing is trained yet");
        passes[0].run(0, &env(memory)).unwrap();
        stage.ready(&dir).unwrap();
        let (_, good) = judge(&*stage, &SPEC, "The river rises in April.", &mut Context::default());
        let (_, bad) = judge(&*stage, &SPEC, "April in rises. river The", &mut Context::default());
        let value = |doc: &Document| doc.stored_score("perplexity", "perplexity").unwrap();
        assert!(value(&good) < value(&bad));
        files.push(crate::io::read_side_file(&dir.join("model.bin")).unwrap());
    }
    assert_eq!(files[0], files[1]);
    let path = folder.path().join("a/model.bin");
    let last = files[0].len() - 1;
    files[0][last] ^= 1;
    std::fs::write(&path, &files[0]).unwrap();
    let changed = stage(&SPEC, options).ready(&folder.path().join("a")).unwrap_err();
    assert!(changed.to_string().contains("not the model that this run trained"), "{changed}");
}

#[test]
fn pieces_are_scored_as_the_models_own_words() {
    let dir = tempfile::tempdir().unwrap();
    for (name, pieces) in [("en", "unigram"), ("deu", "bpe")] {
        let from = format!("fixtures/models/sentencepiece/{pieces}.model");
        std::fs::copy(from, dir.path().join(format!("{name}.sp"))).unwrap();
    }
    let tokens = json!({"sentencepiece": dir.path().join("{language}.sp")});
    let options = json!({"models": {"en": MODEL, "deu": MODEL}, "tokens": tokens, "normalize": "ccnet"});
    let mut cx = BuildContext::default();
    assert!((SPEC.build)(options.clone(), &mut cx).is_ok());
    // Two files of pieces are part of the plan beside the models.
    assert_eq!(cx.files.iter().filter(|(path, _)| path.ends_with(".sp")).count(), 2);
    let stage = stage(&SPEC, options);
    let text = "the lamps of the RIVER\n\nkettle";
    for (language, pieces) in [("en", "unigram"), ("de", "bpe")] {
        let path = format!("fixtures/models/sentencepiece/{pieces}.model");
        let apart = LmTokens::open(&Tokens::SentencePiece(path), Normalize::Ccnet).unwrap();
        let mut doc = case_files::document(text);
        doc.language = Some(language.to_owned());
        let mut cx = Context { stage: "perplexity".to_owned(), ..Context::default() };
        stage.process(&mut doc, &mut cx);
        let model = Model::open(MODEL).unwrap();
        let mut sum = SentenceScore::default();
        for line in ["the lamps of the RIVER", "kettle"] {
            let mut tokens = String::new();
            apart.line(line, &mut tokens);
            sum.merge(&model.score_sentence(tokens.split_ascii_whitespace(), true, true));
        }
        assert!(sum.tokens > 8, "{}", sum.tokens);
        assert_eq!(doc.stored_score("perplexity", "perplexity"), Some(sum.perplexity()), "{language}");
    }
}

#[test]
fn tokens_that_do_not_fit_are_mistakes() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("m.arpa");
    std::fs::copy(MODEL, &model).unwrap();
    let note = LmTokens::open(&Tokens::Characters, Normalize::None).unwrap();
    note.note().write(&model).unwrap();
    let path = model.to_string_lossy().into_owned();
    assert!(errors(json!({"model": path, "tokens": "characters"})).is_empty());
    let found = errors(json!({"model": path}));
    assert!(found[0].starts_with("tokens: ") && found[0].contains("`characters`"), "{found:?}");
    let found = errors(json!({"model": MODEL, "tokens": {"sentencepiece": "{language}.model"}}));
    assert!(found[0].contains("one model for all languages"), "{found:?}");
    let found = errors(json!({"model": MODEL, "tokens": {"tokenizer": "absent.json"}}));
    assert!(found[0].starts_with("tokens: ") && found[0].contains("absent.json"), "{found:?}");
    let found = errors(json!({"model": MODEL, "tokens": {"sentencepiece": MODEL}}));
    assert!(found[0].contains("no usable SentencePiece model"), "{found:?}");
}
