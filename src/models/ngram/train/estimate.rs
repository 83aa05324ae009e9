//! Step 4: probabilities and backoff weights.
//!
//! Chen & Goodman 1998, section 3, interpolated: p(w | c) = (a(c w) - D(a)) / sum a(c .) + gamma(c) p(w | c'), where
//! c' is c without its oldest word and gamma(c) is what the discounts took away, with all that pruned n-grams had. Single
//! words are interpolated with 1 / V; V counts `<unk>` and not `<s>`. gamma(c) is also the backoff weight of c.
//!
//! The streams of step 2 nest in the same way, so one walk through all of them at once finds for each context the
//! shorter one open, with its finished probabilities. A record of n words is dealt out by its last word; since
//! contexts come in the order of their newest words, dealing keeps them in the order that ARPA files have (last
//! word, then the one before, and so on), and step 5 only has to sort stably by the last word. Weights come out in
//! that very order by themselves.
//!
//! A context is written after those inside it, because only then is it known which of its words have a longer
//! n-gram: KenLM's binary format wants to know.

#![expect(
    clippy::cast_possible_truncation,
    reason = "word numbers are below 2^32, and probabilities are stored as f32"
)]

use super::contexts::Adjusted;
use super::discounts::{Discounts, class};
use super::key::MAX_ORDER;
use super::words::{BEGIN, UNKNOWN};
use crate::error::Result;
use crate::io::spool::{Buckets, Scratch, Spool, SpoolReader, SpoolWriter};

/// Logarithm of a probability that is zero, as ARPA files write it.
const LOG_ZERO: f64 = 99.0;
/// Steps of a logarithm to which values are rounded, so that the text and the binary form of a model are equal and
/// the last bit of the machine's logarithm does not show.
pub const STEPS: f64 = 1e7;

/// `|log10 p|`, rounded.
pub(super) fn magnitude(p: f64) -> f32 {
    let magnitude = (-p.log10()).clamp(0.0, LOG_ZERO);
    ((magnitude * STEPS).round() / STEPS).abs() as f32
}

/// A probability as KenLM's files hold it: its negative logarithm, positive where a longer n-gram ends in this one.
fn signed(p: f64, extends: bool) -> f32 {
    if extends { magnitude(p) } else { -magnitude(p) }
}

/// A backoff weight as KenLM's files hold it: minus zero where no n-gram goes on from here.
fn backoff(gamma: f64, goes_on: bool) -> f32 {
    let magnitude = magnitude(gamma);
    if goes_on && magnitude == 0.0 { 0.0 } else { -magnitude }
}

/// The finished model, not yet in its order.
pub(super) struct Estimated {
    /// Per word probability and backoff, signed as in [`signed`] and [`backoff`].
    pub(super) unigrams: Vec<(f32, f32)>,
    /// Per order from 2: records of the words, oldest first, and the probability.
    pub(super) grams: Vec<Buckets>,
    /// Per order from 2 but the last: backoff weights in the order of the contexts.
    pub(super) backoffs: Vec<Spool>,
}

/// Words of one context, with their probabilities.
#[derive(Default)]
struct Level {
    oldest: u32,
    words: Vec<u32>,
    p: Vec<f64>,
    extends: Vec<bool>,
}

/// One walk through all orders.
struct Walk<'w> {
    order: usize,
    discounts: &'w [Discounts],
    readers: Vec<SpoolReader>,
    levels: Vec<Level>,
    bucket_of: &'w [u16],
    grams: Vec<Buckets>,
    backoffs: Vec<SpoolWriter>,
    unigram_backoffs: Vec<f32>,
    adjusted: Vec<u64>,
}

/// Runs the step. `bucket_of` tells for each word which of the `buckets` its n-grams go to, without decreasing.
pub(super) fn estimate(
    adjusted: &Adjusted,
    discounts: &[Discounts],
    allowed: &[bool],
    (bucket_of, buckets): (&[u16], usize),
    scratch: &Scratch,
) -> Result<Estimated> {
    let order = discounts.len();
    let base = unigrams(&adjusted.unigrams, &discounts[0], allowed);
    let words = base.len();
    let mut levels: Vec<Level> = (0..order).map(|_| Level::default()).collect();
    levels[0].p = base;
    levels[0].extends = vec![false; words];
    let mut walk = Walk {
        order,
        discounts,
        readers: adjusted.streams.iter().map(Spool::read).collect(),
        levels,
        bucket_of,
        grams: (2..=order).map(|_| scratch.buckets(buckets)).collect::<Result<_>>()?,
        backoffs: (2..order).map(|_| scratch.spool()).collect::<Result<_>>()?,
        unigram_backoffs: vec![-0.0; words],
        adjusted: Vec::new(),
    };
    for _ in 0..adjusted.roots {
        walk.visit(1)?;
    }
    let base = &walk.levels[0];
    let ends = base.p.iter().zip(&base.extends);
    let mut unigrams: Vec<(f32, f32)> = ends
        .zip(&walk.unigram_backoffs)
        .map(|((&p, &extends), &backoff)| (signed(p, extends), backoff))
        .collect();
    // `<s>` is never predicted; KenLM gives it a logarithm of zero, and the sign of words that others stand before.
    unigrams[BEGIN as usize].0 = 0.0;
    Ok(Estimated {
        unigrams,
        grams: walk.grams,
        backoffs: walk.backoffs.into_iter().map(SpoolWriter::finish).collect::<Result<_>>()?,
    })
}

/// Probabilities of single words; zero for those that are not in the model and for `<s>`.
fn unigrams(adjusted: &[u64], discounts: &Discounts, allowed: &[bool]) -> Vec<f64> {
    let stays = |word: usize| allowed.is_empty() || allowed[word];
    let mut freed = Freed::default();
    for (word, &count) in adjusted.iter().enumerate().filter(|(_, count)| **count > 0) {
        freed.take(count, stays(word));
    }
    let vocabulary = (0..adjusted.len()).filter(|&word| word != BEGIN as usize && stays(word)).count();
    let uniform = freed.gamma(discounts) / vocabulary as f64;
    let mut p: Vec<f64> = adjusted
        .iter()
        .enumerate()
        .map(|(word, &count)| match count {
            0 => 0.0,
            _ if !stays(word) => 0.0,
            _ => (count as f64 - discounts.of(count)) / freed.sum as f64 + uniform,
        })
        .collect();
    p[UNKNOWN as usize] = uniform;
    p
}

/// What the words of a context give up.
#[derive(Default)]
struct Freed {
    sum: u64,
    pruned: u64,
    kept: [u64; 3],
}

impl Freed {
    #[inline]
    fn take(&mut self, adjusted: u64, kept: bool) {
        self.sum += adjusted;
        if kept {
            self.kept[class(adjusted)] += 1;
        } else {
            self.pruned += adjusted;
        }
    }

    fn goes_on(&self) -> bool {
        self.kept != [0; 3]
    }

    fn gamma(&self, discounts: &Discounts) -> f64 {
        let discounted: f64 = self.kept.iter().zip(discounts.d).map(|(&kept, d)| kept as f64 * d).sum();
        (discounted + self.pruned as f64) / self.sum as f64
    }
}

impl Walk<'_> {
    /// Does the next context of `depth` words, and those inside it.
    fn visit(&mut self, depth: usize) -> Result<()> {
        let discounts = &self.discounts[depth];
        let reader = &mut self.readers[depth - 1];
        let oldest = reader.varint()? as u32;
        let flags = reader.varint()?;
        let (inside, kept) = (flags >> 1, flags & 1 == 1);
        let count = reader.varint()?;
        let (outer, inner) = self.levels.split_at_mut(depth);
        let (outer, level) = (&mut outer[depth - 1], &mut inner[0]);
        level.oldest = oldest;
        level.words.clear();
        self.adjusted.clear();
        let mut freed = Freed::default();
        let mut word = 0;
        for _ in 0..count {
            word += reader.varint()? as u32;
            let value = reader.varint()?;
            let (adjusted, pruned) = (value >> 1, value & 1 == 1);
            freed.take(adjusted, !pruned);
            if !pruned {
                level.words.push(word);
                self.adjusted.push(adjusted);
            }
        }
        let gamma = freed.gamma(discounts);
        level.p.clear();
        level.extends.clear();
        level.extends.resize(level.words.len(), false);
        let sum = freed.sum as f64;
        let mut place = 0;
        for (&word, &adjusted) in level.words.iter().zip(&self.adjusted) {
            if depth == 1 {
                place = word as usize;
            } else {
                place += outer.words[place..].partition_point(|&other| other < word);
            }
            outer.extends[place] = true;
            level.p.push((adjusted as f64 - discounts.of(adjusted)) / sum + gamma * outer.p[place]);
        }
        if kept {
            let backoff = backoff(gamma, freed.goes_on());
            match depth {
                1 => self.unigram_backoffs[oldest as usize] = backoff,
                _ => self.backoffs[depth - 2].write(&backoff.to_le_bytes())?,
            }
        }
        for _ in 0..inside {
            self.visit(depth + 1)?;
        }
        self.emit(depth)
    }

    fn emit(&mut self, depth: usize) -> Result<()> {
        let mut record = [0; 4 * (MAX_ORDER + 1)];
        for (bytes, level) in record.chunks_exact_mut(4).zip(self.levels[1..=depth].iter().rev()) {
            bytes.copy_from_slice(&level.oldest.to_le_bytes());
        }
        let level = &self.levels[depth];
        let buckets = &mut self.grams[depth - 1];
        let highest = depth + 1 == self.order;
        for ((&word, &p), &extends) in level.words.iter().zip(&level.p).zip(&level.extends) {
            let p = signed(p, extends && !highest);
            record[4 * depth..4 * depth + 4].copy_from_slice(&word.to_le_bytes());
            record[4 * depth + 4..4 * depth + 8].copy_from_slice(&p.to_le_bytes());
            buckets.push(self.bucket_of[word as usize] as usize, &record[..4 * depth + 8])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "the very same number is meant")]
    fn values_are_rounded_and_signed() {
        assert_eq!(magnitude(0.01), 2.0);
        assert_eq!(magnitude(0.0), 99.0);
        assert_eq!(magnitude(1.0 + 1e-15).to_bits(), 0.0_f32.to_bits());
        assert_eq!(signed(0.1, true), 1.0);
        assert_eq!(signed(0.1, false), -1.0);
        assert_eq!(backoff(1.0, false).to_bits(), (-0.0_f32).to_bits());
        assert_eq!(backoff(1.0, true).to_bits(), 0.0_f32.to_bits());
        assert_eq!(backoff(0.1, true), -1.0);
    }
}
