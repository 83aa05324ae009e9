//! Scores of many sentences at KenLM's speed and above.
//!
//! Nearly all time of scoring goes into waiting for memory: a word costs one place of the vocabulary and one per
//! n-gram length. Which n-gram is found for a word depends on the words around it and not on what was found
//! before, so a block of words goes through the model together, one length after the other. Reads of one
//! length do not depend on each other, and the processor has many of them under way at once.

use super::search::{AHEAD, Level, Search, is_context};
use super::vocabulary::UNKNOWN;
use super::{MAX_ORDER, Model, Store, hash};

/// What the words of a sentence were given together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SentenceScore {
    /// Sum of log10 probabilities.
    pub log10_prob: f64,
    /// Number of words that were scored, `</s>` among them and `<s>` not.
    pub tokens: u64,
    /// How many of them the model does not know.
    pub oovs: u64,
}

impl SentenceScore {
    /// Adds one word.
    #[inline]
    pub(super) fn add(&mut self, log10_prob: f32, unknown: bool) {
        self.log10_prob += f64::from(log10_prob);
        self.tokens += 1;
        self.oovs += u64::from(unknown);
    }

    /// Adds the words of another sentence.
    pub fn merge(&mut self, other: &Self) {
        self.log10_prob += other.log10_prob;
        self.tokens += other.tokens;
        self.oovs += other.oovs;
    }

    /// 10 to the power of minus the mean log10 probability of a token; 1 where there is none, infinite where it
    /// is too large for a number.
    #[must_use]
    pub fn perplexity(&self) -> f64 {
        if self.tokens == 0 { 1.0 } else { 10_f64.powf(-self.log10_prob / self.tokens as f64) }
    }
}

/// Words that go through the model together: enough to keep memory busy, few enough to stay in the cache.
const BLOCK_WORDS: usize = 2048;
/// Backoffs of a word and of the n-grams that end with it.
type Backoffs = [f32; MAX_ORDER - 1];

/// Scores sentences; memory is that of a block of words and of the finished scores.
///
/// ```text
/// scorer.sentence("a line of text".split_whitespace(), true, true);
/// for score in scorer.finish() { ... }
/// ```
pub struct Scorer<'m> {
    model: &'m Model,
    begin_hash: u64,
    end_hash: u64,
    /// Hashes of the words that have no id yet.
    hashes: Vec<u64>,
    /// One per word of the block.
    places: Vec<Place>,
    scores: Vec<SentenceScore>,
    ids: Vec<u32>,
    grams: Vec<Found>,
    backoffs: Vec<Backoffs>,
    alive: Alive,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    /// Place of its sentence in [`Scorer::scores`].
    sentence: u32,
    /// Words of its sentence that stand before it, at most the model's order less one.
    context: u8,
    /// Scored, or only context (`<s>`, words of the block before).
    scored: bool,
}

/// The longest n-gram that ends with a word.
#[derive(Debug, Clone, Copy)]
struct Found {
    prob: f32,
    length: u8,
}

/// Nodes of words whose n-gram may be longer.
#[derive(Default)]
struct Alive {
    hashed: Vec<(u32, u64)>,
    trie: Vec<(u32, super::trie::Children)>,
}

impl<'m> Scorer<'m> {
    /// A scorer without sentences.
    #[must_use]
    pub fn new(model: &'m Model) -> Self {
        Self {
            model,
            begin_hash: hash::word(b"<s>"),
            end_hash: hash::word(b"</s>"),
            hashes: Vec::new(),
            places: Vec::new(),
            scores: Vec::new(),
            ids: Vec::new(),
            grams: Vec::new(),
            backoffs: Vec::new(),
            alive: Alive::default(),
        }
    }

    /// Adds a sentence. `begin`: its first word stands behind `<s>`; `end`: `</s>` comes last and counts.
    #[inline]
    pub fn sentence<W: AsRef<[u8]>>(&mut self, words: impl IntoIterator<Item = W>, begin: bool, end: bool) {
        let sentence = u32::try_from(self.scores.len()).unwrap_or(u32::MAX);
        self.scores.push(SentenceScore::default());
        let longest = u8::try_from(self.model.order() - 1).unwrap_or(0);
        let mut context = 0;
        let mut push = |scorer: &mut Self, hash, scored| {
            scorer.hashes.push(hash);
            scorer.places.push(Place { sentence, context, scored });
            context = longest.min(context + 1);
            if scorer.places.len() >= BLOCK_WORDS {
                scorer.score_block();
            }
        };
        if begin {
            push(self, self.begin_hash, false);
        }
        for word in words {
            push(self, hash::word(word.as_ref()), true);
        }
        if end {
            push(self, self.end_hash, true);
        }
    }

    /// Scores of all sentences since the last call, in their order.
    pub fn finish(&mut self) -> Vec<SentenceScore> {
        self.score_block();
        self.ids.clear();
        self.places.clear();
        std::mem::take(&mut self.scores)
    }

    /// Number of sentences since the last [`Scorer::finish`].
    #[must_use]
    pub fn pending(&self) -> usize {
        self.scores.len()
    }

    /// Scores the words of the block and keeps the last ones as context of what may follow.
    fn score_block(&mut self) {
        self.model.vocabulary.view().ids(&self.hashes, &mut self.ids);
        self.hashes.clear();
        let order = self.model.order();
        let mut block = Block {
            ids: &self.ids,
            places: &self.places,
            grams: &mut self.grams,
            backoffs: &mut self.backoffs,
        };
        match &self.model.store {
            Store::Probing(store) => block.find(store, order, &mut self.alive.hashed),
            Store::Trie(store) => block.find(store, order, &mut self.alive.trie),
        }
        self.add_up(order);
        let start = self.places.len().saturating_sub(order - 1);
        self.ids.drain(..start);
        self.places.drain(..start);
        for (place, at) in self.places.iter_mut().zip(0..) {
            place.scored = false;
            place.context = place.context.min(at);
        }
    }

    fn add_up(&mut self, order: usize) {
        for (at, place) in self.places.iter().enumerate() {
            if !place.scored {
                continue;
            }
            let Found { mut prob, length } = self.grams[at];
            if place.context > 0 {
                for backoff in &self.backoffs[at - 1][usize::from(length) - 1..order - 1] {
                    prob += backoff;
                }
            }
            self.scores[place.sentence as usize].add(prob, self.ids[at] == UNKNOWN);
        }
    }
}

/// A block of words on its way through the model.
struct Block<'b> {
    ids: &'b [u32],
    places: &'b [Place],
    grams: &'b mut Vec<Found>,
    backoffs: &'b mut Vec<Backoffs>,
}

impl Block<'_> {
    /// Finds for every word the longest n-gram that ends with it, and the backoffs of all of them.
    #[expect(clippy::cast_possible_truncation, reason = "a block is small")]
    fn find<S: Search>(&mut self, store: &S, order: usize, alive: &mut Vec<(u32, S::Node)>) {
        self.grams.clear();
        self.backoffs.clear();
        alive.clear();
        for ids in self.ids.chunks(AHEAD) {
            for id in ids {
                store.prefetch(*id);
            }
            for id in ids {
                let (gram, node) = store.unigram(*id);
                if let Some(node) = node {
                    alive.push((self.grams.len() as u32, node));
                }
                self.grams.push(Found { prob: gram.prob, length: 1 });
                let mut backoffs = [0.0; MAX_ORDER - 1];
                backoffs[0] = gram.backoff;
                self.backoffs.push(backoffs);
            }
        }
        for length in 2..=order {
            let level = store.level(length);
            // The context of a longer n-gram is an n-gram too, and marked as one that is followed by something.
            alive.retain(|(at, _)| {
                let at = *at as usize;
                usize::from(self.places[at].context) + 1 >= length
                    && usize::from(self.grams[at - 1].length) + 1 >= length
                    && is_context(self.backoffs[at - 1][length - 2])
            });
            let mut kept = 0;
            for first in (0..alive.len()).step_by(AHEAD) {
                let last = alive.len().min(first + AHEAD);
                for (at, node) in &alive[first..last] {
                    level.prefetch(*node, self.ids[*at as usize + 1 - length]);
                }
                for i in first..last {
                    let (at, node) = alive[i];
                    let here = at as usize;
                    let Some((gram, node)) = level.find(node, self.ids[here + 1 - length]) else { continue };
                    self.grams[here] = Found { prob: gram.prob, length: length as u8 };
                    if length < order {
                        self.backoffs[here][length - 1] = gram.backoff;
                    }
                    if let Some(node) = node {
                        alive[kept] = (at, node);
                        kept += 1;
                    }
                }
            }
            alive.truncate(kept);
        }
    }
}
