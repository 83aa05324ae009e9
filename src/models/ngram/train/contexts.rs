//! Step 2: adjusted counts of all orders from the sorted n-grams of the highest order, and what is pruned.
//!
//! Kneser-Ney counts a shorter n-gram by the number of different words in front of it (Chen & Goodman 1998,
//! section 2.7); one that begins with `<s>`, in front of which nothing stands, keeps its raw count, as does
//! the highest order. Pruning goes by raw counts: an n-gram that is kept then has all its parts kept.
//!
//! Heafield et al. 2013 sort each order by suffix for this and by context for the next step. Here the n-grams
//! come by context once, and contexts nest: those that end in `v` hold those that end in `u v`. When a context
//! is done, each of its words counts one for that word in the context that is shorter by its oldest word. So a
//! single pass with one list per length of context gives all orders, already by context.
//!
//! The result of an order is a stream of contexts, each with its words: `oldest word`, `contexts inside << 1 |
//! kept`, `number of words`, then per word `difference to the word before`, `adjusted count << 1 | pruned`.

use super::discounts::CountOfCounts;
use super::key::Gram;
use super::words::BEGIN;
use crate::error::Result;
use crate::io::spool::{Scratch, Spool, SpoolWriter};

/// Words that a list gathers before equal ones are joined.
const MIN_COMPACT: usize = 1 << 16;

/// A word that follows a context.
#[derive(Clone, Copy)]
struct Entry {
    word: u32,
    /// Different words in front; not used where the raw count counts.
    left: u32,
    raw: u64,
}

/// An open context.
#[derive(Default)]
struct Level {
    oldest: u32,
    inside: u64,
    allowed: bool,
    list: Vec<Entry>,
    compact_at: usize,
}

/// What is kept of a text's n-grams.
pub(super) struct Rules<'r> {
    /// N-grams of an order (the first is 1) that come at most so often are pruned.
    pub(super) prune: &'r [u64],
    /// Words that may stand in the model, by number; empty where all may.
    pub(super) allowed: &'r [bool],
}

impl Rules<'_> {
    fn allows(&self, word: u32) -> bool {
        self.allowed.is_empty() || self.allowed[word as usize]
    }
}

/// Adjusted counts of all orders above the first.
pub(super) struct Contexts<'r> {
    order: usize,
    rules: Rules<'r>,
    levels: Vec<Level>,
    depth: usize,
    streams: Vec<SpoolWriter>,
    result: Adjusted,
}

/// The result of the step.
pub(super) struct Adjusted {
    /// Adjusted counts of single words, by number.
    pub(super) unigrams: Vec<u64>,
    /// Contexts of one word.
    pub(super) roots: u64,
    /// Per order how many n-grams have an adjusted count of 1, 2, 3, 4; all, and those that are kept.
    pub(super) counts: Vec<CountOfCounts>,
    /// The streams of orders 2 and up.
    pub(super) streams: Vec<Spool>,
}

impl<'r> Contexts<'r> {
    /// Starts the step for `words` words.
    pub(super) fn new(order: usize, words: usize, rules: Rules<'r>, scratch: &Scratch) -> Result<Self> {
        let streams = (2..=order).map(|_| scratch.spool()).collect::<Result<_>>()?;
        let mut levels: Vec<Level> = (0..order).map(|_| Level::default()).collect();
        levels[0].allowed = true;
        let result = Adjusted {
            unigrams: vec![0; words],
            roots: 0,
            counts: vec![CountOfCounts::default(); order],
            streams: Vec::new(),
        };
        Ok(Self { order, rules, levels, depth: 0, streams, result })
    }

    /// Takes the next n-gram in order.
    #[inline]
    pub(super) fn take(&mut self, gram: &Gram, count: u64) -> Result<()> {
        let mut same = 0;
        while same < self.depth && self.levels[same + 1].oldest == gram[same] {
            same += 1;
        }
        while self.depth > same {
            self.close()?;
        }
        // A context that begins with `<s>` ends there: zeros follow in the key.
        while self.depth < self.order - 1 && (self.depth == 0 || self.levels[self.depth].oldest != BEGIN) {
            let word = gram[self.depth];
            let allowed = self.levels[self.depth].allowed && self.rules.allows(word);
            self.depth += 1;
            let level = &mut self.levels[self.depth];
            (level.oldest, level.allowed, level.inside, level.compact_at) = (word, allowed, 0, MIN_COMPACT);
        }
        let entry = Entry { word: gram[self.order - 1], left: 0, raw: count };
        self.levels[self.depth].list.push(entry);
        Ok(())
    }

    /// Writes the innermost context and tells the one around it.
    fn close(&mut self) -> Result<()> {
        let depth = self.depth;
        let (outer, inner) = self.levels.split_at_mut(depth);
        let (outer, level) = (&mut outer[depth - 1], &mut inner[0]);
        if level.inside > 1 {
            join(&mut level.list);
        }
        let leaf = level.inside == 0;
        let total: u64 = level.list.iter().map(|entry| entry.raw).sum();
        let kept = level.allowed && (depth == 1 || total > self.rules.prune[depth - 1]);
        let stream = &mut self.streams[depth - 1];
        stream.write_varint(u64::from(level.oldest))?;
        stream.write_varint(level.inside << 1 | u64::from(kept))?;
        stream.write_varint(level.list.len() as u64)?;
        let counts = &mut self.result.counts[depth];
        let threshold = self.rules.prune[depth];
        let mut before = 0;
        for entry in &level.list {
            let adjusted = if leaf { entry.raw } else { u64::from(entry.left) };
            let keep = entry.raw > threshold && level.allowed && self.rules.allows(entry.word);
            counts.add(adjusted, keep);
            stream.write_varint(u64::from(entry.word - before))?;
            stream.write_varint(adjusted << 1 | u64::from(!keep))?;
            before = entry.word;
        }
        if depth == 1 {
            for entry in &level.list {
                self.result.unigrams[entry.word as usize] += 1;
            }
            self.result.roots += 1;
        } else {
            outer.inside += 1;
            outer.list.extend(level.list.iter().map(|entry| Entry { left: 1, ..*entry }));
            if outer.list.len() > outer.compact_at {
                join(&mut outer.list);
                outer.compact_at = (2 * outer.list.len()).max(MIN_COMPACT);
            }
        }
        level.list.clear();
        self.depth -= 1;
        Ok(())
    }

    /// Ends the step.
    pub(super) fn finish(mut self) -> Result<Adjusted> {
        while self.depth > 0 {
            self.close()?;
        }
        self.result.streams = self.streams.into_iter().map(SpoolWriter::finish).collect::<Result<_>>()?;
        Ok(self.result)
    }
}

/// Sorts a list by word and adds up what is said of the same one.
fn join(list: &mut Vec<Entry>) {
    list.sort_unstable_by_key(|entry| entry.word);
    list.dedup_by(|next, first| {
        let same = next.word == first.word;
        if same {
            first.left += next.left;
            first.raw += next.raw;
        }
        same
    });
}
