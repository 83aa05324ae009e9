//! Speed of n-gram scoring, and the Rust half of `tests/tools/compare_kenlm.py`.
//!
//! `cargo bench -- ngram [MODEL LINES]`: opening and scoring, each after a check of the answer, in tokens per CPU
//! second. Without arguments: the fixtures' models and their own sentences, which stay in the cache.

use cpu_time::ProcessTime;
use tamis::models::ngram::{Model, Scorer};

/// Tokens that are scored at least.
const TOKENS: usize = 2_000_000;

/// Runs what the command line asks for.
pub(crate) fn run() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [_, model, lines] = &args[..] {
        let text = tamis::io::read_side_file(lines.as_ref()).expect("the file that the command names");
        time(model, &String::from_utf8_lossy(&text));
        return;
    }
    let expected = tamis::io::read_side_file("fixtures/models/ngram/fable.arpa.expected.jsonl".as_ref());
    let expected = String::from_utf8(expected.expect("the fixtures are here")).expect("UTF-8");
    let text: Vec<String> = expected
        .lines()
        .map(|row| serde_json::from_str::<(String, serde_json::Value)>(row).expect("a row of the fixture").0)
        .collect();
    for form in ["arpa", "probing", "trie", "qtrie", "atrie", "qatrie"] {
        time(&format!("fixtures/models/ngram/fable.{form}"), &text.join("\n"));
    }
}

fn time(path: &str, text: &str) {
    let start = ProcessTime::now();
    let model = Model::open(path).expect("a model");
    let opened = start.elapsed().as_secs_f64();
    let lines: Vec<&str> = text.lines().collect();

    let mut scorer = Scorer::new(&model);
    for line in &lines {
        scorer.sentence(line.split_ascii_whitespace(), true, true);
    }
    let scores = scorer.finish();
    let start = ProcessTime::now();
    for (line, score) in lines.iter().zip(&scores) {
        assert_eq!(model.score_sentence(line.split_ascii_whitespace(), true, true), *score, "{line}");
    }
    let one_by_one = start.elapsed().as_secs_f64();
    let tokens: u64 = scores.iter().map(|score| score.tokens).sum();

    let rounds = (TOKENS as u64).div_ceil(tokens.max(1));
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = ProcessTime::now();
        for _ in 0..rounds {
            for line in &lines {
                scorer.sentence(line.split_ascii_whitespace(), true, true);
            }
            assert_eq!(scorer.finish(), scores);
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!(
        "{path}: order {}, {} n-grams, opened in {opened:.3} CPU s; {tokens} tokens, {:.2} M tokens per CPU second, word by word {:.2} M",
        model.order(),
        model.counts().iter().sum::<u64>(),
        (tokens * rounds) as f64 / best / 1e6,
        tokens as f64 / one_by_one / 1e6,
    );
}
