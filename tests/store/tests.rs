//! The store itself, asked by a client of a few lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::http::Head;
use super::{Options, Store, clock, sign, xml};

/// What came back: the status, the lines of the head, the body as far as it came.
struct Got {
    status: u16,
    head: Vec<String>,
    body: Vec<u8>,
    /// Whether all of the announced body came.
    complete: bool,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        let pair = |line: &'_ String| line.split_once(": ").is_some_and(|(found, _)| found == name);
        self.head
            .iter()
            .find(|line| pair(line))
            .and_then(|line| line.split_once(": "))
            .map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<String> {
        xml::text(&String::from_utf8_lossy(&self.body), name)
    }

    fn keys(&self) -> Vec<String> {
        let body = String::from_utf8_lossy(&self.body);
        let named = |name| xml::insides(&body, name).into_iter().map(str::to_owned).collect::<Vec<_>>();
        named("Contents")
            .iter()
            .chain(&named("CommonPrefixes"))
            .filter_map(|inside| xml::text(inside, "Key").or_else(|| xml::text(inside, "Prefix")))
            .collect()
    }
}

/// A connection that is kept; `None` where the store closed it without an answer.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(store: &Store) -> Self {
        Self(BufReader::new(TcpStream::connect(store.address).expect("the store listens")))
    }

    fn ask(&mut self, request: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Got> {
        let mut head = format!("{request} HTTP/1.1\r\nHost: store\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        let stream = self.0.get_mut();
        stream.write_all((head + "\r\n").as_bytes()).expect("the store reads");
        // The store may close the connection while it reads the body.
        drop(stream.write_all(body));
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap_or(0) == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let status = lines[0].split(' ').nth(1)?.parse().ok()?;
        let mut got = Got { status, head: lines, body: Vec::new(), complete: true };
        if !request.starts_with("HEAD") {
            let length: u64 =
                got.header("Content-Length").map_or(0, |length| length.parse().expect("a number"));
            let read =
                self.0.by_ref().take(length).read_to_end(&mut got.body).expect("the store closes cleanly");
            got.complete = read as u64 == length;
        }
        Some(got)
    }
}

fn anonymous() -> Options {
    Options { anonymous: true, ..Options::default() }
}

fn ask(store: &Store, request: &str, headers: &[(&str, &str)], body: &[u8]) -> Got {
    Client::new(store).ask(request, headers, body).expect("an answer")
}

#[test]
fn objects_are_put_and_got() {
    let folder = tempfile::tempdir().expect("a folder");
    for folder in [None, Some(folder.path().to_owned())] {
        let store = Store::start(Options { folder, ..anonymous() });
        let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut client = Client::new(&store);
        let mut ask = |request: &str, headers: &[(&str, &str)], body: &[u8]| {
            client.ask(request, headers, body).expect("the connection is kept")
        };
        let put = ask("PUT /bucket/a%20b/%C3%A9+.gz", &[], &content);
        assert_eq!(put.status, 200);
        assert_eq!(store.keys("bucket"), ["a b/é+.gz"]);
        assert!(store.get("bucket", "a b/é+.gz").as_ref() == Some(&content));
        let got = ask("GET /bucket/a%20b/%C3%A9%2B.gz", &[], b"");
        assert!(got.body == content);
        assert_eq!(got.header("ETag"), put.header("ETag"));
        let etag = put.header("ETag").expect("an ETag");
        let range = ask("GET /bucket/a%20b/%C3%A9+.gz", &[("Range", "bytes=100000-299999")], b"");
        assert_eq!((range.status, range.header("Content-Range")), (206, Some("bytes 100000-299999/1200000")));
        assert!(range.body == content[100_000..300_000]);
        let outside = ask("GET /bucket/a%20b/%C3%A9+.gz", &[("Range", "bytes=1200000-")], b"");
        assert_eq!((outside.status, outside.header("Content-Range")), (416, Some("bytes */1200000")));
        let head = ask("HEAD /bucket/a%20b/%C3%A9+.gz", &[], b"");
        assert_eq!((head.status, head.header("Content-Length")), (200, Some("1200000")));
        let same = ask("GET /bucket/a%20b/%C3%A9+.gz", &[("If-None-Match", etag)], b"");
        assert_eq!(same.status, 304);
        let other = ask("GET /bucket/a%20b/%C3%A9+.gz", &[("If-Match", "\"x\"")], b"");
        assert_eq!(other.status, 412);

        let copy = ask("PUT /bucket/copy", &[("x-amz-copy-source", "/bucket/a%20b/%C3%A9+.gz")], b"");
        assert_eq!((copy.status, copy.text("ETag").as_deref()), (200, Some(etag)));
        assert_eq!(ask("DELETE /bucket/a%20b/%C3%A9+.gz", &[], b"").status, 204);
        assert!(store.get("bucket", "copy").as_ref() == Some(&content));
        let missing = ask("GET /bucket/a%20b/%C3%A9+.gz", &[], b"");
        assert_eq!((missing.status, missing.text("Code").as_deref()), (404, Some("NoSuchKey")));
        let missing = ask("GET /bucket2/a", &[], b"");
        assert_eq!((missing.status, missing.text("Code").as_deref()), (404, Some("NoSuchBucket")));
        let log = store.log();
        let sent: Vec<(u16, u64)> =
            log[..3].iter().map(|request| (request.status, request.bytes_sent)).collect();
        assert_eq!(sent, [(200, 0), (200, 1_200_000), (206, 200_000)]);
        assert_eq!((&*log[2].method, &*log[2].path, &*log[2].query), ("GET", "/bucket/a b/é+.gz", ""));
    }
}

#[test]
fn a_put_keeps_its_conditions() {
    let store = Store::start(anonymous());
    let put = |name, value, body: &[u8]| ask(&store, "PUT /bucket/lock", &[(name, value)], body);
    assert_eq!(put("If-Match", "\"x\"", b"0").status, 404);
    let first = put("If-None-Match", "*", b"1");
    assert_eq!(first.status, 200);
    assert_eq!(put("If-None-Match", "*", b"2").status, 412);
    let etag = first.header("ETag").expect("an ETag");
    assert_eq!(put("If-Match", etag, b"3").status, 200);
    assert_eq!(put("If-Match", etag, b"4").status, 412);
    assert_eq!(store.get("bucket", "lock").as_deref(), Some(&b"3"[..]));
}

#[test]
fn listings_have_pages() {
    let store = Store::start(Options { max_page_keys: 2, ..anonymous() });
    let keys = ["a", "b/", "b/1", "b/2 &", "b/c/3", "b/é", "c", "d/1", "d/2"];
    for key in keys {
        store.put("bucket", key, b"content");
    }
    let list = |query: &str| {
        let (mut pages, mut token) = (Vec::new(), String::new());
        loop {
            let page = ask(&store, &format!("GET /bucket?list-type=2{query}{token}"), &[], b"");
            pages.push(page.keys());
            match page.text("NextContinuationToken") {
                Some(next) => token = format!("&continuation-token={}", super::http::encode(&next, "")),
                None => return pages,
            }
        }
    };
    assert_eq!(list("").concat(), keys);
    assert_eq!(list("").len(), 5);
    assert_eq!(list("&delimiter=/"), [vec!["a", "b/"], vec!["c", "d/"]]);
    let below = [vec!["b/", "b/1"], vec!["b/2 &", "b/c/"], vec!["b/é"]];
    assert_eq!(list("&delimiter=%2F&prefix=b%2F"), below);
    assert_eq!(list("&prefix=b/2+&encoding-type=url"), [["b/2%20%26"]]);
    assert_eq!(list("&start-after=b/2%20%26&prefix=b").concat(), ["b/c/3", "b/é"]);
    assert_eq!(list("&max-keys=1").len(), 9);
    let missing = ask(&store, "GET /none?list-type=2", &[], b"");
    assert_eq!(missing.text("Code").as_deref(), Some("NoSuchBucket"));

    let named = ["a", "b/2 &", "none"].map(|key| format!("<Object>{}</Object>", xml::element("Key", key)));
    let document = xml::document("Delete", &named.concat());
    let deleted = ask(&store, "POST /bucket?delete", &[], document.as_bytes());
    assert_eq!(xml::insides(&String::from_utf8_lossy(&deleted.body), "Deleted").len(), 3);
    assert_eq!(store.keys("bucket"), ["b/", "b/1", "b/c/3", "b/é", "c", "d/1", "d/2"]);
}

#[test]
fn an_upload_appears_when_it_is_complete() {
    let folder = tempfile::tempdir().expect("a folder");
    for folder in [None, Some(folder.path().to_owned())] {
        let store = Store::start(Options { folder, min_part_bytes: 3, ..anonymous() });
        let id = ask(&store, "POST /bucket/big?uploads=", &[], b"").text("UploadId").expect("an id");
        let part = |number: u32, body: &[u8]| {
            let put = ask(&store, &format!("PUT /bucket/big?partNumber={number}&uploadId={id}"), &[], body);
            let etag = xml::element("ETag", put.header("ETag").expect("an ETag"));
            format!("<Part>{etag}<PartNumber>{number}</PartNumber></Part>")
        };
        let complete = |parts: &str, headers: &[(&str, &str)]| {
            let document = xml::document("CompleteMultipartUpload", parts);
            ask(&store, &format!("POST /bucket/big?uploadId={id}"), headers, document.as_bytes())
        };
        let (second, first, small) = (part(2, b"456"), part(1, b"123"), part(3, b"7"));
        let last = part(4, b"8");
        assert_eq!((store.open_uploads(), store.keys("bucket").len()), (1, 0));
        let code = |got: &Got| got.text("Code").unwrap_or_default();
        assert_eq!(code(&complete(&format!("{second}{first}"), &[])), "InvalidPartOrder");
        assert_eq!(code(&complete(&format!("{first}{small}{last}"), &[])), "EntityTooSmall");
        assert_eq!(code(&complete("<Part><PartNumber>9</PartNumber></Part>", &[])), "InvalidPart");
        let done = complete(&format!("{first}{second}"), &[]);
        assert_eq!(done.status, 200);
        assert_eq!(store.get("bucket", "big").as_deref(), Some(&b"123456"[..]));
        assert_eq!(store.open_uploads(), 0);
        assert_eq!(complete(&first, &[]).text("ETag"), done.text("ETag"));

        let id = ask(&store, "POST /bucket/big?uploads", &[], b"").text("UploadId").expect("an id");
        assert_eq!(ask(&store, &format!("DELETE /bucket/big?uploadId={id}"), &[], b"").status, 204);
        assert_eq!(ask(&store, &format!("DELETE /bucket/big?uploadId={id}"), &[], b"").status, 404);
        assert_eq!(store.open_uploads(), 0);
    }
}

/// A request signed for a key pair with the date of now.
fn signed(store: &Store, keys: (&str, &str), body: &[u8]) -> Got {
    let seconds = clock::iso_date(clock::now());
    let date: String = seconds.replace(".000", "").chars().filter(|c| !"-:".contains(*c)).collect();
    let hash = sign::hex(&Sha256::digest(body));
    let mut lines = vec!["PUT /bucket/a HTTP/1.1".to_owned(), "host: store".to_owned()];
    lines.extend([format!("x-amz-content-sha256: {hash}"), format!("x-amz-date: {date}")]);
    let head = Head::parse(&lines).expect("a request");
    let names = ["host", "x-amz-content-sha256", "x-amz-date"];
    let scope = format!("{}/us-east-1/s3/aws4_request", &date[..8]);
    let request = sign::canonical_request(&head, &names, &hash);
    let signature = sign::signature(keys.1, &date, &scope, &request);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={}, Signature={signature}",
        keys.0,
        names.join(";")
    );
    let headers =
        [("x-amz-content-sha256", &*hash), ("x-amz-date", &date), ("Authorization", &authorization)];
    ask(store, "PUT /bucket/a", &headers, body)
}

#[test]
fn signatures_are_asked_for() {
    let store = Store::start(Options::default());
    let code = |got: Got| (got.status, got.text("Code").unwrap_or_default());
    assert_eq!(signed(&store, ("test", "secret"), b"content").status, 200);
    let refused = |code: &str| (403, code.to_owned());
    assert_eq!(code(ask(&store, "GET /bucket/a", &[], b"")), refused("AccessDenied"));
    assert_eq!(code(signed(&store, ("who", "secret"), b"")), refused("InvalidAccessKeyId"));
    assert_eq!(code(signed(&store, ("test", "public"), b"")), refused("SignatureDoesNotMatch"));
    store.set(|faults| faults.clock_offset_secs = -1000);
    assert_eq!(code(signed(&store, ("test", "secret"), b"")), refused("RequestTimeTooSkewed"));
    let env = store.env();
    assert!(env.contains(&("AWS_ENDPOINT_URL".to_owned(), store.url())));
}

#[test]
fn faults_come_when_they_are_set() {
    let store = Store::start(anonymous());
    let content = vec![b'x'; 100_000];
    store.put("bucket", "a", &content);
    let get = || ask(&store, "GET /bucket/a", &[], b"");
    let put = |body: &[u8]| Client::new(&store).ask("PUT /bucket/b", &[], body);
    let reset = |change: &dyn Fn(&mut super::Faults)| {
        store.set(|faults| {
            *faults = super::Faults::default();
            change(faults);
        });
    };

    reset(&|faults| faults.fail = 1.0);
    assert_eq!((get().status, get().text("Code").as_deref()), (500, Some("InternalError")));
    reset(&|faults| (faults.throttle, faults.retry_after_secs) = (1.0, 3));
    let throttled = get();
    assert_eq!((throttled.status, throttled.header("Retry-After")), (503, Some("3")));
    assert_eq!(throttled.text("Code").as_deref(), Some("SlowDown"));
    reset(&|faults| faults.cut = 1.0);
    let cut = get();
    assert!(cut.status == 200 && !cut.complete && cut.body.len() < content.len());
    assert_eq!(store.waits_after_throttling().len(), 1);
    reset(&|faults| faults.wrong_length = 1.0);
    let short = get();
    assert!(!short.complete && short.body == content);
    assert_eq!(short.header("Content-Length"), Some("101000"));
    reset(&|faults| faults.html_error = 1.0);
    assert!(get().status == 200 && get().body.starts_with(b"<!DOCTYPE html>"));
    reset(&|faults| faults.cut_put = 1.0);
    assert!(put(&content).is_none() && store.keys("bucket") == ["a"]);
    assert_eq!(store.log().last().expect("the put").status, 0);
    reset(&|faults| faults.capacity_bytes = Some(100_003));
    assert_eq!(put(b"1234").map(|put| put.status), Some(507));
    reset(&|faults| faults.lost = 1.0);
    assert!(put(b"123").is_none() && store.keys("bucket") == ["a", "b"]);
    reset(&|faults| faults.forbid = Some("b".to_owned()));
    assert_eq!(put(b"").map(|put| put.status), Some(403));
    reset(&|faults| (faults.slow, faults.delay) = (Some(4_000_000), Duration::from_millis(5)));
    let before = std::time::Instant::now();
    assert!(get().complete && before.elapsed() >= Duration::from_millis(25));
}
