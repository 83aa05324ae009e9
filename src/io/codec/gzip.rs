//! The header of a gzip member (RFC 1952, section 2.3).

/// Identification bytes and the only compression method there is.
pub const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// CRC-32 and length after the deflate data.
pub(super) const TRAILER_BYTES: usize = 8;

const FLAG_HEADER_CRC: u8 = 2;
const FLAG_EXTRA: u8 = 4;
const FLAG_NAME: u8 = 8;
const FLAG_COMMENT: u8 = 16;
const FLAGS_RESERVED: u8 = 0xe0;

/// Result of [`parse_header`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// So many bytes; the deflate data follows.
    Whole(usize),
    /// More bytes are needed.
    Short,
    /// No gzip header.
    Invalid(&'static str),
}

/// Measures the header at the beginning of `bytes`.
pub(super) fn parse_header(bytes: &[u8]) -> Header {
    let known = bytes.len().min(MAGIC.len());
    if bytes[..known] != MAGIC[..known] {
        return Header::Invalid("no gzip member begins here");
    }
    let Some(&flags) = bytes.get(3) else { return Header::Short };
    if flags & FLAGS_RESERVED != 0 {
        return Header::Invalid("the gzip header has reserved flags set");
    }
    let mut at = 10;
    if flags & FLAG_EXTRA != 0 {
        let Some(length) = bytes.get(at..at + 2) else { return Header::Short };
        at += 2 + usize::from(u16::from_le_bytes([length[0], length[1]]));
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        if flags & flag != 0 {
            let Some(rest) = bytes.get(at..) else { return Header::Short };
            let Some(end) = memchr::memchr(0, rest) else { return Header::Short };
            at += end + 1;
        }
    }
    if flags & FLAG_HEADER_CRC != 0 {
        at += 2;
    }
    if at > bytes.len() { Header::Short } else { Header::Whole(at) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_every_kind_of_header() {
        let plain = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 9, 9];
        assert_eq!(parse_header(&plain), Header::Whole(10));
        let mut all = vec![0x1f, 0x8b, 8, 0x1e, 0, 0, 0, 0, 0, 3];
        all.extend_from_slice(&[3, 0, 1, 2, 3]);
        all.extend_from_slice(b"name\0comment\0");
        all.extend_from_slice(&[7, 7]);
        assert_eq!(parse_header(&all), Header::Whole(all.len()));
        for cut in 0..all.len() {
            assert_eq!(parse_header(&all[..cut]), Header::Short, "cut at {cut}");
        }
    }

    #[test]
    fn refuses_what_is_no_gzip() {
        assert!(matches!(parse_header(b"<html>"), Header::Invalid(_)));
        assert!(matches!(parse_header(&[0x1f, 0x8b, 7]), Header::Invalid(_)));
        assert!(matches!(parse_header(&[0x1f, 0x8b, 8, 0x20]), Header::Invalid(_)));
    }
}
