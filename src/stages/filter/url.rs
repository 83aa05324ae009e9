//! `url`: drops pages by their address: lists of domains, hosts and addresses, words and substrings.
//!
//! Source: datatrove's `URLFilter` (RefinedWeb, FineWeb), in its order: registered domain, host, whole address, banned words,
//! soft words, banned substrings. Registered domains follow the public suffix list without its private part, as there.
//! Where we differ:
//! * words are compared in small letters (datatrove compares them as they stand in the address with lists in small
//!   letters, so `PORN` passes);
//! * a listed host also covers the hosts below it (`www.` in front of a listed blog; switch: `match_parent_domains`), and hosts
//!   without a public suffix (IP addresses, `localhost`) are looked up too;
//! * an address that is listed without `http://`, as UT1 has them, covers `http`, `https` and a leading `www.`; with it, the
//!   comparison is exact and case-sensitive as in datatrove;
//! * there is a list of domains that always pass, and a page without an address is no error.
//!
//! Lists of domains and addresses are kept as sorted 64-bit hashes (xxh3), 8 bytes an entry: with five million
//! entries a look-up of an unlisted name is wrong with a probability of 3e-13.

mod address;
mod sets;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{Document, Outcome, Reason};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, OptionError, ScoreSpec, StageSpec, parse_options, schema_of,
};
use sets::{Collector, HashSet64, Substrings, WordSet};

/// How the pipeline room knows this stage.
pub static SPEC: StageSpec = StageSpec {
    name: "url",
    kind: Kind::Filter,
    needs_text: false,
    summary: "Drops pages by their address: listed domains, hosts, addresses, words and substrings.",
    source: "datatrove URLFilter (RefinedWeb, FineWeb); words in small letters, hosts below a listed host included",
    reasons: &[
        ("banned_domain", "the registered domain is listed"),
        ("banned_host", "the host, or a host above it, is listed"),
        ("banned_url", "the address is listed"),
        ("banned_word", "the address holds a word of the list"),
        ("soft_words", "the address holds more different soft words than `max_soft_words`"),
        ("banned_substring", "the letters and digits of the address hold a listed string"),
        ("no_url", "the page has no address, and `no_url` is `drop`"),
    ],
    scores: &[
        ScoreSpec { name: "has_url", doc: "1 where the page has an address, else 0", min: 0.0, max: 1.0 },
        ScoreSpec {
            name: "soft_words",
            doc: "different soft words in the address (where a soft-word list is given)",
            min: 0.0,
            max: 10.0,
        },
    ],
    limits: &[],
    schema: schema_of::<Config>,
    build,
};

/// What to do with a page that has no address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoUrl {
    /// It passes; the score `has_url` counts it.
    #[default]
    Keep,
    /// It is dropped.
    Drop,
}

/// Options of `url`. At least one list, or `no_url: drop`, must be given. Every `..._lists` option takes paths of files in
/// UTF-8, one entry a line, plain or gzip; lines that start with `#` are comments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Lists of domains and hosts. A listed registered domain (`example.co.uk`) covers all its hosts. Default: none.
    pub domain_lists: Vec<String>,
    /// Domains and hosts beside those of the lists. Default: none.
    pub domains: Vec<String>,
    /// Whether a listed host covers the hosts below it too (`blog.example.org` covers `www.blog.example.org`). Default: true;
    /// datatrove: false.
    pub match_parent_domains: bool,
    /// Lists of whole addresses. With a scheme (`http://`) an entry is compared exactly, without one it covers `http`, `https`,
    /// a leading `www.` and a slash at the end. Default: none.
    pub url_lists: Vec<String>,
    /// Addresses beside those of the lists. Default: none.
    pub urls: Vec<String>,
    /// Lists of words that drop a page when its address holds one of them; the words of an address are its runs of ASCII
    /// letters and digits, in small letters. Default: none.
    pub banned_word_lists: Vec<String>,
    /// Banned words beside those of the lists. Default: none.
    pub banned_words: Vec<String>,
    /// Lists of words of which an address may hold some. Default: none.
    pub soft_word_lists: Vec<String>,
    /// Soft words beside those of the lists. Default: none.
    pub soft_words: Vec<String>,
    /// Largest number of different soft words in an address; so many are kept, one more is dropped. Default: 1, as in datatrove
    /// (which drops at 2).
    pub max_soft_words: Option<u32>,
    /// Lists of strings that drop a page when the letters and digits of its address (ASCII, in small letters, all
    /// else taken out) hold one of them. Default: none.
    pub banned_substring_lists: Vec<String>,
    /// Banned strings beside those of the lists. Default: none.
    pub banned_substrings: Vec<String>,
    /// Lists of domains and hosts that always pass, with all hosts below them; looked at before everything else. Default: none.
    pub allowed_domain_lists: Vec<String>,
    /// Domains that always pass, beside those of the lists. Default: none.
    pub allowed_domains: Vec<String>,
    /// What to do with a page that has no address. Default: `keep`.
    pub no_url: NoUrl,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            domain_lists: Vec::new(),
            domains: Vec::new(),
            match_parent_domains: true,
            url_lists: Vec::new(),
            urls: Vec::new(),
            banned_word_lists: Vec::new(),
            banned_words: Vec::new(),
            soft_word_lists: Vec::new(),
            soft_words: Vec::new(),
            max_soft_words: None,
            banned_substring_lists: Vec::new(),
            banned_substrings: Vec::new(),
            allowed_domain_lists: Vec::new(),
            allowed_domains: Vec::new(),
            no_url: NoUrl::Keep,
        }
    }
}

struct Stage {
    domains: HashSet64,
    match_parent_domains: bool,
    urls: HashSet64,
    banned_words: WordSet,
    soft_words: WordSet,
    max_soft_words: u32,
    banned_substrings: Option<Substrings>,
    allowed: HashSet64,
    no_url: NoUrl,
}

fn build(options: serde_json::Value, cx: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    let mut all = Collector::new(cx);
    let domains =
        all.hashes("domain_lists", &config.domain_lists, "domains", &config.domains, address::host_entry);
    let urls = all
        .hashes("url_lists", &config.url_lists, "urls", &config.urls, |entry| Ok(address::url_entry(entry)));
    let banned_words =
        all.words("banned_word_lists", &config.banned_word_lists, "banned_words", &config.banned_words);
    let soft_words = all.words("soft_word_lists", &config.soft_word_lists, "soft_words", &config.soft_words);
    let substrings = all.words(
        "banned_substring_lists",
        &config.banned_substring_lists,
        "banned_substrings",
        &config.banned_substrings,
    );
    let judges = all.given();
    let allowed = all.hashes(
        "allowed_domain_lists",
        &config.allowed_domain_lists,
        "allowed_domains",
        &config.allowed_domains,
        address::host_entry,
    );
    let mut errors = all.errors();
    if !judges && config.no_url == NoUrl::Keep {
        errors.push(OptionError::new("", "nothing is listed, so no page could be dropped").hint(
            "give `domains`, `urls`, `banned_words`, `soft_words`, `banned_substrings` or their lists, or `no_url: drop`",
        ));
    }
    if config.max_soft_words.is_some() && config.soft_words.is_empty() && config.soft_word_lists.is_empty() {
        errors.push(OptionError::new("max_soft_words", "there are no soft words to count"));
    }
    let banned_substrings = Substrings::new(substrings)
        .map_err(|what| errors.push(OptionError::new("banned_substrings", what)))
        .unwrap_or_default();
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Built::Doc(Box::new(Stage {
        domains,
        match_parent_domains: config.match_parent_domains,
        urls,
        banned_words,
        soft_words,
        max_soft_words: config.max_soft_words.unwrap_or(1),
        banned_substrings,
        allowed,
        no_url: config.no_url,
    })))
}

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let url = doc.url.as_deref().map(str::trim).filter(|url| !url.is_empty());
        let Some(url) = url else {
            cx.score(doc, "has_url", 0.0);
            return match self.no_url {
                NoUrl::Keep => Outcome::Keep,
                NoUrl::Drop => Outcome::Drop(Reason::new("no_url")),
            };
        };
        let soft_words = (!self.soft_words.is_empty()).then(|| self.soft_words.distinct_in(url));
        let reason = self.judge(url, soft_words);
        cx.score(doc, "has_url", 1.0);
        if let Some(count) = soft_words {
            cx.score(doc, "soft_words", count as f64);
        }
        reason.map_or(Outcome::Keep, Outcome::Drop)
    }
}

impl Stage {
    fn judge(&self, url: &str, soft_words: Option<usize>) -> Option<Reason> {
        let host = address::host(url);
        let registered = host.as_deref().and_then(address::registered_domain);
        if let Some(host) = host.as_deref() {
            if !self.allowed.is_empty()
                && address::upwards(host, registered).any(|name| self.allowed.contains(name))
            {
                return None;
            }
            if let Some(domain) = registered.filter(|domain| self.domains.contains(domain)) {
                return Some(Reason::new("banned_domain").detail(domain));
            }
            let reach = if self.match_parent_domains { usize::MAX } else { 1 };
            let listed =
                address::upwards(host, registered).take(reach).find(|name| self.domains.contains(name));
            if let Some(listed) = listed {
                return Some(Reason::new("banned_host").detail(listed));
            }
        }
        if !self.urls.is_empty()
            && (self.urls.contains(url) || self.urls.contains(address::without_scheme(url)))
        {
            return Some(Reason::new("banned_url").detail(url));
        }
        if let Some(word) = self.banned_words.first_in(url) {
            return Some(Reason::new("banned_word").detail(word));
        }
        if let Some(count) = soft_words.filter(|&count| count > self.max_soft_words as usize) {
            return Some(Reason::measured("soft_words", count as f64, f64::from(self.max_soft_words)));
        }
        let found = self.banned_substrings.as_ref()?.first_in(url)?;
        Some(Reason::new("banned_substring").detail(found))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::stages::filter::case_files;

    #[test]
    fn cases() {
        case_files::check(&SPEC);
    }

    proptest! {
        #[test]
        fn no_address_makes_it_panic(url in "\\PC{0,80}|[a-z]{0,4}://[a-zäß.@:\\[\\]0-9/?#%\\\\-]{0,60}") {
            let options = json!({
                "domains": ["example.org"], "urls": ["example.org/a"], "banned_words": ["turnip"],
                "soft_words": ["a", "b"], "banned_substrings": ["beets"], "allowed_domains": ["example.net"],
            });
            let stage = case_files::build(&SPEC, options).unwrap();
            let mut doc = case_files::document("");
            doc.url = Some(url);
            stage.process(&mut doc, &mut case_files::context(&SPEC));
        }
    }
}
