//! What is asked of the index: languages, domains, statuses, media types.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::stage::OptionError;
use crate::text::langcodes;

/// Which records of a crawl are read. At least one list is given; a record fits if it fits one entry of every list that is given.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Select {
    /// Languages that Common Crawl found on the page, as ISO 639-3 codes (`zho`, `deu`). Default: all, and pages without any.
    pub languages: Vec<String>,
    /// Whether only the language counts that most of the page is in; else any of the up to three that were found. Default: true.
    pub first_language_only: bool,
    /// Hosts: each name stands for itself and everything below it. `example.org` takes `example.org` and `news.example.org`, `org`
    /// every host that ends with `.org`. Default: all.
    pub domains: Vec<String>,
    /// HTTP statuses. The index of successful fetches has little but 200, and nothing else becomes a document. Default: all.
    pub statuses: Vec<u16>,
    /// Media types that the crawler found from the content, such as `text/html` or `application/xhtml+xml`, without parameters.
    /// Default: all.
    pub mime_types: Vec<String>,
}

impl Default for Select {
    fn default() -> Self {
        Self {
            languages: Vec::new(),
            first_language_only: true,
            domains: Vec::new(),
            statuses: Vec::new(),
            mime_types: Vec::new(),
        }
    }
}

/// The same, checked.
#[derive(Debug)]
pub(super) struct Criteria {
    /// Sorted.
    pub languages: Vec<String>,
    pub first_language_only: bool,
    /// Sorted, as the index writes hosts.
    pub domains: Vec<String>,
    /// Sorted.
    pub statuses: Vec<i64>,
    /// Sorted.
    pub mime_types: Vec<String>,
}

/// Criteria, and which files they are for.
#[derive(Debug)]
pub(super) struct Selection {
    pub criteria: Criteria,
    /// Chosen WARC files, sorted; a file's number is its place here.
    pub paths: Arc<[String]>,
    /// Index files.
    pub parts: Vec<String>,
}

impl Selection {
    /// Number of a file; `None` for one that was not chosen.
    pub(super) fn number_of(&self, path: &[u8]) -> Option<u32> {
        let at = self.paths.binary_search_by(|known| known.as_bytes().cmp(path)).ok()?;
        u32::try_from(at).ok()
    }
}

impl Select {
    pub(super) fn check(&self) -> Result<Criteria, Vec<OptionError>> {
        let mut errors = Vec::new();
        let mut keep = |found: Result<String, OptionError>| found.map_err(|error| errors.push(error)).ok();
        let mut languages: Vec<String> =
            self.languages.iter().enumerate().filter_map(|entry| keep(language(entry))).collect();
        let mut domains: Vec<String> =
            self.domains.iter().enumerate().filter_map(|entry| keep(domain(entry))).collect();
        let mut mime_types: Vec<String> =
            self.mime_types.iter().enumerate().filter_map(|entry| keep(mime_type(entry))).collect();
        let mut statuses: Vec<i64> = self.statuses.iter().map(|&status| i64::from(status)).collect();
        for (number, status) in
            self.statuses.iter().enumerate().filter(|(_, status)| !(100..=599).contains(*status))
        {
            let message = format!("must be an HTTP status, 100 to 599, found {status}");
            errors.push(OptionError::new(format!("select.statuses.{number}"), message));
        }
        let given = [self.languages.len(), self.domains.len(), self.statuses.len(), self.mime_types.len()];
        if given.iter().all(|&entries| entries == 0) {
            let error = OptionError::new("select", "names nothing that records are selected by");
            errors
                .push(error.hint("give `languages`, `domains`, `statuses` or `mime_types`, or leave it out"));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        for list in [&mut languages, &mut domains, &mut mime_types] {
            list.sort();
        }
        statuses.sort_unstable();
        Ok(Criteria {
            languages,
            first_language_only: self.first_language_only,
            domains,
            statuses,
            mime_types,
        })
    }
}

fn language((number, code): (usize, &String)) -> Result<String, OptionError> {
    let letters = code.bytes().all(|byte| byte.is_ascii_lowercase());
    // The code of the same language that Common Crawl writes: `zho` for `zh`, `cmn`, `chi`.
    let written =
        langcodes::normalise(&code.to_ascii_lowercase()).and_then(|known| langcodes::three_letters(&known));
    if code.len() == 3 && letters && written.is_none_or(|written| written == code) {
        return Ok(code.clone());
    }
    let message = if code.len() == 3 && letters {
        format!("the index does not have `{code}`")
    } else {
        format!("must be an ISO 639-3 code like `zho`, found `{code}`")
    };
    let error = OptionError::new(format!("select.languages.{number}"), message);
    Err(match written {
        Some(written) => error.hint(format!("did you mean `{written}`?")),
        None => error,
    })
}

fn domain((number, name): (usize, &String)) -> Result<String, OptionError> {
    let key = format!("select.domains.{number}");
    let wrong = |hint: &str| {
        Err(OptionError::new(&key, format!("must be a host or domain, found `{name}`")).hint(hint.to_owned()))
    };
    if name.contains(['/', ':', '*', '@']) {
        return wrong("only the name: `example.org` stands for everything below it, too");
    }
    match url::Host::parse(name.trim_matches('.')) {
        Ok(host) if !host.to_string().is_empty() => Ok(host.to_string()),
        _ => wrong("names have letters, digits, `-` and `.`"),
    }
}

fn mime_type((number, name): (usize, &String)) -> Result<String, OptionError> {
    let part = |text: &str| !text.is_empty() && !text.contains([' ', ';', ',', '/']);
    if name.split_once('/').is_some_and(|(left, right)| part(left) && part(right)) {
        return Ok(name.to_ascii_lowercase());
    }
    let message = format!("must be a media type like `text/html`, found `{name}`");
    Err(OptionError::new(format!("select.mime_types.{number}"), message))
}

impl Criteria {
    /// Whether a page with these languages (`zho,eng`: most frequent first) is wanted.
    pub(super) fn fits_languages(&self, found: &[u8]) -> bool {
        let wanted = |code: &[u8]| {
            self.languages.binary_search_by(|known| known.as_bytes().cmp(code.trim_ascii())).is_ok()
        };
        let mut codes = found.split(|&byte| byte == b',');
        if self.first_language_only { codes.next().is_some_and(wanted) } else { codes.any(wanted) }
    }

    /// Whether a host is one of the domains or lies below one.
    pub(super) fn fits_domains(&self, host: &[u8]) -> bool {
        let wanted = |name: &[u8]| self.domains.binary_search_by(|known| known.as_bytes().cmp(name)).is_ok();
        let dots = host.iter().enumerate().filter(|(_, byte)| **byte == b'.');
        wanted(host) || dots.map(|(at, _)| &host[at + 1..]).any(wanted)
    }

    pub(super) fn fits_mime_type(&self, found: &[u8]) -> bool {
        self.mime_types.binary_search_by(|known| known.as_bytes().cmp(found)).is_ok()
    }

    /// What the sort key of the index (SURT: `org,example,news)/path`) begins with on every page of the domains, sorted; `None` where
    /// no such thing can be told. `www.` in front of a host is not part of the key.
    pub(super) fn key_prefixes(&self) -> Option<Vec<String>> {
        let mut prefixes = Vec::new();
        for domain in &self.domains {
            if domain.parse::<std::net::Ipv4Addr>().is_ok() || domain.starts_with('[') {
                return None;
            }
            let (first, rest) = domain.split_once('.').unwrap_or((domain, ""));
            let www = first.strip_prefix("www").is_some_and(|n| n.bytes().all(|byte| byte.is_ascii_digit()));
            let kept = if www && !rest.is_empty() { rest } else { domain };
            prefixes.push(kept.rsplit('.').collect::<Vec<_>>().join(","));
        }
        prefixes.sort();
        prefixes.dedup();
        (!prefixes.is_empty()).then_some(prefixes)
    }
}

/// Whether a key between these two, both included, may begin with one of the sorted prefixes. The bounds may be cut short (the lower
/// one) or too large (the upper one), as statistics are.
pub(super) fn may_hold(prefixes: &[String], min: &[u8], max: &[u8]) -> bool {
    let from = prefixes.partition_point(|prefix| prefix.as_bytes() < min);
    if prefixes.get(from).is_some_and(|prefix| prefix.as_bytes() <= max) {
        return true;
    }
    // A prefix of the lower bound is smaller than it.
    let cuts = min.iter().enumerate().filter(|(_, byte)| matches!(byte, b',' | b')' | b':'));
    cuts.map(|(at, _)| &min[..at])
        .any(|head| prefixes.binary_search_by(|prefix| prefix.as_bytes().cmp(head)).is_ok())
}
