//! The client under all stores: how fast it may ask, and the waits that servers ask for.
//!
//! A server that says 429 or 503 with `Retry-After` (RFC 9110, 10.2.3) hears nothing more from this process for so long. Common Crawl
//! asks for few requests and for at most one repetition a second ([`be_polite`]); `--max-requests-per-sec` limits all others together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};

use super::fault::Refusal;

/// Longest wait that a server can ask for.
const LONGEST_PAUSE: Duration = Duration::from_mins(2);
/// A connection must stand, and bytes must flow, within so long.
const CONNECT_TIME: Duration = Duration::from_secs(10);
const SILENCE_TIME: Duration = Duration::from_mins(1);
/// The answer to an upload must come within so long, from its beginning on: many go up at once, and lines may be slow.
const UPLOAD_TIME: Duration = Duration::from_mins(10);
/// Answers that the crate understands: not changed, not there, there already, changed.
const AS_THEY_ARE: [u16; 4] = [304, 404, 409, 412];
/// Most of a refusal's body that anybody wants to see.
const MAX_REFUSAL_BYTES: usize = 16 << 10;

/// Makes the clients of stores: all share two pools of connections, one for reading and one for what takes its time.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        type Clients = (reqwest::Client, reqwest::Client);
        static CLIENTS: OnceLock<Result<Clients, String>> = OnceLock::new();
        let client = |silence_time| {
            reqwest::Client::builder()
                .user_agent(concat!("tamis/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIME)
                .read_timeout(silence_time)
                .redirect(reqwest::redirect::Policy::limited(3))
                .tcp_nodelay(true)
                .build()
                .map_err(|error| error.to_string())
        };
        let clients = CLIENTS.get_or_init(|| {
            // An error says that somebody else did it before.
            drop(rustls::crypto::ring::default_provider().install_default());
            Ok((client(SILENCE_TIME)?, client(UPLOAD_TIME)?))
        });
        match clients {
            Ok((reader, writer)) => {
                Ok(HttpClient::new(Polite { reader: reader.clone(), writer: writer.clone() }))
            }
            Err(error) => Err(object_store::Error::Generic { store: "HTTP", source: error.clone().into() }),
        }
    }
}

#[derive(Debug)]
struct Polite {
    reader: reqwest::Client,
    writer: reqwest::Client,
}

#[async_trait]
impl HttpService for Polite {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let pace = pace_of(request.uri().authority().map_or("", |authority| authority.as_str()));
        loop {
            let wait = lock(&pace).wait(Instant::now());
            let Some(wait) = wait else { break };
            if super::is_cancelled() {
                return Err(HttpError::new(HttpErrorKind::Interrupted, std::io::Error::other("interrupted")));
            }
            super::sleep(wait).await;
        }
        let reads = matches!(request.method().as_str(), "GET" | "HEAD");
        let client = if reads { &self.reader } else { &self.writer };
        let answer = client.call(request).await;
        let mut response = match answer {
            Ok(response) => response,
            Err(error) => {
                lock(&pace).trouble(Instant::now(), None);
                return Err(error);
            }
        };
        let status = response.status().as_u16();
        if status < 300 || AS_THEY_ARE.contains(&status) {
            return Ok(response);
        }
        let told = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let date = told("date");
        if status == 429 || status >= 500 {
            let asked = told("retry-after").and_then(|told| pause(&told, SystemTime::now()));
            lock(&pace).trouble(Instant::now(), asked);
        }
        let mut body = Vec::new();
        while body.len() < MAX_REFUSAL_BYTES
            && let Some(Ok(frame)) = response.body_mut().frame().await
        {
            body.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        }
        body.truncate(MAX_REFUSAL_BYTES);
        let body = String::from_utf8_lossy(&body).into_owned();
        Err(HttpError::new(HttpErrorKind::Unknown, Refusal { status, date, body }))
    }
}

/// What `Retry-After` asks for: seconds, or a date.
fn pause(told: &str, now: SystemTime) -> Option<Duration> {
    let told = told.trim();
    let wait = match told.parse::<u64>() {
        Ok(secs) => Duration::from_secs(secs),
        Err(_) => http_date(told)?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(LONGEST_PAUSE))
}

/// A date in the one form that servers still send: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn http_date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = text.split_once(", ")?.1.split(' ');
    let day: u64 = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as u64 + 1;
    let year: u64 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if parts.next() != Some("GMT") || !(1970..=9999).contains(&year) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since 1970 in the Gregorian calendar, years beginning in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400 + hour * 3600 + minute * 60 + second))
}

/// When one server may be asked again.
#[derive(Debug, Default)]
struct Pace {
    /// Between two requests.
    interval: Duration,
    /// After a failure.
    repetition: Duration,
    /// No request before.
    next: Option<Instant>,
}

impl Pace {
    /// How long to wait, or `None`: the request goes out now.
    fn wait(&mut self, now: Instant) -> Option<Duration> {
        let interval = self.interval.max(*lock(&ALL));
        if let Some(next) = self.next.filter(|next| *next > now) {
            return Some(next - now);
        }
        self.next = (!interval.is_zero()).then_some(now + interval);
        None
    }

    /// A request failed at `now`; the server asked for a pause.
    fn trouble(&mut self, now: Instant, pause: Option<Duration>) {
        let pause = pause.unwrap_or_default().max(self.repetition);
        self.next = Some(self.next.map_or(now + pause, |next| next.max(now + pause)));
    }
}

/// Between two requests to any server.
static ALL: Mutex<Duration> = Mutex::new(Duration::ZERO);

fn pace_of(authority: &str) -> Arc<Mutex<Pace>> {
    static PACES: Mutex<BTreeMap<String, Arc<Mutex<Pace>>>> = Mutex::new(BTreeMap::new());
    Arc::clone(lock(&PACES).entry(authority.to_owned()).or_default())
}

/// A thread that panicked with the lock left a time behind, which is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A body came to no good end: where repetitions are limited, the next request waits.
pub(super) fn trouble_at(root: &str) {
    if let Some(authority) = authority_of(root) {
        lock(&pace_of(authority)).trouble(Instant::now(), None);
    }
}

/// Host and port of an address of the web.
fn authority_of(address: &str) -> Option<&str> {
    let (scheme, rest) = address.split_once("://")?;
    if scheme.starts_with("http") { rest.split('/').next() } else { None }
}

/// Limits the requests of this process to any one server.
pub fn limit_requests(requests_per_sec: f64) {
    *lock(&ALL) = interval(requests_per_sec);
}

/// Limits the requests to the server of an address, and how soon a failed one is repeated. Local paths need no limit.
pub fn be_polite(address: &str, requests_per_sec: f64, repetitions_per_sec: f64) {
    let Some(authority) = authority_of(address) else { return };
    let pace = pace_of(authority);
    let mut pace = lock(&pace);
    pace.interval = interval(requests_per_sec);
    pace.repetition = interval(repetitions_per_sec);
}

fn interval(per_sec: f64) -> Duration {
    Duration::try_from_secs_f64(1.0 / per_sec).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_left_alone_as_long_as_they_ask() {
        let at = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(), 784_111_777);
        let leap = http_date("Thu, 29 Feb 2024 00:00:00 GMT").unwrap();
        assert_eq!(leap.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(), 1_709_164_800);
        assert_eq!(http_date("yesterday"), None);
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 CET"), None);
        assert_eq!(pause("7", at), Some(Duration::from_secs(7)));
        assert_eq!(pause("99999", at), Some(LONGEST_PAUSE));
        assert_eq!(pause("Sun, 06 Nov 1994 08:49:40 GMT", at), Some(Duration::from_secs(3)));
        assert_eq!(pause("Sun, 06 Nov 1994 08:49:30 GMT", at), Some(Duration::ZERO));
        assert_eq!(pause("soon", at), None);
    }

    #[test]
    fn requests_keep_their_distance() {
        let secs = Duration::from_secs_f64;
        let start = Instant::now();
        let mut pace = Pace { interval: secs(0.5), repetition: secs(1.0), next: None };
        assert_eq!(pace.wait(start), None);
        assert_eq!(pace.wait(start + secs(0.2)), Some(secs(0.3)));
        assert_eq!(pace.wait(start + secs(0.5)), None);
        pace.trouble(start + secs(0.6), None);
        assert_eq!(pace.wait(start + secs(1.2)), Some(secs(0.4)));
        pace.trouble(start + secs(2.0), Some(secs(30.0)));
        // A shorter one does not undo it.
        pace.trouble(start + secs(2.1), Some(secs(1.0)));
        assert_eq!(pace.wait(start + secs(31.0)), Some(secs(1.0)));
        assert_eq!(pace.wait(start + secs(32.0)), None);
        let mut free = Pace::default();
        assert!((0..3).all(|_| free.wait(start).is_none()));
    }
}
