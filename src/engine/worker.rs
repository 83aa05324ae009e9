//! Takes one document through the stages of a segment, and counts what happens.

use cpu_time::ThreadTime;

use super::segment::{Mode, Slot};
use crate::document::{Document, Outcome, Reason};
use crate::stage::{Barrier, Context, Cut, Duplicate, Flow, Histogram, Hit, Removal, StageStats};

/// What became of a document in a segment.
pub(super) struct Finished {
    pub doc: Document,
    pub fate: Fate,
    /// What the barrier behind us took out of its text.
    pub cuts: Option<Taken>,
    /// What stages found in it, with their numbers.
    pub hits: Vec<(usize, Hit)>,
}

/// Pieces that were taken out of a text.
pub(super) struct Taken {
    pub cuts: Vec<Cut>,
    /// The text before; `None` where the document still has it.
    pub text: Option<String>,
}

pub(super) enum Fate {
    /// Goes on; with what the next barrier needs to know of it.
    Kept(Option<Vec<u8>>),
    /// Dropped by the stage of that number.
    Dropped { slot: usize, reason: Reason, keep_text: bool },
    /// Removed by the barrier behind us, as a copy where it says of which.
    Removed(Reason, Option<Duplicate>),
}

/// One thread's working memory and counts.
pub(super) struct Worker {
    context: Context,
    /// One entry per slot; before them one for the barrier behind us, after them one for that ahead.
    pub stats: Vec<StageStats>,
}

impl Worker {
    pub(super) fn new(names: &[String]) -> Self {
        let stats =
            names.iter().map(|name| StageStats { name: name.clone(), ..StageStats::default() }).collect();
        Self { context: Context::default(), stats }
    }

    pub(super) fn finish(
        &mut self,
        mut doc: Document,
        removal: Option<Removal>,
        behind: Option<&dyn Barrier>,
        slots: &[Slot],
        barrier: Option<&dyn Barrier>,
    ) -> Finished {
        self.stats[0].docs_in += 1;
        self.stats[0].bytes_in += doc.weight_bytes() as u64;
        let mut cuts = None;
        let removed = match removal {
            None => None,
            Some(Removal::Dropped(reason)) => Some((reason, None)),
            Some(Removal::Scored { score, value }) => {
                let name = format!("{}.{}", self.stats[0].name, score.name);
                let empty = || Histogram::new(score.min, score.max);
                self.stats[0].histograms.entry(name.clone()).or_insert_with(empty).add(value);
                doc.scores.push((name, value));
                None
            }
            Some(Removal::Duplicate(copy)) => Some((
                Reason {
                    name: copy.reason,
                    value: Some(copy.similarity),
                    limit: copy.limit,
                    detail: Some(copy.kept_id.clone()),
                },
                Some(copy),
            )),
            Some(Removal::Cut(found)) => {
                let (taken, reason) = self.cut(&mut doc, found, behind);
                cuts = Some(taken);
                reason.map(|reason| (reason, None))
            }
        };
        let behind = &mut self.stats[0];
        count_groups(behind, &doc, removed.is_some());
        if let Some((reason, copy)) = removed {
            *behind.reasons.entry(reason.name.to_owned()).or_default() += 1;
            return Finished { doc, fate: Fate::Removed(reason, copy), cuts, hits: Vec::new() };
        }
        behind.docs_out += 1;
        behind.bytes_out += doc.weight_bytes() as u64;
        self.context.features.reset();
        let mut hits = Vec::new();
        let mut before = ThreadTime::now();
        for (number, slot) in slots.iter().enumerate() {
            let bytes_in = doc.weight_bytes() as u64;
            let scores_before = doc.scores.len();
            self.context.stage.clone_from(&slot.id);
            let outcome = slot.stage.process(&mut doc, &mut self.context);
            hits.extend(self.context.hits.drain(..).map(|hit| (number, hit)));
            let stats = &mut self.stats[number + 1];
            stats.docs_in += 1;
            stats.bytes_in += bytes_in;
            for (name, value) in &doc.scores[scores_before..] {
                count_score(stats, slot, name, *value);
            }
            if slot.sets_language {
                let language = doc.language.clone().unwrap_or_else(|| "unknown".to_owned());
                *stats.languages.entry(language).or_default() += 1;
            }
            let dropped = match outcome {
                Outcome::Keep => None,
                Outcome::Changed => {
                    stats.docs_changed += 1;
                    self.context.features.reset();
                    None
                }
                Outcome::Drop(reason) => {
                    *stats.reasons.entry(reason.name.to_owned()).or_default() += 1;
                    Some(reason)
                }
            };
            count_groups(stats, &doc, dropped.is_some());
            let now = ThreadTime::now();
            stats.cpu_secs += now.duration_since(before).as_secs_f64();
            before = now;
            match (dropped, slot.mode) {
                (None, _) => {}
                (Some(reason), Mode::Annotate) => {
                    doc.verdicts.push((slot.id.clone(), reason.name.to_owned()));
                }
                (Some(reason), mode) => {
                    doc.raw = None;
                    let keep_text = !matches!(mode, Mode::Sample(ratio) if !is_sampled(&doc.id, ratio));
                    let fate = Fate::Dropped { slot: number, reason, keep_text };
                    return Finished { doc, fate, cuts, hits };
                }
            }
            stats.docs_out += 1;
            stats.bytes_out += doc.weight_bytes() as u64;
        }
        let signature = barrier.map(|barrier| {
            let signature = barrier.signature(&doc, &mut self.context);
            if let Some(ahead) = self.stats.last_mut() {
                ahead.cpu_secs += before.elapsed().as_secs_f64();
            }
            signature
        });
        Finished { doc, fate: Fate::Kept(signature), cuts, hits }
    }

    /// Takes pieces out of the text; with the reason where the document goes for what is left, which then has its
    /// text as it was.
    fn cut(
        &mut self,
        doc: &mut Document,
        cuts: Vec<Cut>,
        behind: Option<&dyn Barrier>,
    ) -> (Taken, Option<Reason>) {
        let start = ThreadTime::now();
        self.context.features.reset();
        let left = match behind {
            Some(behind) => behind.cut(&doc.text, &cuts, &mut self.context),
            None => Ok(crate::stage::without(&doc.text, &cuts)),
        };
        self.stats[0].cpu_secs += start.elapsed().as_secs_f64();
        match left {
            Ok(left) => {
                self.stats[0].docs_changed += 1;
                let text = Some(std::mem::replace(&mut doc.text, left));
                (Taken { cuts, text }, None)
            }
            Err(reason) => (Taken { cuts, text: None }, Some(reason)),
        }
    }
}

/// Counts a document under its language and its source, so that a stage that is harder on some shows.
fn count_groups(stats: &mut StageStats, doc: &Document, dropped: bool) {
    Flow::count(&mut stats.by_language, doc.language.as_deref().unwrap_or("unknown"), dropped);
    Flow::count(&mut stats.by_source, &doc.source, dropped);
}

fn count_score(stats: &mut StageStats, slot: &Slot, name: &str, value: f64) {
    for limit in slot.limits.iter().filter(|limit| limit.score == name) {
        *stats.beyond.entry(limit.option.to_owned()).or_default() +=
            u64::from(limit.fails.fails(value, limit.limit));
    }
    if let Some(histogram) = stats.histograms.get_mut(name) {
        histogram.add(value);
        return;
    }
    let Some((_, min, max)) = slot.scores.iter().find(|(known, ..)| known == name) else { return };
    let mut histogram = Histogram::new(*min, *max);
    histogram.add(value);
    stats.histograms.insert(name.to_owned(), histogram);
}

/// Whether a dropped document is in the share whose text is kept (`mode: sample`); only the id decides.
#[must_use]
pub fn is_sampled(id: &str, ratio: f64) -> bool {
    let hash = xxhash_rust::xxh3::xxh3_64(id.as_bytes()) >> 11;
    (hash as f64 / (1_u64 << 53) as f64) < ratio
}
