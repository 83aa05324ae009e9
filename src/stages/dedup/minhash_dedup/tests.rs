//! What the stage removes and keeps, in every way of cutting the work up.

use proptest::prelude::*;

use super::super::jaccard::overlap;
use super::super::testkit::{Setup, docs_of, removals_of, run_barrier, survivors};
use super::*;
use crate::stage::Removal;

fn stage(config: &Config) -> Arc<Stage> {
    Arc::new(Stage::new(config.clone()))
}

fn small_tasks(config: &Config) -> Arc<Stage> {
    Arc::new(Stage { rows_per_task: 300, pairs_per_task: 40, gather_above: 3, ..Stage::new(config.clone()) })
}

/// A text of words `from..to`, all different.
fn text(from: u32, to: u32) -> String {
    (from..to).map(|n| format!("w{}", letters(n))).collect::<Vec<_>>().join(" ")
}

/// A number in letters, since digits are all alike after normalisation.
fn letters(n: u32) -> String {
    n.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

fn jaccard(a: &str, b: &str) -> f64 {
    overlap(&shingle_set(a, 5), &shingle_set(b, 5)).jaccard()
}

fn ids(removals: &[(String, crate::stage::Duplicate)]) -> Vec<(&str, &str)> {
    removals.iter().map(|(id, removal)| (id.as_str(), removal.kept_id.as_str())).collect()
}

#[test]
fn a_chain_loses_its_middle_or_all_but_its_head() {
    // Each like the next (.86), the ends less (.75); the last one unlike all.
    let texts = [text(0, 204), text(15, 219), text(30, 234), text(1000, 1200)];
    let docs = docs_of(&[&texts[..2], &texts[2..]]);
    let mut config = Config { bands: 60, ..Config::default() };
    let direct = run_barrier(stage(&config), &docs, &Setup::default());
    assert_eq!(ids(&direct), [("0.1", "0.0")]);
    assert!((direct[0].1.similarity - jaccard(&texts[0], &texts[1])).abs() < 1e-12);
    config.linkage = Linkage::Single;
    let single = run_barrier(stage(&config), &docs, &Setup::default());
    assert_eq!(ids(&single), [("0.1", "0.0"), ("1.0", "0.0")]);
    assert!((single[1].1.similarity - jaccard(&texts[0], &texts[2])).abs() < 1e-12);
    assert!(single.iter().all(|(_, removal)| removal.cluster == "0.0"));
}

#[test]
fn a_shared_band_alone_removes_nobody() {
    // With one row nearly everything with a common shingle shares a band.
    let texts = [text(0, 100), text(50, 150), text(100, 200)];
    let docs = docs_of(&[&texts]);
    let mut config = Config { bands: 200, rows: 1, ..Config::default() };
    assert_eq!(run_barrier(stage(&config), &docs, &Setup::default()), []);
    config.min_jaccard = 0.0;
    assert_eq!(ids(&run_barrier(stage(&config), &docs, &Setup::default())), [("0.1", "0.0")]);
}

#[test]
fn short_texts_are_left_alone() {
    let docs = docs_of(&[&["one two three four", "one two three four", "", ""]]);
    assert_eq!(run_barrier(stage(&Config::default()), &docs, &Setup::default()), []);
}

#[test]
fn a_large_bucket_is_led_by_a_few() {
    // Two kinds of pages, a hundred copies each, and some in between that are like neither enough.
    let mut texts = Vec::new();
    for n in 0..100 {
        texts.push(text(0, 300) + " " + &text(5000 + n * 10, 5002 + n * 10));
        texts.push(text(0, 150) + " " + &text(7000, 7150) + " " + &letters(n));
    }
    let docs = docs_of(&[&texts]);
    let config = Config { bands: 120, rows: 2, ..Config::default() };
    let removals = run_barrier(stage(&config), &docs, &Setup::default());
    assert_eq!(removals.len(), 198);
    assert!(removals.iter().all(|(_, removal)| removal.similarity >= 0.8));
    assert!(removals.iter().all(|(_, removal)| ["0.0", "0.1"].contains(&removal.kept_id.as_str())));
    assert_eq!(run_barrier(stage(&config), &survivors(&docs, &removals), &Setup::default()), []);
}

#[test]
fn a_budget_that_spills_changes_nothing() {
    // 21,000 rows and 20,000 pairs; a sorter holds 1,024 of them.
    let texts: Vec<String> = (0..300).map(|n| text(n % 3 * 1000, n % 3 * 1000 + 50 + n / 50)).collect();
    let docs = docs_of(&[&texts[..100], &texts[100..]]);
    let config = Config { bands: 70, rows: 4, ..Config::default() };
    let roomy = run_barrier(stage(&config), &docs, &Setup::default());
    let tight = Setup { memory_bytes: 1 << 10, ..Setup::default() };
    assert_eq!(roomy.len(), 297);
    assert_eq!(run_barrier(stage(&config), &docs, &tight), roomy);
}

#[test]
fn bands_and_rows_follow_from_the_similarity() {
    // What datasketch 1.6 and RedPajama-v2 (9 x 13) have.
    for (wanted, hashes, shape) in [
        (0.8, 128, (9, 13)),
        (0.7, 128, (14, 9)),
        (0.9, 128, (5, 25)),
        (0.5, 128, (25, 5)),
        (0.7, 256, (25, 10)),
    ] {
        assert_eq!(bands_and_rows(wanted, hashes), shape, "{wanted} of {hashes}");
    }
    let config = Config { similarity: Some(0.75), hashes: Some(200), ..Config::default() };
    let stage = Stage::new(config);
    assert!(stage.bands * stage.rows <= 200);
}

#[test]
fn other_functions_and_shingles_find_copies_too() {
    let words = [text(0, 204), text(4, 208), text(1000, 1200), text(0, 204) + " end"];
    let docs = docs_of(&[&words]);
    for config in [
        Config { hash_family: HashFamily::Datatrove, ..Config::default() },
        Config { ngram_chars: Some(24), ..Config::default() },
        Config { similarity: Some(0.7), ..Config::default() },
    ] {
        let removals = run_barrier(stage(&config), &docs, &Setup::default());
        assert_eq!(ids(&removals), [("0.1", "0.0"), ("0.3", "0.0")], "{config:?}");
    }
    // Chinese without spaces has characters all the same.
    let chinese =
        ["河边的渡船走了一百多年，没有人记得它是谁造的。", "河边的渡船走了一百多年，没有人记得它是谁造的！"];
    let config = Config { ngram_chars: Some(3), ..Config::default() };
    assert_eq!(run_barrier(stage(&config), &docs_of(&[&chinese]), &Setup::default()).len(), 1);
}

/// Texts that are alike in two groups of three, with dates and scores.
fn ranked_docs() -> Vec<Document> {
    let texts = [
        text(0, 204),
        text(1000, 1204),
        text(4, 208),
        text(1004, 1212),
        text(0, 204) + " wsomething",
        text(2000, 2100),
        text(1000, 1204),
    ];
    let mut docs = docs_of(&[&texts[..3], &texts[3..]]);
    let dates = ["2024-05-01", "2021", "2024-05-01T00:00:01Z", "2023", "2019", "2020", ""];
    let scores = [Some(-3.0), None, Some(-1.5), Some(0.5), Some(-2.0), Some(9.0), Some(0.75)];
    for ((doc, date), score) in docs.iter_mut().zip(dates).zip(scores) {
        doc.date = (!date.is_empty()).then(|| date.to_owned());
        doc.scores.extend(score.map(|score| ("x.y".to_owned(), score)));
    }
    docs
}

#[test]
fn another_than_the_first_can_stay() {
    let docs = ranked_docs();
    for (keep, wanted) in [
        (Survivor::First, [("0.2", "0.0"), ("1.0", "0.1"), ("1.1", "0.0"), ("1.3", "0.1")]),
        (Survivor::Longest, [("0.0", "1.1"), ("0.1", "1.0"), ("0.2", "1.1"), ("1.3", "1.0")]),
        (Survivor::Newest, [("0.0", "0.2"), ("0.1", "1.0"), ("1.1", "0.2"), ("1.3", "1.0")]),
        (
            Survivor::Highest("x.y".to_owned()),
            [("0.0", "0.2"), ("0.1", "1.3"), ("1.0", "1.3"), ("1.1", "0.2")],
        ),
    ] {
        for linkage in [Linkage::Direct, Linkage::Single] {
            let config = Config { keep: keep.clone(), linkage, ..Config::default() };
            for setup in [Setup::default(), Setup { order: 7, part_docs: 1, memory_bytes: 1 << 10 }] {
                let removals = run_barrier(small_tasks(&config), &docs, &setup);
                assert_eq!(ids(&removals), wanted, "{keep:?} {linkage:?}");
            }
        }
    }
    let build = |options| build(options, &mut BuildContext::default()).err().unwrap();
    assert_eq!(build(serde_json::json!({"keep": "newest", "keep_signatures": true}))[0].key, "keep");
    assert_eq!(build(serde_json::json!({"keep": {"highest": "x.y"}}))[0].key, "keep.highest");
}

#[test]
fn whoever_stays_may_know_how_many_it_stands_for() {
    let docs = ranked_docs();
    for keep in [Survivor::First, Survivor::Longest] {
        let config = Config { keep_counts: true, keep, ..Config::default() };
        let mut copies = Vec::new();
        let mut removed = 0.0;
        for (_, removal) in removals_of(stage(&config), &docs, &Setup::default()) {
            match removal {
                Removal::Scored { score, value } => {
                    assert_eq!(score.name, "copies");
                    copies.push(value);
                }
                Removal::Duplicate(_) => removed += 1.0,
                other => panic!("{other:?}"),
            }
        }
        copies.sort_by(f64::total_cmp);
        assert_eq!((copies, removed), (vec![1.0, 3.0, 3.0], 4.0));
    }
}

#[test]
fn signatures_estimate_what_shingles_say() {
    // Similarities from .2 to 1.
    let pairs: Vec<(String, String)> = (0..40)
        .map(|n| (text(n * 1000, n * 1000 + 300), text(n * 1000 + n * 5, n * 1000 + 300 + n * 5)))
        .collect();
    for hash_family in [HashFamily::Tamis, HashFamily::Datatrove] {
        let config =
            Config { verify: Measure::Signatures, min_jaccard: 0.0, hash_family, ..Config::default() };
        let config = Config { bands: 200, rows: 2, ..config };
        let mut measured = 0;
        for (a, b) in &pairs {
            let removals = run_barrier(stage(&config), &docs_of(&[&[a, b]]), &Setup::default());
            let Some((_, removal)) = removals.first() else { continue };
            let exact = jaccard(a, b);
            // 400 hashes: four deviations.
            assert!((removal.similarity - exact).abs() < 0.1, "{} {exact}", removal.similarity);
            measured += 1;
        }
        assert!(measured > 35, "{measured}");
        let strict = Config { min_jaccard: 0.8, ..config };
        let texts = [text(0, 300), text(100, 400), text(2, 302)];
        assert_eq!(
            ids(&run_barrier(stage(&strict), &docs_of(&[&texts]), &Setup::default())),
            [("0.2", "0.0")]
        );
    }
}

/// What `direct` linkage removes by its definition: the best first, each that is alike to one that stays goes.
fn by_definition(docs: &[Document], config: &Config) -> Vec<String> {
    let mut order: Vec<&Document> = docs.iter().collect();
    order.sort_by_key(|doc| (config.keep.rank(doc), doc.ordinal));
    let (mut stay, mut gone) = (Vec::<&Document>::new(), Vec::new());
    for doc in order {
        let set = shingle_set(&doc.text, 5);
        let is_alike = |kept: &&Document| {
            let theirs = shingle_set(&kept.text, 5);
            !set.is_empty() && overlap(&set, &theirs).jaccard() >= config.min_jaccard
        };
        if stay.iter().any(is_alike) { gone.push(doc) } else { stay.push(doc) }
    }
    gone.sort_by_key(|doc| doc.ordinal);
    gone.into_iter().map(|doc| doc.id.clone()).collect()
}

#[test]
fn mistakes_are_named() {
    for (options, key) in [
        (serde_json::json!({ "ngram_chars": 24, "ngram_words": 3 }), "ngram_chars"),
        (serde_json::json!({ "ngram_chars": 24, "hash_family": "datatrove" }), "ngram_chars"),
        (serde_json::json!({ "seed": 4_294_967_296_u64, "hash_family": "datatrove" }), "seed"),
        (serde_json::json!({ "hashes": 100 }), "hashes"),
        (serde_json::json!({ "similarity": 0.8, "rows": 9 }), "similarity"),
        (serde_json::json!({ "similarity": 1.0 }), "similarity"),
    ] {
        let errors = build(options, &mut BuildContext::default()).err().unwrap();
        assert_eq!((errors.len(), errors[0].key.as_str()), (1, key));
    }
}

#[test]
fn options_are_read() {
    let options = serde_json::json!({ "rows": 4, "linkage": "single" });
    let config: Config = parse_options(options).unwrap();
    assert_eq!(config, Config { rows: 4, linkage: Linkage::Single, ..Config::default() });
    assert!(parse_options::<Config>(serde_json::json!({ "row": 4 })).is_err());
    assert!(build(serde_json::json!({}), &mut BuildContext::default()).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_best_of_those_alike_stays(
        spans in prop::collection::vec(prop::collection::vec((0_u32..40, 30_u32..70), 0..12), 1..3),
        scores in prop::collection::vec(0_u32..6, 36),
        order in any::<u64>(),
        part_docs in 1_u64..20,
        min_jaccard in 0.4..0.9,
    ) {
        let splits: Vec<Vec<String>> = spans
            .iter()
            .map(|split| split.iter().map(|&(from, length)| text(from, from + length)).collect())
            .collect();
        let mut docs = docs_of(&splits);
        for (doc, score) in docs.iter_mut().zip(scores) {
            doc.scores.push(("x.y".to_owned(), f64::from(score)));
        }
        // One row and 64 bands: what has any likeness worth measuring shares a band.
        let config = Config { min_jaccard, bands: 64, rows: 1, ..Config::default() };
        for keep in [Survivor::First, Survivor::Longest, Survivor::Highest("x.y".to_owned())] {
            let config = Config { keep, ..config.clone() };
            let setup = Setup { order, part_docs, memory_bytes: 1 << 10 };
            let removals = run_barrier(small_tasks(&config), &docs, &setup);
            let gone: Vec<String> = removals.iter().map(|(id, _)| id.clone()).collect();
            prop_assert_eq!(gone, by_definition(&docs, &config), "{:?}", config.keep);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn same_removals_for_any_order_parts_and_memory_and_none_the_second_time(
        // Documents are stretches of one long text: many are alike in many degrees.
        spans in prop::collection::vec(prop::collection::vec((0_u32..60, 20_u32..80), 0..25), 1..5),
        order in any::<u64>(),
        part_docs in 1_u64..30,
        linkage in prop_oneof![Just(Linkage::Direct), Just(Linkage::Single)],
        min_jaccard in 0.3..0.9,
    ) {
        let splits: Vec<Vec<String>> = spans
            .iter()
            .map(|split| split.iter().map(|&(from, length)| text(from, from + length)).collect())
            .collect();
        let docs = docs_of(&splits);
        let config = Config { linkage, min_jaccard, bands: 20, rows: 3, ..Config::default() };
        let plain = run_barrier(stage(&config), &docs, &Setup::default());
        let setup = Setup { order, part_docs, memory_bytes: 1 << 10 };
        let cut_up = run_barrier(small_tasks(&config), &docs, &setup);
        prop_assert_eq!(&plain, &cut_up);
        if linkage == Linkage::Direct {
            prop_assert!(plain.iter().all(|(_, removal)| removal.similarity >= min_jaccard));
        }
        let stay = survivors(&docs, &plain);
        prop_assert_eq!(run_barrier(stage(&config), &stay, &setup), []);
    }
}
