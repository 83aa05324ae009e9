//! A text file that grows line by line, and can be cut back to the lines that count after a kill.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::AtomicFile;
use crate::error::{Error, Result};

/// A file to append lines to.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    file: File,
}

impl Lines {
    /// Opens a file, made where absent, and keeps of its lines those that `keep` wants; a last line without an end goes.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn open(path: &Path, keep: impl Fn(&str) -> bool) -> Result<Self> {
        if super::store::is_remote(path) {
            let what = "objects of stores do not grow: the folder must be a local one";
            return Err(Error::io("append to", path)(std::io::Error::new(
                std::io::ErrorKind::Unsupported,
                what,
            )));
        }
        let mut kept = AtomicFile::create(path)?;
        if path.exists() {
            let text = super::read_side_file(path)?;
            let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
            for line in String::from_utf8_lossy(&text[..whole]).lines().filter(|line| keep(line)) {
                kept.write(line.as_bytes())?;
                kept.write(b"\n")?;
            }
        }
        kept.commit()?;
        let file = File::options().append(true).open(path).map_err(Error::io("open", path))?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// Appends a line in one piece.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn push(&mut self, line: &str) -> Result<()> {
        self.file.write_all(format!("{line}\n").as_bytes()).map_err(Error::io("write", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_that_are_whole_and_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        let mut lines = Lines::open(&path, |_| true).unwrap();
        for line in ["a 1", "b 2", "c 3"] {
            lines.push(line).unwrap();
        }
        drop(lines);
        let mut text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "a 1\nb 2\nc 3\n");
        text.push_str("a 4");
        std::fs::write(&path, text).unwrap();
        Lines::open(&path, |line| line != "b 2").unwrap().push("d").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a 1\nc 3\nd\n");
    }
}
