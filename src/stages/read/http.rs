//! HTTP responses as crawlers store them: status, media type, and the body without its encodings.
//!
//! Written against RFC 9110/9112 and against what archives really hold: a body whose header still names an
//! encoding that the crawler has removed (browser-based crawlers do that) is taken as it is; chunk sizes
//! with extensions and trailers are read; a body that ends early is only accepted where the record says
//! `WARC-Truncated`. fastwarc and warcio hand out what remains of broken chunks; we quarantine it.

use std::borrow::Cow;

use super::header::{Header, end_of_block};
use crate::document::Media;
use crate::io::codec::payload::{self, Encoding, Ending};

/// Bytes that sniffing looks at, as browsers do.
const SNIFF_BYTES: usize = 1024;
/// Encodings that may be wrapped around each other.
const MAX_ENCODINGS: usize = 4;
/// Bytes of one chunk-size line with its extensions.
const MAX_CHUNK_LINE_BYTES: usize = 4096;

/// Beginnings of HTML pages, in lower case.
const HTML_TAGS: [&[u8]; 16] = [
    b"<!doctype html",
    b"<html",
    b"<head",
    b"<body",
    b"<title",
    b"<meta",
    b"<link",
    b"<script",
    b"<style",
    b"<table",
    b"<div",
    b"<p>",
    b"<h1",
    b"<a ",
    b"<br",
    b"<!--",
];

/// Why a payload cannot be used: cause and particulars.
pub(super) type Refusal = (&'static str, String);

/// Head of a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Status code.
    pub status: u16,
    /// Bytes of status line and header fields; the body follows.
    pub bytes: usize,
}

/// Reads the head of a response into `header`.
pub(super) fn head(content: &[u8], header: &mut Header) -> Result<Head, Refusal> {
    let malformed = |what: &str| ("malformed_http", what.to_owned());
    if !content.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"HTTP/")) {
        return Err(malformed("the payload does not begin with an HTTP status line"));
    }
    let mut scanned = 0;
    let block = end_of_block(content, &mut scanned);
    header.parse(&content[..block.unwrap_or(content.len())]);
    let line = header.first_line();
    let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).skip(1);
    let status = words
        .next()
        .and_then(|word| std::str::from_utf8(word).ok())
        .filter(|word| word.len() == 3)
        .and_then(|word| word.parse::<u16>().ok())
        .ok_or_else(|| malformed("the HTTP status line has no status code"))?;
    match block {
        Some(bytes) => Ok(Head { status, bytes }),
        None if status != 200 => Ok(Head { status, bytes: content.len() }),
        None => Err(malformed("the HTTP header does not end")),
    }
}

/// Media type and charset parameter of a `Content-Type` value; both in the form they were sent.
pub(super) fn content_type(value: &[u8]) -> (String, Option<String>) {
    let value = String::from_utf8_lossy(value);
    let mut parts = value.split(';');
    let media = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']).trim();
        (name.trim().eq_ignore_ascii_case("charset") && !value.is_empty()).then(|| value.to_owned())
    });
    (media, charset)
}

/// What a media type means to this reader; `None` for media that are no text pages.
pub(super) fn media(media_type: &str) -> Option<Media> {
    match media_type {
        "text/html" | "application/xhtml+xml" => Some(Media::Html),
        "text/plain" => Some(Media::Plain),
        _ => None,
    }
}

/// Guesses from the beginning of a body: HTML by its tags, text by the absence of control bytes.
pub(super) fn sniff(body: &[u8]) -> Option<Media> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let body = &body[..body.len().min(SNIFF_BYTES)];
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let text = &body[start..];
    if text.starts_with(b"<?xml") {
        return memchr::memmem::find(text, b"<html").map(|_| Media::Html);
    }
    let is_html = |tag: &[u8]| text.get(..tag.len()).is_some_and(|head| head.eq_ignore_ascii_case(tag));
    if HTML_TAGS.iter().any(|tag| is_html(tag)) {
        return Some(Media::Html);
    }
    let is_control = |&byte: &u8| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    (!text.starts_with(b"%PDF-") && !text.iter().any(is_control)).then_some(Media::Plain)
}

/// The body without transfer and content encodings, at most `max_bytes` of it.
///
/// `truncated`: the crawler has cut it off on purpose, so an early end is no error.
pub(super) fn body(
    header: &Header,
    body: &[u8],
    max_bytes: usize,
    truncated: bool,
) -> Result<Vec<u8>, Refusal> {
    let mut encodings = names(header, "Content-Encoding");
    let mut transfer = names(header, "Transfer-Encoding");
    let chunked = transfer.iter().any(|name| name == "chunked");
    transfer.retain(|name| name != "chunked");
    encodings.append(&mut transfer);
    encodings.retain(|name| !matches!(name.as_str(), "identity" | "none" | "binary" | "utf-8"));
    if encodings.len() > MAX_ENCODINGS {
        return Err(("unsupported_encoding", format!("{} content encodings", encodings.len())));
    }
    let mut bytes = Cow::Borrowed(body);
    if chunked && let Some(joined) = unchunk(body, truncated)? {
        bytes = Cow::Owned(joined);
    }
    for name in encodings.iter().rev() {
        if let Some(plain) = decode(name, &bytes, max_bytes, truncated)? {
            bytes = Cow::Owned(plain);
        }
    }
    if bytes.len() > max_bytes {
        return Err(("payload_too_large", format!("the payload has more than {max_bytes} bytes")));
    }
    Ok(bytes.into_owned())
}

fn names(header: &Header, field: &str) -> Vec<String> {
    let mut names = Vec::new();
    for value in header.all(field) {
        for name in String::from_utf8_lossy(value).split(',') {
            let name = name.trim().to_ascii_lowercase();
            if !name.is_empty() {
                names.push(name);
            }
        }
    }
    names
}

/// One content encoding removed; `None` where the body does not have it although the header says so.
fn decode(name: &str, bytes: &[u8], max_bytes: usize, truncated: bool) -> Result<Option<Vec<u8>>, Refusal> {
    let encoding = match name {
        "gzip" | "x-gzip" => Encoding::Gzip,
        "deflate" => Encoding::Deflate,
        "br" => Encoding::Brotli,
        "zstd" => Encoding::Zstd,
        _ if bytes.is_empty() || sniff(bytes).is_some() => return Ok(None),
        _ => return Err(("unsupported_encoding", format!("the content encoding is `{name}`"))),
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    let decoded = payload::decode(bytes, encoding, max_bytes);
    match decoded.ending {
        Ending::Whole => Ok(Some(decoded.bytes)),
        Ending::TooLarge => Err((
            "payload_too_large",
            format!("more than {max_bytes} bytes come out of the `{name}` payload"),
        )),
        _ if decoded.bytes.is_empty() && sniff(bytes).is_some() => Ok(None),
        Ending::Cut if truncated => Ok(Some(decoded.bytes)),
        Ending::Cut => Err(("truncated_payload", format!("the `{name}` payload ends too early"))),
        Ending::Damaged => Err(("corrupt_payload", format!("the `{name}` payload cannot be decompressed"))),
    }
}

/// Joins the chunks; `None` where the body does not begin with a chunk size at all.
fn unchunk(body: &[u8], truncated: bool) -> Result<Option<Vec<u8>>, Refusal> {
    let mut joined = Vec::with_capacity(body.len());
    let mut at = 0;
    loop {
        let rest = &body[at..];
        let line = &rest[..rest.len().min(MAX_CHUNK_LINE_BYTES)];
        let Some(line_bytes) = memchr::memchr(b'\n', line) else {
            let first = at == 0;
            return match chunk_size(line) {
                None if first => Ok(None),
                _ if truncated => Ok(Some(joined)),
                None if !line.is_empty() => Err(broken_chunk(at)),
                _ => Err(("truncated_payload", "the chunked payload ends too early".to_owned())),
            };
        };
        let Some(size) = chunk_size(&line[..line_bytes]) else {
            return if at == 0 { Ok(None) } else { Err(broken_chunk(at)) };
        };
        let data = &rest[line_bytes + 1..];
        if size == 0 {
            return Ok(Some(joined));
        }
        let Some(chunk) = usize::try_from(size).ok().and_then(|size| data.get(..size)) else {
            if at == 0 && looks_unchunked(line, size) {
                return Ok(None);
            }
            if truncated {
                joined.extend_from_slice(data);
                return Ok(Some(joined));
            }
            return Err(("truncated_payload", "the chunked payload ends inside a chunk".to_owned()));
        };
        joined.extend_from_slice(chunk);
        at += line_bytes + 1 + chunk.len();
        at += match &body[at..] {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            [] | [b'\r'] => body.len() - at,
            _ => return Err(broken_chunk(at)),
        };
    }
}

/// A first line such as `Add` or `Face` is hexadecimal by accident.
fn looks_unchunked(line: &[u8], size: u64) -> bool {
    size > 1 << 28 || line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count() > 8
}

fn broken_chunk(at: usize) -> Refusal {
    ("malformed_chunks", format!("no chunk begins at byte {at} of the payload"))
}

/// Size in a chunk line: hexadecimal digits, then blanks or an extension.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let rest = &line[digits..];
    let rest = &rest[rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count()..];
    if digits == 0 || digits > 15 || !(rest.is_empty() || rest[0] == b';') {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Header {
        let mut header = Header::default();
        header.parse(format!("HTTP/1.1 200 OK\r\n{text}\r\n\r\n").as_bytes());
        header
    }

    fn decoded(fields: &str, bytes: &[u8]) -> Result<String, &'static str> {
        body(&header(fields), bytes, 1 << 20, false)
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .map_err(|(cause, _)| cause)
    }

    #[test]
    fn chunks() {
        let chunked = "Transfer-Encoding: chunked";
        for (bytes, expected) in [
            (&b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: x\r\n\r\n"[..], Ok("abcde")),
            (b"3\nabc\n0\n\n", Ok("abc")),
            (b"3 \r\nabc\r\n0\r\n\r\n", Ok("abc")),
            (b"0\r\n\r\n", Ok("")),
            (b"<p>not chunked</p>", Ok("<p>not chunked</p>")),
            (b"", Ok("")),
            (b"3\r\nabc\r\n", Err("truncated_payload")),
            (b"9\r\nabc", Err("truncated_payload")),
            (b"3\r\nabcdef\r\n0\r\n\r\n", Err("malformed_chunks")),
            (b"3\r\nabc\r\nxyz\r\n", Err("malformed_chunks")),
            (b"fffffffffffffff\r\nabc", Ok("fffffffffffffff\r\nabc")),
        ] {
            let shown = String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(decoded(chunked, bytes), expected.map(str::to_owned), "{shown:?}");
        }
    }

    #[test]
    fn a_body_cut_on_purpose_is_kept() {
        let header = header("Transfer-Encoding: chunked");
        assert_eq!(body(&header, b"9\r\nabc", 100, true).unwrap(), b"abc");
        assert_eq!(body(&header, b"3\r\nabc\r\n", 100, true).unwrap(), b"abc");
    }

    #[test]
    fn an_encoding_in_name_only_is_ignored() {
        assert_eq!(decoded("Content-Encoding: gzip", b"<html>").unwrap(), "<html>");
        assert_eq!(decoded("Content-Encoding: br", b"<html>text</html>").unwrap(), "<html>text</html>");
        assert_eq!(decoded("Content-Encoding: identity", b"x").unwrap(), "x");
        assert_eq!(decoded("Content-Encoding: pack200", b"\0\x01\x02").unwrap_err(), "unsupported_encoding");
        assert_eq!(
            decoded("Content-Encoding: gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xff\xff").unwrap_err(),
            "corrupt_payload"
        );
    }

    #[test]
    fn heads() {
        let mut header = Header::default();
        assert_eq!(
            head(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nx", &mut header).unwrap(),
            Head { status: 200, bytes: 25 }
        );
        assert_eq!(head(b"HTTP/2 404\n\n", &mut header).unwrap().status, 404);
        assert_eq!(head(b"HTTP/1.1 204 No Content", &mut header).unwrap().status, 204);
        for bad in
            [&b""[..], b"<html>", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 2000\r\n\r\n", b"HTTP/1.1 200 OK\r\n"]
        {
            assert_eq!(head(bad, &mut header).unwrap_err().0, "malformed_http");
        }
    }

    #[test]
    fn media_types() {
        assert_eq!(content_type(b"Text/HTML; Charset=\"utf-8\""), ("text/html".into(), Some("utf-8".into())));
        assert_eq!(content_type(b"text/html;charset="), ("text/html".into(), None));
        assert_eq!(sniff(b"  <!DOCTYPE HTML>"), Some(Media::Html));
        assert_eq!(sniff(b"<?xml version='1.0'?><html>"), Some(Media::Html));
        assert_eq!(sniff(b"<?xml version='1.0'?><rss>"), None);
        assert_eq!(sniff("Grüße".as_bytes()), Some(Media::Plain));
        assert_eq!(sniff(b"\x89PNG\r\n\x1a\n\0"), None);
        assert_eq!(sniff(b""), None);
    }
}
