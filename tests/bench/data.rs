//! Real data for benchmarks: the archives beside the checkout, unpacked in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Files by path.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The files of one set by path (`extraction/...`), from `TAMIS_DATA` or from the shared archive; `None`
/// where there is neither.
pub(crate) fn load(set: &str) -> Option<Files> {
    if let Some(folder) = std::env::var_os("TAMIS_DATA") {
        let mut files = Files::new();
        let root = PathBuf::from(folder);
        walk(&root, &root.join(set), &mut files);
        return Some(files);
    }
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../shared/data/{set}.tar.zst"));
    let packed = std::fs::read(archive).ok()?;
    let tar = zstd::stream::decode_all(packed.as_slice()).expect("a sound archive");
    Some(untar(&tar))
}

fn walk(root: &Path, folder: &Path, files: &mut Files) {
    for entry in std::fs::read_dir(folder).expect("TAMIS_DATA holds the set") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            walk(root, &path, files);
        } else {
            let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            files.insert(name, std::fs::read(&path).expect("a readable file"));
        }
    }
}

/// Regular files of a tar archive, long names by GNU's or by pax's extension.
fn untar(tar: &[u8]) -> Files {
    let field = |header: &[u8], from: usize, len: usize| -> String {
        let bytes = &header[from..from + len];
        String::from_utf8_lossy(bytes.split(|&b| b == 0).next().unwrap_or_default()).into_owned()
    };
    let mut files = Files::new();
    let mut long_name = None;
    let mut at = 0;
    while at + 512 <= tar.len() && tar[at] != 0 {
        let header = &tar[at..at + 512];
        let size = usize::from_str_radix(field(header, 124, 12).trim(), 8).expect("an octal size");
        let content = &tar[at + 512..at + 512 + size];
        match header[156] {
            b'L' => long_name = Some(String::from_utf8_lossy(content).trim_end_matches('\0').to_owned()),
            b'x' => {
                let text = String::from_utf8_lossy(content);
                let path =
                    text.lines().find_map(|line| line.split_once(" path=")).map(|(_, path)| path.to_owned());
                long_name = path.or(long_name);
            }
            b'0' | 0 => {
                let prefix = field(header, 345, 155);
                let short = field(header, 0, 100);
                let is_pax = &header[257..262] == b"ustar" && !prefix.is_empty() && header[262] == 0;
                let name =
                    long_name.take().unwrap_or(if is_pax { format!("{prefix}/{short}") } else { short });
                files.insert(name.trim_start_matches("./").to_owned(), content.to_vec());
            }
            _ => long_name = None,
        }
        at += 512 + size.div_ceil(512) * 512;
    }
    files
}
