//! Byte-pair encoding as SentencePiece does it: of all neighbours that make a piece, the pair with the best score is
//! joined, the leftmost of equals, until none is left.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::proto::{Kind, Piece};
use super::unigram::{ROOT, Trie};

/// A part of the text that is one symbol by now.
#[derive(Clone, Copy)]
struct Symbol {
    start: u32,
    end: u32,
    before: Option<u32>,
    after: Option<u32>,
    /// Never joined: a user-defined piece.
    frozen: bool,
}

/// Two neighbours that could be joined.
struct Pair {
    score: f32,
    left: u32,
    right: u32,
    /// Bytes of both when the pair was found; another number means that one has changed since.
    bytes: u32,
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

/// Calls `emit` with start, end and piece of each symbol that is left.
#[expect(clippy::cast_possible_truncation, reason = "texts are cut at 4 GiB before they get here")]
pub(super) fn cut(
    text: &str,
    trie: &Trie,
    pieces: &[Piece],
    emit: &mut impl FnMut(usize, usize, Option<u32>),
) {
    let mut symbols: Vec<Symbol> = Vec::with_capacity(text.len());
    let mut start = 0;
    while start < text.len() {
        let frozen = longest_user_defined(&text[start..], trie, pieces);
        let length = frozen.unwrap_or_else(|| text[start..].chars().next().map_or(1, char::len_utf8));
        let number = symbols.len() as u32;
        symbols.push(Symbol {
            start: start as u32,
            end: (start + length) as u32,
            before: number.checked_sub(1),
            after: Some(number + 1),
            frozen: frozen.is_some(),
        });
        start += length;
    }
    if let Some(last) = symbols.last_mut() {
        last.after = None;
    }
    let mut queue = BinaryHeap::new();
    for left in 1..symbols.len() as u32 {
        queue.extend(pair(text, trie, pieces, &symbols, left - 1, left));
    }
    while let Some(Pair { left, right, bytes, .. }) = queue.pop() {
        let (one, two) = (symbols[left as usize], symbols[right as usize]);
        if one.start == one.end
            || two.start == two.end
            || two.end - one.start != bytes
            || one.end != two.start
        {
            continue;
        }
        symbols[left as usize].end = two.end;
        symbols[left as usize].after = two.after;
        symbols[right as usize].end = two.start;
        if let Some(after) = two.after {
            symbols[after as usize].before = Some(left);
            queue.extend(pair(text, trie, pieces, &symbols, left, after));
        }
        if let Some(before) = one.before {
            queue.extend(pair(text, trie, pieces, &symbols, before, left));
        }
    }
    for symbol in symbols.iter().filter(|symbol| symbol.start != symbol.end) {
        let (start, end) = (symbol.start as usize, symbol.end as usize);
        emit(start, end, trie.find(&text[start..end]));
    }
}

fn pair(
    text: &str,
    trie: &Trie,
    pieces: &[Piece],
    symbols: &[Symbol],
    left: u32,
    right: u32,
) -> Option<Pair> {
    let (one, two) = (symbols[left as usize], symbols[right as usize]);
    if one.frozen || two.frozen {
        return None;
    }
    let piece = trie.find(&text[one.start as usize..two.end as usize])?;
    Some(Pair { score: pieces[piece as usize].score, left, right, bytes: two.end - one.start })
}

fn longest_user_defined(text: &str, trie: &Trie, pieces: &[Piece]) -> Option<usize> {
    let (mut node, mut longest) = (ROOT, None);
    for (place, byte) in text.bytes().enumerate() {
        let Some(next) = trie.step(node, byte) else { break };
        node = next;
        if trie.piece(node).is_some_and(|piece| pieces[piece as usize].kind == Kind::UserDefined) {
            longest = Some(place + 1);
        }
    }
    longest
}
