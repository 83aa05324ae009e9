//! The lines and paragraphs of a text, found in one pass for all filters that ask.
//!
//! The published filters disagree on what a line is: between newlines with blank ones left out (FineWeb,
//! NeMo Curator), between runs of newlines (Gopher's repetition), or as Python's `splitlines` has it (Gopher's
//! quality). All of them can be read off the same list, because they differ in empty and blank lines and in
//! rare line ends only.

use super::charsets::is_space;
use super::lines::{chars, strip_end, strip_start};

/// One line that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// First byte.
    pub start: u32,
    /// The byte behind the last, where the newline stands.
    pub end: u32,
    /// Length in characters.
    pub chars: u32,
    /// Whether it is nothing but white space.
    pub is_blank: bool,
    /// Whether the same line stood earlier; known after [`super::features::Features::line_copies`].
    pub is_copy: bool,
}

impl Line {
    /// The line itself, out of the text that it was found in.
    #[must_use]
    pub fn of<'t>(&self, text: &'t str) -> &'t str {
        &text[self.start as usize..self.end as usize]
    }
}

/// Lines and paragraphs of a text.
#[derive(Debug, Default)]
pub struct LineIndex {
    /// Pieces between newlines that are not empty.
    pub lines: Vec<Line>,
    /// Byte ranges between runs of two or more newlines, white space around the whole text left out. At least
    /// one, which is empty in a blank text.
    pub paragraphs: Vec<(u32, u32)>,
    /// Number of `\n`.
    pub newlines: u64,
    /// Characters of the text.
    pub chars: u64,
    /// Whether something else than `\n` ends a line in Python's `splitlines`.
    pub has_other_line_ends: bool,
}

impl LineIndex {
    /// Finds the lines of a text (of its first 4 GiB); what was found before is forgotten.
    pub(super) fn find(&mut self, text: &str) {
        self.lines.clear();
        self.chars = 0;
        self.newlines = 0;
        let text = &text[..text.floor_char_boundary(u32::MAX as usize)];
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', text.as_bytes()) {
            self.push(text, start, end);
            self.newlines += 1;
            start = end + 1;
        }
        self.push(text, start, text.len());
        self.chars += self.newlines;
        self.has_other_line_ends = has_other_line_ends(text.as_bytes());
        self.find_paragraphs(text);
    }

    fn push(&mut self, text: &str, start: usize, end: usize) {
        if start == end {
            return;
        }
        let line = &text[start..end];
        let chars = chars(line);
        self.chars += chars as u64;
        let is_blank = line.chars().all(is_space);
        self.lines.push(Line {
            start: index(start),
            end: index(end),
            chars: index(chars),
            is_blank,
            is_copy: false,
        });
    }

    fn find_paragraphs(&mut self, text: &str) {
        self.paragraphs.clear();
        let full = |line: &Line| !line.is_blank;
        let (Some(first), Some(last)) = (self.lines.iter().position(full), self.lines.iter().rposition(full))
        else {
            self.paragraphs.push((0, 0));
            return;
        };
        let lines = &self.lines[first..=last];
        let opening = lines[0].of(text);
        let mut start = lines[0].start + index(opening.len() - strip_start(opening).len());
        for pair in lines.windows(2) {
            if pair[1].start - pair[0].end > 1 {
                self.paragraphs.push((start, pair[0].end));
                start = pair[1].start;
            }
        }
        let closing = &lines[lines.len() - 1];
        let end = closing.start + index(strip_end(closing.of(text)).len());
        self.paragraphs.push((start, end));
    }

    /// Lines that are not blank.
    pub fn full_lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| !line.is_blank)
    }

    /// Frees what an unusually long text has left behind.
    pub(super) fn trim(&mut self, max_lines: usize) {
        if self.lines.capacity() > max_lines {
            *self = Self::default();
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "texts are cut at 4 GiB before they get here")]
fn index(place: usize) -> u32 {
    place as u32
}

/// Whether `\r`, `\v`, `\f`, U+001C to U+001E, U+0085, U+2028 or U+2029 occurs.
fn has_other_line_ends(bytes: &[u8]) -> bool {
    let single = |byte: u8| matches!(byte, 0x0B..=0x0D | 0x1C..=0x1E);
    let (blocks, rest) = bytes.as_chunks::<64>();
    // Without early return inside a block, so that it is done with vector instructions.
    let in_block =
        |block: &[u8; 64]| block.iter().fold(0_u8, |found, &byte| found | u8::from(single(byte))) != 0;
    if blocks.iter().any(in_block) || rest.iter().any(|&byte| single(byte)) {
        return true;
    }
    let starts = memchr::memchr2_iter(0xC2, 0xE2, bytes);
    starts.into_iter().any(|at| matches!(bytes[at..], [0xC2, 0x85, ..] | [0xE2, 0x80, 0xA8 | 0xA9, ..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::lines::{lines, split_newlines, strip};
    use super::*;

    proptest! {
        #[test]
        fn every_sort_of_line_can_be_read_off(
            pieces in prop::collection::vec(
                prop::sample::select(vec!["\n", "\n\n", " ", "a", "é b", "\u{2028}", "\r", "…", "\t\n", "漢\n"]), 0..20)
        ) {
            let text = pieces.concat();
            let mut found = LineIndex::default();
            found.find("x\n\ny");
            found.find(&text);
            prop_assert_eq!(found.chars, text.chars().count() as u64);
            let plain: Vec<&str> = text.split('\n').filter(|line| !line.is_empty()).collect();
            let ours: Vec<&str> = found.lines.iter().map(|line| line.of(&text)).collect();
            prop_assert_eq!(&ours, &plain);
            for line in &found.lines {
                prop_assert_eq!(line.chars as usize, line.of(&text).chars().count());
                prop_assert_eq!(line.is_blank, strip(line.of(&text)).is_empty());
            }
            let plain: Vec<&str> = split_newlines(strip(&text), 2).collect();
            let ours: Vec<&str> =
                found.paragraphs.iter().map(|&(start, end)| &text[start as usize..end as usize]).collect();
            prop_assert_eq!(ours, plain);
            if !found.has_other_line_ends {
                let all = found.newlines + u64::from(!text.is_empty() && !text.ends_with('\n'));
                prop_assert_eq!(lines(&text).count() as u64, all);
            }
            prop_assert_eq!(found.has_other_line_ends, text.contains(['\r', '\u{2028}']));
        }
    }
}
