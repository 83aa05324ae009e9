//! The passes: anchors of a part, their comparison, and the repeats of each document in order.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::super::catalog::{Catalog, CatalogPass, Part, tasks_for};
use super::super::docs::{self, DocStore, DocsWriter};
use super::super::groups::{GatherPass, Grouping};
use super::super::observe::rows_path;
use super::super::pass_name;
use super::super::records::{take_u32, take_u64};
use super::anchors::Sampling;
use super::rounds::Round;
use super::rows::{AnchorRow, Candidate, Repeat, SpanRow, parse_place, place};
use super::texts::{FENCE, Found, Texts};
use crate::document::Ordinal;
use crate::error::{Error, Result};
use crate::io;
use crate::io::ranges::{RangeReader, RunFile};
use crate::io::runs::{self, Record, RunSorter};
use crate::stage::{Cut, Observer, Pass, Removal, Removals, TaskEnv, TaskReport};

/// Anchors that a matching task and repeats that an ordering task takes, about.
pub(super) const ANCHORS_PER_TASK: u64 = 1 << 22;
/// Rows between two looks at the cancel flag.
const CANCEL_ROWS: u64 = 1 << 12;
/// Bytes of an anchor in a signature.
const ANCHOR_BYTES: usize = 16;

/// What the passes need to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finding {
    pub(super) sampling: Sampling,
    pub(super) anchors_per_task: u64,
}

/// Anchors of a text, how many they are, and the text. Empty for a text too short to have any.
#[expect(clippy::cast_possible_truncation, reason = "no text has 4 GiB; document files refuse it")]
pub(super) fn signature(sampling: Sampling, text: &[u8]) -> Vec<u8> {
    if text.len() < sampling.window {
        return Vec::new();
    }
    let mut out = vec![0; 4];
    sampling.each(text, |anchor| {
        out.extend_from_slice(&anchor.key.to_le_bytes());
        out.extend_from_slice(&(anchor.at as u32).to_le_bytes());
        out.extend_from_slice(&anchor.low.to_le_bytes());
        out.extend_from_slice(&anchor.high.to_le_bytes());
    });
    let count = ((out.len() - 4) / ANCHOR_BYTES) as u32;
    out[..4].copy_from_slice(&count.to_le_bytes());
    out.push(FENCE);
    out.extend_from_slice(text);
    out.push(FENCE);
    out
}

/// Writes the texts and anchors of one part.
pub(super) fn observer(dir: &Path, task: u32, part: u32, memory_bytes: u64) -> Result<Box<dyn Observer>> {
    let name = docs::part_name(task, part);
    Ok(Box::new(PartAnchors {
        docs: DocsWriter::create(dir, &name)?,
        // A vector that grows holds its old and its new self for a moment.
        rows: RunSorter::new(dir.join("scratch").join(&name), memory_bytes / 3),
        rows_path: rows_path(dir, &name),
        task,
        part,
    }))
}

impl Finding {
    pub(super) fn passes(self, dir: &Path) -> Vec<Box<dyn Pass>> {
        let grouping = Grouping::new(dir, self.anchors_per_task);
        let gather = GatherPass::<AnchorRow>::new(&grouping);
        let find = MatchPass { name: pass_name(dir, "match"), grouping, sampling: self.sampling };
        let order = OrderPass { name: pass_name(dir, "order"), dir: dir.to_path_buf(), finding: self };
        let catalog = CatalogPass::new(dir, Vec::new(), AnchorRow::BYTES);
        vec![Box::new(catalog), Box::new(gather), Box::new(find), Box::new(order)]
    }
}

/// Writes down one part.
struct PartAnchors {
    docs: DocsWriter,
    rows: RunSorter<AnchorRow>,
    rows_path: PathBuf,
    task: u32,
    part: u32,
}

impl Observer for PartAnchors {
    fn observe(&mut self, ordinal: Ordinal, id: &str, signature: &[u8]) -> Result<()> {
        if signature.is_empty() {
            return Ok(());
        }
        let cut = || Error::Failed(format!("document `{id}` has a cut signature"));
        let (count, rest) = signature.split_at_checked(4).ok_or_else(cut)?;
        let anchors = (take_u32(count, 0) as usize).saturating_mul(ANCHOR_BYTES);
        let (anchors, fenced) = rest.split_at_checked(anchors).ok_or_else(cut)?;
        let start = self.docs.data_bytes() + id.len() as u64 + 1;
        for anchor in anchors.chunks_exact(ANCHOR_BYTES) {
            let at = start + u64::from(take_u32(anchor, 8));
            let place = place(self.task, self.part, at).ok_or_else(|| {
                let what = "a part of over a terabyte, or a task of over 16 million parts";
                Error::Failed(format!(
                    "`substring_dedup` cannot number {what}: use more and smaller input files"
                ))
            })?;
            let [low, high] = [12, 14].map(|at| u16::from_le_bytes([anchor[at], anchor[at + 1]]));
            self.rows.push(AnchorRow { key: take_u64(anchor, 0), place, low, high })?;
        }
        self.docs.add(ordinal, id, fenced)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        runs::write_sorted(&self.rows_path, self.rows.finish()?)?;
        self.docs.finish()
    }
}

fn spans_folder(dir: &Path) -> PathBuf {
    dir.join("spans")
}

fn removals_folder(dir: &Path) -> PathBuf {
    dir.join("removals")
}

/// Compares the anchors of one range of keys.
struct MatchPass {
    name: String,
    grouping: Grouping,
    sampling: Sampling,
}

impl Pass for MatchPass {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        self.grouping.tasks()
    }

    fn run(&self, task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let share = env.memory_bytes / 8;
        let dir = &self.grouping.dir;
        let scratch = |what: &str| self.grouping.scratch(task, what);
        let mut texts = Texts::new(dir);
        let mut spans = RunSorter::new(scratch("spans"), share);
        let (mut anchors, mut compared, mut number) = (0_u64, 0_u64, 0_u64);
        let reach = u16::try_from(self.sampling.reach).unwrap_or(u16::MAX);
        let next = RunSorter::new(scratch("round-0"), share);
        let mut round = Round::new(self.sampling, number, &mut texts, &mut spans, next);
        for row in self.grouping.sorted::<AnchorRow>(task, env, share)? {
            let AnchorRow { key, place, low, high } = row?;
            if anchors.is_multiple_of(CANCEL_ROWS) {
                env.check_cancel()?;
            }
            anchors += 1;
            round.take(Candidate { key, place, low, high, class_low: 0, class_high: reach })?;
        }
        let (mut next, mut left) = round.finish();
        while left > 0 {
            number += 1;
            compared += left;
            let sorter = RunSorter::new(scratch(&format!("round-{number}")), share);
            let mut round = Round::new(self.sampling, number, &mut texts, &mut spans, sorter);
            for (count, candidate) in (0_u64..).zip(next.finish()?) {
                if count.is_multiple_of(CANCEL_ROWS) {
                    env.check_cancel()?;
                }
                round.take(candidate?)?;
            }
            (next, left) = round.finish();
        }
        let mut written = 0;
        let spans = spans.finish()?.inspect(|_| written += 1);
        runs::write_sorted(&spans_folder(dir).join(format!("{task:05}.run")), spans)?;
        let mut report = TaskReport::default();
        report.counts.insert("anchors".to_owned(), anchors);
        report.counts.insert("compared_again".to_owned(), compared);
        report.counts.insert("spans".to_owned(), written);
        Ok(report)
    }
}

/// Puts the repeats together in the order of the documents, one file per range of parts.
struct OrderPass {
    name: String,
    dir: PathBuf,
    finding: Finding,
}

/// The first part of each of so many ranges.
fn first_parts(catalog: &Catalog, tasks: u32) -> Result<Vec<Part>> {
    let parts = catalog.parts()?;
    let count = u128::from(parts.records());
    let first = |task: u32| u64::try_from(count * u128::from(task) / u128::from(tasks)).unwrap_or(u64::MAX);
    (0..tasks).map(|task| parts.get(first(task))).collect()
}

impl Pass for OrderPass {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        let parts = u32::try_from(Catalog::read(&self.dir)?.parts).unwrap_or(u32::MAX);
        let mut bytes = 0;
        for path in io::list(spans_folder(&self.dir), ".run")? {
            bytes += io::size_of(path)?;
        }
        Ok(tasks_for(bytes / SpanRow::BYTES as u64, self.finding.anchors_per_task).min(parts))
    }

    fn run(&self, task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let catalog = Catalog::read(&self.dir)?;
        let firsts = first_parts(&catalog, self.tasks()?)?;
        let begin = |part: &Part| {
            place(part.task, part.part, 0)
                .ok_or_else(|| Error::Failed("too many parts of one task".to_owned()))
        };
        let from = begin(&firsts[task as usize])?;
        let to = firsts.get(task as usize + 1).map(begin).transpose()?;
        let scratch = self.dir.join("scratch").join(format!("order-{task:05}"));
        let mut sorter = RunSorter::new(scratch, env.memory_bytes / 3);
        for path in io::list(spans_folder(&self.dir), ".run")? {
            env.check_cancel()?;
            let run = RunFile::<SpanRow>::open(path)?;
            let start = run.partition_point(|span| span.start < from)?;
            let end = run.partition_point(|span| to.is_none_or(|to| span.start < to))?;
            for span in run.range(start, end)? {
                sorter.push(span?)?;
            }
        }
        let mut join = Join { texts: Texts::new(&self.dir), first_texts: Texts::new(&self.dir), open: None };
        let mut spans = sorter.finish()?;
        let mut count = 0_u64;
        // One repeat behind: the last one is closed when there are no more spans.
        let repeats = std::iter::from_fn(|| {
            loop {
                let Some(span) = spans.next() else {
                    return join.open.take().map(|open| join.close(open));
                };
                count += 1;
                let cancelled = if count.is_multiple_of(CANCEL_ROWS) { env.check_cancel() } else { Ok(()) };
                match cancelled.and(span).and_then(|span| join.take(span)) {
                    Ok(None) => {}
                    Ok(Some(repeat)) => return Some(Ok(repeat)),
                    Err(error) => return Some(Err(error)),
                }
            }
        });
        // A repeat may be empty once its ends are at character borders.
        let repeats = repeats.filter(|repeat| !matches!(repeat, Ok(repeat) if repeat.start >= repeat.end));
        let path = removals_folder(&self.dir).join(format!("{task:05}.run"));
        runs::write_sorted(&path, repeats)?;
        Ok(TaskReport::default())
    }
}

/// A repeat that may go on.
#[derive(Debug, Clone, Copy)]
struct Open {
    doc: Found,
    /// Bytes of the part's data file.
    start: u64,
    end: u64,
    first: Ordinal,
    /// Place of the first copy of `end`; spans that go on there are of the same document.
    first_end: Ordinal,
    /// Another repeat ends where it begins.
    adjoins: bool,
}

/// Makes one repeat of spans that overlap.
struct Join {
    texts: Texts,
    first_texts: Texts,
    open: Option<Open>,
}

fn after(place: Ordinal, bytes: u64) -> Ordinal {
    Ordinal { record: place.record + bytes, ..place }
}

impl Join {
    /// Takes the next span; returns the repeat before it, if it ends there.
    fn take(&mut self, span: SpanRow) -> Result<Option<Repeat>> {
        let (_, _, start) = parse_place(span.start);
        let end = start + u64::from(span.bytes);
        let inside = |open: &Open| {
            let (task, part, _) = parse_place(span.start);
            open.doc.part == (task, part) && start <= open.end
        };
        let Some(open) = self.open.filter(inside) else {
            let doc = self.texts.document(span.start)?;
            let first = self.first_texts.document(span.first)?.ordinal;
            let first_end = after(span.first, end - start);
            let open = Open { doc, start, end, first, first_end, adjoins: false };
            return self.open.replace(open).map(|open| self.close(open)).transpose();
        };
        if end <= open.end {
            return Ok(None);
        }
        let first_end = after(span.first, end - start);
        let goes_on = first_end == after(open.first_end, end - open.end);
        if goes_on || self.first_texts.document(span.first)?.ordinal == open.first {
            self.open = Some(Open { end, first_end, ..open });
            return Ok(None);
        }
        let first = self.first_texts.document(span.first)?.ordinal;
        let next = Open { start: open.end, end, first, first_end, adjoins: true, ..open };
        self.open = Some(next);
        self.close(open).map(Some)
    }

    /// With ends at character borders: what is cut repeats whole, so outer ends move inwards. Where repeats adjoin
    /// both ends move back.
    #[expect(clippy::cast_possible_truncation, reason = "no text has 4 GiB; document files refuse it")]
    fn close(&mut self, open: Open) -> Result<Repeat> {
        let (task, part) = open.doc.part;
        let mut start = open.start;
        if open.adjoins {
            start -= self.texts.bytes_into_character(task, part, start)?;
        } else {
            start += self.texts.bytes_to_border(task, part, start)?;
        }
        let end = open.end - self.texts.bytes_into_character(task, part, open.end)?;
        let base = open.doc.text_start;
        Ok(Repeat {
            doc: open.doc.ordinal,
            start: start.saturating_sub(base) as u32,
            end: end.saturating_sub(base) as u32,
            first: open.first,
        })
    }
}

/// Opens what of one split goes.
pub(super) fn removals(dir: &Path, split: u32) -> Result<Box<dyn Removals>> {
    let catalog = Catalog::read(dir)?;
    let lists = io::list(removals_folder(dir), ".run")?;
    let mut repeats =
        Repeats { split, lists: lists.into(), list: None, next: None, docs: DocStore::open(catalog)? };
    repeats.next = repeats.read()?;
    Ok(Box::new(repeats))
}

struct Repeats {
    split: u32,
    lists: VecDeque<PathBuf>,
    list: Option<RangeReader<Repeat>>,
    next: Option<Repeat>,
    docs: DocStore,
}

impl Repeats {
    /// The next repeat of this split.
    fn read(&mut self) -> Result<Option<Repeat>> {
        loop {
            if let Some(repeat) = self.list.as_mut().and_then(Iterator::next) {
                return repeat.map(Some);
            }
            let Some(path) = self.lists.pop_front() else { return Ok(None) };
            let run = RunFile::<Repeat>::open(path)?;
            let start = run.partition_point(|repeat| repeat.doc.split < self.split)?;
            let end = run.partition_point(|repeat| repeat.doc.split <= self.split)?;
            self.list = Some(run.range(start, end)?);
        }
    }
}

impl Removals for Repeats {
    fn lookup(&mut self, ordinal: Ordinal) -> Result<Option<Removal>> {
        while self.next.is_some_and(|repeat| repeat.doc < ordinal) {
            self.next = self.read()?;
        }
        let mut cuts: Vec<Cut> = Vec::new();
        while let Some(repeat) = self.next.filter(|repeat| repeat.doc == ordinal) {
            let range = repeat.start as usize..repeat.end as usize;
            cuts.push(Cut { range, first_id: self.docs.id(repeat.first)?.into() });
            self.next = self.read()?;
        }
        Ok((!cuts.is_empty()).then_some(Removal::Cut(cuts)))
    }
}
