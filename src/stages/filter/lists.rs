//! Word and address lists: one entry a line, read at build time, part of the plan's fingerprint.
//!
//! Plain or gzip (told by the content, not the name), UTF-8 with or without a byte order mark. White space around
//! an entry is cut off; blank lines and lines that start with `#` are none.

use std::io::{BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::io::folders;
use crate::stage::{BuildContext, OptionError};

/// Most that one list may hold once decompressed: a gzip bomb costs bounded time, and entries are hashed or
/// built into an automaton line by line.
const MAX_LIST_BYTES: u64 = 4 << 30;
const MAX_LINE_BYTES: u64 = 1 << 20;

/// The path of a list; of a folder (a category of the UT1 collection) that of the file `name` or `name.gz` in it.
pub(super) fn in_folder(key: &str, path: &str, name: &str) -> Result<String, OptionError> {
    if !folders::is_dir(path) {
        return Ok(path.to_owned());
    }
    let entries = folders::entries(path).map_err(|error| OptionError::new(key, error.to_string()))?;
    let packed = format!("{name}.gz");
    let is_list = |entry: &&folders::Entry| {
        !entry.is_dir && entry.path.file_name().is_some_and(|file| file == name || file == packed.as_str())
    };
    match entries.iter().find(is_list).and_then(|entry| entry.path.to_str()) {
        Some(list) => Ok(list.to_owned()),
        None => {
            Err(OptionError::new(key, format!("the folder `{path}` holds no file `{name}` or `{packed}`")))
        }
    }
}

/// Hands every entry of a list to `entry`, in file order; what it refuses is reported with the line.
pub(super) fn read(
    cx: &mut BuildContext,
    key: &str,
    path: &str,
    mut entry: impl FnMut(&str) -> Result<(), String>,
) -> Result<(), OptionError> {
    let bytes = cx.read_file(key, path)?;
    let plain: Box<dyn Read + '_> = if bytes.starts_with(&[0x1f, 0x8b]) {
        Box::new(MultiGzDecoder::new(&bytes[..]))
    } else {
        Box::new(&bytes[..])
    };
    let mut lines = BufReader::with_capacity(1 << 16, plain.take(MAX_LIST_BYTES));
    let (mut line, mut number, mut total, mut entries) = (Vec::new(), 0_u64, 0_u64, 0_u64);
    loop {
        line.clear();
        number += 1;
        let at_line = |what: &str| OptionError::new(key, format!("`{path}` line {number}: {what}"));
        let read = (&mut lines).take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
        let read = read.map_err(|error| at_line(&error.to_string()))? as u64;
        total += read;
        if read == 0 {
            break;
        }
        if read == MAX_LINE_BYTES && line.last() != Some(&b'\n') {
            return Err(at_line("over 1 MiB long; is this a list?"));
        }
        let text = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| number == 1).unwrap_or(&line);
        let text = std::str::from_utf8(text).map_err(|_| at_line("not UTF-8"))?.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        entry(text).map_err(|what| at_line(&what))?;
        entries += 1;
    }
    if total == MAX_LIST_BYTES {
        return Err(OptionError::new(key, format!("`{path}` holds more than 4 GiB")));
    }
    if entries == 0 {
        return Err(OptionError::new(key, format!("`{path}` holds no entries")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn entries(bytes: &[u8]) -> Result<Vec<String>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        crate::io::AtomicFile::write_all(&path, bytes).unwrap();
        let path = path.to_str().unwrap();
        let mut found = Vec::new();
        let mut cx = BuildContext::default();
        let result = read(&mut cx, "lists.0", path, |entry| {
            found.push(entry.to_owned());
            if entry == "bad" { Err("refused".to_owned()) } else { Ok(()) }
        });
        assert_eq!(cx.files.len(), 1);
        result.map(|()| found).map_err(|error| {
            assert_eq!(error.key, "lists.0");
            error.message.replace(path, "FILE")
        })
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_and_gzip_members_are_read() {
        let text = "\u{feff}one\r\n# comment\n\n  two words \nthree";
        let wanted = vec!["one", "two words", "three"];
        assert_eq!(entries(text.as_bytes()).unwrap(), wanted);
        let mut packed = gzip("\u{feff}one\n# comment\ntwo ".as_bytes());
        packed.extend(gzip(b"words\nthree\n"));
        assert_eq!(entries(&packed).unwrap(), wanted);
    }

    #[test]
    fn mistakes_have_a_line() {
        assert_eq!(entries(b"one\n\xff\n").unwrap_err(), "`FILE` line 2: not UTF-8");
        assert_eq!(entries(b"one\nbad\n").unwrap_err(), "`FILE` line 2: refused");
        assert_eq!(entries(b"# nothing\n").unwrap_err(), "`FILE` holds no entries");
        let long = vec![b'x'; 2 << 20];
        assert_eq!(entries(&long).unwrap_err(), "`FILE` line 1: over 1 MiB long; is this a list?");
        let cut = gzip(&b"one entry\n".repeat(100));
        assert!(entries(&cut[..cut.len() - 12]).is_err());
    }
}
