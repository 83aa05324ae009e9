//! Common Crawl by the name of a crawl: WARC or WET files from the crawl's own lists, or only the records that its columnar index
//! names.
//!
//! Source: Common Crawl's layout (`crawl-data/CRAWL/warc.paths.gz` and its siblings, one path a line) and its columnar index
//! (`cc-index/table/cc-main/warc`, Parquet). A whole file is read like the `warc` and `wet` readers read one. With `select` the index is
//! read before any file (`passes.rs`, `index.rs`) and then of each file the chosen records alone, by ranges (`selected.rs`).
//!
//! Differences from these readers and from other ways to the same pages:
//! * a document's id goes by the path below `base` and the record's offset, not by `base` or the record's number: the same page has
//!   the same id over https, from S3, from a local copy, selected or not;
//! * sizes are not asked of a server: 90,000 files would cost as many requests before the first page is read;
//! * what a server sends in place of a file (a page that says no) is an error of the machine and never a quarantined record.

mod index;
mod lists;
mod passes;
mod select;
mod selected;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use schemars::JsonSchema;
use serde::Deserialize;

use super::header::Header;
use super::records::Records;
use super::warc::Pages;
use super::warc_stream::{Origin, WarcStream};
use super::wet::{LANGUAGES_FIELD, Texts};
use crate::error::{Error, Result};
use crate::io;
use crate::stage::{
    BuildContext, Built, FieldType, Kind as StageKind, OptionError, Pass, Position, Reader, RecordStream,
    StageSpec, parse_options, schema_of,
};
use passes::{RangesPass, SelectPass};
pub use select::Select;
use select::Selection;

/// The `cc` reader.
pub static SPEC: StageSpec = StageSpec {
    name: "cc",
    kind: StageKind::Read,
    needs_text: false,
    summary: "Reads a crawl of Common Crawl by its name: all of its WARC or WET files, some, or the records that its index names.",
    source: "Common Crawl's lists of paths and its columnar index; see docs/common-crawl.md.",
    reasons: &[],
    scores: &[],
    limits: &[],
    schema: schema_of::<Config>,
    build,
};

/// Requests per second that a server is sent where the pipeline does not say.
const DEFAULT_REQUESTS_PER_SEC: f64 = 1.0;
/// Requests per second that repeat one that the server refused. The crawl's operators name it as what is polite.
const RETRIES_PER_SEC: f64 = 1.0;

/// Options of the `cc` reader.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the crawl, by year and week: `CC-MAIN-2024-33`.
    pub crawl: String,
    /// What is read: `warc` (pages as the servers sent them) or `wet` (Common Crawl's extracted text). Default: `warc`.
    #[serde(default)]
    pub kind: Kind,
    /// Which files of the crawl's list, as `a..b`: from number `a`, counted from 0, up to `b` without it. Default: all.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub files: Option<String>,
    /// Share of the files, above 0 and at most 1, in place of `files`: those whose path has a small enough hash. A larger share holds
    /// the files of a smaller one. Default: all.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample: Option<f64>,
    /// Another number is another sample of the same share. Default: 0.
    #[serde(default)]
    pub seed: u64,
    /// Only records that fit by what the crawl's index says of them: `{ languages: [zho], domains: [example.org] }`; for
    /// `kind: warc`. The index is read before the first file, and then of each file the chosen records alone, by range requests. A
    /// document's record number is then its number among the chosen ones. Default: everything in the files.
    #[serde(default)]
    pub select: Option<Select>,
    /// Where the crawl lies: `https://data.commoncrawl.org`, `s3://commoncrawl` (faster within its region), or a folder with
    /// the same layout. Default: `https://data.commoncrawl.org`.
    #[serde(default = "default_base")]
    #[schemars(length(min = 1))]
    pub base: String,
    /// Requests per second, at most, that this process sends to a `base` of `https://`, above 0. A whole file is two requests, a
    /// selected record up to one. Common Crawl refuses clients that are too fast; workers on other machines count for themselves; a
    /// request that failed is repeated once a second at most. Object stores are limited by `--max-requests-per-sec`. A run goes on
    /// with another number where it was interrupted. Default: 1.
    #[serde(default)]
    #[schemars(range(min = 0.001, max = 10000.0))]
    pub max_requests_per_sec: Option<f64>,
    /// Name of this input in the `source` column. Default: `cc`.
    #[serde(default = "default_source")]
    pub source: String,
    /// Largest record content and largest decoded payload, in bytes, as in the `warc` and `wet` readers. Default: 16777216 (16 MiB).
    #[serde(default = "default_max_record_bytes")]
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub max_record_bytes: u64,
}

fn default_base() -> String {
    "https://data.commoncrawl.org".to_owned()
}

fn default_source() -> String {
    "cc".to_owned()
}

fn default_max_record_bytes() -> u64 {
    16 << 20
}

/// Which files of a crawl are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Pages as the servers sent them.
    #[default]
    Warc,
    /// Extracted text.
    Wet,
}

/// Tells the client how fast `base` may be asked.
fn be_polite(config: &Config) -> Result<(), Vec<OptionError>> {
    let is_web = config.base.starts_with("https://") || config.base.starts_with("http://");
    if !is_web && config.max_requests_per_sec.is_some() {
        let error = OptionError::new(
            "max_requests_per_sec",
            format!("is for web servers, which `{}` is none of", config.base),
        );
        return Err(vec![error.hint("`--max-requests-per-sec` limits requests to object stores")]);
    }
    let requests = config.max_requests_per_sec.unwrap_or(DEFAULT_REQUESTS_PER_SEC);
    io::store::be_polite(&config.base, requests, RETRIES_PER_SEC.min(requests));
    Ok(())
}

fn is_local(base: &str) -> bool {
    !base.contains("://")
}

fn build(options: serde_json::Value, cx: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let mut config: Config = parse_options(options)?;
    while config.base.len() > 1 && config.base.ends_with('/') {
        config.base.pop();
    }
    be_polite(&config)?;
    let choice = lists::Choice::new(&config);
    let criteria = match &config.select {
        None => Ok(None),
        Some(_) if config.kind == Kind::Wet => {
            let error = OptionError::new("select", "goes through the index, which knows WARC files only");
            Err(vec![error.hint("take `kind: warc`, or leave `select` out and filter by language later")])
        }
        Some(select) => select.check().map(Some),
    };
    let mut errors = lists::check_crawl(&config.crawl).err().into_iter().collect::<Vec<_>>();
    let (choice, criteria) = match (choice, criteria) {
        (Ok(choice), Ok(criteria)) if errors.is_empty() => (choice, criteria),
        (choice, criteria) => {
            errors.extend(choice.err().into_iter().flatten());
            errors.extend(criteria.err().into_iter().flatten());
            return Err(errors);
        }
    };
    let list = if config.kind == Kind::Wet { "wet" } else { "warc" };
    let paths: Arc<[String]> = choice.of(lists::read(&config, list, cx)?)?.into();
    let selection = match criteria {
        None => None,
        Some(criteria) => {
            let parts = lists::index_parts(&config, cx)?;
            Some(Arc::new(Selection { criteria, paths: Arc::clone(&paths), parts }))
        }
    };
    Ok(Built::Reader(Box::new(CcReader { config, paths, selection, dir: OnceLock::new() })))
}

struct CcReader {
    config: Config,
    /// Chosen files as the list names them, sorted.
    paths: Arc<[String]>,
    selection: Option<Arc<Selection>>,
    /// Where the passes of a selection wrote.
    dir: OnceLock<PathBuf>,
}

impl CcReader {
    /// A file's path below the base.
    fn path_of<'f>(&self, file: &'f str) -> &'f str {
        file.strip_prefix(&self.config.base).map_or(file, |path| path.trim_start_matches('/'))
    }

    fn judge(&self) -> Pages {
        Pages { max_record_bytes: self.config.max_record_bytes, http: Header::default() }
    }

    fn whole_file(&self, origin: Origin, at: Option<&Position>) -> Result<Box<dyn RecordStream>> {
        let max_record_bytes = self.config.max_record_bytes;
        let mut records = Records::open(&origin.file, at, max_record_bytes)?;
        if let Some(head) = records.not_gzip()? {
            return Err(foreign(&origin.file, head));
        }
        Ok(match self.config.kind {
            Kind::Warc => Box::new(WarcStream { records, origin, judge: self.judge() }),
            Kind::Wet => Box::new(WarcStream { records, origin, judge: Texts { max_record_bytes } }),
        })
    }
}

/// A file that is not what Common Crawl has under its name.
fn foreign(file: &str, head: &[u8]) -> Error {
    let shown = String::from_utf8_lossy(head.get(..60).unwrap_or(head)).into_owned();
    let what = if head.is_empty() { "is empty".to_owned() } else { format!("begins with {shown:?}") };
    Error::Failed(format!(
        "`{file}` should be a gzip file, but what came {what}: the server sent something else"
    ))
}

impl Reader for CcReader {
    fn files(&self) -> Result<Vec<String>, Vec<OptionError>> {
        let base = &self.config.base;
        let files: Vec<String> = self.paths.iter().map(|path| format!("{base}/{path}")).collect();
        if is_local(base) {
            let absent: Vec<&String> = files.iter().filter(|file| io::size_of(file).is_err()).collect();
            if let Some(first) = absent.first() {
                let message = format!(
                    "{} of the {} files are not there, the first is `{first}`",
                    absent.len(),
                    files.len()
                );
                let hint = "copy them there, or name those that are there with `files: a..b`";
                return Err(vec![OptionError::new("base", message).hint(hint)]);
            }
        }
        Ok(files)
    }

    fn source(&self) -> &str {
        &self.config.source
    }

    fn bytes(&self, file: &str) -> Result<Option<u64>> {
        if is_local(&self.config.base) && self.selection.is_none() {
            return io::size_of(file).map(Some);
        }
        Ok(None)
    }

    fn passes(&self, name: &str, dir: &Path) -> Vec<Box<dyn Pass>> {
        let Some(selection) = &self.selection else { return Vec::new() };
        vec![
            Box::new(SelectPass::new(name, dir, Arc::clone(selection))),
            Box::new(RangesPass::new(name, dir, Arc::clone(selection))),
        ]
    }

    fn ready(&self, dir: &Path) -> Result<()> {
        self.dir.get_or_init(|| dir.to_path_buf());
        Ok(())
    }

    fn passthrough(&self, _: &str) -> Result<Vec<(String, FieldType)>> {
        Ok(match self.config.kind {
            Kind::Warc => Vec::new(),
            Kind::Wet => vec![(LANGUAGES_FIELD.to_owned(), FieldType::String)],
        })
    }

    fn open(&self, split: u32, file: &str, at: Option<&Position>) -> Result<Box<dyn RecordStream>> {
        let path = self.path_of(file);
        let origin = Origin::new(split, file, &self.config.source).in_crawl(path);
        let Some(selection) = &self.selection else { return self.whole_file(origin, at) };
        let Some(dir) = self.dir.get() else {
            return Err(Error::User(
                "`select` of `cc` needs passes of its own, which only a run has\n = hint: run a pipeline with this input, and take the text of its corpus"
                    .to_owned(),
            ));
        };
        let number = selection.number_of(path.as_bytes()).ok_or_else(|| {
            Error::Failed(format!("`{file}` is no chosen file of crawl `{}`", self.config.crawl))
        })?;
        Ok(Box::new(selected::open(dir, number, origin, self.judge(), at)?))
    }
}
