//! Folders: what lies in them, taking things away, and who works on them.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::store::{self, Lease, Location};
use crate::error::{Error, Result};

/// Something in a folder.
pub struct Entry {
    /// Its path.
    pub path: PathBuf,
    /// Whether it is a folder itself; a link to one is not.
    pub is_dir: bool,
}

/// Whether there is a folder (or a link to one) at this path; in a store, whether anything is below it.
#[must_use]
pub fn is_dir(path: impl AsRef<Path>) -> bool {
    match Location::of(&path) {
        Ok(None) => path.as_ref().is_dir(),
        Ok(Some(location)) => {
            store::list(&location).is_ok_and(|(objects, below)| !(objects.is_empty() && below.is_empty()))
        }
        Err(_) => false,
    }
}

/// What lies in a folder, sorted by path; nothing where it is absent.
///
/// # Errors
/// [`Error::Io`] where it cannot be listed.
pub fn entries(folder: impl AsRef<Path>) -> Result<Vec<Entry>> {
    let folder = folder.as_ref();
    if let Some(location) = Location::of(folder)? {
        let (objects, folders) = store::list(&location)?;
        let objects = objects.into_iter().map(|object| Entry { path: object.path, is_dir: false });
        let mut found: Vec<Entry> =
            objects.chain(folders.into_iter().map(|path| Entry { path, is_dir: true })).collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        return Ok(found);
    }
    let list = match std::fs::read_dir(folder) {
        Ok(list) => list,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", folder)(error)),
    };
    let mut found = Vec::new();
    for entry in list {
        let entry = entry.map_err(Error::io("list", folder))?;
        let path = entry.path();
        let is_dir = entry.file_type().map_err(Error::io("look at", &path))?.is_dir();
        found.push(Entry { path, is_dir });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Removes a folder and everything in it; one that is absent is fine.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn remove_dir(folder: impl AsRef<Path>) -> Result<()> {
    if let Some(location) = Location::of(&folder)? {
        let objects: Vec<_> = store::list_deep(&location)?.into_iter().map(|object| object.path).collect();
        return super::remove_files(&objects);
    }
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", folder)(error)),
        _ => Ok(()),
    }
}

/// A lock that is held until it is dropped.
pub enum Lock {
    /// On a local file.
    File(File),
    /// On an object of a store.
    Lease(Lease),
    /// Not needed: those who share an object's lock are right without it.
    Shared,
}

/// Takes the lock that a file stands for until the returned handle is dropped: alone, or `shared` with
/// others who share it. `None` where somebody else has it.
///
/// # Errors
/// [`Error::Io`] where the file cannot be created, or where locks fail and the lock is not shared: some
/// network file systems have none, and those who share need none to be right.
pub fn lock(path: impl AsRef<Path>, shared: bool) -> Result<Option<Lock>> {
    match Location::of(&path)? {
        None => Ok(lock_file(path, shared)?.map(Lock::File)),
        Some(_) if shared => Ok(Some(Lock::Shared)),
        Some(location) => Ok(Lease::take(location)?.map(Lock::Lease)),
    }
}

/// As [`lock`], for a local file.
pub(super) fn lock_file(path: impl AsRef<Path>, shared: bool) -> Result<Option<File>> {
    let file = File::create(&path).map_err(Error::io("create", &path))?;
    match if shared { file.try_lock_shared() } else { file.try_lock() } {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::Error(_)) if shared => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
    }
}
