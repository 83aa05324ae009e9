//! Evaluation sets: where they lie and which of their fields are searched.
//!
//! JSONL and JSON arrays (plain, gzip or zstd), Parquet (columns of strings), and plain text, an example a line or a
//! paragraph.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::index::Builder;
use crate::io::codec::read_whole;
use crate::io::columns::{StringColumns, column_names, is_parquet};
use crate::io::paths;
use crate::stage::{BuildContext, OptionError};

/// Most that one file may hold once decompressed.
const MAX_FILE_BYTES: usize = 2 << 30;
/// Fields that are searched where none are named, of those that a set has.
pub(super) const DEFAULT_FIELDS: [&str; 14] = [
    "question",
    "prompt",
    "problem",
    "instruction",
    "query",
    "input",
    "text",
    "answer",
    "solution",
    "canonical_solution",
    "response",
    "completion",
    "target",
    "test",
];
/// Fields that name an example, the first that it has.
const ID_FIELDS: [&str; 5] = ["task_id", "question_id", "problem_id", "id", "uid"];
/// Files of a set that is given as a folder.
const SUFFIXES: [&str; 10] = [
    ".jsonl",
    ".jsonl.gz",
    ".jsonl.zst",
    ".json",
    ".json.gz",
    ".json.zst",
    ".parquet",
    ".txt",
    ".txt.gz",
    ".txt.zst",
];

/// An evaluation set.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// Name in reports, unique.
    pub name: String,
    /// A file, a folder (all `.jsonl`, `.json`, `.parquet` and `.txt` files below it, compressed ones too) or a pattern such as
    /// `mmlu/*.parquet`. Plain, gzip or zstd, told by the content. Examples are numbered from 1 over all files, sorted by path.
    pub path: String,
    /// Fields (JSON) or columns (Parquet) that are searched, each by itself; dots lead into objects (`choices.text`), the items of a
    /// list are one text. One that no example has is an error. Default: those that the set has of `question`, `prompt`, `problem`,
    /// `instruction`, `query`, `input`, `text`, `answer`, `solution`, `canonical_solution`, `response`, `completion`, `target` and
    /// `test`. Not for text.
    #[serde(default)]
    pub fields: Vec<String>,
    /// What the files are. Default: Parquet where they begin like it, else by the name: `.jsonl`, `.ndjson` and `.json` are `jsonl`,
    /// `.txt` is `lines`.
    #[serde(default)]
    pub format: Option<Format>,
}

/// What a file of examples is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// An object a line, or one array of objects.
    Jsonl,
    /// A row an example; the columns are strings.
    Parquet,
    /// Text, an example a line; blank lines are none.
    Lines,
    /// Text, an example between blank lines.
    Paragraphs,
}

/// A set that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Loaded {
    pub(super) name: String,
    /// Names of the fields.
    pub(super) fields: Vec<String>,
    /// Names of the examples, where they have some.
    pub(super) ids: Vec<Option<String>>,
    /// Examples of which no field is long enough.
    pub(super) too_short: u32,
}

/// Takes up one set.
struct Taker<'b> {
    set: u32,
    builder: &'b mut Builder,
    loaded: Loaded,
    /// Whether the fields are the default ones.
    guessed: bool,
    /// By field: whether any example has it.
    seen: Vec<bool>,
    /// Top-level names of the first example, for messages.
    columns: Vec<String>,
}

/// Reads a set into the builder.
///
/// # Errors
/// An [`OptionError`] below `key` for each mistake.
pub(super) fn load(
    cx: &mut BuildContext,
    key: &str,
    number: u32,
    set: &Set,
    builder: &mut Builder,
) -> Result<Loaded, Vec<OptionError>> {
    let at = |part: &str, message: String| OptionError::new(format!("{key}.{part}"), message);
    let files = paths::expand(std::slice::from_ref(&set.path), &SUFFIXES)
        .map_err(|errors| errors.into_iter().map(|(_, what)| at("path", what)).collect::<Vec<_>>())?;
    let guessed = set.fields.is_empty();
    let fields: Vec<String> =
        if guessed { DEFAULT_FIELDS.map(str::to_owned).to_vec() } else { set.fields.clone() };
    let mut taker = Taker {
        set: number,
        builder,
        seen: vec![false; fields.len()],
        loaded: Loaded { name: set.name.clone(), fields, ..Loaded::default() },
        guessed,
        columns: Vec::new(),
    };
    for file in &files {
        cx.note_file(&format!("{key}.path"), file).map_err(|error| vec![error])?;
        let format = match set.format {
            Some(format) => format,
            None => format_of(file).map_err(|what| vec![at("format", what)])?,
        };
        if !guessed && matches!(format, Format::Lines | Format::Paragraphs) {
            return Err(vec![at("fields", format!("`{file}` is text and has no fields"))]);
        }
        taker.file(file, format).map_err(|what| vec![at("path", what)])?;
    }
    taker.finish().map_err(|what| vec![at("fields", what)])
}

fn format_of(file: &str) -> Result<Format, String> {
    if is_parquet(file).map_err(|error| error.to_string())? {
        return Ok(Format::Parquet);
    }
    let name = file.strip_suffix(".gz").or_else(|| file.strip_suffix(".zst")).unwrap_or(file);
    match name.rsplit('.').next() {
        Some("jsonl" | "ndjson" | "json") => Ok(Format::Jsonl),
        Some("txt") => Ok(Format::Lines),
        _ => Err(format!(
            "what `{file}` is does not show in its name: give `format: jsonl`, `parquet`, `lines` or `paragraphs`"
        )),
    }
}

impl Taker<'_> {
    fn file(&mut self, file: &str, format: Format) -> Result<(), String> {
        if format == Format::Parquet {
            return self.parquet(file);
        }
        let bytes = read_whole(file, MAX_FILE_BYTES).map_err(|error| error.to_string())?;
        let text = String::from_utf8(bytes).map_err(|_| format!("`{file}` is not UTF-8"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        match format {
            Format::Jsonl | Format::Parquet => self.json(file, text),
            Format::Lines => self.texts(text.lines()),
            Format::Paragraphs => self.texts(paragraphs(text).into_iter()),
        }
    }

    fn texts<'t>(&mut self, texts: impl Iterator<Item = &'t str>) -> Result<(), String> {
        if self.columns.is_empty() {
            self.columns.push("text".to_owned());
        }
        for text in texts.filter(|text| !text.trim().is_empty()) {
            self.example(None, |field| (field == "text").then(|| text.to_owned()))?;
        }
        Ok(())
    }

    fn json(&mut self, file: &str, text: &str) -> Result<(), String> {
        if text.trim_start().starts_with('[') {
            let all: Vec<Value> = serde_json::from_str(text).map_err(|error| format!("`{file}`: {error}"))?;
            for (number, example) in all.iter().enumerate() {
                self.object(example).map_err(|what| format!("`{file}` item {}: {what}", number + 1))?;
            }
            return Ok(());
        }
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let at = |what: String| format!("`{file}` line {}: {what}", number + 1);
            let example: Value = serde_json::from_str(line).map_err(|error| at(error.to_string()))?;
            self.object(&example).map_err(at)?;
        }
        Ok(())
    }

    fn object(&mut self, example: &Value) -> Result<(), String> {
        let Value::Object(object) = example else { return Err("an example is an object".to_owned()) };
        if self.columns.is_empty() {
            self.columns = object.keys().cloned().collect();
        }
        let id = ID_FIELDS.iter().find_map(|name| object.get(*name)).and_then(plain);
        self.example(id, |field| {
            let direct = object.get(field);
            let found = direct
                .or_else(|| field.split('.').try_fold(example, |value, part| value.as_object()?.get(part)))?;
            let mut text = String::new();
            flatten(found, &mut text);
            Some(text)
        })
    }

    fn parquet(&mut self, file: &str) -> Result<(), String> {
        let columns = column_names(file).map_err(|error| error.to_string())?;
        if self.columns.is_empty() {
            self.columns.clone_from(&columns);
        }
        let has = |name: &&str| columns.iter().any(|column| column == name);
        let fields: Vec<String> =
            self.loaded.fields.iter().filter(|field| has(&field.as_str())).cloned().collect();
        let mut names: Vec<&str> = fields.iter().map(String::as_str).collect();
        let id = ID_FIELDS.into_iter().find(|name| has(name) && !fields.iter().any(|field| field == name));
        // An id that is a number is no string column; the example is then known by its number alone.
        let with_id: Vec<&str> = names.iter().copied().chain(id).collect();
        let strings = |names: &[&str]| -> Result<bool, String> {
            let mut table = StringColumns::open(file, names).map_err(|error| error.to_string())?;
            Ok(table.next().is_ok())
        };
        let id = if id.is_some() && strings(&with_id)? { id } else { None };
        names.extend(id);
        let mut table = StringColumns::open(file, &names).map_err(|error| error.to_string())?;
        while let Some(batch) = table.next().map_err(|error| error.to_string())? {
            for row in 0..batch.rows {
                let name = id.map(|_| batch.get(names.len() - 1, row).to_owned());
                self.example(name, |field| {
                    let column = fields.iter().position(|other| other == field)?;
                    Some(batch.get(column, row).to_owned())
                })?;
            }
        }
        Ok(())
    }

    fn example(&mut self, id: Option<String>, get: impl Fn(&str) -> Option<String>) -> Result<(), String> {
        self.loaded.ids.push(id);
        let number = u32::try_from(self.loaded.ids.len()).map_err(|_| "too many examples".to_owned())?;
        let mut searched = false;
        for (place, field) in self.loaded.fields.iter().enumerate() {
            let Some(text) = get(field) else { continue };
            self.seen[place] = true;
            let field = u32::try_from(place).unwrap_or(u32::MAX);
            searched |= self.builder.add(self.set, number, field, &text)?;
        }
        self.loaded.too_short += u32::from(!searched);
        Ok(())
    }

    fn finish(self) -> Result<Loaded, String> {
        let columns = || {
            let names: Vec<String> = self.columns.iter().map(|name| format!("`{name}`")).collect();
            names.join(", ")
        };
        if self.loaded.ids.is_empty() {
            return Err("the set has no examples".to_owned());
        }
        let absent: Vec<&String> =
            self.loaded.fields.iter().zip(&self.seen).filter(|(_, seen)| !**seen).map(|(f, _)| f).collect();
        if self.guessed && self.seen.iter().all(|seen| !seen) {
            return Err(format!("which fields to search is not clear: give some of {}", columns()));
        }
        if let (false, Some(field)) = (self.guessed, absent.first()) {
            return Err(format!("no example has a field `{field}`; there are {}", columns()));
        }
        let examples = self.loaded.ids.len();
        if self.loaded.too_short as usize == examples {
            return Err(format!(
                "none of the {examples} examples is long enough to be searched: see `min_words`"
            ));
        }
        Ok(self.loaded)
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// All texts and numbers of a value, each on a line.
fn flatten(value: &Value, text: &mut String) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| flatten(item, text)),
        Value::Object(fields) => fields.values().for_each(|field| flatten(field, text)),
        Value::String(piece) => {
            text.push_str(piece);
            text.push('\n');
        }
        other => {
            text.push_str(&other.to_string());
            text.push('\n');
        }
    }
}

/// What stands between blank lines.
fn paragraphs(text: &str) -> Vec<&str> {
    let (mut found, mut start, mut at) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        if line.trim().is_empty() {
            found.push(&text[start..at]);
            start = at + line.len();
        }
        at += line.len();
    }
    found.push(&text[start..]);
    found
}
