//! The only room that touches files and the network: opening, listing, whole-or-nothing output, and what does not fit in
//! memory (document files between passes, sorted runs). A path may name an object of a store (`s3://bucket/key`, see [`store`])
//! wherever it may name a local file; temporary files are always local ([`scratch`]).
//!
//! Never knows what a document means to a stage; never prints.

pub mod append;
pub mod atomic;
pub mod codec;
pub mod columns;
pub mod docfile;
mod file;
pub mod folders;
pub mod machine;
pub mod map;
pub mod paths;
pub mod queue;
pub mod ranges;
pub mod runs;
pub mod scratch;
pub mod spool;
pub mod store;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, Result};
use store::Location;

pub use atomic::AtomicFile;
pub use file::File;
pub use map::Map;

/// Opens a file for reading here and there.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn open(path: impl AsRef<Path>) -> Result<File> {
    File::open(path.as_ref(), false)
}

/// Opens a file for reading from one place on, which is what objects of stores are best at.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn open_stream(path: impl AsRef<Path>) -> Result<File> {
    File::open(path.as_ref(), true)
}

/// Reads a whole side file: a word list, a model, a pipeline. Not for crawl data.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn read_side_file(path: &Path) -> Result<Vec<u8>> {
    match Location::of(path)? {
        None => std::fs::read(path).map_err(Error::io("read", path)),
        Some(location) => store::get(&location),
    }
}

/// Whether there is a file (or a local folder) at this path.
///
/// # Errors
/// [`Error::Io`] where a store cannot be asked.
pub fn exists(path: impl AsRef<Path>) -> Result<bool> {
    match Location::of(&path)? {
        None => Ok(path.as_ref().exists()),
        Some(location) => Ok(store::size(&location)?.is_some()),
    }
}

/// When the files of a folder whose names end with `suffix` were written last; none if the folder is absent.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be listed.
pub fn list_times(dir: impl AsRef<Path>, suffix: &str) -> Result<Vec<SystemTime>> {
    if let Some(location) = Location::of(&dir)? {
        let objects = store::list(&location)?.0.into_iter();
        let wanted = objects.filter(|object| object.path.to_string_lossy().ends_with(suffix));
        return Ok(wanted.map(|object| object.modified).collect());
    }
    let modified = |path: PathBuf| {
        std::fs::metadata(&path).and_then(|data| data.modified()).map_err(Error::io("look at", path))
    };
    list(dir, suffix)?.into_iter().map(modified).collect()
}

fn size_of_object(location: &Location) -> Result<u64> {
    let absent = || Error::io("look at", &location.path)(std::io::ErrorKind::NotFound.into());
    store::size(location)?.ok_or_else(absent)
}

/// Creates a folder and its parents.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn create_dir(path: impl AsRef<Path>) -> Result<()> {
    if store::is_remote(&path) {
        // Stores have no folders.
        return Ok(());
    }
    std::fs::create_dir_all(&path).map_err(Error::io("create folder", path))
}

/// Removes a folder that may be absent; one with files in it stays.
///
/// # Errors
/// [`Error::Io`] where an empty folder cannot be removed.
pub fn remove_empty_dir(path: impl AsRef<Path>) -> Result<()> {
    use std::io::ErrorKind::{DirectoryNotEmpty, NotFound};
    if store::is_remote(&path) {
        return Ok(());
    }
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
    if let Some(location) = Location::of(&path)? {
        return size_of_object(&location);
    }
    Ok(std::fs::metadata(&path).map_err(Error::io("look at", path))?.len())
}

/// Files of a folder whose names end with `suffix`, sorted by name; none if the folder is absent.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be listed.
pub fn list(dir: impl AsRef<Path>, suffix: &str) -> Result<Vec<PathBuf>> {
    let wanted = |path: &Path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(suffix))
    };
    if let Some(location) = Location::of(&dir)? {
        let objects = store::list(&location)?.0.into_iter().map(|object| object.path);
        return Ok(objects.filter(|path| wanted(path)).collect());
    }
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", dir)(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io("list", &dir))?.path();
        if wanted(&path) {
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
    AtomicFile::write_all(path, &json_bytes(value)?)
}

fn json_bytes(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| Error::Failed(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// As [`write_json`]; but of two that write the same object of a store, the first one's stays.
///
/// # Errors
/// [`Error::Io`] where it cannot be written.
pub fn write_json_once(path: impl AsRef<Path>, value: &impl serde::Serialize) -> Result<()> {
    match Location::of(&path)? {
        None => write_json(path, value),
        Some(location) => store::put(&location, &store::Put::Bytes(json_bytes(value)?.into()), true),
    }
}

/// Reads a value that [`write_json`] wrote.
///
/// # Errors
/// [`Error::Io`] where it cannot be read, [`Error::Damaged`] where it does not fit.
pub fn read_json<T: serde::de::DeserializeOwned>(path: impl AsRef<Path>) -> Result<T> {
    let bytes = read_side_file(path.as_ref())?;
    serde_json::from_slice(&bytes).map_err(|error| Error::damaged(path, error.to_string()))
}

/// Reads many values that [`write_json`] wrote, in their order; from a store many at a time.
///
/// # Errors
/// As [`read_json`], for the first that fails.
pub fn read_jsons<T: serde::de::DeserializeOwned>(paths: &[PathBuf]) -> Result<Vec<T>> {
    let locations: Option<Vec<Location>> = paths.iter().map(Location::of).collect::<Result<_>>()?;
    let Some(locations) = locations else { return paths.iter().map(read_json).collect() };
    let parse = |(bytes, path): (Vec<u8>, &PathBuf)| {
        serde_json::from_slice(&bytes).map_err(|error| Error::damaged(path, error.to_string()))
    };
    store::get_all(&locations)?.into_iter().zip(paths).map(parse).collect()
}

/// Removes files; one that is already gone is fine.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn remove_files(paths: &[PathBuf]) -> Result<()> {
    let mut objects = Vec::new();
    for path in paths {
        if let Some(location) = Location::of(path)? {
            objects.push(location);
            continue;
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", path)(error));
            }
            _ => {}
        }
    }
    store::remove(&objects)
}

/// Removes what killed processes left of a file that [`AtomicFile`] was to make. One that another process is writing stays: it is locked.
/// So does everything where the file system has no locks.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be listed, or a file not removed.
pub fn remove_leftovers(target: impl AsRef<Path>) -> Result<()> {
    let target = target.as_ref();
    if store::is_remote(target) {
        // An object that is not whole does not exist.
        return Ok(());
    }
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
/// no hard links; in a store, a copy. Whatever had that name before is replaced.
///
/// # Errors
/// [`Error::Io`] where none of them can be made.
pub fn link(original: impl AsRef<Path>, name: impl AsRef<Path>) -> Result<()> {
    let (original, name) = (original.as_ref(), name.as_ref());
    if let (Some(from), Some(to)) = (Location::of(original)?, Location::of(name)?) {
        return store::copy(&from, &to);
    }
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
