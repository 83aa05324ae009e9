//! A stand-in for S3 and for the plain https server of Common Crawl that also misbehaves: an HTTP/1.1
//! server on 127.0.0.1 with a thread per connection. What it answers follows the public reference of the
//! S3 API (path style, Signature Version 4); only what a client of object stores sends is there.
//! Where we differ: an ETag is XXH3 of the content and not MD5, and there are no versions, no tags and no
//! signatures inside of streamed bodies.
//!
//! `cargo run --release --example store -- --bucket crawl` starts the same server as a program.

mod api;
mod clock;
mod faults;
mod http;
mod list;
mod objects;
mod serve;
mod sign;
#[cfg(test)]
mod tests;
mod uploads;
mod xml;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) use faults::Faults;

/// What a store is from its start on.
pub(crate) struct Options {
    /// Port on 127.0.0.1; 0 takes a free one.
    pub(crate) port: u16,
    /// Buckets that exist at the start, empty.
    pub(crate) buckets: Vec<String>,
    /// Where objects lie, as `<folder>/<bucket>/<key>`; files that are there are served. Memory if absent.
    pub(crate) folder: Option<PathBuf>,
    /// Whether requests need no signature.
    pub(crate) anonymous: bool,
    /// The one access key.
    pub(crate) access_key: String,
    /// The secret of the access key.
    pub(crate) secret_key: String,
    /// The region that signatures have to name.
    pub(crate) region: String,
    /// The most keys and common prefixes in one page of a listing.
    pub(crate) max_page_keys: usize,
    /// The least bytes of a part that is not the last of its upload.
    pub(crate) min_part_bytes: u64,
    /// Seed of the misbehaviour.
    pub(crate) seed: u64,
    /// The misbehaviour at the start.
    pub(crate) faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            buckets: vec!["bucket".to_owned()],
            folder: None,
            anonymous: false,
            access_key: "test".to_owned(),
            secret_key: "secret".to_owned(),
            region: "us-east-1".to_owned(),
            max_page_keys: 1000,
            min_part_bytes: 5 << 20,
            seed: 0,
            faults: Faults::default(),
        }
    }
}

/// One request as the store saw it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// When its head had arrived.
    pub(crate) at: Instant,
    /// From then to the start of the answer.
    pub(crate) took: Duration,
    /// `GET`, `PUT` and so on.
    pub(crate) method: String,
    /// The decoded path, `/bucket/key`.
    pub(crate) path: String,
    /// The query as it was sent, without the question mark.
    pub(crate) query: String,
    /// The header `Range`.
    pub(crate) range: Option<String>,
    /// Status of the answer; 0 if the connection was closed without one.
    pub(crate) status: u16,
    /// Bytes of the answer's body that were sent.
    pub(crate) bytes_sent: u64,
}

/// A running store; it stops when dropped.
pub(crate) struct Store {
    shared: Arc<Shared>,
    address: SocketAddr,
    listening: Option<JoinHandle<()>>,
}

/// What all connections of a store share.
struct Shared {
    options: Options,
    objects: objects::Objects,
    uploads: uploads::Uploads,
    faults: Mutex<Faults>,
    log: Mutex<Vec<Request>>,
    open: Mutex<BTreeMap<u64, TcpStream>>,
    stopping: AtomicBool,
}

const LOCK: &str = "no thread panics while it holds a lock";

impl Store {
    /// Starts a store.
    pub(crate) fn start(options: Options) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", options.port)).expect("the port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let objects = objects::Objects::new(options.folder.clone()).expect("the folder is readable");
        for bucket in &options.buckets {
            objects.add_bucket(bucket);
        }
        let shared = Arc::new(Shared {
            faults: Mutex::new(options.faults.clone()),
            options,
            objects,
            uploads: uploads::Uploads::default(),
            log: Mutex::default(),
            open: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let listening = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || serve::listen(&listener, &shared)
        });
        Self { shared, address, listening: Some(listening) }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stores an object past all faults; a bucket that is missing is made.
    pub(crate) fn put(&self, bucket: &str, key: &str, content: &[u8]) {
        let objects = &self.shared.objects;
        objects.add_bucket(bucket);
        let blob = objects.receive(&mut &content[..]).expect("a slice is readable and the folder writable");
        let put = objects.put(bucket, key, blob, &objects::Condition::default(), self.shared.now());
        assert!(put.is_ok(), "`{key}` cannot be stored");
    }

    /// The content of an object.
    pub(crate) fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let mut opened = self.shared.objects.open(bucket, key).ok()?;
        let mut content = Vec::new();
        opened.source.send(0, opened.object.bytes, &mut content).expect("stored objects are readable");
        Some(content)
    }

    /// The keys of a bucket in the order of their bytes; none if it is missing.
    pub(crate) fn keys(&self, bucket: &str) -> Vec<String> {
        self.shared.objects.with_bucket(bucket, |keys| keys.keys().cloned().collect()).unwrap_or_default()
    }

    /// Changes the misbehaviour; requests that are under way keep theirs.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.shared.faults.lock().expect(LOCK));
    }

    /// All requests so far in the order of their arrival.
    pub(crate) fn log(&self) -> Vec<Request> {
        self.shared.log.lock().expect(LOCK).clone()
    }

    /// For each answer 503: from then to the next request for the same; those without one are left out.
    pub(crate) fn waits_after_throttling(&self) -> Vec<Duration> {
        let log = self.log();
        let same =
            |a: &Request, b: &Request| (&a.method, &a.path, &a.range) == (&b.method, &b.path, &b.range);
        let throttled = log.iter().enumerate().filter(|(_, request)| request.status == 503);
        let wait = |(index, first): (usize, &Request)| {
            let next = log[index + 1..].iter().find(|next| same(first, next) && next.query == first.query)?;
            Some(next.at.saturating_duration_since(first.at + first.took))
        };
        throttled.filter_map(wait).collect()
    }

    /// How many multipart uploads are neither complete nor aborted.
    pub(crate) fn open_uploads(&self) -> usize {
        self.shared.uploads.count()
    }

    /// The environment with which a program finds this store.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        let options = &self.shared.options;
        let pairs = [
            ("AWS_ACCESS_KEY_ID", options.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", options.secret_key.clone()),
            ("AWS_REGION", options.region.clone()),
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // The listener looks at the flag when the next connection comes: this one.
        drop(TcpStream::connect(self.address));
        if let Some(listening) = self.listening.take() {
            drop(listening.join());
        }
        for stream in self.shared.open.lock().expect(LOCK).values() {
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
    }
}

impl Shared {
    /// Seconds since 1970 on the store's clock.
    fn now(&self) -> i64 {
        clock::now() + self.faults.lock().expect(LOCK).clock_offset_secs
    }

    /// Bytes of all objects and of the parts of open uploads.
    fn stored_bytes(&self) -> u64 {
        self.objects.bytes() + self.uploads.bytes()
    }
}
