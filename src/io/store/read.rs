//! Reading an object: pieces where they are asked for, or all of it from one place on.
//!
//! Reads at given places fetch some more around them, and the last few of these blocks are kept: a table is read page by page, column by
//! column. Somebody who reads on gets windows, each larger than the one before. A stream is one request for the rest of
//! the object, whose bytes wait in a channel of fixed size: when the reader is busy, the network waits. When a body ends too early, the
//! request is repeated for what is missing, for the same version of the object (`If-Match`).

use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::{GetOptions, GetRange, ObjectMeta};
use tokio::sync::mpsc;

use super::{Location, Patience, fault, get_part, get_whole, other_size, runtime};
use crate::error::{Error, Result};

/// Bytes of the first window of scattered reads, and of the largest.
const FIRST_WINDOW_BYTES: u64 = 64 << 10;
const LARGEST_WINDOW_BYTES: u64 = 4 << 20;
/// Windows of all open objects together grow up to here.
const ALL_WINDOWS_BYTES: u64 = 128 << 20;
/// Bytes that are fetched around a read at some place, of sorted runs and of tables, and what is kept of them.
const RUN_BLOCK_BYTES: u64 = 64 << 10;
const TABLE_BLOCK_BYTES: u64 = 512 << 10;
const KEPT_BYTES: usize = 8 << 20;
/// A table of this size is fetched whole.
const SMALL_TABLE_BYTES: u64 = 2 << 20;
/// A stream's pieces, and how many of them wait: 4 MiB.
const PIECE_BYTES: usize = 256 << 10;
const WAITING_PIECES: usize = 16;

/// What all windows beyond their first size hold.
static WINDOWS_BYTES: AtomicU64 = AtomicU64::new(0);

/// An object that is open for reading.
pub(in crate::io) struct Remote {
    shared: Arc<Shared>,
    position: u64,
    /// Bytes from `window_start` on.
    window: Bytes,
    window_start: u64,
    /// Size of the next window if reading goes on behind this one.
    next_bytes: u64,
    mode: Mode,
    /// Where reading ends, if it ends before the object does.
    end: u64,
}

struct Shared {
    location: Location,
    meta: ObjectMeta,
    /// The last thing that went wrong, for callers that only hear that something did.
    fault: Mutex<Option<Error>>,
    /// What was read at given places: where it begins, the last one first.
    blocks: Mutex<VecDeque<(u64, Bytes)>>,
}

enum Mode {
    Windows,
    /// A request for everything from some place on, begun at the first read.
    Stream(Option<mpsc::Receiver<Result<Bytes>>>),
}

impl Remote {
    /// Opens an object for scattered reads or, `streaming`, for reading on and on.
    pub(in crate::io) fn open(location: Location, streaming: bool) -> Result<Self> {
        let mut meta = location.head().map_err(|error| reworded(error, "open"))?;
        // A weak tag (RFC 9110, 13.1.1) never matches: the size alone must tell then.
        meta.e_tag = meta.e_tag.filter(|tag| !tag.starts_with("W/"));
        if meta.size == 0 {
            // Or is it what some server on the way said?
            meta.size = location.retry("open", || get_whole(&location))?.0.len() as u64;
        }
        let mode = if streaming { Mode::Stream(None) } else { Mode::Windows };
        let end = meta.size;
        let (fault, blocks) = (Mutex::new(None), Mutex::new(VecDeque::new()));
        let shared = Arc::new(Shared { location, meta, fault, blocks });
        Ok(Self::of(shared, mode, end))
    }

    fn of(shared: Arc<Shared>, mode: Mode, end: u64) -> Self {
        let window = Bytes::new();
        Self { shared, position: 0, window, window_start: 0, next_bytes: FIRST_WINDOW_BYTES, mode, end }
    }

    pub(in crate::io) fn size(&self) -> u64 {
        self.shared.meta.size
    }

    /// Nothing behind this place will be read: a stream asks for no more.
    pub(in crate::io) fn end_at(&mut self, end: u64) {
        let end = end.min(self.size());
        if let Mode::Stream(pieces) = &mut self.mode
            && end != self.end
        {
            *pieces = None;
        }
        self.end = end;
    }

    /// A second reader of the same object, at its beginning.
    pub(in crate::io) fn again(&self) -> Self {
        Self::of(Arc::clone(&self.shared), Mode::Windows, self.end)
    }

    /// What went wrong last, if anything did.
    pub(in crate::io) fn take_fault(&self) -> Option<Error> {
        self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A part of a table.
    pub(in crate::io) fn table_part(&self, start: u64, end: u64) -> std::io::Result<Bytes> {
        if self.size() <= SMALL_TABLE_BYTES {
            return self.kept_part(start, end, 0..self.size());
        }
        self.kept_part(start, end, start..end.max(start + TABLE_BLOCK_BYTES).min(self.size()))
    }

    /// A part that is perhaps at hand; else `around` it is fetched, and kept for the next one.
    fn kept_part(&self, start: u64, end: u64, around: std::ops::Range<u64>) -> std::io::Result<Bytes> {
        let cut = |(at, block): &(u64, Bytes)| {
            let from = usize::try_from(start.checked_sub(*at)?).ok()?;
            let to = from + usize::try_from(end - start).ok()?;
            (to <= block.len()).then(|| block.slice(from..to))
        };
        let lock = || self.shared.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut blocks = lock();
        let found = blocks.iter().enumerate().find_map(|(number, block)| Some((number, cut(block)?)));
        if let Some((number, part)) = found {
            if let Some(block) = blocks.remove(number) {
                blocks.push_front(block);
            }
            return Ok(part);
        }
        drop(blocks);
        let block = (around.start, self.part(around.start, around.end)?);
        let part = cut(&block).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let mut blocks = lock();
        blocks.push_front(block);
        while blocks.len() > 1 && blocks.iter().map(|(_, block)| block.len()).sum::<usize>() > KEPT_BYTES {
            blocks.pop_back();
        }
        Ok(part)
    }

    /// A part of the object, in one request.
    fn part(&self, start: u64, end: u64) -> std::io::Result<Bytes> {
        if start >= end {
            return Ok(Bytes::new());
        }
        let Shared { location, meta, .. } = &*self.shared;
        location
            .retry("read", || get_part(location, start..end, Some(meta)))
            .map_err(|error| self.shared.keep(error))
    }

    /// Fills a buffer from a place on; many threads may do so at once.
    pub(in crate::io) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        let end = offset + buffer.len() as u64;
        if end > self.size() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        // From a round place on, so that neighbours above and below are at hand.
        let start = offset - offset % RUN_BLOCK_BYTES;
        let around = start..end.max((start + RUN_BLOCK_BYTES).min(self.size()));
        buffer.copy_from_slice(&self.kept_part(offset, end, around)?);
        Ok(())
    }

    /// Brings the bytes from the position on into the window; false at the end.
    fn advance(&mut self) -> std::io::Result<bool> {
        if self.position >= self.end {
            return Ok(false);
        }
        self.window_start = self.position;
        if matches!(self.mode, Mode::Windows) {
            let end = (self.position + self.next_bytes).min(self.end);
            self.window = self.part(self.position, end)?;
            self.grow();
            return Ok(true);
        }
        let Mode::Stream(pieces) = &mut self.mode else { return Ok(false) };
        let receiver = pieces.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(WAITING_PIECES);
            runtime().spawn(pump(Arc::clone(&self.shared), self.position..self.end, sender));
            receiver
        });
        match receiver.blocking_recv() {
            Some(Ok(piece)) => {
                self.window = piece;
                Ok(true)
            }
            Some(Err(error)) => Err(self.shared.keep(error)),
            None => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Doubles the next window while there is room for all.
    fn grow(&mut self) {
        let more = self.next_bytes;
        if more < LARGEST_WINDOW_BYTES
            && WINDOWS_BYTES.fetch_add(more, Ordering::Relaxed) + more <= ALL_WINDOWS_BYTES
        {
            self.next_bytes += more;
        } else if more < LARGEST_WINDOW_BYTES {
            WINDOWS_BYTES.fetch_sub(more, Ordering::Relaxed);
        }
    }

    fn shrink(&mut self) {
        WINDOWS_BYTES.fetch_sub(self.next_bytes - FIRST_WINDOW_BYTES, Ordering::Relaxed);
        self.next_bytes = FIRST_WINDOW_BYTES;
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.shrink();
    }
}

impl Shared {
    /// Remembers an error whose words a caller may lose, and hands it on.
    fn keep(&self, error: Error) -> std::io::Error {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            Error::Io { action, path, source } => {
                let told =
                    source.get_ref().and_then(|e| e.downcast_ref::<crate::error::StoreFault>()).cloned();
                let copy = |kind| told.clone().map(|told| std::io::Error::new(kind, told));
                if let Some(copy) = copy(source.kind()) {
                    *fault = Some(Error::Io { action, path, source: copy });
                }
                source
            }
            other => std::io::Error::other(other.to_string()),
        }
    }
}

fn reworded(error: Error, action: &'static str) -> Error {
    match error {
        Error::Io { path, source, .. } => Error::Io { action, path, source },
        other => other,
    }
}

impl Read for Remote {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut at = self.position.wrapping_sub(self.window_start);
        if at >= self.window.len() as u64 {
            if buffer.is_empty() || !self.advance()? {
                return Ok(0);
            }
            at = 0;
        }
        let rest = &self.window[usize::try_from(at).unwrap_or(usize::MAX)..];
        let left = usize::try_from(self.end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let count = rest.len().min(buffer.len()).min(left);
        buffer[..count].copy_from_slice(&rest[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Remote {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let (base, by) = match to {
            SeekFrom::Start(place) => (place, 0),
            SeekFrom::End(by) => (self.size(), by),
            SeekFrom::Current(by) => (self.position, by),
        };
        let place = base.checked_add_signed(by).ok_or(std::io::ErrorKind::InvalidInput)?;
        if place == self.position {
            return Ok(place);
        }
        self.position = place;
        let inside = place >= self.window_start && place < self.window_start + self.window.len() as u64;
        if !inside {
            self.window = Bytes::new();
            self.shrink();
            if let Mode::Stream(pieces) = &mut self.mode {
                // The pump ends when nobody listens.
                *pieces = None;
            }
        }
        Ok(place)
    }
}

/// Sends a range of an object in pieces, whatever happens to connections meanwhile.
async fn pump(shared: Arc<Shared>, range: std::ops::Range<u64>, sender: mpsc::Sender<Result<Bytes>>) {
    let location = &shared.location;
    let mut at = range.start;
    let mut patience = Patience::new();
    while at < range.end {
        let options = GetOptions {
            range: Some(GetRange::Bounded(at..range.end)),
            if_match: shared.meta.e_tag.clone(),
            ..GetOptions::default()
        };
        let failure = match location.store.get_opts(&location.key, options).await {
            Ok(answer) if answer.meta.size != shared.meta.size => Some(other_size()),
            Ok(answer) => {
                let mut pieces = Pieces { held: Vec::new(), sender: &sender };
                let mut body = answer.into_stream();
                let failure = loop {
                    match body.next().await {
                        Some(Ok(bytes)) => {
                            at += bytes.len() as u64;
                            if !pieces.push(bytes).await {
                                return;
                            }
                            patience.refresh();
                        }
                        Some(Err(error)) => break Some(error),
                        None => break None,
                    }
                };
                if !pieces.flush().await {
                    return;
                }
                failure
            }
            Err(error) => Some(error),
        };
        if at >= range.end {
            return;
        }
        let failure = failure.unwrap_or_else(|| object_store::Error::Generic {
            store: "HTTP",
            source: "the answer ended too early".into(),
        });
        if !fault::may_pass(&failure) || !patience.wait(location, &failure).await {
            // Nobody who listens is fine, too.
            drop(sender.send(Err(location.error("read", &failure, &patience))).await);
            return;
        }
    }
}

/// Bytes that wait to become a piece.
struct Pieces<'s> {
    held: Vec<u8>,
    sender: &'s mpsc::Sender<Result<Bytes>>,
}

impl Pieces<'_> {
    /// Takes bytes; false once nobody listens.
    async fn push(&mut self, bytes: Bytes) -> bool {
        if self.held.is_empty() && bytes.len() >= PIECE_BYTES / 2 {
            return self.sender.send(Ok(bytes)).await.is_ok();
        }
        if self.held.capacity() == 0 {
            self.held.reserve_exact(PIECE_BYTES);
        }
        self.held.extend_from_slice(&bytes);
        self.held.len() < PIECE_BYTES / 2 || self.flush().await
    }

    async fn flush(&mut self) -> bool {
        let held = std::mem::take(&mut self.held);
        held.is_empty() || self.sender.send(Ok(held.into())).await.is_ok()
    }
}
