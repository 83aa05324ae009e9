//! Room for temporary files, which each process has for itself: another one may work on the same task. It lies where the task says, in the run
//! directory; for tasks whose run directory is an object store, and for copies of objects, on a local disk.
//!
//! That lies below `TAMIS_SCRATCH`, or the system's temporary folder (`TMPDIR`): fast local disks are best. Each process has a folder of its
//! own there, which it holds a lock on; those of processes that were killed are removed by the next one.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{atomic, folders, store};
use crate::error::{Error, Result};

/// How the folders of processes are named.
const PREFIX: &str = "tamis-scratch-";

/// A folder of this process, and the lock on a file in it; none where the file system has no locks, and nobody cleans up after us.
type Own = (PathBuf, Option<File>);

/// The folders of this process, by what they are below.
static FOLDERS: Mutex<BTreeMap<PathBuf, Own>> = Mutex::new(BTreeMap::new());

/// The folder of this process below another one, made at the first call.
///
/// # Errors
/// [`Error::Io`] where none can be made.
fn own_below(parent: &Path) -> Result<PathBuf> {
    let mut known = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((folder, _)) = known.get(parent) {
        return Ok(folder.clone());
    }
    remove_abandoned(parent)?;
    let (folder, lock) = loop {
        let folder = parent.join(format!("{PREFIX}{}", atomic::attempt()));
        super::create_dir(&folder)?;
        let lock = folder.join("lock");
        // Somebody who cleans up may have been faster, and taken it for an abandoned one.
        match folders::lock_file(&lock, false) {
            Ok(Some(file)) if lock.exists() => break (folder, Some(file)),
            Err(_) if folder.exists() => break (folder, None),
            _ => {}
        }
    };
    known.insert(parent.to_path_buf(), (folder.clone(), lock));
    Ok(folder)
}

/// The folder of this process for what belongs to no run directory.
fn folder() -> Result<PathBuf> {
    let parent = std::env::var_os("TAMIS_SCRATCH").map_or_else(std::env::temp_dir, PathBuf::from);
    if store::is_remote(&parent) {
        return Err(Error::User(format!("TAMIS_SCRATCH: `{}` must be a local folder", parent.display())));
    }
    own_below(&parent)
}

/// Removes the folders of killed processes: nobody holds their locks.
fn remove_abandoned(parent: &Path) -> Result<()> {
    for entry in folders::entries(parent)? {
        let name = entry.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if entry.is_dir && name.starts_with(PREFIX) {
            let lock = entry.path.join("lock");
            // One that cannot be opened is being made right now, or somebody else's.
            if let Ok(file) = File::options().write(true).open(&lock)
                && file.try_lock().is_ok()
            {
                drop(folders::remove_dir(&entry.path));
            }
        }
    }
    Ok(())
}

/// The folder for temporary files that have no names: the one that a task names, or one on a local disk that stands for it.
///
/// # Errors
/// [`Error::Io`] where there is no local room.
pub(super) fn stand_in(path: impl AsRef<Path>) -> Result<PathBuf> {
    let path = path.as_ref();
    if !store::is_remote(path) {
        return Ok(path.to_path_buf());
    }
    let name = path.to_string_lossy().replace("://", "/");
    Ok(folder()?.join("tasks").join(name.trim_start_matches('/')))
}

/// The folder for temporary files of a task that have names, which no other process uses, even one that works on the same task.
///
/// # Errors
/// [`Error::Io`] where there is no local room.
pub fn private(path: impl AsRef<Path>) -> Result<PathBuf> {
    let path = path.as_ref();
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !store::is_remote(path) => Ok(own_below(parent)?.join(name)),
        _ => stand_in(path),
    }
}

/// A file without a name on a local disk: it is gone when it is closed, however the process ends.
///
/// # Errors
/// [`Error::Io`] where none can be made.
pub(super) fn unnamed_file() -> Result<File> {
    let folder = folder()?;
    tempfile::tempfile_in(&folder).map_err(Error::io("create a temporary file in", folder))
}

/// Removes the folders of this process. For the end of a program: what uses them afterwards fails.
pub fn clean_up() {
    let known = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
    for (folder, _) in known.values() {
        // What stays is removed by the next process.
        drop(folders::remove_dir(folder));
    }
}
