//! The framing of WARC files: where records begin and end, and how reading goes on after damage.
//!
//! ISO 28500 (WARC 1.0 and 1.1), read generously where no harm can come of it (any mix of line ends, draft
//! versions, missing blank lines at the end) and strictly where a record might not be whole. Other readers
//! hand out a record that the file's end or a wrong `Content-Length` cuts, and stop at the first damage.
//! Here a record counts as whole only if its content is complete, its compressed member intact, and a
//! record, a border or the end of the file follows; after damage reading goes on at the next record.
//!
//! Offsets: a record that has a gzip member (zstd frame) to itself has that member's file offset, any other
//! its place in the decompressed stream. A [`Position`] inside a shared member carries [`STREAM`]; reopening
//! there walks the file from its beginning, so that it arrives in exactly the same state.

use std::ops::Range;

use crate::document::Media;
use crate::error::{Error, Result};
use crate::io::codec::{Begin, Codec, Damage, Fill, GZIP_MAGIC, Input};
use crate::stage::Position;

use super::framing::{self, MAGIC, MAX_VERSION_LINE_BYTES};
use super::header::{Header, end_of_block};
use super::http;

/// Set in [`Position::offset`] where the rest is a place in the decompressed stream of a compressed file.
pub(super) const STREAM: u64 = 1 << 63;

/// Cause of the quarantine entry for a record of which an index tells a wrong place.
pub(super) const WRONG_ENTRY: &str = "wrong_index_entry";

/// Largest header block.
const MAX_HEADER_BYTES: usize = 256 << 10;
/// Bytes of an oversized record that are kept to see what it is.
const HEAD_OF_LARGE_BYTES: usize = 64 << 10;
/// Line ends behind a record that are looked at before it is handed out.
const MAX_PADDING_BYTES: usize = 4096;
/// An oversized record is left alone once so many times the record limit have come out of it ...
const BOMB_SIZE_FACTOR: u64 = 64;
/// ... at more than this ratio.
const BOMB_RATIO: u64 = 100;

/// What [`Records::advance`] found.
#[derive(Debug)]
pub(super) enum Step {
    /// A record; see [`Records::header`] and [`Records::content`].
    Record(Record),
    /// Something that is no whole record.
    Bad(Bad),
    /// Nothing any more.
    End,
}

/// Place and size of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    /// See the module's comment.
    pub offset: u64,
    /// Number of the record in the file.
    pub number: u64,
    /// `Content-Length`.
    pub content_bytes: u64,
    /// Whether [`Records::content`] is all of it; otherwise only the beginning of an oversized record.
    pub whole: bool,
}

/// Place and fault of something that is no whole record.
#[derive(Debug)]
pub(super) struct Bad {
    /// See the module's comment.
    pub offset: u64,
    /// Number of the record in the file.
    pub record: u64,
    /// Name of the cause.
    pub cause: &'static str,
    /// The particulars.
    pub detail: String,
}

/// Why no more bytes come for the record at hand.
enum Stop {
    /// The next member begins a record, so many bytes from here.
    NextRecord(usize),
    /// The file ends.
    End,
    /// The member is damaged.
    Damaged(Damage),
}

/// Walks through the records of a file.
pub(super) struct Records {
    input: Input,
    path: String,
    max_record_bytes: u64,
    next_record: u64,
    /// Bytes of the window that belong to what was handed out last.
    spent: usize,
    /// Place in the file's whole stream of the input's stream offset 0; unknown after a jump to a member.
    base: Option<u64>,
    opened_at: u64,
    header: Header,
    content: Range<usize>,
    large_head: Option<Vec<u8>>,
}

impl Records {
    /// Opens a file at the start or at a position that [`Records::position`] returned.
    pub(super) fn open(path: &str, at: Option<&Position>, max_record_bytes: u64) -> Result<Self> {
        let mut records = Self::of(Input::open(path)?, path, max_record_bytes);
        let Some(at) = at else { return Ok(records) };
        if at.offset & STREAM != 0 {
            records.walk_to(at.offset)?;
        } else if at.offset > 0 {
            records.input.seek_member(at.offset)?;
            records.opened_at = at.offset;
            records.base = (records.input.codec() == Codec::Plain).then_some(0);
        }
        records.next_record = at.record;
        Ok(records)
    }

    /// Opens a stretch of a gzip file for [`Records::member_at`].
    pub(super) fn open_stretch(path: &str, stretch: Range<u64>, max_record_bytes: u64) -> Result<Self> {
        Ok(Self::of(Input::open_stretch(path, stretch)?, path, max_record_bytes))
    }

    /// Goes to another stretch of the file that [`Records::open_stretch`] opened.
    pub(super) fn go_to_stretch(&mut self, stretch: Range<u64>) -> Result<()> {
        self.input.go_to_stretch(stretch)
    }

    fn of(input: Input, path: &str, max_record_bytes: u64) -> Self {
        Self {
            input,
            path: path.to_owned(),
            max_record_bytes,
            next_record: 0,
            spent: 0,
            base: Some(0),
            opened_at: 0,
            header: Header::default(),
            content: 0..0,
            large_head: None,
        }
    }

    /// Reads the one record that is said to have the gzip member at these bytes of the file to itself; nothing else of the file
    /// is looked at. Where no such record lies there, that is a [`WRONG_ENTRY`]; damage inside it is what it is elsewhere.
    ///
    /// # Errors
    /// Where the machine fails.
    pub(super) fn member_at(&mut self, bytes: Range<u64>, number: u64) -> Result<Step> {
        self.spent = 0;
        self.next_record = number;
        self.input.member_at(bytes.clone())?;
        let wrong = |detail: &str| {
            let detail = format!("the index says {} bytes: {detail}", bytes.end - bytes.start);
            Ok(Step::Bad(Bad { offset: bytes.start, record: number, cause: WRONG_ENTRY, detail }))
        };
        let head = self.input.peek(GZIP_MAGIC.len())?;
        if head.is_empty() {
            return wrong("the file ends before");
        }
        if http::sniff(head) == Some(Media::Html) || head.starts_with(b"<?xml") {
            let shown = String::from_utf8_lossy(head.get(..60).unwrap_or(head)).into_owned();
            let path = &self.path;
            return Err(Error::Failed(format!(
                "`{path}` should hold a gzip member at {}, but what came begins with {shown:?}: the server sent something else",
                bytes.start
            )));
        }
        if !head.starts_with(&GZIP_MAGIC) {
            return wrong("no gzip member begins there");
        }
        match self.advance()? {
            Step::End => wrong("nothing lies there"),
            // What is cut lies in the window where its member is intact: then the record is at fault.
            Step::Bad(bad) if bad.cause == "truncated_record" && self.spent == 0 => {
                wrong("its gzip member does not end there")
            }
            Step::Bad(bad) if bad.cause == "truncated_record" => Ok(Step::Bad(Bad {
                offset: bytes.start,
                detail: "its gzip member ends inside the record".to_owned(),
                ..bad
            })),
            Step::Bad(bad) => Ok(Step::Bad(Bad { offset: bytes.start, record: number, ..bad })),
            Step::Record(record) => {
                let alone = self.between_members() && record.offset == bytes.start;
                if !alone {
                    return wrong("its gzip member holds more than one record");
                }
                if self.input.packed_offset() != bytes.end {
                    return wrong("its gzip member ends before");
                }
                Ok(Step::Record(record))
            }
        }
    }

    /// Whether the file is compressed with gzip, and its first bytes (those at hand) where it is not.
    ///
    /// # Errors
    /// Where the machine fails.
    pub(super) fn not_gzip(&mut self) -> Result<Option<&[u8]>> {
        if self.input.codec() == Codec::Gzip { Ok(None) } else { self.input.peek(1).map(Some) }
    }

    fn walk_to(&mut self, offset: u64) -> Result<()> {
        while self.position().offset != offset {
            if matches!(self.advance()?, Step::End) {
                return Err(Error::Failed(format!(
                    "`{}` has no record where the interrupted run left off: the file was changed",
                    self.path
                )));
            }
        }
        Ok(())
    }

    /// Where the next record starts.
    pub(super) fn position(&self) -> Position {
        let next = self.input.stream_offset() + self.spent as u64;
        let offset = if self.input.codec() == Codec::Plain {
            next
        } else if self.between_members() {
            self.input.packed_offset()
        } else if next == self.input.member_stream_offset() {
            self.input.member()
        } else {
            STREAM | (self.base.unwrap_or(0) + next)
        };
        Position { offset, record: self.next_record }
    }

    /// Whether the next record has to begin a member.
    fn between_members(&self) -> bool {
        !self.input.inside() && self.spent == self.input.bytes().len()
    }

    /// Header of the last record.
    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Content of the last record; only its beginning where [`Record::whole`] is false.
    pub(super) fn content(&self) -> &[u8] {
        match &self.large_head {
            Some(head) => head,
            None => &self.input.bytes()[self.content.clone()],
        }
    }

    /// Goes to the next record.
    ///
    /// # Errors
    /// Where the machine fails.
    pub(super) fn advance(&mut self) -> Result<Step> {
        self.input.consume(std::mem::take(&mut self.spent));
        self.large_head = None;
        let at_file_start = self.next_record == 0 && self.position().offset == 0;
        let mut start = Start { member: None, stream: 0 };
        if let Some(step) = self.find_start(&mut start, at_file_start)? {
            return Ok(step);
        }
        let step = if self.input.bytes().get(..MAGIC.len()).is_some_and(|b| b.eq_ignore_ascii_case(MAGIC)) {
            self.read_record(&start)?
        } else {
            self.read_rubbish(&start, at_file_start)?
        };
        self.next_record += 1;
        let next = self.input.stream_offset() + self.spent as u64;
        if !self.between_members() && next != self.input.member_stream_offset() {
            self.stream_base()?;
        }
        Ok(step)
    }

    /// Skips line ends and borders up to the first byte of something.
    fn find_start(&mut self, start: &mut Start, at_file_start: bool) -> Result<Option<Step>> {
        if !self.between_members() && self.input.stream_offset() == self.input.member_stream_offset() {
            start.member = Some(self.input.member());
        }
        loop {
            let bytes = self.input.bytes();
            let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let left = bytes.len() - blank;
            self.input.consume(blank);
            if left >= MAGIC.len() {
                break;
            }
            match self.input.fill()? {
                Fill::Bytes => {}
                Fill::Boundary if left > 0 => break,
                Fill::Boundary => match self.input.begin()? {
                    Begin::Member => {
                        start.member = Some(self.input.member());
                    }
                    Begin::End if at_file_start => {
                        let bad = self.bad(
                            &Start { member: Some(0), stream: 0 },
                            "empty_file",
                            "the file holds nothing",
                        );
                        self.next_record += 1;
                        return Ok(Some(bad));
                    }
                    Begin::End => return Ok(Some(Step::End)),
                    Begin::Damaged(damage) => {
                        start.member = Some(self.input.member());
                        return self.step_over_damage(start, &damage).map(Some);
                    }
                },
                Fill::Damaged(damage) => {
                    start.stream = self.input.stream_offset();
                    return self.step_over_damage(start, &damage).map(Some);
                }
            }
        }
        start.stream = self.input.stream_offset();
        Ok(None)
    }

    fn step_over_damage(&mut self, start: &Start, damage: &Damage) -> Result<Step> {
        let step = self.damaged(start, damage)?;
        self.next_record += 1;
        Ok(step)
    }

    fn read_record(&mut self, start: &Start) -> Result<Step> {
        let mut scanned = 0;
        let header_bytes = loop {
            if let Some(bytes) = end_of_block(self.input.bytes(), &mut scanned) {
                break bytes;
            }
            if self.input.bytes().len() > MAX_HEADER_BYTES {
                let detail = format!("the header has more than {MAX_HEADER_BYTES} bytes");
                return self.bad_and_search(start, MAGIC.len(), "malformed_header", detail);
            }
            match self.more()? {
                None => {}
                Some(Stop::NextRecord(cut)) => {
                    self.spent = cut;
                    return Ok(self.bad(
                        start,
                        "malformed_header",
                        "the header ends with its compressed member",
                    ));
                }
                Some(Stop::End) => {
                    self.spent = self.input.bytes().len();
                    return Ok(self.bad(start, "truncated_record", "the file ends inside the header"));
                }
                Some(Stop::Damaged(damage)) => return self.damaged(start, &damage),
            }
        };
        let mut header = std::mem::take(&mut self.header);
        header.parse(&self.input.bytes()[..header_bytes]);
        self.header = header;
        let content_bytes = match framing::content_length(&self.header) {
            Ok(bytes) => bytes,
            Err((cause, detail)) => return self.bad_and_search(start, header_bytes, cause, detail),
        };
        let step = if content_bytes <= self.max_record_bytes {
            self.read_content(start, header_bytes, content_bytes)?
        } else {
            self.pass_large(start, header_bytes, content_bytes)?
        };
        let fault = framing::fault(&self.header);
        Ok(match (step, fault) {
            (Step::Record(Record { offset, number, .. }), Some((cause, detail))) => {
                Step::Bad(Bad { offset, record: number, cause, detail })
            }
            (step, _) => step,
        })
    }

    fn read_content(&mut self, start: &Start, header_bytes: usize, content_bytes: u64) -> Result<Step> {
        let end = header_bytes + usize::try_from(content_bytes).unwrap_or(usize::MAX - header_bytes);
        while self.input.bytes().len() < end {
            if let Some(stop) = self.more()? {
                return self.content_stops(start, header_bytes, content_bytes, stop);
            }
        }
        self.content = header_bytes..end;
        self.finish_record(start, end, header_bytes, content_bytes)
    }

    /// The content is shorter than announced.
    fn content_stops(&mut self, start: &Start, from: usize, content_bytes: u64, stop: Stop) -> Result<Step> {
        let found = self.input.bytes().len() - from;
        if let Stop::NextRecord(cut) = stop {
            self.spent = cut;
            let found = cut.saturating_sub(from);
            let detail = format!("{found} of {content_bytes} bytes, then the next compressed record begins");
            return Ok(self.bad(start, "wrong_content_length", detail));
        }
        if let Some(next) = framing::record_line(&self.input.bytes()[from..], true) {
            self.spent = from + next;
            let detail = format!("the next record begins inside the announced {content_bytes} bytes");
            return Ok(self.bad(start, "wrong_content_length", detail));
        }
        if let Stop::Damaged(damage) = stop {
            return self.damaged(start, &damage);
        }
        self.spent = self.input.bytes().len();
        let detail = format!("the file ends after {found} of {content_bytes} bytes");
        Ok(self.bad(start, "truncated_record", detail))
    }

    /// Passes over a record that is too large to hold; its first bytes stay in `large_head`.
    fn pass_large(&mut self, start: &Start, header_bytes: usize, content_bytes: u64) -> Result<Step> {
        let plain = self.input.codec() == Codec::Plain;
        let here = self.input.stream_offset();
        let beyond_end =
            plain && here + header_bytes as u64 > self.input.file_bytes().saturating_sub(content_bytes);
        if beyond_end {
            let from = self.input.stream_offset();
            let step = self.bad_and_search(start, header_bytes, "wrong_content_length", String::new())?;
            let Step::Bad(mut bad) = step else { return Ok(step) };
            let next = self.input.stream_offset() + self.spent as u64;
            if next >= self.input.file_bytes() {
                bad.cause = "truncated_record";
            }
            let left = self.input.file_bytes().saturating_sub(from + header_bytes as u64);
            bad.detail = format!("the file has {left} of {content_bytes} bytes");
            return Ok(Step::Bad(bad));
        }
        let head_bytes = HEAD_OF_LARGE_BYTES.min(usize::try_from(content_bytes).unwrap_or(usize::MAX));
        while self.input.bytes().len() < header_bytes + head_bytes {
            if let Some(stop) = self.more()? {
                return self.content_stops(start, header_bytes, content_bytes, stop);
            }
        }
        self.large_head = Some(self.input.bytes()[header_bytes..header_bytes + head_bytes].to_vec());
        self.input.consume(header_bytes);
        let mut left = content_bytes;
        let packed_start = self.input.packed_offset();
        if plain {
            self.input.skip_plain(left)?;
            left = 0;
        }
        loop {
            let held = self.input.bytes().len() as u64;
            let passed = held.min(left);
            self.input.consume(usize::try_from(passed).unwrap_or(usize::MAX));
            left -= passed;
            if left == 0 {
                break;
            }
            let out = content_bytes - left;
            let ratio = out / (self.input.packed_offset() - packed_start).max(1);
            if out > BOMB_SIZE_FACTOR * self.max_record_bytes && ratio > BOMB_RATIO {
                let detail =
                    format!("{out} of {content_bytes} bytes came out at {ratio} times their compressed size");
                let bad = self.bad(start, "decompression_bomb", detail);
                self.input.resync(MAGIC)?;
                return Ok(bad);
            }
            if let Some(stop) = self.more()? {
                let done = content_bytes - left;
                let found = match &stop {
                    Stop::NextRecord(cut) => done + *cut as u64,
                    _ => done + self.input.bytes().len() as u64,
                };
                return match stop {
                    Stop::NextRecord(cut) => {
                        self.spent = cut;
                        let detail = format!(
                            "{found} of {content_bytes} bytes, then the next compressed record begins"
                        );
                        Ok(self.bad(start, "wrong_content_length", detail))
                    }
                    Stop::End => {
                        self.spent = self.input.bytes().len();
                        let detail = format!("the file ends after {found} of {content_bytes} bytes");
                        Ok(self.bad(start, "truncated_record", detail))
                    }
                    Stop::Damaged(damage) => self.damaged(start, &damage),
                };
            }
        }
        self.finish_record(start, 0, 0, content_bytes)
    }

    /// The content is complete up to `end` in the window: looks at what follows it.
    fn finish_record(&mut self, start: &Start, end: usize, from: usize, content_bytes: u64) -> Result<Step> {
        let whole = self.large_head.is_none();
        let mut at = end;
        let mut lines = 0;
        let border = loop {
            match self.input.bytes().get(at) {
                Some(b'\n') => {
                    lines += 1;
                    at += 1;
                }
                Some(b'\r') => at += 1,
                Some(_) => break false,
                None => match self.input.fill()? {
                    Fill::Bytes => {}
                    Fill::Boundary => break true,
                    Fill::Damaged(damage) => return self.damaged(start, &damage),
                },
            }
            if at - end > MAX_PADDING_BYTES {
                break false;
            }
        };
        self.spent = at;
        let mut alone = border;
        if !border && lines < 2 && at - end <= MAX_PADDING_BYTES {
            while self.input.bytes().len() < at + MAGIC.len() {
                if self.input.fill()? != Fill::Bytes {
                    break;
                }
            }
            let follows = &self.input.bytes()[at..];
            if !follows.get(..MAGIC.len()).is_some_and(|head| head.eq_ignore_ascii_case(MAGIC)) {
                let detail = format!("no record begins after the announced {content_bytes} bytes");
                return self.bad_and_search(start, from, "wrong_content_length", detail);
            }
        }
        alone &= start.member.is_some();
        let offset = self.offset(start, alone)?;
        Ok(Step::Record(Record { offset, number: self.next_record, content_bytes, whole }))
    }

    /// Bytes that are no record: a foreign file, or what damage left behind.
    fn read_rubbish(&mut self, start: &Start, at_file_start: bool) -> Result<Step> {
        let head = self.input.bytes();
        if at_file_start && head.starts_with(b"filed") {
            while self.input.bytes().len() < 11 && self.input.fill()? == Fill::Bytes {}
            if self.input.bytes().starts_with(b"filedesc://") {
                let bad = self.bad(start, "arc_file", "an ARC file; only WARC is read, so convert it first");
                self.input.seek_end()?;
                return Ok(bad);
            }
        }
        let head = self.input.bytes();
        let shown = String::from_utf8_lossy(&head[..head.len().min(40)]).into_owned();
        let what = if super::http::sniff(head) == Some(crate::document::Media::Html) {
            "an HTML page, perhaps a server's error message"
        } else {
            "no WARC record"
        };
        let cut = MAGIC.starts_with(&head[..head.len().min(MAGIC.len())]);
        let detail = format!("{what}: {shown:?}");
        let cause = if cut { "truncated_record" } else { "not_warc" };
        self.bad_and_search(start, 0, cause, detail)
    }

    /// A bad record whose end is not known: goes to the next line that begins a record, from `from` on.
    fn bad_and_search(
        &mut self,
        start: &Start,
        from: usize,
        cause: &'static str,
        detail: String,
    ) -> Result<Step> {
        let bad = self.bad(start, cause, detail);
        let packed_start = self.input.packed_offset();
        let stream_start = self.input.stream_offset();
        let mut from = from;
        let mut at_line_start = from > MAGIC.len();
        self.spent = 0;
        loop {
            let bytes = &self.input.bytes()[from..];
            if let Some(next) = framing::record_line(bytes, at_line_start) {
                self.spent = from + next;
                return Ok(bad);
            }
            // What might be the beginning of such a line stays, with the line end before it.
            let keep = bytes.len().min(MAX_VERSION_LINE_BYTES + 1);
            at_line_start &= keep == bytes.len();
            let gone = self.input.bytes().len() - keep;
            self.input.consume(gone);
            from = 0;
            match self.more()? {
                None => {}
                Some(Stop::NextRecord(cut)) => {
                    self.spent = cut;
                    return Ok(bad);
                }
                Some(Stop::End) => {
                    self.input.consume(usize::MAX);
                    return Ok(bad);
                }
                // The damage explains the rest.
                Some(Stop::Damaged(damage)) => return self.damaged(start, &damage),
            }
            let out = self.input.stream_offset() - stream_start;
            let packed = self.input.packed_offset().saturating_sub(packed_start).max(1);
            if out > BOMB_SIZE_FACTOR * self.max_record_bytes && out / packed > BOMB_RATIO {
                self.input.resync(MAGIC)?;
                return Ok(bad);
            }
        }
    }

    /// More bytes for what is being read, from the next member too if it does not begin a record.
    fn more(&mut self) -> Result<Option<Stop>> {
        loop {
            match self.input.fill()? {
                Fill::Bytes => return Ok(None),
                Fill::Damaged(damage) => return Ok(Some(Stop::Damaged(damage))),
                Fill::Boundary => {}
            }
            let cut = self.input.bytes().len();
            match self.input.begin()? {
                Begin::End => return Ok(Some(Stop::End)),
                Begin::Damaged(damage) => return Ok(Some(Stop::Damaged(damage))),
                Begin::Member => {}
            }
            let damage = loop {
                if self.input.bytes().len() >= cut + MAGIC.len() {
                    break None;
                }
                match self.input.fill()? {
                    Fill::Bytes => {}
                    Fill::Boundary => break None,
                    Fill::Damaged(damage) => break Some(damage),
                }
            };
            let begun = &self.input.bytes()[cut..];
            if begun.get(..MAGIC.len()).is_some_and(|head| head.eq_ignore_ascii_case(MAGIC)) {
                return Ok(Some(Stop::NextRecord(cut)));
            }
            if let Some(damage) = damage {
                return Ok(Some(Stop::Damaged(damage)));
            }
            if !begun.is_empty() {
                return Ok(None);
            }
        }
    }

    /// A record in a damaged member: goes to the next member that begins a record.
    fn damaged(&mut self, start: &Start, damage: &Damage) -> Result<Step> {
        let offset = self.offset(start, start.member.is_some())?;
        let found = self.input.resync(MAGIC)?;
        self.spent = 0;
        let cause =
            if damage.truncated && !found { "truncated_record" } else { self.input.codec().damage_cause() };
        Ok(Step::Bad(Bad { offset, record: self.next_record, cause, detail: damage.detail.clone() }))
    }

    fn bad(&self, start: &Start, cause: &'static str, detail: impl Into<String>) -> Step {
        let offset = match start.member {
            Some(member) if self.input.codec() != Codec::Plain => member,
            _ => self.base.unwrap_or(0) + start.stream,
        };
        Step::Bad(Bad { offset, record: self.next_record, cause, detail: detail.into() })
    }

    /// The offset that a record is known by.
    fn offset(&mut self, start: &Start, alone: bool) -> Result<u64> {
        if self.input.codec() == Codec::Plain {
            return Ok(start.stream);
        }
        match start.member {
            Some(member) if alone => Ok(member),
            _ => Ok(self.stream_base()? + start.stream),
        }
    }

    /// Needed once at most: how many decompressed bytes lie before the member that this walk began at.
    fn stream_base(&mut self) -> Result<u64> {
        if let Some(base) = self.base {
            return Ok(base);
        }
        let mut before = Self::open(&self.path, None, self.max_record_bytes)?;
        before.walk_to(self.opened_at)?;
        let base = before.input.stream_offset() + before.spent as u64;
        self.base = Some(base);
        Ok(base)
    }
}

/// Where something begins: the member, if nothing but line ends lies before it there, and the stream.
struct Start {
    member: Option<u64>,
    stream: u64,
}
