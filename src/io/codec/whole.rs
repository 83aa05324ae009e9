//! A whole small file, decompressed: lists and evaluation sets, not crawl data.

use std::path::Path;

use super::{Begin, Damage, Fill, Input};
use crate::error::{Error, Result};

/// Reads a plain, gzip or zstd file to its end. Unlike crawl files it must be whole: any damage is an error.
///
/// # Errors
/// [`Error::Io`] where it cannot be read, [`Error::Damaged`] where it is damaged or holds more than `max_bytes`.
pub fn read_whole(path: impl AsRef<Path>, max_bytes: usize) -> Result<Vec<u8>> {
    let path = path.as_ref();
    let mut input = Input::open(path)?;
    let mut bytes = Vec::new();
    let damaged = |damage: Damage| Error::damaged(path, damage.detail);
    loop {
        match input.begin()? {
            Begin::End => return Ok(bytes),
            Begin::Damaged(damage) => return Err(damaged(damage)),
            Begin::Member => {}
        }
        loop {
            match input.fill()? {
                Fill::Boundary => break,
                Fill::Damaged(damage) => return Err(damaged(damage)),
                Fill::Bytes => {}
            }
            bytes.extend_from_slice(input.bytes());
            if bytes.len() > max_bytes {
                return Err(Error::damaged(path, format!("it holds more than {max_bytes} bytes")));
            }
            input.consume(input.bytes().len());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn all_codecs_and_members_are_read_and_damage_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let plain = b"one line\n".repeat(50_000);
        let gzip = |bytes: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let (half, rest) = plain.split_at(1000);
        let packed = [gzip(half), gzip(rest)].concat();
        let frames = zstd::bulk::compress(&plain, 1).unwrap();
        for content in [&plain, &packed, &frames] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read_whole(&path, plain.len()).unwrap(), plain);
            assert!(read_whole(&path, plain.len() - 1).unwrap_err().to_string().contains("more than"));
        }
        std::fs::write(&path, &packed[..packed.len() - 9]).unwrap();
        assert!(read_whole(&path, 1 << 30).is_err());
        std::fs::write(&path, b"").unwrap();
        assert!(read_whole(&path, 0).unwrap().is_empty());
    }
}
