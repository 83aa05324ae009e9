//! `quarantine.jsonl`: the records that could not be read, one JSON object a line with `file`, `offset`,
//! `record`, `cause`, `detail`. Parts are plain lines too: joined in order they are the whole.

use std::path::Path;

use crate::error::{Error, Result};
use crate::io::AtomicFile;
use crate::stage::BadRecord;

/// Writes one part of the quarantine list.
pub struct QuarantineWriter {
    out: AtomicFile,
    rows: u64,
}

impl QuarantineWriter {
    /// Starts a part.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder is not writable.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { out: AtomicFile::create(path)?, rows: 0 })
    }

    /// Appends a record.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn write(&mut self, record: &BadRecord) -> Result<()> {
        let mut line = serde_json::to_vec(record).map_err(|error| Error::Failed(error.to_string()))?;
        line.push(b'\n');
        self.rows += 1;
        self.out.write(&line)
    }

    /// Makes the part visible; one without rows leaves no file.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn finish(self) -> Result<()> {
        if self.rows == 0 { Ok(()) } else { self.out.commit() }
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_back_and_no_lines_leave_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("part.jsonl");
        QuarantineWriter::create(&path).unwrap().finish().unwrap();
        assert!(crate::io::list(dir.path(), "").unwrap().is_empty());
        let bad = BadRecord {
            file: "a\"b.warc.gz".to_owned(),
            offset: 12,
            record: 3,
            cause: "truncated_record".to_owned(),
            detail: "two\nlines".to_owned(),
        };
        let mut writer = QuarantineWriter::create(&path).unwrap();
        writer.write(&bad).unwrap();
        writer.write(&bad).unwrap();
        writer.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<BadRecord> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, [bad.clone(), bad]);
    }
}
