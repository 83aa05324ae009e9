//! What the span stages ([`super::line_dedup`], [`super::sentence_dedup`]) write down: keys of units, places of
//! pieces, and which units go.
//!
//! A document consists of *pieces* (lines, paragraphs, sentences), numbered from 0. A *unit* is one piece, or
//! the window of pieces that begins with it; what is compared are units. Keys have 96 bits of xxh3: among 10^10
//! different units the chance that any two share one is 6 * 10^-10 (64 bits: 2.7 such pairs to be expected).

use super::groups::Hashed;
use super::records::{ORDINAL_BYTES, put_ordinal, take_ordinal, take_u32, take_u64};
use crate::document::Ordinal;
use crate::error::{Error, Result};
use crate::io::runs::Record;

/// Hash of a normalised unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct UnitKey {
    high: u64,
    low: u32,
}

impl UnitKey {
    const BYTES: usize = 12;

    pub(super) fn of(normalised: &[u8]) -> Self {
        let hash = xxhash_rust::xxh3::xxh3_128(normalised);
        #[expect(clippy::cast_possible_truncation, reason = "96 of 128 bits are kept")]
        Self { high: (hash >> 64) as u64, low: hash as u32 }
    }

    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.high.to_le_bytes());
        out.extend_from_slice(&self.low.to_le_bytes());
    }

    fn take(bytes: &[u8], at: usize) -> Self {
        Self { high: take_u64(bytes, at), low: take_u32(bytes, at + 8) }
    }
}

/// "This unit of this document has this key", ordered by key, then by place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UnitRow {
    pub(super) key: UnitKey,
    pub(super) doc: Ordinal,
    pub(super) unit: u32,
}

impl Record for UnitRow {
    const BYTES: usize = UnitKey::BYTES + ORDINAL_BYTES + 4;
    fn encode(&self, out: &mut Vec<u8>) {
        self.key.put(out);
        put_ordinal(self.doc, out);
        out.extend_from_slice(&self.unit.to_le_bytes());
    }
    fn decode(bytes: &[u8]) -> Self {
        Self {
            key: UnitKey::take(bytes, 0),
            doc: take_ordinal(bytes, UnitKey::BYTES),
            unit: take_u32(bytes, UnitKey::BYTES + ORDINAL_BYTES),
        }
    }
}

impl Hashed for UnitRow {
    fn high(&self) -> u64 {
        self.key.high
    }

    fn document_mut(&mut self) -> &mut Ordinal {
        &mut self.doc
    }
}

/// A unit that goes, ordered by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GoneUnit {
    pub(super) doc: Ordinal,
    pub(super) unit: u32,
    /// The document with the first copy.
    pub(super) first: Ordinal,
}

impl Record for GoneUnit {
    const BYTES: usize = 2 * ORDINAL_BYTES + 4;
    fn encode(&self, out: &mut Vec<u8>) {
        put_ordinal(self.doc, out);
        out.extend_from_slice(&self.unit.to_le_bytes());
        put_ordinal(self.first, out);
    }
    fn decode(bytes: &[u8]) -> Self {
        Self {
            doc: take_ordinal(bytes, 0),
            unit: take_u32(bytes, ORDINAL_BYTES),
            first: take_ordinal(bytes, ORDINAL_BYTES + 4),
        }
    }
}

/// Signature of a document: its units with their keys, then where its pieces lie.
///
/// `count` (4 bytes), `count` times unit number and key (16 bytes), then for each piece its distance from the
/// end of the one before and its length, each as a number of 7 bits a byte. Empty for a document without units.
#[derive(Debug, Default)]
pub(super) struct SignatureWriter {
    units: Vec<u8>,
    pieces: Vec<u8>,
    count: u32,
    piece_count: u32,
    last_end: usize,
}

impl SignatureWriter {
    /// Number that the next piece gets.
    pub(super) fn next_piece(&self) -> u32 {
        self.piece_count
    }

    /// Adds the piece `text[start..end]`; they come in order.
    pub(super) fn piece(&mut self, start: usize, end: usize) {
        put_number(start - self.last_end, &mut self.pieces);
        put_number(end - start, &mut self.pieces);
        self.last_end = end;
        self.piece_count += 1;
    }

    /// Adds the unit that begins with that piece; they come in order.
    pub(super) fn unit(&mut self, unit: u32, key: UnitKey) {
        self.units.extend_from_slice(&unit.to_le_bytes());
        key.put(&mut self.units);
        self.count += 1;
    }

    pub(super) fn finish(self) -> Vec<u8> {
        if self.count == 0 {
            return Vec::new();
        }
        let mut out = Vec::with_capacity(4 + self.units.len() + self.pieces.len());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.units);
        out.extend_from_slice(&self.pieces);
        out
    }
}

/// A signature that is read: its units, and the places of its pieces, still packed.
pub(super) struct Signature<'s> {
    units: &'s [u8],
    pub(super) pieces: &'s [u8],
}

impl<'s> Signature<'s> {
    /// `None` where it is cut.
    pub(super) fn read(bytes: &'s [u8]) -> Option<Self> {
        let (count, rest) = bytes.split_at_checked(4)?;
        let units = usize::try_from(take_u32(count, 0)).ok()?.checked_mul(4 + UnitKey::BYTES)?;
        let (units, pieces) = rest.split_at_checked(units)?;
        Some(Self { units, pieces })
    }

    pub(super) fn units(&self) -> impl Iterator<Item = (u32, UnitKey)> {
        self.units.chunks_exact(4 + UnitKey::BYTES).map(|bytes| (take_u32(bytes, 0), UnitKey::take(bytes, 4)))
    }
}

/// Unpacks where the pieces of a document lie.
pub(super) fn read_pieces(mut packed: &[u8]) -> Result<Vec<(usize, usize)>> {
    let mut pieces = Vec::with_capacity(packed.len() / 2);
    let mut end = 0_usize;
    while !packed.is_empty() {
        let mut take = || take_number(&mut packed);
        let place = take().zip(take()).and_then(|(gap, length)| {
            let start = end.checked_add(gap)?;
            Some((start, start.checked_add(length)?))
        });
        let place =
            place.ok_or_else(|| Error::Failed("the places of a document's lines are cut".to_owned()))?;
        end = place.1;
        pieces.push(place);
    }
    Ok(pieces)
}

#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
fn put_number(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    let (mut number, mut shift) = (0_usize, 0_u32);
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = usize::from(byte & 0x7f);
        let shifted = bits.checked_shl(shift)?;
        if shifted >> shift != bits {
            return None;
        }
        number |= shifted;
        if byte < 0x80 {
            return Some(number);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn signatures_read_back(
            gaps in prop::collection::vec((0_usize..1_000_000, 0_usize..1 << 40), 1..20),
            noise in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let (mut writer, mut end, mut wanted) = (SignatureWriter::default(), 0, Vec::new());
            for (gap, length) in gaps {
                let unit = writer.next_piece();
                writer.piece(end + gap, end + gap + length);
                writer.unit(unit, UnitKey::of(&unit.to_le_bytes()));
                wanted.push((end + gap, end + gap + length));
                end += gap + length;
            }
            let bytes = writer.finish();
            let signature = Signature::read(&bytes).unwrap();
            prop_assert_eq!(read_pieces(signature.pieces).unwrap(), wanted);
            for (number, (unit, key)) in (0_u32..).zip(signature.units()) {
                prop_assert_eq!((unit, key), (number, UnitKey::of(&number.to_le_bytes())));
                let doc = Ordinal { split: unit, record: 1 << 40 };
                let row = UnitRow { key, doc, unit };
                let gone = GoneUnit { doc, unit, first: Ordinal { split: 0, record: 9 } };
                let mut out = Vec::new();
                row.encode(&mut out);
                prop_assert_eq!(out.len(), UnitRow::BYTES);
                prop_assert_eq!(UnitRow::decode(&out), row);
                out.clear();
                gone.encode(&mut out);
                prop_assert_eq!(out.len(), GoneUnit::BYTES);
                prop_assert_eq!(GoneUnit::decode(&out), gone);
            }
            // Damage is an error at most.
            if let Ok(pieces) = read_pieces(&noise) {
                prop_assert!(pieces.len() <= noise.len() / 2);
            }
        }
    }
}
