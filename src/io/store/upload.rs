//! Writing an object: it appears whole, or not at all.
//!
//! A large one goes up in parts, some at a time, and exists once the last request joins them. Parts of an upload that a killed process
//! left are no object; a lifecycle rule of the bucket (`AbortIncompleteMultipartUpload`) clears them away.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::{MultipartUpload, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::{Location, Remote};
use crate::error::{Error, Result};
use crate::io::scratch;

/// Up to here an object goes up in one request.
const SINGLE_BYTES: u64 = 16 << 20;
/// Smallest part, and the most parts of an upload that S3 takes.
const PART_BYTES: u64 = 8 << 20;
const MAX_PARTS: u64 = 10_000;
/// The most that S3 copies by itself.
const COPIED_BYTES: u64 = 5 << 30;
/// Parts that go up at once: with [`PART_BYTES`], 32 MiB of memory.
const CONCURRENT_PARTS: usize = 4;

/// What is to be written.
pub(in crate::io) enum Put {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A file, from its beginning, and its size.
    File(Arc<File>, u64),
}

impl Put {
    fn part(&self, start: u64, end: u64) -> object_store::Result<PutPayload> {
        let failed = |source| object_store::Error::NotSupported { source };
        match self {
            Self::Bytes(bytes) => {
                let place = |at| usize::try_from(at).map_err(|error| failed(Box::new(error)));
                Ok(bytes.slice(place(start)?..place(end)?).into())
            }
            Self::File(file, _) => {
                let mut part = vec![0; usize::try_from(end - start).unwrap_or(0)];
                file.read_exact_at(&mut part, start).map_err(|error| failed(Box::new(error)))?;
                Ok(part.into())
            }
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, bytes) => *bytes,
        }
    }
}

/// Writes an object. With `once`, one that is there already stays: whoever was first has won.
pub(in crate::io) fn put(location: &Location, content: &Put, once: bool) -> Result<()> {
    let bytes = content.bytes();
    if bytes <= SINGLE_BYTES {
        let mode = if once { PutMode::Create } else { PutMode::Overwrite };
        let written = location.retry("write", || async {
            let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
            location.store.put_opts(&location.key, content.part(0, bytes)?, options).await.map(drop)
        });
        return match written {
            Err(error) if once && is_there(&error) => Ok(()),
            written => written,
        };
    }
    location.retry("write", || async {
        let mut upload = location.store.put_multipart(&location.key).await?;
        let done = send_parts(upload.as_mut(), content).await;
        if done.is_err() {
            // The first error says more than one that follows from it.
            drop(upload.abort().await);
        }
        done
    })
}

async fn send_parts(upload: &mut dyn MultipartUpload, content: &Put) -> object_store::Result<()> {
    let bytes = content.bytes();
    let part_bytes = PART_BYTES.max(bytes.div_ceil(MAX_PARTS));
    let mut parts = Vec::new();
    for start in (0..bytes).step_by(usize::try_from(part_bytes).unwrap_or(usize::MAX)) {
        parts.push((start, (start + part_bytes).min(bytes)));
    }
    // Numbers are given in this order, whatever order parts arrive in; their bytes are read when their turn comes.
    for some in parts.chunks(CONCURRENT_PARTS) {
        let sent: Vec<_> = some
            .iter()
            .map(|&(start, end)| Ok(upload.put_part(content.part(start, end)?)))
            .collect::<object_store::Result<_>>()?;
        futures_util::stream::iter(sent).buffer_unordered(CONCURRENT_PARTS).try_collect::<Vec<()>>().await?;
    }
    upload.complete().await.map(drop)
}

fn is_there(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists)
}

/// Copies an object: inside its store where that can do it.
pub(in crate::io) fn copy(from: &Location, to: &Location) -> Result<()> {
    if from.head()?.size <= COPIED_BYTES {
        return from.retry("copy", || from.store.copy(&from.key, &to.key));
    }
    let mut object = Remote::open(from.clone(), true)?;
    let mut file = scratch::unnamed_file()?;
    let bytes = std::io::copy(&mut object, &mut file).map_err(Error::io("copy", &from.path))?;
    put(to, &Put::File(Arc::new(file), bytes), false)
}
