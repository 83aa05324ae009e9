//! A small engine for tests: runs a barrier over documents in memory, with the work cut up and ordered
//! as a setup says, every task done twice as if a kill had come in between.

#![expect(clippy::cast_possible_truncation, reason = "tests are small")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::document::{Document, Ordinal, Reason};
use crate::stage::{Barrier, Context, Cut, Duplicate, Progress, Removal, TaskEnv};

/// How the work is cut up; nothing of it may change the result.
#[derive(Debug)]
pub(super) struct Setup {
    /// Seed of the order in which parts and tasks are done.
    pub(super) order: u64,
    /// Documents per part.
    pub(super) part_docs: u64,
    pub(super) memory_bytes: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self { order: 0, part_docs: u64::MAX, memory_bytes: 1 << 30 }
    }
}

struct Silent;

impl Progress for Silent {
    fn advance(&self, _bytes: u64, _docs: u64) {}
}

/// One split per slice; ids are `split.record`.
pub(super) fn docs_of<S: AsRef<[T]>, T: AsRef<str>>(splits: &[S]) -> Vec<Document> {
    let mut docs = Vec::new();
    for (split, texts) in (0..).zip(splits) {
        for (record, text) in (0..).zip(texts.as_ref()) {
            let id = format!("{split}.{record}");
            docs.push(Document::new(Ordinal { split, record }, id, text.as_ref().to_owned()));
        }
    }
    docs
}

/// Ids of the duplicates that go, in order, and what they are duplicates of.
pub(super) fn run_barrier(
    barrier: Arc<dyn Barrier>,
    docs: &[Document],
    setup: &Setup,
) -> Vec<(String, Duplicate)> {
    let duplicate = |(id, removal)| match removal {
        Removal::Duplicate(duplicate) => (id, duplicate),
        other => panic!("`{id}` is no duplicate: {other:?}"),
    };
    removals_of(barrier, docs, setup).into_iter().map(duplicate).collect()
}

/// Ids and removals of the documents that go, in order.
pub(super) fn removals_of(
    barrier: Arc<dyn Barrier>,
    docs: &[Document],
    setup: &Setup,
) -> Vec<(String, Removal)> {
    let folder = tempfile::tempdir().unwrap();
    run_and_keep(barrier, docs, setup, folder.path())
}

/// The same; what the barrier keeps for later runs goes to `target`.
#[expect(clippy::needless_pass_by_value, reason = "callers make one for each run")]
pub(super) fn run_and_keep(
    barrier: Arc<dyn Barrier>,
    docs: &[Document],
    setup: &Setup,
    target: &std::path::Path,
) -> Vec<(String, Removal)> {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("02-barrier");
    let mut cx = Context::default();
    let part_of = |doc: &Document| (doc.ordinal.split, (doc.ordinal.record / setup.part_docs) as u32);
    let parts: BTreeSet<(u32, u32)> = docs.iter().map(part_of).collect();
    for (task, part) in shuffled(parts.into_iter().collect(), setup.order) {
        for _ in 0..2 {
            let mut observer = barrier.observer(&dir, task, part, setup.memory_bytes).unwrap();
            for doc in docs.iter().filter(|doc| part_of(doc) == (task, part)) {
                cx.features.reset();
                let signature = barrier.signature(doc, &mut cx);
                observer.observe(doc.ordinal, &doc.id, &signature).unwrap();
            }
            observer.finish().unwrap();
        }
    }
    let env = TaskEnv {
        memory_bytes: setup.memory_bytes,
        cancel: Arc::new(AtomicBool::new(false)),
        progress: Arc::new(Silent),
    };
    let mut names = BTreeSet::new();
    let mut passes = Arc::clone(&barrier).passes(dir.clone());
    passes.extend(Arc::clone(&barrier).keep(dir.clone(), target.to_path_buf()));
    for pass in passes {
        assert!(pass.name().starts_with("02-barrier-") && names.insert(pass.name().to_owned()));
        for task in shuffled((0..pass.tasks().unwrap()).collect(), setup.order) {
            let report = pass.run(task, &env).unwrap();
            assert_eq!(pass.run(task, &env).unwrap(), report, "{} task {task}", pass.name());
        }
    }
    let mut gone = Vec::new();
    let splits: BTreeSet<u32> = docs.iter().map(|doc| doc.ordinal.split).collect();
    for split in splits {
        let mut removals = barrier.removals(&dir, split).unwrap();
        for doc in docs.iter().filter(|doc| doc.ordinal.split == split) {
            if let Some(removal) = removals.lookup(doc.ordinal).unwrap() {
                gone.push((doc.id.clone(), removal));
            }
        }
    }
    gone
}

/// What was cut out of a document, and what is left of it.
#[derive(Debug, PartialEq)]
pub(super) struct CutDoc {
    pub(super) cuts: Vec<Cut>,
    /// The text as it goes on, or why the document does not.
    pub(super) left: Result<String, Reason>,
}

/// What a barrier that cuts makes of each document.
pub(super) fn cut_by(barrier: &Arc<dyn Barrier>, docs: &[Document], setup: &Setup) -> Vec<CutDoc> {
    let mut cx = Context::default();
    let mut removals = removals_of(Arc::clone(barrier), docs, setup).into_iter().peekable();
    let mut cut = |doc: &Document| {
        let Some((_, removal)) = removals.next_if(|(id, _)| *id == doc.id) else {
            return CutDoc { cuts: Vec::new(), left: Ok(doc.text.clone()) };
        };
        let Removal::Cut(cuts) = removal else { panic!("`{}` is not cut: {removal:?}", doc.id) };
        let mut end = 0;
        for cut in &cuts {
            assert!(end <= cut.range.start && !cut.range.is_empty(), "`{}`: {cuts:?}", doc.id);
            end = cut.range.end;
        }
        cx.features.reset();
        let left = barrier.cut(&doc.text, &cuts, &mut cx);
        CutDoc { cuts, left }
    };
    let found = docs.iter().map(&mut cut).collect();
    assert_eq!(removals.next(), None);
    found
}

/// The documents that stay.
pub(super) fn survivors(docs: &[Document], gone: &[(String, Duplicate)]) -> Vec<Document> {
    let gone: BTreeSet<&str> = gone.iter().map(|(id, _)| id.as_str()).collect();
    docs.iter().filter(|doc| !gone.contains(doc.id.as_str())).cloned().collect()
}

/// A permutation that the seed determines; seed 0 leaves the order alone.
fn shuffled<T>(mut items: Vec<T>, seed: u64) -> Vec<T> {
    let mut state = seed;
    for last in (1..items.len()).rev().filter(|_| seed != 0) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(last, (state >> 33) as usize % (last + 1));
    }
    items
}
