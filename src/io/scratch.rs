//! Local room for what belongs to no run directory: temporary files of tasks whose run directory is an object store, and copies of objects.
//!
//! It lies below `TAMIS_SCRATCH`, or the system's temporary folder (`TMPDIR`): fast local disks are best. Each process has a folder of its
//! own there, which it holds a lock on; those of processes that were killed are removed by the next one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{atomic, folders, store};
use crate::error::{Error, Result};

/// How the folders of processes are named.
const PREFIX: &str = "tamis-scratch-";

/// The folder of this process, with its lock.
static FOLDER: OnceLock<(PathBuf, File)> = OnceLock::new();

/// The folder of this process, made at the first call.
///
/// # Errors
/// [`Error::Io`] where none can be made.
fn folder() -> Result<&'static Path> {
    static MAKING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((folder, _)) = FOLDER.get() {
        return Ok(folder);
    }
    let parent = std::env::var_os("TAMIS_SCRATCH").map_or_else(std::env::temp_dir, PathBuf::from);
    remove_abandoned(&parent)?;
    let folder = parent.join(format!("{PREFIX}{}", atomic::attempt()));
    super::create_dir(&folder)?;
    let lock = folders::lock_file(folder.join("lock"), false)?
        .ok_or_else(|| Error::Failed(format!("somebody else uses `{}`", folder.display())))?;
    Ok(&FOLDER.get_or_init(|| (folder, lock)).0)
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

/// The folder for temporary files of a task: the one that it names, or one on a local disk that stands for it.
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

/// A file without a name on a local disk: it is gone when it is closed, however the process ends.
///
/// # Errors
/// [`Error::Io`] where none can be made.
pub(super) fn unnamed_file() -> Result<File> {
    let folder = folder()?;
    tempfile::tempfile_in(folder).map_err(Error::io("create a temporary file in", folder))
}

/// Removes the folder of this process, if there is one. For the end of a program: what uses it afterwards fails.
pub fn clean_up() {
    if let Some((folder, _)) = FOLDER.get() {
        // What stays is removed by the next process.
        drop(folders::remove_dir(folder));
    }
}
