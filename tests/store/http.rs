//! HTTP/1.1 as far as the store needs it (RFC 9112): heads of requests, their bodies, answers.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::clock::http_date;
use super::objects::Source;
use super::xml;

/// The most bytes of a request's head.
const MAX_HEAD_BYTES: u64 = 64 << 10;

/// Bytes that a limited body moves at once, at most.
const PACED_BYTES: u64 = 16 << 10;

/// Bodies up to this length leave together with their head.
const SMALL_BYTES: u64 = 16 << 10;

/// The head of a request.
pub(super) struct Head {
    pub(super) method: String,
    /// First segment of the path, decoded.
    pub(super) bucket: String,
    /// The rest of the path, decoded; empty for the bucket itself.
    pub(super) key: String,
    /// The query as it was sent.
    pub(super) raw_query: String,
    /// Names and values of the query, decoded.
    pub(super) query: Vec<(String, String)>,
    /// Names in lower case, and values without white space around them.
    pub(super) headers: Vec<(String, String)>,
}

impl Head {
    /// Reads a head; `None` if the connection has ended before it, or if it is none.
    pub(super) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut limited = reader.take(MAX_HEAD_BYTES);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if limited.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        Ok(Self::parse(&lines))
    }

    /// A head from its lines.
    pub(super) fn parse(lines: &[String]) -> Option<Self> {
        let (first, headers) = lines.split_first()?;
        let (method, target) = first.strip_suffix(" HTTP/1.1")?.split_once(' ')?;
        let (path, raw_query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.strip_prefix('/')?;
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let pairs = raw_query.split('&').filter(|pair| !pair.is_empty());
        let query = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
        });
        let headers = headers.iter().map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Some(Self {
            method: method.to_owned(),
            bucket: decode(bucket)?,
            key: decode(key)?,
            raw_query: raw_query.to_owned(),
            query: query.collect::<Option<_>>()?,
            headers: headers.collect::<Option<_>>()?,
        })
    }

    /// The first header of that name, which is in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The first value of that name in the query.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(parameter, _)| parameter == name).map(|(_, value)| value.as_str())
    }

    /// Length of the body; `None` if it is not said, or not as a number.
    pub(super) fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }
}

/// The text behind percent escapes; `None` where they hold no UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            plain.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
        } else {
            plain.push(byte);
        }
    }
    String::from_utf8(plain).ok()
}

/// The text with all but letters, digits, `-._~` and the bytes of `kept` as percent escapes.
pub(super) fn encode(text: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.as_bytes().contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a string takes all text");
        }
    }
    encoded
}

/// Keeps a body to its bytes per second.
pub(super) struct Pace {
    bytes_per_sec: Option<u64>,
    start: Instant,
    moved: u64,
}

impl Pace {
    /// A pace that starts now.
    pub(super) fn new(bytes_per_sec: Option<u64>) -> Self {
        Self { bytes_per_sec, start: Instant::now(), moved: 0 }
    }

    /// How much of `wanted` may move at once.
    fn step(&self, wanted: u64) -> u64 {
        if self.bytes_per_sec.is_some() { wanted.min(PACED_BYTES) } else { wanted }
    }

    /// Waits until `moved` more bytes are due.
    fn wait(&mut self, moved: u64) {
        self.moved += moved;
        let Some(bytes_per_sec) = self.bytes_per_sec else { return };
        let due = Duration::from_secs_f64(self.moved as f64 / bytes_per_sec.max(1) as f64);
        std::thread::sleep(due.saturating_sub(self.start.elapsed()));
    }
}

/// The body of a request, read as it arrives.
pub(super) struct Body<'a> {
    reader: &'a mut BufReader<TcpStream>,
    left: u64,
    /// Whether the client waits for a word before it sends the body.
    waiting: bool,
    pace: Pace,
}

impl<'a> Body<'a> {
    /// The body that follows a head.
    pub(super) fn new(reader: &'a mut BufReader<TcpStream>, head: &Head, pace: Pace) -> Self {
        let waiting = head.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        Self { reader, left: head.length().unwrap_or(0), waiting, pace }
    }

    /// Bytes that are not read yet.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Reads what is left; whether another request can follow on the connection.
    pub(super) fn finish(&mut self) -> io::Result<bool> {
        if self.waiting && self.left > 0 {
            return Ok(false);
        }
        io::copy(self, &mut io::sink())?;
        Ok(true)
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        if std::mem::take(&mut self.waiting) {
            self.reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let wanted = self.pace.step(self.left.min(buffer.len() as u64));
        let wanted = usize::try_from(wanted).expect("it is at most the buffer's length");
        let read = self.reader.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        self.pace.wait(read as u64);
        Ok(read)
    }
}

/// An answer that has not been sent yet.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) content: Content,
}

/// The body of an answer.
pub(super) enum Content {
    Text(String),
    /// Bytes of an object: where they start and how many there are.
    Object(Source, u64, u64),
}

impl Answer {
    /// An answer without a body.
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), content: Content::Text(String::new()) }
    }

    /// An answer that is a document.
    pub(super) fn xml(root: &str, inside: &str) -> Self {
        let headers = vec![("Content-Type", "application/xml".to_owned())];
        Self { status: 200, headers, content: Content::Text(xml::document(root, inside)) }
    }

    /// Bytes of the body.
    pub(super) fn length(&self) -> u64 {
        match &self.content {
            Content::Text(text) => text.len() as u64,
            Content::Object(_, _, length) => *length,
        }
    }

    /// The head, announcing `length` bytes.
    pub(super) fn head(&self, length: u64, close: bool, now: i64) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").expect("a string takes all text");
        }
        if self.status != 204 && self.status != 304 {
            write!(head, "Content-Length: {length}\r\n").expect("a string takes all text");
        }
        let connection = if close { "Connection: close\r\n" } else { "" };
        write!(head, "Date: {}\r\nServer: store\r\n{connection}\r\n", http_date(now))
            .expect("a string takes all text");
        head
    }

    /// Sends the head and the first `length` bytes of the body.
    pub(super) fn send(
        &mut self,
        head: String,
        length: u64,
        mut pace: Pace,
        mut stream: &TcpStream,
    ) -> io::Result<()> {
        let mut first = head.into_bytes();
        let mut sent = 0;
        if length <= pace.step(SMALL_BYTES) {
            self.send_body(0, length, &mut first)?;
            sent = length;
        }
        stream.write_all(&first)?;
        while sent < length {
            let step = pace.step(length - sent);
            self.send_body(sent, step, &mut stream)?;
            sent += step;
            pace.wait(step);
        }
        Ok(())
    }

    fn send_body(&mut self, from: u64, length: u64, to: &mut impl Write) -> io::Result<()> {
        match &mut self.content {
            Content::Text(text) => {
                let index = |at: u64| usize::try_from(at).expect("it is inside the text");
                to.write_all(&text.as_bytes()[index(from)..index(from + length)])
            }
            Content::Object(source, start, _) => source.send(*start + from, length, to),
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        411 => "Length Required",
        412 => "Precondition Failed",
        416 => "Range Not Satisfiable",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        507 => "Insufficient Storage",
        _ => "Other",
    }
}

/// A request that is turned down, or that the store failed to carry out.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    code: &'static str,
    message: String,
    headers: Vec<(&'static str, String)>,
}

impl Refusal {
    /// A refusal with the code that S3 has for it.
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), headers: Vec::new() }
    }

    /// The same with one more header.
    pub(super) fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Code and message as elements.
    pub(super) fn elements(&self) -> String {
        xml::element("Code", self.code) + &xml::element("Message", &self.message)
    }

    /// The document that S3 answers.
    pub(super) fn answer(self, resource: &str) -> Answer {
        let inside = self.elements() + &xml::element("Resource", resource);
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>{inside}<RequestId>0</RequestId></Error>"
        );
        let mut answer = Answer::empty(self.status);
        answer.headers = self.headers;
        if self.status != 304 {
            answer.headers.push(("Content-Type", "application/xml".to_owned()));
            answer.content = Content::Text(text);
        }
        answer
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::new(500, "InternalError", error.to_string())
    }
}
