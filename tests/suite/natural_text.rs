//! Real paragraphs and spoilt versions of them: how well the stage `perplexity` tells them apart, in six languages.
//!
//! Text: `text.tar.zst`, `extraction.tar.zst` and `bench-crawl` of `../shared/data` (skipped with a message where they are absent).
//! Judged are the first half of XQuAD's paragraphs of Wikipedia articles or, where XQuAD has not the language, long
//! paragraphs of saved web pages; models are trained on the other half, lingua's sentences, the Declaration of Human Rights,
//! pages of the crawl and, in English, wikitext-2, less all that shares a stretch with what is judged. docs/perplexity.md tells what the
//! table that this prints means.

use std::path::Path;

use serde_json::{Value, json};
use tamis::document::{Document, Ordinal};
use tamis::stage::{BuildContext, Built, Context, DocStage};

use super::data;
use super::support::{StringColumns, root, run_pipeline, stderr, tamis};

/// Code, name of the Declaration's file, label among the saved web pages. The first six are held to [`MIN_AUC`] in everything.
const LANGUAGES: [(&str, &str, &str); 9] = [
    ("en", "eng", "English"),
    ("es", "", ""),
    ("el", "ell_monotonic", "Greek"),
    ("hi", "hin", ""),
    ("pl", "pol", "Polish"),
    ("ro", "ron_2006", ""),
    ("zh", "", "Chinese"),
    ("ru", "rus", "Russian"),
    ("ar", "arb", ""),
];
const HELD: usize = 6;

/// The area that the issue of this stage asks for.
const MIN_AUC: f64 = 0.95;

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

fn lines(files: &data::Files, path: &str) -> Vec<String> {
    let Some(bytes) = files.get(path) else { return Vec::new() };
    let text = std::str::from_utf8(bytes).expect("the shared texts are UTF-8");
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// Paragraphs of saved web pages in a language, by site.
fn web_lines(pages: &data::Files, label: &str) -> Vec<String> {
    let labels: Value = serde_json::from_slice(&pages["extraction/waddle-daniel/doc_lg.json"]).expect("JSON");
    let tags = regex::Regex::new("<[^>]*>").expect("a valid expression");
    let mut names: Vec<&String> = labels
        .as_object()
        .expect("an object")
        .iter()
        .filter(|(_, value)| *value == label)
        .map(|(name, _)| name)
        .collect();
    // The date stands in front of the site.
    names.sort_by_key(|name| name.split_once('_').map(|(date, site)| (site, date)));
    let page = |name: &String| lines(pages, &format!("extraction/waddle-daniel/reference/{name}"));
    names.into_iter().flat_map(page).map(|line| tags.replace_all(&line, "").trim().to_owned()).collect()
}

/// (language, text) of the pages of the shared crawl, as `language` tells them.
fn crawl(folder: &Path) -> Vec<Vec<String>> {
    let yaml = folder.join("crawl.yaml");
    let text = format!(
        "name: crawl\ninput:\n  - wet: {{ paths: [{}/*.wet.gz] }}\nstages:\n  - language: {{ min_score: 0.8 }}\n",
        root().join("../shared/data/bench-crawl").display()
    );
    std::fs::write(&yaml, text).expect("folder is writable");
    let run_dir = folder.join("crawl");
    run_pipeline(&yaml.to_string_lossy(), &run_dir, &[]);
    StringColumns::read(&run_dir.join("corpus"), &["language", "text"])
}

/// Text to train on, and paragraphs to judge.
fn texts(
    files: &data::Files,
    pages: &data::Files,
    crawl: &[Vec<String>],
    language: (&str, &str, &str),
) -> (Vec<String>, Vec<String>) {
    let (code, declaration, label) = language;
    let mut judged = lines(files, &format!("text/xquad-contexts/xquad.{code}.txt"));
    let mut train = judged.split_off(judged.len() / 2);
    let web = web_lines(pages, label);
    if judged.is_empty() {
        // Sites are in order of their names, so that hardly one is on both sides.
        let (head, tail) = web.split_at(web.len() / 2);
        judged.extend(head.iter().filter(|line| line.chars().count() >= 300).take(120).cloned());
        train.extend_from_slice(tail);
    } else {
        train.extend(web);
    }
    train.extend(lines(files, &format!("text/lingua-testdata/sentences/{code}.txt")));
    for line in lines(files, &format!("text/udhr/udhr_{declaration}.xml")) {
        train.extend(
            line.split_once("<para>")
                .and_then(|(_, text)| text.split_once("</para>"))
                .map(|(text, _)| text.to_owned()),
        );
    }
    if code == "en" {
        let articles = lines(files, "text/wikitext-2/valid.txt");
        train.extend(articles.into_iter().map(|line| line.replace(" @-@ ", "-").replace(" @,@ ", ",")));
    }
    let least = if code == "zh" { 15 } else { 40 };
    let of_language = crawl.iter().filter(|row| row[0] == code).flat_map(|row| row[1].lines());
    let long: std::collections::BTreeSet<&str> =
        of_language.map(str::trim).filter(|line| line.chars().count() >= least).collect();
    train.extend(long.into_iter().map(str::to_owned));
    // Nothing of what is judged is in what was learnt, near copies neither.
    let pieces = |text: &str| {
        let chars: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).collect();
        let length = if code == "zh" { 12 } else { 40 };
        chars.windows(length).map(|window| window.iter().collect::<String>()).collect::<Vec<_>>()
    };
    let known: std::collections::HashSet<String> = judged.iter().flat_map(|text| pieces(text)).collect();
    train.retain(|text| !pieces(text).iter().any(|piece| known.contains(piece)));
    (train, judged)
}

const KINDS: [&str; 4] = ["shuffled", "garbled", "random words", "stuffed"];

/// A spoilt version of a paragraph.
fn spoil(kind: &str, text: &str, all: &[String], spaceless: bool, rng: &mut Rng) -> String {
    let units = |text: &str| -> Vec<String> {
        if spaceless {
            text.chars().map(String::from).collect()
        } else {
            text.split_whitespace().map(str::to_owned).collect()
        }
    };
    let glue = if spaceless { "" } else { " " };
    let mut own = units(text);
    match kind {
        "shuffled" => {
            rng.shuffle(&mut own);
            own.join(glue)
        }
        // Every fifth letter is another one of the language.
        "garbled" => {
            let letters: Vec<char> =
                all.iter().flat_map(|text| text.chars()).filter(|c| c.is_alphabetic()).collect();
            let mut garble = |c: char| {
                if c.is_alphabetic() && rng.below(5) == 0 { letters[rng.below(letters.len())] } else { c }
            };
            text.chars().map(&mut garble).collect()
        }
        "random words" => {
            let everything: Vec<String> = all.iter().flat_map(|text| units(text)).collect();
            own.iter().map(|_| everything[rng.below(everything.len())].clone()).collect::<Vec<_>>().join(glue)
        }
        // Eight of its own words over and over: the longest; of Chinese, pairs of characters.
        _ => {
            let keys: Vec<String> = if spaceless {
                (0..8)
                    .map(|_| {
                        let at = rng.below(own.len() - 1);
                        own[at..at + 2].concat()
                    })
                    .collect()
            } else {
                own.sort();
                own.dedup();
                own.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
                own.truncate(8);
                own
            };
            let mut out = String::new();
            while out.len() < text.len() {
                out.push_str(&keys[rng.below(keys.len())]);
                out.push_str(glue);
            }
            out
        }
    }
}

/// Trains a model with the program, and builds the stage.
fn stage(folder: &Path, text: &Path, tokens: &str, order: &str, options: &Value) -> Box<dyn DocStage> {
    let model = folder.join(format!("{tokens}.bin"));
    let output = tamis()
        .args([
            "lm",
            "train",
            "--order",
            order,
            "--tokens",
            tokens,
            "--normalize",
            "ccnet",
            "--discount-fallback",
        ])
        .arg("--text")
        .arg(text)
        .arg("--binary")
        .arg(&model)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", stderr(&output));
    let mut all = json!({ "model": model, "tokens": tokens, "normalize": "ccnet" });
    all.as_object_mut().expect("an object").extend(options.as_object().expect("an object").clone());
    match (tamis::stages::filter::perplexity::SPEC.build)(all, &mut BuildContext::default()) {
        Ok(Built::Doc(stage)) => stage,
        Ok(_) => panic!("`perplexity` is a filter"),
        Err(errors) => panic!("{errors:?}"),
    }
}

fn score(stage: &dyn DocStage, name: &str, text: &str) -> f64 {
    let mut doc = Document::new(Ordinal { split: 0, record: 0 }, String::new(), text.to_owned());
    let mut cx = Context { stage: "perplexity".to_owned(), ..Context::default() };
    stage.process(&mut doc, &mut cx);
    doc.stored_score("perplexity", name).expect("the score is measured")
}

/// Share of the pairs in which the spoilt text is the more suspicious one.
fn auc(real: &[f64], spoilt: &[f64]) -> f64 {
    let wins: f64 = spoilt
        .iter()
        .flat_map(|s| {
            real.iter().map(move |r| {
                if s > r {
                    1.0
                } else if s < r {
                    0.0
                } else {
                    0.5
                }
            })
        })
        .sum();
    wins / (real.len() * spoilt.len()) as f64
}

#[test]
fn real_paragraphs_stand_apart_from_spoilt_ones() {
    let (Some(files), Some(pages)) = (data::load("text"), data::load("extraction")) else {
        println!("skipped: ../shared/data/text.tar.zst or extraction.tar.zst is absent");
        return;
    };
    if !root().join("../shared/data/bench-crawl").is_dir() {
        println!("skipped: ../shared/data/bench-crawl is absent");
        return;
    }
    let crawl_folder = tempfile::tempdir().expect("a temporary folder");
    let crawled = crawl(crawl_folder.path());
    println!("| language | MB to learn from | score | {} |", KINDS.join(" | "));
    let mut short = Vec::new();
    for (number, language) in LANGUAGES.into_iter().enumerate() {
        let (train, judged) = texts(&files, &pages, &crawled, language);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = folder.path().join("text");
        std::fs::write(&text, train.join("\n")).expect("folder is writable");
        let words = stage(folder.path(), &text, "words", "3", &json!({ "min_context_gain": -100 }));
        let characters = stage(folder.path(), &text, "characters", "6", &json!({ "min_context_gain": -100 }));
        // All are the more suspicious the larger.
        let measure = |text: &str| {
            [
                score(&*words, "perplexity", text).log2(),
                -score(&*words, "context_gain", text),
                score(&*characters, "perplexity", text).log2(),
                -score(&*characters, "context_gain", text),
            ]
        };
        let spaceless = language.0 == "zh";
        let real: Vec<[f64; 4]> = judged.iter().map(|text| measure(text)).collect();
        let mut rng = Rng(7);
        let spoilt: Vec<Vec<[f64; 4]>> = KINDS
            .iter()
            .map(|kind| {
                judged.iter().map(|text| measure(&spoil(kind, text, &judged, spaceless, &mut rng))).collect()
            })
            .collect();
        let megabytes = train.iter().map(String::len).sum::<usize>() as f64 / 1e6;
        for (column, name) in [
            "perplexity of words",
            "context gain of words",
            "perplexity of characters",
            "context gain of characters",
        ]
        .iter()
        .enumerate()
        {
            let of = |rows: &[[f64; 4]]| rows.iter().map(|row| row[column]).collect::<Vec<_>>();
            let row: Vec<String> =
                spoilt.iter().map(|rows| format!("{:.3}", auc(&of(&real), &of(rows)))).collect();
            println!("| {} | {megabytes:.2} | {name} | {} |", language.0, row.join(" | "));
        }
        let mean = |number: usize| real.iter().map(|row| row[number]).sum::<f64>() / real.len() as f64;
        let spread = |number: usize| {
            let mean = mean(number);
            (real.iter().map(|row| (row[number] - mean).powi(2)).sum::<f64>() / real.len() as f64).sqrt()
        };
        // The filter: two limits, each as many standard deviations from the mean of real text, moved together.
        let both = |rows: &[[f64; 4]]| {
            let of = |row: &[f64; 4], number: usize| (row[number] - mean(number)) / spread(number);
            rows.iter().map(|row| of(row, 1).max(of(row, 2))).collect::<Vec<_>>()
        };
        let row: Vec<f64> = spoilt.iter().map(|rows| auc(&both(&real), &both(rows))).collect();
        let cells: Vec<String> = row.iter().map(|value| format!("{value:.3}")).collect();
        println!("| {} | {megabytes:.2} | both | {} |", language.0, cells.join(" | "));
        // Chinese is judged by characters alone; garbled text of it is not held to the limit.
        let characters = |rows: &[[f64; 4]]| rows.iter().map(|row| row[3]).collect::<Vec<_>>();
        let row: Vec<f64> = match language.0 {
            "zh" => spoilt.iter().map(|rows| auc(&characters(&real), &characters(rows))).collect(),
            _ => row,
        };
        for (kind, value) in KINDS.iter().zip(row) {
            let held = number < HELD || (language.0 == "zh" && *kind != "garbled");
            if value < MIN_AUC && held {
                short.push(format!("{} {kind}: {value:.3}", language.0));
            }
        }
    }
    assert!(short.is_empty(), "below {MIN_AUC}: {}", short.join(", "));
}
