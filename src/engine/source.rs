//! Where a segment's documents come from: an input file, or the documents that an earlier segment left.
//!
//! Either way they come in windows of bounded size, and windows end where parts end. Where a part ends
//! depends only on the documents, never on time or threads.

use std::collections::VecDeque;
use std::path::PathBuf;

use crate::document::Document;
use crate::error::Result;
use crate::io::docfile::DocReader;
use crate::stage::{BadRecord, Item, Position, RecordStream, Removal, Removals};

/// Documents that are worked on together.
const WINDOW_DOCS: usize = 256;
/// Payload bytes that are worked on together, give or take one document.
const WINDOW_BYTES: usize = 4 << 20;
/// Bytes of an input file that a window passes over at most, give or take one record: a signal is heard between windows, also where
/// there is little but images.
const WINDOW_INPUT_BYTES: u64 = 32 << 20;

/// Some documents in order, and what lay between them.
#[derive(Default)]
pub(super) struct Window {
    /// Documents, and for each whether deduplication removes it.
    pub docs: Vec<(Document, Option<Removal>)>,
    /// Bad records between them.
    pub bad: Vec<BadRecord>,
    /// Kinds of records that are no documents.
    pub skipped: Vec<&'static str>,
    /// Whether a part ends here.
    pub ends_part: bool,
    /// Whether nothing follows.
    pub ends_task: bool,
    /// Where the next part starts.
    pub position: Option<Position>,
    /// Bytes of the input that this window took, for the progress bar.
    pub input_bytes: u64,
}

/// Yields windows.
pub(super) trait Source: Send {
    /// The next window; not called again after one that ends the task.
    fn window(&mut self) -> Result<Window>;
}

/// Documents of an input file.
pub(super) struct FileSource {
    stream: Box<dyn RecordStream>,
    part_bytes: usize,
    part_left: usize,
    seen: u64,
}

impl FileSource {
    pub(super) fn new(stream: Box<dyn RecordStream>, part_bytes: usize) -> Self {
        let seen = stream.position().offset;
        Self { stream, part_bytes, part_left: part_bytes, seen }
    }
}

impl Source for FileSource {
    fn window(&mut self) -> Result<Window> {
        let mut window = Window::default();
        let mut bytes = 0;
        let start = self.stream.position().offset;
        let is_wide =
            |stream: &dyn RecordStream| stream.position().offset.abs_diff(start) >= WINDOW_INPUT_BYTES;
        while window.docs.len() < WINDOW_DOCS
            && bytes < WINDOW_BYTES
            && self.part_left > 0
            && !is_wide(&*self.stream)
        {
            // A record costs a little even where it brings no text, so that parts end in any input.
            let weight = match self.stream.next()? {
                None => {
                    window.ends_part = true;
                    window.ends_task = true;
                    break;
                }
                Some(Item::Document(doc)) => {
                    let weight = doc.weight_bytes();
                    window.docs.push((*doc, None));
                    weight
                }
                Some(Item::Skipped(kind)) => {
                    window.skipped.push(kind);
                    0
                }
                Some(Item::Bad(bad)) => {
                    window.bad.push(bad);
                    0
                }
            } + 64;
            bytes += weight;
            self.part_left = self.part_left.saturating_sub(weight);
        }
        if self.part_left == 0 {
            window.ends_part = true;
            self.part_left = self.part_bytes;
        }
        let position = self.stream.position();
        // Positions inside a shared gzip member have the top bit set and say nothing about the file's bytes.
        let offset = if position.offset >> 63 == 0 { position.offset } else { self.seen };
        window.input_bytes = offset.saturating_sub(self.seen);
        self.seen = offset;
        window.position = Some(position);
        Ok(window)
    }
}

/// Documents of an earlier segment's task, part by part.
pub(super) struct PartSource {
    parts: VecDeque<PathBuf>,
    reader: Option<DocReader>,
    removals: Option<Box<dyn Removals>>,
}

impl PartSource {
    pub(super) fn new(parts: VecDeque<PathBuf>, removals: Option<Box<dyn Removals>>) -> Self {
        Self { parts, reader: None, removals }
    }
}

impl Source for PartSource {
    fn window(&mut self) -> Result<Window> {
        let mut window = Window::default();
        let Some(mut reader) =
            self.reader.take().map(Ok).or_else(|| self.parts.pop_front().map(DocReader::open)).transpose()?
        else {
            window.ends_part = true;
            window.ends_task = true;
            return Ok(window);
        };
        while window.docs.len() < WINDOW_DOCS && window.input_bytes < WINDOW_BYTES as u64 {
            let Some(doc) = reader.next()? else {
                window.ends_part = true;
                window.ends_task = self.parts.is_empty();
                return Ok(window);
            };
            let removal = match &mut self.removals {
                Some(removals) => removals.lookup(doc.ordinal)?,
                None => None,
            };
            window.input_bytes += doc.weight_bytes() as u64;
            window.docs.push((doc, removal));
        }
        self.reader = Some(reader);
        Ok(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of a MiB each.
    struct Images {
        record: u64,
        of: u64,
    }

    impl RecordStream for Images {
        fn next(&mut self) -> Result<Option<Item>> {
            if self.record == self.of {
                return Ok(None);
            }
            self.record += 1;
            Ok(Some(Item::Skipped("image")))
        }

        fn position(&self) -> Position {
            Position { offset: self.record << 20, record: self.record }
        }
    }

    #[test]
    fn a_window_passes_over_little_of_a_file_without_documents() {
        let mut source = FileSource::new(Box::new(Images { record: 0, of: 100 }), 1 << 30);
        let mut windows = Vec::new();
        loop {
            let window = source.window().unwrap();
            windows.push((window.skipped.len(), window.input_bytes >> 20, window.ends_part));
            if window.ends_task {
                break;
            }
        }
        assert_eq!(windows, [(32, 32, false), (32, 32, false), (32, 32, false), (4, 4, true)]);
    }
}
