//! The bytes around a place, read from the parts' data files.
//!
//! Every text stands between two bytes 0xFF, which no UTF-8 text holds: a comparison that runs into the end of a
//! text meets a difference there. Positioned reads rather than a mapping, so that peak memory stays what `memory:`
//! says; the system's page cache does the rest.

use std::path::{Path, PathBuf};

use super::super::docs::{self, PartIndex};
use super::rows::{parse_place, place};
use crate::document::Ordinal;
use crate::error::{Error, Result};
use crate::io::ranges::ReadAt;

/// What stands before and behind every text.
pub(super) const FENCE: u8 = 0xFF;
/// Data files kept open.
const OPEN_FILES: usize = 128;

struct Open {
    part: (u32, u32),
    file: ReadAt,
    bytes: u64,
    index: PartIndex,
}

/// A document that was found by a byte of its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// Task and part that wrote it.
    pub(super) part: (u32, u32),
    pub(super) ordinal: Ordinal,
    /// Where its text begins in the part's data file.
    pub(super) text_start: u64,
    text_end: u64,
}

/// The texts of a barrier.
pub(super) struct Texts {
    folder: PathBuf,
    /// The one that was used last is at the end.
    open: Vec<Open>,
    last: Option<Found>,
}

impl Texts {
    pub(super) fn new(dir: &Path) -> Self {
        Self { folder: docs::folder(dir), open: Vec::new(), last: None }
    }

    /// Reads up to `before` bytes in front of a place and `after` from it on, fewer at the ends of the file; returns
    /// how many are in front.
    pub(super) fn around(
        &mut self,
        place: Ordinal,
        before: usize,
        after: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize> {
        let (task, part, offset) = parse_place(place);
        let open = self.part(task, part)?;
        let front = before.min(usize::try_from(offset).unwrap_or(usize::MAX));
        let behind = after.min(usize::try_from(open.bytes.saturating_sub(offset)).unwrap_or(usize::MAX));
        out.resize(front + behind, 0);
        open.file.read_exact(out, offset - front as u64)?;
        Ok(front)
    }

    fn part(&mut self, task: u32, part: u32) -> Result<&Open> {
        if let Some(found) = self.open.iter().rposition(|open| open.part == (task, part)) {
            self.open[found..].rotate_left(1);
        } else {
            if self.open.len() >= OPEN_FILES {
                self.open.remove(0);
            }
            let name = docs::part_name(task, part);
            let file = ReadAt::open(self.folder.join(format!("{name}.data")))?;
            let bytes = file.size()?;
            let index = PartIndex::open(&self.folder.join(format!("{name}.index")))?;
            self.open.push(Open { part: (task, part), file, bytes, index });
        }
        let last = self.open.len() - 1;
        Ok(&self.open[last])
    }

    /// The document whose text holds a place.
    pub(super) fn document(&mut self, place: Ordinal) -> Result<Found> {
        let (task, part, offset) = parse_place(place);
        let holds = |found: &Found| {
            found.part == (task, part) && (found.text_start..found.text_end).contains(&offset)
        };
        if let Some(found) = self.last.filter(holds) {
            return Ok(found);
        }
        let open = self.part(task, part)?;
        let data = open.index.by_offset(offset)?;
        let absent = || Error::damaged(open.file.path(), format!("no text holds byte {offset}"));
        let (ordinal, set) = data.ok_or_else(absent)?;
        // Without the fences.
        let found = Found {
            part: (task, part),
            ordinal,
            text_start: set.start + 1,
            text_end: set.end.saturating_sub(1),
        };
        if !holds(&found) {
            return Err(absent());
        }
        self.last = Some(found);
        Ok(found)
    }

    /// Bytes that a byte of a data file has to go back to the beginning of its character.
    pub(super) fn bytes_into_character(&mut self, task: u32, part: u32, offset: u64) -> Result<u64> {
        let mut bytes = Vec::new();
        let at = self.around(byte(task, part, offset), 3, 1, &mut bytes)?;
        let back = (0..=at).take_while(|back| bytes.get(at - back).is_some_and(|&byte| is_inside(byte)));
        Ok(back.count() as u64)
    }

    /// Bytes that a byte of a data file has to go on to the beginning of a character.
    pub(super) fn bytes_to_border(&mut self, task: u32, part: u32, offset: u64) -> Result<u64> {
        let mut bytes = Vec::new();
        self.around(byte(task, part, offset), 0, 4, &mut bytes)?;
        Ok(bytes.iter().take_while(|&&byte| is_inside(byte)).count() as u64)
    }
}

/// The place of a byte that is known to have one.
fn byte(task: u32, part: u32, offset: u64) -> Ordinal {
    place(task, part, offset).unwrap_or(Ordinal { split: task, record: u64::MAX })
}

/// Whether a byte goes on a character of UTF-8.
fn is_inside(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}
