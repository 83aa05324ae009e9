//! How well and how fast the `extract` stage finds main text.
//!
//! Four sets of saved pages with a gold text, each scored the way its makers do or, where they give
//! plain text, by token F1:
//! * article-extraction-benchmark: shingles of four words with their counts, per page as shares; precision
//!   and recall are means over pages, F1 is made of the two means. Words are runs of letters, digits and
//!   underscores, case counts.
//! * trafilatura's evaluation set: snippets that must and must not occur.
//! * readability (the text of `expected.html`) and waddle-daniel (five languages): F1 over the counts of
//!   words, mean over pages; a Chinese character is a word.
//!
//! Data: `TAMIS_DATA` names a folder that holds `extraction/`; without it `../shared/data/extraction.tar.zst`
//! is read. Fails where the default options score less than .955 on the first set.

use std::collections::HashMap;

use cpu_time::ThreadTime;
use serde_json::{Value, json};
use tamis::document::{Document, Media, Ordinal, Outcome, Raw};
use tamis::stage::{BuildContext, Built, Context, DocStage};

use crate::data::{self, Files};

/// The first of these is the stage's default.
fn variants() -> Vec<(&'static str, Value)> {
    let trafilatura = |favor: &str, fallback: &str| json!({"favor": favor, "fallback": fallback});
    vec![
        ("default", json!({})),
        ("precision, builtin", trafilatura("precision", "builtin")),
        ("precision, none", trafilatura("precision", "none")),
        ("balanced, dom_smoothie", trafilatura("balanced", "dom_smoothie")),
        ("balanced, builtin", trafilatura("balanced", "builtin")),
        ("balanced, none", trafilatura("balanced", "none")),
        ("recall, dom_smoothie", trafilatura("recall", "dom_smoothie")),
        ("recall, builtin", trafilatura("recall", "builtin")),
        ("recall, none", trafilatura("recall", "none")),
        ("dom_smoothie", json!({"engine": "dom_smoothie"})),
    ]
}

/// Lowest F1 on the article benchmark that passes.
const MIN_AEB_F1: f64 = 0.955;

/// Runs every variant over every set and prints a table.
pub(crate) fn run() {
    let Some(files) = data::load("extraction") else {
        println!("extraction: skipped, neither TAMIS_DATA nor ../shared/data/extraction.tar.zst is there");
        return;
    };
    let articles = articles(&files);
    let snippets = snippets(&files);
    let readability = readability(&files);
    let waddle = waddle(&files);
    println!(
        "{:24} {:>7} {:>7} {:>7} | {:>7} {:>7} {:>7} | {:>7} | {:>7} | {:>7} {:>8}",
        "options", "AEB P", "R", "F1", "traf. P", "R", "F1", "readab.", "waddle", "dropped", "MB/CPU s"
    );
    for (at, (name, options)) in variants().into_iter().enumerate() {
        let mut extractor = Extractor::new(options);
        let aeb = article_score(&articles, &mut extractor);
        let traf = snippet_score(&snippets, &mut extractor);
        let read = token_score(readability.iter(), &mut extractor);
        let daniel = token_score(waddle.iter().map(|(_, page)| page), &mut extractor);
        println!(
            "{name:24} {:7.4} {:7.4} {:7.4} | {:7.4} {:7.4} {:7.4} | {read:7.4} | {daniel:7.4} | {:7} {:8.1}",
            aeb.0,
            aeb.1,
            aeb.2,
            traf.0,
            traf.1,
            traf.2,
            extractor.dropped,
            extractor.rate()
        );
        if at == 0 {
            assert!(aeb.2 >= MIN_AEB_F1, "F1 on the article benchmark is {:.4}, below {MIN_AEB_F1}", aeb.2);
            let languages: std::collections::BTreeSet<&str> =
                waddle.iter().map(|(l, _)| l.as_str()).collect();
            for language in languages {
                let pages = waddle.iter().filter(|(l, _)| l == language).map(|(_, page)| page);
                println!("    waddle {language}: {:.4}", token_score(pages, &mut extractor));
            }
        }
    }
}

/// A page with its gold text.
struct Page<'a> {
    html: &'a [u8],
    gold: String,
}

/// The stage and what it has cost.
struct Extractor {
    stage: Box<dyn DocStage>,
    cx: Context,
    bytes: usize,
    cpu_secs: f64,
    dropped: usize,
}

impl Extractor {
    fn new(options: Value) -> Self {
        let spec = tamis::stages::extract::STAGES[0];
        let Ok(Built::Doc(stage)) = (spec.build)(options, &mut BuildContext::default()) else {
            panic!("the options are valid");
        };
        Self { stage, cx: Context::default(), bytes: 0, cpu_secs: 0.0, dropped: 0 }
    }

    fn text(&mut self, html: &[u8]) -> String {
        let mut doc = Document::new(Ordinal { split: 0, record: 0 }, String::new(), String::new());
        doc.raw = Some(Raw { bytes: html.to_vec(), media: Media::Html, charset: None });
        let start = ThreadTime::now();
        let outcome = self.stage.process(&mut doc, &mut self.cx);
        self.cpu_secs += start.elapsed().as_secs_f64();
        self.bytes += html.len();
        self.dropped += usize::from(matches!(outcome, Outcome::Drop(_)));
        doc.text
    }

    fn rate(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.cpu_secs
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect()
}

/// Words, with every Chinese or Japanese character on its own.
fn tokens(text: &str) -> HashMap<&str, f64> {
    let mut counts: HashMap<&str, f64> = HashMap::new();
    for word in words(text) {
        let mut from = 0;
        for (at, c) in word.char_indices().filter(|(_, c)| ('\u{3040}'..='\u{9fff}').contains(c)) {
            let end = at + c.len_utf8();
            for piece in [&word[from..at], &word[at..end]].into_iter().filter(|p| !p.is_empty()) {
                *counts.entry(piece).or_default() += 1.0;
            }
            from = end;
        }
        if from < word.len() {
            *counts.entry(&word[from..]).or_default() += 1.0;
        }
    }
    counts
}

fn shingles(text: &str) -> HashMap<Vec<&str>, f64> {
    let words = words(text);
    let mut counts: HashMap<Vec<&str>, f64> = HashMap::new();
    let windows: Vec<&[&str]> = if words.len() < 4 { vec![&words] } else { words.windows(4).collect() };
    for window in windows.into_iter().filter(|w| !w.is_empty()) {
        *counts.entry(window.to_vec()).or_default() += 1.0;
    }
    counts
}

/// Size of the overlap of two multisets, and of each.
fn overlap<K: Eq + std::hash::Hash>(gold: &HashMap<K, f64>, found: &HashMap<K, f64>) -> (f64, f64, f64) {
    let both = gold.iter().map(|(key, n)| n.min(found.get(key).copied().unwrap_or(0.0))).sum();
    (both, gold.values().sum(), found.values().sum())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn f1(precision: f64, recall: f64) -> f64 {
    if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
}

fn article_score(pages: &[Page], extractor: &mut Extractor) -> (f64, f64, f64) {
    let (mut precisions, mut recalls) = (Vec::new(), Vec::new());
    for page in pages {
        let found = extractor.text(page.html);
        let (both, gold, found) = overlap(&shingles(&page.gold), &shingles(&found));
        if found > 0.0 {
            precisions.push(both / found);
        }
        if gold > 0.0 {
            recalls.push(both / gold);
        }
    }
    let (precision, recall) = (mean(&precisions), mean(&recalls));
    (precision, recall, f1(precision, recall))
}

fn token_score<'a>(pages: impl Iterator<Item = &'a Page<'a>>, extractor: &mut Extractor) -> f64 {
    let mut scores = Vec::new();
    for page in pages {
        let found = extractor.text(page.html);
        let (both, gold, found) = overlap(&tokens(&page.gold), &tokens(&found));
        scores.push(if gold + found == 0.0 { 1.0 } else { 2.0 * both / (gold + found) });
    }
    mean(&scores)
}

/// A page with snippets that must and must not be in its text.
struct Snippets<'a> {
    html: &'a [u8],
    with: Vec<String>,
    without: Vec<String>,
}

fn snippet_score(pages: &[Snippets], extractor: &mut Extractor) -> (f64, f64, f64) {
    let (mut found, mut missing, mut wrong) = (0.0, 0.0, 0.0);
    for page in pages {
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = flat(&extractor.text(page.html));
        for snippet in &page.with {
            if text.contains(&flat(snippet)) { found += 1.0 } else { missing += 1.0 }
        }
        wrong += page.without.iter().filter(|snippet| text.contains(&flat(snippet))).count() as f64;
    }
    let (precision, recall) = (found / (found + wrong), found / (found + missing));
    (precision, recall, f1(precision, recall))
}

fn json_file(files: &Files, path: &str) -> Value {
    let bytes = files.get(path).unwrap_or_else(|| panic!("the data holds {path}"));
    serde_json::from_slice(bytes).expect("valid JSON")
}

fn articles(files: &Files) -> Vec<Page<'_>> {
    let gold = json_file(files, "extraction/article-extraction-benchmark/ground-truth.json");
    let entries = gold.as_object().expect("an object").iter();
    entries
        .map(|(id, entry)| Page {
            html: &files[&format!("extraction/article-extraction-benchmark/html/{id}.html")],
            gold: entry["articleBody"].as_str().unwrap_or_default().to_owned(),
        })
        .collect()
}

fn snippets(files: &Files) -> Vec<Snippets<'_>> {
    let folder = "extraction/trafilatura-eval/";
    let index = files
        .keys()
        .find(|path| path.starts_with(folder) && path.strip_suffix(".json").is_some())
        .expect("an index of the pages");
    let list = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let index = json_file(files, index);
    let entries = index.as_object().expect("an object").values();
    entries
        .filter_map(|entry| {
            let html = files.get(&format!("{folder}html/{}", entry["file"].as_str()?))?;
            Some(Snippets { html, with: list(&entry["with"]), without: list(&entry["without"]) })
        })
        .collect()
}

fn readability(files: &Files) -> Vec<Page<'_>> {
    let pages = files.iter().filter(|(path, _)| path.starts_with("extraction/readability/"));
    pages
        .filter_map(|(path, html)| {
            let expected = files.get(&format!("{}expected.html", path.strip_suffix("source.html")?))?;
            Some(Page { html, gold: strip_tags(&String::from_utf8_lossy(expected)) })
        })
        .collect()
}

fn waddle(files: &Files) -> Vec<(String, Page<'_>)> {
    let languages = json_file(files, "extraction/waddle-daniel/doc_lg.json");
    let entries = languages.as_object().expect("an object").iter();
    entries
        .filter_map(|(name, language)| {
            let html = files.get(&format!("extraction/waddle-daniel/html/{name}"))?;
            let gold = files.get(&format!("extraction/waddle-daniel/reference/{name}"))?;
            let page = Page { html, gold: strip_tags(&String::from_utf8_lossy(gold)) };
            Some((language.as_str()?.to_owned(), page))
        })
        .collect()
}

/// Text of gold HTML, tags as blanks; the gold sets hold no scripts and next to no references.
fn strip_tags(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => {
                inside = true;
                text.push(' ');
            }
            '>' => inside = false,
            _ if !inside => text.push(c),
            _ => {}
        }
    }
    text.replace("&nbsp;", " ").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
}
