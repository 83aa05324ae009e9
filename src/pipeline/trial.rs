//! Runs a pipeline's `tests:`: documents whose verdict its author stated.

use crate::document::{Document, Media, Ordinal, Outcome, Raw};
use crate::pipeline::config::{Mode, TestCase};
use crate::pipeline::load::Loaded;
use crate::stage::{Built, Context};

/// Runs every case; returns what went otherwise, one sentence each.
pub fn run(loaded: &Loaded) -> Vec<String> {
    loaded
        .config
        .tests
        .iter()
        .enumerate()
        .filter_map(|(number, case)| judge(loaded, number, case).err())
        .collect()
}

fn judge(loaded: &Loaded, number: usize, case: &TestCase) -> Result<(), String> {
    let ordinal = Ordinal { split: 0, record: number as u64 };
    let text = case.text.as_deref().unwrap_or_default();
    let text = vec![text; case.repeat.unwrap_or(1) as usize].join("\n");
    let mut doc = Document::new(ordinal, format!("test-{number}"), text);
    doc.url.clone_from(&case.url);
    doc.raw = case.html.as_ref().map(|html| Raw {
        bytes: html.clone().into_bytes(),
        media: Media::Html,
        charset: Some("utf-8".to_owned()),
    });
    let found = verdict(loaded, &mut doc);
    let expected = case.expect.as_str();
    let fits = found == expected || found.split_once('/').is_some_and(|(stage, _)| stage == expected);
    if !fits {
        return Err(format!("test `{}`: expected `{expected}`, found `{found}`", case.name));
    }
    if let Some(piece) = case.text_contains.as_deref().filter(|piece| !doc.text.contains(*piece)) {
        return Err(format!("test `{}`: the final text lacks `{piece}`", case.name));
    }
    if let Some(piece) = case.text_lacks.as_deref().filter(|piece| doc.text.contains(*piece)) {
        return Err(format!("test `{}`: the final text contains `{piece}`", case.name));
    }
    Ok(())
}

/// `keep`, or `stage/reason` of the first stage that drops the document.
fn verdict(loaded: &Loaded, doc: &mut Document) -> String {
    let mut context = Context::default();
    for (plan, (_, built)) in loaded.plan.stages.iter().zip(&loaded.stages) {
        let Built::Doc(stage) = built else { continue };
        context.stage.clone_from(&plan.id);
        match stage.process(doc, &mut context) {
            Outcome::Keep => {}
            Outcome::Changed => context.features.reset(),
            Outcome::Drop(_) if plan.filter.is_some_and(|filter| filter.mode == Mode::Annotate) => {}
            Outcome::Drop(reason) => return format!("{}/{}", plan.id, reason.name),
        }
    }
    "keep".to_owned()
}
