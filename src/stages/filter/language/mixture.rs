//! What the languages of a page's pieces add up to.

use std::collections::BTreeMap;

use super::Stage;
use super::pieces::{Block, Fate, settle};
use super::rules::Verdict;

/// Share of the judged characters from which on a language counts for `languages`: one in so many.
const COUNTED_SHARE: u64 = 10;

/// What is known of a page in pieces.
pub(super) struct Measures {
    /// The page's language: with most characters in kept pieces, else in all.
    pub language: usize,
    /// Mean of its score over these characters.
    pub score: f64,
    /// Passes where any piece does, else why those in the page's language do not.
    pub verdict: Verdict,
    pub kept_ratio: f64,
    pub other_ratio: f64,
    /// The language with most characters but for the page's.
    pub second: Option<usize>,
    pub languages: u32,
}

/// Characters of one language, and the sums of characters times score.
#[derive(Default)]
struct Share {
    judged: u64,
    judged_score: f64,
    kept: u64,
    kept_score: f64,
    /// Why pieces failed, with the characters of these pieces.
    failed: Vec<(Verdict, u64)>,
}

/// A verdict for a page of which nothing passes, its score instead of one piece's.
pub(super) fn failed(verdict: Verdict, score: f64) -> Verdict {
    match verdict {
        Verdict::Low { limit, .. } => Verdict::Low { value: score, limit },
        other => other,
    }
}

impl Stage {
    /// Judges blocks and settles their fates; none where no language can be told.
    pub(super) fn measure(&self, text: &str, blocks: &mut [Block]) -> Option<Measures> {
        let mut shares: BTreeMap<usize, Share> = BTreeMap::new();
        for block in blocks.iter_mut().filter(|block| block.chars >= self.min_piece_chars) {
            let Some(scores) = self.scores(&[&text[block.start..block.end]]) else { continue };
            let judged = self.rules.judge(&scores, &self.detector);
            if judged.score < self.min_piece_score {
                continue;
            }
            let share = shares.entry(judged.language).or_default();
            let score = judged.score * block.chars as f64;
            share.judged += block.chars;
            share.judged_score += score;
            if judged.verdict == Verdict::Passes {
                block.fate = Fate::Kept;
                share.kept += block.chars;
                share.kept_score += score;
            } else {
                block.fate = Fate::Cut;
                share.add_failed(judged.verdict, block.chars);
            }
        }
        if !settle(blocks) {
            return self.measure_whole(text, blocks);
        }
        let all: u64 = blocks.iter().map(|block| block.chars).sum();
        let kept: u64 = blocks.iter().filter(|block| block.fate == Fate::Kept).map(|block| block.chars).sum();
        let judged: u64 = shares.values().map(|share| share.judged).sum();
        let any_passes = shares.values().any(|share| share.kept > 0);
        let size = |share: &Share| if any_passes { share.kept } else { share.judged };
        let (&language, share) = largest(&shares, size, None)?;
        let sum = if any_passes { share.kept_score } else { share.judged_score };
        // Rounding of the mean must not leave the range of scores.
        let score = (sum / size(share) as f64).min(1.0);
        let verdict = if any_passes {
            Verdict::Passes
        } else {
            let longest = share.failed.iter().rev().max_by_key(|(_, chars)| *chars);
            failed(longest.map_or(Verdict::Passes, |(verdict, _)| verdict.clone()), score)
        };
        Some(Measures {
            language,
            score,
            verdict,
            kept_ratio: kept as f64 / all as f64,
            other_ratio: (judged - share.judged) as f64 / judged as f64,
            second: largest(&shares, |share| share.judged, Some(language)).map(|(&second, _)| second),
            languages: shares.values().map(|share| u32::from(share.judged * COUNTED_SHARE >= judged)).sum(),
        })
    }

    /// Where no piece can be judged by itself, the text is judged as a document.
    fn measure_whole(&self, text: &str, blocks: &mut [Block]) -> Option<Measures> {
        let scores = self.scores(&[text])?;
        let judged = self.rules.judge(&scores, &self.detector);
        let passes = judged.verdict == Verdict::Passes;
        for block in blocks {
            block.fate = if passes { Fate::Kept } else { Fate::Cut };
        }
        Some(Measures {
            language: judged.language,
            score: judged.score,
            verdict: failed(judged.verdict, judged.score),
            kept_ratio: f64::from(u8::from(passes)),
            other_ratio: 0.0,
            second: None,
            languages: 1,
        })
    }
}

impl Share {
    fn add_failed(&mut self, verdict: Verdict, chars: u64) {
        // By kind and script: the values differ from piece to piece.
        let kind = |verdict: &Verdict| match verdict {
            Verdict::NotKept(script) => (false, script.clone()),
            other => (matches!(other, Verdict::Low { .. }), None),
        };
        match self.failed.iter_mut().find(|(known, _)| kind(known) == kind(&verdict)) {
            Some((_, sum)) => *sum += chars,
            None => self.failed.push((verdict, chars)),
        }
    }
}

/// The first of the largest shares, one language left out.
fn largest(
    shares: &BTreeMap<usize, Share>,
    size: impl Fn(&Share) -> u64,
    without: Option<usize>,
) -> Option<(&usize, &Share)> {
    let others = shares.iter().filter(|(language, _)| Some(**language) != without);
    others.rev().max_by_key(|(_, share)| size(share))
}
