//! Buckets and their objects, in memory or as files of a folder. An object appears whole or not at all.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempPath};
use xxhash_rust::xxh3::Xxh3;

use super::http::Refusal;
use super::{LOCK, clock, sign};

/// Folder of bodies that are on their way; no bucket can have its name.
const INCOMING: &str = ".incoming";

/// Bytes of a body that are read and hashed at once.
const CHUNK_BYTES: u64 = 256 << 10;

/// What is known about a stored object.
#[derive(Clone)]
pub(super) struct Object {
    /// With its quotes.
    pub(super) etag: String,
    /// Seconds since 1970.
    pub(super) modified: i64,
    pub(super) bytes: u64,
    /// The content if it lies in memory.
    pieces: Option<Pieces>,
}

/// Content in memory, shared by all who send it.
type Pieces = Vec<Arc<Vec<u8>>>;

/// Content that belongs to no object yet.
pub(super) struct Blob {
    pub(super) etag: String,
    pub(super) bytes: u64,
    /// SHA-256 in hexadecimal digits, if it was asked for.
    pub(super) sha256: Option<String>,
    data: Data,
}

enum Data {
    Memory(Pieces),
    File(TempPath),
}

/// Where the bytes of an opened object come from.
pub(super) enum Source {
    Memory(Pieces),
    File(File),
}

/// An object as it was when it was opened, whatever is stored over it later.
pub(super) struct Opened {
    pub(super) object: Object,
    pub(super) source: Source,
}

/// What has to hold for a PUT: the headers `If-Match` and `If-None-Match`.
#[derive(Default)]
pub(super) struct Condition {
    pub(super) if_match: Option<String>,
    pub(super) if_none_match: Option<String>,
}

/// All buckets of a store.
pub(super) struct Objects {
    folder: Option<PathBuf>,
    buckets: Mutex<BTreeMap<String, BTreeMap<String, Object>>>,
}

impl Objects {
    /// The buckets of a folder, or none in memory.
    pub(super) fn new(folder: Option<PathBuf>) -> io::Result<Self> {
        let mut buckets = BTreeMap::new();
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder.join(INCOMING))?;
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if entry.file_type()?.is_dir() && !name.starts_with('.') {
                    let mut objects = BTreeMap::new();
                    find_files(&entry.path(), "", &mut objects)?;
                    buckets.insert(name, objects);
                }
            }
        }
        Ok(Self { folder, buckets: Mutex::new(buckets) })
    }

    /// Makes a bucket unless it is there.
    pub(super) fn add_bucket(&self, bucket: &str) {
        self.buckets.lock().expect(LOCK).entry(bucket.to_owned()).or_default();
    }

    /// Looks at the objects of a bucket; `None` if it is missing.
    pub(super) fn with_bucket<T>(
        &self,
        bucket: &str,
        look: impl FnOnce(&BTreeMap<String, Object>) -> T,
    ) -> Option<T> {
        self.buckets.lock().expect(LOCK).get(bucket).map(look)
    }

    /// Bytes of all objects.
    pub(super) fn bytes(&self) -> u64 {
        let buckets = self.buckets.lock().expect(LOCK);
        buckets.values().flat_map(BTreeMap::values).map(|object| object.bytes).sum()
    }

    /// Opens an object for reading.
    pub(super) fn open(&self, bucket: &str, key: &str) -> Result<Opened, Refusal> {
        let buckets = self.buckets.lock().expect(LOCK);
        let object = buckets.get(bucket).ok_or_else(no_bucket)?.get(key).ok_or_else(no_key)?.clone();
        let source = match (&object.pieces, &self.folder) {
            (Some(pieces), _) => Source::Memory(pieces.clone()),
            (None, Some(folder)) => Source::File(File::open(path(folder, bucket, key)?)?),
            (None, None) => unreachable!("without a folder all objects lie in memory"),
        };
        Ok(Opened { object, source })
    }

    /// Reads a body to its end.
    pub(super) fn receive(&self, body: &mut impl Read) -> io::Result<Blob> {
        self.receive_sized(body, 0, false)
    }

    /// Reads a body to its end, which is expected after `length` bytes, and takes its SHA-256 if `signed`.
    pub(super) fn receive_sized(&self, body: &mut impl Read, length: u64, signed: bool) -> io::Result<Blob> {
        let mut file = match &self.folder {
            Some(folder) => Some(NamedTempFile::new_in(folder.join(INCOMING))?),
            None => None,
        };
        let mut content = Vec::new();
        let expected = if file.is_some() { CHUNK_BYTES } else { length };
        content.reserve_exact(usize::try_from(expected).map_err(io::Error::other)?);
        let (mut sha256, mut etag, mut bytes) = (signed.then(Sha256::new), Xxh3::new(), 0);
        loop {
            let start = content.len();
            let read = body.take(CHUNK_BYTES).read_to_end(&mut content)?;
            if read == 0 {
                break;
            }
            let chunk = &content[start..];
            if let Some(sha256) = &mut sha256 {
                sha256.update(chunk);
            }
            etag.update(chunk);
            bytes += read as u64;
            if let Some(file) = &mut file {
                file.write_all(chunk)?;
                content.clear();
            }
        }
        let data = match file {
            Some(file) => Data::File(file.into_temp_path()),
            None => Data::Memory(vec![Arc::new(content)]),
        };
        let etag = format!("\"{:032x}\"", etag.digest128());
        let sha256 = sha256.map(|sha256| sign::hex(&sha256.finalize()));
        Ok(Blob { etag, bytes, sha256, data })
    }

    /// Stores a blob under a key if the condition holds.
    pub(super) fn put(
        &self,
        bucket: &str,
        key: &str,
        blob: Blob,
        condition: &Condition,
        modified: i64,
    ) -> Result<(), Refusal> {
        let mut buckets = self.buckets.lock().expect(LOCK);
        let objects = buckets.get_mut(bucket).ok_or_else(no_bucket)?;
        condition.check(objects.get(key))?;
        let pieces = match blob.data {
            Data::Memory(pieces) => Some(pieces),
            Data::File(file) => {
                let folder = self.folder.as_ref().expect("files are received with a folder only");
                let path = path(folder, bucket, key)?;
                std::fs::create_dir_all(path.parent().expect("it is below the folder")).map_err(|_| {
                    Refusal::new(400, "InvalidArgument", "a part of the key is an object here")
                })?;
                file.persist(&path).map_err(|error| error.error)?;
                None
            }
        };
        let object = Object { etag: blob.etag, modified, bytes: blob.bytes, pieces };
        objects.insert(key.to_owned(), object);
        Ok(())
    }

    /// Whether the condition holds for what is stored now.
    pub(super) fn check(&self, bucket: &str, key: &str, condition: &Condition) -> Result<(), Refusal> {
        let buckets = self.buckets.lock().expect(LOCK);
        condition.check(buckets.get(bucket).ok_or_else(no_bucket)?.get(key))
    }

    /// Deletes an object; a key that is missing is fine.
    pub(super) fn delete(&self, bucket: &str, key: &str) -> Result<(), Refusal> {
        let mut buckets = self.buckets.lock().expect(LOCK);
        let removed = buckets.get_mut(bucket).ok_or_else(no_bucket)?.remove(key);
        if let (Some(_), Some(folder)) = (removed, &self.folder) {
            std::fs::remove_file(path(folder, bucket, key)?)?;
        }
        Ok(())
    }
}

impl Blob {
    /// One blob of many in their order; its ETag says how many there were.
    pub(super) fn join(parts: Vec<Self>) -> io::Result<Self> {
        let mut hash = Xxh3::new();
        let (count, mut bytes, mut pieces, mut joined) = (parts.len(), 0, Vec::new(), None);
        for part in parts {
            hash.update(part.etag.as_bytes());
            bytes += part.bytes;
            match part.data {
                Data::Memory(more) => pieces.extend(more),
                Data::File(first) if joined.is_none() => {
                    joined = Some((File::options().append(true).open(&first)?, first));
                }
                Data::File(next) => {
                    let (file, _) = joined.as_mut().expect("the first part is there");
                    io::copy(&mut File::open(&next)?, file)?;
                }
            }
        }
        let data = joined.map_or(Data::Memory(pieces), |(_, path)| Data::File(path));
        let etag = format!("\"{:032x}-{count}\"", hash.digest128());
        Ok(Self { etag, bytes, sha256: None, data })
    }
}

impl Condition {
    fn check(&self, stored: Option<&Object>) -> Result<(), Refusal> {
        let failed = || Refusal::new(412, "PreconditionFailed", "a condition of the request does not hold");
        let same = |etags: &str| stored.is_some_and(|object| matches_etag(etags, &object.etag));
        match (&self.if_match, stored) {
            (Some(_), None) => return Err(no_key()),
            (Some(etags), Some(_)) if !same(etags) => return Err(failed()),
            _ => {}
        }
        if self.if_none_match.as_deref().is_some_and(same) { Err(failed()) } else { Ok(()) }
    }
}

/// Whether a list of ETags, or `*`, names this one; quotes may be missing.
pub(super) fn matches_etag(etags: &str, etag: &str) -> bool {
    let bare = |etag: &str| etag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    etags.split(',').any(|other| other.trim() == "*" || bare(other) == bare(etag))
}

impl Source {
    /// Writes `length` bytes from `start` on.
    pub(super) fn send(&mut self, start: u64, length: u64, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Memory(pieces) => {
                let mut skip = usize::try_from(start).map_err(io::Error::other)?;
                let mut left = usize::try_from(length).map_err(io::Error::other)?;
                for piece in pieces {
                    let rest = piece.get(skip..).unwrap_or_default();
                    skip = skip.saturating_sub(piece.len());
                    let sent = &rest[..left.min(rest.len())];
                    to.write_all(sent)?;
                    left -= sent.len();
                }
                Ok(())
            }
            Self::File(file) => {
                file.seek(SeekFrom::Start(start))?;
                // `io::copy` would move 8 KiB at a time.
                let mut chunk = vec![0; usize::try_from(length.min(CHUNK_BYTES)).map_err(io::Error::other)?];
                let mut left = length;
                while left > 0 {
                    let step = usize::try_from(left.min(CHUNK_BYTES)).map_err(io::Error::other)?;
                    file.read_exact(&mut chunk[..step])?;
                    to.write_all(&chunk[..step])?;
                    left -= step as u64;
                }
                Ok(())
            }
        }
    }
}

/// The refusal for a bucket that is missing.
pub(super) fn no_bucket() -> Refusal {
    Refusal::new(404, "NoSuchBucket", "the specified bucket does not exist")
}

fn no_key() -> Refusal {
    Refusal::new(404, "NoSuchKey", "the specified key does not exist")
}

/// The file of an object; keys that are no path below the folder are refused.
fn path(folder: &Path, bucket: &str, key: &str) -> Result<PathBuf, Refusal> {
    let bad = |part: &str| matches!(part, "" | "." | "..") || part.contains('\0');
    if bad(bucket) || key.split('/').any(bad) {
        return Err(Refusal::new(400, "InvalidArgument", "the key cannot be the path of a file here"));
    }
    Ok(folder.join(bucket).join(key))
}

/// The files below a folder as objects; what makes their ETag is length and time.
fn find_files(folder: &Path, prefix: &str, found: &mut BTreeMap<String, Object>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let key = format!("{prefix}{name}");
        let metadata = std::fs::metadata(&path)?;
        if metadata.is_dir() {
            find_files(&path, &format!("{key}/"), found)?;
        } else {
            let (bytes, modified) = (metadata.len(), clock::seconds(metadata.modified()?));
            let etag = format!("\"{bytes:016x}{modified:016x}\"");
            found.insert(key, Object { etag, modified, bytes, pieces: None });
        }
    }
    Ok(())
}
