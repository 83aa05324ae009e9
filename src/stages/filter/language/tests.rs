use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::stages::filter::case_files;

const MODEL: &str = "fixtures/models/tree_pruned.ftz";

#[test]
fn cases() {
    case_files::check(&SPEC);
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

proptest! {
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
