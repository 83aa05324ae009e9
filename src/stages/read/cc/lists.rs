//! Which files a crawl has, by its own lists: gzip, one path below the base a line.

use std::ops::Range;

use super::Config;
use crate::error::Error;
use crate::io;
use crate::io::codec::payload::{Encoding, Ending, decode};
use crate::stage::{BuildContext, OptionError};

/// Largest list, decompressed: a hundred times what today's crawls have.
const MAX_LIST_BYTES: usize = 1 << 30;
/// Part of the path that index files of successful fetches have. Redirects and errors lie in others.
const INDEX_SUBSET: &str = "/subset=warc/";

/// The files that an input takes.
pub(super) enum Choice {
    All,
    Range(Range<usize>),
    Sample { ratio: f64, seed: u64 },
}

impl Choice {
    pub(super) fn new(config: &Config) -> Result<Self, Vec<OptionError>> {
        match (&config.files, config.sample) {
            (Some(_), Some(_)) => {
                Err(vec![OptionError::new("sample", "stands beside `files`; take one of them")])
            }
            (Some(files), None) => range(files).map(Self::Range).map_err(|error| vec![error]),
            (None, Some(ratio)) if ratio > 0.0 && ratio <= 1.0 => {
                Ok(Self::Sample { ratio, seed: config.seed })
            }
            (None, Some(ratio)) => {
                let message = format!("must be above 0 and at most 1, found {ratio}");
                Err(vec![OptionError::new("sample", message)])
            }
            (None, None) => Ok(Self::All),
        }
    }

    /// The chosen paths, sorted.
    pub(super) fn of(&self, list: Vec<String>) -> Result<Vec<String>, Vec<OptionError>> {
        let of_all = list.len();
        let mut chosen = match self {
            Self::All => list,
            Self::Range(range) if range.end > of_all => {
                let message = format!("ends at {}, but the crawl has {of_all} files", range.end);
                let hint = format!("all of them are `0..{of_all}`");
                return Err(vec![OptionError::new("files", message).hint(hint)]);
            }
            Self::Range(range) => list.into_iter().skip(range.start).take(range.end - range.start).collect(),
            Self::Sample { ratio, seed } => {
                list.into_iter().filter(|path| place(path, *seed) < *ratio).collect()
            }
        };
        if chosen.is_empty() {
            let message = format!("takes none of the {of_all} files");
            return Err(vec![OptionError::new("sample", message).hint("take more, or another `seed`")]);
        }
        chosen.sort();
        chosen.dedup();
        Ok(chosen)
    }
}

/// Where a path lies between 0 and 1, by its hash.
fn place(path: &str, seed: u64) -> f64 {
    const TWO_TO_53: f64 = 9_007_199_254_740_992.0;
    (xxhash_rust::xxh3::xxh3_64_with_seed(path.as_bytes(), seed) >> 11) as f64 / TWO_TO_53
}

fn range(text: &str) -> Result<Range<usize>, OptionError> {
    let wrong = || {
        let message = format!("must be like `0..100`, found `{text}`");
        OptionError::new("files", message).hint("the first file has number 0; the end is not part of it")
    };
    let (start, end) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
    let range = number(start)?..number(end)?;
    if range.is_empty() {
        return Err(OptionError::new("files", format!("`{text}` holds no file")));
    }
    Ok(range)
}

/// Whether it can be the name of a crawl.
pub(super) fn check_crawl(name: &str) -> Result<(), OptionError> {
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let named = name.strip_prefix("CC-MAIN-").and_then(|rest| rest.split_once('-'));
    if named.is_some_and(|(year, week)| digits(year, 4) && digits(week, 2)) {
        return Ok(());
    }
    let message = format!("must be a name like `CC-MAIN-2024-33`, found `{name}`");
    Err(OptionError::new("crawl", message).hint(CRAWLS_HINT))
}

const CRAWLS_HINT: &str =
    "crawls are named `CC-MAIN-`, year, week; https://commoncrawl.org/overview lists them";

/// Reads a list of the crawl (`warc`, `wet`, `cc-index-table`), which becomes part of the plan.
pub(super) fn read(
    config: &Config,
    name: &str,
    cx: &mut BuildContext,
) -> Result<Vec<String>, Vec<OptionError>> {
    let Config { base, crawl, .. } = config;
    let path = format!("{base}/crawl-data/{crawl}/{name}.paths.gz");
    let bytes = io::read_side_file(path.as_ref()).map_err(|error| {
        vec![match &error {
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                let message = format!("there is no list of files for crawl `{crawl}`: `{path}`");
                OptionError::new("crawl", message).hint(CRAWLS_HINT)
            }
            _ => OptionError::new("base", error.to_string()),
        }]
    })?;
    cx.files.push((path.clone(), xxhash_rust::xxh3::xxh3_128(&bytes)));
    let wrong = |what: &str| vec![OptionError::new("base", format!("`{path}` {what}"))];
    let list = decode(&bytes, Encoding::Gzip, MAX_LIST_BYTES);
    match list.ending {
        Ending::Whole => {}
        Ending::Cut => return Err(wrong("ends too early")),
        Ending::TooLarge => return Err(wrong("is too large for a list of files")),
        Ending::Damaged => {
            let head = String::from_utf8_lossy(bytes.get(..60).unwrap_or(&bytes)).into_owned();
            return Err(wrong(&format!("should be a gzip file, but begins with {head:?}")));
        }
    }
    let text = String::from_utf8(list.bytes).map_err(|_| wrong("is not UTF-8 text"))?;
    let paths: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let steps_out = |path: &&String| path.starts_with('/') || path.split('/').any(|step| step == "..");
    if let Some(path) = paths.iter().find(steps_out) {
        return Err(wrong(&format!("names `{path}`, which is no path below `base`")));
    }
    if paths.is_empty() {
        return Err(wrong("names no file"));
    }
    Ok(paths)
}

/// The index files of successful fetches, with the base.
pub(super) fn index_parts(config: &Config, cx: &mut BuildContext) -> Result<Vec<String>, Vec<OptionError>> {
    let mut parts = read(config, "cc-index-table", cx)?;
    parts.retain(|path| path.contains(INDEX_SUBSET) && path.ends_with(".parquet"));
    parts.sort();
    parts.dedup();
    if parts.is_empty() {
        let message = format!("the index of crawl `{}` has no file in `{INDEX_SUBSET}`", config.crawl);
        return Err(vec![OptionError::new("select", message)]);
    }
    Ok(parts.into_iter().map(|path| format!("{}/{path}", config.base)).collect())
}
