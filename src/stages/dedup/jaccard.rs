//! Jaccard similarity of two documents: exact from their shingle sets, given up early where it cannot reach the limit, or
//! estimated from their signatures.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::docs::{DocStore, RANK_BYTES};
use super::records::Overlap;
use crate::document::Ordinal;
use crate::error::Result;

/// Steps of the merge between two looks at whether the limit is still in reach.
const STEPS: usize = 128;

/// Elements that both sorted sets have, and that they have together.
#[cfg(test)]
pub(super) fn overlap(a: &[u32], b: &[u32]) -> Overlap {
    // With no limit the merge always runs to its end.
    overlap_from(a, b, 0.0).unwrap_or(Overlap { shared: 0, union: 0 })
}

/// Elements that both sorted sets have, and that they have together; `None` where the similarity is below `min_jaccard`; equal to the limit is enough.
pub(super) fn overlap_from(a: &[u32], b: &[u32], min_jaccard: f64) -> Option<Overlap> {
    let reach = |shared: usize| {
        let union = a.len() + b.len() - shared;
        // Sets of over 2^32 - 1 elements cannot be: the elements are 32 bits wide and differ.
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let overlap = Overlap { shared: count(shared), union: count(union) };
        (overlap.jaccard() >= min_jaccard).then_some(overlap)
    };
    reach(a.len().min(b.len()))?;
    let (mut at_a, mut at_b, mut shared) = (0, 0, 0);
    while at_a < a.len() && at_b < b.len() {
        reach(shared + (a.len() - at_a).min(b.len() - at_b))?;
        for _ in 0..STEPS {
            let (Some(&x), Some(&y)) = (a.get(at_a), b.get(at_b)) else { break };
            shared += usize::from(x == y);
            at_a += usize::from(x <= y);
            at_b += usize::from(y <= x);
        }
    }
    reach(shared)
}

/// What the documents of a stage were written down with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// Whether a rank stands in front.
    pub(super) is_ranked: bool,
    pub(super) measure: Measure,
}

impl Contents {
    /// As [`overlap_from`], or the share of equal hashes.
    pub(super) fn overlap_from(self, a: &[u32], b: &[u32], min_jaccard: f64) -> Option<Overlap> {
        match self.measure {
            Measure::Shingles => overlap_from(a, b, min_jaccard),
            Measure::Signatures => {
                let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
                let equal = a.iter().zip(b).filter(|(a, b)| a == b).count();
                let overlap = Overlap { shared: count(equal), union: count(a.len().max(b.len())) };
                (overlap.jaccard() >= min_jaccard).then_some(overlap)
            }
        }
    }
}

/// How alike two documents are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// The Jaccard similarity of their shingle sets, exactly.
    #[default]
    Shingles,
    /// The share of hashes that agree in their signatures: an estimate, off by `sqrt(s (1 - s) / hashes)` (.038 at .8 with 112).
    Signatures,
}

/// Shingle sets, or signatures, read lately, least recently used first to go. What it holds never changes a result.
pub(super) struct SetCache {
    store: DocStore,
    /// What is read.
    pub(super) contents: Contents,
    sets: HashMap<Ordinal, (Arc<[u32]>, u64)>,
    /// Place in time of the last use, to the set.
    used: BTreeMap<u64, Ordinal>,
    clock: u64,
    held_bytes: u64,
    max_bytes: u64,
}

impl SetCache {
    /// Holds at most `max_bytes` of sets, and always the last one.
    pub(super) fn new(store: DocStore, contents: Contents, max_bytes: u64) -> Self {
        let (sets, used) = (HashMap::new(), BTreeMap::new());
        Self { store, contents, sets, used, clock: 0, held_bytes: 0, max_bytes }
    }

    /// The shingle set, or the signature, of a document.
    pub(super) fn get(&mut self, ordinal: Ordinal) -> Result<Arc<[u32]>> {
        self.clock += 1;
        if let Some((set, used)) = self.sets.get_mut(&ordinal) {
            self.used.remove(used);
            *used = self.clock;
            self.used.insert(self.clock, ordinal);
            return Ok(Arc::clone(set));
        }
        let set: Arc<[u32]> =
            self.store.set(ordinal, if self.contents.is_ranked { RANK_BYTES } else { 0 })?.into();
        self.held_bytes += weight(&set);
        while self.held_bytes > self.max_bytes
            && let Some((_, oldest)) = self.used.pop_first()
        {
            if let Some((old, _)) = self.sets.remove(&oldest) {
                self.held_bytes -= weight(&old);
            }
        }
        self.sets.insert(ordinal, (Arc::clone(&set), self.clock));
        self.used.insert(self.clock, ordinal);
        Ok(set)
    }
}

/// Bytes that a set takes in the cache, entries of both maps included.
fn weight(set: &[u32]) -> u64 {
    (set.len() * 4 + 128) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_sets(a: BTreeSet<u16>, b: BTreeSet<u16>, limit in 0.0..=1.0) {
            let count = |n: usize| u32::try_from(n).unwrap();
            let shared = count(a.intersection(&b).count());
            let union = count(a.union(&b).count());
            let expected = Overlap { shared, union };
            let list = |set: &BTreeSet<u16>| set.iter().map(|&x| u32::from(x)).collect::<Vec<_>>();
            prop_assert_eq!(overlap(&list(&a), &list(&b)), expected);
            let from = overlap_from(&list(&a), &list(&b), limit);
            prop_assert_eq!(from, (expected.jaccard() >= limit).then_some(expected));
        }
    }

    #[test]
    fn the_limit_itself_is_enough() {
        assert!(overlap_from(&[1, 2, 3, 4], &[1, 2, 3, 4, 5], 0.8).is_some());
        assert!(overlap_from(&[1, 2, 3, 4], &[1, 2, 3, 4, 5], 0.801).is_none());
    }
}
