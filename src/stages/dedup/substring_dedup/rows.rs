//! What the passes sort: anchors, candidates, spans that are repeats; and how a place in the corpus is written.
//!
//! A place is the task and the part that wrote a text and the byte in the part's data file, in the form of an
//! [`Ordinal`]: a task reads one split from front to back, so places have the order of the documents.

use super::super::groups::Hashed;
use super::super::records::{ORDINAL_BYTES, put_ordinal, take_ordinal, take_u32, take_u64};
use crate::document::Ordinal;
use crate::io::runs::Record;

/// Bits of a place that are the byte in the part's data file.
const OFFSET_BITS: u32 = 40;

/// The place of a byte; none past a terabyte or with over 16 million parts of one task.
pub(super) fn place(task: u32, part: u32, offset: u64) -> Option<Ordinal> {
    let fits = offset >> OFFSET_BITS == 0 && part < 1 << 24;
    fits.then(|| Ordinal { split: task, record: u64::from(part) << OFFSET_BITS | offset })
}

/// Task, part and byte of a place.
pub(super) fn parse_place(place: Ordinal) -> (u32, u32, u64) {
    (place.split, (place.record >> OFFSET_BITS) as u32, place.record & ((1 << OFFSET_BITS) - 1))
}

/// The place so many bytes before.
pub(super) fn before(place: Ordinal, bytes: u16) -> Ordinal {
    Ordinal { record: place.record.saturating_sub(u64::from(bytes)), ..place }
}

fn take_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// An anchor of a text, ordered by its key, then by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AnchorRow {
    pub(super) key: u64,
    pub(super) place: Ordinal,
    pub(super) low: u16,
    pub(super) high: u16,
}

impl Record for AnchorRow {
    const BYTES: usize = 8 + ORDINAL_BYTES + 4;
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.key.to_le_bytes());
        put_ordinal(self.place, out);
        out.extend_from_slice(&self.low.to_le_bytes());
        out.extend_from_slice(&self.high.to_le_bytes());
    }
    fn decode(bytes: &[u8]) -> Self {
        Self {
            key: take_u64(bytes, 0),
            place: take_ordinal(bytes, 8),
            low: take_u16(bytes, 8 + ORDINAL_BYTES),
            high: take_u16(bytes, 10 + ORDINAL_BYTES),
        }
    }
}

impl Hashed for AnchorRow {
    fn high(&self) -> u64 {
        self.key
    }

    fn document_mut(&mut self) -> &mut Ordinal {
        &mut self.place
    }
}

/// Windows around an anchor that may have an earlier copy in their class; [`super::rounds`] tells what a class is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    /// Hash of what all members of the class have in common.
    pub(super) key: u64,
    pub(super) place: Ordinal,
    /// The windows begin from `high` to `low` bytes before the place.
    pub(super) low: u16,
    pub(super) high: u16,
    /// What the class has in common: the windows that begin from `class_high` to `class_low` bytes before.
    pub(super) class_low: u16,
    pub(super) class_high: u16,
}

impl Record for Candidate {
    const BYTES: usize = 8 + ORDINAL_BYTES + 8;
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.key.to_le_bytes());
        put_ordinal(self.place, out);
        for number in [self.low, self.high, self.class_low, self.class_high] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    fn decode(bytes: &[u8]) -> Self {
        let [low, high, class_low, class_high] =
            [0, 2, 4, 6].map(|at| take_u16(bytes, 8 + ORDINAL_BYTES + at));
        let (key, place) = (take_u64(bytes, 0), take_ordinal(bytes, 8));
        Self { key, place, low, high, class_low, class_high }
    }
}

/// A repeat: where it begins, and where its first copy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SpanRow {
    pub(super) start: Ordinal,
    pub(super) bytes: u32,
    pub(super) first: Ordinal,
}

impl Record for SpanRow {
    const BYTES: usize = 2 * ORDINAL_BYTES + 4;
    fn encode(&self, out: &mut Vec<u8>) {
        put_ordinal(self.start, out);
        out.extend_from_slice(&self.bytes.to_le_bytes());
        put_ordinal(self.first, out);
    }
    fn decode(bytes: &[u8]) -> Self {
        Self {
            start: take_ordinal(bytes, 0),
            bytes: take_u32(bytes, ORDINAL_BYTES),
            first: take_ordinal(bytes, ORDINAL_BYTES + 4),
        }
    }
}

/// A piece of a document that is a repeat, in the order of the documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Repeat {
    pub(super) doc: Ordinal,
    /// Bytes of the text, at character borders.
    pub(super) start: u32,
    pub(super) end: u32,
    /// The document with the first copy.
    pub(super) first: Ordinal,
}

impl Record for Repeat {
    const BYTES: usize = 2 * ORDINAL_BYTES + 8;
    fn encode(&self, out: &mut Vec<u8>) {
        put_ordinal(self.doc, out);
        for number in [self.start, self.end] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_ordinal(self.first, out);
    }
    fn decode(bytes: &[u8]) -> Self {
        let [start, end] = [0, 4].map(|at| take_u32(bytes, ORDINAL_BYTES + at));
        let (doc, first) = (take_ordinal(bytes, 0), take_ordinal(bytes, ORDINAL_BYTES + 8));
        Self { doc, start, end, first }
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
    fn records_and_places_read_back_as_written() {
        let a = place(7, 3, (1 << 40) - 1).unwrap();
        let b = place(u32::MAX, (1 << 24) - 1, 12).unwrap();
        assert_eq!(parse_place(a), (7, 3, (1 << 40) - 1));
        assert_eq!(parse_place(b), (u32::MAX, (1 << 24) - 1, 12));
        assert_eq!((place(0, 0, 1 << 40), place(0, 1 << 24, 0)), (None, None));
        assert!(a < b && a < place(7, 4, 0).unwrap());
        same(AnchorRow { key: 1 << 63, place: a, low: 3, high: u16::MAX });
        same(Candidate { key: 9, place: b, low: 3, high: u16::MAX, class_low: 1, class_high: 500 });
        same(SpanRow { start: a, bytes: u32::MAX, first: b });
        same(Repeat { doc: a, start: 1, end: 2, first: b });
    }
}
