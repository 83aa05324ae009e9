//! Step 5: the finished model, order by order, to whoever writes it down.
//!
//! Entries of an order come by last word, then by the word before, and so on: the order of ARPA files made by KenLM.
//! Each bucket of step 4 holds the n-grams of a few last words, which a stable counting sort puts in place.

#![expect(clippy::cast_possible_truncation, reason = "word numbers and buckets are below 2^32 and 2^16")]

use std::ops::Range;

use super::estimate::Estimated;
use super::words::{END, Words};
use crate::error::Result;
use crate::io::spool::{Buckets, Scratch, SpoolReader};

/// The words of a model, by their number in it.
pub struct Names<'m> {
    words: &'m Words,
    /// Numbers in the text; empty where they are the same.
    numbers: Vec<u32>,
}

impl<'m> Names<'m> {
    /// All words, or those that may stay.
    pub fn new(words: &'m Words, allowed: &[bool]) -> Self {
        let numbers = (0..allowed.len() as u32).filter(|&word| allowed[word as usize]).collect();
        Self { words, numbers }
    }

    /// A word.
    ///
    /// # Panics
    /// Where there is no such number.
    #[inline]
    pub fn word(&self, number: u32) -> &[u8] {
        self.words.word(if self.numbers.is_empty() { number } else { self.numbers[number as usize] })
    }

    /// Number of words, `<unk>`, `<s>` and `</s>` among them, which are the first three.
    #[expect(clippy::len_without_is_empty, reason = "there are always three words")]
    pub fn len(&self) -> usize {
        if self.numbers.is_empty() { self.words.len() } else { self.numbers.len() }
    }
}

/// Some entries of one order, in order.
pub struct Batch<'b> {
    /// Words of an entry.
    pub order: usize,
    /// Numbers of the words, `order` for each entry, oldest first.
    pub words: &'b [u32],
    /// Negative log10 probabilities; the sign is turned where a longer n-gram ends in this one.
    pub probs: &'b [f32],
    /// Log10 backoff weights, minus zero where no longer n-gram goes on from this one; empty for the highest order.
    pub backoffs: &'b [f32],
}

/// What a model is written to.
pub trait Sink {
    /// Called first, with the number of entries of each order.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn begin(&mut self, counts: &[u64], names: &Names<'_>) -> Result<()>;
    /// Called with all entries of order 1, then those of order 2, and so on; an order may come in several batches.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn entries(&mut self, batch: &Batch<'_>, names: &Names<'_>) -> Result<()>;
    /// Called last.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn finish(&mut self, names: &Names<'_>) -> Result<()>;
}

/// Cuts words into ranges that hold about the same number of occurrences; returns where they end.
pub(super) fn cuts(counts: &[u64], range: Range<usize>, ranges: usize) -> Vec<usize> {
    let total: u64 = counts[range.clone()].iter().sum();
    let share = (total / ranges.max(1) as u64).max(1);
    let (mut ends, mut sum) = (Vec::new(), 0);
    for word in range.clone() {
        if sum > 0 && sum + counts[word] > share {
            ends.push(word);
            sum = 0;
        }
        sum += counts[word];
    }
    ends.push(range.end);
    ends
}

/// Which of the ranges each word is in.
pub(super) fn bucket_of(ends: &[usize], first: usize) -> Vec<u16> {
    let mut start = first;
    let mut bucket_of = Vec::with_capacity(ends.last().map_or(0, |end| end - first));
    for (bucket, &end) in ends.iter().enumerate() {
        bucket_of.resize(bucket_of.len() + end - start, bucket as u16);
        start = end;
    }
    bucket_of
}

/// Gives a model to sinks.
pub(super) struct Emitter<'e, 's> {
    names: Names<'e>,
    /// Numbers in the model by number in the text; empty where they are the same.
    renumbered: Vec<u32>,
    counts: &'e [u64],
    limit_bytes: u64,
    scratch: &'e Scratch,
    sinks: &'e mut [&'s mut (dyn Sink + 's)],
}

impl<'e, 's> Emitter<'e, 's> {
    /// Gives entries of `words` that are `allowed` (all, where that is empty), at most about `limit_bytes` at once.
    pub(super) fn new(
        words: &'e Words,
        allowed: &[bool],
        limit_bytes: u64,
        scratch: &'e Scratch,
        sinks: &'e mut [&'s mut (dyn Sink + 's)],
    ) -> Self {
        let mut next = 0;
        let renumbered = allowed.iter().map(|&allowed| {
            next += u32::from(allowed);
            next.saturating_sub(1)
        });
        let names = Names::new(words, allowed);
        Self { names, renumbered: renumbered.collect(), counts: words.counts(), limit_bytes, scratch, sinks }
    }

    /// Gives everything. `ends` are the ranges of last words that the buckets hold.
    pub(super) fn run(
        &mut self,
        model: Estimated,
        ends: &[usize],
        counts: &[u64],
        allowed: &[bool],
    ) -> Result<()> {
        for sink in self.sinks.iter_mut() {
            sink.begin(counts, &self.names)?;
        }
        let stays = |word: &usize| allowed.is_empty() || allowed[*word];
        let words: Vec<u32> = (0..self.names.len() as u32).collect();
        let kept = || (0..model.unigrams.len()).filter(stays);
        let probs: Vec<f32> = kept().map(|word| model.unigrams[word].0).collect();
        let mut backoffs: Vec<f32> = kept().map(|word| model.unigrams[word].1).collect();
        let order = model.grams.len() + 1;
        if order == 1 {
            backoffs.clear();
        }
        self.give(&Batch { order: 1, words: &words, probs: &probs, backoffs: &backoffs })?;
        let Estimated { unigrams, grams, backoffs } = model;
        drop(unigrams);
        let mut backoffs = backoffs.into_iter();
        for (number, mut buckets) in grams.into_iter().enumerate() {
            let mut backoffs = backoffs.next().map(|spool| spool.read());
            let mut first = 0;
            for (bucket, &end) in ends.iter().enumerate() {
                self.bucket(number + 2, (&mut buckets, bucket), first..end, backoffs.as_mut())?;
                first = end;
            }
        }
        for sink in self.sinks.iter_mut() {
            sink.finish(&self.names)?;
        }
        Ok(())
    }

    fn give(&mut self, batch: &Batch<'_>) -> Result<()> {
        for sink in self.sinks.iter_mut() {
            sink.entries(batch, &self.names)?;
        }
        Ok(())
    }

    /// Gives the records of a bucket that holds the last words of `range`.
    fn bucket(
        &mut self,
        order: usize,
        (buckets, bucket): (&mut Buckets, usize),
        range: Range<usize>,
        mut backoffs: Option<&mut SpoolReader>,
    ) -> Result<()> {
        let limit = self.limit_bytes;
        let mut records: Vec<u32> = Vec::new();
        if buckets.bytes(bucket) <= limit || range.len() == 1 {
            buckets.drain(bucket, |piece| {
                let numbers = piece.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                records.extend(numbers);
                if 4 * records.len() as u64 > limit {
                    self.sorted(order, &records, &range, backoffs.as_deref_mut())?;
                    records.clear();
                }
                Ok(())
            })?;
            return self.sorted(order, &records, &range, backoffs);
        }
        let ends = cuts(self.counts, range.clone(), 64);
        let bucket_of = bucket_of(&ends, range.start);
        let mut inner = self.scratch.buckets(ends.len())?;
        buckets.drain(bucket, |piece| {
            for record in piece.chunks_exact(4 * (order + 1)) {
                let last = &record[4 * (order - 1)..4 * order];
                let last = u32::from_le_bytes([last[0], last[1], last[2], last[3]]) as usize;
                inner.push(bucket_of[last - range.start] as usize, record)?;
            }
            Ok(())
        })?;
        let mut first = range.start;
        for (number, &end) in ends.iter().enumerate() {
            self.bucket(order, (&mut inner, number), first..end, backoffs.as_deref_mut())?;
            first = end;
        }
        Ok(())
    }

    /// Sorts records stably by last word and gives them to the sinks.
    fn sorted(
        &mut self,
        order: usize,
        records: &[u32],
        range: &Range<usize>,
        backoffs: Option<&mut SpoolReader>,
    ) -> Result<()> {
        let step = order + 1;
        let last = |record: &[u32]| record[order - 1] as usize - range.start;
        let mut places = vec![0_u32; range.len() + 1];
        for record in records.chunks_exact(step) {
            places[last(record) + 1] += 1;
        }
        for word in 0..range.len() {
            places[word + 1] += places[word];
        }
        let count = records.len() / step;
        let (mut words, mut probs) = (vec![0; count * order], vec![0.0; count]);
        for record in records.chunks_exact(step) {
            let place = &mut places[last(record)];
            let at = *place as usize;
            words[at * order..(at + 1) * order].copy_from_slice(&record[..order]);
            probs[at] = f32::from_bits(record[order]);
            *place += 1;
        }
        let mut weights = Vec::new();
        if let Some(backoffs) = backoffs {
            weights.reserve_exact(count);
            for entry in words.chunks_exact(order) {
                weights.push(if entry[order - 1] == END {
                    -0.0
                } else {
                    let bytes = backoffs.take(4)?;
                    f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
                });
            }
        }
        if !self.renumbered.is_empty() {
            for word in &mut words {
                *word = self.renumbered[*word as usize];
            }
        }
        self.give(&Batch { order, words: &words, probs: &probs, backoffs: &weights })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_all_words_once() {
        let counts = [0, 5, 900, 1, 1, 1, 50, 60, 0, 0, 3];
        for ranges in 1..20 {
            for range in [0..11, 2..9, 4..5] {
                let ends = cuts(&counts, range.clone(), ranges);
                assert_eq!(ends.last(), Some(&range.end));
                assert!(ends.windows(2).all(|pair| pair[0] < pair[1]), "{ends:?}");
                let bucket_of = bucket_of(&ends, range.start);
                assert_eq!(bucket_of.len(), range.len());
                for (word, &bucket) in range.clone().zip(&bucket_of) {
                    assert!(word < ends[bucket as usize]);
                    assert!(bucket == 0 || word >= ends[bucket as usize - 1]);
                }
            }
        }
        // A word as frequent as all the others gets a range of its own.
        assert_eq!(cuts(&counts, 0..11, 4), [2, 3, 11]);
    }
}
