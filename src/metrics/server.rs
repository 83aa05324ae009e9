//! A small HTTP/1.1 server: one thread, a handful of connections, one request on each.
//!
//! Nobody waits for the thread: it ends with the process. It takes what comes without waiting for any one client, so that a slow or silent
//! one keeps no probe from its answer; when too many are there at once, the oldest goes.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counts::Counts;
use super::page;
use crate::error::{Error, Result};

/// Bytes of a request up to the empty line.
const MAX_HEAD_BYTES: usize = 8 << 10;
/// Bytes that are thrown away behind a request, so that closing does not break the answer.
const MAX_REST_BYTES: usize = 64 << 10;
/// Connections at once.
const MAX_CONNECTIONS: usize = 8;
/// Time of a connection from its beginning to its end.
const CONNECTION_TIME: Duration = Duration::from_secs(5);
/// Pause between two looks at connections that have nothing for us.
const PAUSE: Duration = Duration::from_millis(2);
/// Pause after the system refused a connection.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// Answers `/healthz` and `/metrics` at an address (`host:port`; without a host at all of the machine's; port 0: a free one) until the
/// process ends, and returns the address. `/healthz` is well as long as work has not stood still for `stall`.
///
/// # Errors
/// [`Error::User`] where the address is none, or taken.
pub fn listen(address: &str, counts: Arc<Counts>, stall: Duration) -> Result<SocketAddr> {
    let refused = |error| Error::User(format!("cannot listen on `{address}`: {error}"));
    let listener = match address.strip_prefix(':') {
        Some(port) => {
            let port = port.parse().map_err(|_| {
                Error::User(format!(
                    "`{address}` must be like `127.0.0.1:9464`, or `:9464` for all addresses"
                ))
            })?;
            // The first takes IPv4 too, where the machine has both.
            let all = [SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), (Ipv4Addr::UNSPECIFIED, port).into()];
            TcpListener::bind(&all[..])
        }
        None => TcpListener::bind(address),
    }
    .map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    std::thread::Builder::new()
        .name("tamis-metrics".to_owned())
        .spawn(move || serve(&listener, &|head| answer(head, &counts, stall, Instant::now())))
        .map_err(|error| Error::Failed(format!("cannot start a thread: {error}")))?;
    Ok(bound)
}

/// Makes an answer from a request's head; none: the head is too long.
type Answer<'a> = &'a dyn Fn(Option<&[u8]>) -> Vec<u8>;

fn serve(listener: &TcpListener, answer: Answer) {
    let mut open: VecDeque<Connection> = VecDeque::new();
    loop {
        // With nobody there the thread sleeps until somebody comes.
        let accepted = listener.set_nonblocking(!open.is_empty()).and_then(|()| listener.accept());
        match accepted {
            Ok((stream, _)) => {
                if open.len() >= MAX_CONNECTIONS {
                    open.pop_front();
                }
                if stream.set_nonblocking(true).is_ok() {
                    open.push_back(Connection::new(stream, Instant::now()));
                }
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
                ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                _ => std::thread::sleep(REFUSED_PAUSE),
            },
        }
        open.retain_mut(|connection| !connection.is_over(Instant::now(), answer));
    }
}

/// A client with one request.
struct Connection {
    stream: TcpStream,
    until: Instant,
    head: Vec<u8>,
    answer: Vec<u8>,
    sent_bytes: usize,
    rest_bytes: usize,
}

impl Connection {
    fn new(stream: TcpStream, now: Instant) -> Self {
        let (head, answer) = (Vec::new(), Vec::new());
        Self { stream, until: now + CONNECTION_TIME, head, answer, sent_bytes: 0, rest_bytes: 0 }
    }

    /// Goes as far as possible without waiting; true when there is nothing left to do.
    fn is_over(&mut self, now: Instant, answer: Answer) -> bool {
        if now >= self.until {
            return true;
        }
        match self.advance(answer) {
            Ok(()) => true,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    fn advance(&mut self, answer: Answer) -> std::io::Result<()> {
        let mut buffer = [0; 1024];
        while self.answer.is_empty() {
            let n = read(&mut self.stream, &mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            self.head.extend_from_slice(&buffer[..n]);
            if has_end(&self.head) {
                self.answer = answer(Some(&self.head));
            } else if self.head.len() > MAX_HEAD_BYTES {
                self.answer = answer(None);
            }
        }
        while self.sent_bytes < self.answer.len() {
            match self.stream.write(&self.answer[self.sent_bytes..]) {
                Ok(n) => self.sent_bytes += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.sent_bytes == self.answer.len() {
                self.stream.shutdown(Shutdown::Write)?;
            }
        }
        // Closing with unread bytes would reset the connection, and with it an answer that is on its way.
        while self.rest_bytes < MAX_REST_BYTES {
            let n = read(&mut self.stream, &mut buffer)?;
            if n == 0 {
                break;
            }
            self.rest_bytes += n;
        }
        Ok(())
    }
}

fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Whether the empty line behind the headers is there.
fn has_end(head: &[u8]) -> bool {
    let is_end = |window: &[u8]| window == b"\r\n\r\n";
    head.windows(4).any(is_end) || head.windows(2).any(|window| window == b"\n\n")
}

/// Method and path of a request; none where it is not one.
fn parse(head: &[u8]) -> Option<(&str, &str)> {
    let line = head.split(|&byte| byte == b'\n').next()?;
    let line = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).ok()?;
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_token = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
    if words.next().is_some() || !is_token(method) || !target.starts_with('/') || !is_token(target) {
        return None;
    }
    let path = target.split('?').next()?;
    version.starts_with("HTTP/1.").then_some((method, path))
}

fn answer(head: Option<&[u8]>, counts: &Counts, stall: Duration, now: Instant) -> Vec<u8> {
    const PLAIN: &str = "text/plain; charset=utf-8";
    let request = head.and_then(parse);
    let (status, kind, body) = match request {
        None if head.is_none() => {
            ("431 Request Header Fields Too Large", PLAIN, "the request is too long\n".to_owned())
        }
        None => ("400 Bad Request", PLAIN, "this is no HTTP/1.1 request\n".to_owned()),
        Some((_, path)) if !matches!(path, "/healthz" | "/metrics") => {
            ("404 Not Found", PLAIN, "here are /healthz and /metrics\n".to_owned())
        }
        Some((method, _)) if !matches!(method, "GET" | "HEAD") => {
            ("405 Method Not Allowed", PLAIN, "only GET and HEAD\n".to_owned())
        }
        Some((_, "/metrics")) => ("200 OK", page::CONTENT_TYPE, page::page(counts)),
        Some(_) => match counts.stalled_for(now) {
            idle if idle > stall => {
                ("503 Service Unavailable", PLAIN, format!("no progress for {} s\n", idle.as_secs()))
            }
            _ => ("200 OK", PLAIN, "ok\n".to_owned()),
        },
    };
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let mut text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if !matches!(request, Some(("HEAD", _))) {
        text.push_str(&body);
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::Measured;
    use super::super::counts::tests::Silence;
    use super::*;
    use crate::engine::Listener;

    const STALL: Duration = Duration::from_mins(30);

    fn server() -> (SocketAddr, Arc<Counts>) {
        let counts = Arc::new(Counts::default());
        (listen("127.0.0.1:0", Arc::clone(&counts), STALL).unwrap(), counts)
    }

    fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn requests_are_read_by_the_rules() {
        let parsed = |text: &'static str| parse(text.as_bytes());
        assert_eq!(parsed("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), Some(("GET", "/metrics")));
        assert_eq!(parsed("HEAD /healthz?verbose=1 HTTP/1.0\n\n"), Some(("HEAD", "/healthz")));
        assert_eq!(parsed("get / HTTP/1.1\r\n\r\n"), Some(("get", "/")));
        for bad in [
            "",
            "\r\n\r\n",
            "GET\r\n\r\n",
            "GET /\r\n\r\n",
            "GET / HTTP/2\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1 more\r\n\r\n",
            " / HTTP/1.1\r\n\r\n",
            "GET x HTTP/1.1\r\n\r\n",
            "GET /\u{7} HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(parsed(bad), None, "{bad:?}");
        }
        assert_eq!(parse(b"GET /\xff HTTP/1.1\r\n\r\n"), None);
        assert!(has_end(b"GET / HTTP/1.1\r\nA: b\r\n\r\n") && has_end(b"GET / HTTP/1.1\n\n"));
        assert!(!has_end(b"GET / HTTP/1.1\r\nA: b\r\n"));
    }

    #[test]
    fn every_path_and_method_has_its_answer() {
        let (address, _) = server();
        let page = ask(address, b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{page}");
        let (head, body) = page.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
        assert!(body.contains("tamis_build_info{"), "{body}");
        let health = ask(address, b"GET /healthz HTTP/1.1\r\n\r\n");
        assert!(health.starts_with("HTTP/1.1 200 OK\r\n") && health.ends_with("\r\n\r\nok\n"), "{health}");
        let head = ask(address, b"HEAD /healthz HTTP/1.1\r\n\r\n");
        assert!(head.contains("Content-Length: 3\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        for (request, status) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], "404 "),
            (b"GET /metrics/ HTTP/1.1\r\n\r\n", "404 "),
            (b"POST /metrics HTTP/1.1\r\nContent-Length: 9\r\n\r\nsome body", "405 "),
            (b"nonsense\r\n\r\n", "400 "),
            (&[b'x'; MAX_HEAD_BYTES + 1], "431 "),
        ] {
            let answer = ask(address, request);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {answer}");
            assert_eq!(answer.contains("Allow: GET, HEAD"), status == "405 ", "{answer}");
        }
    }

    #[test]
    fn work_that_stands_still_is_not_well() {
        let counts = Arc::new(Counts::default());
        let measured = Measured::new(&Silence, Arc::clone(&counts));
        let ask = |after: Duration, from: Instant| {
            let text = answer(Some(b"GET /healthz HTTP/1.1\r\n\r\n"), &counts, STALL, from + after);
            String::from_utf8(text).unwrap()
        };
        let start = Instant::now();
        measured.pass_started("00-read", 1, 1, 1, 0);
        assert!(ask(Duration::ZERO, start).contains(" 200 "));
        assert!(ask(STALL, start).contains(" 200 "), "exactly the limit is well");
        let stalled = ask(STALL + Duration::from_secs(1), start);
        assert!(stalled.contains(" 503 ") && stalled.ends_with("no progress for 1801 s\n"), "{stalled}");
        measured.progress().step();
        assert!(ask(STALL * 2, start).contains(" 200 "), "it goes on");
    }

    #[test]
    fn clients_that_say_nothing_keep_nobody_out() {
        let (address, _) = server();
        let silent: Vec<TcpStream> =
            (0..MAX_CONNECTIONS * 3).map(|_| TcpStream::connect(address).unwrap()).collect();
        for _ in 0..3 {
            assert!(ask(address, b"GET /healthz HTTP/1.1\r\n\r\n").ends_with("ok\n"));
        }
        drop(silent);
        // One that sends its request in pieces, with others between them.
        let mut slow = TcpStream::connect(address).unwrap();
        for piece in [&b"GET /hea"[..], b"lthz HTTP/1.1\r\n", b"\r\n"] {
            slow.write_all(piece).unwrap();
            assert!(ask(address, b"GET /metrics HTTP/1.1\r\n\r\n").contains(" 200 "));
        }
        let mut text = String::new();
        slow.read_to_string(&mut text).unwrap();
        assert!(text.ends_with("ok\n"), "{text}");
    }

    #[test]
    fn a_connection_has_its_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let start = Instant::now();
        let mut connection = Connection::new(stream, start);
        assert!(!connection.is_over(start, &|_| Vec::new()));
        assert!(connection.is_over(start + CONNECTION_TIME, &|_| Vec::new()));
    }

    #[test]
    fn an_address_that_is_none_or_taken_is_the_users_mistake() {
        let (taken, _) = server();
        for address in [&taken.to_string(), "127.0.0.1", "127.0.0.1:99999", ":http", ""] {
            let error = listen(address, Arc::new(Counts::default()), STALL).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(&format!("`{address}`")), "{error}");
        }
        let everywhere = listen(":0", Arc::new(Counts::default()), STALL).unwrap();
        assert!(everywhere.ip().is_unspecified() && everywhere.port() != 0);
    }
}
