//! N-grams in a bit-packed trie: KenLM's trie binaries, plain or quantised, with whole or array-compressed
//! pointers. CCNet's published models are of this form.
//!
//! The trie is read from the last word of an n-gram backwards: the children of `w2 w3` are the n-grams `w1 w2 w3`,
//! sorted by the id of `w1`. Layout behind the header: vocabulary; tables of the quantised values
//! ([`quantise`]); one 16-byte entry per id (probability, backoff, first child), and two more of which the first
//! ends the children of the last word; per middle order the upper bits of its pointers ([`pointers`]) and its
//! records ([`bits`]); the records of the longest order; the words, NUL-ended, if the header says so.
//! A record is: id, values, pointer to its first child (none in the longest order). Its children end where
//! those of the next record begin, so every middle order has one more record than n-grams.

mod bits;
mod pointers;
mod quantise;

use std::ops::Range;

use super::format::{Block, Cursor, Error, Header, Kind, damaged, f32_at, u64_at};
use super::prefetch::prefetch;
use super::search::{Gram, Level, Search, check_gram};
use super::vocabulary::Vocabulary;
use bits::{Records, width};
use pointers::Pointers;
use quantise::Values;

/// A model in a trie.
#[derive(Debug)]
pub(super) struct Trie {
    unigrams: Block,
    middles: Vec<Middle>,
    longest: Longest,
}

#[derive(Debug)]
struct Middle {
    records: Records,
    values: Values,
    pointers: Pointers,
    /// Number of n-grams of the next order: no pointer is larger.
    children: u64,
}

#[derive(Debug)]
struct Longest {
    records: Records,
    values: Values,
}

impl Trie {
    /// Reads what follows the header.
    pub(super) fn read(cursor: &mut Cursor, header: &Header) -> Result<(Vocabulary, Self), Error> {
        let counts = &header.counts;
        let Kind::Trie { quantised, array } = header.kind else {
            return damaged("header: not a trie");
        };
        let vocabulary = Vocabulary::read_sorted(cursor, counts[0])?;
        let order = counts.len();
        let mut values = quantise::read(cursor, order, quantised)?.into_iter();
        let unigrams = cursor.take(16 * (counts[0] + 2), "the unigrams")?;
        let word_bits = width(counts[0]);
        let mut array_bits = None;
        let mut next_values = || values.next().unwrap_or(Values::Whole);
        let mut middles = Vec::new();
        for i in 1..order - 1 {
            let what = format!("the {}-grams", i + 1);
            let (entries, children, values) = (counts[i], counts[i + 1], next_values());
            let pointers = if array {
                Pointers::read_array(cursor, entries + 1, children, &mut array_bits, &what)?
            } else {
                Pointers::whole(children)
            };
            let pointers = pointers.behind(values.middle_bits());
            let record_bits = word_bits + values.middle_bits() + pointers.bits();
            let records = Records::read(cursor, entries, word_bits, record_bits, &what)?;
            middles.push(Middle { records, values, pointers, children });
        }
        let values = next_values();
        let what = format!("the {order}-grams");
        let record_bits = word_bits + values.longest_bits();
        let records = Records::read(cursor, counts[order - 1], word_bits, record_bits, &what)?;
        Ok((vocabulary, Self { unigrams, middles, longest: Longest { records, values } }))
    }

    /// Looks at every record: children in order and inside the next order, ids rising among siblings, values
    /// that a model can have.
    pub(super) fn check(&self, counts: &[u64], ids: u32) -> Result<(), Error> {
        let children = |id: u64| {
            let at = usize::try_from(16 * id).unwrap_or(usize::MAX);
            u64_at(self.unigrams.bytes(), at.saturating_add(8))
        };
        let mut starts = Starts::new("unigrams", counts[1]);
        for id in 0..ids {
            check_gram(self.unigram(id).0)
                .map_err(|wrong| Error::Damaged(format!("unigrams: {wrong} (id {id})")))?;
            starts.next(children(u64::from(id)))?;
        }
        starts.last(children(u64::from(ids)))?;
        let mut parents: Box<dyn Iterator<Item = u64>> = Box::new((0..=u64::from(ids)).map(children));
        for (middle, i) in self.middles.iter().zip(2_usize..) {
            let what = format!("{i}-grams");
            let view = middle.view();
            let mut siblings = Siblings::new(&what, parents, ids);
            let mut starts = Starts::new(&what, middle.children);
            let mut pointers = view.pointers.all(view.records);
            for at in 0..view.records.entries {
                siblings.next(at, view.records.word(at))?;
                let gram = view.gram(at);
                check_gram(gram).map_err(|wrong| Error::Damaged(format!("{what}: {wrong} (record {at})")))?;
                starts.next(pointers.next().unwrap_or(0))?;
            }
            starts.last(pointers.next().unwrap_or(0))?;
            parents = Box::new(view.pointers.all(view.records));
        }
        let what = format!("{}-grams", counts.len());
        let mut siblings = Siblings::new(&what, parents, ids);
        let view = self.longest.view();
        for at in 0..view.records.entries {
            siblings.next(at, view.records.word(at))?;
            check_gram(Gram { prob: view.prob(at), backoff: 0.0 })
                .map_err(|wrong| Error::Damaged(format!("{what}: {wrong} (record {at})")))?;
        }
        Ok(())
    }
}

/// Checks that pointers rise from 0 to the number of children.
struct Starts<'a> {
    what: &'a str,
    last: Option<u64>,
    children: u64,
}

impl<'a> Starts<'a> {
    fn new(what: &'a str, children: u64) -> Self {
        Self { what, last: None, children }
    }

    fn next(&mut self, pointer: u64) -> Result<(), Error> {
        let fits = self.last.map_or(pointer == 0, |last| pointer >= last) && pointer <= self.children;
        self.last = Some(pointer);
        if fits { Ok(()) } else { damaged(format!("{}: pointer {pointer} is out of order", self.what)) }
    }

    fn last(&mut self, pointer: u64) -> Result<(), Error> {
        if pointer == self.children {
            return Ok(());
        }
        damaged(format!("{}: the last pointer is {pointer}, not {}", self.what, self.children))
    }
}

/// Checks that ids rise between the pointers of the order above.
struct Siblings<'a, P> {
    what: &'a str,
    starts: P,
    start: Option<u64>,
    last: Option<u64>,
    ids: u32,
}

impl<'a, P: Iterator<Item = u64>> Siblings<'a, P> {
    fn new(what: &'a str, mut starts: P, ids: u32) -> Self {
        let start = starts.next();
        Self { what, starts, start, last: None, ids }
    }

    fn next(&mut self, at: u64, word: u64) -> Result<(), Error> {
        while self.start.is_some_and(|start| start <= at) {
            self.start = self.starts.next();
            self.last = None;
        }
        let rises = self.last.is_none_or(|last| last < word);
        self.last = Some(word);
        if rises && word < u64::from(self.ids) {
            return Ok(());
        }
        damaged(format!("{}: word {word} out of order or out of range (record {at})", self.what))
    }
}

impl Middle {
    #[inline]
    fn view(&self) -> MiddleView<'_> {
        MiddleView {
            records: self.records.view(),
            values: self.values.view(),
            pointers: self.pointers.view(),
            children: self.children,
        }
    }
}

impl Longest {
    #[inline]
    fn view(&self) -> LongestView<'_> {
        LongestView { records: self.records.view(), values: self.values.view() }
    }
}

/// A middle order whose bytes were found.
#[derive(Clone, Copy)]
pub(super) struct MiddleView<'a> {
    records: bits::View<'a>,
    values: quantise::View<'a>,
    pointers: pointers::View<'a>,
    children: u64,
}

impl MiddleView<'_> {
    #[inline]
    fn gram(&self, at: u64) -> Gram {
        self.values.middle(&self.records, at)
    }
}

/// The longest order whose bytes were found.
#[derive(Clone, Copy)]
pub(super) struct LongestView<'a> {
    records: bits::View<'a>,
    values: quantise::View<'a>,
}

impl LongestView<'_> {
    #[inline]
    fn prob(&self, at: u64) -> f32 {
        self.values.longest(&self.records, at)
    }
}

/// The children of an n-gram: places in the next order, never an empty range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Children {
    start: u64,
    end: u64,
}

impl Children {
    #[inline]
    fn new(start: u64, end: u64) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    fn range(self) -> Range<u64> {
        self.start..self.end
    }
}

impl Search for Trie {
    type Node = Children;
    type Level<'a> = TrieLevel<'a>;

    #[inline]
    fn level(&self, order: usize) -> TrieLevel<'_> {
        match self.middles.get(order - 2) {
            Some(middle) => TrieLevel::Middle(middle.view()),
            None => TrieLevel::Longest(self.longest.view()),
        }
    }

    #[inline]
    fn unigram(&self, id: u32) -> (Gram, Option<Children>) {
        let entries = self.unigrams.bytes();
        // The last two entries are no words.
        let at = if entries.len() / 16 > id as usize + 2 { 16 * id as usize } else { 0 };
        let gram = Gram { prob: f32_at(entries, at), backoff: f32_at(entries, at + 4) };
        (gram, Children::new(u64_at(entries, at + 8), u64_at(entries, at + 24)))
    }

    #[inline]
    fn prefetch(&self, id: u32) {
        prefetch(self.unigrams.bytes().get(16 * id as usize));
    }
}

/// The records of one order.
#[derive(Clone, Copy)]
pub(super) enum TrieLevel<'a> {
    Middle(MiddleView<'a>),
    Longest(LongestView<'a>),
}

impl Level for TrieLevel<'_> {
    type Node = Children;

    #[inline]
    fn find(&self, node: Children, previous: u32) -> Option<(Gram, Option<Children>)> {
        match self {
            Self::Middle(level) => {
                let at = level.records.find(node.range(), previous)?;
                let (start, end) = level.pointers.pair(&level.records, at);
                Some((level.gram(at), Children::new(start, end.min(level.children))))
            }
            Self::Longest(level) => {
                let at = level.records.find(node.range(), previous)?;
                Some((Gram { prob: level.prob(at), backoff: 0.0 }, None))
            }
        }
    }

    #[inline]
    fn prefetch(&self, node: Children, previous: u32) {
        let records = match self {
            Self::Middle(level) => &level.records,
            Self::Longest(level) => &level.records,
        };
        records.prefetch(records.first_look(&node.range(), previous));
    }
}
