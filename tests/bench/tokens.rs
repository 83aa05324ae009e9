//! Tokenizer training, encoding and shard writing on 100 MB of distinct text from the shared data folder.
//!
//! The corpus stays in `target/bench-tokens/corpus`, where `tests/tools/bench_rustbpe.py` trains the peer on
//! the same texts. The answer is checked before figures are printed: the shards verify, and every sampled
//! document decodes to text that encodes to the same tokens.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use tamis::io::columns::StringColumns;
use tamis::stage::{Progress, TaskEnv, TaskReport};
use tamis::tokens::{TokenizerConfig, TokensConfig, TrainConfig, passes, verify};

const CORPUS_BYTES: usize = 100_000_000;
const FILES: usize = 4;

struct Silent;

impl Progress for Silent {
    fn advance(&self, _bytes: u64, _docs: u64) {}
}

/// Prints the figures; skips with a message where the data is absent.
pub(crate) fn run() {
    let shared = Path::new("../shared");
    if !shared.join("data/bench-crawl").is_dir() {
        println!("tokens: skipped, no data in {}", shared.display());
        return;
    }
    let dir = Path::new("target/bench-tokens");
    let corpus = dir.join("corpus");
    if !corpus.join("part-00003.parquet").exists() {
        write_corpus(shared, &corpus);
        println!("tokens: corpus written; run again for peaks without what writing it left in memory");
    }
    let bytes = size_of_texts(&corpus);
    println!("tokens: {:.1} MB of text in {FILES} files", mb(bytes));
    let env = TaskEnv {
        memory_bytes: 256 << 20,
        cancel: Arc::new(AtomicBool::new(false)),
        progress: Arc::new(Silent),
    };
    let tokenizer = TokenizerConfig { train: Some(TrainConfig::default()), ..TokenizerConfig::default() };
    let tokens = TokensConfig { shard_tokens: 10_000_000, ..TokensConfig::default() };
    let mut report = TaskReport::default();
    let mut training = 0.0;
    for pass in passes(dir, tokenizer, Some(tokens)) {
        // Resets the peak, so that each pass shows its own.
        drop(std::fs::write("/proc/self/clear_refs", "5"));
        let start = cpu_time::ProcessTime::now();
        for task in 0..pass.tasks().expect("tasks") {
            report.merge(&pass.run(task, &env).expect("pass"));
        }
        let seconds = start.elapsed().as_secs_f64();
        if pass.name().starts_with("tokenizer-") {
            training += seconds;
        }
        println!(
            "tokens: {:16} {seconds:6.2} CPU s, {:7.1} MB per CPU s, peak {:4} MB",
            pass.name(),
            mb(bytes) / seconds,
            peak_mb()
        );
    }
    println!("tokens: training {training:.2} CPU s; counts {:?}", report.counts);
    let verified = verify(&dir.join("tokens"), 500).expect("verify");
    assert_eq!(verified.problems, Vec::<String>::new());
    assert_eq!(verified.samples.len(), 500);
    let ratio = mb(bytes) * 1e6 / verified.tokens as f64;
    println!("tokens: {} ({ratio:.2} bytes per token)", verified.to_string().lines().last().unwrap_or(""));
}

fn mb(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// Highest resident memory since the last reset.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1000
}

fn size_of_texts(corpus: &Path) -> usize {
    let mut bytes = 0;
    for path in tamis::io::list(corpus, ".parquet").expect("corpus") {
        let mut columns = StringColumns::open(path, &["text"]).expect("corpus file");
        while let Some(batch) = columns.next().expect("rows") {
            bytes += (0..batch.rows).map(|row| batch.get(0, row).len()).sum::<usize>();
        }
    }
    bytes
}

/// Texts up to [`CORPUS_BYTES`]: C4 pages, crawl text, books and sentences in many languages, and, to fill
/// up, crawled pages with their HTML.
fn write_corpus(shared: &Path, target: &Path) {
    let mut texts: Vec<String> = Vec::new();
    let c4 = std::fs::read_to_string(shared.join("reference/c4/documents.jsonl")).expect("c4");
    for line in c4.lines() {
        let page: serde_json::Value = serde_json::from_str(line).expect("json");
        texts.push(page["text"].as_str().unwrap_or_default().to_owned());
    }
    let crawl = shared.join("data/bench-crawl");
    for number in 0..3 {
        members(&crawl.join(format!("BENCH-20261123-shared-0000{number}.warc.wet.gz")), &mut texts);
    }
    tar_texts(&shared.join("data/text.tar.zst"), &mut texts);
    for number in 0..3 {
        members(&crawl.join(format!("BENCH-20261123-shared-0000{number}.warc.gz")), &mut texts);
    }
    let mut bytes = 0;
    texts.retain(|text| {
        let fits = bytes + text.len() <= CORPUS_BYTES;
        bytes += if fits { text.len() } else { 0 };
        fits
    });
    std::fs::create_dir_all(target).expect("folder");
    for (number, part) in texts.chunks(texts.len().div_ceil(FILES)).enumerate() {
        let ids = StringArray::from_iter_values((0..part.len()).map(|row| format!("{number}-{row}")));
        let columns: [(&str, ArrayRef); 2] =
            [("id", Arc::new(ids)), ("text", Arc::new(StringArray::from_iter_values(part)))];
        let batch = RecordBatch::try_from_iter(columns).expect("batch");
        let path: PathBuf = target.join(format!("part-{number:05}.parquet"));
        let file = File::create(path).expect("corpus file");
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).expect("writer");
        writer.write(&batch).expect("rows");
        writer.close().expect("footer");
    }
}

/// Each record of a WARC file, without its header, as a text.
fn members(path: &Path, texts: &mut Vec<String>) {
    let mut input = std::io::BufReader::new(File::open(path).expect("warc"));
    loop {
        let mut bytes = Vec::new();
        let mut member = flate2::bufread::GzDecoder::new(input);
        if member.read_to_end(&mut bytes).is_err() || bytes.is_empty() {
            return;
        }
        input = member.into_inner();
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && (head.contains("WARC-Type: response") || head.contains("WARC-Type: conversion"))
        {
            texts.push(body.to_owned());
        }
    }
}

/// The files of a tar archive that are UTF-8, in parts of about 4 kB.
fn tar_texts(path: &Path, texts: &mut Vec<String>) {
    let mut bytes = Vec::new();
    let mut plain = zstd::Decoder::new(File::open(path).expect("tar")).expect("zstd");
    plain.read_to_end(&mut bytes).expect("zstd");
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + 512) {
        let size = std::str::from_utf8(&header[124..135]).unwrap_or("").trim_matches(['\0', ' ']);
        let Ok(size) = usize::from_str_radix(size, 8) else { return };
        let body = bytes.get(at + 512..at + 512 + size).unwrap_or_default();
        if let (b'0', Ok(text)) = (header[156], std::str::from_utf8(body)) {
            let mut part = String::new();
            for line in text.split_inclusive('\n') {
                part.push_str(line);
                if part.len() > 4000 {
                    texts.push(std::mem::take(&mut part));
                }
            }
            texts.push(part);
        }
        at += 512 + size.div_ceil(512) * 512;
    }
}
