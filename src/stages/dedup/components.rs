//! Connected components of a graph larger than memory: each document with a pair learns the first of its component.
//!
//! Method: contraction in the order of the documents, as time-forward processing (Chiang et al., SODA 1995) with the
//! link-to-the-smallest rule of union-find. Going through the documents from the last to the first, one points at the
//! earliest it is paired with, and its other pairs become pairs of their earlier documents with that one. So a pair
//! is only ever handed towards the front, and whoever is left without an earlier one is first of its component. A
//! second walk, from the first to the last, hands the name of the component along the pointers.
//!
//! Held: the buffers of two sorts and of a queue ([`RunQueue`]). A walk reads each pair once for each time it is handed
//! on; docs/dedup.md has the counts, and those of label propagation, whose rounds grow with the longest chain.

use std::cmp::Reverse;
use std::path::Path;

use super::records::Pair;
use crate::document::Ordinal;
use crate::error::Result;
use crate::io::queue::RunQueue;
use crate::io::runs::{Record, RunSorter};
use crate::stage::TaskEnv;

/// Documents between two looks at the cancel flag.
const CANCEL_DOCS: u64 = 1 << 12;

/// A pair in the order of the first walk: by falling later document, then by rising earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Down {
    later: Reverse<Ordinal>,
    earlier: Ordinal,
}

impl Record for Down {
    const BYTES: usize = Pair::BYTES;
    fn encode(&self, out: &mut Vec<u8>) {
        Pair { later: self.later.0, earlier: self.earlier }.encode(out);
    }
    fn decode(bytes: &[u8]) -> Self {
        let Pair { later, earlier } = Pair::decode(bytes);
        Self { later: Reverse(later), earlier }
    }
}

/// A pair in the order of its earlier document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Up {
    pub(super) earlier: Ordinal,
    pub(super) later: Ordinal,
}

impl Record for Up {
    const BYTES: usize = Pair::BYTES;
    fn encode(&self, out: &mut Vec<u8>) {
        Pair { later: self.later, earlier: self.earlier }.encode(out);
    }
    fn decode(bytes: &[u8]) -> Self {
        let Pair { later, earlier } = Pair::decode(bytes);
        Self { earlier, later }
    }
}

/// What the walks moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// Pairs that came in.
    pub(super) pairs: u64,
    /// Pairs that were handed on to an earlier document.
    pub(super) handed_on: u64,
    /// Documents that are not first of their component.
    pub(super) members: u64,
}

/// Calls `each` with every document that is not the first of its component and with that first one, in the order of
/// the documents. `pairs` may come in any order and more than once.
pub(super) fn components(
    pairs: impl Iterator<Item = Result<Pair>>,
    scratch: &Path,
    memory_bytes: u64,
    env: &TaskEnv,
    mut each: impl FnMut(Ordinal, Ordinal) -> Result<()>,
) -> Result<Moved> {
    let share = memory_bytes / 3;
    let mut moved = Moved::default();
    let mut sorter = RunSorter::new(scratch.join("down"), share);
    for pair in pairs {
        let pair = pair?;
        sorter.push(Down { later: Reverse(pair.later), earlier: pair.earlier })?;
        moved.pairs += 1;
    }
    let mut given = sorter.finish()?.peekable();
    let mut handed = RunQueue::<Down>::new(scratch.join("handed"), share);
    let mut pointers = RunSorter::new(scratch.join("pointers"), share);
    // The document in hand, the first of its partners, and the last that was looked at.
    let mut current: Option<(Reverse<Ordinal>, Ordinal, Ordinal)> = None;
    loop {
        let next = match (given.peek(), handed.peek()) {
            (Some(Ok(down)), Some(waiting)) if waiting < *down => handed.pop()?,
            (None, Some(_)) => handed.pop()?,
            // An error comes out here, too.
            _ => given.next().transpose()?,
        };
        let Some(Down { later, earlier }) = next else { break };
        match &mut current {
            Some((document, first, last)) if *document == later => {
                if earlier != *last {
                    *last = earlier;
                    moved.handed_on += 1;
                    handed.push(Down { later: Reverse(earlier), earlier: *first })?;
                }
            }
            _ => {
                if moved.members.is_multiple_of(CANCEL_DOCS) {
                    env.check_cancel()?;
                }
                moved.members += 1;
                pointers.push(Up { earlier, later: later.0 })?;
                current = Some((later, earlier, earlier));
            }
        }
    }
    drop((given, handed));
    name_components(pointers.finish()?, scratch, share, env, &mut each)?;
    Ok(moved)
}

/// The second walk: along the pointers, which are sorted by what they point at.
fn name_components(
    pointers: impl Iterator<Item = Result<Up>>,
    scratch: &Path,
    memory_bytes: u64,
    env: &TaskEnv,
    each: &mut impl FnMut(Ordinal, Ordinal) -> Result<()>,
) -> Result<()> {
    // (member, first of its component)
    let mut named = RunQueue::<Up>::new(scratch.join("named"), memory_bytes);
    let mut pointers = pointers.peekable();
    let mut count = 0_u64;
    loop {
        if count.is_multiple_of(CANCEL_DOCS) {
            env.check_cancel()?;
        }
        count += 1;
        let target = match pointers.peek() {
            Some(Ok(pointer)) => Some(pointer.earlier),
            Some(Err(_)) => return pointers.next().transpose().map(drop),
            None => None,
        };
        let member = named.peek().map(|named| named.earlier);
        let Some(here) = member.into_iter().chain(target).min() else { return Ok(()) };
        let mut first = here;
        if member == Some(here)
            && let Some(name) = named.pop()?
        {
            first = name.later;
            each(here, first)?;
        }
        while let Some(pointer) =
            pointers.next_if(|pointer| pointer.as_ref().is_ok_and(|up| up.earlier == here))
        {
            named.push(Up { earlier: pointer?.later, later: first })?;
        }
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "tests are small")]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use proptest::prelude::*;

    use super::*;
    use crate::stage::Progress;

    struct Silent;

    impl Progress for Silent {
        fn advance(&self, _bytes: u64, _docs: u64) {}
    }

    fn place(number: u32) -> Ordinal {
        Ordinal { split: number / 100, record: u64::from(number % 100) }
    }

    fn number(place: Ordinal) -> u32 {
        place.split * 100 + place.record as u32
    }

    fn found(pairs: &[(u32, u32)], memory_bytes: u64) -> (Vec<(u32, u32)>, Moved) {
        let dir = tempfile::tempdir().unwrap();
        let env =
            TaskEnv { memory_bytes, cancel: Arc::new(AtomicBool::new(false)), progress: Arc::new(Silent) };
        let mut members = Vec::new();
        let given = pairs.iter().map(|&(a, b)| Ok(Pair::of(place(a), place(b))));
        let moved = components(given, dir.path(), memory_bytes, &env, |member, first| {
            members.push((number(member), number(first)));
            Ok(())
        });
        (members, moved.unwrap())
    }

    fn root(parents: &mut BTreeMap<u32, u32>, mut member: u32) -> u32 {
        while parents[&member] != member {
            let above = parents[&parents[&member]];
            parents.insert(member, above);
            member = above;
        }
        member
    }

    /// The same by union-find in memory.
    fn plain(pairs: &[(u32, u32)]) -> Vec<(u32, u32)> {
        let mut parents: BTreeMap<u32, u32> = pairs.iter().flat_map(|&(a, b)| [(a, a), (b, b)]).collect();
        for &(a, b) in pairs {
            let (a, b) = (root(&mut parents, a), root(&mut parents, b));
            parents.insert(a.max(b), a.min(b));
        }
        let members: Vec<u32> = parents.keys().copied().collect();
        let named = members.into_iter().map(|member| (member, root(&mut parents, member)));
        named.filter(|(member, first)| member != first).collect()
    }

    /// Rounds and records of label propagation: each round joins the pairs with the labels twice.
    fn propagated(pairs: &[(u32, u32)]) -> (u64, u64) {
        let mut labels: BTreeMap<u32, u32> = pairs.iter().flat_map(|&(a, b)| [(a, a), (b, b)]).collect();
        let (mut rounds, mut records) = (0, 0);
        loop {
            let before = labels.clone();
            for &(a, b) in pairs {
                let least = before[&a].min(before[&b]);
                for member in [a, b] {
                    labels.entry(member).and_modify(|label| *label = least.min(*label));
                }
            }
            rounds += 1;
            records += 2 * pairs.len() as u64 + labels.len() as u64;
            if labels == before {
                return (rounds, records);
            }
        }
    }

    fn draws(seed: u64) -> impl FnMut(u32) -> u32 {
        let mut state = seed;
        move |below| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % u64::from(below)) as u32
        }
    }

    #[test]
    fn what_is_moved_stays_near_the_number_of_pairs() {
        let mut draw = draws(5);
        let shapes: Vec<(&str, Vec<(u32, u32)>)> = vec![
            ("chain", (0..20_000).map(|n| (n, n + 1)).collect()),
            ("star", (1..20_000).map(|n| (0, n)).collect()),
            ("star of the last", (0..20_000).map(|n| (n, 20_000)).collect()),
            ("clusters of 20, all pairs", {
                let all =
                    (0..500_u32).flat_map(|c| (0..20).flat_map(move |a| (0..a).map(move |b| (c, a, b))));
                all.map(|(c, a, b)| (c + a * 500, c + b * 500)).collect()
            }),
            ("random, as many as documents", (0..20_000).map(|_| (draw(20_000), draw(20_000))).collect()),
            ("comb", (0..10_000).map(|n| (19_999, n)).chain((10_000..19_999).map(|n| (n, n + 1))).collect()),
            // Each second document is paired with one far in front, and with its neighbour.
            ("ladder", (0..10_000).flat_map(|n| [(n, 19_999 - n), (10_000 + n, 10_001 + n)]).collect()),
        ];
        for (name, pairs) in &shapes {
            let pairs: Vec<(u32, u32)> = pairs.iter().copied().filter(|(a, b)| a != b).collect();
            let (members, moved) = found(&pairs, 1 << 20);
            assert_eq!(members, plain(&pairs), "{name}");
            if ["chain", "ladder", "comb"].contains(name) {
                // A round for every document: minutes.
                println!("{name}: {moved:?}");
            } else {
                println!("{name}: {moved:?}; label propagation (rounds, records): {:?}", propagated(&pairs));
            }
            assert!(moved.handed_on <= 8 * moved.pairs, "{name}: {moved:?}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_union_find(
            pairs in prop::collection::vec((0_u32..400, 0_u32..400), 0..600),
            memory_bytes in prop_oneof![Just(0_u64), Just(1 << 20)],
        ) {
            let pairs: Vec<(u32, u32)> = pairs.into_iter().filter(|(a, b)| a != b).collect();
            prop_assert_eq!(found(&pairs, memory_bytes).0, plain(&pairs));
        }
    }
}
