//! Byte-pair encoding: which pairs of tokens to join, in which order, given the pieces and their counts.
//!
//! Method: Sennrich et al. 2016 over bytes as in GPT-2: join the most frequent adjacent pair inside
//! pieces, everywhere, again and again. Pairs are counted as they stand (`aaa` holds `aa` twice), joined
//! from left to right. Here counts are 64-bit; equal counts go to the smaller left token, then the smaller
//! right one, so the result depends on nothing but the counts. A pair whose joined text is already a token
//! becomes a second way to that token and uses up no vocabulary.
//!
//! Every join changes the counts only of pairs beside the joined one. The changes are summed per
//! neighbour in plain arrays before the table of pairs is touched, and each pair knows the pieces that it
//! may stand in. Counts in the heap may be too high: an entry is checked when it comes up.

use std::collections::{BinaryHeap, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use crate::error::{Error, Result};

/// What training made.
#[derive(Debug, PartialEq, Eq)]
pub struct Trained {
    /// Bytes of every token: the 256 bytes in order, then one per join that made a new token.
    pub tokens: Vec<Vec<u8>>,
    /// Joins by rank: left token, right token.
    pub merges: Vec<(u32, u32)>,
}

/// Pieces as sequences of tokens, with their counts.
#[derive(Default)]
pub struct Words {
    symbols: Vec<u32>,
    words: Vec<Word>,
}

#[derive(Clone, Copy)]
struct Word {
    start: u32,
    length: u32,
    count: u64,
}

impl Words {
    /// Room for so many pieces of so many bytes together.
    #[must_use]
    pub fn with_capacity(pieces: usize, bytes: usize) -> Self {
        Self { symbols: Vec::with_capacity(bytes), words: Vec::with_capacity(pieces) }
    }

    /// Adds a piece; the order of pieces has no influence.
    ///
    /// # Errors
    /// [`Error::Failed`] where all pieces together have 4 GiB or more.
    pub fn push(&mut self, piece: &[u8], count: u64) -> Result<()> {
        if piece.len() < 2 {
            return Ok(());
        }
        let too_many = |_| Error::Failed("the pieces to train on have 4 GiB or more".to_owned());
        let start = u32::try_from(self.symbols.len()).map_err(too_many)?;
        let length = u32::try_from(piece.len()).map_err(too_many)?;
        self.symbols.extend(piece.iter().map(|&byte| u32::from(byte)));
        self.words.push(Word { start, length, count });
        Ok(())
    }
}

struct Pair {
    count: u64,
    /// Numbers of the pieces that it may stand in: all that it stands in, and some that it has left.
    words: Vec<u32>,
}

/// Pairs of tokens are spread well by one multiplication; the keys are ours, so no attack is possible.
#[derive(Default)]
struct PairHasher(u64);

impl Hasher for PairHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64(bytes);
    }
    fn write_u64(&mut self, key: u64) {
        let product = (key ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        self.0 = product ^ (product >> 32);
    }
}

fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// Order in the heap: highest count, then smallest pair.
type Candidate = (u64, std::cmp::Reverse<u64>);

/// Changes around one joined pair, by neighbour.
#[derive(Default)]
struct Side {
    /// Occurrences by neighbouring token; zero but for those in `touched`.
    counts: Vec<u64>,
    /// Place in `touched`, plus one, by token.
    places: Vec<u32>,
    touched: Vec<u32>,
    /// (place in `touched`, piece), in the order met.
    events: Vec<(u32, u32)>,
    /// Last piece noted per place: a piece is noted once.
    last_word: Vec<u32>,
}

impl Side {
    fn add(&mut self, neighbour: u32, word: u32, count: u64) {
        let slot = &mut self.places[neighbour as usize];
        if *slot == 0 {
            self.touched.push(neighbour);
            self.last_word.push(u32::MAX);
            *slot = u32::try_from(self.touched.len()).unwrap_or(u32::MAX);
        }
        let place = *slot - 1;
        self.counts[neighbour as usize] += count;
        if self.last_word[place as usize] != word {
            self.last_word[place as usize] = word;
            self.events.push((place, word));
        }
    }

    /// Pieces by place in `touched`, each list exactly as long as needed.
    fn words(&mut self) -> Vec<Vec<u32>> {
        let mut lengths = vec![0; self.touched.len()];
        for &(place, _) in &self.events {
            lengths[place as usize] += 1;
        }
        let mut lists: Vec<Vec<u32>> = lengths.into_iter().map(Vec::with_capacity).collect();
        for &(place, word) in &self.events {
            lists[place as usize].push(word);
        }
        self.events.clear();
        lists
    }
}

struct Trainer {
    words: Words,
    pairs: HashMap<u64, Pair, BuildHasherDefault<PairHasher>>,
    heap: BinaryHeap<Candidate>,
    min_pair_count: u64,
    left: Side,
    right: Side,
}

/// Trains up to `max_tokens` tokens (the 256 bytes among them); fewer where no pair occurs
/// `min_pair_count` times any more. `check` is called now and then and may stop it.
///
/// # Errors
/// What `check` returns.
pub fn train(
    words: Words,
    max_tokens: usize,
    min_pair_count: u64,
    check: impl Fn() -> Result<()>,
) -> Result<Trained> {
    let mut trainer = Trainer::new(words, min_pair_count.max(1));
    let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    let mut by_text: HashMap<Vec<u8>, u32> = HashMap::new();
    let mut known: HashSet<u64> = HashSet::new();
    let mut merges = Vec::new();
    while tokens.len() < max_tokens {
        let Some((left, right)) = trainer.pop() else { break };
        let text = [&tokens[left as usize][..], &tokens[right as usize][..]].concat();
        let new = u32::try_from(tokens.len()).map_err(|_| Error::Failed("too many tokens".to_owned()))?;
        let id = *by_text.entry(text.clone()).or_insert(new);
        if id == new {
            tokens.push(text);
        }
        if known.insert(key(left, right)) {
            merges.push((left, right));
        }
        trainer.join(left, right, id);
        if merges.len().is_multiple_of(256) {
            check()?;
        }
    }
    Ok(Trained { tokens, merges })
}

impl Trainer {
    fn new(words: Words, min_pair_count: u64) -> Self {
        let mut counts = vec![0_u64; 1 << 16];
        let mut places = vec![0_usize; 1 << 16];
        for word in &words.words {
            for pair in words.symbols[word.start as usize..][..word.length as usize].windows(2) {
                counts[(pair[0] << 8 | pair[1]) as usize] += word.count;
                places[(pair[0] << 8 | pair[1]) as usize] += 1;
            }
        }
        let mut lists: Vec<Vec<u32>> = Vec::new();
        lists.resize_with(1 << 16, Vec::new);
        for (number, word) in (0_u32..).zip(&words.words) {
            for pair in words.symbols[word.start as usize..][..word.length as usize].windows(2) {
                let at = (pair[0] << 8 | pair[1]) as usize;
                if counts[at] >= min_pair_count && lists[at].last() != Some(&number) {
                    if lists[at].capacity() == 0 {
                        lists[at].reserve_exact(places[at]);
                    }
                    lists[at].push(number);
                }
            }
        }
        let mut trainer = Self {
            words,
            pairs: HashMap::default(),
            heap: BinaryHeap::new(),
            min_pair_count,
            left: Side::default(),
            right: Side::default(),
        };
        for ((at, words), count) in (0_u32..).zip(lists).zip(counts) {
            trainer.raise(key(at >> 8, at & 0xFF), count, words);
        }
        trainer
    }

    /// The pair to join next.
    fn pop(&mut self) -> Option<(u32, u32)> {
        while let Some((count, std::cmp::Reverse(pair))) = self.heap.pop() {
            let Some(entry) = self.pairs.get(&pair) else { continue };
            if entry.count < self.min_pair_count {
                self.pairs.remove(&pair);
            } else if entry.count == count {
                return Some((high32(pair), low32(pair)));
            } else if entry.count < count {
                self.heap.push((entry.count, std::cmp::Reverse(pair)));
            }
        }
        None
    }

    /// Adds occurrences of a pair. New pairs that are too rare are forgotten: they seldom gain any later.
    fn raise(&mut self, pair: u64, count: u64, words: Vec<u32>) {
        if let Some(entry) = self.pairs.get_mut(&pair) {
            entry.count += count;
            entry.words.extend_from_slice(&words);
            self.heap.push((entry.count, std::cmp::Reverse(pair)));
        } else if count >= self.min_pair_count {
            self.pairs.insert(pair, Pair { count, words });
            self.heap.push((count, std::cmp::Reverse(pair)));
        }
    }

    fn lower(&mut self, pair: u64, count: u64) {
        if let Some(entry) = self.pairs.get_mut(&pair) {
            entry.count = entry.count.saturating_sub(count);
        }
    }

    /// Replaces the pair by `id` in all pieces and brings the counts up to date.
    fn join(&mut self, left: u32, right: u32, id: u32) {
        let Some(pair) = self.pairs.remove(&key(left, right)) else { return };
        for side in [&mut self.left, &mut self.right] {
            if side.counts.len() <= id as usize {
                side.counts.resize(id as usize + 1, 0);
                side.places.resize(id as usize + 1, 0);
            }
        }
        for number in pair.words {
            let word = &mut self.words.words[number as usize];
            let symbols = &mut self.words.symbols[word.start as usize..][..word.length as usize];
            let (mut read, mut written) = (0, 0);
            while read < symbols.len() {
                if symbols[read] == left && symbols.get(read + 1) == Some(&right) {
                    if written > 0 {
                        self.left.add(symbols[written - 1], number, word.count);
                    }
                    if let Some(&after) = symbols.get(read + 2) {
                        self.right.add(after, number, word.count);
                    }
                    symbols[written] = id;
                    read += 2;
                } else {
                    symbols[written] = symbols[read];
                    read += 1;
                }
                written += 1;
            }
            word.length = u32::try_from(written).unwrap_or(word.length);
        }
        self.settle(left, right, id);
    }

    /// Moves the counts of `(x, left)` to `(x, id)` and of `(right, x)` to `(id, x)`: all gains first,
    /// because an occurrence between two joined pairs is gained and lost again.
    fn settle(&mut self, left: u32, right: u32, id: u32) {
        let mut lefts = std::mem::take(&mut self.left);
        let mut rights = std::mem::take(&mut self.right);
        let mut gains: Vec<(u64, u64, Vec<u32>)> = Vec::new();
        for (neighbour, words) in lefts.touched.clone().into_iter().zip(lefts.words()) {
            gains.push((key(neighbour, id), lefts.counts[neighbour as usize], words));
        }
        for (neighbour, words) in rights.touched.clone().into_iter().zip(rights.words()) {
            let count = rights.counts[neighbour as usize];
            gains.push((key(id, neighbour), count, words));
        }
        for (pair, count, words) in gains {
            self.raise(pair, count, words);
        }
        for &neighbour in &lefts.touched {
            self.lower(key(neighbour, left), lefts.counts[neighbour as usize]);
        }
        for &neighbour in &rights.touched {
            self.lower(key(right, neighbour), rights.counts[neighbour as usize]);
        }
        for side in [&mut lefts, &mut rights] {
            for &neighbour in &side.touched {
                side.counts[neighbour as usize] = 0;
                side.places[neighbour as usize] = 0;
            }
            side.touched.clear();
            side.last_word.clear();
        }
        self.left = lefts;
        self.right = rights;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half of a pair")]
fn low32(pair: u64) -> u32 {
    pair as u32
}

fn high32(pair: u64) -> u32 {
    low32(pair >> 32)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn quick(pieces: &[(&str, u64)], max_tokens: usize, min: u64) -> Trained {
        let mut words = Words::default();
        for (piece, count) in pieces {
            words.push(piece.as_bytes(), *count).unwrap();
        }
        train(words, max_tokens, min, || Ok(())).unwrap()
    }

    /// The same by definition: count every pair anew after every join.
    fn slow(pieces: &[(&str, u64)], max_tokens: usize) -> Trained {
        let mut words: Vec<(Vec<u32>, u64)> =
            pieces.iter().map(|(p, n)| (p.bytes().map(u32::from).collect(), *n)).collect();
        let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        let mut merges = Vec::new();
        while tokens.len() < max_tokens {
            let mut counts = BTreeMap::new();
            for (word, count) in &words {
                for pair in word.windows(2) {
                    *counts.entry((pair[0], pair[1])).or_insert(0) += count;
                }
            }
            let best = counts.iter().max_by_key(|(pair, count)| (**count, std::cmp::Reverse(**pair)));
            let Some((&(left, right), _)) = best else { break };
            let text = [&tokens[left as usize][..], &tokens[right as usize][..]].concat();
            let id = tokens.iter().position(|token| *token == text).unwrap_or(tokens.len());
            if id == tokens.len() {
                tokens.push(text);
            }
            if !merges.contains(&(left, right)) {
                merges.push((left, right));
            }
            for (word, _) in &mut words {
                let mut at = 0;
                while at + 1 < word.len() {
                    if word[at] == left && word[at + 1] == right {
                        word.splice(at..at + 2, [u32::try_from(id).unwrap()]);
                    }
                    at += 1;
                }
            }
        }
        Trained { tokens, merges }
    }

    #[test]
    fn joins_by_count_then_by_smallest_pair() {
        let trained = quick(&[("abab", 2), ("cdcd", 2), ("xy", 9)], 259, 1);
        let names: Vec<_> = trained.tokens[256..].iter().map(|t| String::from_utf8_lossy(t)).collect();
        assert_eq!(names, ["xy", "ab", "cd"]);
        assert_eq!(trained.merges, [(120, 121), (97, 98), (99, 100)]);
    }

    #[test]
    fn counts_beyond_32_bits() {
        let trained = quick(&[("the", 5_000_000_000), ("an", 4_999_999_999)], 257, 2);
        assert_eq!(trained.tokens[256], b"he");
    }

    #[test]
    fn stops_where_pairs_get_rare() {
        assert_eq!(quick(&[("hello", 1)], 1000, 2).merges, []);
        assert_eq!(quick(&[("abc", 3), ("xyz", 2)], 1000, 3).tokens.len(), 258);
    }

    #[test]
    fn cancelled() {
        let mut words = Words::default();
        words.push(b"ab", 3).unwrap();
        assert!(train(words, 300, 1, || Err(Error::Interrupted)).is_ok(), "stopped only every 256 joins");
    }

    proptest! {
        #[test]
        fn equals_the_definition(
            pieces in prop::collection::btree_map("[abc]{1,12}", 1_u64..5, 1..12),
            max in 256_usize..290,
        ) {
            let pieces: Vec<_> = pieces.iter().map(|(p, n)| (p.as_str(), *n)).collect();
            prop_assert_eq!(quick(&pieces, max, 1), slow(&pieces, max));
        }
    }
}
