//! Writes WARC 1.0 files (ISO 28500) of one gzip member a record, as crawlers do, and HTTP responses with
//! the transfer and content encodings that servers use.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use sha2::{Digest, Sha256};

use super::rng::Rng;

/// How a response's body travels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// As it is.
    Identity,
    /// `Content-Encoding: gzip`.
    Gzip,
    /// `Content-Encoding: deflate`, in the zlib format.
    Deflate,
    /// `Content-Encoding: br`.
    Brotli,
}

/// One HTTP response.
pub(super) struct Response<'a> {
    /// Status line after `HTTP/1.1 `.
    pub(super) status: &'a str,
    /// `Content-Type`.
    pub(super) media: &'a str,
    /// Body before any encoding.
    pub(super) body: &'a [u8],
    /// Content encoding.
    pub(super) coding: Coding,
    /// Whether it is sent in chunks.
    pub(super) chunked: bool,
}

impl Response<'_> {
    /// Header and encoded body.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let (coding, mut body) = match self.coding {
            Coding::Identity => ("", self.body.to_vec()),
            Coding::Gzip => ("gzip", gzip(self.body)),
            Coding::Deflate => {
                let mut out = ZlibEncoder::new(Vec::new(), Compression::new(9));
                out.write_all(self.body).expect("writing to memory");
                ("deflate", out.finish().expect("writing to memory"))
            }
            Coding::Brotli => {
                let mut out = brotli::CompressorWriter::new(Vec::new(), 4096, 9, 20);
                out.write_all(self.body).expect("writing to memory");
                ("br", out.into_inner())
            }
        };
        let mut head =
            format!("HTTP/1.1 {}\r\nServer: fixture/1.0\r\nContent-Type: {}\r\n", self.status, self.media);
        if !coding.is_empty() {
            write!(head, "Content-Encoding: {coding}\r\n").expect("writing to a string");
        }
        if self.chunked {
            head.push_str("Transfer-Encoding: chunked\r\n");
            body = chunks(&body);
        } else {
            write!(head, "Content-Length: {}\r\n", body.len()).expect("writing to a string");
        }
        head.push_str("Connection: close\r\n\r\n");
        [head.into_bytes(), body].concat()
    }
}

fn chunks(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(1400) {
        write!(out, "{:x}\r\n", chunk.len()).expect("writing to memory");
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// One gzip member.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::new(9));
    out.write_all(bytes).expect("writing to memory");
    out.finish().expect("writing to memory")
}

/// Makes records with ids and dates of their own.
pub(super) struct Records {
    rng: Rng,
    seconds: usize,
    /// Records made so far: the number of the next one.
    pub(super) count: usize,
}

impl Records {
    /// A file's records; the seed decides their ids.
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), seconds: 0, count: 0 }
    }

    /// Date of the records that are made now.
    pub(super) fn date(&self) -> String {
        let (hours, rest) = (self.seconds / 3600, self.seconds % 3600);
        format!("2025-03-{:02}T{:02}:{:02}:{:02}Z", 3 + hours / 24, hours % 24, rest / 60, rest % 60)
    }

    /// Lets time pass between two pages.
    pub(super) fn tick(&mut self) {
        self.seconds += self.rng.range(7, 400);
    }

    /// A record, not compressed. `fields` are further header lines.
    pub(super) fn record(&mut self, kind: &str, fields: &[(&str, &str)], block: &[u8]) -> Vec<u8> {
        self.record_of_length(kind, fields, block, block.len())
    }

    /// A record whose header tells any length.
    pub(super) fn record_of_length(
        &mut self,
        kind: &str,
        fields: &[(&str, &str)],
        block: &[u8],
        length: usize,
    ) -> Vec<u8> {
        self.count += 1;
        let (high, low) = (self.rng.next(), self.rng.next());
        let mut head = format!(
            "WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Date: {}\r\nWARC-Record-ID: \
             <urn:uuid:{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}>\r\n",
            self.date(),
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        );
        for (name, value) in fields {
            write!(head, "{name}: {value}\r\n").expect("writing to a string");
        }
        write!(head, "Content-Length: {length}\r\n\r\n").expect("writing to a string");
        [head.as_bytes(), block, b"\r\n\r\n"].concat()
    }

    /// The first record of a file.
    pub(super) fn info(&mut self, file: &str) -> Vec<u8> {
        let block = "software: tamis fixture generator\r\nformat: WARC File Format 1.0\r\ndescription: \
                     invented pages for the tests of tamis\r\n";
        let fields = [("WARC-Filename", file), ("Content-Type", "application/warc-fields")];
        self.record("warcinfo", &fields, block.as_bytes())
    }

    /// What was asked for a page.
    pub(super) fn request(&mut self, url: &str) -> Vec<u8> {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let block = format!(
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tamis-fixture/1.0\r\nAccept-Encoding: gzip, \
             deflate, br\r\n\r\n"
        );
        let fields = [("WARC-Target-URI", url), ("Content-Type", "application/http; msgtype=request")];
        self.record("request", &fields, block.as_bytes())
    }

    /// What came back.
    pub(super) fn response(&mut self, url: &str, response: &Response<'_>) -> Vec<u8> {
        let block = response.bytes();
        let digest = digest(response.body);
        let fields = [
            ("WARC-Target-URI", url),
            ("WARC-Payload-Digest", digest.as_str()),
            ("Content-Type", "application/http; msgtype=response"),
        ];
        self.record("response", &fields, &block)
    }

    /// What the crawler noted about a page.
    pub(super) fn metadata(&mut self, url: &str) -> Vec<u8> {
        let block = format!("fetchTimeMs: {}\r\ncharset-detected: UTF-8\r\n", self.rng.range(40, 900));
        let fields = [("WARC-Target-URI", url), ("Content-Type", "application/warc-fields")];
        self.record("metadata", &fields, block.as_bytes())
    }

    /// A page's text, as WET files have it.
    pub(super) fn conversion(&mut self, url: &str, language: &str, text: &str) -> Vec<u8> {
        let fields = [
            ("WARC-Target-URI", url),
            ("WARC-Identified-Content-Language", language),
            ("Content-Type", "text/plain"),
        ];
        self.record("conversion", &fields, text.as_bytes())
    }
}

/// Digest of a payload as a header value.
pub(super) fn digest(body: &[u8]) -> String {
    let mut out = String::from("sha256:");
    for byte in Sha256::digest(body) {
        write!(out, "{byte:02x}").expect("writing to a string");
    }
    out
}
