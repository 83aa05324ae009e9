//! Which windows have an earlier copy: candidates are compared with the first of their class, in rounds.
//!
//! A class holds candidates that have something in common: in the first round the gram of the anchor, later also bytes
//! to the left and to the right of it. The first member in the order of the corpus leads the class, and every other
//! is compared with it alone, byte by byte. Windows in which both agree are settled: the leader has the first copy.
//! The other windows differ from the leader to the left or to the right of the anchor. They move on to the next
//! round, into the class of those that agree up to and with that difference. So a candidate is compared once a round
//! however many members its class has, classes split like the nodes of a trie, and what is left alone in its class is
//! done without a look at the text. Members that share a window agree with the leader equally far, so they stay
//! together: the first of them leads their class at some time, and nothing is missed. There are at most as many
//! rounds as bytes around the anchor; on real text what is left shrinks tenfold with each of the first.
//!
//! Hashes only bring members together. Where a member turns out to differ within what its class should have in
//! common, it goes into the next round under another hash of the same bytes.
//!
//! Where we differ from the suffix arrays of Lee et al. (2022): no text is sorted, and a copy has to lie `min_bytes` or
//! more behind the first one, so that a run of one character keeps its first `min_bytes` bytes instead of one.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::anchors::Sampling;
use super::rows::{Candidate, SpanRow, before};
use super::texts::Texts;
use crate::error::Result;
use crate::io::runs::RunSorter;

/// Settles the candidates of one round, which come in order.
pub(super) struct Round<'a> {
    sampling: Sampling,
    /// Number of the round, from 0.
    number: u64,
    texts: &'a mut Texts,
    /// Repeats that were found.
    spans: &'a mut RunSorter<SpanRow>,
    /// Candidates of the next round.
    next: RunSorter<Candidate>,
    /// How many they are.
    left: u64,
    class: Class,
    member: Vec<u8>,
}

/// The class in hand.
#[derive(Default)]
struct Class {
    leader: Option<Candidate>,
    /// Bytes around the leader's place, once a second member came.
    bytes: Vec<u8>,
    /// Which of them is the one at the place.
    at: usize,
    is_read: bool,
}

impl<'a> Round<'a> {
    pub(super) fn new(
        sampling: Sampling,
        number: u64,
        texts: &'a mut Texts,
        spans: &'a mut RunSorter<SpanRow>,
        next: RunSorter<Candidate>,
    ) -> Self {
        let (class, member) = (Class::default(), Vec::new());
        Self { sampling, number, texts, spans, next, left: 0, class, member }
    }

    /// Takes the next candidate.
    pub(super) fn take(&mut self, candidate: Candidate) -> Result<()> {
        match self.class.leader {
            Some(leader) if leader.key == candidate.key => self.compare(leader, candidate),
            _ => {
                self.class.leader = Some(candidate);
                self.class.is_read = false;
                Ok(())
            }
        }
    }

    /// Ends the round; returns the candidates of the next one and how many they are.
    pub(super) fn finish(self) -> (RunSorter<Candidate>, u64) {
        (self.next, self.left)
    }

    fn compare(&mut self, leader: Candidate, member: Candidate) -> Result<()> {
        let Sampling { gram, reach, .. } = self.sampling;
        if !self.class.is_read {
            let after = gram + reach - usize::from(leader.class_low);
            let front = usize::from(leader.class_high);
            self.class.at = self.texts.around(leader.place, front, after, &mut self.class.bytes)?;
            self.class.is_read = true;
        }
        let (low, high) = (usize::from(member.low), usize::from(member.high));
        let at = self.texts.around(member.place, high, gram + reach - low, &mut self.member)?;
        let left = common_suffix(&self.class.bytes[..self.class.at], &self.member[..at]);
        let right = common_prefix(&self.class.bytes[self.class.at..], &self.member[at..]);
        let (class_low, class_high) = (usize::from(member.class_low), usize::from(member.class_high));
        let of_class = (leader.class_low, leader.class_high) == (member.class_low, member.class_high)
            && left >= class_low
            && right >= gram + reach - class_high;
        if !of_class {
            return self.move_on(member, at, (low, high), (class_low, class_high));
        }
        let right = right - gram;
        // A window that begins `d` bytes before the anchor agrees if `d <= left` and `reach - d <= right`.
        let (first, last) = (low.max(reach.saturating_sub(right)), high.min(left));
        if first <= last {
            self.settle(leader, member, first, last)?;
        }
        if left < high {
            self.move_on(member, at, (low.max(left + 1), high), (left + 1, class_high))?;
        }
        if right < reach - low {
            let most = reach - right - 1;
            let last = high.min(most).min(left);
            if low <= last {
                self.move_on(member, at, (low, last), (class_low, most))?;
            }
        }
        Ok(())
    }

    /// Notes that the windows at these distances are copies of the leader's, unless they lie too close behind them.
    #[expect(clippy::cast_possible_truncation, reason = "distances and windows have 17 bits at most")]
    fn settle(&mut self, leader: Candidate, member: Candidate, first: usize, last: usize) -> Result<()> {
        let window = self.sampling.window;
        let is_close = leader.place.split == member.place.split
            && member.place.record - leader.place.record < window as u64;
        if is_close {
            return Ok(());
        }
        let bytes = (last - first + window) as u32;
        let (start, first) = (before(member.place, last as u16), before(leader.place, last as u16));
        self.spans.push(SpanRow { start, bytes, first })
    }

    /// Puts some windows of a member into another class, whose common bytes are those of the windows `class`.
    #[expect(clippy::cast_possible_truncation, reason = "distances from an anchor have 16 bits")]
    fn move_on(
        &mut self,
        member: Candidate,
        at: usize,
        (low, high): (usize, usize),
        class: (usize, usize),
    ) -> Result<()> {
        let common = &self.member[at - class.0..at + self.sampling.gram + self.sampling.reach - class.1];
        let seed = (self.number + 1) << 32 | (class.0 as u64) << 16 | class.1 as u64;
        self.left += 1;
        self.next.push(Candidate {
            key: xxh3_64_with_seed(common, seed),
            place: member.place,
            low: low as u16,
            high: high as u16,
            class_low: class.0 as u16,
            class_high: class.1 as u16,
        })
    }
}

/// Bytes at the beginning in which both agree.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let words = a.chunks_exact(8).zip(b.chunks_exact(8)).take_while(|(a, b)| a == b).count() * 8;
    words + a[words..].iter().zip(&b[words..]).take_while(|(a, b)| a == b).count()
}

/// Bytes at the end in which both agree.
fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    let words = a.rchunks_exact(8).zip(b.rchunks_exact(8)).take_while(|(a, b)| a == b).count() * 8;
    let rest = a[..a.len() - words].iter().rev().zip(b[..b.len() - words].iter().rev());
    words + rest.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_counted_from_either_end() {
        let a: Vec<u8> = (0..40).collect();
        for differs in 0..40 {
            let mut b = a.clone();
            b[differs] = 99;
            assert_eq!(common_prefix(&a, &b), differs);
            assert_eq!(common_suffix(&a, &b), 39 - differs);
            assert_eq!(common_prefix(&a[..differs], &b), differs);
            assert_eq!(common_suffix(&a, &b[differs + 1..]), 39 - differs);
        }
        assert_eq!((common_prefix(&a, &a), common_suffix(&a, &a)), (40, 40));
        assert_eq!((common_prefix(&[], &a), common_suffix(&a, &[])), (0, 0));
    }
}
