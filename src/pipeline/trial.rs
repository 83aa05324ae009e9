//! Runs a pipeline's `tests:`: documents whose verdict its author stated.

use std::sync::Arc;

use crate::document::{Document, Media, Ordinal, Outcome, Raw};
use crate::error::Result;
use crate::io::folders;
use crate::pipeline::config::{Mode, TestCase};
use crate::pipeline::load::Loaded;
use crate::stage::{Built, Context, Progress, TaskEnv};

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

fn judge(loaded: &Loaded, number: usize, case: &TestCase) -> std::result::Result<(), String> {
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

/// Lets the stages make what they make before a run, such as a model from a trusted text, in a temporary folder. Without it
/// they cannot judge documents outside a run. Nothing is done where no stage makes anything.
///
/// # Errors
/// What the work returns.
pub fn prepare(loaded: &Loaded) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("tamis-models-{}", std::process::id()));
    let env = TaskEnv {
        memory_bytes: loaded.memory_bytes.unwrap_or_else(crate::io::machine::default_memory_bytes),
        cancel: Arc::default(),
        progress: Arc::new(Unheard),
    };
    for (plan, (_, built)) in loaded.plan.stages.iter().zip(&loaded.stages) {
        let Built::Doc(stage) = built else { continue };
        let dir = folder.join(&plan.id);
        let passes = stage.passes(&plan.id, &dir);
        if passes.is_empty() {
            continue;
        }
        for pass in passes {
            for task in 0..pass.tasks()? {
                pass.run(task, &env)?;
            }
        }
        // Models are mapped, so they may go as soon as they are open.
        stage.ready(&dir)?;
        folders::remove_dir(&folder)?;
    }
    Ok(())
}

/// Nobody watches.
struct Unheard;

impl Progress for Unheard {
    fn advance(&self, _bytes: u64, _docs: u64) {}
}
