//! Makes input files for tests: WARC records, compression, damage.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use crate::error::Result;
use crate::stage::{BuildContext, Built, Item, Position, Reader, StageSpec};

/// A WARC record around a content.
pub(super) fn record(record_type: &str, content_type: &str, number: usize, content: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "WARC/1.0\r\nWARC-Type: {record_type}\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{number:012}>\r\n\
         WARC-Date: 2026-01-02T03:04:05Z\r\nWARC-Target-URI: https://a.example/{number}\r\n\
         Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        content.len()
    )
    .into_bytes();
    bytes.extend_from_slice(content);
    bytes.extend_from_slice(b"\r\n\r\n");
    bytes
}

/// An HTTP response with some more header lines.
pub(super) fn http(status: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n{fields}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Text of page `number`: long enough that compressed members are not tiny.
pub(super) fn page(number: usize) -> String {
    let mut text = format!("<html><title>page {number}</title>");
    for line in 0..40_usize {
        let word = number.wrapping_mul(2_654_435_761).wrapping_add(line * line * 40_503) % 1_000_003;
        writeln!(text, "<p>line {line} holds {word}</p>").unwrap();
    }
    text + "</html>"
}

/// A response record of page `number`.
pub(super) fn response(number: usize) -> Vec<u8> {
    let http = http("200 OK", "Content-Type: text/html; charset=utf-8\r\n", page(number).as_bytes());
    record("response", "application/http; msgtype=response", number, &http)
}

/// A crawl of `pages` pages: information, then request and response of each.
pub(super) fn crawl(pages: usize) -> Vec<Vec<u8>> {
    let mut records = vec![record("warcinfo", "application/warc-fields", 0, b"software: test\r\n")];
    for number in 1..=pages {
        let request =
            record("request", "application/http; msgtype=request", number, b"GET / HTTP/1.1\r\n\r\n");
        records.push(request);
        records.push(response(number));
    }
    records
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::bulk::compress(bytes, 3).unwrap()
}

/// Each part compressed for itself.
pub(super) fn members(parts: &[Vec<u8>], pack: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    parts.iter().flat_map(|part| pack(part)).collect()
}

/// A file in a folder of its own that goes away with the value.
pub(super) struct Scratch {
    _folder: tempfile::TempDir,
    pub path: PathBuf,
}

impl Scratch {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        std::fs::write(&path, bytes).unwrap();
        Self { _folder: folder, path }
    }

    pub(super) fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }
}

/// Builds a reader over one file.
pub(super) fn reader(spec: &StageSpec, mut options: serde_json::Value, path: &str) -> Box<dyn Reader> {
    options["paths"] = serde_json::json!([path]);
    match (spec.build)(options, &mut BuildContext::default()) {
        Ok(Built::Reader(reader)) => reader,
        Ok(_) => panic!("`{}` is no reader", spec.name),
        Err(errors) => panic!("{errors:?}"),
    }
}

/// An item in few words, without the scratch file's name.
pub(super) fn shown(item: &Item) -> String {
    match item {
        Item::Skipped(kind) => format!("skip {kind}"),
        Item::Bad(bad) => format!("bad {} {} {}", bad.record, bad.offset, bad.cause),
        Item::Document(doc) => {
            let payload = doc.raw.as_ref().map_or(doc.text.as_bytes(), |raw| &raw.bytes);
            let hash = xxhash_rust::xxh3::xxh3_64(payload) & 0xffff;
            let url = doc.url.as_deref().unwrap_or("-");
            format!("doc {} {} {url} {} {hash:04x}", doc.ordinal.record, doc.offset, payload.len())
        }
    }
}

/// All items of a file with the position before each and at the end.
pub(super) fn walk(
    reader: &dyn Reader,
    path: &str,
    at: Option<&Position>,
) -> Result<(Vec<String>, Vec<Position>)> {
    let mut stream = reader.open(0, path, at)?;
    let (mut items, mut positions) = (Vec::new(), vec![stream.position()]);
    while let Some(item) = stream.next()? {
        items.push(shown(&item));
        positions.push(stream.position());
        assert!(items.len() < 1_000_000, "the stream does not end");
    }
    Ok((items, positions))
}

/// Items of in-memory bytes.
pub(super) fn items(spec: &StageSpec, options: &serde_json::Value, bytes: &[u8]) -> Vec<String> {
    let file = Scratch::new(bytes);
    walk(reader(spec, options.clone(), file.name()).as_ref(), file.name(), None).unwrap().0
}

/// Opens the file anew at every position and wants the same items from there on.
pub(super) fn assert_resumes(spec: &StageSpec, options: &serde_json::Value, bytes: &[u8], what: &str) {
    let file = Scratch::new(bytes);
    let reader = reader(spec, options.clone(), file.name());
    let (items, positions) = walk(reader.as_ref(), file.name(), None).unwrap();
    for (number, position) in positions.iter().enumerate() {
        let (rest, places) = walk(reader.as_ref(), file.name(), Some(position)).unwrap();
        assert_eq!(rest, items[number..], "{what}: from item {number}, {position:?}");
        assert_eq!(places, positions[number..], "{what}: positions from item {number}");
    }
}
