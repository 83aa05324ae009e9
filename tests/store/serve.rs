//! Connections: one thread each, one request after the other, and the misbehaviour between the two.

use std::io::{self, BufReader, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::api::Call;
use super::faults::{Draw, Draws, Faults};
use super::http::{Answer, Body, Content, Head, Pace, Refusal};
use super::{LOCK, Request, Shared};

const BUFFER_BYTES: usize = 64 << 10;

/// How many bytes too many a wrong length announces.
const EXTRA_BYTES: u64 = 1000;

/// What a bad proxy answers in the place of an object.
const ERROR_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Error</title></head>\
    <body><h1>Something went wrong</h1><p>Please try again later.</p></body></html>\n";

/// Accepts connections until the store stops.
pub(super) fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in (0_u64..).zip(listener.incoming()) {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(other) = stream.try_clone() else { continue };
        shared.open.lock().expect(LOCK).insert(number, other);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A client that goes away in the middle is none of our trouble.
            drop(serve(&shared, stream));
            shared.open.lock().expect(LOCK).remove(&number);
        });
    }
}

/// Answers the requests of a connection until either side closes it.
fn serve(shared: &Shared, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, stream);
    while let Some(head) = Head::read(&mut reader)? {
        if head.bucket.is_empty() && head.raw_query == "log" {
            show_log(shared, reader.get_ref())?;
            continue;
        }
        let number = record(shared, &head);
        let faults = shared.faults.lock().expect(LOCK).clone();
        let draws = Draws::new(shared.options.seed, number as u64);
        let exchange = Exchange { shared, head: &head, number, faults, draws };
        if !exchange.run(&mut reader)? {
            break;
        }
    }
    reader.get_ref().shutdown(Shutdown::Both)
}

/// Answers the log, a line per request, for scripts: seconds since the first request, method, path, query,
/// range, status, bytes sent, with tabs between them. No fault touches it and it is not logged itself.
fn show_log(shared: &Shared, stream: &TcpStream) -> io::Result<()> {
    let log = shared.log.lock().expect(LOCK).clone();
    let line = |request: &Request| {
        let secs = request.at.saturating_duration_since(log[0].at).as_secs_f64();
        let Request { method, path, query, status, bytes_sent, .. } = request;
        let range = request.range.as_deref().unwrap_or("-");
        format!("{secs:.6}\t{method}\t{path}\t{query}\t{range}\t{status}\t{bytes_sent}\n")
    };
    let mut answer = Answer::empty(200);
    answer.content = Content::Text(log.iter().map(line).collect());
    let length = answer.length();
    answer.send(answer.head(length, false, shared.now()), length, Pace::new(None), stream)
}

/// Enters a request into the log; its number there.
fn record(shared: &Shared, head: &Head) -> usize {
    let request = Request {
        at: Instant::now(),
        took: Duration::ZERO,
        method: head.method.clone(),
        path: format!("/{}/{}", head.bucket, head.key),
        query: head.raw_query.clone(),
        range: head.header("range").map(str::to_owned),
        status: 0,
        bytes_sent: 0,
    };
    let mut log = shared.log.lock().expect(LOCK);
    log.push(request);
    log.len() - 1
}

/// One request and its answer.
struct Exchange<'a> {
    shared: &'a Shared,
    head: &'a Head,
    number: usize,
    faults: Faults,
    draws: Draws,
}

impl Exchange<'_> {
    /// Carries it out; whether another one can follow on the connection.
    fn run(&self, reader: &mut BufReader<TcpStream>) -> io::Result<bool> {
        let (head, faults) = (self.head, &self.faults);
        if !faults.delay.is_zero() {
            std::thread::sleep(faults.delay);
        }
        let mut body = Body::new(reader, head, Pace::new(faults.slow));
        if head.method == "PUT" && body.left() > 0 && self.draws.hit(Draw::CutPut, faults.cut_put) {
            let half = body.left() / 2;
            io::copy(&mut body.take(half), &mut io::sink())?;
            return Ok(false);
        }
        let now = self.shared.now();
        let outcome = match self.refusal() {
            Some(refusal) => Err(refusal),
            None => Call { shared: self.shared, faults, head, body: &mut body, now }.answer(),
        };
        let keep = body.finish()? && head.header("connection") != Some("close");
        let changes = !matches!(head.method.as_str(), "GET" | "HEAD");
        if changes && outcome.is_ok() && self.draws.hit(Draw::Lost, faults.lost) {
            return Ok(false);
        }
        let resource = format!("/{}/{}", head.bucket, head.key);
        let answer = outcome.unwrap_or_else(|refusal| refusal.answer(&resource));
        self.send(answer, keep, now, reader.get_ref())
    }

    /// The refusal that was drawn for the request, if one was.
    fn refusal(&self) -> Option<Refusal> {
        let faults = &self.faults;
        if self.draws.hit(Draw::Throttle, faults.throttle) {
            let refusal = Refusal::new(503, "SlowDown", "please reduce your request rate");
            return Some(refusal.with_header("Retry-After", faults.retry_after_secs.to_string()));
        }
        let failed = self.draws.hit(Draw::Fail, faults.fail);
        failed
            .then(|| Refusal::new(500, "InternalError", "we encountered an internal error; please try again"))
    }

    fn send(&self, mut answer: Answer, keep: bool, now: i64, stream: &TcpStream) -> io::Result<bool> {
        let (faults, draws) = (&self.faults, &self.draws);
        let got = self.head.method == "GET" && matches!(answer.status, 200 | 206);
        let object = matches!(answer.content, Content::Object(..));
        if got && object && draws.hit(Draw::HtmlError, faults.html_error) {
            answer = Answer::empty(200);
            answer.headers.push(("Content-Type", "text/html".to_owned()));
            answer.content = Content::Text(ERROR_PAGE.to_owned());
        }
        let mut announced = answer.length();
        let mut sent = if self.head.method == "HEAD" { 0 } else { announced };
        let mut complete = true;
        if got && announced > 0 && draws.hit(Draw::Cut, faults.cut) {
            sent = draws.below(Draw::CutAt, announced);
            complete = false;
        } else if got && draws.hit(Draw::WrongLength, faults.wrong_length) {
            announced += EXTRA_BYTES;
            complete = false;
        }
        self.log(answer.status, sent);
        // A connection that is about to be cut does not say so.
        let text = answer.head(announced, !keep && complete, now);
        answer.send(text, sent, Pace::new(faults.slow), stream)?;
        Ok(keep && complete)
    }

    /// Enters the answer into the log, before it is sent, so that who has received it finds it there.
    fn log(&self, status: u16, bytes_sent: u64) {
        let mut log = self.shared.log.lock().expect(LOCK);
        let request = &mut log[self.number];
        request.took = request.at.elapsed();
        request.status = status;
        request.bytes_sent = bytes_sent;
    }
}
