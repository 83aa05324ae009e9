//! The n-grams of all evaluation sets, and finding them in the letters of a page.
//!
//! Texts are compared by their letters ([`letters`]): without white space, punctuation, case and accents. The words of an
//! example say where its n-grams begin and end; where the words of a page end is never asked. Of every n-gram one
//! stretch of 16 bytes that begins at a word is its anchor: the one that occurs least often in the sets, so that few
//! places of a page come into question. A page is hashed at every byte, 16 bytes at a time; a bit map says no to nearly all
//! of them. What is left is looked up, and the n-gram compared byte by byte: a hash never decides.
//!
//! Memory: about 60 bytes per word of the sets (a million words: 60 MB), outside the run's budget.

use std::collections::HashMap;

use super::units::{Unit, Units};

/// Bytes of an anchor. An n-gram with fewer bytes of letters is not searched: without spaces it would be found in
/// passing words.
pub(super) const ANCHOR_BYTES: usize = 16;
/// Bits of the bit map per anchor.
const FILTER_BITS_PER_ANCHOR: usize = 16;

/// A field of an example: what is found or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passage {
    /// Number of the set.
    pub(super) set: u32,
    /// Number of the example in it, from 1.
    pub(super) example: u32,
    /// Number of the field's name.
    pub(super) field: u32,
    /// Different n-grams of it that are searched.
    pub(super) grams: u32,
}

/// Letters of an n-gram.
#[derive(Debug, Clone, Copy)]
struct Gram {
    start: u32,
    end: u32,
}

/// Where the anchor stands in an n-gram.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    gram: u32,
    offset: u32,
}

/// Anchors of one hash.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    hash: u64,
    first: u32,
    count: u32,
}

/// An n-gram in a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Match {
    /// First byte, of the page's letters.
    pub(super) start: usize,
    /// The byte behind the last.
    pub(super) end: usize,
    /// Which n-gram.
    pub(super) gram: u32,
}

/// All that is searched.
#[derive(Debug)]
pub(super) struct Index {
    letters: Vec<u8>,
    grams: Vec<Gram>,
    /// Where the passages of an n-gram begin in `holders`; one more than there are n-grams.
    holder_starts: Vec<u32>,
    holders: Vec<u32>,
    pub(super) passages: Vec<Passage>,
    filter: Vec<u64>,
    filter_shift: u32,
    slots: Vec<Slot>,
    anchors: Vec<Anchor>,
}

/// A window of a passage before equal ones are put together.
#[derive(Debug, Clone, Copy)]
struct Window {
    passage: u32,
    /// Numbers of the word starts of the first word and of the one behind the last.
    first: u32,
    behind: u32,
}

/// Takes up passages.
#[derive(Debug)]
pub(super) struct Builder {
    unit: Unit,
    n: usize,
    min_words: usize,
    units: Units,
    letters: Vec<u8>,
    /// Where words begin in `letters`, and after the last of each passage its end.
    starts: Vec<u32>,
    windows: Vec<Window>,
    passages: Vec<Passage>,
}

impl Builder {
    /// For n-grams of `n` units; texts with fewer, but at least `min_words` words, are one n-gram.
    pub(super) fn new(unit: Unit, n: usize, min_words: usize) -> Self {
        Self {
            unit,
            n,
            min_words,
            units: Units::default(),
            letters: Vec::new(),
            starts: Vec::new(),
            windows: Vec::new(),
            passages: Vec::new(),
        }
    }

    /// Adds a field's text; `Ok(false)` where it is too short to be searched.
    ///
    /// # Errors
    /// Where the sets hold more than 4 GiB of letters.
    pub(super) fn add(&mut self, set: u32, example: u32, field: u32, text: &str) -> Result<bool, String> {
        let words = self.units.split(text, self.unit);
        let (letters, starts) = (&self.units.letters, &self.units.starts);
        let units = starts.len();
        let size = if units >= self.n {
            self.n
        } else if words >= self.min_words.max(1) {
            units
        } else {
            return Ok(false);
        };
        let base = self.letters.len();
        let first = self.starts.len();
        if u32::try_from(base + letters.len()).is_err() || u32::try_from(first + units + 1).is_err() {
            return Err("the sets hold more than 4 GiB of letters".to_owned());
        }
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let passage = narrow(self.passages.len());
        let end_of = |unit: usize| starts.get(unit).copied().unwrap_or(letters.len());
        let windows_before = self.windows.len();
        for unit in 0..=units - size {
            let gram = &letters[starts[unit]..end_of(unit + size)];
            if gram.len() >= ANCHOR_BYTES && gram.iter().any(|byte| !byte.is_ascii_digit()) {
                let (first, behind) = (narrow(first + unit), narrow(first + unit + size));
                self.windows.push(Window { passage, first, behind });
            }
        }
        if self.windows.len() == windows_before {
            return Ok(false);
        }
        self.letters.extend_from_slice(letters);
        self.starts.extend(starts.iter().map(|&start| narrow(base + start)));
        self.starts.push(narrow(base + letters.len()));
        self.passages.push(Passage { set, example, field, grams: 0 });
        Ok(true)
    }

    /// Puts equal n-grams together and chooses their anchors.
    pub(super) fn build(self) -> Index {
        let Self { letters, starts, windows, mut passages, .. } = self;
        let mut numbers: HashMap<&[u8], u32> = HashMap::new();
        let mut grams: Vec<(Gram, Window)> = Vec::new();
        let mut held: Vec<(u32, u32)> = Vec::with_capacity(windows.len());
        for window in windows {
            let gram = Gram { start: starts[window.first as usize], end: starts[window.behind as usize] };
            let next = u32::try_from(grams.len()).unwrap_or(u32::MAX);
            let number = *numbers.entry(gram.of(&letters)).or_insert_with(|| {
                grams.push((gram, window));
                next
            });
            held.push((number, window.passage));
        }
        drop(numbers);
        held.sort_unstable();
        held.dedup();
        let mut holder_starts = vec![0_u32; grams.len() + 1];
        for (gram, passage) in &held {
            holder_starts[*gram as usize + 1] += 1;
            passages[*passage as usize].grams += 1;
        }
        for gram in 0..grams.len() {
            holder_starts[gram + 1] += holder_starts[gram];
        }
        let holders = held.iter().map(|(_, passage)| *passage).collect();
        let mut chosen = choose_anchors(&letters, &starts, &grams);
        chosen.sort_unstable();
        let grams = grams.into_iter().map(|(gram, _)| gram).collect();
        let index = Index {
            letters,
            grams,
            holder_starts,
            holders,
            passages,
            filter: Vec::new(),
            filter_shift: 0,
            slots: Vec::new(),
            anchors: Vec::new(),
        };
        index.with_anchors(&chosen)
    }
}

/// Hash, n-gram and place in it, an anchor per n-gram.
fn choose_anchors(letters: &[u8], starts: &[u32], grams: &[(Gram, Window)]) -> Vec<(u64, u32, u32)> {
    let hashes: Vec<u64> = starts
        .iter()
        .map(|&start| letters.get(start as usize..).and_then(<[u8]>::first_chunk).map_or(0, hash))
        .collect();
    let mut counts: HashMap<u64, u32> = HashMap::new();
    for &hash in &hashes {
        *counts.entry(hash).or_default() += 1;
    }
    let rarity: Vec<u32> = hashes.iter().map(|hash| counts.get(hash).copied().unwrap_or(0)).collect();
    let chosen = grams.iter().enumerate().map(|(number, (gram, window))| {
        let fits = |unit: &usize| starts[*unit] as usize + ANCHOR_BYTES <= gram.end as usize;
        let units = (window.first as usize..window.behind as usize).take_while(fits);
        let best = units.min_by_key(|&unit| (rarity[unit], hashes[unit])).unwrap_or(window.first as usize);
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        (hashes[best], number, starts[best] - gram.start)
    });
    chosen.collect()
}

impl Gram {
    fn of(self, letters: &[u8]) -> &[u8] {
        &letters[self.start as usize..self.end as usize]
    }
}

/// Hash of an anchor: the folded product of its halves.
#[inline]
fn hash(bytes: &[u8; ANCHOR_BYTES]) -> u64 {
    let half = |from: usize| {
        bytes[from..from + 8].iter().rev().fold(0_u64, |value, &byte| value << 8 | u64::from(byte))
    };
    let product = u128::from(half(0) ^ 0x9E37_79B9_7F4A_7C15) * u128::from(half(8) ^ 0xD1B5_4A32_D192_ED03);
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a product")]
    let folded = (product >> 64) as u64 ^ product as u64;
    folded
}

/// Where the search for a hash begins in a table whose size is a power of two.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lower bits are wanted")]
fn first_place(hash: u64, size: usize) -> usize {
    hash as usize & (size - 1)
}

impl Index {
    /// `chosen` is sorted.
    fn with_anchors(mut self, chosen: &[(u64, u32, u32)]) -> Self {
        let bits = (chosen.len() * FILTER_BITS_PER_ANCHOR).next_power_of_two().max(1 << 12);
        self.filter = vec![0; bits / 64];
        self.filter_shift = 64 - bits.ilog2();
        let size = (chosen.len() * 2).next_power_of_two().max(16);
        self.slots = vec![Slot::default(); size];
        for same in chosen.chunk_by(|a, b| a.0 == b.0) {
            let hash = same[0].0;
            let bit = hash >> self.filter_shift;
            self.filter[(bit / 64) as usize] |= 1 << (bit % 64);
            let mut place = first_place(hash, size);
            while self.slots[place].count > 0 {
                place = (place + 1) & (size - 1);
            }
            let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            self.slots[place] = Slot { hash, first: narrow(self.anchors.len()), count: narrow(same.len()) };
            self.anchors.extend(same.iter().map(|&(_, gram, offset)| Anchor { gram, offset }));
        }
        self
    }

    /// Every n-gram at every place of a page, by place; `found` is emptied first.
    pub(super) fn search(&self, page: &[u8], found: &mut Vec<Match>) {
        found.clear();
        let filter: &[u64] = &self.filter;
        let shift = self.filter_shift;
        for (at, anchor) in page.array_windows::<ANCHOR_BYTES>().enumerate() {
            let hash = hash(anchor);
            let bit = hash >> shift;
            let word = filter.get((bit / 64) as usize).copied().unwrap_or(0);
            if word >> (bit % 64) & 1 != 0 {
                self.compare(page, at, hash, found);
            }
        }
        found.sort_unstable();
    }

    /// The n-grams whose anchor this may be.
    #[inline(never)]
    fn compare(&self, page: &[u8], at: usize, hash: u64, found: &mut Vec<Match>) {
        let mut place = first_place(hash, self.slots.len());
        loop {
            let slot = self.slots[place];
            if slot.count == 0 {
                return;
            }
            if slot.hash == hash {
                let anchors = &self.anchors[slot.first as usize..][..slot.count as usize];
                for anchor in anchors {
                    let letters = self.grams[anchor.gram as usize].of(&self.letters);
                    let Some(start) = at.checked_sub(anchor.offset as usize) else { continue };
                    if page[start..].starts_with(letters) {
                        found.push(Match { start, end: start + letters.len(), gram: anchor.gram });
                    }
                }
                return;
            }
            place = (place + 1) & (self.slots.len() - 1);
        }
    }

    /// The passages that have an n-gram.
    pub(super) fn holders(&self, gram: u32) -> &[u32] {
        let gram = gram as usize;
        &self.holders[self.holder_starts[gram] as usize..self.holder_starts[gram + 1] as usize]
    }
}
