//! Object stores and web servers: paths that begin with `s3://`, `gs://`, `az://`, `https://` or `http://`.
//!
//! Such a path goes wherever a local one goes in this room; what a caller gets is the same, only slower. Everything here blocks: the
//! waiting is done by a small tokio runtime of our own, on the crate `object_store`. Whoever writes an object sees it appear whole or not at
//! all (`upload.rs`), whoever reads gets exactly the object that was there when it was opened (`read.rs`). A request that fails for
//! a reason that may pass is repeated with growing, random waits, for [`retry_time`] at most; `polite.rs` keeps the waits that servers ask for.
//!
//! Credentials and endpoints come from the environment variables that each provider's own tools use (`AWS_*`, `GOOGLE_*`, `AZURE_STORAGE_*`).

mod buckets;
mod fault;
mod lease;
pub(super) mod polite;
mod read;
mod upload;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, UpdateVersion};
use tokio::runtime::Runtime;

use crate::error::{Error, Result, StoreFault, StoreFaultKind};

pub use lease::Lease;
pub use polite::{be_polite, limit_requests};
pub(super) use read::Remote;
pub(super) use upload::{Put, copy, put};

/// What begins the path of an object.
const SCHEMES: [&str; 5] = ["s3://", "gs://", "az://", "https://", "http://"];
/// How long a request is repeated, unless `TAMIS_STORE_RETRY_SECS` says otherwise.
const RETRY_SECS: f64 = 180.0;
/// Waits between tries: the first, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Trouble that lasts longer is told, and then so often.
const NOTICE_TIME: Duration = Duration::from_secs(3);
const NOTICE_INTERVAL: Duration = Duration::from_secs(30);
/// A signal is heard after so long.
const CANCEL_INTERVAL: Duration = Duration::from_millis(250);
/// Small objects that are fetched at once.
const CONCURRENT_GETS: usize = 16;

/// Whether a path names an object rather than a local file.
#[must_use]
pub fn is_remote(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref().as_os_str().as_encoded_bytes();
    SCHEMES.iter().any(|scheme| path.starts_with(scheme.as_bytes()))
}

/// Where an object is: the store that has it, and its key there.
#[derive(Clone)]
pub(super) struct Location {
    pub store: Arc<dyn ObjectStore>,
    pub key: Key,
    /// The path as the user knows it.
    pub path: PathBuf,
    /// What comes before the key in it.
    root: String,
}

impl Location {
    /// Finds the store of a path; `None` for a local one.
    pub(super) fn of(path: impl AsRef<Path>) -> Result<Option<Self>> {
        let path = path.as_ref();
        if !is_remote(path) {
            return Ok(None);
        }
        Self::parse(path).map(Some).map_err(|message| {
            let fault = StoreFault { kind: StoreFaultKind::Mistake, message };
            Error::io("use", path)(std::io::Error::new(std::io::ErrorKind::InvalidInput, fault))
        })
    }

    fn parse(path: &Path) -> Result<Self, String> {
        let text = path.to_str().ok_or("an address must be UTF-8")?;
        let (scheme, rest) = text.split_once("://").ok_or("an address has `://`")?;
        let (host, key) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() {
            return Err(format!("`{scheme}://` is followed by no {}", buckets::place(scheme)));
        }
        let root = format!("{scheme}://{host}");
        let key = plain_key(key)?;
        let key = if scheme.starts_with("http") {
            if key.contains(['?', '#']) {
                return Err("an address with `?` or `#` cannot be read: it must name a file".to_owned());
            }
            Key::from_url_path(&key)
        } else {
            Key::parse(&key)
        };
        let key = key.map_err(|error| format!("this is no address of an object: {error}"))?;
        let store = buckets::open(scheme, host)?;
        Ok(Self { store, key, path: path.to_path_buf(), root })
    }

    /// The path of another key of the same store.
    fn sibling(&self, key: &Key) -> PathBuf {
        PathBuf::from(format!("{}/{key}", self.root))
    }

    /// Does something, again and again while it fails for a reason that may pass.
    pub(super) fn retry<T, F>(&self, action: &'static str, work: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        block_on(self.retrying(action, work))
    }

    async fn retrying<T, F>(&self, action: &'static str, work: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let mut patience = Patience::new();
        loop {
            match work().await {
                Ok(done) => return Ok(done),
                Err(error) if fault::may_pass(&error) && patience.wait(self, &error).await => {}
                Err(error) => return Err(self.error(action, &error, &patience)),
            }
        }
    }

    fn error(&self, action: &'static str, error: &object_store::Error, patience: &Patience) -> Error {
        let source = fault::describe(error, &self.root, patience);
        if let Some(fault) = source.get_ref().and_then(|source| source.downcast_ref::<StoreFault>())
            && fault.kind == StoreFaultKind::Unavailable
        {
            let outage = (action, self.path.clone(), fault.clone());
            *OUTAGE.lock().unwrap_or_else(PoisonError::into_inner) = Some(outage);
        }
        Error::Io { action, path: self.path.clone(), source }
    }

    fn head(&self) -> Result<ObjectMeta> {
        let looked = self.retry("look at", || self.store.head(&self.key));
        match &looked {
            // Answers to HEAD have no body; the one to GET says why.
            Err(error) if !is_absent(error) && error.exit_code() != 75 => {
                self.retry("look at", || get_part(self, 0..1, None))?;
                looked
            }
            _ => looked,
        }
    }
}

/// A key without the steps of paths: `tokens/../tokenizer.json` is `tokenizer.json`.
fn plain_key(key: &str) -> Result<String, String> {
    let key = key.trim_end_matches('/');
    if key.is_empty() {
        return Ok(String::new());
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in key.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop().ok_or("this is no address of an object: `..` leads out of it")?),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// How often and how long something was tried.
pub(super) struct Patience {
    /// When it failed first.
    since: Option<Instant>,
    wait: Duration,
    tries: u32,
}

impl Patience {
    fn new() -> Self {
        Self { since: None, wait: FIRST_WAIT, tries: 1 }
    }

    /// Time since the first failure.
    fn elapsed(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Waits before the next try; false where there is to be none.
    async fn wait(&mut self, location: &Location, error: &object_store::Error) -> bool {
        polite::trouble_at(&location.root);
        self.since.get_or_insert_with(Instant::now);
        let waited = self.elapsed();
        let left = retry_time().saturating_sub(waited);
        if left.is_zero() || is_cancelled() {
            return false;
        }
        if waited > NOTICE_TIME {
            notice(&format!("waiting for {}: {}", location.root, fault::innermost(error)));
        }
        // Decorrelated jitter, so that workers that failed together do not come back together.
        let wait = FIRST_WAIT + (self.wait * 3).saturating_sub(FIRST_WAIT).mul_f64(random_share());
        self.wait = wait.min(LONGEST_WAIT);
        sleep(self.wait.min(left)).await;
        self.tries += 1;
        !is_cancelled()
    }

    /// Something came through: the next trouble is a new one.
    fn refresh(&mut self) {
        *self = Self::new();
    }
}

/// Set by a signal: nobody waits any longer.
static CANCEL: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Ends all waiting for stores once a flag is set; what waited fails as if the store did not answer. The first flag stays.
pub fn cancel_with(flag: Arc<AtomicBool>) {
    drop(CANCEL.set(flag));
}

fn is_cancelled() -> bool {
    CANCEL.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Sleeps, but not through a signal.
async fn sleep(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        if is_cancelled() {
            return;
        }
        tokio::time::sleep(left.min(CANCEL_INTERVAL)).await;
    }
}

/// A store that was not to be had, for callers that only keep the words of errors.
static OUTAGE: Mutex<Option<(&'static str, PathBuf, StoreFault)>> = Mutex::new(None);

/// The last time since this was asked that a store was not to be had.
#[must_use]
pub fn take_outage() -> Option<Error> {
    let (action, path, fault) = OUTAGE.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    Some(Error::Io { action, path, source: std::io::Error::other(fault) })
}

/// Who is told that we wait.
static LISTENER: OnceLock<Listener> = OnceLock::new();

type Listener = Box<dyn Fn(&str) + Send + Sync>;

/// Tells a listener, twice a minute at most, that a store keeps this process waiting. The first listener stays.
pub fn when_waiting(listener: impl Fn(&str) + Send + Sync + 'static) {
    drop(LISTENER.set(Box::new(listener)));
}

fn notice(text: &str) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_none_or(|last| last.elapsed() > NOTICE_INTERVAL)
        && let Some(listener) = LISTENER.get()
    {
        *last = Some(Instant::now());
        listener(text);
    }
}

/// A number from 0 to 1 that nobody needs to repeat.
fn random_share() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64
}

/// How long a request is repeated that fails for a reason that may pass.
#[must_use]
pub fn retry_time() -> Duration {
    static TIME: OnceLock<Duration> = OnceLock::new();
    *TIME.get_or_init(|| {
        let told = std::env::var("TAMIS_STORE_RETRY_SECS").ok().and_then(|secs| secs.parse().ok());
        Duration::try_from_secs_f64(told.unwrap_or(RETRY_SECS)).unwrap_or(Duration::from_secs_f64(RETRY_SECS))
    })
}

/// Threads that wait for stores. They compute next to nothing.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("tamis-store")
            .enable_all()
            .build();
        runtime.expect("threads can be started, as all others are")
    })
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    runtime().block_on(work)
}

/// Size of an object; `None` where there is none.
pub(super) fn size(location: &Location) -> Result<Option<u64>> {
    match location.head() {
        Ok(meta) => Ok(Some(meta.size)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error says that there is no such file.
pub(super) fn is_absent(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

/// An object as a listing has it.
pub(super) struct Listed {
    pub path: PathBuf,
    pub size: u64,
    pub modified: SystemTime,
}

impl Listed {
    fn new(location: &Location, meta: &ObjectMeta) -> Self {
        let path = location.sibling(&meta.location);
        Self { path, size: meta.size, modified: meta.last_modified.into() }
    }
}

/// What lies directly below, objects and folders, sorted by path.
pub(super) fn list(location: &Location) -> Result<(Vec<Listed>, Vec<PathBuf>)> {
    let prefix = (!location.key.is_root()).then_some(&location.key);
    let found = location.retry("list", || location.store.list_with_delimiter(prefix))?;
    let mut objects: Vec<_> = found.objects.iter().map(|meta| Listed::new(location, meta)).collect();
    let mut folders: Vec<_> = found.common_prefixes.iter().map(|key| location.sibling(key)).collect();
    objects.sort_by(|a, b| a.path.cmp(&b.path));
    folders.sort();
    Ok((objects, folders))
}

/// All objects below, at any depth, sorted by path.
pub(super) fn list_deep(location: &Location) -> Result<Vec<Listed>> {
    let prefix = (!location.key.is_root()).then_some(&location.key);
    let found: Vec<ObjectMeta> =
        location.retry("list", || location.store.list(prefix).try_collect::<Vec<_>>())?;
    let mut objects: Vec<_> = found.iter().map(|meta| Listed::new(location, meta)).collect();
    objects.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(objects)
}

/// A whole object.
pub(super) fn get(location: &Location) -> Result<Vec<u8>> {
    Ok(location.retry("read", || get_whole(location))?.0.into())
}

/// Many small objects, in their order.
pub(super) fn get_all(locations: &[Location]) -> Result<Vec<Vec<u8>>> {
    let fetch = |location: &Location| {
        let location = location.clone();
        async move {
            let (bytes, _) = location.retrying("read", || get_whole(&location)).await?;
            Ok(bytes.into())
        }
    };
    block_on(futures_util::stream::iter(locations.iter().map(fetch)).buffered(CONCURRENT_GETS).try_collect())
}

/// A whole object and its version. It is asked for as a range, so that a page that some server on the way sends in its place is not taken for it:
/// whoever knows the object answers 206.
async fn get_whole(location: &Location) -> object_store::Result<(bytes::Bytes, UpdateVersion)> {
    let version =
        |meta: &ObjectMeta| UpdateVersion { e_tag: meta.e_tag.clone(), version: meta.version.clone() };
    let options = GetOptions { range: Some(GetRange::Offset(0)), ..GetOptions::default() };
    match location.store.get_opts(&location.key, options).await {
        Ok(found) => {
            let version = version(&found.meta);
            Ok((found.bytes().await?, version))
        }
        // An empty object has no such range.
        Err(error) if fault::is_empty_range(&error) => {
            let meta = location.store.head(&location.key).await?;
            if meta.size == 0 { Ok((bytes::Bytes::new(), version(&meta))) } else { Err(error) }
        }
        Err(error) => Err(error),
    }
}

/// A part of an object, which must be there whole; of the version that was opened, where one is given.
async fn get_part(
    location: &Location,
    range: std::ops::Range<u64>,
    opened: Option<&ObjectMeta>,
) -> object_store::Result<bytes::Bytes> {
    let if_match = opened.and_then(|meta| meta.e_tag.clone());
    let options = GetOptions { range: Some(GetRange::Bounded(range)), if_match, ..GetOptions::default() };
    let found = location.store.get_opts(&location.key, options).await?;
    if opened.is_some_and(|meta| meta.size != found.meta.size) {
        return Err(other_size());
    }
    found.bytes().await
}

/// Answers disagree about an object: one of them was not about it.
fn other_size() -> object_store::Error {
    let source = "it had another size when it was opened".into();
    object_store::Error::Generic { store: "HTTP", source }
}

/// Removes objects; one that is already gone is fine.
pub(super) fn remove(locations: &[Location]) -> Result<()> {
    let Some(first) = locations.first() else { return Ok(()) };
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        locations.iter().cloned().partition(|location| location.root == first.root);
    first.retry("remove", || async {
        let keys = here.clone().into_iter().map(|location| Ok(location.key));
        let keys = futures_util::stream::iter(keys).boxed();
        let mut removed = first.store.delete_stream(keys);
        while let Some(result) = removed.next().await {
            match result {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })?;
    remove(&elsewhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_their_scheme() {
        let run = Path::new("s3://bucket/deep/run");
        assert!(is_remote(run) && !is_remote("s3/bucket") && !is_remote("/s3://x"));
        let file = run.join("work").join("done");
        assert_eq!(file, Path::new("s3://bucket/deep/run/work/done"));
        assert_eq!(file.to_str(), Some("s3://bucket/deep/run/work/done"));
        assert_eq!(file.with_file_name("x.json").to_str(), Some("s3://bucket/deep/run/work/x.json"));
        assert_eq!(file.parent().and_then(Path::to_str), Some("s3://bucket/deep/run/work"));
        assert_eq!(file.with_extension("data").to_str(), Some("s3://bucket/deep/run/work/done.data"));
    }

    #[test]
    fn addresses_that_cannot_be_are_mistakes() {
        for (path, words) in [
            ("s3://", "no bucket"),
            ("https:///x", "no host"),
            ("https://host/x?y", "`?`"),
            ("s3://bucket/a//b", "no address of an object"),
            ("s3://bucket/../b", "no address of an object"),
        ] {
            let error = Location::of(path).err().expect("a mistake");
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        assert!(Location::of("runs/x").unwrap().is_none());
        assert_eq!(plain_key("run/tokens/../tokenizer.json/").as_deref(), Ok("run/tokenizer.json"));
        assert_eq!(plain_key("./a/./b").as_deref(), Ok("a/b"));
        assert_eq!(plain_key("").as_deref(), Ok(""));
    }
}
