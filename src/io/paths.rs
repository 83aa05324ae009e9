//! Lists of input files: globs, folders, plain paths, and `-` for a list of paths on standard input. All but the last may be
//! objects of stores; web servers have no lists, so there only plain paths.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::store;

/// Expands patterns to the files they name, sorted by path, each once. A folder stands for every file
/// below it whose name ends with one of `suffixes`.
///
/// # Errors
/// One message per pattern that names nothing or cannot be read, with its number in the list.
pub fn expand(patterns: &[String], suffixes: &[&str]) -> Result<Vec<String>, Vec<(usize, String)>> {
    let mut files = Vec::new();
    let mut errors = Vec::new();
    for (number, pattern) in patterns.iter().enumerate() {
        if let Err(message) = expand_one(pattern, suffixes, &mut files) {
            errors.push((number, message));
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// The objects that a pattern names, or those below a folder.
fn expand_objects(pattern: &str, suffixes: &[&str], files: &mut Vec<String>) -> Result<(), String> {
    let message = |error: crate::error::Error| error.to_string();
    let wildcard = pattern.find(['*', '?', '[']);
    if pattern.starts_with("http") && wildcard.is_some() {
        return Err(format!(
            "`{pattern}`: web servers have no lists to look a pattern up in; name the files, or give a list of them on standard input (`-`)"
        ));
    }
    if pattern.starts_with("http") {
        // Whether it is there shows when it is opened: a list may name a hundred thousand.
        store::Location::of(pattern).map_err(message)?;
        files.push(pattern.to_owned());
        return Ok(());
    }
    // What stands before the first wildcard, up to a border between folders, is what a store can list.
    let folder =
        wildcard.map_or(pattern, |at| pattern[..at].rsplit_once('/').map_or(pattern, |(folder, _)| folder));
    let Some(location) = store::Location::of(folder).map_err(message)? else {
        return Err(format!("`{pattern}`: a pattern cannot be in the name of the bucket"));
    };
    if wildcard.is_none()
        && !pattern.ends_with('/')
        && let Some(bytes) = store::size(&location).map_err(message)?
    {
        known_sizes().insert(pattern.to_owned(), bytes);
        files.push(pattern.to_owned());
        return Ok(());
    }
    let glob = wildcard.map(|_| glob::Pattern::new(pattern)).transpose();
    let glob = glob.map_err(|error| format!("`{pattern}` is no pattern: {error}"))?;
    let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
    let before = files.len();
    for object in store::list_deep(&location).map_err(message)? {
        let name = utf8(&object.path)?;
        let wanted = match &glob {
            Some(glob) => glob.matches_with(&name, options),
            None => suffixes.iter().any(|suffix| name.ends_with(suffix)),
        };
        if wanted {
            known_sizes().insert(name.clone(), object.size);
            files.push(name);
        }
    }
    if files.len() > before {
        return Ok(());
    }
    Err(match glob {
        Some(_) => format!("no object matches `{pattern}`"),
        None => format!(
            "there is no object `{pattern}`, and below it none that ends with {}",
            suffixes.join(", ")
        ),
    })
}

/// Sizes that listings told, so that nobody asks again for each of them.
fn known_sizes() -> MutexGuard<'static, BTreeMap<String, u64>> {
    static SIZES: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());
    SIZES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Size of an input file in bytes, which must not change while it is one; none of a file of a web server, which would have to be asked for each.
///
/// # Errors
/// [`Error::Io`](crate::error::Error::Io) with the path.
pub fn input_size(file: &str) -> crate::error::Result<Option<u64>> {
    if file.starts_with("http://") || file.starts_with("https://") {
        return Ok(None);
    }
    let known = known_sizes().get(file).copied();
    known.map_or_else(|| super::size_of(file), Ok).map(Some)
}

fn expand_one(pattern: &str, suffixes: &[&str], files: &mut Vec<String>) -> Result<(), String> {
    if store::is_remote(pattern) {
        return expand_objects(pattern, suffixes, files);
    }
    if pattern == "-" {
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(|error| format!("cannot read paths from standard input: {error}"))?;
            if !line.trim().is_empty() {
                if store::is_remote(line.trim()) {
                    expand_objects(line.trim(), suffixes, files)?;
                    continue;
                }
                readable(Path::new(line.trim()))?;
                files.push(line.trim().to_owned());
            }
        }
        return Ok(());
    }
    let path = Path::new(pattern);
    if path.is_dir() {
        let before = files.len();
        walk(path, suffixes, &mut Vec::new(), files)?;
        if files.len() == before {
            return Err(format!("no file below `{pattern}` ends with {}", suffixes.join(", ")));
        }
        return Ok(());
    }
    if path.exists() {
        readable(path)?;
        files.push(pattern.to_owned());
        return Ok(());
    }
    if !pattern.contains(['*', '?', '[']) {
        return Err(format!("no such file: `{pattern}`"));
    }
    let matches = glob::glob(pattern).map_err(|error| format!("`{pattern}` is no pattern: {error}"))?;
    let before = files.len();
    for found in matches {
        let found =
            found.map_err(|error| format!("cannot read `{}`: {}", error.path().display(), error.error()))?;
        if found.is_file() {
            readable(&found)?;
            files.push(utf8(&found)?);
        }
    }
    if files.len() == before {
        return Err(format!("no file matches `{pattern}`"));
    }
    Ok(())
}

/// `above` holds the real paths of the folders that we are in: a link back to one of them is no folder to
/// read again.
fn walk(
    folder: &Path,
    suffixes: &[&str],
    above: &mut Vec<PathBuf>,
    files: &mut Vec<String>,
) -> Result<(), String> {
    let unlisted = |error: std::io::Error| format!("cannot list `{}`: {error}", folder.display());
    let real = folder.canonicalize().map_err(unlisted)?;
    if above.contains(&real) {
        return Ok(());
    }
    above.push(real);
    let entries = std::fs::read_dir(folder).map_err(unlisted)?;
    for entry in entries {
        let path = entry.map_err(unlisted)?.path();
        if path.is_dir() {
            walk(&path, suffixes, above, files)?;
        } else {
            let name = utf8(&path)?;
            if suffixes.iter().any(|suffix| name.ends_with(suffix)) {
                readable(&path)?;
                files.push(name);
            }
        }
    }
    above.pop();
    Ok(())
}

fn readable(path: &Path) -> Result<(), String> {
    let meta =
        std::fs::metadata(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    if !meta.is_file() {
        return Err(format!("`{}` is not a file", path.display()));
    }
    match std::fs::File::open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("cannot read `{}`: {error}", path.display())),
    }
}

fn utf8(path: &Path) -> Result<String, String> {
    path.to_str().map(str::to_owned).ok_or_else(|| format!("path `{}` is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_a_folder_above_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("in")).unwrap();
        std::fs::write(dir.path().join("in/a.jsonl"), "").unwrap();
        std::os::unix::fs::symlink("..", dir.path().join("in/back")).unwrap();
        let files = expand(&[dir.path().to_string_lossy().into_owned()], &[".jsonl"]).unwrap();
        assert_eq!(files.len(), 1, "{files:?}");
    }
}
