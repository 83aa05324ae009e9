//! The only room that touches files: opening, listing, whole-or-nothing output, and what does not fit in
//! memory (document files between passes, sorted runs).
//!
//! Never knows what a document means to a stage; never prints.

pub mod append;
pub mod atomic;
pub mod codec;
pub mod columns;
pub mod docfile;
pub mod folders;
pub mod machine;
pub mod map;
pub mod paths;
pub mod queue;
pub mod ranges;
pub mod runs;
pub mod spool;

use std::fs::File;
use std::path::Path;

use crate::error::{Error, Result};

pub use atomic::AtomicFile;
pub use map::Map;

/// Opens a file for reading.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn open(path: impl AsRef<Path>) -> Result<File> {
    File::open(&path).map_err(Error::io("open", path))
}

/// Reads a whole side file: a word list, a model, a pipeline. Not for crawl data.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn read_side_file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(Error::io("read", path))
}

/// When a file was written last.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn modified_at(path: impl AsRef<Path>) -> Result<std::time::SystemTime> {
    std::fs::metadata(&path).and_then(|data| data.modified()).map_err(Error::io("look at", path))
}

/// Creates a folder and its parents.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn create_dir(path: impl AsRef<Path>) -> Result<()> {
    std::fs::create_dir_all(&path).map_err(Error::io("create folder", path))
}

/// Removes a folder that may be absent; one with files in it stays.
///
/// # Errors
/// [`Error::Io`] where an empty folder cannot be removed.
pub fn remove_empty_dir(path: impl AsRef<Path>) -> Result<()> {
    use std::io::ErrorKind::{DirectoryNotEmpty, NotFound};
    match std::fs::remove_dir(&path) {
        Err(error) if !matches!(error.kind(), NotFound | DirectoryNotEmpty) => {
            Err(Error::io("remove folder", path)(error))
        }
        _ => Ok(()),
    }
}

/// Size of a file in bytes.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn size_of(path: impl AsRef<Path>) -> Result<u64> {
    Ok(std::fs::metadata(&path).map_err(Error::io("look at", path))?.len())
}

/// Files of a folder whose names end with `suffix`, sorted by name; none if the folder is absent.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be listed.
pub fn list(dir: impl AsRef<Path>, suffix: &str) -> Result<Vec<std::path::PathBuf>> {
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", dir)(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io("list", &dir))?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(suffix)) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Writes a value as pretty JSON, whole or not at all.
///
/// # Errors
/// [`Error::Io`] where it cannot be written.
pub fn write_json(path: impl AsRef<Path>, value: &impl serde::Serialize) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| Error::Failed(error.to_string()))?;
    bytes.push(b'\n');
    AtomicFile::write_all(path, &bytes)
}

/// Reads a value that [`write_json`] wrote.
///
/// # Errors
/// [`Error::Io`] where it cannot be read, [`Error::Damaged`] where it does not fit.
pub fn read_json<T: serde::de::DeserializeOwned>(path: impl AsRef<Path>) -> Result<T> {
    let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::damaged(path, error.to_string()))
}

/// Removes files; one that is already gone is fine.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn remove_files(paths: &[std::path::PathBuf]) -> Result<()> {
    for path in paths {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes what killed processes left of a file that [`AtomicFile`] was to make. One that another process is writing stays: it is locked.
/// So does everything where the file system has no locks.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be listed, or a file not removed.
pub fn remove_leftovers(target: impl AsRef<Path>) -> Result<()> {
    let target = target.as_ref();
    let (Some(folder), Some(name)) = (target.parent(), target.file_name().and_then(|name| name.to_str()))
    else {
        return Ok(());
    };
    for path in list(folder, ".partial")?.into_iter().filter(|path| leftover_of(path) == Some(name)) {
        // The lock is held until the file is gone.
        if let Ok(file) = std::fs::File::open(&path)
            && file.try_lock().is_ok()
        {
            remove_files(&[path])?;
        }
    }
    Ok(())
}

/// The name of the file that [`AtomicFile`] was to make, where `path` is what a killed process left of it.
pub fn leftover_of(path: &Path) -> Option<&str> {
    let (name, attempt) = path.file_name()?.to_str()?.strip_suffix(".partial")?.rsplit_once('.')?;
    (!attempt.is_empty() && attempt.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)
}

/// Gives a file a second name in the same folder: a hard link, or a symbolic one where the file system has
/// no hard links. Whatever had that name before is replaced.
///
/// # Errors
/// [`Error::Io`] where neither kind of link can be made.
pub fn link(original: impl AsRef<Path>, name: impl AsRef<Path>) -> Result<()> {
    let (original, name) = (original.as_ref(), name.as_ref());
    remove_files(&[name.to_path_buf()])?;
    if std::fs::hard_link(original, name).is_ok() {
        return Ok(());
    }
    let target = original.file_name().unwrap_or(original.as_os_str());
    std::os::unix::fs::symlink(target, name).map_err(Error::io("link", name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_one_target_go() {
        let dir = tempfile::tempdir().unwrap();
        let names = [
            "a.bin.12.partial",
            "a.bin.x.partial",
            "ba.bin.12.partial",
            "a.bin",
            "a.bin.12",
            "a.bin..partial",
        ];
        for name in names {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let mut living = AtomicFile::create(dir.path().join("a.bin")).unwrap();
        living.open().unwrap();
        remove_leftovers(dir.path().join("a.bin")).unwrap();
        living.write(b"x").unwrap();
        living.commit().unwrap();
        let left: Vec<_> = names.iter().filter(|name| dir.path().join(name).exists()).collect();
        assert_eq!(left, names[1..].iter().collect::<Vec<_>>());
        remove_leftovers(dir.path().join("absent/x")).unwrap();
    }

    #[test]
    fn links_replace_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name| dir.path().join(name);
        for content in ["one", "two"] {
            AtomicFile::write_all(path("a"), content.as_bytes()).unwrap();
            link(path("a"), path("b")).unwrap();
            link(path("a"), path("b")).unwrap();
            assert_eq!(std::fs::read_to_string(path("b")).unwrap(), content);
        }
    }
}
