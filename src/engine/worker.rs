//! Takes one document through the stages of a segment, and counts what happens.

use cpu_time::ThreadTime;

use super::segment::{Mode, Slot};
use crate::document::{Document, Outcome, Reason};
use crate::stage::{Barrier, Context, Flow, Histogram, Removal, StageStats};

/// What became of a document in a segment.
pub(super) struct Finished {
    pub doc: Document,
    pub fate: Fate,
}

pub(super) enum Fate {
    /// Goes on; with what the next barrier needs to know of it.
    Kept(Option<Vec<u8>>),
    /// Dropped by the stage of that number.
    Dropped { slot: usize, reason: Reason, keep_text: bool },
    /// Removed as a duplicate.
    Removed(Removal),
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
        slots: &[Slot],
        barrier: Option<&dyn Barrier>,
    ) -> Finished {
        let bytes = doc.weight_bytes() as u64;
        let behind = &mut self.stats[0];
        behind.docs_in += 1;
        behind.bytes_in += bytes;
        count_groups(behind, &doc, removal.is_some());
        if let Some(removal) = removal {
            *behind.reasons.entry(removal.reason.to_owned()).or_default() += 1;
            return Finished { doc, fate: Fate::Removed(removal) };
        }
        behind.docs_out += 1;
        behind.bytes_out += bytes;
        self.context.features.reset();
        let mut before = ThreadTime::now();
        for (number, slot) in slots.iter().enumerate() {
            let bytes_in = doc.weight_bytes() as u64;
            let scores_before = doc.scores.len();
            self.context.stage.clone_from(&slot.id);
            let outcome = slot.stage.process(&mut doc, &mut self.context);
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
                    return Finished { doc, fate: Fate::Dropped { slot: number, reason, keep_text } };
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
        Finished { doc, fate: Fate::Kept(signature) }
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
