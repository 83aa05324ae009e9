//! Step 1: the n-grams of the highest order with their counts, in order, within a memory budget.
//!
//! After Heafield et al. 2013, section 3.1: a block of text at a time is sorted and equal n-grams are joined;
//! blocks are then merged from disk. Shorter n-grams are not counted here: those that the highest order does not
//! imply stand at the beginning of a sentence, and its n-grams are kept with a cut context (`<s>` and zeros).
//!
//! Different from there: a block is dealt out by the newest word of the context before it is sorted, so that
//! what is left to compare is short and lies in the cache; a text that fits into one block never touches the disk.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use rayon::prelude::*;

use super::key::{Gram, Key, Shape};
use super::words::{BEGIN, END};
use crate::error::Result;
use crate::io::spool::{Scratch, Spool, SpoolReader, SpoolWriter};

/// Runs that are merged at once.
const MAX_FAN_IN: usize = 128;
/// Tokens of the smallest block, however small the budget.
const MIN_BLOCK_TOKENS: usize = 1 << 16;
/// What sorting a block needs for each word of the vocabulary.
const SORT_BYTES_PER_WORD: usize = size_of::<u32>() + size_of::<&[u8]>();
/// N-grams that one thread sorts in one go.
const TASK_GRAMS: usize = 1 << 16;

/// Takes sentences, gives n-grams.
pub(super) struct Counter {
    order: usize,
    memory_bytes: usize,
    scratch: Scratch,
    tokens: Vec<u32>,
    runs: Vec<Spool>,
}

impl Counter {
    /// A counter for n-grams of `order` words, at least 2.
    pub(super) fn new(order: usize, memory_bytes: usize, scratch: Scratch) -> Self {
        Self { order, memory_bytes, scratch, tokens: Vec::new(), runs: Vec::new() }
    }

    /// Takes a sentence without its borders. `words` and `words_bytes` tell how large the vocabulary is by now.
    pub(super) fn add(&mut self, sentence: &[u32], words: usize, words_bytes: usize) -> Result<()> {
        let shape = Shape::new(self.order, words);
        let left = self.memory_bytes.saturating_sub(words_bytes + SORT_BYTES_PER_WORD * words);
        let block = (left / (shape.key_bytes() + 4)).clamp(MIN_BLOCK_TOKENS, 1 << 31);
        let needed = self.tokens.len() + sentence.len() + 2;
        if needed > block && !self.tokens.is_empty() {
            self.spill(words)?;
        }
        if needed > self.tokens.capacity() && self.tokens.len() < block {
            // Doubling would for a moment hold three times as much.
            let more = (self.tokens.len() / 2).clamp(1 << 16, (block - self.tokens.len()).max(1 << 16));
            self.tokens.reserve_exact(more.max(sentence.len() + 2));
        }
        self.tokens.push(BEGIN);
        self.tokens.extend_from_slice(sentence);
        self.tokens.push(END);
        Ok(())
    }

    fn spill(&mut self, words: usize) -> Result<()> {
        let mut out = self.scratch.spool()?;
        let order = self.order;
        let tokens = std::mem::take(&mut self.tokens);
        sorted_block(&tokens, Shape::new(order, words), |gram, count| write(&mut out, order, gram, count))?;
        self.tokens = tokens;
        self.tokens.clear();
        self.runs.push(out.finish()?);
        Ok(())
    }

    /// Gives every n-gram once, in order, with its count. Returns how many blocks were on disk.
    pub(super) fn finish(
        mut self,
        words: usize,
        mut take: impl FnMut(&Gram, u64) -> Result<()>,
    ) -> Result<usize> {
        if self.runs.is_empty() {
            sorted_block_owned(self.tokens, Shape::new(self.order, words), take)?;
            return Ok(0);
        }
        if !self.tokens.is_empty() {
            self.spill(words)?;
        }
        self.tokens = Vec::new();
        let blocks = self.runs.len();
        let mut runs = self.runs;
        while runs.len() > MAX_FAN_IN {
            let mut merged = Vec::with_capacity(runs.len().div_ceil(MAX_FAN_IN));
            for group in runs.chunks(MAX_FAN_IN) {
                let mut out = self.scratch.spool()?;
                merge(group, self.order, |gram, count| write(&mut out, self.order, gram, count))?;
                merged.push(out.finish()?);
            }
            runs = merged;
        }
        merge(&runs, self.order, &mut take)?;
        Ok(blocks)
    }
}

fn sorted_block_owned(
    tokens: Vec<u32>,
    shape: Shape,
    take: impl FnMut(&Gram, u64) -> Result<()>,
) -> Result<()> {
    match shape.key_bytes() {
        8 => {
            let keys = sort::<u64>(&tokens, shape);
            drop(tokens);
            joined(&keys, shape, take)
        }
        16 => {
            let keys = sort::<u128>(&tokens, shape);
            drop(tokens);
            joined(&keys, shape, take)
        }
        _ => {
            let keys = sort::<Gram>(&tokens, shape);
            drop(tokens);
            joined(&keys, shape, take)
        }
    }
}

fn sorted_block(tokens: &[u32], shape: Shape, take: impl FnMut(&Gram, u64) -> Result<()>) -> Result<()> {
    match shape.key_bytes() {
        8 => joined(&sort::<u64>(tokens, shape), shape, take),
        16 => joined(&sort::<u128>(tokens, shape), shape, take),
        _ => joined(&sort::<Gram>(tokens, shape), shape, take),
    }
}

/// All n-grams of a block in order. Where those of a context's newest word begin is known beforehand from the
/// count of that word, so each goes straight there.
fn sort<K: Key>(tokens: &[u32], shape: Shape) -> Vec<K> {
    let words = tokens.iter().max().map_or(0, |&word| word as usize + 1);
    let mut starts = vec![0_u32; words + 1];
    for &token in tokens.iter().filter(|&&token| token != END) {
        starts[token as usize + 1] += 1;
    }
    for word in 0..words {
        starts[word + 1] += starts[word];
    }
    let mut keys = vec![K::default(); starts[words] as usize];
    let mut context = K::default();
    let mut newest = END;
    for &token in tokens {
        if token == BEGIN {
            context = K::context(BEGIN, shape);
        } else {
            let place = &mut starts[newest as usize];
            keys[*place as usize] = context.gram(token, shape);
            *place += 1;
            context = context.then(token, shape);
        }
        newest = token;
    }
    // Each start has moved to the end of its word's n-grams.
    let mut tasks: Vec<Vec<&mut [K]>> = vec![Vec::new()];
    let mut rest = keys.as_mut_slice();
    let (mut task, mut before) = (0, 0);
    for &end in &starts[..words] {
        let (part, behind) = std::mem::take(&mut rest).split_at_mut((end - before) as usize);
        (rest, before) = (behind, end);
        if part.len() < 2 {
            continue;
        }
        task += part.len();
        if let Some(last) = tasks.last_mut() {
            last.push(part);
        }
        if task >= TASK_GRAMS {
            tasks.push(Vec::new());
            task = 0;
        }
    }
    tasks.into_par_iter().with_max_len(1).for_each(|parts| {
        for part in parts {
            if part.len() > 4 * TASK_GRAMS { part.par_sort_unstable() } else { part.sort_unstable() }
        }
    });
    keys
}

fn joined<K: Key>(keys: &[K], shape: Shape, mut take: impl FnMut(&Gram, u64) -> Result<()>) -> Result<()> {
    for same in keys.chunk_by(|one, other| one == other) {
        take(&same[0].unpack(shape), same.len() as u64)?;
    }
    Ok(())
}

fn write(out: &mut SpoolWriter, order: usize, gram: &Gram, count: u64) -> Result<()> {
    let mut record = [0; 4 * super::key::MAX_ORDER];
    for (bytes, word) in record.chunks_exact_mut(4).zip(&gram[..order]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    out.write(&record[..4 * order])?;
    out.write_varint(count)
}

fn read(run: &mut SpoolReader, order: usize) -> Result<Option<(Gram, u64)>> {
    if run.is_empty() {
        return Ok(None);
    }
    let mut gram = Gram::default();
    for (word, bytes) in gram.iter_mut().zip(run.take(4 * order)?.chunks_exact(4)) {
        *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    Ok(Some((gram, run.varint()?)))
}

fn merge(runs: &[Spool], order: usize, mut take: impl FnMut(&Gram, u64) -> Result<()>) -> Result<()> {
    let mut readers: Vec<SpoolReader> = runs.iter().map(Spool::read).collect();
    let mut heap = BinaryHeap::with_capacity(runs.len());
    for (number, reader) in readers.iter_mut().enumerate() {
        if let Some((gram, count)) = read(reader, order)? {
            heap.push(Reverse((wide(&gram), number, gram, count)));
        }
    }
    let mut current: Option<(Gram, u64)> = None;
    while let Some(mut top) = heap.peek_mut() {
        let Reverse((_, number, gram, count)) = *top;
        match read(&mut readers[number], order)? {
            Some((gram, count)) => *top = Reverse((wide(&gram), number, gram, count)),
            None => drop(PeekMut::pop(top)),
        }
        match &mut current {
            Some((same, sum)) if *same == gram => *sum += count,
            other => {
                if let Some((done, sum)) = other.replace((gram, count)) {
                    take(&done, sum)?;
                }
            }
        }
    }
    if let Some((done, sum)) = current {
        take(&done, sum)?;
    }
    Ok(())
}

/// A key that compares in two steps.
fn wide(gram: &Gram) -> [u128; 2] {
    let half = |words: &[u32]| words.iter().fold(0, |key, &word| key << 32 | u128::from(word));
    [half(&gram[..4]), half(&gram[4..])]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn text(sentences: u32, words: u32) -> Vec<Vec<u32>> {
        let mut state = 7_u32;
        let mut next = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        (0..sentences)
            .map(|_| {
                let length = next(12);
                (0..length).map(|_| 3 + next(words).min(next(words))).collect()
            })
            .collect()
    }

    #[test]
    fn blocks_and_memory_agree_with_a_map() {
        let dir = tempfile::tempdir().unwrap();
        for (order, words) in [(2, 9), (5, 40), (5, 70_000), (7, 4_000_000)] {
            let sentences = text(60_000, words);
            let mut expected: BTreeMap<Gram, u64> = BTreeMap::new();
            for sentence in &sentences {
                let mut padded = vec![0; order - 2];
                padded.push(BEGIN);
                padded.extend(sentence);
                padded.push(END);
                for window in padded.windows(order) {
                    let mut gram = Gram::default();
                    for (place, &word) in gram.iter_mut().zip(window[..order - 1].iter().rev()) {
                        *place = word;
                    }
                    gram[order - 1] = window[order - 1];
                    *expected.entry(gram).or_default() += 1;
                }
            }
            let expected: Vec<(Gram, u64)> = expected.into_iter().collect();
            for (memory, on_disk) in [(1 << 30, false), (0, true)] {
                let mut counter = Counter::new(order, memory, Scratch::new(dir.path()).unwrap());
                for sentence in &sentences {
                    counter.add(sentence, words as usize + 3, 0).unwrap();
                }
                let mut found = Vec::new();
                let blocks = counter.finish(words as usize + 3, |gram, count| {
                    found.push((*gram, count));
                    Ok(())
                });
                assert_eq!(blocks.unwrap() > 1, on_disk);
                assert!(found == expected, "order {order}, {words} words, memory {memory}");
            }
        }
    }
}
