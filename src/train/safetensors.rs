//! Safetensors files of 32-bit floats: eight bytes of header length, a JSON header, the numbers.
//!
//! Format: Hugging Face `safetensors`, README, section "Format".

use std::path::{Path, PathBuf};

use serde_json::{Map as Object, Value, json};

use crate::error::{Error, Result};
use crate::io::{AtomicFile, Map};

/// Numbers that become bytes together.
const CHUNK: usize = 1 << 14;

/// A tensor to write: name, shape, numbers.
pub type Named<'a> = (&'a str, &'a [usize], &'a [f32]);

/// Writes a file; it appears whole.
///
/// # Errors
/// [`Error::Io`] where it cannot be written.
pub fn write(path: &Path, tensors: &[Named]) -> Result<()> {
    let mut header = Object::new();
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut end = 0;
    for (name, dims, numbers) in tensors {
        let start = end;
        end += numbers.len() * 4;
        let entry = json!({ "dtype": "F32", "shape": dims, "data_offsets": [start, end] });
        header.insert((*name).to_owned(), entry);
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut out = AtomicFile::create(path)?;
    out.write(&(header.len() as u64).to_le_bytes())?;
    out.write(&header)?;
    let mut bytes = Vec::with_capacity(CHUNK * 4);
    for (_, _, numbers) in tensors {
        for chunk in numbers.chunks(CHUNK) {
            bytes.clear();
            bytes.extend(chunk.iter().flat_map(|number| number.to_le_bytes()));
            out.write(&bytes)?;
        }
    }
    out.commit()
}

/// A file to read.
pub struct Tensors {
    path: PathBuf,
    map: Map,
    header: Object<String, Value>,
    start: usize,
}

impl Tensors {
    /// Opens a file.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is no such file, or cut short.
    pub fn open(path: &Path) -> Result<Self> {
        let map = Map::open(path)?;
        let damaged = |what: &str| Error::damaged(path, what);
        let bytes = map.bytes();
        let length = bytes.get(..8).and_then(|eight| eight.try_into().ok()).map(u64::from_le_bytes);
        let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
        let header = bytes.get(8..length.saturating_add(8)).ok_or_else(|| damaged("it is cut short"))?;
        let header: Object<String, Value> =
            serde_json::from_slice(header).map_err(|error| damaged(&format!("its header: {error}")))?;
        let start = 8 + length;
        for (name, entry) in header.iter().filter(|(name, _)| *name != "__metadata__") {
            let end = entry["data_offsets"][1].as_u64().and_then(|end| usize::try_from(end).ok());
            if end.and_then(|end| end.checked_add(start)).is_none_or(|end| end > bytes.len()) {
                return Err(damaged(&format!("`{name}` lies outside of it")));
            }
        }
        Ok(Self { path: path.to_path_buf(), map, header, start })
    }

    /// The numbers of a tensor, which must have so many.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is absent, has another size or holds something other than 32-bit floats.
    pub fn read(&self, name: &str, count: usize) -> Result<Vec<f32>> {
        let damaged = |what: String| Error::damaged(&self.path, what);
        let entry = self.header.get(name).ok_or_else(|| damaged(format!("it has no `{name}`")))?;
        if entry["dtype"] != "F32" {
            return Err(damaged(format!("`{name}` is of type {}, not F32", entry["dtype"])));
        }
        let [from, to] = [0, 1].map(|at| {
            let offset = entry["data_offsets"][at].as_u64().and_then(|offset| usize::try_from(offset).ok());
            offset.unwrap_or(0)
        });
        let bytes = self.map.bytes().get(self.start + from..self.start + to).unwrap_or_default();
        if bytes.len() != count * 4 {
            return Err(damaged(format!(
                "`{name}` has {} bytes, {count} numbers were expected",
                bytes.len()
            )));
        }
        Ok(bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote_and_says_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let numbers: Vec<f32> = (0..40_000).map(|n| n as f32 * 0.5).collect();
        write(&path, &[("a.b", &[100, 400], &numbers), ("c", &[3], &[1.0, -2.0, f32::INFINITY])]).unwrap();
        let tensors = Tensors::open(&path).unwrap();
        assert_eq!(tensors.read("a.b", 40_000).unwrap(), numbers);
        assert_eq!(tensors.read("c", 3).unwrap(), [1.0, -2.0, f32::INFINITY]);
        for (name, count, message) in [("d", 1, "no `d`"), ("c", 4, "4 numbers were expected")] {
            assert!(tensors.read(name, count).unwrap_err().to_string().contains(message));
        }
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(u64::from_le_bytes(bytes[..8].try_into().unwrap()) % 8, 0);
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(Tensors::open(&path).err().unwrap().to_string().contains("lies outside"));
        std::fs::write(&path, b"short").unwrap();
        assert!(Tensors::open(&path).is_err());
    }
}
