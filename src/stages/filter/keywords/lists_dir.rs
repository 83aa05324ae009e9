//! A folder of word lists that are named by language.

use std::path::Path;

use crate::io::folders;
use crate::stage::OptionError;
use crate::text::langcodes;

/// Language and path of every list in a folder, by file name.
pub(super) fn lists(dir: &str) -> Result<Vec<(String, String)>, OptionError> {
    let wrong = |what: String| OptionError::new("lists_dir", what);
    if !folders::is_dir(dir) {
        return Err(wrong(format!("`{dir}` is no folder")));
    }
    let entries = folders::entries(dir).map_err(|error| wrong(error.to_string()))?;
    let mut found = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.is_dir) {
        if let (Some(language), Some(path)) = (language(&entry.path), entry.path.to_str()) {
            found.push((language, path.to_owned()));
        }
    }
    if found.is_empty() {
        return Err(wrong(format!(
            "the folder `{dir}` holds no file that is named by a language (`en`, `de.txt`)"
        )));
    }
    Ok(found)
}

fn language(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let name = name.strip_suffix(".txt").unwrap_or(name);
    langcodes::normalise(name).map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        for (name, wanted) in [
            ("en", Some("en")),
            ("deu.txt", Some("de")),
            ("zh.txt.gz", Some("zh")),
            ("fr-CA-u-sd-caqc", Some("fr")),
            ("README.md", None),
            ("LICENSE", None),
        ] {
            assert_eq!(language(Path::new(name)).as_deref(), wanted, "{name}");
        }
    }
}
