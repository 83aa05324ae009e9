//! Tests of `boilerplate`: every rule's examples, the case file, mistakes in files of rules, odd texts.

use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::document::Ordinal;

fn stage(options: Value) -> Result<Boilerplate, Vec<OptionError>> {
    Boilerplate::new(&parse_options(options)?, &mut BuildContext::default())
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
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stages/boilerplate/cases.jsonl");
    let cases = String::from_utf8(crate::io::read_side_file(&path).unwrap()).unwrap();
    let mut reasons = std::collections::BTreeSet::new();
    let mut failures = Vec::new();
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        match check_case(&case) {
            Ok(reason) => reasons.extend(reason),
            Err(what) => failures.push(format!("{}: {what}", case["name"])),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(reasons.len(), SPEC.reasons.len(), "a case for each reason");
}

/// The reason for which the case's page is dropped, or what is wrong.
fn check_case(case: &Value) -> Result<Option<&'static str>, String> {
    let expect = &case["expect"];
    let same = |what: &str, found: &Value, wanted: &Value| {
        if found == wanted { Ok(()) } else { Err(format!("{what}: {found} for {wanted}")) }
    };
    let options = case.get("options").cloned().unwrap_or_else(|| json!({}));
    let stage = match stage(options) {
        Ok(stage) => stage,
        Err(errors) => return same_errors(&errors, &expect["errors"]).map(|()| None),
    };
    if let Some(errors) = expect.get("errors") {
        return Err(format!("the options should be refused: {errors}"));
    }
    let text = case["text"].as_str().unwrap();
    let mut doc = document(text);
    doc.language = case["language"].as_str().map(str::to_owned);
    let outcome = stage.process(&mut doc, &mut context());
    for (score, value) in expect["scores"].as_object().into_iter().flatten() {
        let full = format!("boilerplate.{score}");
        let found = doc.scores.iter().find(|(name, _)| *name == full).map(|(_, value)| *value).unwrap();
        if (found - value.as_f64().unwrap()).abs() > 1e-4 {
            return Err(format!("{score} is {found}"));
        }
    }
    let again = stage.redecide(&doc, SPEC.name).unwrap();
    let (outcome, reason) = match outcome {
        Outcome::Drop(reason) => {
            same("reason", &json!(reason.name), &expect["reason"])?;
            same("the text of a dropped page", &json!(doc.text), &json!(text))?;
            if let Some(detail) = expect.get("detail") {
                same("detail", &json!(reason.detail), detail)?;
            }
            let name = reason.name;
            (Outcome::Drop(Reason { detail: None, ..reason }), Some(name))
        }
        other => {
            same("reason", &Value::Null, &expect["reason"])?;
            same("text", &json!(doc.text), &expect["text"])?;
            same("changed", &json!(other == Outcome::Changed), &json!(doc.text != text))?;
            (other, None)
        }
    };
    if again == outcome { Ok(reason) } else { Err(format!("decided again: {again:?} for {outcome:?}")) }
}

/// `...` at the end of a message stands for anything.
fn same_errors(errors: &[OptionError], wanted: &Value) -> Result<(), String> {
    let wanted = wanted.as_array().ok_or_else(|| format!("{errors:?}"))?;
    let fits = |error: &OptionError, wanted: &Value| {
        let message = wanted[1].as_str().unwrap();
        let same = match message.strip_suffix("...") {
            Some(start) => error.message.starts_with(start),
            None => error.message == message,
        };
        same && error.key == wanted[0].as_str().unwrap() && error.hint.as_deref() == wanted[2].as_str()
    };
    let all =
        errors.len() == wanted.len() && errors.iter().zip(wanted).all(|(error, wanted)| fits(error, wanted));
    if all { Ok(()) } else { Err(format!("{errors:#?}")) }
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
    let times =
        |piece: &str, count: usize| piece.repeat(if cfg!(debug_assertions) { count / 10 } else { count });
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

/// Built once for all random texts.
static STAGE: OnceLock<Boilerplate> = OnceLock::new();

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
        let stage = STAGE.get_or_init(|| stage(json!({})).unwrap());
        let mut doc = document(&text);
        let outcome = stage.process(&mut doc, &mut context());
        prop_assert!(outcome == Outcome::Changed || doc.text == text);
    }
}
