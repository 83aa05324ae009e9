//! Parts of an address, taken by rule from whatever a crawl holds: never an error.

use std::borrow::Cow;
use std::net::Ipv4Addr;

/// The host of an address in small letters, in its ASCII form, without port, user name and final dot; `None`
/// where there is none. An address without a scheme starts with its host.
pub(super) fn host(url: &str) -> Option<Cow<'_, str>> {
    let rest = without_scheme_only(url);
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let place = authority.rsplit('@').next()?;
    let host = match place.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => place.split(':').next()?,
    };
    normalise_host(host)
}

fn normalise_host(host: &str) -> Option<Cow<'_, str>> {
    let host = host.trim_end_matches('.');
    if host.is_empty() {
        return None;
    }
    if !host.is_ascii() {
        let ascii = url::Host::parse(host).map_or_else(|_| host.to_lowercase(), |host| host.to_string());
        return Some(Cow::Owned(ascii));
    }
    Some(if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    })
}

/// A line of a domain list in the form that [`host`] gives; `*.` and `.` in front are left out.
pub(super) fn host_entry(entry: &str) -> Result<Cow<'_, str>, String> {
    let name = entry.strip_prefix("*.").or_else(|| entry.strip_prefix('.')).unwrap_or(entry);
    if name.contains(['/', '@', '?', '#']) || name.contains(char::is_whitespace) {
        return Err(format!("`{entry}` is not a domain or host name"));
    }
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    normalise_host(name).ok_or_else(|| format!("`{entry}` is not a domain or host name"))
}

/// A line of an address list: as it is where it has a scheme, else in the form of [`without_scheme`].
pub(super) fn url_entry(entry: &str) -> &str {
    if entry.contains("://") { entry } else { without_scheme(entry) }
}

/// An address without scheme, leading `www.` and final slash.
pub(super) fn without_scheme(url: &str) -> &str {
    let rest = without_scheme_only(url);
    let rest = rest.strip_prefix("www.").unwrap_or(rest);
    rest.strip_suffix('/').unwrap_or(rest)
}

fn without_scheme_only(url: &str) -> &str {
    match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => rest,
        _ => url,
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// The domain that somebody registered: one label more than the public suffix, private suffixes
/// (`blogspot.com`) not counted as such. `None` for IP addresses and for public suffixes themselves.
pub(super) fn registered_domain(host: &str) -> Option<&str> {
    if host.contains(':') || host.parse::<Ipv4Addr>().is_ok() {
        return None;
    }
    let mut name = host;
    let suffix_bytes = loop {
        let suffix = psl::suffix(name.as_bytes())?;
        let bytes = suffix.as_bytes().len();
        if suffix.typ() != Some(psl::Type::Private) {
            break bytes;
        }
        let inside = name.len() - bytes;
        name = name.get(inside..)?.split_once('.')?.1;
    };
    let before = host.get(..host.len() - suffix_bytes)?.strip_suffix('.')?;
    let label = before.rsplit('.').next().filter(|label| !label.is_empty())?;
    host.get(before.len() - label.len()..)
}

/// A host and the hosts above it, down to the registered domain, longest first; without a registered domain only
/// the host.
pub(super) fn upwards<'h>(host: &'h str, registered: Option<&str>) -> impl Iterator<Item = &'h str> {
    let shortest = registered.map_or(host.len(), str::len);
    std::iter::successors(Some(host), |name| name.split_once('.').map(|(_, above)| above))
        .take_while(move |name| name.len() >= shortest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_all_sorts_of_addresses() {
        for (url, wanted) in [
            ("https://www.Example.ORG/a?b=http://other.net/", Some("www.example.org")),
            ("http://user:pass@example.org:8080", Some("example.org")),
            ("//example.org./x", Some("example.org")),
            ("example.org/path", Some("example.org")),
            ("example.org:443", Some("example.org")),
            ("http://[2001:DB8::1]:80/x", Some("2001:db8::1")),
            ("http://192.0.2.7/x", Some("192.0.2.7")),
            ("https://bücher.example/", Some("xn--bcher-kva.example")),
            ("http://example.org\\@evil.net/", Some("example.org")),
            ("https://?x", None),
            ("http://", None),
            ("/only/a/path", None),
        ] {
            assert_eq!(host(url).as_deref(), wanted, "{url}");
        }
    }

    #[test]
    fn registered_domains_follow_the_public_part_of_the_list() {
        for (host, wanted) in [
            ("example.org", Some("example.org")),
            ("a.b.example.co.uk", Some("example.co.uk")),
            ("my.blog.blogspot.com", Some("blogspot.com")),
            ("x.us-east-1.compute.amazonaws.com", Some("amazonaws.com")),
            ("city.kawasaki.jp", Some("city.kawasaki.jp")),
            ("co.uk", None),
            ("org", None),
            ("192.0.2.7", None),
            ("2001:db8::1", None),
            ("a..org", None),
            (".org", None),
        ] {
            assert_eq!(registered_domain(host), wanted, "{host}");
        }
    }

    #[test]
    fn upwards_stops_at_the_registered_domain() {
        let names: Vec<&str> = upwards("a.b.example.co.uk", Some("example.co.uk")).collect();
        assert_eq!(names, ["a.b.example.co.uk", "b.example.co.uk", "example.co.uk"]);
        assert_eq!(upwards("192.0.2.7", None).collect::<Vec<_>>(), ["192.0.2.7"]);
    }
}
