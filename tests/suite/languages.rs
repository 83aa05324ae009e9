//! Good text of many languages survives the multilingual recipe; scrambled and repeated text does not.
//!
//! Text: `../shared/data/text.tar.zst` (skipped with a message where it is absent): Wikipedia paragraphs in six languages
//! (xquad), translations of the Declaration of Human Rights, sentences of news and web pages in 75 languages
//! (lingua). `docs/languages.md` tells what the table that this prints means.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tamis::document::{Document, Ordinal, Outcome};
use tamis::pipeline::Loaded;
use tamis::stage::{Built, Context};

use super::data;
use super::support::{root, run, stderr, stdout};

/// Languages whose sentences follow each other without a space.
const SPACELESS: [&str; 6] = ["zh", "ja", "th", "lo", "km", "my"];

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % n as u64).expect("less than a usize")
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// Private-use code (ISO 639-2) for texts in another form of their language.
const OTHER_FORM: &str = "qaa";

/// (language, kind, text) of every good document.
fn documents(files: &data::Files) -> Vec<(String, &'static str, String)> {
    let mut docs = Vec::new();
    for (path, bytes) in files {
        let text = || String::from_utf8(bytes.clone()).expect("the shared texts are UTF-8");
        let name = path.rsplit('/').next().unwrap_or(path);
        if let Some(language) = name.strip_prefix("xquad.").and_then(|name| name.strip_suffix(".txt")) {
            let text = text();
            let paragraphs: Vec<&str> = text.lines().collect();
            for article in paragraphs.chunks(5) {
                docs.push((language.to_owned(), "article", article.join("\n")));
            }
            let long = |p: &&&str| {
                if language == "zh" { p.chars().count() >= 100 } else { p.split_whitespace().count() >= 60 }
            };
            docs.extend(
                paragraphs.iter().filter(long).map(|p| (language.to_owned(), "paragraph", (*p).to_owned())),
            );
        } else if path.contains("/sentences/") {
            let language = name.trim_end_matches(".txt");
            let text = text();
            let mut sentences: Vec<&str> =
                text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            Rng(7).shuffle(&mut sentences);
            for (number, group) in sentences.chunks(10).filter(|group| group.len() == 10).enumerate() {
                let space = if SPACELESS.contains(&language) { "" } else { " " };
                let lines: Vec<String> =
                    group.chunks(if number % 2 == 0 { 1 } else { 5 }).map(|line| line.join(space)).collect();
                docs.push((language.to_owned(), "sentences", lines.join("\n")));
            }
        } else if let Some(code) = name.strip_prefix("udhr_").and_then(|name| name.strip_suffix(".xml")) {
            let text = text();
            // Spellings and scripts that are not the language's usual ones are as a language without an entry.
            let unusual = ["_polytonic", "_java"].iter().any(|form| code.ends_with(form));
            let code = if unusual { OTHER_FORM } else { code.get(..3).unwrap_or(code) };
            let Some(language) =
                (if code == "als" { Some("sq".into()) } else { tamis::text::langcodes::normalise(code) })
            else {
                continue;
            };
            let lines = xml_lines(&text);
            if lines.len() >= 40 {
                docs.push((language.to_string(), "declaration", lines.join("\n")));
                let parts = lines.chunks(lines.len().div_ceil(3));
                docs.extend(parts.map(|part| (language.to_string(), "part", part.join("\n"))));
            }
        }
    }
    docs
}

/// Text of the titles and paragraphs.
fn xml_lines(xml: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for text in xml.split('<').filter_map(|tag| tag.strip_prefix("title>").or(tag.strip_prefix("para>"))) {
        let text = unescaped(text.trim());
        if !text.is_empty() {
            lines.push(text);
        }
    }
    lines
}

/// Numbered characters, and `&`, as themselves.
fn unescaped(text: &str) -> String {
    let mut parts = text.split("&#");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (number, rest) = part.split_once(';').expect("a reference ends");
        let code = number.strip_prefix('x').map_or(number.parse(), |hex| u32::from_str_radix(hex, 16));
        out.extend(code.ok().and_then(char::from_u32));
        out.push_str(rest);
    }
    out.replace("&amp;", "&").replace("&quot;", "\"")
}

/// The letters of a text in random order, everything else where it was.
fn letters_shuffled(text: &str) -> String {
    let mut letters: Vec<char> = text.chars().filter(|c| c.is_alphabetic()).collect();
    Rng(1).shuffle(&mut letters);
    let mut next = letters.into_iter();
    text.chars().map(|c| if c.is_alphabetic() { next.next().expect("as many letters") } else { c }).collect()
}

/// All characters in random order.
fn chars_shuffled(text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    Rng(2).shuffle(&mut chars);
    chars.into_iter().collect()
}

/// Letters in random order inside their word.
fn words_scrambled(text: &str) -> String {
    let mut rng = Rng(3);
    let mut chars: Vec<char> = text.chars().collect();
    let mut start = 0;
    for end in 0..=chars.len() {
        if end == chars.len() || chars[end].is_whitespace() {
            rng.shuffle(&mut chars[start..end]);
            start = end + 1;
        }
    }
    chars.into_iter().collect()
}

/// Words in random order, lines as long as they were.
fn words_shuffled(text: &str) -> String {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    Rng(4).shuffle(&mut words);
    let mut words = words.into_iter();
    let line =
        |line: &str| words.by_ref().take(line.split_whitespace().count()).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn document_repeated(text: &str) -> String {
    [text; 8].join("\n")
}

fn line_repeated(text: &str) -> String {
    let line = text.lines().max_by_key(|line| line.len()).unwrap_or_default();
    [line; 30].join("\n")
}

fn line_repeated_without_ends(text: &str) -> String {
    let line = text.lines().max_by_key(|line| line.len()).unwrap_or_default();
    [line; 30].join(" ")
}

type Version = (&'static str, fn(&str) -> String);

/// What is made of good documents and must go.
const BAD: [Version; 5] = [
    ("letters", letters_shuffled),
    ("characters", chars_shuffled),
    ("repeated", document_repeated),
    ("line x30", line_repeated),
    ("in a line", line_repeated_without_ends),
];
/// What filters that know no grammar cannot tell; shown, not demanded.
const HARD: [Version; 2] = [("in words", words_scrambled), ("words", words_shuffled)];

/// Kept and all documents.
#[derive(Default, Clone, Copy)]
struct Count {
    kept: usize,
    all: usize,
}

impl Count {
    fn ratio(self) -> f64 {
        self.kept as f64 / self.all.max(1) as f64
    }
}

#[derive(Default)]
struct Row {
    good: Count,
    /// Which good documents were dropped.
    dropped: Vec<String>,
    bad: [Count; BAD.len()],
    hard: [Count; HARD.len()],
}

/// Row of the languages without an entry in the table.
const OTHERS: &str = "others";

/// The multilingual recipe with the language model at `model`, or whatlang.
fn recipe(model: Option<&str>) -> Loaded {
    let mut overrides = vec!["run_dir=unused".to_owned()];
    if let Some(model) = model {
        overrides.push(format!("stages.language.model={model}"));
        overrides.push("stages.language.min_label_score=0.6".to_owned());
    }
    let paths = format!("input.0.paths=[{}/fixtures/crawl/pages-00000.warc.gz]", root().display());
    overrides.push(paths);
    let lists = format!("stages.url.domain_lists=[{}/fixtures/crawl/banned_domains.txt]", root().display());
    overrides.push(lists);
    let path = root().join("pipelines/fineweb2-multilingual.yaml");
    tamis::pipeline::load(&path.to_string_lossy(), &overrides).unwrap_or_else(|error| panic!("{error}"))
}

/// Why the recipe drops a text, with the label it got.
fn dropped(pipeline: &Loaded, cx: &mut Context, text: &str) -> Option<String> {
    let mut doc = Document::new(Ordinal { split: 0, record: 0 }, "test".to_owned(), text.to_owned());
    cx.features.reset();
    for (plan, (_, built)) in pipeline.plan.stages.iter().zip(&pipeline.stages) {
        let Built::Doc(stage) = built else { continue };
        cx.stage.clone_from(&plan.id);
        match stage.process(&mut doc, cx) {
            Outcome::Keep => {}
            Outcome::Changed => cx.features.reset(),
            Outcome::Drop(reason) => {
                let label = doc.language.as_deref().unwrap_or("none");
                return Some(format!("{label}: {} {:.3}", reason.name, reason.value.unwrap_or(f64::NAN)));
            }
        }
    }
    None
}

/// Judges all documents, and every fourth one's bad versions; languages without an entry in the table are [`OTHERS`].
fn judge(pipeline: &Loaded, docs: &[(String, &'static str, String)]) -> BTreeMap<String, Row> {
    let known = &pipeline
        .plan
        .stages
        .iter()
        .find(|stage| stage.id == "gopher_quality")
        .expect("the recipe has it")
        .per_language;
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut cx = Context::default();
    let mut count = |count: &mut Count, text: &str| {
        let reason = dropped(pipeline, &mut cx, text);
        count.all += 1;
        count.kept += usize::from(reason.is_none());
        reason
    };
    for (language, kind, text) in docs {
        let row = if known.contains_key(language) { language } else { OTHERS };
        let row = rows.entry(row.to_owned()).or_default();
        if let Some(reason) = count(&mut row.good, text) {
            row.dropped.push(format!("{language} ({kind}, {reason})"));
        }
        if row.good.all % 4 == 1 || *kind == "declaration" {
            for ((_, make), bad) in BAD.iter().zip(&mut row.bad) {
                count(bad, &make(text));
            }
            for ((_, make), hard) in HARD.iter().zip(&mut row.hard) {
                count(hard, &make(text));
            }
        }
    }
    rows
}

#[expect(clippy::print_stdout, reason = "the table of docs/languages.md")]
fn print_table(rows: &BTreeMap<String, Row>) {
    let mut out = String::from("| language | documents | good");
    for (name, _) in BAD.iter().chain(&HARD) {
        write!(out, " | {name}").expect("a String takes it");
    }
    out.push_str(" |\n|---|---|---|---|---|---|---|---|---|---|\n");
    for (language, row) in rows {
        write!(out, "| {language} | {} | {:.1}", row.good.all, 100.0 * row.good.ratio())
            .expect("a String takes it");
        for count in row.bad.iter().chain(&row.hard) {
            write!(out, " | {:.0}", 100.0 * count.ratio()).expect("a String takes it");
        }
        out.push_str(" |\n");
    }
    for row in rows.values().filter(|row| !row.dropped.is_empty()) {
        writeln!(out, "dropped: {}", row.dropped.join(", ")).expect("a String takes it");
    }
    println!("{out}");
}

fn check(model: Option<&str>, files: &data::Files) {
    let rows = judge(&recipe(model), &documents(files));
    print_table(&rows);
    assert!(rows.len() >= 70, "only {} languages", rows.len());
    let mut wrong = Vec::new();
    for (language, row) in &rows {
        let smallest = if language == OTHERS { 0.9 } else { 0.95 };
        if row.good.ratio() < smallest {
            wrong.push(format!("{language}: keeps {}/{} good documents", row.good.kept, row.good.all));
        }
        for ((name, _), bad) in BAD.iter().zip(&row.bad) {
            // One document of a few is no share. Korean syllables in random order, the spaces too, are the exception:
            // the words are cut at spaces, and letters inside a syllable keep their order.
            let allowed = bad.all / 20 + usize::from(language == "ko" && *name == "characters") + 1;
            if bad.kept > allowed {
                wrong.push(format!("{language}: keeps {}/{} `{name}`", bad.kept, bad.all));
            }
        }
    }
    for (place, (name, _)) in BAD.iter().enumerate() {
        let kept: usize = rows.values().map(|row| row.bad[place].kept).sum();
        let all: usize = rows.values().map(|row| row.bad[place].all).sum();
        if kept * 20 > all {
            wrong.push(format!("all languages: keeps {kept}/{all} `{name}`"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_embedded_detector_keeps_good_text() {
    let Some(files) = data::load("text") else {
        println!("skipped: ../shared/data/text.tar.zst is absent");
        return;
    };
    check(None, &files);
}

#[test]
fn a_model_keeps_good_text() {
    let (Some(files), Some(models)) = (data::load("text"), data::load("models")) else {
        println!("skipped: ../shared/data/text.tar.zst or models.tar.zst is absent");
        return;
    };
    let folder = tempfile::tempdir().expect("the test can be set up");
    let path = folder.path().join("lid.176.ftz");
    let (_, model) =
        models.iter().find(|(name, _)| name.ends_with("lid.176.ftz")).expect("the test can be set up");
    std::fs::write(&path, model).expect("the test can be set up");
    check(Some(path.to_str().expect("the test can be set up")), &files);
}

#[test]
fn calibrate_makes_a_table_that_pipelines_take() {
    let folder = tempfile::tempdir().expect("the test can be set up");
    let path = |name: &str| folder.path().join(name).to_str().expect("the test can be set up").to_owned();
    let bank =
        std::fs::read_to_string(root().join("tests/crawl/banks/de.txt")).expect("the test can be set up");
    let lines: Vec<&str> = bank.lines().filter(|line| line.contains(' ')).collect();
    let docs: Vec<String> = (0..lines.len())
        .map(|at| lines[at..].iter().chain(&lines).take(6).copied().collect::<Vec<_>>().join(" "))
        .collect();
    std::fs::write(path("de.txt"), docs.join("\n")).expect("the test can be set up");
    let json: Vec<String> =
        docs.iter().map(|text| serde_json::json!({"text": text, "language": "deu"}).to_string()).collect();
    std::fs::write(path("de.jsonl"), json.join("\n")).expect("the test can be set up");
    let by_line = run(&["calibrate", "--lang", "de", &path("de.txt")]);
    assert_eq!(by_line.status.code(), Some(0), "{}", stderr(&by_line));
    let by_field =
        run(&["calibrate", "--lang-field", "language", "-o", &path("table.yaml"), &path("de.jsonl")]);
    assert_eq!(by_field.status.code(), Some(0), "{}", stderr(&by_field));
    let table = std::fs::read_to_string(path("table.yaml")).expect("the test can be set up");
    assert_eq!(table, stdout(&by_line));
    assert!(table.contains("\nde: # ") && table.contains("und, "), "{table}");
    for stage in ["gopher_quality", "text_ratios"] {
        let yaml = format!(
            "name: x\ninput:\n  - jsonl: {{ paths: [{}] }}\nstages:\n  - language\n  - {stage}: {{ per_language: {} }}\n",
            path("de.jsonl"),
            path("table.yaml")
        );
        std::fs::write(path("pipeline.yaml"), yaml).expect("the test can be set up");
        let valid = run(&["validate", &path("pipeline.yaml")]);
        assert_eq!(valid.status.code(), Some(0), "{}", stderr(&valid));
    }
    for (args, message) in [
        (vec!["calibrate", "--lang", "german", "x.txt"], "not a language code"),
        (vec!["calibrate", "--lang", "de", "--quantile", "0.7", "x.txt"], "outside"),
        (vec!["calibrate", "--lang-field", "language", "x.txt"], "no fields"),
        (vec!["calibrate", "--lang", "de", "--stage", "keywords", "x.txt"], "x.txt"),
    ] {
        let output = run(&args);
        assert_ne!(output.status.code(), Some(0));
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
}
