//! Files that appear whole or not at all: written under a temporary name beside the target, then renamed.
//!
//! The content is synced before the rename, so that a file never appears empty after a power cut. Folders are
//! not synced: the journals of ext4, XFS and btrfs keep renames in order, and a rename that is lost only
//! means that a task is done again. Nothing touches the disk before the buffer is full or the file is
//! committed: most parts have no rejects or duplicates, and making and removing empty files is slow.
//!
//! An object of a store is written to a file without name in the scratch folder, and goes up when it is committed.

use std::fs::{File, TryLockError};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::scratch;
use super::store::{self, Location};
use crate::error::{Error, Result};

/// Bytes that are held before a file is made for them.
const BUFFER_BYTES: usize = 1 << 18;

/// A file being written; nobody sees it before [`AtomicFile::commit`]. Dropped without commit it is removed.
pub struct AtomicFile {
    out: Option<BufWriter<LateFile>>,
    partial: PathBuf,
    target: PathBuf,
    /// Where it goes when it is committed, if not to a local disk.
    object: Option<Location>,
}

/// A file that is made at the first write.
struct LateFile {
    /// Empty for one without a name, in the scratch folder.
    path: PathBuf,
    file: Option<File>,
}

impl LateFile {
    fn open(&mut self) -> std::io::Result<&mut File> {
        match &mut self.file {
            Some(file) => Ok(file),
            none if self.path.as_os_str().is_empty() => {
                let file = scratch::unnamed_file().map_err(std::io::Error::other)?;
                Ok(none.insert(file))
            }
            none => loop {
                let file = File::create_new(&self.path)?;
                // Held while it is written, so that nobody takes it for a leftover (`remove_leftovers`); who did before gets it again.
                match file.try_lock() {
                    Err(TryLockError::WouldBlock) => {
                        while self.path.exists() {
                            std::thread::yield_now();
                        }
                    }
                    Ok(()) if !self.path.exists() => {}
                    // Or there are no locks here.
                    _ => break Ok(none.insert(file)),
                }
            },
        }
    }
}

impl Write for LateFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.open()?.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Digits that no other attempt at the same file has: the process number alone is 1 in every container, and
/// two of them may work on the same task.
pub(super) fn attempt() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("{}{nanos}{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

impl AtomicFile {
    /// Starts the file that will be `target`; missing folders are made.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder is not writable.
    pub fn create(target: impl AsRef<Path>) -> Result<Self> {
        let target = target.as_ref().to_path_buf();
        if let Some(object) = Location::of(&target)? {
            let file = LateFile { path: PathBuf::new(), file: None };
            let out = Some(BufWriter::with_capacity(BUFFER_BYTES, file));
            return Ok(Self { out, partial: PathBuf::new(), target, object: Some(object) });
        }
        if let Some(folder) = target.parent() {
            super::create_dir(folder)?;
        }
        let mut name = target.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.partial", attempt()));
        let partial = target.with_file_name(name);
        let file = LateFile { path: partial.clone(), file: None };
        let out = Some(BufWriter::with_capacity(BUFFER_BYTES, file));
        Ok(Self { out, partial, target, object: None })
    }

    /// Flushes, syncs and renames.
    ///
    /// # Errors
    /// [`Error::Io`], for example on a full disk; the target is then untouched.
    pub fn commit(mut self) -> Result<()> {
        let out = self.out.take().ok_or_else(|| Error::Failed("file committed twice".to_owned()))?;
        if let Some(object) = &self.object {
            return upload(object, out);
        }
        let mut file =
            out.into_inner().map_err(|error| Error::io("write", &self.partial)(error.into_error()))?;
        file.open().and_then(|file| file.sync_data()).map_err(Error::io("write", &self.partial))?;
        std::fs::rename(&self.partial, &self.target).map_err(Error::io("rename to", &self.target))?;
        drop(file);
        self.partial = PathBuf::new();
        Ok(())
    }

    /// Writes a small file in one go.
    ///
    /// # Errors
    /// As [`AtomicFile::create`] and [`AtomicFile::commit`].
    pub fn write_all(target: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
        let mut file = Self::create(&target)?;
        file.write(bytes)?;
        file.commit()
    }

    /// Appends bytes, naming the file in the error.
    ///
    /// # Errors
    /// [`Error::Io`], for example on a full disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Write::write_all(self, bytes).map_err(Error::io("write", &self.target))
    }

    /// Makes the file now, so that a folder that is not writable, or a folder of the same name, is known before the
    /// work for it is done.
    ///
    /// # Errors
    /// [`Error::Io`] where there can be no such file.
    pub fn open(&mut self) -> Result<()> {
        if self.object.is_some() {
            return Ok(());
        }
        if self.target.is_dir() {
            return Err(Error::io("write", &self.target)(std::io::ErrorKind::IsADirectory.into()));
        }
        self.write_at(0, &[])
    }

    /// Overwrites bytes that were written before, from `offset` on.
    ///
    /// # Errors
    /// [`Error::Io`], for example on a full disk.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        use std::os::unix::fs::FileExt;
        let Some(out) = &mut self.out else {
            return Err(Error::Failed("file written after commit".to_owned()));
        };
        out.flush()
            .and_then(|()| out.get_mut().open()?.write_all_at(bytes, offset))
            .map_err(Error::io("write", &self.target))
    }
}

/// Sends what was written to its store: from memory where it never filled the buffer.
fn upload(object: &Location, out: BufWriter<LateFile>) -> Result<()> {
    let failed = Error::io("write a temporary file for", &object.path);
    if out.get_ref().file.is_none() {
        let (_, bytes) = out.into_parts();
        let bytes = bytes.map_err(|error| failed(std::io::Error::other(error.to_string())))?;
        return store::put(object, &store::Put::Bytes(bytes.into()), false);
    }
    let written = out.into_inner().map_err(std::io::IntoInnerError::into_error);
    let sized = |late: LateFile| {
        let file = late.file.ok_or(std::io::ErrorKind::NotFound)?;
        let bytes = file.metadata()?.len();
        Ok(store::Put::File(file.into(), bytes))
    };
    let content = written.and_then(sized).map_err(failed)?;
    store::put(object, &content, false)
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match &mut self.out {
            Some(out) => out.write(bytes),
            None => Err(std::io::Error::other("already committed")),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match &mut self.out {
            Some(out) => out.flush(),
            None => Ok(()),
        }
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.partial.as_os_str().is_empty() {
            let file = self.out.take().map(|out| out.into_parts().0);
            if file.is_none_or(|file| file.file.is_some()) {
                drop(std::fs::remove_file(&self.partial));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("deep/a");
        let names = || crate::io::list(target.parent().unwrap(), "").unwrap();
        drop(AtomicFile::create(&target).unwrap());
        let mut file = AtomicFile::create(&target).unwrap();
        AtomicFile::write(&mut file, &vec![7; 1 << 20]).unwrap();
        assert!(names()[0].to_string_lossy().ends_with(".partial"));
        drop(file);
        assert!(names().is_empty());
        AtomicFile::create(&target).unwrap().commit().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"");
        // Bytes in front are overwritten; a name that is taken by a folder is refused.
        let mut file = AtomicFile::create(&target).unwrap();
        file.open().unwrap();
        AtomicFile::write(&mut file, b"long tail").unwrap();
        file.write_at(1, b"ea").unwrap();
        AtomicFile::write(&mut file, b"s").unwrap();
        file.commit().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"leag tails");
        assert!(AtomicFile::create(dir.path().join("deep")).unwrap().open().is_err());
        // Two attempts at the same file, as by two machines, do not meet before the rename.
        let (mut one, mut two) = (AtomicFile::create(&target).unwrap(), AtomicFile::create(&target).unwrap());
        for _ in 0..100_000 {
            AtomicFile::write(&mut one, b"same bytes").unwrap();
            AtomicFile::write(&mut two, b"same bytes").unwrap();
        }
        one.commit().unwrap();
        two.commit().unwrap();
        assert_eq!(std::fs::read(&target).unwrap().len(), 1_000_000);
        assert_eq!(names().len(), 1);
    }
}
