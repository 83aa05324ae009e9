//! The way on after damage: the next place in the file where a member really begins.
//!
//! The three magic bytes of gzip occur by chance every 16 MB of compressed data, so each place is tried: its
//! header must be valid and its first bytes must inflate to what a member of this kind of file begins with.

use flate2::{Decompress, FlushDecompress};
use zstd::stream::raw::{Decoder as ZstdDecoder, Operation};

use super::{Codec, Input, ZSTD_MAGIC, gzip};
use crate::error::{Error, Result};

/// A damaged member may be noticed only after the next one has begun; so far back the search starts.
const LOOK_BACK_BYTES: u64 = 64 << 10;
/// Compressed bytes that a trial of a possible member start may look at.
const TRIAL_BYTES: usize = 8 << 10;

impl Input {
    /// After damage: drops the window and goes to the next member whose content begins with `prefix`
    /// (after line ends, whatever the case). False, and the end of the file, where there is none.
    ///
    /// The search begins inside the damaged member, at most 64 KiB before the place where decoding failed,
    /// because a broken deflate stream can run on into the next member.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read.
    pub fn resync(&mut self, prefix: &[u8]) -> Result<bool> {
        let stopped = self.packed_offset();
        let mut from = (self.member + 1).max(stopped.saturating_sub(LOOK_BACK_BYTES));
        self.drop_window();
        self.inside = false;
        self.damage = None;
        let magic: &[u8] = match self.codec {
            Codec::Plain => {
                self.seek_end()?;
                return Ok(false);
            }
            Codec::Gzip => &gzip::MAGIC,
            Codec::Zstd => &ZSTD_MAGIC,
        };
        loop {
            self.seek_packed(from.min(self.file_bytes))?;
            if !self.refill()? {
                return Ok(false);
            }
            let last = self.read_offset >= self.file_bytes;
            let mut next = self.packed_end.saturating_sub(magic.len() - 1);
            for found in memchr::memmem::find_iter(&self.packed[..self.packed_end], magic) {
                if !last && self.packed_end - found < TRIAL_BYTES {
                    next = found;
                    break;
                }
                let trial = self.packed_end.min(found + TRIAL_BYTES);
                if self.begins_with(&self.packed[found..trial], prefix)? {
                    self.packed_at = found;
                    return Ok(true);
                }
            }
            if last {
                self.seek_packed(self.file_bytes)?;
                return Ok(false);
            }
            from += next as u64;
        }
    }

    /// Whether a member begins here whose content begins with `prefix`.
    fn begins_with(&self, packed: &[u8], prefix: &[u8]) -> Result<bool> {
        let mut plain = [0_u8; 64];
        let count = match self.codec {
            Codec::Plain => return Ok(false),
            Codec::Gzip => {
                let gzip::Header::Whole(header_bytes) = gzip::parse_header(packed) else { return Ok(false) };
                let mut inflate = Decompress::new(false);
                let result = inflate.decompress(&packed[header_bytes..], &mut plain, FlushDecompress::None);
                if result.is_err() {
                    return Ok(false);
                }
                usize::try_from(inflate.total_out()).unwrap_or(0)
            }
            Codec::Zstd => {
                // A dictionary does not matter for the question whether the frame begins well enough.
                let mut decoder = ZstdDecoder::new().map_err(Error::io("read", &self.path))?;
                match decoder.run_on_buffers(packed, &mut plain) {
                    Ok(status) => status.bytes_written,
                    Err(_) => return Ok(false),
                }
            }
        };
        let plain = &plain[..count];
        let text = plain.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(count);
        let head = &plain[text..];
        Ok(head.len() >= prefix.len() && head[..prefix.len()].eq_ignore_ascii_case(prefix))
    }
}
