//! What a WARC record's header must say (ISO 28500), and how the beginning of a record is recognised.

use super::header::Header;

/// Every record begins with this, version number behind it.
pub(super) const MAGIC: &[u8] = b"WARC/";
/// Longest `WARC/x.y` line that the search for a record start believes.
pub(super) const MAX_VERSION_LINE_BYTES: usize = 16;

/// A name of a cause, and the particulars.
pub(super) type Fault = (&'static str, String);

/// A fault that does not keep the record from being read over.
pub(super) fn fault(header: &Header) -> Option<Fault> {
    let version = &header.first_line()[MAGIC.len()..];
    if !matches!(version, b"1.0" | b"1.1" | b"0.17" | b"0.18") {
        let version = String::from_utf8_lossy(&version[..version.len().min(40)]).into_owned();
        return Some(("unsupported_version", format!("WARC version `{version}`; 1.0 and 1.1 are read")));
    }
    if let Some(line) = &header.bad_line {
        return Some(("malformed_header", format!("`{line}` is no header field")));
    }
    let no_type = header.get("WARC-Type").is_none();
    no_type.then(|| ("missing_header", "the record has no `WARC-Type`".to_owned()))
}

/// Bytes of content that the record announces.
pub(super) fn content_length(header: &Header) -> Result<u64, Fault> {
    let mut found = None;
    for value in header.all("Content-Length") {
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok());
        let Some(number) = number else {
            let shown = String::from_utf8_lossy(&value[..value.len().min(40)]).into_owned();
            return Err(("malformed_header", format!("`Content-Length` is `{shown}`")));
        };
        if found.is_some_and(|earlier| earlier != number) {
            return Err(("malformed_header", "the record has two different `Content-Length`".to_owned()));
        }
        found = Some(number);
    }
    found.ok_or_else(|| ("missing_header", "the record has no `Content-Length`".to_owned()))
}

/// The first line that begins a record; `at_line_start` tells whether the first byte begins a line.
pub(super) fn record_line(bytes: &[u8], at_line_start: bool) -> Option<usize> {
    let mut from = usize::from(!at_line_start).min(bytes.len());
    while let Some(found) = memchr::memmem::find(&bytes[from..], MAGIC) {
        let at = from + found;
        if (at == 0 || bytes[at - 1] == b'\n') && is_version_line(&bytes[at..]) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

fn is_version_line(bytes: &[u8]) -> bool {
    let line = &bytes[..bytes.len().min(MAX_VERSION_LINE_BYTES)];
    let Some(end) = memchr::memchr(b'\n', line) else { return false };
    let version = &line[MAGIC.len()..end];
    let version = &version[..version.iter().position(|&byte| byte == b'\r').unwrap_or(version.len())];
    matches!(version, [b'0'..=b'9', b'.', rest @ ..] if !rest.is_empty() && rest.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_lines_that_begin_a_record() {
        let text = b"WARC/1.0\r\nWARC/1.1\n xWARC/1.0\r\nWARC/soon\nWARC/1.0 \nWARC/0.18\r\r\n";
        assert_eq!(record_line(text, true), Some(0));
        assert_eq!(record_line(text, false), Some(10));
        assert_eq!(record_line(&text[10..], false), Some(41));
        assert_eq!(record_line(b"WARC/1.0", true), None);
        assert_eq!(record_line(b"", true), None);
    }
}
