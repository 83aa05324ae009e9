//! Whether the earlier document of a pair was removed, asked in the order of the later ones, in bounded memory.
//!
//! The documents that went are held until they fill the budget. Then a block ends: the pairs of its documents with
//! later ones, sorted by the earlier document, are held against the list, those whose earlier document went are sent
//! ahead to the later one ([`RunQueue`], time-forward processing), and the list starts anew. A corpus whose removed
//! documents fit in the budget never sorts its pairs a second time.

use std::iter::Peekable;
use std::path::{Path, PathBuf};

use super::components::Up;
use super::records::Pair;
use crate::document::Ordinal;
use crate::error::Result;
use crate::io::queue::RunQueue;
use crate::io::runs::{RunSorter, Sorted};

/// The documents that went so far.
pub(super) struct Removed<P> {
    /// All pairs once more, for the first block that ends.
    pairs: P,
    scratch: PathBuf,
    share: u64,
    capacity: usize,
    /// Those of this block, in order.
    block: Vec<Ordinal>,
    /// The last document of the blocks that ended.
    passed: Option<Ordinal>,
    by_earlier: Option<Peekable<Sorted<Up>>>,
    /// Pairs whose earlier document went in a block that ended.
    known: RunQueue<Pair>,
    /// Blocks that ended.
    pub(super) blocks: u64,
}

impl<P, I> Removed<P>
where
    P: Fn() -> Result<I>,
    I: Iterator<Item = Result<Pair>>,
{
    /// `pairs` yields all pairs in any order, as often as it is asked.
    pub(super) fn new(pairs: P, scratch: &Path, memory_bytes: u64) -> Self {
        let share = memory_bytes / 3;
        let capacity = usize::try_from(share / 2).unwrap_or(usize::MAX) / size_of::<Ordinal>();
        Self {
            pairs,
            scratch: scratch.to_path_buf(),
            share,
            capacity: capacity.max(64),
            block: Vec::new(),
            passed: None,
            by_earlier: None,
            known: RunQueue::new(scratch.join("known"), share / 2),
            blocks: 0,
        }
    }

    /// Whether the earlier document of a pair went. Pairs are asked for in rising order, some may be left out.
    pub(super) fn contains(&mut self, pair: Pair) -> Result<bool> {
        if self.passed.is_none_or(|passed| pair.earlier > passed) {
            return Ok(self.block.binary_search(&pair.earlier).is_ok());
        }
        while self.known.peek().is_some_and(|known| known < pair) {
            self.known.pop()?;
        }
        Ok(self.known.peek() == Some(pair))
    }

    /// Takes a document that goes; they rise, and no pair with an earlier document of later place was asked for.
    pub(super) fn insert(&mut self, document: Ordinal) -> Result<()> {
        self.block.push(document);
        if self.block.len() < self.capacity { Ok(()) } else { self.end_block(document) }
    }

    fn end_block(&mut self, last: Ordinal) -> Result<()> {
        if self.by_earlier.is_none() {
            let mut sorter = RunSorter::new(self.scratch.join("by-earlier"), self.share);
            for pair in (self.pairs)()? {
                let Pair { later, earlier } = pair?;
                sorter.push(Up { earlier, later })?;
            }
            self.by_earlier = Some(sorter.finish()?.peekable());
        }
        if let Some(pairs) = &mut self.by_earlier {
            let mut block = self.block.iter().copied().peekable();
            while let Some(pair) = pairs.next_if(|pair| pair.as_ref().map_or(true, |up| up.earlier <= last)) {
                let Up { earlier, later } = pair?;
                while block.next_if(|removed| *removed < earlier).is_some() {}
                if block.peek() == Some(&earlier) && later > last {
                    self.known.push(Pair { later, earlier })?;
                }
            }
        }
        self.block.clear();
        self.passed = Some(last);
        self.blocks += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_small_budget_answers_as_a_set_does(
            // Over 64 removed documents end blocks at the smallest budget.
            pairs in prop::collection::btree_set((0_u64..1500, 1_u64..40), 0..2500),
            memory_bytes in prop_oneof![Just(0_u64), Just(1 << 20)],
        ) {
            let place = |record| Ordinal { split: 0, record };
            let mut by_later: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
            for (earlier, step) in pairs {
                by_later.entry(earlier + step).or_default().insert(earlier);
            }
            let all: Vec<Pair> = by_later
                .iter()
                .flat_map(|(&later, earlier)| earlier.iter().map(move |&earlier| Pair::of(place(later), place(earlier))))
                .collect();
            let dir = tempfile::tempdir().unwrap();
            let again = || Ok(all.iter().copied().map(Ok));
            let mut removed = Removed::new(again, dir.path(), memory_bytes);
            let mut plain = BTreeSet::new();
            for (later, earlier) in &by_later {
                for earlier in earlier {
                    let gone = removed.contains(Pair::of(place(*later), place(*earlier))).unwrap();
                    prop_assert_eq!(gone, plain.contains(earlier), "{} of {}", earlier, later);
                    if !gone {
                        plain.insert(*later);
                        removed.insert(place(*later)).unwrap();
                        break;
                    }
                }
            }
            if memory_bytes == 0 {
                prop_assert_eq!(removed.blocks, plain.len() as u64 / 64);
            }
        }
    }
}
