//! Addresses of a run that a user may have meant.

use std::path::Path;

use crate::error::Result;
use crate::report::rows::{RowTable, tables, text_at, texts};

/// Addresses that are offered.
const MAX_HINTS: usize = 3;
/// Share of an address that must agree for it to be offered.
const MIN_HINT_SHARE: f64 = 0.6;

/// Addresses that agree with the needle at their beginning and end, best first.
pub(super) fn similar_urls(run: &Path, needle: &str) -> Result<Vec<String>> {
    let wanted = plain_url(needle);
    let mut best: Vec<(f64, String)> = Vec::new();
    for folder in ["corpus", "rejects"] {
        for path in tables(run, folder)? {
            for batch in RowTable::open(&path)?.scan(&["url"])? {
                let (_, batch) = batch?;
                let urls = texts(&batch, "url", &path)?;
                for url in (0..batch.num_rows()).filter_map(|row| text_at(urls, row)) {
                    let share = agreement(&plain_url(url), &wanted);
                    let at = best.partition_point(|(other, _)| *other >= share);
                    let new = best.iter().all(|(_, other)| other != url);
                    if share >= MIN_HINT_SHARE && at < MAX_HINTS && new {
                        best.insert(at, (share, url.to_owned()));
                        best.truncate(MAX_HINTS);
                    }
                }
            }
        }
    }
    Ok(best.into_iter().map(|(_, url)| url).collect())
}

/// An address without what people leave out or write differently.
fn plain_url(url: &str) -> String {
    let url = url.trim().to_lowercase();
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let rest = rest.strip_prefix("www.").unwrap_or(rest);
    rest.split('#').next().unwrap_or(rest).trim_end_matches('/').to_owned()
}

/// Share of the longer text that both have in common at the beginning and at the end; at least
/// [`MIN_HINT_SHARE`] where the address starts with all that was wanted.
fn agreement(url: &str, wanted: &str) -> f64 {
    let (a, b) = (url.as_bytes(), wanted.as_bytes());
    let (shorter, longer) = (a.len().min(b.len()), a.len().max(b.len()));
    if longer == 0 {
        return 0.0;
    }
    let prefix = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let suffix =
        a.iter().rev().zip(b.iter().rev()).take(shorter - prefix).take_while(|(a, b)| a == b).count();
    let share = (prefix + suffix) as f64 / longer as f64;
    // Whoever leaves out the end (a query, say) means the shortest address that goes on from there.
    let cut = prefix == b.len() && prefix > 0;
    if cut { MIN_HINT_SHARE + share * (1.0 - MIN_HINT_SHARE) } else { share }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_agree_in_spite_of_scheme_slash_and_slips() {
        let agree = |url, wanted| agreement(&plain_url(url), &plain_url(wanted));
        assert!(agree("https://www.a.example/x/", "a.example/x#top") >= 1.0);
        assert!(agree("https://a.example/river-mill", "https://a.example/river-mil") > 0.9);
        assert!(
            agree("https://a.example/p?id=3", "a.example/p")
                > agree("https://a.example/p?id=33333", "a.example/p")
        );
        assert!(agree("https://other.example/q", "a.example/p/r/s/t/u") < MIN_HINT_SHARE);
        assert!(agree("", "").abs() < f64::EPSILON);
    }
}
