//! Tests of the span stages: the cases of `fixtures/stages/<stage>/cases.jsonl`, the definition by brute force, and
//! real pages.
//!
//! A case has `docs` (a list of texts per split; ids are `split.record`), `options`, `after` (the documents that change:
//! text, or the reason they go for) and `cuts` (per document what was taken out, and where the first copy is).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Read};
use std::sync::Arc;

use proptest::prelude::*;
use serde::Deserialize;

use super::testkit::{CutDoc, Setup, cut_by, docs_of};
use super::{line_dedup, sentence_dedup};
use crate::document::{Document, Ordinal};
use crate::stage::{Barrier, BuildContext, Built, StageSpec};
use crate::text::ccnet;
use crate::text::simplify::simplify;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    options: serde_json::Map<String, serde_json::Value>,
    docs: Vec<Vec<String>>,
    after: BTreeMap<String, After>,
    cuts: BTreeMap<String, Vec<(String, String)>>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum After {
    Text(String),
    Gone { reason: String },
}

fn built(spec: &StageSpec, options: serde_json::Value) -> Arc<dyn Barrier> {
    match (spec.build)(options, &mut BuildContext::default()) {
        Ok(Built::Barrier(barrier)) => barrier,
        Ok(_) => panic!("`{}` is no barrier", spec.name),
        Err(errors) => panic!("{errors:?}"),
    }
}

fn cases(spec: &StageSpec) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stages").join(spec.name);
    let file = crate::io::open(folder.join("cases.jsonl")).unwrap();
    let mut count = 0;
    for line in std::io::BufReader::new(file).lines() {
        let case: Case = serde_json::from_str(&line.unwrap()).unwrap();
        let docs = docs_of(&case.docs);
        let stage = built(spec, case.options.into());
        for (order, part_docs) in [(0, u64::MAX), (7, 1)] {
            let setup = Setup { order, part_docs, memory_bytes: 1 << 10 };
            let found = cut_by(&stage, &docs, &setup);
            let (mut after, mut cuts) = (BTreeMap::new(), BTreeMap::new());
            for (doc, CutDoc { cuts: found, left, .. }) in docs.iter().zip(found) {
                if found.is_empty() {
                    assert_eq!(left.as_ref(), Ok(&doc.text), "{}", case.name);
                    continue;
                }
                let piece = |cut: &crate::stage::Cut| {
                    (doc.text[cut.range.clone()].to_owned(), cut.first_id.to_string())
                };
                cuts.insert(doc.id.clone(), found.iter().map(piece).collect::<Vec<_>>());
                after.insert(
                    doc.id.clone(),
                    match left {
                        Ok(text) => After::Text(text),
                        Err(reason) => After::Gone { reason: reason.name.to_owned() },
                    },
                );
            }
            assert_eq!(cuts, case.cuts, "{}", case.name);
            assert_eq!(after, case.after, "{}", case.name);
        }
        count += 1;
    }
    assert!(count > 10, "{count} cases");
}

#[test]
fn line_cases() {
    cases(&line_dedup::SPEC);
}

#[test]
fn sentence_cases() {
    cases(&sentence_dedup::SPEC);
}

/// The documents that stay, as they go on.
fn rest(docs: &[Document], found: &[CutDoc]) -> Vec<Document> {
    let mut rest = Vec::new();
    for (doc, found) in docs.iter().zip(found) {
        if let Ok(text) = &found.left {
            rest.push(Document { text: text.clone(), ..doc.clone() });
        }
    }
    rest
}

fn normalised(line: &str) -> Vec<u8> {
    let mut out = Vec::new();
    ccnet::normalize_line(line, &mut out);
    out
}

/// Lines that stay in each document, by definition.
fn lines_left(docs: &[Document], keep: line_dedup::Keep, scope: line_dedup::Scope) -> Vec<Vec<String>> {
    let place = |doc: &Document| match scope {
        line_dedup::Scope::Corpus => None,
        line_dedup::Scope::Document => Some(doc.ordinal),
    };
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for doc in docs {
        for line in doc.text.split('\n') {
            *counts.entry((place(doc), normalised(line))).or_default() += 1;
        }
    }
    let mut seen = BTreeSet::new();
    let mut left = Vec::new();
    for doc in docs {
        let stays = |line: &&str| {
            let key = (place(doc), normalised(line));
            !key.1.is_empty()
                && match keep {
                    line_dedup::Keep::None => counts[&key] == 1,
                    line_dedup::Keep::First => seen.insert(key),
                }
        };
        left.push(doc.text.split('\n').filter(stays).map(|line| line.trim().to_owned()).collect());
    }
    left
}

fn setups() -> impl Strategy<Value = Setup> {
    (any::<u64>(), 1_u64..40).prop_map(|(order, part_docs)| Setup { order, part_docs, memory_bytes: 1 << 10 })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn lines_by_definition_whatever_the_order_of_work(
        splits in prop::collection::vec(prop::collection::vec("([a-c ]{0,2}\n){0,6}", 0..16), 0..4),
        setup in setups(),
        keep in prop_oneof![Just(line_dedup::Keep::First), Just(line_dedup::Keep::None)],
        scope in prop_oneof![Just(line_dedup::Scope::Corpus), Just(line_dedup::Scope::Document)],
        units_per_task in 5_u64..100,
    ) {
        let docs = docs_of(&splits);
        let config = line_dedup::Config { keep, scope, ..Default::default() };
        let plain: Arc<dyn Barrier> = Arc::new(line_dedup::Stage::new(config.clone()));
        let many: Arc<dyn Barrier> = Arc::new(line_dedup::Stage::with_units_per_task(config, units_per_task));
        let found = cut_by(&many, &docs, &setup);
        prop_assert_eq!(&found, &cut_by(&plain, &docs, &Setup::default()));
        for ((doc, found), wanted) in docs.iter().zip(&found).zip(lines_left(&docs, keep, scope)) {
            match &found.left {
                Ok(text) => {
                    let lines: Vec<&str> = text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect();
                    prop_assert_eq!(lines, wanted);
                    prop_assert!(!found.cuts.is_empty() || *text == doc.text);
                }
                Err(reason) => {
                    prop_assert_eq!(reason.name, "nothing_left");
                    prop_assert!(wanted.is_empty());
                }
            }
        }
        // Once more changes nothing.
        for found in cut_by(&plain, &rest(&docs, &found), &setup) {
            prop_assert_eq!(found.cuts, []);
        }
    }

    #[test]
    fn sentences_by_definition_whatever_the_order_of_work(
        splits in prop::collection::vec(prop::collection::vec("([ABC]x\\. ){0,9}", 0..12), 0..4),
        setup in setups(),
        window in 1_u32..5,
        units_per_task in 5_u64..100,
    ) {
        let docs = docs_of(&splits);
        let config = sentence_dedup::Config { window, min_words: None, min_sentences: None, ..Default::default() };
        let plain: Arc<dyn Barrier> = Arc::new(sentence_dedup::Stage::new(config.clone()));
        let many: Arc<dyn Barrier> = Arc::new(sentence_dedup::Stage::with_units_per_task(config, units_per_task));
        let found = cut_by(&many, &docs, &setup);
        prop_assert_eq!(&found, &cut_by(&plain, &docs, &Setup::default()));
        let mut seen = BTreeSet::new();
        let window = window as usize;
        for (doc, found) in docs.iter().zip(&found) {
            let sentences: Vec<&str> = doc.text.split_whitespace().collect();
            let mut goes = vec![false; sentences.len()];
            for (first, span) in sentences.windows(window).enumerate() {
                if !seen.insert(span.to_vec()) {
                    goes[first..first + window].fill(true);
                }
            }
            let stay: Vec<&str> =
                sentences.iter().zip(&goes).filter(|(_, goes)| !**goes).map(|(sentence, _)| *sentence).collect();
            match &found.left {
                Ok(text) => prop_assert_eq!(text.split_whitespace().collect::<Vec<_>>(), stay),
                Err(_) => prop_assert!(stay.is_empty()),
            }
        }
    }

    #[test]
    fn any_text_is_cut_without_a_panic(
        texts in prop::collection::vec("(\\PC|[ab.!\n\r\t\u{a0}\u{2028} ]){0,30}", 0..8),
        twice in any::<bool>(),
    ) {
        let splits = if twice { vec![texts.clone(), texts] } else { vec![texts] };
        let docs = docs_of(&splits);
        for options in [
            serde_json::json!({"unit": "line", "min_chars": 2, "min_words": 2}),
            serde_json::json!({"unit": "line", "normalize": "none", "keep": "none"}),
            serde_json::json!({"unit": "paragraph", "normalize": "simplified", "scope": "document"}),
            serde_json::json!({"unit": "paragraph"}),
        ] {
            let stage = built(&line_dedup::SPEC, options);
            let found = cut_by(&stage, &docs, &Setup::default());
            if !twice {
                // Copies are of whole units: what is left has none.
                let again = cut_by(&stage, &rest(&docs, &found), &Setup::default());
                prop_assert!(again.iter().all(|doc| doc.cuts.is_empty()), "{:?}", again);
            }
        }
        for window in [1, 3] {
            let options = serde_json::json!({"window": window, "min_words": 1, "min_sentences": 1});
            cut_by(&built(&sentence_dedup::SPEC, options), &docs, &Setup::default());
        }
    }
}

/// Texts of the first shard of the shared crawl; none where it is absent.
pub(super) fn crawl() -> Vec<Document> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data/bench-crawl/BENCH-20261123-shared-00000.warc.wet.gz");
    if !path.exists() {
        println!("skipped: `{}` is absent", path.display());
        return Vec::new();
    }
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(crate::io::open(&path).unwrap()).read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let mut docs = Vec::new();
    for record in text.split("WARC/1.0\r\n").filter(|record| record.contains("WARC-Type: conversion")) {
        let Some((_, body)) = record.split_once("\r\n\r\n") else { continue };
        let number = docs.len() as u64;
        let ordinal = Ordinal { split: u32::try_from(number / 400).unwrap(), record: number % 400 };
        docs.push(Document::new(ordinal, format!("page-{number}"), body.trim_end().to_owned()));
    }
    docs
}

#[test]
fn real_pages_lose_exactly_the_lines_that_came_before() {
    let docs = crawl();
    if docs.is_empty() {
        return;
    }
    let setup = Setup { order: 5, part_docs: 90, memory_bytes: 1 << 20 };
    for keep in [line_dedup::Keep::First, line_dedup::Keep::None] {
        let config = line_dedup::Config { keep, ..Default::default() };
        let stage: Arc<dyn Barrier> = Arc::new(line_dedup::Stage::with_units_per_task(config, 10_000));
        let found = cut_by(&stage, &docs, &setup);
        let mut bytes = (0, 0);
        let of_lines = |text: &str| -> Vec<String> {
            text.split('\n')
                .filter(|line| !normalised(line).is_empty())
                .map(|line| line.trim().to_owned())
                .collect()
        };
        for ((doc, found), wanted) in
            docs.iter().zip(&found).zip(lines_left(&docs, keep, line_dedup::Scope::Corpus))
        {
            let left = found.left.as_ref().map_or("", String::as_str);
            assert_eq!(of_lines(left), wanted, "{}", doc.id);
            bytes = (bytes.0 + doc.text.len(), bytes.1 + left.len());
            for cut in &found.cuts {
                // Each piece stands in the page that is named.
                let first = docs.iter().find(|doc| *doc.id == *cut.first_id).unwrap();
                let line = doc.text[cut.range.clone()].split('\n').next().unwrap();
                assert!(first.text.split('\n').any(|other| normalised(other) == normalised(line)));
            }
        }
        println!("{keep:?}: {} pages, {} bytes, {} left", docs.len(), bytes.0, bytes.1);
        assert!(bytes.1 * 10 < bytes.0 * 9, "a tenth goes at least: {bytes:?}");
    }
}

#[test]
fn real_pages_keep_no_span_of_three_sentences_that_came_before() {
    let docs = crawl();
    if docs.is_empty() {
        return;
    }
    let config = sentence_dedup::Config { min_words: None, min_sentences: None, ..Default::default() };
    let stage: Arc<dyn Barrier> = Arc::new(sentence_dedup::Stage::with_units_per_task(config, 10_000));
    let setup = Setup { order: 5, part_docs: 90, memory_bytes: 1 << 20 };
    let found = cut_by(&stage, &docs, &setup);
    let (mut cut_docs, mut whole) = (0, 0);
    let mut text = (String::new(), String::new());
    for (doc, found) in docs.iter().zip(&found) {
        cut_docs += usize::from(!found.cuts.is_empty());
        for cut in &found.cuts {
            let first = docs.iter().find(|doc| *doc.id == *cut.first_id).unwrap();
            simplify(&doc.text[cut.range.clone()], &mut text.0);
            simplify(&first.text, &mut text.1);
            // Numbers and marks at the borders of sentences can simplify otherwise inside a text.
            whole += usize::from(text.1.contains(text.0.as_str()));
        }
    }
    let cuts: usize = found.iter().map(|doc| doc.cuts.len()).sum();
    println!(
        "{} pages, {cut_docs} with cuts, {cuts} cuts, {whole} as they stand in the first page",
        docs.len()
    );
    assert!(cut_docs > 20 && whole * 100 >= cuts * 80);
}
