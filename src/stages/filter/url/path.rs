//! Paths of addresses: their words, and listed beginnings.
//!
//! A listed beginning covers itself and everything below it, by whole segments: `/tag` covers `/tag`, `/tag/` and
//! `/tag/a`, not `/tags`. Only as many segments are looked at as the longest entry has, so that a path of a
//! megabyte costs no more than a short one.

use std::borrow::Cow;

use super::address::{host_entry, upwards, without_scheme};
use super::sets::HashSet64;

/// The path of an address with its first slash, without query and fragment; empty where there is none.
pub(super) fn path(url: &str) -> &str {
    let place = url.split(['?', '#']).next().unwrap_or(url);
    let rest = match place.split_once("://") {
        Some((_, rest)) => rest,
        None => place.strip_prefix("//").unwrap_or(place),
    };
    rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("")
}

/// An entry in the form in which it is looked up, and its number of segments: `/path` or `host/path`.
pub(super) fn entry(text: &str) -> Result<(Cow<'_, str>, usize), String> {
    let place = if text.starts_with('/') { text } else { without_scheme(text) };
    let no_path = || format!("`{text}` has no path: `/path` or `example.org/path`");
    let (host, path) = place.split_once('/').ok_or_else(no_path)?;
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return Err(no_path());
    }
    if path.contains(['?', '#']) || path.contains(char::is_whitespace) {
        return Err(format!("`{text}` holds more than a path"));
    }
    let host = if host.is_empty() { Cow::Borrowed("") } else { host_entry(host)? };
    Ok((Cow::Owned(format!("{host}/{path}")), path.split('/').count()))
}

/// Listed beginnings of paths, for all hosts or for one.
#[derive(Default)]
pub(super) struct Prefixes {
    listed: HashSet64,
    max_segments: usize,
}

impl Prefixes {
    pub(super) fn new(listed: HashSet64, max_segments: usize) -> Self {
        Self { listed, max_segments }
    }

    /// The shortest listed beginning of this address.
    pub(super) fn first_in(&self, url: &str, host: Option<&str>, registered: Option<&str>) -> Option<String> {
        if self.listed.is_empty() {
            return None;
        }
        let path = path(url);
        let mut slashes = memchr::memchr_iter(b'/', path.as_bytes()).skip(1).chain([path.len()]);
        let mut name = String::new();
        for _ in 0..self.max_segments {
            let Some(beginning) = slashes.next().and_then(|end| path.get(..end)) else { break };
            let hosts = host.into_iter().flat_map(|host| upwards(host, registered));
            for host in hosts.chain([""]) {
                name.clear();
                name.push_str(host);
                name.push_str(beginning);
                if self.listed.contains(&name) {
                    return Some(name);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_all_sorts_of_addresses() {
        for (url, wanted) in [
            ("https://example.org/a/b?c=/d#e", "/a/b"),
            ("https://example.org", ""),
            ("https://example.org?x=/a", ""),
            ("example.org/a", "/a"),
            ("//example.org/a/", "/a/"),
            ("/a", "/a"),
            ("https://example.org/a?u=http://other.net/b", "/a"),
            ("", ""),
        ] {
            assert_eq!(path(url), wanted, "{url}");
        }
    }

    #[test]
    fn entries_have_a_path() {
        assert_eq!(entry("/tag/").unwrap(), ("/tag".into(), 1));
        assert_eq!(entry("https://www.Example.org/a/b").unwrap(), ("example.org/a/b".into(), 2));
        for wrong in ["example.org", "/", "example.org/", "/a b", "/a?b=c", "exa mple.org/a"] {
            assert!(entry(wrong).is_err(), "{wrong}");
        }
    }
}
