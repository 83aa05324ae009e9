//! Decompression of a payload that lies in memory: HTTP content encodings, with a cap on what comes out.
//!
//! Servers send `deflate` both ways (zlib-wrapped as RFC 9110 wants, and bare); both are read. Further gzip
//! members are read, bytes behind the last one are ignored, as browsers do.

use std::io::Read;

use flate2::{Crc, Decompress, FlushDecompress, Status};
use zstd::stream::raw::{Decoder as ZstdDecoder, Operation};

use super::gzip;

/// Bytes that the output grows by while decoding.
const STEP_BYTES: usize = 64 << 10;

/// Content encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950 or bare RFC 1951.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

/// How decoding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything was decoded and every checksum fits.
    Whole,
    /// The input ends too early.
    Cut,
    /// The input is damaged or something else.
    Damaged,
    /// More than the cap would have come out.
    TooLarge,
}

/// What was decoded, possibly only a beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The bytes; at most the cap.
    pub bytes: Vec<u8>,
    /// Whether they are all.
    pub ending: Ending,
}

/// Removes one encoding; never returns more than `max_bytes`.
#[must_use]
pub fn decode(packed: &[u8], encoding: Encoding, max_bytes: usize) -> Decoded {
    match encoding {
        Encoding::Gzip => gunzip(packed, max_bytes),
        Encoding::Deflate => {
            let zlib = is_zlib(packed);
            let decoded = inflate_all(packed, zlib, max_bytes);
            if zlib && decoded.ending == Ending::Damaged && decoded.bytes.is_empty() {
                return inflate_all(packed, false, max_bytes);
            }
            decoded
        }
        Encoding::Brotli => unbrotli(packed, max_bytes),
        Encoding::Zstd => unzstd(packed, max_bytes),
    }
}

fn is_zlib(packed: &[u8]) -> bool {
    packed.len() >= 2
        && packed[0] & 0x0f == 8
        && u16::from_be_bytes([packed[0], packed[1]]).is_multiple_of(31)
}

fn gunzip(packed: &[u8], max_bytes: usize) -> Decoded {
    let mut bytes = Vec::new();
    let mut rest = packed;
    let mut members = 0;
    loop {
        let header_bytes = match gzip::parse_header(rest) {
            gzip::Header::Whole(header_bytes) => header_bytes,
            _ if members > 0 => return Decoded { bytes, ending: Ending::Whole },
            gzip::Header::Short => return Decoded { bytes, ending: Ending::Cut },
            gzip::Header::Invalid(_) => return Decoded { bytes, ending: Ending::Damaged },
        };
        rest = &rest[header_bytes..];
        let first = bytes.len();
        let mut inflate = Decompress::new(false);
        let ending = inflate_into(&mut inflate, rest, &mut bytes, max_bytes);
        if ending != Ending::Whole {
            return Decoded { bytes, ending };
        }
        rest = &rest[usize::try_from(inflate.total_in()).unwrap_or(rest.len()).min(rest.len())..];
        let Some(trailer) = rest.get(..gzip::TRAILER_BYTES) else {
            return Decoded { bytes, ending: Ending::Cut };
        };
        let mut crc = Crc::default();
        crc.update(&bytes[first..]);
        if crc.sum().to_le_bytes() != trailer[..4] {
            return Decoded { bytes, ending: Ending::Damaged };
        }
        rest = &rest[gzip::TRAILER_BYTES..];
        members += 1;
    }
}

fn inflate_all(packed: &[u8], zlib: bool, max_bytes: usize) -> Decoded {
    let mut bytes = Vec::new();
    let ending = inflate_into(&mut Decompress::new(zlib), packed, &mut bytes, max_bytes);
    Decoded { bytes, ending }
}

/// Room for the next step: never more than one byte over the cap, which shows that it is passed.
fn room(bytes: &mut Vec<u8>, max_bytes: usize) -> usize {
    let used = bytes.len();
    let step = used.clamp(STEP_BYTES, 64 * STEP_BYTES);
    bytes.resize((used + step).min(max_bytes + 1), 0);
    used
}

fn inflate_into(inflate: &mut Decompress, packed: &[u8], bytes: &mut Vec<u8>, max_bytes: usize) -> Ending {
    let base = inflate.total_in();
    loop {
        let used = room(bytes, max_bytes);
        let at = usize::try_from(inflate.total_in() - base).unwrap_or(packed.len()).min(packed.len());
        let written = inflate.total_out();
        let result = inflate.decompress(&packed[at..], &mut bytes[used..], FlushDecompress::None);
        let count = usize::try_from(inflate.total_out() - written).unwrap_or(0);
        bytes.truncate(used + count);
        if bytes.len() > max_bytes {
            bytes.truncate(max_bytes);
            return Ending::TooLarge;
        }
        let progress = count > 0 || inflate.total_in() - base > at as u64;
        match result {
            Ok(Status::StreamEnd) => return Ending::Whole,
            Ok(_) if progress => {}
            Ok(_) => return Ending::Cut,
            Err(_) => return Ending::Damaged,
        }
    }
}

/// Input that remembers whether more was asked of it than there is.
struct Watched<'p> {
    rest: &'p [u8],
    exhausted: bool,
}

impl Read for Watched<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.rest.read(out)?;
        self.exhausted |= count == 0;
        Ok(count)
    }
}

fn unbrotli(packed: &[u8], max_bytes: usize) -> Decoded {
    let mut bytes = Vec::new();
    let mut reader = brotli::Decompressor::new(Watched { rest: packed, exhausted: false }, 4096);
    loop {
        let used = room(&mut bytes, max_bytes);
        let result = reader.read(&mut bytes[used..]);
        bytes.truncate(used + result.as_ref().copied().unwrap_or(0));
        if bytes.len() > max_bytes {
            bytes.truncate(max_bytes);
            return Decoded { bytes, ending: Ending::TooLarge };
        }
        match result {
            Ok(0) => return Decoded { bytes, ending: Ending::Whole },
            Ok(_) => {}
            Err(_) => {
                let cut = reader.get_ref().exhausted;
                return Decoded { bytes, ending: if cut { Ending::Cut } else { Ending::Damaged } };
            }
        }
    }
}

fn unzstd(packed: &[u8], max_bytes: usize) -> Decoded {
    let mut bytes = Vec::new();
    let Ok(mut decoder) = ZstdDecoder::new() else {
        return Decoded { bytes, ending: Ending::Damaged };
    };
    let mut at = 0;
    loop {
        let used = room(&mut bytes, max_bytes);
        let Ok(status) = decoder.run_on_buffers(&packed[at..], &mut bytes[used..]) else {
            bytes.truncate(used);
            return Decoded { bytes, ending: Ending::Damaged };
        };
        bytes.truncate(used + status.bytes_written);
        at += status.bytes_read;
        if bytes.len() > max_bytes {
            bytes.truncate(max_bytes);
            return Decoded { bytes, ending: Ending::TooLarge };
        }
        if status.remaining == 0 && at == packed.len() {
            return Decoded { bytes, ending: Ending::Whole };
        }
        if status.bytes_read == 0 && status.bytes_written == 0 {
            return Decoded { bytes, ending: Ending::Cut };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(encoding: Encoding, plain: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::default();
        match encoding {
            Encoding::Gzip => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), level);
                out.write_all(plain).unwrap();
                out.finish().unwrap()
            }
            Encoding::Deflate => {
                let mut out = flate2::write::ZlibEncoder::new(Vec::new(), level);
                out.write_all(plain).unwrap();
                out.finish().unwrap()
            }
            Encoding::Brotli => {
                let mut out = Vec::new();
                brotli::CompressorWriter::new(&mut out, 4096, 5, 20).write_all(plain).unwrap();
                out
            }
            Encoding::Zstd => zstd::bulk::compress(plain, 3).unwrap(),
        }
    }

    #[test]
    fn every_encoding_whole_capped_and_cut() {
        let plain: Vec<u8> = (0..200_000_u32).flat_map(|n| (n.wrapping_mul(n) >> 7).to_le_bytes()).collect();
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd] {
            let packed = packed(encoding, &plain);
            let whole = decode(&packed, encoding, plain.len());
            assert_eq!((whole.ending, whole.bytes == plain), (Ending::Whole, true), "{encoding:?}");
            let capped = decode(&packed, encoding, 1000);
            assert_eq!((capped.ending, capped.bytes.len()), (Ending::TooLarge, 1000), "{encoding:?}");
            let cut = decode(&packed[..packed.len() / 2], encoding, plain.len());
            assert_eq!(cut.ending, Ending::Cut, "{encoding:?}");
            assert!(plain.starts_with(&cut.bytes), "{encoding:?}");
        }
    }

    #[test]
    fn bare_deflate_and_two_gzip_members() {
        let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        out.write_all(b"<p>bare</p>").unwrap();
        let bare = decode(&out.finish().unwrap(), Encoding::Deflate, 100);
        assert_eq!((bare.bytes, bare.ending), (b"<p>bare</p>".to_vec(), Ending::Whole));
        let mut two = packed(Encoding::Gzip, b"one ");
        two.extend(packed(Encoding::Gzip, b"two"));
        two.extend_from_slice(b"rubbish behind");
        assert_eq!(decode(&two, Encoding::Gzip, 100).bytes, b"one two");
    }

    #[test]
    fn a_wrong_checksum_is_damage() {
        let mut bytes = packed(Encoding::Gzip, b"something");
        let crc = bytes.len() - 8;
        bytes[crc] ^= 1;
        assert_eq!(decode(&bytes, Encoding::Gzip, 100).ending, Ending::Damaged);
    }
}
