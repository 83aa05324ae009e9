//! A whole file as bytes that the system brings in page by page: for models that are larger than the memory
//! anybody wants to give them, and that many processes share. An object of a store is first copied to the scratch folder.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use memmap2::Mmap;
use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Result};

/// A file mapped for reading.
///
/// The file must not be changed in place or cut short while it is mapped: bytes would change under the
/// reader, and touching what was cut off ends the process. Replacing it by rename, as
/// [`AtomicFile`](super::AtomicFile) does, is fine.
#[derive(Debug)]
pub struct Map {
    /// `None` for an empty file, which cannot be mapped everywhere.
    map: Option<Mmap>,
}

impl Map {
    /// Maps a file.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be opened or mapped (a pipe, a folder).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = local_copy(path)?;
        let bytes = file.metadata().map_err(Error::io("look at", path))?.len();
        if bytes == 0 {
            return Ok(Self { map: None });
        }
        Ok(Self { map: Some(map(&file).map_err(Error::io("map", path))?) })
    }

    /// All bytes of the file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

/// The file itself, or an object's copy in the scratch folder, which goes when it is closed.
fn local_copy(path: &Path) -> Result<File> {
    if !super::store::is_remote(path) {
        return File::open(path).map_err(Error::io("open", path));
    }
    let mut object = super::open_stream(path)?;
    let mut copy = super::scratch::unnamed_file()?;
    std::io::copy(&mut object, &mut copy).map_err(Error::io("copy to the scratch folder", path))?;
    Ok(copy)
}

#[expect(unsafe_code, reason = "there is no safe way to map a file")]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the mapping is private, for reading only, and lives no longer than `Mmap`. That nobody changes
    // the file meanwhile is the documented condition of `Map`; readers treat every value as untrusted.
    unsafe { Mmap::map(file) }
}

/// xxh3-128 of a file's content, read once in pieces: equal to the hash of [`read_side_file`](super::read_side_file).
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn hash_file(path: impl AsRef<Path>) -> Result<u128> {
    let path = path.as_ref();
    let mut file = super::open_stream(path)?;
    let mut hash = Xxh3::new();
    let mut piece = vec![0; 1 << 18];
    loop {
        match file.read(&mut piece).map_err(Error::io("read", path))? {
            0 => return Ok(hash.digest128()),
            count => hash.update(&piece[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_and_hashes_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        for size in [0, 1, 300_000, 1 << 18] {
            let path = dir.path().join(size.to_string());
            let content: Vec<u8> = (0..size).map(|i: u32| i.to_le_bytes()[1]).collect();
            std::fs::write(&path, &content).unwrap();
            assert_eq!(Map::open(&path).unwrap().bytes(), content);
            assert_eq!(hash_file(&path).unwrap(), xxhash_rust::xxh3::xxh3_128(&content));
        }
        let absent = Map::open(dir.path().join("absent")).unwrap_err();
        assert!(absent.to_string().contains("absent"), "{absent}");
        assert!(hash_file(dir.path()).is_err());
    }
}
