//! The best way to cut a text under a unigram model: Viterbi over a trie of the pieces.

use super::proto::{Kind, Piece};

/// How far below the worst piece an unknown character is.
const UNKNOWN_PENALTY: f32 = 10.0;

/// All pieces that may be found in text, by their bytes.
pub(super) struct Trie {
    /// (node << 8 | byte) plus one, and the child; an open-addressing table of a power of two.
    slots: Vec<(u64, u32)>,
    /// Piece that ends at a node, plus one.
    ends: Vec<u32>,
}

/// Node that every walk starts from.
pub(super) const ROOT: u32 = 0;

impl Trie {
    #[expect(clippy::cast_possible_truncation, reason = "a model file is far below 4 GiB")]
    pub(super) fn new(pieces: &[Piece]) -> Self {
        let bytes: usize = pieces.iter().map(|piece| piece.text.len()).sum();
        let size = (bytes * 2).next_power_of_two().max(16);
        let mut trie = Self { slots: vec![(0, 0); size], ends: vec![0] };
        for (id, piece) in pieces.iter().enumerate() {
            if !matches!(piece.kind, Kind::Normal | Kind::UserDefined) || piece.text.is_empty() {
                continue;
            }
            let mut node = ROOT;
            for byte in piece.text.bytes() {
                let key = u64::from(node) << 8 | u64::from(byte);
                let slot = trie.slot(key);
                if trie.slots[slot].0 == 0 {
                    trie.slots[slot] = (key + 1, trie.ends.len() as u32);
                    trie.ends.push(0);
                }
                node = trie.slots[slot].1;
            }
            // Of two equal pieces the first counts.
            if trie.ends[node as usize] == 0 {
                trie.ends[node as usize] = id as u32 + 1;
            }
        }
        trie
    }

    fn slot(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & mask;
        while self.slots[slot].0 != 0 && self.slots[slot].0 != key + 1 {
            slot = (slot + 1) & mask;
        }
        slot
    }

    /// The child of a node.
    pub(super) fn step(&self, node: u32, byte: u8) -> Option<u32> {
        let (key, child) = self.slots[self.slot(u64::from(node) << 8 | u64::from(byte))];
        (key != 0).then_some(child)
    }

    /// The piece that ends at a node.
    pub(super) fn piece(&self, node: u32) -> Option<u32> {
        self.ends[node as usize].checked_sub(1)
    }

    /// The piece that is exactly this text.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        let node = text.bytes().try_fold(ROOT, |node, byte| self.step(node, byte))?;
        self.piece(node)
    }
}

/// Scores of the pieces as the search uses them.
pub(super) struct Scores {
    /// By piece; those of user-defined pieces depend on their length and are NaN here.
    by_piece: Vec<f32>,
    max: f32,
    unknown: f32,
}

impl Scores {
    pub(super) fn new(pieces: &[Piece]) -> Self {
        let normal = pieces.iter().filter(|piece| piece.kind == Kind::Normal).map(|piece| piece.score);
        let (min, max) =
            normal.fold((f32::MAX, f32::MIN), |(min, max), score| (min.min(score), max.max(score)));
        let score = |piece: &Piece| if piece.kind == Kind::UserDefined { f32::NAN } else { piece.score };
        Self { by_piece: pieces.iter().map(score).collect(), max, unknown: min - UNKNOWN_PENALTY }
    }

    #[expect(clippy::cast_precision_loss, reason = "pieces are short")]
    fn of(&self, piece: u32, bytes: usize) -> f32 {
        let score = self.by_piece[piece as usize];
        if score.is_nan() { bytes as f32 * self.max - 0.1 } else { score }
    }
}

/// The best way to end at a place.
#[derive(Clone, Copy)]
struct Best {
    score: f32,
    start: u32,
    /// Piece plus one; 0 for an unknown character.
    piece: u32,
    reached: bool,
}

/// Calls `emit` with start, end and piece of the best cut.
#[expect(clippy::cast_possible_truncation, reason = "texts are cut at 4 GiB before they get here")]
pub(super) fn cut(
    text: &str,
    trie: &Trie,
    scores: &Scores,
    emit: &mut impl FnMut(usize, usize, Option<u32>),
) {
    let bytes = text.as_bytes();
    let none = Best { score: 0.0, start: 0, piece: 0, reached: false };
    let mut best = vec![none; bytes.len() + 1];
    let better = |end: usize, start: usize, score: f32, piece: u32, best: &mut [Best]| {
        let known = &mut best[end];
        if !known.reached || score > known.score {
            *known = Best { score, start: start as u32, piece, reached: true };
        }
    };
    let mut start = 0;
    while start < bytes.len() {
        let here = best[start].score;
        let char_bytes = text[start..].chars().next().map_or(1, char::len_utf8);
        let (mut node, mut has_single) = (ROOT, false);
        for (place, &byte) in bytes[start..].iter().enumerate() {
            let Some(next) = trie.step(node, byte) else { break };
            node = next;
            if let Some(piece) = trie.piece(node) {
                let length = place + 1;
                has_single |= length == char_bytes;
                better(start + length, start, here + scores.of(piece, length), piece + 1, &mut best);
            }
        }
        if !has_single {
            better(start + char_bytes, start, here + scores.unknown, 0, &mut best);
        }
        start += char_bytes;
    }
    // From the end back to the start, then forwards.
    let mut ends = Vec::new();
    let mut end = bytes.len();
    while end > 0 {
        ends.push(end);
        end = best[end].start as usize;
    }
    for &end in ends.iter().rev() {
        let found = best[end];
        emit(found.start as usize, end, found.piece.checked_sub(1));
    }
}
