//! E-mail addresses: a local part, `@`, a domain under a public suffix.
//!
//! Wider than datatrove's pattern in letters (any script) and stricter in the domain: its ending must be
//! on the public suffix list, so `icon@2x.png` and `react@18.2.0` stay, and what follows the domain
//! without a blank (`a@example.com.Then`) is cut off.

use crate::stages::rewrite::pii::around::{after, before, joins};

/// Longest local part (RFC 5321).
const MAX_LOCAL_BYTES: usize = 64;
/// Longest domain (RFC 1035).
const MAX_DOMAIN_BYTES: usize = 253;

/// The address around the `@` at a byte.
pub(super) fn at_sign(text: &str, at: usize) -> Option<(usize, usize)> {
    let start = local_start(text, at)?;
    let end = domain_end(text, at + 1)?;
    Some((start, end))
}

fn local_start(text: &str, at: usize) -> Option<usize> {
    let mut start = at;
    for c in text.get(..at)?.chars().rev() {
        let fits = joins(c) || matches!(c, '.' | '+' | '-' | '%' | '&' | '\'' | '~');
        if !fits {
            break;
        }
        start -= c.len_utf8();
        if at - start > MAX_LOCAL_BYTES {
            return None;
        }
    }
    let local = text.get(start..at)?;
    let trimmed = local.trim_start_matches(['.', '\'', '-', '&', '%', '~', '+']);
    let is_sound = !trimmed.is_empty() && !trimmed.ends_with('.') && !trimmed.contains("..");
    is_sound.then(|| at - trimmed.len())
}

fn domain_end(text: &str, from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    if let Some(inside) = rest.strip_prefix('[') {
        let end = inside.bytes().take(16).position(|b| b == b']')?;
        inside.get(..end)?.parse::<std::net::Ipv4Addr>().ok()?;
        return Some(from + end + 2);
    }
    let ascii = rest
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
        .take(MAX_DOMAIN_BYTES + 1)
        .count();
    let next_joins = after(rest, ascii).is_some_and(joins);
    if !next_joins && let Some(len) = public_domain(rest.get(..ascii)?) {
        return Some(from + len);
    }
    // A domain in another script: the letters that follow belong to it.
    let wide: usize = rest
        .chars()
        .take_while(|&c| (c.is_alphanumeric() && !c.is_ascii_uppercase()) || matches!(c, '.' | '-'))
        .take(MAX_DOMAIN_BYTES)
        .map(char::len_utf8)
        .sum();
    if wide <= ascii || wide > MAX_DOMAIN_BYTES {
        return public_domain(rest.get(..ascii)?).map(|len| from + len).filter(|_| !next_joins);
    }
    let name = rest.get(..wide)?.trim_end_matches(['.', '-']);
    match url::Host::parse(name) {
        Ok(url::Host::Domain(host)) if is_public(&host) => Some(from + name.len()),
        _ => None,
    }
}

/// Length of the longest beginning, at label borders, that is a domain below a public suffix.
fn public_domain(run: &str) -> Option<usize> {
    let mut name = run.trim_end_matches(['.', '-']);
    for _ in 0..3 {
        if name.len() <= MAX_DOMAIN_BYTES && is_public(name) {
            return Some(name.len());
        }
        name = name.get(..name.rfind('.')?)?;
    }
    None
}

fn is_public(name: &str) -> bool {
    let labels_fit = name
        .split('.')
        .all(|label| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-'));
    if !labels_fit {
        return false;
    }
    let lower = name.to_ascii_lowercase();
    psl::suffix(lower.as_bytes())
        .is_some_and(|suffix| suffix.is_known() && suffix.as_bytes().len() < lower.len())
}

/// Whether the `@` may be one of an address at all: something on both sides.
pub(super) fn is_candidate(text: &str, at: usize) -> bool {
    before(text, at).is_some_and(|c| !c.is_whitespace())
        && after(text, at + 1).is_some_and(|c| c.is_alphanumeric() || c == '[')
}
