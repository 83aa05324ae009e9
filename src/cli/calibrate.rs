//! `tamis calibrate`: options per language from a reference corpus, as a table for `per_language`.

use std::io::{BufRead as _, Read as _};
use std::path::PathBuf;

use serde_json::json;

use super::show::print;
use crate::calibrate::{STAGES, Scores, Settings, Words};
use crate::document::Document;
use crate::error::{Error, Result};
use crate::stage::{BuildContext, Built, Item, Reader};
use crate::stages::read;
use crate::text::langcodes;

/// Longest line of a text file, in bytes.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// Options of `tamis calibrate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Reference corpus: text files with one document a line (`.txt`), JSON Lines, Parquet or WET files, folders and glob
    /// patterns of these three. Good text of many kinds; documents as short as the shortest pages that are to be kept should be
    /// among them.
    #[arg(required = true)]
    files: Vec<String>,
    /// Language of all documents, as an ISO 639-1 or 639-3 code.
    #[arg(long, conflicts_with = "lang_field", required_unless_present = "lang_field")]
    lang: Option<String>,
    /// Field of each JSON Lines or Parquet record that holds its language; records without one are passed over.
    #[arg(long)]
    lang_field: Option<String>,
    /// Reader of the files that are not `.txt`: `jsonl`, `parquet`, `wet`. Default: by the ending.
    #[arg(long)]
    reader: Option<String>,
    /// Filter to measure; may be given several times. Default: gopher_repetition, fineweb_quality, gopher_quality.
    #[arg(long = "stage", value_name = "STAGE")]
    stages: Vec<String>,
    /// Share of the documents that may lie beyond a limit before its margin, 0 to 0.5.
    #[arg(long, default_value_t = Settings::default().quantile)]
    quantile: f64,
    /// How far beyond the quantile a limit is set, as a share of the distance between quantile and median.
    #[arg(long, default_value_t = Settings::default().margin)]
    margin: f64,
    /// Smallest share of all words that a stop word makes up, 0 to 1; a word with exactly this share is one.
    #[arg(long, default_value_t = Settings::default().min_stop_word_ratio)]
    min_stop_word_ratio: f64,
    /// Most stop words per language, at most 1,024.
    #[arg(long, default_value_t = Settings::default().max_stop_words)]
    max_stop_words: usize,
    /// Fewest documents of a language that the table has an entry for.
    #[arg(long, default_value_t = Settings::default().min_docs)]
    min_docs: u64,
    /// Documents per language that are looked at, in the order of the files.
    #[arg(long, default_value_t = Settings::default().max_docs)]
    max_docs: u64,
    /// Write the table here instead of to standard output.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

/// Reads the corpus twice and prints the table.
///
/// # Errors
/// [`Error::User`] for options out of range, files that name nothing and unknown languages; else where the
/// machine fails.
pub(super) fn run(args: &Args) -> Result<u8> {
    let settings = settings(args)?;
    let corpus = Corpus::new(args)?;
    let mut words = Words::default();
    corpus.each(&mut |language, text| words.add(language, text, settings.max_docs))?;
    let mut scores = Scores::new(&settings, words)?;
    let mut docs = 0_u64;
    corpus.each(&mut |language, text| {
        docs += 1;
        scores.add(language, text);
    })?;
    if docs == 0 {
        return Err(Error::User("the files hold no document with a language".to_owned()));
    }
    let table = scores.table();
    match &args.output {
        Some(path) => crate::io::AtomicFile::write_all(path, table.as_bytes())?,
        None => print(&table)?,
    }
    Ok(0)
}

fn settings(args: &Args) -> Result<Settings> {
    let range = |name: &str, value: f64, max: f64| {
        if (0.0..=max).contains(&value) {
            Ok(value)
        } else {
            Err(Error::User(format!("`--{name} {value}` is outside 0 to {max}")))
        }
    };
    if args.max_stop_words > 1024 {
        return Err(Error::User(format!("`--max-stop-words {}` is more than 1024", args.max_stop_words)));
    }
    Ok(Settings {
        stages: if args.stages.is_empty() { STAGES.map(str::to_owned).to_vec() } else { args.stages.clone() },
        quantile: range("quantile", args.quantile, 0.5)?,
        margin: range("margin", args.margin, 100.0)?,
        min_stop_word_ratio: range("min-stop-word-ratio", args.min_stop_word_ratio, 1.0)?,
        max_stop_words: args.max_stop_words,
        min_docs: args.min_docs,
        max_docs: args.max_docs,
    })
}

/// The files and how each is read.
struct Corpus {
    /// Plain text files, one document a line.
    texts: Vec<String>,
    readers: Vec<Box<dyn Reader>>,
    language: Option<String>,
    /// Names of the field under which readers hand on the language.
    fields: [String; 2],
}

impl Corpus {
    fn new(args: &Args) -> Result<Self> {
        let language = match &args.lang {
            None => None,
            Some(lang) => {
                let code = langcodes::normalise(lang).ok_or_else(|| {
                    Error::User(format!("`{lang}` is not a language code (ISO 639-1 or 639-3)"))
                })?;
                Some(code.into_owned())
            }
        };
        let field = args.lang_field.clone().unwrap_or_default();
        let (texts, others): (Vec<String>, Vec<String>) =
            args.files.iter().cloned().partition(|file| file.ends_with(".txt"));
        if language.is_none() && !texts.is_empty() {
            return Err(Error::User(format!(
                "`{}` has no fields: give its language with `--lang`",
                texts[0]
            )));
        }
        let mut readers = Vec::new();
        for spec in read::STAGES {
            let name = args.reader.as_deref();
            let paths: Vec<&String> =
                others.iter().filter(|file| name.unwrap_or_else(|| reader_of(file)) == spec.name).collect();
            if paths.is_empty() {
                continue;
            }
            match (spec.build)(json!({ "paths": paths }), &mut BuildContext::default()) {
                Ok(Built::Reader(reader)) => readers.push(reader),
                Ok(_) => return Err(Error::Failed(format!("`{}` is no reader", spec.name))),
                Err(errors) => {
                    let lines: Vec<String> = errors.into_iter().map(|error| error.message).collect();
                    return Err(Error::User(lines.join("\n")));
                }
            }
        }
        if readers.is_empty() && texts.is_empty() {
            let name = args.reader.as_deref().unwrap_or_default();
            return Err(Error::User(format!("there is no reader `{name}` for these files")));
        }
        Ok(Self { texts, readers, language, fields: [format!("input_{field}"), field] })
    }

    /// Hands on every document with its language, in the order of the files.
    fn each(&self, found: &mut dyn FnMut(&str, &str)) -> Result<()> {
        for path in &self.texts {
            self.lines(path, found)?;
        }
        for reader in &self.readers {
            let files = reader.files().map_err(|errors| {
                let lines: Vec<String> = errors.into_iter().map(|error| error.message).collect();
                Error::User(lines.join("\n"))
            })?;
            for file in files {
                let mut stream = reader.open(0, &file, None)?;
                while let Some(item) = stream.next()? {
                    if let Item::Document(doc) = item
                        && let Some(language) = self.language_of(&doc)
                    {
                        found(&language, &doc.text);
                    }
                }
            }
        }
        Ok(())
    }

    fn lines(&self, path: &str, found: &mut dyn FnMut(&str, &str)) -> Result<()> {
        let Some(language) = &self.language else { return Ok(()) };
        let mut file = std::io::BufReader::new(crate::io::open(path)?);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = file.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
            if read.map_err(Error::io("read", path))? == 0 {
                return Ok(());
            }
            let text = String::from_utf8_lossy(&line);
            if !text.trim().is_empty() {
                found(language, text.trim_end());
            }
        }
    }

    fn language_of(&self, doc: &Document) -> Option<String> {
        if self.language.is_some() {
            return self.language.clone();
        }
        let label = self.fields.iter().find_map(|field| doc.fields.get(field)?.as_str())?;
        langcodes::normalise(label).map(std::borrow::Cow::into_owned)
    }
}

/// The reader for a file by its ending.
fn reader_of(file: &str) -> &'static str {
    if file.ends_with(".parquet") {
        "parquet"
    } else if file.contains(".wet") {
        "wet"
    } else {
        "jsonl"
    }
}
