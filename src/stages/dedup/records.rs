//! The fixed-size records that the dedup passes sort, little-endian on disk.

use std::hash::Hash;

use crate::document::Ordinal;
use crate::io::runs::Record;

/// Bytes of an ordinal.
pub(super) const ORDINAL_BYTES: usize = 12;

pub(super) fn put_ordinal(ordinal: Ordinal, out: &mut Vec<u8>) {
    out.extend_from_slice(&ordinal.split.to_le_bytes());
    out.extend_from_slice(&ordinal.record.to_le_bytes());
}

pub(super) fn take_ordinal(bytes: &[u8], at: usize) -> Ordinal {
    Ordinal { split: take_u32(bytes, at), record: take_u64(bytes, at + 4) }
}

pub(super) fn take_u32(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

pub(super) fn take_u64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// A hash that brings equal things together: 64 bits for a band, 128 for a whole text.
pub(super) trait Key: Copy + Ord + Hash + Send + Sync + 'static {
    const BYTES: usize;
    fn put(self, out: &mut Vec<u8>);
    fn take(bytes: &[u8]) -> Self;
    /// The 64 most significant bits: what ranges are made of.
    fn high(self) -> u64;
    /// Whether two keys bring their documents together.
    fn is_same(self, other: Self) -> bool {
        self == other
    }
}

impl Key for u64 {
    const BYTES: usize = 8;
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
    fn take(bytes: &[u8]) -> Self {
        take_u64(bytes, 0)
    }
    fn high(self) -> u64 {
        self
    }
}

impl Key for u128 {
    const BYTES: usize = 16;
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
    fn take(bytes: &[u8]) -> Self {
        u128::from(take_u64(bytes, 0)) | u128::from(take_u64(bytes, 8)) << 64
    }
    fn high(self) -> u64 {
        (self >> 64) as u64
    }
}

/// A hash of which equal ones come together, the best document first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ranked<K> {
    pub(super) hash: K,
    /// The smaller, the better.
    pub(super) rank: u64,
}

impl<K: Key> Key for Ranked<K> {
    const BYTES: usize = K::BYTES + 8;
    fn put(self, out: &mut Vec<u8>) {
        self.hash.put(out);
        self.rank.put(out);
    }
    fn take(bytes: &[u8]) -> Self {
        Self { hash: K::take(bytes), rank: take_u64(bytes, K::BYTES) }
    }
    fn high(self) -> u64 {
        self.hash.high()
    }
    fn is_same(self, other: Self) -> bool {
        self.hash.is_same(other.hash)
    }
}

/// "This document has this key", ordered by key, then by place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row<K> {
    pub(super) key: K,
    pub(super) ordinal: Ordinal,
}

impl<K: Key> Record for Row<K> {
    const BYTES: usize = K::BYTES + ORDINAL_BYTES;
    fn encode(&self, out: &mut Vec<u8>) {
        self.key.put(out);
        put_ordinal(self.ordinal, out);
    }
    fn decode(bytes: &[u8]) -> Self {
        Self { key: K::take(bytes), ordinal: take_ordinal(bytes, K::BYTES) }
    }
}

/// Two documents that may be alike, ordered by the later one: all that speaks against a document
/// stands together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub(super) later: Ordinal,
    pub(super) earlier: Ordinal,
}

impl Pair {
    /// The pair of two different documents in either order.
    pub(super) fn of(a: Ordinal, b: Ordinal) -> Self {
        Self { later: a.max(b), earlier: a.min(b) }
    }
}

impl Record for Pair {
    const BYTES: usize = 2 * ORDINAL_BYTES;
    fn encode(&self, out: &mut Vec<u8>) {
        put_ordinal(self.later, out);
        put_ordinal(self.earlier, out);
    }
    fn decode(bytes: &[u8]) -> Self {
        Self { later: take_ordinal(bytes, 0), earlier: take_ordinal(bytes, ORDINAL_BYTES) }
    }
}

/// How many shingles two documents share, and how many they have together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Overlap {
    pub(super) shared: u32,
    pub(super) union: u32,
}

impl Overlap {
    /// Of equal documents.
    pub(super) const EQUAL: Self = Self { shared: 1, union: 1 };

    /// The Jaccard similarity, 0 to 1; 0 for two empty sets.
    pub(super) fn jaccard(self) -> f64 {
        if self.union == 0 { 0.0 } else { f64::from(self.shared) / f64::from(self.union) }
    }
}

/// A verified pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    pub(super) pair: Pair,
    pub(super) overlap: Overlap,
}

impl Record for Edge {
    const BYTES: usize = Pair::BYTES + 8;
    fn encode(&self, out: &mut Vec<u8>) {
        self.pair.encode(out);
        out.extend_from_slice(&self.overlap.shared.to_le_bytes());
        out.extend_from_slice(&self.overlap.union.to_le_bytes());
    }
    fn decode(bytes: &[u8]) -> Self {
        let overlap =
            Overlap { shared: take_u32(bytes, Pair::BYTES), union: take_u32(bytes, Pair::BYTES + 4) };
        Self { pair: Pair::decode(bytes), overlap }
    }
}

/// A document that goes, ordered by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Gone {
    pub(super) removed: Ordinal,
    /// The document that stays instead.
    pub(super) kept: Ordinal,
    /// The first document of the cluster.
    pub(super) cluster: Ordinal,
    pub(super) overlap: Overlap,
}

impl Record for Gone {
    const BYTES: usize = 3 * ORDINAL_BYTES + 8;
    fn encode(&self, out: &mut Vec<u8>) {
        put_ordinal(self.removed, out);
        put_ordinal(self.kept, out);
        put_ordinal(self.cluster, out);
        out.extend_from_slice(&self.overlap.shared.to_le_bytes());
        out.extend_from_slice(&self.overlap.union.to_le_bytes());
    }
    fn decode(bytes: &[u8]) -> Self {
        let overlap = 3 * ORDINAL_BYTES;
        Self {
            removed: take_ordinal(bytes, 0),
            kept: take_ordinal(bytes, ORDINAL_BYTES),
            cluster: take_ordinal(bytes, 2 * ORDINAL_BYTES),
            overlap: Overlap { shared: take_u32(bytes, overlap), union: take_u32(bytes, overlap + 4) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same<R: Record + std::fmt::Debug>(record: R) {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        assert_eq!(bytes.len(), R::BYTES);
        assert!(R::decode(&bytes) == record, "{record:?}");
    }

    #[test]
    fn records_read_back_as_written() {
        let a = Ordinal { split: 7, record: 1 << 40 };
        let b = Ordinal { split: u32::MAX, record: 3 };
        let overlap = Overlap { shared: 4, union: 5 };
        same(Row { key: 0x0102_0304_0506_0708_u64, ordinal: a });
        same(Row { key: u128::MAX - 5, ordinal: b });
        same(Row { key: Ranked { hash: 9_u64, rank: 1 << 50 }, ordinal: b });
        same(Pair::of(b, a));
        same(Edge { pair: Pair::of(a, b), overlap });
        same(Gone { removed: b, kept: a, cluster: a, overlap });
    }
}
