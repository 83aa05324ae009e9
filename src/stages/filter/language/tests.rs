use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::stages::filter::case_files;

const MODEL: &str = "fixtures/models/tree_pruned.ftz";

#[test]
fn cases() {
    case_files::check(&SPEC);
}

#[test]
fn a_page_below_the_label_score_has_no_language() {
    let text = "The ferry across the river ran for many years, and hardly anybody thought about it at all.";
    let label = |options: serde_json::Value| {
        let stage = case_files::build(&SPEC, options).unwrap();
        let mut doc = case_files::document(text);
        assert_eq!(stage.process(&mut doc, &mut case_files::context(&SPEC)), Outcome::Keep);
        (doc.language, doc.language_score.unwrap())
    };
    let (language, score) = label(json!({}));
    assert_eq!(language.as_deref(), Some("en"));
    assert_eq!(label(json!({ "min_label_score": score })).0.as_deref(), Some("en"));
    if score < 1.0 {
        assert_eq!(label(json!({ "min_label_score": 1.0 })).0, None);
    }
    let (language, again) = label(json!({ "model": MODEL, "min_label_score": 1.0 }));
    assert!(language.is_none() && again < 1.0, "{again}");
}

/// datatrove 0.10.1 with lid.176.ftz on the shared C4 pages: best label, its score, kept or dropped.
#[test]
fn decisions_are_those_of_datatrove() {
    let Some(lid) = crate::models::fasttext::tests::lid_176() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lid.176.ftz");
    crate::io::AtomicFile::write_all(&path, &lid).unwrap();
    let options = json!({ "model": path.to_str().unwrap(), "keep": ["en"] });
    let stage = case_files::build(&SPEC, options).unwrap();
    let rows = |name: &str| -> Vec<serde_json::Value> {
        let bytes =
            crate::io::read_side_file(&std::path::Path::new("../shared/reference/c4").join(name)).unwrap();
        std::str::from_utf8(&bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (pages, decisions) = (rows("documents.jsonl"), rows("decisions-each-filter.jsonl"));
    assert!(decisions.len() > 900);
    for decision in &decisions {
        let number = decision["id"].as_str().unwrap().rsplit('/').next().unwrap();
        let page = &pages[number.parse::<usize>().unwrap()];
        let mut doc = case_files::document(page["text"].as_str().unwrap());
        let outcome = stage.process(&mut doc, &mut case_files::context(&SPEC));
        let kept = decision["language"] == "keep";
        assert_eq!(outcome == Outcome::Keep, kept, "{decision}: {outcome:?}");
        assert_eq!(doc.language.as_deref(), decision["lang"][0].as_str(), "{decision}");
        let score = decision["lang"][1].as_f64().unwrap();
        assert!(
            (doc.language_score.unwrap() - score.min(1.0)).abs() < 2e-5,
            "{decision}: {:?}",
            doc.language_score
        );
    }
}

#[test]
fn an_unreadable_model_is_a_mistake_at_its_key() {
    let error = |path: &str| case_files::build(&SPEC, json!({ "model": path })).err().unwrap().remove(0);
    let missing = error("fixtures/models/none.ftz");
    assert_eq!(missing.key, "model");
    assert!(missing.message.starts_with("cannot read `fixtures/models/none.ftz`"), "{}", missing.message);
    let foreign = error("fixtures/models/probes.txt");
    assert_eq!(foreign.key, "model");
    assert_eq!(
        foreign.message,
        "cannot use `fixtures/models/probes.txt`: this is not a fastText model (its first bytes are not fastText's mark)"
    );
}

#[test]
fn the_model_is_part_of_the_fingerprint() {
    let mut cx = BuildContext::default();
    (SPEC.build)(json!({ "model": MODEL }), &mut cx).map_err(|_| ()).unwrap();
    assert_eq!(cx.files.len(), 1);
    assert_eq!(cx.files[0].0, MODEL);
}

#[test]
fn a_score_equal_to_the_limit_passes() {
    let text = "Our library lends tools.";
    let outcome = |min_score: f64| {
        let options = json!({ "model": MODEL, "keep": ["en"], "min_score": min_score });
        let stage = case_files::build(&SPEC, options).unwrap();
        let mut doc = case_files::document(text);
        let outcome = stage.process(&mut doc, &mut case_files::context(&SPEC));
        (outcome, doc.language_score.unwrap())
    };
    let (_, score) = outcome(0.0);
    assert_eq!(outcome(score).0, Outcome::Keep);
    let above = f64::from_bits(score.to_bits() + 1);
    let wanted = Reason::measured("low_language_score", score, above).detail("en");
    assert_eq!(outcome(above).0, Outcome::Drop(wanted));
}

#[test]
fn a_sample_sees_the_whole_length_of_the_text() {
    let mut text = "The ferry leaves the harbour at seven. ".repeat(40);
    text.push_str(
        &"По субботам пекарь открывает рано, потому что рынок стоит прямо перед его лавкой. ".repeat(400),
    );
    let language = |options: serde_json::Value| {
        let stage = case_files::build(&SPEC, options).unwrap();
        let mut doc = case_files::document(&text);
        assert_eq!(stage.process(&mut doc, &mut case_files::context(&SPEC)), Outcome::Keep);
        doc.language
    };
    assert_eq!(language(json!({ "sample_bytes": 1024 })).as_deref(), Some("ru"));
    let sampled = language(json!({ "model": MODEL, "sample_bytes": 1024 }));
    assert_eq!(sampled, language(json!({ "model": MODEL })));
}

/// cc_net takes newlines out, so words grow together across lines.
#[test]
fn removed_newlines_join_words() {
    let score = |text: &str, newlines: &str| {
        let stage = case_files::build(&SPEC, json!({ "model": MODEL, "newlines": newlines })).unwrap();
        let mut doc = case_files::document(text);
        stage.process(&mut doc, &mut case_files::context(&SPEC));
        doc.language_score.unwrap().to_bits()
    };
    let (broken, joined) = ("The last bus leaves before\nthe ferry.", "The last bus leaves beforethe ferry.");
    assert_eq!(score(broken, "remove"), score(joined, "space"));
    assert_eq!(score(broken, "space"), score(&broken.replace('\n', " "), "space"));
    assert_ne!(score(broken, "remove"), score(broken, "space"));
}

/// Every label of lid.176 has a script that a user may name.
#[test]
fn scripts_may_be_named_for_lid_176() {
    let Some(lid) = crate::models::fasttext::tests::lid_176() else { return };
    let model = FastText::from_bytes(&lid).unwrap();
    for label in model.labels() {
        let code = crate::text::langcodes::normalise(label).unwrap();
        assert!(crate::text::langcodes::usual_scripts(&code).next().is_some(), "{label}");
    }
}

/// Options that differ in what decides alone: by one model, at one level.
fn deciding(level: usize, model: usize) -> Vec<serde_json::Value> {
    let model = ["", MODEL, "fixtures/models/openlid_style.bin", "fixtures/models/one_vs_all.bin"][model];
    let level = ["document", "paragraph", "line"][level];
    let variants = if level == "document" {
        vec![
            json!({}),
            json!({ "keep": ["en"] }),
            json!({ "keep": ["en", "de"], "min_score": 0.3 }),
            json!({ "keep": ["de"], "min_score": 0.05 }),
            json!({ "min_score": 0.9 }),
            json!({ "keep": ["de", "en"], "min_scores": { "de": 0.99 } }),
            json!({ "min_scores": { "de": 0.7 } }),
            json!({ "keep": ["deu_Latn"], "min_score": 0.0 }),
        ]
    } else {
        vec![
            json!({}),
            json!({ "min_kept_ratio": 0.5 }),
            json!({ "max_other_ratio": 0.3 }),
            json!({ "min_kept_ratio": 0.9, "max_other_ratio": 0.6 }),
        ]
    };
    let whole = |mut options: serde_json::Value| {
        options["level"] = json!(level);
        if !model.is_empty() {
            options["model"] = json!(model);
        }
        if level != "document" {
            options["keep"] = json!(["en", "de"]);
            options["min_piece_chars"] = json!(8);
            options["min_piece_score"] = json!(0.1);
        }
        options
    };
    variants.into_iter().map(whole).collect()
}

/// Lines in several languages, mixed by a number.
fn mixed_text(seed: u64) -> String {
    let rows = crate::io::read_side_file(std::path::Path::new("fixtures/models/sentences.tsv")).unwrap();
    let rows = String::from_utf8(rows).unwrap();
    let lines: Vec<&str> =
        rows.lines().filter_map(|row| row.split_once('\t').map(|(_, text)| text)).collect();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below
    };
    let count = next(5);
    (0..count).fold("12 34".to_owned(), |text, _| {
        let line = lines[next(lines.len())];
        let cut = line.floor_char_boundary(1 + next(line.len()));
        text + ["\n", "\n\n"][next(2)] + &line[..cut]
    })
}

#[test]
fn what_is_stored_decides_again_as_the_text_did() {
    let (mut asked, mut answered) = (0, 0);
    for (level, model) in (0..3).flat_map(|level| (0..4).map(move |model| (level, model))) {
        let stages: Vec<_> =
            deciding(level, model).into_iter().map(|o| case_files::build(&SPEC, o).unwrap()).collect();
        for seed in 0..150 {
            let text = mixed_text(seed);
            let run = |stage: &dyn DocStage| {
                let mut doc = case_files::document(&text);
                let outcome = stage.process(&mut doc, &mut case_files::context(&SPEC));
                doc.text.clear();
                (outcome, doc)
            };
            for first in &stages {
                let (own, stored) = run(&**first);
                let own_again = first.redecide(&stored, "language");
                assert!(own_again.is_none_or(|again| again == own), "{text}: {own:?}");
                for second in &stages {
                    let Some(again) = second.redecide(&stored, "language") else {
                        asked += 1;
                        continue;
                    };
                    (asked, answered) = (asked + 1, answered + 1);
                    assert_eq!(again, run(&**second).0, "{level} {model} {text}: {:?}", stored.scores);
                }
            }
        }
    }
    assert!(answered * 100 > asked * 95, "{answered} of {asked}");
}

#[test]
fn without_its_own_scores_it_decides_nothing() {
    let stage = case_files::build(&SPEC, json!({ "keep": ["en"] })).unwrap();
    let mut doc = case_files::document("The library lends tools as well as books.");
    assert_eq!(stage.redecide(&doc, "language"), None);
    let first = stage.process(&mut doc, &mut case_files::context(&SPEC));
    assert_eq!(stage.redecide(&doc, "language"), Some(first));
    // A second stage of the kind sets the language again.
    let mut cx = Context { stage: "language-2".to_owned(), ..Context::default() };
    let second = stage.process(&mut doc, &mut cx);
    assert_eq!(stage.redecide(&doc, "language"), None);
    assert_eq!(stage.redecide(&doc, "language-2"), Some(second));
}

#[test]
fn any_text_gets_a_verdict() {
    crate::stages::filter::testing::any_text(&SPEC);
}

/// A piece's language is not a matter of chance: what whatlang is not sure of in a short line follows.
#[test]
fn short_lines_do_not_fool_the_embedded_detector() {
    let names = ["Anna Berg", "Tel. 0123", "OK", "Via Roma 7", "Home", "FAQ", "Kontakt", "Blog", "Info"];
    let line = "The ferry leaves the harbour at seven and comes back before the last bus of the day.";
    let text: String = names.iter().flat_map(|name| [name, "\n", line, "\n"]).collect();
    let stage = case_files::build(&SPEC, json!({ "level": "line", "keep": ["en"] })).unwrap();
    let mut doc = case_files::document(&text);
    assert_eq!(stage.process(&mut doc, &mut case_files::context(&SPEC)), Outcome::Keep);
    let options = json!({ "level": "line", "keep": ["en"], "min_piece_chars": 1 });
    let stage = case_files::build(&SPEC, options).unwrap();
    let mut doc = case_files::document(&text);
    stage.process(&mut doc, &mut case_files::context(&SPEC));
    assert_eq!(doc.language.as_deref(), Some("en"));
    assert!(doc.text.matches(line).count() == names.len());
}

proptest! {
    #[test]
    fn pieces_never_panic(text in "(\\PC{0,60}|[ \r\t]{0,3}|The old bridge is green and cold\\.)(\n{1,3}(\\PC{0,80}|Die alte Brücke ist grün und kalt\\.)){0,8}",
        line in any::<bool>(), fasttext in any::<bool>(), chars in 1_u64..60) {
        let mut options = json!({ "keep": ["en"], "level": if line { "line" } else { "paragraph" }, "min_piece_chars": chars });
        if fasttext {
            options["model"] = json!(MODEL);
        }
        let stage = case_files::build(&SPEC, options).unwrap();
        let mut doc = case_files::document(&text);
        let outcome = stage.process(&mut doc, &mut case_files::context(&SPEC));
        prop_assert_eq!(outcome == Outcome::Changed, doc.text != text);
        let ratio = |name: &str| doc.scores.iter().find(|(full, _)| full.ends_with(name)).map_or(0.0, |(_, v)| *v);
        for name in ["score", "kept_ratio", "other_ratio"] {
            prop_assert!((0.0..=1.0).contains(&ratio(name)), "{}", name);
        }
        if outcome == Outcome::Changed {
            // What is left is made of whole lines of the text.
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            prop_assert!(doc.text.lines().all(|line| lines.contains(&line.trim())));
            prop_assert!(!doc.text.trim().is_empty());
        }
    }
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,300}|[\\s\\x00]{0,20}", sample in any::<bool>(), fasttext in any::<bool>()) {
        let mut options = json!({ "keep": ["en", "de"] });
        if sample {
            options["sample_bytes"] = json!(256);
        }
        if fasttext {
            options["model"] = json!(MODEL);
        }
        let stage = case_files::build(&SPEC, options).unwrap();
        let mut doc = case_files::document(&text);
        stage.process(&mut doc, &mut case_files::context(&SPEC));
        prop_assert!(doc.language_score.is_none_or(|score| (0.0..=1.0).contains(&score)));
        prop_assert_eq!(doc.language.is_some(), doc.language_score.is_some());
    }
}
