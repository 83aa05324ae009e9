//! A small finished run, made with the real writers, for the tests of this room and of `cli`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::{InputInfo, Limit, PassSummary, RunSummary, StageInfo};
use crate::document::{Document, Ordinal, Reason};
use crate::stage::{BadRecord, FieldType, Flow, Histogram, StageStats, TaskReport};
use crate::stages::write::{CorpusSchema, CorpusWriter, DuplicatesWriter, QuarantineWriter, RejectsWriter};

/// Documents in the made run.
pub(crate) const DOCUMENTS: u64 = 600;

/// The summary of [`make_run`], without its files.
pub(crate) fn summary() -> RunSummary {
    let dir = tempfile::tempdir().unwrap();
    make_run(dir.path())
}

/// A run over one made crawl of two files: `extract`, `gopher_quality`, `c4_quality` in `annotate` mode,
/// `minhash_dedup`, `pii`. Every document's fate follows from its number.
pub(crate) fn make_run(run: &Path) -> RunSummary {
    let mut stages: Vec<StageStats> = ["extract", "gopher_quality", "c4_quality", "minhash_dedup", "pii"]
        .map(|name| StageStats { name: name.to_owned(), ..StageStats::default() })
        .into();
    let schema = CorpusSchema {
        scores: vec![
            "gopher_quality.words".to_owned(),
            "gopher_quality.symbol_ratio".to_owned(),
            "c4_quality.sentences".to_owned(),
        ],
        fields: vec![("title".to_owned(), FieldType::String)],
        verdicts: vec!["c4_quality".to_owned()],
    };
    for part in 0..2_u32 {
        let name = format!("part-{part:05}.parquet");
        let mut tables = Tables {
            corpus: CorpusWriter::create(run.join("corpus").join(&name), &schema).unwrap(),
            rejects: RejectsWriter::create(run.join("rejects").join(&name), true).unwrap(),
            duplicates: DuplicatesWriter::create(run.join("duplicates").join(&name)).unwrap(),
        };
        for number in 0..DOCUMENTS / 2 {
            process(part, number, &mut stages, &mut tables);
        }
        tables.corpus.finish().unwrap();
        tables.rejects.finish().unwrap();
        tables.duplicates.finish().unwrap();
    }
    let mut quarantine = QuarantineWriter::create(run.join("quarantine.jsonl")).unwrap();
    let causes = [("truncated_record", 3), ("corrupt_gzip_member", 5), ("bad_http_header", 1)];
    for (cause, n) in causes {
        for record in 0..n {
            quarantine
                .write(&BadRecord {
                    file: "crawl/a-00000.warc.gz".to_owned(),
                    offset: 4096 * (record + 1),
                    record,
                    cause: cause.to_owned(),
                    detail: "made for a test".to_owned(),
                })
                .unwrap();
        }
    }
    quarantine.finish().unwrap();
    finish(stages, &causes)
}

fn finish(stages: Vec<StageStats>, causes: &[(&str, u64)]) -> RunSummary {
    let infos = [
        ("extract", "extract", "drop", "Finds the main text of an HTML page."),
        ("gopher_quality", "filter", "sample", "Drops pages whose words, symbols or lines are unlike prose."),
        (
            "c4_quality",
            "filter",
            "annotate",
            "Drops lines that are no sentences, and pages with too few left.",
        ),
        ("minhash_dedup", "dedup", "drop", "Removes near copies: MinHash candidates, verified by Jaccard."),
        ("pii", "rewrite", "drop", "Replaces e-mail addresses, phone numbers and the like by placeholders."),
    ];
    let counts = BTreeMap::from([("pii.email".to_owned(), 31), ("tokens".to_owned(), 48_213)]);
    let pass = |name: &str, tasks, cpu_secs| PassSummary {
        name: name.to_owned(),
        tasks,
        report: TaskReport { cpu_secs, ..TaskReport::default() },
    };
    RunSummary {
        name: "quickstart <b>".to_owned(),
        fingerprint: "9f2c41d07be85a36".to_owned(),
        inputs: vec![InputInfo {
            reader: "warc".to_owned(),
            source: "crawl & co".to_owned(),
            files: 2,
            bytes: Some(1_834_211),
        }],
        stages: infos
            .map(|(name, kind, mode, summary)| StageInfo {
                name: name.to_owned(),
                kind: kind.to_owned(),
                summary: summary.to_owned(),
                mode: mode.to_owned(),
                limits: limits(name),
                sets: Vec::new(),
            })
            .into(),
        passes: vec![pass("segment-0", 2, 3.2), pass("minhash-bands", 16, 0.4), pass("corpus", 2, 0.9)],
        total: TaskReport { stages, counts, cpu_secs: 4.5 },
        quarantine: causes.iter().map(|(cause, n)| ((*cause).to_owned(), *n)).collect(),
        skipped: BTreeMap::from([("request".to_owned(), DOCUMENTS), ("warcinfo".to_owned(), 2)]),
        tokens: Some(json!({
            "tokenizer_sha256": "0c5e…", "dtype": "uint16", "seed": 42, "tokens": 48_213,
            "shards": [
                { "file": "web_00000.bin", "tokens": 30_000, "documents": 210, "sha256": "77…" },
                { "file": "web_00001.bin", "tokens": 18_213, "documents": 133, "sha256": "a1…" },
            ],
        })),
        wall_secs: 2.6,
        redecided: None,
    }
}

/// The limits that [`process`] holds scores against.
fn limits(stage: &str) -> Vec<Limit> {
    let limit = |reason: &str, score: &str, option: &str, limit, drops_below| Limit {
        stage: stage.to_owned(),
        reason: reason.to_owned(),
        score: format!("{stage}.{score}"),
        option: option.to_owned(),
        limit,
        drops_below,
        beyond: 0,
    };
    match stage {
        "gopher_quality" => vec![
            limit("too_few_words", "words", "min_words", 50.0, true),
            limit("too_many_symbols", "symbol_ratio", "max_symbol_ratio", 0.1, false),
        ],
        "c4_quality" => vec![limit("too_few_sentences", "sentences", "min_sentences", 3.0, true)],
        _ => Vec::new(),
    }
}

struct Tables {
    corpus: CorpusWriter,
    rejects: RejectsWriter,
    duplicates: DuplicatesWriter,
}

/// The made document with this number in this file; its id is `d<part>-<number>`.
fn document(part: u32, number: u64) -> Document {
    let sentence = match number % 5 {
        0 => "Der Fluss trat im April über die Ufer und stand drei Wochen in den Gärten. ",
        1 => "图书馆每天早上九点开门，晚上八点关门。",
        _ => "The mill by the river has ground flour for the village since the old bridge fell. ",
    };
    let mut doc = Document::new(
        Ordinal { split: part, record: number },
        format!("d{part}-{number}"),
        sentence.repeat(usize::try_from(1 + number * 7919 % 37).unwrap()),
    );
    doc.url = Some(format!("https://site{}.example/page/{part}/{number}?a=1&b=<script>", number % 9));
    doc.date = Some("2024-03-05T10:00:00Z".to_owned());
    doc.source = Arc::from("crawl & co");
    doc.file = Arc::from(format!("crawl/a-{part:05}.warc.gz"));
    doc.offset = number * 3000;
    doc.language = Some(["de", "zh", "en", "en", "en"][usize::try_from(number % 5).unwrap()].to_owned());
    doc.language_score = Some(0.9);
    doc.fields.insert("title".to_owned(), json!(format!("Page {number}")));
    doc
}

fn process(part: u32, number: u64, stages: &mut [StageStats], tables: &mut Tables) {
    let mut doc = document(part, number);
    let html = doc.text.len() as u64 * 6 + 2000;
    let empty = number % 23 == 4;
    if empty {
        doc.text = String::new();
    }
    count(&mut stages[0], &doc, html, empty.then_some("no_text"));
    if empty {
        return tables.rejects.write(&doc, "extract", &Reason::new("no_text")).unwrap();
    }

    let words = doc.text.split(' ').count() as f64;
    let symbols = (number * 104_729 % 1000) as f64 / 6000.0;
    score(&mut stages[1], &mut doc, "words", words, 1000.0);
    score(&mut stages[1], &mut doc, "symbol_ratio", symbols, 0.2);
    let reason = if words < 50.0 {
        Some(Reason::measured("too_few_words", words, 50.0))
    } else if symbols > 0.1 {
        Some(Reason::measured("too_many_symbols", symbols, 0.1).detail("# <b>"))
    } else {
        None
    };
    count(&mut stages[1], &doc, doc.text.len() as u64, reason.as_ref().map(|reason| reason.name));
    if let Some(reason) = reason {
        doc.text.insert_str(0, "<script>alert(1)</script> ");
        return tables.rejects.write(&doc, "gopher_quality", &reason).unwrap();
    }

    let sentences = doc.text.matches('.').count() as f64;
    score(&mut stages[2], &mut doc, "sentences", sentences, 50.0);
    let would = number.is_multiple_of(11);
    count(&mut stages[2], &doc, doc.text.len() as u64, None);
    if would {
        *stages[2].reasons.entry("too_few_sentences".to_owned()).or_default() += 1;
        doc.verdicts.push(("c4_quality".to_owned(), "too_few_sentences".to_owned()));
    }

    // Documents whose number ends in 7 are near copies of number 3 of their fifty.
    let copy = number % 10 == 7;
    count(&mut stages[3], &doc, doc.text.len() as u64, copy.then_some("near_duplicate"));
    if copy {
        let cluster = format!("c{part}-{}", number / 50);
        let kept = format!("d{part}-{}", number / 50 * 50 + 3);
        let similarity = 0.8 + (number % 100) as f64 / 1000.0;
        tables.duplicates.write(&doc.id, &kept, similarity, &cluster, "minhash_dedup").unwrap();
        return tables.rejects.write(&doc, "minhash_dedup", &Reason::new("near_duplicate")).unwrap();
    }

    let before = doc.text.len() as u64;
    if number.is_multiple_of(8) {
        doc.text.push_str(" Write to <EMAIL>.");
        stages[4].docs_changed += 1;
    }
    count(&mut stages[4], &doc, before, None);
    tables.corpus.write(&doc).unwrap();
}

fn count(stage: &mut StageStats, doc: &Document, bytes_in: u64, reason: Option<&str>) {
    stage.docs_in += 1;
    stage.bytes_in += bytes_in;
    stage.cpu_secs += 0.001;
    Flow::count(&mut stage.by_language, doc.language.as_deref().unwrap_or("unknown"), reason.is_some());
    Flow::count(&mut stage.by_source, &doc.source, reason.is_some());
    if let Some(reason) = reason {
        *stage.reasons.entry(reason.to_owned()).or_default() += 1;
    } else {
        stage.docs_out += 1;
        stage.bytes_out += doc.text.len() as u64;
    }
}

fn score(stage: &mut StageStats, doc: &mut Document, name: &str, value: f64, max: f64) {
    let full = format!("{}.{name}", stage.name);
    for limit in limits(&stage.name).iter().filter(|limit| limit.score == full) {
        *stage.beyond.entry(limit.option.clone()).or_default() += u64::from(limit.fails(value));
    }
    stage.histograms.entry(name.to_owned()).or_insert_with(|| Histogram::new(0.0, max)).add(value);
    doc.scores.push((full, value));
}
