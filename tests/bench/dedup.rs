//! Dedup: text to signatures, exact hashes, and a whole job from text to removals.
//!
//! Input: `../shared/data/neardup-made.jsonl.zst` where it is present, else made-up text; `TAMIS_BENCH_TEXT`
//! names another JSONL file (`.zst` or plain). With `TAMIS_BENCH_SCALE=N` only this: N short generated
//! documents of known duplicate structure through the whole job in 256 MiB, with peak memory and scratch
//! space. With `TAMIS_BENCH_GENERATE=FOLDER` beside it those documents are only written, as eight JSONL files for
//! `tamis run` (docs/dedup.md has the commands); they are shorter then.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cpu_time::ProcessTime;
use tamis::document::{Document, Ordinal};
use tamis::stage::{Barrier, Context, Progress, Removal, TaskEnv};
use tamis::stages::dedup::{exact_dedup, line_dedup, minhash_dedup, sentence_dedup, substring_dedup};

/// Runs all of them and prints megabytes and documents per CPU second.
pub(crate) fn run() {
    if let Ok(count) = std::env::var("TAMIS_BENCH_SCALE") {
        let count = count.parse().expect("a number of documents");
        return match std::env::var_os("TAMIS_BENCH_GENERATE") {
            Some(folder) => generate(Path::new(&folder), count),
            None => scale(count),
        };
    }
    let docs = documents();
    let bytes: usize = docs.iter().map(|doc| doc.text.len()).sum();
    println!("dedup: {} documents, {:.1} MB", docs.len(), bytes as f64 / 1e6);
    for (bands, rows) in [(14, 8), (26, 11)] {
        let stage = minhash_dedup::Stage::new(minhash_dedup::Config { bands, rows, ..Default::default() });
        signatures(&format!("signatures, {} hashes", bands * rows), &stage, &docs);
    }
    for (name, config) in [
        ("datatrove's functions", r#"{"hash_family": "datatrove"}"#),
        ("24 characters", r#"{"ngram_chars": 24}"#),
    ] {
        let config = serde_json::from_str(config).expect("valid options");
        signatures(&format!("signatures, 112 hashes, {name}"), &minhash_dedup::Stage::new(config), &docs);
    }
    for normalize in [
        exact_dedup::Normalize::None,
        exact_dedup::Normalize::Whitespace,
        exact_dedup::Normalize::Folded,
        exact_dedup::Normalize::Simplified,
    ] {
        let stage = exact_dedup::Stage::new(exact_dedup::Config { normalize, ..Default::default() });
        signatures(&format!("exact hash, {normalize:?}"), &stage, &docs);
    }
    for (bands, rows) in [(14, 8), (26, 11)] {
        let config = minhash_dedup::Config { bands, rows, ..Default::default() };
        let removed = whole_job(
            &format!("minhash_dedup, whole job, {} hashes", bands * rows),
            &of(minhash_dedup::Stage::new(config)),
            &docs,
        );
        assert!(removed < docs.len(), "something stays");
    }
    whole_job("exact_dedup, whole job", &of(exact_dedup::Stage::new(exact_dedup::Config::default())), &docs);
    for (unit, normalize) in [
        (line_dedup::Unit::Line, line_dedup::Normalize::None),
        (line_dedup::Unit::Line, line_dedup::Normalize::Ccnet),
        (line_dedup::Unit::Line, line_dedup::Normalize::Simplified),
        (line_dedup::Unit::Paragraph, line_dedup::Normalize::Ccnet),
    ] {
        let config = line_dedup::Config { unit, normalize, ..Default::default() };
        let stage = of(line_dedup::Stage::new(config));
        signatures(&format!("line_dedup, keys, {unit:?}, {normalize:?}"), &*stage, &docs);
        whole_job(&format!("line_dedup, whole job, {unit:?}, {normalize:?}"), &stage, &docs);
    }
    let stage = of(sentence_dedup::Stage::new(sentence_dedup::Config::default()));
    signatures("sentence_dedup, keys", &*stage, &docs);
    whole_job("sentence_dedup, whole job", &stage, &docs);
    for min_bytes in [50, 200, 1000] {
        let config = substring_dedup::Config { min_bytes, ..Default::default() };
        let stage = of(substring_dedup::Stage::new(config));
        signatures(&format!("substring_dedup, anchors, {min_bytes} bytes"), &*stage, &docs);
        whole_job(&format!("substring_dedup, whole job, {min_bytes} bytes"), &stage, &docs);
    }
    let stage = of(substring_dedup::Stage::new(substring_dedup::Config::default()));
    whole_job("substring_dedup, two trees of 30 MB that differ every 5,000 bytes", &stage, &trees());
    let run = Document::new(Ordinal { split: 0, record: 0 }, "run".to_owned(), "a".repeat(10_000_000));
    whole_job("substring_dedup, 10 MB of one letter", &stage, &[run]);
}

/// Two trees of 300 files of 100 KB; the second differs from the first in a letter every 5,000 bytes.
fn trees() -> Vec<Document> {
    let mut docs = Vec::new();
    for tree in 0..2_u64 {
        for file in 0..300 {
            let mut text = String::new();
            words(file, file, 15_000, 0, &mut text);
            text.truncate(100_000);
            if tree == 1 {
                for at in (2500..text.len()).step_by(5000) {
                    text.replace_range(at..=at, "Z");
                }
            }
            let ordinal = Ordinal { split: 0, record: tree * 300 + file };
            docs.push(Document::new(ordinal, format!("tree-{tree}/file-{file}"), text));
        }
    }
    docs
}

fn documents() -> Vec<Document> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/neardup-made.jsonl.zst");
    let path = std::env::var_os("TAMIS_BENCH_TEXT").map_or(shared, Into::into);
    let Ok(packed) = std::fs::read(&path) else {
        println!("dedup: `{}` is absent, made-up text instead", path.display());
        return made_up();
    };
    let mut plain = Vec::new();
    if path.extension().is_some_and(|extension| extension == "zst") {
        zstd::Decoder::new(&packed[..]).expect("zstd").read_to_end(&mut plain).expect("zstd");
    } else {
        plain = packed;
    }
    let lines = plain.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    (0..)
        .zip(lines)
        .map(|(record, line)| {
            let value: serde_json::Value = serde_json::from_slice(line).expect("JSON");
            let text = value["text"].as_str().expect("a text").to_owned();
            Document::new(Ordinal { split: 0, record }, format!("doc-{record}"), text)
        })
        .collect()
}

fn made_up() -> Vec<Document> {
    let mut state = 1_u64;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    (0..2000)
        .map(|record| {
            let mut text = String::new();
            for _ in 0..800 {
                let word = next(30_000);
                for place in 0..3 + next(5) {
                    text.push(char::from(b'a' + ((word >> place) % 26) as u8));
                }
                text.push(' ');
            }
            Document::new(Ordinal { split: 0, record }, format!("doc-{record}"), text)
        })
        .collect()
}

fn of(stage: impl Barrier + 'static) -> Arc<dyn Barrier> {
    Arc::new(stage)
}

/// Computes all signatures a few times; the fastest counts.
fn signatures(what: &str, stage: &dyn Barrier, docs: &[Document]) {
    let mut cx = Context::default();
    let expected = stage.signature(&docs[0], &mut cx);
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = ProcessTime::now();
        let mut signature = |doc: &Document| {
            cx.features.reset();
            stage.signature(doc, &mut cx)
        };
        let signatures: Vec<Vec<u8>> = docs.iter().map(&mut signature).collect();
        best = best.min(start.elapsed().as_secs_f64());
        assert_eq!(signatures[0], expected);
    }
    report(what, docs, best);
}

/// Words of a generated document.
const WORDS: u64 = 120;
/// One generated document in so many is a near copy of the one before.
const COPY_EVERY: u64 = 10;

/// Document `number`: words drawn by its number alone. A copy has its last four words replaced: similarity
/// 112 shared of 120 shingles.
fn generated(number: u64, text: &mut String) {
    words(number, number - u64::from(is_copy(number)), WORDS, 4, text);
}

fn is_copy(number: u64) -> bool {
    number % COPY_EVERY == COPY_EVERY - 1
}

/// So many words that follow from `source`, the last ones from `number` where it is another.
fn words(number: u64, source: u64, count: u64, replaced: u64, text: &mut String) {
    text.clear();
    let mut state = source;
    for word in 0..count {
        if number != source && word == count - replaced {
            state = !number;
        }
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut letters = (state >> 33) % 50_000 + 50_000;
        while letters > 0 {
            text.push(char::from(b'a' + (letters % 17) as u8));
            letters /= 17;
        }
        text.push(' ');
    }
}

/// Words of a document that is written to a file.
const WRITTEN_WORDS: u64 = 40;
/// One written document in so many is a near copy of the very first: one large cluster.
const TEMPLATE_EVERY: u64 = 1000;

/// Writes documents of 40 words. One in ten has its last two words other than the one before (similarity 34 of 38), one
/// in a thousand is such a copy of document 0; all others share nothing.
fn generate(folder: &Path, count: u64) {
    use std::io::Write;
    const FILES: u64 = 8;
    std::fs::create_dir_all(folder).expect("a folder");
    let mut text = String::new();
    let mut copies = 0;
    for file in 0..FILES {
        let path = folder.join(format!("generated-{file}.jsonl"));
        let mut out = std::io::BufWriter::new(std::fs::File::create(path).expect("a file"));
        for number in file * count / FILES..(file + 1) * count / FILES {
            let source = match number {
                _ if number % TEMPLATE_EVERY == 0 => 0,
                _ => number - u64::from(is_copy(number)),
            };
            copies += u64::from(source != number);
            words(number, source, WRITTEN_WORDS, 2, &mut text);
            writeln!(out, "{{\"id\":\"{number}\",\"text\":\"{}\"}}", text.trim_end()).expect("written");
        }
        out.flush().expect("written");
    }
    println!("{count} documents, {copies} of them copies, {} MB", folder_bytes(folder) / 1_000_000);
}

fn scale(count: u64) {
    const PART_DOCS: u64 = 250_000;
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("00-bench");
    let barrier: Arc<dyn Barrier> = Arc::new(minhash_dedup::Stage::new(minhash_dedup::Config::default()));
    let env = TaskEnv {
        memory_bytes: 256 << 20,
        cancel: Arc::new(AtomicBool::new(false)),
        progress: Arc::new(Silent),
    };
    let start = ProcessTime::now();
    let mut cx = Context::default();
    let mut doc = Document::new(Ordinal { split: 0, record: 0 }, String::new(), String::new());
    let mut bytes = 0;
    for part in 0..count.div_ceil(PART_DOCS) {
        let part_number = u32::try_from(part).expect("few parts");
        let mut observer = barrier.observer(&dir, 0, part_number, env.memory_bytes).expect("a part");
        for record in part * PART_DOCS..((part + 1) * PART_DOCS).min(count) {
            generated(record, &mut doc.text);
            bytes += doc.text.len();
            doc.id = format!("doc-{record}");
            let signature = barrier.signature(&doc, &mut cx);
            observer.observe(Ordinal { split: 0, record }, &doc.id, &signature).expect("observed");
        }
        observer.finish().expect("a part");
    }
    let megabytes = bytes as f64 / 1e6;
    println!("dedup at scale: {count} documents, {megabytes:.0} MB");
    println!("  observed after {:.1} CPU seconds, peak {}", start.elapsed().as_secs_f64(), peak_memory());
    for pass in Arc::clone(&barrier).passes(dir.clone()) {
        let tasks = pass.tasks().expect("tasks");
        for task in 0..tasks {
            pass.run(task, &env).expect("a task");
        }
        let secs = start.elapsed().as_secs_f64();
        println!(
            "  {} ({tasks} tasks) done after {secs:.1} CPU seconds, peak {}",
            pass.name(),
            peak_memory()
        );
    }
    let mut removals = barrier.removals(&dir, 0).expect("removals");
    let mut wrong = 0;
    let mut removed = 0_u64;
    for record in 0..count {
        if let Some(removal) = removals.lookup(Ordinal { split: 0, record }).expect("a look-up") {
            removed += 1;
            let source = format!("doc-{}", record.saturating_sub(1));
            wrong += u64::from(!matches!(removal, Removal::Duplicate(copy) if copy.kept_id == source));
        }
    }
    assert_eq!(wrong, 0, "a document goes for another than its source");
    let copies = count / COPY_EVERY;
    assert!(removed * 1000 >= copies * 995, "{removed} of {copies} copies go");
    let secs = start.elapsed().as_secs_f64();
    println!("  {removed} of {copies} copies removed; {:.1} MB per CPU second", megabytes / secs);
    println!("  peak {}, scratch {} MB", peak_memory(), folder_bytes(&dir) / 1_000_000);
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown").trim().to_owned()
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries
        .map(|path| if path.is_dir() { folder_bytes(&path) } else { path.metadata().expect("a file").len() })
        .sum()
}

struct Silent;

impl Progress for Silent {
    fn advance(&self, _bytes: u64, _docs: u64) {}
}

fn whole_job(what: &str, barrier: &Arc<dyn Barrier>, docs: &[Document]) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("00-bench");
    let start = ProcessTime::now();
    let mut cx = Context::default();
    let env = TaskEnv {
        memory_bytes: 256 << 20,
        cancel: Arc::new(AtomicBool::new(false)),
        progress: Arc::new(Silent),
    };
    let mut observer = barrier.observer(&dir, 0, 0, env.memory_bytes).expect("a part");
    for doc in docs {
        cx.features.reset();
        let signature = barrier.signature(doc, &mut cx);
        observer.observe(doc.ordinal, &doc.id, &signature).expect("observed");
    }
    observer.finish().expect("a part");
    for pass in Arc::clone(barrier).passes(dir.clone()) {
        for task in 0..pass.tasks().expect("tasks") {
            pass.run(task, &env).expect("a task");
        }
    }
    let mut removals = barrier.removals(&dir, 0).expect("removals");
    let (mut removed, mut cut) = (0, 0);
    for doc in docs {
        match removals.lookup(doc.ordinal).expect("a look-up") {
            None => {}
            Some(Removal::Cut(cuts)) => {
                cx.features.reset();
                let left = barrier.cut(&doc.text, &cuts, &mut cx);
                cut += doc.text.len() - left.as_ref().map_or(0, String::len);
                removed += usize::from(left.is_err());
            }
            Some(_) => removed += 1,
        }
    }
    let what = if cut > 0 { format!("{what}, {:.1} MB cut out", cut as f64 / 1e6) } else { what.to_owned() };
    report(&format!("{what}, {removed} removed"), docs, start.elapsed().as_secs_f64());
    removed
}

fn report(what: &str, docs: &[Document], secs: f64) {
    let bytes: usize = docs.iter().map(|doc| doc.text.len()).sum();
    let (megabytes, count) = (bytes as f64 / 1e6 / secs, docs.len() as f64 / secs);
    println!("  {what}: {megabytes:.1} MB and {count:.0} documents per CPU second");
}
