//! IP addresses of both versions.
//!
//! Four dotted numbers are an address only where nothing else explains them. datatrove takes them inside
//! longer numbers and behind product names, which replaces versions (`1.2.3.4.5`, `v1.2.3.4`) and section
//! numbers.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::stages::rewrite::pii::around::{after, before, context, has_word, joins, stands_alone};
use crate::stages::rewrite::pii::digits::{Group, ascii, gap};

/// Words before a version number.
const VERSION_WORDS: &[&str] = &[
    "version",
    "versions",
    "ver",
    "v",
    "release",
    "rev",
    "revision",
    "build",
    "firmware",
    "section",
    "chapter",
    "clause",
    "figure",
    "fig",
    "table",
    "版本",
    "バージョン",
];

/// Words before an address.
const ADDRESS_WORDS: &[&str] = &[
    "ip",
    "ips",
    "ipv4",
    "address",
    "addresses",
    "addr",
    "server",
    "host",
    "hosts",
    "dns",
    "ping",
    "gateway",
    "nameserver",
    "proxy",
    "router",
    "node",
    "地址",
    "服务器",
];

/// The IPv4 address made of the first four groups.
pub(super) fn v4(text: &str, groups: &[Group], public_only: bool) -> Option<(usize, usize)> {
    let [a, b, c, d, ..] = groups else { return None };
    let four = [*a, *b, *c, *d];
    if four.iter().any(|group| group.len > 3)
        || four.windows(2).any(|pair| gap(text, &pair[0], &pair[1]) != ".")
    {
        return None;
    }
    let (start, end) = (a.start, d.end);
    let rest = text.get(end..)?;
    let longer = rest.starts_with('.') && rest.chars().nth(1).is_some_and(char::is_alphanumeric);
    let suffixed = rest.starts_with('-') && rest.chars().nth(1).is_some_and(char::is_alphabetic);
    if longer || suffixed || !stands_alone(text, start, end) {
        return None;
    }
    if matches!(before(text, start), Some('.' | '-' | '+')) {
        return None;
    }
    let mut octets = [0_u8; 4];
    for (octet, group) in octets.iter_mut().zip(&four) {
        let digits = ascii(text, std::slice::from_ref(group));
        if digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        *octet = digits.parse().ok()?;
    }
    if public_only && !is_public_v4(Ipv4Addr::from(octets)) {
        return None;
    }
    // `Name/1.2.3.4` is a product; `//1.2.3.4` is a host.
    if before(text, start) == Some('/') && before(text, start - 1).is_some_and(joins) {
        return None;
    }
    let context = context(text, start);
    let tail = context.char_indices().rev().nth(15).map_or(context.as_str(), |(at, _)| &context[at..]);
    if has_word(tail, VERSION_WORDS) && !has_word(tail, &["ip", "ipv4", "address"]) {
        return None;
    }
    // Small numbers throughout are more often a section or a version.
    let explained =
        context.ends_with("//") || rest.starts_with([':', '/']) || has_word(&context, ADDRESS_WORDS);
    (explained || octets.iter().any(|&octet| octet >= 32)).then_some((start, end))
}

/// Addresses that can belong to somebody: neither private nor shared, loopback, link-local, documentation,
/// benchmarking, reserved or multicast (RFC 6890).
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b)))
}

/// Longest written form of an IPv6 address.
const MAX_V6_BYTES: usize = 45;

/// The IPv6 address around the `:` at a byte.
pub(super) fn v6(text: &str, at: usize, public_only: bool) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let fits = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    let head = bytes[..at].iter().rev().take(MAX_V6_BYTES + 1).take_while(|b| fits(b)).count();
    let tail = bytes[at..].iter().take(MAX_V6_BYTES + 1).take_while(|b| fits(b)).count();
    let (start, mut end) = (at - head, at + tail);
    if head + tail > MAX_V6_BYTES || !stands_alone(text, start, end) {
        return None;
    }
    // A full stop or colon behind the address is punctuation.
    let run = text.get(start..end)?;
    let trimmed = run.trim_end_matches('.');
    let trimmed = if trimmed.ends_with("::") { trimmed } else { trimmed.trim_end_matches(':') };
    end -= run.len() - trimmed.len();
    let address: Ipv6Addr = trimmed.parse().ok()?;
    let groups = trimmed.split(':').filter(|group| !group.is_empty()).count();
    // `::` alone, `a::b` in code: too short to be told from other uses.
    let is_telling = groups >= 3 || (groups >= 2 && trimmed.split(':').any(|group| group.len() == 4));
    if !is_telling || (public_only && !is_public_v6(address)) {
        return None;
    }
    (!matches!(after(text, end), Some(':')) || trimmed.len() < run.len()).then_some((start, end))
}

/// Global unicast, without documentation and the ranges that only translate.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    (first & 0xe000) == 0x2000
        && !(first == 0x2001 && (second == 0xdb8 || second < 0x200))
        && !(first == 0x3fff && second < 0x1000)
        || (first == 0x2001 && second == 0)
}
