//! Header blocks: `name: value` lines up to an empty line, as WARC records and HTTP messages have them.
//!
//! Lines may end with LF, CRLF or (as some writers have it) CRCRLF. A line that begins with a blank goes on
//! with the value before it (RFC 822 folding; ISO 28500 allows it, RFC 9112 forbids it but it occurs).

use std::ops::Range;

/// Where name and value lie in [`Header::bytes`].
type Field = (Range<usize>, Range<usize>);

/// A parsed header block, reused from record to record.
#[derive(Debug, Default)]
pub(super) struct Header {
    bytes: Vec<u8>,
    first_line: Range<usize>,
    fields: Vec<Field>,
    /// The first line that is no `name: value`.
    pub bad_line: Option<String>,
}

/// Length of the header block at the beginning of `bytes`, with its empty line; `scanned` is where an
/// earlier call stopped, and moves on so that no line is looked at twice.
pub(super) fn end_of_block(bytes: &[u8], scanned: &mut usize) -> Option<usize> {
    while let Some(length) = memchr::memchr(b'\n', &bytes[*scanned..]) {
        let line = &bytes[*scanned..*scanned + length];
        *scanned += length + 1;
        if line.iter().all(|&byte| byte == b'\r') {
            return Some(*scanned);
        }
    }
    None
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = bytes {
        bytes = rest;
    }
    bytes
}

impl Header {
    /// Takes a block apart; the first line stands for itself.
    pub(super) fn parse(&mut self, block: &[u8]) {
        self.bytes.clear();
        self.fields.clear();
        self.bad_line = None;
        let mut lines = block.split(|&byte| byte == b'\n');
        self.bytes.extend_from_slice(trim(lines.next().unwrap_or(&[])));
        self.first_line = 0..self.bytes.len();
        for line in lines {
            let folded = matches!(line.first(), Some(b' ' | b'\t'));
            let text = trim(line);
            if text.is_empty() {
                continue;
            }
            match (folded, self.fields.last_mut()) {
                (true, Some((_, value))) => {
                    if value.start < value.end {
                        self.bytes.push(b' ');
                        value.end += 1;
                    }
                    self.bytes.extend_from_slice(text);
                    value.end += text.len();
                }
                _ => self.field(text, folded),
            }
        }
    }

    fn field(&mut self, text: &[u8], folded: bool) {
        let colon = memchr::memchr(b':', text).unwrap_or(0);
        if colon == 0 || folded {
            if self.bad_line.is_none() {
                let shown = &text[..text.len().min(80)];
                self.bad_line = Some(String::from_utf8_lossy(shown).into_owned());
            }
            return;
        }
        let name_start = self.bytes.len();
        self.bytes.extend_from_slice(trim(&text[..colon]));
        let value_start = self.bytes.len();
        self.bytes.extend_from_slice(trim(&text[colon + 1..]));
        self.fields.push((name_start..value_start, value_start..self.bytes.len()));
    }

    /// The line before the fields: `WARC/1.0`, `HTTP/1.1 200 OK`.
    pub(super) fn first_line(&self) -> &[u8] {
        &self.bytes[self.first_line.clone()]
    }

    /// Value of the first field of this name, whatever the case; empty values count as absent.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find_map(|field| self.value_of(field, name))
    }

    /// Values of all fields of this name, without empty ones.
    pub(super) fn all(&self, name: &str) -> Vec<&[u8]> {
        self.fields.iter().filter_map(|field| self.value_of(field, name)).collect()
    }

    fn value_of(&self, (found, value): &Field, name: &str) -> Option<&[u8]> {
        let same = self.bytes[found.clone()].eq_ignore_ascii_case(name.as_bytes());
        (same && !value.is_empty()).then(|| &self.bytes[value.clone()])
    }

    /// [`Header::get`] as text; bytes that are not UTF-8 become U+FFFD.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(block: &[u8]) -> Header {
        let mut header = Header::default();
        header.parse(block);
        header
    }

    #[test]
    fn folds_lines_and_forgives_line_ends() {
        let header = parsed(b"warc/1.0\nA:\n 1\n  2\r\nb : x\r\r\nEmpty:\n\n");
        assert_eq!(header.first_line(), b"warc/1.0");
        assert_eq!(header.get("a"), Some(&b"1 2"[..]));
        assert_eq!(header.get("B"), Some(&b"x"[..]));
        assert_eq!(header.get("empty"), None);
        assert_eq!(header.bad_line, None);
    }

    #[test]
    fn names_the_first_bad_line() {
        assert_eq!(parsed(b"WARC/1.0\r\nno colon here\r\n: no name\r\n").bad_line.unwrap(), "no colon here");
        assert_eq!(parsed(b"WARC/1.0\r\n  folded first\r\n").bad_line.unwrap(), "folded first");
    }

    #[test]
    fn finds_the_empty_line_in_pieces() {
        let block = b"WARC/1.0\r\nA: b\r\n\r\nrest";
        let mut scanned = 0;
        for end in 0..=block.len() {
            if let Some(length) = end_of_block(&block[..end], &mut scanned) {
                assert_eq!((length, end), (18, 18));
                return;
            }
        }
        panic!("no end found");
    }
}
