//! The passes together: from corpus files to a verified set of shards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::io::columns::tests::write_corpus;
use crate::stage::{Progress, TaskEnv, TaskReport};

struct Silent;

impl Progress for Silent {
    fn advance(&self, _bytes: u64, _docs: u64) {}
}

fn env(memory_bytes: u64) -> TaskEnv {
    TaskEnv { memory_bytes, cancel: Arc::new(AtomicBool::new(false)), progress: Arc::new(Silent) }
}

/// Documents with something of everything: several scripts, an empty text, odd ids, equal documents.
fn documents(count: usize) -> Vec<(String, String)> {
    let words =
        ["sieve", "token", "मैदा", "中文字符", "Straße", "кот", "ไทย", "<|endoftext|>", "\u{0}", "\n\n", "42"];
    let mut docs: Vec<_> = (0..count)
        .map(|n| {
            let text: Vec<_> = (0..n % 97).map(|k| words[(n * 31 + k * k) % words.len()]).collect();
            (format!("doc\t{n}"), text.join(" "))
        })
        .collect();
    docs.push(("same".to_owned(), "twice".to_owned()));
    docs.push(("same".to_owned(), "twice".to_owned()));
    docs
}

fn write(run: &Path, docs: &[(String, String)], files: usize) {
    for (number, part) in docs.chunks(docs.len().div_ceil(files)).enumerate() {
        write_corpus(&run.join(format!("corpus/part-{number:05}.parquet")), part);
    }
}

fn config() -> (TokenizerConfig, TokensConfig) {
    let train =
        TrainConfig { vocab_size: 300, special_tokens: vec!["<pad>".to_owned()], ..TrainConfig::default() };
    let tokens =
        TokensConfig { name: Some("web".to_owned()), shard_tokens: 15_000, ..TokensConfig::default() };
    (TokenizerConfig { train: Some(train), ..TokenizerConfig::default() }, tokens)
}

fn run_all(run: &Path, memory: u64, backwards: bool) -> TaskReport {
    let (tokenizer, tokens) = config();
    let mut report = TaskReport::default();
    for pass in passes(run, tokenizer, Some(tokens)) {
        let tasks = pass.tasks().unwrap();
        for task in 0..tasks {
            let task = if backwards { tasks - 1 - task } else { task };
            report.merge(&pass.run(task, &env(memory)).unwrap());
        }
    }
    report
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for path in crate::io::list(dir, "").unwrap() {
        if path.is_file() {
            files.insert(path.strip_prefix(dir).unwrap().to_path_buf(), std::fs::read(&path).unwrap());
        }
    }
    files
}

#[test]
fn corpus_to_verified_shards() {
    let run = tempfile::tempdir().unwrap();
    let docs = documents(700);
    write(run.path(), &docs, 3);
    let report = run_all(run.path(), 64 << 20, false);
    let tokens = run.path().join("tokens");
    let verified = verify(&tokens, 10_000).unwrap();
    assert_eq!(verified.problems, Vec::<String>::new());
    assert_eq!(verified.docs, docs.len() as u64);
    assert_eq!(report.counts["token_docs"], verified.docs);
    assert_eq!(report.counts["tokens"], verified.tokens);
    assert!(verified.shards >= 3, "{verified}");
    // Every document's tokens decode to its text (samples keep 400 characters).
    let mut expected: Vec<(String, String)> =
        docs.iter().map(|(id, text)| (id.clone(), text.chars().take(400).collect())).collect();
    let mut decoded: Vec<(String, String)> =
        verified.samples.iter().map(|sample| (sample.id.clone(), sample.text.clone())).collect();
    assert_ne!(decoded, expected, "not shuffled");
    expected.sort();
    decoded.sort();
    assert_eq!(decoded, expected);
    let manifest: manifest::Manifest = crate::io::read_json(tokens.join("manifest.json")).unwrap();
    assert_eq!((manifest.eos_id, manifest.vocab_size), (298, 300));
    assert_eq!(manifest.shards[0].name, "web_00000");
}

#[test]
fn same_bytes_for_any_memory_order_and_repetition() {
    let docs = documents(700);
    let one = tempfile::tempdir().unwrap();
    write(one.path(), &docs, 3);
    run_all(one.path(), 64 << 20, false);
    let two = tempfile::tempdir().unwrap();
    write(two.path(), &docs, 3);
    // Memory for next to nothing: spills, and documents gathered from disk.
    run_all(two.path(), 1, true);
    let expected = files(&one.path().join("tokens"));
    assert_eq!(files(&two.path().join("tokens")), expected);
    assert_eq!(files(one.path()), files(two.path()));
    run_all(two.path(), 1 << 20, false);
    assert_eq!(files(&two.path().join("tokens")), expected);
    // The division into files has no influence on tokenizer and shards either.
    let three = tempfile::tempdir().unwrap();
    write(three.path(), &docs, 1);
    run_all(three.path(), 64 << 20, false);
    assert_eq!(files(three.path()), files(one.path()));
}

#[test]
fn an_empty_corpus_gives_an_empty_set() {
    let run = tempfile::tempdir().unwrap();
    run_all(run.path(), 1 << 20, false);
    let verified = verify(&run.path().join("tokens"), 3).unwrap();
    assert_eq!((verified.shards, verified.docs, verified.problem_count), (0, 0, 0));
}

#[test]
fn rare_pieces_are_dropped_by_rule() {
    let run = tempfile::tempdir().unwrap();
    let docs: Vec<_> = (0..3000).map(|n| (n.to_string(), format!("ab cd w{n:x}q"))).collect();
    write(run.path(), &docs, 2);
    let (mut tokenizer, _) = config();
    tokenizer.train.as_mut().unwrap().max_distinct_pieces = 1000;
    let mut counts = BTreeMap::new();
    for pass in passes(run.path(), tokenizer, None) {
        for task in 0..pass.tasks().unwrap() {
            counts.append(&mut pass.run(task, &env(1)).unwrap().counts);
        }
    }
    assert_eq!(counts["distinct_pieces"], 1000);
}

#[test]
fn damage_is_found() {
    let run = tempfile::tempdir().unwrap();
    write(run.path(), &documents(50), 1);
    run_all(run.path(), 1 << 20, false);
    let dir = run.path().join("tokens");
    let info = |name: &str| dir.join(format!("web_00000.{name}"));
    let cases: &[(&str, usize, &str)] = &[
        ("bin", 1, "beyond the vocabulary"),
        ("bin", 0, "SHA-256"),
        ("idx", 0, "magic number"),
        ("idx", 18, "number of sequences"),
        ("ds.index", 0, "wrong end of document 0"),
    ];
    for &(name, at, expected) in cases {
        let good = std::fs::read(info(name)).unwrap();
        let mut bad = good.clone();
        bad[at] ^= 0x7F;
        std::fs::write(info(name), &bad).unwrap();
        let report = verify(&dir, 2).unwrap();
        assert!(report.problems.iter().any(|p| p.contains(expected)), "{name} {at}: {:?}", report.problems);
        std::fs::write(info(name), &good[..good.len() - 1]).unwrap();
        assert!(verify(&dir, 2).unwrap().problem_count > 0);
        std::fs::write(info(name), &good).unwrap();
        assert_eq!(verify(&dir, 2).unwrap().problem_count, 0);
    }
    std::fs::remove_file(info("docs.parquet")).unwrap();
    assert!(verify(&dir, 0).unwrap().problems[0].contains("docs.parquet"));
    std::fs::write(run.path().join("tokenizer.json"), b"{}").unwrap();
    assert!(verify(&dir, 0).unwrap_err().to_string().contains("not the tokenizer"));
}

#[test]
fn a_finished_tokenizer_is_taken_over() {
    let run = tempfile::tempdir().unwrap();
    write(run.path(), &documents(40), 1);
    let file = run.path().join("given.json");
    std::fs::write(&file, encoder::tests::small("abc abc", 260)).unwrap();
    let tokenizer =
        TokenizerConfig { file: Some(file.to_str().unwrap().to_owned()), ..TokenizerConfig::default() };
    assert_eq!(tokenizer.check(&mut crate::stage::BuildContext::default()), []);
    for pass in passes(run.path(), tokenizer, Some(TokensConfig::default())) {
        for task in 0..pass.tasks().unwrap() {
            pass.run(task, &env(1 << 20)).unwrap();
        }
    }
    assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(run.path().join("tokenizer.json")).unwrap());
    assert_eq!(verify(&run.path().join("tokens"), 5).unwrap().problem_count, 0);
}

#[test]
fn llmc_has_its_header_and_starts_documents_with_the_end_token() {
    let run = tempfile::tempdir().unwrap();
    write(run.path(), &documents(40), 1);
    run_all(run.path(), 1 << 20, false);
    let dir = run.path().join("tokens");
    let written = export::llmc(&dir, &run.path().join("llmc")).unwrap();
    let payload = std::fs::read(dir.join("web_00000.bin")).unwrap();
    let bytes = std::fs::read(&written[0]).unwrap();
    assert_eq!(bytes.len(), 1024 + payload.len());
    assert_eq!(bytes[..4], 20_240_520_i32.to_le_bytes());
    assert_eq!(bytes[8..12], i32::try_from(payload.len() / 2).unwrap().to_le_bytes());
    assert_eq!(bytes[1024..1026], 298_u16.to_le_bytes());
    assert_eq!(bytes[1026..], payload[..payload.len() - 2]);
}

#[test]
fn cancelled_tasks_stop_and_leave_nothing_in_sight() {
    let run = tempfile::tempdir().unwrap();
    write(run.path(), &documents(100), 1);
    let (tokenizer, tokens) = config();
    let stopped = env(1 << 20);
    stopped.cancel.store(true, std::sync::atomic::Ordering::Relaxed);
    for pass in passes(run.path(), tokenizer, Some(tokens)) {
        if pass.name() == "tokens-manifest" {
            return;
        }
        assert!(matches!(pass.run(0, &stopped), Err(Error::Interrupted)), "{}", pass.name());
        assert!(crate::io::list(run.path().join("tokens"), "").unwrap().is_empty(), "{}", pass.name());
        pass.run(0, &env(1 << 20)).unwrap();
    }
}
