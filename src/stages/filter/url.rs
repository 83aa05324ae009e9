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
//! * there is a list of domains that always pass, and a page without an address is no error;
//! * beside datatrove's checks there are domains that opted out of being trained on (own reason, looked at first: no
//!   allow list overrides the owner's wish), beginnings of paths, and words of the path alone;
//! * domain lists may be hosts files and ad blockers' lists (`domains.rs` tells which lines).
//!
//! The four variants of DCLM's filter: its domains go under `domains` (a leading `www.` is covered), its strict
//! words under `banned_substrings` with `substring_text: no_dashes_or_dots`, its hard words under `banned_words`, its soft
//! words under `soft_words`.
//!
//! Lists of domains and addresses are kept as sorted 64-bit hashes (xxh3), 8 bytes an entry: with five million
//! entries a look-up of an unlisted name is wrong with a probability of 3e-13.

mod address;
mod domains;
mod path;
mod sets;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{Document, Outcome, Reason};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, Limit, OptionError, ScoreSpec, Side, StageSpec,
    parse_options, schema_of,
};
use path::Prefixes;
use sets::{Collector, HashSet64, Substrings, WordSet};

/// How the pipeline room knows this stage.
pub static SPEC: StageSpec = StageSpec {
    name: "url",
    kind: Kind::Filter,
    needs_text: false,
    summary: "Drops pages by their address: opt-outs, listed domains, hosts, addresses, paths, words and substrings.",
    source: "datatrove URLFilter (RefinedWeb, FineWeb); words in small letters, hosts below a listed host included",
    reasons: &[
        ("opted_out", "the domain, or one above it, is in a list of opt-outs"),
        ("banned_domain", "the registered domain is listed"),
        ("banned_host", "the host, or a host above it, is listed"),
        ("banned_url", "the address is listed"),
        ("banned_path", "the path begins with a listed one"),
        ("banned_word", "the address holds a word of the list"),
        ("banned_path_word", "the path holds a word of the list"),
        ("soft_words", "the address holds more different soft words than `max_soft_words`"),
        ("banned_substring", "the address holds a listed string"),
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
    limits: &[Limit {
        reason: "soft_words",
        score: "soft_words",
        option: "max_soft_words",
        fails: Side::Above,
    }],
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

/// What of an address is searched for `banned_substrings`; ASCII letters are turned to small ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubstringText {
    /// Its ASCII letters and digits, all else taken out, as in datatrove.
    #[default]
    LettersAndDigits,
    /// All of it but `-` and `.`, as for DCLM's strict words.
    NoDashesOrDots,
    /// All of it.
    Address,
}

/// Options of `url`. At least one list, or `no_url: drop`, must be given. Every `..._lists` option takes paths of files in
/// UTF-8, one entry a line, plain or gzip; lines that start with `#` are comments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Lists of domains whose owners do not want their pages used, with all hosts below them; looked at before everything
    /// else, `allowed_domains` too. Formats as for `domain_lists`. Default: none.
    pub opt_out_lists: Vec<String>,
    /// Domains beside those of `opt_out_lists`. Default: none.
    pub opt_outs: Vec<String>,
    /// Lists of domains and hosts. A listed registered domain (`example.co.uk`) covers all its hosts. A line may be a name
    /// (`example.org`), a line of a hosts file (`0.0.0.0 example.org`) or an ad blocker's rule (`||example.org^`). A folder
    /// stands for the file `domains` (or `domains.gz`) in it, as UT1 has them. Default: none.
    pub domain_lists: Vec<String>,
    /// Domains and hosts beside those of the lists. Default: none.
    pub domains: Vec<String>,
    /// Whether a listed host covers the hosts below it too (`blog.example.org` covers `www.blog.example.org`). Default: true;
    /// datatrove: false.
    pub match_parent_domains: bool,
    /// Lists of whole addresses. With a scheme (`http://`) an entry is compared exactly, without one it covers `http`, `https`,
    /// a leading `www.` and a slash at the end. A folder stands for the file `urls` (or `urls.gz`) in it. Default: none.
    pub url_lists: Vec<String>,
    /// Addresses beside those of the lists. Default: none.
    pub urls: Vec<String>,
    /// Lists of beginnings of paths: `/path` for all hosts, `example.org/path` for one and the hosts below it. Each
    /// covers itself and what is below it, by whole segments (`/tag` covers `/tag/a`, not `/tags`), with capital and small
    /// letters as they are. Default: none.
    pub path_prefix_lists: Vec<String>,
    /// Beginnings of paths beside those of the lists. Default: none.
    pub path_prefixes: Vec<String>,
    /// Lists of words that drop a page when its address holds one of them; the words of an address are its runs of ASCII
    /// letters and digits, in small letters. Default: none.
    pub banned_word_lists: Vec<String>,
    /// Banned words beside those of the lists. Default: none.
    pub banned_words: Vec<String>,
    /// Lists of words that drop a page when the path of its address (without host and query) holds one of them. Default: none.
    pub banned_path_word_lists: Vec<String>,
    /// Words of the path beside those of the lists. Default: none.
    pub banned_path_words: Vec<String>,
    /// Lists of words of which an address may hold some. Default: none.
    pub soft_word_lists: Vec<String>,
    /// Soft words beside those of the lists. Default: none.
    pub soft_words: Vec<String>,
    /// Largest number of different soft words in an address; so many are kept, one more is dropped. Default: 1, as in datatrove
    /// (which drops at 2).
    pub max_soft_words: Option<u32>,
    /// Lists of strings that drop a page when its address, as `substring_text` has it, holds one of them. Default: none.
    pub banned_substring_lists: Vec<String>,
    /// Banned strings beside those of the lists. Default: none.
    pub banned_substrings: Vec<String>,
    /// What of an address is searched for `banned_substrings`. Default: `letters_and_digits`.
    pub substring_text: SubstringText,
    /// Lists of domains and hosts that pass whatever else is listed (but not where they opted out), with all hosts below
    /// them. Formats as for `domain_lists`. Default: none.
    pub allowed_domain_lists: Vec<String>,
    /// Domains that always pass, beside those of the lists. Default: none.
    pub allowed_domains: Vec<String>,
    /// What to do with a page that has no address. Default: `keep`.
    pub no_url: NoUrl,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            opt_out_lists: Vec::new(),
            opt_outs: Vec::new(),
            domain_lists: Vec::new(),
            domains: Vec::new(),
            match_parent_domains: true,
            url_lists: Vec::new(),
            urls: Vec::new(),
            path_prefix_lists: Vec::new(),
            path_prefixes: Vec::new(),
            banned_word_lists: Vec::new(),
            banned_words: Vec::new(),
            banned_path_word_lists: Vec::new(),
            banned_path_words: Vec::new(),
            soft_word_lists: Vec::new(),
            soft_words: Vec::new(),
            max_soft_words: None,
            banned_substring_lists: Vec::new(),
            banned_substrings: Vec::new(),
            substring_text: SubstringText::LettersAndDigits,
            allowed_domain_lists: Vec::new(),
            allowed_domains: Vec::new(),
            no_url: NoUrl::Keep,
        }
    }
}

struct Stage {
    opted_out: HashSet64,
    domains: HashSet64,
    match_parent_domains: bool,
    urls: HashSet64,
    path_prefixes: Prefixes,
    banned_words: WordSet,
    banned_path_words: WordSet,
    soft_words: WordSet,
    max_soft_words: u32,
    banned_substrings: Option<Substrings>,
    allowed: HashSet64,
    no_url: NoUrl,
}

fn build(options: serde_json::Value, cx: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    let mut all = Collector::new(cx);
    let opted_out = all.hosts("opt_out_lists", &config.opt_out_lists, "opt_outs", &config.opt_outs);
    let domains = all.hosts("domain_lists", &config.domain_lists, "domains", &config.domains);
    let urls = all.urls("url_lists", &config.url_lists, "urls", &config.urls);
    let path_prefixes =
        all.prefixes("path_prefix_lists", &config.path_prefix_lists, "path_prefixes", &config.path_prefixes);
    let banned_words =
        all.words("banned_word_lists", &config.banned_word_lists, "banned_words", &config.banned_words);
    let banned_path_words = all.words(
        "banned_path_word_lists",
        &config.banned_path_word_lists,
        "banned_path_words",
        &config.banned_path_words,
    );
    let soft_words = all.words("soft_word_lists", &config.soft_word_lists, "soft_words", &config.soft_words);
    let substrings = all.strings(
        "banned_substring_lists",
        &config.banned_substring_lists,
        "banned_substrings",
        &config.banned_substrings,
        config.substring_text,
    );
    let judges = all.given();
    let allowed = all.hosts(
        "allowed_domain_lists",
        &config.allowed_domain_lists,
        "allowed_domains",
        &config.allowed_domains,
    );
    let mut errors = all.errors();
    if !judges && config.no_url == NoUrl::Keep {
        errors.push(OptionError::new("", "nothing is listed, so no page could be dropped").hint(
            "give `domains`, `urls`, `path_prefixes`, `banned_words`, `banned_path_words`, `soft_words`, \
             `banned_substrings`, `opt_outs` or their lists, or `no_url: drop`",
        ));
    }
    if config.max_soft_words.is_some() && config.soft_words.is_empty() && config.soft_word_lists.is_empty() {
        errors.push(OptionError::new("max_soft_words", "there are no soft words to count"));
    }
    let banned_substrings = Substrings::new(substrings, config.substring_text)
        .map_err(|what| errors.push(OptionError::new("banned_substrings", what)))
        .unwrap_or_default();
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Built::Doc(Box::new(Stage {
        opted_out,
        domains,
        match_parent_domains: config.match_parent_domains,
        urls,
        path_prefixes,
        banned_words,
        banned_path_words,
        soft_words,
        max_soft_words: config.max_soft_words.unwrap_or(1),
        banned_substrings,
        allowed,
        no_url: config.no_url,
    })))
}

/// Everything but the address is an option that decides: nothing but the address is measured.
const OPTIONS: &[&str] = &[
    "opt_out_lists",
    "opt_outs",
    "domain_lists",
    "domains",
    "match_parent_domains",
    "url_lists",
    "urls",
    "path_prefix_lists",
    "path_prefixes",
    "banned_word_lists",
    "banned_words",
    "banned_path_word_lists",
    "banned_path_words",
    "soft_word_lists",
    "soft_words",
    "max_soft_words",
    "banned_substring_lists",
    "banned_substrings",
    "substring_text",
    "allowed_domain_lists",
    "allowed_domains",
    "no_url",
];

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let url = address_of(doc);
        let soft_words = url.and_then(|url| self.count_soft_words(url));
        let outcome = self.decide(url, soft_words);
        let has_url = f64::from(u8::from(url.is_some()));
        cx.score(doc, "has_url", has_url);
        if let Some(count) = soft_words {
            cx.score(doc, "soft_words", count as f64);
        }
        outcome
    }

    /// Judges the stored address again.
    fn redecide(&self, stored: &Document, stage: &str) -> Option<Outcome> {
        let url = address_of(stored);
        let had_url = stored.scores.iter().any(|(name, value)| {
            *value > 0.0 && name.strip_prefix(stage).is_some_and(|name| name == ".has_url")
        });
        if url.is_none() && had_url {
            return None;
        }
        Some(self.decide(url, url.and_then(|url| self.count_soft_words(url))))
    }

    fn deciding_options(&self) -> &'static [&'static str] {
        OPTIONS
    }
}

fn address_of(doc: &Document) -> Option<&str> {
    doc.url.as_deref().map(str::trim).filter(|url| !url.is_empty())
}

impl Stage {
    /// `None` without a list of soft words.
    fn count_soft_words(&self, url: &str) -> Option<usize> {
        (!self.soft_words.is_empty()).then(|| self.soft_words.distinct_in(url))
    }

    fn decide(&self, url: Option<&str>, soft_words: Option<usize>) -> Outcome {
        let reason = match url {
            Some(url) => self.judge(url, soft_words),
            None => (self.no_url == NoUrl::Drop).then(|| Reason::new("no_url")),
        };
        reason.map_or(Outcome::Keep, Outcome::Drop)
    }

    fn judge(&self, url: &str, soft_words: Option<usize>) -> Option<Reason> {
        let host = address::host(url);
        let registered = host.as_deref().and_then(address::registered_domain);
        if let Some(host) = host.as_deref() {
            if !self.opted_out.is_empty()
                && let Some(name) =
                    address::upwards(host, registered).find(|name| self.opted_out.contains(name))
            {
                return Some(Reason::new("opted_out").detail(name));
            }
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
        if let Some(prefix) = self.path_prefixes.first_in(url, host.as_deref(), registered) {
            return Some(Reason::new("banned_path").detail(prefix));
        }
        if let Some(word) = self.banned_words.first_in(url) {
            return Some(Reason::new("banned_word").detail(word));
        }
        if let Some(word) = self.banned_path_words.first_in(path::path(url)) {
            return Some(Reason::new("banned_path_word").detail(word));
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

    fn redecided(options: serde_json::Value, doc: &Document) -> Option<Outcome> {
        case_files::build(&SPEC, options).unwrap().redecide(doc, SPEC.name)
    }

    #[test]
    fn a_stored_address_is_judged_again() {
        let before = json!({"soft_words": ["leek", "onion"]});
        let mut doc = case_files::document("");
        doc.url = Some("https://leek.org/onion/soup".to_owned());
        let outcome = case_files::build(&SPEC, before.clone())
            .unwrap()
            .process(&mut doc, &mut case_files::context(&SPEC));
        assert_eq!(outcome, Outcome::Drop(Reason::measured("soft_words", 2.0, 1.0)));
        assert_eq!(redecided(before, &doc), Some(outcome));
        let more = json!({"soft_words": ["leek", "onion"], "max_soft_words": 2});
        assert_eq!(redecided(more, &doc), Some(Outcome::Keep));
        let banned = json!({"banned_path_words": ["soup"]});
        let Some(Outcome::Drop(reason)) = redecided(banned.clone(), &doc) else { panic!("kept") };
        assert_eq!(reason.name, "banned_path_word");
        doc.url = None;
        assert_eq!(redecided(banned, &doc), None, "an address that was not stored cannot be judged");
    }

    #[test]
    fn every_option_decides() {
        let schema = serde_json::to_value((SPEC.schema)()).unwrap();
        let options: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(options, OPTIONS);
    }

    proptest! {
        #[test]
        fn no_address_makes_it_panic(url in "\\PC{0,80}|[a-z]{0,4}://[a-zäß.@:\\[\\]0-9/?#%\\\\-]{0,60}") {
            let options = json!({
                "domains": ["example.org"], "urls": ["example.org/a"], "banned_words": ["turnip"],
                "soft_words": ["a", "b"], "banned_substrings": ["beets"], "allowed_domains": ["example.net"],
                "opt_outs": ["a.org"], "path_prefixes": ["/a", "b.org/c"], "banned_path_words": ["d"],
            });
            let stage = case_files::build(&SPEC, options).unwrap();
            let mut doc = case_files::document("");
            doc.url = Some(url);
            stage.process(&mut doc, &mut case_files::context(&SPEC));
        }
    }
}
