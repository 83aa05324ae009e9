//! Who may import whom: reads the `use crate::` lines, and every other mention of `crate::`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::support::root;

/// Rooms and what each may name; `*` is anything. `document`, `error` and `stage` are the shared nouns.
const RULES: &[(&str, &[&str])] = &[
    ("document", &[]),
    ("error", &[]),
    ("text", &["error"]),
    ("io", &["document", "error"]),
    ("models", &["error", "io", "text"]),
    ("stage", &["document", "error", "io", "text"]),
    ("stages/write", &["document", "error", "io", "stage"]),
    ("stages", &["document", "error", "io", "models", "stage", "text"]),
    ("tokens", &["document", "error", "io", "stage", "text"]),
    ("train", &["document", "error", "io", "tokens"]),
    ("engine", &["document", "error", "io", "stage", "stages/write"]),
    (
        "pipeline",
        &[
            "document",
            "error",
            "io",
            "stage",
            "stages/read",
            "stages/extract",
            "stages/filter",
            "stages/rewrite",
            "stages/dedup",
            "stages/write",
            "text",
            "tokens",
        ],
    ),
    ("calibrate", &["document", "error", "pipeline", "stage", "text"]),
    ("metrics", &["engine", "error", "io", "stage"]),
    ("report", &["document", "error", "io", "stage"]),
    ("launch", &[]),
    ("refilter", &["document", "engine", "error", "io", "pipeline", "report", "stage", "stages/write"]),
    ("job", &["document", "engine", "error", "io", "pipeline", "report", "stage", "tokens"]),
    ("cli", &["*"]),
];

/// Files that only tests compile; they may use any room to set a scene.
const TEST_FILES: &[&str] = &["agreement", "case_files", "testing", "testkit", "tests", "neardup"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("src is readable") {
        let path = entry.expect("entry is readable").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// `stages/read` for files of a stage room, else the first folder or the file's own name.
fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).expect("below src");
    let parts: Vec<String> = inside.iter().map(|part| part.to_string_lossy().replace(".rs", "")).collect();
    room(&parts)
}

fn room(parts: &[String]) -> String {
    match parts {
        [first, second, ..] if first == "stages" && second != "mod" => format!("stages/{second}"),
        [first, ..] => first.clone(),
        [] => String::new(),
    }
}

/// Rooms that a source file names outside its comments and its tests.
fn imports(text: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for piece in code.split("crate::").skip(1) {
        if let Some(list) = piece.strip_prefix('{') {
            let list = list.split_once('}').map_or(list, |(list, _)| list);
            rooms.extend(list.split(',').map(|item| room(&path_parts(item.trim()))));
        } else if let Some(group) = piece.strip_prefix("stages::{") {
            let group = group.split_once('}').map_or(group, |(group, _)| group);
            rooms.extend(group.split(',').map(|item| format!("stages/{}", path_parts(item.trim())[0])));
        } else {
            rooms.insert(room(&path_parts(piece)));
        }
    }
    rooms.remove("");
    rooms
}

fn path_parts(text: &str) -> Vec<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len());
    text[..end].split("::").map(str::to_owned).collect()
}

#[test]
fn rooms_import_only_what_they_may() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let here = room_of(&file);
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        if matches!(here.as_str(), "lib" | "main") || TEST_FILES.contains(&&*name) {
            continue;
        }
        let rule = RULES
            .iter()
            .find(|(room, _)| *room == here)
            .or_else(|| RULES.iter().find(|(room, _)| here.starts_with(&format!("{room}/"))));
        let (_, allowed) = rule.unwrap_or_else(|| panic!("`{here}` has no rule: {}", file.display()));
        let text = std::fs::read_to_string(&file).expect("source is readable");
        for import in imports(&text) {
            let fine = import == here || allowed.contains(&"*") || allowed.contains(&import.as_str());
            if !fine {
                wrong.push(format!("{}: `{here}` may not name `{import}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_import_reader_sees_what_it_should() {
    let text = "use crate::{io, error::Error};\nuse crate::stages::{read, filter::x};\n// crate::cli\nlet x = crate::tokens::passes();";
    let found: Vec<String> = imports(text).into_iter().collect();
    assert_eq!(found, ["error", "io", "stages/filter", "stages/read", "tokens"]);
}

/// What only the `io` room may call, and why.
const IO_ONLY: &[(&str, &str)] = &[
    ("std::fs::read", "files are opened in `io`, which names them in errors"),
    ("std::fs::write", "files appear whole, through `io::AtomicFile`"),
    ("std::fs::remove", "files are removed through `io`"),
    ("File::open(", "files are opened in `io`, which names them in errors"),
    ("::GzDecoder", "it stops after the first member; crawl files have many"),
    ("zstd::decode_all", "it decompresses without a limit"),
];

#[test]
fn only_io_touches_files() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        if room_of(&file) == "io" || TEST_FILES.contains(&&*name) {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("source is readable");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (call, why) in IO_ONLY {
            if code.lines().any(|line| line.contains(call) && !line.trim_start().starts_with("//")) {
                wrong.push(format!("{}: `{call}`: {why}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_map_names_every_room() {
    let map = std::fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs is readable");
    for (room, _) in RULES {
        let name = room.rsplit('/').next().expect("a name");
        assert!(map.contains(name), "src/lib.rs does not mention `{room}`");
    }
}

#[test]
fn files_stay_short() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    for file in files {
        let lines = std::fs::read_to_string(&file).expect("source is readable").lines().count();
        assert!(lines <= 900, "{} has {lines} lines: it holds two ideas", file.display());
    }
}
