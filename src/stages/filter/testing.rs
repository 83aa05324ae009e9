//! Helpers for the tests of this room: case files, arbitrary text, building a stage from options.
//!
//! `fixtures/stages/<stage>/cases.jsonl` has one case a line: `name`, `text` (a string, or a list of pieces, each
//! a string or `[string, times]`), `options`, `expect` (`keep`, `changed` or a reason), and where wanted `value`
//! (the measured value of the reason) and `text_after`.

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::document::{Document, Ordinal, Outcome, Reason};
use crate::stage::{BuildContext, Built, Context, DocStage, Side, StageSpec};

/// The stage with these options.
pub(super) fn stage(spec: &StageSpec, options: Value) -> Box<dyn DocStage> {
    match (spec.build)(options, &mut BuildContext::default()) {
        Ok(Built::Doc(stage)) => stage,
        Ok(_) => panic!("`{}` is no filter", spec.name),
        Err(errors) => panic!("`{}`: {errors:?}", spec.name),
    }
}

/// What a stage says about a text, as a new document in a used context.
pub(super) fn judge(
    stage: &dyn DocStage,
    spec: &StageSpec,
    text: &str,
    cx: &mut Context,
) -> (Outcome, Document) {
    let mut doc = Document::new(Ordinal { split: 0, record: 0 }, "test".to_owned(), text.to_owned());
    spec.name.clone_into(&mut cx.stage);
    cx.features.reset();
    let outcome = stage.process(&mut doc, cx);
    (outcome, doc)
}

/// Name of an outcome in case files.
pub(super) fn name(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Keep => "keep",
        Outcome::Changed => "changed",
        Outcome::Drop(reason) => reason.name,
    }
}

/// Runs the case file of a stage.
pub(super) fn run_cases(spec: &StageSpec) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stages").join(spec.name).join("cases.jsonl");
    let file = crate::io::read_side_file(&path).unwrap();
    let mut cx = Context::default();
    let mut reasons = std::collections::BTreeSet::new();
    for line in String::from_utf8(file).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let label = case["name"].as_str().unwrap();
        let options = case.get("options").cloned().unwrap_or_else(|| serde_json::json!({}));
        let text = spell_out(&case["text"]);
        let (outcome, doc) = judge(&*stage(spec, options), spec, &text, &mut cx);
        assert_eq!(name(&outcome), case["expect"], "{}: {label}: {outcome:?} {:?}", spec.name, doc.scores);
        if let Some(after) = case.get("text_after") {
            assert_eq!(doc.text, spell_out(after), "{}: {label}", spec.name);
        }
        if let Outcome::Drop(reason) = outcome {
            assert_eq!(doc.text, text, "{}: {label}: a dropped text stays as it was", spec.name);
            if let Some(value) = case.get("value").and_then(Value::as_f64) {
                let found = reason.value.unwrap();
                assert!((found - value).abs() < 1e-12, "{}: {label}: {found} for {value}", spec.name);
            }
            reasons.insert(reason.name);
        }
    }
    for (reason, _) in spec.reasons {
        assert!(reasons.contains(reason), "{}: no case for `{reason}`", spec.name);
    }
}

/// A string, or a list of strings and `[string, times]`.
fn spell_out(text: &Value) -> String {
    let Value::Array(pieces) = text else { return text.as_str().unwrap().to_owned() };
    let piece = |piece: &Value| match piece {
        Value::Array(pair) => {
            pair[0].as_str().unwrap().repeat(usize::try_from(pair[1].as_u64().unwrap()).unwrap())
        }
        other => other.as_str().unwrap().to_owned(),
    };
    pieces.iter().map(piece).collect()
}

/// Pieces that touch the rules, mixed with arbitrary characters.
pub(super) fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z]{1,8}".prop_map(|word| format!("{word} ")),
        1 => any::<String>(),
        2 => prop::sample::select(vec![
            "\n", "\n\n", "\r\n", "\u{2028}", "\u{1c}", "...", "…", "• ", "- ", "[1]", "[edit]", "{", "don't", "Mr.",
            "'s", "10km", "example.com/a-b", "a@b.org", "lorem ipsum ", "JavaScript ", "use cookies ", "。", "中文",
            "ไทยภาษา", "日本語の", ":-)", "\u{212A}", "\"", "''", "°C.", "8)", "the ", "of ", ". ", "é\u{301}", "😀",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..80).prop_map(|pieces| pieces.concat())
}

/// A reason that a limit gives comes with a value on the wrong side of it.
fn check_limit(spec: &StageSpec, reason: &Reason) -> Result<(), TestCaseError> {
    let limits: Vec<_> = spec.limits.iter().filter(|limit| limit.reason == reason.name).collect();
    if let Some(first) = limits.first() {
        let (Some(value), Some(bound)) = (reason.value, reason.limit) else {
            return Err(TestCaseError::fail(format!("`{}` comes without its numbers", reason.name)));
        };
        prop_assert!(limits.iter().all(|limit| limit.fails == first.fails), "{}", reason.name);
        let fails = if first.fails == Side::Below { value < bound } else { value > bound };
        prop_assert!(fails, "{reason:?}");
    }
    Ok(())
}

/// Feeds a stage arbitrary text: whatever it is, the verdict is one that the stage names, the same every
/// time and from the stored scores, its number is on the wrong side of its limit, and the text is what it was
/// unless the stage says otherwise.
pub(super) fn any_text(spec: &StageSpec) {
    any_text_with(spec, serde_json::json!({}));
}

/// The same for other options than the default ones.
pub(super) fn any_text_with(spec: &StageSpec, options: Value) {
    let default = stage(spec, options);
    let cx = std::cell::RefCell::new(Context::default());
    let decided_again = std::cell::Cell::new(0);
    let mut runner = TestRunner::new_with_rng(
        Config { cases: 400, failure_persistence: None, ..Config::default() },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    runner
        .run(&texts(), |text| {
            let cx = &mut *cx.borrow_mut();
            let (outcome, doc) = judge(&*default, spec, &text, cx);
            prop_assert_eq!(matches!(outcome, Outcome::Changed), doc.text != text);
            if let Outcome::Drop(reason) = &outcome {
                prop_assert!(spec.reasons.iter().any(|(name, _)| *name == reason.name));
                check_limit(spec, reason)?;
            }
            if let Some(again) = default.redecide(&doc, spec.name) {
                prop_assert_eq!(&again, &outcome, "decided again from {:?}", &doc.scores);
                decided_again.set(decided_again.get() + 1);
            }
            for (score, value) in &doc.scores {
                let known = |name: &str| score.strip_prefix(spec.name) == Some(&format!(".{name}"));
                prop_assert!(spec.scores.iter().any(|spec| known(spec.name)), "{}", score);
                prop_assert!(!value.is_nan(), "{}", score);
            }
            prop_assert_eq!(judge(&*default, spec, &text, &mut Context::default()).0, outcome);
            Ok(())
        })
        .unwrap();
    let decides_again = !default.deciding_options().is_empty();
    assert_eq!(decided_again.get() > 0, decides_again, "`{}` decides again where it says so", spec.name);
}

#[test]
fn odd_texts_take_linear_time() {
    // Megabytes each, a tenth in a build without optimisation; anything quadratic would take minutes.
    let times =
        |piece: &str, count: usize| piece.repeat(if cfg!(debug_assertions) { count / 10 } else { count });
    let texts = [
        times("word ", 400_000),
        times("x", 2_000_000),
        times("x\n", 500_000),
        times("\n", 2_000_000),
        times("(", 1_000_000),
        times("a-", 500_000),
        times("a-a@", 250_000),
        times("http://a.", 150_000),
        times("[1", 500_000),
        times(". ", 500_000),
        times(".", 1_000_000),
        times("😀", 300_000),
        times("中", 300_000),
        times("ก", 100_000),
        times("8)", 500_000),
    ];
    let mut cx = Context::default();
    for spec in super::STAGES {
        let Ok(Built::Doc(filter)) = (spec.build)(serde_json::json!({}), &mut BuildContext::default()) else {
            continue;
        };
        for text in &texts {
            let start = cpu_time::ThreadTime::now();
            judge(&*filter, spec, text, &mut cx);
            let seconds = start.elapsed().as_secs_f64();
            assert!(
                seconds < 3.0,
                "`{}` took {seconds} s on `{}`",
                spec.name,
                text.chars().take(9).collect::<String>()
            );
        }
    }
}
