//! Which examples a page holds, and where.

use std::ops::Range;

use super::index::{Index, Match, Passage};
use crate::text::letters::{letters, places};

/// From when on a field of an example counts as found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Threshold {
    /// Fewest different n-grams; all of them where a field has fewer.
    pub(super) min_ngrams: u32,
    /// Smallest share of the field's different n-grams.
    pub(super) min_overlap_ratio: f64,
}

/// A field of an example that a page holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) passage: Passage,
    /// Different n-grams of it in the page.
    pub(super) ngrams: u32,
    /// The longest stretch that is the same: bytes of the page, at character borders.
    pub(super) range: Range<usize>,
}

impl Found {
    /// Share of the field's n-grams.
    pub(super) fn ratio(&self) -> f64 {
        f64::from(self.ngrams) / f64::from(self.passage.grams.max(1))
    }
}

/// What a page holds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Findings {
    /// By set, example and field.
    pub(super) found: Vec<Found>,
    /// Everything that the found fields share with the page: bytes of it, in order, apart from each other.
    pub(super) matched: Vec<Range<usize>>,
    /// Most different n-grams of one field, whether that is enough or not.
    pub(super) most_ngrams: u32,
    /// Largest share of a field's n-grams, whether that is enough or not.
    pub(super) overlap_ratio: f64,
}

/// Working memory of [`find`].
#[derive(Debug, Default)]
pub(super) struct Scratch {
    letters: Vec<u8>,
    matches: Vec<Match>,
}

/// A passage while its matches are gone through in order.
struct Tracked {
    number: u32,
    ngrams: u32,
    current: Range<usize>,
    longest: Range<usize>,
}

impl Tracked {
    fn add(&mut self, found: Match) {
        if found.start <= self.current.end {
            self.current.end = self.current.end.max(found.end);
        } else {
            self.current = found.start..found.end;
        }
        if self.current.len() > self.longest.len() {
            self.longest = self.current.clone();
        }
    }
}

/// Looks for everything in the index.
pub(super) fn find(index: &Index, threshold: Threshold, text: &str, scratch: &mut Scratch) -> Findings {
    let Scratch { letters: page, matches } = scratch;
    letters(text, page);
    index.search(page, matches);
    if matches.is_empty() {
        return Findings::default();
    }
    let mut findings = Findings::default();
    let mut tracked = track(index, threshold, matches, &mut findings);
    // In letters.
    let mut matched: Vec<Range<usize>> = Vec::new();
    for &one in &*matches {
        let mut counts = false;
        for holder in index.holders(one.gram) {
            if let Ok(place) = tracked.binary_search_by_key(holder, |tracked| tracked.number) {
                tracked[place].add(one);
                counts = true;
            }
        }
        if counts {
            match matched.last_mut() {
                Some(last) if one.start <= last.end => last.end = last.end.max(one.end),
                _ => matched.push(one.start..one.end),
            }
        }
    }
    let ranges: Vec<Range<usize>> =
        tracked.iter().map(|tracked| tracked.longest.clone()).chain(matched).collect();
    let mut ranges = in_text(text, &ranges).into_iter();
    findings.found = tracked
        .iter()
        .zip(&mut ranges)
        .map(|(tracked, range)| Found {
            passage: index.passages[tracked.number as usize],
            ngrams: tracked.ngrams,
            range,
        })
        .collect();
    findings.matched = ranges.collect();
    findings
}

/// The passages of which enough is there, by number.
fn track(index: &Index, threshold: Threshold, matches: &[Match], findings: &mut Findings) -> Vec<Tracked> {
    let mut grams: Vec<u32> = matches.iter().map(|one| one.gram).collect();
    grams.sort_unstable();
    grams.dedup();
    let mut holders: Vec<u32> = grams.iter().flat_map(|&gram| index.holders(gram)).copied().collect();
    holders.sort_unstable();
    let mut tracked = Vec::new();
    for same in holders.chunk_by(|a, b| a == b) {
        let ngrams = u32::try_from(same.len()).unwrap_or(u32::MAX);
        let all = index.passages[same[0] as usize].grams;
        let ratio = f64::from(ngrams) / f64::from(all.max(1));
        findings.most_ngrams = findings.most_ngrams.max(ngrams);
        findings.overlap_ratio = findings.overlap_ratio.max(ratio);
        if ngrams >= threshold.min_ngrams.min(all) && ratio >= threshold.min_overlap_ratio {
            tracked.push(Tracked { number: same[0], ngrams, current: 0..0, longest: 0..0 });
        }
    }
    tracked
}

/// Ranges of letters, none of them empty, as ranges of the text.
fn in_text(text: &str, ranges: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut wanted: Vec<usize> = ranges.iter().flat_map(|range| [range.start, range.end - 1]).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let found = places(text, &wanted);
    let of = |place: usize| wanted.binary_search(&place).ok().and_then(|number| found.get(number));
    let range = |range: &Range<usize>| match (of(range.start), of(range.end - 1)) {
        (Some(first), Some(last)) => first.start..last.end,
        _ => 0..0,
    };
    ranges.iter().map(range).collect()
}
