//! Input files as decompressed bytes: gzip member by member, zstd frame by frame, plain files as they are.
//!
//! Crawl files hold one gzip member (or zstd frame) per record, so that a record can be fetched alone.
//! General gzip readers either stop after the first member or hide where members begin, and give up on the
//! first damaged byte. This one shows the borders, knows the file offset of each member, checks CRC and
//! length, and after damage finds the next member that really inflates (RFC 1952 header, then a trial).
//! What a file is compressed with is read from its first bytes (one of which may be wrong), never from its name. A `.zst` file may begin
//! with the dictionary frame of the IIPC's WARC-in-zstd convention (skippable frame `0x184D2A5D`).
//!
//! Memory: one packed buffer plus the window of bytes that the caller has not consumed; bounding the window
//! is the caller's part.

mod gzip;
pub mod payload;
mod resync;
mod whole;

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::{Crc, Decompress, FlushDecompress, Status};
use zstd::stream::raw::{Decoder as ZstdDecoder, Operation};

use super::File;
use crate::error::{Error, Result};
pub use gzip::MAGIC as GZIP_MAGIC;
pub use whole::read_whole;

/// Bytes of the compressed file that are held at a time.
const PACKED_BYTES: usize = 256 << 10;
/// Free space that every [`Input::fill`] offers to the decoder.
const ROOM_BYTES: usize = 128 << 10;
/// Largest dictionary that a `.zst` file may bring along.
const MAX_DICTIONARY_BYTES: usize = 16 << 20;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const ZSTD_DICTIONARY_FRAME: [u8; 4] = [0x5d, 0x2a, 0x4d, 0x18];

/// What a file is compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    Plain,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
}

impl Codec {
    /// Name of the quarantine cause for a damaged member.
    #[must_use]
    pub fn damage_cause(self) -> &'static str {
        match self {
            Self::Zstd => "corrupt_zstd_frame",
            Self::Gzip | Self::Plain => "corrupt_gzip_member",
        }
    }
}

/// Result of [`Input::fill`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fill {
    /// More bytes are in the window.
    Bytes,
    /// The member has ended and was intact; [`Input::begin`] starts the next one.
    Boundary,
    /// The member cannot be read on; said again until [`Input::resync`].
    Damaged(Damage),
}

/// Result of [`Input::begin`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// A member has begun.
    Member,
    /// The file is at its end.
    End,
    /// No member begins here; said again until [`Input::resync`].
    Damaged(Damage),
}

/// Why a member cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Whether the file simply ends inside the member.
    pub truncated: bool,
    /// The particulars.
    pub detail: String,
}

impl Damage {
    fn corrupt(detail: impl Into<String>) -> Self {
        Self { truncated: false, detail: detail.into() }
    }

    fn cut(detail: impl Into<String>) -> Self {
        Self { truncated: true, detail: detail.into() }
    }
}

enum Decoder {
    Plain,
    Gzip { inflate: Box<Decompress>, crc: Crc },
    Zstd(Box<ZstdDecoder<'static>>),
}

/// An open input file: a window of decompressed bytes that moves forward.
pub struct Input {
    file: File,
    path: PathBuf,
    file_bytes: u64,
    codec: Codec,
    decoder: Decoder,
    packed: Vec<u8>,
    packed_at: usize,
    packed_end: usize,
    /// File offset of the first byte after the packed buffer.
    read_offset: u64,
    /// File offset behind which nothing is read.
    stop: u64,
    /// End of the stretch that was opened.
    stretch_end: u64,
    inside: bool,
    damage: Option<Damage>,
    member: u64,
    member_stream: u64,
    window: Vec<u8>,
    start: usize,
    end: usize,
    stream: u64,
}

impl Input {
    /// Opens a file at its beginning and looks at its first bytes.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be opened or read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let mut input = Self::unread_file(path)?;
        input.refill()?;
        let head = &input.packed[..input.packed_end];
        if nearly(head, &gzip::MAGIC) {
            input.codec = Codec::Gzip;
            input.decoder = gzip_decoder();
        } else if nearly(head, &ZSTD_MAGIC) || is_skippable(head) {
            input.codec = Codec::Zstd;
            input.decoder = Decoder::Zstd(Box::new(input.zstd_decoder()?));
        } else {
            input.seek_packed(0)?;
        }
        Ok(input)
    }

    /// Opens a stretch of a gzip file for single members in it: see [`Input::member_at`]. Nothing outside the stretch is read.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be opened or read.
    pub fn open_stretch(path: impl AsRef<Path>, stretch: Range<u64>) -> Result<Self> {
        let mut input = Self::unread_file(path)?;
        input.codec = Codec::Gzip;
        input.decoder = gzip_decoder();
        input.go_to_stretch(stretch)?;
        Ok(input)
    }

    /// Goes to another stretch of the file, of which then nothing else is read.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read.
    pub fn go_to_stretch(&mut self, stretch: Range<u64>) -> Result<()> {
        self.file.end_at(stretch.end);
        self.seek_packed(stretch.start)?;
        self.stop = stretch.start;
        self.stretch_end = stretch.end;
        Ok(())
    }

    /// Goes to the member that lies at these bytes of the file, and lets the file end behind it until the next call. The bytes
    /// between are read and dropped, so that a stretch whose members are asked for in their order is read in one go.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read.
    pub fn member_at(&mut self, member: Range<u64>) -> Result<()> {
        self.drop_window();
        self.stream = 0;
        self.inside = false;
        self.damage = None;
        if member.start < self.packed_offset() {
            self.seek_packed(member.start)?;
        }
        self.stop = member.start;
        self.file_bytes = member.end;
        while self.packed_offset() < member.start {
            self.packed_at = self.packed_end;
            if !self.refill()? {
                break;
            }
        }
        self.stop = member.end.min(self.stretch_end);
        Ok(())
    }

    /// A file of which nothing was read.
    fn unread_file(path: impl AsRef<Path>) -> Result<Self> {
        let file = super::open_stream(&path)?;
        let file_bytes = file.size().map_err(Error::io("look at", &path))?;
        Ok(Self {
            file,
            path: path.as_ref().to_path_buf(),
            file_bytes,
            codec: Codec::Plain,
            decoder: Decoder::Plain,
            packed: vec![0; PACKED_BYTES],
            packed_at: 0,
            packed_end: 0,
            read_offset: 0,
            stop: u64::MAX,
            stretch_end: u64::MAX,
            inside: false,
            damage: None,
            member: 0,
            member_stream: 0,
            window: vec![0; 4 * ROOM_BYTES],
            start: 0,
            end: 0,
            stream: 0,
        })
    }

    fn zstd_decoder(&mut self) -> Result<ZstdDecoder<'static>> {
        let dictionary = self.leading_dictionary()?;
        self.seek_packed(0)?;
        ZstdDecoder::with_dictionary(&dictionary).map_err(Error::io("read", &self.path))
    }

    /// The dictionary in the first frame; empty where there is none or it is not usable.
    fn leading_dictionary(&mut self) -> Result<Vec<u8>> {
        if !self.packed[..self.packed_end].starts_with(&ZSTD_DICTIONARY_FRAME) || self.packed_end < 8 {
            return Ok(Vec::new());
        }
        let bytes = u32::from_le_bytes([self.packed[4], self.packed[5], self.packed[6], self.packed[7]]);
        if bytes as usize > MAX_DICTIONARY_BYTES || u64::from(bytes) + 8 > self.file_bytes {
            return Ok(Vec::new());
        }
        let mut frame = vec![0; bytes as usize];
        self.file.seek(SeekFrom::Start(8)).map_err(Error::io("seek in", &self.path))?;
        self.file.read_exact(&mut frame).map_err(Error::io("read", &self.path))?;
        if frame.starts_with(&ZSTD_MAGIC) {
            return Ok(payload::decode(&frame, payload::Encoding::Zstd, MAX_DICTIONARY_BYTES).bytes);
        }
        Ok(frame)
    }

    /// What the file is compressed with.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Size of the file as it lies on disk.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Decompressed bytes that were read and not yet consumed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.window[self.start..self.end]
    }

    /// Moves past `count` bytes of [`Input::bytes`]; at most all of them.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.stream += count as u64;
    }

    /// Place of the first unconsumed byte in the decompressed stream. Counts from the last
    /// [`Input::seek_member`]; in a plain file it is the file offset.
    #[must_use]
    pub fn stream_offset(&self) -> u64 {
        self.stream
    }

    /// Whether a member has begun and neither its intact end was decoded nor its damage passed over.
    #[must_use]
    pub fn inside(&self) -> bool {
        self.inside || self.damage.is_some()
    }

    /// File offset of the member that began last.
    #[must_use]
    pub fn member(&self) -> u64 {
        self.member
    }

    /// Place in the stream at which that member began.
    #[must_use]
    pub fn member_stream_offset(&self) -> u64 {
        self.member_stream
    }

    /// File offset of the next compressed byte to decode: between members, where the next one begins.
    #[must_use]
    pub fn packed_offset(&self) -> u64 {
        self.read_offset - (self.packed_end - self.packed_at) as u64
    }

    /// Goes to a member that begins at a file offset (plain files: to any byte).
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read.
    pub fn seek_member(&mut self, offset: u64) -> Result<()> {
        self.drop_window();
        self.inside = false;
        self.damage = None;
        self.stream = if self.codec == Codec::Plain { offset } else { 0 };
        self.seek_packed(offset.min(self.file_bytes))
    }

    /// Gives up on the rest of the file.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read.
    pub fn seek_end(&mut self) -> Result<()> {
        let stream = self.stream;
        self.seek_member(self.file_bytes)?;
        if self.codec != Codec::Plain {
            self.stream = stream;
        }
        Ok(())
    }

    /// Passes over bytes of a plain file without reading them; `count` reaches at most to its end.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read.
    pub fn skip_plain(&mut self, count: u64) -> Result<()> {
        let held = (self.end - self.start) as u64;
        if count <= held {
            self.consume(usize::try_from(count).unwrap_or(usize::MAX));
            return Ok(());
        }
        let target = (self.stream + count).min(self.file_bytes);
        let (member, member_stream, inside) = (self.member, self.member_stream, self.inside);
        self.seek_member(target)?;
        (self.member, self.member_stream, self.inside) = (member, member_stream, inside);
        Ok(())
    }

    fn drop_window(&mut self) {
        self.stream += (self.end - self.start) as u64;
        self.start = 0;
        self.end = 0;
    }

    fn seek_packed(&mut self, offset: u64) -> Result<()> {
        self.file.seek(SeekFrom::Start(offset)).map_err(Error::io("seek in", &self.path))?;
        self.read_offset = offset;
        self.packed_at = 0;
        self.packed_end = 0;
        Ok(())
    }

    /// Reads until the packed buffer is full or the file ends; false if nothing came.
    fn refill(&mut self) -> Result<bool> {
        self.packed.copy_within(self.packed_at..self.packed_end, 0);
        self.packed_end -= self.packed_at;
        self.packed_at = 0;
        let before = self.packed_end;
        while self.packed_end < self.packed.len() {
            let allowed = usize::try_from(self.stop.saturating_sub(self.read_offset)).unwrap_or(usize::MAX);
            let room = self.packed.len().min(self.packed_end.saturating_add(allowed));
            if room == self.packed_end {
                break;
            }
            match self.file.read(&mut self.packed[self.packed_end..room]) {
                Ok(0) => {
                    // It is shorter than whoever asked for a member thought.
                    self.file_bytes = self.file_bytes.min(self.read_offset);
                    break;
                }
                Ok(count) => {
                    self.packed_end += count;
                    self.read_offset += count as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", &self.path)(error)),
            }
        }
        Ok(self.packed_end > before)
    }

    fn unread(&self) -> &[u8] {
        &self.packed[self.packed_at..self.packed_end]
    }

    /// Makes at least `count` packed bytes available, if the file has so many: all that are held and not decoded yet.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read.
    pub fn peek(&mut self, count: usize) -> Result<&[u8]> {
        if self.packed_end - self.packed_at < count {
            self.refill()?;
        }
        Ok(self.unread())
    }

    /// Starts the next member.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read.
    pub fn begin(&mut self) -> Result<Begin> {
        if let Some(damage) = &self.damage {
            return Ok(Begin::Damaged(damage.clone()));
        }
        let begun = match self.codec {
            Codec::Plain => {
                if self.packed_offset() >= self.file_bytes {
                    Begin::End
                } else {
                    Begin::Member
                }
            }
            Codec::Gzip => self.begin_gzip()?,
            Codec::Zstd => self.begin_zstd()?,
        };
        match &begun {
            Begin::Member => {
                self.inside = true;
                self.member_stream = self.stream + (self.end - self.start) as u64;
            }
            Begin::Damaged(damage) => self.damage = Some(damage.clone()),
            Begin::End => {}
        }
        Ok(begun)
    }

    fn begin_gzip(&mut self) -> Result<Begin> {
        self.member = self.packed_offset();
        let head = self.peek(512)?;
        if head.is_empty() || (head[0] == 0 && self.only_zeros_left()?) {
            return Ok(Begin::End);
        }
        loop {
            match gzip::parse_header(self.unread()) {
                gzip::Header::Whole(bytes) => {
                    self.packed_at += bytes;
                    if let Decoder::Gzip { inflate, crc } = &mut self.decoder {
                        inflate.reset(false);
                        crc.reset();
                    }
                    return Ok(Begin::Member);
                }
                gzip::Header::Invalid(what) => return Ok(Begin::Damaged(Damage::corrupt(what))),
                gzip::Header::Short if self.packed_end - self.packed_at == self.packed.len() => {
                    return Ok(Begin::Damaged(Damage::corrupt("the gzip header does not end")));
                }
                gzip::Header::Short => {
                    if !self.refill()? {
                        return Ok(Begin::Damaged(Damage::cut("the file ends inside a gzip header")));
                    }
                }
            }
        }
    }

    /// Tape-style padding: zero bytes up to the end of the file. Otherwise stays where it is.
    fn only_zeros_left(&mut self) -> Result<bool> {
        let here = self.packed_offset();
        loop {
            if self.unread().iter().any(|&byte| byte != 0) {
                self.seek_packed(here)?;
                self.refill()?;
                return Ok(false);
            }
            self.packed_at = self.packed_end;
            if !self.refill()? {
                return Ok(true);
            }
        }
    }

    fn begin_zstd(&mut self) -> Result<Begin> {
        loop {
            self.member = self.packed_offset();
            let file_bytes = self.file_bytes;
            let member = self.member;
            let head = self.peek(8)?;
            if head.is_empty() {
                return Ok(Begin::End);
            }
            if head.starts_with(&ZSTD_MAGIC) {
                if let Decoder::Zstd(decoder) = &mut self.decoder {
                    decoder.reinit().map_err(Error::io("read", &self.path))?;
                }
                return Ok(Begin::Member);
            }
            if !is_skippable(head) {
                let whole = head.len() >= 4;
                return Ok(Begin::Damaged(if whole {
                    Damage::corrupt("no zstd frame begins here")
                } else {
                    Damage::cut("the file ends inside a frame header")
                }));
            }
            if head.len() < 8 {
                return Ok(Begin::Damaged(Damage::cut("the file ends inside a skippable frame")));
            }
            let next = member + 8 + u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
            if next > file_bytes {
                return Ok(Begin::Damaged(Damage::cut("the file ends inside a skippable frame")));
            }
            self.seek_packed(next)?;
        }
    }

    /// Decodes some more bytes of the member into the window. Never crosses into the next member.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read.
    pub fn fill(&mut self) -> Result<Fill> {
        if let Some(damage) = &self.damage {
            return Ok(Fill::Damaged(damage.clone()));
        }
        if !self.inside {
            return Ok(Fill::Boundary);
        }
        self.make_room();
        let before = self.end;
        match self.codec {
            Codec::Plain => self.fill_plain()?,
            Codec::Gzip => self.fill_gzip()?,
            Codec::Zstd => self.fill_zstd()?,
        }
        if self.end > before {
            return Ok(Fill::Bytes);
        }
        match &self.damage {
            Some(damage) => Ok(Fill::Damaged(damage.clone())),
            None => Ok(Fill::Boundary),
        }
    }

    /// Amortised: bytes move only once as many were consumed.
    fn make_room(&mut self) {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
        if self.window.len() - self.end >= ROOM_BYTES {
            return;
        }
        if self.start >= self.window.len() / 2 {
            self.window.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.window.len() - self.end < ROOM_BYTES {
            self.window.resize(self.window.len() * 2, 0);
        }
    }

    fn fail(&mut self, damage: Damage) {
        self.inside = false;
        self.damage = Some(damage);
    }

    fn fill_plain(&mut self) -> Result<()> {
        loop {
            match self.file.read(&mut self.window[self.end..]) {
                Ok(0) => {
                    self.inside = false;
                    return Ok(());
                }
                Ok(count) => {
                    self.end += count;
                    self.read_offset += count as u64;
                    return Ok(());
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", &self.path)(error)),
            }
        }
    }

    fn fill_gzip(&mut self) -> Result<()> {
        let limit = self.window.len().min(self.end + 2 * ROOM_BYTES);
        let first = self.end;
        while self.end < limit {
            if self.packed_at == self.packed_end && !self.refill()? {
                self.fail(Damage::cut("the file ends inside a gzip member"));
                return Ok(());
            }
            let Decoder::Gzip { inflate, crc } = &mut self.decoder else { return Ok(()) };
            let (read, written) = (inflate.total_in(), inflate.total_out());
            let result = inflate.decompress(
                &self.packed[self.packed_at..self.packed_end],
                &mut self.window[self.end..limit],
                FlushDecompress::None,
            );
            self.packed_at += usize::try_from(inflate.total_in() - read).unwrap_or(0);
            let count = usize::try_from(inflate.total_out() - written).unwrap_or(0);
            crc.update(&self.window[self.end..self.end + count]);
            self.end += count;
            match result {
                Ok(Status::StreamEnd) => return self.end_gzip(),
                Ok(_) if count > 0 || self.packed_at == self.packed_end => {}
                Ok(_) if self.end > first => return Ok(()),
                Ok(_) => {
                    self.fail(Damage::corrupt("the deflate data makes no progress"));
                    return Ok(());
                }
                Err(error) => {
                    self.fail(Damage::corrupt(error.to_string()));
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn end_gzip(&mut self) -> Result<()> {
        self.inside = false;
        let Decoder::Gzip { crc, .. } = &self.decoder else { return Ok(()) };
        let expected = (crc.sum(), crc.amount());
        let trailer = self.peek(gzip::TRAILER_BYTES)?;
        if trailer.len() < gzip::TRAILER_BYTES {
            self.fail(Damage::cut("the file ends inside a gzip trailer"));
            return Ok(());
        }
        let word =
            |at: usize| u32::from_le_bytes([trailer[at], trailer[at + 1], trailer[at + 2], trailer[at + 3]]);
        let found = (word(0), word(4));
        self.packed_at += gzip::TRAILER_BYTES;
        if found.0 != expected.0 {
            self.fail(Damage::corrupt("the checksum of the gzip member is wrong"));
        } else if found.1 != expected.1 {
            self.fail(Damage::corrupt("the length in the gzip trailer is wrong"));
        }
        Ok(())
    }

    fn fill_zstd(&mut self) -> Result<()> {
        let limit = self.window.len().min(self.end + 2 * ROOM_BYTES);
        while self.end < limit {
            if self.packed_at == self.packed_end && !self.refill()? {
                self.fail(Damage::cut("the file ends inside a zstd frame"));
                return Ok(());
            }
            let Decoder::Zstd(decoder) = &mut self.decoder else { return Ok(()) };
            let result = decoder.run_on_buffers(
                &self.packed[self.packed_at..self.packed_end],
                &mut self.window[self.end..limit],
            );
            match result {
                Ok(status) => {
                    self.packed_at += status.bytes_read;
                    self.end += status.bytes_written;
                    if status.remaining == 0 {
                        self.inside = false;
                        return Ok(());
                    }
                }
                Err(error) => {
                    self.fail(Damage::corrupt(error.to_string()));
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn gzip_decoder() -> Decoder {
    Decoder::Gzip { inflate: Box::new(Decompress::new(false)), crc: Crc::default() }
}

/// Whether a file begins with the magic number, or with one whose damage is a single byte: the first member of
/// such a file is lost, the others are found.
fn nearly(head: &[u8], magic: &[u8]) -> bool {
    let equal = head.iter().zip(magic).filter(|(byte, expected)| byte == expected).count();
    equal + 1 >= magic.len()
}

fn is_skippable(head: &[u8]) -> bool {
    head.len() >= 4 && head[0] & 0xf0 == 0x50 && head[1..4] == [0x2a, 0x4d, 0x18]
}
