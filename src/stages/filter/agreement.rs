//! The filters against datatrove 0.10.1: its decision and reason for every document of `reference/c4`, each filter
//! alone and all of them in FineWeb's order. Skipped, with a message, where `../shared` is absent.
//!
//! `docs/filters-agreement.md` lists the differences that are left.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{c4_paragraph, c4_quality, fineweb_quality, gopher_quality, gopher_repetition, testing};
use crate::document::Outcome;
use crate::stage::{Context, StageSpec};

fn reference() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/c4");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: `{}` is absent", folder.display());
    None
}

fn json_lines(path: &Path) -> Vec<Value> {
    let bytes = crate::io::read_side_file(path).unwrap();
    String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The document's number in its id, `c4.jsonl/12`.
fn number(decision: &Value) -> usize {
    decision["id"].as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap()
}

/// A reason as datatrove names it.
fn datatrove_name<'n>(table: &[(&str, &'n str)], outcome: &Outcome) -> &'n str {
    match outcome {
        Outcome::Keep | Outcome::Changed => "keep",
        Outcome::Drop(reason) => table.iter().find(|(ours, _)| *ours == reason.name).unwrap().1,
    }
}

type Tested = (&'static StageSpec, &'static [(&'static str, &'static str)]);

const GOPHER_REPETITION: Tested = (&gopher_repetition::SPEC, gopher_repetition::DATATROVE_REASONS);
const GOPHER_QUALITY: Tested = (&gopher_quality::SPEC, gopher_quality::DATATROVE_REASONS);
const C4_QUALITY: Tested = (&c4_quality::SPEC, c4_quality::DATATROVE_REASONS);
const FINEWEB_QUALITY: Tested = (&fineweb_quality::SPEC, fineweb_quality::DATATROVE_REASONS);

#[test]
fn each_filter_alone_decides_as_datatrove() {
    let Some(folder) = reference() else { return };
    let documents = json_lines(&folder.join("documents.jsonl"));
    let decisions = json_lines(&folder.join("decisions-each-filter.jsonl"));
    let mut cx = Context::default();
    for ((spec, table), key, options) in [
        (GOPHER_REPETITION, "gopher_rep", json!({})),
        (GOPHER_QUALITY, "gopher_quality", json!({})),
        (C4_QUALITY, "c4", json!({"require_terminal_punctuation": false})),
        (C4_QUALITY, "c4_terminal", json!({})),
        (FINEWEB_QUALITY, "fineweb", json!({})),
    ] {
        let stage = testing::stage(spec, options);
        let (mut verdicts, mut reasons, mut lengths, mut dropped) = (0, 0, 0, 0);
        for decision in &decisions {
            let text = documents[number(decision)]["text"].as_str().unwrap();
            let (outcome, doc) = testing::judge(&*stage, spec, text, &mut cx);
            let (ours, theirs) = (datatrove_name(table, &outcome), decision[key].as_str().unwrap());
            if ours != theirs {
                println!("{key}: {}: {ours}, datatrove {theirs}", decision["id"]);
            }
            verdicts += usize::from((ours == "keep") != (theirs == "keep"));
            if theirs != "keep" {
                dropped += 1;
                reasons += usize::from(ours != theirs);
            }
            if let Some(length) = decision.get(format!("{key}_len")).and_then(Value::as_u64)
                && ours == "keep"
                && theirs == "keep"
                && doc.text.chars().count() as u64 != length
            {
                lengths += 1;
                println!(
                    "{key}: {}: {} characters, datatrove {length}",
                    decision["id"],
                    doc.text.chars().count()
                );
            }
        }
        let all = decisions.len();
        println!(
            "{key}: {all} documents, {verdicts} other verdicts, {reasons} other reasons of {dropped}, {lengths} other lengths"
        );
        assert!(verdicts * 1000 <= all * 5, "{key}: agreement below 99.5 %");
        assert!(reasons * 100 <= dropped, "{key}: reasons agree on less than 99 %");
        assert!(lengths * 1000 <= all * 5, "{key}: text after the filter differs");
    }
}

#[test]
fn words_and_sentences_are_counted_as_by_datatrove() {
    let Some(folder) = reference() else { return };
    let documents = json_lines(&folder.join("documents.jsonl"));
    let (mut all, mut other) = (0, 0);
    let mut features = crate::text::features::Features::default();
    for decision in json_lines(&folder.join("decisions-each-filter.jsonl")) {
        let text = documents[number(&decision)]["text"].as_str().unwrap();
        features.reset();
        let words = features.words(text);
        let sentences = crate::text::sentences::count(text, words, 0, text.len());
        let theirs = (decision["n_words"].as_u64(), decision["n_sents"].as_u64());
        let ours = (Some(words.len() as u64), Some(sentences as u64));
        all += 1;
        if ours != theirs {
            other += 1;
            println!("{}: words and sentences {ours:?}, datatrove {theirs:?}", decision["id"]);
        }
    }
    assert!(other * 100 <= all, "{other} of {all} documents have other counts");
}

#[test]
fn the_chain_decides_as_datatrove() {
    let Some(folder) = reference() else { return };
    let documents = json_lines(&folder.join("documents.jsonl"));
    let decisions = json_lines(&folder.join("decisions-chain.jsonl"));
    let chain: Vec<_> = [
        (GOPHER_REPETITION, "gopher_rep", json!({})),
        (GOPHER_QUALITY, "gopher_quality", json!({})),
        (C4_QUALITY, "c4", json!({"require_terminal_punctuation": false})),
        (FINEWEB_QUALITY, "fineweb", json!({})),
    ]
    .into_iter()
    .map(|((spec, table), key, options)| (spec, table, key, testing::stage(spec, options)))
    .collect();
    let mut cx = Context::default();
    let (mut other, mut left_out) = (0, 0);
    for decision in &decisions {
        let theirs = if decision["kept"].as_bool().unwrap() {
            ("keep", "keep")
        } else {
            (decision["stage"].as_str().unwrap(), decision["reason"].as_str().unwrap())
        };
        // The URL and language filters are other stages: where one of them dropped the document, the rest of
        // the chain never saw it.
        if ["url", "language"].contains(&theirs.0) {
            left_out += 1;
            continue;
        }
        let mut text = documents[number(decision)]["text"].as_str().unwrap().to_owned();
        let mut ours = ("keep", "keep");
        for (spec, table, key, stage) in &chain {
            let (outcome, doc) = testing::judge(&**stage, spec, &text, &mut cx);
            if matches!(outcome, Outcome::Drop(_)) {
                ours = (key, datatrove_name(table, &outcome));
                break;
            }
            text = doc.text;
        }
        if ours != theirs {
            other += 1;
            println!("chain: {}: {ours:?}, datatrove {theirs:?}", decision["id"]);
        }
    }
    println!(
        "chain: {} documents, {left_out} of them the URL or language filter's, {other} other decisions",
        decisions.len()
    );
    assert!(other * 100 <= decisions.len(), "the chain agrees on less than 99 %");
}

#[test]
fn long_lines_are_counted_as_by_datatrove() {
    let Some(folder) = reference() else { return };
    let stage = testing::stage(&c4_paragraph::SPEC, json!({}));
    let mut cx = Context::default();
    let mut kept = 0;
    for (number, document) in json_lines(&folder.join("documents.jsonl")).iter().enumerate() {
        let text = document["text"].as_str().unwrap();
        // datatrove's own words for it: the three longest lines, and the shortest of these.
        let mut lengths: Vec<usize> = text.split('\n').map(|line| line.chars().count()).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        let theirs = lengths.len() >= 3 && lengths[2] >= 200;
        let (outcome, _) = testing::judge(&*stage, &c4_paragraph::SPEC, text, &mut cx);
        assert_eq!(outcome == Outcome::Keep, theirs, "document {number}");
        kept += usize::from(theirs);
    }
    // What `C4ParagraphFilter` of datatrove 0.10.1 keeps of the same 1,000 documents.
    assert_eq!(kept, 440);
}
