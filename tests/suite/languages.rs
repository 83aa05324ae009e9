//! Good text of many languages survives the multilingual recipe; scrambled and repeated text does not.
//!
//! Text: `../shared/data/text.tar.zst` (skipped with a message where it is absent): Wikipedia paragraphs in six languages
//! (xquad), translations of the Declaration of Human Rights, sentences of news and web pages in 75 languages
//! (lingua). `docs/languages.md` tells what the table that this prints means.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tamis::document::{Document, Ordinal, Outcome};
use tamis::stage::{Built, Context};

use super::data;
use super::support::root;

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
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// (language, kind, text) of every good document.
fn documents(files: &data::Files) -> Vec<(String, &'static str, String)> {
    let mut docs = Vec::new();
    for (path, bytes) in files {
        let text = || String::from_utf8(bytes.clone()).unwrap();
        let name = path.rsplit('/').next().unwrap();
        if let Some(language) = name.strip_prefix("xquad.").and_then(|name| name.strip_suffix(".txt")) {
            let text = text();
            let paragraphs: Vec<&str> = text.lines().collect();
            for article in paragraphs.chunks(5) {
                docs.push((language.to_owned(), "article", article.join("\n")));
            }
            let long = |p: &&&str| if language == "zh" { p.chars().count() >= 100 } else { p.split_whitespace().count() >= 60 };
            docs.extend(paragraphs.iter().filter(long).map(|p| (language.to_owned(), "paragraph", (*p).to_owned())));
        } else if path.contains("/sentences/") {
            let language = name.strip_suffix(".txt").unwrap();
            let text = text();
            let mut sentences: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            Rng(7).shuffle(&mut sentences);
            for (number, group) in sentences.chunks(8).filter(|group| group.len() == 8).enumerate() {
                let space = if SPACELESS.contains(&language) { "" } else { " " };
                let lines: Vec<String> = group.chunks(if number % 2 == 0 { 1 } else { 4 }).map(|line| line.join(space)).collect();
                docs.push((language.to_owned(), "sentences", lines.join("\n")));
            }
        } else if let Some(code) = name.strip_prefix("udhr_").and_then(|name| name.strip_suffix(".xml")) {
            let text = text();
            let code = code.get(..3).unwrap_or(code);
            let Some(language) = (if code == "als" { Some("sq".into()) } else { tamis::text::langcodes::normalise(code) }) else { continue };
            let lines = xml_lines(&text);
            if lines.len() >= 40 {
                docs.push((language.to_string(), "declaration", lines.join("\n")));
            }
        }
    }
    docs
}

/// Text of the titles and paragraphs.
fn xml_lines(xml: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for tag in xml.split("<").filter(|tag| tag.starts_with("title>") || tag.starts_with("para>")) {
        let text = tag.split_once('>').unwrap().1.trim().replace("&amp;", "&").replace("&#39;", "'");
        if !text.is_empty() {
            lines.push(text);
        }
    }
    lines
}

/// The letters of a text in random order, everything else where it was.
fn letters_shuffled(text: &str) -> String {
    let mut letters: Vec<char> = text.chars().filter(|c| c.is_alphabetic()).collect();
    Rng(1).shuffle(&mut letters);
    let mut next = letters.into_iter();
    text.chars().map(|c| if c.is_alphabetic() { next.next().unwrap() } else { c }).collect()
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
    let line = |line: &str| words.by_ref().take(line.split_whitespace().count()).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn document_repeated(text: &str) -> String {
    vec![text; 8].join("\n")
}

fn line_repeated(text: &str) -> String {
    let line = text.lines().max_by_key(|line| line.len()).unwrap_or_default();
    vec![line; 30].join("\n")
}

fn line_repeated_without_ends(text: &str) -> String {
    let line = text.lines().max_by_key(|line| line.len()).unwrap_or_default();
    vec![line; 30].join(" ")
}

/// A document and what is made of it.
const VERSIONS: [(&str, fn(&str) -> String); 8] = [
    ("good", str::to_owned),
    ("letters", letters_shuffled),
    ("chars", chars_shuffled),
    ("inside", words_scrambled),
    ("words", words_shuffled),
    ("repeat", document_repeated),
    ("line", line_repeated),
    ("inline", line_repeated_without_ends),
];

#[derive(Default)]
struct Count {
    kept: usize,
    all: usize,
    reasons: BTreeMap<String, usize>,
    score: Vec<f64>,
}

fn judge(pipeline: &tamis::pipeline::Loaded, cx: &mut Context, text: &str) -> (Option<String>, Document) {
    let mut doc = Document::new(Ordinal { split: 0, record: 0 }, "test".to_owned(), text.to_owned());
    cx.features.reset();
    for (plan, (_, built)) in pipeline.plan.stages.iter().zip(&pipeline.stages) {
        let Built::Doc(stage) = built else { continue };
        cx.stage.clone_from(&plan.id);
        match stage.process(&mut doc, cx) {
            Outcome::Keep => {}
            Outcome::Changed => cx.features.reset(),
            Outcome::Drop(reason) => return (Some(format!("{}/{}", plan.id, reason.name)), doc),
        }
    }
    (None, doc)
}

#[test]
fn survey() {
    std::env::set_current_dir(root()).unwrap();
    let files = data::load("text").unwrap();
    let docs = documents(&files);
    let model = std::env::var("LID").unwrap_or_default();
    let mut overrides = if model.is_empty() { vec![] } else { vec![format!("stages.language.model={model}")] };
    if let Ok(table) = std::env::var("TABLE") {
        for stage in ["gopher_repetition", "fineweb_quality", "gopher_quality", "text_ratios"] {
            overrides.push(format!("stages.{stage}.per_language={table}"));
        }
    }
    let pipeline = tamis::pipeline::load("pipelines/fineweb2-multilingual.yaml", &overrides).unwrap_or_else(|e| panic!("{e}"));
    let mut cx = Context::default();
    let mut counts: BTreeMap<(String, &str), BTreeMap<&str, Count>> = BTreeMap::new();
    for (language, kind, text) in &docs {
        for (version, make) in VERSIONS {
            let (reason, doc) = judge(&pipeline, &mut cx, &make(text));
            let count = counts.entry((language.clone(), kind)).or_default().entry(version).or_default();
            count.all += 1;
            count.score.push(doc.language_score.unwrap_or(0.0));
            let right = doc.language.as_deref() == Some(language);
            let reason = reason.unwrap_or_else(|| { count.kept += 1; "keep".into() });
            *count.reasons.entry(format!("{}{reason}", if right { "" } else { "~" })).or_default() += 1;
        }
    }
    let mut out = String::new();
    for ((language, kind), versions) in &mut counts {
        write!(out, "{language:4} {kind:12}").unwrap();
        for (version, _) in VERSIONS {
            let c = versions.get_mut(version).unwrap();
            c.score.sort_by(f64::total_cmp);
            let q = |r: f64| c.score[((c.score.len() - 1) as f64 * r) as usize];
            write!(out, " {version}:{}/{}[{:.2} {:.2} {:.2}]", c.kept, c.all, q(0.02), q(0.5), q(0.98)).unwrap();
        }
        writeln!(out).unwrap();
        for (version, _) in VERSIONS {
            writeln!(out, "      {version}: {:?}", versions[version].reasons).unwrap();
        }
    }
    println!("{out}");
}
