//! Tests of the `warc` and `wet` readers on files made in memory: whole ones, odd ones, damaged ones.

use proptest::prelude::*;
use serde_json::json;

use super::testing::{
    Scratch, assert_resumes, crawl, gzip, http, items, members, page, reader, record, response, shown, walk,
    zstd,
};
use super::{warc, wet};
use crate::document::Media;
use crate::stage::{FieldType, Item};

fn warc_items(bytes: &[u8]) -> Vec<String> {
    items(&warc::SPEC, &json!({}), bytes)
}

fn first_document(bytes: &[u8]) -> Box<crate::document::Document> {
    let file = Scratch::new(bytes);
    let mut stream = reader(&warc::SPEC, json!({}), file.name()).open(0, file.name(), None).unwrap();
    loop {
        match stream.next().unwrap().expect("the file has a document") {
            Item::Document(doc) => return doc,
            Item::Skipped(_) => {}
            Item::Bad(bad) => panic!("{bad:?}"),
        }
    }
}

/// Kinds and causes in order, documents by the number in their address.
fn kinds(items: &[String]) -> Vec<String> {
    let short = |item: &String| {
        let words: Vec<&str> = item.split(' ').collect();
        match words[0] {
            "doc" => words[3].rsplit('/').next().unwrap().to_owned(),
            "bad" => words[3].to_owned(),
            _ => words[1].to_owned(),
        }
    };
    items.iter().map(short).collect()
}

/// The same records in every packing that occurs.
fn packings(parts: &[Vec<u8>]) -> Vec<(&'static str, Vec<u8>)> {
    let joined = parts.concat();
    let blocks: Vec<Vec<u8>> = joined.chunks(700).map(<[u8]>::to_vec).collect();
    let pairs: Vec<Vec<u8>> = parts.chunks(2).map(<[Vec<u8>]>::concat).collect();
    let mut mixed = members(&parts[..2], gzip);
    mixed.extend(gzip(&parts[2..4].concat()));
    mixed.extend(members(&parts[4..], gzip));
    let mut dictionary_frame = vec![0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    dictionary_frame.extend(members(parts, zstd));
    vec![
        ("plain", joined.clone()),
        ("one gzip member per record", members(parts, gzip)),
        ("one gzip member", gzip(&joined)),
        ("two records per member", members(&pairs, gzip)),
        ("mixed members", mixed),
        ("records across members", members(&blocks, gzip)),
        ("one zstd frame per record", members(parts, zstd)),
        ("one zstd frame", zstd(&joined)),
        ("zstd after a skippable frame", dictionary_frame),
    ]
}

#[test]
fn every_packing_gives_the_same_records() {
    let parts = crawl(6);
    let expected = kinds(&warc_items(&parts.concat()));
    assert_eq!(expected[..5], ["warcinfo", "request", "1", "request", "2"]);
    for (what, bytes) in packings(&parts) {
        assert_eq!(kinds(&warc_items(&bytes)), expected, "{what}");
    }
}

#[test]
fn reopening_anywhere_gives_the_rest() {
    for (what, bytes) in packings(&crawl(5)) {
        assert_resumes(&warc::SPEC, &json!({}), &bytes, what);
        let mut damaged = bytes.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x55;
        assert_resumes(&warc::SPEC, &json!({}), &damaged, &format!("{what}, damaged"));
        assert_resumes(&warc::SPEC, &json!({}), &bytes[..bytes.len() - 20], &format!("{what}, cut"));
    }
}

#[test]
fn a_record_with_a_member_to_itself_has_its_offset() {
    let parts = crawl(1);
    let offset = gzip(&parts[0]).len() + gzip(&parts[1]).len();
    let doc = first_document(&members(&parts, gzip));
    assert_eq!((doc.offset, doc.ordinal.record), (offset as u64, 2));
    let doc = first_document(&gzip(&parts.concat()));
    assert_eq!(doc.offset, (parts[0].len() + parts[1].len()) as u64);
}

#[test]
fn a_document_has_everything_that_the_record_says() {
    let doc = first_document(&response(7));
    let raw = doc.raw.as_ref().unwrap();
    assert_eq!(raw.bytes, page(7).into_bytes());
    assert_eq!((raw.media, raw.charset.as_deref()), (Media::Html, Some("utf-8")));
    assert_eq!(doc.url.as_deref(), Some("https://a.example/7"));
    assert_eq!(doc.date.as_deref(), Some("2026-01-02T03:04:05Z"));
    assert_eq!((&*doc.source, doc.text.as_str(), doc.id.len()), ("warc", "", 32));
    let old = String::from_utf8(response(7)).unwrap().replace("https://a.example/7", "<https://a.example/7>");
    assert_eq!(first_document(old.as_bytes()).url.as_deref(), Some("https://a.example/7"));
}

#[test]
fn what_becomes_of_each_kind_of_record() {
    let web = "application/http;msgtype=response";
    let html = "Content-Type: text/html\r\n";
    for (record_type, content_type, content, expected) in [
        ("response", web, http("404 Not Found", html, b"<p>"), "http_status"),
        ("response", web, http("200 OK", "Content-Type: image/png\r\n", b"<p>"), "media_type"),
        ("response", web, http("200 OK", "Content-Type: Text/Plain\r\n", b"x"), "1"),
        ("response", web, http("200 OK", "", b"<!doctype html>"), "1"),
        ("response", web, http("200 OK", "", b"plain words"), "1"),
        ("response", web, http("200 OK", "", b"\x89PNG\0\0"), "media_type"),
        ("response", web, http("200 OK", html, b""), "1"),
        ("response", web, b"no http at all".to_vec(), "malformed_http"),
        ("response", "text/dns", b"20260102 a.example".to_vec(), "not_http"),
        ("resource", "text/html; charset=x", b"<p>".to_vec(), "1"),
        ("resource", "text/plain", b"words".to_vec(), "resource"),
        ("conversion", "text/plain", b"words".to_vec(), "conversion"),
        ("revisit", web, http("200 OK", html, b""), "revisit"),
        ("x-own", "text/plain", b"".to_vec(), "unknown_type"),
    ] {
        let bytes = record(record_type, content_type, 1, &content);
        assert_eq!(kinds(&warc_items(&bytes)), [expected], "{record_type} {content_type} {content:?}");
    }
}

#[test]
fn encodings_are_removed_and_capped() {
    let html = "Content-Type: text/html\r\n";
    let body = page(3);
    let packed = gzip(body.as_bytes());
    let mut chunked = format!("{:x}\r\n", packed.len()).into_bytes();
    chunked.extend_from_slice(&packed);
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    let fields = format!("{html}Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n");
    let bytes = record("response", "application/http", 1, &http("200 OK", &fields, &chunked));
    assert_eq!(first_document(&bytes).raw.unwrap().bytes, body.as_bytes());
    // A payload bomb: 64 MiB of zeros in 64 kB.
    let bomb = http("200 OK", &format!("{html}Content-Encoding: gzip\r\n"), &gzip(&vec![0; 64 << 20]));
    assert_eq!(kinds(&warc_items(&record("response", "application/http", 1, &bomb))), ["payload_too_large"]);
}

#[test]
fn the_limit_is_inclusive_and_larger_records_are_passed_over() {
    let options = json!({"max_record_bytes": 4096});
    let fields = "Content-Type: text/html\r\n";
    let overhead = http("200 OK", fields, b"").len();
    for packed in [false, true] {
        for (size, expected) in [(4096, "1"), (4097, "record_too_large"), (300_000, "record_too_large")] {
            let content = http("200 OK", fields, &vec![b'x'; size - overhead]);
            let mut parts = vec![record("response", "application/http", 1, &content)];
            parts.push(record("request", "application/http", 2, &vec![b'x'; 5000]));
            parts.push(record("response", "application/http", 3, &http("200 OK", fields, b"<p>")));
            let bytes = if packed { members(&parts, gzip) } else { parts.concat() };
            assert_eq!(
                kinds(&items(&warc::SPEC, &options, &bytes)),
                [expected, "request", "3"],
                "{size} {packed}"
            );
            assert_resumes(&warc::SPEC, &options, &bytes, "large");
        }
    }
}

#[test]
fn a_bomb_costs_bounded_work() {
    // 1 GiB would come out of this member; it is left after 64 times the limit.
    let header = "WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 1073741824\r\n\r\n";
    let mut plain = header.as_bytes().to_vec();
    plain.resize(32 << 20, 0);
    for pack in [gzip as fn(&[u8]) -> Vec<u8>, zstd] {
        let mut bytes = pack(&plain);
        bytes.extend(pack(&response(2)));
        let options = json!({"max_record_bytes": 65536});
        assert_eq!(kinds(&items(&warc::SPEC, &options, &bytes)), ["decompression_bomb", "2"]);
    }
}

#[test]
fn a_corrupt_member_costs_one_record() {
    let parts = crawl(4);
    let packed: Vec<Vec<u8>> = parts.iter().map(|part| gzip(part)).collect();
    let expected = kinds(&warc_items(&packed.concat()));
    for hurt in 0..packed.len() {
        for place in [12, packed[hurt].len() / 2, packed[hurt].len() - 5] {
            let mut damaged = packed.clone();
            damaged[hurt][place] ^= 0xff;
            let mut wanted = expected.clone();
            wanted[hurt] = "corrupt_gzip_member".to_owned();
            assert_eq!(kinds(&warc_items(&damaged.concat())), wanted, "member {hurt} at {place}");
        }
    }
}

#[test]
fn a_wrong_first_byte_costs_one_record() {
    let parts = crawl(3);
    for (packing, magic) in [(1, 3), (6, 4)] {
        for place in 0..magic {
            let (what, mut bytes) = packings(&parts).swap_remove(packing);
            bytes[place] ^= 0x55;
            let found = kinds(&warc_items(&bytes));
            assert_eq!(found[1..], ["request", "1", "request", "2", "request", "3"], "{what}, byte {place}");
            assert_resumes(&warc::SPEC, &json!({}), &bytes, what);
        }
    }
}

#[test]
fn a_cut_file_never_gives_a_cut_document() {
    let parts = crawl(2);
    for (what, bytes) in packings(&crawl(2)) {
        let whole = warc_items(&bytes);
        for cut in (0..bytes.len()).step_by(53) {
            let found = warc_items(&bytes[..cut]);
            let bad = found.iter().filter(|item| item.starts_with("bad")).count();
            assert!(bad <= 1, "{what} cut at {cut}: {found:?}");
            for item in found.iter().filter(|item| item.starts_with("doc")) {
                assert!(whole.contains(item), "{what} cut at {cut}: {item}");
            }
        }
    }
    let last = gzip(&parts[4]);
    let bytes = members(&parts, gzip);
    for cut in bytes.len() - last.len() + 1..bytes.len() {
        assert_eq!(kinds(&warc_items(&bytes[..cut])).last().unwrap(), "truncated_record", "cut at {cut}");
    }
}

#[test]
fn a_wrong_length_costs_one_record() {
    let parts = crawl(3);
    let text = String::from_utf8(parts[2].clone()).unwrap();
    let (head, tail) = text.split_once("Content-Length: ").unwrap();
    let (length, rest) = tail.split_once("\r\n").unwrap();
    let length: usize = length.parse().unwrap();
    for wrong in [0, 10, length - 1, length + 30, length + 3000, 400_000, 1 << 40] {
        for pack in [None, Some(gzip as fn(&[u8]) -> Vec<u8>), Some(zstd)] {
            let mut damaged = parts.clone();
            damaged[2] = format!("{head}Content-Length: {wrong}\r\n{rest}").into_bytes();
            let bytes = pack.map_or_else(|| damaged.concat(), |pack| members(&damaged, pack));
            let expected = ["warcinfo", "request", "wrong_content_length", "request", "2", "request", "3"]
                .map(str::to_owned);
            assert_eq!(kinds(&warc_items(&bytes)), expected, "{wrong} {}", pack.is_some());
            assert_resumes(&warc::SPEC, &json!({}), &bytes, "wrong length");
        }
    }
}

#[test]
fn headers_that_lack_something() {
    let whole = String::from_utf8(response(1)).unwrap();
    for (line, expected) in [
        ("WARC-Type: response\r\n", "missing_header"),
        ("WARC-Date: 2026-01-02T03:04:05Z\r\n", "missing_header"),
        ("WARC-Target-URI: https://a.example/1\r\n", "missing_header"),
        ("WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000001>\r\n", "missing_header"),
    ] {
        let mut bytes = whole.replacen(line, "", 1).into_bytes();
        bytes.extend(response(2));
        assert_eq!(kinds(&warc_items(&bytes)), [expected, "2"], "without {line}");
        let mut bytes = whole.replacen(line, "no header field\r\n", 1).into_bytes();
        bytes.extend(response(2));
        assert_eq!(kinds(&warc_items(&bytes)), ["malformed_header", "2"], "spoilt {line}");
    }
    for (from, to, expected) in [
        ("Content-Length: ", "Content-Length: x", "malformed_header"),
        ("Content-Length: ", "Content-Size: ", "missing_header"),
        ("Content-Length: ", "Content-Length: 1\r\nContent-Length: ", "malformed_header"),
        ("WARC/1.0", "WARC/3.0", "unsupported_version"),
    ] {
        let mut bytes = whole.replacen(from, to, 1).into_bytes();
        bytes.extend(response(2));
        assert_eq!(kinds(&warc_items(&bytes)), [expected, "2"], "{to}");
    }
}

#[test]
fn files_that_are_something_else() {
    let page = b"<!DOCTYPE html><html><body><h1>503 Slow Down</h1></body></html>\n";
    for (bytes, expected) in [
        (&b""[..], "empty_file"),
        (b"\r\n\r\n", "empty_file"),
        (page, "not_warc"),
        (b"filedesc://x.arc 0.0.0.0 20260101 text/plain 77\n1 0 x\n", "arc_file"),
        (b"WARC/1.0", "truncated_record"),
        (b"RIFF\0\0\0\0WAVE", "not_warc"),
    ] {
        assert_eq!(kinds(&warc_items(bytes)), [expected]);
        assert_resumes(&warc::SPEC, &json!({}), bytes, expected);
        if !bytes.is_empty() {
            assert_eq!(kinds(&warc_items(&gzip(bytes))), [expected], "gzip");
            assert_resumes(&warc::SPEC, &json!({}), &gzip(bytes), expected);
        }
    }
    let between = [response(1), b"stray line\nmore\n".to_vec(), response(2)].concat();
    assert_eq!(kinds(&warc_items(&between)), ["1", "not_warc", "2"]);
    let mut padded = members(&[response(1), response(2)], gzip);
    padded.extend_from_slice(&[0; 512]);
    assert_eq!(kinds(&warc_items(&padded)), ["1", "2"], "tape padding");
    padded.extend_from_slice(b"rubbish");
    assert_eq!(kinds(&warc_items(&padded)), ["1", "2", "corrupt_gzip_member"]);
}

#[test]
fn wet_texts_and_languages() {
    let text = "Grüße aus dem Wald\n".as_bytes();
    let tagged = String::from_utf8(record("conversion", "text/plain", 1, text)).unwrap();
    let tagged = tagged.replacen("\r\n", "\r\nWARC-Identified-Content-Language: deu,eng\r\n", 1).into_bytes();
    let parts = [
        record("warcinfo", "application/warc-fields", 0, b"x: y\r\n"),
        tagged,
        record("conversion", "text/plain", 2, b"gr\xfc\xdfe"),
        record("conversion", "text/plain", 3, b""),
    ];
    for (what, bytes) in [("plain", parts.concat()), ("gzip", members(&parts, gzip))] {
        let file = Scratch::new(&bytes);
        let reader = reader(&wet::SPEC, json!({}), file.name());
        assert_eq!(
            reader.passthrough(file.name()).unwrap(),
            [("cc_languages".to_owned(), FieldType::String)]
        );
        let mut stream = reader.open(0, file.name(), None).unwrap();
        assert_eq!(shown(&stream.next().unwrap().unwrap()), "skip warcinfo");
        let Some(Item::Document(doc)) = stream.next().unwrap() else { panic!("{what}") };
        assert_eq!((doc.text.as_bytes(), doc.fields["cc_languages"].as_str()), (text, Some("deu,eng")));
        assert!(shown(&stream.next().unwrap().unwrap()).ends_with("invalid_utf8"));
        let Some(Item::Document(doc)) = stream.next().unwrap() else { panic!("{what}") };
        assert_eq!(doc.text, "");
        assert!(stream.next().unwrap().is_none());
        assert_resumes(&wet::SPEC, &json!({}), &bytes, what);
    }
}

/// Bytes that look like a WARC file here and there.
fn rubbish() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(b"WARC/1.0\r\n".to_vec()),
        Just(b"WARC-Type: response\r\n".to_vec()),
        Just(b"Content-Length: ".to_vec()),
        (0..3000_u32).prop_map(|n| format!("{n}\r\n").into_bytes()),
        Just(b"\r\n\r\n".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()),
        Just(response(1)),
        Just(gzip(&response(2))),
        Just(gzip(b"WARC/1.0\r\nContent-Length: 9\r\n\r\n")),
        Just(zstd(&response(3))),
        Just(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_make_it_panic_or_stay(bytes in rubbish()) {
        let found = warc_items(&bytes);
        prop_assert!(found.len() <= bytes.len() + 1);
        items(&wet::SPEC, &json!({}), &bytes);
        assert_resumes(&warc::SPEC, &json!({}), &bytes, "rubbish");
    }

    #[test]
    fn hurt_files_keep_their_other_records(
        hurt in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        packing in 0..9_usize,
    ) {
        let parts = crawl(4);
        let (what, mut bytes) = packings(&parts).swap_remove(packing);
        for (place, value) in &hurt {
            let place = place.index(bytes.len());
            bytes[place] = *value;
        }
        let file = Scratch::new(&bytes);
        let reader = reader(&warc::SPEC, json!({}), file.name());
        let (found, _) = walk(reader.as_ref(), file.name(), None).unwrap();
        prop_assert!(found.len() <= bytes.len() + 1);
        if what == "one gzip member per record" {
            let documents = found.iter().filter(|item| item.starts_with("doc")).count();
            prop_assert!(documents + hurt.len() >= 4, "{found:?}");
        }
        assert_resumes(&warc::SPEC, &json!({}), &bytes, what);
    }
}
