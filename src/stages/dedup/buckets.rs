//! From the documents of one bucket (equal band hash) to the pairs that are worth measuring.
//!
//! A small bucket gives all its pairs, so that a second run over what stays finds nothing. A large one
//! would give a number that grows with the square, so there each document is measured against leaders:
//! the first document leads, and whoever is alike to no leader leads too, up to [`MAX_LEADERS`]. The
//! first who follow a leader are its deputies, and later followers are measured against them as well:
//! should another bucket show that the leader goes, its followers still find each other. In large
//! buckets that is a rule of thumb, not a proof: two that stay may be alike where all leaders and
//! deputies of both went.

use super::jaccard::SetCache;
use super::records::{Overlap, Pair};
use crate::document::Ordinal;
use crate::error::Result;

/// Largest bucket whose pairs are all taken.
pub(super) const MAX_PAIRED: usize = 32;
/// Most leaders of a larger bucket.
pub(super) const MAX_LEADERS: usize = 64;
/// Most deputies of a leader.
const MAX_DEPUTIES: usize = 2;

struct Leader {
    ordinal: Ordinal,
    deputies: Vec<Ordinal>,
}

/// The bucket in hand.
pub(super) struct Bucket<'a> {
    min_jaccard: f64,
    /// First split of this run; documents of earlier ones are not measured against each other.
    own_split: u32,
    sets: &'a mut SetCache,
    members: Vec<Ordinal>,
    leaders: Vec<Leader>,
    /// Documents in it.
    size: u64,
    /// Documents in the largest so far.
    pub(super) largest: u64,
    /// Buckets with two documents or more so far.
    pub(super) shared: u64,
}

impl<'a> Bucket<'a> {
    pub(super) fn new(min_jaccard: f64, own_split: u32, sets: &'a mut SetCache) -> Self {
        let (members, leaders) = (Vec::new(), Vec::new());
        Self { min_jaccard, own_split, sets, members, leaders, size: 0, largest: 0, shared: 0 }
    }

    /// Takes the next document of this bucket, the best first: ordinals rise, or ranks and then they.
    pub(super) fn add(&mut self, ordinal: Ordinal, emit: &mut impl FnMut(Pair) -> Result<()>) -> Result<()> {
        self.size += 1;
        if self.size <= MAX_PAIRED as u64 {
            self.members.push(ordinal);
            return Ok(());
        }
        for member in std::mem::take(&mut self.members) {
            self.compare(member, emit)?;
        }
        self.compare(ordinal, emit)
    }

    /// Ends the bucket; the next document starts another.
    pub(super) fn close(&mut self, emit: &mut impl FnMut(Pair) -> Result<()>) -> Result<()> {
        self.largest = self.largest.max(self.size);
        self.shared += u64::from(self.size > 1);
        let own_split = self.own_split;
        let later = self.members.iter().enumerate().filter(|(_, later)| later.split >= own_split);
        for (number, &later) in later {
            for &earlier in &self.members[..number] {
                emit(Pair::of(later, earlier))?;
            }
        }
        self.members.clear();
        self.leaders.clear();
        self.size = 0;
        Ok(())
    }

    fn compare(&mut self, ordinal: Ordinal, emit: &mut impl FnMut(Pair) -> Result<()>) -> Result<()> {
        if ordinal.split < self.own_split {
            // It stayed in its run, so it is alike to none that did: it leads.
            if self.leaders.len() < MAX_LEADERS {
                self.leaders.push(Leader { ordinal, deputies: Vec::new() });
            }
            return Ok(());
        }
        let set = self.sets.get(ordinal)?;
        let mut leads = true;
        for leader in &mut self.leaders {
            let theirs = self.sets.get(leader.ordinal)?;
            let Some(Overlap { shared, union }) =
                self.sets.contents.overlap_from(&set, &theirs, self.min_jaccard)
            else {
                continue;
            };
            emit(Pair::of(ordinal, leader.ordinal))?;
            leads = false;
            if shared == union {
                // Equal sets: whatever holds for the leader holds for this one.
                break;
            }
            for &deputy in &leader.deputies {
                emit(Pair::of(ordinal, deputy))?;
            }
            if leader.deputies.len() < MAX_DEPUTIES {
                leader.deputies.push(ordinal);
            }
        }
        if leads && self.leaders.len() < MAX_LEADERS {
            self.leaders.push(Leader { ordinal, deputies: Vec::new() });
        }
        Ok(())
    }
}
