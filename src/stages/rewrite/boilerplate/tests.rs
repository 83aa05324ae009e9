//! Tests of `boilerplate`: every rule's examples, the case file, mistakes in files of rules, odd texts.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::document::Ordinal;

fn stage(options: Value) -> Result<Boilerplate, Vec<OptionError>> {
    Boilerplate::new(parse_options(options)?, &mut BuildContext::default())
}

fn document(text: &str) -> Document {
    Document::new(Ordinal { split: 0, record: 0 }, "id".to_owned(), text.to_owned())
}

fn context() -> Context {
    Context { stage: SPEC.name.to_owned(), ..Context::default() }
}

#[test]
fn every_bundled_rule_does_what_it_says() {
    let rules = rules::read(rules::BUNDLED).unwrap();
    let failures: Vec<String> = rules.iter().flat_map(failing_examples).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn no_rule_touches_the_prose_of_another() {
    let all = stage(json!({})).unwrap();
    let mut failures = Vec::new();
    for rule in rules::read(rules::BUNDLED).unwrap() {
        for text in &rule.keeps {
            let (removals, _) = all.removals(text, None);
            failures.extend(removals.iter().map(|removal| format!("{text}: {removal:?}")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn cases() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stages/boilerplate/cases.jsonl");
    let cases = String::from_utf8(crate::io::read_side_file(&path).unwrap()).unwrap();
    let mut reasons = std::collections::BTreeSet::new();
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let name = case["name"].as_str().unwrap();
        let expect = &case["expect"];
        let options = case.get("options").cloned().unwrap_or_else(|| json!({}));
        let stage = match stage(options) {
            Ok(stage) => stage,
            Err(errors) => {
                let found: Vec<Value> =
                    errors.iter().map(|error| json!([error.key, error.message, error.hint])).collect();
                assert_eq!(Value::from(found), expect["errors"], "{name}");
                continue;
            }
        };
        assert!(expect.get("errors").is_none(), "{name}: the options should be refused");
        let text = case["text"].as_str().unwrap();
        let mut doc = document(text);
        doc.language = case["language"].as_str().map(str::to_owned);
        let outcome = stage.process(&mut doc, &mut context());
        let again = stage.redecide(&doc, SPEC.name).unwrap();
        match &outcome {
            Outcome::Drop(reason) => {
                assert_eq!(json!(reason.name), expect["reason"], "{name}: {:?}", doc.scores);
                assert_eq!(doc.text, text, "{name}: a dropped text stays as it was");
                if let Some(detail) = expect.get("detail") {
                    assert_eq!(&json!(reason.detail), detail, "{name}");
                }
                let stored = Reason { detail: None, ..reason.clone() };
                assert_eq!(again, Outcome::Drop(stored), "{name}");
                reasons.insert(reason.name);
            }
            other => {
                assert_eq!(expect.get("reason"), None, "{name}: {:?}", doc.scores);
                assert_eq!(json!(doc.text), expect["text"], "{name}");
                assert_eq!(*other == Outcome::Changed, doc.text != text, "{name}");
                assert_eq!(again, *other, "{name}");
            }
        }
        for (score, value) in expect["scores"].as_object().into_iter().flatten() {
            let full = format!("boilerplate.{score}");
            let found = doc.scores.iter().find(|(name, _)| *name == full).map(|(_, value)| *value).unwrap();
            assert!((found - value.as_f64().unwrap()).abs() < 1e-4, "{name}: {score} is {found}");
        }
    }
    assert_eq!(reasons.len(), SPEC.reasons.len(), "a case for each reason");
}

#[test]
fn doing_it_twice_changes_nothing_more() {
    let stage = stage(json!({})).unwrap();
    let text = "Home > Beans\n\nBeans grow.\n\nRead more\nShare this\n\nPeas too. <b>Now</b>.\n\nRelated posts\nTen beans";
    let (_, once) = stage.removals(text, None);
    assert_eq!(once, "Beans grow.\n\nPeas too. Now.");
    assert_eq!(stage.removals(&once, None), (Vec::new(), once.clone()));
}

#[test]
fn odd_texts_take_linear_time() {
    let stage = stage(json!({})).unwrap();
    let times = |piece: &str, count: usize| piece.repeat(if cfg!(debug_assertions) { count / 10 } else { count });
    for text in [
        times("\n", 2_000_000),
        times("<a ", 500_000),
        times("<a href=\"", 200_000),
        times("<!--", 400_000),
        times("{{", 500_000),
        times("[[a", 500_000),
        times("&amp;", 300_000),
        times("Related posts\n", 100_000),
        times("Related posts\n\n\n", 60_000),
        times("we use cookies ", 100_000),
        times("we use cookies\n", 100_000),
        times("x", 2_000_000),
        times("© ", 500_000),
        times("豆", 500_000),
        times("12 comments\n", 100_000),
        times("<script>", 200_000),
    ] {
        let start = cpu_time::ThreadTime::now();
        stage.process(&mut document(&text), &mut context());
        let seconds = start.elapsed().as_secs_f64();
        assert!(seconds < 3.0, "{seconds} s on `{}`", text.chars().take(20).collect::<String>());
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        pieces in prop::collection::vec(
            prop_oneof![
                "\\PC{0,12}",
                prop::sample::select(vec![
                    "<p>", "</a>", "<a href=x>", "&nbsp;", "&#0;", "&#x110000;", "\n", "\n\n", " ", "{{x}}", "[[a|b]]", "[edit]",
                    "[/b]", "Read more", "We use cookies", "© 2020", "http://x.org", "Home > x", "İ", "Related posts\n",
                ]).prop_map(str::to_owned),
            ],
            0..30,
        ),
    ) {
        let text = pieces.concat();
        let stage = stage(json!({})).unwrap();
        let mut doc = document(&text);
        let outcome = stage.process(&mut doc, &mut context());
        prop_assert_eq!(outcome == Outcome::Changed, doc.text != text || outcome == Outcome::Changed);
        prop_assert!(outcome == Outcome::Changed || doc.text == text);
    }
}
