//! Lines of a text file, compressed or not, with bounded memory.
//!
//! Members of a compressed file are read as one stream. Offsets are places in that stream, which in a plain
//! file are file offsets; reopening a plain file seeks, a compressed one is read over again.

use crate::error::{Error, Result};
use crate::io::codec::{Begin, Codec, Damage, Fill, Input};
use crate::stage::Position;

/// What [`Lines::advance`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line; its bytes are in [`Lines::bytes`]. `ended`: a line end follows, not the end of the file.
    Whole { offset: u64, record: u64, ended: bool },
    /// A line above the limit, passed over.
    TooLong { offset: u64, record: u64, bytes: u64 },
    /// The compressed member cannot be read on; `found`: reading goes on at a later one.
    Damaged { offset: u64, record: u64, damage: Damage, found: bool },
    /// Nothing any more.
    End,
}

/// Walks through the lines of a file.
pub(crate) struct Lines {
    input: Input,
    max_line_bytes: usize,
    record: u64,
    spent: usize,
    line: usize,
    stopped: bool,
}

/// Offset of the position behind everything, once the rest of a file was given up.
const STOPPED: u64 = u64::MAX;

impl Lines {
    /// Opens a file at the start or at a position that [`Lines::position`] returned.
    pub(crate) fn open(path: &str, at: Option<&Position>, max_line_bytes: usize) -> Result<Self> {
        let input = Input::open(path)?;
        let mut lines = Self { input, max_line_bytes, record: 0, spent: 0, line: 0, stopped: false };
        let Some(at) = at else { return Ok(lines) };
        if at.offset == STOPPED {
            lines.record = at.record;
            lines.stop()?;
            return Ok(lines);
        }
        if lines.input.codec() == Codec::Plain {
            lines.input.seek_member(at.offset)?;
            lines.record = at.record;
        }
        while lines.position() != *at {
            if lines.advance()? == Line::End {
                return Err(Error::Failed(format!(
                    "`{path}` has no line where the interrupted run left off: the file was changed"
                )));
            }
        }
        Ok(lines)
    }

    /// What the file is compressed with.
    pub(crate) fn codec(&self) -> Codec {
        self.input.codec()
    }

    /// Where the next line starts.
    pub(crate) fn position(&self) -> Position {
        let next = self.input.stream_offset() + self.spent as u64;
        Position { offset: if self.stopped { STOPPED } else { next }, record: self.record }
    }

    /// The last line, without its end.
    pub(crate) fn bytes(&self) -> &[u8] {
        let line = &self.input.bytes()[..self.line];
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// Whether the file holds no byte at all.
    pub(crate) fn is_empty_file(&self) -> bool {
        self.input.file_bytes() == 0
    }

    /// Gives up on the rest of the file.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.spent = 0;
        self.line = 0;
        self.stopped = true;
        self.input.seek_end()
    }

    /// Goes to the next line.
    pub(crate) fn advance(&mut self) -> Result<Line> {
        self.input.consume(std::mem::take(&mut self.spent));
        self.line = 0;
        let offset = self.input.stream_offset();
        let mut scanned = 0;
        let mut passed = 0;
        loop {
            let bytes = self.input.bytes();
            if let Some(found) = memchr::memchr(b'\n', &bytes[scanned..]) {
                return Ok(self.finish(offset, passed, scanned + found, true));
            }
            scanned = bytes.len();
            if scanned > self.max_line_bytes {
                self.input.consume(scanned);
                passed += scanned as u64;
                scanned = 0;
            }
            match self.input.fill()? {
                Fill::Bytes => continue,
                Fill::Damaged(damage) => return self.damaged(offset, damage),
                Fill::Boundary => {}
            }
            match self.input.begin()? {
                Begin::Member => {}
                Begin::Damaged(damage) => return self.damaged(offset, damage),
                Begin::End if scanned == 0 && passed == 0 => return Ok(Line::End),
                Begin::End => return Ok(self.finish(offset, passed, scanned, false)),
            }
        }
    }

    fn finish(&mut self, offset: u64, passed: u64, line: usize, ended: bool) -> Line {
        let record = self.record;
        self.record += 1;
        self.spent = line + usize::from(ended);
        self.line = line;
        if passed > 0 || line > self.max_line_bytes {
            return Line::TooLong { offset, record, bytes: passed + line as u64 };
        }
        Line::Whole { offset, record, ended }
    }

    fn damaged(&mut self, offset: u64, damage: Damage) -> Result<Line> {
        let record = self.record;
        self.record += 1;
        let found = self.input.resync(b"")?;
        Ok(Line::Damaged { offset, record, damage, found })
    }
}
